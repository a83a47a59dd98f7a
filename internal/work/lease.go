package work

import (
	"context"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// Codes of the errors that faces write in their own way. All are of Kind Conflict.
const (
	CodePrecondition = "work_heartbeat_mismatch" // a heartbeat that does not name the last one
	CodeNotHeld      = "work_not_held"           // a heartbeat for an item that no worker holds
	CodeStopped      = "work_stopped"            // the item is stopped, or about to be
)

// Bounds of a lease (qoder.md section 3.6).
const (
	minTTL = 10 * time.Second
	maxTTL = 600 * time.Second
)

// Mismatch is the error with CodePrecondition: somebody else has sent heartbeats.
type Mismatch struct {
	Work core.Work // as it is
	err  *core.Error
}

func (e *Mismatch) Error() string { return e.err.Error() }

// Unwrap returns the core.Error.
func (e *Mismatch) Unwrap() error { return e.err }

// Acknowledge says that a worker takes a queued item: from now on it must send heartbeats. Doing so again
// changes nothing, because its answer may have been lost: of two workers that take one item, the first
// heartbeat decides, and the other one hears of it there. (An error here would make the SDKs' workers stop the
// item of the one that has it.)
//
// Errors: Forbidden (a work token, or below member); NotFound; Conflict (CodeStopped).
func (s *Service) Acknowledge(ctx context.Context, by core.Principal, environment core.EnvironmentID, id core.WorkID) (core.Work, error) {
	if err := s.queue(ctx, by, environment); err != nil {
		return core.Work{}, err
	}
	return s.change(ctx, by, environment, id, func(w *core.Work, now time.Time) error {
		switch w.State {
		case core.WorkStopping, core.WorkStopped:
			return core.Errorf(core.Conflict, CodeStopped, "the work item is %s", w.State)
		case core.WorkQueued:
			w.State, w.AcknowledgedAt, w.TTL, w.LeaseUntil = core.WorkStarting, now, core.DefaultWorkTTL, now.Add(core.DefaultWorkTTL)
		}
		return nil
	})
}

// Beat is a heartbeat.
type Beat struct {
	// Expected is when the last heartbeat was, as its answer said; zero: there was none yet. Nil asks nothing.
	Expected *time.Time
	// TTL is how long the lease should last; it is held between 10 and 600 seconds. Zero: core.DefaultWorkTTL.
	TTL time.Duration
	// Strict makes an item that is stopped an error (qoder.md section 3.6), instead of an answer that says so.
	Strict bool
}

// Heartbeat extends the lease of an item, and reports whether it did: not that of an item that is stopped. The
// first one makes the item active. An item that is stopping is extended, too: its worker has heard of it now,
// and needs time to end.
//
// Errors: Forbidden; NotFound; a *Mismatch; Conflict (CodeNotHeld, for a queued item and, with Strict, a
// stopped one).
func (s *Service) Heartbeat(ctx context.Context, by core.Principal, environment core.EnvironmentID, id core.WorkID, b Beat) (w core.Work, extended bool, err error) {
	if err := s.item(by, environment, id); err != nil {
		return core.Work{}, false, err
	}
	w, err = s.change(ctx, by, environment, id, func(w *core.Work, now time.Time) error {
		extended = false
		if w.State == core.WorkQueued || w.State == core.WorkStopped && b.Strict {
			return core.Errorf(core.Conflict, CodeNotHeld, "the work item is %s: no worker holds it", w.State)
		}
		if b.Expected != nil && !b.Expected.Equal(w.LastHeartbeatAt) {
			return &Mismatch{*w, core.Errorf(core.Conflict, CodePrecondition, "expected_last_heartbeat is not the last heartbeat of this work item")}
		}
		if w.State == core.WorkStopped {
			return nil
		}
		if !now.After(w.LastHeartbeatAt) { // each names its own moment, or two could pass for one
			now = w.LastHeartbeatAt.Add(time.Microsecond)
		}
		if w.State == core.WorkStarting {
			w.State, w.StartedAt = core.WorkActive, now
		}
		w.TTL = core.DefaultWorkTTL
		if b.TTL != 0 {
			w.TTL = min(max(b.TTL.Truncate(time.Second), minTTL), maxTTL)
		}
		w.LastHeartbeatAt, w.LeaseUntil, extended = now, now.Add(w.TTL), true
		return nil
	})
	return w, extended && err == nil, err
}

// change runs fn on an item in a transaction that holds it, and stores what fn made of it.
func (s *Service) change(ctx context.Context, by core.Principal, environment core.EnvironmentID, id core.WorkID, fn func(w *core.Work, now time.Time) error) (core.Work, error) {
	var w core.Work
	err := s.store.Tx(ctx, func(tx core.Store) (err error) {
		if w, err = tx.Work(ctx, by.Project, environment, id); err != nil {
			return err
		}
		if err := fn(&w, s.clock()); err != nil {
			return err
		}
		return tx.UpdateWork(ctx, w)
	})
	if err != nil {
		return core.Work{}, err
	}
	return w, nil
}
