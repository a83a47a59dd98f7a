package cli

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/reeve-ai/reeve/internal/client"
)

const (
	fillClients   = 4
	fillSession   = 200 // calls in a session, reported in one batch
	fillDays      = 30
	fillReadsOver = 50 // sessions that the reads of single sessions take turns with
)

// filling is what the reads read: the captures of some agents over the last days, and what is known of them.
type filling struct {
	agents   []reporter
	plan     []plannedSession
	busiest  int      // captures of the first agent, which has most
	sessions []string // of the first agent, ids in no order
	from, to string   // the days, YYYY-MM-DD, both included
}

// plannedSession is a session that is to be reported.
type plannedSession struct {
	agent int
	calls int
	start time.Time
}

// shares divides a number of captures among agents: the k-th gets 1/k of what the first gets, as is usual
// where few do most of the work.
func shares(total, agents int) []int {
	out := make([]int, agents)
	var weights float64
	for k := range agents {
		weights += 1 / float64(k+1)
	}
	left := total
	for k := agents - 1; k > 0; k-- {
		out[k] = int(float64(total) / float64(k+1) / weights)
		left -= out[k]
	}
	out[0] = left
	return out
}

// planSessions lays sessions over the days before now, oldest first, as they come in when agents work.
func planSessions(total, agents int, now time.Time) []plannedSession {
	const longest = time.Hour // a session of fillSession calls takes minutes
	random := rand.New(rand.NewPCG(uint64(total), uint64(agents)))
	first := now.UTC().Truncate(24*time.Hour).AddDate(0, 0, 1-fillDays)
	var plan []plannedSession
	for agent, calls := range shares(total, agents) {
		for ; calls > 0; calls -= fillSession {
			start := first.Add(time.Duration(random.Int64N(int64(now.Sub(first) - longest))))
			plan = append(plan, plannedSession{agent: agent, calls: min(calls, fillSession), start: start})
		}
	}
	slices.SortFunc(plan, func(a, b plannedSession) int { return a.start.Compare(b.start) })
	return plan
}

// fill reports the captures for the reads, and adds a row for that to the table.
func (o *otasBench) fill(ctx context.Context) (*filling, error) {
	now := time.Now().UTC()
	f := &filling{
		plan: planSessions(o.captures, o.agents, now), busiest: shares(o.captures, o.agents)[0],
		from: now.AddDate(0, 0, 1-fillDays).Format(time.DateOnly), to: now.Format(time.DateOnly),
	}
	for i := range o.agents {
		r, err := o.newReporter(ctx, fmt.Sprintf("Read %d", i+1))
		if err != nil {
			return nil, err
		}
		f.agents = append(f.agents, r)
	}
	var next, done atomic.Int64
	ids := make([]string, len(f.plan))
	finish := o.showProgress(ctx, &done)
	began := time.Now()
	all, err := crowd(ctx, fillClients, func(ctx context.Context, _ int) ([]time.Duration, error) {
		return o.fillSome(ctx, f, ids, &next, &done)
	})
	took := time.Since(began)
	finish()
	if err != nil {
		return nil, err
	}
	for i, s := range f.plan {
		if s.agent == 0 {
			f.sessions = append(f.sessions, ids[i])
		}
	}
	row := newFigures(fmt.Sprintf("fill, %d a request", fillSession), fillClients, 1, took, &all)
	row.Count, row.PerSecond = o.captures, float64(o.captures)/took.Seconds() // the last request of an agent is smaller
	o.table.add(row)
	return f, nil
}

// fillSome is one client of fill: it takes the next session of the plan until none is left.
func (o *otasBench) fillSome(ctx context.Context, f *filling, ids []string, next, done *atomic.Int64) (times []time.Duration, err error) {
	w := wire{base: o.base}
	defer w.close()
	var lines []byte
	for {
		i := int(next.Add(1)) - 1
		if i >= len(f.plan) {
			return times, nil
		}
		s := f.plan[i]
		r := f.agents[s.agent]
		if r.token, err = o.sessionOver(ctx, &w, r); err != nil {
			return times, err
		}
		if ids[i], err = client.SessionOf(r.token); err != nil {
			return times, err
		}
		lines = newCallMaker(o.project, 2, uint64(i)).session(lines[:0], s.start, s.calls)
		shot, err := o.batchShot(r, lines)
		if err != nil {
			return times, err
		}
		began := time.Now()
		if err := w.patient(ctx, shot, nil); err != nil {
			return times, fmt.Errorf("fill in captures: %w", err)
		}
		times = append(times, time.Since(began))
		done.Add(int64(s.calls))
	}
}

// sessionOver opens a session of a reporter and returns its token.
func (o *otasBench) sessionOver(ctx context.Context, w *wire, r reporter) (string, error) {
	var opened struct {
		Response struct {
			Token string `json:"jwt_token"`
		} `json:"response"`
	}
	s, err := newShot(o.base, "/api/agent/v1/session/create/", http.Header{"X-Otas-Agent-Key": {r.key}}, []byte("{}"), http.StatusOK)
	if err != nil {
		return "", err
	}
	if err := w.patient(ctx, s, &opened); err != nil {
		return "", fmt.Errorf("open a session: %w", err)
	}
	return opened.Response.Token, nil
}

// patient is must, but for a server that says when to come back: then it does.
func (w *wire) patient(ctx context.Context, s shot, out any) error {
	for {
		a, err := w.send(ctx, s)
		if err != nil {
			return err
		}
		seconds, isNumber := strconv.Atoi(a.retryAfter)
		if a.status != http.StatusTooManyRequests || isNumber != nil {
			return a.into(s, out)
		}
		wait := time.NewTimer(time.Duration(max(seconds, 1)) * time.Second)
		select {
		case <-ctx.Done():
			wait.Stop()
			return ctx.Err()
		case <-wait.C:
		}
	}
}

// showProgress writes how many captures are done, over and over, until the returned function is called. It
// does nothing where nobody watches.
func (o *otasBench) showProgress(ctx context.Context, done *atomic.Int64) (finish func()) {
	if o.progress == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				o.progress.write("\r\x1b[K")
				return
			case <-tick.C:
				o.progress.write(fmt.Sprintf("\rfilling in %s of %s captures\x1b[K", thousands(done.Load()), thousands(int64(o.captures))))
			}
		}
	}()
	return func() {
		cancel()
		<-ended
	}
}

// some picks at most n of the busiest agent's sessions, spread over all.
func (f *filling) some(n int) ([]string, error) {
	if len(f.sessions) == 0 {
		return nil, errors.New("no captures were filled in")
	}
	var out []string
	for i := range min(n, len(f.sessions)) {
		out = append(out, f.sessions[i*len(f.sessions)/min(n, len(f.sessions))])
	}
	return out, nil
}
