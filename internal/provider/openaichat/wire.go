package openaichat

import (
	"encoding/json"

	"github.com/reeve-ai/reeve/internal/provider/upstream"
)

// request is the body of POST /chat/completions, as far as it is used.
type request struct {
	Model               string         `json:"model"`
	Messages            []message      `json:"messages"`
	Tools               []tool         `json:"tools,omitempty"`
	Stream              bool           `json:"stream"`
	StreamOptions       *streamOptions `json:"stream_options,omitempty"`
	MaxTokens           int64          `json:"max_tokens,omitempty"`
	MaxCompletionTokens int64          `json:"max_completion_tokens,omitempty"`
	ReasoningEffort     string         `json:"reasoning_effort,omitempty"`
}

type streamOptions struct {
	IncludeUsage bool `json:"include_usage"`
}

type message struct {
	Role       string `json:"role"`
	Content    any    `json:"content"` // a string, []part, or null beside tool calls
	ToolCalls  []call `json:"tool_calls,omitempty"`
	ToolCallID string `json:"tool_call_id,omitempty"`

	// Reasoning goes back under the name under which the server sent it.
	ReasoningContent string `json:"reasoning_content,omitempty"`
	Reasoning        string `json:"reasoning,omitempty"`
}

type part struct {
	Type     string    `json:"type"`
	Text     string    `json:"text,omitempty"`
	ImageURL *imageURL `json:"image_url,omitempty"`
}

type imageURL struct {
	URL string `json:"url"`
}

type tool struct {
	Type     string   `json:"type"`
	Function function `json:"function"`
}

type function struct {
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	Parameters  json.RawMessage `json:"parameters"`
}

type call struct {
	Index    *int         `json:"index,omitempty"`
	ID       string       `json:"id,omitempty"`
	Type     string       `json:"type,omitempty"`
	Function functionCall `json:"function"`
}

type functionCall struct {
	Name      string    `json:"name,omitempty"`
	Arguments arguments `json:"arguments"`
}

// arguments is JSON in a string, as OpenAI has it; some servers send the object itself.
type arguments string

func (a *arguments) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) != nil {
		s = string(b)
	}
	if s == "null" {
		s = ""
	}
	*a = arguments(s)
	return nil
}

// frame is one event of a stream, or a whole answer.
type frame struct {
	Choices []choice `json:"choices"`
	Usage   *usage   `json:"usage"`
	Error   *fault   `json:"error"`

	Message json.RawMessage `json:"message"` // of an error that came without "error"
}

type choice struct {
	Index        int    `json:"index"`
	Delta        delta  `json:"delta"`
	Message      delta  `json:"message"` // of an answer that is not a stream
	FinishReason string `json:"finish_reason"`
	Error        *fault `json:"error"` // OpenRouter
}

type delta struct {
	Content          text   `json:"content"`
	ReasoningContent string `json:"reasoning_content"`
	Reasoning        string `json:"reasoning"`
	Refusal          string `json:"refusal"`
	ToolCalls        []call `json:"tool_calls"`
}

// text is a string; some servers send a list of text parts.
type text string

func (t *text) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) == nil { // also null
		*t = text(s)
		return nil
	}
	var parts []part
	if err := json.Unmarshal(b, &parts); err != nil {
		return err
	}
	for _, p := range parts {
		*t += text(p.Text)
	}
	return nil
}

type usage struct {
	PromptTokens     int64 `json:"prompt_tokens"`
	CompletionTokens int64 `json:"completion_tokens"`
	Details          struct {
		CachedTokens int64 `json:"cached_tokens"`
	} `json:"prompt_tokens_details"`
	CacheHitTokens int64 `json:"prompt_cache_hit_tokens"` // DeepSeek
}

// fault is an error in the server's words: an object, or a bare string.
type fault struct {
	Type    string
	Code    string
	Param   string
	Message string
}

func (f *fault) UnmarshalJSON(b []byte) error {
	if json.Unmarshal(b, &f.Message) == nil {
		return nil
	}
	var o struct {
		Type    string          `json:"type"`
		Code    json.RawMessage `json:"code"` // a string, a number or null
		Param   json.RawMessage `json:"param"`
		Message json.RawMessage `json:"message"`
	}
	if err := json.Unmarshal(b, &o); err != nil {
		return err
	}
	*f = fault{Type: o.Type, Code: word(o.Code), Param: word(o.Param), Message: word(o.Message)}
	return nil
}

// word is a member that may be a string, a number, null or absent.
func word(raw json.RawMessage) string {
	var s string
	if len(raw) > 0 && json.Unmarshal(raw, &s) != nil {
		return string(raw)
	}
	return s
}

func (f *fault) complaint() upstream.Complaint {
	return upstream.Complaint{Type: f.Type, Code: f.Code, Param: f.Param, Message: f.Message}
}

// failure is an error that the server reported inside the stream.
type failure struct{ upstream.Complaint }

func (*failure) Error() string { return "the server reported an error inside the stream" }
