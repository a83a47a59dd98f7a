package core

import (
	"encoding/json"
	"fmt"
	"time"
)

// EventType names a kind of log entry. docs/events.md lists them with their payloads; where Claude
// Managed Agents has a name for the same thing, that is the name.
type EventType string

const (
	EventUserMessage          EventType = "user.message"
	EventUserInterrupt        EventType = "user.interrupt"
	EventUserToolConfirmation EventType = "user.tool_confirmation"
	EventUserCustomToolResult EventType = "user.custom_tool_result"
	EventUserToolResult       EventType = "user.tool_result"
	EventUserDefineOutcome    EventType = "user.define_outcome"
	EventSystemMessage        EventType = "system.message"

	EventAgentMessage    EventType = "agent.message"
	EventAgentThinking   EventType = "agent.thinking"
	EventAgentToolUse    EventType = "agent.tool_use"
	EventAgentToolResult EventType = "agent.tool_result"
	// A tool use of a custom tool is EventAgentToolUse with ToolUse.Kind ToolsetCustom.

	EventStatusRunning      EventType = "session.status_running"
	EventStatusIdle         EventType = "session.status_idle"
	EventStatusRescheduling EventType = "session.status_rescheduled"
	EventStatusTerminated   EventType = "session.status_terminated"
	EventSessionUsage       EventType = "session.usage"
	EventSessionUpdated     EventType = "session.updated"
	EventSessionError       EventType = "session.error"

	// The events of a coordinator's team. Those of a thread's status are in that thread's own log, and Shared.
	EventThreadCreated      EventType = "session.thread_created" // in the primary thread
	EventThreadRunning      EventType = "session.thread_status_running"
	EventThreadIdle         EventType = "session.thread_status_idle"
	EventThreadRescheduling EventType = "session.thread_status_rescheduled"
	EventThreadTerminated   EventType = "session.thread_status_terminated"
	EventMessageSent        EventType = "agent.thread_message_sent"
	EventMessageReceived    EventType = "agent.thread_message_received"

	EventModelRequestStart EventType = "span.model_request_start"
	EventModelRequestEnd   EventType = "span.model_request_end"

	EventOutcomeStart   EventType = "span.outcome_evaluation_start"
	EventOutcomeOngoing EventType = "span.outcome_evaluation_ongoing"
	EventOutcomeEnd     EventType = "span.outcome_evaluation_end"

	// EventInputProcessed marks the place in the log where the runner took queued input up. It is
	// Reeve's own: the transcript puts a queued message here, not where it was accepted.
	EventInputProcessed EventType = "reeve.input_processed"
)

// Event is one entry of a session's log. The log only grows; the one thing that changes in an
// entry is ProcessedAt, once, from zero.
type Event struct {
	ID          EventID
	Session     SessionID
	Thread      ThreadID
	Turn        TurnID // the turn that wrote it; empty for what clients sent between turns
	Shared      bool   // of a thread that is not the primary one: the session's own view shows it as well
	Seq         int64  // 1, 2, 3 … within the session, no gaps
	Type        EventType
	At          time.Time       // UTC, whole microseconds: when it was appended
	ProcessedAt time.Time       // zero while input waits in the queue; equals At for what the server wrote
	Data        json.RawMessage // the payload for Type: an object, never null
}

// Draft is an event before the store numbers it.
type Draft struct {
	ID     EventID // empty: the store makes one. A runner sets it when deltas announced it before
	Thread ThreadID
	Turn   TurnID
	Type   EventType
	Shared bool // see Event.Shared
	Queued bool // input that no runner has taken up yet: ProcessedAt stays zero
	Data   any  // the payload for Type, one of the structs below; marshalled by NewDraft
	raw    json.RawMessage
}

// NewDraft makes a draft with a fresh id and its payload marshalled, so that a payload that cannot
// be written fails here and not inside a transaction. A nil payload is {}.
func NewDraft(thread ThreadID, turn TurnID, t EventType, payload any) Draft {
	raw := json.RawMessage("{}")
	if payload != nil {
		b, err := json.Marshal(payload)
		if err != nil {
			panic(fmt.Sprintf("core: payload of %s: %v", t, err)) // our own structs always marshal
		}
		raw = b
	}
	return Draft{ID: NewID[EventID](), Thread: thread, Turn: turn, Type: t, Data: payload, raw: raw}
}

// JSON returns the marshalled payload: an object, never null.
func (d Draft) JSON() json.RawMessage { return d.raw }

// Payload decodes an event's data into T, one of the payload structs of this package.
func Payload[T any](e Event) (T, error) {
	var v T
	if err := json.Unmarshal(e.Data, &v); err != nil {
		return v, fmt.Errorf("decode %s event %s: %w", e.Type, e.ID, err)
	}
	return v, nil
}

// BlockType tells content blocks apart.
type BlockType string

const (
	BlockText         BlockType = "text"
	BlockImage        BlockType = "image"
	BlockDocument     BlockType = "document"
	BlockSearchResult BlockType = "search_result"
)

// Block is one piece of a message's or a tool result's content.
type Block struct {
	Type   BlockType       `json:"type"`
	Text   string          `json:"text,omitempty"`   // BlockText
	Source *Source         `json:"source,omitempty"` // BlockImage, BlockDocument
	Title  string          `json:"title,omitempty"`
	Extra  json.RawMessage `json:"extra,omitempty"` // what the client sent besides, as an object: context, citations …
}

// Source is where an image or a document comes from. Type is base64, text, url or file; File is a FileID.
type Source struct {
	Type      string `json:"type"`
	MediaType string `json:"media_type,omitempty"`
	Data      string `json:"data,omitempty"`
	URL       string `json:"url,omitempty"`
	File      string `json:"file,omitempty"`
}

// Text returns a single text block.
func Text(s string) []Block { return []Block{{Type: BlockText, Text: s}} }

// Message is the payload of user.message, agent.message and system.message, which has only text.
type Message struct {
	Content []Block `json:"content"`
}

// Interrupt is the payload of user.interrupt. Thread empty: all threads.
type Interrupt struct {
	Thread ThreadID `json:"thread,omitempty"`
}

// ToolConfirmation is the payload of user.tool_confirmation.
type ToolConfirmation struct {
	ToolUse EventID `json:"tool_use"`
	Allow   bool    `json:"allow"`
	Reason  string  `json:"reason,omitempty"` // only with a refusal
}

// Thinking is the payload of agent.thinking: the model's reasoning, kept so that the vendor gets it
// back unchanged with the next call. It is never shown by a face whose dialect hides it.
type Thinking struct {
	Text      string `json:"text,omitempty"`
	Signature string `json:"signature,omitempty"` // opaque to us; empty if the vendor has none
	Opaque    string `json:"opaque,omitempty"`    // vendor item to send back as it is (redacted thinking, encrypted reasoning)
	Vendor    string `json:"vendor,omitempty"`    // the Provider kind that Signature and Opaque belong to
	Item      string `json:"item,omitempty"`      // the vendor's id of the item; empty if it has none
}

// ToolUse is the payload of agent.tool_use. Its event's id is what results and confirmations name.
type ToolUse struct {
	Kind       ToolsetKind     `json:"kind"`
	Server     string          `json:"server,omitempty"`      // ToolsetMCP
	Name       string          `json:"name"`                  // canonical lower-case for built-in tools; of ToolsetMCP the server's own name
	Input      json.RawMessage `json:"input"`                 // an object
	CallID     string          `json:"call_id"`               // the model's own id of the call; unique in a model answer
	Permission string          `json:"permission"`            // allow, ask or deny, as evaluated when it was written
	InputError string          `json:"input_error,omitempty"` // set when the model's arguments were not a JSON object: Input is then {}
}

// ToolResult is the payload of agent.tool_result, user.tool_result and user.custom_tool_result.
type ToolResult struct {
	ToolUse EventID `json:"tool_use"`
	Content []Block `json:"content"` // may be empty, never nil
	IsError bool    `json:"is_error,omitempty"`
	TookMS  int64   `json:"took_ms,omitempty"`
}

// StopType says why a turn ended.
type StopType string

const (
	StopEndTurn          StopType = "end_turn"
	StopRequiresAction   StopType = "requires_action"
	StopRetriesExhausted StopType = "retries_exhausted"
	StopMaxSteps         StopType = "max_steps"
	StopInterrupted      StopType = "interrupted"
	StopBudgetReached    StopType = "budget_reached"
)

// StopReason is the payload of session.status_idle.
type StopReason struct {
	Type   StopType  `json:"type"`
	Events []EventID `json:"events,omitempty"` // StopRequiresAction: the tool uses that wait, oldest first
}

// SessionError is the payload of session.error.
type SessionError struct {
	Type    ModelErrorType `json:"type"`
	Message string         `json:"message"`          // written by us, safe to show
	Retry   string         `json:"retry"`            // retrying, exhausted or terminal
	Server  string         `json:"server,omitempty"` // MCPConnectionFailed, MCPAuthenticationFailed: which one
	Vault   VaultID        `json:"vault,omitempty"`  // CredentialUnreachable: whose
	Secret  SecretID       `json:"secret,omitempty"` // CredentialUnreachable: which one
}

// ModelRequestStart is the payload of span.model_request_start.
type ModelRequestStart struct {
	Model string `json:"model"` // as the client named it
}

// ModelRequestEnd is the payload of span.model_request_end.
type ModelRequestEnd struct {
	Start   EventID `json:"start"`
	IsError bool    `json:"is_error,omitempty"`
	Stop    string  `json:"stop,omitempty"` // the Chunk stop reason of the model call
	Usage   Usage   `json:"usage"`
	TookMS  int64   `json:"took_ms"`
}

// UsageSnapshot is the payload of session.usage: the session's totals so far, and its budget.
type UsageSnapshot struct {
	Usage  Usage   `json:"usage"`
	Budget *Budget `json:"budget,omitempty"` // nil: none
}

// SessionUpdated is the payload of session.updated: the values after the change of what Changed names. An old
// entry without Changed has title and metadata.
type SessionUpdated struct {
	Changed  []SessionPart     `json:"changed,omitempty"`
	Title    *string           `json:"title,omitempty"`
	Metadata map[string]string `json:"metadata,omitempty"`
	Agent    *AgentSpec        `json:"agent,omitempty"`
	Budget   *Budget           `json:"budget,omitempty"` // nil: it was removed
}

// SessionPart names a part of a session that can be changed.
type SessionPart string

const (
	PartTitle    SessionPart = "title"
	PartMetadata SessionPart = "metadata"
	PartAgent    SessionPart = "agent"
	PartBudget   SessionPart = "budget"
	PartEnvVars  SessionPart = "environment_variables" // only that they changed, not the values
)

// InputProcessed is the payload of reeve.input_processed.
type InputProcessed struct {
	Events []EventID `json:"events"` // oldest first
}

// EventQuery asks for part of a session's log, oldest first unless Descending.
type EventQuery struct {
	After      int64 // Seq > After (Seq < After when Descending and After > 0)
	Limit      int   // 1 to 10000
	Descending bool
	Types      []EventType // empty: all
	Thread     ThreadID    // empty: all
	Shared     bool        // with Thread: also what other threads share. Of the primary thread that is the session's own view
	From, To   time.Time   // on At, inclusive; zero: open
}

// Delta is a piece of an event that is still being made. Deltas travel over the Bus only and are
// never stored: a watcher that misses one still gets the finished event.
type Delta struct {
	Session SessionID
	Thread  ThreadID
	Turn    TurnID
	Event   EventID   // the id that the finished event will have
	Type    EventType // agent.message or agent.thinking
	N       int       // 0, 1, 2 … within the event, so that a watcher notices one that was dropped
	Start   bool      // the first delta of this event (N is 0); Text is empty
	Index   int       // content block within the event, from 0
	Text    string
}
