package openaichat_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/provider/openaichat"
	"github.com/reeve-ai/reeve/internal/provider/providertest"
	"github.com/reeve-ai/reeve/internal/provider/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(url string, client *http.Client) core.Provider {
	return openaichat.New(upstream.Endpoint{Name: "The server", BaseURL: url, Key: providertest.Key, KeyFrom: "TEST_KEY", HTTP: client})
}

func serve(t *testing.T, answers ...providertest.Answer) (core.Provider, *providertest.Server) {
	t.Helper()
	s := providertest.Serve(t, answers...)
	return open(s.URL, s.Client), s
}

// choice writes an event with one choice.
func choice(delta, finish string) string {
	if finish != "" {
		finish = fmt.Sprintf(`,"finish_reason":%q`, finish)
	}
	return fmt.Sprintf("data: {\"choices\":[{\"index\":0,\"delta\":%s%s}]}\n\n", delta, finish)
}

var (
	begin = choice(`{"role":"assistant","content":"Hel"}`, "")
	rest  = choice(`{"content":"lo"}`, "")
	done  = "data: [DONE]\n\n"
	end   = choice(`{}`, "stop") + done
)

func errorBody(errType, code, message string) string {
	b, _ := json.Marshal(map[string]any{"error": map[string]any{"type": errType, "code": code, "message": message, "param": nil}})
	return string(b)
}

func TestPromises(t *testing.T) {
	t.Parallel()
	providertest.Run(t, providertest.Wire{
		New: open, Begin: begin, End: rest + end, Error: errorBody,
		Broken: "data: {\"choices\":[{\n\n",
		Events: map[core.ModelErrorType]string{
			core.ModelOverloaded:  "data: {\"error\":{\"code\":503,\"message\":\"Provider overloaded\"}}\n\n",
			core.ModelRateLimited: "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"error\",\"error\":{\"code\":429,\"message\":\"slow down\"}}]}\n\n",
			core.ModelFailed:      "error: {\"code\":500,\"message\":\"slot failed\",\"type\":\"server_error\"}\n\n",
			core.ModelBilling:     "data: " + errorBody("insufficient_quota", "", "You exceeded your current quota") + "\n\n",
			core.ModelUnknown:     "data: {\"error\":\"model runner has stopped\"}\n\n",
		},
	})
}

func TestAnswerWithReasoningTextAndParallelTools(t *testing.T) {
	t.Parallel()
	p, _ := serve(t, providertest.Answer{Body: providertest.Recording(t, "tools.sse")})
	got := providertest.Answered(t, p, providertest.Hi)
	want := []core.Chunk{
		{Type: core.ChunkThinking, Text: "Two "},
		{Type: core.ChunkThinking, Text: "calls."},
		{Type: core.ChunkThought, Thinking: &core.Thinking{Text: "Two calls.", Vendor: "openai-chat", Item: "reasoning_content"}},
		{Type: core.ChunkText, Index: 1, Text: "Okay, "},
		{Type: core.ChunkText, Index: 1, Text: "I check."},
		{Type: core.ChunkToolCall, Index: 2, Call: &core.ToolCall{ID: "call_A", Name: "weather", Input: `{"city":"San José"}`}},
		{Type: core.ChunkToolCall, Index: 3, Call: &core.ToolCall{ID: "call_B", Name: "now", Input: "{}"}},
		{Type: core.ChunkUsage, Usage: core.Usage{InputTokens: 232, OutputTokens: 89, CacheReadTokens: 768}},
		{Type: core.ChunkStop, Stop: core.StopModelTools},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("chunks differ (-want +got):\n%s", diff)
	}
}

func TestServersThatDiffer(t *testing.T) {
	t.Parallel()
	stop := func(s core.Stop) core.Chunk { return core.Chunk{Type: core.ChunkStop, Stop: s} }
	hel := core.Chunk{Type: core.ChunkText, Text: "Hel"}
	for name, tc := range map[string]struct {
		answer providertest.Answer
		want   []core.Chunk
	}{
		"no usage, no [DONE]": {
			providertest.Answer{Body: begin + choice(`{}`, "stop")},
			[]core.Chunk{hel, stop(core.StopModelEnd)},
		},
		"cut after finish_reason": {
			providertest.Answer{Body: begin + choice(`{}`, "length"), End: providertest.Cut},
			[]core.Chunk{hel, stop(core.StopModelMaxTokens)},
		},
		"[DONE] without finish_reason or last empty line": {
			providertest.Answer{Body: begin + "data: [DONE]"},
			[]core.Chunk{hel, stop(core.StopModelEnd)},
		},
		"content filter, CR LF, comments": {
			providertest.Answer{Body: strings.ReplaceAll(": hello\n\n"+begin+choice(`{}`, "content_filter")+done, "\n", "\r\n")},
			[]core.Chunk{hel, stop(core.StopModelRefusal)},
		},
		"data over several lines, content in parts": {
			providertest.Answer{Body: "data: {\"choices\":[{\"index\":0,\ndata: \"delta\":{\"content\":[{\"type\":\"text\",\"text\":\"Hel\"}]}}]}\n\n" + end},
			[]core.Chunk{hel, stop(core.StopModelEnd)},
		},
		"calls without index, arguments as object, finish stop": {
			providertest.Answer{Body: choice(`{"tool_calls":[{"id":"a","function":{"name":"now","arguments":{"zone":"UTC"}}},{"id":"b","function":{"name":"now","arguments":"{}"}}]}`, "") + end},
			[]core.Chunk{
				{Type: core.ChunkToolCall, Index: 1, Call: &core.ToolCall{ID: "a", Name: "now", Input: `{"zone":"UTC"}`}},
				{Type: core.ChunkToolCall, Index: 2, Call: &core.ToolCall{ID: "b", Name: "now", Input: `{}`}},
				stop(core.StopModelTools),
			},
		},
		"reasoning under its other name": {
			providertest.Answer{Body: choice(`{"reasoning":"Hm."}`, "") + end},
			[]core.Chunk{
				{Type: core.ChunkThinking, Text: "Hm."},
				{Type: core.ChunkThought, Thinking: &core.Thinking{Text: "Hm.", Vendor: "openai-chat", Item: "reasoning"}},
				stop(core.StopModelEnd),
			},
		},
		"one document instead of a stream": {
			providertest.Answer{
				Header: map[string]string{"Content-Type": "application/json"},
				Body:   `{"choices":[{"index":0,"message":{"role":"assistant","content":"Hel"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":2,"prompt_cache_hit_tokens":4}}`,
			},
			[]core.Chunk{hel, {Type: core.ChunkUsage, Usage: core.Usage{InputTokens: 5, OutputTokens: 2, CacheReadTokens: 4}}, stop(core.StopModelEnd)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, _ := serve(t, tc.answer)
			if diff := cmp.Diff(tc.want, providertest.Answered(t, p, providertest.Hi)); diff != "" {
				t.Errorf("chunks differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCallsWithoutIDGetOne(t *testing.T) {
	t.Parallel()
	p, _ := serve(t, providertest.Answer{Body: choice(`{"tool_calls":[{"index":0,"function":{"name":"a","arguments":"{}"}},{"index":1,"function":{"name":"b","arguments":"{}"}}]}`, "") + end})
	var ids []string
	for _, c := range providertest.Answered(t, p, providertest.Hi) {
		if c.Call != nil {
			ids = append(ids, c.Call.ID)
		}
	}
	if len(ids) != 2 || ids[0] == ids[1] || !strings.HasPrefix(ids[0], "call_") {
		t.Errorf("ids %q", ids)
	}
}

func text(s string) core.ModelPart {
	return core.ModelPart{Block: &core.Block{Type: core.BlockText, Text: s}}
}

func calling(id, name, input string) core.ModelPart {
	return core.ModelPart{Call: &core.ModelCall{ID: id, Name: name, Input: json.RawMessage(input)}}
}

func TestHistoryGoesOutWhole(t *testing.T) {
	t.Parallel()
	p, s := serve(t, providertest.Answer{Body: begin + end})
	thought := core.ModelPart{Thinking: &core.Thinking{Text: "Hm.", Vendor: "openai-chat", Item: "reasoning_content"}}
	providertest.Answered(t, p, core.ModelRequest{
		Model: "qwen3", System: "Be brief.", MaxTokens: 9000, Effort: "low",
		Tools: []core.ToolSpec{{Name: "weather", InputSchema: json.RawMessage(`{"type":"object","properties":{"city":{"type":"string"}}}`)}},
		Messages: []core.ModelMessage{
			{Role: core.RoleUser, Parts: []core.ModelPart{text("Weather?"), text("Now.")}},
			{Role: core.RoleAssistant, Parts: []core.ModelPart{thought, text("Sure."), calling("functions.weather:0", "weather", `{"city":"Rome"}`)}},
			{Role: core.RoleUser, Parts: []core.ModelPart{
				text("And hurry."),
				{Result: &core.ModelResult{CallID: "functions.weather:0", Name: "weather", Content: core.Text("12 °C")}},
			}},
			{Role: core.RoleAssistant, Parts: []core.ModelPart{thought, calling("c2", "weather", `nonsense`)}},
			{Role: core.RoleUser, Parts: []core.ModelPart{{Result: &core.ModelResult{
				CallID: "c2", Name: "weather", IsError: true,
				Content: append(core.Text("no service"), core.Block{Type: core.BlockImage, Source: &core.Source{Type: "base64", MediaType: "image/png", Data: "iVBORw0="}}),
			}}}},
		},
	})
	sent := s.Requests()[0]
	if sent.Path != "/v1/chat/completions" || sent.Header.Get("Authorization") != "Bearer "+providertest.Key {
		t.Errorf("path %s, headers %v", sent.Path, sent.Header)
	}
	providertest.EqualJSON(t, "request", `{
		"model": "qwen3", "max_tokens": 9000, "stream": true, "stream_options": {"include_usage": true}, "reasoning_effort": "low",
		"tools": [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}],
		"messages": [
			{"role": "system", "content": "Be brief."},
			{"role": "user", "content": "Weather?\n\nNow."},
			{"role": "assistant", "content": "Sure.", "tool_calls": [{"id": "functions.weather:0", "type": "function", "function": {"name": "weather", "arguments": "{\"city\":\"Rome\"}"}}]},
			{"role": "tool", "tool_call_id": "functions.weather:0", "content": "12 °C"},
			{"role": "user", "content": "And hurry."},
			{"role": "assistant", "content": null, "reasoning_content": "Hm.", "tool_calls": [{"id": "c2", "type": "function", "function": {"name": "weather", "arguments": "{}"}}]},
			{"role": "tool", "tool_call_id": "c2", "content": "The tool call failed.\nno service\n\n(an image, shown below)"},
			{"role": "user", "content": [
				{"type": "text", "text": "Image in the result of tool call c2:"},
				{"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0="}}
			]}
		]
	}`, sent.Body)
}

func TestRefusedParametersAreLeftOut(t *testing.T) {
	t.Parallel()
	ok := providertest.Answer{Body: begin + rest + end}
	refusal := func(message string) providertest.Answer {
		return providertest.Answer{Status: 400, Body: errorBody("invalid_request_error", "", message)}
	}
	for name, tc := range map[string]struct {
		first, second, want string // members that were sent: by the first call, by a second one, after the refusal
		message             string
	}{
		"stream_options": {
			message: "unknown field stream_options", want: "max_tokens", first: "max_tokens stream_options", second: "max_tokens",
		},
		"max_tokens by another name": {
			message: "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.",
			want:    "max_completion_tokens stream_options", first: "max_tokens stream_options", second: "max_completion_tokens stream_options",
		},
		"max_tokens too large for this call only": {
			message: "'max_tokens' is too large: 100. This model's maximum context length is 90 tokens.",
			want:    "stream_options", first: "max_tokens stream_options", second: "max_tokens stream_options",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, s := serve(t, refusal(tc.message), ok, ok)
			for range 2 {
				if got := providertest.Words(providertest.Answered(t, p, providertest.Hi)); got != "Hello" {
					t.Errorf("text %q", got)
				}
			}
			var got []string
			for _, r := range s.Requests() {
				var members []string
				for _, m := range []string{"max_completion_tokens", "max_tokens", "stream_options"} {
					if strings.Contains(r.Body, `"`+m+`"`) {
						members = append(members, m)
					}
				}
				got = append(got, strings.Join(members, " "))
			}
			if diff := cmp.Diff([]string{tc.first, tc.want, tc.second}, got); diff != "" {
				t.Errorf("members sent (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("a conversation that does not fit stays an error", func(t *testing.T) {
		t.Parallel()
		long := refusal("max_tokens: this model's maximum context length is 90 tokens")
		p, _ := serve(t, long, long)
		if _, e := providertest.Refused(t, p, providertest.Hi); e.Retryable || !strings.Contains(e.Message, "context window") {
			t.Errorf("error %v", e)
		}
	})
}

func TestBaseURLMayNameThePathOrNot(t *testing.T) {
	t.Parallel()
	for suffix, want := range map[string]string{
		"": "/v1/chat/completions", "/": "/v1/chat/completions", "/v1/": "/v1/chat/completions",
		"/api/v2": "/api/v2/chat/completions", "/v1/chat/completions": "/v1/chat/completions",
	} {
		s := providertest.Serve(t, providertest.Answer{Body: begin + end})
		providertest.Answered(t, open(s.URL+suffix, s.Client), providertest.Hi)
		if got := s.Requests()[0].Path; got != want {
			t.Errorf("base URL with %q: path %s, want %s", suffix, got, want)
		}
	}
}
