package tool

import (
	"embed"
	"fmt"
	"strings"

	"github.com/reeve-ai/reeve/internal/core"
)

//go:embed *.md *.json
var texts embed.FS

// spec reads what the model is told about a tool.
func spec(name string) core.ToolSpec {
	description, err := texts.ReadFile(name + ".md")
	if err != nil {
		panic(fmt.Sprintf("tool: %v", err)) // it is built in
	}
	schema, err := texts.ReadFile(name + ".json")
	if err != nil {
		panic(fmt.Sprintf("tool: %v", err))
	}
	return core.ToolSpec{Name: name, Description: strings.TrimSpace(string(description)), InputSchema: schema}
}
