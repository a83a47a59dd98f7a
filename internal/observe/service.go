package observe

import (
	"context"
	"log/slog"
	"time"

	"github.com/maypok86/otter/v2"
	"golang.org/x/sync/semaphore"

	"github.com/reeve-ai/reeve/internal/core"
)

// Agents knows the agents of a project.
type Agents interface {
	// Agent returns an agent's newest version. NotFound is for other projects' agents too.
	Agent(ctx context.Context, by core.Principal, id core.AgentID) (core.Agent, error)
}

// Sessions knows the sessions of a project.
type Sessions interface {
	// Session returns a session. NotFound is for other projects' sessions too.
	Session(ctx context.Context, by core.Principal, id core.SessionID) (core.Session, error)
}

// Allowance says how much an agent may report.
type Allowance interface {
	// Spend takes n reports from the agent's allowance, or returns RateLimited with RetryAfter, and TooLarge
	// if there is never that much at once.
	Spend(by core.Principal, agent core.AgentID, n int) error
	// SpendBytes takes the n bytes of reports from another allowance; the errors are the same.
	SpendBytes(by core.Principal, agent core.AgentID, n int) error
}

// Options are what an operator or a test may change. The zero value is right for production.
type Options struct {
	Now func() time.Time // nil: time.Now
	// Redact are names of more headers whose values are never stored. Case, and "_" for "-", do not matter.
	Redact []string
	// Retention is how long captures are kept, counted in whole days of UTC; 0: for ever. It is also how old
	// a call may be when it is reported.
	Retention time.Duration
	Log       *slog.Logger // nil: slog.Default()
}

// Service is used from many goroutines. Run must run beside it if Options.Retention is set.
type Service struct {
	store     core.CaptureStore
	agents    Agents
	sessions  Sessions
	allowance Allowance
	headers   *headerNames
	now       func() time.Time
	retention time.Duration
	log       *slog.Logger

	bodies *semaphore.Weighted // bytes of bodies that faces read
	shares shares              // of bodies, by agent
	work   *semaphore.Weighted // bytes of reports in Record and RecordAll
	marks  *marks
	gone   *otter.Cache[sessionKey, struct{}] // deleted sessions
}

// maxGone is how many deleted sessions are remembered: as many as are deleted while one report is stored.
const maxGone = 10_000

// New makes the service.
func New(store core.CaptureStore, agents Agents, sessions Sessions, allowance Allowance, o Options) *Service {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return &Service{
		store: store, agents: agents, sessions: sessions, allowance: allowance,
		headers: newHeaderNames(o.Redact), now: o.Now, retention: max(o.Retention, 0), log: o.Log,
		marks: newMarks(), gone: otter.Must(&otter.Options[sessionKey, struct{}]{MaximumSize: maxGone}),
		bodies: semaphore.NewWeighted(maxInFlight), work: semaphore.NewWeighted(maxInFlight),
	}
}

// clock is the present as the store keeps it.
func (s *Service) clock() time.Time { return s.now().UTC().Truncate(time.Microsecond) }
