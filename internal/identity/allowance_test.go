package identity

import (
	"testing"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// A few large captures are a flood too: bytes are counted apart, and who has none left is turned away.
func TestBytesHaveAnAllowanceOfTheirOwn(t *testing.T) {
	t.Parallel()
	w := setupLimited(t, Limits{AgentRate: 10, AgentBurst: 5, AgentBytes: 1000, AgentBytesBurst: 4000})
	admin := w.project(t, "a@b")
	a, key, c := w.agent(t, admin)
	_, token := w.session(t, a, c.ID)
	by := core.Principal{Project: admin.Project}
	wantError(t, w.SpendBytes(by, a.ID, 4001), core.TooLarge, "over_allowance")
	for _, n := range []int{0, -1, 3000} {
		if err := w.SpendBytes(by, a.ID, n); err != nil {
			t.Fatalf("%d bytes: %v", n, err)
		}
	}
	err := w.SpendBytes(by, a.ID, 1500)
	wantError(t, err, core.RateLimited, "rate_limited")
	if got := coreError(err).RetryAfter; got != 500*time.Millisecond {
		t.Errorf("RetryAfter of 500 missing bytes = %v", got)
	}
	if err := w.Spend(by, a.ID, 5); err != nil {
		t.Errorf("bytes were taken from the captures: %v", err)
	}
	if err := w.SpendBytes(core.Principal{Project: "other"}, a.ID, 4000); err != nil {
		t.Errorf("another project: %v", err)
	}
	w.clock.move(time.Second)
	if _, err := w.AgentReporter(t.Context(), key, token); err != nil {
		t.Errorf("with bytes left: %v", err)
	}
	if err := w.SpendBytes(by, a.ID, 2000); err != nil {
		t.Fatalf("what came back in a second: %v", err)
	}
	wantError(t, second(w.AgentReporter(t.Context(), key, token)), core.RateLimited, "rate_limited")
}

func TestAnAgentMayReport64MiBAtOnceAnd4MiBInASecond(t *testing.T) {
	t.Parallel()
	w := setupLimited(t, Limits{})
	by := core.Principal{Project: "p"}
	wantError(t, w.SpendBytes(by, "a", 64<<20+1), core.TooLarge, "over_allowance")
	if err := w.SpendBytes(by, "a", 64<<20); err != nil {
		t.Fatal(err)
	}
	w.clock.move(time.Second)
	wantError(t, w.SpendBytes(by, "a", 4<<20+1), core.RateLimited, "rate_limited")
	if err := w.SpendBytes(by, "a", 4<<20); err != nil {
		t.Error(err)
	}
}
