package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

const lifetime = 30 // seconds that a lease of these tests lives

// owe makes the session's primary thread owe a turn, at a time.
func (b *bundle) owe(t *testing.T, s core.Session, node string, now int) (core.Lease, bool) {
	t.Helper()
	lease, taken, err := b.OweTurn(b.ctx, s.Project, s.ID, core.PrimaryThread(s.ID), node, at(now), at(now+lifetime))
	need(t, err)
	return lease, taken
}

func (b *bundle) claim(t *testing.T, node string, now, limit int) []core.Lease {
	t.Helper()
	leases, err := b.ClaimTurns(b.ctx, node, at(now), at(now+lifetime), limit)
	need(t, err)
	return leases
}

// turnState reads the state of the session's primary thread.
func (b *bundle) turnState(t *testing.T, s core.Session) core.TurnState {
	t.Helper()
	thread, err := b.Thread(b.ctx, s.Project, s.ID, core.PrimaryThread(s.ID))
	need(t, err)
	return thread.Turn
}

func leaseOf(s core.Session, node string, epoch int64, until int) core.Lease {
	return core.Lease{Project: s.Project, Session: s.ID, Thread: core.PrimaryThread(s.ID), Node: node, Epoch: epoch, Until: kept(at(until))}
}

func leaseSession(l core.Lease) core.SessionID { return l.Session }

// lost checks that an error is ErrLeaseLost itself.
func lost(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, core.ErrLeaseLost) {
		t.Errorf("%s: %v, want ErrLeaseLost", what, err)
	}
}

var turnPromises = map[string]func(*testing.T, *bundle){
	"AFreshThreadOwesNothing": func(t *testing.T, b *bundle) {
		s := b.session(t, b.project(t))
		same(t, "state", b.turnState(t, s), core.TurnState{})
		same(t, "claims", b.claim(t, "n", 1000, 10), []core.Lease{})
	},
	"OweTurnLeasesAnIdleThread": func(t *testing.T, b *bundle) {
		s := b.session(t, b.project(t))
		lease, taken := b.owe(t, s, "n1", 1)
		same(t, "taken", taken, true)
		same(t, "lease", lease, leaseOf(s, "n1", 1, 1+lifetime))
		same(t, "state", b.turnState(t, s), core.TurnState{Pending: true, Node: "n1", Epoch: 1, LeaseUntil: kept(at(1 + lifetime))})
	},
	"OweTurnLeavesALiveLeaseAlone": func(t *testing.T, b *bundle) {
		s := b.session(t, b.project(t))
		first, _ := b.owe(t, s, "n1", 1)
		for _, node := range []string{"n1", "n2", ""} {
			lease, taken := b.owe(t, s, node, 1) // the very same time, as with a coarse clock
			same(t, node+": taken", taken, false)
			same(t, node+": the lease that stands", lease, first)
		}
	},
	"OweTurnTakesALeaseThatRanOut": func(t *testing.T, b *bundle) {
		s := b.session(t, b.project(t))
		b.owe(t, s, "n1", 1)
		lease, taken := b.owe(t, s, "n2", 1+lifetime) // it ended at this very moment
		same(t, "taken", taken, true)
		same(t, "lease", lease, leaseOf(s, "n2", 2, 1+2*lifetime))
	},
	"OweTurnWithoutANodeTakesNone": func(t *testing.T, b *bundle) {
		s := b.session(t, b.project(t))
		lease, taken := b.owe(t, s, "", 1)
		same(t, "taken", taken, false)
		same(t, "lease", lease, core.Lease{Project: s.Project, Session: s.ID, Thread: core.PrimaryThread(s.ID)})
		same(t, "state", b.turnState(t, s), core.TurnState{Pending: true})
		lease, taken = b.owe(t, s, "n1", 2)
		same(t, "taken later", taken, true)
		same(t, "lease", lease, leaseOf(s, "n1", 1, 2+lifetime))
	},
	"AnUnknownThreadIsNotFound": func(t *testing.T, b *bundle) {
		s := b.session(t, b.project(t))
		for _, node := range []string{"n1", ""} {
			_, _, err := b.OweTurn(b.ctx, s.Project, s.ID, "none", node, at(1), at(2))
			refused(t, "OweTurn", err, core.NotFound, "thread_not_found")
		}
	},
	"ClaimTakesTheOldestDebtsFirst": func(t *testing.T, b *bundle) {
		p := b.project(t)
		s := []core.Session{b.session(t, p), b.session(t, b.project(t)), b.session(t, p), b.session(t, p), b.session(t, p)}
		for i, now := range []int{30, 10, 20, 40} {
			b.owe(t, s[i], "", now)
		}
		b.owe(t, s[0], "", 5) // a debt is as old as its beginning
		got := b.claim(t, "n1", 50, 2)
		same(t, "two oldest", got, []core.Lease{leaseOf(s[1], "n1", 1, 50+lifetime), leaseOf(s[2], "n1", 1, 50+lifetime)})
		same(t, "the rest", ids(b.claim(t, "n2", 50, 10), leaseSession), []core.SessionID{s[0].ID, s[3].ID})
		same(t, "nothing left", b.claim(t, "n3", 50, 10), []core.Lease{})
	},
	"ClaimPassesOverLiveLeases": func(t *testing.T, b *bundle) {
		s := b.session(t, b.project(t))
		b.owe(t, s, "n1", 1)
		same(t, "live", b.claim(t, "n2", lifetime, 10), []core.Lease{})
		same(t, "ran out", b.claim(t, "n2", 1+lifetime, 10), []core.Lease{leaseOf(s, "n2", 2, 1+2*lifetime)})
	},
	"ClaimTakesNothingForNobody": func(t *testing.T, b *bundle) {
		b.owe(t, b.session(t, b.project(t)), "", 1)
		same(t, "no node", b.claim(t, "", 2, 10), []core.Lease{})
		same(t, "no room", b.claim(t, "n1", 2, 0), []core.Lease{})
	},
	"SettledThreadsOweNothing": func(t *testing.T, b *bundle) {
		s := b.session(t, b.project(t))
		lease, _ := b.owe(t, s, "n1", 1)
		need(t, b.SettleTurn(b.ctx, lease))
		same(t, "state", b.turnState(t, s), core.TurnState{Epoch: 1})
		same(t, "claims", b.claim(t, "n2", 1000, 10), []core.Lease{})
		lost(t, "settle again", b.SettleTurn(b.ctx, lease))
		next, taken := b.owe(t, s, "n1", 40)
		same(t, "taken again", taken, true)
		same(t, "next lease", next, leaseOf(s, "n1", 2, 40+lifetime))
	},
}

var leasePromises = map[string]func(*testing.T, *bundle){
	"AHeldLeaseMayWrite": func(t *testing.T, b *bundle) {
		s := b.session(t, b.project(t))
		lease, _ := b.owe(t, s, "n1", 1)
		need(t, b.HoldLease(b.ctx, lease))
		need(t, b.Tx(b.ctx, func(tx core.Store) error { return tx.HoldLease(b.ctx, lease) }))
	},
	"AnOldEpochIsFencedOff": func(t *testing.T, b *bundle) {
		s := b.session(t, b.project(t))
		old, _ := b.owe(t, s, "n1", 1)
		b.claim(t, "n1", 1+lifetime, 1) // the same node, in its next life
		for name, try := range map[string]func(tx core.Store) error{
			"HoldLease":    func(tx core.Store) error { return tx.HoldLease(b.ctx, old) },
			"SettleTurn":   func(tx core.Store) error { return tx.SettleTurn(b.ctx, old) },
			"ReleaseLease": func(tx core.Store) error { return tx.ReleaseLease(b.ctx, old) },
		} {
			lost(t, name, try(b))
			lost(t, name+" in Tx", b.Tx(b.ctx, try))
		}
		same(t, "state", b.turnState(t, s), core.TurnState{Pending: true, Node: "n1", Epoch: 2, LeaseUntil: kept(at(1 + 2*lifetime))})
	},
	"ALeaseOfAnyOtherKindIsLost": func(t *testing.T, b *bundle) {
		s := b.session(t, b.project(t))
		lease, _ := b.owe(t, s, "n1", 1)
		unleased := b.session(t, s.Project)
		b.owe(t, unleased, "", 1)
		for name, edit := range map[string]func(l *core.Lease){
			"another node":      func(l *core.Lease) { l.Node = "n2" },
			"a later epoch":     func(l *core.Lease) { l.Epoch++ },
			"another project":   func(l *core.Lease) { l.Project = "p" },
			"another session":   func(l *core.Lease) { l.Session = "s" },
			"another thread":    func(l *core.Lease) { l.Thread = "t" },
			"nobody's":          func(l *core.Lease) { *l = leaseOf(unleased, "", 0, 0) },
			"an empty one":      func(l *core.Lease) { *l = core.Lease{} },
			"nobody's and ours": func(l *core.Lease) { l.Node = "" },
		} {
			l := lease
			edit(&l)
			lost(t, "HoldLease of "+name, b.HoldLease(b.ctx, l))
			lost(t, "SettleTurn of "+name, b.SettleTurn(b.ctx, l))
			lost(t, "ReleaseLease of "+name, b.ReleaseLease(b.ctx, l))
			got, err := b.ExtendLeases(b.ctx, []core.Lease{l}, at(500))
			need(t, err)
			same(t, "ExtendLeases of "+name, got, []core.Lease{l})
		}
		need(t, b.HoldLease(b.ctx, lease))
	},
	"ALeaseThatRanOutIsHeldUntilAnotherTakesIt": func(t *testing.T, b *bundle) {
		s := b.session(t, b.project(t))
		lease, _ := b.owe(t, s, "n1", 1)
		_, taken := b.owe(t, s, "", 5000) // long past its end, and nobody wants it
		same(t, "taken", taken, false)
		need(t, b.HoldLease(b.ctx, lease))
	},
	"ExtendMovesTheEndAndNamesTheLost": func(t *testing.T, b *bundle) {
		p := b.project(t)
		var leases []core.Lease
		var sessions []core.Session
		for range 5 {
			s := b.session(t, p)
			lease, _ := b.owe(t, s, "n1", 1)
			sessions, leases = append(sessions, s), append(leases, lease)
		}
		need(t, b.SettleTurn(b.ctx, leases[3]))
		need(t, b.ReleaseLease(b.ctx, leases[1]))
		got, err := b.ExtendLeases(b.ctx, leases, at(300))
		need(t, err)
		same(t, "lost", got, []core.Lease{leases[1], leases[3]})
		for i, s := range sessions {
			want := kept(at(300))
			if i == 1 || i == 3 {
				want = time.Time{}
			}
			same(t, fmt.Sprintf("end of lease %d", i), b.turnState(t, s).LeaseUntil, want)
		}
		got, err = b.ExtendLeases(b.ctx, nil, at(300))
		need(t, err)
		same(t, "of none", len(got), 0)
	},
	"AReleasedTurnIsStillOwed": func(t *testing.T, b *bundle) {
		s := b.session(t, b.project(t))
		lease, _ := b.owe(t, s, "n1", 1)
		need(t, b.ReleaseLease(b.ctx, lease))
		same(t, "state", b.turnState(t, s), core.TurnState{Pending: true, Epoch: 1})
		lost(t, "release again", b.ReleaseLease(b.ctx, lease))
		same(t, "claimed at once", b.claim(t, "n2", 2, 1), []core.Lease{leaseOf(s, "n2", 2, 2+lifetime)})
	},
	"FreeLeasesDropsThoseOfANode": func(t *testing.T, b *bundle) {
		p := b.project(t)
		mine, also, other := b.session(t, p), b.session(t, b.project(t)), b.session(t, p)
		old, _ := b.owe(t, mine, "n1", 1)
		b.owe(t, also, "n1", 2)
		kept, _ := b.owe(t, other, "n2", 3)
		b.owe(t, b.session(t, p), "", 4)
		for node, want := range map[string]int{"n1": 2, "n3": 0, "": 0} {
			n, err := b.FreeLeases(b.ctx, node)
			need(t, err)
			same(t, "freed of "+node, n, want)
		}
		lost(t, "the former life", b.HoldLease(b.ctx, old))
		need(t, b.HoldLease(b.ctx, kept))
		same(t, "owed still", ids(b.claim(t, "n1", 5, 2), leaseSession), []core.SessionID{mine.ID, also.ID})
	},
}
