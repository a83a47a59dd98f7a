package work

import (
	"bytes"
	"context"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/identity"
	"github.com/reeve-ai/reeve/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for something that must come. It is a deadline, not a delay.
const patience = 20 * time.Second

// yard is the service on a database of its own with one environment, and a clock that only the test moves.
type yard struct {
	*Service
	db     *store.DB
	env    core.Environment
	member core.Principal
	worker core.Principal // with the environment's key
	micros atomic.Int64
}

func build(t *testing.T) *yard {
	t.Helper()
	db, err := store.Open(context.Background(), store.Options{Path: filepath.Join(t.TempDir(), "reeve.db")})
	need(t, err)
	t.Cleanup(func() { need(t, db.Close()) })
	y := &yard{db: db}
	y.micros.Store(time.Date(2026, 4, 16, 10, 0, 0, 0, time.UTC).UnixMicro())
	clock := func() time.Time { return time.UnixMicro(y.micros.Load()) }
	ids := identity.New(db, bytes.Repeat([]byte("s"), identity.SecretSize), identity.Options{Now: clock})
	y.Service = New(db, ids, clock, slog.New(slog.DiscardHandler))
	p := core.Project{ID: core.NewID[core.ProjectID](), Name: "P", Active: true, CreatedAt: y.clock(), UpdatedAt: y.clock()}
	need(t, db.CreateProject(t.Context(), p))
	y.member = core.Principal{Kind: core.PrincipalToken, Project: p.ID, Role: core.RoleMember}
	y.env = y.environment(t)
	y.worker = core.Principal{Kind: core.PrincipalEnvironment, Project: p.ID, Environment: y.env.ID}
	return y
}

func (y *yard) move(d time.Duration) { y.micros.Add(d.Microseconds()) }

func (y *yard) environment(t *testing.T) core.Environment {
	t.Helper()
	e := core.Environment{
		Project: y.member.Project, ID: core.NewID[core.EnvironmentID](), Name: "box", Config: core.EnvironmentConfig{SelfHosted: true},
		Metadata: map[string]string{}, CreatedAt: y.clock(), UpdatedAt: y.clock(),
	}
	need(t, y.db.CreateEnvironment(t.Context(), e))
	return e
}

// queued makes a session and its item. waits: a tool use of it has no result.
func (y *yard) queued(t *testing.T, waits bool) core.Work {
	t.Helper()
	s := core.Session{
		Project: y.member.Project, ID: core.NewID[core.SessionID](), Origin: core.OriginManaged, Environment: y.env.ID,
		Metadata: map[string]string{}, Status: core.StatusIdle, CreatedAt: y.clock(), UpdatedAt: y.clock(),
	}
	if waits {
		s.StopReason = &core.StopReason{Type: core.StopRequiresAction, Events: []core.EventID{"e"}}
	}
	need(t, y.db.CreateSession(t.Context(), s))
	w := core.NewWork(s, y.clock())
	news, err := y.db.QueueWork(t.Context(), w)
	if err != nil || !news {
		t.Fatalf("queue: %v, %v", news, err)
	}
	return w
}

// taken is queued, acknowledged, and active after one heartbeat.
func (y *yard) taken(t *testing.T, waits bool) core.Work {
	t.Helper()
	w := y.queued(t, waits)
	_, err := y.Acknowledge(t.Context(), y.worker, y.env.ID, w.ID)
	need(t, err)
	w, extended, err := y.Heartbeat(t.Context(), y.worker, y.env.ID, w.ID, Beat{Expected: &time.Time{}})
	if err != nil || !extended {
		t.Fatalf("heartbeat: %v, %v", extended, err)
	}
	return w
}

// poll asks at once, and returns the id of what it got; empty: nothing.
func (y *yard) poll(t *testing.T) core.WorkID {
	t.Helper()
	offer, err := y.Poll(t.Context(), y.worker, y.env.ID, Poll{Reclaim: DefaultReclaim})
	need(t, err)
	if offer == nil {
		return ""
	}
	return offer.ID
}

// of returns all items of the environment, newest first.
func (y *yard) of(t *testing.T) []core.Work {
	t.Helper()
	list, err := y.Works(t.Context(), y.member, y.env.ID, core.WorkPage{Limit: 10})
	need(t, err)
	return list
}

func need(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func code(err error) string {
	if err == nil {
		return ""
	}
	return core.CodeOf(err)
}
