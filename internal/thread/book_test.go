package thread_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/store"
	"github.com/reeve-ai/reeve/internal/thread"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// room is a coordinator's session with two more threads, "a" and "b", that were never run.
func room(t *testing.T) (*store.DB, core.Session) {
	t.Helper()
	ctx := t.Context()
	db, err := store.Open(ctx, store.Options{Path: filepath.Join(t.TempDir(), "reeve.db")})
	need(t, err)
	t.Cleanup(func() { need(t, db.Close()) })
	p := core.Project{ID: core.NewID[core.ProjectID](), Name: "P", Active: true, CreatedAt: now, UpdatedAt: now}
	need(t, db.CreateProject(ctx, p))
	spec := core.AgentSpec{Name: "boss", Roster: &core.Roster{Members: []core.RosterMember{{Kind: core.RosterSelf}}}}
	agent := core.Agent{Project: p.ID, ID: core.NewID[core.AgentID](), Version: 1, AgentSpec: spec, Active: true, CreatedAt: now, UpdatedAt: now, VersionMadeAt: now}
	need(t, db.CreateAgent(ctx, agent))
	env := core.Environment{Project: p.ID, ID: core.NewID[core.EnvironmentID](), Name: "box", Metadata: map[string]string{}, CreatedAt: now, UpdatedAt: now}
	need(t, db.CreateEnvironment(ctx, env))
	sess := core.Session{
		Project: p.ID, ID: core.NewID[core.SessionID](), Origin: core.OriginManaged, Agent: agent.ID, AgentVersion: 1, Snapshot: &spec,
		Environment: env.ID, Metadata: map[string]string{}, Status: core.StatusIdle, CreatedAt: now.Add(time.Hour), UpdatedAt: now,
	}
	need(t, db.CreateSession(ctx, sess))
	write(t, db, sess, func(ctx context.Context, b *thread.Book) []core.Draft {
		var drafts []core.Draft
		for _, id := range []core.ThreadID{"a", "b"} {
			d, err := b.Create(ctx, core.Thread{ID: id, Kind: core.RosterSelf, Name: "boss", Spec: &core.AgentSpec{Name: "boss"}}, "turn")
			need(t, err)
			drafts = append(drafts, d...)
		}
		return drafts
	})
	return db, sess
}

// write runs do on a book and returns what it had to say, by type and thread.
func write(t *testing.T, db *store.DB, sess core.Session, do func(context.Context, *thread.Book) []core.Draft) []string {
	t.Helper()
	var said []string
	need(t, db.Tx(t.Context(), func(tx core.Store) error {
		held, err := tx.Session(t.Context(), sess.Project, sess.ID)
		if err != nil {
			return err
		}
		b, err := thread.Open(t.Context(), tx, &held, now)
		if err != nil {
			return err
		}
		drafts := do(t.Context(), b)
		last, err := b.Close(t.Context())
		for _, d := range append(drafts, last...) {
			name := string(d.Thread)
			if d.Thread == core.PrimaryThread(sess.ID) {
				name = "primary"
			}
			said = append(said, name+" "+string(d.Type))
		}
		return err
	}))
	return said
}

func need(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestSessionRunsWhileAThreadDoesAndRestsWithTheLast(t *testing.T) {
	t.Parallel()
	db, sess := room(t)
	primary := core.PrimaryThread(sess.ID)
	end := core.StopReason{Type: core.StopEndTurn}
	for i, step := range []struct {
		do   func(*thread.Book) []core.Draft
		said []string
	}{
		{func(b *thread.Book) []core.Draft { return b.Start(primary, "1") }, []string{"primary session.status_running", "primary session.thread_status_running"}},
		{func(b *thread.Book) []core.Draft { return b.Start("a", "2") }, []string{"a session.thread_status_running"}},
		{func(b *thread.Book) []core.Draft { return b.Rest(primary, "1", end) }, []string{"primary session.thread_status_idle"}},
		{func(b *thread.Book) []core.Draft { return b.Pause("a", "2") }, []string{"a session.thread_status_rescheduled", "primary session.status_rescheduled"}},
		{func(b *thread.Book) []core.Draft { return b.Start("a", "2") }, []string{"primary session.status_running", "a session.thread_status_running"}},
		{func(b *thread.Book) []core.Draft { return append(b.Rest("a", "2", end), b.Start(primary, "3")...) }, []string{"a session.thread_status_idle", "primary session.thread_status_running"}},
		{func(b *thread.Book) []core.Draft { return b.Rest(primary, "3", end) }, []string{"primary session.thread_status_idle", "primary session.usage", "primary session.status_idle"}},
		{func(b *thread.Book) []core.Draft { return b.Archive("a") }, []string{"a session.thread_status_terminated"}},
		{func(*thread.Book) []core.Draft { return nil }, nil},
	} {
		got := write(t, db, sess, func(_ context.Context, b *thread.Book) []core.Draft { return step.do(b) })
		if d := cmp.Diff(step.said, got); d != "" {
			t.Errorf("step %d (-want +got):\n%s", i, d)
		}
	}
}

func TestWhatASessionAtRestWaitsFor(t *testing.T) {
	t.Parallel()
	asks := func(ids ...core.EventID) core.StopReason {
		return core.StopReason{Type: core.StopRequiresAction, Events: ids}
	}
	of := func(t core.StopType) core.StopReason { return core.StopReason{Type: t} }
	for i, c := range []struct{ primary, a, b, want core.StopReason }{
		{of(core.StopEndTurn), of(core.StopInterrupted), of(core.StopEndTurn), of(core.StopEndTurn)},
		{of(core.StopInterrupted), of(core.StopEndTurn), of(core.StopEndTurn), of(core.StopInterrupted)},
		{of(core.StopEndTurn), of(core.StopBudgetReached), of(core.StopEndTurn), of(core.StopBudgetReached)},
		{asks("2"), of(core.StopBudgetReached), asks("1", "3"), asks("1", "2", "3")},
		{of(core.StopBudgetReached), of(core.StopBudgetReached), asks("1"), asks("1")},
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			db, sess := room(t)
			write(t, db, sess, func(_ context.Context, b *thread.Book) []core.Draft {
				b.Rest("a", "", c.a)
				b.Rest("b", "", c.b)
				return b.Rest(core.PrimaryThread(sess.ID), "", c.primary)
			})
			got, err := db.Session(t.Context(), sess.Project, sess.ID)
			need(t, err)
			if d := cmp.Diff(&c.want, got.StopReason); d != "" || got.Status != core.StatusIdle {
				t.Errorf("%s (-want +got):\n%s", got.Status, d)
			}
		})
	}
}

func TestPrimaryThreadStaysTheOldestWhateverTheClocksSay(t *testing.T) {
	t.Parallel()
	db, sess := room(t) // the session was made by a node whose clock is an hour ahead
	threads, err := db.Threads(t.Context(), sess.Project, sess.ID, core.ThreadPage{Limit: 10})
	need(t, err)
	if threads[0].Parent != "" || len(threads) != 3 {
		t.Errorf("threads: %+v", threads)
	}
}
