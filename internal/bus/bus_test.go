package bus_test

import (
	"sync"
	"testing"

	"github.com/reeve-ai/reeve/internal/bus"
	"github.com/reeve-ai/reeve/internal/core"
)

func TestNudgesMergeAndReachOnlyTheirSession(t *testing.T) {
	t.Parallel()
	b := bus.New()
	mine, cancel := b.Subscribe("a")
	defer cancel()
	other, cancelOther := b.Subscribe("b")
	defer cancelOther()
	for range 3 {
		b.Wake("a")
	}
	<-mine.Woken
	select {
	case <-mine.Woken:
		t.Error("three nudges before a look must be one")
	case <-other.Woken:
		t.Error("another session's watcher was nudged")
	default:
	}
	b.Wake("a")
	<-mine.Woken // a nudge behind the look is a new one
}

func TestDeltasKeepOrderAndASlowWatcherLosesOnlyItsOwn(t *testing.T) {
	t.Parallel()
	b := bus.New()
	slow, cancelSlow := b.Subscribe("a")
	defer cancelSlow()
	quick, cancelQuick := b.Subscribe("a")
	defer cancelQuick()
	const n = 200
	for i := range n {
		b.Publish(core.Delta{Session: "a", N: i})
		if d := <-quick.Deltas; d.N != i {
			t.Fatalf("quick watcher got %d, want %d", d.N, i)
		}
	}
	got := 0
	for len(slow.Deltas) > 0 {
		if d := <-slow.Deltas; d.N != got {
			t.Fatalf("slow watcher got %d, want %d: what it has must be the beginning", d.N, got)
		}
		got++
	}
	if got == 0 || got == n {
		t.Errorf("slow watcher kept %d of %d", got, n)
	}
}

func TestCancelledWatcherHearsNothing(t *testing.T) {
	t.Parallel()
	b := bus.New()
	sub, cancel := b.Subscribe("a")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 100 {
				b.Wake("a")
				b.Publish(core.Delta{Session: "a"})
			}
		})
	}
	cancel()
	wg.Wait()
	for len(sub.Woken) > 0 {
		<-sub.Woken
	}
	b.Wake("a")
	if len(sub.Woken) != 0 {
		t.Error("a nudge after cancel")
	}
}
