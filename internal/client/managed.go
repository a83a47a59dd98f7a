package client

import (
	"context"
	"encoding/json"
	"net/url"
)

// Toolset switches the built-in tools on for an agent.
var Toolset = json.RawMessage(`{"type":"agent_toolset_20260401"}`)

// AgentParams are what an agent is made of. Empty fields are left out of the request: a create takes
// the default, an update leaves them as they are.
type AgentParams struct {
	Name    string            `json:"name,omitempty"`
	Model   string            `json:"model,omitempty"`
	System  string            `json:"system,omitempty"`
	Tools   []json.RawMessage `json:"tools,omitempty"`
	Version int               `json:"version,omitempty"` // update: the version that it replaces
}

// Agent is what the client needs to know of an agent.
type Agent struct {
	ID      string `json:"id"` // agent_ and 32 hex digits
	Name    string `json:"name"`
	Version int    `json:"version"`
	Model   struct {
		ID string `json:"id"`
	} `json:"model"`
}

// CreateAgent registers an agent.
func (c *Client) CreateAgent(ctx context.Context, p AgentParams) (Agent, error) {
	return post[Agent](ctx, c, "/v1/agents", p)
}

// Agent returns an agent by its id, in any spelling.
func (c *Client) Agent(ctx context.Context, id string) (Agent, error) {
	return get[Agent](ctx, c, "/v1/agents/"+url.PathEscape(id))
}

// UpdateAgent makes the next version of an agent.
func (c *Client) UpdateAgent(ctx context.Context, id string, p AgentParams) (Agent, error) {
	return post[Agent](ctx, c, "/v1/agents/"+url.PathEscape(id), p)
}

// Environment is the recipe of a sandbox.
type Environment struct {
	ID   string `json:"id"` // env_ and 32 hex digits
	Name string `json:"name"`
}

// CreateEnvironment makes a local environment without further rules.
func (c *Client) CreateEnvironment(ctx context.Context, name string) (Environment, error) {
	return post[Environment](ctx, c, "/v1/environments", map[string]string{"name": name})
}

// Session is what the client needs to know of a session.
type Session struct {
	ID     string `json:"id"` // sesn_ and 32 hex digits
	Status string `json:"status"`
	Usage  Usage  `json:"usage"`
}

// Usage counts tokens, and seconds of running.
type Usage struct {
	InputTokens     int64   `json:"input_tokens"`
	OutputTokens    int64   `json:"output_tokens"`
	CacheReadTokens int64   `json:"cache_read_input_tokens"`
	ActiveSeconds   float64 `json:"active_seconds"`
}

// CreateSession opens a session of an agent in an environment.
func (c *Client) CreateSession(ctx context.Context, agent, environment, title string) (Session, error) {
	in := map[string]string{"agent": agent, "environment_id": environment}
	if title != "" {
		in["title"] = title
	}
	return post[Session](ctx, c, "/v1/sessions", in)
}

// Session returns a session by its id.
func (c *Client) Session(ctx context.Context, id string) (Session, error) {
	return get[Session](ctx, c, "/v1/sessions/"+url.PathEscape(id))
}

// Send gives a session a message from its user. It returns when that is stored; the turn runs on.
func (c *Client) Send(ctx context.Context, session, text string) error {
	message := Event{Type: "user.message", Content: []Block{{Type: "text", Text: text}}}
	return c.Post(ctx, "/v1/sessions/"+url.PathEscape(session)+"/events", map[string][]Event{"events": {message}}, nil)
}

// Events returns the first thousand events of a session's log, oldest first.
func (c *Client) Events(ctx context.Context, session string) ([]Event, error) {
	page, err := get[struct{ Data []Event }](ctx, c, "/v1/sessions/"+url.PathEscape(session)+"/events?limit=1000")
	return page.Data, err
}

// Model is a name that agents may use.
type Model struct {
	ID          string `json:"id"`
	DisplayName string `json:"display_name"`
}

// Models lists what the server offers.
func (c *Client) Models(ctx context.Context) ([]Model, error) {
	page, err := get[struct{ Data []Model }](ctx, c, "/v1/models?limit=1000")
	return page.Data, err
}
