package store_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/store"
)

func TestOneServerHasTheFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := store.Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = store.Lock(dir)
	if core.KindOf(err) != core.Conflict || core.CodeOf(err) != "data_folder_in_use" {
		t.Errorf("second lock = %v, want data_folder_in_use", err)
	}
	if want := fmt.Sprintf("process %d", os.Getpid()); err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), want) {
		t.Errorf("message = %v, want the folder and %q in it", err, want)
	}
	open(t, dir) // the database itself needs no lock
	if err := first.Unlock(); err != nil {
		t.Fatal(err)
	}
	again, err := store.Lock(dir)
	if err != nil {
		t.Fatalf("after unlock: %v", err)
	}
	if err := again.Unlock(); err != nil {
		t.Error(err)
	}
}

func TestALockNeedsItsFolder(t *testing.T) {
	t.Parallel()
	if _, err := store.Lock(t.TempDir() + "/none"); err == nil || core.KindOf(err) != core.Internal {
		t.Errorf("lock = %v, want an Internal error", err)
	}
}
