package storetest

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// farOff is when the notes of blobs that a test writes are due.
const farOff = 1_000_000

func (b *bundle) stray(t *testing.T, project core.ProjectID) core.Stray {
	t.Helper()
	s := core.Stray{Project: project, Key: core.NewID[core.BlobKey](), DueAt: kept(at(farOff))}
	need(t, b.AddStray(b.ctx, s))
	return s
}

// blob is a blob without an owner.
func (b *bundle) blob(t *testing.T, project core.ProjectID) core.Blob {
	t.Helper()
	return core.Blob{Key: b.stray(t, project).Key, Bytes: 5, SHA256: strings.Repeat("ab", 32)}
}

func (b *bundle) file(t *testing.T, project core.ProjectID, edit ...func(*core.File)) core.File {
	t.Helper()
	f := core.File{
		Project: project, ID: core.NewID[core.FileID](), Blob: b.blob(t, project), Name: "a.txt", MediaType: "text/plain",
		Metadata: json.RawMessage(`{}`), CreatedAt: kept(b.later()),
	}
	for _, e := range edit {
		e(&f)
	}
	need(t, b.CreateFile(b.ctx, f))
	return f
}

func fileID(f core.File) core.FileID { return f.ID }

// isStray checks that a blob has no owner, and the time at which it is due.
func (b *bundle) isStray(t *testing.T, project core.ProjectID, key core.BlobKey, due time.Time) {
	t.Helper()
	s, err := b.Stray(b.ctx, project, key)
	need(t, err)
	same(t, "stray", s, core.Stray{Project: project, Key: key, DueAt: due})
}

func (b *bundle) isNoStray(t *testing.T, project core.ProjectID, key core.BlobKey) {
	t.Helper()
	_, err := b.Stray(b.ctx, project, key)
	refused(t, "stray", err, core.NotFound, "stray_not_found")
}

var blobPromises = map[string]func(*testing.T, *bundle){
	"StraysAreClaimedWhenTheyAreDue": func(t *testing.T, b *bundle) {
		p, q := b.project(t), b.project(t)
		late := core.Stray{Project: p, Key: "late", DueAt: kept(at(5))}
		early := core.Stray{Project: q, Key: "early", DueAt: kept(at(4))}
		for _, s := range []core.Stray{late, early} {
			need(t, b.AddStray(b.ctx, s))
		}
		b.stray(t, p)
		list, err := b.ClaimStrays(b.ctx, at(3), 10)
		need(t, err)
		same(t, "none due", list, []core.Stray{})
		claimed := func(s core.Stray) core.Stray { s.DueAt = time.Time{}; return s }
		list, err = b.ClaimStrays(b.ctx, at(5), 1)
		need(t, err)
		same(t, "the longest due", list, []core.Stray{claimed(early)})
		list, err = b.ClaimStrays(b.ctx, at(5), 10)
		need(t, err)
		same(t, "due", list, []core.Stray{claimed(early), claimed(late)})
		b.isStray(t, p, "late", time.Time{})
		refused(t, "an owner, by a slow clock", b.CreateFile(b.ctx, core.File{Project: p, ID: "f", Blob: core.Blob{Key: "late"}, CreatedAt: at(1)}),
			core.NotFound, "stray_not_found")
	},
	"AStrayIsNotedOnceAndDroppedForGood": func(t *testing.T, b *bundle) {
		s := b.stray(t, b.project(t))
		refused(t, "again", b.AddStray(b.ctx, s), core.Conflict, "already_exists")
		need(t, b.DropStray(b.ctx, s.Project, s.Key))
		b.isNoStray(t, s.Project, s.Key)
		need(t, b.DropStray(b.ctx, s.Project, s.Key))
		refused(t, "of no project", b.AddStray(b.ctx, core.Stray{Project: "none", Key: "k", DueAt: at(1)}), core.NotFound, "reference_not_found")
	},
}

var filePromises = map[string]func(*testing.T, *bundle){
	"AFileComesBackAsItWentIn": func(t *testing.T, b *bundle) {
		p := b.project(t)
		plain := b.file(t, p)
		want := b.file(t, p, func(f *core.File) {
			f.Name, f.Downloadable, f.Session, f.Metadata = "ü \".txt", true, "0123", json.RawMessage(`{"a":[1]}`)
			f.ExpiresAt = kept(at(99))
		})
		got, err := b.File(b.ctx, p, want.ID)
		need(t, err)
		same(t, "file", got, want)
		list, err := b.FilesByID(b.ctx, p, []core.FileID{want.ID, "none", plain.ID})
		need(t, err)
		if len(list) == 2 && list[0].ID == plain.ID {
			list[0], list[1] = list[1], list[0]
		}
		same(t, "by id", list, []core.File{want, plain})
		_, err = b.File(b.ctx, p, "none")
		refused(t, "unknown", err, core.NotFound, "file_not_found")
	},
	"AFileOwnsItsBlob": func(t *testing.T, b *bundle) {
		p := b.project(t)
		f := b.file(t, p)
		b.isNoStray(t, p, f.Key)
		second := f
		second.ID = "second"
		refused(t, "second owner", b.CreateFile(b.ctx, second), core.NotFound, "stray_not_found")
		_, err := b.File(b.ctx, p, second.ID)
		refused(t, "second owner", err, core.NotFound, "file_not_found")
		need(t, b.DeleteFile(b.ctx, p, f.ID, at(7)))
		b.isStray(t, p, f.Key, kept(at(7)))
		refused(t, "deleted again", b.DeleteFile(b.ctx, p, f.ID, at(8)), core.NotFound, "file_not_found")
	},
	"FilesShareABlobUntilTheLastOneIsDeleted": func(t *testing.T, b *bundle) {
		p := b.project(t)
		f := b.file(t, p, func(f *core.File) { f.ExpiresAt = at(50) })
		for i, id := range []core.FileID{"one", "two"} {
			c := core.File{
				Project: p, ID: id, Name: "copy", MediaType: "text/x", Session: "s", Downloadable: true,
				Metadata: json.RawMessage(`{}`), CreatedAt: kept(at(i)),
			}
			need(t, b.CopyFile(b.ctx, c, f.ID))
			refused(t, "again", b.CopyFile(b.ctx, c, f.ID), core.Conflict, "file_already_exists")
			c.Blob = f.Blob
			got, err := b.File(b.ctx, p, id)
			need(t, err)
			same(t, "copy", got, c)
		}
		n, err := b.CountSessionFiles(b.ctx, p, "s")
		need(t, err)
		same(t, "of the session", n, 2)
		expired, err := b.ExpireFiles(b.ctx, at(51), 10)
		need(t, err)
		same(t, "expired", expired, 1)
		b.isNoStray(t, p, f.Key)
		refused(t, "copy of what is gone", b.CopyFile(b.ctx, core.File{Project: p, ID: "three"}, f.ID), core.NotFound, "file_not_found")
		need(t, b.CopyFile(b.ctx, core.File{Project: p, ID: "three", CreatedAt: at(3)}, "two"))
		need(t, b.DeleteFile(b.ctx, p, "one", at(60)))
		b.isNoStray(t, p, f.Key)
		n, err = b.DeleteSessionFiles(b.ctx, p, "s", at(61))
		need(t, err)
		same(t, "deleted", n, 1)
		b.isNoStray(t, p, f.Key)
		need(t, b.DeleteFile(b.ctx, p, "three", at(62)))
		b.isStray(t, p, f.Key, kept(at(62)))
	},
	"ASessionsFilesGoTogether": func(t *testing.T, b *bundle) {
		p := b.project(t)
		own := b.file(t, p, func(f *core.File) { f.Session = "s" })
		need(t, b.CopyFile(b.ctx, core.File{Project: p, ID: "copy", Session: "s", CreatedAt: at(1)}, own.ID))
		other, free := b.file(t, p, func(f *core.File) { f.Session = "other" }), b.file(t, p)
		n, err := b.DeleteSessionFiles(b.ctx, p, "s", at(7))
		need(t, err)
		same(t, "deleted", n, 2)
		b.isStray(t, p, own.Key, kept(at(7)))
		n, err = b.DeleteSessionFiles(b.ctx, p, "", at(8))
		need(t, err)
		same(t, "of no session", n, 0)
		list, err := b.Files(b.ctx, p, core.FilePage{Limit: 9})
		need(t, err)
		same(t, "left", ids(list, fileID), []core.FileID{free.ID, other.ID})
	},
	"ABlobThatIsDueFindsNoOwner": func(t *testing.T, b *bundle) {
		p := b.project(t)
		late := core.File{Project: p, ID: "f", Blob: core.Blob{Key: "k"}, CreatedAt: kept(at(5))}
		need(t, b.AddStray(b.ctx, core.Stray{Project: p, Key: "k", DueAt: at(5)}))
		refused(t, "CreateFile", b.CreateFile(b.ctx, late), core.NotFound, "stray_not_found")
		b.isStray(t, p, "k", kept(at(5)))
		late.CreatedAt = kept(at(4))
		need(t, b.CreateFile(b.ctx, late))
	},
	"ATakenIDLeavesTheNewBlobAStray": func(t *testing.T, b *bundle) {
		p := b.project(t)
		f := b.file(t, p)
		again := f
		again.Blob = b.blob(t, p)
		refused(t, "CreateFile", b.CreateFile(b.ctx, again), core.Conflict, "file_already_exists")
		b.isStray(t, p, again.Key, kept(at(farOff)))
		got, err := b.File(b.ctx, p, f.ID)
		need(t, err)
		same(t, "file", got, f)
	},
	"FilesAreListedNewestFirstInPages": func(t *testing.T, b *bundle) {
		p := b.project(t)
		place := map[string]*core.PageKey{}
		for name, second := range map[string]int{"1": 1, "2": 2, "3": 2, "4": 3} { // two of the same time
			b.file(t, p, func(f *core.File) { f.ID, f.CreatedAt = core.FileID(name), kept(at(second)) })
			place[name] = &core.PageKey{CreatedAt: at(second), ID: name}
		}
		b.file(t, p, func(f *core.File) { f.ID, f.CreatedAt, f.Session = "5", kept(at(4)), "mine" })
		b.file(t, p, func(f *core.File) { f.ID, f.CreatedAt, f.ExpiresAt = "gone", kept(at(5)), at(50) })
		b.file(t, b.project(t))
		for _, c := range []struct {
			name string
			page core.FilePage
			want []core.FileID
		}{
			{"all", core.FilePage{Limit: 10}, []core.FileID{"gone", "5", "4", "3", "2", "1"}},
			{"live then", core.FilePage{Limit: 1, Now: at(49)}, []core.FileID{"gone"}},
			{"live", core.FilePage{Limit: 2, Now: at(50)}, []core.FileID{"5", "4"}},
			{"after", core.FilePage{Limit: 2, After: place["3"]}, []core.FileID{"2", "1"}},
			{"before", core.FilePage{Limit: 2, Before: place["1"]}, []core.FileID{"3", "2"}},
			{"of a session", core.FilePage{Limit: 9, Session: "mine"}, []core.FileID{"5"}},
			{"of no session", core.FilePage{Limit: 9, Session: "none"}, []core.FileID{}},
		} {
			list, err := b.Files(b.ctx, p, c.page)
			need(t, err)
			same(t, c.name, ids(list, fileID), c.want)
		}
	},
	"ExpiredFilesBecomeStrays": func(t *testing.T, b *bundle) {
		p, q := b.project(t), b.project(t)
		first := b.file(t, p, func(f *core.File) { f.ExpiresAt = at(50) })
		second := b.file(t, q, func(f *core.File) { f.ExpiresAt = at(51) })
		b.file(t, p, func(f *core.File) { f.ExpiresAt = at(53) })
		b.file(t, p)
		for _, want := range []int{1, 1, 0} { // two, one at a time
			n, err := b.ExpireFiles(b.ctx, at(52), 1)
			need(t, err)
			same(t, "expired", n, want)
		}
		b.isStray(t, p, first.Key, kept(at(52)))
		b.isStray(t, q, second.Key, kept(at(52)))
		list, err := b.Files(b.ctx, p, core.FilePage{Limit: 9})
		need(t, err)
		same(t, "left", len(list), 2)
	},
}
