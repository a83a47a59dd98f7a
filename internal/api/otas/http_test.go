package otas_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// TestPathsNeedNoSlash: reference 2.2. The original answers a POST without its final slash with 500, and
// the published SDK sends two slashes at the front.
func TestPathsNeedNoSlash(t *testing.T) {
	t.Parallel()
	w := setup(t)
	n := w.tenant(t)
	h := n.headers()
	h["X-OTAS-AGENT-KEY"] = n.key
	for _, path := range []string{"/api/agent/v1/session/create", "/api/agent/v1/session/create/", "//api/agent/v1/session/create/", "/api//agent/v1///session/create//"} {
		w.do(t, "POST", path, h, "").must(t, 200, "agent_session_created")
	}
	for _, path := range []string{"/api/agent/v1/list", "//api/agent/v1/list/"} {
		w.do(t, "GET", path, h, "").must(t, 200, "agents_listed")
	}
	w.do(t, "GET", "/api/agent/v1/sessions/list?agent_id="+n.agent, h, "").must(t, 200, "agent_sessions_listed")
	for _, path := range []string{"/api/user", "/api/user/", "/api/user/v2/create/", "/api/agent/v1/create/x", "/api/project/", "/api/user-project/v1", "/api/agent/v1/user/authenticate/x"} {
		w.do(t, "POST", path, h, "").must(t, 404, "not_found")
	}
}

func TestWrongMethods(t *testing.T) {
	t.Parallel()
	w := setup(t)
	n := w.tenant(t)
	h := n.headers()
	h["X-OTAS-AGENT-KEY"], h["X-OTAS-SDK-KEY"] = n.key, w.sdkKey(t, n)
	for path, right := range map[string]string{
		"/api/user/v1/create/": "POST", "/api/user/v1/login/": "POST", "/api/user/v1/authenticate/": "POST", "/api/user/v1/edit/": "PUT",
		"/api/user/v1/reset-password/update/": "PUT", "/api/user/v1/logout/": "POST",
		"/api/project/v1/create/": "POST", "/api/project/v1/list/": "GET", "/api/project/v1/authenticate/": "POST",
		"/api/agent/v1/create/": "POST", "/api/agent/v1/list/": "GET", "/api/agent/v1/agents/key/create/": "POST", "/api/agent/v1/agents/key/revoke/": "POST",
		"/api/agent/v1/session/create/": "POST", "/api/agent/v1/sessions/list/": "GET", "/api/agent/v1/auth/verify/": "POST",
		"/api/project/v1/sdk/backend/key/create/": "POST", "/api/project/v1/sdk/backend/key/list/": "GET", "/api/project/v1/sdk/backend/key/revoke/": "POST",
		"/api/project/v1/sdk/backend/key/authenticate/": "POST", "/api/agent/v1/user/authenticate/": "POST",
		"/api/project/v1/members/invite/": "POST", "/api/project/v1/members/list/": "GET", "/api/project/v1/members/accept/": "POST",
		"/api/project/v1/members/invite/revoke/": "POST", "/api/project/v1/members/change/": "POST", "/api/project/v1/members/remove/": "POST",
		"/api/project/v1/deactivate/": "POST", "/api/project/v1/reactivate/": "POST", "/api/project/v1/key/list/": "GET", "/api/project/v1/key/revoke/": "POST",
		"/api/agent/v1/deactivate/": "POST", "/api/agent/v1/reactivate/": "POST", "/api/agent/v1/session/end/": "POST", "/api/agent/v1/manifest/": "GET",
	} {
		for _, method := range []string{"GET", "POST", "PUT", "DELETE", "PATCH"} {
			if method == right {
				continue
			}
			a := w.do(t, method, path, h, "{}").must(t, 405, "method_not_allowed")
			if got := a.header.Get("Allow"); got != right+", OPTIONS" {
				t.Errorf("%s %s: Allow = %q", method, path, got)
			}
		}
	}
	// Where the original guards from outside, the guard speaks first.
	w.do(t, "GET", "/api/agent/v1/create/", nil, "").must(t, 400, "missing_headers")
	w.do(t, "GET", "/api/agent/v1/session/create/", nil, "").must(t, 401, "invalid_agent_key")
	w.do(t, "GET", "/api/project/v1/create/", nil, "").must(t, 400, "missing_token")
}

// TestBadBodies sends what no endpoint takes to each that reads a body.
func TestBadBodies(t *testing.T) {
	t.Parallel()
	w := setup(t)
	n := w.tenant(t)
	h := n.headers()
	h["X-OTAS-AGENT-KEY"] = n.key
	const limit = 2_621_440
	pad := func(size int) string { return `{"x":"` + strings.Repeat("y", size-8) + `"}` }
	bodies := map[string]string{
		"not JSON": "first_name=Mira", "HTML": "<html>", "cut": `{"a":`, "two values": `{} {}`, "invalid UTF-8": "{\"agent_name\":\"\xff\xfe\"}",
		"NUL": `{"agent_name":"a` + `\u0000b"}`, "raw NUL": "{\"a\":\"\x00\"}", "UTF-16": "\xff\xfe{\x00}\x00", "NaN": `{"a":NaN}`,
		"deep array": strings.Repeat("[", 100_000), "deep object": strings.Repeat(`{"a":`, 65) + "1" + strings.Repeat("}", 65),
		"array": "[]", "null": "null", "number": "1", "text": `"x"`, "true": "true",
	}
	for path, tc := range map[string]struct {
		method, bad string
		status      int
	}{
		"/api/user/v1/create/":                {"POST", "invalid_json", 400},
		"/api/user/v1/login/":                 {"POST", "login_failed", 401},
		"/api/user/v1/edit/":                  {"PUT", "invalid_json", 400},
		"/api/user/v1/reset-password/update/": {"PUT", "invalid_json", 400},
		"/api/project/v1/create/":             {"POST", "", 400},
		"/api/agent/v1/create/":               {"POST", "agent_creation_failed", 400},
		"/api/agent/v1/agents/key/create/":    {"POST", "invalid_json", 400},
		"/api/agent/v1/agents/key/revoke/":    {"POST", "invalid_json", 400},
		"/api/agent/v1/session/create/":       {"POST", "invalid_json", 400},

		"/api/project/v1/sdk/backend/key/create/": {"POST", "sdk_key_creation_failed", 400},
		"/api/project/v1/sdk/backend/key/revoke/": {"POST", "invalid_json", 400},
		"/api/project/v1/members/invite/":         {"POST", "invalid_json", 400},
		"/api/project/v1/members/accept/":         {"POST", "invalid_json", 400},
		"/api/project/v1/members/invite/revoke/":  {"POST", "invalid_json", 400},
		"/api/project/v1/members/change/":         {"POST", "invalid_json", 400},
		"/api/project/v1/members/remove/":         {"POST", "invalid_json", 400},
		"/api/project/v1/reactivate/":             {"POST", "invalid_json", 400},
		"/api/project/v1/key/revoke/":             {"POST", "invalid_json", 400},
		"/api/agent/v1/deactivate/":               {"POST", "invalid_json", 400},
		"/api/agent/v1/reactivate/":               {"POST", "invalid_json", 400},
		"/api/agent/v1/session/end/":              {"POST", "invalid_json", 400},
	} {
		for name, body := range bodies {
			a := w.do(t, tc.method, path, h, body)
			want := tc.bad
			if want == "" { // the one endpoint that tells JSON of another type from no JSON
				want = "invalid_json"
				if strings.Contains("array null number text true", name) {
					want = "project_creation_failed"
				}
			}
			if a.status != tc.status || a.body["status_description"] != want || a.body["status"] != 0.0 {
				t.Errorf("%s with %s: %d %s, want %d %s", path, name, a.status, a.raw, tc.status, want)
			}
		}
		w.do(t, tc.method, path, h, pad(limit+1)).must(t, 413, "request_too_large")
		if a := w.do(t, tc.method, path, h, pad(limit)); a.status == 413 {
			t.Errorf("%s refuses a body of exactly %d bytes", path, limit)
		}
	}
	w.do(t, "POST", "/api/agent/v1/session/create/", h, `{"meta":{"x":"`+strings.Repeat("y", 256<<10)+`"}}`).must(t, 413, "meta_too_large")
}

// TestNoErrorTellsAnythingOfTheServer: S1 and S11. The store is gone, and every endpoint that is reached with a
// credential says the same.
func TestNoErrorTellsAnythingOfTheServer(t *testing.T) {
	t.Parallel()
	w := setup(t)
	n := w.tenant(t)
	h := n.headers()
	h["X-OTAS-AGENT-KEY"], h["X-OTAS-SDK-KEY"], h["X-OTAS-AGENT-ID"], h["X-Request-Id"] = n.key, w.sdkKey(t, n), n.agent, "find-me"
	if err := w.store.Close(); err != nil {
		t.Fatal(err)
	}
	for path, method := range map[string]string{
		"/api/user/v1/create/": "POST", "/api/user/v1/login/": "POST", "/api/user/v1/authenticate/": "POST", "/api/user/v1/edit/": "PUT",
		"/api/project/v1/list/": "GET", "/api/project/v1/authenticate/": "POST", "/api/agent/v1/create/": "POST", "/api/agent/v1/list/": "GET",
		"/api/agent/v1/session/create/": "POST", "/api/agent/v1/auth/verify/": "POST",
		"/api/project/v1/sdk/backend/key/list/": "GET", "/api/project/v1/sdk/backend/key/authenticate/": "POST", "/api/project/v1/members/list/": "GET",
		"/api/project/v1/members/accept/": "POST", "/api/project/v1/reactivate/": "POST", "/api/project/v1/key/list/": "GET",
		"/api/agent/v1/user/authenticate/": "POST", "/api/agent/v1/manifest/": "GET", "/api/agent/v1/session/end/": "POST",
	} {
		a := w.do(t, method, path, h, `{"first_name":"A","last_name":"B","email":"a@b","password":"`+password+`","agent_name":"x","agent_provider":"y","project_id":"`+n.project+`"}`).
			must(t, 500, "server_error")
		if a.header.Get("X-Request-Id") != "find-me" {
			t.Errorf("%s: request id %q", path, a.header.Get("X-Request-Id"))
		}
		for _, leak := range []string{"sql", "closed", "store", ".go", "database"} {
			if strings.Contains(strings.ToLower(a.raw), leak) {
				t.Errorf("%s tells %q: %s", path, leak, a.raw)
			}
		}
	}
	logged := w.log.text()
	if !strings.Contains(logged, "find-me") {
		t.Errorf("the log does not have the request id: %s", logged)
	}
	for _, secret := range []string{n.key, n.admin.token, h["X-OTAS-SDK-KEY"], password} {
		if strings.Contains(logged, secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
}

func TestCORS(t *testing.T) {
	t.Parallel()
	const friend, other = "https://console.example", "https://evil.example"
	open, closed := setup(t), setup(t, friend)
	for _, tc := range []struct {
		name, origin string
		w            *world
		allow, creds string
	}{
		{"any page, by default", other, open, "*", ""},
		{"a listed origin", friend, closed, friend, "true"},
		{"another beside a list", other, closed, "*", ""},
		{"no page", "", closed, "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			h := headers{"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-otas-agent-session-token"}
			if tc.origin != "" {
				h["Origin"] = tc.origin
			}
			for _, method := range []string{"OPTIONS", "POST"} {
				a := tc.w.do(t, method, "/api/agent/v1/session/create/", h, "")
				if a.header.Get("Access-Control-Allow-Origin") != tc.allow || a.header.Get("Access-Control-Allow-Credentials") != tc.creds {
					t.Errorf("%s: %v", method, a.header)
				}
			}
			a := tc.w.do(t, "OPTIONS", "/api/agent/v1/session/create/", h, "")
			if a.status != http.StatusNoContent || a.raw != "" {
				t.Errorf("preflight: %d %s", a.status, a.raw)
			}
			if tc.origin == "" {
				return
			}
			allowed := ", " + a.header.Get("Access-Control-Allow-Headers") + ","
			for _, name := range []string{"x-otas-user-token", "x-otas-agent-key", "x-otas-agent-session-key", "x-otas-sdk-key", "x-otas-project-id", "x-otas-agent-session-token", "x-otas-agent-id", "content-type"} {
				if !strings.Contains(allowed, ", "+name+",") {
					t.Errorf("header %s may not be sent: %s", name, allowed)
				}
			}
			if got := a.header.Get("Access-Control-Allow-Methods"); got != "DELETE, GET, OPTIONS, PATCH, POST, PUT" || a.header.Get("Access-Control-Max-Age") != "86400" {
				t.Errorf("methods %q, max age %q", got, a.header.Get("Access-Control-Max-Age"))
			}
		})
	}
	if got := closed.do(t, "POST", "/api/agent/v1/session/create/", nil, "").header.Get("Vary"); got != "Origin" {
		t.Errorf("Vary = %q", got)
	}
}

// TestIDsInEverySpelling: reference 2.2 lists the forms that Python reads.
func TestIDsInEverySpelling(t *testing.T) {
	t.Parallel()
	w := setup(t)
	n := w.tenant(t)
	spell := func(id string) []string {
		return []string{id, strings.ReplaceAll(id, "-", ""), "{" + id + "}", strings.ToUpper(id)}
	}
	for _, project := range spell(n.project) {
		for _, agent := range spell(n.agent) {
			h := headers{"X-OTAS-USER-TOKEN": n.admin.token, "X-OTAS-PROJECT-ID": project}
			a := w.do(t, "GET", "/api/agent/v1/sessions/list/?agent_id="+agent, h, "").must(t, 200, "agent_sessions_listed")
			if a.text(t, "response", "agent_id") != n.agent {
				t.Errorf("agent %s is answered as %s", agent, a.raw)
			}
		}
	}
	for i, key := range spell(n.keyID) {
		want, status := "agent_key_revoked", 200
		if i > 0 {
			want, status = "agent_key_not_found", 404 // the first one did it
		}
		w.do(t, "POST", "/api/agent/v1/agents/key/revoke/", n.headers(), fmt.Sprintf(`{"agent_key_id":%q}`, key)).must(t, status, want)
	}
}
