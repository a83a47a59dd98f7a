package session_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/session"
)

// watch follows the session in a goroutine and passes on what it is told. The channel has more room
// than any test needs.
func (h *house) watch(ctx context.Context, t *testing.T, opts session.FollowOptions) <-chan session.Feed {
	t.Helper()
	feeds := make(chan session.Feed, 1000)
	go func() {
		defer close(feeds)
		for feed, err := range h.Follow(ctx, h.by, h.sess.ID, opts) {
			if err != nil {
				t.Errorf("follow: %v", err)
				return
			}
			feeds <- feed
		}
	}()
	return feeds
}

func TestBeatComesWhileOnlyDeltasCome(t *testing.T) {
	t.Parallel()
	for name, deltas := range map[string]bool{"wanted": true, "not wanted": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := build(t)
				ctx, cancel := context.WithCancel(t.Context())
				feeds := h.watch(ctx, t, session.FollowOptions{Deltas: deltas})
				synctest.Wait()
				thought := core.NewID[core.EventID]()
				for i := range 60 { // a minute of thinking, of which a face may show nothing
					h.bus.Publish(core.Delta{Session: h.sess.ID, Thread: core.PrimaryThread(h.sess.ID), Event: thought, Type: core.EventAgentThinking, N: i, Start: i == 0})
					time.Sleep(time.Second) //nolint:forbidigo // of the bubble's clock (synctest): it takes no time
				}
				cancel()
				beats, pieces := 0, 0
				for feed := range feeds {
					if feed.Beat {
						beats++
					}
					if feed.Delta != nil {
						pieces++
					}
				}
				if beats < 3 || (pieces == 60) != deltas {
					t.Errorf("in a minute %d beats and %d deltas", beats, pieces)
				}
				need(t, h.db.Close())
			})
		})
	}
}

func TestDeltaNeverComesBehindItsEvent(t *testing.T) {
	t.Parallel()
	h := build(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	feeds := h.watch(ctx, t, session.FollowOptions{Deltas: true})
	done := h.draft(core.EventAgentMessage, core.Message{Content: core.Text("done")})
	h.append(t, done)
	if got := <-feeds; got.Event == nil || got.Event.ID != done.ID {
		t.Fatalf("got %+v", got)
	}
	// The watcher has read the event for some earlier nudge: its deltas are still on the bus.
	next := core.NewID[core.EventID]()
	for i, id := range []core.EventID{done.ID, done.ID, next} {
		h.bus.Publish(core.Delta{Session: h.sess.ID, Thread: core.PrimaryThread(h.sess.ID), Event: id, Type: core.EventAgentMessage, N: i % 2, Start: i != 1})
	}
	if got := <-feeds; got.Delta == nil || got.Delta.Event != next {
		t.Errorf("got %+v, want the first delta of the next event", got)
	}
}

func TestTailLeavesNothingOutThatCameMeanwhile(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.append(t, h.draft(core.EventStatusIdle, core.StopReason{Type: core.StopEndTurn}))
	h.looked = func() { // between the two reads that find the place to begin
		h.looked = nil
		h.append(t, h.draft(core.EventSessionUpdated, core.SessionUpdated{}))
		h.append(t, h.draft(core.EventUserMessage, core.Message{Content: core.Text("hello")}))
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	feeds := h.watch(ctx, t, session.FollowOptions{Tail: true, Recent: time.Minute})
	for _, want := range []core.EventType{core.EventSessionUpdated, core.EventUserMessage} {
		if got := <-feeds; got.Event == nil || got.Event.Type != want {
			t.Errorf("got %+v, want %s", got, want)
		}
	}
}

func TestDeletedSessionEndsItsWatchers(t *testing.T) {
	t.Parallel()
	h := build(t)
	feeds := h.watch(t.Context(), t, session.FollowOptions{})
	h.append(t, h.draft(core.EventSessionUpdated, core.SessionUpdated{}))
	<-feeds
	need(t, h.Delete(t.Context(), h.by, h.sess.ID))
	if got := <-feeds; !got.Deleted {
		t.Errorf("got %+v", got)
	}
	if _, more := <-feeds; more {
		t.Error("something came behind the end")
	}
}
