package work

import (
	"context"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/reeve-ai/reeve/internal/core"
)

// Bounds of a poll (claude-managed-agents.md section 3.3; the length of a name is Reeve's own).
const (
	MaxBlock       = 999 * time.Millisecond
	DefaultReclaim = 5 * time.Second
	maxReclaim     = 24 * time.Hour // longer ones are cut
	maxWorkerName  = 255            // characters

	// seenFor is how long a worker counts as polling after it asked.
	seenFor = 30 * time.Second
	// seenEvery is how often the store is told that a worker goes on asking.
	seenEvery = 5 * time.Second
)

// Poll asks for an item.
type Poll struct {
	Worker  string        // the name that the worker gives itself; empty: it is not counted
	Block   time.Duration // how long to wait for an item, at most MaxBlock; 0: not at all
	Reclaim time.Duration // an item that was offered so long ago, and not acknowledged, is offered again
}

// Offer is an item and the token under which a worker may serve it.
type Offer struct {
	core.Work
	Token string
}

// Poll offers the oldest item that waits; nil: there was none in the given time. The item stays queued until
// it is acknowledged. Waiting takes no connection to the database.
//
// Errors: Forbidden (a work token, or below member); NotFound (environment); Invalid (the worker's name).
func (s *Service) Poll(ctx context.Context, by core.Principal, environment core.EnvironmentID, p Poll) (*Offer, error) {
	if n := utf8.RuneCountInString(p.Worker); n > maxWorkerName || !utf8.ValidString(p.Worker) {
		return nil, core.InvalidField("Anthropic-Worker-ID", "must be at most %d characters of UTF-8", maxWorkerName)
	}
	if err := s.queue(ctx, by, environment); err != nil {
		return nil, err
	}
	if err := s.note(ctx, worker{by.Project, environment, p.Worker}); err != nil {
		return nil, err
	}
	w, err := s.await(ctx, by.Project, environment, min(p.Block, MaxBlock), min(p.Reclaim, maxReclaim))
	if err != nil || w == nil {
		return nil, err
	}
	token, err := s.tokens.NewWorkToken(by, *w)
	if err != nil {
		return nil, err
	}
	return &Offer{Work: *w, Token: token}, nil
}

// await looks for an item until there is one or the time is over.
func (s *Service) await(ctx context.Context, project core.ProjectID, environment core.EnvironmentID, block, reclaim time.Duration) (*core.Work, error) {
	if block <= 0 {
		return s.offer(ctx, project, environment, reclaim)
	}
	over := time.NewTimer(block)
	defer over.Stop()
	for last := false; ; {
		nudge := s.waiting.join(environment) // before the look, so that nothing falls between
		w, err := s.offer(ctx, project, environment, reclaim)
		if err != nil || w != nil || last {
			s.waiting.leave(environment, nudge)
			return w, err
		}
		select {
		case <-nudge: // it left the list
			continue
		case <-over.C:
			last = true // what another node queued, and what has become due, nudged nobody
		case <-ctx.Done():
			s.waiting.leave(environment, nudge)
			return nil, ctx.Err()
		}
		s.waiting.leave(environment, nudge)
	}
}

// offer takes the oldest item that may be offered; nil: there is none. The look comes first, because it is
// a read and most polls find nothing.
func (s *Service) offer(ctx context.Context, project core.ProjectID, environment core.EnvironmentID, reclaim time.Duration) (*core.Work, error) {
	now := s.clock()
	waits, err := s.store.WorkWaits(ctx, project, environment, now, now.Add(-reclaim))
	if err != nil || !waits {
		return nil, err
	}
	w, err := s.store.OfferWork(ctx, project, environment, now, now.Add(-reclaim))
	switch {
	case core.KindOf(err) == core.NotFound: // somebody was quicker
		return nil, nil
	case err != nil:
		s.Wake(environment) // a nudge was for an item that is still there
		return nil, err
	}
	return &w, nil
}

// note remembers that a worker asks for work, without a write for every time.
func (s *Service) note(ctx context.Context, k worker) error {
	if k.name == "" {
		return nil
	}
	now := s.clock()
	s.mu.Lock()
	known := now.Sub(s.seen[k]) < seenEvery
	if !known {
		s.seen[k] = now
	}
	s.mu.Unlock()
	if known {
		return nil
	}
	if err := s.store.SawWorker(ctx, k.project, k.environment, k.name, now); err != nil {
		return fmt.Errorf("note worker: %w", err)
	}
	return nil
}
