package workspace

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// tunnel is the way of one git process to its host: an HTTP proxy on the loopback that takes nothing but CONNECT
// to that host, from who knows its password. What passes through is encrypted between git and the host.
type tunnel struct {
	target string // host:port
	proof  string // the header Proxy-Authorization
	dial   func(ctx context.Context, address string) (net.Conn, error)
	limit  int64
	got    atomic.Int64 // bytes from the host
	fault  atomic.Pointer[error]
	server *http.Server
	url    string
	served chan struct{} // closed when the server has ended

	mu    sync.Mutex
	open  map[net.Conn]bool
	ended bool
	pipes sync.WaitGroup
}

// errTooMuch ends a transfer that is larger than allowed.
var errTooMuch = errors.New("the repository is too large")

// dig opens a tunnel. The caller calls fill.
func dig(ctx context.Context, target string, limit int64, dial func(ctx context.Context, address string) (net.Conn, error)) (*tunnel, error) {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for git: %w", err)
	}
	password := rand.Text()
	t := &tunnel{target: target, dial: dial, limit: limit, served: make(chan struct{}), open: map[net.Conn]bool{}}
	t.proof = "Basic " + base64.StdEncoding.EncodeToString([]byte("git:"+password))
	t.url = (&url.URL{Scheme: "http", User: url.UserPassword("git", password), Host: ln.Addr().String()}).String()
	t.server = &http.Server{
		Handler: t, ReadHeaderTimeout: 10 * time.Second,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	go func() {
		defer close(t.served)
		_ = t.server.Serve(ln) // it always ends with an error: that it was closed
	}()
	return t, nil
}

// fill closes the tunnel and all that passes through it.
func (t *tunnel) fill() {
	_ = t.server.Close()
	<-t.served
	t.mu.Lock()
	t.ended = true
	for c := range t.open {
		_ = c.Close()
	}
	t.mu.Unlock()
	t.pipes.Wait()
}

// why is what kept git from its host; nil: nothing did.
func (t *tunnel) why() error {
	if p := t.fault.Load(); p != nil {
		return *p
	}
	return nil
}

func (t *tunnel) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case subtle.ConstantTimeCompare([]byte(r.Header.Get("Proxy-Authorization")), []byte(t.proof)) != 1:
		w.Header().Set("Proxy-Authenticate", `Basic realm="git"`)
		w.WriteHeader(http.StatusProxyAuthRequired)
		return
	case r.Method != http.MethodConnect || r.Host != t.target:
		w.WriteHeader(http.StatusForbidden)
		return
	}
	there, err := t.dial(r.Context(), t.target)
	if err != nil {
		t.fault.CompareAndSwap(nil, &err)
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	here, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		_ = there.Close()
		return
	}
	if _, err := io.WriteString(here, "HTTP/1.1 200 OK\r\n\r\n"); err != nil || !t.keep(here, there) {
		_, _ = here.Close(), there.Close()
		return
	}
	var both sync.WaitGroup
	both.Go(func() {
		_, _ = io.Copy(there, buffered) // either side may go at any time
		_, _ = here.Close(), there.Close()
	})
	both.Go(func() {
		_, _ = io.Copy(here, counted{there, t})
		_, _ = here.Close(), there.Close()
	})
	both.Wait()
	t.drop(here, there)
}

// keep notes connections that fill has to close. False: it has been called.
func (t *tunnel) keep(conns ...net.Conn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		return false
	}
	t.pipes.Add(1)
	for _, c := range conns {
		t.open[c] = true
	}
	return true
}

func (t *tunnel) drop(conns ...net.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range conns {
		delete(t.open, c)
	}
	t.pipes.Done()
}

// counted ends a transfer that becomes too large.
type counted struct {
	io.Reader
	t *tunnel
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	if c.t.got.Add(int64(n)) > c.t.limit {
		tooMuch := errTooMuch
		c.t.fault.CompareAndSwap(nil, &tooMuch)
		return 0, errTooMuch
	}
	return n, err
}
