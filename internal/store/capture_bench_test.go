package store_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/store"
)

// runningCaptures opens a database of captures in a temporary folder, with Run at work until the test has
// ended.
func runningCaptures(t testing.TB, edit ...func(*store.Options)) *store.CaptureDB {
	t.Helper()
	db := openCaptures(t, t.TempDir(), edit...)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- db.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	return db
}

// traffic makes captures as agents would: 60 paths, sessions of 200 captures, lognormal latencies and one
// error in twenty, with about 1 KB of texts.
type traffic struct {
	*rand.Rand
	project core.ProjectID
	agent   core.AgentID
	session core.SessionID
	inside  int // captures of the session so far
}

var (
	benchHeaders = `{"accept": "application/json", "user-agent": "agent/1.0", "host": "api.example.org", "x-request-id": "8b7f3c"}`
	benchBody    = `{"items": [` + strings.Repeat(`{"name": "a thing", "price": 12.5}, `, 20) + `{}]}`
)

func newTraffic(project core.ProjectID) *traffic {
	return &traffic{Rand: rand.New(rand.NewPCG(1, rand.Uint64())), project: project, agent: core.NewID[core.AgentID]()}
}

func (tr *traffic) capture(at time.Time) core.Capture {
	if tr.inside%200 == 0 {
		tr.session = core.NewID[core.SessionID]()
	}
	tr.inside++
	path := tr.IntN(60)
	c := core.Capture{
		Project: tr.project, ID: core.NewID[core.CaptureID](), Agent: tr.agent, Session: tr.session, Via: core.CaptureByAgent,
		At: at, ReceivedAt: at, Path: fmt.Sprintf("https://api.example.org/v2/resource/%d/items", path), Method: []string{"GET", "POST"}[path%2],
		StatusCode: []int{200, 200, 200, 201, 404}[tr.IntN(5)], LatencyMS: math.Exp(4 + tr.NormFloat64()),
		RequestBytes: 120, ResponseBytes: 800, RequestHeaders: &benchHeaders, ResponseHeaders: &benchHeaders, ResponseBody: &benchBody,
		CustomProperties: json.RawMessage(`{"step": 3}`),
	}
	if tr.IntN(20) == 0 {
		c.StatusCode = 503
	}
	return c
}

// BenchmarkAppendCaptures stores captures; an operation is one capture.
func BenchmarkAppendCaptures(b *testing.B) {
	for _, row := range []struct {
		durability       store.Durability
		producers, batch int
		named            bool
	}{
		{store.DurabilityNormal, 1, 500, false},
		{store.DurabilityNormal, 2, 500, false},
		{store.DurabilityNormal, 1, 500, true},
		{store.DurabilityNormal, 1, 1, false},
		{store.DurabilityNormal, 32, 1, false},
		{store.DurabilityFull, 32, 1, false},
	} {
		b.Run(fmt.Sprintf("%s/%d_of_%d/named=%t", row.durability, row.producers, row.batch, row.named), func(b *testing.B) {
			db := runningCaptures(b, func(o *store.Options) { o.Durability = row.durability })
			project := core.NewID[core.ProjectID]()
			var left atomic.Int64
			left.Store(int64(b.N))
			done := make(chan error, row.producers)
			before, used := db.Stats(), cpuTime(b)
			b.ResetTimer()
			for range row.producers {
				go func() {
					tr := newTraffic(project)
					batch := make([]core.Capture, row.batch)
					for left.Add(-int64(row.batch)) > -int64(row.batch) {
						for i := range batch {
							batch[i] = tr.capture(time.Now())
							batch[i].Named = row.named
						}
						if _, err := db.AppendCaptures(context.Background(), batch); err != nil {
							done <- err
							return
						}
					}
					done <- nil
				}()
			}
			for range row.producers {
				if err := <-done; err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			after := db.Stats()
			b.ReportMetric(float64((cpuTime(b)-used).Microseconds())/float64(b.N), "cpu-µs/op")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "captures/s")
			b.ReportMetric(float64(after.Statements-before.Statements)/float64(b.N), "statements/op")
			b.ReportMetric(float64(b.N)/float64(max(1, after.Commits-before.Commits)), "captures/commit")
		})
	}
}

// BenchmarkCaptureReadsOfManyPaths reads what an agent called that calls a new path each time, over thirty
// days with more of them than are counted apart.
func BenchmarkCaptureReadsOfManyPaths(b *testing.B) {
	ctx := context.Background()
	db := runningCaptures(b)
	tr := newTraffic(core.NewID[core.ProjectID]())
	last := time.Now().Truncate(24 * time.Hour)
	days := core.Days{From: core.DayOf(last) - 29, To: core.DayOf(last)}
	for day := range 30 {
		batch := make([]core.Capture, core.MaxDayPaths+100)
		for i := range batch {
			batch[i] = tr.capture(last.AddDate(0, 0, -day))
			batch[i].Path = fmt.Sprintf("https://api.example.org/v2/day/%d/item/%d", day, i)
			if i%2 == 0 {
				batch[i].StatusCode = 503
			}
		}
		for _, part := range [][]core.Capture{batch[:1000], batch[1000:2000], batch[2000:]} {
			if _, err := db.AppendCaptures(ctx, part); err != nil {
				b.Fatal(err)
			}
		}
	}
	for _, read := range []struct {
		name string
		call func() error
	}{
		{"PathDays", func() error { _, _, err := db.PathDays(ctx, tr.project, tr.agent, days, 1000); return err }},
		{"PathErrors", func() error { _, err := db.PathErrors(ctx, tr.project, tr.agent, days, 50); return err }},
	} {
		b.Run(read.name, func(b *testing.B) {
			used := cpuTime(b)
			for b.Loop() {
				if err := read.call(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64((cpuTime(b)-used).Microseconds())/1000/float64(b.N), "cpu-ms/op")
		})
	}
}

// million fills a database: 20 agents in 4 projects, 30 days, the first agent with a quarter of all.
func million(b *testing.B, db *store.CaptureDB, captures int) (busiest *traffic, days core.Days) {
	b.Helper()
	var agents []*traffic
	for range 4 {
		project := core.NewID[core.ProjectID]()
		for range 5 {
			agents = append(agents, newTraffic(project))
		}
	}
	const span = 30
	last := time.Now().Truncate(24 * time.Hour)
	first := last.AddDate(0, 0, 1-span)
	begin := time.Now()
	step := span * 24 * time.Hour / time.Duration(captures/500+1)
	for n := range captures / 500 {
		tr := agents[0]
		if n%4 != 0 {
			tr = agents[1+n%19]
		}
		batch := make([]core.Capture, 500)
		for i := range batch {
			batch[i] = tr.capture(first.Add(time.Duration(n)*step + time.Duration(i)*step/500))
		}
		if _, err := db.AppendCaptures(context.Background(), batch); err != nil {
			b.Fatal(err)
		}
	}
	b.Logf("%d captures in %s: %.0f/s", captures, time.Since(begin), float64(captures)/time.Since(begin).Seconds())
	return agents[0], core.Days{From: core.DayOf(first), To: core.DayOf(last)}
}

// BenchmarkCaptureReads reads what the console shows of the busiest agent, with a million captures in the
// file. It is not for CI: filling takes half a minute and two gigabytes.
func BenchmarkCaptureReads(b *testing.B) {
	captures := 1_000_000
	if testing.Short() {
		captures = 100_000
	}
	ctx := context.Background()
	db := runningCaptures(b)
	tr, days := million(b, db, captures)
	p, a := tr.project, tr.agent
	random := rand.New(rand.NewPCG(1, 2))
	var sessions []core.SessionID
	for range 500 {
		sessions = append(sessions, tr.session)
	}
	for _, read := range []struct {
		name string
		call func() (int, error)
	}{
		{"PathDays", func() (int, error) { l, _, err := db.PathDays(ctx, p, a, days, 1000); return len(l), err }},
		{"LatencyDays", func() (int, error) { l, err := db.LatencyDays(ctx, p, a, days); return len(l), err }},
		{"ErrorDays", func() (int, error) { l, err := db.ErrorDays(ctx, p, a, days); return len(l), err }},
		{"PathErrors", func() (int, error) { l, err := db.PathErrors(ctx, p, a, days, 50); return len(l), err }},
		{"Usage", func() (int, error) { l, err := db.Usage(ctx, p, nil, days); return len(l), err }},
		{"UsageDays", func() (int, error) { l, err := db.UsageDays(ctx, p, a, days); return len(l), err }},
		{"SessionCaptures", func() (int, error) { l, err := db.SessionCaptures(ctx, p, sessions); return len(l), err }},
		{"Captures/bare", func() (int, error) {
			l, err := db.Captures(ctx, p, a, tr.session, core.CaptureQuery{Limit: 200, Bare: true})
			return len(l), err
		}},
		{"Captures", func() (int, error) {
			l, err := db.Captures(ctx, p, a, tr.session, core.CaptureQuery{Limit: 200})
			return len(l), err
		}},
		{"UnknownAgent", func() (int, error) {
			l, err := db.LatencyDays(ctx, p, core.AgentID(fmt.Sprintf("%032x", random.Uint64())), days)
			return len(l) + 1, err
		}},
	} {
		b.Run(read.name, func(b *testing.B) {
			times := make([]time.Duration, 0, b.N)
			rows := 0
			for b.Loop() {
				begin := time.Now()
				n, err := read.call()
				if err != nil {
					b.Fatal(err)
				}
				times = append(times, time.Since(begin))
				rows = n
			}
			if rows == 0 {
				b.Fatal("nothing was read")
			}
			slices.Sort(times)
			b.ReportMetric(float64(times[len(times)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(times[len(times)*95/100].Microseconds())/1000, "p95-ms")
			b.ReportMetric(float64(rows), "rows")
		})
	}
}
