package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/egress"
)

// Bounds of one gateway.
const (
	DefaultConnections = 256
	headerTime         = 30 * time.Second // for a request's header, and for a TLS handshake
	idleTime           = 5 * time.Minute  // of a connection on which nothing moves
	maxHeader          = 256 << 10
	maxRefusals        = 20               // that are remembered
	lookupTime         = 10 * time.Second // for the secrets, with the wait for others who ask
)

// streams bounds HTTP/2 of the sandbox: how many requests one connection may carry at one time, and how much of
// their bodies waits in memory.
var streams = http.HTTP2Config{MaxConcurrentStreams: 32, MaxReceiveBufferPerConnection: 256 << 10, MaxReceiveBufferPerStream: 64 << 10}

// DefaultFresh is how long what Secrets said is believed: claude-managed-agents.md section 3.7 wants changes to
// reach running sessions.
const DefaultFresh = time.Minute

// Options are what one gateway is made of.
type Options struct {
	Policy Policy
	Egress egress.Options // KeepAlive is set by New
	// Secrets tells what takes the place of placeholders now; nil: nothing does. It is asked again when Fresh
	// has passed. While it fails nothing is let through.
	Secrets     func(ctx context.Context) ([]Secret, error)
	Authority   *Authority // needed with Secrets
	Fresh       time.Duration
	Connections int // at one time, and as many requests; more are answered with 503. 0: DefaultConnections
	Log         *slog.Logger
	Now         func() time.Time
}

// Gateway is the way out of one sandbox, for one life of it: Serve is called once.
type Gateway struct {
	opts   Options
	client *egress.Client
	outer  *http.Server // speaks with the sandbox as a proxy
	inner  *http.Server // speaks with the sandbox as the hosts for which there are secrets
	opened handoff      // from outer to inner
	ctx    context.Context
	cancel context.CancelFunc
	slots  chan struct{} // capacity Connections: one for each connection of the sandbox
	busy   chan struct{} // capacity Connections: one for each request that is sent on, of which HTTP/2 has many on a connection

	asking  chan struct{} // capacity 1: who has put something in may use secrets and asked
	secrets []Secret
	asked   time.Time // when Secrets was asked; zero: never

	mu       sync.Mutex        // never held while anybody is waited for
	conns    map[net.Conn]bool // of the sandbox, until they close
	refusals []string          // since they were last taken, each once, at most maxRefusals

	in, out, requests, refused atomic.Int64
}

// New makes a gateway that does nothing before Serve.
func New(o Options) *Gateway {
	if o.Connections <= 0 {
		o.Connections = DefaultConnections
	}
	if o.Fresh <= 0 {
		o.Fresh = DefaultFresh
	}
	o.Egress.KeepAlive = true // it belongs to one sandbox
	return &Gateway{
		opts: o, conns: map[net.Conn]bool{}, asking: make(chan struct{}, 1),
		slots: make(chan struct{}, o.Connections), busy: make(chan struct{}, o.Connections),
	}
}

// Serve answers what comes to the listener until that is closed, and returns when no connection is left.
func (g *Gateway) Serve(l net.Listener) {
	g.ctx, g.cancel = context.WithCancel(context.Background())
	defer g.cancel()
	g.client = egress.New(g.opts.Egress)
	defer g.client.Close()
	silent := slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // what programs inside send wrongly is theirs
	base := func(net.Listener) context.Context { return g.ctx }
	g.outer = &http.Server{
		Handler: http.HandlerFunc(g.proxy), ReadHeaderTimeout: headerTime, IdleTimeout: idleTime,
		MaxHeaderBytes: maxHeader, ErrorLog: silent, BaseContext: base,
	}
	g.opened = newHandoff(l.Addr())
	g.inner = &http.Server{
		Handler: http.HandlerFunc(g.speakFor), ReadHeaderTimeout: headerTime, IdleTimeout: idleTime,
		MaxHeaderBytes: maxHeader, ErrorLog: silent, BaseContext: base, ConnContext: withTarget, HTTP2: &streams,
	}
	var wg sync.WaitGroup
	wg.Go(func() { _ = g.inner.Serve(g.opened) })
	_ = g.outer.Serve(&counted{l, g}) // it ends when the listener is closed
	g.cancel()
	_ = g.opened.Close()
	_, _ = g.outer.Close(), g.inner.Close()
	g.closeAll() // tunnels, which neither of them knows any more
	wg.Wait()
	for range cap(g.slots) { // every connection has given its slot back
		g.slots <- struct{}{}
	}
	if n := g.requests.Load(); n > 0 {
		g.opts.Log.Info("sandbox used the network", "requests", n, "refused", g.refused.Load(), "bytes_out", g.out.Load(), "bytes_in", g.in.Load())
	}
}

// Refusals returns why hosts were refused since it was last asked, one sentence each.
func (g *Gateway) Refusals() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := g.refusals
	g.refusals = nil
	return out
}

// refuse remembers a refusal for Refusals.
func (g *Gateway) refuse(why string) {
	g.refused.Add(1)
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.refusals) < maxRefusals && !slices.Contains(g.refusals, why) {
		g.refusals = append(g.refusals, why)
	}
}

// current knows the secrets as they are, or were less than Fresh ago.
func (g *Gateway) current(ctx context.Context) ([]Secret, error) {
	if g.opts.Secrets == nil {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	select {
	case g.asking <- struct{}{}:
		defer func() { <-g.asking }()
	case <-ctx.Done(): // another one asks, whose answer would be ours, too
		return nil, fmt.Errorf("wait for the secrets of a sandbox: %w", ctx.Err())
	}
	if now := g.opts.Now(); g.asked.IsZero() || now.Sub(g.asked) >= g.opts.Fresh {
		secrets, err := g.opts.Secrets(ctx)
		if err != nil {
			return nil, fmt.Errorf("look the secrets of a sandbox up: %w", err)
		}
		g.secrets, g.asked = secrets, now
	}
	return g.secrets, nil
}

func (g *Gateway) closeAll() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for c := range g.conns {
		go func() { _ = c.Close() }() // it takes itself off the list
	}
}

// counted is the sandbox's listener with the limit of connections.
type counted struct {
	net.Listener
	g *Gateway
}

const tooMany = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n" +
	"Too many connections of this sandbox are open.\n"

// Accept answers what is too much by itself.
func (l *counted) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case l.g.slots <- struct{}{}:
			return l.g.keep(c), nil
		default:
			_ = c.SetDeadline(time.Now().Add(time.Second))
			_, _ = c.Write([]byte(tooMany))
			_ = c.Close()
		}
	}
}

// conn is one connection of the sandbox.
type conn struct {
	net.Conn
	g    *Gateway
	once sync.Once
}

func (g *Gateway) keep(c net.Conn) net.Conn {
	kept := &conn{Conn: c, g: g}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.conns[kept] = true
	return kept
}

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.g.out.Add(int64(n))
	return n, err
}

func (c *conn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.g.in.Add(int64(n))
	return n, err
}

func (c *conn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() {
		c.g.mu.Lock()
		delete(c.g.conns, c)
		c.g.mu.Unlock()
		<-c.g.slots
	})
	return err
}

// CloseWrite says that nothing more will be written.
func (c *conn) CloseWrite() error { return closeWrite(c.Conn) }

func closeWrite(c net.Conn) error {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// handoff is a listener that is given its connections.
type handoff struct {
	conns  chan net.Conn // unbuffered: who hands over waits for the server
	closed chan struct{}
	once   *sync.Once
	addr   net.Addr
}

func newHandoff(addr net.Addr) handoff {
	return handoff{make(chan net.Conn), make(chan struct{}), new(sync.Once), addr}
}

// give hands a connection over, or closes it if nobody takes it any more.
func (h handoff) give(c net.Conn) {
	select {
	case h.conns <- c:
	case <-h.closed:
		_ = c.Close()
	}
}

func (h handoff) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

func (h handoff) Close() error {
	h.once.Do(func() { close(h.closed) })
	return nil
}

func (h handoff) Addr() net.Addr { return h.addr }

// reason is what of an error the sandbox may read, and the status that goes with it.
func reason(err error) (status int, text string) {
	var e *core.Error
	switch {
	case errors.As(err, &e) && e.Code == "url_not_allowed":
		return http.StatusForbidden, e.Message
	case errors.As(err, &e) && e.Kind != core.Internal:
		return http.StatusBadGateway, e.Message
	}
	return http.StatusBadGateway, "the host could not be reached"
}
