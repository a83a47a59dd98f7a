package observe_test

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/identity"
	"github.com/reeve-ai/reeve/internal/observe"
)

// zeroID is before all ids.
var zeroID = core.CaptureID(strings.Repeat("0", 32))

// counter counts what is read of the store behind it.
type counter struct {
	core.CaptureStore
	read atomic.Int64
	then atomic.Pointer[func()] // called once, after the next read
}

func (c *counter) Captures(ctx context.Context, project core.ProjectID, agent core.AgentID, session core.SessionID, q core.CaptureQuery) ([]core.Capture, error) {
	list, err := c.CaptureStore.Captures(ctx, project, agent, session, q)
	c.read.Add(int64(len(list)))
	if then := c.then.Swap(nil); then != nil {
		(*then)()
	}
	return list, err
}

// setupLong is setup with a session of so many calls, each of 1.5 ms, that end 1 ms apart.
func setupLong(t *testing.T, calls int, o observe.Options) (*fixture, *counter) {
	t.Helper()
	f := setup(t, o, identity.Limits{AgentBytesBurst: 1 << 30})
	store := &counter{CaptureStore: f.captures}
	f.Service = observe.New(store, f.agents, f.sessions, f.identity, o)
	for done := 0; done < calls; {
		var batch []observe.Report
		for len(batch) < observe.MaxBatch && done < calls {
			done++
			batch = append(batch, ran("/", float64(done)-1.5, float64(done)))
		}
		f.record(t, f.from, batch...)
	}
	return f, store
}

func (f *fixture) part(t *testing.T, after *core.CaptureKey) observe.Timeline {
	t.Helper()
	line, err := f.Timeline(t.Context(), f.viewer, f.agent.ID, f.session, core.CaptureQuery{Limit: 200, After: after})
	need(t, err)
	return line
}

// fresh is the same service as after a restart: it remembers nothing.
func (f *fixture) fresh() *fixture {
	g := *f
	g.Service = observe.New(f.captures, f.agents, f.sessions, f.identity, observe.Options{Now: func() time.Time { return noon }})
	return &g
}

func TestALatePartOfATimelineReadsOneWindow(t *testing.T) {
	t.Parallel()
	f, store := setupLong(t, 35_000, observe.Options{})
	late := &core.CaptureKey{ID: zeroID, At: noon.Add(-time.Minute + 31_000*time.Millisecond)}
	whole := f.part(t, late)
	if first := whole.Calls[0].Order; first != 31_000 {
		t.Fatalf("the part begins with %d", first)
	}
	store.read.Store(0)
	again := f.part(t, late)
	if n := store.read.Load(); n > 200+1+10_000 {
		t.Errorf("a late part read %d captures", n)
	}
	if diff := cmp.Diff(whole, again); diff != "" {
		t.Errorf("read at once and from a mark (-once +mark):\n%s", diff)
	}
	if diff := cmp.Diff(f.fresh().part(t, whole.Next), f.part(t, whole.Next)); diff != "" {
		t.Errorf("the next part (-fresh +mark):\n%s", diff)
	}
	store.read.Store(0)
	end := f.part(t, &core.CaptureKey{ID: zeroID, At: noon}) // beyond all: only the start is to be known
	if n := store.read.Load(); n != 0 || !end.Start.Equal(whole.Start) || len(end.Calls) != 0 {
		t.Errorf("an empty part read %d captures: from %v, %d calls", n, end.Start, len(end.Calls))
	}
	// What is added behind the marks leaves them as they are.
	f.record(t, f.from, ran("/end", 35_000, 35_001))
	store.read.Store(0)
	if diff := cmp.Diff(f.fresh().part(t, late), f.part(t, late)); diff != "" || store.read.Load() > 200+1+10_000 {
		t.Errorf("after a call at the end, %d captures read (-fresh +mark):\n%s", store.read.Load(), diff)
	}
}

func TestCallsThatArriveLateShiftTheTimeline(t *testing.T) {
	t.Parallel()
	now := noon
	f, store := setupLong(t, 21_000, observe.Options{Now: func() time.Time { return now }, Retention: 24 * time.Hour})
	late := &core.CaptureKey{ID: zeroID, At: noon.Add(-time.Minute + 20_500*time.Millisecond)}
	f.part(t, late)
	check := func(what string, order int) {
		t.Helper()
		got := f.part(t, late)
		if diff := cmp.Diff(f.fresh().part(t, late), got); diff != "" || got.Calls[0].Order != order {
			t.Errorf("%s: it begins with %d, want %d (-fresh +mark):\n%s", what, got.Calls[0].Order, order, diff)
		}
	}
	check("before", 20_500)
	f.record(t, f.from, ran("/middle", 12_000, 12_010))
	check("one in the second window", 20_501)
	f.record(t, f.from, ran("/first", -100, 0.5))
	check("one before all", 20_502)
	// One that comes while the session is read: what that reading has learned must not be kept.
	f.record(t, f.from, ran("/forget", -50, 0.6)) // the marks are gone
	added := func() { f.record(t, f.from, ran("/meanwhile", -20, 0.7)) }
	store.then.Store(&added)
	f.part(t, &core.CaptureKey{ID: zeroID, At: noon.Add(-time.Minute + 5*time.Millisecond)})
	f.part(t, late)
	check("one while it is read", 20_504)
	// Old ones go.
	old := ran("/old", 0, 0)
	old.At = noon.Add(-20 * time.Hour)
	f.record(t, f.from, old)
	check("one of the day before", 20_505)
	now = noon.Add(24 * time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- f.Run(ctx) }()
	for f.part(t, nil).Calls[0].Path == "/old" {
		if t.Context().Err() != nil {
			t.Fatal("the old one does not go")
		}
	}
	cancel()
	need(t, <-done)
	check("the old one deleted", 20_504)
	paths := []string{}
	for _, c := range f.part(t, nil).Calls[:4] {
		paths = append(paths, c.Path)
	}
	if got := strings.Join(slices.Sorted(slices.Values(paths)), " "); got != "/first /forget /meanwhile /middle" && got != "/ /first /forget /meanwhile" {
		t.Errorf("the first calls are %s", got)
	}
}
