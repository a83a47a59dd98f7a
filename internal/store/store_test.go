package store_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/store"
	"github.com/reeve-ai/reeve/internal/store/pgtest"
	"github.com/reeve-ai/reeve/internal/store/storetest"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childFolder); dir != "" {
		fmt.Fprintln(os.Stderr, "store test child:", writeUntilKilled(dir))
		os.Exit(1)
	}
	os.Exit(testWithServer(m))
}

// server is PostgreSQL for all tests of this package.
var server *pgtest.Server

// testWithServer runs the tests beside a PostgreSQL server, which is no reason for a goroutine to stay.
func testWithServer(m *testing.M) int {
	var err error
	if server, err = pgtest.Start(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "postgresql:", err)
		return 1
	}
	store.PostgresForTests = func(t testing.TB) string { return server.Database(t) }
	code := m.Run()
	if err := server.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, "postgresql:", err)
		return 1
	}
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func TestPostgresKeepsThePromises(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) core.Store {
		db, err := store.Open(context.Background(), store.Options{URL: server.Database(t)})
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

func TestSQLiteKeepsThePromises(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) core.Store { return open(t, t.TempDir()) })
}

// open opens the database in a folder and closes it when the test has ended.
func open(t testing.TB, dir string, edit ...func(*store.Options)) *store.DB {
	t.Helper()
	o := store.Options{Path: filepath.Join(dir, "reeve.db")}
	for _, f := range edit {
		f(&o)
	}
	db, err := store.Open(context.Background(), o)
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
