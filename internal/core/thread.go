package core

import (
	"context"
	"time"
)

// Limits of a coordinator's team (claude-managed-agents.md sections 3.1 and 6.1). A roster has at most 20
// members; the catalogue sees to that.
const (
	MaxThreads  = 25                  // of a session that run or wait at one time, besides the primary; advisors are not counted
	AdvisorName = "anthropic.advisor" // of the thread of one consultation
)

// Thread is one agent's own context in a session. The primary thread has the session's digits.
//
// Status, StopReason, Usage and UpdatedAt are kept for the sessions of coordinators only. Of any other
// session's one thread they are the session's own, see Of.
type Thread struct {
	Project      ProjectID
	Session      SessionID
	ID           ThreadID
	Parent       ThreadID     // empty for the primary thread
	Kind         RosterKind   // which kind of member it is; empty for the primary thread
	Agent        AgentID      // empty for the primary thread, whose agent is the session's, and for advisors
	AgentVersion int          // 0 where Agent is empty
	Name         string       // of the agent, or AdvisorName; empty for the primary thread
	Spec         *AgentSpec   // frozen, without a roster; nil for the primary thread and for advisors
	Model        *ModelChoice // of an advisor, else nil
	Status       SessionStatus
	StopReason   *StopReason // of the last idle; nil before
	Usage        Usage
	CreatedAt    time.Time
	UpdatedAt    time.Time
	ArchivedAt   time.Time // zero: not archived
	Turn         TurnState
}

// Live reports whether a turn of the thread runs or is owed.
func (t Thread) Live() bool {
	return t.Status == StatusRunning || t.Status == StatusRescheduling
}

// Waits reports whether the thread waits for answers of clients.
func (t Thread) Waits() bool {
	return t.Status == StatusIdle && t.StopReason != nil && t.StopReason.Type == StopRequiresAction
}

// Of returns the thread as it is in its session: what the session alone knows is filled in.
func (t Thread) Of(s Session) Thread {
	if t.Parent == "" {
		t.Agent, t.AgentVersion, t.Spec = s.Agent, s.AgentVersion, s.Snapshot
		if s.Snapshot != nil {
			t.Name = s.Snapshot.Name
		}
		if !s.Coordinates() {
			t.Status, t.StopReason, t.Usage, t.UpdatedAt = s.Status, s.StopReason, s.Usage, s.UpdatedAt
		}
	}
	if s.Status == StatusTerminated {
		t.Status = StatusTerminated
	}
	return t
}

// Teammate is a member of a coordinator's roster as a session froze it. Spec has no roster; it is nil for
// RosterSelf, which is the session's own snapshot, and for RosterAdvisor.
type Teammate struct {
	RosterMember
	Spec *AgentSpec `json:"spec,omitempty"`
}

// Coordinates reports whether the session's agent has a team, so that the session may have several threads.
func (s *Session) Coordinates() bool { return s.Snapshot != nil && s.Snapshot.Roster != nil }

// ThreadStore keeps the threads of sessions. CreateSession makes the primary one.
type ThreadStore interface {
	// Thread returns one thread of a session, or NotFound.
	Thread(ctx context.Context, project ProjectID, session SessionID, id ThreadID) (Thread, error)
	// Threads lists a session's threads, oldest first: the primary thread, then the others as they were made.
	// An unknown session has none.
	Threads(ctx context.Context, project ProjectID, session SessionID, page ThreadPage) ([]Thread, error)
	// CreateThread stores a thread that owes no turn yet. A taken id is Conflict ("thread_already_exists"); an
	// unknown session is NotFound.
	CreateThread(ctx context.Context, t Thread) error
	// SetThreadState stores Status, StopReason, Usage, UpdatedAt and ArchivedAt.
	SetThreadState(ctx context.Context, t Thread) error
}

// ThreadPage is a query for threads.
type ThreadPage struct {
	Limit int // 1 to 1000
	After *PageKey
	Open  bool // only those that are neither archived nor terminated
}

// ThreadEvent is the payload of session.thread_created and of the events that say a thread's status.
type ThreadEvent struct {
	Thread ThreadID    `json:"thread"`
	Name   string      `json:"name"`           // of its agent
	Stop   *StopReason `json:"stop,omitempty"` // EventThreadIdle only
}

// ThreadMessage is the payload of agent.thread_message_sent and agent.thread_message_received: the same
// message, in the log of either thread.
type ThreadMessage struct {
	Thread  ThreadID `json:"thread"`         // the other end
	Name    string   `json:"name,omitempty"` // of the agent at the other end; empty for the primary thread
	Content []Block  `json:"content"`        // never empty
	// ToolUse is set where the message is what the tool use resulted in: the model read it there.
	ToolUse EventID `json:"tool_use,omitempty"`
}
