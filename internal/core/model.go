package core

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"iter"
	"time"
)

// Model is one name that clients may ask for, and what stands behind it.
type Model struct {
	Name            string // what clients send: "claude-sonnet-5", "ultimate"
	DisplayName     string
	Provider        string   // the name of the configured provider that serves it
	Target          string   // the vendor's own model id
	MaxInputTokens  int64    // context window; 0: unknown
	MaxOutputTokens int64    // sent as the limit of one call
	Efforts         []string // reasoning efforts that it takes, weakest first; nil: none
	DefaultEffort   string   // empty: none
	Fast            bool     // its vendor has a faster speed
	Geo             bool     // its vendor lets callers choose where it thinks
	Prices          *Prices  // nil: no list price is known
	CreatedAt       time.Time
	Demo            bool // served by the built-in demo model, because nothing else is configured for it
}

// ModelID gives a model's name the 32 lower-case hex digits under which dialects that know models
// only by an id write it (everruns: model_ and these digits): the first 16 bytes of the SHA-256 of
// the name, so that it needs no table and is the same on every node.
func ModelID(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:16])
}

// Models resolves the names that clients send.
type Models interface {
	// Model resolves a name. Empty asks for the system default. A name that nothing can serve is
	// Invalid (code "model_not_available") and the message says what would make it available.
	Model(name string) (Model, error)
	// ModelByID resolves the 32 hex digits that ModelID gives for a name.
	ModelByID(hex string) (Model, bool)
	// Models lists what can be asked for, in the catalogue's order, patterns left out.
	Models() []Model
	// Provider returns the provider that serves m.
	Provider(m Model) (Provider, error)
}

// Provider makes calls to one model vendor. It is used from several goroutines.
type Provider interface {
	// Stream makes one model call. Chunks come in the order in which the vendor sends them; the last
	// one of a call that ended well has Type ChunkStop, and nothing follows it. A call that failed
	// yields a *ModelError (and a zero Chunk) as its last pair. A stream that ends without the
	// vendor's own end mark is a ModelError of type ModelCut: providers never invent a ChunkStop.
	// Stream stops at once when ctx ends, and then yields ctx's error.
	Stream(ctx context.Context, req ModelRequest) iter.Seq2[Chunk, error]
}

// ModelRequest is one model call: the whole conversation so far.
type ModelRequest struct {
	Model     string // the vendor's own id (Model.Target)
	Effort    string // empty: the model's default
	Fast      bool   // at the vendor's faster speed; only for a Model that is Fast
	Geo       string // where the vendor may think: us, global; empty: as the vendor does. Only for a Model with Geo
	System    string
	Messages  []ModelMessage // alternating turns; the first is RoleUser
	Tools     []ToolSpec     // unique names; may be empty
	MaxTokens int64          // > 0
}

// MessageRole is who speaks in a ModelMessage.
type MessageRole string

const (
	RoleUser      MessageRole = "user" // people and tool results
	RoleAssistant MessageRole = "assistant"
)

// ModelMessage is one turn of the conversation. Neighbours always differ in Role.
type ModelMessage struct {
	Role  MessageRole
	Parts []ModelPart // not empty
}

// ModelPart is one of: content, a system message, thinking, a tool call or a tool result. Exactly one field is
// set.
type ModelPart struct {
	Block    *Block
	System   string // RoleUser: an instruction of the operator at this place, which weighs more than what users say
	Thinking *Thinking
	Call     *ModelCall
	Result   *ModelResult
}

// ModelCall is a tool call that the model asked for earlier.
type ModelCall struct {
	ID    string // the vendor's call id
	Name  string
	Input json.RawMessage // an object
}

// ModelResult answers a ModelCall.
type ModelResult struct {
	CallID  string
	Name    string
	Content []Block
	IsError bool
}

// ChunkType tells chunks apart.
type ChunkType int

const (
	ChunkText     ChunkType = iota + 1 // Text is the next piece of block Index
	ChunkThinking                      // Text is the next piece of visible reasoning; may be empty at the start
	ChunkThought                       // one piece of reasoning is complete: Thinking is set
	ChunkToolCall                      // one tool call is complete: Call is set
	ChunkUsage                         // Usage holds the totals so far; a later one replaces it
	ChunkStop                          // the answer is complete: Stop is set
)

// Chunk is a piece of a model's answer.
type Chunk struct {
	Type     ChunkType
	Index    int // ChunkText, ChunkThinking: which block of the answer, from 0, never decreasing
	Text     string
	Thinking *Thinking
	Call     *ToolCall
	Usage    Usage
	Stop     Stop
}

// ToolCall is a complete call as the model wrote it.
type ToolCall struct {
	ID    string
	Name  string
	Input string // the arguments as sent; not always valid JSON. Empty means {}
}

// Stop is why a model ended its answer.
type Stop string

const (
	StopModelEnd       Stop = "end_turn"
	StopModelTools     Stop = "tool_use"
	StopModelMaxTokens Stop = "max_tokens"
	StopModelRefusal   Stop = "refusal"
)

// ModelErrorType says what went wrong with a model call.
type ModelErrorType string

const (
	ModelOverloaded  ModelErrorType = "model_overloaded_error"     // 529, 503: try again
	ModelRateLimited ModelErrorType = "model_rate_limited_error"   // 429: try again after RetryAfter
	ModelFailed      ModelErrorType = "model_request_failed_error" // 5xx, timeouts, refused input
	ModelCut         ModelErrorType = "model_stream_cut"           // the connection ended or idled in mid-answer: try again
	ModelBilling     ModelErrorType = "billing_error"              // credit or quota is used up
	ModelUnknown     ModelErrorType = "unknown_error"
)

// ModelError is the one error a Provider yields besides ctx's own.
type ModelError struct {
	Type       ModelErrorType
	Message    string // written by us: no key, no URL with a query; safe to show
	Status     int    // the vendor's HTTP status; 0 if there was none
	Retryable  bool
	TooLong    bool          // the conversation does not fit the model's context window
	RetryAfter time.Duration // as the vendor asked; 0: unsaid
	Err        error         // only logged
}

func (e *ModelError) Error() string {
	s := fmt.Sprintf("%s: %s", e.Type, e.Message)
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *ModelError) Unwrap() error { return e.Err }
