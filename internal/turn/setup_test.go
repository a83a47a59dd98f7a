package turn_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/reeve-ai/reeve/internal/bus"
	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/provider"
	"github.com/reeve-ai/reeve/internal/provider/fake"
	"github.com/reeve-ai/reeve/internal/session"
	"github.com/reeve-ai/reeve/internal/store"
	"github.com/reeve-ai/reeve/internal/turn"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// house is what outlives a node: the database, the model, the tools, and one session.
type house struct {
	db     *store.DB
	models *provider.Catalogue
	fake   *fake.Provider
	tools  toolset
	bus    *bus.Bus
	mcp    core.MCP     // nil: none
	skew   atomic.Int64 // nanoseconds that the clock was put forward
	by     core.Principal
	sess   core.Session
}

const catalogue = `
models:
  - {name: scripted, provider: fake, target: scripted, max_output_tokens: 1000}
  - {name: small, provider: fake, target: small, max_input_tokens: 1000, max_output_tokens: 1000}
  - {name: priced, provider: fake, target: priced, max_output_tokens: 1000, prices: {input: 1000, output: 2000}}
default: scripted
`

// build makes a house with a session whose agent has every tool of the house, and a custom tool "ask_me".
func build(t *testing.T, script *fake.Provider, tools toolset) *house {
	t.Helper()
	return buildWith(t, script, tools, func(*core.AgentSpec) {})
}

// buildWith is build with a change to the agent.
func buildWith(t *testing.T, script *fake.Provider, tools toolset, change func(*core.AgentSpec)) *house {
	t.Helper()
	folder := t.TempDir()
	need(t, os.WriteFile(filepath.Join(folder, "models.yaml"), []byte(catalogue), 0o600))
	h := &house{fake: script, tools: tools, bus: bus.New()}
	var err error
	h.models, err = provider.Open(provider.Options{Data: folder, Getenv: func(string) string { return "" }, Extra: map[string]core.Provider{"fake": script}})
	need(t, err)
	h.db, err = store.Open(t.Context(), store.Options{Path: filepath.Join(folder, "reeve.db")})
	need(t, err)
	t.Cleanup(func() { need(t, h.db.Close()) })

	now, ctx := h.now(), t.Context()
	p := core.Project{ID: core.NewID[core.ProjectID](), Name: "P", Active: true, CreatedAt: now, UpdatedAt: now}
	need(t, h.db.CreateProject(ctx, p))
	agent := core.Agent{
		Project: p.ID, ID: core.NewID[core.AgentID](), Version: 1, Active: true, CreatedAt: now, UpdatedAt: now, VersionMadeAt: now,
		AgentSpec: core.AgentSpec{Name: "agent", Tools: []core.Toolset{
			{Kind: core.ToolsetBuiltin, Configs: []core.ToolConfig{{Name: "asked", Policy: core.PolicyAsk}}},
			{Kind: core.ToolsetCustom, Name: "ask_me", InputSchema: json.RawMessage(`{"type":"object"}`)},
		}},
	}
	change(&agent.AgentSpec)
	need(t, h.db.CreateAgent(ctx, agent))
	env := core.Environment{Project: p.ID, ID: core.NewID[core.EnvironmentID](), Name: "box", Metadata: map[string]string{}, CreatedAt: now, UpdatedAt: now}
	need(t, h.db.CreateEnvironment(ctx, env))
	h.by = core.Principal{Kind: core.PrincipalToken, Project: p.ID, Role: core.RoleAdmin}
	h.sess, err = h.open(h.db, turn.Options{}).Create(ctx, h.by, session.NewSession{Agent: agent.ID, Environment: env.ID})
	need(t, err)
	return h
}

func (h *house) now() time.Time {
	return time.Now().Add(time.Duration(h.skew.Load())).UTC().Truncate(time.Microsecond)
}

// node is one life of a server.
type node struct {
	*session.Service
	*turn.Dispatcher
	h *house
}

// open makes a node that runs its turns on a store of the test's own. It does nothing before run.
func (h *house) open(runs core.Store, opts turn.Options) node {
	if opts.Node == "" {
		opts.Node = "node"
	}
	opts.SoftStop, opts.BackoffBase, opts.MCP = time.Millisecond, time.Millisecond, h.mcp
	runner := turn.NewRunner(runs, h.models, h.tools, nil, h.bus, h.now, slog.New(slog.DiscardHandler), opts)
	d := turn.NewDispatcher(runner)
	return node{session.New(h.db, h.models, nil, h.bus, d, h.now), d, h}
}

// run runs the node's turns until the returned function is called, which waits for the end.
func (n node) run(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1) // holds the one result
	go func() { ended <- n.Dispatcher.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		need(t, <-ended)
	}
	t.Cleanup(stop)
	return stop
}

func message(text string) session.Input {
	return session.Input{Message: &core.Message{Content: core.Text(text)}}
}

func (n node) send(t *testing.T, in ...session.Input) {
	t.Helper()
	_, err := n.Send(t.Context(), n.h.by, n.h.sess.ID, in, session.SendOptions{})
	need(t, err)
}

// untilIdle waits for an idle behind the Seq after, and returns the Seq and the reason.
func (n node) untilIdle(t *testing.T, after int64) (int64, core.StopReason) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // a deadline, not a delay
	defer cancel()
	for feed, err := range n.Follow(ctx, n.h.by, n.h.sess.ID, session.FollowOptions{After: after}) {
		need(t, err)
		if feed.Event != nil && feed.Event.Type == core.EventStatusIdle {
			stop, err := core.Payload[core.StopReason](*feed.Event)
			need(t, err)
			return feed.Event.Seq, stop
		}
	}
	t.Fatal("the session did not become idle")
	return 0, core.StopReason{}
}

// log returns the session's whole log.
func (h *house) log(t *testing.T) []core.Event {
	t.Helper()
	events, err := h.db.Events(t.Context(), h.by.Project, h.sess.ID, core.EventQuery{Limit: 10_000})
	need(t, err)
	return events
}

// toolset is the tools of a house, and its core.Tools.
type toolset []*counted

func (s toolset) Builtin(name string) (core.Tool, bool) {
	for _, c := range s {
		if c.name == name {
			return c, true
		}
	}
	return nil, false
}

func (s toolset) Toolset() []string {
	names := make([]string, len(s))
	for i, c := range s {
		names[i] = c.name
	}
	return names
}

func (toolset) Capability(string) (core.Capability, bool) { return core.Capability{}, false }
func (toolset) Capabilities() []core.Capability           { return nil }

// counted is a tool that counts how often it ran.
type counted struct {
	name       string
	repeatable bool
	gate       chan struct{} // if not nil, each run takes a value, and then waits for another
	runs       atomic.Int64
}

func (c *counted) Spec() core.ToolSpec {
	return core.ToolSpec{Name: c.name, InputSchema: json.RawMessage(`{"type":"object"}`)}
}
func (c *counted) Repeatable() bool { return c.repeatable }

func (c *counted) Run(_ context.Context, _ core.ToolEnv, input json.RawMessage) (core.ToolOutput, error) {
	c.runs.Add(1)
	if c.gate != nil {
		<-c.gate
		<-c.gate
	}
	return core.ToolOutput{Content: core.Text(string(input))}, nil
}

var errCut = errors.New("the plug was pulled")

// frail is a store whose transactions fail from one on, as the process would end there. It runs every
// function twice, as a store may, and throws the first result away.
type frail struct {
	core.Store
	left  atomic.Int64 // transactions that still succeed
	cut   func()       // called at the first that does not
	twice func()       // called between the two runs of a function
}

func newFrail(s core.Store, left int64, cut func()) *frail {
	f := &frail{Store: s, cut: cut, twice: func() {}}
	f.left.Store(left)
	return f
}

func (f *frail) Tx(ctx context.Context, fn func(core.Store) error) error {
	switch left := f.left.Add(-1); {
	case left == -1:
		f.cut()
		fallthrough
	case left < 0:
		return errCut
	}
	errAgain := errors.New("again")
	err := f.Store.Tx(ctx, func(tx core.Store) error {
		if err := fn(tx); err != nil {
			return err
		}
		return errAgain
	})
	if !errors.Is(err, errAgain) {
		return err
	}
	f.twice()
	return f.Store.Tx(ctx, fn)
}

func need(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
