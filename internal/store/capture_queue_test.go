package store

import (
	"context"
	"errors"
	"runtime"
	"testing"
)

// TestAppendsThatWaitShareOneTransaction holds the first append back until others have come: one leaves
// because its context ends, the rest are stored by one call of work, in their order.
func TestAppendsThatWaitShareOneTransaction(t *testing.T) {
	t.Parallel()
	q := newAppendQueue()
	var groups [][]int
	started, goOn := make(chan struct{}), make(chan struct{})
	errSecond := errors.New("the second group fails")
	work := func(ctx context.Context, together []*waitingAppend) error {
		group := []int{}
		for _, a := range together {
			group = append(group, len(a.captures))
		}
		groups = append(groups, group)
		if len(groups) == 1 {
			close(started)
			<-goOn
			return ctx.Err()
		}
		return errSecond
	}
	call := func(ctx context.Context, captures int) chan error {
		done := make(chan error, 1)
		go func() { done <- q.append(ctx, make([]reported, captures), work) }()
		return done
	}
	ctx, cancel := context.WithCancel(t.Context())
	first := call(ctx, 1)
	<-started
	var others []chan error
	for i := range 3 {
		others = append(others, call(t.Context(), 2+i))
		q.untilWaiting(i + 1)
	}
	gone, leave := context.WithCancel(t.Context())
	left := call(gone, 9)
	q.untilWaiting(4)
	large := call(t.Context(), maxShared)
	q.untilWaiting(5)
	last := call(t.Context(), 5)
	q.untilWaiting(6)
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("the one that left: %v", err)
	}
	cancel() // of the one that works: others may be waiting for it
	close(goOn)
	if err := <-first; err != nil {
		t.Errorf("the first: %v", err)
	}
	for _, done := range append(others, large, last) {
		if err := <-done; !errors.Is(err, errSecond) {
			t.Errorf("another: %v, want its group's error", err)
		}
	}
	want := [][]int{{1}, {2, 3, 4, maxShared}, {5}}
	if len(groups) != len(want) {
		t.Fatalf("groups = %v, want %v", groups, want)
	}
	for i := range want {
		for j := range want[i] {
			if len(groups[i]) != len(want[i]) || groups[i][j] != want[i][j] {
				t.Errorf("group %d = %v, want %v", i, groups[i], want[i])
				break
			}
		}
	}
}

// untilWaiting waits until that many appends are in the queue.
func (q *appendQueue) untilWaiting(n int) {
	for {
		q.mu.Lock()
		there := len(q.waiting)
		q.mu.Unlock()
		if there == n {
			return
		}
		runtime.Gosched()
	}
}

// TestAWorkerThatEndsItsGoroutineGivesTheTurnBack checks that nobody waits for ever for work that ended
// badly, whether it was his own or not.
func TestAWorkerThatEndsItsGoroutineGivesTheTurnBack(t *testing.T) {
	t.Parallel()
	q := newAppendQueue()
	started, ended := make(chan struct{}), make(chan struct{})
	goOn := make(chan struct{})
	go func() {
		defer close(ended)
		_ = q.append(t.Context(), make([]reported, 1), func(context.Context, []*waitingAppend) error {
			close(started)
			<-goOn
			runtime.Goexit()
			return nil
		})
	}()
	<-started
	next := make(chan error, 1)
	go func() {
		next <- q.append(t.Context(), make([]reported, 1), func(context.Context, []*waitingAppend) error { return nil })
	}()
	q.untilWaiting(1)
	close(goOn)
	<-ended
	if err := <-next; err != nil {
		t.Errorf("the next: %v", err)
	}
}
