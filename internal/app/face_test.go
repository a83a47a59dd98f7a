package app_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/reeve-ai/reeve/internal/app"
	"github.com/reeve-ai/reeve/internal/app/apptest"
	"github.com/reeve-ai/reeve/internal/config"
	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/identity"
	"github.com/reeve-ai/reeve/internal/provider/fake"
)

// person is somebody who signed up over the otas face, with a project and a token of it.
type person struct{ user, project string }

func signUp(t *testing.T, srv *apptest.Server, email string) person {
	t.Helper()
	body := srv.Must(t, http.MethodPost, "/api/user/v1/create/", map[string]any{
		"first_name": "Mira", "last_name": "Okafor", "email": email, "password": "seven lazy couriers",
	}, "X-OTAS-NONE", "x")
	p := person{user: body["response_body"].(map[string]any)["jwt_token"].(string)}
	body = srv.Must(t, http.MethodPost, "/api/project/v1/create/", map[string]any{"project_name": "Desk"}, "X-OTAS-USER-TOKEN", p.user)
	p.project = body["response_body"].(map[string]any)["project"].(map[string]any)["id"].(string)
	return p
}

func (p person) header() []string {
	return []string{"X-OTAS-USER-TOKEN", p.user, "X-OTAS-PROJECT-ID", p.project}
}

func bare(id string) string {
	return strings.ReplaceAll(id[strings.LastIndexByte(id, '_')+1:], "-", "")
}

// names lists the agents that one face shows: their bare ids to their names.
func names(t *testing.T, raw []byte, path ...string) map[string]string {
	t.Helper()
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	for _, p := range path {
		v = v.(map[string]any)[p]
	}
	out := map[string]string{}
	for _, a := range v.([]any) {
		m := a.(map[string]any)
		out[bare(m["id"].(string))] = m["name"].(string)
	}
	return out
}

func TestAgentOfOneFaceIsSeenByAll(t *testing.T) {
	t.Parallel()
	srv := apptest.Start(t)
	// The token is of the first project; its administrator made it, so the otas face uses it too.
	token := []string{"X-OTAS-USER-TOKEN", srv.Token}
	ids := map[string]string{}
	otas := srv.Must(t, http.MethodPost, "/api/agent/v1/create/", map[string]any{"agent_name": "From otas", "agent_provider": "Anthropic"}, token...)
	ids[bare(otas["response"].(map[string]any)["agent"].(map[string]any)["id"].(string))] = "From otas"
	ids[bare(srv.NewAgent(t, func(a map[string]any) { a["name"] = "From Claude" }))] = "From Claude"
	qoder := srv.Must(t, http.MethodPost, "/api/v1/cloud/agents", map[string]any{"name": "From Qoder", "model": "ultimate"}, "Authorization", "Bearer "+srv.Token)
	ids[bare(qoder["id"].(string))] = "From Qoder"
	ever := srv.Must(t, http.MethodPost, "/v1/agents", map[string]any{"name": "From Everruns", "system_prompt": "Help.", "id": "agent_000102030405060708090a0b0c0d0e0f"}, "Authorization", srv.Token)
	ids[bare(ever["id"].(string))] = "From Everruns"
	if ever["id"] != "agent_000102030405060708090a0b0c0d0e0f" {
		t.Errorf("a client's own id became %v", ever["id"])
	}

	for face, list := range map[string]map[string]string{
		"claude":   names(t, srv.Do(t, http.MethodGet, "/v1/agents", nil).Raw, "data"),
		"qoder":    names(t, srv.Do(t, http.MethodGet, "/api/v1/cloud/agents", nil, "Authorization", "Bearer "+srv.Token).Raw, "data"),
		"everruns": names(t, srv.Do(t, http.MethodGet, "/api/v1/agents", nil, "Authorization", srv.Token).Raw, "data"),
		"otas":     names(t, srv.Do(t, http.MethodGet, "/api/agent/v1/list/", nil, token...).Raw, "response", "agents"),
	} {
		for id, name := range ids {
			if list[id] != name {
				t.Errorf("the %s face shows agent %s as %q, want %q", face, id, list[id], name)
			}
		}
	}
}

func TestEachSpellingOfATokenWorksOnEachFace(t *testing.T) {
	t.Parallel()
	srv := apptest.Start(t)
	service, closeStore, err := app.OpenIdentity(t.Context(), folder(srv)) // as `reeve token create` does, beside the server
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = closeStore() })
	for _, spelling := range identity.Spellings {
		token, _, err := service.IssueToken(t.Context(), identity.IssueToken{Spelling: spelling})
		if err != nil {
			t.Fatal(err)
		}
		for _, call := range []struct {
			path, header, prefix string
			wrong                int // the answer to a token that is one letter off
		}{
			{"/v1/agents", "X-Api-Key", "", 401},
			{"/v1/agents", "Authorization", "Bearer ", 401},
			{"/v1/agents", "Authorization", "", 401},
			{"/api/v1/cloud/agents", "Authorization", "Bearer ", 401},
			{"/api/v1/agents", "Authorization", "", 401},
			{"/api/v1/agents", "Authorization", "ApiKey ", 401},
			{"/api/agent/v1/list/", "X-OTAS-USER-TOKEN", "", 400}, // a person's token would need the project beside it
		} {
			if a := srv.Do(t, http.MethodGet, call.path, nil, call.header, call.prefix+token); a.Status != http.StatusOK {
				t.Errorf("%s token for %s in %s: %d %s", spelling, call.path, call.header, a.Status, a.Raw)
			}
			if a := srv.Do(t, http.MethodGet, call.path, nil, call.header, call.prefix+token+"x"); a.Status != call.wrong {
				t.Errorf("%s token, one letter off, for %s in %s: %d %s, want %d", spelling, call.path, call.header, a.Status, a.Raw, call.wrong)
			}
		}
	}
}

func TestForeignProjectIsNeverSeen(t *testing.T) {
	t.Parallel()
	srv := apptest.StartWith(t, fake.Instant("Hello."))
	sess := srv.NewSession(t)
	sess.Send(t, "Hi.")
	sess.UntilIdle(t)
	env := sess.State(t)["environment_id"].(string)

	other := signUp(t, srv, "other@example.test")
	theirs := other.header()
	made := srv.Must(t, http.MethodPost, "/api/agent/v1/create/", map[string]any{"agent_name": "Theirs", "agent_provider": "x"}, theirs...)
	theirAgent := made["response"].(map[string]any)["agent"].(map[string]any)["id"].(string)
	theirKey := made["response"].(map[string]any)["agent_key"].(map[string]any)
	if got := names(t, srv.Do(t, http.MethodGet, "/api/agent/v1/list/", nil, theirs...).Raw, "response", "agents"); len(got) != 1 {
		t.Errorf("a new project lists %v", got)
	}
	// What the first project's token must not find of the second, and the other way round.
	for _, c := range []struct {
		method, path string
		body         any
		header       []string
		status       int
	}{
		{http.MethodGet, "/v1/agents/agent_" + bare(theirAgent), nil, nil, 404},
		{http.MethodPost, "/v1/agents/agent_" + bare(theirAgent), map[string]any{"name": "Mine now"}, nil, 404},
		{http.MethodPost, "/v1/agents/agent_" + bare(theirAgent) + "/archive", nil, nil, 404},
		{http.MethodGet, "/v1/agents/agent_" + bare(theirAgent) + "/versions", nil, nil, 404},
		{http.MethodGet, "/api/v1/agents/agent_" + bare(theirAgent), nil, []string{"Authorization", srv.Token}, 404},
		{http.MethodGet, "/api/v1/cloud/agents/agent_" + bare(theirAgent), nil, []string{"Authorization", "Bearer " + srv.Token}, 404},
		{http.MethodPost, "/v1/sessions", map[string]any{"agent": "agent_" + bare(theirAgent), "environment_id": env}, nil, 400},
		{http.MethodPost, "/v1/agents", map[string]any{
			"name": "x", "model": apptest.Model, "tools": apptest.Toolset,
			"multiagent": map[string]any{"type": "coordinator", "agents": []any{"agent_" + bare(theirAgent)}},
		}, nil, 400},
		{http.MethodGet, "/api/agent/v1/sessions/list/?agent_id=" + sess.Agent[6:], nil, theirs, 403},
		{http.MethodPost, "/api/agent/v1/agents/key/create/", map[string]any{"agent_id": sess.Agent[6:]}, theirs, 404},
		{http.MethodPost, "/api/agent/v1/agents/key/revoke/", map[string]any{"agent_key_id": theirKey["id"]}, []string{"X-OTAS-USER-TOKEN", srv.Token}, 404},
		{http.MethodGet, "/api/agent/v1/list/", nil, []string{"X-OTAS-USER-TOKEN", other.user, "X-OTAS-PROJECT-ID", "4b7e2f1a-9c3d-4e8b-a012-3f5d6e7c8b9a"}, 403},
	} {
		if a := srv.Do(t, c.method, c.path, c.body, c.header...); a.Status != c.status {
			t.Errorf("%s %s: %d %s, want %d", c.method, c.path, a.Status, a.Raw, c.status)
		}
	}
	// An agent's key opens observed sessions and is no access token.
	key := theirKey["api_key"].(string)
	srv.Must(t, http.MethodPost, "/api/agent/v1/session/create/", map[string]any{"meta": map[string]any{"task": "x"}}, "X-OTAS-AGENT-KEY", key)
	for _, header := range []string{"X-Api-Key", "Authorization"} {
		if a := srv.Do(t, http.MethodGet, "/v1/agents", nil, header, key); a.Status != http.StatusUnauthorized {
			t.Errorf("an agent key in %s: %d %s", header, a.Status, a.Raw)
		}
	}
	// A session's every route, under another project's token, is as if it were not there.
	service, closeStore, err := app.OpenIdentity(t.Context(), folder(srv))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = closeStore() })
	token, _, err := service.IssueToken(t.Context(), identity.IssueToken{Project: core.ProjectID(bare(other.project))})
	if err != nil {
		t.Fatal(err)
	}
	say := map[string]any{"events": []any{map[string]any{"type": "user.message", "content": []any{map[string]any{"type": "text", "text": "x"}}}}}
	for _, c := range []struct {
		method, path string
		body         any
	}{
		{http.MethodGet, "", nil},
		{http.MethodPost, "", map[string]any{"title": "x"}},
		{http.MethodDelete, "", nil},
		{http.MethodPost, "/archive", nil},
		{http.MethodGet, "/events", nil},
		{http.MethodPost, "/events", say},
		{http.MethodGet, "/events/stream", nil},
	} {
		if a := srv.Do(t, c.method, "/v1/sessions/"+sess.ID+c.path, c.body, "X-Api-Key", token); a.Status != http.StatusNotFound {
			t.Errorf("%s of a foreign session%s: %d %s", c.method, c.path, a.Status, a.Raw)
		}
	}
	for _, c := range []struct{ method, path string }{{http.MethodGet, ""}, {http.MethodPost, ""}, {http.MethodDelete, ""}, {http.MethodPost, "/archive"}} {
		if a := srv.Do(t, c.method, "/v1/environments/"+env+c.path, map[string]any{}, "X-Api-Key", token); a.Status != http.StatusNotFound {
			t.Errorf("%s of a foreign environment%s: %d %s", c.method, c.path, a.Status, a.Raw)
		}
	}
	for _, list := range []string{"/v1/sessions", "/v1/environments"} {
		if a := srv.Do(t, http.MethodGet, list, nil, "X-Api-Key", token); strings.Contains(string(a.Raw), sess.ID) || strings.Contains(string(a.Raw), env) {
			t.Errorf("%s of the other project lists %s", list, a.Raw)
		}
	}
	if got := len(sess.Log(t)); got != len(plain)-1 {
		t.Errorf("after all that the session's log has %d events, want %d", got, len(plain)-1)
	}
}

// folder is the configuration of a server's data folder.
func folder(srv *apptest.Server) config.Config {
	cfg := config.Default()
	cfg.Data = srv.Data
	return cfg
}

func TestHealthAndUnknownRoutes(t *testing.T) {
	t.Parallel()
	srv := apptest.Start(t)
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/nothing": 404, "/v1/nothing": 404, "/api/v1/nothing": 404, "/api/agent/v1/nothing/": 404} {
		a := srv.Do(t, http.MethodGet, path, nil)
		if a.Status != want || a.Body == nil || a.Header.Get("Request-Id") == "" {
			t.Errorf("GET %s: %d %s (request id %q), want %d and a JSON object", path, a.Status, a.Raw, a.Header.Get("Request-Id"), want)
		}
	}
}
