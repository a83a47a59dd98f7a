package work

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/core"
)

// wait blocks until n polls of the environment wait.
func (y *yard) wait(t *testing.T, n int) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for {
		y.waiting.mu.Lock()
		got := len(y.waiting.polls[y.env.ID])
		y.waiting.mu.Unlock()
		if got == n {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%d polls wait, want %d", got, n)
		}
	}
}

func TestAPollThatWaitsHearsOfAnItemAtOnce(t *testing.T) {
	t.Parallel()
	y := build(t)
	got := make(chan *Offer, 1)
	go func() {
		// Longer than any real poll, so that only the nudge can end it.
		w, err := y.await(t.Context(), y.member.Project, y.env.ID, patience, DefaultReclaim)
		if err != nil || w == nil {
			t.Errorf("poll: %v, %v", w, err)
			w = &core.Work{}
		}
		got <- &Offer{Work: *w}
	}()
	y.wait(t, 1)
	w := y.queued(t, false)
	y.Wake("another")
	y.Wake(y.env.ID)
	select {
	case offer := <-got:
		if offer.ID != w.ID {
			t.Errorf("offer = %+v", offer)
		}
	case <-time.After(patience / 2):
		t.Fatal("the poll went on waiting")
	}
	y.wait(t, 0)
}

func TestManyPollsGetEachItemOnce(t *testing.T) {
	t.Parallel()
	y := build(t)
	const polls, items = 40, 15
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	got := make(chan core.WorkID, polls)
	for range polls {
		go func() {
			w, err := y.await(ctx, y.member.Project, y.env.ID, patience, DefaultReclaim)
			if w == nil || err != nil {
				got <- "" // its context ended
				return
			}
			got <- w.ID
		}()
	}
	y.wait(t, polls)
	for range items {
		y.queued(t, false)
		y.Wake(y.env.ID)
	}
	seen := map[core.WorkID]int{}
	for range items {
		select {
		case id := <-got:
			seen[id]++
		case <-time.After(patience):
			t.Fatalf("only %d items were offered", len(seen))
		}
	}
	if len(seen) != items || seen[""] != 0 {
		t.Errorf("offered: %v", seen)
	}
	cancel()
	for range polls - items {
		if id := <-got; id != "" {
			t.Errorf("%s was offered twice", id)
		}
	}
	y.wait(t, 0)
}

func TestANudgeIsNotLostWithThePollThatGotIt(t *testing.T) {
	t.Parallel()
	w := waiting{polls: map[core.EnvironmentID][]chan struct{}{}}
	first, second, third := w.join("e"), w.join("e"), w.join("e")
	w.wake("e")
	w.leave("e", second)
	w.leave("e", first)
	if len(third) != 1 {
		t.Error("the last poll was not nudged")
	}
	w.leave("e", third)
	if len(w.polls) != 0 {
		t.Errorf("left over: %v", w.polls)
	}
}

func TestAnItemIsOfferedUntilItIsAcknowledged(t *testing.T) {
	t.Parallel()
	y := build(t)
	older, newer := y.queued(t, false), y.queued(t, false)
	var got []core.WorkID
	ask := func(d time.Duration) {
		y.move(d)
		got = append(got, y.poll(t))
	}
	ask(0)
	ask(time.Second)
	ask(time.Second)     // both are offered
	ask(3 * time.Second) // five seconds after the first offer
	_, err := y.Acknowledge(t.Context(), y.worker, y.env.ID, older.ID)
	need(t, err)
	ask(10 * time.Second)
	if d := cmp.Diff([]core.WorkID{older.ID, newer.ID, "", older.ID, newer.ID}, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	counts, err := y.Counts(t.Context(), y.member, y.env.ID)
	need(t, err)
	if d := cmp.Diff(core.WorkCounts{Pending: 1, OldestAt: newer.CreatedAt}, counts); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestWorkersCountForHalfAMinute(t *testing.T) {
	t.Parallel()
	y := build(t)
	ask := func(name string, after time.Duration) int {
		t.Helper()
		y.move(after)
		if name != "" {
			_, err := y.Poll(t.Context(), y.worker, y.env.ID, Poll{Worker: name})
			need(t, err)
		}
		n, err := y.Counts(t.Context(), y.member, y.env.ID)
		need(t, err)
		return n.Workers
	}
	got := []int{ask("", 0), ask("a", 0), ask("a", time.Second), ask("b", 9*time.Second), ask("", 20*time.Second+time.Microsecond), ask("a", 0), ask("", time.Minute)}
	if d := cmp.Diff([]int{0, 1, 1, 2, 1, 2, 0}, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	need(t, y.forget(t.Context()))
	if len(y.seen) != 0 {
		t.Errorf("still known: %v", y.seen)
	}
	if _, err := y.Poll(t.Context(), y.worker, y.env.ID, Poll{Worker: strings.Repeat("w", 256)}); code(err) != "invalid_field" {
		t.Errorf("a long name: %v", err)
	}
}

func TestWhoMayDoWhatWithWork(t *testing.T) {
	t.Parallel()
	y := build(t)
	other := y.environment(t)
	w := y.taken(t, false)
	viewer, foreign := y.member, y.member
	viewer.Role, foreign.Project = core.RoleViewer, "x"
	otherKey := core.Principal{Kind: core.PrincipalEnvironment, Project: y.member.Project, Environment: other.ID}
	token := core.Principal{Kind: core.PrincipalWork, Project: y.member.Project, Environment: y.env.ID, Work: w.ID, Session: w.Session}
	otherToken := token
	otherToken.Work = "x"
	calls := []struct {
		name string
		call func(by core.Principal) error
	}{
		{"poll", func(by core.Principal) error { _, err := y.Poll(t.Context(), by, y.env.ID, Poll{}); return err }},
		{"ack", func(by core.Principal) error {
			_, err := y.Acknowledge(t.Context(), by, y.env.ID, w.ID)
			return err
		}},
		{"heartbeat", func(by core.Principal) error {
			_, _, err := y.Heartbeat(t.Context(), by, y.env.ID, w.ID, Beat{})
			return err
		}},
		{"stop", func(by core.Principal) error { _, err := y.Stop(t.Context(), by, y.env.ID, w.ID, false); return err }},
		{"get", func(by core.Principal) error { _, err := y.Work(t.Context(), by, y.env.ID, w.ID); return err }},
		{"list", func(by core.Principal) error {
			_, err := y.Works(t.Context(), by, y.env.ID, core.WorkPage{Limit: 1})
			return err
		}},
		{"stats", func(by core.Principal) error { _, err := y.Counts(t.Context(), by, y.env.ID); return err }},
		{"update", func(by core.Principal) error { _, err := y.Update(t.Context(), by, y.env.ID, w.ID, nil); return err }},
	}
	ok, no, gone, lost := "", "forbidden", "environment_not_found", "work_not_found"
	for _, c := range []struct {
		name string
		by   core.Principal
		want []string // in the order of calls
	}{
		{"member", y.member, []string{ok, ok, ok, ok, ok, ok, ok, ok}},
		{"viewer", viewer, []string{no, no, no, no, ok, ok, ok, no}},
		{"environment key", y.worker, []string{ok, "work_stopped", ok, ok, no, no, no, no}},
		{"another environment's key", otherKey, []string{gone, gone, gone, gone, no, no, no, no}},
		{"work token", token, []string{no, no, ok, ok, no, no, no, no}},
		{"another item's token", otherToken, []string{no, no, lost, lost, no, no, no, no}},
		{"another project", foreign, []string{gone, gone, lost, lost, lost, gone, gone, lost}},
	} {
		var got []string
		for _, call := range calls {
			got = append(got, code(call.call(c.by)))
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, d)
		}
	}
}
