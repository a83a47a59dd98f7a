package turn

import (
	"context"
	"fmt"

	"github.com/reeve-ai/reeve/internal/core"
)

// maxEchoes bounds the turns of a coordinator that reports of its team begin, with nothing from a client in
// between: a coordinator and a member that answer each other would never end. It is Reeve's own number.
const maxEchoes = 100

// echo is what a transcript knows of the turns that reports began.
type echo struct {
	echoes int  // such turns since the last input of a client
	opened bool // the newest turn took input up
}

// countEcho counts a turn that begins with this input. It comes before the input is placed.
func (t *transcript) countEcho(ids []core.EventID) {
	for _, id := range ids {
		if t.inputs[id].Type != core.EventMessageReceived {
			t.echoes, t.opened = 0, true
			return
		}
	}
	if !t.opened {
		t.echoes, t.opened = t.echoes+1, true
	}
}

// stopShort ends the turn before a model is asked: at the budget, or where a team would only go on talking to
// itself. The action is 0 if a model may be called.
func (v *run) stopShort(ctx context.Context, tx core.Store, queue []core.Event) (action, []core.Draft, error) {
	if act, d, err := v.budgetStop(ctx, tx); act != 0 || err != nil {
		return act, d, err
	}
	if !v.team || v.thread.Parent != "" || v.t.opened || v.t.echoes < maxEchoes || len(queue) == 0 {
		return 0, nil, nil
	}
	for _, e := range queue {
		if e.Type != core.EventMessageReceived {
			return 0, nil, nil
		}
	}
	d, err := v.giveUp(ctx, tx, core.SessionError{
		Type: core.ModelUnknown, Retry: "exhausted",
		Message: fmt.Sprintf("the agents of the session called each other %d times without a word from a client", maxEchoes),
	}, core.StopMaxSteps)
	return done, d, err
}
