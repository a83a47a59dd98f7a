package managed_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/provider/fake"
)

func TestVersionIsCheckedEvenWithoutAChange(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, c := range []client{claude(s), qoder(s)} {
		id := c.agent(t, `,"system":"S"`)
		c.must(t, "POST", "/agents/"+id, `{"version":1,"system":"T"}`)
		for _, body := range []string{`{"version":1}`, `{"version":1,"system":"T"}`, `{"version":3}`} {
			a := c.do(t, "POST", "/agents/"+id, body)
			c.refused(t, a, 409, "conflict_error")
			if a.header.Get("X-Should-Retry") != "false" {
				t.Errorf("%s %s: clients are asked to try again", c.base, body)
			}
		}
		before := c.must(t, "GET", "/agents/"+id, "")
		if d := cmp.Diff(before, c.must(t, "POST", "/agents/"+id, `{"version":2,"system":"T","metadata":{}}`)); d != "" {
			t.Errorf("%s: an update without effect (-before +after):\n%s", c.base, d)
		}
	}
}

// What an update leaves out of a model object is kept, reset or taken from the new model (CMA section 3.1).
func TestModelObjectsAreMerged(t *testing.T) {
	t.Parallel()
	c := claude(start(t))
	id := c.must(t, "POST", "/agents", `{"name":"a","model":{"id":"thinker","effort":"low","speed":"fast","inference_geo":"us"}}`)["id"].(string)
	model := func(id string, effort any, speed, geo string) map[string]any {
		m := map[string]any{"id": id, "effort": nil, "speed": speed}
		if effort != nil {
			m["effort"] = map[string]any{"type": effort}
		}
		if geo != "" {
			m["inference_geo"] = geo
		}
		return m
	}
	for i, step := range []struct {
		model   string
		version float64
		want    map[string]any
	}{
		{`{"id":"thinker","speed":"fast","inference_geo":"us"}`, 1, model("thinker", "low", "fast", "us")},
		{`{"id":"thinker","speed":"fast"}`, 2, model("thinker", "low", "fast", "")},
		{`{"id":"thinker","inference_geo":"global"}`, 3, model("thinker", "low", "standard", "global")},
		{`{"id":"thinker"}`, 4, model("thinker", "low", "standard", "")},
		{`"thinker"`, 4, model("thinker", "low", "standard", "")},
		{`{"id":"thinker","speed":null,"inference_geo":null}`, 4, model("thinker", "low", "standard", "")},
		{`{"id":"scripted"}`, 5, model("scripted", nil, "standard", "")},
		{`{"id":"thinker"}`, 6, model("thinker", "high", "standard", "")},
		{`{"id":"thinker","effort":{"type":"high"},"speed":"standard"}`, 6, model("thinker", "high", "standard", "")},
		{`{"id":"thinker","effort":"low"}`, 7, model("thinker", "low", "standard", "")},
	} {
		got := c.must(t, "POST", "/agents/"+id, `{"model":`+step.model+`}`)
		if d := cmp.Diff(any(step.want), got["model"]); d != "" || got["version"] != step.version {
			t.Errorf("step %d, %s: version %v, model (-want +got):\n%s", i, step.model, got["version"], d)
		}
	}
	for bad, field := range map[string]string{
		`{"id":"scripted","effort":"low"}`:          "model.effort",
		`{"id":"thinker","effort":"max"}`:           "model.effort",
		`{"id":"thinker","speed":"warp"}`:           "model.speed",
		`{"id":"thinker","inference_geo":"eu"}`:     "model.inference_geo",
		`{"effort":"low"}`:                          "model.id",
		`{"id":"thinker","context_window":1000}`:    "model.context_window",
		`{"id":"thinker","effort":{"level":"low"}}`: "model.effort.level",
		`{"id":"nobody-serves-this"}`:               "model",
		`["thinker"]`:                               "model",
	} {
		if m := c.refused(t, c.do(t, "POST", "/agents/"+id, `{"model":`+bad+`}`), 400, "invalid_request_error"); !strings.HasPrefix(m, field+": ") {
			t.Errorf("%s: %q, want the field %s", bad, m, field)
		}
	}
}

// A part that fits when it is made must go on to fit when another part changes.
func TestPartsMustFitTogetherAfterUpdates(t *testing.T) {
	t.Parallel()
	c := claude(start(t))
	const builtin, mcp = `{"type":"agent_toolset_20260401"}`, `{"type":"mcp_toolset","mcp_server_name":"m"}`
	const servers = `[{"type":"url","name":"m","url":"https://m.example.com"}]`
	full := c.agent(t, `,"tools":[`+builtin+`,`+mcp+`],"mcp_servers":`+servers+`,"skills":[{"type":"anthropic","skill_id":"xlsx"}]`)
	team := c.agent(t, `,"tools":[`+builtin+`],"multiagent":{"type":"coordinator","agents":["`+c.agent(t, "")+`"]}`)
	for _, tc := range []struct{ agent, body, field string }{
		{full, `{"tools":null}`, "mcp_servers[0]"},
		{full, `{"tools":[` + builtin + `]}`, "mcp_servers[0]"},
		{full, `{"mcp_servers":[]}`, "tools[1].mcp_server_name"},
		{full, `{"mcp_servers":null}`, "tools[1].mcp_server_name"},
		{full, `{"mcp_servers":[{"type":"url","name":"other","url":"https://m.example.com"}]}`, "tools[1].mcp_server_name"},
		{full, `{"mcp_servers":[{"type":"url","name":"m","url":"https://m.example.com"},{"type":"url","name":"idle","url":"https://m.example.com"}]}`, "mcp_servers[1]"},
		{full, `{"tools":[` + mcp + `]}`, "skills"},
		{full, `{"tools":[{"type":"agent_toolset_20260401","configs":[{"name":"read","enabled":false}]},` + mcp + `]}`, "skills"},
		{full, `{"tools":[{"type":"agent_toolset_20260401","default_config":{"enabled":false},"configs":[{"name":"bash","enabled":true}]},` + mcp + `]}`, "skills"},
		{team, `{"tools":[]}`, "tools"},
		{team, `{"multiagent":{"type":"coordinator","agents":[]}}`, "multiagent.agents"},
		{team, `{"multiagent":{"type":"coordinator","agents":["` + team + `","` + team + `"]}}`, "multiagent.agents[1]"},
	} {
		if m := c.refused(t, c.do(t, "POST", "/agents/"+tc.agent, tc.body), 400, "invalid_request_error"); !strings.HasPrefix(m, tc.field+": ") {
			t.Errorf("%s: %q, want the field %s", tc.body, m, tc.field)
		}
	}
	if v := c.must(t, "GET", "/agents/"+full, "")["version"]; v != 1.0 {
		t.Errorf("refused updates made version %v", v)
	}
	got := c.must(t, "POST", "/agents/"+full, `{"tools":[{"type":"agent_toolset_20260401","default_config":{"enabled":false},"configs":[{"name":"read","enabled":true}]}],"mcp_servers":null}`)
	if got["version"] != 2.0 || len(got["mcp_servers"].([]any)) != 0 || len(got["skills"].([]any)) != 1 {
		t.Errorf("agent = %v", got)
	}
	if got := c.must(t, "POST", "/agents/"+full, `{"skills":null,"tools":[]}`); got["version"] != 3.0 || len(got["skills"].([]any)) != 0 {
		t.Errorf("agent = %v", got)
	}
	if got := c.must(t, "POST", "/agents/"+team, `{"multiagent":null,"tools":null}`); got["multiagent"] != nil || got["version"] != 2.0 {
		t.Errorf("agent = %v", got)
	}
}

// The rows of CMA section 3.4: leave out to inherit, null and [] clear, anything else replaces the whole.
func TestOverridesOfASession(t *testing.T) {
	t.Parallel()
	c := claude(start(t))
	const builtin, mcp = `{"type":"agent_toolset_20260401"}`, `{"type":"mcp_toolset","mcp_server_name":"m"}`
	const servers = `[{"type":"url","name":"m","url":"https://m.example.com"}]`
	env := c.must(t, "POST", "/environments", `{"name":"box"}`)["id"].(string)
	id := c.must(t, "POST", "/agents", `{"name":"a","model":{"id":"thinker","effort":"low","speed":"fast"},"system":"S","tools":[`+builtin+`,`+mcp+`],"mcp_servers":`+servers+`}`)["id"].(string)
	skilled := c.agent(t, `,"tools":[`+builtin+`],"skills":[{"type":"anthropic","skill_id":"xlsx"}]`)
	open := func(agent, overrides string) answer {
		return c.do(t, "POST", "/sessions", `{"environment_id":"`+env+`","agent":{"type":"agent_with_overrides","id":"`+agent+`"`+overrides+`}}`)
	}
	for _, tc := range []struct{ agent, overrides, says string }{
		{id, `,"model":null`, "agent_model_required: agent.model"},
		{id, `,"model":{"id":"thinker","speed":"warp"}`, "agent.model.speed: "},
		{id, `,"model":"nobody-serves-this"`, "agent.model: "},
		{id, `,"mcp_servers":[]`, "agent.tools[1].mcp_server_name: "},
		{id, `,"mcp_servers":null`, "agent.tools[1].mcp_server_name: "},
		{id, `,"tools":[` + builtin + `]`, "agent.mcp_servers[0]: "},
		{id, `,"tools":[` + mcp + `,{"type":"agent_toolset_20260401","configs":[{"name":"web_fetch","allowed_domains":["localhost"]}]}]`, "agent.tools[1].configs[0].allowed_domains[0]: "},
		{id, `,"system":"` + strings.Repeat("x", 100_001) + `"`, "agent.system: "},
		{id, `,"skills":[{"type":"qoder","skill_id":"x"}]`, "agent.skills[0].type: "},
		{skilled, `,"tools":null`, "agent.skills: "},
		{skilled, `,"tools":[]`, "agent.skills: "},
		{id, `,"name":"other"`, "agent.name: unknown field"},
		{id, `,"multiagent":null`, "agent.multiagent: unknown field"},
		{id, `,"version":9`, "agent: "},
	} {
		if m := c.refused(t, open(tc.agent, tc.overrides), 400, "invalid_request_error"); !strings.HasPrefix(m, tc.says) {
			t.Errorf("%.80s: %q, want %q", tc.overrides, m, tc.says)
		}
	}
	before := c.must(t, "GET", "/agents/"+id, "")
	for _, tc := range []struct {
		overrides string
		want      map[string]any
	}{
		{``, map[string]any{"system": "S", "model": before["model"], "tools": before["tools"], "mcp_servers": before["mcp_servers"], "version": 1.0}},
		{`,"system":null`, map[string]any{"system": nil, "tools": before["tools"]}},
		{`,"system":""`, map[string]any{"system": nil}},
		{`,"system":"T","version":1`, map[string]any{"system": "T", "name": "a"}},
		{`,"tools":null,"mcp_servers":[],"skills":null`, map[string]any{"tools": []any{}, "mcp_servers": []any{}, "skills": []any{}, "system": "S"}},
		{`,"model":{"id":"thinker","effort":"low"}`, map[string]any{"model": map[string]any{"id": "thinker", "effort": map[string]any{"type": "high"}, "speed": "standard"}}},
		{`,"model":"scripted"`, map[string]any{"model": map[string]any{"id": "scripted", "effort": nil, "speed": "standard"}}},
	} {
		a := open(id, tc.overrides)
		if a.status != 200 {
			t.Fatalf("%s: %d %s", tc.overrides, a.status, a.raw)
		}
		for k, v := range tc.want {
			if d := cmp.Diff(v, dig(a.body, "agent", k)); d != "" {
				t.Errorf("%s: %s (-want +got):\n%s", tc.overrides, k, d)
			}
		}
	}
	if d := cmp.Diff(before, c.must(t, "GET", "/agents/"+id, "")); d != "" {
		t.Errorf("overrides changed the agent itself (-before +after):\n%s", d)
	}
}

// Lists of tools decide what there is at all; configs only tune it (qoder.md section 4.3). A model is told of
// nothing else, and what is denied is not run.
func TestQoderToolListsDecideWhatTheModelGets(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		toolset string
		want    []string
	}{
		{``, []string{"bash", "read", "write", "edit", "glob", "grep", "web_fetch"}},
		{`,"enabled_tools":[]`, []string{"bash", "read", "write", "edit", "glob", "grep", "web_fetch"}},
		{`,"enabled_tools":["Read","WebFetch","WebSearch"]`, []string{"read", "web_fetch"}}, // there is no search server
		{`,"disallowed_tools":["Bash","write"]`, []string{"read", "edit", "glob", "grep", "web_fetch"}},
		{`,"enabled_tools":["Read","Bash"],"default_config":{"enabled":false},"configs":[{"name":"Read","enabled":true},{"name":"Grep","enabled":true}]`, []string{"read"}},
		{`,"configs":[{"name":"Bash","permission_policy":{"type":"always_deny"}},{"name":"Glob","enabled":false}]`, []string{"bash", "read", "write", "edit", "grep", "web_fetch"}},
	} {
		s := start(t, fake.Say("Hello."))
		q := qoder(s)
		id := q.session(t, `,"tools":[{"type":"agent_toolset_20260401"`+tc.toolset+`}]`)
		frames := q.watch(t, "/sessions/"+id+"/events/stream")
		q.must(t, "POST", "/sessions/"+id+"/events", message("Hi."))
		until(t, frames, "session.status_idle")
		var got []string
		for _, spec := range s.script.Requests()[0].Tools {
			got = append(got, spec.Name)
		}
		if d := cmp.Diff(tc.want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", tc.toolset, d)
		}
	}
}

func TestDeniedToolIsNotRunAndIsNamedAsTheDialectDoes(t *testing.T) {
	t.Parallel()
	s := start(t, fake.CallTool("bash", `{"command":"id"}`), fake.Say("I may not."))
	q := qoder(s)
	id := q.session(t, `,"tools":[{"type":"agent_toolset_20260401","default_config":{"permission_policy":{"type":"always_deny"}}}]`)
	frames := q.watch(t, "/sessions/"+id+"/events/stream")
	q.must(t, "POST", "/sessions/"+id+"/events", message("Who are you?"))
	events := until(t, frames, "session.status_idle")
	at := slices.IndexFunc(events, func(f frame) bool { return f.data["type"] == "agent.tool_use" })
	if at < 0 || events[at].data["name"] != "Bash" || events[at].data["evaluated_permission"] != "deny" {
		t.Fatalf("events %v, use %v", types(events), events[max(at, 0)].data)
	}
	last := s.script.Requests()[1].Messages
	result := last[len(last)-1].Parts[0].Result
	if !result.IsError || !strings.Contains(result.Content[0].Text, "denies") {
		t.Errorf("the model reads %+v", result)
	}
}

// Keys are the caller's own: two people of one project may use the same.
func TestKeysBelongToTheCaller(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := claude(s)
	body := `{"name":"store"}`
	first := c.must(t, "POST", "/memory_stores", body, "Idempotency-Key", key)
	other := c.as(s.member).do(t, "POST", "/memory_stores", body, "Idempotency-Key", key)
	if other.status != 200 || other.body["id"] == first["id"] || other.header.Get("Idempotent-Replayed") != "" {
		t.Errorf("another caller got %d %s", other.status, other.raw)
	}
	again := c.as(s.member).do(t, "POST", "/memory_stores", body, "Idempotency-Key", key)
	if again.body["id"] != other.body["id"] || again.header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("again = %s", again.raw)
	}
}

// What is made while somebody reads a list neither repeats nor hides what was there, whichever way it is read.
func TestListsReadBothWaysAreStableUnderInserts(t *testing.T) {
	t.Parallel()
	s := start(t)
	q, c := qoder(s), claude(s)
	var made []string
	for range 5 {
		made = append(made, q.agent(t, ""))
	}
	var ascending []string
	path := "/agents?limit=2&order=asc"
	for page := c.must(t, "GET", path, ""); ; page = c.must(t, "GET", path+"&page="+url.QueryEscape(page["next_page"].(string)), "") {
		ascending = append(ascending, ids(page)...)
		if len(made) < 7 {
			made = append(made, q.agent(t, ""))
		}
		if page["next_page"] == nil {
			break
		}
	}
	if d := cmp.Diff(made, ascending); d != "" {
		t.Errorf("oldest first (-want +got):\n%s", d)
	}
	var back []string // newest first, read from its end to its beginning
	for at := made[0]; ; {
		page := q.must(t, "GET", "/agents?limit=2&before_id="+at, "")
		list := ids(page)
		back = append(slices.Clone(list), back...)
		if len(made) < 9 {
			made = append(made, q.agent(t, ""))
		}
		if page["has_more"] != true {
			break
		}
		at = list[0]
	}
	want := slices.Clone(made[1:])
	slices.Reverse(want)
	if d := cmp.Diff(want, back); d != "" {
		t.Errorf("backwards (-want +got):\n%s", d)
	}
	edge := func(i int) string {
		return url.QueryEscape(c.must(t, "GET", "/agents/"+made[i], "")["created_at"].(string))
	}
	for query, want := range map[string][]string{
		"created_at[gt]=" + edge(7):                                {made[8]},
		"created_at[gte]=" + edge(7):                               {made[8], made[7]},
		"created_at[lt]=" + edge(1) + "&order=asc":                 {made[0]},
		"created_at[lte]=" + edge(1) + "&order=asc":                {made[0], made[1]},
		"created_at[gt]=" + edge(2) + "&created_at[lt]=" + edge(5): {made[4], made[3]},
	} {
		if d := cmp.Diff(want, ids(c.must(t, "GET", "/agents?"+query, ""))); d != "" {
			t.Errorf("%s (-want +got):\n%s", query, d)
		}
	}
}

// What an update of an environment leaves out stays, member by member (CMA section 3.2).
func TestEnvironmentsAreMerged(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, c := range []client{claude(s), qoder(s)} {
		id := c.must(t, "POST", "/environments", `{"name":"box","description":"D","metadata":{"a":"1","b":"2"},"config":{"type":"cloud",
			"networking":{"type":"limited","allowed_hosts":["example.com"],"allow_mcp_servers":true},"packages":{"pip":["requests"],"apt":["git"]}}}`)["id"].(string)
		network := map[string]any{"type": "limited", "allowed_hosts": []any{"example.com"}, "allow_mcp_servers": true, "allow_package_managers": false}
		for i, step := range []struct {
			body string
			at   []any
			want any
		}{
			{`{}`, []any{"config", "networking"}, network},
			{`{"metadata":{"a":null,"b":"","c":"3"}}`, []any{"metadata"}, map[string]any{"c": "3"}},
			{`{"config":{"packages":{"pip":null}}}`, []any{"config", "packages", "apt"}, []any{"git"}},
			{`{"config":{"packages":{"npm":["vite"]}}}`, []any{"config", "packages", "pip"}, []any{}},
			{`{"config":{"networking":{"allow_package_managers":true}}}`, []any{"config", "networking"}, map[string]any{"type": "limited", "allowed_hosts": []any{"example.com"}, "allow_mcp_servers": true, "allow_package_managers": true}},
			{`{"config":{"networking":{"allowed_hosts":[]}}}`, []any{"config", "networking", "allowed_hosts"}, []any{}},
			{`{"config":{"networking":{"type":"unrestricted"}}}`, []any{"config", "networking"}, map[string]any{"type": "unrestricted"}},
			{`{"config":{"networking":{"type":"limited"}}}`, []any{"config", "networking"}, map[string]any{"type": "limited", "allowed_hosts": []any{}, "allow_mcp_servers": false, "allow_package_managers": false}},
			{`{"name":"box 2"}`, []any{"config", "packages", "npm"}, []any{"vite"}},
			{`{"config":{"type":"self_hosted"}}`, []any{"config"}, map[string]any{"type": "self_hosted"}},
		} {
			got := c.must(t, "POST", "/environments/"+id, step.body)
			if d := cmp.Diff(step.want, dig(got, step.at...)); d != "" || dig(got, "description") != "D" {
				t.Errorf("%s step %d, %s: description %v (-want +got):\n%s", c.base, i, step.body, dig(got, "description"), d)
			}
		}
		for _, bad := range []string{`{"name":null}`, `{"name":""}`, `{"config":{"packages":{"apt":["git"]}}}`, `{"config":{"type":"docker"}}`} {
			c.refused(t, c.do(t, "POST", "/environments/"+id, bad), 400, "invalid_request_error")
		}
		c.must(t, "POST", "/environments/"+id+"/archive", "")
		c.refused(t, c.do(t, "POST", "/environments/"+id, `{"name":"x"}`), 400, "invalid_request_error")
		agent := c.agent(t, "")
		c.refused(t, c.do(t, "POST", "/sessions", fmt.Sprintf(`{"agent":%q,"environment_id":%q}`, agent, id)), 400, "invalid_request_error")
		if got := c.must(t, "DELETE", "/environments/"+id, "")["type"]; got != "environment_deleted" {
			t.Errorf("deleted = %v", got)
		}
		c.refused(t, c.do(t, "GET", "/environments/"+id, ""), 404, "not_found_error")
	}
}

// A running session keeps the agent that it began with; a new one is refused.
func TestArchivedAgentsSessionGoesOn(t *testing.T) {
	t.Parallel()
	s := start(t, fake.Say("Still here."))
	c := claude(s)
	id := c.session(t, "")
	agent := dig(c.must(t, "GET", "/sessions/"+id, ""), "agent", "id").(string)
	c.must(t, "POST", "/agents/"+agent+"/archive", "")
	env := c.must(t, "POST", "/environments", `{"name":"box"}`)["id"].(string)
	c.refused(t, c.do(t, "POST", "/sessions", `{"agent":"`+agent+`","environment_id":"`+env+`"}`), 400, "invalid_request_error")
	frames := c.watch(t, "/sessions/"+id+"/events/stream")
	c.must(t, "POST", "/sessions/"+id+"/events", message("There?"))
	events := until(t, frames, "session.status_idle")
	if !slices.Contains(types(events), "agent.message") {
		t.Errorf("events %v", types(events))
	}
}
