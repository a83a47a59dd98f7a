package managed

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/reeve-ai/reeve/internal/core"
)

func TestCursorsSurviveTheirText(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := cursor{
			list: rapid.SampledFrom([]string{agentList, sessionList, eventList}).Draw(t, "list"),
			asc:  rapid.Bool().Draw(t, "asc"), back: rapid.Bool().Draw(t, "back"),
			at: rapid.Int64().Draw(t, "at"),
		}
		if rapid.Bool().Draw(t, "id") {
			c.id = core.NewID[string]()
		}
		got, err := parseCursor(c.String(), c.list)
		if err != nil || got != c {
			t.Fatalf("parseCursor(%q) = %+v, %v, want %+v", c, got, err, c)
		}
		if _, err := parseCursor(c.String(), modelList); core.KindOf(err) != core.Invalid {
			t.Fatalf("a cursor of %s was taken for one of models: %v", c.list, err)
		}
	})
}

func TestForgedCursorsAreRefused(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Draw(t, "text")
		for _, forged := range []string{text, cursorPrefix + text} {
			if c, err := parseCursor(forged, agentList); err == nil && c.String() != forged {
				t.Fatalf("parseCursor(%q) = %+v", forged, c)
			}
		}
	})
}

func TestSpansAreClosedToTheMicrosecond(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	fine := at.Add(500 * time.Nanosecond) // between two stored times
	next := at.Add(time.Microsecond)
	for _, tc := range []struct {
		name     string
		span     span
		from, to time.Time
	}{
		{"open", span{}, time.Time{}, time.Time{}},
		{"gte", span{gte: at}, at, time.Time{}},
		{"gte between", span{gte: fine}, next, time.Time{}},
		{"gt", span{gt: at}, next, time.Time{}},
		{"gt between", span{gt: fine}, next, time.Time{}},
		{"lte", span{lte: at}, time.Time{}, at},
		{"lte between", span{lte: fine}, time.Time{}, at},
		{"lt", span{lt: next}, time.Time{}, at},
		{"lt between", span{lt: fine}, time.Time{}, at},
		{"the narrower end holds", span{gt: at, gte: at, lt: next, lte: next}, next, at},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if from, to := tc.span.closed(); !from.Equal(tc.from) || !to.Equal(tc.to) {
				t.Errorf("closed() = %v, %v, want %v, %v", from, to, tc.from, tc.to)
			}
		})
	}
}

func TestTwinIsItsOwnInverse(t *testing.T) {
	t.Parallel()
	id := core.NewID[core.EventID]()
	if other := twin(id); other == id || twin(other) != id || len(other) != len(id) {
		t.Errorf("twin(%s) = %s, and back %s", id, other, twin(other))
	}
}
