package turn_test

import (
	"slices"
	"testing"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/provider/fake"
	"github.com/reeve-ai/reeve/internal/session"
	"github.com/reeve-ai/reeve/internal/turn"
)

// An interrupt may come between any two steps of a run: before it read its queue, while the call
// begins, during a pause, beside a tool. The turns here never end by themselves.
func TestInterruptAtAnyMomentEndsTheTurn(t *testing.T) {
	t.Parallel()
	busy := fake.Fail(&core.ModelError{Type: core.ModelOverloaded, Message: "busy", Retryable: true})
	for name, step := range map[string]fake.Step{
		"model call": fake.Block(nil),
		"tools":      fake.CallTools(fake.Call{Name: "again", Input: `{}`}, fake.Call{Name: "again", Input: `{}`}),
		"pause":      busy,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := build(t, fake.New(slices.Repeat([]fake.Step{step}, 100_000)...), toolset{{name: "again", repeatable: true}})
			n := h.open(h.db, turn.Options{MaxSteps: 1_000_000, MaxAttempts: 1_000_000, BackoffMax: time.Millisecond})
			n.run(t)
			after := int64(0)
			for i := range 40 {
				n.send(t, message("go on for ever"))
				for until := time.Now().Add(time.Duration(i*50) * time.Microsecond); time.Now().Before(until); {
					// Spread over the first moments of the turn, not waiting for anything.
				}
				n.send(t, session.Input{Interrupt: &core.Interrupt{}})
				var stop core.StopReason
				if after, stop = n.untilIdle(t, after); stop.Type != core.StopInterrupted {
					t.Fatalf("round %d ended with %s", i, stop.Type)
				}
			}
			spans := 0
			for _, e := range h.log(t) {
				switch e.Type {
				case core.EventModelRequestStart:
					spans++
				case core.EventModelRequestEnd:
					spans--
				}
				if e.ProcessedAt.IsZero() {
					t.Errorf("%s %d was never taken up", e.Type, e.Seq)
				}
			}
			if spans != 0 {
				t.Errorf("%d model calls are open in the log", spans)
			}
		})
	}
}

// A turn may wait long before it runs: for a slot, or for a node to claim it. The interrupt that comes
// meanwhile is for the message that the turn began with; what came after that message waits for the next.
func TestInterruptStopsATurnThatHasNotBegunToRun(t *testing.T) {
	t.Parallel()
	h := build(t, reactor(), nil)
	n := h.open(h.db, turn.Options{})
	n.send(t, message("stop this"))
	n.send(t, session.Input{Interrupt: &core.Interrupt{}})
	end := n.run(t)
	after, stop := n.untilIdle(t, 0)
	if stop.Type != core.StopInterrupted || len(h.fake.Requests()) != 0 {
		t.Errorf("ended with %s after %d model calls", stop.Type, len(h.fake.Requests()))
	}
	end()
	n = h.open(h.db, turn.Options{}) // not run yet
	n.send(t, message("stop this too"))
	n.send(t, message("but do this"), session.Input{Interrupt: &core.Interrupt{}})
	n.run(t)
	after, first := n.untilIdle(t, after)
	_, second := n.untilIdle(t, after)
	if first.Type != core.StopInterrupted || second.Type != core.StopEndTurn || len(h.fake.Requests()) != 1 {
		t.Fatalf("ended with %s, %s, after %d model calls", first.Type, second.Type, len(h.fake.Requests()))
	}
	var heard []string
	for _, p := range h.fake.Requests()[0].Messages[0].Parts {
		heard = append(heard, p.Block.Text)
	}
	if want := []string{"stop this", "stop this too", "but do this"}; !slices.Equal(heard, want) {
		t.Errorf("the model heard %q, want %q", heard, want)
	}
}

// Who accepted an interrupt rings after the commit, and may be late: the run has found the interrupt by
// itself then, and asks the model something else.
func TestLateBellDoesNotStopTheNextModelCall(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	h := build(t, fake.New(fake.Block(nil), fake.Block(release).And(fake.Say("done"))), nil)
	n := h.open(h.db, turn.Options{})
	n.run(t)
	n.send(t, message("stop this"))
	<-h.fake.Waiting()
	n.send(t, session.Input{Interrupt: &core.Interrupt{}}, message("do this"))
	<-h.fake.Waiting()
	for _, e := range h.log(t) {
		if e.Type == core.EventUserInterrupt {
			n.Interrupt(core.PrimaryThread(h.sess.ID), e.Seq)
		}
	}
	close(release)
	after, _ := n.untilIdle(t, 0)
	if _, stop := n.untilIdle(t, after); stop.Type != core.StopEndTurn || len(h.fake.Requests()) != 2 {
		t.Errorf("ended with %s after %d model calls, want end_turn after 2", stop.Type, len(h.fake.Requests()))
	}
}
