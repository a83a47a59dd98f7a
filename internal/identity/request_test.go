package identity

import (
	"testing"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

func TestRequestsOfOneCredentialAreBoundedByTheMinute(t *testing.T) {
	t.Parallel()
	w := setupLimited(t, Limits{WritesPerMinute: 3, ReadsPerMinute: 6})
	one := core.Principal{Kind: core.PrincipalToken, Project: "p", Credential: "one", Role: core.RoleMember}
	others := []core.Principal{
		{Kind: core.PrincipalToken, Project: "p", Credential: "two"},
		{Kind: core.PrincipalUser, Project: "p", User: "u"},
		{Kind: core.PrincipalUser, Project: "q", User: "u"},
		{Kind: core.PrincipalWork, Project: "p", Work: "w"},
	}
	for range 3 {
		if err := w.Admit(one, true); err != nil {
			t.Fatal(err)
		}
	}
	err := w.Admit(one, true)
	wantError(t, err, core.RateLimited, "too_many_requests")
	if got := coreError(err).RetryAfter; got != 20*time.Second {
		t.Errorf("RetryAfter = %v", got)
	}
	for _, by := range others {
		if err := w.Admit(by, true); err != nil {
			t.Errorf("%+v: %v", by, err)
		}
	}
	for range 6 {
		if err := w.Admit(one, false); err != nil {
			t.Fatalf("a read: %v", err)
		}
	}
	wantError(t, w.Admit(one, false), core.RateLimited, "too_many_requests")
	w.clock.move(20 * time.Second)
	if err := w.Admit(one, true); err != nil {
		t.Errorf("a third of a minute later: %v", err)
	}
	wantError(t, w.Admit(one, true), core.RateLimited, "too_many_requests")
}

func TestRequestsAreNotBoundedUnlessSomebodySaysSo(t *testing.T) {
	t.Parallel()
	w := setupLimited(t, Limits{})
	for range 10_000 {
		if err := w.Admit(core.Principal{Project: "p", Credential: "c"}, true); err != nil {
			t.Fatal(err)
		}
	}
}
