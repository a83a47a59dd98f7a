package core

import (
	"encoding/json"
	"slices"
	"time"
)

// Agent is a named definition at one of its versions. Each effective change of its AgentSpec makes
// the next version; the fields outside the spec belong to the agent itself and make none.
type Agent struct {
	Project ProjectID
	ID      AgentID
	Version int // 1, 2, 3 …
	AgentSpec
	Active        bool      // false: deactivated; its keys and sessions are refused
	CreatedBy     UserID    // empty when a project token made it
	CreatedAt     time.Time // of the agent
	UpdatedAt     time.Time // of this version
	ArchivedAt    time.Time // zero: not archived. One way
	VersionMadeAt time.Time
}

// AgentSpec is everything about an agent that a version freezes. It is stored as JSON under these
// names, so renaming a field needs a migration. A face that cannot express a field leaves it alone.
type AgentSpec struct {
	Name         string            `json:"name"`
	DisplayName  string            `json:"display_name,omitempty"`
	Description  string            `json:"description,omitempty"`
	Provider     string            `json:"provider,omitempty"` // free text of the otas face: "Anthropic"
	System       string            `json:"system,omitempty"`
	Model        ModelChoice       `json:"model"`
	Tools        []Toolset         `json:"tools,omitempty"`
	MCPServers   []MCPServer       `json:"mcp_servers,omitempty"` // unique names
	Skills       []SkillBinding    `json:"skills,omitempty"`
	Roster       *Roster           `json:"roster,omitempty"` // nil: works alone
	Metadata     map[string]string `json:"metadata,omitempty"`
	Capabilities []CapabilityRef   `json:"capabilities,omitempty"`
	Tags         []string          `json:"tags,omitempty"`
}

// ModelChoice names a model as the client did, with the knobs that it set. The zero value means
// "the system default, decided when the session starts" (everruns agents without a model).
type ModelChoice struct {
	ID            string `json:"id,omitempty"`
	Effort        string `json:"effort,omitempty"` // low, medium, high, xhigh, max; empty: the model's default
	Speed         string `json:"speed,omitempty"`  // standard, fast; empty: standard
	InferenceGeo  string `json:"inference_geo,omitempty"`
	ContextWindow int64  `json:"context_window,omitempty"` // tokens; 0: the model's default
}

// ToolsetKind tells the entries of AgentSpec.Tools apart.
type ToolsetKind string

const (
	ToolsetBuiltin ToolsetKind = "builtin" // agent_toolset_20260401
	ToolsetMCP     ToolsetKind = "mcp"     // the tools of one declared MCP server
	ToolsetCustom  ToolsetKind = "custom"  // one tool that the client runs
)

// Toolset is one entry of an agent's tool list.
type Toolset struct {
	Kind       ToolsetKind  `json:"kind"`
	Server     string       `json:"server,omitempty"` // ToolsetMCP: the server's name
	Default    ToolConfig   `json:"default,omitzero"`
	Configs    []ToolConfig `json:"configs,omitempty"`    // by canonical lower-case Name; unique
	Enabled    []string     `json:"enabled,omitempty"`    // Qoder's allow-list; empty: all
	Disallowed []string     `json:"disallowed,omitempty"` // Qoder's deny-list

	Name        string          `json:"name,omitempty"` // ToolsetCustom, and the two below
	Description string          `json:"description,omitempty"`
	InputSchema json.RawMessage `json:"input_schema,omitempty"` // a JSON object

	Extra json.RawMessage `json:"extra,omitempty"` // members of the entry that Reeve does not use, as the client sent them: an object
}

// Setting works out one tool of a built-in or MCP toolset: whether it is on, and under which policy.
// The base is Enabled (empty: all) less Disallowed; then Default and the tool's own config apply, and
// neither switches on what the lists leave out (qoder.md section 4.3). Without a policy of its own a
// built-in tool is PolicyAllow and an MCP tool PolicyAsk (claude-managed-agents.md sections 5.1, 5.2).
func (t Toolset) Setting(name string) (enabled bool, policy Policy) {
	listed := (len(t.Enabled) == 0 || slices.Contains(t.Enabled, name)) && !slices.Contains(t.Disallowed, name)
	enabled, policy = true, PolicyAllow
	if t.Kind == ToolsetMCP {
		policy = PolicyAsk
	}
	configs := []ToolConfig{t.Default}
	if i := slices.IndexFunc(t.Configs, func(c ToolConfig) bool { return c.Name == name }); i >= 0 {
		configs = append(configs, t.Configs[i])
	}
	for _, c := range configs {
		if c.Enabled != nil {
			enabled = *c.Enabled
		}
		if c.Policy != "" {
			policy = c.Policy
		}
	}
	return listed && enabled, policy
}

// Policy says what happens before a tool runs.
type Policy string

const (
	PolicyAllow Policy = "always_allow"
	PolicyAsk   Policy = "always_ask"
	PolicyDeny  Policy = "always_deny" // Qoder only
)

// ToolConfig switches one tool, or all (Name empty). Nil and empty fields inherit.
type ToolConfig struct {
	Name    string          `json:"name,omitempty"`
	Enabled *bool           `json:"enabled,omitempty"`
	Policy  Policy          `json:"policy,omitempty"`
	Extra   json.RawMessage `json:"extra,omitempty"` // settings of one tool (allowed_domains …): an object
}

// MCPServer is a remote tool server that the server, never the sandbox, connects to.
type MCPServer struct {
	Type string `json:"type"` // "url"
	Name string `json:"name"`
	URL  string `json:"url"`
}

// SkillBinding attaches a skill. In a stored definition the version is the number of one that was there when
// the definition was saved; in a request it may also be an id, SkillVersionLatest, or empty for that.
type SkillBinding struct {
	Type    string `json:"type"`  // SkillCustom, SkillAnthropic, SkillQoder
	Skill   string `json:"skill"` // SkillID for SkillCustom, else the vendor's own name
	Version string `json:"version,omitempty"`
}

// RosterKind tells the members of a coordinator's roster apart.
type RosterKind string

const (
	RosterAgent   RosterKind = "agent"
	RosterSelf    RosterKind = "self"
	RosterAdvisor RosterKind = "advisor"
)

// Roster is the team of a coordinator: 1 to 20 members, versions pinned when the agent is saved.
type Roster struct {
	Members []RosterMember `json:"members"`
}

// RosterMember is one member. Agent and Version are set for RosterAgent, Model for RosterAdvisor.
type RosterMember struct {
	Kind    RosterKind   `json:"kind"`
	Agent   AgentID      `json:"agent,omitempty"`
	Version int          `json:"version,omitempty"`
	Model   *ModelChoice `json:"model,omitempty"`
}

// CapabilityRef switches a capability on, with its own configuration.
type CapabilityRef struct {
	Ref    string          `json:"ref"`
	Config json.RawMessage `json:"config,omitempty"` // a JSON object; nil: {}
}

// AgentPage is a query for agents, newest first (CreatedAt, then ID, descending) unless Ascending.
type AgentPage struct {
	Limit           int // 1 to 1000
	After           *PageKey
	Before          *PageKey // rows on the other side of this key; the order of the answer stays the same
	Ascending       bool
	IncludeArchived bool
	ActiveOnly      bool
	Search          string    // case-insensitive part of the name or description; empty: all
	CreatedFrom     time.Time // inclusive; zero: open
	CreatedTo       time.Time // inclusive; zero: open
	Offset          int       // rows to skip: only for the dialect that pages by offset
}

// PageKey is a place in a list ordered by creation.
type PageKey struct {
	CreatedAt time.Time
	ID        string
}

// Environment is the recipe for a sandbox.
type Environment struct {
	Project     ProjectID
	ID          EnvironmentID
	Name        string // 1–256 characters; not unique
	Description string
	Config      EnvironmentConfig
	Metadata    map[string]string // never nil
	CreatedAt   time.Time
	UpdatedAt   time.Time
	ArchivedAt  time.Time // zero: not archived
}

// EnvironmentConfig is stored as JSON under these names.
type EnvironmentConfig struct {
	SelfHosted  bool                `json:"self_hosted,omitempty"` // workers poll for work; else a local sandbox ("cloud")
	Networking  Networking          `json:"networking,omitzero"`
	Packages    map[string][]string `json:"packages,omitempty"` // apt, cargo, gem, go, npm, pip
	SetupScript string              `json:"setup_script,omitempty"`
	Scope       string              `json:"scope,omitempty"` // organization, account; self-hosted only
}

// Networking is what a sandbox may reach.
type Networking struct {
	Limited              bool     `json:"limited,omitempty"` // false: unrestricted
	AllowedHosts         []string `json:"allowed_hosts,omitempty"`
	AllowMCPServers      bool     `json:"allow_mcp_servers,omitempty"`
	AllowPackageManagers bool     `json:"allow_package_managers,omitempty"`
}
