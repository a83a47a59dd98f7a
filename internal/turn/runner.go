package turn

import (
	"context"
	"log/slog"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// Options are the numbers of a node. Zero fields take the defaults named behind them.
type Options struct {
	Node             string        // who takes the leases; the same after a restart
	LeaseTTL         time.Duration // 10 s: how long a dead node's turns wait
	Sweep            time.Duration // 1 s: how often to look for turns that nobody runs
	MaxRunning       int           // 512 turns at one time; more wait on this node
	MaxWaiting       int           // 10,000 turns running or waiting; more are refused with 429
	SoftStop         time.Duration // 10 s for running turns to end before they are handed back
	MaxSteps         int           // 200 model calls in one turn
	MaxAttempts      int           // 6 tries of one model call
	MaxParallelTools int           // 16 tool uses of one answer at one time
	BackoffBase      time.Duration // 500 ms before the second try, doubling
	BackoffMax       time.Duration // 30 s, also for what a vendor asks for
	OutputTokens     int64         // 8,192: the limit of an answer where the catalogue names none
	SandboxLimits    core.SandboxLimits
	Heartbeat        time.Duration // 15 s: how often the log says that an evaluation goes on
	MCP              core.MCP      // nil: agents' MCP servers are not reached
	// Workspaces lays out what a session's sandbox sees. It may be nil where no tool uses a sandbox.
	Workspaces core.Workspaces
	// Environments is what recipes give to sandboxes; nil: nothing, not even a network.
	Environments core.Environments
	// Files are what content blocks may name; nil: models are told that they are gone.
	Files core.FileSource
	// WorkReady is called behind a commit that queued a work item for an environment; nil: nobody listens.
	WorkReady func(core.EnvironmentID)
}

func (o Options) withDefaults() Options {
	set := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	count := func(n *int, v int) {
		if *n <= 0 {
			*n = v
		}
	}
	set(&o.LeaseTTL, 10*time.Second)
	set(&o.Sweep, time.Second)
	set(&o.SoftStop, 10*time.Second)
	set(&o.BackoffBase, 500*time.Millisecond)
	set(&o.BackoffMax, 30*time.Second)
	set(&o.Heartbeat, 15*time.Second)
	count(&o.MaxRunning, 512)
	count(&o.MaxWaiting, 10_000)
	count(&o.MaxSteps, 200)
	count(&o.MaxAttempts, 6)
	count(&o.MaxParallelTools, 16)
	if o.OutputTokens <= 0 {
		o.OutputTokens = 8192
	}
	return o
}

// Sandboxes gives a session its one living sandbox.
type Sandboxes interface {
	Sandbox(ctx context.Context, spec core.SandboxSpec) (core.Sandbox, error)
}

// Runner drives turns. It owns no state besides what it was given and a short memory.
type Runner struct {
	store     core.Store
	models    core.Models
	registry  core.Tools
	sandboxes Sandboxes
	bus       core.Bus
	now       func() time.Time
	log       *slog.Logger
	opts      Options
	start     func(core.Lease) // takes over the lease of a turn that a run owes another thread; set by NewDispatcher
	recent    memory           // made by Dispatcher.Run, which also closes it
}

// NewRunner returns a runner. now is the clock, in UTC.
func NewRunner(store core.Store, models core.Models, tools core.Tools, sandboxes Sandboxes, bus core.Bus, now func() time.Time, log *slog.Logger, opts Options) *Runner {
	return &Runner{store: store, models: models, registry: tools, sandboxes: sandboxes, bus: bus, now: now, log: log, opts: opts.withDefaults()}
}
