// Package apptest starts the real app for tests: on port 0, with SQLite in a temporary folder, the real
// sandbox and every face. Only the model is fake, and it is a script.
package apptest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/reeve-ai/reeve/internal/app"
	"github.com/reeve-ai/reeve/internal/config"
	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/provider/fake"
)

// Model is the name of the scripted model.
const Model = "scripted"

// models makes the script the default, and lets every name that the catalogue knows reach it. WithModel adds to it.
const models = `
default: scripted
models:
  - {name: scripted, provider: fake, target: scripted, max_input_tokens: 200000, max_output_tokens: 8192}
`

// Server is a running app.
type Server struct {
	URL   string // http://127.0.0.1:port
	Also  string // the same server on another port, with AlsoListening; else empty
	Token string // an administrator's access token of the first project
	Data  string // the data folder
	App   *app.App
	// Statements counts what requests ran in the databases since the start, and nothing of what runs beside them.
	Statements *atomic.Int64
	Fake       *fake.Provider
	stop       func()
}

// Option changes how a server starts.
type Option func(*settings)

type settings struct {
	also  bool
	cfg   config.Config
	opts  app.Options
	token string // of an earlier life; empty: a first start
	more  string // entries of models.yaml
}

// WithModel adds an entry to models.yaml, as {name: …, provider: fake, …}.
func WithModel(entry string) Option { return func(s *settings) { s.more += "  - " + entry + "\n" } }

// WithConfig changes the configuration before the start.
func WithConfig(change func(*config.Config)) Option { return func(s *settings) { change(&s.cfg) } }

// AlsoListening has the server listen on a second port as well.
func AlsoListening() Option { return func(s *settings) { s.also = true } }

// WithOptions changes what only programs set: the clock, the log.
func WithOptions(change func(*app.Options)) Option { return func(s *settings) { change(&s.opts) } }

// Again starts on the data folder of a server that has stopped.
func Again(old *Server) Option {
	return func(s *settings) { s.cfg.Data, s.token = old.Data, old.Token }
}

// Start runs the app with a script until the test ends, and fails the test if it does not stop cleanly.
func Start(t testing.TB, steps ...fake.Step) *Server {
	t.Helper()
	return StartWith(t, fake.New(steps...))
}

// StartWith is Start with a provider of the test's own, and options.
func StartWith(t testing.TB, script *fake.Provider, options ...Option) *Server {
	t.Helper()
	s := settings{cfg: config.Default()}
	s.cfg.Data = t.TempDir()
	s.cfg.Turns.SoftStop = 2 * time.Second
	s.opts = app.Options{Backoff: time.Millisecond, Log: slog.New(slog.NewTextHandler(logTo{t}, nil)), Providers: map[string]core.Provider{"fake": script}}
	for _, o := range options {
		o(&s)
	}
	if err := os.WriteFile(filepath.Join(s.cfg.Data, "models.yaml"), []byte(models+s.more), 0o600); err != nil {
		t.Fatal(err)
	}
	srv := &Server{Data: s.cfg.Data, Fake: script, Statements: new(atomic.Int64)}
	s.opts.Statements = srv.Statements
	srv.run(t, s)
	first, isFirst := srv.App.FirstStart()
	if isFirst != (s.token == "") {
		t.Fatalf("first start: %v, on a folder with an earlier life: %v", isFirst, s.token != "")
	}
	srv.Token = s.token
	if isFirst {
		srv.Token = first.Token
	}
	return srv
}

func (s *Server) run(t testing.TB, set settings) {
	t.Helper()
	a, err := app.Open(t.Context(), set.cfg, set.opts)
	if err != nil {
		t.Fatalf("open the app: %v", err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.App, s.URL = a, "http://"+ln.Addr().String()
	listeners := []net.Listener{ln}
	if set.also {
		second, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s.Also = "http://" + second.Addr().String()
		listeners = append(listeners, second)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1) // holds the one result, so that the goroutine never waits
	go func() { served <- a.Serve(ctx, listeners...) }()
	stopped := false
	s.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
		if err := a.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	t.Cleanup(s.stop)
}

// Stop ends the server before the test does.
func (s *Server) Stop() { s.stop() }

// Answer is a whole HTTP answer.
type Answer struct {
	Status int
	Header http.Header
	Raw    []byte
	Body   map[string]any // nil if the body is not a JSON object
}

// Do sends a request with the server's token in x-api-key, unless header names Authorization or another
// credential. body may be nil, a string or []byte to send as they are, or a value to marshal. header is
// names and values by turns.
func (s *Server) Do(t testing.TB, method, path string, body any, header ...string) Answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, reader(t, body))
	if err != nil {
		t.Fatal(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	if !hasCredential(req.Header) {
		req.Header.Set("X-Api-Key", s.Token)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	a := Answer{Status: res.StatusCode, Header: res.Header, Raw: raw}
	_ = json.Unmarshal(raw, &a.Body) // not every answer is an object
	return a
}

func hasCredential(h http.Header) bool {
	for name := range h {
		if name == "Authorization" || strings.HasPrefix(name, "X-Otas-") || name == "X-Api-Key" {
			return true
		}
	}
	return false
}

func reader(t testing.TB, body any) io.Reader {
	t.Helper()
	switch b := body.(type) {
	case nil:
		return nil
	case string:
		return strings.NewReader(b)
	case []byte:
		return bytes.NewReader(b)
	}
	raw, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.NewReader(raw)
}

// Must is Do for calls that have to succeed; it returns the body.
func (s *Server) Must(t testing.TB, method, path string, body any, header ...string) map[string]any {
	t.Helper()
	a := s.Do(t, method, path, body, header...)
	if a.Status/100 != 2 {
		t.Fatalf("%s %s: status %d: %s", method, path, a.Status, a.Raw)
	}
	return a.Body
}

// logTo sends the app's log to the test's.
type logTo struct{ t testing.TB }

func (l logTo) Write(b []byte) (int, error) {
	l.t.Logf("%s", bytes.TrimRight(b, "\n"))
	return len(b), nil
}
