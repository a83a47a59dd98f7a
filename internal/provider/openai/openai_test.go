package openai_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/provider/openai"
	"github.com/reeve-ai/reeve/internal/provider/providertest"
	"github.com/reeve-ai/reeve/internal/provider/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(url string, client *http.Client) core.Provider {
	return openai.New(upstream.Endpoint{Name: "OpenAI", BaseURL: url, Key: providertest.Key, KeyFrom: "TEST_KEY", HTTP: client})
}

func serve(t *testing.T, answers ...providertest.Answer) (core.Provider, *providertest.Server) {
	t.Helper()
	s := providertest.Serve(t, answers...)
	return open(s.URL, s.Client), s
}

// frame writes an event of the Responses API.
func frame(event, members string) string {
	return fmt.Sprintf("event: %[1]s\ndata: {\"type\":%[1]q,%[2]s}\n\n", event, members)
}

var (
	begin = frame("response.created", `"response":{"id":"resp_1","status":"in_progress"}`) +
		frame("response.output_text.delta", `"output_index":0,"content_index":0,"delta":"Hel"`)
	rest = frame("response.output_text.delta", `"output_index":0,"content_index":0,"delta":"lo"`)
	end  = frame("response.completed", `"response":{"id":"resp_1","status":"completed","error":null,"usage":{"input_tokens":3,"output_tokens":2,"total_tokens":5}}`)
)

func errorBody(errType, code, message string) string {
	b, _ := json.Marshal(map[string]any{"error": map[string]any{"type": errType, "code": code, "message": message, "param": nil}})
	return string(b)
}

func failed(code, message string) string {
	return frame("response.failed", fmt.Sprintf(`"response":{"id":"resp_1","status":"failed","error":{"code":%q,"message":%q}}`, code, message))
}

func TestPromises(t *testing.T) {
	t.Parallel()
	providertest.Run(t, providertest.Wire{
		New: open, Begin: begin, End: rest + end, Error: errorBody,
		Broken: "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\n\n",
		Events: map[core.ModelErrorType]string{
			core.ModelOverloaded:  frame("error", `"code":"server_is_overloaded","message":"busy","param":null`),
			core.ModelRateLimited: failed("rate_limit_exceeded", "Rate limit reached. Please try again in 1.5s."),
			core.ModelFailed:      failed("server_error", "oops"),
			core.ModelBilling:     "event: error\ndata: " + errorBody("insufficient_quota", "insufficient_quota", "You exceeded your current quota") + "\n\n",
			core.ModelUnknown:     frame("error", `"code":"brand_new","message":"?","param":null`),
		},
	})
}

func TestWaitInsideTheStreamIsReadFromTheMessage(t *testing.T) {
	t.Parallel()
	p, _ := serve(t, providertest.Answer{Body: begin + failed("rate_limit_exceeded", "Rate limit reached. Please try again in 1.5s.")})
	if _, e := providertest.Refused(t, p, providertest.Hi); e.RetryAfter != 1500*time.Millisecond {
		t.Errorf("RetryAfter %s, want 1.5s", e.RetryAfter)
	}
}

func TestAnswerWithReasoningTextAndParallelTools(t *testing.T) {
	t.Parallel()
	p, _ := serve(t, providertest.Answer{Body: providertest.Recording(t, "tools.sse")})
	got := providertest.Answered(t, p, providertest.Hi)
	want := []core.Chunk{
		{Type: core.ChunkThinking},
		{Type: core.ChunkThinking, Text: "Two "},
		{Type: core.ChunkThinking, Text: "cities."},
		{Type: core.ChunkThinking, Text: "\n\nTwo calls."},
		{Type: core.ChunkThought, Thinking: &core.Thinking{
			Text: "Two cities.\n\nTwo calls.", Vendor: "openai", Item: "rs_1",
			Opaque: `{"id":"rs_1","type":"reasoning","summary":[{"type":"summary_text","text":"Two cities."},{"type":"summary_text","text":"Two calls."}],"encrypted_content":"gAAA-whole"}`,
		}},
		{Type: core.ChunkText, Index: 1, Text: "Okay, "},
		{Type: core.ChunkText, Index: 1, Text: "I check."},
		{Type: core.ChunkToolCall, Index: 2, Call: &core.ToolCall{ID: "call_A", Name: "weather", Input: `{"city":"San José"}`}},
		{Type: core.ChunkToolCall, Index: 3, Call: &core.ToolCall{ID: "call_B", Name: "now", Input: "{}"}},
		{Type: core.ChunkUsage, Usage: core.Usage{InputTokens: 132, OutputTokens: 89, CacheReadTokens: 768, CacheCreationTokens: 100}},
		{Type: core.ChunkStop, Stop: core.StopModelTools},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("chunks differ (-want +got):\n%s", diff)
	}
}

func TestStopReasons(t *testing.T) {
	t.Parallel()
	incomplete := func(reason string) string {
		return frame("response.incomplete", fmt.Sprintf(`"response":{"id":"resp_1","status":"incomplete","incomplete_details":{"reason":%q}}`, reason))
	}
	for name, tc := range map[string]struct {
		body string
		want core.Stop
	}{
		"completed":      {begin + end, core.StopModelEnd},
		"max tokens":     {begin + incomplete("max_output_tokens"), core.StopModelMaxTokens},
		"content filter": {begin + incomplete("content_filter"), core.StopModelRefusal},
		"refusal":        {frame("response.refusal.delta", `"output_index":0,"delta":"No."`) + end, core.StopModelRefusal},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, _ := serve(t, providertest.Answer{Body: tc.body})
			chunks := providertest.Answered(t, p, providertest.Hi)
			if got := chunks[len(chunks)-1].Stop; got != tc.want {
				t.Errorf("stop %q, want %q", got, tc.want)
			}
		})
	}
}

func text(s string) core.ModelPart {
	return core.ModelPart{Block: &core.Block{Type: core.BlockText, Text: s}}
}

const item = `{"id":"rs_1","type":"reasoning","summary":[{"type":"summary_text","text":"Look."}],"encrypted_content":"gAAA"}`

var history = core.ModelRequest{
	Model: "gpt-6-sol", Effort: "high", System: "Be brief.", MaxTokens: 9000,
	Tools: []core.ToolSpec{{Name: "weather", Description: "Weather.", InputSchema: json.RawMessage(`{"type":"object","properties":{"city":{"type":"string"}}}`)}},
	Messages: []core.ModelMessage{
		{Role: core.RoleUser, Parts: []core.ModelPart{
			text("Weather?"),
			{Block: &core.Block{Type: core.BlockImage, Source: &core.Source{Type: "base64", MediaType: "image/png", Data: "iVBORw0="}}},
			{Block: &core.Block{Type: core.BlockDocument, Title: "plan.pdf", Source: &core.Source{Type: "base64", MediaType: "application/pdf", Data: "JVBERi0="}}},
			{Block: &core.Block{Type: core.BlockDocument, Title: "Notes", Source: &core.Source{Type: "text", Data: "All of it."}}},
			{Block: &core.Block{Type: core.BlockDocument, Source: &core.Source{Type: "url", URL: "https://example.com/a.pdf"}}},
		}},
		{Role: core.RoleAssistant, Parts: []core.ModelPart{
			{Thinking: &core.Thinking{Text: "Claude's", Signature: "sig", Vendor: "anthropic"}},
			{Thinking: &core.Thinking{Text: "Look.", Opaque: item, Vendor: "openai", Item: "rs_1"}},
			text("I check."),
			{Call: &core.ModelCall{ID: "call_A", Name: "weather", Input: json.RawMessage(`{"city":"Rome"}`)}},
			{Call: &core.ModelCall{ID: "call_B", Name: "weather", Input: json.RawMessage(`{"city":"Oslo"}`)}},
		}},
		{Role: core.RoleUser, Parts: []core.ModelPart{
			text("And hurry."),
			{Result: &core.ModelResult{CallID: "call_A", Name: "weather", Content: core.Text("12 °C")}},
			{Result: &core.ModelResult{CallID: "call_B", Name: "weather", Content: append(core.Text("no service"), core.Block{Type: core.BlockImage, Source: &core.Source{Type: "url", URL: "https://example.com/map.png"}}), IsError: true}},
		}},
		{Role: core.RoleAssistant, Parts: []core.ModelPart{ // interrupted: nothing follows the reasoning
			{Thinking: &core.Thinking{Opaque: strings.ReplaceAll(item, "rs_1", "rs_2"), Vendor: "openai", Item: "rs_2"}},
		}},
		{Role: core.RoleUser, Parts: []core.ModelPart{text("Go on.")}},
	},
}

const historyBody = `{
	"model": "gpt-6-sol", "max_output_tokens": 9000, "store": false, "stream": true, "instructions": "Be brief.",
	"include": ["reasoning.encrypted_content"], "reasoning": {"effort": "high", "summary": "auto"},
	"tools": [{"type": "function", "name": "weather", "description": "Weather.", "strict": false, "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}],
	"input": [
		{"role": "user", "content": [
			{"type": "input_text", "text": "Weather?"},
			{"type": "input_image", "detail": "auto", "image_url": "data:image/png;base64,iVBORw0="},
			{"type": "input_file", "filename": "plan.pdf", "file_data": "data:application/pdf;base64,JVBERi0="},
			{"type": "input_text", "text": "Notes\n\nAll of it."},
			{"type": "input_file", "file_url": "https://example.com/a.pdf"}
		]},
		` + item + `,
		{"role": "assistant", "content": "I check."},
		{"type": "function_call", "call_id": "call_A", "name": "weather", "arguments": "{\"city\":\"Rome\"}"},
		{"type": "function_call", "call_id": "call_B", "name": "weather", "arguments": "{\"city\":\"Oslo\"}"},
		{"type": "function_call_output", "call_id": "call_A", "output": "12 °C"},
		{"type": "function_call_output", "call_id": "call_B", "output": [
			{"type": "input_text", "text": "The tool call failed."},
			{"type": "input_text", "text": "no service"},
			{"type": "input_image", "image_url": "https://example.com/map.png"}
		]},
		{"role": "user", "content": [{"type": "input_text", "text": "And hurry."}]},
		{"role": "user", "content": [{"type": "input_text", "text": "Go on."}]}
	]
}`

func TestHistoryGoesOutWhole(t *testing.T) {
	t.Parallel()
	p, s := serve(t, providertest.Answer{Body: begin + end})
	providertest.Answered(t, p, history)
	sent := s.Requests()[0]
	if sent.Path != "/v1/responses" || sent.Header.Get("Authorization") != "Bearer "+providertest.Key {
		t.Errorf("path %s, headers %v", sent.Path, sent.Header)
	}
	providertest.EqualJSON(t, "request", historyBody, sent.Body)
}

func TestPlainModelsGetNoReasoningMembers(t *testing.T) {
	t.Parallel()
	for model, want := range map[string]bool{"gpt-4.1": false, "gpt-4o-mini": false, "gpt-5-chat-latest": false, "gpt-5": true, "gpt-5.6-terra": true, "o3": true, "gpt-10": true} {
		p, s := serve(t, providertest.Answer{Body: begin + end})
		req := providertest.Hi
		req.Model = model
		providertest.Answered(t, p, req)
		if got := strings.Contains(s.Requests()[0].Body, `"reasoning`); got != want {
			t.Errorf("%s: reasoning members sent: %t, want %t", model, got, want)
		}
	}
}

func TestSummariesAreDroppedForUnverifiedOrganizations(t *testing.T) {
	t.Parallel()
	p, s := serve(t,
		providertest.Answer{Status: 400, Body: `{"error":{"message":"Your organization must be verified to generate reasoning summaries.","type":"invalid_request_error","param":"reasoning.summary","code":"unsupported_value"}}`},
		providertest.Answer{Body: begin + end}, providertest.Answer{Body: begin + end})
	providertest.Answered(t, p, history)
	providertest.Answered(t, p, history) // remembered: asked only once
	var got []bool
	for _, r := range s.Requests() {
		got = append(got, strings.Contains(r.Body, `"summary":"auto"`))
	}
	if diff := cmp.Diff([]bool{true, false, false}, got); diff != "" {
		t.Errorf("summaries asked for (-want +got):\n%s", diff)
	}
}

func TestReasoningOfAnotherOrganizationIsLeftOut(t *testing.T) {
	t.Parallel()
	p, s := serve(t,
		providertest.Answer{Status: 400, Body: `{"error":{"message":"The encrypted content gAAA could not be verified.","type":"invalid_request_error","param":null,"code":"invalid_encrypted_content"}}`},
		providertest.Answer{Body: begin + rest + end})
	if got := providertest.Words(providertest.Answered(t, p, history)); got != "Hello" {
		t.Errorf("text %q", got)
	}
	if sent := s.Requests()[1].Body; strings.Contains(sent, "rs_1") || !strings.Contains(sent, "call_A") {
		t.Errorf("second request %s", sent)
	}
}
