package store

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// counting makes SQLite count; in no test does it come to the end of a billion.
const counting = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1) SELECT COUNT(*) FROM n"

func TestCaptureReadsStopWhenTheirCallerHasLeft(t *testing.T) {
	t.Parallel()
	db, add := plainCaptures(t)
	agent, session := core.NewID[core.AgentID](), core.NewID[core.SessionID]()
	now := time.Now().UTC()
	project := add(agent, session, now, 2)[0].Project
	for name, read := range map[string]func(context.Context, func(handle) error) error{
		"one statement": db.base.engine.read,
		"several":       db.base.engine.snapshot,
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		err := read(ctx, func(h handle) error {
			return h.rows(ctx, counting, []any{1_000_000_000}, func(row) error { return nil })
		})
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v, want that the deadline has passed", name, err)
		}
		// The only connection for reading is as good as before.
		list, err := db.Captures(t.Context(), project, agent, session, core.CaptureQuery{Limit: 10})
		if err != nil || len(list) != 2 {
			t.Errorf("%s: then %d captures, %v; want 2", name, len(list), err)
		}
		days, err := db.LatencyDays(t.Context(), project, agent, core.Days{From: 0, To: core.DayOf(now) + 1})
		if err != nil || len(days) == 0 {
			t.Errorf("%s: then latencies %+v, %v", name, days, err)
		}
	}
}

func TestCaptureWritesRunToTheirEnd(t *testing.T) {
	t.Parallel()
	db, _ := plainCaptures(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	err := db.base.engine.write(ctx, func(h *txn) error {
		return h.rows(ctx, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1) SELECT i FROM n", []any{1000}, func(row) error {
			cancel()
			n++
			return nil
		})
	})
	if err != nil || n != 1000 {
		t.Errorf("%d rows, %v; want all 1000", n, err)
	}
}
