package turn

import (
	"context"
	"fmt"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// transcript is what a thread's log says: the conversation for the model, and what is still open.
type transcript struct {
	after    int64 // Seq of the last event that was applied
	heard    int64 // Seq up to which answers of clients were taken in
	messages []core.ModelMessage
	inputs   map[core.EventID]core.Event // accepted, not yet placed by a reeve.input_processed
	uses     []*use                      // tool uses without a result, oldest first
	byID     map[core.EventID]*use       // all of them
	turn     core.TurnID                 // of the newest session.status_running
	begun    int64                       // its Seq
	started  time.Time                   // and its time
	said     []core.Block                // the agent's last message in that turn
	steps    int                         // answers of the model in that turn
	failed   map[string]bool             // what the client was told of in that turn: MCP servers by name, others by faultKey
	openSpan core.EventID                // a model request without its end; empty if none
	openedAt time.Time
	bytes    int // of the payloads that were applied
	places
	goal goal
	echo
}

// use is one tool call of the model.
type use struct {
	core.ToolUse
	event    core.EventID
	allowed  bool   // the client confirmed it
	refused  bool   // the client refused it
	reason   string // why, if it said
	maybeRan bool   // an earlier run may have begun it
	answered bool
}

// called is the name by which the model used the tool.
func (u *use) called() string {
	if u.Kind == core.ToolsetMCP {
		return core.MCPToolName(u.Server, u.Name)
	}
	return u.Name
}

// transcriptTypes are the events that apply understands. Others are not read.
var transcriptTypes = []core.EventType{
	core.EventUserMessage, core.EventUserInterrupt, core.EventUserToolConfirmation, core.EventUserCustomToolResult,
	core.EventUserToolResult, core.EventAgentMessage, core.EventAgentThinking, core.EventAgentToolUse,
	core.EventAgentToolResult, core.EventStatusRunning, core.EventModelRequestStart, core.EventModelRequestEnd,
	core.EventUserDefineOutcome, core.EventSystemMessage, core.EventOutcomeStart, core.EventOutcomeEnd,
	core.EventContextCompacted, core.EventResultKept, core.EventInputProcessed, core.EventSessionError, core.EventThreadRunning, core.EventMessageReceived,
}

const readPage = 1000

func newTranscript() *transcript {
	return &transcript{inputs: map[core.EventID]core.Event{}, byID: map[core.EventID]*use{}}
}

// readOn brings a transcript up to the end of its thread's log. Whatever is open in it then may have
// been begun by an earlier run.
func (t *transcript) readOn(ctx context.Context, store core.Store, lease core.Lease) error {
	for {
		events, err := store.Events(ctx, lease.Project, lease.Session, core.EventQuery{
			After: t.after, Limit: readPage, Types: transcriptTypes, Thread: lease.Thread,
		})
		if err != nil {
			return fmt.Errorf("read log of session %s: %w", lease.Session, err)
		}
		for _, e := range events {
			if err := t.apply(e); err != nil {
				return err
			}
		}
		if len(events) < readPage {
			break
		}
	}
	t.heard = max(t.heard, t.after)
	for _, u := range t.uses {
		u.maybeRan = u.Permission == "allow" || u.allowed
	}
	return nil
}

// hear takes in an answer that was accepted since the log was read. Its place among the results of one answer of
// the model may differ from the log's: their order means nothing. Hearing it twice does no harm.
func (t *transcript) hear(e core.Event) error {
	t.at = e.Seq
	if err := t.takeResult(e); err != nil {
		return brokenError{err}
	}
	t.heard = e.Seq
	t.bytes += len(e.Data)
	return nil
}

// brokenError marks a log that cannot be read: trying again would end the same way.
type brokenError struct{ err error }

func (e brokenError) Error() string { return e.err.Error() }
func (e brokenError) Unwrap() error { return e.err }

// apply takes one more event in. Events come in the order of the log.
func (t *transcript) apply(e core.Event) error {
	t.at = e.Seq
	if err := t.take(e); err != nil {
		return brokenError{err}
	}
	t.after = e.Seq
	t.bytes += len(e.Data)
	return nil
}

func (t *transcript) take(e core.Event) error {
	switch e.Type {
	case core.EventUserMessage, core.EventUserInterrupt, core.EventUserToolConfirmation, core.EventUserDefineOutcome, core.EventSystemMessage:
		t.inputs[e.ID] = e
	case core.EventOutcomeStart, core.EventOutcomeEnd:
		return t.takeEvaluation(e)
	case core.EventMessageReceived:
		m, err := core.Payload[core.ThreadMessage](e)
		if m.ToolUse == "" { // else the tool's result says it
			t.inputs[e.ID] = e
		}
		return err
	case core.EventInputProcessed:
		return t.place(e)
	case core.EventAgentThinking:
		th, err := core.Payload[core.Thinking](e)
		t.add(core.RoleAssistant, core.ModelPart{Thinking: &th})
		return err
	case core.EventAgentMessage:
		m, err := core.Payload[core.Message](e)
		t.said = m.Content
		t.addBlocks(core.RoleAssistant, m.Content)
		return err
	case core.EventAgentToolUse:
		return t.takeUse(e)
	case core.EventAgentToolResult, core.EventUserToolResult, core.EventUserCustomToolResult:
		return t.takeResult(e)
	case core.EventStatusRunning, core.EventThreadRunning:
		// The same turn also says it after each retry of the model. Without a turn it is not about this thread: a
		// coordinator's session runs while any of its threads does.
		if e.Turn != t.turn && e.Turn != "" {
			t.turn, t.begun, t.started, t.steps, t.failed, t.said = e.Turn, e.Seq, e.At, 0, map[string]bool{}, nil
			t.opened = false
		}
	case core.EventSessionError:
		fault, err := core.Payload[core.SessionError](e)
		if key := faultKey(fault); key != "" && t.failed != nil {
			t.failed[key] = true
		}
		return err
	case core.EventModelRequestStart:
		t.openSpan, t.openedAt = e.ID, e.At
	case core.EventModelRequestEnd:
		end, err := core.Payload[core.ModelRequestEnd](e)
		t.openSpan = ""
		if !end.IsError && end.Start != t.summing {
			t.steps++
			t.measure(end.Usage)
		}
		return err
	case core.EventContextCompacted:
		return t.summed(e)
	case core.EventResultKept:
		return t.keep(e)
	}
	return nil
}

// await takes in what was accepted since the log was read. Its place comes with the next
// reeve.input_processed.
func (t *transcript) await(queued []core.Event) {
	for _, e := range queued {
		t.inputs[e.ID] = e
	}
}

// place puts input that the runner took up at its place in the conversation.
func (t *transcript) place(e core.Event) error {
	done, err := core.Payload[core.InputProcessed](e)
	if err != nil {
		return err
	}
	t.countEcho(done.Events)
	for _, id := range done.Events {
		in, ok := t.inputs[id]
		if !ok {
			return fmt.Errorf("event %s of session %s places unknown input %s", e.ID, e.Session, id)
		}
		delete(t.inputs, id)
		switch in.Type {
		case core.EventUserMessage:
			m, err := core.Payload[core.Message](in)
			if err != nil {
				return err
			}
			t.addBlocks(core.RoleUser, m.Content)
		case core.EventUserDefineOutcome, core.EventSystemMessage:
			if err := t.placeGoal(in); err != nil {
				return err
			}
		case core.EventMessageReceived:
			m, err := core.Payload[core.ThreadMessage](in)
			if err != nil {
				return err
			}
			if m.Name != "" { // from a member; a member knows who writes to it
				t.addBlocks(core.RoleUser, core.Text(fmt.Sprintf("Message from the agent %s in thread %s%s:", m.Name, threadPrefix, m.Thread)))
			}
			t.addBlocks(core.RoleUser, m.Content)
		case core.EventUserToolConfirmation:
			c, err := core.Payload[core.ToolConfirmation](in)
			if err != nil {
				return err
			}
			if u := t.byID[c.ToolUse]; u != nil {
				u.allowed, u.refused, u.reason = c.Allow, !c.Allow, c.Reason
				u.maybeRan = false // it waited for this answer until now; an earlier run's mark comes after
			}
		}
	}
	return nil
}

func (t *transcript) takeUse(e core.Event) error {
	tu, err := core.Payload[core.ToolUse](e)
	if err != nil {
		return err
	}
	u := &use{ToolUse: tu, event: e.ID}
	t.uses = append(t.uses, u)
	t.byID[e.ID] = u
	t.add(core.RoleAssistant, core.ModelPart{Call: &core.ModelCall{ID: tu.CallID, Name: u.called(), Input: tu.Input}})
	return nil
}

func (t *transcript) takeResult(e core.Event) error {
	res, err := core.Payload[core.ToolResult](e)
	if err != nil {
		return err
	}
	u := t.byID[res.ToolUse]
	if u == nil || u.answered {
		return nil // the model hears one answer to a call: the first
	}
	u.answered = true
	if e.Type != core.EventAgentToolResult {
		t.echoes = 0
	}
	for i, open := range t.uses {
		if open == u {
			t.uses = append(t.uses[:i:i], t.uses[i+1:]...)
			break
		}
	}
	result := &core.ModelResult{CallID: u.CallID, Name: u.called(), Content: res.Content, IsError: res.IsError}
	t.add(core.RoleUser, core.ModelPart{Result: result})
	t.note(u.event, result)
	return nil
}

func (t *transcript) addBlocks(role core.MessageRole, blocks []core.Block) {
	for i := range blocks {
		t.add(role, core.ModelPart{Block: &blocks[i]})
	}
}

// add appends a part, and begins a new message where the speaker changes.
func (t *transcript) add(role core.MessageRole, p core.ModelPart) {
	if n := len(t.messages); n > 0 && t.messages[n-1].Role == role {
		t.messages[n-1].Parts = append(t.messages[n-1].Parts, p)
		return
	}
	t.messages = append(t.messages, core.ModelMessage{Role: role, Parts: []core.ModelPart{p}})
	t.begin()
}

// owesAnswer reports whether the model has something to answer.
func (t *transcript) owesAnswer() bool {
	n := len(t.messages)
	return n > 0 && t.messages[n-1].Role == core.RoleUser
}
