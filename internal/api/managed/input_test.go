package managed_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/reeve-ai/reeve/internal/core"
)

// TestBadBodies: what no request can hold is refused before anything happens.
func TestBadBodies(t *testing.T) {
	t.Parallel()
	s := start(t)
	sess := claude(s).session(t, "")
	paths := []string{"/agents", "/environments", "/sessions", "/sessions/" + sess, "/sessions/" + sess + "/events"}
	for _, tc := range []struct{ name, body string }{
		{"empty", ""},
		{"no JSON", "name=a"},
		{"cut off", `{"name":"a"`},
		{"two values", `{}{}`},
		{"array", `[]`},
		{"string", `"x"`},
		{"null", `null`},
		{"NUL", `{"name":"a\u0000b","model":"scripted"}`},
		{"invalid UTF-8", "{\"name\":\"\xff\",\"model\":\"scripted\"}"},
		{"deep", `{"metadata":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`},
		{"very deep", strings.Repeat(`{"a":`, 100_000) + "1" + strings.Repeat("}", 100_000)},
	} {
		for _, c := range []client{claude(s), qoder(s)} {
			t.Run(tc.name+" "+c.base, func(t *testing.T) {
				t.Parallel()
				for _, path := range paths {
					c.refused(t, c.do(t, "POST", path, tc.body), 400, "invalid_request_error")
				}
			})
		}
	}
}

func TestWrongTypesNameTheField(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := claude(s)
	sess := c.session(t, "")
	for _, tc := range []struct{ path, body, field string }{
		{"/agents", `{"name":1,"model":"scripted"}`, "name"},
		{"/agents", `{"name":"a","model":1}`, "model"},
		{"/agents", `{"name":"a","model":{}}`, "model.id"},
		{"/agents", `{"name":"a","model":{"id":"scripted","effort":{"type":1}}}`, "model.effort.type"},
		{"/agents", `{"name":"a","model":{"id":"thinker","effort":"extreme"}}`, "model.effort"},
		{"/agents", `{"name":"a","model":"scripted","system":{}}`, "system"},
		{"/agents", `{"name":"a","model":"scripted","tools":{}}`, "tools"},
		{"/agents", `{"name":"a","model":"scripted","tools":[1]}`, "tools[0]"},
		{"/agents", `{"name":"a","model":"scripted","tools":[null]}`, "tools[0]"},
		{"/agents", `{"name":"a","model":"scripted","tools":[{"type":"agent_toolset_20260401","configs":[{"name":"bash","enabled":"yes"}]}]}`, "tools[0].configs[0].enabled"},
		{"/agents", `{"name":"a","model":"scripted","tools":[{"type":"agent_toolset_20260401","configs":[{"name":"bash","type":"read"}]}]}`, "tools[0].configs[0].type"},
		{"/agents", `{"name":"a","model":"scripted","tools":[{"type":"agent_toolset_20260401","default_config":{"permission_policy":{}}}]}`, "tools[0].default_config.permission_policy.type"},
		{"/agents", `{"name":"a","model":"scripted","tools":[{"type":"agent_toolset_20260401","default_config":{"permission_policy":{"type":"auto"}}}]}`, "tools[0].default_config.permission_policy.type"},
		{"/agents", `{"name":"a","model":"scripted","mcp_servers":["x"]}`, "mcp_servers[0]"},
		{"/agents", `{"name":"a","model":"scripted","skills":[{"type":1}]}`, "skills[0].type"},
		{"/agents", `{"name":"a","model":"scripted","multiagent":"x"}`, "multiagent"},
		{"/agents", `{"name":"a","model":"scripted","multiagent":{"type":"coordinator","agents":[1]}}`, "multiagent.agents[0]"},
		{"/agents", `{"name":"a","model":"scripted","metadata":[]}`, "metadata"},
		{"/environments", `{"name":"a","config":"cloud"}`, "config"},
		{"/environments", `{"name":"a","config":{"type":"moon"}}`, "config.type"},
		{"/environments", `{"name":"a","config":{"type":"cloud","networking":{"type":"open"}}}`, "config.networking.type"},
		{"/environments", `{"name":"a","config":{"type":"cloud","networking":{"type":"limited","allowed_hosts":["https://x"]}}}`, "config.networking.allowed_hosts[0]"},
		{"/environments", `{"name":"a","config":{"type":"cloud","packages":{"apt":"git"}}}`, "config.packages.apt"},
		{"/environments", `{"config":{"type":"cloud"}}`, "name"},
		{"/sessions", `{"environment_id":"env_0198c1d2000070008000000000000001"}`, "agent"},
		{"/sessions", `{"agent":"agent_0198c1d2000070008000000000000001"}`, "environment_id"},
		{"/sessions", `{"agent":"nobody","environment_id":"env_0198c1d2000070008000000000000001"}`, "agent"},
		{"/sessions", `{"agent":{"type":"agent"},"environment_id":"env_0198c1d2000070008000000000000001"}`, "agent.id"},
		{"/sessions", `{"agent":{"type":"person","id":"x"},"environment_id":"env_0198c1d2000070008000000000000001"}`, "agent.type"},
		{"/sessions", `{"agent":{"type":"agent_with_overrides","id":"agent_0198c1d2000070008000000000000001","model":null},"environment_id":"env_0198c1d2000070008000000000000001"}`, "agent_model_required"},
		{"/sessions", `{"agent":"agent_0198c1d2000070008000000000000001","environment_id":"box"}`, "environment_id"},
		{"/sessions/" + sess, `{"title":1}`, "title"},
		{"/sessions/" + sess + "/events", `{}`, "events"},
		{"/sessions/" + sess + "/events", `{"events":[]}`, "events"},
		{"/sessions/" + sess + "/events", `{"events":[{}]}`, "events[0].type"},
		{"/sessions/" + sess + "/events", `{"events":[{"type":"agent.message"}]}`, "events[0].type"},
		{"/sessions/" + sess + "/events", `{"events":[{"type":"user.message"}]}`, "events[0].content"},
		{"/sessions/" + sess + "/events", `{"events":[{"type":"user.message","content":[]}]}`, "events[0].content"},
		{"/sessions/" + sess + "/events", `{"events":[{"type":"user.message","content":[{"type":"text"}]}]}`, "events[0].content[0].text"},
		{"/sessions/" + sess + "/events", `{"events":[{"type":"user.message","content":[{"type":"audio"}]}]}`, "events[0].content[0].type"},
		{"/sessions/" + sess + "/events", `{"events":[{"type":"user.message","content":[{"type":"redacted"}]}]}`, "events[0].content[0].type"},
		{"/sessions/" + sess + "/events", `{"events":[{"type":"user.message","content":[{"type":"search_result","source":"s","title":"t","content":[]}]}]}`, "events[0].content[0].type"},
		{"/sessions/" + sess + "/events", `{"events":[{"type":"user.message","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"%%"}}]}]}`, "events[0].content[0].source.data"},
		{"/sessions/" + sess + "/events", `{"events":[{"type":"user.message","content":[{"type":"image","source":{"type":"text","data":"x"}}]}]}`, "events[0].content[0].source.type"},
		{"/sessions/" + sess + "/events", `{"events":[{"type":"user.message","content":[{"type":"image"}]}]}`, "events[0].content[0].source"},
		{"/sessions/" + sess + "/events", `{"events":[{"type":"user.message","content":[{"type":"document","source":{"type":"file","file_id":"file_1"}}]}]}`, "events[0].content[0].source.file_id"},
		{"/sessions/" + sess + "/events", `{"events":[{"type":"user.interrupt","session_thread_id":"sthr_x"}]}`, "events[0].session_thread_id"},
		{"/sessions/" + sess + "/events", `{"events":[{"type":"user.tool_confirmation","tool_use_id":"sevt_0198c1d2000070008000000000000001","result":"maybe"}]}`, "events[0].result"},
		{"/sessions/" + sess + "/events", `{"events":[{"type":"user.tool_confirmation","tool_use_id":"sevt_0198c1d2000070008000000000000001","result":"allow"}]}`, "events[0].tool_use_id"},
		{"/sessions/" + sess + "/events", `{"events":[{"type":"user.custom_tool_result","custom_tool_use_id":"x"}]}`, "events[0].custom_tool_use_id"},
		{"/sessions/" + sess + "/events", `{"events":[{"type":"user.message","content":"x","priority":1}]}`, "events[0].priority"},
	} {
		t.Run(tc.body, func(t *testing.T) {
			t.Parallel()
			m := c.refused(t, c.do(t, "POST", tc.path, tc.body), 400, "invalid_request_error")
			if !strings.HasPrefix(m, tc.field+":") && !strings.HasPrefix(m, tc.field+".") {
				t.Errorf("message = %q, want the field %s", m, tc.field)
			}
		})
	}
	if n := c.must(t, "GET", "/agents", "")["data"].([]any); len(n) != 1 {
		t.Errorf("%d agents, want the one of the session alone", len(n))
	}
}

func TestBodiesHaveALimit(t *testing.T) {
	t.Parallel()
	s := start(t)
	sess := claude(s).session(t, "")
	big := func(n int) string { return `{"name":"` + strings.Repeat("x", n) + `"}` }
	events := `{"events":[{"type":"user.message","content":[{"type":"text","text":"` + strings.Repeat("x", 5<<20) + `"}]}]}`
	claude(s).refused(t, claude(s).do(t, "POST", "/agents", big(5<<20)), 413, "request_too_large")
	qoder(s).refused(t, qoder(s).do(t, "POST", "/agents", big(5<<20)), 400, "invalid_request_error")
	claude(s).must(t, "POST", "/sessions/"+sess+"/events", events) // events may be larger
	claude(s).refused(t, claude(s).do(t, "POST", "/sessions/"+sess+"/events", big(33<<20)), 413, "request_too_large")
}

func TestBadQueries(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := claude(s)
	sess, agent := c.session(t, ""), c.agent(t, "")
	for _, path := range []string{
		"/agents?limit=0", "/agents?limit=101", "/agents?limit=x", "/agents?page=x", "/agents?page=page_eA", "/agents?order=up",
		"/agents?created_at[gte]=yesterday", "/agents?include_archived=maybe", "/agents?x=%zz",
		"/agents/" + agent + "?version=0", "/agents/" + agent + "?version=x", "/agents/" + agent + "/versions?limit=101",
		"/environments?page=page_", "/environments?order=asc",
		"/sessions?agent_id=nobody", "/sessions?agent_version=1", "/sessions?agent_id=" + agent + "&agent_version=0", "/sessions?statuses[]=busy",
		"/sessions/" + sess + "/events?limit=1001", "/sessions/" + sess + "/events?page=page_x", "/sessions/" + sess + "/events?order=x",
		"/sessions/" + sess + "/events/stream?event_deltas[]=agent.tool_use",
		"/sessions/" + sess + "/events/stream?" + strings.Repeat("event_deltas[]=agent.message&", 101),
		"/models?limit=1001", "/models?after_id=none", "/models?after_id=scripted&before_id=scripted",
	} {
		t.Run(path[:min(len(path), 90)], func(t *testing.T) {
			t.Parallel()
			c.refused(t, c.do(t, "GET", path, ""), 400, "invalid_request_error")
		})
	}
	q := qoder(s)
	for _, path := range []string{
		"/agents?page=" + agent + "&after_id=" + agent, "/agents?after_id=" + agent + "&before_id=" + agent,
		"/agents?page=agent_0198c1d2000070008000000000000001", "/agents?page=x", "/agents/" + agent + "/versions?page=7",
		"/sessions/" + sess + "/events?page=evt_0198c1d2000070008000000000000001", "/sessions/" + sess + "/events?limit=101",
	} {
		t.Run("qoder "+path, func(t *testing.T) {
			t.Parallel()
			q.refused(t, q.do(t, "GET", path, ""), 400, "invalid_request_error")
		})
	}
	a := q.do(t, "GET", "/sessions/"+sess+"/events/stream", "", "Last-Event-ID", "evt_0198c1d2000070008000000000000001")
	q.refused(t, a, 400, "invalid_request_error")
}

// endpoints are all that name something, with a body that is fine.
func endpoints(fl client, agent, env, sess string) []struct{ method, path, body string } {
	list := []struct{ method, path, body string }{
		{"GET", "/agents/" + agent, ""},
		{"GET", "/agents/" + agent + "?version=1", ""},
		{"POST", "/agents/" + agent, `{"version":1,"name":"x"}`},
		{"GET", "/agents/" + agent + "/versions", ""},
		{"POST", "/agents/" + agent + "/archive", ""},
		{"GET", "/environments/" + env, ""},
		{"POST", "/environments/" + env, `{"name":"x"}`},
		{"POST", "/environments/" + env + "/archive", ""},
		{"DELETE", "/environments/" + env, ""},
		{"GET", "/sessions/" + sess, ""},
		{"POST", "/sessions/" + sess, `{"title":"x"}`},
		{"POST", "/sessions/" + sess + "/archive", ""},
		{"POST", "/sessions/" + sess + "/events", message("hi")},
		{"GET", "/sessions/" + sess + "/events", ""},
		{"GET", "/sessions/" + sess + "/events/stream", ""},
		{"DELETE", "/sessions/" + sess, ""},
	}
	if fl.base == "/api/v1/cloud" {
		list = append(list, struct{ method, path, body string }{"POST", "/sessions/" + sess + "/cancel", ""},
			struct{ method, path, body string }{"PUT", "/agents/" + agent, `{"version":1,"name":"x"}`})
	}
	return list
}

// TestForeignThingsAreNotThere: another project's things, unknown ones and nonsense get one answer.
func TestForeignThingsAreNotThere(t *testing.T) {
	t.Parallel()
	for _, speak := range []func(*server) client{claude, qoder} {
		s := start(t)
		c := speak(s)
		t.Run(c.base, func(t *testing.T) {
			t.Parallel()
			sess := c.session(t, "")
			agent := dig(c.must(t, "GET", "/sessions/"+sess, ""), "agent", "id").(string)
			env := c.must(t, "GET", "/sessions/"+sess, "")["environment_id"].(string)
			const unknown = "0198c1d2000070008000000000000001"
			for name, list := range map[string][]struct{ method, path, body string }{
				"foreign": endpoints(c, agent, env, sess), "unknown": endpoints(c, "agent_"+unknown, "env_"+unknown, "sesn_"+unknown),
				"nonsense": endpoints(c, "agent_x", "env", "..%2fx"),
			} {
				for _, e := range list {
					t.Run(name+" "+e.method+" "+e.path, func(t *testing.T) {
						m := c.refused(t, c.as(s.foreign).do(t, e.method, e.path, e.body), 404, "not_found_error")
						if strings.Contains(m, string(s.admin.Project)) {
							t.Errorf("message = %q", m)
						}
					})
				}
			}
			f := c.as(s.foreign)
			for _, path := range []string{"/agents", "/environments", "/sessions"} {
				if got := f.must(t, "GET", path, "")["data"].([]any); len(got) != 0 {
					t.Errorf("%s of another project = %v", path, got)
				}
			}
			ownEnv := f.must(t, "POST", "/environments", `{"name":"own"}`)["id"].(string)
			ownAgent := f.agent(t, "")
			f.refused(t, f.do(t, "POST", "/sessions", `{"agent":"`+agent+`","environment_id":"`+ownEnv+`"}`), 400, "invalid_request_error")
			f.refused(t, f.do(t, "POST", "/sessions", `{"agent":"`+ownAgent+`","environment_id":"`+env+`"}`), 400, "invalid_request_error")
			f.refused(t, f.do(t, "POST", "/agents", `{"name":"x","model":"scripted","tools":[{"type":"agent_toolset_20260401"}],"multiagent":{"type":"coordinator","agents":["`+agent+`"]}}`), 400, "invalid_request_error")
			if c.must(t, "GET", "/sessions/"+sess, "")["archived_at"] != nil {
				t.Error("the session was archived from outside")
			}
		})
	}
}

// TestReadersCannotWrite holds what each role may do.
func TestReadersCannotWrite(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := qoder(s)
	sess := c.session(t, "")
	agent := dig(c.must(t, "GET", "/sessions/"+sess, ""), "agent", "id").(string)
	env := c.must(t, "GET", "/sessions/"+sess, "")["environment_id"].(string)
	v := c.as(s.viewer)
	for _, e := range endpoints(c, agent, env, sess) {
		if strings.HasSuffix(e.path, "/stream") {
			continue
		}
		if a := v.do(t, e.method, e.path, e.body); e.method == "GET" {
			if a.status != 200 {
				t.Errorf("%s %s = %d", e.method, e.path, a.status)
			}
		} else {
			v.refused(t, a, 403, "permission_error")
		}
	}
	for _, path := range []string{"/agents", "/environments"} {
		c.as(s.member).refused(t, c.as(s.member).do(t, "POST", path, `{"name":"x","model":"scripted"}`), 403, "permission_error")
	}
	c.as(s.member).must(t, "POST", "/sessions", `{"agent":"`+agent+`","environment_id":"`+env+`"}`)
	v.must(t, "GET", "/models", "")
}

func TestRoutesThatAreNotThere(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, c := range []client{claude(s), qoder(s)} {
		for _, path := range []string{"", "/", "/agents/", "/agents/a/b/c", "/sessions/x/threads", "/dreams", "/files/x/y"} {
			a := c.do(t, "GET", path+"", "")
			if path == "" && c.base == "/v1" && a.status == 404 && a.body["type"] == nil {
				continue // outside of the prefix
			}
			c.refused(t, a, 404, "not_found_error")
		}
		for path, allow := range map[string]string{"/agents": "GET, POST", "/models": "GET", "/sessions/x/events": "GET, POST", "/sessions/x/events/stream": "GET", "/environments/x": "DELETE, GET, POST"} {
			a := c.do(t, "PATCH", path, "{}")
			c.refused(t, a, 405, "invalid_request_error")
			if got := a.header.Get("Allow"); got != allow {
				t.Errorf("Allow of %s = %q, want %q", path, got, allow)
			}
		}
	}
	claude(s).refused(t, claude(s).do(t, "POST", "/sessions/x/cancel", ""), 404, "not_found_error")
}

func TestIDsAreReadInEverySpelling(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := claude(s)
	id := c.agent(t, "")
	hex := core.AgentID(strings.TrimPrefix(id, "agent_"))
	for _, spelled := range []string{string(hex), core.FormatUUID(hex), strings.ToUpper(string(hex)), "x_" + string(hex)} {
		if got := c.must(t, "GET", "/agents/"+spelled, "")["id"]; got != id {
			t.Errorf("GET %s = %v", spelled, got)
		}
	}
}

func TestTimesHaveMicroseconds(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, c := range []client{claude(s), qoder(s)} {
		a := c.must(t, "POST", "/agents", `{"name":"a","model":"scripted"}`)
		for _, field := range []string{"created_at", "updated_at"} {
			if got := fmt.Sprint(a[field]); !regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$`).MatchString(got) {
				t.Errorf("%s = %s", field, got)
			}
		}
	}
}

func TestNothingIsAnsweredWithoutACredential(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, c := range []client{claude(s), qoder(s)} {
		for _, token := range []string{"", "nonsense", s.token + "x", "agent_" + s.token} {
			a := c.as(token).do(t, http.MethodGet, "/agents", "")
			c.refused(t, a, 401, "authentication_error")
			if token != "" && strings.Contains(a.raw, token) {
				t.Errorf("the answer holds the credential: %s", a.raw)
			}
		}
	}
}
