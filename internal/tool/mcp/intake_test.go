package mcp

import (
	"fmt"
	"strings"
	"testing"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/reeve-ai/reeve/internal/core"
)

func asIs(s string) string { return s }

func TestToolsThatModelsWouldRefuseAreMadeFitOrLeftOut(t *testing.T) {
	t.Parallel()
	type object = map[string]any
	text := object{"type": "string"}
	for _, tt := range []struct {
		name   string
		schema any
		want   string // empty: left out
	}{
		{"nothing", nil, `{"properties":{},"type":"object"}`},
		{"plain", object{"type": "object", "properties": object{"a": text}, "required": []any{"a"}}, `{"properties":{"a":{"type":"string"}},"required":["a"],"type":"object"}`},
		{"no type", object{"properties": object{"a": text}}, `{"properties":{"a":{"type":"string"}},"type":"object"}`},
		{
			"alternatives",
			object{"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "properties": object{"a": text}, "oneOf": []any{object{"required": []any{"a"}}}},
			`{"properties":{"a":{"type":"string"}},"type":"object"}`,
		},
		{"inner alternatives", object{"properties": object{"a": object{"anyOf": []any{text}}}}, `{"properties":{"a":{"anyOf":[{"type":"string"}]}},"type":"object"}`},
		{"an array", object{"type": "array"}, ""},
		{"not a schema", []any{1.0}, ""},
		{"bad property", object{"properties": object{"größe": text}}, ""},
		{"long property", object{"properties": object{strings.Repeat("x", 65): text}}, ""},
		{"large", object{"description": strings.Repeat("x", core.MaxMCPSchema)}, ""},
	} {
		in := newIntake(asIs)
		in.take(&sdk.Tool{Name: tt.name, InputSchema: tt.schema})
		switch {
		case tt.want == "" && (len(in.tools) != 0 || len(in.left) != 1):
			t.Errorf("%s: taken as %s", tt.name, in.tools[0].InputSchema)
		case tt.want != "" && (len(in.tools) != 1 || string(in.tools[0].InputSchema) != tt.want):
			t.Errorf("%s: %+v, left out %+v", tt.name, in.tools, in.left)
		}
	}
}

func TestAServerBringsNoMoreThanItMay(t *testing.T) {
	t.Parallel()
	in := newIntake(func(s string) string { return strings.ReplaceAll(s, "secret", "[credential]") })
	in.take(&sdk.Tool{Name: "a", Description: "with secret\x00" + strings.Repeat("é", core.MaxMCPDescription)})
	if d := in.tools[0].Description; !strings.HasPrefix(d, "with [credential]\uFFFD") || len([]rune(d)) != core.MaxMCPDescription {
		t.Errorf("description of %d characters: %.40q", len([]rune(d)), d)
	}
	for _, name := range []string{"", "a", strings.Repeat("x", 129)} {
		in.take(&sdk.Tool{Name: name})
	}
	if len(in.tools) != 1 || len(in.left) != 3 {
		t.Errorf("taken %d, left out %+v", len(in.tools), in.left)
	}
	for i := range core.MaxMCPTools + 10 {
		in.take(&sdk.Tool{Name: fmt.Sprintf("tool%d", i)})
	}
	if len(in.tools) != core.MaxMCPTools || len(in.left) != 14 {
		t.Errorf("taken %d, left out %d", len(in.tools), len(in.left))
	}
	in = newIntake(asIs)
	for i := range 300 {
		in.take(&sdk.Tool{Name: fmt.Sprintf("tool%d", i), Description: strings.Repeat("é", core.MaxMCPDescription)})
	}
	if n := len(in.tools); n*2*core.MaxMCPDescription > maxListing || n < 100 {
		t.Errorf("%d long descriptions are taken", n)
	}
}
