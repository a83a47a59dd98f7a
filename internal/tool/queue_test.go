package tool

import (
	"context"
	"errors"
	"testing"

	"github.com/reeve-ai/reeve/internal/core"
)

func TestQueueLetsOneInAndForgetsTheRest(t *testing.T) {
	t.Parallel()
	q := newQueues()
	a, b := core.SessionID("a"), core.SessionID("b")
	leave, err := q.enter(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	other, err := q.enter(t.Context(), b) // another session does not wait
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := q.enter(ctx, a); !errors.Is(err, context.Canceled) {
		t.Errorf("who gave up waiting got %v", err)
	}
	entered := make(chan func())
	go func() {
		next, err := q.enter(t.Context(), a)
		if err != nil {
			t.Error(err)
		}
		entered <- next
	}()
	select {
	case <-entered:
		t.Fatal("two were let in")
	default:
	}
	leave()
	(<-entered)()
	other()
	if len(q.open) != 0 {
		t.Errorf("%d queues are left", len(q.open))
	}
}
