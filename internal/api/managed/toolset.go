package managed

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/reeve-ai/reeve/internal/api/httpio"
	"github.com/reeve-ai/reeve/internal/core"
)

// Types of the entries of an agent's tool list (CMA section 5, qoder.md section 4.1).
const (
	typeBuiltin = "agent_toolset_20260401"
	typeMCP     = "mcp_toolset"
	typeCustom  = "custom"
)

var toolsetKinds = map[string]core.ToolsetKind{
	typeBuiltin: core.ToolsetBuiltin, typeMCP: core.ToolsetMCP, typeCustom: core.ToolsetCustom,
}

// toolsets reads the member tools. The list is empty, not nil, if the member is null or []. What an
// entry of an unknown type means the catalogue decides.
func (o *object) toolsets(fl *Flavour) (sets []core.Toolset, given bool) {
	if o.raw("tools") == nil {
		return nil, false
	}
	sets = []core.Toolset{}
	for _, e := range o.objects("tools") {
		sets = append(sets, e.toolset(fl))
	}
	return sets, true
}

func (o *object) toolset(fl *Flavour) core.Toolset {
	set := core.Toolset{Kind: toolsetKinds[o.text("type")]}
	switch set.Kind {
	case core.ToolsetBuiltin:
		name := fl.canonicalTool
		set.Default, set.Configs = o.defaultConfig(), o.toolConfigs(name)
		if fl.unknown == httpio.IgnoreUnknown { // members of the Qoder wire alone
			set.Enabled, set.Disallowed = o.toolNames("enabled_tools", name), o.toolNames("disallowed_tools", name)
		}
	case core.ToolsetMCP:
		set.Server = o.text("mcp_server_name")
		set.Default, set.Configs = o.defaultConfig(), o.toolConfigs(func(name string) string { return name })
	case core.ToolsetCustom:
		set.Name, set.Description = o.text("name"), o.text("description")
		if raw := o.raw("input_schema"); raw != nil {
			set.InputSchema = slices.Clone(raw)
		}
	default:
		return set
	}
	o.closed()
	set.Extra = o.rest()
	return set
}

func (o *object) toolNames(name string, canonical func(string) string) []string {
	names := read[[]string](o, name).V
	for i := range names {
		names[i] = canonical(names[i])
	}
	return names
}

func (o *object) defaultConfig() core.ToolConfig {
	d := o.object("default_config")
	if d == nil {
		return core.ToolConfig{}
	}
	c := d.switches()
	d.closed()
	c.Extra = d.rest()
	return c
}

func (o *object) toolConfigs(canonical func(string) string) []core.ToolConfig {
	var configs []core.ToolConfig
	for _, e := range o.objects("configs") {
		c := e.switches()
		wire := e.text("name")
		c.Name = canonical(wire)
		// The type repeats the name (CMA section 5.1).
		if kind := e.text("type"); kind != "" && kind != wire {
			e.fail(core.InvalidField(e.field("type"), "must be the same as name"))
		}
		c.Extra = e.rest() // settings of one tool: not closed
		configs = append(configs, c)
	}
	return configs
}

func (o *object) switches() core.ToolConfig {
	var c core.ToolConfig
	if on := read[bool](o, "enabled"); on.Set && !on.Null {
		c.Enabled = &on.V
	}
	if p := o.object("permission_policy"); p != nil {
		c.Policy = core.Policy(p.text("type"))
		if c.Policy == "" {
			p.fail(core.InvalidField(p.field("type"), "is required"))
		}
		p.closed()
	}
	return c
}

// policy is a permission policy on the wire.
type policy struct {
	Type core.Policy `json:"type"`
}

// toolsetsWire writes a tool list.
func (fl *Flavour) toolsetsWire(sets []core.Toolset) []any {
	wire := make([]any, len(sets))
	for i, t := range sets {
		wire[i] = fl.toolsetWire(t)
	}
	return wire
}

func (fl *Flavour) toolsetWire(t core.Toolset) any {
	m := map[string]any{}
	switch t.Kind {
	case core.ToolsetCustom:
		m["type"], m["name"], m["description"], m["input_schema"] = typeCustom, t.Name, t.Description, t.InputSchema
	case core.ToolsetMCP:
		m["type"], m["mcp_server_name"] = typeMCP, t.Server
	default:
		m["type"] = typeBuiltin
	}
	switch {
	case t.Kind == core.ToolsetCustom:
	case fl.resolvedTools:
		fl.resolved(m, t)
	default:
		fl.asSent(m, t)
	}
	if !fl.resolvedTools {
		merge(m, t.Extra)
	}
	return m
}

// asSent writes what the client said and leaves out what it did not.
func (fl *Flavour) asSent(m map[string]any, t core.Toolset) {
	name := fl.namer(t)
	if len(t.Enabled) > 0 {
		m["enabled_tools"] = each(t.Enabled, name)
	}
	if len(t.Disallowed) > 0 {
		m["disallowed_tools"] = each(t.Disallowed, name)
	}
	if t.Default.Enabled != nil || t.Default.Policy != "" || t.Default.Extra != nil {
		m["default_config"] = toolConfigWire(t.Default)
	}
	if len(t.Configs) > 0 {
		m["configs"] = each(t.Configs, func(c core.ToolConfig) any {
			w := toolConfigWire(c)
			w["name"] = name(c.Name)
			return w
		})
	}
}

func toolConfigWire(c core.ToolConfig) map[string]any {
	w := map[string]any{}
	if c.Enabled != nil {
		w["enabled"] = *c.Enabled
	}
	if c.Policy != "" {
		w["permission_policy"] = policy{c.Policy}
	}
	merge(w, c.Extra)
	return w
}

// resolved writes every default in full. Lists of tools, which this wire does not have, become configs
// that do the same.
func (fl *Flavour) resolved(m map[string]any, t core.Toolset) {
	enabled, pol := t.Setting("")
	m["default_config"] = map[string]any{"enabled": enabled, "permission_policy": policy{pol}}
	name := fl.namer(t)
	configs := []any{}
	for _, c := range listedTools(t) {
		enabled, pol := t.Setting(c.Name)
		w := map[string]any{"name": name(c.Name), "enabled": enabled, "permission_policy": policy{pol}}
		if t.Kind == core.ToolsetBuiltin {
			w["type"] = name(c.Name)
		}
		merge(w, c.Extra)
		configs = append(configs, w)
	}
	m["configs"] = configs
}

// listedTools are the tools that a toolset says anything about, each once.
func listedTools(t core.Toolset) []core.ToolConfig {
	configs := slices.Clone(t.Configs)
	for _, name := range slices.Concat(t.Enabled, t.Disallowed) {
		if !slices.ContainsFunc(configs, func(c core.ToolConfig) bool { return c.Name == name }) {
			configs = append(configs, core.ToolConfig{Name: name})
		}
	}
	return configs
}

// namer writes the names of a toolset's tools: only the built-in ones differ.
func (fl *Flavour) namer(t core.Toolset) func(string) string {
	if t.Kind == core.ToolsetBuiltin {
		return fl.toolName
	}
	return func(name string) string { return name }
}

// keepUntold puts stored entries back in the place of those that look the same on this wire: what the
// wire cannot say about them stays as it is.
func (fl *Flavour) keepUntold(stored, next []core.Toolset) {
	for i := range min(len(stored), len(next)) {
		if string(encode(fl.toolsetWire(stored[i]))) == string(encode(fl.toolsetWire(next[i]))) {
			next[i] = stored[i]
		}
	}
}

// merge adds the members of an object to m; those that are there already stay.
func merge(m map[string]any, extra json.RawMessage) {
	if extra == nil {
		return
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(extra, &members); err != nil {
		panic(fmt.Sprintf("managed: stored members are no object: %v", err)) // rest wrote them
	}
	for name, raw := range members {
		if _, taken := m[name]; !taken {
			m[name] = raw
		}
	}
}

// each maps a slice; the result is never nil.
func each[T, U any](items []T, f func(T) U) []U {
	out := make([]U, len(items))
	for i, it := range items {
		out[i] = f(it)
	}
	return out
}
