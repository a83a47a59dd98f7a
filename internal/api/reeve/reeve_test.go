package reeve_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/reeve-ai/reeve/internal/api/httpio"
	"github.com/reeve-ai/reeve/internal/api/reeve"
	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/egress"
	"github.com/reeve-ai/reeve/internal/identity"
	"github.com/reeve-ai/reeve/internal/store"
	"github.com/reeve-ai/reeve/internal/webhook"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// loopback is where webhooks may be.
var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// desk is the face over the real identity service, with two projects.
type desk struct {
	http.Handler
	db       *store.DB
	identity *identity.Service
	hooks    *webhook.Service
	store    core.Store     // observed by hooks
	project  core.ProjectID // the first
	admin    string         // access tokens
	member   string
	foreign  string
	env      string // a self-hosted environment of the first project
	cloud    string
	log      *bytes.Buffer
}

func open(t *testing.T) *desk {
	t.Helper()
	db, err := store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "reeve.db")})
	need(t, err)
	d := &desk{db: db, log: &bytes.Buffer{}}
	t.Cleanup(func() { need(t, db.Close()) })
	d.identity = identity.New(db, bytes.Repeat([]byte("s"), identity.SecretSize), identity.Options{})
	log := slog.New(slog.NewTextHandler(d.log, nil))
	token := func(project core.ProjectID, role core.Role) string {
		if err := db.CreateProject(t.Context(), core.Project{ID: project, Name: "p", Active: true}); err != nil && core.KindOf(err) != core.Conflict {
			t.Fatal(err)
		}
		plain, _, err := d.identity.IssueToken(t.Context(), identity.IssueToken{Project: project, Role: role})
		need(t, err)
		return plain
	}
	d.hooks, err = webhook.New(db, bytes.Repeat([]byte("s"), identity.SecretSize), egress.New(egress.Options{AllowPrivate: loopback}).Transport(),
		webhook.Options{Log: log, AllowPrivate: loopback})
	need(t, err)
	d.store = d.hooks.Observe(db)
	own := core.NewID[core.ProjectID]()
	d.project = own
	d.admin, d.member, d.foreign = token(own, core.RoleAdmin), token(own, core.RoleMember), token(core.NewID[core.ProjectID](), core.RoleAdmin)
	environment := func(selfHosted bool) string {
		e := core.Environment{Project: own, ID: core.NewID[core.EnvironmentID](), Name: "box", Config: core.EnvironmentConfig{SelfHosted: selfHosted}, Metadata: map[string]string{}}
		need(t, db.CreateEnvironment(t.Context(), e))
		return "env_" + string(e.ID)
	}
	d.env, d.cloud = environment(true), environment(false)
	d.Handler = httpio.Border(log, reeve.New(reeve.Deps{Identity: d.identity, Webhooks: d.hooks, Log: log}), func(http.ResponseWriter, *http.Request, error) { t.Error("it panicked") })
	return d
}

type answer struct {
	status int
	header http.Header
	raw    string
	body   map[string]any
}

func (d *desk) do(t *testing.T, method, path, token, body string) answer {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	rec := httptest.NewRecorder()
	d.ServeHTTP(rec, req)
	res := rec.Result()
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	need(t, err)
	a := answer{status: res.StatusCode, header: res.Header, raw: string(raw)}
	if len(raw) > 0 {
		need(t, json.Unmarshal(raw, &a.body))
	}
	return a
}

func (d *desk) keys() string { return "/reeve/v1/environments/" + d.env + "/keys" }

func need(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestAnEnvironmentKeyIsMadeListedAndRevoked(t *testing.T) {
	t.Parallel()
	d := open(t)
	made := d.do(t, "POST", d.keys(), d.admin, `{"name": "laptop", "expires_at": "2099-01-02T03:04:05Z"}`)
	key, _ := made.body["key"].(string)
	if by, err := d.identity.EnvironmentKey(t.Context(), key); made.status != http.StatusCreated || err != nil || "env_"+string(by.Environment) != d.env {
		t.Fatalf("made: %d %s, %v", made.status, made.raw, err)
	}
	delete(made.body, "key")
	prefix, _ := made.body["prefix"].(string)
	if !strings.HasPrefix(key, prefix+"_") || made.body["name"] != "laptop" || made.body["active"] != true || made.body["expires_at"] != "2099-01-02T03:04:05Z" {
		t.Errorf("made: %s", made.raw)
	}
	plain := d.do(t, "POST", d.keys(), d.admin, `{}`)
	if plain.status != http.StatusCreated || plain.body["name"] != nil || plain.body["expires_at"] != nil {
		t.Errorf("without a name: %d %s", plain.status, plain.raw)
	}
	list := d.do(t, "GET", d.keys(), d.admin, "")
	data, _ := list.body["data"].([]any)
	if len(data) != 2 || strings.Contains(list.raw, `"key":`) {
		t.Fatalf("list: %s", list.raw)
	}
	made.body["last_used_at"] = data[1].(map[string]any)["last_used_at"] // it was used above
	if diff := cmp.Diff(made.body, data[1]); diff != "" {
		t.Errorf("listed (-made +listed):\n%s", diff)
	}
	revoked := d.do(t, "DELETE", d.keys()+"/"+made.body["id"].(string), d.admin, "")
	if revoked.status != http.StatusOK || revoked.body["active"] != false || revoked.body["revoked_at"] == nil {
		t.Errorf("revoked: %d %s", revoked.status, revoked.raw)
	}
	if _, err := d.identity.EnvironmentKey(t.Context(), key); err == nil {
		t.Error("a revoked key works")
	}
	if again := d.do(t, "DELETE", d.keys()+"/"+made.body["id"].(string), d.admin, ""); again.body["code"] != "environment_key_not_found" {
		t.Errorf("revoked again: %s", again.raw)
	}
}

func TestErrorsAreProblemsThatRepeatNothing(t *testing.T) {
	t.Parallel()
	d := open(t)
	const secret = "sk-do-not-repeat"
	for _, c := range []struct {
		name, method, path, token, body string
		status                          int
		code                            string
	}{
		{"no token", "GET", d.keys(), "", "", 401, "credential_missing"},
		{"no such token", "GET", d.keys(), secret, "", 401, "invalid_token"},
		{"a member", "GET", d.keys(), d.member, "", 403, "forbidden"},
		{"another project", "POST", d.keys(), d.foreign, "{}", 404, "environment_not_found"},
		{"no id", "GET", "/reeve/v1/environments/x/keys", d.admin, "", 404, "environment_not_found"},
		{"not self-hosted", "POST", "/reeve/v1/environments/" + d.cloud + "/keys", d.admin, "{}", 400, "environment_not_self_hosted"},
		{"in the past", "POST", d.keys(), d.admin, `{"expires_at": "2001-01-01T00:00:00Z"}`, 400, "invalid_field"},
		{"a wrong type", "POST", d.keys(), d.admin, `{"name": ["` + secret + `"]}`, 422, "invalid_request"},
		{"a wrong time", "POST", d.keys(), d.admin, `{"expires_at": "` + secret + `"}`, 422, "invalid_request"},
		{"too long", "POST", d.keys(), d.admin, `{"name": "` + strings.Repeat(secret, 20) + `"}`, 422, "invalid_request"},
		{"an unknown member", "POST", d.keys(), d.admin, `{"nam": "` + secret + `"}`, 422, "invalid_request"},
		{"no JSON", "POST", d.keys(), d.admin, secret, 400, "invalid_request"},
		{"too large", "POST", d.keys(), d.admin, `{"name": "` + strings.Repeat("n", 1<<20) + `"}`, 413, "too_large"},
		{"no such path", "GET", "/reeve/v1/x", d.admin, "", 404, "route_not_found"},
		{"no such method", "PATCH", d.keys(), d.admin, "", 404, "route_not_found"},
	} {
		a := d.do(t, c.method, c.path, c.token, c.body)
		if a.status != c.status || a.body["code"] != c.code || a.body["status"] != float64(c.status) || a.body["detail"] == "" || a.body["title"] != http.StatusText(c.status) {
			t.Errorf("%s: %d %s", c.name, a.status, a.raw)
		}
		if got := a.header.Get("Content-Type"); got != "application/problem+json" || strings.Contains(a.raw, secret) {
			t.Errorf("%s: %s %s", c.name, got, a.raw)
		}
		if (c.status == 401) != (a.header.Get("WWW-Authenticate") == "Bearer") {
			t.Errorf("%s: WWW-Authenticate %q", c.name, a.header.Get("WWW-Authenticate"))
		}
	}
	wrong := d.do(t, "POST", d.keys(), d.admin, `{"expires_at": 5}`)
	if faults, _ := wrong.body["errors"].([]any); len(faults) == 0 || faults[0].(map[string]any)["field"] != "body.expires_at" {
		t.Errorf("the mistake has no place: %s", wrong.raw)
	}
	if strings.Contains(d.log.String(), secret) {
		t.Errorf("the log: %s", d.log)
	}
}

func TestAnInternalErrorShowsWhereToLook(t *testing.T) {
	t.Parallel()
	d := open(t)
	need(t, d.db.Close())
	a := d.do(t, "GET", d.keys(), d.admin, "")
	id, _ := a.body["request_id"].(string)
	if a.status != 500 || a.body["code"] != "internal" || id == "" || id != a.header.Get("Request-Id") || !strings.Contains(d.log.String(), id) || strings.Contains(a.raw, "database") {
		t.Errorf("answer = %d %s\nlog = %s", a.status, a.raw, d.log)
	}
}

func TestTheDescriptionNamesEveryOperation(t *testing.T) {
	t.Parallel()
	d := open(t)
	a := d.do(t, "GET", reeve.SpecPath, "", "")
	if a.status != http.StatusOK || a.body["openapi"] != "3.1.0" {
		t.Fatalf("%d %s", a.status, a.raw)
	}
	var got []string
	for path, methods := range a.body["paths"].(map[string]any) {
		for method, op := range methods.(map[string]any) {
			o := op.(map[string]any)
			got = append(got, strings.ToUpper(method)+" "+path)
			if o["summary"] == nil || o["operationId"] == nil || o["responses"].(map[string]any)["default"] == nil {
				t.Errorf("%s %s: %v", method, path, o)
			}
		}
	}
	slices.Sort(got)
	const keys = "/reeve/v1/environments/{environment_id}/keys"
	const hooks, hook = "/reeve/v1/webhooks", "/reeve/v1/webhooks/{webhook_id}"
	for _, want := range []string{
		"POST " + keys, "GET " + keys, "DELETE " + keys + "/{key_id}",
		"POST " + hooks, "GET " + hooks, "GET " + hooks + "/event-types", "GET " + hook, "PATCH " + hook, "DELETE " + hook, "POST " + hook + "/enable",
		"POST " + hook + "/disable", "POST " + hook + "/rotate-secret", "POST " + hook + "/test", "GET " + hook + "/deliveries",
		"GET " + hook + "/deliveries/{delivery_id}", "POST " + hook + "/deliveries/{delivery_id}/redeliver",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("%s is not described: %q", want, got)
		}
	}
	if strings.Contains(a.raw, time.Now().Format("2006-01-02")) {
		t.Error("the description changes from day to day")
	}
}
