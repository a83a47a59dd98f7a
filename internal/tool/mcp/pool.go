package mcp

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/egress"
)

// Tokens finds the bearer tokens of servers.
type Tokens interface {
	// Token returns the token for the server with this URL from the first of the vaults that has one, or an
	// empty string if none has. stale is what the server has just refused, or empty: then another token is
	// returned if there can be one, refreshed if need be. The error holds no token.
	Token(ctx context.Context, project core.ProjectID, vaults []core.VaultID, url, stale string) (string, error)
}

// Options are the numbers of a node. Zero fields take the defaults named behind them.
type Options struct {
	Egress      egress.Options // which addresses may be reached
	ConnectTime time.Duration  // 15 s to connect, and as long again to list the tools
	CallTime    time.Duration  // 5 min for one call
	Idle        time.Duration  // 2 min until a connection is closed that no turn uses
	Max         int            // 4,096 connections at one time; more are refused
	Log         *slog.Logger   // nil: slog.Default()
}

func (o Options) withDefaults() Options {
	set := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	set(&o.ConnectTime, 15*time.Second)
	set(&o.CallTime, 5*time.Minute)
	set(&o.Idle, 2*time.Minute)
	if o.Max <= 0 {
		o.Max = 4096
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	o.Egress.KeepAlive = true // each connection has a client of its own
	return o
}

// Pool keeps one connection for each session and server: made on first use, shared by all that the session
// does at one time, made again when it has broken, closed when no turn used it for a while. It implements
// core.MCP and is safe for concurrent use.
type Pool struct {
	tokens Tokens
	opts   Options

	mu      sync.Mutex
	lines   map[place]*line
	stopped bool
	closing sync.WaitGroup // connections that are being closed, until Run waits for them
	waited  bool           // Run waits, or has: what is closed now nobody waits for
}

// place is what a connection belongs to. Sessions never share one: it may act in a person's name.
type place struct {
	project core.ProjectID
	session core.SessionID
	name    string
	url     string
	vaults  string
}

func placeOf(to core.MCPTarget) place {
	vaults := make([]string, len(to.Vaults))
	for i, id := range to.Vaults {
		vaults[i] = string(id)
	}
	return place{to.Project, to.Session, to.Server.Name, to.Server.URL, strings.Join(vaults, " ")}
}

// NewPool makes a pool. It connects to nothing before it is asked, and closes nothing before Run.
func NewPool(tokens Tokens, o Options) *Pool {
	return &Pool{tokens: tokens, opts: o.withDefaults(), lines: map[place]*line{}}
}

// Connect implements core.MCP.
func (p *Pool) Connect(ctx context.Context, to core.MCPTarget) (core.MCPConnection, error) {
	l, err := p.enter(to)
	if err != nil {
		return nil, err
	}
	if _, err := l.link(ctx); err != nil {
		p.leave(l)
		return nil, err
	}
	return &handle{line: l}, nil
}

// Alive is how many connections exist now, those that are being made included.
func (p *Pool) Alive() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.lines)
}

// enter joins the line to a server, or begins one.
func (p *Pool) enter(to core.MCPTarget) (*line, error) {
	at := placeOf(to)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return nil, unreachable("this server is stopping")
	}
	if l := p.lines[at]; l != nil {
		l.users++
		return l, nil
	}
	if len(p.lines) >= p.opts.Max && !p.makeRoom() {
		return nil, unreachable("this server holds as many connections as it can: %d", p.opts.Max)
	}
	l := &line{pool: p, at: at, to: to, turn: make(chan struct{}, 1), users: 1}
	p.lines[at] = l
	return l, nil
}

// makeRoom gives up the line that is unused longest. p.mu is held.
func (p *Pool) makeRoom() bool {
	var oldest *line
	for _, l := range p.lines {
		if l.users == 0 && (oldest == nil || l.used.Before(oldest.used)) {
			oldest = l
		}
	}
	if oldest != nil {
		p.forget(oldest)
	}
	return oldest != nil
}

// leave ends one use of a line. A line that came to nothing is not kept.
func (p *Pool) leave(l *line) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l.users--
	l.used = time.Now()
	if l.users == 0 && (p.stopped || !l.alive()) {
		p.forget(l)
	}
}

// forget takes a line that nobody uses out of the pool and closes its connection behind the caller's back.
// p.mu is held.
func (p *Pool) forget(l *line) {
	if p.lines[l.at] == l {
		delete(p.lines, l.at)
	}
	if at := l.current.Swap(nil); at != nil {
		p.end(at)
	}
}

// end closes a connection behind the caller's back. p.mu is held.
func (p *Pool) end(at *link) {
	if p.waited {
		go at.close()
		return
	}
	p.closing.Go(at.close)
}

// closed reports whether the pool makes no more links for a line.
func (p *Pool) closed(l *line) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lines[l.at] != l
}

// Run closes unused connections until ctx ends, then all of them, those in use too, and returns nil.
func (p *Pool) Run(ctx context.Context) error {
	tick := time.NewTicker(max(p.opts.Idle/4, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			p.sweep(func(l *line) bool { return l.users == 0 && now.Sub(l.used) >= p.opts.Idle })
		case <-ctx.Done():
			p.mu.Lock()
			p.stopped = true
			p.mu.Unlock()
			p.sweep(func(*line) bool { return true })
			p.mu.Lock()
			p.waited = true
			p.mu.Unlock()
			p.closing.Wait()
			return nil
		}
	}
}

func (p *Pool) sweep(match func(*line) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.lines {
		if match(l) {
			p.forget(l)
		}
	}
}
