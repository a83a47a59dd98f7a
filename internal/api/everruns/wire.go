package everruns

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/reeve-ai/reeve/internal/api/httpio"
	"github.com/reeve-ai/reeve/internal/core"
)

// genericHarness is the id of the built-in harness that every agent runs on. Strict clients need the
// field (everruns.md section 3.2); there are no other harnesses yet.
const genericHarness = "harness_00000000000000000000000000000001"

// agentIDPattern is the format that seed page 002 gives for ids of clients. Their digits need not be a
// UUID of any version (everruns.md section 1.2).
var agentIDPattern = regexp.MustCompile(`^agent_[0-9a-f]{32}$`)

// stamp writes a time as RFC 3339 in UTC with milliseconds (everruns.md section 3.0).
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z07:00") }

// agentRequest is the body of POST /agents: seed page 002 and, from later versions, display_name.
// Members that it does not have are ignored. Model is what the TypeScript SDK sends instead of
// default_model_id (everruns.md section 3.1).
type agentRequest struct {
	ID             *string                            `json:"id"`
	Name           *string                            `json:"name"`
	DisplayName    *string                            `json:"display_name"`
	Description    *string                            `json:"description"`
	SystemPrompt   *string                            `json:"system_prompt"`
	DefaultModelID *string                            `json:"default_model_id"`
	Model          json.RawMessage                    `json:"model"`
	Tags           []string                           `json:"tags"`
	Capabilities   httpio.Optional[[]json.RawMessage] `json:"capabilities"`
}

// capability is one entry of capabilities, in and out. On the way in it may also be the bare ref as a
// string, which the documentation's own examples use.
type capability struct {
	Ref    string          `json:"ref"`
	Config json.RawMessage `json:"config"`
}

func readCapabilities(entries []json.RawMessage) ([]core.CapabilityRef, error) {
	refs := make([]core.CapabilityRef, len(entries))
	for i, raw := range entries {
		at := fmt.Sprintf("capabilities[%d]", i)
		var c capability
		switch raw = bytes.TrimSpace(raw); raw[0] {
		case '"':
			if err := httpio.DecodeValue(at, raw, &c.Ref, httpio.IgnoreUnknown); err != nil {
				return nil, err
			}
		case '{':
			if err := httpio.DecodeValue(at, raw, &c, httpio.IgnoreUnknown); err != nil {
				return nil, err
			}
		default:
			return nil, core.InvalidField(at, "must be an object with a ref, or a string")
		}
		if string(c.Config) == "null" {
			c.Config = nil
		}
		refs[i] = core.CapabilityRef{Ref: c.Ref, Config: c.Config}
	}
	return refs, nil
}

// agentBody is an agent as the dialect shows it. Lists are never null, and what is not set is left
// out or, where seed page 002 allows null, null (everruns.md section 3.0).
type agentBody struct {
	ID             string       `json:"id"`
	Name           string       `json:"name"`
	DisplayName    string       `json:"display_name,omitempty"`
	Description    *string      `json:"description"`
	SystemPrompt   string       `json:"system_prompt"`
	HarnessID      string       `json:"harness_id"`
	DefaultModelID *string      `json:"default_model_id"`
	Status         string       `json:"status"`
	Tags           []string     `json:"tags"`
	Capabilities   []capability `json:"capabilities"`
	Usage          *struct{}    `json:"usage"` // always null: totals of an agent are not kept yet
	CreatedAt      string       `json:"created_at"`
	UpdatedAt      string       `json:"updated_at"`
	ArchivedAt     string       `json:"archived_at,omitempty"`
}

func agentOf(a core.Agent) agentBody {
	b := agentBody{
		ID:           "agent_" + string(a.ID),
		Name:         a.Name,
		DisplayName:  a.DisplayName,
		SystemPrompt: a.System,
		HarnessID:    genericHarness,
		Status:       "active",
		Tags:         append([]string{}, a.Tags...),
		Capabilities: make([]capability, len(a.Capabilities)),
		CreatedAt:    stamp(a.CreatedAt),
		UpdatedAt:    stamp(a.UpdatedAt),
	}
	if a.Description != "" {
		b.Description = &a.Description
	}
	if a.Model.ID != "" {
		id := a.Model.ID
		if !strings.HasPrefix(id, "model_") { // one that was given as an id is shown as it was given
			id = "model_" + core.ModelID(id)
		}
		b.DefaultModelID = &id
	}
	for i, c := range a.Capabilities {
		if b.Capabilities[i] = (capability{Ref: c.Ref, Config: c.Config}); c.Config == nil {
			b.Capabilities[i].Config = json.RawMessage("{}")
		}
	}
	if !a.ArchivedAt.IsZero() {
		b.Status, b.ArchivedAt = "archived", stamp(a.ArchivedAt)
	}
	return b
}

// agentList is a page of agents. Agents repeats Data under the name that the TypeScript SDK reads
// (everruns.md section 0.1, point 3).
type agentList struct {
	Data   []agentBody `json:"data"`
	Agents []agentBody `json:"agents"`
	Total  int         `json:"total"`
	Offset int         `json:"offset"`
	Limit  int         `json:"limit"`
}
