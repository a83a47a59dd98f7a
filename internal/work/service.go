package work

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// Tokens makes the token under which a worker serves one item.
type Tokens interface {
	NewWorkToken(by core.Principal, w core.Work) (string, error)
}

// Service holds the rules of work items. It is used from many goroutines. Run must run beside it.
type Service struct {
	store   core.Store
	tokens  Tokens
	now     func() time.Time
	log     *slog.Logger
	waiting waiting

	mu   sync.Mutex
	seen map[worker]time.Time // when the store was last told of a worker; Run forgets old ones
}

// worker is a worker by the name that it gives itself.
type worker struct {
	project     core.ProjectID
	environment core.EnvironmentID
	name        string
}

// New makes the service. now may be nil: the wall clock.
func New(store core.Store, tokens Tokens, now func() time.Time, log *slog.Logger) *Service {
	if now == nil {
		now = time.Now
	}
	return &Service{
		store: store, tokens: tokens, now: now, log: log, seen: map[worker]time.Time{},
		waiting: waiting{polls: map[core.EnvironmentID][]chan struct{}{}},
	}
}

// clock returns the time as the store keeps it.
func (s *Service) clock() time.Time { return s.now().UTC().Truncate(time.Microsecond) }

// Wake lets a waiting poll of an environment look again. It is called behind a commit that queued an item, and
// may be lost: polls look again in any case before they answer.
func (s *Service) Wake(environment core.EnvironmentID) { s.waiting.wake(environment) }

// queue lets who may poll and take: workers with the environment's key, and who may run sessions.
func (s *Service) queue(ctx context.Context, by core.Principal, environment core.EnvironmentID) error {
	if by.IsWorker() {
		if by.Kind == core.PrincipalWork {
			return core.Errorf(core.Forbidden, "forbidden", "the token of a work item serves for that item: use the environment key")
		}
		if by.Environment != environment {
			return core.NotFoundError("environment", string(environment))
		}
		return nil
	}
	if err := by.Require(core.RoleMember); err != nil {
		return err
	}
	_, err := s.store.Environment(ctx, by.Project, environment)
	return err
}

// item lets who may keep and give back an item: as queue, and the worker that has its token.
func (s *Service) item(by core.Principal, environment core.EnvironmentID, id core.WorkID) error {
	switch by.Kind {
	case core.PrincipalEnvironment:
		if by.Environment != environment {
			return core.NotFoundError("environment", string(environment))
		}
		return nil
	case core.PrincipalWork:
		if by.Environment != environment || by.Work != id {
			return core.NotFoundError("work", string(id))
		}
		return nil
	}
	return by.Require(core.RoleMember)
}
