package workspace

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestAFolderThatBecameAPipeBlocksNobody(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "was-a-folder"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := dirsOf(openRoot(t, dir), 10).ReadDir("was-a-folder"); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("ReadDir = %v", err)
	}
}

func TestAWalkHoldsNoMoreThanItsLimit(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for i := range 10 {
		if err := os.MkdirAll(filepath.Join(dir, fmt.Sprintf("%d", i), "x"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	d := dirsOf(openRoot(t, dir), 11)
	list, err := d.ReadDir(".")
	if err != nil || len(list) != 10 || list[0].Name() != "0" || list[9].Name() != "9" {
		t.Fatalf("ReadDir = %v, %v", list, err)
	}
	if list, err = d.ReadDir("0"); err != nil || len(list) != 1 {
		t.Errorf("within the limit: %v, %v", list, err)
	}
	if list, err = d.ReadDir("0/x"); err != nil || len(list) != 0 {
		t.Errorf("an empty folder at the limit: %v, %v", list, err)
	}
	if list, err = d.ReadDir("1"); !errors.Is(err, errTooMany) || len(list) != 0 {
		t.Errorf("beyond the limit: %v, %v", list, err)
	}
	if list, err = dirsOf(openRoot(t, dir), 4).ReadDir("."); !errors.Is(err, errTooMany) || len(list) != 4 {
		t.Errorf("a folder that is too large: %v, %v", list, err)
	}
}

func TestAWalkGoesOnlySoDeep(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	deep := strings.Repeat("d/", maxDepth) + "d"
	if err := os.MkdirAll(filepath.Join(dir, deep), 0o700); err != nil {
		t.Fatal(err)
	}
	d := dirsOf(openRoot(t, dir), 10)
	if _, err := d.ReadDir(deep); !errors.Is(err, errTooDeep) {
		t.Errorf("ReadDir = %v", err)
	}
	if list, err := d.ReadDir(filepath.Dir(deep)); err != nil || len(list) != 1 {
		t.Errorf("above it: %v, %v", list, err)
	}
}

func TestSmallFilesCountAsWhatTheyTakeOnTheDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for i := range 5 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d", i)), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got := (git{draft: dir, limit: 1 << 30}).size(); got < 6*leastSize {
		t.Errorf("size = %d", got)
	}
}

func openRoot(t *testing.T, dir string) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return root
}
