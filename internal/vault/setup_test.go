package vault_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/egress"
	"github.com/reeve-ai/reeve/internal/store"
	"github.com/reeve-ai/reeve/internal/vault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var installation = []byte(strings.Repeat("s", 32))

// bundle is the service over a fresh database with two projects. It may reach 127.0.0.1.
type bundle struct {
	*vault.Service
	db       *store.DB
	path     string
	log      *lockedBuffer
	clock    *clock
	admin    core.Principal
	member   core.Principal
	viewer   core.Principal
	other    core.Principal // an administrator of another project
	outgoing http.RoundTripper
}

// clock is the service's time: it stands still unless it is moved.
type clock struct {
	sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.Lock()
	defer c.Unlock()
	return c.at
}

func (c *clock) move(d time.Duration) {
	c.Lock()
	defer c.Unlock()
	c.at = c.at.Add(d)
}

type lockedBuffer struct {
	sync.Mutex
	b bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.Lock()
	defer l.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.Lock()
	defer l.Unlock()
	return l.b.String()
}

func setup(t *testing.T) *bundle {
	t.Helper()
	b := &bundle{log: &lockedBuffer{}, clock: &clock{at: time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)}, path: filepath.Join(t.TempDir(), "reeve.db")}
	var err error
	if b.db, err = store.Open(t.Context(), store.Options{Path: b.path}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.Close()
		if err := b.db.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, p := range []core.ProjectID{"p1", "p2"} {
		if err := b.db.CreateProject(t.Context(), core.Project{ID: p, Name: "p", Active: true}); err != nil {
			t.Fatal(err)
		}
	}
	as := func(p core.ProjectID, r core.Role) core.Principal {
		return core.Principal{Kind: core.PrincipalToken, Project: p, Role: r, Credential: "c"}
	}
	b.admin, b.member, b.viewer, b.other = as("p1", core.RoleAdmin), as("p1", core.RoleMember), as("p1", core.RoleViewer), as("p2", core.RoleAdmin)
	b.outgoing = egress.New(egress.Options{AllowPrivate: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}).Transport()
	b.Service = b.service(installation, b.outgoing)
	return b
}

func (b *bundle) service(secret []byte, way http.RoundTripper) *vault.Service {
	return vault.New(b.db, secret, way, vault.Options{
		Log: slog.New(slog.NewTextHandler(b.log, &slog.HandlerOptions{Level: slog.LevelDebug})), Now: b.clock.now,
	})
}

func (b *bundle) vault(t *testing.T) core.VaultID {
	t.Helper()
	v, _, err := b.CreateVault(t.Context(), b.admin, vault.NewVault{Name: "keys"})
	if err != nil {
		t.Fatal(err)
	}
	return v.ID
}

func (b *bundle) secret(t *testing.T, in core.VaultID, n vault.NewSecret) core.Secret {
	t.Helper()
	s, err := b.CreateSecret(t.Context(), b.admin, in, n)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func bearer(url, token string) vault.NewSecret {
	return vault.NewSecret{Kind: core.SecretBearer, Target: url, Plain: vault.Plain{Token: token}}
}

func variable(name, value string) vault.NewSecret {
	return vault.NewSecret{Kind: core.SecretVariable, Target: name, Plain: vault.Plain{Token: value}, Terms: core.SecretTerms{InHeader: true, InBody: true}}
}

// oauth is an access token that the authority can refresh.
func oauth(a *authority, auth string) vault.NewSecret {
	n := vault.NewSecret{
		Kind: core.SecretOAuth, Target: a.URL + "/mcp",
		Plain: vault.Plain{Token: "access-secret-0", RefreshToken: "refresh-secret-0"},
		Terms: core.SecretTerms{Refresh: &core.RefreshTerms{Endpoint: a.URL + "/token", ClientID: "client 1", Auth: auth, Scope: "read write", Resource: "https://mcp.example.com"}},
	}
	if auth != core.TokenAuthNone {
		n.Plain.ClientSecret = "client secret/1"
	}
	return n
}

// check fails unless err is of this kind and, if not empty, names the field or has the code.
func check(t *testing.T, what string, err error, kind core.Kind, fieldOrCode string) {
	t.Helper()
	var e *core.Error
	if !errors.As(err, &e) || e.Kind != kind || fieldOrCode != "" && e.Field != fieldOrCode && core.CodeOf(err) != fieldOrCode {
		t.Errorf("%s: error = %v, want %s %s", what, err, kind, fieldOrCode)
	}
}

// authority is a token endpoint at /token and an MCP server at /mcp that takes its newest access token. Refresh
// tokens work once, as RFC 9700 wants it.
type authority struct {
	*httptest.Server
	t  *testing.T
	mu sync.Mutex

	access, refresh string // that work now
	exchanges       int
	forms           []string           // of /token, with the Authorization header before them
	hold            chan struct{}      // if not nil, /token waits for it
	reached         chan struct{}      // told when /token is reached
	answer          func(n int) string // of /token instead of the usual one
	status          int                // of answer
	refuse          http.HandlerFunc   // instead of the usual refusal of /mcp
	silent          bool               // no new refresh token
}

func serveAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, access: "access-secret-0", refresh: "refresh-secret-0", reached: make(chan struct{}, 16), status: 200}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /token", a.token)
	mux.HandleFunc("POST /mcp", a.mcp)
	a.Server = httptest.NewServer(mux)
	t.Cleanup(a.Close)
	return a
}

func (a *authority) token(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		a.t.Error(err)
	}
	a.reached <- struct{}{}
	a.mu.Lock()
	hold := a.hold
	a.mu.Unlock()
	if hold != nil {
		<-hold
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.exchanges++
	a.forms = append(a.forms, strings.TrimSpace(r.Header.Get("Authorization")+" "+string(body)))
	w.Header().Set("Content-Type", "application/json")
	if a.answer != nil {
		w.WriteHeader(a.status)
		_, _ = io.WriteString(w, a.answer(a.exchanges))
		return
	}
	if !strings.Contains(string(body), "refresh_token="+a.refresh) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"error":"invalid_grant","error_description":"unknown or used"}`)
		return
	}
	a.access = fmt.Sprintf("access-secret-%d", a.exchanges)
	grant := map[string]any{"access_token": a.access, "token_type": "Bearer", "expires_in": 3600}
	if !a.silent {
		a.refresh = fmt.Sprintf("refresh-secret-%d", a.exchanges)
		grant["refresh_token"] = a.refresh
	}
	_ = json.NewEncoder(w).Encode(grant)
}

func (a *authority) mcp(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var call struct {
		Version string `json:"jsonrpc"`
		Method  string `json:"method"`
	}
	if err := json.NewDecoder(r.Body).Decode(&call); err != nil || call.Version != "2.0" || call.Method != "initialize" {
		a.t.Errorf("probe = %+v, %v", call, err)
	}
	if r.Header.Get("Authorization") == "Bearer "+a.access {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "event: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\n")
		return
	}
	if a.refuse != nil {
		a.refuse(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusUnauthorized)
	_, _ = io.WriteString(w, `{"error":"invalid_token"}`)
}

// set changes the authority while it serves.
func (a *authority) set(change func(*authority)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change(a)
}

func (a *authority) seen() (exchanges int, forms []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.exchanges, append([]string{}, a.forms...)
}

// databaseBytes are all bytes that the database has on disk, its log included.
func (b *bundle) databaseBytes(t *testing.T) []byte {
	t.Helper()
	var all []byte
	files, err := filepath.Glob(b.path + "*")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		all = append(all, raw...)
	}
	return all
}

// stored reads a secret's row.
func (b *bundle) stored(t *testing.T, s core.Secret) core.Secret {
	t.Helper()
	row, err := b.db.Secret(context.WithoutCancel(t.Context()), s.Project, s.Vault, s.ID)
	if err != nil {
		t.Fatal(err)
	}
	return row
}
