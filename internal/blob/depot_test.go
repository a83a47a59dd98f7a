package blob_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/reeve-ai/reeve/internal/blob"
	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/store"
)

// room is a depot over a fresh database and folder.
type room struct {
	*blob.Depot
	db      *store.DB
	root    string
	project core.ProjectID
	now     atomic.Int64 // seconds since epoch
	log     bytes.Buffer
}

var epoch = time.Date(2026, 4, 1, 12, 0, 0, 0, time.UTC)

func (r *room) clock() time.Time { return epoch.Add(time.Duration(r.now.Load()) * time.Second) }

func setup(t *testing.T) *room {
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
	r := &room{db: db, project: core.NewID[core.ProjectID]()}
	if err := db.CreateProject(t.Context(), core.Project{ID: r.project, Name: "p", Active: true}); err != nil {
		t.Fatal(err)
	}
	f, root := folder(t)
	r.root = root
	r.Depot = blob.NewDepot(db, f, blob.Options{Now: r.clock, Log: slog.New(slog.NewTextHandler(&r.log, nil))})
	return r
}

func (r *room) stage(t *testing.T, content string) core.Blob {
	t.Helper()
	b, err := r.Stage(t.Context(), r.project, strings.NewReader(content), 100)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// own makes a file of a blob.
func (r *room) own(t *testing.T, b core.Blob) core.File {
	t.Helper()
	f := core.File{Project: r.project, ID: core.NewID[core.FileID](), Blob: b, CreatedAt: r.clock()}
	if err := r.db.CreateFile(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	return f
}

// notes are the strays that there are, due or not. It claims them.
func (r *room) notes(t *testing.T) int {
	t.Helper()
	list, err := r.db.ClaimStrays(t.Context(), epoch.AddDate(10, 0, 0), 1000)
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

func (r *room) sweep(t *testing.T, want int) {
	t.Helper()
	if n, err := r.Sweep(t.Context()); err != nil || n != want {
		t.Errorf("swept %d, %v, want %d", n, err, want)
	}
}

// TestACrashBetweenBytesAndOwner: the process dies after the bytes were written and before a file was made of
// them. Until a day has passed somebody may still come; then they go, and what has an owner stays.
func TestACrashBetweenBytesAndOwner(t *testing.T) {
	t.Parallel()
	r := setup(t)
	kept := r.own(t, r.stage(t, "kept"))
	lost := r.stage(t, "lost")
	r.now.Store(23 * 3600)
	r.sweep(t, 0)
	if got := stored(t, r.root); len(got) != 2 {
		t.Fatalf("stored = %v", got)
	}
	r.now.Store(24 * 3600)
	r.sweep(t, 1)
	if got := stored(t, r.root); len(got) != 1 || got[0] != string(kept.Key) {
		t.Errorf("stored = %v, want %s", got, kept.Key)
	}
	if err := r.db.CreateFile(t.Context(), core.File{Project: r.project, ID: "late", Blob: lost, CreatedAt: r.clock()}); core.CodeOf(err) != "stray_not_found" {
		t.Errorf("an owner for bytes that are gone: %v", err)
	}
	if n := r.notes(t); n != 0 {
		t.Errorf("%d notes are left", n)
	}
}

// TestACrashBeforeTheBytes: the note was made and nothing written.
func TestACrashBeforeTheBytes(t *testing.T) {
	t.Parallel()
	r := setup(t)
	if err := r.db.AddStray(t.Context(), core.Stray{Project: r.project, Key: core.NewID[core.BlobKey](), DueAt: epoch}); err != nil {
		t.Fatal(err)
	}
	r.sweep(t, 1)
	if n := r.notes(t); n != 0 {
		t.Errorf("%d notes are left", n)
	}
}

// TestACrashBetweenOwnerAndBytes: the file was deleted, and the process died before its bytes were.
func TestACrashBetweenOwnerAndBytes(t *testing.T) {
	t.Parallel()
	r := setup(t)
	f := r.own(t, r.stage(t, "gone"))
	if err := r.db.DeleteFile(t.Context(), r.project, f.ID, r.clock()); err != nil {
		t.Fatal(err)
	}
	if got := stored(t, r.root); len(got) != 1 {
		t.Fatalf("stored = %v", got)
	}
	r.sweep(t, 1)
	if got := stored(t, r.root); len(got) != 0 || r.notes(t) != 0 {
		t.Errorf("stored = %v", got)
	}
}

func TestAFailedUploadLeavesNeitherBytesNorNote(t *testing.T) {
	t.Parallel()
	r := setup(t)
	cut := errors.New("cut")
	ctx, cancel := context.WithCancel(t.Context())
	for _, in := range []io.Reader{
		strings.NewReader(strings.Repeat("x", 101)), iotest.ErrReader(cut),
		readerFunc(func([]byte) (int, error) { cancel(); return 0, context.Canceled }), // the client goes away
	} {
		if _, err := r.Stage(ctx, r.project, in, 100); err == nil {
			t.Error("it worked")
		}
	}
	if got := stored(t, r.root); len(got) != 0 || r.notes(t) != 0 {
		t.Errorf("stored = %v", got)
	}
	if _, err := r.Stage(t.Context(), core.NewID[core.ProjectID](), strings.NewReader("x"), 100); core.KindOf(err) != core.NotFound {
		t.Errorf("for an unknown project: %v", err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestDiscardDeletesOnlyWhatHasNoOwner(t *testing.T) {
	t.Parallel()
	r := setup(t)
	kept, lost := r.own(t, r.stage(t, "kept")), r.stage(t, "lost")
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // the request is over
	r.Discard(ctx, r.project, kept.Blob, lost, core.Blob{Key: core.NewID[core.BlobKey]()})
	if got := stored(t, r.root); len(got) != 1 || got[0] != string(kept.Key) || r.notes(t) != 0 {
		t.Errorf("stored = %v, want %s", got, kept.Key)
	}
	if r.log.Len() != 0 {
		t.Errorf("log: %s", r.log.String())
	}
}

// stubborn is a blob store that cannot delete some keys.
type stubborn struct {
	core.Blobs
	keys map[core.BlobKey]bool
}

func (s stubborn) Delete(ctx context.Context, key core.BlobKey) error {
	if s.keys[key] {
		return errors.New("not today")
	}
	return s.Blobs.Delete(ctx, key)
}

func TestSweepGoesOnBehindWhatCannotBeDeleted(t *testing.T) {
	t.Parallel()
	r := setup(t)
	f, err := blob.OpenFolder(r.root)
	if err != nil {
		t.Fatal(err)
	}
	s := stubborn{f, map[core.BlobKey]bool{}}
	for i := range 150 { // more than one batch, and the oldest cannot be deleted
		b := r.stage(t, "x")
		s.keys[b.Key] = i < 110
	}
	r.now.Store(48 * 3600)
	d := blob.NewDepot(r.db, s, blob.Options{Now: r.clock, Log: slog.New(slog.DiscardHandler)})
	if n, err := d.Sweep(t.Context()); n != 40 || err == nil {
		t.Errorf("swept %d, %v, want 40 and what went wrong", n, err)
	}
	clear(s.keys)
	if n, err := d.Sweep(t.Context()); n != 110 || err != nil {
		t.Errorf("swept %d, %v, want the others", n, err)
	}
	if got := stored(t, r.root); len(got) != 0 {
		t.Errorf("%d are left", len(got))
	}
}

func TestRunSweepsWhenItIsWoken(t *testing.T) {
	t.Parallel()
	r := setup(t)
	f, err := blob.OpenFolder(r.root)
	if err != nil {
		t.Fatal(err)
	}
	deleted := make(chan core.BlobKey, 10) // more than there are
	d := blob.NewDepot(r.db, told{f, deleted}, blob.Options{Now: r.clock})
	first := r.stage(t, "x")
	second := r.own(t, r.stage(t, "y"))
	r.now.Store(48 * 3600)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1) // holds the one result
	go func() { ended <- d.Run(ctx) }()
	if got := <-deleted; got != first.Key {
		t.Errorf("at the start %s was deleted, want %s", got, first.Key)
	}
	if err := r.db.DeleteFile(t.Context(), r.project, second.ID, r.clock()); err != nil {
		t.Fatal(err)
	}
	d.Wake()
	d.Wake() // is merged
	if got := <-deleted; got != second.Key {
		t.Errorf("then %s was deleted, want %s", got, second.Key)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run = %v", err)
	}
}

// told says what is deleted.
type told struct {
	core.Blobs
	keys chan<- core.BlobKey
}

func (s told) Delete(ctx context.Context, key core.BlobKey) error {
	s.keys <- key
	return s.Blobs.Delete(ctx, key)
}
