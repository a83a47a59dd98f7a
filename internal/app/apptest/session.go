package apptest

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/openai/openai-go/v3/packages/ssestream"
)

// Patience is how long a test waits for something that must come. It is a deadline, not a delay.
const Patience = 30 * time.Second

// Session is one session of the scripted agent, read through its public stream.
type Session struct {
	ID     string
	Agent  string
	srv    *Server
	events chan Event
}

// Event is one frame of the stream.
type Event struct {
	Name string // the frame's name
	Type string
	ID   string
	Data map[string]any
}

// Toolset is the agent's whole built-in toolset.
var Toolset = []any{map[string]any{"type": "agent_toolset_20260401"}}

// NewAgent makes an agent with tools, and changes it makes to its definition.
func (s *Server) NewAgent(t testing.TB, change func(map[string]any)) string {
	t.Helper()
	body := map[string]any{"name": "Test agent", "model": Model, "system": "Be brief.", "tools": Toolset}
	if change != nil {
		change(body)
	}
	return s.Must(t, http.MethodPost, "/v1/agents", body)["id"].(string)
}

// NewSession makes an agent with the whole toolset, an environment, a session, and watches its stream.
func (s *Server) NewSession(t testing.TB) *Session {
	t.Helper()
	return s.NewSessionOf(t, s.NewAgent(t, nil))
}

// NewSessionOf is NewSession for an agent of the test's own.
func (s *Server) NewSessionOf(t testing.TB, agent string) *Session {
	t.Helper()
	sess := s.Unwatched(t, agent)
	sess.Watch(t)
	return sess
}

// Unwatched is NewSessionOf without a stream.
func (s *Server) Unwatched(t testing.TB, agent string) *Session {
	t.Helper()
	env := s.Must(t, http.MethodPost, "/v1/environments", map[string]any{"name": "box"})["id"]
	id := s.Must(t, http.MethodPost, "/v1/sessions", map[string]any{"agent": agent, "environment_id": env})["id"].(string)
	return &Session{ID: id, Agent: agent, srv: s}
}

// Reopen returns a session that exists already, watched from now on.
func (s *Server) Reopen(t testing.TB, id string) *Session {
	t.Helper()
	sess := &Session{ID: id, srv: s}
	sess.Watch(t)
	return sess
}

// Watch opens the stream; events before it are not seen, save those of the turn that runs.
func (x *Session) Watch(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, x.srv.URL+"/v1/sessions/"+x.ID+"/events/stream?event_deltas[]=agent.message&event_deltas[]=agent.thinking", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Api-Key", x.srv.Token)
	res, err := http.DefaultClient.Do(req) //nolint:bodyclose // the decoder closes it
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK {
		t.Fatalf("stream: status %d", res.StatusCode)
	}
	x.events = make(chan Event, 4096) // more than any test makes
	go func(out chan<- Event) {
		defer close(out)
		dec := ssestream.NewDecoder(res)
		defer func() { _ = dec.Close() }()
		for dec.Next() {
			e := Event{Name: dec.Event().Type}
			if json.Unmarshal(dec.Event().Data, &e.Data) == nil {
				e.Type, _ = e.Data["type"].(string)
				e.ID, _ = e.Data["id"].(string)
			}
			if e.Name != "ping" {
				out <- e
			}
		}
	}(x.events)
}

// Send sends a user.message.
func (x *Session) Send(t testing.TB, text string) {
	t.Helper()
	x.Post(t, map[string]any{"type": "user.message", "content": []any{map[string]any{"type": "text", "text": text}}})
}

// Post sends events as they are and returns their echoes.
func (x *Session) Post(t testing.TB, events ...map[string]any) []any {
	t.Helper()
	return x.srv.Must(t, http.MethodPost, "/v1/sessions/"+x.ID+"/events", map[string]any{"events": events})["data"].([]any)
}

// Next returns the next event of the stream. It fails the test if none comes.
func (x *Session) Next(t testing.TB) Event {
	t.Helper()
	select {
	case e, ok := <-x.events:
		if !ok {
			t.Fatal("the stream ended")
		}
		return e
	case <-time.After(Patience):
		t.Fatal("no event came")
	}
	return Event{}
}

// Until returns the events up to and with the first of the type.
func (x *Session) Until(t testing.TB, typ string) []Event {
	t.Helper()
	var seen []Event
	for {
		e := x.Next(t)
		seen = append(seen, e)
		if e.Type == typ {
			return seen
		}
	}
}

// UntilIdle returns the events up to and with the session's next idle, previews left out.
func (x *Session) UntilIdle(t testing.TB) []Event {
	t.Helper()
	var kept []Event
	for _, e := range x.Until(t, "session.status_idle") {
		if e.Type != "event_start" && e.Type != "event_delta" {
			kept = append(kept, e)
		}
	}
	return kept
}

// Ended reports that the stream ended.
func (x *Session) Ended(t testing.TB) {
	t.Helper()
	deadline := time.After(Patience)
	for {
		select {
		case _, ok := <-x.events:
			if !ok {
				return
			}
		case <-deadline:
			t.Fatal("the stream did not end")
		}
	}
}

// Log returns the session's whole log, oldest first.
func (x *Session) Log(t testing.TB) []Event {
	t.Helper()
	var all []Event
	for page := ""; ; {
		body := x.srv.Must(t, http.MethodGet, "/v1/sessions/"+x.ID+"/events?limit=1000"+page, nil)
		for _, v := range body["data"].([]any) {
			data := v.(map[string]any)
			all = append(all, Event{Type: data["type"].(string), ID: data["id"].(string), Data: data})
		}
		next, _ := body["next_page"].(string)
		if next == "" {
			return all
		}
		page = "&page=" + next
	}
}

// AwaitIdle polls the session, as a client without a stream does, and returns its log.
func (x *Session) AwaitIdle(t testing.TB) []Event {
	t.Helper()
	Poll(t, "an idle session", func() bool { return x.State(t)["status"] == "idle" })
	return x.Log(t)
}

// Poll asks until the answer is yes, for what nothing signals. It fails the test when that takes more
// than twice Patience.
func Poll(t testing.TB, what string, yes func() bool) {
	t.Helper()
	deadline := time.After(2 * Patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !yes() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s did not come", what)
		}
	}
}

// State returns the session as the API shows it.
func (x *Session) State(t testing.TB) map[string]any {
	t.Helper()
	return x.srv.Must(t, http.MethodGet, "/v1/sessions/"+x.ID, nil)
}

// Types returns the events' types in order.
func Types(events []Event) []string {
	out := make([]string, len(events))
	for i, e := range events {
		out[i] = e.Type
	}
	return out
}

// Say returns the text of a message or a tool result.
func (e Event) Say() string {
	blocks, _ := e.Data["content"].([]any)
	text := ""
	for _, b := range blocks {
		if s, ok := b.(map[string]any)["text"].(string); ok {
			text += s
		}
	}
	return text
}

// Find returns the events of a type.
func Find(events []Event, typ string) []Event {
	var out []Event
	for _, e := range events {
		if e.Type == typ {
			out = append(out, e)
		}
	}
	return out
}
