package openai

import (
	"github.com/openai/openai-go/v3/responses"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/provider/upstream"
)

// answer turns the events of one stream into chunks.
type answer struct {
	yield func(core.Chunk, error) bool
	gone  bool // the consumer wants no more: yield must not be called again
	begun bool

	called  bool
	refused bool
	summary summaryPlace
}

// summaryPlace is where the last piece of visible reasoning belonged, so that parts are set apart.
type summaryPlace struct{ item, part int64 }

func (a *answer) emit(c core.Chunk) {
	if !a.gone {
		a.gone = !a.yield(c, nil)
	}
}

// event takes the next event and reports whether it was the final one. The error is a *failure.
// Events: OpenAI's API reference, "Streaming events" of Responses.
func (a *answer) event(e responses.ResponseStreamEventUnion) (done bool, err error) {
	index := int(e.OutputIndex)
	switch e.Type {
	case "response.output_item.added":
		if e.Item.Type == "reasoning" {
			a.summary = summaryPlace{item: e.OutputIndex}
			a.emit(core.Chunk{Type: core.ChunkThinking, Index: index})
		}
	case "response.reasoning_summary_text.delta":
		text := e.Delta
		if a.summary.item == e.OutputIndex && a.summary.part != e.SummaryIndex {
			text = "\n\n" + text
		}
		a.summary = summaryPlace{item: e.OutputIndex, part: e.SummaryIndex}
		a.emit(core.Chunk{Type: core.ChunkThinking, Index: index, Text: text})
	case "response.output_text.delta":
		a.emit(core.Chunk{Type: core.ChunkText, Index: index, Text: e.Delta})
	case "response.refusal.delta":
		a.refused = true
		a.emit(core.Chunk{Type: core.ChunkText, Index: index, Text: e.Delta})
	case "response.output_item.done":
		a.item(e.Item, index)
	case "response.completed", "response.incomplete":
		a.finish(e)
		return true, nil
	case "response.failed":
		f := e.Response.Error
		return false, &failure{upstream.Complaint{Type: f.Type, Code: string(f.Code), Param: f.Param, Message: f.Message, Request: e.Response.ID}}
	case "error":
		return false, &failure{complaintOf([]byte(e.RawJSON()))}
	}
	return false, nil
}

// item hands out what is complete only now: a call or a piece of reasoning.
func (a *answer) item(item responses.ResponseOutputItemUnion, index int) {
	switch item.Type {
	case "function_call":
		a.called = true
		a.emit(core.Chunk{Type: core.ChunkToolCall, Index: index, Call: &core.ToolCall{
			ID: item.CallID, Name: item.Name, Input: item.Arguments.OfString,
		}})
	case "reasoning":
		t := &core.Thinking{Item: item.ID, Vendor: Kind}
		if item.EncryptedContent != "" { // without it the vendor, who stored nothing, could not read the item
			t.Opaque = item.RawJSON()
		}
		for i, s := range item.Summary {
			if i > 0 {
				t.Text += "\n\n"
			}
			t.Text += s.Text
		}
		a.emit(core.Chunk{Type: core.ChunkThought, Index: index, Thinking: t})
	}
}

func (a *answer) finish(e responses.ResponseStreamEventUnion) {
	if u := e.Response.Usage; u.TotalTokens > 0 || u.InputTokens > 0 || u.OutputTokens > 0 {
		d := u.InputTokensDetails
		a.emit(core.Chunk{Type: core.ChunkUsage, Usage: core.Usage{
			// The vendor's input count includes what came from and went to the cache; ours does not.
			InputTokens:  max(u.InputTokens-d.CachedTokens-d.CacheWriteTokens, 0),
			OutputTokens: u.OutputTokens, CacheReadTokens: d.CachedTokens, CacheCreationTokens: d.CacheWriteTokens,
		}})
	}
	stop := core.StopModelEnd
	switch reason := e.Response.IncompleteDetails.Reason; {
	case reason == "content_filter" || a.refused:
		stop = core.StopModelRefusal
	case e.Type == "response.incomplete":
		stop = core.StopModelMaxTokens
	case a.called:
		stop = core.StopModelTools
	}
	a.emit(core.Chunk{Type: core.ChunkStop, Stop: stop})
}
