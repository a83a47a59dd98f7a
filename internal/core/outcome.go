package core

import "time"

// Budget bounds what a session may cost by list prices. It is stored as JSON under these names.
type Budget struct {
	Cents    int64  `json:"cents"`    // > 0
	Currency string `json:"currency"` // USD
}

// OutcomeID is the id of an Outcome.
type OutcomeID string

// OutcomeResult is how an outcome stands, or how one evaluation of it ended (claude-managed-agents.md
// sections 3.4 and 4.2).
type OutcomeResult string

const (
	OutcomePending       OutcomeResult = "pending"
	OutcomeRunning       OutcomeResult = "running"
	OutcomeEvaluating    OutcomeResult = "evaluating"
	OutcomeSatisfied     OutcomeResult = "satisfied"
	OutcomeNeedsRevision OutcomeResult = "needs_revision" // of an evaluation only
	OutcomeMaxIterations OutcomeResult = "max_iterations_reached"
	OutcomeFailed        OutcomeResult = "failed"
	OutcomeInterrupted   OutcomeResult = "interrupted"
)

// Outcome is a goal that the agent works on until a grader finds it met. It is stored as JSON under these
// names, in the session's row.
type Outcome struct {
	ID            OutcomeID     `json:"id"`
	Event         EventID       `json:"event"` // the user.define_outcome
	Description   string        `json:"description"`
	Rubric        string        `json:"rubric"`         // ≤ 262,144 characters; empty once another outcome has followed
	MaxIterations int           `json:"max_iterations"` // 1 to 20
	Iteration     int           `json:"iteration"`      // of the newest evaluation, from 0
	Result        OutcomeResult `json:"result"`
	Explanation   string        `json:"explanation,omitempty"`
	CompletedAt   time.Time     `json:"completed_at,omitzero"` // zero: goes on
}

// Ends reports whether a result is the last one of an outcome.
func (r OutcomeResult) Ends() bool {
	switch r {
	case OutcomeSatisfied, OutcomeMaxIterations, OutcomeFailed, OutcomeInterrupted:
		return true
	}
	return false
}

// ActiveOutcome returns the outcome that is being worked on, or nil.
func (s *Session) ActiveOutcome() *Outcome {
	if n := len(s.Outcomes); n > 0 && !s.Outcomes[n-1].Result.Ends() {
		return &s.Outcomes[n-1]
	}
	return nil
}

// DefineOutcome is the payload of user.define_outcome.
type DefineOutcome struct {
	Outcome       OutcomeID `json:"outcome"`
	Description   string    `json:"description"`
	Rubric        string    `json:"rubric"`
	MaxIterations int       `json:"max_iterations"`
}

// NewOutcome is an outcome as somebody asks for it.
type NewOutcome struct {
	Description   string `json:"description"`
	Rubric        string `json:"rubric,omitempty"`         // ≤ 262,144 characters
	RubricFile    FileID `json:"rubric_file,omitempty"`    // a text file that holds the rubric, in place of Rubric
	MaxIterations int    `json:"max_iterations,omitempty"` // 1 to 20; 0: 3
}

// OutcomeSpan is the payload of span.outcome_evaluation_start and span.outcome_evaluation_ongoing.
type OutcomeSpan struct {
	Outcome   OutcomeID `json:"outcome"`
	Iteration int       `json:"iteration"` // from 0
}

// OutcomeEnd is the payload of span.outcome_evaluation_end.
type OutcomeEnd struct {
	Start       EventID       `json:"start,omitempty"` // empty: it ended before an evaluation began
	Outcome     OutcomeID     `json:"outcome"`
	Iteration   int           `json:"iteration"`
	Result      OutcomeResult `json:"result"`
	Explanation string        `json:"explanation"`
	Usage       Usage         `json:"usage"` // of all calls of the grader in this evaluation
}
