package identity

import (
	"bytes"
	"context"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is the service on a database of its own, with a clock that only the test moves.
type world struct {
	*Service
	db    *store.DB
	clock *stopped
}

type stopped struct{ micros atomic.Int64 }

func (c *stopped) now() time.Time       { return time.UnixMicro(c.micros.Load()) }
func (c *stopped) move(d time.Duration) { c.micros.Add(d.Microseconds()) }

var testSecret = bytes.Repeat([]byte("s"), SecretSize)

func setup(t *testing.T) world {
	t.Helper()
	return setupLimited(t, Limits{})
}

func setupLimited(t *testing.T, limits Limits) world {
	t.Helper()
	db, err := store.Open(context.Background(), store.Options{Path: filepath.Join(t.TempDir(), "reeve.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	c := &stopped{}
	c.micros.Store(time.Date(2026, 4, 16, 10, 0, 0, 250_000_000, time.UTC).UnixMicro())
	return world{Service: New(db, testSecret, Options{Now: c.now, Limits: limits}), db: db, clock: c}
}

const goodPassword = "correct horse battery"

func (w world) person(t *testing.T, email string) (core.User, core.Principal, string) {
	t.Helper()
	u, token, err := w.SignUp(t.Context(), SignUp{FirstName: "Mira", LastName: "Okafor", Email: email, Password: goodPassword})
	if err != nil {
		t.Fatal(err)
	}
	_, by, err := w.User(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	return u, by, token
}

// project makes a project of a new person and returns its administrator.
func (w world) project(t *testing.T, email string) core.Principal {
	t.Helper()
	u, by, _ := w.person(t, email)
	p, err := w.CreateProject(t.Context(), by, NewProject{Name: "Parcel Desk"})
	if err != nil {
		t.Fatal(err)
	}
	admin, _, err := w.Member(t.Context(), u.ID, p.ID)
	if err != nil {
		t.Fatal(err)
	}
	return admin
}

// agent makes an agent with its first key.
func (w world) agent(t *testing.T, by core.Principal) (core.Agent, string, core.Credential) {
	t.Helper()
	now := w.Service.clock()
	a := core.Agent{
		Project: by.Project, ID: core.NewID[core.AgentID](), Version: 1, Active: true, AgentSpec: core.AgentSpec{Name: "Router"},
		CreatedBy: by.User, CreatedAt: now, UpdatedAt: now, VersionMadeAt: now,
	}
	plain, key := w.NewAgentKey(a, by)
	err := w.db.Tx(t.Context(), func(tx core.Store) error {
		if err := tx.CreateAgent(t.Context(), a); err != nil {
			return err
		}
		return tx.CreateCredential(t.Context(), key)
	})
	if err != nil {
		t.Fatal(err)
	}
	return a, plain, key
}

// session makes an observed session of an agent and returns its token.
func (w world) session(t *testing.T, a core.Agent, key core.CredentialID) (core.Session, string) {
	t.Helper()
	now := w.Service.clock()
	s := core.Session{
		Project: a.Project, ID: core.NewID[core.SessionID](), Origin: core.OriginObserved, Agent: a.ID, AgentKey: key,
		Metadata: map[string]string{}, Status: core.StatusRunning, CreatedAt: now, UpdatedAt: now,
	}
	if err := w.db.CreateSession(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	token, err := w.SessionToken(s, now)
	if err != nil {
		t.Fatal(err)
	}
	return s, token
}

// wantError fails the test unless err has this kind and code.
func wantError(t *testing.T, err error, kind core.Kind, code string) {
	t.Helper()
	if err == nil || core.KindOf(err) != kind || core.CodeOf(err) != code {
		t.Errorf("error = %v, want %s (%s)", err, kind, code)
	}
}
