package store_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/store"
)

// running opens a database in a temporary folder, with Run at work until the test has ended.
func running(t testing.TB, edit ...func(*store.Options)) *store.DB {
	t.Helper()
	db := open(t, t.TempDir(), edit...)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- db.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	return db
}

// newSession makes a managed session in a new project. Its frozen definition is as large as a common one.
func newSession(t testing.TB, s core.Store) core.Session {
	t.Helper()
	ctx, now := context.Background(), time.Now()
	project, agent := core.NewID[core.ProjectID](), core.NewID[core.AgentID]()
	spec := core.AgentSpec{Name: "bench", System: strings.Repeat("Be kind. ", 220), Tools: []core.Toolset{{Kind: core.ToolsetBuiltin}}}
	sess := core.Session{
		Project: project, ID: core.NewID[core.SessionID](), Origin: core.OriginManaged, Agent: agent, AgentVersion: 1,
		Snapshot: &spec, Status: core.StatusIdle, CreatedAt: now, UpdatedAt: now,
	}
	for _, err := range []error{
		s.CreateProject(ctx, core.Project{ID: project, CreatedAt: now}),
		s.CreateAgent(ctx, core.Agent{Project: project, ID: agent, AgentSpec: spec, Active: true, CreatedAt: now}),
		s.CreateSession(ctx, sess),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return sess
}

func message(s core.Session, queued bool) core.Draft {
	d := core.NewDraft(core.PrimaryThread(s.ID), "", core.EventUserMessage, core.Message{Content: core.Text("What does printf hi print? Answer in one sentence, please.")})
	d.Queued = queued
	return d
}

// turn is the store's part of a turn with an instant model: accept, take up, answer and settle. It is
// three transactions and eight events.
func turn(ctx context.Context, db core.Store, s core.Session) error {
	var lease core.Lease
	now := time.Now()
	input := message(s, true)
	if err := db.Tx(ctx, func(tx core.Store) (err error) {
		if _, err = tx.Session(ctx, s.Project, s.ID); err != nil {
			return err
		}
		if _, err = tx.Append(ctx, s.Project, s.ID, now, input, message(s, false)); err != nil {
			return err
		}
		if lease, _, err = tx.OweTurn(ctx, s.Project, s.ID, core.PrimaryThread(s.ID), "node", now, now.Add(time.Minute)); err != nil {
			return err
		}
		s.Status = core.StatusRunning
		return tx.SetSessionState(ctx, s)
	}); err != nil {
		return err
	}
	if err := db.Tx(ctx, func(tx core.Store) error {
		if err := tx.HoldLease(ctx, lease); err != nil {
			return err
		}
		queued, err := tx.QueuedEvents(ctx, s.Project, s.ID, core.PrimaryThread(s.ID))
		if err != nil {
			return err
		}
		for _, e := range queued {
			if err := tx.MarkProcessed(ctx, s.Project, s.ID, now, e.ID); err != nil {
				return err
			}
		}
		_, err = tx.Append(ctx, s.Project, s.ID, now, message(s, false), message(s, false))
		return err
	}); err != nil {
		return err
	}
	return db.Tx(ctx, func(tx core.Store) error {
		if err := tx.HoldLease(ctx, lease); err != nil {
			return err
		}
		if _, err := tx.Append(ctx, s.Project, s.ID, now, message(s, false), message(s, false), message(s, false), message(s, false)); err != nil {
			return err
		}
		s.Status = core.StatusIdle
		if err := tx.SetSessionState(ctx, s); err != nil {
			return err
		}
		return tx.SettleTurn(ctx, lease)
	})
}

// spread runs fn b.N times on n goroutines, each with a session of its own, and reports the rate.
func spread(b *testing.B, db *store.DB, n int, unit string, fn func(core.Session) error) {
	b.Helper()
	sessions := make([]core.Session, n)
	for i := range sessions {
		sessions[i] = newSession(b, db)
	}
	before := db.Stats()
	var left atomic.Int64
	left.Store(int64(b.N))
	done := make(chan error, n)
	used := cpuTime(b)
	b.ResetTimer()
	for _, s := range sessions {
		go func() {
			for left.Add(-1) >= 0 {
				if err := fn(s); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range n {
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	after := db.Stats()
	// The time of all threads, the checkpointer's too: comparable on a machine that others use as well.
	b.ReportMetric(float64((cpuTime(b)-used).Microseconds())/float64(b.N), "cpu-µs/op")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), unit+"/s")
	b.ReportMetric(float64(after.Statements-before.Statements)/float64(b.N), "statements/op")
	b.ReportMetric(float64(after.Transactions-before.Transactions)/float64(max(1, after.Commits-before.Commits)), "tx/commit")
}

// cpuTime is the processor time that this process has used.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// benchmarkEach runs a benchmark with both durabilities and from one to many producers.
func benchmarkEach(b *testing.B, unit string, fn func(db *store.DB, s core.Session) error) {
	for _, durability := range []store.Durability{store.DurabilityNormal, store.DurabilityFull} {
		for _, producers := range []int{1, 8, 64} {
			b.Run(fmt.Sprintf("%s/%d", durability, producers), func(b *testing.B) {
				db := running(b, func(o *store.Options) { o.Durability = durability })
				spread(b, db, producers, unit, func(s core.Session) error { return fn(db, s) })
			})
		}
	}
}

func BenchmarkTurn(b *testing.B) {
	benchmarkEach(b, "turns", func(db *store.DB, s core.Session) error { return turn(context.Background(), db, s) })
}

func BenchmarkAppend(b *testing.B) {
	benchmarkEach(b, "appends", func(db *store.DB, s core.Session) error {
		_, err := db.Append(context.Background(), s.Project, s.ID, time.Now(), message(s, false))
		return err
	})
}

// BenchmarkEvents reads pages of 50 events, as a watcher does that catches up.
func BenchmarkEvents(b *testing.B) {
	db := running(b)
	filled := map[core.SessionID]bool{}
	spread(b, db, 1, "pages", func(s core.Session) error {
		ctx := context.Background()
		if !filled[s.ID] {
			filled[s.ID] = true
			drafts := make([]core.Draft, 50)
			for i := range drafts {
				drafts[i] = message(s, false)
			}
			if _, err := db.Append(ctx, s.Project, s.ID, time.Now(), drafts...); err != nil {
				return err
			}
		}
		_, err := db.Events(ctx, s.Project, s.ID, core.EventQuery{Limit: 50})
		return err
	})
}

// BenchmarkSession reads one session by id, outside a transaction.
func BenchmarkSession(b *testing.B) {
	db := running(b)
	spread(b, db, 4, "reads", func(s core.Session) error {
		_, err := db.Session(context.Background(), s.Project, s.ID)
		return err
	})
}
