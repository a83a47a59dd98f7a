package catalog_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/reeve-ai/reeve/internal/catalog"
	"github.com/reeve-ai/reeve/internal/core"
)

// valid is a definition that every managed dialect takes; rows spoil one part of it.
func valid() core.AgentSpec { return core.AgentSpec{Name: "a", Model: core.ModelChoice{ID: model}} }

func with(change func(*core.AgentSpec)) core.AgentSpec {
	spec := valid()
	change(&spec)
	return spec
}

func tools(sets ...core.Toolset) core.AgentSpec {
	return with(func(s *core.AgentSpec) { s.Tools = sets })
}

var builtin = core.Toolset{Kind: core.ToolsetBuiltin}

func custom(name string) core.Toolset {
	return core.Toolset{Kind: core.ToolsetCustom, Name: name, Description: "does it", InputSchema: json.RawMessage(`{"type":"object"}`)}
}

func customs(n int) []core.Toolset {
	list := make([]core.Toolset, n)
	for i := range list {
		list[i] = custom(fmt.Sprintf("tool_%d", i))
	}
	return list
}

func schema(s string) core.AgentSpec {
	t := custom("t")
	t.InputSchema = json.RawMessage(s)
	return tools(t)
}

func servers(n int) []core.MCPServer {
	list := make([]core.MCPServer, n)
	for i := range list {
		list[i] = core.MCPServer{Type: "url", Name: fmt.Sprint("s", i), URL: "https://example.com/mcp"}
	}
	return list
}

func skills(n int, kind string) []core.SkillBinding {
	list := make([]core.SkillBinding, n)
	for i := range list {
		list[i] = core.SkillBinding{Type: kind, Skill: fmt.Sprint("skill_", i)}
	}
	return list
}

func roster(members ...core.RosterMember) core.AgentSpec {
	return with(func(s *core.AgentSpec) {
		s.Tools = []core.Toolset{builtin}
		s.Roster = &core.Roster{Members: members}
	})
}

func members(n int) []core.RosterMember {
	list := make([]core.RosterMember, n)
	for i := range list {
		list[i] = core.RosterMember{Kind: core.RosterAgent, Agent: core.NewID[core.AgentID]()}
	}
	return list
}

var (
	self    = core.RosterMember{Kind: core.RosterSelf}
	advisor = core.RosterMember{Kind: core.RosterAdvisor, Model: &core.ModelChoice{ID: model}}
)

// invalid is a row: the definition and the field that its error must name. Over says that the error
// is of a limit.
type invalid struct {
	name  string
	spec  core.AgentSpec
	field string
	over  bool
}

func refuse(t *testing.T, lim catalog.Limits, rows []invalid) {
	t.Helper()
	f := setup(t)
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			code := "invalid_field"
			if row.over {
				code = catalog.CodeLimitExceeded
			}
			_, err := f.CreateAgent(t.Context(), f.admin, row.spec, catalog.CreateOptions{Limits: lim})
			wantError(t, err, core.Invalid, code, row.field)
		})
	}
	if n, err := f.CountAgents(t.Context(), f.admin, core.AgentPage{IncludeArchived: true}); err != nil || n != 0 {
		t.Errorf("%d agents were made, %v", n, err)
	}
}

// TestSeed003 walks the error table of seed page 003, as far as it is about the definition. The
// other rows are of the wire (multiagent.type) and of the credential (401, 403).
func TestSeed003(t *testing.T) {
	t.Parallel()
	refuse(t, catalog.QoderLimits, []invalid{
		{"name is missing", with(func(s *core.AgentSpec) { s.Name = "" }), "name", false},
		{"name over 256 characters", with(func(s *core.AgentSpec) { s.Name = strings.Repeat("é", 257) }), "name", true},
		{"model is missing", with(func(s *core.AgentSpec) { s.Model.ID = "" }), "model", false},
		{"system over 100000 characters", with(func(s *core.AgentSpec) { s.System = strings.Repeat("x", 100_001) }), "system", true},
		{"description over 2048 characters", with(func(s *core.AgentSpec) { s.Description = strings.Repeat("x", 2049) }), "description", true},
		{"tools over 128 entries", tools(customs(129)...), "tools", true},
		{"mcp_servers over 20 entries", with(func(s *core.AgentSpec) { s.MCPServers = servers(21) }), "mcp_servers", true},
		{"mcp_servers of another type", with(func(s *core.AgentSpec) { s.MCPServers = []core.MCPServer{{Type: "stdio", Name: "a", URL: "https://a"}} }), "mcp_servers[0].type", false},
		{"mcp_servers without a name", with(func(s *core.AgentSpec) { s.MCPServers = []core.MCPServer{{Type: "url", URL: "https://a"}} }), "mcp_servers[0].name", false},
		{"mcp_servers without a url", with(func(s *core.AgentSpec) { s.MCPServers = []core.MCPServer{{Type: "url", Name: "a"}} }), "mcp_servers[0].url", false},
		{"mcp_servers with the same name", with(func(s *core.AgentSpec) { s.MCPServers = append(servers(1), servers(1)...) }), "mcp_servers[1].name", false},
		{"skills over 20 entries", with(func(s *core.AgentSpec) { s.Skills = skills(21, "custom") }), "skills", true},
		{"skills of another type", with(func(s *core.AgentSpec) { s.Skills = skills(1, "anthropic") }), "skills[0].type", false},
		{"skills without an id", with(func(s *core.AgentSpec) { s.Skills = []core.SkillBinding{{Type: "qoder"}} }), "skills[0].skill_id", false},
		{"multiagent.agents is empty", roster(), "multiagent.agents", false},
		{"multiagent.agents over 20 entries", roster(members(21)...), "multiagent.agents", true},
		{"multiagent without a toolset", with(func(s *core.AgentSpec) { s.Roster = &core.Roster{Members: []core.RosterMember{self}} }), "tools", false},
		{"multiagent names no agent of the project", roster(self, members(1)[0]), "multiagent.agents[1]", false},
	})
}

func TestLimitsAreReachable(t *testing.T) {
	t.Parallel()
	f := setup(t)
	full := with(func(s *core.AgentSpec) {
		s.Name, s.Description, s.System = strings.Repeat("é", 256), strings.Repeat("é", 2048), strings.Repeat("é", 100_000)
		s.Tools, s.MCPServers, s.Skills = append(customs(127), builtin), servers(20), f.bindings(t, 20)
		s.Metadata = map[string]string{}
		for i := range 16 {
			s.Metadata[fmt.Sprintf("%064d", i)] = strings.Repeat("é", 512)
		}
	})
	if _, err := f.CreateAgent(t.Context(), f.admin, full, catalog.CreateOptions{Limits: catalog.QoderLimits}); err != nil {
		t.Errorf("qoder: %v", err)
	}
	wide := core.AgentSpec{Name: strings.Repeat("n", 2<<10), DisplayName: strings.Repeat("n", 2<<10), Description: strings.Repeat("d", 10<<10), System: strings.Repeat("s", 1<<20)}
	for i := range 100 {
		wide.Tags = append(wide.Tags, fmt.Sprint(i))
	}
	if _, err := f.CreateAgent(t.Context(), f.admin, wide, catalog.CreateOptions{Limits: catalog.EverrunsLimits}); err != nil {
		t.Errorf("everruns: %v", err)
	}
}

func TestMetadataIsBounded(t *testing.T) {
	t.Parallel()
	pairs := map[string]string{}
	for i := range 17 {
		pairs[fmt.Sprint(i)] = "v"
	}
	metadata := func(m map[string]string) core.AgentSpec { return with(func(s *core.AgentSpec) { s.Metadata = m }) }
	refuse(t, catalog.ClaudeLimits, []invalid{
		{"17 pairs", metadata(pairs), "metadata", true},
		{"key of 65", metadata(map[string]string{strings.Repeat("é", 65): ""}), "metadata", true},
		{"value of 513", metadata(map[string]string{"k": strings.Repeat("é", 513)}), "metadata.k", true},
		{"NUL in a value", metadata(map[string]string{"k": "a\x00"}), "metadata.k", false},
		{"NUL in the name", with(func(s *core.AgentSpec) { s.Name = "a\x00" }), "name", false},
		{"bytes that are not UTF-8", with(func(s *core.AgentSpec) { s.System = "\xff" }), "system", false},
	})
}

func TestToolEntriesAreChecked(t *testing.T) {
	t.Parallel()
	set := func(change func(*core.Toolset)) core.AgentSpec {
		s := builtin
		change(&s)
		return tools(s)
	}
	mcp := core.Toolset{Kind: core.ToolsetMCP, Server: "s0"}
	described := func(text string) core.AgentSpec { c := custom("t"); c.Description = text; return tools(c) }
	refuse(t, catalog.ClaudeLimits, []invalid{
		{"unknown kind", tools(builtin, core.Toolset{Kind: "x"}), "tools[1].type", false},
		{"two built-in toolsets", tools(builtin, builtin), "tools[1]", false},
		{"unknown tool", set(func(s *core.Toolset) { s.Configs = []core.ToolConfig{{Name: "telnet"}} }), "tools[0].configs[0].name", false},
		{"tool of the other dialect", set(func(s *core.Toolset) { s.Configs = []core.ToolConfig{{Name: "image_gen"}} }), "tools[0].configs[0].name", false},
		{"config without a name", set(func(s *core.Toolset) { s.Configs = []core.ToolConfig{{}} }), "tools[0].configs[0].name", false},
		{"tool configured twice", set(func(s *core.Toolset) { s.Configs = []core.ToolConfig{{Name: "bash"}, {Name: "bash"}} }), "tools[0].configs[1].name", false},
		{"policy of the other dialect", set(func(s *core.Toolset) { s.Default.Policy = core.PolicyDeny }), "tools[0].default_config.permission_policy.type", false},
		{"unknown policy", set(func(s *core.Toolset) { s.Configs = []core.ToolConfig{{Name: "bash", Policy: "maybe"}} }), "tools[0].configs[0].permission_policy.type", false},
		{"extra that is no object", set(func(s *core.Toolset) {
			s.Configs = []core.ToolConfig{{Name: "web_fetch", Extra: json.RawMessage("[]")}}
		}), "tools[0].configs[0]", false},
		{"mcp without a server", tools(core.Toolset{Kind: core.ToolsetMCP}), "tools[0].mcp_server_name", false},
		{"mcp of an undeclared server", tools(mcp), "tools[0].mcp_server_name", false},
		{"mcp twice for one server", tools(mcp, mcp), "tools[1].mcp_server_name", false},
		{"mcp tool name of 129", with(func(s *core.AgentSpec) {
			m := mcp
			m.Configs = []core.ToolConfig{{Name: strings.Repeat("x", 129)}}
			s.Tools, s.MCPServers = []core.Toolset{m}, servers(1)
		}), "tools[0].configs[0].name", true},
		{"custom without a name", tools(custom("")), "tools[0].name", false},
		{"custom with a space", tools(custom("a b")), "tools[0].name", false},
		{"custom name of 129", tools(custom(strings.Repeat("x", 129))), "tools[0].name", false},
		{"custom with a built-in name", tools(custom("bash")), "tools[0].name", false},
		{"custom with the prefix of MCP tools", tools(custom("mcp__x")), "tools[0].name", false},
		{"custom twice", tools(custom("x"), custom("x")), "tools[1].name", false},
		{"custom without a description", described(" "), "tools[0].description", false},
		{"custom with an endless description", described(strings.Repeat("x", 20_000)), "tools[0].description", true},
		{"128 tools over all toolsets", tools(append(customs(126), core.Toolset{Kind: core.ToolsetBuiltin, Configs: []core.ToolConfig{{Name: "bash"}, {Name: "read"}, {Name: "edit"}}})...), "tools", true},
	})
}

func TestQoderListsAreChecked(t *testing.T) {
	t.Parallel()
	refuse(t, catalog.QoderLimits, []invalid{
		{"unknown enabled tool", tools(core.Toolset{Kind: core.ToolsetBuiltin, Enabled: []string{"read", "telnet"}}), "tools[0].enabled_tools[1]", false},
		{"unknown disallowed tool", tools(core.Toolset{Kind: core.ToolsetBuiltin, Disallowed: []string{"telnet"}}), "tools[0].disallowed_tools[0]", false},
		{"tool in both lists", tools(core.Toolset{Kind: core.ToolsetBuiltin, Enabled: []string{"read"}, Disallowed: []string{"bash", "read"}}), "tools[0].disallowed_tools[1]", false},
		{"endless list", tools(core.Toolset{Kind: core.ToolsetBuiltin, Enabled: strings.Split(strings.Repeat("read,", 200)+"read", ",")}), "tools[0].enabled_tools", true},
		{"custom tool with the wire's name of a built-in one", tools(custom("WebFetch")), "tools[0].name", false},
	})
	f := setup(t)
	ok := tools(core.Toolset{
		Kind: core.ToolsetBuiltin, Enabled: []string{"read", "image_gen"}, Disallowed: []string{"bash"},
		Configs: []core.ToolConfig{{Name: "read", Policy: core.PolicyDeny}},
	})
	ok.MCPServers, ok.Skills = servers(1), f.bindings(t, 1) // neither is used by a tool
	if _, err := f.CreateAgent(t.Context(), f.admin, ok, catalog.CreateOptions{Limits: catalog.QoderLimits}); err != nil {
		t.Error(err)
	}
}

func TestInputSchemasAreChecked(t *testing.T) {
	t.Parallel()
	const at = "tools[0].input_schema"
	refuse(t, catalog.ClaudeLimits, []invalid{
		{"missing", schema(""), at, false},
		{"null", schema("null"), at, false},
		{"not an object", schema(`"x"`), at, false},
		{"not JSON", schema(`{"type":`), at, false},
		{"of another type", schema(`{"type":"array"}`), at + ".type", false},
		{"without a type", schema(`{}`), at + ".type", false},
		{"choice at the top", schema(`{"type":"object","anyOf":[{}]}`), at + ".anyOf", false},
		{"properties that are no object", schema(`{"type":"object","properties":[]}`), at + ".properties", false},
		{"required that is no list", schema(`{"type":"object","required":"a"}`), at + ".required", false},
		{"required with a number", schema(`{"type":"object","required":[1]}`), at + ".required", false},
		{"reference at the top", schema(`{"type":"object","$ref":"#/x"}`), at, false},
		{"reference far inside", schema(`{"type":"object","properties":{"a":{"type":"array","items":[{"$ref":"#"}]}}}`), at, false},
		{"property with a space", schema(`{"type":"object","properties":{"a b":{}}}`), at, false},
		{"property with a space far inside", schema(`{"type":"object","properties":{"a":{"items":[{"properties":{"b c":{}}}]}}}`), at, false},
		{"property of 65", schema(`{"type":"object","properties":{"` + strings.Repeat("x", 65) + `":{}}}`), at, false},
		{"too large", schema(`{"type":"object","description":"` + strings.Repeat("x", 65<<10) + `"}`), at, true},
	})
	f := setup(t)
	for _, ok := range []string{
		`{"type":"object","properties":{"a":{"anyOf":[{"type":"string"},{"type":"null"}]},"b.c-d_E9":{}},"required":["a"],"additionalProperties":false}`,
		`{"type":"object","properties":{"properties":{"type":"object","properties":{"x":{}}}}}`,
		`{"type":"object","properties":{"a":{"default":{"properties":{"not a schema":1}},"enum":[{"properties":{"x y":1}}]}}}`,
	} {
		if _, err := f.CreateAgent(t.Context(), f.admin, schema(ok), catalog.CreateOptions{Limits: catalog.ClaudeLimits}); err != nil {
			t.Errorf("%s: %v", ok, err)
		}
	}
}

func TestServersAndSkillsAreChecked(t *testing.T) {
	t.Parallel()
	server := func(change func(*core.MCPServer)) core.AgentSpec {
		return with(func(s *core.AgentSpec) {
			s.MCPServers = servers(1)
			change(&s.MCPServers[0])
			s.Tools = []core.Toolset{{Kind: core.ToolsetMCP, Server: s.MCPServers[0].Name}}
		})
	}
	url := func(u string) core.AgentSpec { return server(func(s *core.MCPServer) { s.URL = u }) }
	off := false
	withSkills := func(kind string, sets ...core.Toolset) core.AgentSpec {
		return with(func(s *core.AgentSpec) { s.Skills, s.Tools = skills(1, kind), sets })
	}
	refuse(t, catalog.ClaudeLimits, []invalid{
		{"url without a scheme", url("example.com/mcp"), "mcp_servers[0].url", false},
		{"url of another scheme", url("file:///etc/passwd"), "mcp_servers[0].url", false},
		{"url without a host", url("https:///mcp"), "mcp_servers[0].url", false},
		{"url that does not parse", url("https://%zz"), "mcp_servers[0].url", false},
		{"url with a password", url("https://u:p@example.com"), "mcp_servers[0].url", false},
		{"url of 2049", url("https://example.com/" + strings.Repeat("x", 2029)), "mcp_servers[0].url", true},
		{"name of 256", server(func(s *core.MCPServer) { s.Name = strings.Repeat("é", 256) }), "mcp_servers[0].name", true},
		{"server that no tool uses", with(func(s *core.AgentSpec) { s.MCPServers = servers(1) }), "mcp_servers[0]", false},
		{"skill of the other dialect", withSkills("qoder", builtin), "skills[0].type", false},
		{"skills without tools", withSkills("custom"), "skills", false},
		{"skills with read off", withSkills("custom", core.Toolset{Kind: core.ToolsetBuiltin, Configs: []core.ToolConfig{{Name: "read", Enabled: &off}}}), "skills", false},
		{"skills with all off", withSkills("custom", core.Toolset{Kind: core.ToolsetBuiltin, Default: core.ToolConfig{Enabled: &off}}), "skills", false},
	})
	f := setup(t)
	on := true
	f.create(t, with(func(s *core.AgentSpec) {
		s.Skills = f.bindings(t, 1)
		s.Tools = []core.Toolset{{Kind: core.ToolsetBuiltin, Default: core.ToolConfig{Enabled: &off}, Configs: []core.ToolConfig{{Name: "read", Enabled: &on}}}}
	}))
	f.create(t, url("http://127.0.0.1:9000/mcp"))
}

func TestModelsAreChecked(t *testing.T) {
	t.Parallel()
	choice := func(m core.ModelChoice) core.AgentSpec { return with(func(s *core.AgentSpec) { s.Model = m }) }
	refuse(t, catalog.ClaudeLimits, []invalid{
		{"unknown effort", choice(core.ModelChoice{ID: model, Effort: "extreme"}), "model.effort", false},
		{"effort of another model", choice(core.ModelChoice{ID: "claude-sonnet-4-6", Effort: "xhigh"}), "model.effort", false},
		{"effort for a model that takes none", choice(core.ModelChoice{ID: "claude-sonnet-4-5", Effort: "low"}), "model.effort", false},
		{"unknown speed", choice(core.ModelChoice{ID: model, Speed: "warp"}), "model.speed", false},
		{"unknown place", choice(core.ModelChoice{ID: model, InferenceGeo: "moon"}), "model.inference_geo", false},
		{"negative window", choice(core.ModelChoice{ID: model, ContextWindow: -1}), "model.context_window", false},
		{"window larger than the model's", choice(core.ModelChoice{ID: model, ContextWindow: 1 << 40}), "model.context_window", false},
		{"endless name", choice(core.ModelChoice{ID: strings.Repeat("x", 300)}), "model", true},
	})
	f := setup(t)
	_, err := f.CreateAgent(t.Context(), f.admin, choice(core.ModelChoice{ID: "no-such-model-anywhere"}), catalog.CreateOptions{Limits: catalog.ClaudeLimits})
	wantError(t, err, core.Invalid, "model_not_available", "model")
	f.create(t, choice(core.ModelChoice{ID: model, Effort: "max", Speed: "fast", InferenceGeo: "us", ContextWindow: 1000}))
	f.create(t, choice(core.ModelChoice{ID: "gpt-5", Effort: "minimal"}))
}

func TestEverrunsAndOtasLimits(t *testing.T) {
	t.Parallel()
	many := make([]core.CapabilityRef, 251)
	for i := range many {
		many[i].Ref = fmt.Sprint("c", i)
	}
	caps := func(refs ...core.CapabilityRef) core.AgentSpec { return core.AgentSpec{Name: "a", Capabilities: refs} }
	t.Run("everruns", func(t *testing.T) {
		refuse(t, catalog.EverrunsLimits, []invalid{
			{"name over 2 KiB, counted in bytes", core.AgentSpec{Name: strings.Repeat("é", 1025)}, "name", true},
			{"description over 10 KiB", core.AgentSpec{Name: "a", Description: strings.Repeat("x", 10<<10+1)}, "description", true},
			{"prompt over 1 MiB", core.AgentSpec{Name: "a", System: strings.Repeat("x", 1<<20+1)}, "system_prompt", true},
			{"251 capabilities", caps(many...), "capabilities", true},
			{"unknown capability", caps(core.CapabilityRef{Ref: "current_time"}, core.CapabilityRef{Ref: "no_such_thing"}), "capabilities[1].ref", false},
			{"capability without a ref", caps(core.CapabilityRef{}), "capabilities[0].ref", false},
			{"capability twice", caps(core.CapabilityRef{Ref: "current_time"}, core.CapabilityRef{Ref: "current_time"}), "capabilities[1].ref", false},
			{"config that is no object", caps(core.CapabilityRef{Ref: "current_time", Config: json.RawMessage("3")}), "capabilities[0].config", false},
			{"empty tag", core.AgentSpec{Name: "a", Tags: []string{"x", ""}}, "tags[1]", false},
			{"tag of 257", core.AgentSpec{Name: "a", Tags: []string{strings.Repeat("x", 257)}}, "tags[0]", true},
			{"101 tags", core.AgentSpec{Name: "a", Tags: make([]string, 101)}, "tags", true},
		})
	})
	t.Run("otas", func(t *testing.T) {
		refuse(t, catalog.OtasLimits, []invalid{
			{"blank name", core.AgentSpec{Name: " \t\n", Provider: "OpenAI"}, "agent_name", false},
			{"blank provider", core.AgentSpec{Name: "a", Provider: " "}, "agent_provider", false},
			{"NUL in the description", core.AgentSpec{Name: "a", Provider: "p", Description: "\x00"}, "agent_description", false},
			{"endless name", core.AgentSpec{Name: strings.Repeat("x", 1001), Provider: "p"}, "agent_name", true},
		})
		f := setup(t)
		a, err := f.CreateAgent(t.Context(), f.admin, core.AgentSpec{Name: " Summarizer ", Description: " long ", Provider: " Anthropic\n"}, catalog.CreateOptions{Limits: catalog.OtasLimits})
		if err != nil || a.Name != "Summarizer" || a.Description != "long" || a.Provider != "Anthropic" {
			t.Errorf("agent = %+v, %v; want its texts trimmed", a.AgentSpec, err)
		}
	})
}

// TestFirstFaultIsFixed guards the order of the checks: a request with several faults must always be
// told of the same one.
func TestFirstFaultIsFixed(t *testing.T) {
	t.Parallel()
	f := setup(t)
	spec := roster(members(1)[0])
	spec.Tools, spec.Name = nil, ""
	spec.Description = strings.Repeat("x", 3000)
	spec.Skills = skills(21, "custom")
	spec.MCPServers = []core.MCPServer{{Type: "x"}}
	for _, step := range []struct {
		field string
		mend  func()
	}{
		{"name", func() { spec.Name = "a" }},
		{"description", func() { spec.Description = "" }},
		{"skills", func() { spec.Skills = nil }},
		{"mcp_servers[0].type", func() { spec.MCPServers = nil }},
		{"tools", func() { spec.Tools = []core.Toolset{builtin} }},
		{"multiagent.agents[0]", func() {}},
	} {
		_, err := f.CreateAgent(t.Context(), f.admin, spec, catalog.CreateOptions{Limits: catalog.QoderLimits})
		var e *core.Error
		if !errors.As(err, &e) || e.Kind != core.Invalid || !strings.HasPrefix(e.Message, step.field+":") {
			t.Fatalf("error = %v, want one of %s", err, step.field)
		}
		step.mend()
	}
}
