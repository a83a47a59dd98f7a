package session_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/reeve-ai/reeve/internal/bus"
	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/session"
	"github.com/reeve-ai/reeve/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// house is a database with one session, and nobody who runs its turns: tests write the log themselves.
type house struct {
	*session.Service
	db   *store.DB
	bus  *bus.Bus
	by   core.Principal
	sess core.Session
	// looked is called behind every read of a session through the service. Nil: nothing.
	looked func()
	full   error // what Admit answers
}

func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

func build(t *testing.T) *house {
	t.Helper()
	db, err := store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "reeve.db")})
	need(t, err)
	t.Cleanup(func() { need(t, db.Close()) })
	h := &house{db: db, bus: bus.New()}
	h.Service = session.New(reads{db, h}, nil, nil, h.bus, idleNode{h}, now)
	ctx, at := t.Context(), now()
	p := core.Project{ID: core.NewID[core.ProjectID](), Name: "P", Active: true, CreatedAt: at, UpdatedAt: at}
	need(t, db.CreateProject(ctx, p))
	h.by = core.Principal{Kind: core.PrincipalToken, Project: p.ID, Role: core.RoleAdmin}
	h.sess = core.Session{
		Project: p.ID, ID: core.NewID[core.SessionID](), Origin: core.OriginManaged, Metadata: map[string]string{},
		Status: core.StatusIdle, CreatedAt: at, UpdatedAt: at,
	}
	need(t, db.CreateSession(ctx, h.sess))
	return h
}

// append writes to the log and nudges, as a runner does. Each payload is a message of the agent.
func (h *house) append(t *testing.T, drafts ...core.Draft) []core.Event {
	t.Helper()
	events, err := h.db.Append(t.Context(), h.by.Project, h.sess.ID, now(), drafts...)
	need(t, err)
	h.bus.Wake(h.sess.ID)
	return events
}

func (h *house) draft(typ core.EventType, payload any) core.Draft {
	return core.NewDraft(core.PrimaryThread(h.sess.ID), "", typ, payload)
}

// reads tells its house of every session that is read outside transactions.
type reads struct {
	core.Store
	h *house
}

func (r reads) Session(ctx context.Context, p core.ProjectID, id core.SessionID) (core.Session, error) {
	s, err := r.Store.Session(ctx, p, id)
	if r.h.looked != nil {
		r.h.looked()
	}
	return s, err
}

// idleNode takes leases and runs nothing.
type idleNode struct{ h *house }

func (n idleNode) Node() string                     { return "node" }
func (n idleNode) Admit() error                     { return n.h.full }
func (idleNode) LeaseUntil(now time.Time) time.Time { return now.Add(time.Minute) }
func (idleNode) Start(core.Lease)                   {}
func (idleNode) Interrupt(core.ThreadID, int64)     {}

func need(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
