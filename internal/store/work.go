package store

import (
	"context"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

const workColumns = `w.project_id, w.environment_id, w.id, w.session_id, w.state, w.metadata, w.ttl_seconds, w.attempt,
	w.created_at, w.available_at, w.offered_at, w.acknowledged_at, w.started_at, w.last_heartbeat_at,
	w.stop_requested_at, w.stopped_at, w.lease_until`

func scanWork(r row) (core.Work, error) {
	var w core.Work
	var ttl int64
	err := r.Scan((*string)(&w.Project), (*string)(&w.Environment), (*string)(&w.ID), (*string)(&w.Session),
		(*string)(&w.State), jsonColumn{&w.Metadata}, &ttl, &w.Attempt, timeColumn{&w.CreatedAt},
		timeColumn{&w.AvailableAt}, timeColumn{&w.OfferedAt}, timeColumn{&w.AcknowledgedAt}, timeColumn{&w.StartedAt},
		timeColumn{&w.LastHeartbeatAt}, timeColumn{&w.StopRequestedAt}, timeColumn{&w.StoppedAt}, timeColumn{&w.LeaseUntil})
	w.TTL = time.Duration(ttl) * time.Second
	return w, err
}

// QueueWork implements core.WorkStore.
func (s *store) QueueWork(ctx context.Context, w core.Work) (news bool, err error) {
	metadata, err := encodedMap(w.Metadata)
	if err != nil {
		return false, s.fail("queue work", err)
	}
	err = s.write(ctx, "queue work", func(h *txn) error {
		n, err := h.change(ctx, `INSERT INTO work (project_id, environment_id, id, session_id, state, metadata, ttl_seconds, attempt,
				created_at, available_at, offered_at, acknowledged_at, started_at, last_heartbeat_at, stop_requested_at, stopped_at, lease_until)
			SELECT s.project_id, $2, $3, s.id, $5, $6, $7, $8, $9, $10, 0, 0, 0, 0, 0, 0, 0 FROM sessions s
			WHERE s.id = $4 AND s.project_id = $1 ON CONFLICT DO NOTHING`,
			[]any{
				string(w.Project), string(w.Environment), string(w.ID), string(w.Session), string(core.WorkQueued), metadata,
				int64(w.TTL / time.Second), w.Attempt, micros(w.CreatedAt), micros(w.AvailableAt),
			}, nil)
		if news = n > 0; err != nil || news {
			return err
		}
		n, err = h.change(ctx, `UPDATE work SET available_at = $3, attempt = $4
			WHERE session_id = $1 AND project_id = $2 AND state = 'queued' AND available_at > $3`,
			[]any{string(w.Session), string(w.Project), micros(w.AvailableAt), w.Attempt}, nil)
		news = n > 0
		return err
	})
	return news && err == nil, err
}

// heldWork is the clause that holds the rows of work inside a transaction.
func (s *store) heldWork() string {
	if s.tx == nil {
		return ""
	}
	return s.engine.hold("w")
}

// Work implements core.WorkStore.
func (s *store) Work(ctx context.Context, project core.ProjectID, environment core.EnvironmentID, id core.WorkID) (core.Work, error) {
	return readOne(ctx, s, "work", string(id),
		"SELECT "+workColumns+" FROM work w WHERE w.project_id = $1 AND w.id = $2 AND w.environment_id = $3"+s.heldWork(),
		[]any{string(project), string(id), string(environment)}, scanWork)
}

// WorkByID implements core.WorkStore.
func (s *store) WorkByID(ctx context.Context, project core.ProjectID, id core.WorkID) (core.Work, error) {
	return readOne(ctx, s, "work", string(id), "SELECT "+workColumns+" FROM work w WHERE w.project_id = $1 AND w.id = $2"+s.heldWork(),
		[]any{string(project), string(id)}, scanWork)
}

// LiveWork implements core.WorkStore.
func (s *store) LiveWork(ctx context.Context, project core.ProjectID, session core.SessionID) (core.Work, error) {
	return readOne(ctx, s, "work", string(session),
		"SELECT "+workColumns+" FROM work w WHERE w.session_id = $1 AND w.project_id = $2 AND w.state <> 'stopped'"+s.heldWork(),
		[]any{string(session), string(project)}, scanWork)
}

// UpdateWork implements core.WorkStore.
func (s *store) UpdateWork(ctx context.Context, w core.Work) error {
	metadata, err := encodedMap(w.Metadata)
	if err != nil {
		return s.fail("update work", err)
	}
	return s.write(ctx, "update work", func(h *txn) error {
		return must(ctx, h, core.NotFoundError("work", string(w.ID)), `UPDATE work
			SET state = $4, metadata = $5, ttl_seconds = $6, attempt = $7, available_at = $8, offered_at = $9, acknowledged_at = $10,
				started_at = $11, last_heartbeat_at = $12, stop_requested_at = $13, stopped_at = $14, lease_until = $15
			WHERE project_id = $1 AND id = $2 AND environment_id = $3`,
			string(w.Project), string(w.ID), string(w.Environment), string(w.State), metadata, int64(w.TTL/time.Second), w.Attempt,
			micros(w.AvailableAt), micros(w.OfferedAt), micros(w.AcknowledgedAt), micros(w.StartedAt), micros(w.LastHeartbeatAt),
			micros(w.StopRequestedAt), micros(w.StoppedAt), micros(w.LeaseUntil))
	})
}

// Works implements core.WorkStore.
func (s *store) Works(ctx context.Context, project core.ProjectID, environment core.EnvironmentID, page core.WorkPage) ([]core.Work, error) {
	q := listQuery{engine: s.engine}
	q.and("w.project_id = %s", string(project))
	q.and("w.environment_id = %s", string(environment))
	order, backwards := q.order("w", keyset{after: page.After, before: page.Before})
	list, err := readAll(ctx, s, "work", "SELECT "+workColumns+" FROM work w WHERE "+q.conditions()+order+q.limit(page.Limit, 0), q.args, scanWork)
	return inOrder(list, backwards), err
}

// offerable is the condition that an item may be offered; its arguments are those of offerArgs.
const offerable = `w.project_id = $1 AND w.environment_id = $2 AND w.state = 'queued' AND w.available_at <= $3 AND w.offered_at <= $4`

func offerArgs(project core.ProjectID, environment core.EnvironmentID, now, offeredBefore time.Time) []any {
	return []any{string(project), string(environment), micros(now), max(0, micros(offeredBefore))} // 0: never offered
}

// WorkWaits implements core.WorkStore.
func (s *store) WorkWaits(ctx context.Context, project core.ProjectID, environment core.EnvironmentID, now, offeredBefore time.Time) (waits bool, err error) {
	err = s.read(ctx, "look for work", func(h handle) (err error) {
		waits, err = found(ctx, h, "SELECT 1 FROM work w WHERE "+offerable+" LIMIT 1", offerArgs(project, environment, now, offeredBefore)...)
		return err
	})
	return waits, err
}

// OfferWork implements core.WorkStore.
func (s *store) OfferWork(ctx context.Context, project core.ProjectID, environment core.EnvironmentID, now, offeredBefore time.Time) (core.Work, error) {
	var w core.Work
	err := s.write(ctx, "offer work", func(h *txn) error {
		list, err := all(ctx, h, "SELECT "+workColumns+" FROM work w WHERE "+offerable+
			" ORDER BY w.created_at, w.id LIMIT 1"+s.engine.skipHeld(), offerArgs(project, environment, now, offeredBefore), scanWork)
		if err != nil {
			return err
		}
		if len(list) == 0 {
			return core.NotFoundError("work", "")
		}
		w = list[0]
		w.OfferedAt = stored(now)
		_, err = h.change(ctx, "UPDATE work SET offered_at = $3 WHERE project_id = $1 AND id = $2",
			[]any{string(project), string(w.ID), micros(now)}, nil)
		return err
	})
	if err != nil {
		return core.Work{}, err
	}
	return w, nil
}

// LostWork implements core.WorkStore.
func (s *store) LostWork(ctx context.Context, now time.Time, limit int) ([]core.Work, error) {
	return readAll(ctx, s, "lost work", "SELECT "+workColumns+` FROM work w WHERE w.lease_until > 0 AND w.lease_until <= $1
		ORDER BY w.lease_until LIMIT $2 + 0`, []any{micros(now), max(limit, 0)}, scanWork)
}

// CountWork implements core.WorkStore.
func (s *store) CountWork(ctx context.Context, project core.ProjectID, environment core.EnvironmentID, seenSince time.Time) (core.WorkCounts, error) {
	scan := func(r row) (core.WorkCounts, error) {
		var c core.WorkCounts
		err := r.Scan(&c.Depth, &c.Pending, timeColumn{&c.OldestAt}, &c.Workers)
		return c, err
	}
	return readOne(ctx, s, "work counts", string(environment), `SELECT COUNT(CASE WHEN w.offered_at = 0 THEN 1 END),
			COUNT(CASE WHEN w.offered_at > 0 THEN 1 END), COALESCE(MIN(w.created_at), 0),
			(SELECT COUNT(*) FROM workers k WHERE k.project_id = $1 AND k.environment_id = $2 AND k.seen_at >= $3)
		FROM work w WHERE w.project_id = $1 AND w.environment_id = $2 AND w.state = 'queued'`,
		[]any{string(project), string(environment), micros(seenSince)}, scan)
}

// SawWorker implements core.WorkStore. An unknown environment is NotFound ("reference_not_found").
func (s *store) SawWorker(ctx context.Context, project core.ProjectID, environment core.EnvironmentID, worker string, at time.Time) error {
	return s.write(ctx, "note worker", func(h *txn) error {
		_, err := h.change(ctx, `INSERT INTO workers (project_id, environment_id, name, seen_at) VALUES ($1, $2, $3, $4)
			ON CONFLICT (project_id, environment_id, name) DO UPDATE SET seen_at = excluded.seen_at WHERE workers.seen_at < excluded.seen_at`,
			[]any{string(project), string(environment), worker, micros(at)}, nil)
		return err
	})
}

// ForgetWorkers implements core.WorkStore.
func (s *store) ForgetWorkers(ctx context.Context, before time.Time) (count int, err error) {
	err = s.write(ctx, "forget workers", func(h *txn) error {
		n, err := h.change(ctx, "DELETE FROM workers WHERE seen_at < $1", []any{micros(before)}, nil)
		count = int(n)
		return err
	})
	return count, err
}
