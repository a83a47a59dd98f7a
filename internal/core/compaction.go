package core

// EventContextCompacted says that the beginning of a thread's conversation is from here on told to the model
// as a summary. The log keeps all of it (claude-managed-agents.md section 6.5).
const EventContextCompacted EventType = "agent.thread_context_compacted"

// EventResultKept puts a shorter form in the place of a result that a client gave and that is too long for
// the model. It is Reeve's own: the client's event stays as it was sent.
const EventResultKept EventType = "reeve.result_kept"

// Compaction is the payload of EventContextCompacted. Whoever reads the log goes on from it: the conversation
// is the summary and what has its place behind Through.
type Compaction struct {
	Start   EventID `json:"start"`   // the span.model_request_start of the call that made the summary
	Through int64   `json:"through"` // the summary stands for all that the thread's log placed up to this Seq
	Summary string  `json:"summary"` // not empty
}

// ResultKept is the payload of EventResultKept.
type ResultKept struct {
	ToolUse EventID `json:"tool_use"`
	Content []Block `json:"content"` // what the model reads: a preview, and where the whole is
}

// MaxToolText is how many characters of text one tool result brings into the conversation; longer ones go into a
// file of the sandbox, of which the model gets a preview (claude-managed-agents.md section 1.7).
const MaxToolText = 100_000
