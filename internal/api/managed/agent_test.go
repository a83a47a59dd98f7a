package managed_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/api/exchange"
)

func TestRecordedExchanges(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"seed", "claude", "qoder"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			exchange.Run(t, s.URL, "testdata/"+name+".txtar", map[string]string{"token": s.token})
		})
	}
}

func many(n int, item string) string {
	return "[" + strings.TrimSuffix(strings.Repeat(item+",", n), ",") + "]"
}

// TestSeedErrors holds every row of the error table of seed page 003, over both of its paths.
func TestSeedErrors(t *testing.T) {
	t.Parallel()
	s := start(t)
	toolset := `[{"type":"agent_toolset_20260401"}]`
	other := qoder(s).agent(t, "")
	custom := func(i int) string {
		return fmt.Sprintf(`{"type":"custom","name":"t%d","description":"d","input_schema":{"type":"object"}}`, i)
	}
	var tools []string
	for i := range 129 {
		tools = append(tools, custom(i))
	}
	skill := `{"type":"custom","skill_id":"s"}`
	for _, tc := range []struct{ name, body, param string }{
		{"name missing", `{"model":"ultimate"}`, "name"},
		{"name null", `{"name":null,"model":"ultimate"}`, "name"},
		{"name empty", `{"name":"","model":"ultimate"}`, "name"},
		{"name over 256 characters", `{"name":"` + strings.Repeat("é", 257) + `","model":"ultimate"}`, "name"},
		{"model missing", `{"name":"a"}`, "model"},
		{"model null", `{"name":"a","model":null}`, "model"},
		{"model not served", `{"name":"a","model":"no-such-model"}`, "model"},
		{"system over 100000 characters", `{"name":"a","model":"ultimate","system":"` + strings.Repeat("x", 100_001) + `"}`, "system"},
		{"description over 2048 characters", `{"name":"a","model":"ultimate","description":"` + strings.Repeat("x", 2049) + `"}`, "description"},
		{"more than 128 tools", `{"name":"a","model":"ultimate","tools":[` + strings.Join(tools, ",") + `]}`, "tools"},
		{"unknown tool", `{"name":"a","model":"ultimate","tools":[{"type":"agent_toolset_20260401","enabled_tools":["Bosh"]}]}`, "tools[0].enabled_tools[0]"},
		{"unknown tool type", `{"name":"a","model":"ultimate","tools":[{"type":"bash_20250124"}]}`, "tools[0].type"},
		{"mcp server without url", `{"name":"a","model":"ultimate","mcp_servers":[{"type":"url","name":"m"}]}`, "mcp_servers[0].url"},
		{"more than 20 mcp servers", `{"name":"a","model":"ultimate","mcp_servers":` + many(21, `{"type":"url","name":"m","url":"https://m.example.com"}`) + `}`, "mcp_servers"},
		{"skill without id", `{"name":"a","model":"ultimate","skills":[{"type":"custom"}]}`, "skills[0].skill_id"},
		{"skill of another dialect", `{"name":"a","model":"ultimate","skills":[{"type":"anthropic","skill_id":"pdf"}]}`, "skills[0].type"},
		{"more than 20 skills", `{"name":"a","model":"ultimate","skills":` + many(21, skill) + `}`, "skills"},
		{"multiagent of another type", `{"name":"a","model":"ultimate","tools":` + toolset + `,"multiagent":{"type":"swarm","agents":["` + other + `"]}}`, "multiagent.type"},
		{"no multiagent agents", `{"name":"a","model":"ultimate","tools":` + toolset + `,"multiagent":{"type":"coordinator","agents":[]}}`, "multiagent.agents"},
		{"multiagent agents missing", `{"name":"a","model":"ultimate","tools":` + toolset + `,"multiagent":{"type":"coordinator"}}`, "multiagent.agents"},
		{"more than 20 multiagent agents", `{"name":"a","model":"ultimate","tools":` + toolset + `,"multiagent":{"type":"coordinator","agents":` + many(21, `"`+other+`"`) + `}}`, "multiagent.agents"},
		{"multiagent without toolset", `{"name":"a","model":"ultimate","multiagent":{"type":"coordinator","agents":["` + other + `"]}}`, "tools"},
		{"multiagent agent unknown", `{"name":"a","model":"ultimate","tools":` + toolset + `,"multiagent":{"type":"coordinator","agents":["agent_0198c1d2000070008000000000000001"]}}`, "multiagent.agents[0]"},
		{"multiagent agent no id", `{"name":"a","model":"ultimate","tools":` + toolset + `,"multiagent":{"type":"coordinator","agents":[{"type":"agent","id":"nobody"}]}}`, "multiagent.agents[0].id"},
		{"metadata value no string", `{"name":"a","model":"ultimate","metadata":{"k":1}}`, "metadata.k"},
	} {
		for _, c := range []client{qoderV1(s), qoder(s)} {
			t.Run(tc.name+" "+c.base, func(t *testing.T) {
				t.Parallel()
				a := c.do(t, "POST", "/agents", tc.body)
				message := c.refused(t, a, 400, "invalid_request_error")
				if got := dig(a.body, "error", "param"); got != tc.param {
					t.Errorf("param = %v, want %q (%s)", got, tc.param, message)
				}
			})
		}
	}
	for _, c := range []client{qoderV1(s), qoder(s)} {
		t.Run("token "+c.base, func(t *testing.T) {
			t.Parallel()
			body := `{"name":"a","model":"ultimate"}`
			c.refused(t, c.as("pt-nonsense").do(t, "POST", "/agents", body), 401, "authentication_error")
			c.refused(t, c.as("").do(t, "POST", "/agents", body), 401, "authentication_error")
			c.refused(t, c.as(s.viewer).do(t, "POST", "/agents", body), 403, "permission_error")
			c.refused(t, c.as(s.member).do(t, "POST", "/agents", body), 403, "permission_error")
		})
	}
}

func TestNamesAreCountedInCharacters(t *testing.T) {
	t.Parallel()
	s := start(t)
	name := strings.Repeat("é", 256)
	if got := qoder(s).must(t, "POST", "/agents", `{"name":"`+name+`","model":"ultimate"}`)["name"]; got != name {
		t.Errorf("name = %v", got)
	}
}

// TestUnknownMembers: Claude names what it does not know, Qoder does not care.
func TestUnknownMembers(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, tc := range []struct{ path, body, field string }{
		{"/agents", `{"name":"a","model":"scripted","instructions":"x"}`, "instructions"},
		{"/agents", `{"name":"a","model":{"id":"scripted","temperature":1}}`, "model.temperature"},
		{"/agents", `{"name":"a","model":"scripted","tools":[{"type":"agent_toolset_20260401","allowed":[]}]}`, "tools[0].allowed"},
		{"/agents", `{"name":"a","model":"scripted","mcp_servers":[],"tools":[{"type":"agent_toolset_20260401","default_config":{"on":true}}]}`, "tools[0].default_config.on"},
		{"/environments", `{"name":"a","cpu":4}`, "cpu"},
		{"/environments", `{"name":"a","config":{"type":"cloud","image":"x"}}`, "config.image"},
	} {
		t.Run(tc.path+" "+tc.field, func(t *testing.T) {
			t.Parallel()
			c := claude(s)
			if m := c.refused(t, c.do(t, "POST", tc.path, tc.body), 400, "invalid_request_error"); !strings.HasPrefix(m, tc.field+": ") {
				t.Errorf("message = %q, want the field %s", m, tc.field)
			}
			qoder(s).must(t, "POST", tc.path, tc.body)
		})
	}
}

// TestNotSupportedYet: what the dialect knows and this server does not do is refused, not left out.
func TestNotSupportedYet(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := claude(s)
	env := c.must(t, "POST", "/environments", `{"name":"box"}`)["id"].(string)
	create := func(more string) string {
		return `{"agent":"` + c.agent(t, "") + `","environment_id":"` + env + `"` + more + `}`
	}
	for _, tc := range []struct{ name, path, body, field string }{
		{"execution identity", "/agents", `{"name":"a","model":"scripted","execution_identity":{"type":"aws_role","role_arn":"x"}}`, "execution_identity.type"},
		{"newer multiagent", "/agents", `{"name":"a","model":"scripted","multiagent":{"type":"multiagent_20261001"}}`, "multiagent.type"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			m := c.refused(t, c.do(t, "POST", tc.path, tc.body), 400, "invalid_request_error")
			if !strings.HasPrefix(m, tc.field) || !strings.Contains(m, "not supported by this server yet") {
				t.Errorf("message = %q, want the field %s", m, tc.field)
			}
		})
	}
	c.must(t, "POST", "/sessions", create(`,"resources":[],"budget":null,"initial_events":[],"vault_ids":[]`))
	c.must(t, "POST", "/agents", `{"name":"a","model":"scripted","execution_identity":{"type":"service_account"},"multiagent":null}`)
}

func TestClaudeShowsToolsInFull(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := claude(s)
	made := c.must(t, "POST", "/agents", `{"name":"a","model":{"id":"thinker","effort":"low","speed":"fast","inference_geo":"us"},
		"tools":[{"type":"agent_toolset_20260401","configs":[{"name":"bash","permission_policy":{"type":"always_ask"}},{"name":"web_fetch","type":"web_fetch","blocked_domains":["ads.example.org"],"max_content_tokens":20000}]},
		{"type":"mcp_toolset","mcp_server_name":"m","configs":[{"name":"x","enabled":false}]}],
		"mcp_servers":[{"type":"url","name":"m","url":"https://m.example.com"}]}`)
	allow, ask := map[string]any{"type": "always_allow"}, map[string]any{"type": "always_ask"}
	want := []any{
		map[string]any{"type": "agent_toolset_20260401", "default_config": map[string]any{"enabled": true, "permission_policy": allow}, "configs": []any{
			map[string]any{"name": "bash", "type": "bash", "enabled": true, "permission_policy": ask},
			map[string]any{"name": "web_fetch", "type": "web_fetch", "enabled": true, "permission_policy": allow, "blocked_domains": []any{"ads.example.org"}, "max_content_tokens": 20000.0},
		}},
		map[string]any{"type": "mcp_toolset", "mcp_server_name": "m", "default_config": map[string]any{"enabled": true, "permission_policy": ask}, "configs": []any{
			map[string]any{"name": "x", "enabled": false, "permission_policy": ask},
		}},
	}
	if d := cmp.Diff(want, made["tools"]); d != "" {
		t.Errorf("tools (-want +got):\n%s", d)
	}
	model := map[string]any{"id": "thinker", "effort": map[string]any{"type": "low"}, "speed": "fast", "inference_geo": "us"}
	if d := cmp.Diff(any(model), made["model"]); d != "" {
		t.Errorf("model (-want +got):\n%s", d)
	}
	// A client that sends back what it read changes nothing.
	same := c.must(t, "POST", "/agents/"+made["id"].(string), string(remarshal(t, map[string]any{"tools": made["tools"], "model": made["model"], "version": 1})))
	if same["version"] != 1.0 {
		t.Errorf("version = %v after an update without effect", same["version"])
	}
}

// TestOneAgentUnderBothFlavours: what one wire cannot say survives an update by it.
func TestOneAgentUnderBothFlavours(t *testing.T) {
	t.Parallel()
	s := start(t)
	q, c := qoder(s), claude(s)
	id := q.agent(t, `,"tools":[{"type":"agent_toolset_20260401","enabled_tools":["Read","Grep"],"note":"mine"}],"system":"S"`)
	seen := c.must(t, "GET", "/agents/"+id, "")
	on, off := map[string]any{"type": "always_allow"}, map[string]any{"enabled": false, "permission_policy": map[string]any{"type": "always_allow"}}
	want := []any{map[string]any{"type": "agent_toolset_20260401", "default_config": off, "configs": []any{
		map[string]any{"name": "read", "type": "read", "enabled": true, "permission_policy": on},
		map[string]any{"name": "grep", "type": "grep", "enabled": true, "permission_policy": on},
	}}}
	if d := cmp.Diff(any(want), seen["tools"]); d != "" {
		t.Fatalf("tools as Claude shows them (-want +got):\n%s", d)
	}
	body := remarshal(t, map[string]any{"tools": seen["tools"], "system": "Changed by Claude."})
	if got := c.must(t, "POST", "/agents/"+id, string(body))["version"]; got != 2.0 {
		t.Errorf("version = %v", got)
	}
	back := q.must(t, "GET", "/agents/"+id, "")
	kept := []any{map[string]any{"type": "agent_toolset_20260401", "enabled_tools": []any{"Read", "Grep"}, "note": "mine"}}
	if d := cmp.Diff(any(kept), back["tools"]); d != "" || back["system"] != "Changed by Claude." {
		t.Errorf("system %v, tools (-want +got):\n%s", back["system"], d)
	}
	// The other way round: an effort that Qoder does not show stays with the model.
	id = c.must(t, "POST", "/agents", `{"name":"b","model":{"id":"thinker","effort":{"type":"low"}}}`)["id"].(string)
	if got := q.must(t, "PUT", "/agents/"+id, `{"version":1,"model":"thinker","description":"d"}`); got["model"] != "thinker" || got["version"] != 2.0 {
		t.Errorf("agent = %v", got)
	}
	if got := dig(c.must(t, "GET", "/agents/"+id, ""), "model", "effort", "type"); got != "low" {
		t.Errorf("effort = %v", got)
	}
}

func TestAgentUpdates(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, c := range []client{claude(s), qoder(s)} {
		t.Run(c.base, func(t *testing.T) {
			t.Parallel()
			id := c.agent(t, `,"system":"S","description":"D","metadata":{"a":"1","b":"2"},"tools":[{"type":"agent_toolset_20260401"}]`)
			step := func(version int, fields string, want map[string]any) {
				t.Helper()
				got := c.must(t, "POST", "/agents/"+id, fmt.Sprintf(`{"version":%d%s}`, version, fields))
				for k, v := range want {
					if d := cmp.Diff(v, got[k]); d != "" {
						t.Errorf("%s: %s (-want +got):\n%s", fields, k, d)
					}
				}
			}
			step(1, `,"metadata":{"a":null,"c":"3"}`, map[string]any{"version": 2.0, "metadata": map[string]any{"b": "2", "c": "3"}, "system": "S"})
			step(2, `,"tools":null`, map[string]any{"version": 3.0, "tools": []any{}})
			step(3, `,"name":"Helper"`, map[string]any{"version": 3.0})
			step(3, `,"name":"New","model":"thinker"`, map[string]any{"version": 4.0, "name": "New"})
			empty := c.must(t, "POST", "/agents/"+id, `{"version":4,"system":null,"description":""}`)
			if c.base == "/v1" && (empty["system"] != nil || empty["description"] != nil) || c.base != "/v1" && (empty["system"] != "" || empty["description"] != "") {
				t.Errorf("cleared texts = %v, %v", empty["system"], empty["description"])
			}
			a := c.do(t, "POST", "/agents/"+id, `{"version":1,"name":"x"}`)
			c.refused(t, a, 409, "conflict_error")
			if a.header.Get("X-Should-Retry") != "false" {
				t.Error("a version conflict asks clients to try again")
			}
			for _, bad := range []string{`{"version":5,"name":null}`, `{"version":5,"model":null}`, `{"version":5,"name":""}`, `{"version":0}`, `{"version":"5"}`, `{"version":5,"tools":{}}`, `[]`, `{`} {
				c.refused(t, c.do(t, "POST", "/agents/"+id, bad), 400, "invalid_request_error")
			}
			if got := c.must(t, "GET", "/agents/"+id+"?version=2", "")["metadata"]; cmp.Diff(any(map[string]any{"b": "2", "c": "3"}), got) != "" {
				t.Errorf("metadata of version 2 = %v", got)
			}
			archived := c.must(t, "POST", "/agents/"+id+"/archive", "")
			if archived["archived_at"] == nil || archived["version"] != 5.0 {
				t.Errorf("archived = %v", archived)
			}
			c.refused(t, c.do(t, "POST", "/agents/"+id, `{"version":5,"name":"x"}`), 400, "invalid_request_error")
		})
	}
	q := qoder(s)
	id := q.agent(t, "")
	if m := q.refused(t, q.do(t, "POST", "/agents/"+id, `{"name":"x"}`), 400, "invalid_request_error"); !strings.HasPrefix(m, "version: ") {
		t.Errorf("message = %q", m)
	}
	c := claude(s)
	c.must(t, "POST", "/agents/"+id, `{"name":"x"}`) // last write wins
	if a := c.do(t, "PUT", "/agents/"+id, `{"name":"x"}`); a.status != 405 || a.header.Get("Allow") != "GET, POST" {
		t.Errorf("PUT = %d, Allow %q", a.status, a.header.Get("Allow"))
	}
}
