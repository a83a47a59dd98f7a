package identity

import (
	"time"

	"github.com/maypok86/otter/v2"
	"golang.org/x/time/rate"

	"github.com/reeve-ai/reeve/internal/core"
)

// requester names whose requests are counted together: those of one credential.
type requester struct {
	project    core.ProjectID
	kind       core.PrincipalKind
	credential core.CredentialID
	user       core.UserID // who has no credential
	work       core.WorkID // as a worker with a work token
}

// requests bounds how many requests come with one credential in a minute. It counts in memory, on each node for
// itself, and remembers as many buckets as throttle does; one that is forgotten is full again.
type requests struct {
	now           func() time.Time
	writes, reads meter
}

// meter has a bucket for each credential: a minute's worth at once, and it fills up evenly.
type meter struct {
	what      string // for people
	perMinute int    // 0: not bounded
	buckets   *otter.Cache[requester, *rate.Limiter]
}

func newRequests(limits Limits, now func() time.Time) *requests {
	return &requests{now: now, writes: newMeter("writing requests", limits.WritesPerMinute), reads: newMeter("reading requests", limits.ReadsPerMinute)}
}

func newMeter(what string, perMinute int) meter {
	return meter{what: what, perMinute: perMinute, buckets: otter.Must(&otter.Options[requester, *rate.Limiter]{MaximumSize: maxBuckets})}
}

// Admit counts a request of the caller: one that makes or changes something, or one that only reads.
//
// Errors: RateLimited ("too_many_requests", with RetryAfter) for one more than Limits.WritesPerMinute or
// Limits.ReadsPerMinute allow; it is not counted.
func (s *Service) Admit(by core.Principal, write bool) error {
	m := &s.requests.reads
	if write {
		m = &s.requests.writes
	}
	return m.spend(requester{by.Project, by.Kind, by.Credential, by.User, by.Work}, s.requests.now())
}

func (m *meter) spend(whose requester, now time.Time) error {
	if m.perMinute <= 0 {
		return nil
	}
	each := time.Minute / time.Duration(m.perMinute)
	l := bucket(m.buckets, whose, each, m.perMinute)
	if l.AllowN(now, 1) {
		return nil
	}
	wait := time.Duration((1 - l.TokensAt(now)) * float64(each))
	return &core.Error{
		Kind: core.RateLimited, Code: "too_many_requests", RetryAfter: max(wait, time.Millisecond),
		Message: "too many " + m.what + " with this credential: wait before going on",
	}
}
