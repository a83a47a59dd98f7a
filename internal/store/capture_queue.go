package store

import (
	"context"
	"slices"
	"sync"
)

// maxShared is with how many captures a shared append is full, so that the first in it does not wait long.
const maxShared = 1000

// appendQueue brings appends that wait at the same time together: most of what an append does, such as
// finding the agent and counting, is then done once for all of them. Like groupWriter, it has no
// goroutine of its own: one of those who wait does the work.
type appendQueue struct {
	turn chan struct{} // capacity 1; full while somebody works

	mu      sync.Mutex
	waiting []*waitingAppend
}

// waitingAppend is one call of AppendCaptures.
type waitingAppend struct {
	captures []reported
	err      error
	done     chan struct{} // closed when err is the answer
}

func newAppendQueue() appendQueue { return appendQueue{turn: make(chan struct{}, 1)} }

// append stores captures with work, which gets them together with those of others, and is not called for
// them any more once ctx has ended.
func (q *appendQueue) append(ctx context.Context, captures []reported, work func(context.Context, []*waitingAppend) error) error {
	a := &waitingAppend{captures: captures, done: make(chan struct{})}
	q.mu.Lock()
	q.waiting = append(q.waiting, a)
	q.mu.Unlock()
	for {
		select {
		case <-a.done:
			return a.err
		case <-ctx.Done():
			if q.leave(a) {
				return ctx.Err()
			}
			<-a.done // somebody is at work on it
			return a.err
		case q.turn <- struct{}{}:
			select {
			case <-a.done: // just now: the turn is for somebody else
				<-q.turn
				return a.err
			default:
			}
			// Others wait for what this one does, so its context must not end it.
			q.serve(context.WithoutCancel(ctx), work)
		}
	}
}

// leave takes an append out of the queue and reports whether it was still in it.
func (q *appendQueue) leave(a *waitingAppend) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.waiting, a)
	if i >= 0 {
		q.waiting = slices.Delete(q.waiting, i, i+1)
	}
	return i >= 0
}

// serve does the work for the first in the queue, and gives the turn back.
func (q *appendQueue) serve(ctx context.Context, work func(context.Context, []*waitingAppend) error) {
	together := q.take()
	err := errAbandoned // for a panic
	defer func() {
		<-q.turn
		for _, a := range together {
			a.err = err
			close(a.done)
		}
	}()
	if len(together) > 0 {
		err = work(ctx, together)
	}
}

// take takes the first from the queue, at least one if there is one.
func (q *appendQueue) take() []*waitingAppend {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, captures := 0, 0
	for n < len(q.waiting) && captures < maxShared {
		captures += len(q.waiting[n].captures)
		n++
	}
	together := slices.Clone(q.waiting[:n])
	q.waiting = slices.Delete(q.waiting, 0, n)
	return together
}
