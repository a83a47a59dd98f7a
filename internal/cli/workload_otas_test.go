package cli

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"testing"
	"time"
)

// TestCallsAreLikeThoseOfAnAgent holds the benchmark to what docs/performance.md says of its captures.
func TestCallsAreLikeThoseOfAnAgent(t *testing.T) {
	t.Parallel()
	const n = 20_000
	lines := newCallMaker("p1", 1, 2).lines(n)
	if size := len(lines) / n; size < 950 || size > 1150 {
		t.Errorf("a call has %d bytes", size)
	}
	if !bytes.Equal(lines[:100_000], newCallMaker("p1", 1, 2).lines(n)[:100_000]) {
		t.Error("the same seed makes other calls")
	}
	paths, failed, latencies := map[string]int{}, 0, make([]float64, 0, n)
	for line := range bytes.Lines(lines) {
		c := readCall(t, line)
		if c.Project != "p1" || c.At != "" || c.Properties["tool"] != "lookup" {
			t.Fatalf("call = %s", line)
		}
		for _, text := range []string{c.RequestHeaders, c.RequestBody, c.QueryParams, c.PostData, c.ResponseHeaders, c.ResponseBody} {
			if !json.Valid([]byte(text)) {
				t.Fatalf("%s in the call %s is no JSON text", text, line)
			}
		}
		paths[c.Path]++
		latencies = append(latencies, c.Latency)
		if c.Status == 0 || c.Status >= 500 || c.Error != "" {
			failed++
		}
	}
	slices.Sort(latencies)
	if median := latencies[n/2]; math.Abs(median-callMedianMS) > 5 {
		t.Errorf("median latency %.1f ms", median)
	}
	if share := float64(failed) / n; math.Abs(share-callErrors) > 0.005 {
		t.Errorf("%.3f of the calls failed", share)
	}
	if len(paths) != 60 || paths[callPaths[0]] < 4*n/60 {
		t.Errorf("%d paths, the first %d times", len(paths), paths[callPaths[0]])
	}
}

// call is what TestCallsAreLikeThoseOfAnAgent reads of one.
type call struct {
	Project         string            `json:"project_id"`
	At              string            `json:"event_time"`
	Path            string            `json:"path"`
	Status          int               `json:"status_code"`
	Latency         float64           `json:"latency_ms"`
	RequestHeaders  string            `json:"request_headers"`
	RequestBody     string            `json:"request_body"`
	QueryParams     string            `json:"query_params"`
	PostData        string            `json:"post_data"`
	ResponseHeaders string            `json:"response_headers"`
	ResponseBody    string            `json:"response_body"`
	Properties      map[string]any    `json:"custom_properties"`
	Metadata        map[string]string `json:"metadata"`
	Error           string            `json:"error"`
}

func readCall(t *testing.T, line []byte) (c call) {
	t.Helper()
	if err := json.Unmarshal(line, &c); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return c
}

func TestCallsOfASessionOverlapNowAndThen(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	var last time.Time
	calls, overlaps := 0, 0
	for line := range bytes.Lines(newCallMaker("p", 1, 1).session(nil, start, 200)) {
		c := readCall(t, line)
		at, err := time.Parse(time.RFC3339Nano, c.At)
		if err != nil {
			t.Fatal(err)
		}
		began := at.Add(-time.Duration(c.Latency * float64(time.Millisecond)))
		if calls == 0 && began.Sub(start).Abs() > time.Millisecond {
			t.Errorf("the first call began at %s", began)
		}
		if began.Before(last) {
			overlaps++
		}
		last = at
		calls++
	}
	if calls != 200 || overlaps < 20 || overlaps > 80 || last.Sub(start) > time.Hour {
		t.Errorf("%d calls, %d of them overlap, the last at %s", calls, overlaps, last)
	}
}

func TestSharesAddUpAndTheFirstIsLargest(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ total, agents, first int }{{1_000_000, 20, 277_964}, {1000, 3, 546}, {1, 20, 1}, {7, 1, 7}} {
		got := shares(c.total, c.agents)
		sum := 0
		for _, n := range got {
			sum += n
		}
		if sum != c.total || len(got) != c.agents || slices.Max(got) != got[0] || math.Abs(float64(got[0]-c.first)) > float64(c.agents) {
			t.Errorf("shares(%d, %d) = %v", c.total, c.agents, got)
		}
	}
}

func TestSessionsAreSpreadOverThirtyDays(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 0, 30, 0, 0, time.UTC) // just after midnight: the last day has hardly begun
	plan := planSessions(100_000, 4, now)
	days, calls := map[string]bool{}, 0
	for i, s := range plan {
		if i > 0 && s.start.Before(plan[i-1].start) {
			t.Fatal("not in order")
		}
		if s.calls < 1 || s.calls > fillSession {
			t.Errorf("a session of %d calls", s.calls)
		}
		days[s.start.Format(time.DateOnly)] = true
		calls += s.calls
	}
	first, last := plan[0].start, plan[len(plan)-1].start
	if calls != 100_000 || first.Before(time.Date(2026, 10, 23, 0, 0, 0, 0, time.UTC)) || last.After(now.Add(-time.Hour)) || len(days) != 29 {
		t.Errorf("%d calls on %d days from %s to %s", calls, len(days), first, last)
	}
}
