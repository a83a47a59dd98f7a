package catalog_test

import (
	"errors"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/reeve-ai/reeve/internal/catalog"
	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/provider"
	"github.com/reeve-ai/reeve/internal/store"
	"github.com/reeve-ai/reeve/internal/tool"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fixture is the service over a fresh database with two projects.
type fixture struct {
	*catalog.Service
	store  *store.DB
	models core.Models
	admin  core.Principal // of the first project
	member core.Principal // of the first project
	viewer core.Principal // of the first project
	other  core.Principal // an admin of the second project
}

// model is a name that every installation can serve.
const model = "claude-sonnet-5"

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
	models, err := provider.Open(provider.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var ticks atomic.Int64
	start := time.Date(2026, 4, 16, 10, 0, 0, 123456789, time.UTC)
	now := func() time.Time { return start.Add(time.Duration(ticks.Add(1)) * time.Second) }
	f := fixture{Service: catalog.New(db, models, tool.NewRegistry(), now), store: db, models: models}
	principal := func(role core.Role) core.Principal {
		return core.Principal{Kind: core.PrincipalToken, Role: role, Project: project(t, db), User: core.NewID[core.UserID]()}
	}
	f.admin, f.other = principal(core.RoleAdmin), principal(core.RoleAdmin)
	f.member, f.viewer = f.admin, f.admin
	f.member.Role, f.viewer.Role = core.RoleMember, core.RoleViewer
	return f
}

func project(t *testing.T, db *store.DB) core.ProjectID {
	t.Helper()
	p := core.Project{ID: core.NewID[core.ProjectID](), Name: "project", Active: true}
	if err := db.CreateProject(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	return p.ID
}

// create makes an agent that must be accepted.
func (f fixture) create(t *testing.T, spec core.AgentSpec) core.Agent {
	t.Helper()
	a, err := f.CreateAgent(t.Context(), f.admin, spec, catalog.CreateOptions{Limits: catalog.ClaudeLimits})
	if err != nil {
		t.Fatal(err)
	}
	return a
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
