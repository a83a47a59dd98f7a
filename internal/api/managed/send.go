package managed

import (
	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/session"
)

// sent is the answer to accepted events.
type sent struct {
	Data []any `json:"data"`
}

// sendEvents serves POST /sessions/{session}/events (CMA section 4.1, qoder.md section 3.5).
func (f *Face) sendEvents(c *call) (reply, error) {
	id, err := pathID[core.SessionID](c, "session")
	if err != nil {
		return reply{}, err
	}
	o, err := bodyObject(c)
	if err != nil {
		return reply{}, err
	}
	if raw := o.raw("events"); raw == nil || string(raw) == "null" {
		o.fail(core.InvalidField("events", `is required: the body is {"events": [...]}`))
	}
	in := o.inputs("events", c.fl)
	if err := o.end(); err != nil {
		return reply{}, err
	}
	events, err := f.sessions.Send(c.Context(), c.by, id, in, session.SendOptions{RefuseBusy: c.fl.refuseBusy})
	if err != nil {
		return reply{}, named(err, "session", c.PathValue("session"))
	}
	t := translator{f: f, c: c, session: core.Session{ID: id}}
	w := sent{Data: []any{}}
	for _, e := range events {
		forms, err := t.forms(e)
		if err != nil {
			return reply{}, err
		}
		for _, form := range forms {
			w.Data = append(w.Data, form.body)
		}
	}
	return ok(w)
}

// inputs reads an array of events that a client may send.
func (o *object) inputs(name string, fl *Flavour) []session.Input {
	var in []session.Input
	for _, e := range o.objects(name) {
		in = append(in, e.input(fl))
	}
	return in
}

func (o *object) input(fl *Flavour) session.Input {
	var in session.Input
	switch kind := o.text("type"); kind {
	case "user.message":
		in.Message = &core.Message{Content: o.content(fl, false)}
	case "user.interrupt":
		in.Interrupt = &core.Interrupt{Thread: o.thread()}
	case "user.tool_confirmation":
		in.Confirmation = o.confirmation()
	case "user.custom_tool_result":
		in.CustomResult = o.toolResult("custom_tool_use_id", fl)
	case "user.tool_result":
		in.ToolResult = o.toolResult("tool_use_id", fl)
	case "user.define_outcome":
		in.Outcome = o.outcome()
	case "system.message":
		in.System = o.systemMessage(fl)
	case "":
		o.fail(core.InvalidField(o.field("type"), "is required"))
	default:
		o.fail(core.InvalidField(o.field("type"), "%q is not an event that can be sent", kind))
	}
	o.thread() // where an answer belongs follows from the tool use that it names
	o.closed()
	return in
}

// thread reads session_thread_id.
func (o *object) thread() core.ThreadID {
	spelled := o.text("session_thread_id")
	if spelled == "" {
		return ""
	}
	id, known := core.ParseID[core.ThreadID](spelled)
	if !known {
		o.fail(core.InvalidField(o.field("session_thread_id"), "the session has no such thread"))
	}
	return id
}

func (o *object) confirmation() *core.ToolConfirmation {
	t := &core.ToolConfirmation{ToolUse: o.eventID("tool_use_id"), Reason: o.text("deny_message")}
	switch o.text("result") {
	case "allow":
		t.Allow = true
	case "deny":
	default:
		o.fail(core.InvalidField(o.field("result"), "must be allow or deny"))
	}
	return t
}

func (o *object) toolResult(member string, fl *Flavour) *core.ToolResult {
	return &core.ToolResult{ToolUse: o.eventID(member), Content: o.content(fl, true), IsError: read[bool](o, "is_error").V}
}

// eventID reads the id of an event, with any prefix.
func (o *object) eventID(name string) core.EventID {
	spelled := o.required(name)
	id, known := core.ParseID[core.EventID](spelled)
	if !known {
		o.fail(core.InvalidField(o.field(name), "no tool use %q waits for an answer", spelled))
	}
	return id
}
