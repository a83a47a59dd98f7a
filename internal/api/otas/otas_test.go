package otas_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/reeve-ai/reeve/internal/api/httpio"
	"github.com/reeve-ai/reeve/internal/api/otas"
	"github.com/reeve-ai/reeve/internal/bus"
	"github.com/reeve-ai/reeve/internal/catalog"
	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/identity"
	"github.com/reeve-ai/reeve/internal/observe"
	"github.com/reeve-ai/reeve/internal/session"
	"github.com/reeve-ai/reeve/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a server with the real services on a database of its own.
type world struct {
	url      string
	store    *store.DB
	identity *identity.Service
	catalog  *catalog.Service
	sessions *session.Service
	observe  *observe.Service
	clock    *clock
	log      *logBuffer
}

// clock is the wall clock, moved on by what a test adds.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time       { return time.Now().UTC().Add(time.Duration(c.ahead.Load())) }
func (c *clock) move(d time.Duration) { c.ahead.Add(int64(d)) }

// logBuffer keeps what the server logged.
type logBuffer struct {
	sync.Mutex
	bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.Lock()
	defer b.Unlock()
	return b.Buffer.Write(p)
}

func (b *logBuffer) text() string {
	b.Lock()
	defer b.Unlock()
	return b.String()
}

func setup(t *testing.T, origins ...string) *world {
	t.Helper()
	db, err := store.Open(context.Background(), store.Options{Path: filepath.Join(t.TempDir(), "reeve.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	secret := make([]byte, identity.SecretSize)
	_, _ = rand.Read(secret)
	w := &world{store: db, clock: &clock{}, log: &logBuffer{}}
	log := slog.New(slog.NewTextHandler(w.log, nil))
	w.identity = identity.New(db, secret, identity.Options{Log: log, Now: w.clock.now})
	// Agents of this face name no model, and sessions of this face run no turns: neither service needs
	// the ports that are nil here.
	w.catalog = catalog.New(db, nil, nil, w.clock.now)
	w.sessions = session.New(db, nil, nil, bus.New(), nil, w.clock.now)
	seen, err := store.OpenCaptures(context.Background(), store.Options{Path: filepath.Join(t.TempDir(), "captures.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = seen.Close() })
	w.observe = observe.New(seen, w.catalog, w.sessions, w.identity, observe.Options{Now: w.clock.now, Log: log})
	face := otas.New(otas.Deps{
		Identity: w.identity, Agents: w.catalog, Sessions: w.sessions, Captures: w.observe,
		Log: log, Now: w.clock.now, Origins: origins,
	})
	mux := http.NewServeMux()
	face.Mount(mux)
	srv := httptest.NewServer(httpio.Border(log, mux, face.Fail))
	t.Cleanup(srv.Close)
	w.url = srv.URL
	return w
}

// answer is a response with its body as a value.
type answer struct {
	status int
	header http.Header
	raw    string
	body   map[string]any
}

// at follows names into the body; missing ones fail the test.
func (a answer) at(t *testing.T, path ...string) any {
	t.Helper()
	var v any = a.body
	for _, name := range path {
		m, ok := v.(map[string]any)
		if !ok || m[name] == nil {
			t.Fatalf("no %q of %q in %d %s", name, path, a.status, a.raw)
		}
		v = m[name]
	}
	return v
}

func (a answer) text(t *testing.T, path ...string) string {
	t.Helper()
	s, ok := a.at(t, path...).(string)
	if !ok {
		t.Fatalf("%q is no text in %s", path, a.raw)
	}
	return s
}

// must fails the test unless the answer has this status and description.
func (a answer) must(t *testing.T, status int, description string) answer {
	t.Helper()
	if a.status != status || a.body["status_description"] != description {
		t.Fatalf("answer is %d %s, want %d %s", a.status, a.raw, status, description)
	}
	if want := map[bool]float64{true: 1, false: 0}[status < 400]; a.body["status"] != want {
		t.Fatalf("status in %s is not %v", a.raw, want)
	}
	return a
}

type headers map[string]string

func (w *world) do(t *testing.T, method, path string, h headers, body string) answer {
	t.Helper()
	req, err := http.NewRequest(method, w.url+path, bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range h {
		req.Header.Set(k, v)
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{status: res.StatusCode, header: res.Header, raw: string(raw)}
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &a.body); err != nil {
			t.Fatalf("%s %s: the body is no JSON object: %s", method, path, raw)
		}
	}
	return a
}

// person is someone with an account.
type person struct {
	token string
	id    core.UserID
	email string
}

var people atomic.Int64

const password = "seven paper lanterns"

func (w *world) person(t *testing.T) person {
	t.Helper()
	email := fmt.Sprintf("person%d@example.org", people.Add(1))
	a := w.do(t, "POST", "/api/user/v1/create/", nil,
		`{"first_name":"Mira","last_name":"Okafor","email":"`+email+`","password":"`+password+`"}`).must(t, 200, "user_created")
	id, _ := core.ParseID[core.UserID](a.text(t, "response_body", "user", "id"))
	return person{token: a.text(t, "response_body", "jwt_token"), id: id, email: email}
}

// tenant is a project with its administrator, one agent and that agent's key.
type tenant struct {
	admin              person
	project, agent     string
	key, keyID         string
	sessionToken, sess string
}

func (w *world) tenant(t *testing.T) tenant {
	t.Helper()
	n := tenant{admin: w.person(t)}
	n.project = w.project(t, n.admin)
	a := w.do(t, "POST", "/api/agent/v1/create/", n.headers(), `{"agent_name":"Router","agent_provider":"Anthropic"}`).must(t, 201, "agent_created")
	n.agent, n.key, n.keyID = a.text(t, "response", "agent", "id"), a.text(t, "response", "agent_key", "api_key"), a.text(t, "response", "agent_key", "id")
	n.sessionToken = w.open(t, n.key)
	list := w.do(t, "GET", "/api/agent/v1/sessions/list/?agent_id="+n.agent, n.headers(), "").must(t, 200, "agent_sessions_listed")
	n.sess = list.at(t, "response", "sessions").([]any)[0].(map[string]any)["id"].(string)
	return n
}

func (w *world) project(t *testing.T, p person) string {
	t.Helper()
	a := w.do(t, "POST", "/api/project/v1/create/", headers{"X-OTAS-USER-TOKEN": p.token}, `{"project_name":"Parcel Desk"}`).must(t, 201, "project_created")
	return a.text(t, "response_body", "project", "id")
}

// open opens a session with an agent key and returns its token.
func (w *world) open(t *testing.T, key string) string {
	t.Helper()
	return w.do(t, "POST", "/api/agent/v1/session/create/", headers{"X-OTAS-AGENT-KEY": key}, "").must(t, 200, "agent_session_created").text(t, "response", "jwt_token")
}

// sdkKey makes an SDK key for the tenant's project.
func (w *world) sdkKey(t *testing.T, n tenant) string {
	t.Helper()
	return w.do(t, "POST", "/api/project/v1/sdk/backend/key/create/", n.headers(), `{"validity":30}`).must(t, 201, "backend_sdk_key_created").text(t, "response_body", "api_key")
}

func (n tenant) headers() headers {
	return headers{"X-OTAS-USER-TOKEN": n.admin.token, "X-OTAS-PROJECT-ID": n.project}
}

// as is the tenant's headers with another person's token.
func (n tenant) as(p person) headers {
	h := maps.Clone(n.headers())
	h["X-OTAS-USER-TOKEN"] = p.token
	return h
}

// join makes someone part of the tenant's project.
func (w *world) join(t *testing.T, p person, n tenant, role core.Role, active bool) {
	t.Helper()
	now := w.clock.now()
	err := w.store.PutMembership(context.Background(), core.Membership{
		Project: n.projectID(), User: p.id, Role: role, Active: active, CreatedAt: now, UpdatedAt: now,
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (n tenant) projectID() core.ProjectID {
	id, _ := core.ParseID[core.ProjectID](n.project)
	return id
}

func (n tenant) agentID() core.AgentID {
	id, _ := core.ParseID[core.AgentID](n.agent)
	return id
}
