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
	Rubric        string        `json:"rubric"`         // ≤ 262,144 characters
	MaxIterations int           `json:"max_iterations"` // 1 to 20
	Iteration     int           `json:"iteration"`      // of the newest evaluation, from 0
	Result        OutcomeResult `json:"result"`
	Explanation   string        `json:"explanation,omitempty"`
	CompletedAt   time.Time     `json:"completed_at,omitzero"` // zero: goes on
}
