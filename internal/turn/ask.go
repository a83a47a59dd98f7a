package turn

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// answer is what one model call gave, in the order in which it came: vendors check that reasoning,
// text and calls come back as they were.
type answer struct {
	parts []part
	calls int
	usage core.Usage
	stop  core.Stop
}

// part is one event of an answer: a thought, a run of text blocks, or a tool call.
type part struct {
	event   core.EventID // what deltas announced
	deltas  int          // how many were sent
	index   int          // the vendor's index of the newest block in it
	typ     core.EventType
	thought core.Thinking // agent.thinking
	open    bool          // agent.thinking that is not complete yet
	blocks  []core.Block  // agent.message
	call    core.ToolCall // agent.tool_use
}

// ask makes the model call whose span is open, as often as it takes. It reports whether the turn is
// settled: because the model is done, or because it cannot be reached.
func (v *run) ask(ctx context.Context) (settled bool, err error) {
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
		if fault.TooLong && v.squeezes() {
			return false, v.write(ctx, func(core.Store) ([]core.Draft, error) {
				return []core.Draft{v.spanEnd(true, "", core.Usage{})}, nil
			})
		}
		if !fault.Retryable || attempt >= v.opts.MaxAttempts {
			if v.touched.Load() {
				v.tidy(ctx)
			}
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
	err = v.write(ctx, func(tx core.Store) ([]core.Draft, error) {
		d, err := v.pause(ctx, tx)
		return append([]core.Draft{
			v.spanEnd(true, "", core.Usage{}),
			v.draft(core.EventSessionError, sessionError(fault, "retrying")),
		}, d...), err
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
	err = v.write(ctx, func(tx core.Store) ([]core.Draft, error) {
		drafts, err := v.goOn(ctx, tx, v.t.turn)
		if rested {
			drafts = append(drafts, v.draft(core.EventModelRequestStart, core.ModelRequestStart{Model: v.spec.Model.ID}))
		}
		return drafts, err
	})
	return !rested, err
}

// delay doubles from the base, ±25 %, at most the longest; a vendor that names a time is obeyed up to
// that longest too.
func (v *run) delay(fault *core.ModelError, attempt int) time.Duration {
	d := v.opts.BackoffBase << min(attempt-1, 16) // more would grow out of the type, and wait for nothing
	d += time.Duration((rand.Float64() - 0.5) * 0.5 * float64(d))
	return min(max(d, fault.RetryAfter), v.opts.BackoffMax)
}

// call streams one answer. Deltas go to the watchers as they come.
func (v *run) call(ctx context.Context) (answer, error) {
	model, provider, err := v.served(v.spec.Model)
	if err != nil {
		return answer{}, err
	}
	ctx, stop := v.alarm.interruptible(ctx)
	defer stop()
	c := collector{run: v}
	req, err := v.withFiles(ctx, v.request(model))
	if cause := context.Cause(ctx); cause != nil {
		return answer{}, cause
	}
	if err != nil {
		return answer{}, err
	}
	for chunk, err := range provider.Stream(ctx, req) {
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
	c.usage = priced(model, c.usage)
	return c.answer, nil
}

func (v *run) request(model core.Model) core.ModelRequest {
	req := v.demand(model, v.spec.Model, v.prompt(), v.t.messages)
	req.Tools = v.tools.specs
	return req
}

// demand is a request for a model as an agent chose it, without tools.
func (v *run) demand(model core.Model, choice core.ModelChoice, system string, messages []core.ModelMessage) core.ModelRequest {
	effort := choice.Effort
	if effort == "" {
		effort = model.DefaultEffort
	}
	limit := model.MaxOutputTokens
	if limit <= 0 {
		limit = v.opts.OutputTokens
	}
	return core.ModelRequest{
		Model: model.Target, Effort: effort, Fast: choice.Speed == speedFast, Geo: choice.InferenceGeo, System: system, Messages: messages,
		MaxTokens: limit,
	}
}

// collector puts an answer together and passes its pieces on.
type collector struct {
	*run
	answer
}

func (c *collector) take(chunk core.Chunk) {
	switch chunk.Type {
	case core.ChunkText:
		p := c.last(core.EventAgentMessage, func(*part) bool { return true })
		if n := len(p.blocks); n == 0 || chunk.Index != p.index {
			p.blocks = append(p.blocks, core.Block{Type: core.BlockText})
		}
		p.index = chunk.Index
		block := len(p.blocks) - 1
		p.blocks[block].Text += chunk.Text
		c.publish(p, block, chunk.Text)
	case core.ChunkThinking:
		p := c.last(core.EventAgentThinking, func(p *part) bool { return p.open })
		p.open = true
		c.publish(p, 0, chunk.Text)
	case core.ChunkThought:
		p := c.last(core.EventAgentThinking, func(p *part) bool { return p.open })
		p.open, p.thought = false, *chunk.Thinking
	case core.ChunkToolCall:
		c.calls++
		p := c.last(core.EventAgentToolUse, func(*part) bool { return false })
		p.call = *chunk.Call
	case core.ChunkUsage:
		c.usage = chunk.Usage
	case core.ChunkStop:
		c.stop = chunk.Stop
	}
}

// last returns the newest part if it is of the type and goes on, else a new one.
func (c *collector) last(typ core.EventType, goesOn func(*part) bool) *part {
	if n := len(c.parts); n > 0 && c.parts[n-1].typ == typ && goesOn(&c.parts[n-1]) {
		return &c.parts[n-1]
	}
	c.parts = append(c.parts, part{event: core.NewID[core.EventID](), typ: typ})
	return &c.parts[len(c.parts)-1]
}

// publish passes one piece on, and announces its event first if it is the first.
func (c *collector) publish(p *part, block int, text string) {
	d := core.Delta{Session: c.lease.Session, Thread: c.lease.Thread, Turn: c.t.turn, Event: p.event, Type: p.typ}
	if p.deltas == 0 {
		d.Start = true
		c.bus.Publish(d)
		p.deltas++
	}
	if text == "" {
		return
	}
	d.Start, d.N, d.Index, d.Text = false, p.deltas, block, text
	c.bus.Publish(d)
	p.deltas++
}

// record appends a complete answer. If it asks for no tool, nothing waits in the queue and no tool has left
// anything in the workspace, the turn is settled in the same transaction.
func (v *run) record(ctx context.Context, ans answer) (settled bool, err error) {
	drafts := v.answerDrafts(ans)
	before := v.sess.Usage
	ans.usage.ModelCalls = 1
	v.said = ans.said()
	defer func() { v.said = nil }()
	err = v.write(ctx, func(tx core.Store) ([]core.Draft, error) {
		if v.team {
			v.book.Spend(v.lease.Thread, ans.usage)
		} else {
			v.sess.Usage = before.Add(ans.usage)
		}
		if ans.calls == 0 {
			queued, err := tx.QueuedEvents(ctx, v.lease.Project, v.lease.Session, v.lease.Thread)
			if err != nil {
				return nil, err
			}
			if settled = !asksWork(queued) && v.goalOpen() == nil && !v.touched.Load(); settled {
				idle, err := v.settle(ctx, tx, core.StopReason{Type: core.StopEndTurn})
				return append(drafts[:len(drafts):len(drafts)], idle...), err
			}
		}
		if v.team {
			return drafts, nil
		}
		return drafts, tx.SetSessionState(ctx, v.stamped(core.StatusRunning, nil))
	})
	return settled && err == nil, err
}

// said is the last message of the answer; nil if there is none.
func (a answer) said() []core.Block {
	for _, p := range slices.Backward(a.parts) {
		if blocks := spoken(p.blocks); p.typ == core.EventAgentMessage && len(blocks) > 0 {
			return blocks
		}
	}
	return nil
}

// spoken leaves out empty blocks: vendors begin blocks that stay empty, and refuse them when they come back.
func spoken(blocks []core.Block) []core.Block {
	return slices.DeleteFunc(slices.Clone(blocks), func(b core.Block) bool { return b.Text == "" })
}

func (v *run) answerDrafts(ans answer) []core.Draft {
	var drafts []core.Draft
	for _, p := range ans.parts {
		var d core.Draft
		switch p.typ {
		case core.EventAgentThinking:
			d = v.draft(p.typ, p.thought)
		case core.EventAgentMessage:
			blocks := spoken(p.blocks)
			if len(blocks) == 0 {
				continue
			}
			d = v.draft(p.typ, core.Message{Content: blocks})
		default:
			u := v.toolUse(p.call)
			d = v.draft(p.typ, u)
			d.Shared = v.shared(u)
		}
		d.ID = p.event
		drafts = append(drafts, d)
	}
	return append(drafts, v.spanEnd(false, ans.stop, ans.usage))
}

// toolUse records a call. Arguments that are not a JSON object are kept out of the log's Input, which
// must be one, and the model is told.
func (v *run) toolUse(call core.ToolCall) core.ToolUse {
	use := core.ToolUse{Kind: core.ToolsetBuiltin, Name: call.Name, CallID: call.ID, Permission: "allow", Input: json.RawMessage("{}")}
	if e, ok := v.tools.entries[call.Name]; ok {
		use.Kind, use.Permission = e.kind, e.permission()
		if e.kind == core.ToolsetMCP {
			use.Server, use.Name = e.server, e.name
		}
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
	if _, known := v.tools.entries[call.Name]; v.self && (!known || use.InputError != "") {
		use.Permission = "deny" // this server answers it: no worker may take it for a tool that it has
	}
	return use
}
