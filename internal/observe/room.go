package observe

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/reeve-ai/reeve/internal/core"
)

const (
	// maxInFlight bounds the bytes of reports in work, and by itself the bytes of bodies that are read.
	maxInFlight = 64 << 20
	// MaxAgentBodies is how many bytes of bodies of one agent may be read at once: a quarter of all, so that
	// connections of one agent that idle leave room for others.
	MaxAgentBodies = 16 << 20
	// roomWait is how long a report waits for others to finish.
	roomWait = 2 * time.Second
	// roomRetry is what a client that waited in vain is told.
	roomRetry = time.Second
)

// Admit makes room for size bytes of a body that this agent reports. A face calls it in small steps, some
// 32 KiB, for bytes that have arrived, never for those that were announced: who opens connections and sends
// nothing then takes nothing. The caller calls each release once, when the reports in the body are recorded
// or given up. A size of 0 or less takes nothing; release is nil only with an error. The agent is told apart
// by its id alone.
//
// Errors: RateLimited ("rate_limited", with RetryAfter), at once, if bodies of this agent would take more
// than MaxAgentBodies, 16 MiB, together; Unavailable ("busy", with RetryAfter), after 2 seconds, if those of all
// agents take 64 MiB; TooLarge ("request_too_large"), if size alone is beyond MaxAgentBodies; ctx's own.
func (s *Service) Admit(ctx context.Context, agent core.AgentID, size int64) (release func(), err error) {
	if size <= 0 {
		return func() {}, nil
	}
	if err := s.shares.take(agent, size); err != nil {
		return nil, err
	}
	free, err := room(ctx, s.bodies, size)
	if err != nil {
		s.shares.free(agent, size)
		return nil, err
	}
	return func() {
		free()
		s.shares.free(agent, size)
	}, nil
}

// shares counts what each agent holds of the room for bodies. The zero value is ready.
type shares struct {
	mu    sync.Mutex
	taken map[core.AgentID]int64 // none of 0
}

func (s *shares) take(agent core.AgentID, size int64) error {
	if size > MaxAgentBodies {
		return core.Errorf(core.TooLarge, "request_too_large", "the request bodies of one agent must not exceed %d bytes at once", MaxAgentBodies)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken[agent]+size > MaxAgentBodies {
		return &core.Error{
			Kind: core.RateLimited, Code: "rate_limited", RetryAfter: roomRetry,
			Message: "this agent sends too much at once: wait until its other requests have ended",
		}
	}
	if s.taken == nil {
		s.taken = map[core.AgentID]int64{}
	}
	s.taken[agent] += size
	return nil
}

func (s *shares) free(agent core.AgentID, size int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken[agent] -= size; s.taken[agent] == 0 {
		delete(s.taken, agent)
	}
}

// room waits for its turn: those who wait are served in order, so that a large one is not passed by for ever.
func room(ctx context.Context, all *semaphore.Weighted, size int64) (release func(), err error) {
	size = min(size, maxInFlight)
	wait, cancel := context.WithTimeout(ctx, roomWait)
	defer cancel()
	if err := all.Acquire(wait, size); err != nil {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("wait for room: %w", ctx.Err())
		}
		return nil, &core.Error{
			Kind: core.Unavailable, Code: "busy", RetryAfter: roomRetry,
			Message: "too many events are being recorded at this moment",
		}
	}
	return func() { all.Release(size) }, nil
}
