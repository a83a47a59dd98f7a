package observe_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/identity"
	"github.com/reeve-ai/reeve/internal/observe"
)

// ran is a call that ran between two times, in milliseconds since a minute before noon.
func ran(path string, from, to float64) observe.Report {
	r := call(path, 200)
	r.At = noon.Add(-time.Minute + time.Duration(to*float64(time.Millisecond)))
	r.LatencyMS = to - from
	return r
}

func timeline(t *testing.T, f *fixture, limit int) (calls []observe.Call, pages int) {
	t.Helper()
	q := core.CaptureQuery{Limit: limit}
	var first observe.Timeline
	for {
		line, err := f.Timeline(t.Context(), f.viewer, f.agent.ID, f.session, q)
		need(t, err)
		if pages++; pages == 1 {
			first = line
		}
		if !line.Start.Equal(first.Start) || !line.End.Equal(first.End) {
			t.Errorf("page %d: from %v to %v, before it was %v to %v", pages, line.Start, line.End, first.Start, first.End)
		}
		if !slices.IsSortedFunc(line.Calls, func(a, b observe.Call) int { return a.Order - b.Order }) {
			t.Errorf("page %d is not in order", pages)
		}
		calls = append(calls, line.Calls...)
		if q.After = line.Next; line.Next == nil {
			return calls, pages
		}
	}
}

func TestATimelineShowsWhatRanSideBySide(t *testing.T) {
	t.Parallel()
	f := setup(t, observe.Options{}, identity.Limits{})
	long := ran("/long", 0, 100)
	long.RequestBody, long.Error = new("body"), new("late")
	f.record(t, f.from, ran("/b", 10, 30), long, ran("/c", 20, 40), ran("/d", 30, 30.5), ran("/e", 200, 210))
	line, err := f.Timeline(t.Context(), f.viewer, f.agent.ID, f.session, core.CaptureQuery{Limit: 10})
	need(t, err)
	start := noon.Add(-time.Minute)
	if !line.Start.Equal(start) || !line.End.Equal(start.Add(210*time.Millisecond)) || line.Next != nil {
		t.Errorf("from %v to %v, next %v", line.Start, line.End, line.Next)
	}
	type row struct {
		Path   string
		Order  int
		Lane   int
		Offset float64
	}
	var got []row
	for _, c := range line.Calls {
		got = append(got, row{c.Path, c.Order, c.Lane, c.OffsetMS})
		if want := c.At.Add(-time.Duration(c.LatencyMS * float64(time.Millisecond))); !c.StartedAt.Equal(want) {
			t.Errorf("%s started at %v, want %v", c.Path, c.StartedAt, want)
		}
	}
	want := []row{{"/long", 1, 0, 0}, {"/b", 2, 1, 10}, {"/c", 3, 2, 20}, {"/d", 4, 1, 30}, {"/e", 5, 0, 200}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	if first := line.Calls[0]; first.RequestBody != nil || first.Error == nil || *first.Error != "late" {
		t.Errorf("the first call is %+v, want it bare", first)
	}
}

func TestATimelineInPartsIsTheSameTimeline(t *testing.T) {
	t.Parallel()
	f := setup(t, observe.Options{}, identity.Limits{})
	rapid.Check(t, func(rt *rapid.T) {
		f.session = f.open(t, f.from.By)
		f.from.Session = f.session
		var reports []observe.Report
		for i := range rapid.IntRange(1, 25).Draw(rt, "calls") {
			from := rapid.IntRange(0, 50).Draw(rt, "from")
			reports = append(reports, ran(fmt.Sprintf("/%d", i), float64(from), float64(from+rapid.IntRange(0, 30).Draw(rt, "length"))))
		}
		f.record(t, f.from, reports...)
		whole, _ := timeline(t, f, observe.MaxPage)
		parts, pages := timeline(t, f, rapid.IntRange(1, 7).Draw(rt, "limit"))
		if len(reports) > 7 && pages == 1 {
			rt.Fatal("there is only one part")
		}
		slices.SortFunc(parts, func(a, b observe.Call) int { return a.Order - b.Order })
		if diff := cmp.Diff(whole, parts); diff != "" {
			rt.Fatalf("whole and in parts (-whole +parts):\n%s", diff)
		}
		graph, err := f.Graph(t.Context(), f.viewer, f.agent.ID, f.session)
		need(t, err)
		for i, c := range whole {
			if c.Order != i+1 {
				rt.Fatalf("call %d has the number %d", i, c.Order)
			}
			if s := graph.Steps[i]; s.Capture != c.ID || s.Order != c.Order || s.Endpoint != c.Target || s.OffsetMS != c.OffsetMS {
				rt.Fatalf("the graph has %+v, the timeline %+v", s, c)
			}
			for _, d := range whole[:i] {
				if c.Lane == d.Lane && c.StartedAt.Before(d.At) {
					rt.Fatalf("%s and %s overlap in lane %d", c.Path, d.Path, c.Lane)
				}
			}
		}
	})
}

// A session larger than one window goes on with its numbers, and its lanes still hold no two calls at once.
func TestATimelineOfALargeSessionGoesOn(t *testing.T) {
	t.Parallel()
	f := setup(t, observe.Options{}, identity.Limits{})
	const n = 10_500
	for done := 0; done < n; {
		var batch []observe.Report
		for len(batch) < 3500 {
			done++
			batch = append(batch, ran("/", float64(done)-1.5, float64(done)))
		}
		f.record(t, f.from, batch...)
	}
	late := ran("/late", 9990, 10_600) // began in the first window, ended in the second
	f.record(t, f.from, late)
	calls, _ := timeline(t, f, observe.MaxPage)
	if len(calls) != n+1 || calls[n].Path != "/" || calls[10_000].Path != "/late" || calls[10_000].Order != 10_001 {
		t.Fatalf("%d calls, the first of the second window is %+v", len(calls), calls[10_000])
	}
	ends := map[int]time.Time{}
	for i, c := range calls {
		if c.Order != i+1 {
			t.Fatalf("call %d has the number %d", i, c.Order)
		}
		if c.StartedAt.Before(ends[c.Lane]) {
			t.Fatalf("call %d starts before lane %d is free", i, c.Lane)
		}
		ends[c.Lane] = c.At
	}
	if len(ends) > 4 {
		t.Errorf("%d lanes for at most 3 calls at once", len(ends))
	}
	graph, err := f.Graph(t.Context(), f.viewer, f.agent.ID, f.session)
	need(t, err)
	if len(graph.Steps) != observe.MaxSteps || !graph.Truncated || len(graph.Nodes) != 3 {
		t.Errorf("graph: %d steps, %d nodes, truncated %t", len(graph.Steps), len(graph.Nodes), graph.Truncated)
	}
}

func TestASessionOfAnotherAgentHasNoTimeline(t *testing.T) {
	t.Parallel()
	f := setup(t, observe.Options{}, identity.Limits{})
	second := f.agent
	second.ID = core.NewID[core.AgentID]()
	need(t, f.db.CreateAgent(t.Context(), second))
	theirs := f.open(t, core.Principal{Kind: core.PrincipalAgent, Project: second.Project, Agent: second.ID})
	for _, id := range []core.SessionID{theirs, f.otherFrom.Session, core.NewID[core.SessionID]()} {
		errs := f.sessionReads(t, f.viewer, f.agent.ID, id)
		wantError(t, "timeline", errs["timeline"], core.NotFound, "session_not_found", "")
		wantError(t, "graph", errs["graph"], core.NotFound, "session_not_found", "")
		if errs["captures"] != nil {
			t.Errorf("captures: %v, want none and no error", errs["captures"])
		}
	}
	empty, err := f.Timeline(t.Context(), f.viewer, f.agent.ID, f.session, core.CaptureQuery{Limit: 1})
	if diff := cmp.Diff(observe.Timeline{Calls: []observe.Call{}}, empty); err != nil || diff != "" {
		t.Errorf("a session without captures: %v (-want +got):\n%s", err, diff)
	}
}
