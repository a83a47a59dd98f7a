package work

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/core"
)

func TestAnItemLivesByItsHeartbeats(t *testing.T) {
	t.Parallel()
	y := build(t)
	w := y.queued(t, false)
	if _, _, err := y.Heartbeat(t.Context(), y.worker, y.env.ID, w.ID, Beat{Expected: &time.Time{}}); code(err) != CodeNotHeld {
		t.Errorf("a heartbeat for a queued item: %v", err)
	}
	w, err := y.Acknowledge(t.Context(), y.worker, y.env.ID, w.ID)
	if err != nil || w.State != core.WorkStarting || !w.AcknowledgedAt.Equal(y.clock()) || w.LeaseUntil.Sub(y.clock()) != time.Minute {
		t.Fatalf("acknowledged: %+v, %v", w, err)
	}
	y.move(time.Second)
	if again, err := y.Acknowledge(t.Context(), y.worker, y.env.ID, w.ID); err != nil || !again.AcknowledgedAt.Equal(w.AcknowledgedAt) {
		t.Errorf("again: %+v, %v", again, err)
	}
	beat := func(expected time.Time, ttl time.Duration) core.Work {
		t.Helper()
		got, extended, err := y.Heartbeat(t.Context(), y.worker, y.env.ID, w.ID, Beat{Expected: &expected, TTL: ttl})
		if err != nil || !extended || got.State != core.WorkActive || !got.LeaseUntil.Equal(got.LastHeartbeatAt.Add(got.TTL)) {
			t.Fatalf("heartbeat: %+v, %v, %v", got, extended, err)
		}
		return got
	}
	first := beat(time.Time{}, 0)
	second := beat(first.LastHeartbeatAt, time.Second)
	if !second.LastHeartbeatAt.After(first.LastHeartbeatAt) {
		t.Error("two heartbeats of one moment pass for one")
	}
	y.move(time.Second)
	third := beat(second.LastHeartbeatAt, time.Hour)
	if got := []time.Duration{first.TTL, second.TTL, third.TTL}; !cmp.Equal(got, []time.Duration{time.Minute, 10 * time.Second, 10 * time.Minute}) {
		t.Errorf("TTLs = %v", got)
	}
	if !third.StartedAt.Equal(first.LastHeartbeatAt) {
		t.Errorf("started at %v", third.StartedAt)
	}
	for _, expected := range []time.Time{{}, first.LastHeartbeatAt} {
		_, _, err := y.Heartbeat(t.Context(), y.worker, y.env.ID, w.ID, Beat{Expected: &expected})
		var lost *Mismatch
		if !errors.As(err, &lost) || code(err) != CodePrecondition || !lost.Work.LastHeartbeatAt.Equal(third.LastHeartbeatAt) {
			t.Errorf("expected %v: %v", expected, err)
		}
	}
	if _, extended, err := y.Heartbeat(t.Context(), y.worker, y.env.ID, w.ID, Beat{}); err != nil || !extended {
		t.Errorf("a heartbeat that asks nothing: %v, %v", extended, err)
	}
}

func TestAWorkerHearsThatItShouldStop(t *testing.T) {
	t.Parallel()
	y := build(t)
	w := y.taken(t, false)
	stopping, err := y.Stop(t.Context(), y.member, y.env.ID, w.ID, false)
	if err != nil || stopping.State != core.WorkStopping || !stopping.StopRequestedAt.Equal(y.clock()) || !stopping.StoppedAt.IsZero() {
		t.Fatalf("stopping: %+v, %v", stopping, err)
	}
	y.move(time.Second)
	heard, extended, err := y.Heartbeat(t.Context(), y.worker, y.env.ID, w.ID, Beat{Expected: &w.LastHeartbeatAt})
	if err != nil || !extended || heard.State != core.WorkStopping {
		t.Fatalf("heartbeat: %+v, %v, %v", heard, extended, err)
	}
	if _, err := y.Acknowledge(t.Context(), y.worker, y.env.ID, w.ID); code(err) != CodeStopped {
		t.Errorf("acknowledge: %v", err)
	}
	stopped, err := y.Stop(t.Context(), y.worker, y.env.ID, w.ID, true)
	if err != nil || stopped.State != core.WorkStopped || !stopped.StoppedAt.Equal(y.clock()) || !stopped.StopRequestedAt.Equal(stopping.StopRequestedAt) {
		t.Fatalf("stopped: %+v, %v", stopped, err)
	}
	for _, force := range []bool{false, true} {
		if _, err := y.Stop(t.Context(), y.worker, y.env.ID, w.ID, force); code(err) != CodeStopped {
			t.Errorf("again, force %v: %v", force, err)
		}
	}
	late, extended, err := y.Heartbeat(t.Context(), y.worker, y.env.ID, w.ID, Beat{Expected: &heard.LastHeartbeatAt})
	if err != nil || extended || late.State != core.WorkStopped {
		t.Errorf("a late heartbeat: %+v, %v, %v", late, extended, err)
	}
	if _, _, err := y.Heartbeat(t.Context(), y.worker, y.env.ID, w.ID, Beat{Expected: &heard.LastHeartbeatAt, Strict: true}); code(err) != CodeNotHeld {
		t.Errorf("a late heartbeat where that is an error: %v", err)
	}
}

func TestAnItemThatNobodyHoldsStopsAtOnce(t *testing.T) {
	t.Parallel()
	y := build(t)
	w, err := y.Stop(t.Context(), y.member, y.env.ID, y.queued(t, false).ID, false)
	if err != nil || w.State != core.WorkStopped {
		t.Errorf("queued: %+v, %v", w, err)
	}
	started := y.queued(t, false)
	_, err = y.Acknowledge(t.Context(), y.worker, y.env.ID, started.ID)
	need(t, err)
	if w, err = y.Stop(t.Context(), y.member, y.env.ID, started.ID, false); err != nil || w.State != core.WorkStopping || w.LeaseUntil.Sub(y.clock()) != 10*time.Second {
		t.Errorf("never heard of: %+v, %v", w, err)
	}
}

func TestASessionWhoseWorkerFellSilentIsQueuedAgainIfItWaits(t *testing.T) {
	t.Parallel()
	y := build(t)
	rests, waits := y.taken(t, false), y.taken(t, true)
	acked := y.queued(t, true)
	_, err := y.Acknowledge(t.Context(), y.worker, y.env.ID, acked.ID)
	need(t, err)
	y.move(time.Minute - time.Microsecond)
	need(t, y.Sweep(t.Context()))
	if got := len(y.of(t)); got != 3 {
		t.Errorf("%d items before the leases end", got)
	}
	_, extended, err := y.Heartbeat(t.Context(), y.worker, y.env.ID, rests.ID, Beat{})
	if err != nil || !extended {
		t.Fatal(err)
	}
	y.move(time.Microsecond)
	need(t, y.Sweep(t.Context()))
	states := map[core.SessionID][]core.WorkState{}
	for _, w := range y.of(t) {
		states[w.Session] = append(states[w.Session], w.State)
	}
	again := []core.WorkState{core.WorkQueued, core.WorkStopped}
	if d := cmp.Diff(map[core.SessionID][]core.WorkState{rests.Session: {core.WorkActive}, waits.Session: again, acked.Session: again}, states); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if id := y.poll(t); id == "" {
		t.Error("what is queued again is not offered")
	}
	y.move(time.Minute)
	need(t, y.Sweep(t.Context()))
	if w, err := y.Work(t.Context(), y.member, y.env.ID, rests.ID); err != nil || w.State != core.WorkStopped || len(y.of(t)) != 5 {
		t.Errorf("a session that rests: %+v, %v; %d items", w, err, len(y.of(t)))
	}
}

func TestASessionThatIsGivenBackAgainAndAgainIsQueuedLater(t *testing.T) {
	t.Parallel()
	y := build(t)
	if id := y.queued(t, false).ID; id != "" {
		_, err := y.Stop(t.Context(), y.worker, y.env.ID, id, true)
		need(t, err)
	}
	if got := y.poll(t); got != "" {
		t.Errorf("a session that rests is queued again: %s", got)
	}
	w := y.queued(t, true)
	var pauses []time.Duration
	giveBack := func(held time.Duration) {
		t.Helper()
		_, err := y.Acknowledge(t.Context(), y.worker, y.env.ID, w.ID)
		need(t, err)
		_, _, err = y.Heartbeat(t.Context(), y.worker, y.env.ID, w.ID, Beat{TTL: maxTTL})
		need(t, err)
		y.move(held)
		_, err = y.Stop(t.Context(), y.worker, y.env.ID, w.ID, true)
		need(t, err)
		w, err = y.db.LiveWork(t.Context(), w.Project, w.Session)
		need(t, err)
		pauses = append(pauses, w.AvailableAt.Sub(y.clock()))
		if got := y.poll(t); got != "" {
			t.Errorf("%s is offered at once", got)
		}
		y.move(pauses[len(pauses)-1])
		if got := y.poll(t); got != w.ID {
			t.Errorf("%q is offered when the time has come", got)
		}
	}
	for range 8 {
		giveBack(time.Second)
	}
	giveBack(time.Minute)
	want := []time.Duration{5, 10, 20, 40, 80, 160, 300, 300, 5}
	for i := range want {
		want[i] *= time.Second
	}
	if d := cmp.Diff(want, pauses); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestMetadataIsMerged(t *testing.T) {
	t.Parallel()
	y := build(t)
	w := y.queued(t, false)
	one, two := "1", "2"
	for _, step := range []struct {
		patch map[string]*string
		want  map[string]string
	}{
		{map[string]*string{"a": &one, "b": &one}, map[string]string{"a": "1", "b": "1"}},
		{map[string]*string{"a": &two, "b": nil, "c": nil}, map[string]string{"a": "2"}},
		{nil, map[string]string{"a": "2"}},
	} {
		got, err := y.Update(t.Context(), y.member, y.env.ID, w.ID, step.patch)
		need(t, err)
		if d := cmp.Diff(step.want, got.Metadata); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
	}
	if _, err := y.Update(t.Context(), y.member, y.env.ID, w.ID, map[string]*string{"": &one}); code(err) != "invalid_field" {
		t.Errorf("an empty key: %v", err)
	}
}
