package thread

import (
	"context"

	"github.com/reeve-ai/reeve/internal/core"
)

// LeftAlone reports whether the session works towards an outcome while none of its threads besides the primary one
// runs or waits: the primary thread has to go on with it.
func (b *Book) LeftAlone() bool { return b.sess.ActiveOutcome() != nil && b.Busy() == 0 }

// SetOutcomes puts other outcomes in the place of the session's, at once.
func (b *Book) SetOutcomes(ctx context.Context, outcomes []core.Outcome) error {
	b.sess.Outcomes = outcomes
	return b.tx.UpdateSession(ctx, *b.sess)
}
