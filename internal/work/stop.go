package work

import (
	"context"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// A session that still waits when its worker stops the item is queued again, but not at once: whatever made
// the worker stop may make the next one stop, too. The pause doubles from the first number to the second.
const (
	firstPause   = 5 * time.Second
	longestPause = 5 * time.Minute
	// wellServed is how long a worker must have had an item for its end not to count as in vain.
	wellServed = time.Minute
)

// Stop ends an item: at once with force, or if no worker has taken it; else its worker hears of it with its
// next heartbeat, ends, and confirms by force. If the session waits for its tools even then, it is queued
// again, after a pause.
//
// Errors: Forbidden; NotFound; Conflict (CodeStopped) for one that is stopped.
func (s *Service) Stop(ctx context.Context, by core.Principal, environment core.EnvironmentID, id core.WorkID, force bool) (core.Work, error) {
	if err := s.item(by, environment, id); err != nil {
		return core.Work{}, err
	}
	w, err := s.store.Work(ctx, by.Project, environment, id)
	if err != nil {
		return core.Work{}, err
	}
	return s.end(ctx, w, func(w *core.Work, now time.Time) error {
		if w.State == core.WorkStopped {
			return core.Errorf(core.Conflict, CodeStopped, "the work item is stopped")
		}
		w.Stop(now, force)
		return nil
	}, pause)
}

// pause is how long a session waits after so many items that ended in vain.
func pause(attempt int) time.Duration {
	return min(firstPause<<min(max(attempt-1, 0), 16), longestPause)
}

// end runs fn, which may stop the item, and queues the session again if it did and the session waits. The
// session is held before the item, as everywhere.
func (s *Service) end(ctx context.Context, read core.Work, fn func(w *core.Work, now time.Time) error, pause func(attempt int) time.Duration) (core.Work, error) {
	var w core.Work
	again := false
	err := s.store.Tx(ctx, func(tx core.Store) error {
		again = false
		sess, err := tx.Session(ctx, read.Project, read.Session)
		if err != nil {
			return err
		}
		if w, err = tx.Work(ctx, read.Project, read.Environment, read.ID); err != nil {
			return err
		}
		now, before := s.clock(), w.State
		if err := fn(&w, now); err != nil {
			return err
		}
		if err := tx.UpdateWork(ctx, w); err != nil {
			return err
		}
		if before == core.WorkStopped || w.State != core.WorkStopped || !waits(sess) {
			return nil
		}
		next := core.NewWork(sess, now)
		if w.StartedAt.IsZero() || now.Sub(w.StartedAt) < wellServed {
			next.Attempt = w.Attempt + 1
		}
		next.AvailableAt = now.Add(pause(next.Attempt))
		again, err = tx.QueueWork(ctx, next)
		return err
	})
	if err != nil {
		return core.Work{}, err
	}
	if again {
		s.Wake(w.Environment)
	}
	return w, nil
}

// waits reports whether a session cannot go on without somebody who answers its tool uses.
func waits(s core.Session) bool {
	return s.ArchivedAt.IsZero() && s.Status == core.StatusIdle && s.StopReason != nil && s.StopReason.Type == core.StopRequiresAction
}
