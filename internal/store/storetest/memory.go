package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

func (b *bundle) memoryStore(t *testing.T, project core.ProjectID, edit ...func(*core.MemoryStore)) core.MemoryStore {
	t.Helper()
	now := kept(b.later())
	s := core.MemoryStore{
		Project: project, ID: core.NewID[core.MemoryStoreID](), Name: "store", Metadata: map[string]string{}, CreatedAt: now, UpdatedAt: now,
	}
	for _, f := range edit {
		f(&s)
	}
	need(t, b.CreateMemoryStore(b.ctx, s))
	return s
}

// memory writes a new memory at a path.
func (b *bundle) memory(t *testing.T, s core.MemoryStore, path, content string) core.Memory {
	t.Helper()
	now := kept(b.later())
	m := core.Memory{
		Project: s.Project, Store: s.ID, ID: core.NewID[core.MemoryID](), Path: path, Content: content, SHA256: "sha of " + content,
		Bytes: int64(len(content)), Metadata: map[string]string{"k": "v"}, Number: 1, Version: core.NewID[core.MemoryVersionID](),
		CreatedAt: now, UpdatedAt: now,
	}
	need(t, b.WriteMemory(b.ctx, m, writer))
	return m
}

var (
	writer = core.Actor{Kind: core.ActorCredential, ID: "key"}
	other  = core.Actor{Kind: core.ActorSession, ID: "key"} // the same id, another kind
)

// next is the memory as it is to be written next.
func (b *bundle) next(m core.Memory, path, content string) core.Memory {
	m.Path, m.Content, m.SHA256, m.Bytes = path, content, "sha of "+content, int64(len(content))
	m.Number, m.Version, m.UpdatedAt = m.Number+1, core.NewID[core.MemoryVersionID](), kept(b.later())
	return m
}

func memoryPath(m core.Memory) string { return m.Path }

func storeName(s core.MemoryStore) string { return s.Name }

// versionOf is the version that a written memory must have.
func versionOf(m core.Memory, op core.MemoryOperation, by core.Actor) core.MemoryVersion {
	return core.MemoryVersion{
		Project: m.Project, Store: m.Store, ID: m.Version, Memory: m.ID, Number: m.Number, Operation: op,
		Path: m.Path, Content: m.Content, SHA256: m.SHA256, Bytes: m.Bytes, CreatedBy: by, CreatedAt: m.UpdatedAt,
	}
}

var memoryStorePromises = map[string]func(*testing.T, *bundle){
	"AStoreComesBackAsItWentIn": func(t *testing.T, b *bundle) {
		p := b.project(t)
		for _, want := range []core.MemoryStore{
			b.memoryStore(t, p),
			b.memoryStore(t, p, func(s *core.MemoryStore) {
				s.Description, s.Metadata, s.ArchivedAt = "d", map[string]string{"a": "b"}, kept(at(50))
			}),
		} {
			got, err := b.MemoryStore(b.ctx, p, want.ID)
			need(t, err)
			same(t, "store", got, want)
			refused(t, "again", b.CreateMemoryStore(b.ctx, want), core.Conflict, "memory_store_already_exists")
		}
	},
	"AnUnknownStoreIsNotFound": func(t *testing.T, b *bundle) {
		p := b.project(t)
		_, err := b.MemoryStore(b.ctx, p, "none")
		refused(t, "MemoryStore", err, core.NotFound, "memory_store_not_found")
		refused(t, "UpdateMemoryStore", b.UpdateMemoryStore(b.ctx, core.MemoryStore{Project: p, ID: "none"}), core.NotFound, "memory_store_not_found")
		refused(t, "DeleteMemoryStore", b.DeleteMemoryStore(b.ctx, p, "none"), core.NotFound, "memory_store_not_found")
		refused(t, "WriteMemory", b.WriteMemory(b.ctx, core.Memory{Project: p, Store: "none", ID: "m", Path: "/m", Number: 1}, writer), core.NotFound, "")
	},
	"UpdateReplacesAllButCreationAndCounts": func(t *testing.T, b *bundle) {
		s := b.memoryStore(t, b.project(t))
		b.memory(t, s, "/a", "four")
		change := core.MemoryStore{
			Project: s.Project, ID: s.ID, Name: "new", Description: "d", Metadata: map[string]string{"x": "y"},
			Entries: 99, Bytes: 99, CreatedAt: at(70), UpdatedAt: kept(at(71)), ArchivedAt: kept(at(72)),
		}
		need(t, b.UpdateMemoryStore(b.ctx, change))
		got, err := b.MemoryStore(b.ctx, s.Project, s.ID)
		need(t, err)
		change.Entries, change.Bytes, change.Changes, change.CreatedAt = 1, 4, 1, s.CreatedAt
		same(t, "store", got, change)
	},
	"DeleteTakesMemoriesAndVersionsAlong": func(t *testing.T, b *bundle) {
		p := b.project(t)
		s, stays := b.memoryStore(t, p), b.memoryStore(t, p)
		m, kept := b.memory(t, s, "/a", "x"), b.memory(t, stays, "/a", "y")
		need(t, b.DeleteMemoryStore(b.ctx, p, s.ID))
		_, err := b.Memory(b.ctx, p, s.ID, m.ID)
		refused(t, "memory", err, core.NotFound, "memory_not_found")
		_, err = b.MemoryVersion(b.ctx, p, s.ID, m.Version)
		refused(t, "version", err, core.NotFound, "memory_version_not_found")
		got, err := b.Memory(b.ctx, p, stays.ID, kept.ID)
		need(t, err)
		same(t, "another store's", got, kept)
	},
	"StoresAreListedNewestFirstInPages": func(t *testing.T, b *bundle) {
		p := b.project(t)
		place := map[string]*core.PageKey{}
		for name, second := range map[string]int{"1": 1, "2": 2, "3": 2, "4": 3} { // two of the same time
			id := core.MemoryStoreID(name)
			b.memoryStore(t, p, func(s *core.MemoryStore) { s.ID, s.Name, s.CreatedAt = id, name, kept(at(second)) })
			place[name] = &core.PageKey{CreatedAt: at(second), ID: name}
		}
		b.memoryStore(t, p, func(s *core.MemoryStore) { s.Name, s.CreatedAt, s.ArchivedAt = "gone", kept(at(4)), at(99) })
		b.memoryStore(t, b.project(t))
		for _, c := range []struct {
			name string
			page core.MemoryStorePage
			want []string
		}{
			{"all", core.MemoryStorePage{Limit: 10}, []string{"4", "3", "2", "1"}},
			{"archived too", core.MemoryStorePage{Limit: 2, IncludeArchived: true}, []string{"gone", "4"}},
			{"after", core.MemoryStorePage{Limit: 2, After: place["3"]}, []string{"2", "1"}},
			{"before", core.MemoryStorePage{Limit: 2, Before: place["1"]}, []string{"3", "2"}},
			{"from", core.MemoryStorePage{Limit: 9, CreatedFrom: kept(at(2))}, []string{"4", "3", "2"}},
			{"to", core.MemoryStorePage{Limit: 9, CreatedTo: kept(at(2))}, []string{"3", "2", "1"}},
		} {
			list, err := b.MemoryStores(b.ctx, p, c.page)
			need(t, err)
			same(t, c.name, ids(list, storeName), c.want)
		}
	},
}

var memoryPromises = map[string]func(*testing.T, *bundle){
	"AMemoryComesBackAsItWasWritten": func(t *testing.T, b *bundle) {
		s := b.memoryStore(t, b.project(t))
		want := b.memory(t, s, "/é/b", "content\n")
		got, err := b.Memory(b.ctx, s.Project, s.ID, want.ID)
		need(t, err)
		same(t, "memory", got, want)
		got, err = b.MemoryAt(b.ctx, s.Project, s.ID, "/é/b")
		need(t, err)
		same(t, "memory at its path", got, want)
		_, err = b.MemoryAt(b.ctx, s.Project, s.ID, "/É/b")
		refused(t, "another case", err, core.NotFound, "memory_not_found")
		need(t, b.WriteMemory(b.ctx, b.next(want, "/c", "longer content"), other))
		got, err = b.Memory(b.ctx, s.Project, s.ID, want.ID)
		need(t, err)
		want.Path, want.Content, want.SHA256, want.Bytes, want.Number = "/c", "longer content", "sha of longer content", 14, 2
		want.Version, want.UpdatedAt = got.Version, got.UpdatedAt
		same(t, "changed", got, want)
		store, err := b.MemoryStore(b.ctx, s.Project, s.ID)
		need(t, err)
		same(t, "counts", []int64{int64(store.Entries), store.Bytes}, []int64{1, 14})
	},
	"EveryWriteLeavesAVersion": func(t *testing.T, b *bundle) {
		s := b.memoryStore(t, b.project(t))
		first := b.memory(t, s, "/a", "one")
		second := b.next(first, "/b", "two")
		need(t, b.WriteMemory(b.ctx, second, other))
		third := b.next(second, "/b", "")
		need(t, b.DeleteMemory(b.ctx, third, writer))
		third.SHA256 = ""
		want := []core.MemoryVersion{
			versionOf(third, core.MemoryDeleted, writer), versionOf(second, core.MemoryModified, other), versionOf(first, core.MemoryCreated, writer),
		}
		got, err := b.MemoryVersions(b.ctx, s.Project, s.ID, core.MemoryVersionPage{Limit: 9, Contents: true})
		need(t, err)
		same(t, "versions", got, want)
		for i := range want {
			one, err := b.MemoryVersion(b.ctx, s.Project, s.ID, want[i].ID)
			need(t, err)
			same(t, "version", one, want[i])
			want[i].Content = ""
		}
		got, err = b.MemoryVersions(b.ctx, s.Project, s.ID, core.MemoryVersionPage{Limit: 9})
		need(t, err)
		same(t, "bare versions", got, want)
		_, err = b.Memory(b.ctx, s.Project, s.ID, first.ID)
		refused(t, "the memory", err, core.NotFound, "memory_not_found")
		store, err := b.MemoryStore(b.ctx, s.Project, s.ID)
		need(t, err)
		same(t, "counts", []int64{int64(store.Entries), store.Bytes}, []int64{0, 0})
	},
	"WritesOfAnOldStateAndTakenPathsAreRefused": func(t *testing.T, b *bundle) {
		s := b.memoryStore(t, b.project(t))
		m, second := b.memory(t, s, "/a", "one"), b.memory(t, s, "/b", "two")
		old := m
		m = b.next(m, "/a", "newer")
		need(t, b.WriteMemory(b.ctx, m, writer))
		refused(t, "write", b.WriteMemory(b.ctx, b.next(old, "/a", "x"), writer), core.Conflict, "memory_version_conflict")
		refused(t, "delete", b.DeleteMemory(b.ctx, b.next(old, "/a", ""), writer), core.Conflict, "memory_version_conflict")
		refused(t, "rename", b.WriteMemory(b.ctx, b.next(m, "/b", "x"), writer), core.Conflict, "memory_already_exists")
		taken := second
		taken.Number, taken.Version = 1, core.NewID[core.MemoryVersionID]()
		refused(t, "id", b.WriteMemory(b.ctx, taken, writer), core.Conflict, "memory_already_exists")
		taken.ID = core.NewID[core.MemoryID]()
		refused(t, "path", b.WriteMemory(b.ctx, taken, writer), core.Conflict, "memory_already_exists")
		taken.Number = 2
		refused(t, "unknown", b.WriteMemory(b.ctx, taken, writer), core.NotFound, "memory_not_found")
		refused(t, "unknown", b.DeleteMemory(b.ctx, taken, writer), core.NotFound, "memory_not_found")
		list, err := b.Memories(b.ctx, s.Project, s.ID, core.MemoryPage{Limit: 9, Contents: true})
		need(t, err)
		same(t, "memories", list, []core.Memory{m, second})
		versions, err := b.MemoryVersions(b.ctx, s.Project, s.ID, core.MemoryVersionPage{Limit: 9})
		need(t, err)
		same(t, "versions", len(versions), 3)
	},
	"APathIsBlockedFromAboveAndBelow": func(t *testing.T, b *bundle) {
		s := b.memoryStore(t, b.project(t))
		m := b.memory(t, s, "/a/b/c", "x")
		b.memory(t, s, "/a/b-", "y")
		b.memory(t, b.memoryStore(t, s.Project), "/z", "in another store")
		for path, want := range map[string]string{
			"/a/b/c": "/a/b/c", "/a/b/c/d/e": "/a/b/c", "/a/b": "/a/b/c", "/a": "/a/b-",
			"/a/b/d": "", "/a/b/c-": "", "/a/b/": "", "/z": "", "/A": "",
		} {
			got, err := b.MemoryBlocking(b.ctx, s.Project, s.ID, path, "")
			if want == "" && path != "/a/b/" {
				refused(t, path, err, core.NotFound, "memory_not_found")
			} else if want != "" {
				need(t, err)
				same(t, path, got.Path, want)
			}
		}
		for _, path := range []string{"/a/b/c", "/a/b/c/d", "/a/b"} {
			_, err := b.MemoryBlocking(b.ctx, s.Project, s.ID, path, m.ID)
			refused(t, path+" for itself", err, core.NotFound, "memory_not_found")
		}
	},
	"MemoriesAreListedByPathInPages": func(t *testing.T, b *bundle) {
		s := b.memoryStore(t, b.project(t))
		for _, path := range []string{"/a/é", "/b", "/a/z", "/B", "/a-", "/a/\U0010ffff", "/a/\ud7ff"} {
			b.memory(t, s, path, path)
		}
		for _, c := range []struct {
			name string
			page core.MemoryPage
			want []string
		}{
			{"all", core.MemoryPage{Limit: 9}, []string{"/B", "/a-", "/a/z", "/a/é", "/a/\ud7ff", "/a/\U0010ffff", "/b"}},
			{"limit", core.MemoryPage{Limit: 2}, []string{"/B", "/a-"}},
			{"prefix", core.MemoryPage{Limit: 9, Prefix: "/a/"}, []string{"/a/z", "/a/é", "/a/\ud7ff", "/a/\U0010ffff"}},
			{"part of a name", core.MemoryPage{Limit: 3, Prefix: "/a"}, []string{"/a-", "/a/z", "/a/é"}},
			{"highest before the gap", core.MemoryPage{Limit: 9, Prefix: "/a/\ud7ff"}, []string{"/a/\ud7ff"}},
			{"highest", core.MemoryPage{Limit: 9, Prefix: "/a/\U0010ffff"}, []string{"/a/\U0010ffff"}},
			{"nothing", core.MemoryPage{Limit: 9, Prefix: "/a/zz"}, []string{}},
			{"from", core.MemoryPage{Limit: 2, From: "/a/z"}, []string{"/a/z", "/a/é"}},
			{"from below the prefix", core.MemoryPage{Limit: 1, Prefix: "/a/", From: "/B"}, []string{"/a/z"}},
			{"from in the prefix", core.MemoryPage{Limit: 1, Prefix: "/a/", From: "/a/zz"}, []string{"/a/é"}},
			{"before", core.MemoryPage{Limit: 2, Before: "/a/é"}, []string{"/a-", "/a/z"}},
			{"before in the prefix", core.MemoryPage{Limit: 9, Prefix: "/a/", Before: "/a/é"}, []string{"/a/z"}},
			{"before above the prefix", core.MemoryPage{Limit: 1, Prefix: "/a/", Before: "/b"}, []string{"/a/\U0010ffff"}},
		} {
			for _, contents := range []bool{false, true} {
				c.page.Contents = contents
				list, err := b.Memories(b.ctx, s.Project, s.ID, c.page)
				need(t, err)
				same(t, c.name, ids(list, memoryPath), c.want)
				for _, m := range list {
					same(t, c.name+": content", m.Content == m.Path, contents)
				}
			}
		}
	},
	"VersionsAreListedNewestFirstWithFilters": func(t *testing.T, b *bundle) {
		s := b.memoryStore(t, b.project(t))
		one, two := b.memory(t, s, "/1", "1"), b.memory(t, s, "/2", "2")
		place := &core.PageKey{CreatedAt: two.UpdatedAt, ID: string(two.Version)}
		one2 := b.next(one, "/1", "changed")
		one2.UpdatedAt = two.UpdatedAt // the same time, and a later id
		need(t, b.WriteMemory(b.ctx, one2, other))
		two2 := b.next(two, "/2", "")
		need(t, b.DeleteMemory(b.ctx, two2, writer))
		for _, c := range []struct {
			name string
			page core.MemoryVersionPage
			want []core.MemoryVersionID
		}{
			{"all", core.MemoryVersionPage{}, []core.MemoryVersionID{two2.Version, one2.Version, two.Version, one.Version}},
			{"after", core.MemoryVersionPage{After: place}, []core.MemoryVersionID{one.Version}},
			{"before", core.MemoryVersionPage{Before: place}, []core.MemoryVersionID{two2.Version, one2.Version}},
			{"memory", core.MemoryVersionPage{Memory: two.ID}, []core.MemoryVersionID{two2.Version, two.Version}},
			{"actor", core.MemoryVersionPage{By: other}, []core.MemoryVersionID{one2.Version}},
			{"operation", core.MemoryVersionPage{Operation: core.MemoryCreated}, []core.MemoryVersionID{two.Version, one.Version}},
			{"times", core.MemoryVersionPage{CreatedFrom: two.UpdatedAt, CreatedTo: two.UpdatedAt}, []core.MemoryVersionID{one2.Version, two.Version}},
			{"none", core.MemoryVersionPage{Memory: one.ID, Operation: core.MemoryDeleted}, []core.MemoryVersionID{}},
		} {
			c.page.Limit = 9
			list, err := b.MemoryVersions(b.ctx, s.Project, s.ID, c.page)
			need(t, err)
			same(t, c.name, ids(list, func(v core.MemoryVersion) core.MemoryVersionID { return v.ID }), c.want)
		}
	},
	"RedactErasesOnce": func(t *testing.T, b *bundle) {
		s := b.memoryStore(t, b.project(t))
		m := b.memory(t, s, "/a", "secret")
		second := b.next(m, "/a", "fine")
		need(t, b.WriteMemory(b.ctx, second, writer))
		for i := range 2 {
			by := core.Actor{Kind: core.ActorUser, ID: fmt.Sprint("user", i)}
			need(t, b.RedactMemoryVersion(b.ctx, s.Project, s.ID, m.Version, by, at(80+i)))
		}
		got, err := b.MemoryVersion(b.ctx, s.Project, s.ID, m.Version)
		need(t, err)
		want := versionOf(m, core.MemoryCreated, writer)
		want.Path, want.Content, want.SHA256, want.Bytes = "", "", "", 0
		want.RedactedBy, want.RedactedAt = core.Actor{Kind: core.ActorUser, ID: "user0"}, kept(at(80))
		same(t, "version", got, want)
		got, err = b.MemoryVersion(b.ctx, s.Project, s.ID, second.Version)
		need(t, err)
		same(t, "the next one", got, versionOf(second, core.MemoryModified, writer))
		refused(t, "unknown", b.RedactMemoryVersion(b.ctx, s.Project, s.ID, "none", writer, at(1)), core.NotFound, "memory_version_not_found")
	},
	"OldSpareVersionsArePruned": func(t *testing.T, b *bundle) {
		s := b.memoryStore(t, b.project(t))
		young, head := b.memory(t, s, "/young", "x"), b.memory(t, s, "/a", "1")
		old := []core.Memory{head}
		for len(old) < core.SpareVersions+4 {
			head = b.next(head, "/a", fmt.Sprint(len(old)+1))
			need(t, b.WriteMemory(b.ctx, head, writer))
			old = append(old, head)
		}
		gone := b.next(head, "/a", "")
		need(t, b.DeleteMemory(b.ctx, gone, writer))
		numbers := func(want ...int) {
			t.Helper()
			list, err := b.MemoryVersions(b.ctx, s.Project, s.ID, core.MemoryVersionPage{Limit: 99, Memory: head.ID})
			need(t, err)
			got := []int{}
			for _, v := range list {
				got = append(got, v.Number)
			}
			same(t, "numbers", got, want)
		}
		pruned := func(before time.Time, limit, want int) {
			t.Helper()
			n, err := b.PruneMemoryVersions(b.ctx, before, limit)
			need(t, err)
			same(t, "pruned", n, want)
		}
		newest := []int{15, 14, 13, 12, 11, 10, 9, 8, 7, 6}
		numbers(append(slices.Clone(newest), 5, 4, 3, 2, 1)...)
		pruned(old[0].UpdatedAt, 9, 0) // none is older than that
		pruned(old[3].UpdatedAt, 2, 2) // the oldest first
		numbers(append(slices.Clone(newest), 5, 4, 3)...)
		pruned(old[3].UpdatedAt, 9, 1)
		numbers(append(slices.Clone(newest), 5, 4)...)
		pruned(gone.UpdatedAt.Add(time.Hour), 9, 2)
		numbers(newest...) // the ten that are newest stay however old they are, of a deleted memory too
		got, err := b.Memory(b.ctx, s.Project, s.ID, young.ID)
		need(t, err)
		same(t, "another memory", got, young)
	},
	"TheStoreCountsItsChanges": func(t *testing.T, b *bundle) {
		s := b.memoryStore(t, b.project(t))
		count := func(want int64) {
			t.Helper()
			got, err := b.MemoryStore(b.ctx, s.Project, s.ID)
			need(t, err)
			same(t, "changes", got.Changes, want)
		}
		count(0)
		m := b.memory(t, s, "/a", "one")
		count(1)
		m = b.next(m, "/a", "two")
		need(t, b.WriteMemory(b.ctx, m, writer))
		count(2)
		refused(t, "old state", b.WriteMemory(b.ctx, m, writer), core.Conflict, "memory_version_conflict")
		count(2)
		need(t, b.UpdateMemoryStore(b.ctx, s))
		count(2)
		need(t, b.DeleteMemory(b.ctx, b.next(m, "/a", ""), writer))
		count(3)
	},
	"AWriteThatIsUndoneLeavesNothing": func(t *testing.T, b *bundle) {
		s := b.memoryStore(t, b.project(t))
		m := b.memory(t, s, "/a", "one")
		undo := core.Errorf(core.Unavailable, "undo", "undo")
		refused(t, "Tx", b.Tx(b.ctx, func(tx core.Store) error {
			if err := tx.WriteMemory(b.ctx, b.next(m, "/b", "two"), writer); err != nil {
				return err
			}
			return undo
		}), core.Unavailable, "undo")
		got, err := b.Memory(b.ctx, s.Project, s.ID, m.ID)
		need(t, err)
		same(t, "memory", got, m)
		store, err := b.MemoryStore(b.ctx, s.Project, s.ID)
		need(t, err)
		same(t, "counts", []int64{int64(store.Entries), store.Bytes}, []int64{1, 3})
		versions, err := b.MemoryVersions(b.ctx, s.Project, s.ID, core.MemoryVersionPage{Limit: 9})
		need(t, err)
		same(t, "versions", len(versions), 1)
	},
}
