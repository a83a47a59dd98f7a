package core

import (
	"encoding/json"
	"time"
)

// SessionStatus is the state of a session. docs/states.md draws it.
type SessionStatus string

const (
	StatusIdle         SessionStatus = "idle"         // waits for input
	StatusRunning      SessionStatus = "running"      // a thread runs or is owed a turn
	StatusRescheduling SessionStatus = "rescheduling" // a model call failed for now and will be tried again
	StatusTerminated   SessionStatus = "terminated"   // ended for good
)

// Origin says who runs a session's agent.
type Origin string

const (
	OriginManaged  Origin = "managed"  // Reeve runs the turns
	OriginObserved Origin = "observed" // the agent runs elsewhere and reports
)

// Session is one growing log and what is known about it.
type Session struct {
	Project      ProjectID
	ID           SessionID
	Origin       Origin
	Agent        AgentID
	AgentVersion int               // 0 for observed sessions
	Snapshot     *AgentSpec        // the resolved definition, frozen at creation; nil for observed sessions
	Team         []Teammate        // the roster's members, frozen with it and in its order; nil without a roster
	Environment  EnvironmentID     // empty for observed sessions
	Elsewhere    bool              // workers run the tools of its sandbox. Not stored: only who read its environment sets it
	AgentKey     CredentialID      // the key that opened an observed session, else empty
	Title        *string           // nil if never given
	Metadata     map[string]string // never nil
	EnvVars      map[string]string // sandbox environment variables (Qoder); nil if none
	Meta         json.RawMessage   // free JSON of the otas face: an object; nil if none
	VaultIDs     []string          // VaultIDs, in the order in which they are asked; they may have been archived or deleted since
	Deployment   DeploymentID      // whose run made it; empty if none did
	Resources    []Resource        // in the order in which they were attached; nil if none
	Budget       *Budget           // nil: none
	Outcomes     []Outcome         // oldest first; nil if none. Only the last can be going on
	Status       SessionStatus
	StopReason   *StopReason // of the last idle; nil before the first turn
	Usage        Usage
	LastSeq      int64 // Seq of the newest event; 0 when the log is empty
	CreatedAt    time.Time
	UpdatedAt    time.Time
	ArchivedAt   time.Time // zero: not archived
}

// SessionPage is a query for sessions, newest first unless Ascending.
type SessionPage struct {
	Limit           int // 1 to 1000
	After           *PageKey
	Before          *PageKey
	Ascending       bool
	Agent           AgentID       // empty: all
	AgentVersion    int           // 0: all
	Origin          Origin        // empty: both
	Deployment      DeploymentID  // empty: all
	MemoryStore     MemoryStoreID // empty: all; else those that have it attached
	Statuses        []SessionStatus
	IncludeArchived bool
	CreatedFrom     time.Time // inclusive; zero: open
	CreatedTo       time.Time // inclusive; zero: open
	CreatedAfter    time.Time // exclusive; zero: open
	CreatedBefore   time.Time // exclusive; zero: open
}

// TurnState is the dispatch state of a thread: at most one turn at a time. docs/states.md draws it.
type TurnState struct {
	Pending    bool      // a turn is owed or running
	Node       string    // who holds the lease; empty: nobody
	Epoch      int64     // grows by one with every lease; a write with an old one is refused
	LeaseUntil time.Time // zero: no lease
}

// Lease is the right to run a thread's turn. A runner passes it with every write.
type Lease struct {
	Project ProjectID
	Session SessionID
	Thread  ThreadID
	Node    string
	Epoch   int64
	Until   time.Time
}

// Usage counts what was used, and what its tokens cost. InputTokens excludes what came from or went to the
// cache.
type Usage struct {
	InputTokens         int64 `json:"input_tokens"`
	OutputTokens        int64 `json:"output_tokens"`
	CacheReadTokens     int64 `json:"cache_read_tokens,omitempty"`
	CacheCreationTokens int64 `json:"cache_creation_tokens,omitempty"`
	ModelCalls          int64 `json:"model_calls,omitempty"`
	ActiveMS            int64 `json:"active_ms,omitempty"` // time spent running, milliseconds

	CacheCreation1hTokens int64       `json:"cache_creation_1h_tokens,omitempty"` // of CacheCreationTokens, those kept for an hour
	WebSearches           int64       `json:"web_searches,omitempty"`             // that this server made
	WebFetches            int64       `json:"web_fetches,omitempty"`
	TokenCost             NanoDollars `json:"token_cost,omitempty"`     // of the tokens, by the models' list prices; see ListCost
	UnpricedCalls         int64       `json:"unpriced_calls,omitempty"` // of ModelCalls, those of models without a list price
}

// Add returns the sum of u and v.
func (u Usage) Add(v Usage) Usage {
	return Usage{
		InputTokens:         u.InputTokens + v.InputTokens,
		OutputTokens:        u.OutputTokens + v.OutputTokens,
		CacheReadTokens:     u.CacheReadTokens + v.CacheReadTokens,
		CacheCreationTokens: u.CacheCreationTokens + v.CacheCreationTokens,
		ModelCalls:          u.ModelCalls + v.ModelCalls,
		ActiveMS:            u.ActiveMS + v.ActiveMS,

		CacheCreation1hTokens: u.CacheCreation1hTokens + v.CacheCreation1hTokens,
		WebSearches:           u.WebSearches + v.WebSearches,
		WebFetches:            u.WebFetches + v.WebFetches,
		TokenCost:             u.TokenCost + v.TokenCost,
		UnpricedCalls:         u.UnpricedCalls + v.UnpricedCalls,
	}
}
