package workspace_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/memory"
	"github.com/reeve-ai/reeve/internal/store"
	"github.com/reeve-ai/reeve/internal/workspace"
)

// mind is a session with a memory store attached, the real service for both, and the folder that its sandbox
// would see.
type mind struct {
	*testing.T
	db      *store.DB
	service *memory.Service
	spaces  *workspace.Service
	admin   core.Principal
	store   core.MemoryStoreID
	sess    core.Session
	dir     string
}

func newMind(t *testing.T, change ...func(*core.Resource)) *mind {
	t.Helper()
	db, err := store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "reeve.db")})
	m := &mind{T: t, db: db}
	m.must(err)
	t.Cleanup(func() { m.must(db.Close()) })
	now := time.Now().UTC().Truncate(time.Microsecond)
	p := core.Project{ID: core.NewID[core.ProjectID](), Name: "P", Active: true, CreatedAt: now, UpdatedAt: now}
	m.must(db.CreateProject(t.Context(), p))
	m.admin = core.Principal{Kind: core.PrincipalToken, Project: p.ID, Role: core.RoleAdmin, Credential: core.NewID[core.CredentialID]()}
	m.service = memory.New(db, nil, nil)
	kept, err := m.service.CreateStore(t.Context(), m.admin, core.MemoryStore{Name: "My notes", Description: "what matters"}, memory.ClaudeLimits)
	m.must(err)
	m.store = kept.ID
	m.sess = core.Session{
		Project: p.ID, ID: core.NewID[core.SessionID](), Origin: core.OriginManaged, Metadata: map[string]string{}, Status: core.StatusIdle, CreatedAt: now, UpdatedAt: now,
		Resources: []core.Resource{{
			ID: "r", Type: core.ResourceMemoryStore, MountPath: "/mnt/memory/my-notes", Store: kept.ID, Name: kept.Name, Description: kept.Description,
			Instructions: "Keep it\nshort.",
		}},
	}
	for _, f := range change {
		f(&m.sess.Resources[0])
	}
	m.must(db.CreateSession(t.Context(), m.sess))
	m.spaces = workspace.New(filepath.Join(t.TempDir(), "w"), workspace.NewMemory(m.service))
	return m
}

func (m *mind) must(err error) {
	m.Helper()
	if err != nil {
		m.Fatal(err)
	}
}

// open brings the store and returns the folder.
func (m *mind) open() {
	m.Helper()
	w, err := m.spaces.Open(m.Context(), m.sess)
	m.must(err)
	if len(w.Mounts) != 1 {
		m.Fatalf("mounts = %+v", w.Mounts)
	}
	m.dir = w.Mounts[0].Host
}

func (m *mind) settle() {
	m.Helper()
	m.must(m.spaces.Settle(m.Context(), m.sess))
}

// keep writes a memory as an administrator does.
func (m *mind) keep(path, content string) core.Memory {
	m.Helper()
	kept, err := m.service.Write(m.Context(), m.admin, m.store, path, content, memory.Precondition{}, memory.ClaudeLimits)
	m.must(err)
	return kept
}

func (m *mind) forget(path string) {
	m.Helper()
	kept, err := m.service.MemoryAt(m.Context(), m.admin, m.store, path)
	m.must(err)
	m.must(m.service.Delete(m.Context(), m.admin, m.store, kept.ID, memory.Precondition{}, memory.ClaudeLimits))
}

// write writes a file as the agent does.
func (m *mind) write(path, content string) {
	m.Helper()
	m.must(os.MkdirAll(filepath.Dir(filepath.Join(m.dir, path)), 0o755))
	m.must(os.WriteFile(filepath.Join(m.dir, path), []byte(content), 0o644))
}

// remembers checks the whole store: paths and contents.
func (m *mind) remembers(want map[string]string) {
	m.Helper()
	list, err := m.service.Memories(m.Context(), m.admin, m.store, core.MemoryPage{Limit: 1000, Contents: true})
	m.must(err)
	got := map[string]string{}
	for _, x := range list {
		got[x.Path] = x.Content
	}
	if diff := cmp.Diff(want, got); diff != "" {
		m.Errorf("the store (-want +got):\n%s", diff)
	}
}

// shows checks the whole folder: files and contents.
func (m *mind) shows(want map[string]string) {
	m.Helper()
	got := map[string]string{}
	m.must(filepath.WalkDir(m.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		got[strings.TrimPrefix(path, m.dir)] = string(b)
		return err
	}))
	if diff := cmp.Diff(want, got); diff != "" {
		m.Errorf("the folder (-want +got):\n%s", diff)
	}
}

// told checks that the brief says these things.
func (m *mind) told(parts ...string) {
	m.Helper()
	text, err := m.spaces.Brief(m.Context(), m.sess)
	m.must(err)
	for _, p := range parts {
		if !strings.Contains(text, p) {
			m.Errorf("the brief does not say %q:\n%s", p, text)
		}
	}
}

func TestAStoreIsAFolder(t *testing.T) {
	t.Parallel()
	m := newMind(t)
	want := map[string]string{}
	for i := range 120 { // several pages of contents
		path, text := fmt.Sprintf("/many/%03d.md", i), fmt.Sprintf("text %d\n", i)
		m.keep(path, text)
		want[path] = text
	}
	m.keep("/ünï cødé", "")
	want["/ünï cødé"] = ""
	m.open()
	m.shows(want)
	info, err := os.Stat(filepath.Join(m.dir, "many", "000.md"))
	m.must(err)
	if info.Mode().Perm() != 0o644 {
		t.Errorf("mode = %v", info.Mode())
	}
	m.told("`/mnt/memory/my-notes`: My notes (read and write)", "what matters", "Instructions: Keep it\n  short.")
	m.settle()
	versions, err := m.service.Versions(t.Context(), m.admin, m.store, core.MemoryVersionPage{Limit: 1000})
	m.must(err)
	if len(versions) != 121 {
		t.Errorf("%d versions after a turn that changed nothing", len(versions))
	}
}

func TestWhatTheAgentChangedIsInTheStore(t *testing.T) {
	t.Parallel()
	m := newMind(t)
	m.keep("/stays.md", "same")
	m.keep("/changed.md", "old")
	m.keep("/deleted.md", "x")
	m.keep("/file", "becomes a folder")
	m.keep("/folder/a", "becomes a file")
	m.open()
	m.write("changed.md", "new")
	m.write("made/here.md", "made")
	m.write("stays.md", "same") // touched, not changed
	m.must(os.Remove(filepath.Join(m.dir, "deleted.md")))
	m.must(os.Remove(filepath.Join(m.dir, "file")))
	m.write("file/inside", "y")
	m.must(os.RemoveAll(filepath.Join(m.dir, "folder")))
	m.write("folder", "z")
	m.settle()
	want := map[string]string{"/stays.md": "same", "/changed.md": "new", "/made/here.md": "made", "/file/inside": "y", "/folder": "z"}
	m.remembers(want)
	m.shows(want)
	versions, err := m.service.Versions(t.Context(), m.admin, m.store, core.MemoryVersionPage{Limit: 1000, By: core.Actor{Kind: core.ActorSession, ID: string(m.sess.ID)}})
	m.must(err)
	got := map[string]int{}
	for _, v := range versions {
		got[string(v.Operation)+" "+v.Path]++
	}
	if diff := cmp.Diff(map[string]int{
		"modified /changed.md": 1, "created /made/here.md": 1, "deleted /deleted.md": 1, "deleted /file": 1, "created /file/inside": 1, "deleted /folder/a": 1, "created /folder": 1,
	}, got); diff != "" {
		t.Errorf("versions of the session (-want +got):\n%s", diff)
	}
	m.settle()
	m.open()
	if again, err := m.service.Versions(t.Context(), m.admin, m.store, core.MemoryVersionPage{Limit: 1000}); err != nil || len(again) != 5+7 {
		t.Errorf("%d versions after another look, %v", len(again), err)
	}
}

func TestWhatChangesInTheStoreComesIn(t *testing.T) {
	t.Parallel()
	m := newMind(t)
	m.keep("/a", "1")
	m.keep("/deep/b", "1")
	renamed := m.keep("/c", "1")
	m.open()
	m.keep("/a", "2")
	m.forget("/deep/b")
	m.keep("/new", "1")
	to := "/deep/c"
	if _, err := m.service.Update(t.Context(), m.admin, m.store, renamed.ID, memory.Change{Path: &to}, memory.ClaudeLimits); err != nil {
		t.Fatal(err)
	}
	m.open()
	want := map[string]string{"/a": "2", "/new": "1", "/deep/c": "1"}
	m.shows(want)
	m.settle()
	m.remembers(want)
}

func TestTheStoreWinsAndTheAgentsTextIsKeptBeside(t *testing.T) {
	t.Parallel()
	for _, when := range []string{"before the sandbox is used", "behind the turn"} {
		t.Run(when, func(t *testing.T) {
			t.Parallel()
			m := newMind(t)
			for _, path := range []string{"/both", "/gone", "/same", "/agent-deletes", "/way/in"} {
				m.keep(path, "old")
			}
			m.open()
			m.write("both", "agent")
			m.keep("/both", "store")
			m.write("gone", "agent")
			m.forget("/gone")
			m.write("same", "equal")
			m.keep("/same", "equal")
			m.must(os.Remove(filepath.Join(m.dir, "agent-deletes")))
			m.keep("/agent-deletes", "store")
			m.write("made", "agent")
			m.keep("/made", "store")
			m.forget("/way/in")
			m.write("way/in", "agent")
			m.keep("/way", "store") // a file where the agent has a folder
			if when == "before the sandbox is used" {
				m.open()
			}
			m.settle()
			inStore := map[string]string{"/both": "store", "/same": "equal", "/agent-deletes": "store", "/made": "store", "/way": "store"}
			m.remembers(inStore)
			got := map[string]string{}
			for path, text := range inStore {
				got[path] = text
			}
			got["/both.conflict"], got["/gone.conflict"], got["/made.conflict"] = "agent", "agent", "agent"
			got["/way.conflict/in.conflict"] = "agent"
			m.shows(got)
			m.settle() // they never become memories
			m.remembers(inStore)
			m.told("`/mnt/memory/my-notes/both.conflict`: what you wrote while others changed")
		})
	}
}

func TestASecondConflictKeepsBothTexts(t *testing.T) {
	t.Parallel()
	m := newMind(t)
	m.keep("/a", "1")
	m.open()
	for i := range 2 {
		m.write("a", fmt.Sprint("agent ", i))
		m.keep("/a", fmt.Sprint("store ", i))
		m.settle()
	}
	m.shows(map[string]string{"/a": "store 1", "/a.conflict": "agent 0", "/a.conflict2": "agent 1"})
}

func TestWhatAStoreCannotTakeStaysAndIsTold(t *testing.T) {
	t.Parallel()
	m := newMind(t)
	m.keep("/a", "text")
	m.open()
	secret := filepath.Join(t.TempDir(), "secret")
	m.must(os.WriteFile(secret, []byte("of the host"), 0o600))
	m.must(os.Symlink(secret, filepath.Join(m.dir, "link")))
	m.must(os.Symlink(filepath.Dir(secret), filepath.Join(m.dir, "dir")))
	m.must(syscall.Mkfifo(filepath.Join(m.dir, "pipe"), 0o644))
	m.must(os.Remove(filepath.Join(m.dir, "a")))
	m.must(os.Symlink(secret, filepath.Join(m.dir, "a"))) // no deletion either
	m.write("large", strings.Repeat("x", 102_401))
	m.write("binary", "\xff\xfe")
	m.write("nul", "a\x00b")
	m.write("bad\nname", "x")
	m.write(strings.Repeat("deep/", 20)+"file", "x")
	m.write(".reeve-write-ABC", "half")
	m.write("fine", "fine")
	m.settle()
	m.remembers(map[string]string{"/a": "text", "/fine": "fine"})
	m.told("`/mnt/memory/my-notes/large`: not saved: it is 102401 bytes long", "/binary`: not saved: it is not UTF-8", "/nul`: not saved:", "/bad?name`: not saved:",
		"/link`: not saved: it is no file", "/a`: not saved: it is no file", "segments")
	text, err := m.spaces.Brief(t.Context(), m.sess)
	m.must(err)
	if strings.Contains(text, "reeve-write") || strings.Contains(text, "of the host") {
		t.Errorf("the brief tells too much:\n%s", text)
	}
	// Once it is put right, nothing is told any more.
	for _, name := range []string{"link", "dir", "pipe", "a", "large", "binary", "nul", "bad\nname", "deep"} {
		m.must(os.RemoveAll(filepath.Join(m.dir, name)))
	}
	m.settle()
	m.remembers(map[string]string{"/fine": "fine"})
	if text, err = m.spaces.Brief(t.Context(), m.sess); err != nil || strings.Contains(text, "not saved") {
		t.Errorf("the brief is %q, %v", text, err)
	}
}

func TestNothingIsWrittenThroughASymlink(t *testing.T) {
	t.Parallel()
	m := newMind(t)
	m.keep("/dir/file", "1")
	m.open()
	outside := t.TempDir()
	m.must(os.RemoveAll(filepath.Join(m.dir, "dir")))
	m.must(os.Symlink(outside, filepath.Join(m.dir, "dir")))
	m.keep("/dir/file", "2")
	m.open()
	m.shows2(map[string]string{"dir/file": "2"})
	if list, err := os.ReadDir(outside); err != nil || len(list) != 0 {
		t.Errorf("outside there are %v, %v", list, err)
	}
	if to, err := os.Readlink(filepath.Join(m.dir, "dir.conflict")); err != nil || to != outside {
		t.Errorf("the agent's link is %q, %v", to, err)
	}
}

// shows2 checks some files alone.
func (m *mind) shows2(want map[string]string) {
	m.Helper()
	for name, text := range want {
		if b, err := os.ReadFile(filepath.Join(m.dir, name)); err != nil || string(b) != text {
			m.Errorf("%s = %q, %v", name, b, err)
		}
	}
}

func TestAReadOnlyStoreTakesNothing(t *testing.T) {
	t.Parallel()
	m := newMind(t, func(r *core.Resource) { r.ReadOnly = true })
	m.keep("/a", "1")
	w, err := m.spaces.Open(t.Context(), m.sess)
	m.must(err)
	if len(w.Mounts) != 1 || !w.Mounts[0].ReadOnly {
		t.Errorf("mounts = %+v", w.Mounts)
	}
	m.open()
	m.told("(read only)")
	m.write("a", "changed all the same")
	m.write("b", "new")
	m.settle()
	m.remembers(map[string]string{"/a": "1"})
	m.keep("/a", "2")
	m.open()
	m.shows(map[string]string{"/a": "2", "/b": "new"})
}

func TestADeletedStoreTakesItsFilesAlong(t *testing.T) {
	t.Parallel()
	m := newMind(t)
	m.keep("/a", "1")
	m.keep("/b", "1")
	m.open()
	m.write("b", "agent")
	m.must(m.service.DeleteStore(t.Context(), m.admin, m.store))
	m.open()
	m.shows(map[string]string{"/b.conflict": "agent"})
	m.write("late", "x")
	m.settle()
	m.open()
	m.shows(map[string]string{"/b.conflict": "agent", "/late": "x"})
}

func TestAnArchivedStoreIsReadAndTakesNothing(t *testing.T) {
	t.Parallel()
	m := newMind(t)
	m.keep("/a", "1")
	if _, err := m.service.ArchiveStore(t.Context(), m.admin, m.store); err != nil {
		t.Fatal(err)
	}
	m.open()
	m.shows(map[string]string{"/a": "1"})
	m.write("b", "x")
	m.settle()
	m.remembers(map[string]string{"/a": "1"})
	m.told("/b`: not saved: the memory store is archived")
}

// What was written down about the folder is lost, as a power cut may lose it: nothing may be deleted for that, nor
// written.
func TestALostLedgerCostsNoMemory(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string]func(string) string{
		"it is cut":             func(s string) string { return s[:len(s)-5] },
		"it is of another life": func(s string) string { return strings.Replace(s, `"boot":"`, `"boot":"other`, 1) },
		"it is empty":           func(string) string { return "" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMind(t)
			m.keep("/a", "1")
			m.keep("/b", "1")
			m.open()
			m.write("b", "agent")
			m.must(os.Remove(filepath.Join(m.dir, "a")))
			file := filepath.Join(filepath.Dir(m.dir), "ledger")
			text, err := os.ReadFile(file)
			m.must(err)
			m.must(os.WriteFile(file, []byte(broken(string(text))), 0o600))
			m.settle()
			m.remembers(map[string]string{"/a": "1", "/b": "1"})
			m.open()
			m.shows(map[string]string{"/a": "1", "/b": "1", "/b.conflict": "agent"})
			m.write("b", "again")
			m.settle()
			m.remembers(map[string]string{"/a": "1", "/b": "again"})
		})
	}
}

func TestAMemoryWithoutAPossibleFileIsTold(t *testing.T) {
	t.Parallel()
	m := newMind(t)
	long := "/" + strings.Repeat("n", 256)
	m.keep(long, "x")
	m.keep("/a", "1")
	m.open()
	m.shows(map[string]string{"/a": "1"})
	m.settle()
	m.remembers(map[string]string{"/a": "1", long: "x"})
	m.told("its name is too long for a file")
}

func TestAnUnreadableFolderDeletesNothing(t *testing.T) {
	t.Parallel()
	if os.Getuid() == 0 {
		t.Skip("root reads everything")
	}
	m := newMind(t)
	m.keep("/dir/a", "1")
	m.open()
	dir := filepath.Join(m.dir, "dir")
	m.must(os.Chmod(dir, 0))
	t.Cleanup(func() { m.must(os.Chmod(dir, 0o755)) })
	m.settle()
	m.remembers(map[string]string{"/dir/a": "1"})
}

func TestAFolderThatIsTooLargeDeletesNothing(t *testing.T) {
	t.Parallel()
	m := newMind(t)
	m.spaces = workspace.New(filepath.Join(t.TempDir(), "w"), workspace.NewMemoryOf(m.service, 20))
	m.keep("/dir/a", "1")
	m.open()
	m.must(os.RemoveAll(filepath.Join(m.dir, "dir"))) // not seen to be gone: it may be among the rest
	for i := range 21 {
		m.must(os.Mkdir(filepath.Join(m.dir, fmt.Sprintf("%05d", i)), 0o755))
	}
	m.settle()
	m.remembers(map[string]string{"/dir/a": "1"})
	m.told("there are more than 20 files and folders")
}

func TestAFolderThatIsTooDeepDeletesNothing(t *testing.T) {
	t.Parallel()
	m := newMind(t)
	m.keep("/dir/a", "1")
	m.open()
	m.must(os.RemoveAll(filepath.Join(m.dir, "dir")))
	m.must(os.MkdirAll(filepath.Join(m.dir, strings.Repeat("d/", 70)), 0o755))
	m.settle()
	m.remembers(map[string]string{"/dir/a": "1"})
	m.told("it is more than 64 folders deep")
}

func TestASessionReachesOnlyWhatItHasAttached(t *testing.T) {
	t.Parallel()
	m := newMind(t)
	m.sess.Resources[0].Store = core.NewID[core.MemoryStoreID]() // not what its row says
	other, err := m.service.CreateStore(t.Context(), m.admin, core.MemoryStore{Name: "other"}, memory.ClaudeLimits)
	m.must(err)
	m.sess.Resources[0].Store = other.ID
	m.open()
	m.write("a", "x")
	m.settle()
	list, err := m.service.Memories(t.Context(), m.admin, other.ID, core.MemoryPage{Limit: 9})
	if err != nil || len(list) != 0 {
		t.Errorf("another store has %v, %v", list, err)
	}
	if _, err := os.Stat(filepath.Join(m.dir, "a")); errors.Is(err, fs.ErrNotExist) {
		t.Error("the agent's file is gone")
	}
}
