package work

import (
	"slices"
	"sync"

	"github.com/reeve-ai/reeve/internal/core"
)

// waiting are the polls of this node that found nothing, those that wait longest first. One item wakes one of
// them: with many workers, waking all would have all of them ask the database for the same item.
type waiting struct {
	mu    sync.Mutex
	polls map[core.EnvironmentID][]chan struct{}
}

// join adds a poll. Its channel gets one nudge at most, and leaves the list with it.
func (w *waiting) join(environment core.EnvironmentID) chan struct{} {
	nudge := make(chan struct{}, 1) // holds the one nudge, so that wake never waits
	w.mu.Lock()
	defer w.mu.Unlock()
	w.polls[environment] = append(w.polls[environment], nudge)
	return nudge
}

// leave takes a poll off the list. A nudge that it did not use goes to the next.
func (w *waiting) leave(environment core.EnvironmentID, nudge chan struct{}) {
	w.mu.Lock()
	list := w.polls[environment]
	if i := slices.Index(list, nudge); i >= 0 {
		list = slices.Delete(list, i, i+1)
	}
	w.keep(environment, list)
	w.mu.Unlock()
	select {
	case <-nudge:
		w.wake(environment)
	default:
	}
}

// wake nudges the poll that waits longest; none: nothing happens.
func (w *waiting) wake(environment core.EnvironmentID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := w.polls[environment]
	if len(list) == 0 {
		return
	}
	list[0] <- struct{}{}
	w.keep(environment, slices.Delete(list, 0, 1))
}

// keep needs w.mu.
func (w *waiting) keep(environment core.EnvironmentID, list []chan struct{}) {
	if len(list) == 0 {
		delete(w.polls, environment)
		return
	}
	w.polls[environment] = list
}
