package host

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/sandbox/guest"
)

func TestUsersAreNotShared(t *testing.T) {
	// Not parallel: a child that another test starts at this moment holds the locks until its exec.
	if os.Getuid() != 0 {
		u, err := Users{}.Take(t.TempDir())
		if u != nil || err != nil {
			t.Errorf("Take = %v, %v; want none for an ordinary user", u, err)
		}
		t.Skip("only root has other users")
	}
	r := Users{Base: 650_000, Count: 3}
	var taken []*User
	for range 3 {
		u, err := r.Take("/nowhere")
		for err != nil { // it picks at random, and may miss the last free one
			u, err = r.Take("/nowhere")
		}
		taken = append(taken, u)
	}
	ids := []int{taken[0].ID, taken[1].ID, taken[2].ID}
	slices.Sort(ids)
	if !slices.Equal(ids, []int{650_000, 650_001, 650_002}) {
		t.Errorf("ids = %v", ids)
	}
	if u, err := r.Take("/nowhere"); err == nil {
		t.Errorf("a fourth id: %d", u.ID)
	}
	folder := t.TempDir()
	if err := os.Chown(folder, taken[1].ID, taken[1].ID); err != nil {
		t.Fatal(err)
	}
	want := taken[1].ID
	for _, u := range taken {
		u.Release()
	}
	u, err := r.Take(folder)
	if err != nil || u.ID != want {
		t.Errorf("Take = %v, %v; want the folder's owner %d", u, err, want)
	}
	u.Release()
}

func TestAFolderChangesHandsWithAllThatIsInIt(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root gives files away")
	}
	outside := filepath.Join(t.TempDir(), "outside")
	folder := filepath.Join(t.TempDir(), "a", "b")
	for _, dir := range []string{outside, filepath.Join(folder, "sub")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, to := range map[string]string{"link": outside, "sub/up": "../../../.."} {
		if err := os.Symlink(to, filepath.Join(folder, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(folder, "sub", "f"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	real, err := PrepareFolder(folder, &User{ID: 654_321})
	if err != nil || real != folder {
		t.Fatalf("PrepareFolder = %q, %v", real, err)
	}
	for path, want := range map[string]uint32{folder: 654_321, folder + "/sub/f": 654_321, folder + "/link": 654_321, folder + "/sub/up": 654_321, outside: 0, filepath.Dir(folder): 0} {
		info, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Sys().(*syscall.Stat_t).Uid; got != want {
			t.Errorf("%s belongs to %d, want %d", path, got, want)
		}
	}
}

func TestOnlyTheServersOwnFoldersBecomePassable(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	folder := filepath.Join(data, "workspaces", "one")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	err := NewHouse(Options{}).makePassable(folder, 12345)
	if err == nil || !strings.Contains(err.Error(), "chmod o+x") {
		t.Errorf("without a data folder: %v, want a refusal that says what to do", err)
	}
	// What is above the data folder is not the server's to change.
	above := filepath.Dir(filepath.Dir(data))
	before, err := os.Stat(above)
	if err != nil {
		t.Fatal(err)
	}
	_ = NewHouse(Options{DataFolder: data}).makePassable(folder, 12345)
	if after, err := os.Stat(above); err != nil || after.Mode() != before.Mode() {
		t.Errorf("%s changed from %v to %v, %v", above, before.Mode(), after.Mode(), err)
	}
	for _, dir := range []string{data, filepath.Join(data, "workspaces")} {
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o701 {
			t.Errorf("%s has mode %v, %v; want others to pass but not to read", dir, info.Mode(), err)
		}
	}
}

func TestRangesOfUsersMustBeMapped(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "map")
	if err := os.WriteFile(file, []byte("         0       1000          1\n         1     100000      65536\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		r    Users
		want bool
	}{{Users{1, 65536}, true}, {Users{20_000, 40_000}, true}, {Users{700_000, 1}, false}, {Users{65_000, 1000}, false}, {Users{0, 2}, false}} {
		if got := isMapped(file, c.r); got != c.want {
			t.Errorf("isMapped(%+v) = %t, want %t", c.r, got, c.want)
		}
	}
	if isMapped("/does/not/exist", Users{1, 1}) {
		t.Error("a missing map maps nothing")
	}
}

func TestShellEnvironment(t *testing.T) {
	t.Parallel()
	got, err := ShellEnv("/home", map[string]string{"LANG": "C", "MY_VAR": "a=b c"})
	want := []string{"HOME=/home", "LANG=C", "MY_VAR=a=b c", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=dumb", "USER=agent"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("ShellEnv = %q, %v, want %q", got, err, want)
	}
	for _, name := range []string{"", "A=B", "1A", "A B", "A\x00"} {
		if _, err := ShellEnv("/", map[string]string{name: "x"}); core.KindOf(err) != core.Invalid {
			t.Errorf("the name %q: %v, want Invalid", name, err)
		}
	}
	if _, err := ShellEnv("/", map[string]string{"A": "x\x00y"}); core.KindOf(err) != core.Invalid {
		t.Errorf("a value with NUL: %v, want Invalid", err)
	}
}

func TestWhatAGuestSaysIsBounded(t *testing.T) {
	t.Parallel()
	if got := clip("aé", 2); got != "a" {
		t.Errorf("clip cuts a character: %q", got)
	}
	list := []string{"aaa", "bbb", "ccc"}
	if got, cut := bounded(list, 2, 100); len(got) != 2 || !cut {
		t.Errorf("bounded by count = %q, %t", got, cut)
	}
	if got, cut := bounded(list, 3, 8); len(got) != 2 || !cut {
		t.Errorf("bounded by size = %q, %t", got, cut)
	}
	if got, cut := bounded(list, 3, 12); len(got) != 3 || cut {
		t.Errorf("bounded = %q, %t", got, cut)
	}
	err := fault(&guest.Fault{Code: "<b>", Message: strings.Repeat("x", 5000) + "\xff"})
	var e *core.Error
	if !errors.As(err, &e) || e.Kind != core.Invalid || e.Code != "sandbox_failed" || len(e.Message) != 1000 {
		t.Errorf("fault = %.100v", err)
	}
	if err := fault(nil); err != nil {
		t.Errorf("no fault is %v", err)
	}
}

func TestAFolderThatBecameAPipeIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(folder, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = root.Close() }()
	g := giving{root: root, id: os.Getuid(), left: 10, until: time.Now().Add(time.Hour)}
	if err := g.below("pipe", 0); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("below = %v", err)
	}
}

func TestAFolderThatChangesHandsHasLimits(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root gives files away")
	}
	folder := t.TempDir()
	if err := os.MkdirAll(filepath.Join(folder, "a", "b"), 0o700); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = root.Close() }()
	later := time.Now().Add(time.Hour)
	for _, row := range []struct {
		left, depth int
		until       time.Time
		want        string
	}{
		{2, 0, later, ""},
		{1, 0, later, "files and folders"},
		{2, maxDeep - 2, later, "in each other"},
		{2, 0, time.Time{}, "it takes more than"},
	} {
		g := giving{root: root, id: os.Getuid(), left: row.left, until: row.until}
		if err := g.below(".", row.depth); (err == nil) != (row.want == "") || err != nil && !strings.Contains(err.Error(), row.want) {
			t.Errorf("%+v: %v", row, err)
		}
	}
}
