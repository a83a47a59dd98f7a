package openaichat

import (
	"strings"

	"github.com/reeve-ai/reeve/internal/core"
)

// The names under which servers send reasoning. The one seen is kept in Thinking.Item.
const (
	fieldReasoningContent = "reasoning_content" // DeepSeek, vLLM, llama.cpp
	fieldReasoning        = "reasoning"         // OpenRouter, Ollama
)

// answer turns the frames of one stream into chunks.
type answer struct {
	yield func(core.Chunk, error) bool
	gone  bool // the consumer wants no more: yield must not be called again
	begun bool

	index    int // of the open block
	last     core.ChunkType
	thought  strings.Builder
	field    string // under which reasoning came
	calls    []*core.ToolCall
	byIndex  map[int]*core.ToolCall
	usage    *usage
	finished bool // a finish_reason came
	stop     core.Stop
}

func (a *answer) emit(c core.Chunk) {
	if !a.gone {
		a.gone = !a.yield(c, nil)
	}
}

// frame takes the next event. The error is a *failure.
func (a *answer) frame(f frame) error {
	if f.Error != nil {
		return &failure{f.Error.complaint()}
	}
	if f.Usage != nil {
		a.usage = f.Usage // cumulative where it comes more than once
	}
	for _, c := range f.Choices {
		if c.Error != nil {
			return &failure{c.Error.complaint()}
		}
		if c.Index != 0 {
			continue // n is 1; a server that sends more would mix two answers
		}
		a.delta(c.Delta)
		if c.FinishReason != "" {
			a.finished, a.stop = true, stopOf(c.FinishReason)
		}
	}
	return nil
}

func (a *answer) delta(d delta) {
	switch {
	case d.ReasoningContent != "":
		a.reasoning(fieldReasoningContent, d.ReasoningContent)
	case d.Reasoning != "":
		a.reasoning(fieldReasoning, d.Reasoning)
	}
	if said := string(d.Content) + d.Refusal; said != "" {
		a.closeThought()
		a.piece(core.ChunkText, said)
	}
	for _, c := range d.ToolCalls {
		a.toolCall(c)
	}
}

// piece emits text of one kind; a change of kind begins the next block.
func (a *answer) piece(t core.ChunkType, text string) {
	if a.last != 0 && a.last != t {
		a.index++
	}
	a.last = t
	a.emit(core.Chunk{Type: t, Index: a.index, Text: text})
}

func (a *answer) reasoning(field, text string) {
	a.field = field
	a.thought.WriteString(text)
	a.piece(core.ChunkThinking, text)
}

func (a *answer) closeThought() {
	if a.thought.Len() == 0 {
		return
	}
	t := &core.Thinking{Text: a.thought.String(), Vendor: Kind, Item: a.field}
	a.thought.Reset()
	a.emit(core.Chunk{Type: core.ChunkThought, Index: a.index, Thinking: t})
}

// toolCall adds a piece to its call. A piece belongs to the call with its index, unless it brings
// another id: servers that do not count send every call with index 0, or none, each with its id.
func (a *answer) toolCall(c call) {
	index := 0
	if c.Index != nil {
		index = *c.Index
	}
	t := a.byIndex[index]
	if t == nil || c.ID != "" && t.ID != "" && c.ID != t.ID {
		t = &core.ToolCall{}
		a.calls = append(a.calls, t)
		if a.byIndex == nil {
			a.byIndex = map[int]*core.ToolCall{}
		}
		a.byIndex[index] = t
	}
	if c.ID != "" {
		t.ID = c.ID
	}
	if t.Name == "" {
		t.Name = c.Function.Name
	}
	t.Input += string(c.Function.Arguments)
}

// finish hands out what is complete only at the end, and the end itself.
func (a *answer) finish() error {
	a.closeThought()
	for i, t := range a.calls {
		if t.ID == "" {
			t.ID = "call_" + string(core.NewID[core.EventID]()) // results must name their call
		}
		a.emit(core.Chunk{Type: core.ChunkToolCall, Index: a.index + 1 + i, Call: t})
	}
	if u := a.usage; u != nil {
		cached := max(u.Details.CachedTokens, u.CacheHitTokens)
		a.emit(core.Chunk{Type: core.ChunkUsage, Usage: core.Usage{
			// The wire's prompt count includes what came from the cache; ours does not.
			InputTokens: max(u.PromptTokens-cached, 0), OutputTokens: u.CompletionTokens, CacheReadTokens: cached,
		}})
	}
	stop := a.stop
	if len(a.calls) > 0 && (stop == "" || stop == core.StopModelEnd) {
		stop = core.StopModelTools // some servers say "stop" for calls too
	}
	if stop == "" {
		stop = core.StopModelEnd
	}
	a.emit(core.Chunk{Type: core.ChunkStop, Stop: stop})
	return nil
}

func stopOf(reason string) core.Stop {
	switch reason {
	case "length":
		return core.StopModelMaxTokens
	case "tool_calls", "function_call":
		return core.StopModelTools
	case "content_filter":
		return core.StopModelRefusal
	}
	return core.StopModelEnd
}
