package managed_test

import (
	"testing"

	"github.com/reeve-ai/reeve/internal/api/exchange"
)

func TestRecordedExchangesOfResources(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"resource_claude", "resource_qoder"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			exchange.Run(t, s.URL, "testdata/"+name+".txtar", map[string]string{
				"token": s.token, "member": s.member, "viewer": s.viewer, "foreign": s.foreign,
			})
		})
	}
}
