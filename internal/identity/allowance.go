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

// allowance bounds what one agent may do in a second, so that one that floods slows down nobody else: how
// many captures and sessions, and how many bytes, because a few large captures fill a disk as well as many
// small ones. It counts in memory, on each node for itself.
type allowance struct {
	now   func() time.Time
	count purse
	bytes purse
	// known are the sums of keys that were valid once, and the agent or, for SDK keys, the project of
	// each. It lets nobody in: it only tells whose call it would be, so that a flood can be turned away
	// before it costs a read.
	known *otter.Cache[[sha256.Size]byte, account]
}

// purse holds a bucket of one sort for each agent. It remembers as many buckets as throttle does; one that
// is forgotten is full again.
type purse struct {
	unit    string // what is in it, for people
	rate    int    // a second
	burst   int
	buckets *otter.Cache[account, *rate.Limiter]
}

func newAllowance(limits Limits, now func() time.Time) *allowance {
	limits = limits.orDefaults()
	return &allowance{
		now:   now,
		count: newPurse("events", limits.AgentRate, limits.AgentBurst),
		bytes: newPurse("bytes of events", limits.AgentBytes, limits.AgentBytesBurst),
		known: otter.Must(&otter.Options[[sha256.Size]byte, account]{MaximumSize: maxBuckets}),
	}
}

func newPurse(unit string, perSecond, burst int) purse {
	return purse{
		unit: unit, rate: perSecond, burst: burst,
		buckets: otter.Must(&otter.Options[account, *rate.Limiter]{MaximumSize: maxBuckets}),
	}
}

// spend takes n from what an agent may report or begin, all or nothing. n below 1 takes nothing.
//
// Errors: RateLimited; TooLarge ("over_allowance").
func (a *allowance) spend(whose account, n int) error { return a.count.spend(whose, n, a.now()) }

func (p *purse) spend(whose account, n int, now time.Time) error {
	if n < 1 {
		return nil
	}
	if n > p.burst {
		return core.Errorf(core.TooLarge, "over_allowance", "%d %s at once are more than the %d that one agent may ever report at once", n, p.unit, p.burst)
	}
	l, _ := p.buckets.ComputeIfAbsent(whose, func() (*rate.Limiter, bool) {
		return rate.NewLimiter(rate.Limit(p.rate), p.burst), false
	})
	if l.AllowN(now, n) {
		return nil
	}
	return p.refusal(l, now, n)
}

// left returns RateLimited if not one capture or not one byte is left of an agent's allowance. It takes
// nothing.
func (a *allowance) left(whose account) error {
	now := a.now()
	if err := a.count.left(whose, now); err != nil {
		return err
	}
	return a.bytes.left(whose, now)
}

func (p *purse) left(whose account, now time.Time) error {
	l, ok := p.buckets.GetIfPresent(whose)
	if !ok || l.TokensAt(now) >= 1 {
		return nil
	}
	return p.refusal(l, now, 1)
}

// refusal says when n will be there.
func (p *purse) refusal(l *rate.Limiter, now time.Time, n int) error {
	missing := float64(n) - l.TokensAt(now)
	wait := time.Duration(missing / float64(p.rate) * float64(time.Second))
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

// Spend takes n, the captures of one request or of a part of it, from what the agent may do:
// Limits.AgentRate in a second and Limits.AgentBurst at once. It takes all or nothing; n below 1 takes
// nothing. The project is by's.
//
// Errors: RateLimited ("rate_limited", with RetryAfter); TooLarge ("over_allowance") for more than may
// ever come at once.
func (s *Service) Spend(by core.Principal, agent core.AgentID, n int) error {
	return s.allowance.spend(account{by.Project, agent}, n)
}

// SpendBytes takes the n bytes of an agent's captures from what it may report: Limits.AgentBytes in a second
// and Limits.AgentBytesBurst at once. They are counted apart from the captures; all else is as of Spend, the
// errors too.
func (s *Service) SpendBytes(by core.Principal, agent core.AgentID, n int) error {
	return s.allowance.bytes.spend(account{by.Project, agent}, n, s.allowance.now())
}
