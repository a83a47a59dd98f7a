package identity

import (
	"crypto/sha256"
	"time"

	"github.com/maypok86/otter/v2"
	"golang.org/x/time/rate"

	"github.com/reeve-ai/reeve/internal/core"
)

// account names whose allowance it is. An agent's id is unique only within its project.
type account struct {
	project core.ProjectID
	agent   core.AgentID
}

// allowance bounds what one agent may do in a second, so that one that floods slows down nobody else. It
// counts in memory, on each node for itself, and remembers as many buckets as throttle does; one that is
// forgotten is full again.
type allowance struct {
	rate    int // a second
	burst   int
	now     func() time.Time
	buckets *otter.Cache[account, *rate.Limiter]
	// known are the sums of keys that were valid once, and the agent or, for SDK keys, the project of
	// each. It lets nobody in: it only tells whose call it would be, so that a flood can be turned away
	// before it costs a read.
	known *otter.Cache[[sha256.Size]byte, account]
}

func newAllowance(limits Limits, now func() time.Time) *allowance {
	limits = limits.orDefaults()
	return &allowance{
		rate:    limits.AgentRate,
		burst:   limits.AgentBurst,
		now:     now,
		buckets: otter.Must(&otter.Options[account, *rate.Limiter]{MaximumSize: maxBuckets}),
		known:   otter.Must(&otter.Options[[sha256.Size]byte, account]{MaximumSize: maxBuckets}),
	}
}

// spend takes n from an agent's allowance, all or nothing. n below 1 takes nothing.
//
// Errors: RateLimited; TooLarge ("over_allowance").
func (a *allowance) spend(whose account, n int) error {
	if n < 1 {
		return nil
	}
	if n > a.burst {
		return core.Errorf(core.TooLarge, "over_allowance", "%d at once are more than the %d that one agent may ever report at once", n, a.burst)
	}
	l, _ := a.buckets.ComputeIfAbsent(whose, func() (*rate.Limiter, bool) {
		return rate.NewLimiter(rate.Limit(a.rate), a.burst), false
	})
	now := a.now()
	if l.AllowN(now, n) {
		return nil
	}
	return a.refusal(l, now, n)
}

// left returns RateLimited if not one is left of an agent's allowance. It takes nothing.
func (a *allowance) left(whose account) error {
	l, ok := a.buckets.GetIfPresent(whose)
	if !ok {
		return nil
	}
	now := a.now()
	if l.TokensAt(now) >= 1 {
		return nil
	}
	return a.refusal(l, now, 1)
}

// refusal says when n will be there.
func (a *allowance) refusal(l *rate.Limiter, now time.Time, n int) error {
	missing := float64(n) - l.TokensAt(now)
	wait := time.Duration(missing / float64(a.rate) * float64(time.Second))
	return &core.Error{
		Kind: core.RateLimited, Code: "rate_limited", Message: "this agent does more than it may: wait before going on",
		RetryAfter: max(wait, time.Millisecond),
	}
}

// remember keeps whose a valid key is.
func (a *allowance) remember(sum []byte, whose account) {
	key := [sha256.Size]byte(sum)
	if got, ok := a.known.GetIfPresent(key); !ok || got != whose {
		a.known.Set(key, whose)
	}
}

// whose returns what remember was told.
func (a *allowance) whose(sum []byte) (account, bool) {
	return a.known.GetIfPresent([sha256.Size]byte(sum))
}

// Spend takes n, the captures of one request, from what the agent may do: Limits.AgentRate in a second and
// Limits.AgentBurst at once. It takes all or nothing; n below 1 takes nothing. The project is by's.
//
// Errors: RateLimited ("rate_limited", with RetryAfter); TooLarge ("over_allowance") for more than may
// ever come at once.
func (s *Service) Spend(by core.Principal, agent core.AgentID, n int) error {
	return s.allowance.spend(account{by.Project, agent}, n)
}
