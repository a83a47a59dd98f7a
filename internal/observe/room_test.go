package observe

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/identity"
)

// Reports whose texts are beyond what may be in work at once wait, and are told when to come again.
func TestAReportWaitsForRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		allowance := identity.New(nil, make([]byte, identity.SecretSize), identity.Options{Limits: identity.Limits{AgentRate: 1, AgentBurst: 2}})
		s := New(nil, nil, nil, allowance, Options{})
		if err := s.work.Acquire(t.Context(), maxInFlight); err != nil {
			t.Fatal(err)
		}
		from := Source{By: core.Principal{Kind: core.PrincipalSDK, Project: "p"}, Agent: "a", Session: "s"}
		begin := time.Now()
		_, err := s.RecordAll(t.Context(), from, []Report{typical(), typical()})
		if core.CodeOf(err) != "busy" || time.Since(begin) != 2*time.Second {
			t.Errorf("after %v: %v, want busy after two seconds", time.Since(begin), err)
		}
		if _, err = s.RecordAll(t.Context(), from, []Report{{}, {}, {}}); core.KindOf(err) != core.TooLarge {
			t.Errorf("more than the allowance ever is: %v", err)
		}
		s.work.Release(maxInFlight)
		outcomes, err := s.RecordAll(t.Context(), from, []Report{{}}) // nothing valid: the store is not asked
		if err != nil || core.KindOf(outcomes[0].Err) != core.Invalid {
			t.Errorf("with room: %+v, %v", outcomes, err)
		}
		if !s.work.TryAcquire(maxInFlight) {
			t.Error("the room was not given back")
		}
	})
}
