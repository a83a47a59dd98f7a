package deployment_test

import (
	"context"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/reeve-ai/reeve/internal/bus"
	"github.com/reeve-ai/reeve/internal/catalog"
	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/deployment"
	"github.com/reeve-ai/reeve/internal/provider"
	"github.com/reeve-ai/reeve/internal/session"
	"github.com/reeve-ai/reeve/internal/store"
	"github.com/reeve-ai/reeve/internal/tool"
	"github.com/reeve-ai/reeve/internal/vault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// house is a database with an agent, an environment and a vault, the real services on it, and nobody who
// runs turns. Its clock stands still until a test moves it.
type house struct {
	*deployment.Service
	db       *store.DB
	catalog  *catalog.Service
	sessions *session.Service
	vaults   *vault.Service
	node     *node
	by       core.Principal // an administrator
	agent    core.Agent
	env      core.Environment
	vault    core.Vault

	mu  sync.Mutex
	now time.Time
}

// noon is when the tests begin: a Wednesday.
var noon = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

func (h *house) clock() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *house) setClock(t time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = t
}

func build(t *testing.T) *house {
	t.Helper()
	ctx := t.Context()
	db, err := store.Open(ctx, store.Options{Path: filepath.Join(t.TempDir(), "reeve.db")})
	need(t, err)
	t.Cleanup(func() { need(t, db.Close()) })
	models, err := provider.Open(provider.Options{})
	need(t, err)
	h := &house{db: db, node: &node{}, now: noon}
	h.catalog = catalog.New(db, models, tool.NewRegistry(), h.clock)
	h.vaults = vault.New(db, []byte(strings.Repeat("s", 32)), http.DefaultTransport, vault.Options{Log: silent(), Now: h.clock})
	t.Cleanup(h.vaults.Close)
	h.sessions = h.sessionsOn(db, models)
	h.Service = h.on(db)
	p := core.Project{ID: core.NewID[core.ProjectID](), Name: "P", Active: true, CreatedAt: noon, UpdatedAt: noon}
	need(t, db.CreateProject(ctx, p))
	h.by = core.Principal{Kind: core.PrincipalToken, Project: p.ID, Role: core.RoleAdmin}
	h.agent, err = h.catalog.CreateAgent(ctx, h.by, core.AgentSpec{Name: "Helper", Model: core.ModelChoice{ID: "claude-sonnet-5"}}, catalog.CreateOptions{Limits: catalog.ClaudeLimits})
	need(t, err)
	h.env, err = h.catalog.CreateEnvironment(ctx, h.by, core.Environment{Name: "box"})
	need(t, err)
	h.vault = core.Vault{Project: p.ID, ID: core.NewID[core.VaultID](), Name: "v", Metadata: map[string]string{}, CreatedAt: noon, UpdatedAt: noon}
	need(t, db.CreateVault(ctx, h.vault))
	return h
}

func (h *house) sessionsOn(s core.Store, models core.Models) *session.Service {
	sessions := session.New(s, models, h.catalog, bus.New(), h.node, h.clock)
	sessions.UseVaults(h.vaults.Check)
	return sessions
}

// on is a service of another node, on a store of its own make.
func (h *house) on(s core.Store) *deployment.Service {
	return deployment.New(s, h.sessions, deployment.Options{Now: h.clock, Log: silent()})
}

func silent() *slog.Logger { return slog.New(slog.DiscardHandler) }

// hourly is a deployment that fires at every full hour.
func (h *house) hourly(t *testing.T, edit ...func(*core.Deployment)) core.Deployment {
	t.Helper()
	d, err := h.Create(t.Context(), h.by, h.draft(edit...))
	need(t, err)
	return d
}

func (h *house) draft(edit ...func(*core.Deployment)) core.Deployment {
	d := core.Deployment{
		Name: "hourly", Agent: h.agent.ID, Environment: h.env.ID, VaultIDs: []string{string(h.vault.ID)},
		Events:   []core.InitialEvent{{Type: core.EventUserMessage, Message: &core.Message{Content: core.Text("look around")}}},
		Schedule: &core.Schedule{Expression: "0 * * * *", Timezone: "UTC"},
	}
	for _, f := range edit {
		f(&d)
	}
	return d
}

// reload reads a deployment anew.
func (h *house) reload(t *testing.T, d core.Deployment) core.Deployment {
	t.Helper()
	d, err := h.Deployment(t.Context(), h.by, d.ID)
	need(t, err)
	return d
}

// runs lists a deployment's runs, oldest first.
func (h *house) runs(t *testing.T, d core.Deployment) []core.DeploymentRun {
	t.Helper()
	list, err := h.DeploymentRuns(t.Context(), h.by, core.DeploymentRunPage{Limit: 100, Deployment: d.ID})
	need(t, err)
	out := make([]core.DeploymentRun, len(list))
	for i, r := range list {
		out[len(list)-1-i] = r
	}
	return out
}

// made lists a deployment's sessions.
func (h *house) made(t *testing.T, d core.Deployment) []core.Session {
	t.Helper()
	list, err := h.sessions.Sessions(t.Context(), h.by, core.SessionPage{Limit: 100, Deployment: d.ID})
	need(t, err)
	return list
}

// sweep lets what is due at a time fire, and checks how many runs that makes.
func (h *house) sweep(t *testing.T, now time.Time, want int) {
	t.Helper()
	h.setClock(now)
	n, err := h.Sweep(t.Context())
	need(t, err)
	if n != want {
		t.Fatalf("at %s: %d runs, want %d", now, n, want)
	}
}

// node takes leases and runs nothing.
type node struct {
	mu      sync.Mutex
	full    error // what Admit answers
	started []core.Lease
}

func (n *node) Node() string                       { return "node" }
func (n *node) LeaseUntil(now time.Time) time.Time { return now.Add(time.Minute) }
func (n *node) Interrupt(core.ThreadID, int64)     {}

func (n *node) Admit() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.full
}

func (n *node) refuse(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.full = err
}

func (n *node) Start(l core.Lease) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.started = append(n.started, l)
}

func (n *node) leases() []core.Lease {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.started
}

// dying is the store of a node that dies at the end of its next transaction that has written.
type dying struct {
	core.Store
	dead chan struct{} // closed with the death
}

var errKilled = core.Errorf(core.Unavailable, "killed", "kill -9")

func (d dying) Tx(ctx context.Context, fn func(tx core.Store) error) error {
	return d.Store.Tx(ctx, func(tx core.Store) error {
		select {
		case <-d.dead:
			return errKilled
		default:
		}
		if err := fn(tx); err != nil {
			return err
		}
		close(d.dead)
		return errKilled
	})
}

func need(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func same[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}
