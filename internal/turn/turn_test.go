package turn_test

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/provider/fake"
	"github.com/reeve-ai/reeve/internal/turn"
)

// A run remembers its transcript for the next turn. What it remembers must be what a rebuild gives,
// above all the order of results that came side by side: else the model's view of the past changes with
// a restart.
func TestRememberedConversationIsTheRebuiltOne(t *testing.T) {
	t.Parallel()
	h := build(t, reactor(), toolset{{name: "a"}})
	first := h.open(h.db, turn.Options{})
	end := first.run(t)
	after := int64(0)
	for range 5 {
		first.send(t, message("use a a a a a a a a a a a a a a a a"))
		after, _ = first.untilIdle(t, after)
	}
	first.send(t, message("remember?"))
	after, _ = first.untilIdle(t, after)
	end()
	second := h.open(h.db, turn.Options{})
	second.run(t)
	second.send(t, message("and now?"))
	second.untilIdle(t, after)
	asked := h.fake.Requests()
	remembered, rebuilt := asked[len(asked)-2].Messages, asked[len(asked)-1].Messages
	if d := cmp.Diff(remembered, rebuilt[:len(remembered)]); d != "" {
		t.Errorf("the conversation of the first life differs after the restart (-remembered +rebuilt):\n%s", d)
	}
}

// A transaction may be run twice, and find something else the second time.
func TestMessageBetweenTwoRunsOfTheLastTransactionKeepsTheSessionRunning(t *testing.T) {
	t.Parallel()
	var h *house
	var state core.SessionStatus
	h = build(t, fake.New(fake.Say("one"), fake.Func(func(core.ModelRequest) []core.Chunk {
		s, err := h.db.Session(t.Context(), h.by.Project, h.sess.ID)
		if err != nil {
			t.Error(err)
		}
		state = s.Status
		return []core.Chunk{{Type: core.ChunkText, Text: "two"}}
	})), nil)
	store := newFrail(h.db, 1000, func() {})
	n := h.open(store, turn.Options{})
	var once sync.Once
	store.twice = func() {
		if len(h.fake.Requests()) == 1 { // the answer is being recorded
			once.Do(func() { n.send(t, message("wait")) })
		}
	}
	n.run(t)
	n.send(t, message("hello"))
	n.untilIdle(t, 0)
	if state != core.StatusRunning || len(h.fake.Requests()) != 2 {
		t.Errorf("during the second of %d calls the session was %q, want 2 and running", len(h.fake.Requests()), state)
	}
}

func TestStepsAreCountedOverARestart(t *testing.T) {
	t.Parallel()
	loop := fake.CallTool("again", `{}`)
	h := build(t, fake.New(loop, loop, fake.Block(nil), loop, loop), toolset{{name: "again", repeatable: true}})
	first := h.open(h.db, turn.Options{MaxSteps: 3})
	end := first.run(t)
	first.send(t, message("loop"))
	<-h.fake.Waiting()
	end()
	second := h.open(h.db, turn.Options{MaxSteps: 3})
	second.run(t)
	after, stop := second.untilIdle(t, 0)
	if stop.Type != core.StopMaxSteps || h.fake.Left() != 1 {
		t.Errorf("stopped because of %s with %d steps of the script left, want max_steps and 1", stop.Type, h.fake.Left())
	}
	second.send(t, message("on"))
	if _, stop := second.untilIdle(t, after); stop.Type != core.StopRetriesExhausted { // the script ends
		t.Errorf("the next turn begins to count anew: %s", stop.Type)
	}
}

// A laptop that was asleep, or a clock put forward, must not make a node take its own turns for lost:
// it would begin their model calls again, and tell the model that its tools were cut off.
func TestNodeThatSleptKeepsItsTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		h := build(t, fake.New(fake.Block(release).And(fake.Say("late"))), nil)
		n := h.open(h.db, turn.Options{})
		end := n.run(t)
		n.send(t, message("hello"))
		<-h.fake.Waiting()
		for range 4 { // whatever tick comes first after the sleep
			h.skew.Add(int64(time.Hour))
			time.Sleep(1100 * time.Millisecond) //nolint:forbidigo // of the bubble's clock (synctest): it takes no time
			synctest.Wait()
		}
		close(release)
		if _, stop := n.untilIdle(t, 0); stop.Type != core.StopEndTurn || len(h.fake.Requests()) != 1 {
			t.Errorf("%d model calls, ended with %s", len(h.fake.Requests()), stop.Type)
		}
		end()
		need(t, h.db.Close())
	})
}

func TestPauseBetweenTriesNeverOverflows(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		down := fake.Fail(&core.ModelError{Type: core.ModelOverloaded, Message: "busy", Retryable: true})
		script := make([]fake.Step, 200)
		for i := range script {
			script[i] = down
		}
		h := build(t, fake.New(script...), nil)
		n := h.open(h.db, turn.Options{MaxAttempts: len(script), BackoffMax: time.Second})
		end := n.run(t)
		began := time.Now()
		n.send(t, message("hello"))
		after := int64(0)
		for after == 0 {
			time.Sleep(10 * time.Second) //nolint:forbidigo // of the bubble's clock (synctest): it takes no time
			if s, err := n.Session(t.Context(), h.by, h.sess.ID); err != nil || s.Status == core.StatusIdle {
				need(t, err)
				after = s.LastSeq
			}
		}
		if took := time.Since(began); took < 180*time.Second {
			t.Errorf("200 tries took %v: the longest pause was not kept", took)
		}
		end()
		need(t, h.db.Close())
	})
}

// hanging is the store of a node that may hang: then it cannot keep its leases.
type hanging struct {
	core.Store
	hangs atomic.Bool
}

func (s *hanging) ExtendLeases(ctx context.Context, leases []core.Lease, until time.Time) ([]core.Lease, error) {
	if s.hangs.Load() {
		return nil, errCut
	}
	return s.Store.ExtendLeases(ctx, leases, until)
}

func TestNodeThatLostItsLeaseWritesNothingMore(t *testing.T) {
	t.Parallel()
	slow := &counted{name: "slow", gate: make(chan struct{})}
	h := build(t, reactor(), toolset{slow})
	store := &hanging{Store: h.db}
	hangs := h.open(store, turn.Options{Node: "hangs"})
	hangs.run(t)
	hangs.send(t, message("use slow"))
	slow.gate <- struct{}{} // it runs
	store.hangs.Store(true)
	h.skew.Add(int64(time.Hour))
	other := h.open(h.db, turn.Options{Node: "other"})
	other.run(t)
	after, stop := other.untilIdle(t, 0)
	slow.gate <- struct{}{} // it ends, on a node that thinks that the turn is its own
	for hangs.Running() > 0 {
		runtime.Gosched()
	}
	checkLog(t, h, 0, 1, 1)
	log := h.log(t)
	if stop.Type != core.StopEndTurn || log[len(log)-1].Seq != after || slow.runs.Load() != 1 {
		t.Errorf("ended with %s at %d of %d, the tool ran %d times", stop.Type, after, log[len(log)-1].Seq, slow.runs.Load())
	}
}
