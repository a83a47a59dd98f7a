package store

import (
	"context"
	"slices"

	"github.com/reeve-ai/reeve/internal/core"
)

// forgetStep is how many captures one transaction of ForgetSession deletes: a few milliseconds.
const forgetStep = 500

// takenColumns are those of counted, for RETURNING.
const takenColumns = "source, session, path, day, at, latency, outcome, method, status, request_bytes, response_bytes"

// ForgetSession implements core.CaptureStore.
func (d *CaptureDB) ForgetSession(ctx context.Context, project core.ProjectID, session core.SessionID) error {
	p, ok := rawIDOf(project)
	s, ok2 := rawIDOf(session)
	if !ok || !ok2 {
		return nil
	}
	for {
		taken := 0
		err := d.base.write(ctx, "forget session", func(h *txn) (err error) {
			taken, err = takeCaptures(ctx, d.base.engine, h, `DELETE FROM captures WHERE no IN (SELECT c.no FROM captures c WHERE c.session =
				(SELECT s.no FROM sessions s JOIN sources o ON o.no = s.source WHERE s.id = $1 AND o.project_id = $2 LIMIT 1)
				LIMIT $3 + 0) RETURNING `+takenColumns, s[:], p[:], forgetStep)
			return err
		})
		if err != nil || taken == 0 {
			return err
		}
	}
}

// ExpireCaptures implements core.CaptureStore.
func (d *CaptureDB) ExpireCaptures(ctx context.Context, before core.Day, limit int) (deleted int, err error) {
	err = d.base.write(ctx, "expire captures", func(h *txn) error {
		deleted = 0
		for deleted < limit {
			source := int64(0)
			if err := h.rows(ctx, "SELECT no FROM sources WHERE first_day < $1 ORDER BY first_day LIMIT 1", []any{int64(before)},
				func(r row) error { return r.Scan(&source) }); err != nil || source == 0 {
				return err
			}
			n, err := takeCaptures(ctx, d.base.engine, h, `DELETE FROM captures WHERE no IN
				(SELECT no FROM captures WHERE source = $1 AND day < $2 LIMIT $3 + 0) RETURNING `+takenColumns,
				source, int64(before), limit-deleted)
			if err != nil || n == 0 { // 0: first_day is wrong, and would be for ever
				return err
			}
			deleted += n
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return deleted, nil
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
