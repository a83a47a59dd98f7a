package store_test

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/store"
)

// childFolder, when set, makes the test binary the process that TestKilledProcessLosesNothing kills.
const childFolder = "REEVE_STORE_TEST_CHILD"

var errUndone = errors.New("every now and then one fails")

// writeUntilKilled appends to one session in several goroutines and prints the Seq of each event after
// its commit.
func writeUntilKilled(dir string) error {
	ctx := context.Background()
	db, err := store.Open(ctx, store.Options{Path: filepath.Join(dir, "reeve.db")})
	if err != nil {
		return err
	}
	projects, err := db.Projects(ctx)
	if err != nil {
		return err
	}
	sessions, err := db.Sessions(ctx, projects[0].ID, core.SessionPage{Limit: 1})
	if err != nil {
		return err
	}
	failed := make(chan error)
	go func() { failed <- db.Run(ctx) }()
	var out sync.Mutex
	for range 4 {
		go func() {
			for n := 1; ; n++ {
				var last int64
				err := db.Tx(ctx, func(tx core.Store) error {
					events, err := tx.Append(ctx, projects[0].ID, sessions[0].ID, time.Now(), message(sessions[0], false), message(sessions[0], false))
					if err != nil {
						return err
					}
					if last = events[1].Seq; n%10 == 0 {
						return errUndone
					}
					return nil
				})
				if err != nil && !errors.Is(err, errUndone) {
					failed <- err
					return
				}
				if err == nil {
					out.Lock()
					_, err = fmt.Println(last)
					out.Unlock()
					if err != nil { // whoever started this process is gone
						failed <- err
						return
					}
				}
			}
		}()
	}
	return <-failed
}

func TestKilledProcessLosesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := open(t, dir)
	s := newSession(t, db)
	for life := range 3 {
		acknowledged := killWhileWriting(t, dir)
		// The writer of this process is still there; a fresh one sees the same.
		for name, db := range map[string]*store.DB{"beside": db, "afterwards": open(t, dir)} {
			now, err := db.Session(t.Context(), s.Project, s.ID)
			if err != nil {
				t.Fatal(err)
			}
			if now.LastSeq < acknowledged {
				t.Errorf("life %d, %s: the log ends at %d, but %d was acknowledged", life, name, now.LastSeq, acknowledged)
			}
			checkWholeLog(t, db, now)
		}
	}
}

// killWhileWriting starts the child, kills it in the middle of its work and returns the last Seq that it
// had printed.
func killWhileWriting(t *testing.T, dir string) (acknowledged int64) {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), childFolder+"="+dir)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for n := 0; lines.Scan(); n++ {
		if n == 400 {
			if err := child.Process.Signal(syscall.SIGKILL); err != nil {
				t.Error(err)
			}
		}
		seq, err := strconv.ParseInt(lines.Text(), 10, 64)
		if err != nil {
			break // the line that the kill cut off
		}
		acknowledged = max(acknowledged, seq)
	}
	var ended *exec.ExitError
	if err := child.Wait(); !errors.As(err, &ended) || ended.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("child ended with %v, want killed", err)
	}
	return acknowledged
}

// checkWholeLog checks that the events are numbered without gaps up to LastSeq.
func checkWholeLog(t *testing.T, db *store.DB, s core.Session) {
	t.Helper()
	var after int64
	for {
		events, err := db.Events(t.Context(), s.Project, s.ID, core.EventQuery{After: after, Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			after++
			if e.Seq != after {
				t.Fatalf("event %d follows %d", e.Seq, after-1)
			}
		}
		if len(events) == 0 {
			break
		}
	}
	if after != s.LastSeq {
		t.Errorf("the log has %d events, LastSeq is %d", after, s.LastSeq)
	}
}

func TestACopyOfTheFilesOfAnOpenDatabaseIsWhole(t *testing.T) {
	t.Parallel()
	from, to := t.TempDir(), t.TempDir()
	db := open(t, from)
	s := newSession(t, db)
	if _, err := db.Append(t.Context(), s.Project, s.ID, time.Now(), message(s, false)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"reeve.db", "reeve.db-wal"} { // as after a power cut: no Close, no -shm
		b, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(to, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	copied := open(t, to)
	now, err := copied.Session(t.Context(), s.Project, s.ID)
	if err != nil || now.LastSeq != 1 {
		t.Fatalf("session = %+v, %v", now, err)
	}
	checkWholeLog(t, copied, now)
}

func TestTwoProcessesWriteSideBySide(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	dbs := []*store.DB{open(t, dir), open(t, dir)}
	s := newSession(t, dbs[0])
	const each, writers = 40, 3
	var wg sync.WaitGroup
	for _, db := range dbs {
		for range writers {
			wg.Go(func() {
				for range each {
					if _, err := db.Append(t.Context(), s.Project, s.ID, time.Now(), message(s, false)); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
	}
	wg.Wait()
	for _, db := range dbs {
		now, err := db.Session(t.Context(), s.Project, s.ID)
		if err != nil || now.LastSeq != int64(len(dbs)*writers*each) {
			t.Errorf("session = %+v, %v, want %d events", now, err, len(dbs)*writers*each)
		}
		checkWholeLog(t, db, now)
	}
}

func TestManyOpenANewDatabaseTogether(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "reeve.db")
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			db, err := store.Open(t.Context(), store.Options{Path: path})
			if err != nil {
				t.Error(err)
				return
			}
			if err := db.CreateProject(t.Context(), core.Project{ID: core.NewID[core.ProjectID]()}); err != nil {
				t.Error(err)
			}
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	list, err := open(t, filepath.Dir(path)).Projects(t.Context())
	if err != nil || len(list) != 6 {
		t.Errorf("%d projects, %v, want 6", len(list), err)
	}
}

func TestADatabaseOfANewerProgramIsRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "reeve.db")
	db, err := store.Open(t.Context(), store.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	raw, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := raw.Exec("INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, 1)"); err != nil {
		t.Fatal(err)
	}
	if err := raw.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = store.Open(t.Context(), store.Options{Path: path})
	if core.CodeOf(err) != "database_too_new" || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "99999") {
		t.Errorf("open = %v, want database_too_new with the path and the version", err)
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "text.db"), []byte(strings.Repeat("not a database ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]store.Options{
		"no such folder": {Path: filepath.Join(dir, "none", "reeve.db")},
		"a folder":       {Path: dir},
		"other content":  {Path: filepath.Join(dir, "text.db")},
		"no durability":  {Path: filepath.Join(dir, "reeve.db"), Durability: "some"},
	} {
		db, err := store.Open(t.Context(), o)
		if err == nil {
			t.Errorf("%s: opened", name)
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestAnyNameOfAFolderWillDo(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a b?c#d%25&e;f'ü")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	db := open(t, dir)
	newSession(t, db)
	info, err := os.Stat(filepath.Join(dir, "reeve.db"))
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); mode != 0o600 {
		t.Errorf("mode = %o, want 600", mode)
	}
}

func TestCloseLeavesOneFileAndRefusesTheRest(t *testing.T) {
	t.Parallel()
	for _, durability := range []store.Durability{store.DurabilityNormal, store.DurabilityFull} {
		dir := t.TempDir()
		db, err := store.Open(t.Context(), store.Options{Path: filepath.Join(dir, "reeve.db"), Durability: durability})
		if err != nil {
			t.Fatal(err)
		}
		s := newSession(t, db)
		for range 2 { // the second does nothing
			if err := db.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		}
		if _, err := db.Session(t.Context(), s.Project, s.ID); core.KindOf(err) != core.Internal || err == nil {
			t.Errorf("a read after Close = %v, want an error", err)
		}
		if err := db.UpdateSession(t.Context(), s); core.KindOf(err) != core.Internal || err == nil {
			t.Errorf("a write after Close = %v, want an error", err)
		}
		if log, err := os.Stat(filepath.Join(dir, "reeve.db-wal")); err == nil && log.Size() > 0 {
			t.Errorf("the write-ahead log has still %d bytes", log.Size())
		}
		if _, err := open(t, dir).Session(t.Context(), s.Project, s.ID); err != nil {
			t.Errorf("after opening again: %v", err)
		}
	}
}

func TestCloseWaitsForWhatRuns(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := open(t, dir)
	s := newSession(t, db)
	inside, result := make(chan struct{}), make(chan error)
	go func() {
		result <- db.Tx(context.Background(), func(tx core.Store) error {
			close(inside)
			_, err := tx.Append(context.Background(), s.Project, s.ID, time.Now(), message(s, false))
			return err
		})
	}()
	<-inside
	closed := make(chan error)
	go func() { closed <- db.Close() }()
	if err := <-result; err != nil {
		t.Errorf("Tx = %v", err)
	}
	if err := <-closed; err != nil {
		t.Errorf("Close = %v", err)
	}
	now, err := open(t, dir).Session(t.Context(), s.Project, s.ID)
	if err != nil || now.LastSeq != 1 {
		t.Errorf("session = %+v, %v, want one event", now, err)
	}
}

func TestAFunctionThatEndsItsGoroutineHarmsNobodyElse(t *testing.T) {
	t.Parallel()
	db := open(t, t.TempDir())
	s := newSession(t, db)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			_ = db.Tx(t.Context(), func(tx core.Store) error {
				_, err := tx.Append(t.Context(), s.Project, s.ID, time.Now(), message(s, false))
				if i == 7 {
					runtime.Goexit()
				}
				return err
			})
		})
	}
	wg.Wait()
	if _, err := db.Append(t.Context(), s.Project, s.ID, time.Now(), message(s, false)); err != nil {
		t.Fatal(err)
	}
	now, err := db.Session(t.Context(), s.Project, s.ID)
	if err != nil {
		t.Fatal(err)
	}
	checkWholeLog(t, db, now)
}

func TestRunKeepsTheWriteAheadLogShort(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := open(t, dir)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- db.Run(ctx) }()
	s := newSession(t, db)
	var longest, written int64
	large := core.NewDraft(core.PrimaryThread(s.ID), "", core.EventAgentMessage, core.Message{Content: core.Text(strings.Repeat("x", 16<<10))})
	deadline := time.Now().Add(time.Minute)
	// A writer that never pauses may outrun the checkpointer for a while, and on a busy machine for long:
	// what it must not do is make the log as long as all that was ever written.
	for written < 80<<20 || longest > written/2 {
		if time.Now().After(deadline) {
			t.Fatalf("the log grew to %d MB of %d MB written", longest>>20, written>>20)
		}
		var list []core.Draft
		for range 5 {
			d := large
			d.ID = ""
			list = append(list, d)
		}
		if _, err := db.Append(ctx, s.Project, s.ID, time.Now(), list...); err != nil {
			t.Fatal(err)
		}
		written += 5 * 16 << 10
		if log, err := os.Stat(filepath.Join(dir, "reeve.db-wal")); err == nil {
			longest = max(longest, log.Size())
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Errorf("run = %v", err)
	}
}

func TestStatsCountATurn(t *testing.T) {
	t.Parallel()
	db := open(t, t.TempDir())
	s := newSession(t, db)
	before := db.Stats()
	if err := turn(t.Context(), db, s); err != nil {
		t.Fatal(err)
	}
	after := db.Stats()
	got := store.Stats{
		Transactions: after.Transactions - before.Transactions,
		Commits:      after.Commits - before.Commits,
		Statements:   after.Statements - before.Statements,
	}
	if want := (store.Stats{Transactions: 3, Commits: 3, Statements: 15}); got != want {
		t.Errorf("stats = %+v, want %+v", got, want)
	}
}
