package memory_test

import (
	"errors"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/memory"
	"github.com/reeve-ai/reeve/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fixture is the service over a fresh database with two projects.
type fixture struct {
	*memory.Service
	store                 *store.DB
	admin, member, viewer core.Principal // of one project
	other                 core.Principal // an admin of the other
}

// setup's clock moves on by a second with every reading, so that times can be told apart.
func setup(t *testing.T) fixture {
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
	var ticks atomic.Int64
	start := time.Date(2026, 4, 16, 10, 0, 0, 123456789, time.UTC)
	f := fixture{store: db, Service: memory.New(db, func() time.Time { return start.Add(time.Duration(ticks.Add(1)) * time.Second) }, nil)}
	principal := func() core.Principal {
		p := core.Project{ID: core.NewID[core.ProjectID](), Name: "project", Active: true}
		if err := db.CreateProject(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		return core.Principal{
			Kind: core.PrincipalToken, Role: core.RoleAdmin, Project: p.ID,
			User: core.NewID[core.UserID](), Credential: core.NewID[core.CredentialID](),
		}
	}
	f.admin, f.other = principal(), principal()
	f.member, f.viewer = f.admin, f.admin
	f.member.Role, f.viewer.Role = core.RoleMember, core.RoleViewer
	return f
}

func (f fixture) newStore(t *testing.T) core.MemoryStore {
	t.Helper()
	s, err := f.CreateStore(t.Context(), f.member, core.MemoryStore{Name: "store"}, memory.ClaudeLimits)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (f fixture) create(t *testing.T, s core.MemoryStore, path, content string) core.Memory {
	t.Helper()
	m, err := f.Create(t.Context(), f.member, s.ID, memory.NewMemory{Path: path, Content: content}, memory.ClaudeLimits)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// versions are all of a store, newest first, with their contents.
func (f fixture) versions(t *testing.T, s core.MemoryStore) []core.MemoryVersion {
	t.Helper()
	list, err := f.Versions(t.Context(), f.viewer, s.ID, core.MemoryVersionPage{Limit: 100, Contents: true})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// wantError checks the kind and the code of an error, and the field of an Invalid one.
func wantError(t *testing.T, err error, kind core.Kind, code, field string) {
	t.Helper()
	var e *core.Error
	if !errors.As(err, &e) {
		t.Fatalf("error = %v, want %v (%s)", err, kind, code)
	}
	if e.Kind != kind || core.CodeOf(err) != code || e.Field != field {
		t.Errorf("error = %v (%s) of field %q, want %v (%s) of field %q: %s", e.Kind, core.CodeOf(err), e.Field, kind, code, field, e.Message)
	}
}
