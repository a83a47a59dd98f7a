package managed_test

import (
	"strings"
	"testing"

	"github.com/reeve-ai/reeve/internal/provider/fake"
)

func TestOverridesAreJudgedAsTheAgentWouldBe(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := claude(s)
	env := c.must(t, "POST", "/environments", `{"name":"box"}`)["id"].(string)
	make := func(members string) string {
		return c.must(t, "POST", "/agents", `{"name":"a","model":"claude-opus-5",`+members+`}`)["id"].(string)
	}
	skilled := make(`"tools":[{"type":"agent_toolset_20260401"}],"skills":[{"type":"custom","skill_id":"skill_0198c1d2000070008000000000000001"}]`)
	remote := make(`"mcp_servers":[{"type":"url","name":"docs","url":"https://docs.test/mcp"}],"tools":[{"type":"mcp_toolset","mcp_server_name":"docs"}]`)
	body := func(agent, members string) string {
		return `{"agent":{"type":"agent_with_overrides","id":"` + agent + `",` + members + `},"environment_id":"` + env + `"}`
	}
	for _, tc := range []struct{ name, body, field string }{
		{"tools cleared, skills stay", body(skilled, `"tools":[]`), "agent.skills"},
		{"tools null, skills stay", body(skilled, `"tools":null`), "agent.skills"},
		{"servers cleared, their toolset stays", body(remote, `"mcp_servers":[]`), "agent.tools[0].mcp_server_name"},
		{"toolset cleared, its server stays", body(remote, `"tools":[]`), "agent.mcp_servers[0]"},
	} {
		if m := c.refused(t, c.do(t, "POST", "/sessions", tc.body), 400, "invalid_request_error"); !strings.HasPrefix(m, tc.field) {
			t.Errorf("%s: %q, want the field %s", tc.name, m, tc.field)
		}
	}
	c.must(t, "POST", "/sessions", body(skilled, `"tools":[],"skills":null`))
	c.must(t, "POST", "/sessions", body(remote, `"tools":null,"mcp_servers":null`))
	sess := c.must(t, "POST", "/sessions", body(remote, `"model":{"id":"claude-opus-5","effort":"low"},"system":"Be kind."`))
	if dig(sess, "agent", "model", "effort", "type") != "high" || dig(sess, "agent", "system") != "Be kind." {
		t.Errorf("the effort of an override is not ignored: %v", sess["agent"])
	}
	if a := c.must(t, "GET", "/agents/"+remote, ""); a["system"] != nil || a["version"] != 1.0 {
		t.Errorf("the agent itself was changed: %v", a)
	}
	at := "/sessions/" + sess["id"].(string)
	if m := c.refused(t, c.do(t, "POST", at, `{"agent":{"mcp_servers":null}}`), 400, "invalid_request_error"); !strings.HasPrefix(m, "agent.tools[0].mcp_server_name") {
		t.Errorf("an update that clears the servers alone: %q", m)
	}
	sess = c.must(t, "POST", at, `{"agent":{"mcp_servers":[],"tools":[]}}`)
	if servers, tools := dig(sess, "agent", "mcp_servers").([]any), dig(sess, "agent", "tools").([]any); len(servers)+len(tools) != 0 {
		t.Errorf("after the update: %v", sess["agent"])
	}
}

func TestTheAgentOfARunningSessionStays(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	s := start(t, fake.Block(release).And(fake.Say("done")))
	c := claude(s)
	sess := c.session(t, "")
	c.must(t, "POST", "/sessions/"+sess+"/events", `{"events":[{"type":"user.message","content":[{"type":"text","text":"go"}]}]}`)
	<-s.script.Waiting()
	m := c.refused(t, c.do(t, "POST", "/sessions/"+sess, `{"agent":{"tools":[]}}`), 400, "invalid_request_error")
	if !strings.HasPrefix(m, "agent: can be changed only while the session is idle") {
		t.Errorf("message %q", m)
	}
	close(release)
}
