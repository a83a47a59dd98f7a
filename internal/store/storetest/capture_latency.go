package storetest

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/reeve-ai/reeve/internal/core"
)

// latencies draws latencies of many shapes: equal ones, zeros, close neighbours, huge and tiny ones.
var latencies = rapid.Custom(func(t *rapid.T) []float64 {
	one := rapid.OneOf(
		rapid.SampledFrom([]float64{0, math.Copysign(0, -1), 1, 1, 100, 100.25, math.MaxFloat64 / 4, math.SmallestNonzeroFloat64}),
		rapid.Map(rapid.IntRange(0, 2000), func(n int) float64 { return float64(n) / 4 }),
		rapid.Float64Range(100, 103), // one or two buckets of any histogram
		rapid.Float64Range(0, 86_400_000),
	)
	return rapid.SliceOfN(one, 1, rapid.SampledFrom([]int{1, 2, 3, 30, 300}).Draw(t, "most")).Draw(t, "latencies")
})

// capturePercentiles compares with sorting all values. Each round has an agent of its own in one store.
func capturePercentiles(t *testing.T, b *captureBundle) {
	b.removed = true
	rapid.Check(t, func(r *rapid.T) {
		c := newCaller()
		gone := c
		gone.session = core.NewID[core.SessionID]()
		m := &captureModel{}
		days := 1 + rapid.IntRange(0, 2).Draw(r, "days")
		add := func(c caller, latencies []float64) {
			captures := make([]core.Capture, len(latencies))
			for i, latency := range latencies {
				captures[i] = c.capture(i%days*86400, func(c *core.Capture) { c.LatencyMS = latency + 0 })
			}
			m.append(captures)
			if _, err := b.AppendCaptures(t.Context(), captures); err != nil {
				r.Fatal(err)
			}
		}
		check := func(when string) {
			got, err := b.LatencyDays(t.Context(), c.project, c.agent, everyDay)
			if err != nil {
				r.Fatal(when, err)
			}
			want := m.latencyDays(c.project, c.agent, everyDay)
			if len(got) != len(want) {
				r.Fatalf("%s: %d days, want %d", when, len(got), len(want))
			}
			for i := range want {
				if got[i] != want[i] {
					r.Fatalf("%s: %+v, want %+v", when, got[i], want[i])
				}
			}
		}
		add(c, latencies.Draw(r, "first"))
		check("first")
		add(gone, latencies.Draw(r, "second"))
		check("second")
		if err := b.ForgetSession(t.Context(), gone.project, gone.session); err != nil {
			r.Fatal(err)
		}
		m.forget(gone.project, gone.session)
		check("after forgetting the second")
	})
}

// captureWholeReads reads percentiles while captures come and go: each answer must be that of one moment.
func captureWholeReads(t *testing.T, b *captureBundle) {
	stays, comes := newCaller(), newCaller()
	comes.project, comes.agent = stays.project, stays.agent
	b.add(t, stays.capture(1, func(c *core.Capture) { c.LatencyMS = 100 }))
	var batch []core.Capture
	for i := range 200 {
		batch = append(batch, comes.capture(1, func(c *core.Capture) { c.LatencyMS, c.StatusCode = 100+float64(i+1)/1000, 500 }))
	}
	done := make(chan error, 1)
	go func() {
		for range 40 {
			_, err := b.AppendCaptures(t.Context(), batch)
			if err == nil {
				err = b.ForgetSession(t.Context(), comes.project, comes.session)
			}
			if err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	allowed := map[int64]float64{1: 100, 201: 100.1}
	for {
		select {
		case err := <-done:
			need(t, err)
			return
		default:
		}
		list, err := b.LatencyDays(t.Context(), stays.project, stays.agent, everyDay)
		need(t, err)
		if len(list) != 1 || allowed[list[0].Count] != list[0].P50 {
			t.Fatalf("latencies = %+v, want those of 1 or of 201 captures", list)
		}
		_, err = b.PathErrors(t.Context(), stays.project, stays.agent, everyDay, 10)
		need(t, err)
	}
}
