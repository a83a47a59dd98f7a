package catalog

import (
	"slices"

	"github.com/reeve-ai/reeve/internal/core"
)

// Limits is what a dialect allows in an agent's definition. Numbers are the most that is allowed, so
// the zero Limits allows nothing but a definition without text. An update is held against the limits
// of the face that makes it, and only in the parts that it changes: the rest was accepted when it
// was made, perhaps under another dialect.
type Limits struct {
	Name, DisplayName, Description, Provider, System int  // Unicode characters, or bytes if InBytes
	InBytes                                          bool // how the five above are counted

	Tools        int // entries of the tool list
	ToolEntries  int // tools named in all entries together: a custom tool is one, a toolset as many as it configures, at least one
	MCPServers   int
	Skills       int
	Capabilities int
	Tags         int
	Tag          int // characters of one tag
	Roster       int // members

	MetadataPairs, MetadataKey, MetadataValue int // pairs; characters

	TrimText            bool // name, description and provider are trimmed first, so that blank is empty
	ModelOptional       bool
	ProviderRequired    bool
	RequireMCPReference bool // every declared MCP server is used by an mcp_toolset entry
	SkillsNeedRead      bool // skills need the built-in read tool
	KeepUnknown         bool // members of a tool's configuration that no tool has are kept, not refused

	BuiltinTools  []string // canonical names that toolset entries may use
	ReservedTools []string // names that no custom tool may take
	Policies      []core.Policy
	SkillTypes    []string

	Fields Fields
}

// Fields are the wire names of the parts that dialects name differently, for errors.
type Fields struct {
	Name, Description, Provider, System, Model string
}

var managedFields = Fields{Name: "name", Description: "description", Provider: "provider", System: "system", Model: "model"}

// claudeTools are the built-in tools of claude-managed-agents.md section 5.1.
var claudeTools = []string{"bash", "read", "write", "edit", "glob", "grep", "web_fetch", "web_search"}

// qoderTools adds those that only Qoder has, and qoderNames is how its wire writes all of them
// (qoder.md section 4.2): a custom tool of such a name would look like the built-in one in events.
var (
	qoderTools = append(slices.Clone(claudeTools), "image_gen", "image_search", "deliver_artifacts")
	qoderNames = []string{
		"Bash", "Read", "Write", "Edit", "Glob", "Grep", "WebFetch", "WebSearch", "ImageGen", "ImageSearch", "DeliverArtifacts",
	}
)

// ClaudeLimits are those of Claude Managed Agents: claude-managed-agents.md sections 1.7, 3.1, 5 and
// 6.1. Of the two numbers given there for skills the later one holds.
var ClaudeLimits = Limits{
	Name: 256, Description: 2048, System: 100_000,
	Tools: 128, ToolEntries: 128, MCPServers: 20, Skills: 500, Roster: 20,
	MetadataPairs: 16, MetadataKey: 64, MetadataValue: 512,
	RequireMCPReference: true, SkillsNeedRead: true,
	BuiltinTools: claudeTools, ReservedTools: claudeTools,
	Policies:   []core.Policy{core.PolicyAllow, core.PolicyAsk},
	SkillTypes: []string{"custom", "anthropic"},
	Fields:     managedFields,
}

// QoderLimits are those of Qoder Cloud Agents: seed page 003, and qoder.md sections 2.7 and 4. The
// seed counts entries of the tool list and says nothing of unreferenced MCP servers, so ToolEntries
// is only Reeve's own bound on the size of a definition.
var QoderLimits = Limits{
	Name: 256, Description: 2048, System: 100_000,
	Tools: 128, ToolEntries: 4096, MCPServers: 20, Skills: 20, Roster: 20,
	MetadataPairs: 16, MetadataKey: 64, MetadataValue: 512,
	BuiltinTools: qoderTools, ReservedTools: slices.Concat(qoderTools, qoderNames),
	Policies: []core.Policy{core.PolicyAllow, core.PolicyAsk, core.PolicyDeny}, KeepUnknown: true,
	SkillTypes: []string{"custom", "qoder"},
	Fields:     managedFields,
}

// EverrunsLimits are those of Everruns: everruns.md section 2.6, whose sizes upstream counts in
// bytes. For tags no limit is published; the numbers are Reeve's own. The later rule that a name is
// a slug is left out, because seed page 002 gives "Customer Support Agent" as a name.
var EverrunsLimits = Limits{
	Name: 2 << 10, DisplayName: 2 << 10, Description: 10 << 10, System: 1 << 20, InBytes: true,
	Capabilities: 250, Tags: 100, Tag: 256,
	ModelOptional: true,
	Fields:        Fields{Name: "name", Description: "description", Provider: "provider", System: "system_prompt", Model: "default_model_id"},
}

// OtasLimits are Reeve's own: otas publishes none (otas.md section 1.5), only that a name is trimmed
// and that name and provider are there (seed page 000, otas.md section 3.13).
var OtasLimits = Limits{
	Name: 1000, Description: 10_000, Provider: 1000,
	TrimText: true, ModelOptional: true, ProviderRequired: true,
	Fields: Fields{Name: "agent_name", Description: "agent_description", Provider: "agent_provider", System: "system", Model: "model"},
}
