package compat

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/reeve-ai/reeve/internal/api/managed"
)

// recorder stands between one client and the server. It notes what the client asks for, and cuts the client's
// streams when the suite says so.
type recorder struct {
	URL    string
	routes *http.ServeMux // knows the patterns of the endpoints

	mu    sync.Mutex
	calls []call
	open  map[int]context.CancelFunc // of the streams that are open
	next  int
}

// call is one request of a client, and how the server answered.
type call struct {
	endpoint managed.Endpoint // zero: none of those that the server names
	path     string
	status   int
}

// control is where scripts reach the suite itself, on the address of the server that they test.
const control = "/_suite/"

func record(t *testing.T, target string, suite http.Handler) *recorder {
	t.Helper()
	r := &recorder{routes: http.NewServeMux(), open: map[int]context.CancelFunc{}}
	for _, e := range managed.Endpoints(managed.Claude) {
		r.routes.Handle(e.Method+" /v1"+e.Path, http.NotFoundHandler())
	}
	to, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	wire := &http.Transport{MaxIdleConnsPerHost: 16}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(to)
			p.Out.Host = p.In.Host // the server tells workers where it is
		},
		FlushInterval: -1,
		Transport:     wire,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
			w.WriteHeader(http.StatusBadGateway) // a client that went away; a server that did shows in the test
		},
		ModifyResponse: func(res *http.Response) error {
			r.note(res.Request, res.StatusCode)
			return nil
		},
	}
	mux := http.NewServeMux()
	mux.Handle(control, suite)
	mux.Handle("POST "+control+"cut", http.HandlerFunc(r.cut))
	mux.Handle("GET "+control+"count", http.HandlerFunc(r.count))
	mux.HandleFunc("/", func(w http.ResponseWriter, req *http.Request) {
		ctx, cancel := context.WithCancel(req.Context())
		defer cancel()
		if strings.HasSuffix(req.URL.Path, "/stream") {
			defer r.forget(r.remember(cancel))
		}
		proxy.ServeHTTP(w, req.WithContext(ctx))
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
		wire.CloseIdleConnections()
	})
	r.URL = srv.URL
	return r
}

func (r *recorder) note(req *http.Request, status int) {
	c := call{path: req.URL.Path, status: status}
	if _, pattern := r.routes.Handler(req); pattern != "" {
		method, path, _ := strings.Cut(pattern, " /v1")
		c.endpoint = managed.Endpoint{Method: method, Path: path}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, c)
}

func (r *recorder) remember(cancel context.CancelFunc) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.next++
	r.open[r.next] = cancel
	return r.next
}

func (r *recorder) forget(stream int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.open, stream)
}

// cut breaks the connections of all open streams, in the middle of what they send.
func (r *recorder) cut(w http.ResponseWriter, _ *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, cancel := range r.open {
		cancel()
	}
	_, _ = fmt.Fprint(w, len(r.open)) // a script that is gone has failed already
}

// count tells how many requests came whose path begins with ?path=.
func (r *recorder) count(w http.ResponseWriter, req *http.Request) {
	_, _ = fmt.Fprint(w, len(r.paths(req.URL.Query().Get("path")))) // a script that is gone has failed already
}

// paths are those of the requests so far that begin so.
func (r *recorder) paths(prefix string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []string
	for _, c := range r.calls {
		if strings.HasPrefix(c.path, prefix) {
			list = append(list, c.path)
		}
	}
	return list
}

// worked are the endpoints that served this client well at least once.
func (r *recorder) worked() map[managed.Endpoint]bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	set := map[managed.Endpoint]bool{}
	for _, c := range r.calls {
		if c.status/100 == 2 {
			set[c.endpoint] = true
		}
	}
	return set
}

// broken are the requests that no client should meet: unknown routes of the API, and failures of the server.
func (r *recorder) broken() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []string
	for _, c := range r.calls {
		if c.status >= 500 || c.endpoint == (managed.Endpoint{}) {
			list = append(list, fmt.Sprintf("%s: %d", c.path, c.status))
		}
	}
	return list
}
