package store_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/store"
	"github.com/reeve-ai/reeve/internal/store/storetest"
)

func TestSQLiteKeepsThePromisesOfCaptures(t *testing.T) {
	t.Parallel()
	storetest.RunCaptures(t, func(t *testing.T) core.CaptureStore { return openCaptures(t, t.TempDir()) })
}

func TestPostgresKeepsThePromisesOfCaptures(t *testing.T) {
	t.Parallel()
	storetest.RunCaptures(t, func(t *testing.T) core.CaptureStore {
		db, err := store.OpenCaptures(context.Background(), store.Options{URL: server.Database(t)})
		if err != nil {
			t.Fatalf("open: %v", err)
		}
		t.Cleanup(func() {
			if err := db.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
		return db
	})
}

// openCaptures opens the database of captures in a folder and closes it when the test has ended.
func openCaptures(t testing.TB, dir string, edit ...func(*store.Options)) *store.CaptureDB {
	t.Helper()
	o := store.Options{Path: filepath.Join(dir, "captures.db")}
	for _, f := range edit {
		f(&o)
	}
	db, err := store.OpenCaptures(context.Background(), o)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return db
}
