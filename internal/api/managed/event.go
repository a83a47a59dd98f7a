package managed

import (
	"encoding/json"
	"slices"

	"github.com/reeve-ai/reeve/internal/core"
)

// form is one event on the wire. Most events of the log have one form, some none, and on the Qoder wire
// a change of status has two (thread.go).
type form struct {
	kind string // the member type
	id   string // the member id
	body any
}

// head begins every event.
type head struct {
	ID          string `json:"id"`
	Type        string `json:"type"`
	ProcessedAt any    `json:"processed_at"` // null: queued
}

// eventForm says what becomes of one type of the log's events.
type eventForm struct {
	kinds []string // the types that it can have on the wire
	write func(t *translator, e core.Event) (kind string, members any, err error)
	only  *Flavour // nil: both flavours have it
}

// eventForms is the one table from the log to the wire (CMA section 4.2, qoder.md section 5.2). What is
// not in it has no form of its own.
var eventForms = map[core.EventType]eventForm{
	core.EventUserMessage:          same(core.EventUserMessage, writeMessage),
	core.EventUserInterrupt:        same(core.EventUserInterrupt, writeInterrupt),
	core.EventUserToolConfirmation: same(core.EventUserToolConfirmation, writeConfirmation),
	core.EventUserCustomToolResult: same(core.EventUserCustomToolResult, writeCustomResult),
	core.EventUserToolResult:       same(core.EventUserToolResult, writeUserResult),
	core.EventUserDefineOutcome:    same(core.EventUserDefineOutcome, writeOutcome),
	core.EventSystemMessage:        same(core.EventSystemMessage, writeMessage),
	core.EventAgentMessage:         same(core.EventAgentMessage, writeMessage),
	core.EventAgentThinking:        same(core.EventAgentThinking, writeNothing), // what was thought is not shown
	core.EventAgentToolUse:         {kinds: []string{toolUse, customToolUse, mcpToolUse}, write: writeToolUse},
	core.EventAgentToolResult:      {kinds: []string{toolResult, mcpToolResult}, write: writeToolResult},
	core.EventStatusRunning:        same(core.EventStatusRunning, writeNothing),
	core.EventStatusIdle:           same(core.EventStatusIdle, writeIdle),
	core.EventStatusRescheduling:   same(core.EventStatusRescheduling, writeNothing),
	core.EventStatusTerminated:     same(core.EventStatusTerminated, writeNothing),
	core.EventSessionUsage:         only(Claude, same(core.EventSessionUsage, writeUsage)),
	core.EventSessionUpdated:       same(core.EventSessionUpdated, writeUpdated),
	core.EventSessionError:         same(core.EventSessionError, writeError),
	core.EventThreadCreated:        same(core.EventThreadCreated, writeThread),
	core.EventThreadRunning:        same(core.EventThreadRunning, writeThread),
	core.EventThreadIdle:           same(core.EventThreadIdle, writeThread),
	core.EventThreadRescheduling:   same(core.EventThreadRescheduling, writeThread),
	core.EventThreadTerminated:     same(core.EventThreadTerminated, writeThread),
	core.EventMessageSent:          same(core.EventMessageSent, writeMessageSent),
	core.EventMessageReceived:      same(core.EventMessageReceived, writeMessageReceived),
	core.EventContextCompacted:     same(core.EventContextCompacted, writeNothing),
	core.EventModelRequestStart:    same(core.EventModelRequestStart, writeNothing),
	core.EventModelRequestEnd:      same(core.EventModelRequestEnd, writeSpanEnd),
	core.EventOutcomeStart:         same(core.EventOutcomeStart, writeOutcomeSpan),
	core.EventOutcomeOngoing:       same(core.EventOutcomeOngoing, writeOutcomeSpan),
	core.EventOutcomeEnd:           same(core.EventOutcomeEnd, writeOutcomeEnd),
}

// Types that one type of the log becomes, by the kind of the tool.
const (
	toolUse       = "agent.tool_use"
	customToolUse = "agent.custom_tool_use"
	mcpToolUse    = "agent.mcp_tool_use"
	toolResult    = "agent.tool_result"
	mcpToolResult = "agent.mcp_tool_result"
)

// same is the form of a type that has the same name in the log and on the wire.
func same(t core.EventType, write func(*translator, core.Event) (any, error)) eventForm {
	return eventForm{kinds: []string{string(t)}, write: func(tr *translator, e core.Event) (string, any, error) {
		members, err := write(tr, e)
		return string(t), members, err
	}}
}

func only(fl *Flavour, f eventForm) eventForm {
	f.only = fl
	return f
}

// formTypes lists the types of the log that can have one of these types on the wire; no kinds: all that
// have any.
func (fl *Flavour) formTypes(kinds []string) []core.EventType {
	var types []core.EventType
	for t, f := range eventForms {
		if f.only != nil && f.only != fl {
			continue
		}
		can := slices.Concat(f.kinds, fl.threadKinds(t))
		if len(kinds) == 0 || slices.ContainsFunc(can, func(k string) bool { return slices.Contains(kinds, k) }) {
			types = append(types, t)
		}
	}
	slices.Sort(types) // the same request gives the same query
	return types
}

// translator writes the events of one session. It is made for one request.
type translator struct {
	f       *Face
	c       *call
	session core.Session
	thread  core.ThreadID                     // whose view it is; empty: the session's own
	uses    map[core.EventID]core.ToolsetKind // what kind of tool was used, as far as it was asked for
}

// forms writes one event of the log.
func (t *translator) forms(e core.Event) ([]form, error) {
	f, known := eventForms[e.Type]
	if !known || f.only != nil && f.only != t.c.fl || t.hides(e) {
		return nil, nil
	}
	if stampedAtOnce(e.Type) {
		e.ProcessedAt = e.At // the time of its receipt
	}
	kind, members, err := f.write(t, e)
	if err != nil {
		return nil, &core.Error{Err: err} // Internal: the log is ours
	}
	own := form{kind: kind, id: t.c.fl.eventPrefix + string(e.ID)}
	own.body = join(head{own.id, kind, maybeTime(e.ProcessedAt)}, members)
	return t.withThread(e, own), nil
}

// join writes the members of an event behind its head.
func join(h head, members any) json.RawMessage {
	body, more := encode(h), []byte("{}")
	if members != nil {
		more = encode(members)
	}
	if len(more) > 2 {
		body = append(append(body[:len(body)-1], ','), more[1:]...)
	}
	return body
}

func writeNothing(*translator, core.Event) (any, error) { return nil, nil }

type messageWire struct {
	Content []any `json:"content"`
}

func writeMessage(_ *translator, e core.Event) (any, error) {
	m, err := core.Payload[core.Message](e)
	return messageWire{blocksWire(m.Content)}, err
}

type interruptWire struct {
	Thread any `json:"session_thread_id"`
}

func writeInterrupt(t *translator, e core.Event) (any, error) {
	m, err := core.Payload[core.Interrupt](e)
	if m.Thread == "" || m.Thread == t.thread {
		return interruptWire{}, err
	}
	return interruptWire{threadPrefix + string(m.Thread)}, err
}

type confirmationWire struct {
	ToolUseID   string `json:"tool_use_id"`
	Result      string `json:"result"`
	DenyMessage any    `json:"deny_message"`
	Thread      any    `json:"session_thread_id"`
}

func writeConfirmation(t *translator, e core.Event) (any, error) {
	m, err := core.Payload[core.ToolConfirmation](e)
	w := confirmationWire{ToolUseID: t.eventID(m.ToolUse), Result: "deny"}
	if m.Allow {
		w.Result = "allow"
	}
	if m.Reason != "" {
		w.DenyMessage = m.Reason
	}
	if thread := t.elsewhere(e); thread != "" {
		w.Thread = thread
	}
	return w, err
}

func (t *translator) eventID(id core.EventID) string { return t.c.fl.eventPrefix + string(id) }

// resultWire is a tool's result under one of three names of its tool use.
type resultWire struct {
	ToolUseID       string          `json:"tool_use_id,omitempty"`
	CustomToolUseID string          `json:"custom_tool_use_id,omitempty"`
	MCPToolUseID    string          `json:"mcp_tool_use_id,omitempty"`
	Content         []any           `json:"content"`
	IsError         bool            `json:"is_error"`
	Thread          json.RawMessage `json:"session_thread_id,omitempty"`
}

func (t *translator) result(e core.Event) (w resultWire, use core.EventID, err error) {
	m, err := core.Payload[core.ToolResult](e)
	return resultWire{Content: blocksWire(m.Content), IsError: m.IsError}, m.ToolUse, err
}

func writeCustomResult(t *translator, e core.Event) (any, error) {
	w, use, err := t.result(e)
	w.CustomToolUseID, w.Thread = t.eventID(use), t.threadMember(e)
	return w, err
}

func writeUserResult(t *translator, e core.Event) (any, error) {
	w, use, err := t.result(e)
	w.ToolUseID, w.Thread = t.eventID(use), t.threadMember(e)
	return w, err
}

func writeToolResult(t *translator, e core.Event) (string, any, error) {
	w, use, err := t.result(e)
	if err != nil {
		return "", nil, err
	}
	kind, err := t.useKind(use)
	if kind == core.ToolsetMCP {
		w.MCPToolUseID = t.eventID(use)
		return mcpToolResult, w, err
	}
	w.ToolUseID = t.eventID(use)
	return toolResult, w, err
}

// useKind finds out what kind of tool a result is of. Only an agent with MCP servers makes the question.
func (t *translator) useKind(id core.EventID) (core.ToolsetKind, error) {
	if !reachesMCP(t.session) {
		return core.ToolsetBuiltin, nil
	}
	if kind, known := t.uses[id]; known {
		return kind, nil
	}
	e, err := t.f.sessions.Event(t.c.Context(), t.c.by, t.session.ID, id)
	if err != nil {
		return "", err
	}
	use, err := core.Payload[core.ToolUse](e)
	t.remember(id, use.Kind)
	return use.Kind, err
}

// maxUses bounds what a long stream remembers; what was forgotten is read again.
const maxUses = 1000

func (t *translator) remember(id core.EventID, kind core.ToolsetKind) {
	if t.uses == nil || len(t.uses) >= maxUses {
		t.uses = map[core.EventID]core.ToolsetKind{}
	}
	t.uses[id] = kind
}

type toolUseWire struct {
	Server     string          `json:"mcp_server_name,omitempty"`
	Name       string          `json:"name"`
	Input      json.RawMessage `json:"input"`
	Permission string          `json:"evaluated_permission,omitempty"`
	Thread     string          `json:"session_thread_id,omitempty"` // in the session's view, of another thread than the primary one
}

func writeToolUse(t *translator, e core.Event) (string, any, error) {
	m, err := core.Payload[core.ToolUse](e)
	if err != nil {
		return "", nil, err
	}
	t.remember(e.ID, m.Kind)
	w := toolUseWire{Name: m.Name, Input: m.Input, Thread: t.elsewhere(e)}
	switch m.Kind {
	case core.ToolsetCustom:
		return customToolUse, w, nil
	case core.ToolsetMCP:
		w.Server, w.Permission = m.Server, m.Permission
		return mcpToolUse, w, nil
	}
	w.Name, w.Permission = t.c.fl.toolName(m.Name), m.Permission
	return toolUse, w, nil
}

// stopWire is why a turn ended.
type stopWire struct {
	Type     string   `json:"type"`
	EventIDs []string `json:"event_ids,omitempty"`
}

type idleWire struct {
	StopReason  stopWire        `json:"stop_reason"`
	StopDetails json.RawMessage `json:"stop_details,omitempty"` // Claude only: of a refusal
}

func writeIdle(t *translator, e core.Event) (any, error) {
	m, err := core.Payload[core.StopReason](e)
	w := idleWire{StopReason: t.stop(m)}
	if t.c.fl == Claude {
		w.StopDetails = null
	}
	return w, err
}

// stop writes a stop reason. Neither dialect has one for too many steps, and Claude none for an
// interrupt.
func (t *translator) stop(m core.StopReason) stopWire {
	w := stopWire{Type: string(m.Type)}
	switch m.Type {
	case core.StopInterrupted:
		w.Type = t.c.fl.interrupted
	case core.StopMaxSteps:
		w.Type = string(core.StopEndTurn)
	case core.StopRequiresAction:
		w.EventIDs = each(m.Events, t.eventID)
	}
	return w
}

type usageEventWire struct {
	Usage  any             `json:"usage"`
	Budget json.RawMessage `json:"budget"`
}

func writeUsage(t *translator, e core.Event) (any, error) {
	m, err := core.Payload[core.UsageSnapshot](e)
	return usageEventWire{t.c.fl.usageWire(m.Usage), budgetOf(m.Budget)}, err
}

type errorEventWire struct {
	Error sessionErrorWire `json:"error"`
}

type sessionErrorWire struct {
	Type        string    `json:"type"`
	Message     string    `json:"message"`
	Server      string    `json:"mcp_server_name,omitempty"` // of the mcp_… types
	Credential  string    `json:"credential_id,omitempty"`   // of credential_host_unreachable_error, as the next
	Vault       string    `json:"vault_id,omitempty"`
	RetryStatus retryWire `json:"retry_status"`
}

type retryWire struct {
	Type string `json:"type"`
}

func writeError(t *translator, e core.Event) (any, error) {
	m, err := core.Payload[core.SessionError](e)
	kind := m.Type
	if kind == core.ModelCut { // neither dialect tells it from other failures
		kind = core.ModelFailed
	}
	w := sessionErrorWire{Type: string(kind), Message: m.Message, Server: m.Server, RetryStatus: retryWire{m.Retry}}
	if m.Secret != "" {
		w.Credential, w.Vault = t.c.fl.secretPrefix+string(m.Secret), t.c.fl.vaultPrefix+string(m.Vault)
	}
	return errorEventWire{w}, err
}

type spanEndWire struct {
	Start   string `json:"model_request_start_id"`
	IsError bool   `json:"is_error"`
	Usage   any    `json:"model_usage"`
}

func writeSpanEnd(t *translator, e core.Event) (any, error) {
	m, err := core.Payload[core.ModelRequestEnd](e)
	w := spanEndWire{Start: t.eventID(m.Start), IsError: m.IsError, Usage: t.c.fl.modelUsage(m.Usage)}
	return w, err
}
