package identity

import (
	"net/netip"
	"time"

	"github.com/maypok86/otter/v2"
	"golang.org/x/time/rate"

	"github.com/reeve-ai/reeve/internal/core"
)

// Limits slow down those who try passwords, and agents that flood. Each is a bucket of Burst attempts
// that regains one every Every, or Rate in a second. A zero field takes its default.
type Limits struct {
	LoginBurst   int           // log-ins of one email from one address; default 10
	LoginEvery   time.Duration // default 6 s
	AddressBurst int           // log-ins and sign-ups from one address; default 300
	AddressEvery time.Duration // default 1 s
	AgentRate    int           // captures and sessions of one agent in a second; default 1000
	AgentBurst   int           // how many of them at once, after a pause; default 10,000

	AgentBytes      int // bytes of the captures of one agent in a second; default 4 MiB
	AgentBytesBurst int // how many of them at once, after a pause; default 64 MiB

	WritesPerMinute int // requests of one credential that make or change something; 0: not bounded
	ReadsPerMinute  int // those that only read; 0: not bounded
}

func (l Limits) orDefaults() Limits {
	if l.LoginBurst == 0 {
		l.LoginBurst = 10
	}
	if l.LoginEvery == 0 {
		l.LoginEvery = 6 * time.Second
	}
	if l.AddressBurst == 0 {
		l.AddressBurst = 300
	}
	if l.AddressEvery == 0 {
		l.AddressEvery = time.Second
	}
	if l.AgentRate == 0 {
		l.AgentRate = 1000
	}
	if l.AgentBurst == 0 {
		l.AgentBurst = 10_000
	}
	if l.AgentBytes == 0 {
		l.AgentBytes = 4 << 20
	}
	if l.AgentBytesBurst == 0 {
		l.AgentBytesBurst = 64 << 20
	}
	return l
}

// throttle counts attempts in memory, on each node for itself. It remembers the 50,000 most used
// buckets of each sort (some 10 MB at worst). Buckets do not expire: that would cost a goroutine, and
// a full one that is still remembered harms nobody.
type throttle struct {
	limits Limits
	now    func() time.Time
	login  *otter.Cache[loginKey, *rate.Limiter]
	from   *otter.Cache[string, *rate.Limiter]
}

// loginKey names the bucket of one email at one address.
type loginKey struct{ email, address string }

const maxBuckets = 50_000

func newThrottle(limits Limits, now func() time.Time) *throttle {
	return &throttle{
		limits: limits.orDefaults(),
		now:    now,
		login:  otter.Must(&otter.Options[loginKey, *rate.Limiter]{MaximumSize: maxBuckets}),
		from:   otter.Must(&otter.Options[string, *rate.Limiter]{MaximumSize: maxBuckets}),
	}
}

// address counts an attempt from an address.
//
// Errors: RateLimited.
func (t *throttle) address(address string) error {
	return t.spend(bucket(t.from, network(address), t.limits.AddressEvery, t.limits.AddressBurst))
}

// attempt counts a try to log in.
//
// Errors: RateLimited.
func (t *throttle) attempt(email, address string) error {
	key := loginKey{email, network(address)}
	return t.spend(bucket(t.login, key, t.limits.LoginEvery, t.limits.LoginBurst))
}

// confirm counts a try to prove a password by somebody who is logged in already. Those tries have a bucket
// of their own, whatever the address, so that they lock nobody out.
//
// Errors: RateLimited.
func (t *throttle) confirm(email string) error { return t.attempt(email, confirming) }

// confirming stands where an address stands for who is not logged in yet. It is none.
const confirming = "logged in"

// forgive forgets the tries of someone who knew the password in the end.
func (t *throttle) forgive(email, address string) {
	t.login.Invalidate(loginKey{email, network(address)})
}

func bucket[K comparable](c *otter.Cache[K, *rate.Limiter], key K, every time.Duration, burst int) *rate.Limiter {
	l, _ := c.ComputeIfAbsent(key, func() (*rate.Limiter, bool) {
		return rate.NewLimiter(rate.Every(every), burst), false
	})
	return l
}

func (t *throttle) spend(l *rate.Limiter) error {
	now := t.now()
	turn := l.ReserveN(now, 1)
	wait := turn.DelayFrom(now)
	if wait == 0 {
		return nil
	}
	turn.CancelAt(now)
	return &core.Error{Kind: core.RateLimited, Code: "rate_limited", Message: "too many attempts: wait before the next one", RetryAfter: wait}
}

// network is what counts as one address: a whole /64 of IPv6, which a single customer usually has.
func network(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is4() {
		return ip.String()
	}
	return netip.PrefixFrom(ip, 64).Masked().String()
}
