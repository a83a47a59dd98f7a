package mcp

import (
	"encoding/json"
	"fmt"
	"regexp"
	"unicode/utf8"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/reeve-ai/reeve/internal/core"
)

const (
	maxName    = 128     // characters of a tool's name: what a toolset's configs can name
	maxListing = 4 << 20 // bytes of descriptions and schemas of one server
)

// property is what vendors allow as the name of a tool's argument. One tool that breaks it would make them
// refuse the whole call of the model.
var property = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

// intake takes a server's tools in, as far as they can be used.
type intake struct {
	scrub func(string) string
	tools []core.MCPTool // not nil
	names map[string]bool
	bytes int
	left  []leftOut
}

// leftOut is a tool that cannot be used.
type leftOut struct{ name, why string }

func newIntake(scrub func(string) string) *intake {
	return &intake{scrub: scrub, tools: []core.MCPTool{}, names: map[string]bool{}}
}

func (in *intake) full() bool { return len(in.tools) >= core.MaxMCPTools }

// take adds a tool, or notes why not.
func (in *intake) take(t *sdk.Tool) {
	if in.full() {
		in.leave(t, fmt.Sprintf("a server may bring %d tools", core.MaxMCPTools))
		return
	}
	switch n := utf8.RuneCountInString(t.Name); {
	case n == 0 || n > maxName:
		in.leave(t, fmt.Sprintf("its name does not have 1 to %d characters", maxName))
		return
	case in.names[t.Name]:
		in.leave(t, "another tool has the same name")
		return
	}
	schema, why := inputSchema(t.InputSchema)
	if why != "" {
		in.leave(t, why)
		return
	}
	out := core.MCPTool{Name: t.Name, Description: clip(clean(in.scrub(t.Description)), core.MaxMCPDescription), InputSchema: schema}
	if a := t.Annotations; a != nil {
		out.Repeatable = a.ReadOnlyHint || a.IdempotentHint
	}
	if in.bytes += len(out.Description) + len(schema); in.bytes > maxListing {
		in.leave(t, fmt.Sprintf("descriptions and schemas of a server may have %d MiB", maxListing>>20))
		return
	}
	in.names[t.Name] = true
	in.tools = append(in.tools, out)
}

func (in *intake) leave(t *sdk.Tool, why string) {
	if len(in.left) < core.MaxMCPTools { // as many as are worth counting
		in.left = append(in.left, leftOut{clip(clean(in.scrub(t.Name)), maxName), why})
	}
}

// inputSchema makes a schema one that vendors take: of type object, and without alternatives at its top, which
// they refuse and the server checks itself. why is empty if that can be done.
func inputSchema(given any) (schema json.RawMessage, why string) {
	members, ok := given.(map[string]any)
	if given != nil && !ok {
		return nil, "its input schema is not an object"
	}
	if kind, said := members["type"]; said && kind != "object" {
		return nil, "its input is not an object"
	}
	out := map[string]any{"type": "object"}
	for name, v := range members {
		switch name {
		case "oneOf", "anyOf", "allOf", "$schema":
		default:
			out[name] = v
		}
	}
	properties, ok := out["properties"].(map[string]any)
	if !ok {
		out["properties"] = map[string]any{} // some vendors want the member
	}
	for name := range properties {
		if !property.MatchString(name) {
			return nil, "a property of its input has a name that models do not take"
		}
	}
	raw, err := json.Marshal(out)
	if err != nil || len(raw) > core.MaxMCPSchema {
		return nil, fmt.Sprintf("its input schema is larger than %d KiB", core.MaxMCPSchema>>10)
	}
	return raw, ""
}
