package store

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// takeStep is how many captures one transaction deletes: a few milliseconds.
const takeStep = 500

// takenColumns are those of counted, for RETURNING.
const takenColumns = "source, session, path, day, at, latency, outcome, method, status, request_bytes, response_bytes"

// ForgetSession implements core.CaptureStore.
func (d *CaptureDB) ForgetSession(ctx context.Context, project core.ProjectID, session core.SessionID) error {
	p, ok := rawIDOf(project)
	s, ok2 := rawIDOf(session)
	if !ok || !ok2 {
		return nil
	}
	return d.base.fail("forget session", inSteps(ctx, func() (more bool, err error) {
		taken := 0
		err = d.base.engine.write(ctx, func(h *txn) (err error) {
			taken, err = takeCaptures(ctx, d.base.engine, h, `DELETE FROM captures WHERE no IN (SELECT c.no FROM captures c WHERE c.session =
				(SELECT s.no FROM sessions s JOIN sources o ON o.no = s.source WHERE s.id = $1 AND o.project_id = $2 LIMIT 1)
				LIMIT $3 + 0) RETURNING `+takenColumns, s[:], p[:], takeStep)
			return err
		})
		return taken > 0, err // fewer than a step may be those of one of several agents
	}))
}

// inSteps calls step until it says that there is no more, and rests after each call for as long as that
// took: so reports get at least half of the database's time.
func inSteps(ctx context.Context, step func() (more bool, err error)) error {
	for {
		begin := time.Now()
		more, err := step()
		if err != nil || !more {
			return err
		}
		rest := time.NewTimer(time.Since(begin))
		select {
		case <-rest.C:
		case <-ctx.Done():
			rest.Stop()
			return ctx.Err()
		}
	}
}

// ExpireCaptures implements core.CaptureStore.
func (d *CaptureDB) ExpireCaptures(ctx context.Context, before core.Day, limit int) (deleted int, err error) {
	err = d.base.fail("expire captures", inSteps(ctx, func() (more bool, err error) {
		size := min(takeStep, limit-deleted)
		taken := 0
		err = d.base.engine.write(ctx, func(h *txn) (err error) {
			taken, err = d.expireStep(ctx, h, before, size)
			return err
		})
		if err == nil {
			deleted += taken
		}
		return taken > 0 && taken == size, err
	}))
	return deleted, err
}

// expireStep deletes at most limit captures of days before the given one.
func (d *CaptureDB) expireStep(ctx context.Context, h *txn, before core.Day, limit int) (taken int, err error) {
	for taken < limit {
		source := int64(0)
		if err := h.rows(ctx, "SELECT no FROM sources WHERE first_day < $1 ORDER BY first_day LIMIT 1", []any{int64(before)},
			func(r row) error { return r.Scan(&source) }); err != nil || source == 0 {
			return taken, err
		}
		n, err := takeCaptures(ctx, d.base.engine, h, `DELETE FROM captures WHERE no IN
			(SELECT no FROM captures WHERE source = $1 AND day < $2 LIMIT $3 + 0) RETURNING `+takenColumns,
			source, int64(before), limit-taken)
		if err == nil && n == 0 {
			err = repairFirstDay(ctx, h, source)
		}
		if err != nil {
			return 0, err
		}
		taken += n
	}
	return taken, nil
}

// repairFirstDay corrects a source whose first day is earlier than its captures: it would be the first to
// expire for ever, and keep the captures of all others from it. Without any captures, its first day is one
// that never expires; the next capture sets it right.
func repairFirstDay(ctx context.Context, h handle, source int64) error {
	first := int64(math.MaxInt64)
	err := h.rows(ctx, "SELECT day FROM captures WHERE source = $1 ORDER BY day LIMIT 1", []any{source},
		func(r row) error { return r.Scan(&first) })
	if err != nil {
		return err
	}
	_, err = h.change(ctx, "UPDATE sources SET first_day = $2 WHERE no = $1", []any{source, first}, nil)
	return err
}

// takeCaptures deletes captures with a statement that returns takenColumns, takes them out of all counts,
// and returns how many there were.
func takeCaptures(ctx context.Context, e engine, h *txn, statement string, args ...any) (int, error) {
	t := newTally(true)
	sessions := make(map[int64]*sessionTally)
	paths, sources := make(map[int64]bool), make(map[int64]bool)
	taken := 0
	_, err := h.change(ctx, statement, args, func(r row) error {
		var c counted
		if err := r.Scan(&c.source, &c.session, &c.path, &c.day, &c.at, &c.latency, &c.outcome, &c.method, &c.status,
			&c.requestBytes, &c.responseBytes); err != nil {
			return err
		}
		taken++
		t.add(&c)
		s := sessions[c.session]
		if s == nil {
			s = &sessionTally{}
			sessions[c.session] = s
		}
		s.add(&c)
		paths[c.path], sources[c.source] = true, true
		return nil
	})
	if err != nil || taken == 0 {
		return 0, err
	}
	if err := takeFromSessions(ctx, h, t, sessions); err != nil {
		return 0, err
	}
	if err := t.write(ctx, h); err != nil {
		return 0, err
	}
	if _, err := h.change(ctx, "DELETE FROM paths WHERE "+e.inNumbers("no", "$1")+
		" AND NOT EXISTS (SELECT 1 FROM calls WHERE calls.path = paths.no)", []any{e.numbers(keys(paths))}, nil); err != nil {
		return 0, err
	}
	for _, source := range keys(sources) {
		if err := takeFromSource(ctx, h, source); err != nil {
			return 0, err
		}
	}
	return taken, nil
}

// takeFromSource corrects a source of which captures were deleted, or deletes it with the last.
func takeFromSource(ctx context.Context, h handle, source int64) error {
	left := false
	var first core.Day
	err := h.rows(ctx, "SELECT day FROM days WHERE source = $1 ORDER BY day LIMIT 1", []any{source}, func(r row) error {
		left = true
		return r.Scan(&first)
	})
	if err != nil {
		return err
	}
	if !left {
		_, err = h.change(ctx, "DELETE FROM sources WHERE no = $1", []any{source}, nil)
		return err
	}
	_, err = h.change(ctx, "UPDATE sources SET first_day = $2 WHERE no = $1 AND first_day <> $2", []any{source, int64(first)}, nil)
	return err
}

// keys lists a set of numbers in order.
func keys(set map[int64]bool) []int64 {
	list := make([]int64, 0, len(set))
	for n := range set {
		list = append(list, n)
	}
	slices.Sort(list)
	return list
}
