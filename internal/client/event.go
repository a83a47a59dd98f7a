package client

import (
	"encoding/json"
	"strings"
	"time"
)

// Block is one piece of content. Blocks other than text have no Text.
type Block struct {
	Type string `json:"type"`
	Text string `json:"text,omitempty"`
}

// Event is one entry of a session's log, or one of the two that exist only on a stream: event_start
// and event_delta. Which fields are set depends on Type (docs/events.md).
type Event struct {
	ID          string     `json:"id,omitempty"`
	Type        string     `json:"type"`
	ProcessedAt *time.Time `json:"processed_at,omitempty"`
	Content     []Block    `json:"content,omitempty"`

	Name      string          `json:"name,omitempty"`        // agent.tool_use
	Input     json.RawMessage `json:"input,omitempty"`       // agent.tool_use: an object
	ToolUseID string          `json:"tool_use_id,omitempty"` // agent.tool_result: the id of the use's event
	IsError   bool            `json:"is_error,omitempty"`    // agent.tool_result, span.model_request_end

	StopReason *StopReason `json:"stop_reason,omitempty"` // session.status_idle
	Usage      *Usage      `json:"usage,omitempty"`       // session.usage
	Error      *Fault      `json:"error,omitempty"`       // session.error
	Start      *Start      `json:"event,omitempty"`       // event_start
	EventID    string      `json:"event_id,omitempty"`    // event_delta
	Delta      *Delta      `json:"delta,omitempty"`       // event_delta
}

// StopReason says why a turn ended: end_turn, requires_action, retries_exhausted.
type StopReason struct {
	Type     string   `json:"type"`
	EventIDs []string `json:"event_ids,omitempty"`
}

// Fault is what went wrong in a session.
type Fault struct {
	Type        string `json:"type"`
	Message     string `json:"message"`
	RetryStatus struct {
		Type string `json:"type"` // retrying, exhausted, terminal
	} `json:"retry_status"`
}

// Start announces an event whose deltas follow.
type Start struct {
	ID   string `json:"id"`
	Type string `json:"type"`
}

// Delta is a piece of an event that is still being made.
type Delta struct {
	Index   int   `json:"index"`
	Content Block `json:"content"`
}

// Text joins the text blocks of the content.
func (e Event) Text() string {
	var b strings.Builder
	for _, block := range e.Content {
		b.WriteString(block.Text)
	}
	return b.String()
}
