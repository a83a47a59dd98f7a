package anthropic

import (
	"strings"

	sdk "github.com/anthropics/anthropic-sdk-go"

	"github.com/reeve-ai/reeve/internal/core"
)

// answer turns the events of one stream into chunks.
type answer struct {
	yield func(core.Chunk, error) bool
	gone  bool // the consumer wants no more: yield must not be called again
	begun bool

	index     int // of the open block
	open      string
	thinking  core.Thinking
	call      core.ToolCall
	text      strings.Builder // of the open block: thinking text, or a call's arguments
	signature strings.Builder

	called bool
	usage  core.Usage
	stop   core.Stop
}

func (a *answer) emit(c core.Chunk) {
	if !a.gone {
		a.gone = !a.yield(c, nil)
	}
}

// event takes the next event and reports whether it was the vendor's end mark.
// Events: Anthropic's page "Streaming Messages".
func (a *answer) event(e sdk.MessageStreamEventUnion) (done bool) {
	switch e.Type {
	case "message_start":
		u := e.Message.Usage
		a.usage = core.Usage{
			InputTokens: u.InputTokens, OutputTokens: u.OutputTokens,
			CacheReadTokens: u.CacheReadInputTokens, CacheCreationTokens: u.CacheCreationInputTokens,
			CacheCreation1hTokens: u.CacheCreation.Ephemeral1hInputTokens,
		}
		a.emit(core.Chunk{Type: core.ChunkUsage, Usage: a.usage})
	case "content_block_start":
		a.closeBlock() // open only if the vendor forgot content_block_stop
		a.openBlock(e)
	case "content_block_delta":
		a.delta(e)
	case "content_block_stop":
		a.closeBlock()
	case "message_delta":
		a.closeBlock()
		if e.Delta.StopReason != "" {
			a.stop = stopOf(e.Delta.StopReason)
		}
		a.totals(e.Usage)
	case "message_stop":
		a.closeBlock()
		if a.stop == "" {
			a.stop = core.StopModelEnd
			if a.called {
				a.stop = core.StopModelTools
			}
		}
		a.emit(core.Chunk{Type: core.ChunkStop, Stop: a.stop})
		return true
	}
	return false
}

func (a *answer) openBlock(e sdk.MessageStreamEventUnion) {
	b := e.ContentBlock
	a.index, a.open = int(e.Index), b.Type
	a.text.Reset()
	a.signature.Reset()
	switch b.Type {
	case "text":
		if b.Text != "" {
			a.emit(core.Chunk{Type: core.ChunkText, Index: a.index, Text: b.Text})
		}
	case "thinking":
		a.text.WriteString(b.Thinking)
		a.signature.WriteString(b.Signature)
		a.emit(core.Chunk{Type: core.ChunkThinking, Index: a.index, Text: b.Thinking})
	case "redacted_thinking":
		a.thinking = core.Thinking{Opaque: b.Data, Vendor: Kind}
	case "tool_use":
		a.call = core.ToolCall{ID: b.ID, Name: b.Name}
		// The start carries {} and the arguments follow; compatible servers may send all at once here.
		if raw := b.JSON.Input.Raw(); raw != "" && raw != "{}" && raw != "null" {
			a.text.WriteString(raw)
		}
	}
}

func (a *answer) delta(e sdk.MessageStreamEventUnion) {
	switch e.Delta.Type {
	case "text_delta":
		a.emit(core.Chunk{Type: core.ChunkText, Index: int(e.Index), Text: e.Delta.Text})
	case "thinking_delta":
		a.text.WriteString(e.Delta.Thinking)
		a.emit(core.Chunk{Type: core.ChunkThinking, Index: int(e.Index), Text: e.Delta.Thinking})
	case "signature_delta":
		a.signature.WriteString(e.Delta.Signature)
	case "input_json_delta":
		a.text.WriteString(e.Delta.PartialJSON)
	}
}

// closeBlock hands out what is complete only now: a call or a piece of reasoning.
func (a *answer) closeBlock() {
	switch a.open {
	case "thinking":
		a.emit(core.Chunk{Type: core.ChunkThought, Index: a.index, Thinking: &core.Thinking{
			Text: a.text.String(), Signature: a.signature.String(), Vendor: Kind,
		}})
	case "redacted_thinking":
		t := a.thinking
		a.emit(core.Chunk{Type: core.ChunkThought, Index: a.index, Thinking: &t})
	case "tool_use":
		call := a.call
		call.Input = a.text.String()
		a.called = true
		a.emit(core.Chunk{Type: core.ChunkToolCall, Index: a.index, Call: &call})
	}
	a.open = ""
}

// totals takes the cumulative counts of message_delta. Counts that it leaves out keep the value of
// message_start: compatible servers send output_tokens alone.
func (a *answer) totals(u sdk.MessageDeltaUsage) {
	for _, f := range []struct {
		to  *int64
		now int64
	}{
		{&a.usage.InputTokens, u.InputTokens},
		{&a.usage.OutputTokens, u.OutputTokens},
		{&a.usage.CacheReadTokens, u.CacheReadInputTokens},
		{&a.usage.CacheCreationTokens, u.CacheCreationInputTokens},
	} {
		if f.now > 0 {
			*f.to = f.now
		}
	}
	a.emit(core.Chunk{Type: core.ChunkUsage, Usage: a.usage})
}

func stopOf(r sdk.StopReason) core.Stop {
	switch r {
	case sdk.StopReasonToolUse:
		return core.StopModelTools
	case sdk.StopReasonMaxTokens, sdk.StopReasonModelContextWindowExceeded:
		return core.StopModelMaxTokens
	case sdk.StopReasonRefusal:
		return core.StopModelRefusal
	}
	return core.StopModelEnd // end_turn, stop_sequence, pause_turn (server tools only, which are never offered)
}
