package turn_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/provider/fake"
	"github.com/reeve-ai/reeve/internal/session"
	"github.com/reeve-ai/reeve/internal/turn"
)

// react answers by what the conversation says alone, so that a call that is made again after a crash
// gets the answer that it would have had: a person gets tool calls, or an answer when told so, and
// results get an answer.
func react(req core.ModelRequest) []core.Chunk {
	last := req.Messages[len(req.Messages)-1].Parts
	part := last[len(last)-1]
	if part.Block == nil || !strings.HasPrefix(part.Block.Text, "use ") {
		return []core.Chunk{{Type: core.ChunkText, Text: "final"}}
	}
	var chunks []core.Chunk
	for i, name := range strings.Fields(part.Block.Text)[1:] {
		chunks = append(chunks, core.Chunk{Type: core.ChunkToolCall, Index: i, Call: &core.ToolCall{
			ID: fmt.Sprintf("call_%d_%d", len(req.Messages), i), Name: name, Input: fmt.Sprintf(`{"n":%d}`, i),
		}})
	}
	return chunks
}

func reactor(first ...fake.Step) *fake.Provider {
	return fake.New(append(first, slices.Repeat([]fake.Step{fake.Func(react)}, 100)...)...)
}

// client does what a client does that watches a session: it sends first, and then answers what the
// session waits for. It is a function of the log, so a new life goes on where the old one was cut.
type client struct {
	first []session.Input
	// meanwhile is sent once, when a model call begins. Nil: nothing.
	meanwhile []session.Input
	said      bool
	// blocked gives a value when that call waits: what came before would stop it before it takes its step of the
	// script, and the next call would wait for ever. Nil: the call does not wait.
	blocked <-chan struct{}
}

// drive goes on until the session rests. It reports false when ctx ended before.
func (c *client) drive(ctx context.Context, t *testing.T, n node) bool {
	t.Helper()
	send := func(in []session.Input) {
		_, err := n.Send(t.Context(), n.h.by, n.h.sess.ID, in, session.SendOptions{})
		if err != nil && core.KindOf(err) != core.Invalid { // Invalid: this client answered in its former life
			t.Errorf("send: %v", err)
		}
	}
	if c.first != nil {
		send(c.first)
		c.first = nil
	}
	for feed, err := range n.Follow(ctx, n.h.by, n.h.sess.ID, session.FollowOptions{}) {
		if ctx.Err() != nil {
			return false // the cut may come while the log is read
		}
		if err != nil {
			t.Errorf("follow: %v", err)
			return true
		}
		if feed.Event == nil {
			continue
		}
		switch feed.Event.Type {
		case core.EventModelRequestStart:
			if c.meanwhile != nil && !c.said {
				c.said = true
				if c.blocked != nil {
					<-c.blocked
				}
				send(c.meanwhile)
			}
		case core.EventStatusIdle:
			stop, err := core.Payload[core.StopReason](*feed.Event)
			need(t, err)
			for _, id := range stop.Events {
				send([]session.Input{c.answer(t, n, id)})
			}
			state, err := n.Session(t.Context(), n.h.by, n.h.sess.ID)
			need(t, err)
			if len(stop.Events) == 0 && state.Status == core.StatusIdle && state.LastSeq == feed.Event.Seq {
				return true
			}
		}
	}
	return false
}

func (c *client) answer(t *testing.T, n node, id core.EventID) session.Input {
	t.Helper()
	e, err := n.Event(t.Context(), n.h.by, n.h.sess.ID, id)
	need(t, err)
	use, err := core.Payload[core.ToolUse](e)
	need(t, err)
	if use.Kind == core.ToolsetCustom {
		return session.Input{CustomResult: &core.ToolResult{ToolUse: id, Content: core.Text("as you say")}}
	}
	return session.Input{Confirmation: &core.ToolConfirmation{ToolUse: id, Allow: true}}
}

func TestTurnSurvivesACutAfterAnyTransaction(t *testing.T) {
	t.Parallel()
	busy := &core.ModelError{Type: core.ModelOverloaded, Message: "busy", Retryable: true}
	for _, c := range []struct {
		name            string
		script          []fake.Step
		first, then     []session.Input
		answers, placed int // of the model; inputs. answers 0: it depends on where the cut is
	}{
		{"tools and a retry", []fake.Step{fake.Fail(busy)}, []session.Input{message("use once again once nothing")}, nil, 1, 1},
		{"the client is asked", nil, []session.Input{message("use once asked ask_me asked")}, nil, 1, 3},
		{"a message meanwhile", nil, []session.Input{message("use again once")}, []session.Input{message("and another")}, 0, 2},
		{
			"an interrupt meanwhile",
			[]fake.Step{fake.Block(nil)},
			[]session.Input{message("use again once")},
			[]session.Input{{Interrupt: &core.Interrupt{}}, message("use once asked")},
			0, 4,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for n := int64(0); ; n++ {
				tools := toolset{{name: "once"}, {name: "again", repeatable: true}, {name: "asked"}}
				h := build(t, reactor(c.script...), tools)
				who := &client{first: c.first, meanwhile: c.then}
				if c.name == "an interrupt meanwhile" {
					who.blocked = h.fake.Waiting()
				}
				ctx, cancel := context.WithCancel(t.Context())
				first := h.open(newFrail(h.db, n, cancel), turn.Options{})
				end := first.run(t)
				whole := who.drive(ctx, t, first)
				cancel()
				end()
				if !whole {
					second := h.open(newFrail(h.db, 1000, func() {}), turn.Options{})
					end := second.run(t)
					if !who.drive(t.Context(), t, second) {
						t.Fatalf("cut after %d: the session never rests", n)
					}
					end()
				}
				checkLog(t, h, n, c.answers, c.placed)
				if whole || t.Failed() {
					t.Logf("%d cuts", n)
					return
				}
			}
		})
	}
}

// checkLog checks that a log tells one whole story.
func checkLog(t *testing.T, h *house, cut int64, answers, placed int) {
	t.Helper()
	log := h.log(t)
	var story strings.Builder
	open, status, finals, uses := core.EventID(""), core.EventType(""), 0, map[string]int64{}
	results, places := map[core.EventID]int{}, map[core.EventID]int{}
	fault := func(e core.Event, what string) { t.Errorf("cut after %d: %s %d: %s", cut, e.Type, e.Seq, what) }
	for i, e := range log {
		fmt.Fprintf(&story, "%d %s %s\n", e.Seq, e.Type, e.Data)
		if e.Seq != int64(i+1) {
			fault(e, "a gap")
		}
		if e.ProcessedAt.IsZero() {
			fault(e, "was never taken up")
		}
		switch e.Type {
		case core.EventStatusRunning, core.EventStatusRescheduling:
			status = e.Type
		case core.EventModelRequestStart:
			if open != "" {
				fault(e, "begins inside another")
			}
			if status != core.EventStatusRunning {
				fault(e, "begins after "+string(status))
			}
			for use, n := range results {
				if n != 1 {
					fault(e, fmt.Sprintf("tool use %s has %d results when the model is asked", use, n))
				}
			}
			open = e.ID
		case core.EventModelRequestEnd:
			end, err := core.Payload[core.ModelRequestEnd](e)
			need(t, err)
			if open == "" || end.Start != open {
				fault(e, "ends no open call")
			}
			open = ""
		case core.EventAgentMessage:
			finals++
		case core.EventAgentToolUse:
			use, err := core.Payload[core.ToolUse](e)
			need(t, err)
			uses[use.Name]++
			results[e.ID] = 0
		case core.EventAgentToolResult, core.EventUserCustomToolResult:
			res, err := core.Payload[core.ToolResult](e)
			need(t, err)
			results[res.ToolUse]++
		case core.EventInputProcessed:
			in, err := core.Payload[core.InputProcessed](e)
			need(t, err)
			for _, id := range in.Events {
				places[id]++
			}
		case core.EventStatusIdle:
			status = e.Type
			if log[i-1].Type != core.EventSessionUsage {
				fault(e, "no usage right before")
			}
		}
	}
	for use, n := range results {
		if n != 1 {
			t.Errorf("cut after %d: tool use %s has %d results", cut, use, n)
		}
	}
	for id, n := range places {
		if n != 1 {
			t.Errorf("cut after %d: input %s was placed %d times", cut, id, n)
		}
	}
	if answers > 0 && (finals != answers || len(places) != placed) || finals == 0 {
		t.Errorf("cut after %d: %d answers, want %d; %d inputs placed, want %d", cut, finals, answers, len(places), placed)
	}
	for _, tool := range h.tools {
		if n := tool.runs.Load(); !tool.repeatable && n > uses[tool.name] {
			t.Errorf("cut after %d: %s was asked for %d times and ran %d times", cut, tool.name, uses[tool.name], n)
		}
	}
	last := log[len(log)-1]
	state, err := h.db.Session(t.Context(), h.by.Project, h.sess.ID)
	need(t, err)
	thread, err := h.db.Thread(t.Context(), h.by.Project, h.sess.ID, core.PrimaryThread(h.sess.ID))
	need(t, err)
	if open != "" || last.Type != core.EventStatusIdle || state.Status != core.StatusIdle || thread.Turn.Pending {
		t.Errorf("cut after %d: ends with %s, call %q open, session %s, turn %+v", cut, last.Type, open, state.Status, thread.Turn)
	}
	if t.Failed() {
		t.Logf("the log:\n%s", story.String())
	}
}
