package storetest

import (
	"sync"
	"testing"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// inEnvironment makes a session of an environment.
func inEnvironment(e core.Environment) func(*core.Session) {
	return func(s *core.Session) { s.Environment = e.ID }
}

// work queues an item for a new session of the environment.
func (b *bundle) work(t *testing.T, e core.Environment, edit ...func(*core.Work)) core.Work {
	t.Helper()
	w := b.newWork(b.session(t, e.Project, inEnvironment(e)))
	for _, f := range edit {
		f(&w)
	}
	b.queue(t, w, true)
	return w
}

func (b *bundle) newWork(s core.Session) core.Work {
	now := kept(b.later())
	return core.Work{
		Project: s.Project, Environment: s.Environment, ID: core.NewID[core.WorkID](), Session: s.ID, State: core.WorkQueued,
		Metadata: map[string]string{}, TTL: time.Minute, CreatedAt: now, AvailableAt: now,
	}
}

func (b *bundle) queue(t *testing.T, w core.Work, want bool) {
	t.Helper()
	news, err := b.QueueWork(b.ctx, w)
	need(t, err)
	same(t, "news for workers", news, want)
}

func workID(w core.Work) core.WorkID { return w.ID }

// stop stores an item as stopped.
func (b *bundle) stop(t *testing.T, w core.Work) {
	t.Helper()
	w.State, w.LeaseUntil = core.WorkStopped, time.Time{}
	need(t, b.UpdateWork(b.ctx, w))
}

var workPromises = map[string]func(*testing.T, *bundle){
	"AnItemComesBackAsItWentIn": func(t *testing.T, b *bundle) {
		e := b.environment(t, b.project(t))
		want := b.work(t, e, func(w *core.Work) { w.Metadata, w.Attempt = map[string]string{"k": "v"}, 3 })
		for name, read := range map[string]func() (core.Work, error){
			"Work":     func() (core.Work, error) { return b.Work(b.ctx, e.Project, e.ID, want.ID) },
			"WorkByID": func() (core.Work, error) { return b.WorkByID(b.ctx, e.Project, want.ID) },
			"LiveWork": func() (core.Work, error) { return b.LiveWork(b.ctx, e.Project, want.Session) },
		} {
			got, err := read()
			need(t, err)
			same(t, name, got, want)
		}
	},
	"UpdateWorkReplacesAllButItsOrigin": func(t *testing.T, b *bundle) {
		w := b.work(t, b.environment(t, b.project(t)))
		change := core.Work{
			Project: w.Project, Environment: w.Environment, ID: w.ID, Session: "x", State: core.WorkStopping, Metadata: map[string]string{"a": "b"},
			TTL: 17 * time.Second, Attempt: 2, CreatedAt: at(70), AvailableAt: kept(at(71)), OfferedAt: kept(at(72)), AcknowledgedAt: kept(at(73)),
			StartedAt: kept(at(74)), LastHeartbeatAt: kept(at(75)), StopRequestedAt: kept(at(76)), StoppedAt: kept(at(77)), LeaseUntil: kept(at(78)),
		}
		need(t, b.UpdateWork(b.ctx, change))
		got, err := b.Work(b.ctx, w.Project, w.Environment, w.ID)
		need(t, err)
		change.Session, change.CreatedAt = w.Session, w.CreatedAt
		same(t, "work", got, change)
	},
	"WhatIsUnknownIsNotFound": func(t *testing.T, b *bundle) {
		p := b.project(t)
		e, other := b.environment(t, p), b.environment(t, p)
		w := b.work(t, e)
		_, err := b.Work(b.ctx, p, other.ID, w.ID)
		refused(t, "Work of another environment", err, core.NotFound, "work_not_found")
		_, err = b.WorkByID(b.ctx, p, "none")
		refused(t, "WorkByID", err, core.NotFound, "work_not_found")
		moved := w
		moved.Environment = other.ID
		refused(t, "UpdateWork of another environment", b.UpdateWork(b.ctx, moved), core.NotFound, "work_not_found")
		b.stop(t, w)
		_, err = b.LiveWork(b.ctx, p, w.Session)
		refused(t, "LiveWork of a stopped one", err, core.NotFound, "work_not_found")
		_, err = b.OfferWork(b.ctx, p, e.ID, at(1000), at(1000))
		refused(t, "OfferWork of an empty queue", err, core.NotFound, "work_not_found")
		lost := b.newWork(b.session(t, p, inEnvironment(e)))
		lost.Environment = "none"
		_, err = b.QueueWork(b.ctx, lost)
		refused(t, "QueueWork", err, core.NotFound, "reference_not_found")
		lost.Environment, lost.Session = e.ID, "none"
		b.queue(t, lost, false)
	},
	"ASessionHasOneItemThatIsNotStopped": func(t *testing.T, b *bundle) {
		e := b.environment(t, b.project(t))
		first := b.work(t, e)
		again := first
		again.ID = core.NewID[core.WorkID]()
		for _, state := range []core.WorkState{core.WorkQueued, core.WorkStarting, core.WorkActive, core.WorkStopping} {
			first.State = state
			need(t, b.UpdateWork(b.ctx, first))
			b.queue(t, again, false)
		}
		b.stop(t, first)
		b.queue(t, again, true)
		live, err := b.LiveWork(b.ctx, e.Project, first.Session)
		need(t, err)
		same(t, "live", live.ID, again.ID)
		need(t, b.DeleteSession(b.ctx, e.Project, first.Session))
		list, err := b.Works(b.ctx, e.Project, e.ID, core.WorkPage{Limit: 10})
		need(t, err)
		same(t, "work of a deleted session", list, []core.Work{})
	},
	"QueueWorkBringsAnItemForward": func(t *testing.T, b *bundle) {
		e := b.environment(t, b.project(t))
		w := b.work(t, e, func(w *core.Work) { w.AvailableAt, w.Attempt = kept(at(500)), 4 })
		now := w
		now.ID, now.AvailableAt, now.Attempt = core.NewID[core.WorkID](), kept(at(400)), 0
		b.queue(t, now, true)
		b.queue(t, now, false)
		got, err := b.Work(b.ctx, e.Project, e.ID, w.ID)
		need(t, err)
		w.AvailableAt, w.Attempt = now.AvailableAt, 0
		same(t, "work", got, w)
	},
	"TheOldestItemIsOfferedFirst": func(t *testing.T, b *bundle) {
		p := b.project(t)
		e := b.environment(t, p)
		early := b.work(t, e, func(w *core.Work) { w.AvailableAt = kept(at(200)) })
		one, two := b.work(t, e), b.work(t, e)
		b.work(t, b.environment(t, p))
		offer := func(what string, now, before time.Time, want core.WorkID) {
			t.Helper()
			waits, err := b.WorkWaits(b.ctx, p, e.ID, now, before)
			need(t, err)
			same(t, what+": waits", waits, want != "")
			w, err := b.OfferWork(b.ctx, p, e.ID, now, before)
			if want == "" {
				refused(t, what, err, core.NotFound, "")
				return
			}
			need(t, err)
			same(t, what, w.ID, want)
			same(t, what+": offered", w.OfferedAt, kept(now))
			stored, err := b.Work(b.ctx, p, e.ID, w.ID)
			need(t, err)
			same(t, what+": stored", stored, w)
		}
		never := time.Time{}
		offer("first", at(100), never, one.ID)
		offer("second", at(101), never, two.ID)
		offer("nothing is left", at(102), never, "")
		offer("not offered for long enough", at(103), at(99), "")
		offer("offered long ago", at(104), at(100), one.ID)
		offer("its time has come", at(200), never, early.ID)
		early.State = core.WorkStarting
		need(t, b.UpdateWork(b.ctx, early))
		b.stop(t, one)
		offer("what is not queued is not offered", at(300), at(300), two.ID)
	},
	"NoTwoWorkersAreOfferedTheSame": func(t *testing.T, b *bundle) {
		e := b.environment(t, b.project(t))
		const items, pollers = 20, 8
		for range items {
			b.work(t, e)
		}
		var mu sync.Mutex
		offered := map[core.WorkID]int{}
		var wg sync.WaitGroup
		for range pollers {
			wg.Go(func() {
				for {
					w, err := b.OfferWork(b.ctx, e.Project, e.ID, at(1000), time.Time{})
					if core.KindOf(err) == core.NotFound {
						return
					}
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					offered[w.ID]++
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		same(t, "items", len(offered), items)
		for id, n := range offered {
			if n != 1 {
				t.Errorf("%s was offered %d times", id, n)
			}
		}
	},
	"ItemsAreListedNewestFirstInPages": func(t *testing.T, b *bundle) {
		e := b.environment(t, b.project(t))
		moment := kept(at(500))
		same1 := b.work(t, e, func(w *core.Work) { w.CreatedAt = moment })
		same2 := b.work(t, e, func(w *core.Work) { w.CreatedAt = moment })
		newest := b.work(t, e, func(w *core.Work) { w.CreatedAt = kept(at(600)) })
		b.stop(t, newest)
		place := func(w core.Work) *core.PageKey { return &core.PageKey{CreatedAt: w.CreatedAt, ID: string(w.ID)} }
		for _, c := range []struct {
			name string
			page core.WorkPage
			want []core.WorkID
		}{
			{"all", core.WorkPage{Limit: 10}, []core.WorkID{newest.ID, same2.ID, same1.ID}},
			{"between equal times", core.WorkPage{Limit: 5, After: place(same2)}, []core.WorkID{same1.ID}},
			{"before", core.WorkPage{Limit: 1, Before: place(same1)}, []core.WorkID{same2.ID}},
		} {
			list, err := b.Works(b.ctx, e.Project, e.ID, c.page)
			need(t, err)
			same(t, c.name, ids(list, workID), c.want)
		}
	},
	"LostWorkIsWhatLivesPastItsLease": func(t *testing.T, b *bundle) {
		e, other := b.environment(t, b.project(t)), b.environment(t, b.project(t))
		lease := func(e core.Environment, state core.WorkState, until int) core.WorkID {
			w := b.work(t, e)
			w.State, w.LeaseUntil = state, at(until)
			need(t, b.UpdateWork(b.ctx, w))
			return w.ID
		}
		later, first := lease(e, core.WorkStarting, 200), lease(other, core.WorkActive, 100)
		lease(e, core.WorkStopping, 201)
		b.work(t, e)
		list, err := b.LostWork(b.ctx, at(200), 10)
		need(t, err)
		same(t, "lost", ids(list, workID), []core.WorkID{first, later})
		list, err = b.LostWork(b.ctx, at(200), 1)
		need(t, err)
		same(t, "limit", ids(list, workID), []core.WorkID{first})
	},
	"CountWorkDescribesAQueue": func(t *testing.T, b *bundle) {
		p := b.project(t)
		e, other := b.environment(t, p), b.environment(t, p)
		got, err := b.CountWork(b.ctx, p, e.ID, at(0))
		need(t, err)
		same(t, "empty", got, core.WorkCounts{})
		one := b.work(t, e)
		b.work(t, e)
		taken := b.work(t, e)
		taken.State = core.WorkStarting
		need(t, b.UpdateWork(b.ctx, taken))
		b.work(t, other)
		_, err = b.OfferWork(b.ctx, p, e.ID, at(900), time.Time{})
		need(t, err)
		for worker, seconds := range map[string]int{"a": 901, "b": 902, "c": 950} {
			need(t, b.SawWorker(b.ctx, p, e.ID, worker, at(seconds)))
		}
		need(t, b.SawWorker(b.ctx, p, e.ID, "a", at(951)))
		need(t, b.SawWorker(b.ctx, p, e.ID, "a", at(900)))
		need(t, b.SawWorker(b.ctx, p, other.ID, "d", at(951)))
		got, err = b.CountWork(b.ctx, p, e.ID, at(950))
		need(t, err)
		same(t, "counts", got, core.WorkCounts{Depth: 1, Pending: 1, Workers: 2, OldestAt: one.CreatedAt})
		n, err := b.ForgetWorkers(b.ctx, at(950))
		need(t, err)
		same(t, "forgotten", n, 1)
	},
	"EnvironmentCredentialsAreThoseOfOneEnvironment": func(t *testing.T, b *bundle) {
		p := b.project(t)
		e, other := b.environment(t, p), b.environment(t, p)
		of := func(e core.Environment) func(*core.Credential) {
			return func(c *core.Credential) { c.Kind, c.Role, c.Environment = core.CredentialEnvironment, "", e.ID }
		}
		one, two := b.key(t, p, of(e)), b.key(t, p, of(e))
		b.key(t, p, of(other))
		b.key(t, p)
		list, err := b.EnvironmentCredentials(b.ctx, p, e.ID)
		need(t, err)
		same(t, "keys", list, []core.Credential{two, one})
		state, err := b.KeyState(b.ctx, one.Prefix, "")
		need(t, err)
		same(t, "key", state, core.KeyState{Credential: one, ProjectActive: true, EnvironmentThere: true})
		need(t, b.DeleteEnvironment(b.ctx, p, e.ID))
		state, err = b.KeyState(b.ctx, one.Prefix, "")
		need(t, err)
		same(t, "key of a deleted environment", state, core.KeyState{Credential: one, ProjectActive: true})
	},
}
