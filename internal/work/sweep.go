package work

import (
	"context"
	"errors"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

const (
	sweepEvery  = time.Second
	sweepBatch  = 100
	forgetEvery = time.Minute
)

// Run stops items whose workers fell silent, until ctx ends; their sessions are queued again if they wait. It
// returns nil. What goes wrong is logged and tried again.
func (s *Service) Run(ctx context.Context) error {
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	forget := time.NewTicker(forgetEvery)
	defer forget.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-sweep.C:
			err = s.Sweep(ctx)
		case <-forget.C:
			err = s.forget(ctx)
		}
		if err != nil && ctx.Err() == nil {
			s.log.Error("look after the work queues", "err", err)
		}
	}
}

// Sweep stops every item whose lease has run out. Run calls it; so may a test that moves the clock.
func (s *Service) Sweep(ctx context.Context) error {
	var failed error
	for failed == nil {
		lost, err := s.store.LostWork(ctx, s.clock(), sweepBatch)
		if err != nil {
			return err
		}
		for _, w := range lost {
			if err := s.expire(ctx, w); err != nil {
				failed = errors.Join(failed, err)
			}
		}
		if len(lost) < sweepBatch {
			break
		}
	}
	return failed
}

// expire stops one item, unless its worker was heard of in the meantime.
func (s *Service) expire(ctx context.Context, lost core.Work) error {
	ended := false
	w, err := s.end(ctx, lost, func(w *core.Work, now time.Time) error {
		if ended = !w.LeaseUntil.IsZero() && !now.Before(w.LeaseUntil); ended {
			w.Stop(now, true)
		}
		return nil
	}, func(int) time.Duration { return 0 }) // a lease that runs out takes long enough
	if core.KindOf(err) == core.NotFound {
		return nil // the session was deleted
	}
	if err == nil && ended {
		s.log.Info("a worker fell silent: its work item is stopped", "work", w.ID, "session", w.Session, "last_heartbeat", w.LastHeartbeatAt)
	}
	return err
}

// forget drops what is known of workers that ask no more.
func (s *Service) forget(ctx context.Context) error {
	now := s.clock()
	s.mu.Lock()
	for k, at := range s.seen {
		if now.Sub(at) > seenFor {
			delete(s.seen, k)
		}
	}
	s.mu.Unlock()
	_, err := s.store.ForgetWorkers(ctx, now.Add(-2*seenFor))
	return err
}
