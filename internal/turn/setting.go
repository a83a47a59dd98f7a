package turn

import (
	"encoding/json"
	"slices"

	"github.com/reeve-ai/reeve/internal/core"
)

// settled returns the settings that a toolset has for one of its tools, and the tool's spec with what the model
// should know of them. Settings that cannot be read are left to the tool, which then refuses to run: they may be
// what keeps it within its bounds.
func settled(spec core.ToolSpec, set core.Toolset) (core.ToolSpec, json.RawMessage) {
	i := slices.IndexFunc(set.Configs, func(c core.ToolConfig) bool { return c.Name == spec.Name })
	if i < 0 || set.Configs[i].Extra == nil || spec.Name != core.ToolWebFetch && spec.Name != core.ToolWebSearch {
		return spec, nil
	}
	raw := set.Configs[i].Extra
	if s, err := core.ReadWebSettings(raw); err == nil {
		spec.Description += s.Brief()
	}
	return spec, raw
}
