package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

// maxGroup bounds how many transactions share one commit, so that the first of them does not wait long.
const maxGroup = 64

// errClosed is what a transaction gets that comes after Close.
var errClosed = errors.New("store: the database is closed")

// errAbandoned is what the others of a group get when one of them ended the goroutine they ran on.
var errAbandoned = errors.New("store: the transaction was abandoned: a function ended its goroutine")

// groupWriter runs transactions one after the other on the one connection that writes, and commits
// those that were waiting together with a single commit. It has no goroutine of its own: whoever finds
// nobody at work leads, runs what is queued, answers the others, and hands the lead to the next in the
// queue.
//
// Each function runs under a savepoint of its own as far as it needs one, so that one that fails takes
// nothing of the others with it.
type groupWriter struct {
	conn  *prepared // used by whoever holds work
	work  sync.Mutex
	stats *counters

	mu      sync.Mutex // guards the rest
	queue   []*job
	led     bool          // somebody leads; false implies that the queue is empty
	closed  bool          // nobody is let in any more
	drained chan struct{} // closed when closed is set and nobody leads
}

func newGroupWriter(conn *prepared, stats *counters) *groupWriter {
	return &groupWriter{conn: conn, stats: stats, drained: make(chan struct{})}
}

// job is one transaction in the queue.
type job struct {
	ctx   context.Context
	fn    func(*txn) error
	err   error
	done  bool          // err is the answer
	taken bool          // a leader has it; under groupWriter.mu
	leads bool          // it was told to lead; under groupWriter.mu
	wake  chan struct{} // capacity 1; sent to once: when leads is set, or when the job is done
}

// counters are what Stats reports.
type counters struct {
	transactions, commits, statements atomic.Int64
}

// write runs fn in a transaction. It returns when that is committed, or the error for which all of it
// was undone. A ctx that ends before fn was started keeps it from running; later it does not matter.
func (w *groupWriter) write(ctx context.Context, fn func(*txn) error) error {
	j := &job{ctx: ctx, fn: fn, wake: make(chan struct{}, 1)}
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return errClosed
	}
	w.queue = append(w.queue, j)
	lead := !w.led
	w.led = true
	w.mu.Unlock()
	if !lead {
		lead = w.wait(j)
	}
	if lead {
		w.lead()
	}
	return j.err
}

// wait waits until the job is done or has to lead, which it reports.
func (w *groupWriter) wait(j *job) (lead bool) {
	select {
	case <-j.wake:
		return !j.done
	case <-j.ctx.Done():
	}
	w.mu.Lock()
	if j.taken {
		w.mu.Unlock()
		<-j.wake
		return false
	}
	for i, other := range w.queue {
		if other == j {
			w.queue = append(w.queue[:i], w.queue[i+1:]...)
			break
		}
	}
	if j.leads { // told at the same moment: somebody else must
		w.passOn()
	}
	w.mu.Unlock()
	j.err = j.ctx.Err()
	return false
}

// passOn hands the lead to the first in the queue. The caller holds mu and leads.
func (w *groupWriter) passOn() {
	if len(w.queue) == 0 {
		w.queue = nil // let go of a long queue's memory
		w.led = false
		if w.closed {
			close(w.drained)
		}
		return
	}
	next := w.queue[0]
	next.leads = true
	next.wake <- struct{}{}
}

// lead takes a group from the queue, in which the caller's job is the first, and runs it.
func (w *groupWriter) lead() {
	w.mu.Lock()
	n := min(len(w.queue), maxGroup)
	group := make([]*job, n)
	copy(group, w.queue)
	w.queue = append(w.queue[:0:0], w.queue[n:]...)
	for _, j := range group {
		j.taken = true
	}
	w.mu.Unlock()

	// Deferred, because a function may end this goroutine.
	defer func() {
		w.mu.Lock()
		w.passOn()
		w.mu.Unlock()
		for i, j := range group {
			if !j.done {
				j.done, j.err = true, errAbandoned
			}
			if i > 0 { // the first is the leader itself
				j.wake <- struct{}{}
			}
		}
	}()
	w.run(group)
}

// exclusive runs fn on the connection that writes, outside any transaction.
func (w *groupWriter) exclusive(fn func(*prepared) error) error {
	w.work.Lock()
	defer w.work.Unlock()
	return fn(w.conn)
}

// run runs the functions of a group and commits.
func (w *groupWriter) run(group []*job) {
	w.work.Lock()
	defer w.work.Unlock()
	g := groupRun{w: w, ctx: context.WithoutCancel(group[0].ctx)}
	defer g.finish()
	for _, j := range group {
		if g.lost != nil {
			j.done, j.err = true, g.lost
			continue
		}
		g.runJob(j)
	}
	g.complete = true
}

// groupRun is one SQL transaction and the functions that share it.
type groupRun struct {
	w        *groupWriter
	ctx      context.Context
	open     bool   // BEGIN was done
	dirty    bool   // a kept function has written
	kept     []*job // functions that succeeded and wait for the commit
	lost     error  // the SQL transaction is gone, and with it the kept functions
	complete bool   // all functions ran to their end
}

const savepoint = "one_of_group"

// runJob runs one function. It leaves the job unanswered if the commit has to decide.
func (g *groupRun) runJob(j *job) {
	conn := g.w.conn
	if err := j.ctx.Err(); err != nil {
		j.done, j.err = true, err
		return
	}
	if !g.open {
		if err := conn.do(g.ctx, "BEGIN IMMEDIATE"); err != nil {
			g.lose(j, fmt.Errorf("begin: %w", err))
			return
		}
		g.open = true
	}
	marked := false
	t := &txn{h: conn}
	if g.dirty {
		t.beforeWrite = func(ctx context.Context) error {
			err := conn.do(ctx, "SAVEPOINT "+savepoint)
			marked = err == nil
			return err
		}
	}
	g.w.stats.transactions.Add(1)
	err := t.run(j.fn)
	switch {
	case err == nil && marked:
		if err := conn.do(g.ctx, "RELEASE "+savepoint); err != nil {
			g.lose(j, err)
			return
		}
		g.kept = append(g.kept, j)
	case err == nil:
		g.dirty = g.dirty || t.writes > 0
		g.kept = append(g.kept, j)
	default:
		j.done, j.err = true, err
		g.undo(t, marked)
	}
}

// undo takes back what a failed function did.
func (g *groupRun) undo(t *txn, marked bool) {
	conn := g.w.conn
	switch {
	case marked:
		// After an error that made SQLite roll everything back (disk full, I/O), there is no such
		// savepoint any more: that is how it shows.
		err := conn.do(g.ctx, "ROLLBACK TO "+savepoint)
		if err == nil {
			err = conn.do(g.ctx, "RELEASE "+savepoint)
		}
		if err != nil {
			g.lose(nil, err)
		}
	case t.writes == 0 && t.bad == nil:
		// Nothing to take back.
	case !g.dirty:
		// It was the first to write, so the whole SQL transaction is its own, or was ended by its
		// error. What was kept before it has only read.
		_ = conn.do(g.ctx, "ROLLBACK") // fails if the error ended it already
		g.open = false
	default:
		// A read failed after others have written. Most errors leave the SQL transaction as it was,
		// some end it: BEGIN succeeds only in the second case.
		if err := conn.do(g.ctx, "BEGIN"); err == nil {
			g.lose(nil, t.bad)
		}
	}
}

// lose gives the SQL transaction up: j, if not nil, and all kept functions fail.
func (g *groupRun) lose(j *job, err error) {
	err = fmt.Errorf("store: the shared transaction was lost: %w", err)
	_ = g.w.conn.do(g.ctx, "ROLLBACK") // fails if it has ended already
	g.open, g.lost = false, err
	if j != nil {
		g.kept = append(g.kept, j)
	}
	g.answer(err)
}

// answer answers all kept functions.
func (g *groupRun) answer(err error) {
	for _, j := range g.kept {
		j.done, j.err = true, err
	}
	g.kept = nil
}

// finish commits, or undoes everything if a function ended the goroutine.
func (g *groupRun) finish() {
	switch {
	case !g.complete:
		if g.open {
			_ = g.w.conn.do(g.ctx, "ROLLBACK")
		}
		g.answer(errAbandoned)
	case !g.open:
		g.answer(nil)
	default:
		err := g.w.conn.do(g.ctx, "COMMIT")
		if err != nil {
			_ = g.w.conn.do(g.ctx, "ROLLBACK") // fails if COMMIT has ended it
			err = fmt.Errorf("store: commit: %w", err)
		} else {
			g.w.stats.commits.Add(1)
		}
		g.answer(err)
	}
}

// close lets nobody in any more and waits until those who were let in are answered. It may be called
// once, and not from inside a transaction.
func (w *groupWriter) close() {
	w.mu.Lock()
	w.closed = true
	if !w.led {
		close(w.drained)
	}
	w.mu.Unlock()
	<-w.drained
}
