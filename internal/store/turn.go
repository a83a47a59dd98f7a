package store

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// A thread's row is in one of three states (docs/states.md):
//
//	settled   pending 0, node '', lease_until 0
//	owed      pending 1, node '', lease_until 0
//	leased    pending 1, node and lease_until set; owed again for others once lease_until is past
//
// so that a lease implies pending, and "nobody holds a live lease" is lease_until <= now alone.

// OweTurn implements core.TurnStore. The lease that it reports is the thread's: the caller's if it was
// taken, else the one that stands, with an empty Node if nobody holds one. An unknown thread is NotFound.
func (s *store) OweTurn(ctx context.Context, project core.ProjectID, session core.SessionID, thread core.ThreadID, node string, now, until time.Time) (lease core.Lease, taken bool, err error) {
	lease = core.Lease{Project: project, Session: session, Thread: thread}
	read := func(r row) error { return r.Scan(&lease.Node, &lease.Epoch, timeColumn{&lease.Until}) }
	err = s.write(ctx, "owe turn", func(h *txn) error {
		if node != "" {
			n, err := h.change(ctx, `UPDATE threads SET pending = 1,
				pending_since = CASE WHEN pending = 1 THEN pending_since ELSE $4 END,
				node = $5, epoch = epoch + 1, lease_until = $6
				WHERE session_id = $1 AND id = $2 AND project_id = $3 AND lease_until <= $4
				RETURNING node, epoch, lease_until`,
				[]any{string(session), string(thread), string(project), micros(now), node, micros(until)}, read)
			if err != nil || n > 0 {
				taken = err == nil
				return err
			}
		}
		n, err := h.change(ctx, `UPDATE threads SET pending = 1,
			pending_since = CASE WHEN pending = 1 THEN pending_since ELSE $4 END
			WHERE session_id = $1 AND id = $2 AND project_id = $3
			RETURNING node, epoch, lease_until`,
			[]any{string(session), string(thread), string(project), micros(now)}, read)
		if err == nil && n == 0 {
			return core.NotFoundError("thread", string(thread))
		}
		return err
	})
	if err != nil {
		return core.Lease{}, false, err
	}
	return lease, taken, nil
}

// ClaimTurns implements core.TurnStore. The leases come oldest debt first.
func (s *store) ClaimTurns(ctx context.Context, node string, now, until time.Time, limit int) ([]core.Lease, error) {
	if node == "" || limit <= 0 {
		return []core.Lease{}, nil
	}
	type claim struct {
		core.Lease
		since int64
	}
	var claims []claim
	err := s.write(ctx, "claim turns", func(h *txn) error {
		claims = claims[:0]
		_, err := h.change(ctx, `UPDATE threads SET node = $1, epoch = epoch + 1, lease_until = $2
			WHERE (session_id, id) IN (
				SELECT t.session_id, t.id FROM threads t WHERE t.pending = 1 AND t.lease_until <= $3
				ORDER BY t.pending_since, t.session_id, t.id LIMIT $4 + 0`+s.engine.skipHeld()+`)
			RETURNING project_id, session_id, id, epoch, pending_since`,
			[]any{node, micros(until), micros(now), limit}, func(r row) error {
				c := claim{Lease: core.Lease{Node: node, Until: stored(until)}}
				err := r.Scan((*string)(&c.Project), (*string)(&c.Session), (*string)(&c.Thread), &c.Epoch, &c.since)
				claims = append(claims, c)
				return err
			})
		return err
	})
	if err != nil {
		return nil, err
	}
	// RETURNING has no order of its own.
	slices.SortFunc(claims, func(a, b claim) int {
		return cmp.Or(cmp.Compare(a.since, b.since), cmp.Compare(a.Session, b.Session), cmp.Compare(a.Thread, b.Thread))
	})
	leases := make([]core.Lease, len(claims))
	for i, c := range claims {
		leases[i] = c.Lease
	}
	return leases, nil
}

// leaseHeld is the condition that a lease is still its holder's; its arguments are leaseArgs.
const leaseHeld = "session_id = $1 AND id = $2 AND project_id = $3 AND node = $4 AND epoch = $5 AND pending = 1 AND node <> ''"

func leaseArgs(l core.Lease) []any {
	return []any{string(l.Session), string(l.Thread), string(l.Project), l.Node, l.Epoch}
}

// ExtendLeases implements core.TurnStore. The lost leases come in the caller's order.
func (s *store) ExtendLeases(ctx context.Context, leases []core.Lease, until time.Time) (lost []core.Lease, err error) {
	if len(leases) == 0 {
		return nil, nil
	}
	// One order for all, so that two nodes cannot wait for each other's rows.
	order := make([]int, len(leases))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int {
		a, b := leases[i], leases[j]
		return cmp.Or(cmp.Compare(a.Session, b.Session), cmp.Compare(a.Thread, b.Thread))
	})
	kept := make([]bool, len(leases))
	err = s.write(ctx, "extend leases", func(h *txn) error {
		for _, i := range order {
			n, err := h.change(ctx, "UPDATE threads SET lease_until = $6 WHERE "+leaseHeld,
				append(leaseArgs(leases[i]), micros(until)), nil)
			if err != nil {
				return err
			}
			kept[i] = n > 0
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for i, l := range leases {
		if !kept[i] {
			lost = append(lost, l)
		}
	}
	return lost, nil
}

// HoldLease implements core.TurnStore.
func (s *store) HoldLease(ctx context.Context, lease core.Lease) error {
	return s.read(ctx, "hold lease", func(h handle) error {
		query := "SELECT 1 FROM threads WHERE " + leaseHeld
		if s.tx != nil {
			query += s.engine.hold("threads")
		}
		held, err := found(ctx, h, query, leaseArgs(lease)...)
		if err == nil && !held {
			return core.ErrLeaseLost
		}
		return err
	})
}

// SettleTurn implements core.TurnStore.
func (s *store) SettleTurn(ctx context.Context, lease core.Lease) error {
	return s.write(ctx, "settle turn", func(h *txn) error {
		return must(ctx, h, core.ErrLeaseLost,
			"UPDATE threads SET pending = 0, pending_since = 0, node = '', lease_until = 0 WHERE "+leaseHeld,
			leaseArgs(lease)...)
	})
}

// ReleaseLease implements core.TurnStore. ErrLeaseLost as HoldLease.
func (s *store) ReleaseLease(ctx context.Context, lease core.Lease) error {
	return s.write(ctx, "release lease", func(h *txn) error {
		return must(ctx, h, core.ErrLeaseLost,
			"UPDATE threads SET node = '', lease_until = 0 WHERE "+leaseHeld, leaseArgs(lease)...)
	})
}

// FreeLeases implements core.TurnStore.
func (s *store) FreeLeases(ctx context.Context, node string) (count int, err error) {
	if node == "" {
		return 0, nil
	}
	err = s.write(ctx, "free leases", func(h *txn) error {
		n, err := h.change(ctx, "UPDATE threads SET node = '', lease_until = 0 WHERE pending = 1 AND node = $1", []any{node}, nil)
		count = int(n)
		return err
	})
	return count, err
}
