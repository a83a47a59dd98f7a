package observe_test

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/reeve-ai/reeve/internal/catalog"
	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/identity"
	"github.com/reeve-ai/reeve/internal/observe"
	"github.com/reeve-ai/reeve/internal/session"
	"github.com/reeve-ai/reeve/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// noon is when everything happens, but for tests of the clock.
var noon = time.Date(2026, 5, 2, 12, 0, 0, 123456000, time.UTC)

// fixture is the service over fresh databases, with one agent in each of two projects.
type fixture struct {
	*observe.Service
	db       *store.DB
	captures *store.CaptureDB
	agents   *catalog.Service
	sessions *session.Service
	identity *identity.Service

	viewer  core.Principal
	agent   core.Agent
	session core.SessionID
	from    observe.Source // the agent itself
	sdk     observe.Source // the backend that the agent calls

	other     core.Principal // a viewer of the second project
	otherFrom observe.Source
}

func setup(t *testing.T, o observe.Options, limits identity.Limits) *fixture {
	t.Helper()
	if o.Now == nil {
		o.Now = func() time.Time { return noon }
	}
	dir := t.TempDir()
	db, err := store.Open(t.Context(), store.Options{Path: filepath.Join(dir, "reeve.db")})
	need(t, err)
	t.Cleanup(func() { need(t, db.Close()) })
	captures, err := store.OpenCaptures(t.Context(), store.Options{Path: filepath.Join(dir, "captures.db")})
	need(t, err)
	t.Cleanup(func() { need(t, captures.Close()) })
	if limits == (identity.Limits{}) {
		limits = identity.Limits{AgentRate: 1e6, AgentBurst: 1e6}
	}
	f := &fixture{
		db: db, captures: captures,
		agents:   catalog.New(db, nil, nil, o.Now),
		sessions: session.New(db, nil, nil, nil, nil, o.Now),
		identity: identity.New(db, make([]byte, identity.SecretSize), identity.Options{Now: o.Now, Limits: limits}),
	}
	f.Service = observe.New(captures, f.agents, f.sessions, f.identity, o)
	f.viewer, f.agent, f.from = f.project(t)
	f.session = f.from.Session
	f.sdk = f.from
	f.sdk.By.Kind, f.sdk.By.Agent = core.PrincipalSDK, ""
	f.other, _, f.otherFrom = f.project(t)
	return f
}

// project makes a project with an agent and an open session of it.
func (f *fixture) project(t *testing.T) (core.Principal, core.Agent, observe.Source) {
	t.Helper()
	p := core.Project{ID: core.NewID[core.ProjectID](), Name: "Parcel Desk", Active: true, CreatedAt: noon, UpdatedAt: noon}
	need(t, f.db.CreateProject(t.Context(), p))
	a := core.Agent{
		Project: p.ID, ID: core.NewID[core.AgentID](), Version: 1, AgentSpec: core.AgentSpec{Name: "Route Planner"},
		Active: true, CreatedAt: noon, UpdatedAt: noon, VersionMadeAt: noon,
	}
	need(t, f.db.CreateAgent(t.Context(), a))
	viewer := core.Principal{Kind: core.PrincipalUser, Project: p.ID, Role: core.RoleViewer}
	by := core.Principal{Kind: core.PrincipalAgent, Project: p.ID, Agent: a.ID}
	return viewer, a, observe.Source{By: by, Agent: a.ID, Session: f.open(t, by), Secrets: []string{"agent-key-4711", "session-token-4711"}}
}

// open opens another session of an agent.
func (f *fixture) open(t *testing.T, by core.Principal) core.SessionID {
	t.Helper()
	sess, err := f.sessions.Observe(t.Context(), by, nil)
	need(t, err)
	return sess.ID
}

// call is a report that is valid.
func call(path string, status int64) observe.Report {
	return observe.Report{Path: path, Method: "GET", StatusCode: status, LatencyMS: 20}
}

// record stores reports that must all be valid.
func (f *fixture) record(t *testing.T, from observe.Source, reports ...observe.Report) []observe.Outcome {
	t.Helper()
	outcomes, err := f.RecordAll(t.Context(), from, reports)
	need(t, err)
	for i, o := range outcomes {
		if o.Err != nil {
			t.Fatalf("report %d: %v", i, o.Err)
		}
	}
	return outcomes
}

// stored is everything in the agent's session.
func (f *fixture) stored(t *testing.T) []core.Capture {
	t.Helper()
	list, next, err := f.Captures(t.Context(), f.viewer, f.agent.ID, f.session, core.CaptureQuery{Limit: observe.MaxPage})
	need(t, err)
	if next != nil {
		t.Fatal("the session goes on")
	}
	return list
}

func need(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantError checks the kind and the code of an error, and the field of an Invalid one.
func wantError(t *testing.T, what string, err error, kind core.Kind, code, field string) {
	t.Helper()
	var e *core.Error
	if !errors.As(err, &e) {
		t.Errorf("%s: error = %v, want %v (%s)", what, err, kind, code)
		return
	}
	if e.Kind != kind || core.CodeOf(err) != code || e.Field != field {
		t.Errorf("%s: error = %v (%s) of field %q, want %v (%s) of field %q", what, err, core.CodeOf(err), e.Field, kind, code, field)
	}
}
