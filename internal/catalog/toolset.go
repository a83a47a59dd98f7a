package catalog

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/reeve-ai/reeve/internal/core"
)

// customName is what a custom tool may be called (claude-managed-agents.md section 5.2).
var customName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

// maxDescription bounds the text that the model reads about a custom tool. Reeve's own number.
const maxDescription = 16_384

// toolShapes checks each entry of the tool list by itself and against the entries before it.
func (r review) toolShapes() error {
	if !r.parts.tools {
		return nil
	}
	builtins, servers, names := 0, map[string]bool{}, map[string]bool{}
	for i, t := range r.spec.Tools {
		at := fmt.Sprintf("tools[%d]", i)
		var err error
		switch t.Kind {
		case core.ToolsetBuiltin:
			if builtins++; builtins > 1 {
				return core.InvalidField(at, "there is another agent_toolset_20260401 entry; only one is allowed")
			}
			err = r.builtinShape(at, t)
		case core.ToolsetMCP:
			if servers[t.Server] {
				return core.InvalidField(at+".mcp_server_name", "another entry is for the same server %q", clip(t.Server))
			}
			servers[t.Server] = true
			err = r.mcpShape(at, t)
		case core.ToolsetCustom:
			if names[t.Name] {
				return core.InvalidField(at+".name", "another custom tool has the same name %q", clip(t.Name))
			}
			names[t.Name] = true
			err = r.customShape(at, t)
		default:
			return core.InvalidField(at+".type", "is not a known kind of tool entry")
		}
		if err != nil {
			return err
		}
		if err := checkObject(at, t.Extra); err != nil {
			return err
		}
	}
	return nil
}

func (r review) builtinShape(at string, t core.Toolset) error {
	lists := []struct {
		field string
		names []string
	}{{"enabled_tools", t.Enabled}, {"disallowed_tools", t.Disallowed}}
	for _, l := range lists {
		if len(l.names) > r.lim.Tools {
			return overLimit(at+"."+l.field, "has %d entries; at most %d are allowed", len(l.names), r.lim.Tools)
		}
		for j, name := range l.names {
			if err := r.builtinName(fmt.Sprintf("%s.%s[%d]", at, l.field, j), name); err != nil {
				return err
			}
		}
	}
	for j, name := range t.Disallowed {
		if slices.Contains(t.Enabled, name) {
			return core.InvalidField(fmt.Sprintf("%s.disallowed_tools[%d]", at, j), "%q is in enabled_tools too", name)
		}
	}
	return r.configShapes(at, t, r.builtinName)
}

func (r review) builtinName(field, name string) error {
	if name == "" {
		return core.InvalidField(field, "is required and must not be empty")
	}
	if !slices.Contains(r.lim.BuiltinTools, name) {
		return core.InvalidField(field, "there is no built-in tool %q", clip(name))
	}
	return nil
}

func (r review) mcpShape(at string, t core.Toolset) error {
	if t.Server == "" {
		return core.InvalidField(at+".mcp_server_name", "is required and must not be empty")
	}
	return r.configShapes(at, t, func(field, name string) error {
		if name == "" {
			return core.InvalidField(field, "is required and must not be empty")
		}
		return checkLength(field, name, 128)
	})
}

// configShapes checks the switches of a toolset: known policies, and each tool named once.
func (r review) configShapes(at string, t core.Toolset, checkName func(field, name string) error) error {
	if err := r.configShape(at+".default_config", t.Default); err != nil {
		return err
	}
	seen := map[string]bool{}
	for j, c := range t.Configs {
		at := fmt.Sprintf("%s.configs[%d]", at, j)
		if err := checkName(at+".name", c.Name); err != nil {
			return err
		}
		if seen[c.Name] {
			return core.InvalidField(at+".name", "%q is configured twice", clip(c.Name))
		}
		seen[c.Name] = true
		if err := r.configShape(at, c); err != nil {
			return err
		}
		kept, err := r.settings(at, t.Kind, c)
		if err != nil {
			return err
		}
		t.Configs[j].Extra = kept // of the definition that is judged: r.trim changes it too
	}
	return nil
}

func (r review) configShape(at string, c core.ToolConfig) error {
	if c.Policy != "" && !slices.Contains(r.lim.Policies, c.Policy) {
		known := make([]string, len(r.lim.Policies))
		for i, p := range r.lim.Policies {
			known[i] = string(p)
		}
		return core.InvalidField(at+".permission_policy.type", "must be one of %s", strings.Join(known, ", "))
	}
	return checkObject(at, c.Extra)
}

// customShape holds claude-managed-agents.md sections 3.1 and 5.2.
func (r review) customShape(at string, t core.Toolset) error {
	switch {
	case t.Name == "":
		return core.InvalidField(at+".name", "is required and must not be empty")
	case !customName.MatchString(t.Name):
		return core.InvalidField(at+".name", "must be 1 to 128 of the characters A-Z a-z 0-9 _ -")
	case slices.Contains(r.lim.ReservedTools, t.Name):
		return core.InvalidField(at+".name", "%q is the name of a built-in tool", t.Name)
	case strings.HasPrefix(t.Name, "mcp__"):
		return core.InvalidField(at+".name", "must not begin with mcp__")
	case strings.TrimSpace(t.Description) == "":
		return core.InvalidField(at+".description", "is required and must not be empty")
	}
	if err := checkLength(at+".description", t.Description, maxDescription); err != nil {
		return err
	}
	return checkInputSchema(at+".input_schema", t.InputSchema)
}
