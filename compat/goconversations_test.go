package compat

import (
	"slices"
	"strings"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/packages/ssestream"
)

// event is one of a stream, and said is its text.
type event = anthropic.BetaManagedAgentsStreamSessionEventsUnion

func eventID(e anthropic.BetaManagedAgentsSessionEventUnion) string { return e.ID }

// heard joins the text blocks of an event's content, whatever its type.
func heard(raw string) string {
	var e struct {
		Content []struct{ Text string }
	}
	if err := decode(raw, &e); err != nil {
		return err.Error()
	}
	text := ""
	for _, b := range e.Content {
		text += b.Text
	}
	return text
}

func find(events []event, kind string) []event {
	return slices.DeleteFunc(slices.Clone(events), func(e event) bool { return e.Type != kind })
}

// until reads a stream to the session's next idle, and closes it. Input that waited comes twice, with one id: it is
// kept once.
func until(t *testing.T, stream *ssestream.Stream[event], see func(event)) []event {
	t.Helper()
	defer func() { _ = stream.Close() }()
	var events []event
	for stream.Next() {
		e := stream.Current()
		if see != nil {
			see(e)
		}
		if i := slices.IndexFunc(events, func(old event) bool { return e.ID != "" && old.ID == e.ID }); i >= 0 {
			events[i] = e
		} else {
			events = append(events, e)
		}
		if e.Type == "session.status_idle" {
			return events
		}
	}
	t.Fatalf("the stream ended: %v", stream.Err())
	return nil
}

// turn sends events to a session and reads what becomes of them.
func (g *gosdk) turn(t *testing.T, session string, events ...string) []event {
	t.Helper()
	stream := g.Beta.Sessions.Events.StreamEvents(t.Context(), session, anthropic.BetaSessionEventStreamParams{EventDeltas: []anthropic.BetaManagedAgentsDeltaType{"agent.message", "agent.thinking"}})
	if err := g.send(t, session, events...); err != nil {
		t.Fatal(err)
	}
	return until(t, stream, nil)
}

func goSendThenStream(t *testing.T, g *gosdk) {
	session := g.newSession(t, "")
	if err := g.send(t, session, sent("Quick.")); err != nil {
		t.Fatal(err)
	}
	events := until(t, g.Beta.Sessions.Events.StreamEvents(t.Context(), session, anthropic.BetaSessionEventStreamParams{}), nil)
	equal(t, heard(find(events, "agent.message")[0].RawJSON()), "You said: Quick.")
}

func goStreamThenSend(t *testing.T, g *gosdk) {
	session := g.newSession(t, "")
	events := g.turn(t, session, sent(`calls [{"name":"bash","input":{"command":"printf hi"}}]`))
	var types []string
	preview := ""
	for _, e := range events {
		switch e.Type {
		case "event_start": // looked at below
		case "event_delta":
			preview += e.AsEventDelta().Delta.Content.Text
		default:
			types = append(types, e.Type)
		}
	}
	equal(t, types, []string{
		"user.message", "session.status_running", "span.model_request_start", "agent.tool_use", "span.model_request_end", "agent.tool_result",
		"span.model_request_start", "agent.message", "span.model_request_end", "session.usage", "session.status_idle",
	})
	use, result := find(events, "agent.tool_use")[0].AsAgentToolUse(), find(events, "agent.tool_result")[0].AsAgentToolResult()
	holds(t, use.Name == "bash" && use.EvaluatedPermission == "allow" && result.ToolUseID == use.ID, use.RawJSON())
	equal(t, result.Content[0].Text, "hi")
	answer := find(events, "agent.message")[0].AsAgentMessage()
	equal(t, answer.Content[0].Text, "It said: hi")
	holds(t, preview != "" && strings.HasPrefix("It said: hi", preview), preview)
	equal(t, find(events, "event_start")[0].AsEventStart().Event.ID, answer.ID)
	equal(t, events[len(events)-1].AsSessionStatusIdle().StopReason.Type, "end_turn")
	equal(t, string(must(g.Beta.Sessions.Get(t.Context(), session, anthropic.BetaSessionGetParams{}))(t).Status), "idle")
}

func goCustomTool(t *testing.T, g *gosdk) {
	session := g.newSession(t, `[{"type":"custom","name":"get_weather","description":"The weather of a city.","input_schema":{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}}]`)
	asked := g.turn(t, session, sent(`calls [{"name":"get_weather","input":{"city":"Oslo"}}]`))
	use := find(asked, "agent.custom_tool_use")[0]
	stop := asked[len(asked)-1].AsSessionStatusIdle().StopReason
	equal(t, stop.Type, "requires_action")
	equal(t, stop.EventIDs, []string{use.ID})
	answer := `{"type":"user.custom_tool_result","custom_tool_use_id":"` + use.ID + `","content":[{"type":"text","text":"Rain."}]}`
	equal(t, heard(find(g.turn(t, session, answer), "agent.message")[0].RawJSON()), "It said: Rain.")
	refused(t, g.send(t, session, answer), 400, "invalid_request_error")
}

func goAlwaysAsk(t *testing.T, g *gosdk) {
	session := g.newSession(t, `[{"type":"agent_toolset_20260401","default_config":{"permission_policy":{"type":"always_ask"}}}]`)
	asked := g.turn(t, session, sent(`calls [{"name":"bash","input":{"command":"printf yes"}},{"name":"bash","input":{"command":"printf no"}}]`))
	uses := find(asked, "agent.tool_use")
	equal(t, asked[len(asked)-1].AsSessionStatusIdle().StopReason.EventIDs, []string{uses[0].ID, uses[1].ID})
	equal(t, string(uses[0].AsAgentToolUse().EvaluatedPermission), "ask")
	half := g.turn(t, session, `{"type":"user.tool_confirmation","result":"allow","tool_use_id":"`+uses[0].ID+`"}`)
	equal(t, half[len(half)-1].AsSessionStatusIdle().StopReason.EventIDs, []string{uses[1].ID})
	rest := g.turn(t, session, `{"type":"user.tool_confirmation","result":"deny","deny_message":"not that","tool_use_id":"`+uses[1].ID+`"}`)
	equal(t, rest[len(rest)-1].AsSessionStatusIdle().StopReason.Type, "end_turn")
	results := map[string]string{}
	log := g.Beta.Sessions.Events.ListAutoPaging(t.Context(), session, anthropic.BetaSessionEventListParams{Types: []anthropic.BetaManagedAgentsSessionEventType{"agent.tool_result"}})
	all(t, log, func(e anthropic.BetaManagedAgentsSessionEventUnion) string {
		results[e.AsAgentToolResult().ToolUseID] = heard(e.RawJSON())
		return e.ID
	})
	equal(t, results[uses[0].ID], "yes")
	holds(t, strings.Contains(results[uses[1].ID], "not that"), results)
}

func goInterrupt(t *testing.T, g *gosdk) {
	session := g.newSession(t, "")
	stream := g.Beta.Sessions.Events.StreamEvents(t.Context(), session, anthropic.BetaSessionEventStreamParams{})
	if err := g.send(t, session, sent("hang")); err != nil {
		t.Fatal(err)
	}
	events := until(t, stream, func(e event) {
		if e.Type == "span.model_request_start" {
			if err := g.send(t, session, `{"type":"user.interrupt"}`); err != nil {
				t.Error(err)
			}
		}
	})
	equal(t, events[len(events)-1].AsSessionStatusIdle().StopReason.Type, "end_turn")
	equal(t, heard(find(g.turn(t, session, sent("And now?")), "agent.message")[0].RawJSON()), "You said: And now?")
}

func goManyEvents(t *testing.T, g *gosdk) {
	session, events := g.newSession(t, ""), g.Beta.Sessions.Events
	g.turn(t, session, slices.Repeat([]string{sent("One of many.")}, 1000)...)
	g.turn(t, session, sent("The last."))
	forth := all(t, events.ListAutoPaging(t.Context(), session, anthropic.BetaSessionEventListParams{Limit: anthropic.Int(300)}), eventID)
	back := all(t, events.ListAutoPaging(t.Context(), session, anthropic.BetaSessionEventListParams{Order: "desc"}), eventID)
	holds(t, len(forth) > 1000, len(forth))
	slices.Reverse(back)
	equal(t, back, forth)
	slices.Sort(back)
	equal(t, len(slices.Compact(back)), len(forth))
	said := all(t, events.ListAutoPaging(t.Context(), session, anthropic.BetaSessionEventListParams{Types: []anthropic.BetaManagedAgentsSessionEventType{"agent.message"}, Limit: anthropic.Int(1)}),
		func(e anthropic.BetaManagedAgentsSessionEventUnion) string { return heard(e.RawJSON()) })
	equal(t, said[len(said)-1], "You said: The last.")
}

func goReconnect(t *testing.T, g *gosdk) {
	session, events := g.newSession(t, ""), g.Beta.Sessions.Events
	seen := map[string]string{} // the types of events, by id
	take := func(id, kind string, queued bool) {
		if id != "" && !queued {
			seen[id] = kind
		}
	}
	stream := events.StreamEvents(t.Context(), session, anthropic.BetaSessionEventStreamParams{})
	if err := g.send(t, session, sent("hold")); err != nil {
		t.Fatal(err)
	}
	for stream.Next() {
		e := stream.Current()
		take(e.ID, e.Type, e.ProcessedAt.IsZero())
		if e.Type == "span.model_request_start" {
			g.ask(t.Context(), t, "POST", "cut")
		}
	}
	_ = stream.Close()                       // it is broken
	g.ask(t.Context(), t, "POST", "release") // the turn ends while nobody listens
	again := events.StreamEvents(t.Context(), session, anthropic.BetaSessionEventStreamParams{})
	idle := false
	all(t, events.ListAutoPaging(t.Context(), session, anthropic.BetaSessionEventListParams{}), func(e anthropic.BetaManagedAgentsSessionEventUnion) bool {
		take(e.ID, e.Type, e.ProcessedAt.IsZero())
		idle = idle || e.Type == "session.status_idle"
		return idle
	})
	if idle {
		_ = again.Close() // nothing more comes
	} else {
		until(t, again, func(e event) { take(e.ID, e.Type, e.ProcessedAt.IsZero()) })
	}
	var got []string
	messages := 0
	for id, kind := range seen {
		got = append(got, id)
		if kind == "agent.message" {
			messages++
		}
	}
	slices.Sort(got)
	want := all(t, events.ListAutoPaging(t.Context(), session, anthropic.BetaSessionEventListParams{}), eventID)
	slices.Sort(want)
	equal(t, got, want)
	equal(t, messages, 1)
}
