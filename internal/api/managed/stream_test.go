package managed_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/provider/fake"
)

func TestPreviewsArePrefixesOfTheMessage(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		speak func(*server) client
		query string
		want  []string // the frames before the answer is finished
	}{
		{"both", claude, "?event_deltas[]=agent.message&event_deltas[]=agent.thinking", []string{"event_start", "event_start", "event_delta", "event_delta", "event_delta"}},
		{"message alone", qoder, "?event_deltas%5B%5D=agent.message", []string{"event_start", "event_delta", "event_delta", "event_delta"}},
		{"thinking alone", claude, "?event_deltas=agent.thinking", []string{"event_start"}},
		{"none", claude, "", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			finish := make(chan struct{})
			s := start(t, fake.Say("Ready."), fake.Think("Hm.").And(fake.SayPieces("One ", "two ", "three."), fake.Block(finish)))
			c := tc.speak(s)
			id := c.session(t, "")
			frames := c.watch(t, "/sessions/"+id+"/events/stream"+tc.query)
			// Previews are not stored, so the stream must stand before they come: after a turn it does.
			c.must(t, "POST", "/sessions/"+id+"/events", message("ready?"))
			until(t, frames, "session.status_idle")
			c.must(t, "POST", "/sessions/"+id+"/events", message("count"))
			var got []string
			var text string
			ids := map[any]any{} // type of each event by id
			for len(got) < len(tc.want) {
				f := next(t, frames)
				if !strings.HasPrefix(f.event, "event_") {
					continue
				}
				got = append(got, f.event)
				if f.id != "" {
					t.Errorf("a preview has the id %q", f.id)
				}
				if f.event == "event_start" {
					ids[dig(f.data, "event", "id")] = dig(f.data, "event", "type")
					continue
				}
				if ids[f.data["event_id"]] != "agent.message" || dig(f.data, "delta", "type") != "content_delta" || dig(f.data, "delta", "content", "type") != "text" {
					t.Errorf("delta = %v", f.data)
				}
				text += dig(f.data, "delta", "content", "text").(string)
			}
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Errorf("previews (-want +got):\n%s", d)
			}
			close(finish)
			for _, f := range until(t, frames, "session.status_idle") {
				if strings.HasPrefix(f.event, "event_") {
					t.Errorf("a preview comes behind its event: %v", f.data)
				}
				if kind := ids[f.data["id"]]; kind != nil && kind != f.data["type"] {
					t.Errorf("%v was announced as %v", f.data, kind)
				}
				if f.event == "agent.message" && text != "" && dig(f.data, "content", 0, "text") != text {
					t.Errorf("message %v, previewed %q", f.data, text)
				}
			}
		})
	}
}

// TestStreamThatComesLateMissesNothing: a client that sends first and opens the stream then.
func TestStreamThatComesLateMissesNothing(t *testing.T) {
	t.Parallel()
	s := start(t, fake.Say("One."))
	c := claude(s)
	id := c.session(t, "")
	watching := c.watch(t, "/sessions/"+id+"/events/stream", "User-Agent", "somebody else")
	c.must(t, "POST", "/sessions/"+id+"/events", message("hi"))
	until(t, watching, "session.status_idle")
	late := until(t, c.watch(t, "/sessions/"+id+"/events/stream"), "session.status_idle")
	if !slices.Contains(types(late), "agent.message") {
		t.Errorf("the late stream told %v", types(late))
	}
}

// TestStreamThatWasNotToldIsNotForgotten: a client that sends first, while another one, which the server
// cannot tell from it, watches all the time.
func TestStreamThatWasNotToldIsNotForgotten(t *testing.T) {
	t.Parallel()
	s := start(t, fake.Say("One."))
	c := claude(s)
	id := c.session(t, "")
	watching := c.watch(t, "/sessions/"+id+"/events/stream")
	c.must(t, "POST", "/sessions/"+id+"/events", message("hi"))
	until(t, watching, "session.status_idle")
	late := until(t, c.watch(t, "/sessions/"+id+"/events/stream"), "session.status_idle")
	if !slices.Contains(types(late), "agent.message") {
		t.Errorf("the late stream told %v", types(late))
	}
}

// TestStreamForEachTurnTellsOnlyThatTurn: what a client was told on one stream does not begin the next.
func TestStreamForEachTurnTellsOnlyThatTurn(t *testing.T) {
	t.Parallel()
	s := start(t, fake.Say("One."), fake.Say("Two."), fake.Say("Three."))
	for _, c := range []client{claude(s)} {
		id := c.session(t, "")
		for _, answer := range []string{"One.", "Two.", "Three."} {
			frames := c.watch(t, "/sessions/"+id+"/events/stream")
			c.must(t, "POST", "/sessions/"+id+"/events", message("next"))
			var said []any
			for _, f := range until(t, frames, "session.status_idle") {
				if f.data["type"] == "agent.message" {
					said = append(said, dig(f.data, "content", 0, "text"))
				}
			}
			if d := cmp.Diff([]any{answer}, said); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		}
	}
}

// TestStreamsResume: behind each event of a turn the rest of it follows, and no more.
func TestStreamsResume(t *testing.T) {
	t.Parallel()
	s := start(t, fake.Say("One."))
	q := qoder(s)
	id := q.session(t, "")
	frames := q.watch(t, "/sessions/"+id+"/events/stream")
	q.must(t, "POST", "/sessions/"+id+"/events", message("hi"))
	whole := until(t, frames, "session.status_idle")
	for i, f := range whole[:len(whole)-1] {
		rest := until(t, q.watch(t, "/sessions/"+id+"/events", "Accept", "text/event-stream", "Last-Event-ID", f.id), "session.status_idle")
		want := types(whole[i+1:])
		if f.data["type"] == "user.message" { // its first appearance is the place, whichever the client has seen
			want = types(whole[1:])
		}
		if d := cmp.Diff(want, types(rest)); d != "" {
			t.Errorf("behind %s (-want +got):\n%s", f.event, d)
		}
	}
}

func TestDeletedSessionEndsItsStreams(t *testing.T) {
	t.Parallel()
	s := start(t)
	c, q := claude(s), qoder(s)
	id := c.session(t, "")
	frames, qframes := c.watch(t, "/sessions/"+id+"/events/stream"), q.watch(t, "/sessions/"+id+"/events/stream")
	c.must(t, "POST", "/sessions/"+id+"/archive", "")
	last := until(t, qframes, "session.status_terminated")
	if _, open := <-qframes; open || last[len(last)-1].event != "session.status_terminated" {
		t.Error("a Qoder stream goes on behind session.status_terminated")
	}
	c.must(t, "DELETE", "/sessions/"+id, "")
	gone := until(t, frames, "session.deleted")
	if f := gone[len(gone)-1]; f.event != "session.deleted" || !strings.HasPrefix(f.data["id"].(string), "sevt_") || f.data["processed_at"] == nil {
		t.Errorf("frame = %+v", f)
	}
	if f, open := <-frames; open {
		t.Errorf("behind session.deleted came %+v", f)
	}
}

func TestStreamsAreLimited(t *testing.T) {
	t.Parallel()
	s := startWith(t, options{maxStreams: 1})
	c := claude(s)
	id := c.session(t, "")
	frames := c.watch(t, "/sessions/"+id+"/events/stream")
	a := c.do(t, "GET", "/sessions/"+id+"/events/stream", "")
	c.refused(t, a, 429, "rate_limit_error")
	if a.header.Get("Retry-After") != "5" {
		t.Errorf("Retry-After = %q", a.header.Get("Retry-After"))
	}
	c.must(t, "DELETE", "/sessions/"+id, "")
	until(t, frames, "session.deleted")
}

func TestStreamsOfSessionsThatAreNotThere(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, c := range []client{claude(s), qoder(s)} {
		c.refused(t, c.do(t, "GET", "/sessions/sesn_0198c1d2000070008000000000000001/events/stream", ""), 404, "not_found_error")
		c.refused(t, c.as("").do(t, "GET", "/sessions/sesn_0198c1d2000070008000000000000001/events/stream", ""), 401, "authentication_error")
	}
}
