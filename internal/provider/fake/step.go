package fake

import (
	"context"
	"fmt"

	"github.com/reeve-ai/reeve/internal/core"
)

// Step is what one call does. Steps are values: one may stand in several scripts.
type Step struct{ parts []part }

// part does its share of a call and reports whether the call goes on.
type part func(c *play) bool

// play is one call in progress.
type play struct {
	*Provider
	ctx    context.Context
	req    core.ModelRequest
	number int // of the call, from 1; 0 for Instant
	yield  func(core.Chunk, error) bool

	index   int // of the next block
	calls   int
	usage   core.Usage
	stop    core.Stop
	stopped bool // a Func said how it ends
}

func (c *play) emit(chunk core.Chunk) bool {
	if c.ctx.Err() != nil {
		return c.fail(c.ctx.Err())
	}
	return c.yield(chunk, nil)
}

func (c *play) fail(err error) bool {
	c.yield(core.Chunk{}, err)
	return false
}

func (c *play) finish() {
	if c.stopped {
		return
	}
	if c.stop == "" {
		c.stop = core.StopModelEnd
		if c.calls > 0 {
			c.stop = core.StopModelTools
		}
	}
	if c.emit(core.Chunk{Type: core.ChunkUsage, Usage: c.usage}) {
		c.emit(core.Chunk{Type: core.ChunkStop, Stop: c.stop})
	}
}

// And makes one answer of several steps, one after the other.
func (s Step) And(more ...Step) Step {
	out := Step{parts: append([]part(nil), s.parts...)}
	for _, m := range more {
		out.parts = append(out.parts, m.parts...)
	}
	return out
}

// Say answers with one text block, in one piece.
func Say(text string) Step { return SayPieces(text) }

// SayPieces answers with one text block that comes in these pieces.
func SayPieces(pieces ...string) Step {
	return Step{parts: []part{func(c *play) bool {
		for _, text := range pieces {
			if !c.emit(core.Chunk{Type: core.ChunkText, Index: c.index, Text: text}) {
				return false
			}
		}
		c.index++
		return true
	}}}
}

// Think reasons, visibly and with a signature that the next call must bring back.
func Think(text string) Step {
	return Step{parts: []part{func(c *play) bool {
		ok := c.emit(core.Chunk{Type: core.ChunkThinking, Index: c.index, Text: text}) &&
			c.emit(core.Chunk{Type: core.ChunkThought, Index: c.index, Thinking: &core.Thinking{
				Text: text, Signature: "signed:" + text, Vendor: "fake",
			}})
		c.index++
		return ok
	}}}
}

// Call is one tool call of CallTools. ID empty: "call_", the number of the model call, "_", and the
// number of the tool call in it, both from 1.
type Call struct{ ID, Name, Input string }

// CallTool asks for one tool call. Input is what the model writes: JSON, or on purpose not.
func CallTool(name, input string) Step { return CallTools(Call{Name: name, Input: input}) }

// CallTools asks for several tool calls in one answer.
func CallTools(calls ...Call) Step {
	return Step{parts: []part{func(c *play) bool {
		for _, call := range calls {
			c.calls++
			if call.ID == "" {
				call.ID = fmt.Sprintf("call_%d_%d", c.number, c.calls)
			}
			if !c.emit(core.Chunk{Type: core.ChunkToolCall, Index: c.index, Call: &core.ToolCall{ID: call.ID, Name: call.Name, Input: call.Input}}) {
				return false
			}
			c.index++
		}
		return true
	}}}
}

// Fail ends the call with err.
func Fail(err *core.ModelError) Step {
	return Step{parts: []part{func(c *play) bool { return c.fail(err) }}}
}

// Cut ends the call after text with a ModelCut, as when the connection breaks. Text may be empty.
func Cut(text string) Step {
	var s Step
	if text != "" {
		s = Say(text)
	}
	return s.And(Fail(&core.ModelError{Type: core.ModelCut, Retryable: true, Message: "The fake model's connection broke."}))
}

// Block waits until release is closed or gives a value, or until the call's context ends. Waiting
// announces that it has begun to wait.
func Block(release <-chan struct{}) Step {
	return Step{parts: []part{func(c *play) bool {
		select {
		case c.waiting <- struct{}{}:
		default:
		}
		select {
		case <-release:
			return true
		case <-c.ctx.Done():
			return c.fail(c.ctx.Err())
		}
	}}}
}

// Usage sets what the call reports. It says nothing by itself: Say("…").And(Usage(…)).
func Usage(u core.Usage) Step {
	return Step{parts: []part{func(c *play) bool {
		c.usage = u
		return true
	}}}
}

// Stop sets why the answer ends, instead of end_turn or tool_use: Say("…").And(Stop(…)).
func Stop(stop core.Stop) Step {
	return Step{parts: []part{func(c *play) bool {
		c.stop = stop
		return true
	}}}
}

// Func answers with the chunks that f makes of the request. If the last one is not a ChunkStop,
// usage and a fitting ChunkStop follow.
func Func(f func(core.ModelRequest) []core.Chunk) Step {
	return Step{parts: []part{func(c *play) bool {
		for _, chunk := range f(c.req) {
			if chunk.Type == core.ChunkToolCall {
				c.calls++
			}
			if chunk.Type == core.ChunkText || chunk.Type == core.ChunkThinking {
				c.index = chunk.Index + 1
			}
			if !c.emit(chunk) {
				return false
			}
			c.stopped = chunk.Type == core.ChunkStop
		}
		return !c.stopped
	}}}
}
