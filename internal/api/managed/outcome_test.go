package managed_test

import (
	"testing"

	"github.com/reeve-ai/reeve/internal/api/exchange"
	"github.com/reeve-ai/reeve/internal/provider/fake"
)

// The model answers nothing before the end, so that what runs goes on running.
func TestRecordedExchangesOfOutcomes(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"outcome_claude", "outcome_qoder"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			release := make(chan struct{})
			s := start(t, fake.Block(release), fake.Block(release))
			t.Cleanup(func() { close(release) })
			exchange.Run(t, s.URL, "testdata/"+name+".txtar", map[string]string{
				"token": s.token, "member": s.member, "viewer": s.viewer, "foreign": s.foreign,
			})
		})
	}
}
