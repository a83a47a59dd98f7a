package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/reeve-ai/reeve/internal/core"
)

// together runs n functions at the same time and waits for all. They must not end their goroutine.
func together(n int, fn func(i int)) {
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			fn(i)
		})
	}
	close(start)
	wg.Wait()
}

// counter collects results of functions that run together.
type counter[T any] struct {
	sync.Mutex
	all []T
}

func (c *counter[T]) add(v ...T) {
	c.Lock()
	defer c.Unlock()
	c.all = append(c.all, v...)
}

// inTurn returns 1 … n.
func inTurn(n int) []int64 {
	out := make([]int64, n)
	for i := range out {
		out[i] = int64(i + 1)
	}
	return out
}

var parallelPromises = map[string]func(*testing.T, *bundle){
	"AppendsTogetherLeaveNoGaps": func(t *testing.T, b *bundle) {
		const writers, rounds = 16, 12
		p := b.project(t)
		s := []core.Session{b.session(t, p), b.session(t, p)}
		together(writers, func(i int) {
			target := s[i%2]
			for round := range rounds {
				n := 1 + (i+round)%3
				write := func(tx core.Store) error {
					got, err := tx.Append(b.ctx, p, target.ID, at(1), drafts(target, n)...)
					if err == nil && got[n-1].Seq-got[0].Seq != int64(n-1) {
						err = fmt.Errorf("numbers of one append: %v", seqs(got))
					}
					return err
				}
				err := write(b)
				if round%2 == 0 {
					err = errors.Join(err, b.Tx(b.ctx, write))
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
		for _, s := range s {
			got, err := b.Events(b.ctx, p, s.ID, core.EventQuery{Limit: 10000})
			need(t, err)
			same(t, "numbers", seqs(got), inTurn(len(got)))
			now, err := b.Session(b.ctx, p, s.ID)
			need(t, err)
			same(t, "LastSeq", now.LastSeq, int64(len(got)))
		}
	},
	"OneThatFailsTakesNothingOfTheOthers": func(t *testing.T, b *bundle) {
		const writers, rounds = 24, 10
		p := b.project(t)
		s := b.session(t, p)
		taken := b.log(t, s, 1)[0].ID
		var kept counter[core.EventID]
		together(writers, func(i int) {
			for round := range rounds {
				list := drafts(s, 2)
				var want error
				err := b.Tx(b.ctx, func(tx core.Store) error {
					if _, err := tx.Append(b.ctx, p, s.ID, at(1), list...); err != nil {
						return err
					}
					switch (i + round) % 6 {
					case 0: // an error of its own
						want = errUndo
						return errUndo
					case 1: // a panic
						want = core.Errorf(core.Internal, "", "")
						panic("boom")
					case 2: // a failed statement
						want = core.Errorf(core.Conflict, "", "")
						again := drafts(s, 1)
						again[0].ID = taken
						_, err := tx.Append(b.ctx, p, s.ID, at(1), again...)
						return err
					}
					want = nil
					return nil
				})
				switch {
				case want == nil && err != nil, want != nil && core.KindOf(err) != core.KindOf(want):
					t.Errorf("Tx = %v, want %v", err, want)
				case want == nil:
					kept.add(list[0].ID, list[1].ID)
				}
			}
		})
		got, err := b.Events(b.ctx, p, s.ID, core.EventQuery{After: 1, Limit: 10000})
		need(t, err)
		stored := ids(got, eventID)
		slices.Sort(stored)
		slices.Sort(kept.all)
		same(t, "stored events", stored, kept.all)
		same(t, "numbers", seqs(got), inTurn(len(got) + 1)[1:])
	},
	"ClaimsTogetherNeverGetTheSameThread": func(t *testing.T, b *bundle) {
		const threads, nodes = 60, 12
		p := b.project(t)
		for range threads {
			b.owe(t, b.session(t, p), "", 1)
		}
		var claimed counter[core.SessionID]
		together(nodes, func(i int) {
			for {
				leases, err := b.ClaimTurns(b.ctx, fmt.Sprintf("n%d", i), at(2), at(2+lifetime), 3)
				if err != nil {
					t.Error(err)
				}
				if len(leases) == 0 {
					return
				}
				claimed.add(ids(leases, leaseSession)...)
			}
		})
		slices.Sort(claimed.all)
		same(t, "claims", len(claimed.all), threads)
		same(t, "different threads", len(slices.Compact(claimed.all)), threads)
	},
	"OneOfManyTakesTheLease": func(t *testing.T, b *bundle) {
		s := b.session(t, b.project(t))
		var takers counter[string]
		together(16, func(i int) {
			node := fmt.Sprintf("n%d", i)
			lease, taken, err := b.OweTurn(b.ctx, s.Project, s.ID, core.PrimaryThread(s.ID), node, at(1), at(1+lifetime))
			if err != nil || lease.Epoch != 1 {
				t.Errorf("OweTurn = %+v, %v, want epoch 1", lease, err)
			}
			if taken {
				takers.add(node)
			}
		})
		same(t, "how many", len(takers.all), 1)
		same(t, "holder", b.turnState(t, s).Node, takers.all[0])
	},
	"OneOfManyCreates": func(t *testing.T, b *bundle) {
		p := b.project(t)
		agent := b.agent(t, p)
		var made counter[string]
		for name, create := range map[string]func(i int) error{
			"user": func(i int) error {
				return b.CreateUser(b.ctx, core.User{ID: core.UserID(fmt.Sprint(i)), Email: "same@example.org"})
			},
			"key": func(i int) error {
				return b.CreateCredential(b.ctx, core.Credential{ID: core.CredentialID(fmt.Sprint(i)), Project: p, Prefix: "same", Hash: []byte("h")})
			},
			"agent":   func(int) error { return b.CreateAgent(b.ctx, core.Agent{Project: p, ID: "same"}) },
			"version": func(int) error { a := agent; a.Version = 2; return b.UpdateAgent(b.ctx, a) },
		} {
			together(8, func(i int) {
				switch err := create(i); {
				case err == nil:
					made.add(name)
				case core.KindOf(err) != core.Conflict:
					t.Errorf("%s: %v, want Conflict", name, err)
				}
			})
		}
		slices.Sort(made.all)
		same(t, "made", made.all, []string{"agent", "key", "user", "version"})
	},
	"OneOfManyReservesAKey": func(t *testing.T, b *bundle) {
		p := b.project(t)
		var objects counter[string]
		var fresh counter[bool]
		together(16, func(i int) {
			got, isNew, err := b.ReserveIdempotency(b.ctx, record(p, fmt.Sprint(i), 1, 100), at(1))
			if err != nil {
				t.Error(err)
			}
			objects.add(got.Object)
			if isNew {
				fresh.add(true)
			}
		})
		same(t, "how many", len(fresh.all), 1)
		same(t, "records seen", len(slices.Compact(objects.all)), 1)
	},
	"WhatIsReadInTxIsHeld": func(t *testing.T, b *bundle) {
		const writers, rounds = 8, 6
		p := b.project(t)
		agent, s := b.agent(t, p), b.session(t, p)
		together(writers, func(int) {
			for range rounds {
				err := b.Tx(b.ctx, func(tx core.Store) error {
					a, err := tx.Agent(b.ctx, p, agent.ID)
					if err != nil {
						return err
					}
					a.Version++
					if err := tx.UpdateAgent(b.ctx, a); err != nil {
						return err
					}
					now, err := tx.Session(b.ctx, p, s.ID)
					if err != nil {
						return err
					}
					now.Usage.ModelCalls++
					return tx.UpdateSession(b.ctx, now)
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
		a, err := b.Agent(b.ctx, p, agent.ID)
		need(t, err)
		same(t, "version", a.Version, 1+writers*rounds)
		now, err := b.Session(b.ctx, p, s.ID)
		need(t, err)
		same(t, "model calls", now.Usage.ModelCalls, int64(writers*rounds))
	},
	"ThoseWhoGiveUpWaitingAreNotRun": func(t *testing.T, b *bundle) {
		const waiters = 8
		s := b.session(t, b.project(t))
		inside, goOn := make(chan struct{}), make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := b.Tx(b.ctx, func(tx core.Store) error {
				close(inside)
				<-goOn
				return say(b.ctx, tx, s)
			}); err != nil {
				t.Error(err)
			}
		})
		<-inside
		ctx, cancel := context.WithCancel(b.ctx)
		results := make(chan error, waiters)
		for i := range waiters {
			mine := ctx
			if i%2 == 0 {
				mine = b.ctx
			}
			wg.Go(func() { results <- b.Tx(mine, func(tx core.Store) error { return say(b.ctx, tx, s) }) })
		}
		cancel()
		for range waiters / 2 { // those who gave up answer while the first still runs
			if err := <-results; !errors.Is(err, context.Canceled) {
				t.Errorf("Tx = %v, want %v", err, context.Canceled)
			}
		}
		close(goOn)
		wg.Wait()
		for range waiters / 2 {
			need(t, <-results)
		}
		same(t, "messages", b.messages(t, s), 1+waiters/2)
	},
}
