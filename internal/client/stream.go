package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/openai/openai-go/v3/packages/ssestream"
)

// Stream is an open event stream: everything that the session's log gains from its opening on. It
// belongs to one goroutine, and must be closed.
type Stream struct {
	frames ssestream.Decoder
	cur    Event
	err    error
}

// Stream opens the stream of a session. When it returns, nothing that is sent from now on is missed.
// deltas names the event types whose pieces are wanted as they are made: agent.message,
// agent.thinking. The stream ends with ctx.
func (c *Client) Stream(ctx context.Context, session string, deltas ...string) (*Stream, error) {
	query := url.Values{}
	for _, d := range deltas {
		query.Add("event_deltas[]", d)
	}
	path := "/v1/sessions/" + url.PathEscape(session) + "/events/stream"
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	res, err := c.send(ctx, http.MethodGet, path, nil, "text/event-stream")
	if err != nil {
		return nil, err
	}
	if kind := res.Header.Get("Content-Type"); !strings.HasPrefix(kind, "text/event-stream") {
		_ = res.Body.Close()
		return nil, fmt.Errorf("open the event stream: the server answered with %q", kind)
	}
	return &Stream{frames: ssestream.NewDecoder(res)}, nil
}

// Next waits for the next event. It reports false at the end of the stream; Err says why.
func (s *Stream) Next() bool {
	for s.err == nil && s.frames.Next() {
		frame := s.frames.Event()
		switch frame.Type {
		case "ping":
			continue
		case "error":
			var body struct {
				Error struct{ Type, Message string }
			}
			_ = json.Unmarshal(frame.Data, &body)
			s.err = &Error{Status: http.StatusOK, Code: body.Error.Type, Message: body.Error.Message}
			return false
		}
		s.cur = Event{}
		if err := json.Unmarshal(frame.Data, &s.cur); err != nil {
			s.err = fmt.Errorf("decode a %q frame of the event stream: %w", frame.Type, err)
			return false
		}
		return true
	}
	if s.err == nil {
		s.err = s.frames.Err()
	}
	return false
}

// Event is what the last Next found.
func (s *Stream) Event() Event { return s.cur }

// Err is why the stream ended: nil when the server closed it in good order.
func (s *Stream) Err() error { return s.err }

// Close ends the stream.
func (s *Stream) Close() error { return s.frames.Close() }

// UntilIdle passes events to each, which may be nil, until the session is idle or terminated, and
// returns that last event. A stream that ends before is an error.
func (s *Stream) UntilIdle(each func(Event)) (Event, error) {
	for s.Next() {
		e := s.Event()
		if each != nil {
			each(e)
		}
		switch e.Type {
		case "session.status_idle", "session.status_terminated", "session.deleted":
			return e, nil
		}
	}
	if s.err != nil {
		return Event{}, fmt.Errorf("follow the session: %w", s.err)
	}
	return Event{}, fmt.Errorf("follow the session: the stream ended before the turn did")
}
