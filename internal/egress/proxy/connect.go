package proxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// proxy answers one request of the sandbox.
func (g *Gateway) proxy(w http.ResponseWriter, r *http.Request) {
	g.requests.Add(1)
	if r.Method == http.MethodConnect {
		g.connect(w, r)
		return
	}
	if r.URL.Scheme != "http" || r.URL.Host == "" {
		say(w, http.StatusBadRequest, "this is a proxy: it takes http URLs with a host, and CONNECT")
		return
	}
	if !g.admit(w, r, r.URL.Hostname()) {
		return
	}
	g.forward(w, r, "http", r.URL.Host)
}

// longestHost is how many characters a host's name has at most (RFC 1035, section 2.3.4, without what only the
// wire has).
const longestHost = 253

// admit answers what may not go out, and reports whether the request may.
func (g *Gateway) admit(w http.ResponseWriter, r *http.Request, host string) bool {
	if len(strings.TrimSuffix(host, ".")) > longestHost {
		say(w, http.StatusBadRequest, fmt.Sprintf("the name of a host has at most %d characters", longestHost))
		return false
	}
	if g.opts.Policy.Permits(host) {
		return true
	}
	why := fmt.Sprintf("the network of this session's environment is limited, and %s is not among the hosts that it allows", clip(host))
	g.opts.Log.DebugContext(r.Context(), "sandbox: host refused", "host", clip(host))
	g.refuse(why)
	say(w, http.StatusForbidden, why)
	return false
}

// clip bounds what of a name is repeated: the longest that can exist.
func clip(host string) string { return strings.ToValidUTF8(host[:min(len(host), 255)], "\uFFFD") }

// say answers with a sentence. Of a refused CONNECT many programs show the status alone: what the sandbox may
// read of it comes by Refusals, too.
func say(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, "Reeve: "+text+".\n")
}

// connect makes a tunnel, or opens it up if the session has a secret for the host.
func (g *Gateway) connect(w http.ResponseWriter, r *http.Request) {
	host, port, err := net.SplitHostPort(r.Host)
	n, bad := strconv.Atoi(port)
	if err != nil || host == "" || bad != nil || n < 1 || n > 65535 {
		say(w, http.StatusBadRequest, "CONNECT needs host:port")
		return
	}
	if !g.admit(w, r, host) {
		return
	}
	secrets, err := g.current(r.Context())
	if err != nil {
		g.opts.Log.ErrorContext(r.Context(), "sandbox egress", "err", err)
		say(w, http.StatusBadGateway, "the secrets of this session cannot be looked up now")
		return
	}
	if len(reaching(secrets, host)) > 0 {
		g.openUp(w, host, net.JoinHostPort(host, port))
		return
	}
	there, err := g.client.Dial(r.Context(), net.JoinHostPort(host, port))
	if err != nil {
		g.fail(w, err)
		return
	}
	defer func() { _ = there.Close() }()
	here, buffered, ok := hijack(w)
	if !ok {
		return
	}
	defer func() { _ = here.Close() }()
	g.pipe(here, buffered, there)
}

// fail answers with what kept a host from being reached.
func (g *Gateway) fail(w http.ResponseWriter, err error) {
	status, text := reason(err)
	if status == http.StatusForbidden {
		g.refuse(text)
	}
	say(w, status, text)
}

const established = "HTTP/1.1 200 Connection established\r\n\r\n"

// hijack takes the connection over and says that the tunnel stands.
func hijack(w http.ResponseWriter) (net.Conn, *bufio.Reader, bool) {
	here, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		say(w, http.StatusBadRequest, "CONNECT needs HTTP/1.1")
		return nil, nil, false
	}
	_ = here.SetDeadline(time.Time{})
	if _, err := io.WriteString(here, established); err != nil {
		_ = here.Close()
		return nil, nil, false
	}
	return here, buffered.Reader, true
}

// pipe passes bytes on, both ways, until both have ended or nothing moved for idleTime.
func (g *Gateway) pipe(here net.Conn, from io.Reader, there net.Conn) {
	end := func() { _, _ = here.Close(), there.Close() }
	idle := time.AfterFunc(idleTime, end)
	defer idle.Stop()
	stop := context.AfterFunc(g.ctx, end)
	defer stop()
	var wg sync.WaitGroup
	pass := func(dst net.Conn, src io.Reader) {
		_, err := io.Copy(dst, moving{src, idle})
		if err != nil {
			end()
			return
		}
		_ = closeWrite(dst)
	}
	wg.Go(func() { pass(there, from) })
	pass(here, there)
	wg.Wait()
}

// moving puts the end of an idle connection off with each read.
type moving struct {
	io.Reader
	idle *time.Timer
}

func (m moving) Read(p []byte) (int, error) {
	n, err := m.Reader.Read(p)
	m.idle.Reset(idleTime)
	return n, err
}

// peekTime is how long a client may take to say what it speaks. One that waits for the server speaks no TLS.
const peekTime = 5 * time.Second

// tlsHandshake is the first byte of what a TLS client says (RFC 8446, section 5.1).
const tlsHandshake = 0x16

// openUp speaks with the sandbox in the name of the host. What is no TLS is passed on unseen: there is no
// request in it that a secret could be put into.
func (g *Gateway) openUp(w http.ResponseWriter, host, address string) {
	here, buffered, ok := hijack(w)
	if !ok {
		return
	}
	_ = here.SetReadDeadline(time.Now().Add(peekTime))
	first, err := buffered.Peek(1)
	_ = here.SetReadDeadline(time.Time{})
	if err == nil && first[0] == tlsHandshake {
		g.opened.give(tls.Server(&spoken{here, buffered, address}, &tls.Config{
			MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return g.opts.Authority.certificate(host) },
		}))
		return
	}
	defer func() { _ = here.Close() }()
	if err != nil && !isTimeout(err) {
		return
	}
	there, err := g.client.Dial(g.ctx, address)
	if err != nil {
		return
	}
	defer func() { _ = there.Close() }()
	g.pipe(here, buffered, there)
}

func isTimeout(err error) bool {
	t, ok := err.(net.Error) //nolint:errorlint // bufio returns it as it is
	return ok && t.Timeout()
}

// spoken is a connection on which the client has already said something, and the host:port that it is meant for.
type spoken struct {
	net.Conn
	buffered *bufio.Reader
	target   string
}

func (s *spoken) Read(p []byte) (int, error) { return s.buffered.Read(p) }

type targetKey struct{}

// withTarget keeps which host a connection stands for.
func withTarget(ctx context.Context, c net.Conn) context.Context {
	if t, ok := c.(*tls.Conn); ok {
		if s, ok := t.NetConn().(*spoken); ok {
			return context.WithValue(ctx, targetKey{}, s.target)
		}
	}
	return ctx
}

// speakFor answers one request that is meant for a host for which the session has a secret.
func (g *Gateway) speakFor(w http.ResponseWriter, r *http.Request) {
	g.requests.Add(1)
	target, _ := r.Context().Value(targetKey{}).(string)
	if named, meant := hostOf(r.Host), hostOf(target); !strings.EqualFold(named, meant) || meant == "" {
		// The secret is for the host to which the tunnel was asked for, and for no other behind its address.
		say(w, http.StatusMisdirectedRequest, fmt.Sprintf("this connection is to %s, the request is for another host", clip(meant)))
		return
	}
	g.forward(w, r, "https", strings.TrimSuffix(target, ":443"))
}

func hostOf(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return strings.TrimSuffix(host, ".")
	}
	return strings.TrimSuffix(strings.Trim(hostport, "[]"), ".")
}
