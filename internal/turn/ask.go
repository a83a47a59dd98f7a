package turn

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// answer is what one model call gave.
type answer struct {
	message  core.EventID // the ids that deltas announced
	thinking core.EventID
	thoughts []core.Thinking
	texts    []string // by block
	calls    []core.ToolCall
	usage    core.Usage
	stop     core.Stop
}

// ask makes the model call whose span is open, as often as it takes. It reports whether the turn is
// settled: because the model is done, or because it cannot be reached.
func (v *run) ask(ctx context.Context) (settled bool, err error) {
	v.steps++
	for attempt := 1; ; attempt++ {
		ans, err := v.call(ctx)
		if err == nil {
			return v.record(ctx, ans)
		}
		if errors.Is(err, errInterrupted) {
			return false, v.write(ctx, func(core.Store) ([]core.Draft, error) {
				return []core.Draft{v.spanEnd(true, "", core.Usage{})}, nil
			})
		}
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		fault := modelFault(err)
		v.log.Warn("model call failed", "attempt", attempt, "type", fault.Type, "status", fault.Status, "err", err)
		if !fault.Retryable || attempt >= v.opts.MaxAttempts {
			return true, v.write(ctx, func(tx core.Store) ([]core.Draft, error) {
				d, err := v.giveUp(ctx, tx, sessionError(fault, "exhausted"), core.StopRetriesExhausted)
				return append([]core.Draft{v.spanEnd(true, "", core.Usage{})}, d...), err
			})
		}
		if interrupted, err := v.backOff(ctx, fault, attempt); err != nil || interrupted {
			return false, err
		}
	}
}

func modelFault(err error) *core.ModelError {
	var fault *core.ModelError
	if errors.As(err, &fault) {
		return fault
	}
	var known *core.Error
	if errors.As(err, &known) && known.Kind != core.Internal {
		return &core.ModelError{Type: core.ModelFailed, Message: known.Message, Err: err}
	}
	return &core.ModelError{Type: core.ModelUnknown, Message: "the model call failed", Err: err}
}

// sessionError is what clients read. A cut stream is our own word for a failed request.
func sessionError(fault *core.ModelError, retry string) core.SessionError {
	e := core.SessionError{Type: fault.Type, Message: fault.Message, Retry: retry}
	if e.Type == core.ModelCut {
		e.Type = core.ModelFailed
	}
	return e
}

// backOff tells the watchers, waits, and opens the next span. It reports whether a client interrupted
// the wait.
func (v *run) backOff(ctx context.Context, fault *core.ModelError, attempt int) (interrupted bool, err error) {
	v.sess.Status = core.StatusRescheduling
	err = v.write(ctx, func(tx core.Store) ([]core.Draft, error) {
		return []core.Draft{
			v.spanEnd(true, "", core.Usage{}),
			v.draft(core.EventSessionError, sessionError(fault, "retrying")),
			v.draft(core.EventStatusRescheduling, nil),
		}, tx.SetSessionState(ctx, v.stamped())
	})
	if err != nil {
		return false, err
	}
	wakeable, stop := v.alarm.interruptible(ctx)
	rested := wait(wakeable, v.delay(fault, attempt))
	stop()
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	v.sess.Status = core.StatusRunning
	err = v.write(ctx, func(tx core.Store) ([]core.Draft, error) {
		drafts := []core.Draft{v.draft(core.EventStatusRunning, nil)}
		if rested {
			drafts = append(drafts, v.draft(core.EventModelRequestStart, core.ModelRequestStart{Model: v.sess.Snapshot.Model.ID}))
		}
		return drafts, tx.SetSessionState(ctx, v.stamped())
	})
	return !rested, err
}

// delay doubles from the base, ±25 %, at most the longest; a vendor that names a time is obeyed up to
// that longest too.
func (v *run) delay(fault *core.ModelError, attempt int) time.Duration {
	d := v.opts.BackoffBase << (attempt - 1)
	d += time.Duration((rand.Float64() - 0.5) * 0.5 * float64(d))
	return min(max(d, fault.RetryAfter), v.opts.BackoffMax)
}

// call streams one answer. Deltas go to the watchers as they come.
func (v *run) call(ctx context.Context) (answer, error) {
	model, err := v.models.Model(v.sess.Snapshot.Model.ID)
	if err != nil {
		return answer{}, err
	}
	provider, err := v.models.Provider(model)
	if err != nil {
		return answer{}, err
	}
	ctx, stop := v.alarm.interruptible(ctx)
	defer stop()
	c := collector{run: v, answer: answer{message: core.NewID[core.EventID](), thinking: core.NewID[core.EventID]()}}
	for chunk, err := range provider.Stream(ctx, v.request(model)) {
		if cause := context.Cause(ctx); cause != nil {
			return answer{}, cause // a provider reports a cancelled call in its own words
		}
		if err != nil {
			return answer{}, err
		}
		c.take(chunk)
	}
	if cause := context.Cause(ctx); cause != nil {
		return answer{}, cause
	}
	if c.stop == "" {
		return answer{}, &core.ModelError{Type: core.ModelCut, Message: "the model's answer ended too early", Retryable: true}
	}
	return c.answer, nil
}

func (v *run) request(model core.Model) core.ModelRequest {
	choice := v.sess.Snapshot.Model
	effort := choice.Effort
	if effort == "" {
		effort = model.DefaultEffort
	}
	return core.ModelRequest{
		Model: model.Target, Effort: effort, System: v.prompt(), Messages: v.t.messages, Tools: v.tools.specs,
		MaxTokens: max(model.MaxOutputTokens, v.opts.MinOutputTokens),
	}
}

// collector puts an answer together and passes its pieces on.
type collector struct {
	*run
	answer
	messageDeltas  int
	thinkingDeltas int
}

func (c *collector) take(chunk core.Chunk) {
	switch chunk.Type {
	case core.ChunkText:
		for len(c.texts) <= chunk.Index {
			c.texts = append(c.texts, "")
		}
		c.texts[chunk.Index] += chunk.Text
		if c.messageDeltas == 0 {
			c.publish(core.Delta{Event: c.message, Type: core.EventAgentMessage, Start: true})
			c.messageDeltas++
		}
		c.publish(core.Delta{Event: c.message, Type: core.EventAgentMessage, N: c.messageDeltas, Index: chunk.Index, Text: chunk.Text})
		c.messageDeltas++
	case core.ChunkThinking:
		if c.thinkingDeltas == 0 {
			c.publish(core.Delta{Event: c.thinking, Type: core.EventAgentThinking, Start: true})
			c.thinkingDeltas++
		}
		c.publish(core.Delta{Event: c.thinking, Type: core.EventAgentThinking, N: c.thinkingDeltas, Text: chunk.Text})
		c.thinkingDeltas++
	case core.ChunkThought:
		c.thoughts = append(c.thoughts, *chunk.Thinking)
	case core.ChunkToolCall:
		c.calls = append(c.calls, *chunk.Call)
	case core.ChunkUsage:
		c.usage = chunk.Usage
	case core.ChunkStop:
		c.stop = chunk.Stop
	}
}

func (c *collector) publish(d core.Delta) {
	d.Session, d.Thread, d.Turn = c.lease.Session, c.lease.Thread, c.t.turn
	c.bus.Publish(d)
}

// record appends a complete answer. If it asks for no tool and nothing waits in the queue, the turn is
// settled in the same transaction.
func (v *run) record(ctx context.Context, ans answer) (settled bool, err error) {
	drafts := v.answerDrafts(ans)
	before := v.sess.Usage
	ans.usage.ModelCalls = 1
	err = v.write(ctx, func(tx core.Store) ([]core.Draft, error) {
		v.sess.Usage = before.Add(ans.usage)
		if len(ans.calls) == 0 {
			queued, err := tx.QueuedEvents(ctx, v.lease.Project, v.lease.Session, v.lease.Thread)
			if err != nil {
				return nil, err
			}
			if settled = len(queued) == 0; settled {
				idle, err := v.settle(ctx, tx, core.StopReason{Type: core.StopEndTurn})
				return append(drafts[:len(drafts):len(drafts)], idle...), err
			}
		}
		return drafts, tx.SetSessionState(ctx, v.stamped())
	})
	return settled && err == nil, err
}

func (v *run) answerDrafts(ans answer) []core.Draft {
	var drafts []core.Draft
	for i, th := range ans.thoughts {
		d := v.draft(core.EventAgentThinking, th)
		if i == 0 {
			d.ID = ans.thinking
		}
		drafts = append(drafts, d)
	}
	var blocks []core.Block
	for _, text := range ans.texts {
		if text != "" {
			blocks = append(blocks, core.Block{Type: core.BlockText, Text: text})
		}
	}
	if len(blocks) > 0 {
		d := v.draft(core.EventAgentMessage, core.Message{Content: blocks})
		d.ID = ans.message
		drafts = append(drafts, d)
	}
	for _, call := range ans.calls {
		drafts = append(drafts, v.draft(core.EventAgentToolUse, v.toolUse(call)))
	}
	return append(drafts, v.spanEnd(false, ans.stop, ans.usage))
}

// toolUse records a call. Arguments that are not a JSON object are kept out of the log's Input, which
// must be one, and the model is told.
func (v *run) toolUse(call core.ToolCall) core.ToolUse {
	use := core.ToolUse{Kind: core.ToolsetBuiltin, Name: call.Name, CallID: call.ID, Permission: "allow", Input: json.RawMessage("{}")}
	if e, ok := v.tools.entries[call.Name]; ok {
		use.Kind, use.Permission = e.kind, e.permission()
	}
	if use.CallID == "" {
		use.CallID = "call_" + core.NewID[string]()
	}
	raw := bytes.TrimSpace([]byte(call.Input))
	switch {
	case len(raw) == 0:
	case raw[0] == '{' && json.Valid(raw):
		use.Input = raw
	default:
		use.InputError = fmt.Sprintf("the arguments are not a JSON object (%d bytes)", len(raw))
	}
	return use
}
