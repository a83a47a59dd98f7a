package everruns_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/reeve-ai/reeve/internal/api/everruns"
	"github.com/reeve-ai/reeve/internal/api/exchange"
	"github.com/reeve-ai/reeve/internal/api/httpio"
	"github.com/reeve-ai/reeve/internal/catalog"
	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/identity"
	"github.com/reeve-ai/reeve/internal/provider"
	"github.com/reeve-ai/reeve/internal/store"
	"github.com/reeve-ai/reeve/internal/tool"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// model is a name that every installation can serve.
const model = "claude-sonnet-5"

// server is the face over a fresh database with two projects.
type server struct {
	*httptest.Server
	face    *everruns.Face
	catalog *catalog.Service
	admin   core.Principal // of the project that token belongs to
	token   string
	viewer  string // a token of the same project that may only read
	foreign string // a token of another project
	log     *bytes.Buffer
}

func start(t *testing.T) *server {
	t.Helper()
	db, err := store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "reeve.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	models, err := provider.Open(provider.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ids := identity.New(db, []byte(strings.Repeat("s", identity.SecretSize)), identity.Options{})
	issue := func(project core.ProjectID, role core.Role) string {
		token, _, err := ids.IssueToken(t.Context(), identity.IssueToken{Project: project, Spelling: identity.SpellingEverruns, Role: role})
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	var projects [2]core.ProjectID
	for i := range projects {
		projects[i] = core.NewID[core.ProjectID]()
		if err := db.CreateProject(t.Context(), core.Project{ID: projects[i], Name: "p", Active: true}); err != nil {
			t.Fatal(err)
		}
	}
	s := &server{
		catalog: catalog.New(db, models, tool.NewRegistry(), time.Now),
		admin:   core.Principal{Kind: core.PrincipalToken, Project: projects[0], Role: core.RoleAdmin},
		token:   issue(projects[0], core.RoleAdmin), viewer: issue(projects[0], core.RoleViewer), foreign: issue(projects[1], core.RoleAdmin),
		log: &bytes.Buffer{},
	}
	log := slog.New(slog.NewTextHandler(s.log, nil))
	s.face = everruns.New(everruns.Deps{Auth: ids, Catalog: s.catalog, Models: models, Log: log})
	mux := http.NewServeMux()
	s.face.Mount(mux, "/v1")
	s.face.Mount(mux, "/api/v1")
	s.Server = httptest.NewServer(httpio.Border(log, mux, s.face.Fail))
	t.Cleanup(s.Close)
	return s
}

// call sends a request with s.token, unless header names another Authorization, and returns the
// status, the headers and the JSON body.
func (s *server) call(t *testing.T, method, path, body string, header ...string) (int, http.Header, map[string]any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", s.token)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	var v map[string]any
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatalf("%s %s answered %d with %q: %v", method, path, res.StatusCode, raw, err)
	}
	return res.StatusCode, res.Header, v
}

func TestRecordedExchanges(t *testing.T) {
	t.Parallel()
	s := start(t)
	exchange.Run(t, s.URL, "testdata/seeds.txtar", map[string]string{
		"token":    s.token,
		"org":      "org_" + string(s.admin.Project),
		"model_id": "model_" + core.ModelID(model),
	})
}

func body(fields string) string { return `{"name":"a","system_prompt":"x"` + fields + `}` }

// TestBadRequestsAreRefused checks the status and that the text under "error" says what is wrong.
func TestBadRequestsAreRefused(t *testing.T) {
	t.Parallel()
	s := start(t)
	const over = "Input exceeds allowed limits: "
	long := func(field string, n int) string {
		fields := map[string]string{"name": "a", "system_prompt": "x"}
		fields[field] = strings.Repeat("x", n)
		raw, err := json.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	for _, c := range []struct {
		name, body string
		status     int
		error      string // how it begins
	}{
		{"not JSON", `{"name":`, 400, "the request body is not valid JSON"},
		{"empty", "", 400, "the request body is empty"},
		{"an array", "[]", 400, "the request body must be a JSON object"},
		{"not UTF-8", "{\"name\":\"\xff\"}", 400, "the request body is not valid UTF-8"},
		{"NUL", body(`,"description":"\u0000"`), 400, "the request body holds a NUL character"},
		{"deep", strings.Repeat("[", 1000) + strings.Repeat("]", 1000), 400, "the request body nests deeper"},
		{"5 MiB", long("system_prompt", 5<<20), 413, over},
		{"no system_prompt", `{"name":"a"}`, 400, "system_prompt: is required"},
		{"name null", `{"name":null,"system_prompt":"x"}`, 400, "name: is required"},
		{"name empty", `{"name":"","system_prompt":"x"}`, 400, "name: is required"},
		{"name of another type", `{"name":1,"system_prompt":"x"}`, 400, "name: wrong type"},
		{"name too long", long("name", 2049), 400, over + "name:"},
		{"description too long", long("description", 10<<10+1), 400, over + "description:"},
		{"prompt too long", long("system_prompt", 1<<20+1), 400, over + "system_prompt:"},
		{"251 capabilities", body(`,"capabilities":["c"` + strings.Repeat(`,"c"`, 250) + `]`), 400, over + "capabilities:"},
		{"id too short", body(`,"id":"agent_01933b5a00007000800000000000001"`), 400, "id:"},
		{"id in capitals", body(`,"id":"agent_01933B5A000070008000000000000001"`), 400, "id:"},
		{"id without its prefix", body(`,"id":"01933b5a000070008000000000000001"`), 400, "id:"},
		{"id of another kind", body(`,"id":"session_01933b5a000070008000000000000001"`), 400, "id:"},
		{"id empty", body(`,"id":""`), 400, "id:"},
		{"model that nobody serves", body(`,"default_model_id":"model_0123456789abcdef0123456789abcdef"`), 400, "default_model_id:"},
		{"model name that nobody serves", body(`,"default_model_id":"no-such-model-anywhere"`), 400, "default_model_id:"},
		{"capability unknown", body(`,"capabilities":[{"ref":"current_time"},{"ref":"nope"}]`), 400, "capabilities[1].ref:"},
		{"capability without ref", body(`,"capabilities":[{"config":{}}]`), 400, "capabilities[0].ref:"},
		{"capability of another type", body(`,"capabilities":["current_time",7]`), 400, "capabilities[1]:"},
		{"capability with a wrong ref", body(`,"capabilities":[{"ref":7}]`), 400, "capabilities[0].ref: wrong type"},
		{"capability with a wrong config", body(`,"capabilities":[{"ref":"current_time","config":7}]`), 400, "capabilities[0].config:"},
		{"capabilities of another type", body(`,"capabilities":{}`), 400, "capabilities: wrong type"},
		{"tags of another type", body(`,"tags":["a",1]`), 400, "tags"},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, header, got := s.call(t, "POST", "/v1/agents", c.body)
			text, _ := got["error"].(string)
			if status != c.status || !strings.HasPrefix(text, c.error) {
				t.Errorf("answer %d %q, want %d %q", status, text, c.status, c.error)
			}
			if got["detail"] != text || got["status"] != float64(status) || got["title"] != http.StatusText(status) || got["code"] == "" {
				t.Errorf("problem = %v", got)
			}
			if header.Get("Content-Type") != "application/json" || header.Get("Request-Id") == "" {
				t.Errorf("headers = %v", header)
			}
		})
	}
	if _, _, list := s.call(t, "GET", "/v1/agents?include_archived=true", ""); list["total"] != 0.0 {
		t.Errorf("%v agents were made", list["total"])
	}
}

func TestCredentialsAreChecked(t *testing.T) {
	t.Parallel()
	s := start(t)
	org := "org_" + string(s.admin.Project)
	for _, c := range []struct {
		name   string
		header []string
		method string
		status int
	}{
		{"raw", nil, "POST", 201},
		{"bearer in any case", []string{"Authorization", "bEARER " + s.token}, "POST", 201},
		{"ApiKey", []string{"Authorization", "ApiKey " + s.token}, "POST", 201},
		{"own organization", []string{"X-Org-Id", org}, "POST", 201},
		{"another scheme", []string{"Authorization", "Basic " + s.token}, "POST", 401},
		{"empty", []string{"Authorization", ""}, "POST", 401},
		{"scheme alone", []string{"Authorization", "Bearer "}, "POST", 401},
		{"garbage", []string{"Authorization", "evr_pat_garbage"}, "POST", 401},
		{"another organization", []string{"X-Org-Id", "org_00000000000000000000000000000001"}, "POST", 403},
		{"malformed organization", []string{"X-Org-Id", "acme"}, "POST", 403},
		{"viewer writes", []string{"Authorization", s.viewer}, "POST", 403},
		{"viewer reads", []string{"Authorization", s.viewer}, "GET", 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			payload := ""
			if c.method == "POST" {
				payload = body("")
			}
			status, _, got := s.call(t, c.method, "/v1/agents", payload, c.header...)
			if _, isText := got["error"].(string); status != c.status || isText != (status >= 400) {
				t.Errorf("answer %d %v, want %d", status, got, c.status)
			}
		})
	}
}

func TestOtherProjectsAgentsAreNotFound(t *testing.T) {
	t.Parallel()
	s := start(t)
	const id = "agent_01933b5a000070008000000000000001"
	if status, _, _ := s.call(t, "POST", "/v1/agents", body(`,"id":"`+id+`"`)); status != 201 {
		t.Fatal(status)
	}
	auth := []string{"Authorization", s.foreign}
	for _, path := range []string{"/v1/agents/" + id, "/v1/agents/a"} {
		if status, _, got := s.call(t, "GET", path, "", auth...); status != 404 || got["code"] != "agent_not_found" {
			t.Errorf("GET %s answered %d %v", path, status, got)
		}
	}
	if _, _, list := s.call(t, "GET", "/v1/agents", "", auth...); list["total"] != 0.0 {
		t.Errorf("another project lists %v agents", list["total"])
	}
	if status, _, _ := s.call(t, "POST", "/v1/agents", body(`,"id":"`+id+`"`), auth...); status != 201 {
		t.Errorf("the same id in another project answered %d, want an agent of its own", status)
	}
}

func TestAgentIsReadByIDAndByName(t *testing.T) {
	t.Parallel()
	s := start(t)
	const hex = "01933b5a000070008000000000000001"
	s.call(t, "POST", "/v1/agents", `{"name":"100% Desk/2","system_prompt":"x","id":"agent_`+hex+`"}`)
	for path, want := range map[string]int{
		"agent_" + hex:                           200,
		"01933b5a-0000-7000-8000-000000000001":   200,
		"100%25%20Desk%2F2":                      200,
		"agent_" + strings.ToUpper(hex):          200,
		"100":                                    404,
		"agent_" + hex[:31]:                      400,
		"agent_00000000000000000000000000000009": 404,
		"%00":                                    404,
		"%ff":                                    404,
	} {
		status, _, got := s.call(t, "GET", "/v1/agents/"+path, "")
		if status != want || (want == 200) != (got["id"] == "agent_"+hex) {
			t.Errorf("GET %s answered %d %v, want %d", path, status, got, want)
		}
	}
}

func TestAgentsOfOtherFacesAreShown(t *testing.T) {
	t.Parallel()
	s := start(t)
	managed := core.AgentSpec{
		Name: "Release scribe", System: "Be terse.", Model: core.ModelChoice{ID: model, Effort: ""},
		Tools: []core.Toolset{{Kind: core.ToolsetBuiltin}}, Metadata: map[string]string{"k": "v"},
	}
	a, err := s.catalog.CreateAgent(t.Context(), s.admin, managed, catalog.CreateOptions{Limits: catalog.ClaudeLimits})
	if err != nil {
		t.Fatal(err)
	}
	id := "agent_" + string(a.ID)
	want := map[string]any{
		"id": id, "name": "Release scribe", "description": nil, "system_prompt": "Be terse.",
		"harness_id": "harness_00000000000000000000000000000001", "default_model_id": "model_" + core.ModelID(model),
		"status": "active", "tags": []any{}, "capabilities": []any{}, "usage": nil,
		"created_at": a.CreatedAt.Format("2006-01-02T15:04:05.000Z"), "updated_at": a.UpdatedAt.Format("2006-01-02T15:04:05.000Z"),
	}
	_, _, got := s.call(t, "GET", "/v1/agents/"+id, "")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("agent (-want +got):\n%s", diff)
	}

	update := fmt.Sprintf(`{"id":%q,"name":"Scribe","system_prompt":"Be brief.","default_model_id":%q}`, id, "model_"+core.ModelID(model))
	if status, _, got := s.call(t, "POST", "/v1/agents", update); status != 200 || got["name"] != "Scribe" {
		t.Fatalf("update answered %d %v", status, got)
	}
	after, err := s.catalog.Agent(t.Context(), s.admin, a.ID)
	if err != nil {
		t.Fatal(err)
	}
	managed.Name, managed.System = "Scribe", "Be brief."
	if diff := cmp.Diff(managed, after.AgentSpec); diff != "" || after.Version != 2 {
		t.Errorf("version %d; what this dialect cannot say must stay (-want +got):\n%s", after.Version, diff)
	}
	if status, _, _ := s.call(t, "POST", "/v1/agents", update); status != 200 {
		t.Error(status)
	}
	if again, err := s.catalog.Agent(t.Context(), s.admin, a.ID); err != nil || again.Version != 2 {
		t.Errorf("the same request again made version %d, %v", again.Version, err)
	}

	if _, err := s.catalog.ArchiveAgent(t.Context(), s.admin, a.ID); err != nil {
		t.Fatal(err)
	}
	_, _, got = s.call(t, "GET", "/v1/agents/"+id, "")
	if got["status"] != "archived" || got["archived_at"] == nil {
		t.Errorf("archived agent is shown as %v", got)
	}
	if status, _, got := s.call(t, "POST", "/v1/agents", update); status != 400 || got["code"] != "agent_archived" {
		t.Errorf("update of an archived agent answered %d %v", status, got)
	}
}

func TestModelIsGivenByIDOrByName(t *testing.T) {
	t.Parallel()
	s := start(t)
	want := "model_" + core.ModelID(model)
	for _, fields := range []string{`,"default_model_id":"` + want + `"`, `,"default_model_id":"` + model + `"`, `,"model":"` + model + `"`} {
		if status, _, got := s.call(t, "POST", "/v1/agents", body(fields)); status != 201 || got["default_model_id"] != want {
			t.Errorf("%s answered %d with model %v", fields, status, got["default_model_id"])
		}
	}
	// The page's own example, which is one digit short, stands for the system default.
	if status, _, got := s.call(t, "POST", "/v1/agents", body(`,"default_model_id":"model_01933b5a00007000800000000000001"`)); status != 201 || got["default_model_id"] == nil {
		t.Errorf("the page's example answered %d %v", status, got)
	}
	for _, fields := range []string{"", `,"default_model_id":null`, `,"model":{"id":"x"}`} {
		if status, _, got := s.call(t, "POST", "/v1/agents", body(fields)); status != 201 || got["default_model_id"] != nil {
			t.Errorf("%q answered %d with model %v", fields, status, got["default_model_id"])
		}
	}
}

func TestListIsPaged(t *testing.T) {
	t.Parallel()
	s := start(t)
	var ids []string
	for i := range 25 {
		_, _, got := s.call(t, "POST", "/v1/agents", fmt.Sprintf(`{"name":"agent %d","description":"Größe","system_prompt":""}`, i))
		ids = append([]string{got["id"].(string)}, ids...) // newest first
	}
	for _, c := range []struct {
		query         string
		offset, limit int
		want          []string
		total         int
	}{
		{"", 0, 20, ids[:20], 25},
		{"?offset=20", 20, 20, ids[20:], 25},
		{"?offset=30&limit=5", 30, 5, nil, 25},
		{"?limit=1000", 0, 100, ids, 25},
		{"?search=AGENT+24", 0, 20, ids[:1], 1},
		{"?search=gr%C3%B6sse", 0, 20, nil, 0},
		{"?search=GR%C3%96%C3%9FE&limit=2&offset=1", 1, 2, ids[1:3], 25},
		{"?search=%25", 0, 20, nil, 0},
	} {
		status, _, got := s.call(t, "GET", "/v1/agents"+c.query, "")
		var seen []string
		data, _ := got["data"].([]any)
		for _, a := range data {
			seen = append(seen, a.(map[string]any)["id"].(string))
		}
		if diff := cmp.Diff(c.want, seen); status != 200 || diff != "" {
			t.Errorf("%s answered %d (-want +got):\n%s", c.query, status, diff)
		}
		if got["total"] != float64(c.total) || got["offset"] != float64(c.offset) || got["limit"] != float64(c.limit) {
			t.Errorf("%s: total %v, offset %v, limit %v", c.query, got["total"], got["offset"], got["limit"])
		}
		if diff := cmp.Diff(got["data"], got["agents"]); diff != "" {
			t.Errorf("%s: agents differ from data:\n%s", c.query, diff)
		}
	}
	for _, query := range []string{"limit=0", "limit=x", "offset=-1", "offset=1.5", "include_archived=maybe", "search=%00", "search=" + strings.Repeat("x", 3000)} {
		if status, _, got := s.call(t, "GET", "/v1/agents?"+query, ""); status != 400 {
			t.Errorf("%.40s answered %d %v", query, status, got)
		}
	}
}

func TestUnknownPathsAndMethods(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, c := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", "/v1/nothing", 404, ""},
		{"GET", "/api/v1/agents/a/b", 404, ""},
		{"PUT", "/v1/agents", 405, "GET, HEAD, POST"},
		{"DELETE", "/v1/agents/x", 405, "GET, HEAD"},
	} {
		status, header, got := s.call(t, c.method, c.path, "")
		if _, isText := got["error"].(string); status != c.status || header.Get("Allow") != c.allow || !isText {
			t.Errorf("%s %s answered %d, Allow %q, %v", c.method, c.path, status, header.Get("Allow"), got)
		}
	}
}

func TestEveryKindHasItsStatus(t *testing.T) {
	t.Parallel()
	s := start(t)
	want := map[core.Kind]int{
		core.Internal: 500, core.Invalid: 400, core.Unauthenticated: 401, core.Forbidden: 403, core.NotFound: 404,
		core.Conflict: 409, core.TooLarge: 413, core.RateLimited: 429, core.Unavailable: 503, core.Timeout: 504,
	}
	for _, kind := range core.Kinds {
		t.Run(kind.String(), func(t *testing.T) {
			err := fmt.Errorf("wrapped: %w", &core.Error{
				Kind: kind, Code: "some_code", Message: "what went wrong", RetryAfter: 1500 * time.Millisecond, Err: errors.New("secret cause"),
			})
			w := httptest.NewRecorder()
			s.face.Fail(w, httptest.NewRequest("GET", "/v1/agents", nil), err)
			if w.Code != want[kind] {
				t.Errorf("status %d, want %d", w.Code, want[kind])
			}
			var got map[string]any
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			text, code := "what went wrong", "some_code"
			switch kind {
			case core.Internal:
				text, code = "Internal server error", "internal"
			case core.TooLarge:
				text = "Input exceeds allowed limits: what went wrong"
			}
			if got["error"] != text || got["detail"] != text || got["code"] != code || got["status"] != float64(want[kind]) || got["type"] != "about:blank" {
				t.Errorf("body = %v", got)
			}
			if strings.Contains(w.Body.String(), "secret") {
				t.Errorf("the cause is shown: %s", w.Body)
			}
			retry := ""
			if kind == core.RateLimited || kind == core.Unavailable {
				retry = "2"
			}
			if w.Header().Get("Retry-After") != retry {
				t.Errorf("Retry-After = %q, want %q", w.Header().Get("Retry-After"), retry)
			}
		})
	}
	if !strings.Contains(s.log.String(), "secret cause") {
		t.Errorf("the cause of a 500 is not in the log: %q", s.log)
	}
}
