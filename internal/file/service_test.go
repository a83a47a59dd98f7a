package file_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/reeve-ai/reeve/internal/blob"
	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/file"
	"github.com/reeve-ai/reeve/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	epoch  = time.Date(2026, 4, 1, 12, 0, 0, 0, time.UTC)
	secret = []byte(strings.Repeat("s", 32))
)

// fixture is the service over a fresh database and folder with two projects.
type fixture struct {
	*file.Service
	db     *store.DB
	depot  *blob.Depot
	member core.Principal // of the first project
	viewer core.Principal // of the first project
	other  core.Principal // an admin of the second
	now    *atomic.Int64  // seconds since epoch
}

func setup(t *testing.T) fixture {
	t.Helper()
	db, err := store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "reeve.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	folder, err := blob.OpenFolder(filepath.Join(t.TempDir(), "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	f := fixture{db: db, now: &atomic.Int64{}}
	now := func() time.Time { return epoch.Add(time.Duration(f.now.Load()) * time.Second) }
	f.depot = blob.NewDepot(db, folder, blob.Options{Now: now})
	if f.Service, err = file.New(db, f.depot, secret, file.Options{Now: now}); err != nil {
		t.Fatal(err)
	}
	principal := func(role core.Role) core.Principal {
		p := core.Principal{Kind: core.PrincipalToken, Role: role, Project: core.NewID[core.ProjectID]()}
		if err := db.CreateProject(t.Context(), core.Project{ID: p.Project, Name: "p", Active: true}); err != nil {
			t.Fatal(err)
		}
		return p
	}
	f.member, f.other = principal(core.RoleMember), principal(core.RoleAdmin)
	f.viewer = f.member
	f.viewer.Role = core.RoleViewer
	return f
}

// upload makes a file; change says more about it.
func (f fixture) upload(t *testing.T, path, content string, change ...func(*file.NewFile)) (core.File, error) {
	t.Helper()
	b, err := f.Stage(t.Context(), f.member, strings.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	n := file.NewFile{Blob: b, Path: path}
	for _, c := range change {
		c(&n)
	}
	made, err := f.Create(t.Context(), f.member, n, file.ClaudeLimits)
	f.Discard(t.Context(), f.member, b)
	return made, err
}

func (f fixture) must(t *testing.T, path, content string, change ...func(*file.NewFile)) core.File {
	t.Helper()
	made, err := f.upload(t, path, content, change...)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func text(t *testing.T, r io.ReadSeekCloser) string {
	t.Helper()
	raw, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestNamesAndTypesOfFiles(t *testing.T) {
	t.Parallel()
	f := setup(t)
	png := "\x89PNG\r\n\x1a\n"
	for _, c := range []struct{ path, declared, content, name, mediaType string }{
		{"a.txt", "", "x", "a.txt", "text/plain"},
		{"/home/me/a.csv", "application/octet-stream", "x", "a.csv", "text/csv"},
		{`C:\Users\me\A.PDF`, "", "x", "A.PDF", "application/pdf"},
		{"../../etc/passwd", "", "root", "passwd", "text/plain"},
		{"a.txt", "Text/HTML; charset=utf-8", "x", "a.txt", "text/html"},
		{"a.png", "image", "x", "a.png", "image/png"},
		{"a.unknown", "", png, "a.unknown", "image/png"},
		{"a", "*/*", "\x00\x01\x02", "a", "application/octet-stream"},
		{"", "", png, "unnamed.png", "image/png"},
		{"folder/", "application/x-own", "x", "unnamed", "application/x-own"},
		{"  ", "", "", "unnamed.txt", "text/plain"},
		{strings.Repeat("é", 255), "", "x", strings.Repeat("é", 255), "text/plain"},
	} {
		got := f.must(t, c.path, c.content, func(n *file.NewFile) { n.Declared = c.declared })
		if got.Name != c.name || got.MediaType != c.mediaType {
			t.Errorf("%q of type %q = %q, %s, want %q, %s", c.path, c.declared, got.Name, got.MediaType, c.name, c.mediaType)
		}
	}
	for _, path := range []string{"..", "a/..", ".", "a\x00b", "a\nb", "\xff", strings.Repeat("é", 256)} {
		if _, err := f.upload(t, path, "x"); core.KindOf(err) != core.Invalid {
			t.Errorf("%q: %v", path, err)
		}
	}
}

func TestAFileIsKept(t *testing.T) {
	t.Parallel()
	f := setup(t)
	made := f.must(t, "a.txt", "hello", func(n *file.NewFile) {
		n.Metadata, n.Session = json.RawMessage(` {"k": [1] } `), "0198c1d2000070008000000000000001"
	})
	if made.Bytes != 5 || string(made.Metadata) != `{"k":[1]}` || !made.CreatedAt.Equal(epoch) || !made.ExpiresAt.IsZero() {
		t.Errorf("file = %+v", made)
	}
	got, r, err := f.Open(t.Context(), f.viewer, made.ID)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(made, got); d != "" || text(t, r) != "hello" {
		t.Errorf("read back (-made +got):\n%s", d)
	}
	for _, bad := range []string{`[]`, `"x"`, `{`, `{"k":"` + strings.Repeat("x", 8192) + `"}`, "{\"k\":\"\xff\"}"} {
		if _, err := f.upload(t, "a", "x", func(n *file.NewFile) { n.Metadata = json.RawMessage(bad) }); core.KindOf(err) != core.Invalid {
			t.Errorf("metadata %.20s: %v", bad, err)
		}
	}
	if n, err := f.depot.Sweep(t.Context()); n != 0 || err != nil {
		t.Errorf("refused files left %d blobs, %v", n, err)
	}
}

func TestRolesAndProjects(t *testing.T) {
	t.Parallel()
	f := setup(t)
	made := f.must(t, "a.txt", "x")
	if _, err := f.Stage(t.Context(), f.viewer, strings.NewReader("x")); core.KindOf(err) != core.Forbidden {
		t.Errorf("Stage: %v", err)
	}
	if _, err := f.Create(t.Context(), f.viewer, file.NewFile{}, file.ClaudeLimits); core.KindOf(err) != core.Forbidden {
		t.Errorf("Create: %v", err)
	}
	if err := f.Delete(t.Context(), f.viewer, made.ID); core.KindOf(err) != core.Forbidden {
		t.Errorf("Delete: %v", err)
	}
	_, err1 := f.File(t.Context(), f.other, made.ID)
	_, _, err2 := f.Open(t.Context(), f.other, made.ID)
	_, _, err3 := f.Link(t.Context(), f.other, made.ID)
	_, err5 := f.Create(t.Context(), f.other, file.NewFile{Blob: made.Blob, Path: "stolen"}, file.ClaudeLimits)
	for i, err := range []error{err1, err2, err3, f.Delete(t.Context(), f.other, made.ID), err5} {
		if kind := core.KindOf(err); kind != core.NotFound && kind != core.Timeout {
			t.Errorf("another project's, %d: %v", i, err)
		}
	}
	list, err := f.FilesByID(t.Context(), f.other, []core.FileID{made.ID})
	if err != nil || len(list) != 0 {
		t.Errorf("another project's by id = %v, %v", list, err)
	}
	nobody := core.Principal{Project: f.member.Project}
	for _, err := range []error{
		second(f.File(t.Context(), nobody, made.ID)), second(f.Files(t.Context(), nobody, core.FilePage{Limit: 1})),
		second(f.FilesByID(t.Context(), nobody, nil)),
	} {
		if core.KindOf(err) != core.Forbidden {
			t.Errorf("nobody: %v", err)
		}
	}
	if err := f.Delete(t.Context(), f.member, made.ID); err != nil {
		t.Fatal(err)
	}
	if n, err := f.depot.Sweep(t.Context()); n != 1 || err != nil {
		t.Errorf("swept %d, %v", n, err)
	}
	if err := f.Delete(t.Context(), f.member, made.ID); core.CodeOf(err) != "file_not_found" {
		t.Errorf("again: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }

func TestAFileExpires(t *testing.T) {
	t.Parallel()
	f := setup(t)
	stays := f.must(t, "a", "x")
	made := f.must(t, "b", "x", func(n *file.NewFile) { n.ExpiresIn = time.Hour })
	if want := epoch.Add(time.Hour); !made.ExpiresAt.Equal(want) {
		t.Errorf("expires at %v, want %v", made.ExpiresAt, want)
	}
	token, _, err := f.Link(t.Context(), f.viewer, made.ID)
	if err != nil {
		t.Fatal(err)
	}
	seen := func() (ids []core.FileID) {
		for _, get := range []func() ([]core.File, error){
			func() ([]core.File, error) { return f.Files(t.Context(), f.viewer, core.FilePage{Limit: 9}) },
			func() ([]core.File, error) {
				return f.FilesByID(t.Context(), f.viewer, []core.FileID{made.ID, stays.ID, made.ID})
			},
		} {
			list, err := get()
			if err != nil {
				t.Fatal(err)
			}
			for _, got := range list {
				ids = append(ids, got.ID)
			}
		}
		return ids
	}
	f.now.Store(3599)
	if d := cmp.Diff([]core.FileID{made.ID, stays.ID, made.ID, stays.ID}, seen()); d != "" {
		t.Errorf("before (-want +got):\n%s", d)
	}
	f.now.Store(3600)
	if d := cmp.Diff([]core.FileID{stays.ID, stays.ID}, seen()); d != "" {
		t.Errorf("after (-want +got):\n%s", d)
	}
	_, _, err1 := f.Open(t.Context(), f.viewer, made.ID)
	_, _, err2 := f.OpenLink(t.Context(), token)
	for _, err := range []error{second(f.File(t.Context(), f.viewer, made.ID)), err1, err2, f.Delete(t.Context(), f.member, made.ID)} {
		if core.KindOf(err) != core.NotFound {
			t.Errorf("an expired file: %v", err)
		}
	}
	if n, err := f.db.ExpireFiles(t.Context(), epoch.Add(time.Hour), 10); n != 1 || err != nil {
		t.Errorf("expired %d, %v", n, err)
	}
	for _, life := range []time.Duration{time.Hour - time.Second, 90*24*time.Hour + time.Second, -time.Hour} {
		if _, err := f.upload(t, "a", "x", func(n *file.NewFile) { n.ExpiresIn = life }); core.KindOf(err) != core.Invalid {
			t.Errorf("%v: %v", life, err)
		}
	}
}

func TestALinkOpensOneFileForAWhile(t *testing.T) {
	t.Parallel()
	f := setup(t)
	made, other := f.must(t, "a.txt", "hello"), f.must(t, "b.txt", "other")
	token, expires, err := f.Link(t.Context(), f.viewer, made.ID)
	if err != nil || !expires.Equal(epoch.Add(15*time.Minute)) {
		t.Fatalf("link until %v, %v", expires, err)
	}
	got, r, err := f.OpenLink(t.Context(), token)
	if err != nil || got.ID != made.ID || text(t, r) != "hello" {
		t.Fatalf("file = %+v, %v", got, err)
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		t.Fatal(err)
	}
	bad := map[string]string{"": "", "no base64": "%%%", "cut": token[:len(token)-4], "longer": token + "AAAA"}
	for i := range raw { // each byte counts: project, file, time and seal
		changed := append([]byte(nil), raw...)
		changed[i] ^= 1
		bad[string(rune(i))] = base64.RawURLEncoding.EncodeToString(changed)
	}
	foreign, err := file.New(f.db, f.depot, []byte(strings.Repeat("t", 32)), file.Options{Now: func() time.Time { return epoch }})
	if err != nil {
		t.Fatal(err)
	}
	if bad["of another installation"], _, err = foreign.Link(t.Context(), f.viewer, other.ID); err != nil {
		t.Fatal(err)
	}
	refused := func(name, token string) {
		t.Helper()
		if _, _, err := f.OpenLink(t.Context(), token); core.CodeOf(err) != "link_not_found" {
			t.Errorf("%q: %v", name, err)
		}
	}
	for name, token := range bad {
		refused(name, token)
	}
	f.now.Store(15*60 - 1)
	if _, r, err := f.OpenLink(t.Context(), token); err != nil {
		t.Error(err)
	} else {
		_ = text(t, r)
	}
	p, err := f.db.Project(t.Context(), f.member.Project)
	if err != nil {
		t.Fatal(err)
	}
	for _, active := range []bool{false, true} {
		p.Active = active
		if err := f.db.UpdateProject(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		if !active {
			refused("of a project that is switched off", token)
		}
	}
	f.now.Store(15 * 60)
	refused("after its time", token)
	f.now.Store(0)
	if err := f.Delete(t.Context(), f.member, made.ID); err != nil {
		t.Fatal(err)
	}
	refused("of a deleted file", token)
}

func TestWhatMayNotBeDownloadedIsNot(t *testing.T) {
	t.Parallel()
	f := setup(t)
	b, err := f.depot.Stage(t.Context(), f.member.Project, strings.NewReader("x"), 1)
	if err != nil {
		t.Fatal(err)
	}
	id := core.NewID[core.FileID]()
	if err := f.db.CreateFile(t.Context(), core.File{Project: f.member.Project, ID: id, Blob: b, CreatedAt: epoch}); err != nil {
		t.Fatal(err)
	}
	_, _, err1 := f.Open(t.Context(), f.member, id)
	_, _, err2 := f.Link(t.Context(), f.member, id)
	for _, err := range []error{err1, err2} {
		if core.CodeOf(err) != "file_not_downloadable" || core.KindOf(err) != core.Invalid {
			t.Errorf("error = %v", err)
		}
	}
}

func TestAnUploadThatTookTooLongIsRefused(t *testing.T) {
	t.Parallel()
	f := setup(t)
	b, err := f.Stage(t.Context(), f.member, strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	f.now.Store(24 * 3600)
	if _, err := f.depot.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err = f.Create(t.Context(), f.member, file.NewFile{Blob: b, Path: "a", Declared: "text/plain"}, file.ClaudeLimits)
	if core.KindOf(err) != core.Timeout || core.CodeOf(err) != "upload_took_too_long" {
		t.Errorf("Create = %v", err)
	}
}

func TestAtMostAHundredIDs(t *testing.T) {
	t.Parallel()
	f := setup(t)
	ids := make([]core.FileID, 0, 201)
	for range 100 {
		id := core.NewID[core.FileID]()
		ids = append(ids, id, id)
	}
	if list, err := f.FilesByID(t.Context(), f.viewer, ids); err != nil || len(list) != 0 {
		t.Errorf("a hundred, each twice = %v, %v", list, err)
	}
	if _, err := f.FilesByID(t.Context(), f.viewer, append(ids, core.NewID[core.FileID]())); core.KindOf(err) != core.Invalid {
		t.Errorf("a hundred and one: %v", err)
	}
}
