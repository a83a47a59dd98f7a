package tool

import (
	"context"
	"sync"

	"github.com/reeve-ai/reeve/internal/core"
)

// queues let one call at a time change a session's files, so that parallel edits do not lose one
// another. A session has one queue and not one for each path: two paths may lead to the same file
// through a symlink, and an edit takes only milliseconds.
type queues struct {
	mu   sync.Mutex
	open map[core.SessionID]*queue
}

type queue struct {
	slot  chan struct{} // capacity 1: held by the one whose turn it is
	users int           // those who hold it or wait; guarded by queues.mu
}

func newQueues() *queues { return &queues{open: map[core.SessionID]*queue{}} }

// enter waits until it is the caller's turn, which lasts until leave is called, or until ctx ends.
func (q *queues) enter(ctx context.Context, id core.SessionID) (leave func(), err error) {
	q.mu.Lock()
	one, ok := q.open[id]
	if !ok {
		one = &queue{slot: make(chan struct{}, 1)}
		q.open[id] = one
	}
	one.users++
	q.mu.Unlock()
	done := func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		if one.users--; one.users == 0 {
			delete(q.open, id)
		}
	}
	select {
	case one.slot <- struct{}{}:
		return func() {
			<-one.slot
			done()
		}, nil
	case <-ctx.Done():
		done()
		return nil, ctx.Err()
	}
}
