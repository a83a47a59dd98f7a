package client_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/client"
)

const turn = `event: session.status_running
data: {"id":"sevt_1","type":"session.status_running"}

event: ping
data: {"type":"ping"}

: a comment

event: message
data: {"type":"event_start","event":{"type":"agent.message","id":"sevt_2"}}

event: message
data: {"type":"event_delta","event_id":"sevt_2",
data: "delta":{"type":"content_delta","index":0,"content":{"type":"text","text":"Hi"}}}

event: agent.message
data: {"id":"sevt_2","type":"agent.message","content":[{"type":"text","text":"Hi "},{"type":"text","text":"there"}]}

event: reeve.something_new
data: {"id":"sevt_3","type":"reeve.something_new","more":1}

event: session.status_idle
data: {"id":"sevt_4","type":"session.status_idle","stop_reason":{"type":"end_turn"}}

event: session.status_running
data: {"id":"sevt_5","type":"session.status_running"}

`

func open(t *testing.T, body string) *client.Stream {
	t.Helper()
	srv, seen := answer(t, 200, "text/event-stream", body)
	s, err := client.New(srv.URL, "x", nil).Stream(t.Context(), "sesn_1", "agent.message", "agent.thinking")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if got, want := seen.URL.Path, "/v1/sessions/sesn_1/events/stream"; got != want {
		t.Errorf("path = %s", got)
	}
	if got := seen.URL.Query()["event_deltas[]"]; !cmp.Equal(got, []string{"agent.message", "agent.thinking"}) {
		t.Errorf("deltas = %q", got)
	}
	return s
}

func TestStreamUntilIdle(t *testing.T) {
	t.Parallel()
	s := open(t, turn)
	var got []string
	last, err := s.UntilIdle(func(e client.Event) {
		line := e.Type
		if e.Delta != nil {
			line += " " + e.EventID + " " + e.Delta.Content.Text
		}
		if text := e.Text(); text != "" {
			line += " " + text
		}
		got = append(got, line)
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"session.status_running", "event_start", "event_delta sevt_2 Hi", "agent.message Hi there", "reeve.something_new", "session.status_idle"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if last.ID != "sevt_4" || last.StopReason == nil || last.StopReason.Type != "end_turn" {
		t.Errorf("last = %+v", last)
	}
	if !s.Next() || s.Event().ID != "sevt_5" || s.Next() || s.Err() != nil {
		t.Errorf("after the idle: %+v, %v", s.Event(), s.Err())
	}
}

func TestStreamThatEndsEarly(t *testing.T) {
	t.Parallel()
	whole, _, _ := strings.Cut(turn, "event: session.status_idle")
	_, err := open(t, whole+"event: session.status_idle\ndata: {\"type\":\"session.status_idle\"}\n").UntilIdle(nil) // no blank line: a lost frame
	if err == nil || !strings.Contains(err.Error(), "the stream ended before the turn did") {
		t.Errorf("error = %v", err)
	}
}

func TestStreamThatFails(t *testing.T) {
	t.Parallel()
	_, err := open(t, "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"internal error\"}}\n\n").UntilIdle(nil)
	var refused *client.Error
	if !errors.As(err, &refused) || refused.Code != "api_error" || refused.Message != "internal error" {
		t.Errorf("error = %v", err)
	}
}

func TestStreamThatIsNoStream(t *testing.T) {
	t.Parallel()
	srv, _ := answer(t, 200, "text/html", "<html>")
	if _, err := client.New(srv.URL, "x", nil).Stream(t.Context(), "sesn_1"); err == nil {
		t.Error("a page of HTML was taken for a stream")
	}
}
