package core

import (
	"context"
	"encoding/json"
	"time"
)

// ToolSpec is what the model is told about a tool.
type ToolSpec struct {
	Name        string // [A-Za-z0-9_-]{1,128}
	Description string
	InputSchema json.RawMessage // JSON Schema of an object
}

// Tool is something the model may ask for and Reeve runs itself.
type Tool interface {
	Spec() ToolSpec
	// Repeatable says that running the call twice does no harm, so that a call without a result is
	// run again after a crash. For others the model is told that the outcome is unknown.
	Repeatable() bool
	// Run does the work. What the model should read, a refusal or a failed command included, is a
	// ToolOutput; an error means that Reeve could not do its part. Run ends when ctx does.
	Run(ctx context.Context, env ToolEnv, input json.RawMessage) (ToolOutput, error)
}

// InSandbox reports whether a built-in tool, by its canonical name, works inside the session's sandbox. On
// a self-hosted environment the worker runs these (claude-managed-agents.md section 5.4).
func InSandbox(tool string) bool {
	switch tool {
	case "bash", "read", "write", "edit", "glob", "grep":
		return true
	}
	return false
}

// ToolOutput is what the model reads. Content may be empty.
type ToolOutput struct {
	Content []Block
	IsError bool
}

// ToolEnv is what a call may use.
type ToolEnv struct {
	Project ProjectID
	Session SessionID
	Now     time.Time
	// Settings are those of the tool that the agent's definition has: ToolConfig.Extra; nil if it has none.
	Settings json.RawMessage
	// Keep puts a text that is too long for the model where the agent can read it, and returns what the model
	// is told of it: "the whole is in …", or that it was not kept. Nil: there is no such place.
	Keep func(ctx context.Context, text string) string
	// Sandbox returns the session's sandbox and starts it if it is not alive. The error is a
	// core.Error that may be shown to the model.
	Sandbox func(ctx context.Context) (Sandbox, error)
}

// Tools is what a session's agent can call.
type Tools interface {
	// Builtin returns a tool of the built-in toolset, or one that a capability brings, by its
	// canonical lower-case name.
	Builtin(name string) (Tool, bool)
	// Toolset lists the names of the built-in toolset, in the order in which the model sees them.
	Toolset() []string
	// Capability returns what a capability brings. False: no such capability.
	Capability(ref string) (Capability, bool)
	// Capabilities lists all of them by Ref.
	Capabilities() []Capability
}

// Capability is a named bundle of prompt text and tools that an agent switches on.
type Capability struct {
	Ref         string
	Name        string
	Description string
	Prompt      string   // added before the agent's own system prompt; may be empty
	Tools       []string // names for Tools.Builtin
}
