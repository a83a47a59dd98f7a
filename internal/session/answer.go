package session

import (
	"context"
	"slices"

	"github.com/reeve-ai/reeve/internal/core"
)

// asked is one input and what it may answer, inside the transaction that takes it.
type asked struct {
	tx        core.Store
	sess      core.Session
	thread    core.ThreadID   // of the input; sess has its status and reason
	field     string          // of the input, as the client spells it
	elsewhere bool            // workers run the tools of the sandbox
	waiting   *[]core.EventID // tool uses that wait for the client, less those that earlier inputs answered
	taken     *[]core.EventID // tool uses that earlier inputs of the same request answered or confirmed
}

// draft turns the input into a draft and strikes what it answers from waiting.
func (a asked) draft(ctx context.Context, in Input) (core.Draft, error) {
	switch {
	case in.Message != nil:
		d := core.NewDraft("", "", core.EventUserMessage, in.Message)
		d.Queued = true
		return d, nil
	case in.Outcome != nil:
		return outcomeDraft(in.Outcome), nil
	case in.System != nil:
		d := core.NewDraft("", "", core.EventSystemMessage, in.System)
		d.Queued = true
		return d, nil
	case in.Interrupt != nil:
		if t := in.Interrupt.Thread; t != "" && t != a.thread {
			return core.Draft{}, core.InvalidField(a.field+".session_thread_id", "the session has no such thread")
		}
		return core.NewDraft("", "", core.EventUserInterrupt, in.Interrupt), nil // accept knows whether it waits
	case in.Confirmation != nil:
		return a.confirmation(ctx, in.Confirmation)
	case in.CustomResult != nil:
		fits := func(u core.ToolUse, _ verdict) bool { return u.Kind == core.ToolsetCustom }
		if _, err := a.answers(ctx, a.field+".custom_tool_use_id", in.CustomResult.ToolUse, fits); err != nil {
			return core.Draft{}, err
		}
		a.strike(in.CustomResult.ToolUse)
		return core.NewDraft("", "", core.EventUserCustomToolResult, in.CustomResult), nil // stamped on receipt
	default:
		fits := func(u core.ToolUse, v verdict) bool { return u.Kind != core.ToolsetMCP && v == allowed }
		if _, err := a.answers(ctx, a.field+".tool_use_id", in.ToolResult.ToolUse, fits); err != nil {
			return core.Draft{}, err
		}
		a.strike(in.ToolResult.ToolUse)
		return core.NewDraft("", "", core.EventUserToolResult, in.ToolResult), nil
	}
}

// confirmation waits for the turn to take it up, but for one that lets a worker run a tool while the session is
// idle: the tool use goes on waiting, now for the worker, and there is nothing that a turn could do.
func (a asked) confirmation(ctx context.Context, c *core.ToolConfirmation) (core.Draft, error) {
	fits := func(u core.ToolUse, v verdict) bool { return u.Permission == "ask" && v == undecided }
	use, err := a.answers(ctx, a.field+".tool_use_id", c.ToolUse, fits)
	if err != nil {
		return core.Draft{}, err
	}
	d := core.NewDraft("", "", core.EventUserToolConfirmation, c)
	d.Queued = busy(a.sess) || !c.Allow || !a.theirs(use)
	if d.Queued {
		a.strike(c.ToolUse)
	}
	return d, nil
}

func (a asked) strike(id core.EventID) {
	if i := slices.Index(*a.waiting, id); i >= 0 {
		*a.waiting = slices.Delete(*a.waiting, i, i+1)
	}
}

// theirs reports whether a client or a worker runs a tool, not this server.
func (a asked) theirs(u core.ToolUse) bool {
	return u.Kind == core.ToolsetCustom || a.elsewhere && u.Kind == core.ToolsetBuiltin && core.InSandbox(u.Name)
}

// verdict says whether a tool may run.
type verdict int

const (
	undecided verdict = iota // a client has to say
	allowed                  // the policy says so, or a client did
	denied
)

// answers checks that a tool use waits for this kind of answer. While a turn runs it has not come to wait yet:
// a worker sees a tool use when it is appended, and may be quicker than the turn.
func (a asked) answers(ctx context.Context, field string, id core.EventID, fits func(u core.ToolUse, v verdict) bool) (core.ToolUse, error) {
	none := core.InvalidField(field, "no tool use %q waits for an answer", "sevt_"+string(id))
	waits := slices.Contains(*a.waiting, id)
	if !waits && !busy(a.sess) || slices.Contains(*a.taken, id) {
		return core.ToolUse{}, none
	}
	e, err := a.tx.EventByID(ctx, a.sess.Project, a.sess.ID, id)
	if core.KindOf(err) == core.NotFound || err == nil && (e.Type != core.EventAgentToolUse || e.Thread != a.thread) {
		return core.ToolUse{}, none
	}
	if err != nil {
		return core.ToolUse{}, err
	}
	use, err := core.Payload[core.ToolUse](e)
	if err != nil {
		return core.ToolUse{}, err
	}
	v, answered, err := a.since(ctx, e, use)
	switch {
	case err != nil:
		return core.ToolUse{}, err
	case answered, !waits && use.Permission != "ask" && !a.theirs(use): // this server answers it
		return core.ToolUse{}, none
	case !fits(use, v), !waits && v == allowed && !a.theirs(use):
		return core.ToolUse{}, core.InvalidField(field, "tool use %q waits for another kind of answer", "sevt_"+string(id))
	}
	*a.taken = append(*a.taken, id)
	return use, nil
}

// since tells from the log what became of a tool use.
func (a asked) since(ctx context.Context, e core.Event, use core.ToolUse) (v verdict, answered bool, err error) {
	switch use.Permission {
	case "allow":
		v = allowed
	case "deny":
		v = denied
	}
	events, err := a.tx.Events(ctx, a.sess.Project, a.sess.ID, core.EventQuery{After: e.Seq, Limit: MaxEventPage, Types: answerTypes})
	for _, other := range events {
		switch other.Type {
		case core.EventUserToolConfirmation:
			c, err := core.Payload[core.ToolConfirmation](other)
			if err != nil {
				return v, false, err
			}
			if c.ToolUse != e.ID {
				continue
			}
			if v = denied; c.Allow {
				v = allowed
			}
		default:
			r, err := core.Payload[core.ToolResult](other)
			if err != nil {
				return v, false, err
			}
			answered = answered || r.ToolUse == e.ID
		}
	}
	return v, answered, err
}

var answerTypes = []core.EventType{
	core.EventUserToolConfirmation, core.EventUserToolResult, core.EventUserCustomToolResult, core.EventAgentToolResult,
}
