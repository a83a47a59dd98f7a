// Package app is the one place that knows everybody: it builds the parts, wires them, starts and stops
// them. The rules are in the services, the dialects in the faces.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/reeve-ai/reeve/internal/blob"
	"github.com/reeve-ai/reeve/internal/bus"
	"github.com/reeve-ai/reeve/internal/catalog"
	"github.com/reeve-ai/reeve/internal/config"
	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/deployment"
	"github.com/reeve-ai/reeve/internal/egress"
	"github.com/reeve-ai/reeve/internal/environment"
	"github.com/reeve-ai/reeve/internal/file"
	"github.com/reeve-ai/reeve/internal/identity"
	"github.com/reeve-ai/reeve/internal/memory"
	"github.com/reeve-ai/reeve/internal/observe"
	"github.com/reeve-ai/reeve/internal/provider"
	"github.com/reeve-ai/reeve/internal/sandbox"
	"github.com/reeve-ai/reeve/internal/session"
	"github.com/reeve-ai/reeve/internal/skill"
	"github.com/reeve-ai/reeve/internal/store"
	"github.com/reeve-ai/reeve/internal/tool"
	"github.com/reeve-ai/reeve/internal/tool/mcp"
	"github.com/reeve-ai/reeve/internal/turn"
	"github.com/reeve-ai/reeve/internal/vault"
	"github.com/reeve-ai/reeve/internal/webhook"
	"github.com/reeve-ai/reeve/internal/work"
	"github.com/reeve-ai/reeve/internal/workspace"
)

// Options are what only programs set, not operators.
type Options struct {
	Log       *slog.Logger             // nil: slog.Default()
	Providers map[string]core.Provider // besides the configured ones, by name; for tests and benchmarks
	Now       func() time.Time         // nil: the system clock
	Backoff   time.Duration            // before the second try of a model call; 0: the runner's default
	// AllowPrivate are addresses that the server may reach for vaults although they are not public.
	AllowPrivate []netip.Prefix
	// Statements, if not nil, counts what requests run in the databases, and nothing that runs beside them.
	Statements *atomic.Int64
}

// App is one node.
type App struct {
	cfg        config.Config
	log        *slog.Logger
	statements *atomic.Int64 // of requests; nil: not counted
	now        func() time.Time
	lock       *store.FolderLock
	db         *store.DB
	store      core.Store // db, with what happens in it told to webhooks
	seen       *store.CaptureDB
	first      *identity.Bootstrap
	ready      atomic.Bool

	identity    *identity.Service
	catalog     *catalog.Service
	memory      *memory.Service
	sessions    *session.Service
	observe     *observe.Service
	vaults      *vault.Service
	work        *work.Service
	deployments *deployment.Service
	webhooks    *webhook.Service
	depot       *blob.Depot
	files       *file.Service
	skills      *skill.Service
	workspaces  *workspace.Service
	unpacked    *workspace.SkillPart
	dispatcher  *turn.Dispatcher
	sandboxes   *sandbox.Pool
	servers     *mcp.Pool
	models      *provider.Catalogue
	bus         *bus.Bus
	notices     []string
	handler     http.Handler

	environments *environment.Service
}

// Open takes the data folder, opens the store and builds every part. Nothing runs yet. The caller must
// Close it.
//
// Errors: Conflict ("data_folder_in_use", "database_too_new"); mistakes in models.yaml; the disk.
func Open(ctx context.Context, cfg config.Config, opts Options) (_ *App, err error) {
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	clock := func() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }
	if opts.Now != nil {
		clock = func() time.Time { return opts.Now().UTC().Truncate(time.Microsecond) }
	}
	a := &App{cfg: cfg, log: opts.Log, now: clock, statements: opts.Statements}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Close())
		}
	}()
	if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	if a.lock, err = store.Lock(cfg.Data); err != nil {
		return nil, err
	}
	if a.db, a.identity, err = openIdentity(ctx, cfg, opts.Log, clock); err != nil {
		return nil, err
	}
	if a.seen, err = store.OpenCaptures(ctx, store.Options{
		Path: filepath.Join(cfg.Data, "captures.db"), Durability: store.Durability(cfg.Database.Durability), Log: opts.Log,
	}); err != nil {
		return nil, err
	}
	if made, isFirst, err := a.identity.Bootstrap(ctx); err != nil {
		return nil, fmt.Errorf("first start: %w", err)
	} else if isFirst {
		a.first = &made
	}
	if err := a.build(ctx, opts); err != nil {
		return nil, err
	}
	return a, nil
}

// openIdentity opens what keys and people need: the database and the secret.
func openIdentity(ctx context.Context, cfg config.Config, log *slog.Logger, now func() time.Time) (*store.DB, *identity.Service, error) {
	secret, err := loadSecret(cfg.Data)
	if err != nil {
		return nil, nil, err
	}
	db, err := store.Open(ctx, store.Options{Path: filepath.Join(cfg.Data, "reeve.db"), Durability: store.Durability(cfg.Database.Durability), Log: log})
	if err != nil {
		return nil, nil, err
	}
	return db, identity.New(db, secret, identity.Options{
		Log: log, Now: now, Limits: identity.Limits{
			AgentRate: cfg.Limits.AgentRate, AgentBurst: cfg.Limits.AgentBurst,
			AgentBytes: cfg.Limits.AgentKB << 10, AgentBytesBurst: cfg.Limits.AgentBurstKB << 10,
			WritesPerMinute: cfg.Limits.CreatePerMinute, ReadsPerMinute: cfg.Limits.ReadPerMinute,
		},
	}), nil
}

// OpenIdentity opens the identity service alone, without the folder's lock, so that the operator's
// commands work beside a running server. The folder must have been used by a server before. The
// caller must call the returned function.
func OpenIdentity(ctx context.Context, cfg config.Config) (*identity.Service, func() error, error) {
	if _, err := os.Stat(filepath.Join(cfg.Data, "reeve.db")); err != nil {
		return nil, nil, fmt.Errorf("there is no Reeve database in %s: start `reeve serve` there first, or name its folder with --data", cfg.Data)
	}
	db, service, err := openIdentity(ctx, cfg, slog.Default(), time.Now)
	if err != nil {
		return nil, nil, err
	}
	return service, db.Close, nil
}

// build makes the services and the faces.
func (a *App) build(ctx context.Context, opts Options) error {
	var err error
	if a.models, err = provider.Open(provider.Options{
		Data:         a.cfg.Data,
		AnthropicKey: a.cfg.Models.AnthropicKey, AnthropicBaseURL: a.cfg.Models.AnthropicBaseURL,
		OpenAIKey: a.cfg.Models.OpenAIKey, OpenAIBaseURL: a.cfg.Models.OpenAIBaseURL,
		ModelURL: a.cfg.Models.ModelURL, ModelKey: a.cfg.Models.ModelKey, ModelName: a.cfg.Models.ModelName,
		Getenv: os.Getenv, Extra: opts.Providers, DemoDelay: a.cfg.Models.DemoDelay,
	}); err != nil {
		return err
	}
	driver, report, err := sandbox.Select(ctx, a.cfg.Sandbox.Mode, sandbox.Options{DataFolder: a.cfg.Data, Log: a.log})
	if err != nil {
		return err
	}
	a.notices = append(a.notices, report.Line, a.modelNotice())
	a.sandboxes = sandbox.NewPool(driver, a.cfg.Sandbox.Idle, 0)
	if err := a.openWebhooks(ctx); err != nil {
		return err
	}
	tools := tool.NewRegistry(a.toolOptions()...)
	a.bus = bus.New()
	a.memory = memory.New(a.store, a.now, a.log)
	a.catalog = catalog.New(a.store, a.models, tools, a.now)
	secret, err := loadSecret(a.cfg.Data)
	if err != nil {
		return err
	}
	a.vaults = vault.New(a.store, secret, a.outside().Transport(), vault.Options{Log: a.log, Now: a.now, RefreshFailed: a.webhooks.RefreshFailed})
	a.servers = mcp.NewPool(keyring{a.vaults}, mcp.Options{Egress: a.reachable(), Log: a.log})
	if err := a.openBlobs(secret); err != nil {
		return err
	}
	if err := a.openEnvironments(secret, report.Namespaces); err != nil {
		return err
	}
	tokens, err := vault.NewTokens(secret)
	if err != nil {
		return err
	}
	a.openWorkspaces(tokens)
	a.work = work.New(a.store, a.identity, a.now, a.log)
	runner := turn.NewRunner(a.store, a.models, tools, a.sandboxes, a.bus, a.now, a.log, turn.Options{
		Node: "local", WorkReady: a.work.Wake, LeaseTTL: a.cfg.Turns.LeaseTTL, SoftStop: a.cfg.Turns.SoftStop,
		MaxRunning: a.cfg.Turns.MaxRunning, MaxWaiting: a.cfg.Turns.MaxWaiting,
		MaxSteps: a.cfg.Turns.MaxSteps, MaxAttempts: a.cfg.Turns.MaxAttempts,
		BackoffBase: opts.Backoff,
		SandboxLimits: core.SandboxLimits{
			MemoryBytes: int64(a.cfg.Sandbox.MemoryMB) << 20, Processes: a.cfg.Sandbox.Processes, Command: a.cfg.Sandbox.CommandTimeout,
		},
		MCP:          a.servers,
		Workspaces:   a.workspaces,
		Environments: a.environments,
		Files:        a.files,
	})
	a.dispatcher = turn.NewDispatcher(runner)
	a.sessions = session.New(a.store, a.models, a.catalog, a.bus, a.dispatcher, a.now)
	if report.Driver == "" {
		a.sessions.RefuseSandboxes(core.Errorf(core.Invalid, "sandbox_unavailable",
			"the agent has tools that need a sandbox, and this server can isolate nothing: its operator can install bubblewrap, or pass --sandbox=none"))
	}
	a.observe = observe.New(a.seen, a.catalog, a.sessions, a.identity, observe.Options{
		Now: a.now, Redact: a.cfg.Captures.RedactHeaders, Retention: a.cfg.Captures.Retention, Log: a.log,
	})
	a.sessions.AfterDelete(a.forget)
	a.sessions.UseVaults(a.vaults.Check)
	a.sessions.UseSealer(tokens)
	a.sessions.UseSkills(a.catalog.NeedSkills)
	a.sessions.UseRubrics(a.files.Text)
	a.sessions.UseSandboxes(a.sandboxes.Close)
	a.sessions.OnWork(a.work.Wake)
	a.deployments = deployment.New(a.store, a.sessions, deployment.Options{Now: a.now, Log: a.log})
	a.handler = a.routes()
	return nil
}

// forget deletes what is kept of a session outside of the store.
func (a *App) forget(ctx context.Context, project core.ProjectID, session core.SessionID) error {
	a.depot.Wake() // its files went with it
	return errors.Join(
		a.observe.Forget(ctx, project, session),
		a.sandboxes.Close(session),
		a.environments.Forget(session),
		a.workspaces.Forget(ctx, project, session),
	)
}

// outside is the way to MCP servers and token endpoints.
func (a *App) outside() *egress.Client { return egress.New(a.reachable()) }

// reachable says where they may be.
func (a *App) reachable() egress.Options {
	var o egress.Options
	for _, prefix := range a.cfg.Egress.AllowPrivate {
		o.AllowPrivate = append(o.AllowPrivate, netip.MustParsePrefix(prefix)) // config.Validate has parsed it
	}
	return o
}

// openBlobs makes what keeps bytes outside of the database: files and skills.
func (a *App) openBlobs(secret []byte) error {
	folder, err := blob.OpenFolder(filepath.Join(a.cfg.Data, "blobs"))
	if err != nil {
		return err
	}
	a.depot = blob.NewDepot(a.db, folder, blob.Options{Log: a.log, Now: a.now})
	if a.files, err = file.New(a.db, a.depot, secret, file.Options{Log: a.log, Now: a.now}); err != nil {
		return err
	}
	a.skills = skill.New(a.db, a.depot, a.now)
	return nil
}

// modelNotice says which model answers when a client names none.
func (a *App) modelNotice() string {
	m, err := a.models.Model("")
	switch {
	case err != nil:
		return "models: " + err.Error()
	case m.Demo:
		return "models: no key is set, so the built-in demo model answers; set ANTHROPIC_API_KEY, OPENAI_API_KEY or --model-url for a real one"
	}
	return fmt.Sprintf("models: %s (%s, served by %s) unless a client names another", m.Name, m.Target, m.Provider)
}

// FirstStart returns what the first start made, to be shown once. False at every later start.
func (a *App) FirstStart() (identity.Bootstrap, bool) {
	if a.first == nil {
		return identity.Bootstrap{}, false
	}
	return *a.first, true
}

// Notices are lines for the operator at start-up: which sandbox is in use and what it lacks, and
// which models answer.
func (a *App) Notices() []string { return a.notices }

// Stats counts what the database did since Open.
func (a *App) Stats() store.Stats { return a.db.Stats() }

const (
	// headerTimeout also ends a connection that was opened and not used: not too soon for clients that dial ahead.
	headerTimeout = 30 * time.Second
	idleTimeout   = 2 * time.Minute
	// drainTimeout is how long requests may take to end after the stop; streams are ended at once.
	drainTimeout = 5 * time.Second
)

// Serve answers on the listeners and runs turns until ctx ends. Then it takes no more requests, ends the open
// streams, lets running turns finish for the configured time, and hands back the rest. A clean stop
// returns nil.
func (a *App) Serve(ctx context.Context, listeners ...net.Listener) error {
	group, ctx := errgroup.WithContext(ctx)
	afterTurns, turnsEnded := context.WithCancel(context.WithoutCancel(ctx))
	base := context.WithoutCancel(ctx) // requests may end
	if a.statements != nil {
		base = store.CountStatements(base, a.statements)
	}
	server := &http.Server{
		Handler: a.handler, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout,
		BaseContext: func(net.Listener) context.Context { return base },
		ErrorLog:    slog.NewLogLogger(a.log.Handler(), slog.LevelWarn),
	}
	group.Go(func() error { return a.db.Run(ctx) })
	group.Go(func() error { return a.seen.Run(ctx) })
	group.Go(func() error { return a.identity.Run(ctx) })
	group.Go(func() error { return a.observe.Run(ctx) })
	group.Go(func() error { return a.work.Run(ctx) })
	group.Go(func() error { return a.deployments.Run(ctx) })
	group.Go(func() error { return a.webhooks.Run(ctx) })
	group.Go(func() error { return a.depot.Run(ctx) })
	group.Go(func() error { return a.files.Run(ctx) })
	group.Go(func() error { return a.memory.Run(ctx) })
	group.Go(func() error { return a.unpacked.Run(ctx) })
	group.Go(func() error { return a.sandboxes.Run(afterTurns) })
	group.Go(func() error { return a.servers.Run(afterTurns) })
	group.Go(func() error {
		defer turnsEnded()
		return a.dispatcher.Run(ctx)
	})
	group.Go(func() error { return a.expire(ctx) })
	for _, ln := range listeners {
		group.Go(func() error {
			if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serve: %w", err)
			}
			return nil
		})
	}
	group.Go(func() error {
		<-ctx.Done()
		a.ready.Store(false)
		a.sessions.Close()
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
		defer cancel()
		err := server.Shutdown(stop)
		if errors.Is(err, context.DeadlineExceeded) {
			// A request that takes longer, or a connection that was opened ahead and never used: net/http waits
			// five seconds for its first request. Neither makes the stop less clean.
			a.log.Warn("connections were still open at the stop and were closed", "waited", drainTimeout)
			return server.Close()
		}
		if err != nil {
			return fmt.Errorf("stop serving: %w", err)
		}
		return nil
	})
	a.ready.Store(true)
	return group.Wait()
}

// expire forgets old Idempotency-Keys.
func (a *App) expire(ctx context.Context) error {
	tick := time.NewTicker(10 * time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			if _, err := a.db.ExpireIdempotency(ctx, now.UTC()); err != nil && ctx.Err() == nil {
				a.log.Error("expire idempotency keys", "err", err)
			}
		}
	}
}

// Close gives everything back. Serve must have returned.
func (a *App) Close() error {
	var err error
	if a.vaults != nil {
		a.vaults.Close() // what a token endpoint gave is still to be stored
	}
	if a.db != nil {
		err = a.db.Close()
	}
	if a.seen != nil {
		err = errors.Join(err, a.seen.Close())
	}
	if a.lock != nil {
		err = errors.Join(err, a.lock.Unlock())
	}
	return err
}
