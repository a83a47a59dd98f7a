package memory

import (
	"context"
	"fmt"
	"time"
)

const (
	// keepVersions is how long a version stays that newer ones have made spare
	// (claude-managed-agents.md section 3.10).
	keepVersions = 30 * 24 * time.Hour

	pruneEvery = time.Hour
	pruneStep  = 100 // versions in one transaction: at most 10 MB of contents
	// prunePause lets others write between two steps. 100 versions in 50 ms are more than agents make.
	prunePause = 50 * time.Millisecond
)

// Run deletes old versions of memories, at once and then every hour, until ctx ends; it returns nil. A version
// goes when it is older than 30 days and its memory has core.SpareVersions newer ones.
func (s *Service) Run(ctx context.Context) error {
	tick := time.NewTicker(pruneEvery)
	defer tick.Stop()
	for {
		if err := s.prune(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("old versions of memories were not deleted, it will be tried again", "err", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func (s *Service) prune(ctx context.Context) error {
	before := s.clock().Add(-keepVersions)
	pause := time.NewTicker(prunePause)
	defer pause.Stop()
	for ctx.Err() == nil {
		n, err := s.store.PruneMemoryVersions(ctx, before, pruneStep)
		if err != nil {
			return fmt.Errorf("prune versions of memories before %v: %w", before, err)
		}
		if n < pruneStep {
			return nil
		}
		pause.Reset(prunePause) // a step that took long gives way all the same
		select {
		case <-pause.C:
		case <-ctx.Done():
		}
	}
	return nil
}
