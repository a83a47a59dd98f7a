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
		allowance := identity.New(nil, make([]byte, identity.SecretSize), identity.Options{})
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

// Bodies of one agent leave room for those of others, however many connections it opens.
func TestOneAgentNeverTakesAllRoomForBodies(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := New(nil, nil, nil, nil, Options{})
		const step = 32 << 10
		var releases []func()
		for range MaxAgentBodies / step {
			release, err := s.Admit(t.Context(), "greedy", step)
			if err != nil {
				t.Fatal(err)
			}
			releases = append(releases, release)
		}
		begin := time.Now()
		_, err := s.Admit(t.Context(), "greedy", 1)
		if core.KindOf(err) != core.RateLimited || core.CodeOf(err) != "rate_limited" || time.Since(begin) != 0 {
			t.Errorf("after %v: %v, want rate_limited at once", time.Since(begin), err)
		}
		if _, err := s.Admit(t.Context(), "huge", MaxAgentBodies+1); core.KindOf(err) != core.TooLarge {
			t.Errorf("more than ever: %v", err)
		}
		for _, agent := range []core.AgentID{"b", "c", "d"} {
			release, err := s.Admit(t.Context(), agent, MaxAgentBodies)
			if err != nil {
				t.Fatalf("%s: %v", agent, err)
			}
			releases = append(releases, release)
		}
		_, err = s.Admit(t.Context(), "e", step)
		if core.KindOf(err) != core.Unavailable || core.CodeOf(err) != "busy" || time.Since(begin) != 2*time.Second {
			t.Errorf("after %v: %v, want busy after two seconds", time.Since(begin), err)
		}
		if release, err := s.Admit(t.Context(), "e", 0); err != nil {
			t.Errorf("nothing: %v", err)
		} else {
			release()
		}
		for _, release := range releases {
			release()
		}
		if !s.bodies.TryAcquire(maxInFlight) || len(s.shares.taken) != 0 {
			t.Errorf("the room was not given back: %v", s.shares.taken)
		}
	})
}
