package egress_test

import (
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/egress"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// local are the options of a client that may reach the test's own server.
func local() egress.Options {
	return egress.Options{AllowPrivate: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}
}

// serve starts a server on 127.0.0.1.
func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv
}

// check fails the test unless err is Invalid with this code, says says, and gives no address away.
func check(t *testing.T, err error, code, says string) {
	t.Helper()
	var e *core.Error
	if !errors.As(err, &e) || e.Kind != core.Invalid || e.Code != code || !strings.Contains(e.Message, says) {
		t.Fatalf("error = %v, want %s with %q", err, code, says)
	}
	for _, inner := range []string{"dial", "tcp", "lookup"} {
		if strings.Contains(e.Message, inner) {
			t.Errorf("message %q shows the insides: %q", e.Message, inner)
		}
	}
}

func TestPageComesBackAsItIs(t *testing.T) {
	t.Parallel()
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Set-Cookie", "a=b")
		w.WriteHeader(http.StatusTeapot)
		_, _ = fmt.Fprintf(w, "%s %s %q", r.Method, r.Header.Get("User-Agent"), r.Header["Cookie"])
	})
	c := egress.New(local())
	for range 2 { // the second sends no cookie either
		res, err := c.Get(t.Context(), " "+srv.URL+"/a?b=c#d ")
		if err != nil {
			t.Fatal(err)
		}
		if res.URL != srv.URL+"/a?b=c" || res.Status != http.StatusTeapot || res.ContentType != "text/plain; charset=utf-8" ||
			string(res.Body) != `GET Reeve []` || res.Truncated {
			t.Errorf("response = %+v %q", res, res.Body)
		}
	}
}

func TestURLsThatMustNotBeFetched(t *testing.T) {
	t.Parallel()
	srv := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the server was reached") })
	port := srv.URL[strings.LastIndexByte(srv.URL, ':')+1:]
	c := egress.New(egress.Options{}) // without exceptions
	for _, tt := range []struct{ url, says string }{
		{"", "http"},
		{"example.com", "http"},
		{"ftp://example.com/", "http"},
		{"file:///etc/passwd", "http"},
		{"gopher://127.0.0.1", "http"},
		{"http:", "no host"},
		{"http://", "no host"},
		{"http://:80/", "no host"},
		{"https:example.com", "no host"},
		{"http://user@example.com/", "password"},
		{"http://user:secret@example.com/", "password"},
		{"http://exa mple.com/", "not valid"},
		{"http://[::1/", "not valid"},
		{"http://example.com/\x00", "not valid"},
		{"http://example.com/" + strings.Repeat("a", 8<<10), "longer"},
		{srv.URL, "public"},
		{"http://localhost:" + port, "public"},
		{"http://[::ffff:127.0.0.1]:" + port, "public"},
		{"http://0.0.0.0:" + port, "public"},
		{"http://[::]:" + port, "public"},
		{"http://[::1]:" + port, "public"},
		{"http://169.254.169.254/latest/meta-data/", "public"},
		{"http://10.0.0.1/", "public"},
		{"https://192.168.0.1/", "public"},
	} {
		_, err := c.Get(t.Context(), tt.url)
		check(t, err, "url_not_allowed", tt.says)
	}
	_, err := c.Get(t.Context(), "http://localhost:"+port)
	var e *core.Error
	if errors.As(err, &e) && strings.Contains(e.Message, "127.0.0.1") {
		t.Errorf("message %q tells what the name resolves to", e.Message)
	}
}

// Whatever an odd spelling of a loopback address is taken for, the server behind it is not reached.
func TestOddSpellingsOfLoopbackReachNothing(t *testing.T) {
	t.Parallel()
	srv := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the server was reached") })
	port := srv.URL[strings.LastIndexByte(srv.URL, ':')+1:]
	c := egress.New(egress.Options{})
	for _, host := range []string{"127.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.0.0.1.", "LOCALHOST", "①27.0.0.1"} {
		if _, err := c.Get(t.Context(), "http://"+host+":"+port); core.KindOf(err) != core.Invalid {
			t.Errorf("%s: %v", host, err)
		}
	}
}

func TestRedirectsAreFollowedAndCheckedEach(t *testing.T) {
	t.Parallel()
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if to := r.URL.Query().Get("to"); to != "" {
			http.Redirect(w, r, to, http.StatusFound)
			return
		}
		var n int
		if _, err := fmt.Sscanf(r.URL.Path, "/%d", &n); err == nil && n > 0 {
			http.Redirect(w, r, fmt.Sprintf("/%d?", n-1), http.StatusMovedPermanently)
			return
		}
		_, _ = fmt.Fprintf(w, "arrived %q", r.Header["Referer"])
	})
	secret := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("what a redirect must not reach was reached") })
	elsewhere := strings.Replace(secret.URL, "127.0.0.1", "127.0.0.2", 1) // loopback, and not in the exceptions
	c := egress.New(local())

	res, err := c.Get(t.Context(), srv.URL+"/5?token=x")
	if err != nil || string(res.Body) != "arrived []" || res.URL != srv.URL+"/0?" {
		t.Errorf("after 5 redirects: %+v, %v", res, err)
	}
	_, err = c.Get(t.Context(), srv.URL+"/6")
	check(t, err, "fetch_failed", "more than 5 redirects")

	for to, says := range map[string]string{
		elsewhere: "127.0.0.2", "http://localhost.:1/": "", "http://169.254.169.254/": "169.254.169.254",
		"file:///etc/passwd": "http", "http://a:b@" + srv.Listener.Addr().String(): "password",
	} {
		_, err := c.Get(t.Context(), srv.URL+"/?to="+url.QueryEscape(to))
		if to == "http://localhost.:1/" { // where this name is known it is loopback; elsewhere there is no such host
			if core.KindOf(err) != core.Invalid {
				t.Errorf("redirect to %s: %v", to, err)
			}
			continue
		}
		check(t, err, "url_not_allowed", says)
	}

	none := local()
	none.MaxRedirects = -1
	_, err = egress.New(none).Get(t.Context(), srv.URL+"/1")
	check(t, err, "fetch_failed", "redirects")
}

func TestBodyIsCapped(t *testing.T) {
	t.Parallel()
	const limit = 64 << 10
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		out := io.Writer(w)
		if strings.HasPrefix(r.URL.Path, "/gzip") {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			defer func() { _ = z.Close() }()
			out = z
		}
		var n int
		_, _ = fmt.Sscanf(r.URL.Query().Get("n"), "%d", &n)
		zeros := make([]byte, 1<<10)
		for ; n > 0; n -= len(zeros) {
			if _, err := out.Write(zeros[:min(n, len(zeros))]); err != nil {
				return
			}
		}
	})
	o := local()
	o.MaxBody = limit
	c := egress.New(o)
	for path, want := range map[string]int{
		"/?n=65536": limit, "/?n=65537": limit, "/gzip?n=65536": limit, "/gzip?n=1073741824": limit, "/?n=12": 12, "/gzip?n=12": 12,
	} {
		res, err := c.Get(t.Context(), srv.URL+path)
		if err != nil {
			t.Fatal(path, err)
		}
		if cut := strings.HasSuffix(path, "37") || strings.HasSuffix(path, "24"); len(res.Body) != want || res.Truncated != cut {
			t.Errorf("%s: %d bytes, truncated %v; want %d, %v", path, len(res.Body), res.Truncated, want, cut)
		}
	}
}

func TestBrokenAnswers(t *testing.T) {
	t.Parallel()
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/brotli":
			w.Header().Set("Content-Encoding", "br")
			_, _ = io.WriteString(w, "x")
		case "/notgzip":
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = io.WriteString(w, "this is not gzip at all")
		case "/header":
			w.Header().Set("X-Long", strings.Repeat("x", 300<<10))
		default:
			conn, out, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			answer(r.URL.Path, out)
			_ = conn.Close()
		}
	})
	c := egress.New(local())
	for path, says := range map[string]string{
		"/brotli": "encoding", "/notgzip": "no proper answer", "/cut": "no proper answer", "/junk": "no proper answer",
		"/nothing": "no proper answer", "/location": "no proper answer", "/header": "no proper answer",
	} {
		_, err := c.Get(t.Context(), srv.URL+path)
		check(t, err, "fetch_failed", says)
	}
}

func answer(path string, out *bufio.ReadWriter) {
	switch path {
	case "/cut":
		_, _ = out.WriteString("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nnot a hundred")
	case "/junk":
		_, _ = out.WriteString("SSH-2.0-OpenSSH_9.9\r\n")
	case "/location":
		_, _ = out.WriteString("HTTP/1.1 302 Found\r\nLocation: http://[::\r\nContent-Length: 0\r\n\r\n")
	}
	_ = out.Flush()
}

func TestServersThatCannotBeReached(t *testing.T) {
	t.Parallel()
	closed := httptest.NewServer(nil)
	closed.Close()
	private := httptest.NewUnstartedServer(http.NotFoundHandler())
	private.Config.ErrorLog = log.New(io.Discard, "", 0) // it notes that its certificate was refused
	private.StartTLS()
	t.Cleanup(private.Close)
	c := egress.New(local())
	_, err := c.Get(t.Context(), closed.URL)
	check(t, err, "fetch_failed", "could not be reached")
	_, err = c.Get(t.Context(), private.URL)
	check(t, err, "fetch_failed", "certificate")
	_, err = c.Get(t.Context(), "http://no-such-host.invalid/")
	check(t, err, "fetch_failed", "no-such-host.invalid")
}

func TestFetchEndsInTime(t *testing.T) {
	t.Parallel()
	reached := make(chan struct{}, 1)
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/body" {
			_, _ = io.WriteString(w, "begun")
			_ = http.NewResponseController(w).Flush()
		}
		reached <- struct{}{}
		<-r.Context().Done() // until the client goes away
	})
	for _, path := range []string{"/header", "/body"} {
		o := local()
		o.Timeout = 50 * time.Millisecond
		_, err := egress.New(o).Get(t.Context(), srv.URL+path)
		check(t, err, "fetch_failed", "in time")
		<-reached

		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-reached
			cancel()
		}()
		if _, err := egress.New(local()).Get(ctx, srv.URL+path); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: error = %v after the caller gave up", path, err)
		}
		late, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
		defer cancel()
		if _, err := egress.New(local()).Get(late, srv.URL+path); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: error = %v after the caller's deadline", path, err)
		}
	}
}

func TestProxyOfTheEnvironmentIsNotUsed(t *testing.T) {
	proxy := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the proxy was asked") })
	t.Setenv("HTTP_PROXY", proxy.URL)
	t.Setenv("HTTPS_PROXY", proxy.URL)
	_, err := egress.New(local()).Get(t.Context(), "http://no-such-host.invalid/")
	check(t, err, "fetch_failed", "no-such-host.invalid")
}
