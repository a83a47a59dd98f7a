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
