package turn

import (
	"encoding/json"

	"github.com/reeve-ai/reeve/internal/core"
)

// toolbox is what one agent may call in one session.
type toolbox struct {
	specs   []core.ToolSpec // in the order of the agent's definition
	entries map[string]entry
	prompts []string // of its capabilities
}

// entry is one tool by the name that the model uses.
type entry struct {
	kind   core.ToolsetKind
	server string    // core.ToolsetMCP: whose
	name   string    // core.ToolsetMCP: the server's own name for it
	tool   core.Tool // nil for custom tools
	policy core.Policy
	client bool // the client or a worker runs it, not this server

	settings json.RawMessage // of the tool itself, as the agent's definition has them; nil: none

	team    teamTool // of a coordinator: it works on the session's own threads; tool is nil
	advisor bool     // of a coordinator: it asks the advisor; tool is nil
}

// newToolbox works out an agent's tools: its toolsets in order, then those of its capabilities. Where
// two bring the same name the first one wins. selfHosted leaves the sandbox tools to the workers; MCP servers
// are reached by this server in any case, and one that was not reached brings nothing.
func newToolbox(spec core.AgentSpec, tools core.Tools, selfHosted bool, remotes []*remote) toolbox {
	b := toolbox{entries: map[string]entry{}}
	for _, set := range spec.Tools {
		switch set.Kind {
		case core.ToolsetBuiltin:
			b.addToolset(set, tools, selfHosted)
		case core.ToolsetMCP:
			for _, r := range remotes {
				if r.server.Name == set.Server {
					b.addRemote(set, r)
				}
			}
		case core.ToolsetCustom:
			b.add(core.ToolSpec{Name: set.Name, Description: set.Description, InputSchema: set.InputSchema},
				entry{kind: core.ToolsetCustom, policy: core.PolicyAllow, client: true})
		}
	}
	for _, ref := range spec.Capabilities {
		c, ok := tools.Capability(ref.Ref)
		if !ok {
			continue // it was there when the agent was made; what is gone brings nothing
		}
		if c.Prompt != "" {
			b.prompts = append(b.prompts, c.Prompt)
		}
		for _, name := range c.Tools {
			if t, ok := tools.Builtin(name); ok {
				b.add(t.Spec(), entry{kind: core.ToolsetBuiltin, tool: t, policy: core.PolicyAllow, client: selfHosted && core.InSandbox(name)})
			}
		}
	}
	return b
}

func (b *toolbox) addToolset(set core.Toolset, tools core.Tools, selfHosted bool) {
	for _, name := range tools.Toolset() {
		enabled, policy := set.Setting(name)
		t, ok := tools.Builtin(name)
		if enabled && ok {
			spec, settings := settled(t.Spec(), set)
			b.add(spec, entry{kind: core.ToolsetBuiltin, tool: t, policy: policy, client: selfHosted && core.InSandbox(name), settings: settings})
		}
	}
}

func (b *toolbox) addRemote(set core.Toolset, r *remote) {
	if r.fault != nil {
		return
	}
	for _, what := range r.tools {
		enabled, policy := set.Setting(what.Name)
		if !enabled {
			continue
		}
		spec := core.ToolSpec{Name: core.MCPToolName(r.server.Name, what.Name), Description: what.Description, InputSchema: what.InputSchema}
		b.add(spec, entry{kind: core.ToolsetMCP, server: r.server.Name, name: what.Name, tool: remoteTool{r, spec, what}, policy: policy})
	}
}

func (b *toolbox) add(spec core.ToolSpec, e entry) {
	if _, taken := b.entries[spec.Name]; taken {
		return
	}
	b.entries[spec.Name] = e
	b.specs = append(b.specs, spec)
}

// permission is how a tool use is recorded: allow, ask or deny.
func (e entry) permission() string {
	switch e.policy {
	case core.PolicyAsk:
		return "ask"
	case core.PolicyDeny:
		return "deny"
	}
	return "allow"
}
