package observe

import (
	"context"
	"fmt"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

const (
	expireEvery = 5 * time.Minute
	expireStep  = 500 // captures in one transaction
	// expirePause lets reports through between two steps. 500 captures in 20 ms are more than a node takes in.
	expirePause = 20 * time.Millisecond
)

// Run deletes captures whose time is over, at once and then every few minutes, until ctx ends. It returns
// nil. A capture goes when the whole day in which its call ended is older than Options.Retention; without
// Retention nothing ever goes.
func (s *Service) Run(ctx context.Context) error {
	if s.retention == 0 {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(expireEvery)
	defer tick.Stop()
	for {
		if err := s.expire(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("old captures were not deleted, it will be tried again", "err", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func (s *Service) expire(ctx context.Context) error {
	before := core.DayOf(s.clock().Add(-s.retention))
	pause := time.NewTicker(expirePause)
	defer pause.Stop()
	for ctx.Err() == nil {
		n, err := s.store.ExpireCaptures(ctx, before, expireStep)
		if n > 0 || err != nil {
			s.marks.forgetAll()
		}
		if err != nil {
			return fmt.Errorf("expire captures before %v: %w", before, err)
		}
		if n < expireStep {
			return nil
		}
		pause.Reset(expirePause) // a step that took long gives way all the same
		select {
		case <-pause.C:
		case <-ctx.Done():
		}
	}
	return nil
}
