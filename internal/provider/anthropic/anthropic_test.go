package anthropic_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/provider/anthropic"
	"github.com/reeve-ai/reeve/internal/provider/providertest"
	"github.com/reeve-ai/reeve/internal/provider/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(url string, client *http.Client) core.Provider {
	return anthropic.New(upstream.Endpoint{
		Name: "Anthropic", BaseURL: url, Key: providertest.Key, KeyFrom: "TEST_KEY", HTTP: client,
		Headers: map[string]string{"x-team": "reeve"},
	})
}

func serve(t *testing.T, answers ...providertest.Answer) (core.Provider, *providertest.Server) {
	t.Helper()
	s := providertest.Serve(t, answers...)
	return open(s.URL, s.Client), s
}

const begin = `event: message_start
data: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","content":[],"usage":{"input_tokens":3,"output_tokens":1}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hel"}}

`

func ending(stop string) string {
	return `event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"lo"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"` + stop + `"},"usage":{"output_tokens":2}}

event: message_stop
data: {"type":"message_stop"}

`
}

func errorBody(errType, _, message string) string {
	b, _ := json.Marshal(map[string]any{"type": "error", "error": map[string]string{"type": errType, "message": message}, "request_id": "req_1"})
	return string(b)
}

func event(errType, message string) string {
	return "event: error\ndata: " + errorBody(errType, "", message) + "\n\n"
}

func TestPromises(t *testing.T) {
	t.Parallel()
	providertest.Run(t, providertest.Wire{
		New: open, Begin: begin, End: ending("end_turn"), Error: errorBody,
		Broken: "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\n\n",
		Events: map[core.ModelErrorType]string{
			core.ModelOverloaded:  event("overloaded_error", "Overloaded"),
			core.ModelRateLimited: event("rate_limit_error", "slow down"),
			core.ModelFailed:      event("api_error", "Internal server error"),
			core.ModelBilling:     event("billing_error", "no credit"),
			core.ModelUnknown:     event("brand_new_error", "?"),
		},
	})
}

func TestAnswerWithThinkingTextAndParallelTools(t *testing.T) {
	t.Parallel()
	p, _ := serve(t, providertest.Answer{Body: providertest.Recording(t, "tools.sse")})
	got := providertest.Answered(t, p, providertest.Hi)
	usage := core.Usage{InputTokens: 12, OutputTokens: 1, CacheReadTokens: 500, CacheCreationTokens: 30}
	final := usage
	final.OutputTokens = 89
	want := []core.Chunk{
		{Type: core.ChunkUsage, Usage: usage},
		{Type: core.ChunkThinking},
		{Type: core.ChunkThinking, Text: "Two cities, "},
		{Type: core.ChunkThinking, Text: "two calls."},
		{Type: core.ChunkThought, Thinking: &core.Thinking{Text: "Two cities, two calls.", Signature: "EqQBCkYI+sig/nature==", Vendor: "anthropic"}},
		{Type: core.ChunkThought, Index: 1, Thinking: &core.Thinking{Opaque: "EmwKAhgBEgy3va3pzix/redacted", Vendor: "anthropic"}},
		{Type: core.ChunkText, Index: 2, Text: "Okay, "},
		{Type: core.ChunkText, Index: 2, Text: "I check."},
		{Type: core.ChunkToolCall, Index: 3, Call: &core.ToolCall{ID: "toolu_01A", Name: "weather", Input: `{"city": "San José"}`}},
		{Type: core.ChunkToolCall, Index: 4, Call: &core.ToolCall{ID: "toolu_01B", Name: "now"}},
		{Type: core.ChunkUsage, Usage: final},
		{Type: core.ChunkStop, Stop: core.StopModelTools},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("chunks differ (-want +got):\n%s", diff)
	}
}

func TestStopReasons(t *testing.T) {
	t.Parallel()
	for reason, want := range map[string]core.Stop{
		"end_turn": core.StopModelEnd, "stop_sequence": core.StopModelEnd, "tool_use": core.StopModelTools,
		"max_tokens": core.StopModelMaxTokens, "model_context_window_exceeded": core.StopModelMaxTokens,
		"refusal": core.StopModelRefusal,
	} {
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			p, _ := serve(t, providertest.Answer{Body: begin + ending(reason)})
			chunks := providertest.Answered(t, p, providertest.Hi)
			if got := chunks[len(chunks)-1].Stop; got != want {
				t.Errorf("stop %q, want %q", got, want)
			}
		})
	}
}

func text(s string) core.ModelPart {
	return core.ModelPart{Block: &core.Block{Type: core.BlockText, Text: s}}
}

func TestHistoryGoesOutWhole(t *testing.T) {
	t.Parallel()
	p, s := serve(t, providertest.Answer{Body: begin + ending("end_turn")})
	providertest.Answered(t, p, core.ModelRequest{
		Model: "claude-sonnet-5", Effort: "xhigh", System: "Be brief.", MaxTokens: 64000,
		Tools: []core.ToolSpec{
			{Name: "now", Description: "Tells the time."},
			{Name: "weather", InputSchema: json.RawMessage(`{"type":"object","properties":{"city":{"type":"string"}},"required":["city"],"additionalProperties":false}`)},
		},
		Messages: []core.ModelMessage{
			{Role: core.RoleUser, Parts: []core.ModelPart{
				text("Weather?"), text(" \n"),
				{Block: &core.Block{Type: core.BlockImage, Source: &core.Source{Type: "base64", MediaType: "image/png", Data: "iVBORw0="}}},
				{Block: &core.Block{Type: core.BlockImage, Source: &core.Source{Type: "url", URL: "https://example.com/a.png"}}},
				{Block: &core.Block{Type: core.BlockImage, Source: &core.Source{Type: "base64", MediaType: "image/tiff", Data: "AAAA"}}},
				{Block: &core.Block{Type: core.BlockDocument, Title: "Plan", Source: &core.Source{Type: "text", MediaType: "text/plain", Data: "All of it."}, Extra: json.RawMessage(`{"context":"from 2024","citations":{"enabled":true}}`)}},
				{Block: &core.Block{Type: core.BlockDocument, Source: &core.Source{Type: "base64", MediaType: "application/pdf", Data: "JVBERi0="}}},
				{Block: &core.Block{Type: core.BlockDocument, Source: &core.Source{Type: "url", URL: "https://example.com/a.pdf"}}},
			}},
			{Role: core.RoleAssistant, Parts: []core.ModelPart{
				{Thinking: &core.Thinking{Text: "Two calls.", Signature: "sig==", Vendor: "anthropic"}},
				{Thinking: &core.Thinking{Opaque: "redacted==", Vendor: "anthropic"}},
				{Thinking: &core.Thinking{Text: "another vendor's", Opaque: "{}", Vendor: "openai"}},
				text("I check."),
				{Call: &core.ModelCall{ID: "toolu_1", Name: "weather", Input: json.RawMessage(`{"city":"Rome"}`)}},
				{Call: &core.ModelCall{ID: "functions.now:1", Name: "now", Input: json.RawMessage(`not an object`)}},
			}},
			{Role: core.RoleUser, Parts: []core.ModelPart{
				text("And hurry."), // said while the tools ran: must come behind their results
				{Result: &core.ModelResult{CallID: "toolu_1", Name: "weather", Content: append(core.Text("12 °C"), core.Block{Type: core.BlockImage, Source: &core.Source{Type: "base64", MediaType: "image/png", Data: "iVBORw0="}})}},
				{Result: &core.ModelResult{CallID: "functions.now:1", Name: "now", Content: core.Text("no clock"), IsError: true}},
			}},
		},
	})
	sent := s.Requests()[0]
	if sent.Path != "/v1/messages" || sent.Header.Get("X-Api-Key") != providertest.Key || sent.Header.Get("X-Team") != "reeve" || sent.Header.Get("Anthropic-Version") == "" {
		t.Errorf("path %s, headers %v", sent.Path, sent.Header)
	}
	id := upstream.CallID("functions.now:1")
	providertest.EqualJSON(t, "request", fmt.Sprintf(`{
		"model": "claude-sonnet-5", "max_tokens": 64000, "stream": true,
		"thinking": {"type": "adaptive", "display": "summarized"},
		"output_config": {"effort": "xhigh"},
		"system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
		"tools": [
			{"name": "now", "description": "Tells the time.", "input_schema": {"type": "object", "properties": {}}},
			{"name": "weather", "cache_control": {"type": "ephemeral"}, "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": false}}
		],
		"messages": [
			{"role": "user", "content": [
				{"type": "text", "text": "Weather?"},
				{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0="}},
				{"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
				{"type": "text", "text": "[image (image/tiff) is not shown: this model cannot see it]"},
				{"type": "document", "title": "Plan", "context": "from 2024", "citations": {"enabled": true}, "source": {"type": "text", "media_type": "text/plain", "data": "All of it."}},
				{"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}},
				{"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}, "cache_control": {"type": "ephemeral"}}
			]},
			{"role": "assistant", "content": [
				{"type": "thinking", "thinking": "Two calls.", "signature": "sig=="},
				{"type": "redacted_thinking", "data": "redacted=="},
				{"type": "text", "text": "I check."},
				{"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Rome"}},
				{"type": "tool_use", "id": %[1]q, "name": "now", "input": {}}
			]},
			{"role": "user", "content": [
				{"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "12 °C"}, {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0="}}]},
				{"type": "tool_result", "tool_use_id": %[1]q, "is_error": true, "content": [{"type": "text", "text": "no clock"}]},
				{"type": "text", "text": "And hurry.", "cache_control": {"type": "ephemeral"}}
			]}
		]
	}`, id), sent.Body)
}

func TestThinkingFollowsModelAndEffort(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ model, effort, want string }{
		{"claude-sonnet-5", "", `{"thinking":{"type":"adaptive","display":"summarized"}}`},
		{"claude-opus-5-5", "max", `{"thinking":{"type":"adaptive","display":"summarized"},"output_config":{"effort":"max"}}`},
		{"claude-haiku-5-5", "none", `{"thinking":{"type":"adaptive","display":"summarized"},"output_config":{"effort":"low"}}`},
		{"claude-opus-4-7", "", `{}`},
		{"claude-opus-4-7", "xhigh", `{"thinking":{"type":"adaptive","display":"summarized"},"output_config":{"effort":"xhigh"}}`},
		{"claude-sonnet-4-6", "xhigh", `{"thinking":{"type":"adaptive"},"output_config":{"effort":"high"}}`},
		{"claude-opus-4-5-20251101", "max", `{"thinking":{"type":"enabled","budget_tokens":32000},"output_config":{"effort":"high"}}`},
		{"claude-sonnet-4-5-20250929", "low", `{"thinking":{"type":"enabled","budget_tokens":2048}}`},
		{"claude-haiku-4-5", "", `{}`},
		{"claude-opus-4-20250514", "medium", `{"thinking":{"type":"enabled","budget_tokens":8192}}`},
		{"claude-3-5-haiku-20241022", "high", `{}`},
		{"claude-mythos-preview", "high", `{"thinking":{"type":"adaptive","display":"summarized"},"output_config":{"effort":"high"}}`},
		{"glm-4.6", "high", `{"thinking":{"type":"enabled","budget_tokens":16384}}`},
		{"glm-4.6", "", `{}`},
	} {
		t.Run(tc.model+" "+tc.effort, func(t *testing.T) {
			t.Parallel()
			p, s := serve(t, providertest.Answer{Body: begin + ending("end_turn")})
			req := providertest.Hi
			req.Model, req.Effort, req.MaxTokens = tc.model, tc.effort, 64000
			providertest.Answered(t, p, req)
			var all, got map[string]json.RawMessage
			if err := json.Unmarshal([]byte(s.Requests()[0].Body), &all); err != nil {
				t.Fatal(err)
			}
			got = map[string]json.RawMessage{}
			for _, k := range []string{"thinking", "output_config"} {
				if v, ok := all[k]; ok {
					got[k] = v
				}
			}
			b, _ := json.Marshal(got)
			providertest.EqualJSON(t, "thinking", tc.want, string(b))
		})
	}
}

func TestBudgetNeedsRoomAndReasoningInTheToolLoop(t *testing.T) {
	t.Parallel()
	loop := func(parts ...core.ModelPart) []core.ModelMessage {
		call := core.ModelPart{Call: &core.ModelCall{ID: "toolu_1", Name: "now", Input: json.RawMessage(`{}`)}}
		return []core.ModelMessage{
			{Role: core.RoleUser, Parts: []core.ModelPart{text("When?")}},
			{Role: core.RoleAssistant, Parts: append(parts, call)},
			{Role: core.RoleUser, Parts: []core.ModelPart{{Result: &core.ModelResult{CallID: "toolu_1", Name: "now", Content: core.Text("noon")}}}},
		}
	}
	signed := core.ModelPart{Thinking: &core.Thinking{Text: "Look.", Signature: "sig", Vendor: "anthropic"}}
	for name, tc := range map[string]struct {
		messages  []core.ModelMessage
		maxTokens int64
		want      bool
	}{
		"with reasoning":    {loop(signed), 8000, true},
		"without reasoning": {loop(), 8000, false},
		"little room":       {loop(signed), 2000, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, s := serve(t, providertest.Answer{Body: begin + ending("end_turn")})
			providertest.Answered(t, p, core.ModelRequest{Model: "claude-sonnet-4-5", Effort: "high", MaxTokens: tc.maxTokens, Messages: tc.messages})
			if got := strings.Contains(s.Requests()[0].Body, `"budget_tokens"`); got != tc.want {
				t.Errorf("budget sent: %t, want %t", got, tc.want)
			}
		})
	}
}

func TestRefusedReasoningIsLeftOutOnce(t *testing.T) {
	t.Parallel()
	refusal := providertest.Answer{Status: 400, Body: errorBody("invalid_request_error", "", "messages.1.content.0: Invalid `signature` in `thinking` block")}
	req := core.ModelRequest{Model: "claude-sonnet-5", MaxTokens: 1000, Messages: []core.ModelMessage{
		{Role: core.RoleUser, Parts: []core.ModelPart{text("Hi.")}},
		{Role: core.RoleAssistant, Parts: []core.ModelPart{{Thinking: &core.Thinking{Text: "Greet.", Signature: "old", Vendor: "anthropic"}}, text("Hello.")}},
		{Role: core.RoleUser, Parts: []core.ModelPart{text("Bye.")}},
	}}
	t.Run("then it works", func(t *testing.T) {
		t.Parallel()
		p, s := serve(t, refusal, providertest.Answer{Body: begin + ending("end_turn")})
		if got := providertest.Words(providertest.Answered(t, p, req)); got != "Hello" {
			t.Errorf("text %q", got)
		}
		if sent := s.Requests(); !strings.Contains(sent[0].Body, `"old"`) || strings.Contains(sent[1].Body, `"old"`) || !strings.Contains(sent[1].Body, "Bye.") {
			t.Errorf("requests %v", sent)
		}
	})
	t.Run("but not twice", func(t *testing.T) {
		t.Parallel()
		p, _ := serve(t, refusal, refusal)
		if _, e := providertest.Refused(t, p, req); e.Status != 400 {
			t.Errorf("error %v", e)
		}
	})
}

func TestSpeedAndPlaceGoToTheVendor(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		fast             bool
		geo, want, betas string
	}{
		{false, "", `{}`, ""},
		{true, "", `{"speed":"fast"}`, "fast-mode-2026-02-01"},
		{false, "us", `{"inference_geo":"us"}`, ""},
		{true, "global", `{"speed":"fast","inference_geo":"global"}`, "fast-mode-2026-02-01"},
	} {
		p, s := serve(t, providertest.Answer{Body: begin + ending("end_turn")})
		req := providertest.Hi
		req.Fast, req.Geo = c.fast, c.geo
		providertest.Answered(t, p, req)
		sent := s.Requests()[0]
		var all map[string]json.RawMessage
		if err := json.Unmarshal([]byte(sent.Body), &all); err != nil {
			t.Fatal(err)
		}
		got := map[string]json.RawMessage{}
		for _, k := range []string{"speed", "inference_geo"} {
			if v, ok := all[k]; ok {
				got[k] = v
			}
		}
		b, _ := json.Marshal(got)
		providertest.EqualJSON(t, "speed and place", c.want, string(b))
		if betas := sent.Header.Get("Anthropic-Beta"); betas != c.betas {
			t.Errorf("%+v: betas %q", c, betas)
		}
	}
}
