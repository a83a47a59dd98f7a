package proxy_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/egress"
	"github.com/reeve-ai/reeve/internal/egress/proxy"
)

// house is a gateway that serves, and what stands for the sandbox's side of it.
type house struct {
	*proxy.Gateway
	address   string
	authority *proxy.Authority
	close     func()
}

const placeholder = "reevesecret0123456789"

// open serves until the test ends. Loopback may be reached.
func open(t *testing.T, change func(*proxy.Options)) house {
	t.Helper()
	authority, err := proxy.NewAuthority(time.Now)
	if err != nil {
		t.Fatal(err)
	}
	o := proxy.Options{
		Policy: proxy.Policy{Unrestricted: true}, Authority: authority, Now: time.Now, Log: slog.New(slog.DiscardHandler),
		Egress: egress.Options{AllowPrivate: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
	}
	if change != nil {
		change(&o)
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := proxy.New(o)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		g.Serve(l)
	}()
	stop := func() {
		_ = l.Close()
		<-ended
	}
	t.Cleanup(stop)
	return house{g, l.Addr().String(), authority, stop}
}

// with makes a change that adds a secret for a host.
func with(roots *x509.CertPool, hosts ...string) func(*proxy.Options) {
	return func(o *proxy.Options) {
		o.Egress.Roots = roots
		o.Secrets = func(context.Context) ([]proxy.Secret, error) {
			return []proxy.Secret{{Placeholder: placeholder, Value: "the-value", Terms: core.SecretTerms{Limited: true, Hosts: hosts, InHeader: true, InBody: true}}}, nil
		}
	}
}

// client goes through the gateway and believes its authority alone.
func (h house) client(t *testing.T) *http.Client {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(h.authority.PEM())
	transport := &http.Transport{
		Proxy:           http.ProxyURL(&url.URL{Scheme: "http", Host: h.address}),
		TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true,
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// upstream is a server with a certificate of its own.
func upstream(t *testing.T, h http.HandlerFunc) (*httptest.Server, *x509.CertPool) {
	t.Helper()
	srv := httptest.NewUnstartedServer(h)
	srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	srv.EnableHTTP2 = true
	srv.StartTLS()
	t.Cleanup(srv.Close)
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	return srv, roots
}

func TestNoRequestForAnotherHostGetsTheSecret(t *testing.T) {
	t.Parallel()
	srv, roots := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "%s %q %v", r.Host, r.Header.Get("X-Key"), r.Header.Get("X-Key") == "the-value")
	})
	h := open(t, with(roots, "127.0.0.1"))
	ask := func(host string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Key", placeholder)
		req.Host = host
		res, err := h.client(t).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		body, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(body)
	}
	host := srv.Listener.Addr().String()
	if status, said := ask(host); status != http.StatusOK || said != host+` "`+placeholder+`" true` {
		t.Errorf("the host itself = %d %q", status, said)
	}
	if status, said := ask("other.example"); status != http.StatusMisdirectedRequest {
		t.Errorf("another host on its connection = %d %q", status, said)
	}
}

func TestEventsAndUpgradesPassAnOpenedTunnel(t *testing.T) {
	t.Parallel()
	srv, roots := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			w.Header().Set("Upgrade", "websocket")
			w.Header().Set("Connection", "Upgrade")
			w.WriteHeader(http.StatusSwitchingProtocols)
			conn, buffered, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = conn.Close() }()
			line, _ := buffered.ReadString('\n')
			_, _ = io.WriteString(conn, "you said "+line)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = fmt.Fprintf(w, "data: %s\n\n", r.Header.Get("X-Key"))
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done() // the answer never ends
	})
	h := open(t, with(roots, "127.0.0.1"))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Key", placeholder)
	res, err := h.client(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(res.Body).ReadString('\n')
	if err != nil || line != "data: "+placeholder+"\n" {
		t.Errorf("first event = %q, %v", line, err)
	}
	cancel()
	_ = res.Body.Close()

	up, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	up.Header.Set("Upgrade", "websocket")
	up.Header.Set("Connection", "Upgrade")
	client := h.client(t)
	client.Transport.(*http.Transport).ForceAttemptHTTP2 = false
	res, err = client.Do(up)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	conn, ok := res.Body.(io.ReadWriter)
	if !ok {
		t.Fatalf("status %d is no upgrade", res.StatusCode)
	}
	_, _ = io.WriteString(conn, "hello\n")
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || line != "you said hello\n" {
		t.Errorf("upgraded connection says %q, %v", line, err)
	}
}

func TestWithoutItsSecretsNothingPasses(t *testing.T) {
	t.Parallel()
	var reached atomic.Bool
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Store(true) }))
	t.Cleanup(srv.Close)
	h := open(t, func(o *proxy.Options) {
		o.Secrets = func(context.Context) ([]proxy.Secret, error) { return nil, errors.New("the store is away: the-value") }
	})
	res, err := h.client(t).Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if said, _ := io.ReadAll(res.Body); res.StatusCode != http.StatusBadGateway || strings.Contains(string(said), "the-value") {
		t.Errorf("answer = %d %q", res.StatusCode, said)
	}
	if _, err := h.client(t).Get(strings.Replace(srv.URL, "http:", "https:", 1)); err == nil || reached.Load() {
		t.Errorf("a tunnel was made, %v", err)
	}
}

func TestTooManyConnectionsAreRefusedAndSoonTakenAgain(t *testing.T) {
	t.Parallel()
	h := open(t, func(o *proxy.Options) { o.Connections = 2 })
	var held []net.Conn
	for range 2 {
		c, err := net.Dial("tcp", h.address)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		_, _ = io.WriteString(c, "GET /") // it is taken up, and not at its end
		held = append(held, c)
	}
	status := func() int {
		t.Helper()
		c, err := net.Dial("tcp", h.address)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			return 0 // it was closed before it read what we sent
		}
		defer func() { _ = res.Body.Close() }()
		return res.StatusCode
	}
	deadline := time.Now().Add(30 * time.Second)
	for got := 0; got != http.StatusServiceUnavailable; got = status() {
		if time.Now().After(deadline) {
			t.Fatal("a third connection is not refused")
		}
	}
	_ = held[0].Close()
	for got := 0; got != http.StatusBadRequest; got = status() { // no proxy request, but an answer
		if time.Now().After(deadline) {
			t.Fatal("the free place is not given again")
		}
	}
}

func TestWhatIsNoProxyRequestIsRefused(t *testing.T) {
	t.Parallel()
	h := open(t, func(o *proxy.Options) { o.Policy = proxy.Policy{Hosts: []string{"*.example.com", "a.test"}} })
	for request, want := range map[string]int{
		"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n":                            http.StatusBadRequest,
		"GET ftp://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n":                http.StatusBadRequest,
		"CONNECT a.test HTTP/1.1\r\nHost: a.test\r\n\r\n":                   http.StatusBadRequest,
		"CONNECT a.test:99999 HTTP/1.1\r\nHost: a.test\r\n\r\n":             http.StatusBadRequest,
		"CONNECT b.test:443 HTTP/1.1\r\nHost: a.test\r\n\r\n":               http.StatusForbidden,
		"GET http://b.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n":               http.StatusForbidden,
		"GET http://example.com/ HTTP/1.1\r\nHost: www.example.com\r\n\r\n": http.StatusForbidden, // the apex
		"GET http://a.test@b.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n":        http.StatusForbidden,
	} {
		c, err := net.Dial("tcp", h.address)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, request)
		res, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: strings.Fields(request)[0]})
		if err != nil {
			t.Fatalf("%q: %v", request, err)
		}
		if res.StatusCode != want {
			t.Errorf("%q = %d, want %d", request, res.StatusCode, want)
		}
		_, _ = res.Body.Close(), c.Close()
	}
	if got := h.Refusals(); len(got) != 2 || h.Refusals() != nil {
		t.Errorf("refusals = %q, want one for each of the two hosts, once", got)
	}
}

func TestLeavesAreForOneHostAndTheAuthorityIsBelieved(t *testing.T) {
	t.Parallel()
	srv, roots := upstream(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })
	h := open(t, with(roots, "elsewhere.test"))
	if _, err := h.client(t).Get(srv.URL); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a tunnel to a host without a secret: %v, want the server's own certificate", err)
	}
}
