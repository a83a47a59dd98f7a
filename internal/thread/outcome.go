package thread

import (
	"context"

	"github.com/reeve-ai/reeve/internal/core"
)

// SetOutcomes puts other outcomes in the place of the session's, at once.
func (b *Book) SetOutcomes(ctx context.Context, outcomes []core.Outcome) error {
	b.sess.Outcomes = outcomes
	return b.tx.UpdateSession(ctx, *b.sess)
}
