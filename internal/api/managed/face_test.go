package managed_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/reeve-ai/reeve/internal/api/httpio"
	"github.com/reeve-ai/reeve/internal/api/managed"
	"github.com/reeve-ai/reeve/internal/blob"
	"github.com/reeve-ai/reeve/internal/bus"
	"github.com/reeve-ai/reeve/internal/catalog"
	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/deployment"
	"github.com/reeve-ai/reeve/internal/egress"
	"github.com/reeve-ai/reeve/internal/file"
	"github.com/reeve-ai/reeve/internal/identity"
	"github.com/reeve-ai/reeve/internal/memory"
	"github.com/reeve-ai/reeve/internal/provider"
	"github.com/reeve-ai/reeve/internal/provider/fake"
	"github.com/reeve-ai/reeve/internal/sandbox"
	"github.com/reeve-ai/reeve/internal/session"
	"github.com/reeve-ai/reeve/internal/skill"
	"github.com/reeve-ai/reeve/internal/store"
	"github.com/reeve-ai/reeve/internal/tool"
	"github.com/reeve-ai/reeve/internal/turn"
	"github.com/reeve-ai/reeve/internal/vault"
	"github.com/reeve-ai/reeve/internal/work"
)

func TestMain(m *testing.M) {
	sandbox.RunGuestIfAsked() // this binary is the guest of the sandboxes that apptest opens
	goleak.VerifyTestMain(m, goleak.Cleanup(func(int) { http.DefaultClient.CloseIdleConnections() }))
}

// patience is how long a test waits for something that must come. It is a deadline, not a delay.
const patience = 20 * time.Second

// models lets the script answer as one model without and one with efforts.
const models = `
models:
  - {name: scripted, provider: fake, target: scripted, max_input_tokens: 200000, max_output_tokens: 8192}
  - {name: thinker, provider: fake, target: thinker, max_input_tokens: 100000, max_output_tokens: 8192, efforts: [low, high], default_effort: high}
default: scripted
`

// server is the face over the real services, on a fresh database with two projects. Only the model is
// a script. Tools that need a sandbox cannot run: there is none.
type server struct {
	*httptest.Server
	db       *store.DB
	sessions *session.Service
	ids      *identity.Service
	models   core.Models
	script   *fake.Provider
	admin    core.Principal // of token
	token    string
	member   string // a token of the same project that may use, but not register
	viewer   string // one that may only read
	foreign  string // an administrator's token of another project
	log      *bytes.Buffer
	depot    *blob.Depot
	data     string // the folder
	now      func() time.Time
}

// options change how a server starts.
type options struct {
	maxStreams int
	keys       func(core.IdempotencyStore) core.IdempotencyStore
	script     *fake.Provider // in the place of the steps
}

func start(t *testing.T, steps ...fake.Step) *server {
	t.Helper()
	return startWith(t, options{}, steps...)
}

func startWith(t *testing.T, o options, steps ...fake.Step) *server {
	t.Helper()
	data := t.TempDir()
	if err := os.WriteFile(filepath.Join(data, provider.FileName), []byte(models), 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), store.Options{Path: filepath.Join(data, "reeve.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	s := &server{db: db, script: o.script, log: &bytes.Buffer{}}
	if s.script == nil {
		s.script = fake.New(steps...)
	}
	if s.models, err = provider.Open(provider.Options{Data: data, Extra: map[string]core.Provider{"fake": s.script}}); err != nil {
		t.Fatal(err)
	}
	ids := s.tokens(t)
	s.ids = ids
	log := slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	now := func() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }
	tools := tool.NewRegistry()
	wires := bus.New()
	works := work.New(db, ids, now, log)
	dispatcher := turn.NewDispatcher(turn.NewRunner(db, s.models, tools, nil, wires, now, log, turn.Options{
		WorkReady: works.Wake, Node: "test", BackoffBase: time.Millisecond, MaxAttempts: 2,
	}))
	s.run(t, dispatcher)
	s.sessions = session.New(db, s.models, catalog.New(db, s.models, tools, now), wires, dispatcher, now)
	vaults := vault.New(db, []byte(strings.Repeat("s", identity.SecretSize)), egress.New(egress.Options{
		AllowPrivate: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")},
	}).Transport(), vault.Options{Log: log})
	t.Cleanup(vaults.Close)
	s.sessions.UseVaults(vaults.Check)
	tokens, err := vault.NewTokens([]byte(strings.Repeat("s", identity.SecretSize)))
	if err != nil {
		t.Fatal(err)
	}
	s.sessions.UseSealer(tokens)
	s.sessions.OnWork(works.Wake)
	var keys core.IdempotencyStore = db
	if o.keys != nil {
		keys = o.keys(db)
	}
	folder, err := blob.OpenFolder(filepath.Join(data, "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	depot := blob.NewDepot(db, folder, blob.Options{Log: log})
	files, err := file.New(db, depot, []byte(strings.Repeat("s", identity.SecretSize)), file.Options{Log: log, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	s.depot, s.data, s.now = depot, data, now
	s.sessions.UseRubrics(files.Text)
	face := managed.New(managed.Deps{
		Auth: ids, Catalog: catalog.New(db, s.models, tools, now), Sessions: s.sessions, Models: s.models, Vaults: vaults,
		Files: files, Skills: skill.New(db, depot, now),
		Deployments: deployment.New(db, s.sessions, deployment.Options{Now: now, Log: log}),
		Memory:      memory.New(db, now, nil),
		Work:        works,
		Idempotency: keys, Log: log, MaxStreams: o.maxStreams,
	})
	mux := http.NewServeMux()
	face.Mount(mux, "/v1", nil)
	face.Mount(mux, "/api/v1/cloud", managed.Qoder)
	s.Server = httptest.NewServer(httpio.Border(log, mux, face.Fail))
	t.Cleanup(func() {
		s.CloseClientConnections() // open streams
		s.Close()
	})
	return s
}

// tokens makes the two projects and their tokens.
func (s *server) tokens(t *testing.T) *identity.Service {
	t.Helper()
	ids := identity.New(s.db, []byte(strings.Repeat("s", identity.SecretSize)), identity.Options{})
	issue := func(project core.ProjectID, role core.Role) (string, core.Credential) {
		if err := s.db.CreateProject(t.Context(), core.Project{ID: project, Name: "p", Active: true}); err != nil && core.KindOf(err) != core.Conflict {
			t.Fatal(err)
		}
		token, c, err := ids.IssueToken(t.Context(), identity.IssueToken{Project: project, Spelling: identity.SpellingQoder, Role: role})
		if err != nil {
			t.Fatal(err)
		}
		return token, c
	}
	own := core.NewID[core.ProjectID]()
	var c core.Credential
	s.token, c = issue(own, core.RoleAdmin)
	s.admin = core.Principal{Kind: core.PrincipalToken, Project: own, Role: core.RoleAdmin, Credential: c.ID}
	s.member, _ = issue(own, core.RoleMember)
	s.viewer, _ = issue(own, core.RoleViewer)
	s.foreign, _ = issue(core.NewID[core.ProjectID](), core.RoleAdmin)
	return ids
}

// run runs turns until the test ends.
func (s *server) run(t *testing.T, d *turn.Dispatcher) {
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan error, 1) // holds the one result
	go func() { stopped <- d.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-stopped; err != nil && !errors.Is(err, context.Canceled) { // a short test ends before Run has begun
			t.Errorf("dispatcher: %v", err)
		}
	})
}

// answer is a whole HTTP answer.
type answer struct {
	status int
	header http.Header
	raw    string
	body   map[string]any
}

// client speaks one dialect to a server.
type client struct {
	*server
	base  string // prefix of all paths
	token string
	auth  func(http.Header, string)
}

func claude(s *server) client {
	return client{s, "/v1", s.token, func(h http.Header, token string) { h.Set("X-Api-Key", token); h.Set("Anthropic-Version", "2023-06-01") }}
}

func qoder(s *server) client {
	return client{s, "/api/v1/cloud", s.token, func(h http.Header, token string) { h.Set("Authorization", "Bearer "+token) }}
}

// qoderV1 is Qoder's flavour where only the credential says so, as in seed page 003.
func qoderV1(s *server) client {
	c := qoder(s)
	c.base = "/v1"
	return c
}

// as is the same client with another token.
func (c client) as(token string) client {
	c.token = token
	return c
}

func (c client) request(t *testing.T, method, path, body string, header ...string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, c.URL+c.base+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	c.auth(req.Header, c.token)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return req
}

func (c client) do(t *testing.T, method, path, body string, header ...string) answer {
	t.Helper()
	res, err := c.Client().Do(c.request(t, method, path, body, header...))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{status: res.StatusCode, header: res.Header, raw: string(raw)}
	if err := json.Unmarshal(raw, &a.body); err != nil {
		t.Fatalf("%s %s answered %d with %q: %v", method, path, res.StatusCode, raw, err)
	}
	return a
}

// must is do for requests that have to succeed; it returns the body.
func (c client) must(t *testing.T, method, path, body string, header ...string) map[string]any {
	t.Helper()
	a := c.do(t, method, path, body, header...)
	if a.status/100 != 2 {
		t.Fatalf("%s %s answered %d: %s", method, path, a.status, a.raw)
	}
	return a.body
}

// refused checks an error body and returns its message.
func (c client) refused(t *testing.T, a answer, status int, kind string) string {
	t.Helper()
	e, _ := a.body["error"].(map[string]any)
	if a.status != status || a.body["type"] != "error" || e["type"] != kind {
		t.Fatalf("answer = %d %s, want %d %s", a.status, a.raw, status, kind)
	}
	if id := a.body["request_id"]; id == "" || id != a.header.Get("Request-Id") {
		t.Errorf("request_id = %v, header %q", id, a.header.Get("Request-Id"))
	}
	message, _ := e["message"].(string)
	if message == "" {
		t.Error("the error has no message")
	}
	return message
}

// agent makes an agent and returns its id. fields are more members: `,"system":"x"`.
func (c client) agent(t *testing.T, fields string) string {
	t.Helper()
	return c.must(t, "POST", "/agents", `{"name":"Helper","model":"scripted"`+fields+`}`)["id"].(string)
}

// session makes an agent, an environment and a session, and returns the session's id.
func (c client) session(t *testing.T, agentFields string) string {
	t.Helper()
	env := c.must(t, "POST", "/environments", `{"name":"box"}`)["id"].(string)
	return c.must(t, "POST", "/sessions", `{"agent":"`+c.agent(t, agentFields)+`","environment_id":"`+env+`"}`)["id"].(string)
}

func message(text string) string {
	return `{"events":[{"type":"user.message","content":[{"type":"text","text":"` + text + `"}]}]}`
}

// frame is one server-sent event.
type frame struct {
	id, event, comment string
	data               map[string]any
}

// watch opens a stream. The channel is closed with the connection; reading stops with the test.
func (c client) watch(t *testing.T, path string, header ...string) <-chan frame {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	res, err := c.Client().Do(c.request(t, "GET", path, "", header...).WithContext(ctx))
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "text/event-stream" {
		raw, _ := io.ReadAll(res.Body)
		cancel()
		t.Fatalf("GET %s answered %d: %s", path, res.StatusCode, raw)
	}
	frames := make(chan frame, 1024) // more than any test reads late
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(frames)
		readFrames(res.Body, frames)
		_ = res.Body.Close()
	}()
	t.Cleanup(func() { cancel(); <-done })
	return frames
}

func readFrames(r io.Reader, frames chan<- frame) {
	var f frame
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "id":
			f.id = value
		case "event":
			f.event = value
		case "data":
			if json.Unmarshal([]byte(value), &f.data) != nil {
				return
			}
		default:
			if strings.HasPrefix(lines.Text(), ":") {
				f.comment = value
			}
			if lines.Text() == "" && (f.event != "" || f.data != nil) {
				frames <- f
				f = frame{}
			}
		}
	}
}

// next reads one frame; pings are left out.
func next(t *testing.T, frames <-chan frame) frame {
	t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case f, open := <-frames:
			if !open {
				t.Fatal("the stream ended")
			}
			if f.event != "ping" {
				return f
			}
		case <-timeout:
			t.Fatal("nothing came")
		}
	}
}

// until reads frames up to one of this type, that included.
func until(t *testing.T, frames <-chan frame, kind string) []frame {
	t.Helper()
	var read []frame
	defer func() {
		if t.Failed() {
			t.Logf("waiting for %s, read %v", kind, types(read))
		}
	}()
	for {
		f := next(t, frames)
		if read = append(read, f); f.data["type"] == kind {
			return read
		}
	}
}

func types(frames []frame) []string {
	var list []string
	for _, f := range frames {
		kind, _ := f.data["type"].(string)
		list = append(list, kind)
	}
	return list
}

// dig returns what a path of members and indexes leads to.
func dig(v any, path ...any) any {
	for _, p := range path {
		switch p := p.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[p]
		case int:
			l, _ := v.([]any)
			if p >= len(l) {
				return nil
			}
			v = l[p]
		}
	}
	return v
}

func remarshal(t *testing.T, v any) []byte {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func unmarshal(t *testing.T, raw string, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(raw), v); err != nil {
		t.Fatal(err)
	}
}
