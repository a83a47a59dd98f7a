package turn_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/provider/fake"
	"github.com/reeve-ai/reeve/internal/session"
	"github.com/reeve-ai/reeve/internal/turn"
)

// small gives the agent a model with a window of 1,000 tokens.
func small(a *core.AgentSpec) { a.Model.ID = "small" }

// words is a text that begins with a name and counts about as many tokens.
func words(name string, tokens int) string {
	return name + " " + strings.Repeat("x", 3*tokens-len(name)-1)
}

// read is what a call says that it has read, as a vendor counts it.
func read(tokens int64) fake.Step {
	return fake.Usage(core.Usage{InputTokens: tokens, OutputTokens: 5})
}

// texts writes a conversation as one line for each part.
func texts(messages []core.ModelMessage) []string {
	var out []string
	for _, m := range messages {
		for _, p := range m.Parts {
			line := string(m.Role) + ": "
			switch {
			case p.Block != nil:
				line += p.Block.Text
			case p.Call != nil:
				line += "calls " + p.Call.ID
			case p.Result != nil:
				line += "result of " + p.Result.CallID
			}
			if len(line) > 30 {
				line = line[:30]
			}
			out = append(out, line)
		}
	}
	return out
}

// summaries returns the payloads of the compactions in the log.
func (h *house) summaries(t *testing.T) []core.Compaction {
	t.Helper()
	var out []core.Compaction
	for _, e := range h.log(t) {
		if e.Type == core.EventContextCompacted {
			c, err := core.Payload[core.Compaction](e)
			need(t, err)
			out = append(out, c)
		}
	}
	return out
}

// checkSpans fails the test unless each model call of the log ended before the next one began.
func checkSpans(t *testing.T, h *house) {
	t.Helper()
	open := core.EventID("")
	for _, e := range h.log(t) {
		switch e.Type {
		case core.EventModelRequestStart:
			if open != "" {
				t.Errorf("a model call began within another one, at %d", e.Seq)
			}
			open = e.ID
		case core.EventModelRequestEnd:
			end, err := core.Payload[core.ModelRequestEnd](e)
			need(t, err)
			if end.Start != open {
				t.Errorf("the end at %d is of %q, open is %q", e.Seq, end.Start, open)
			}
			open = ""
		}
	}
	if open != "" {
		t.Error("a model call is open in the log")
	}
}

// checkPairs fails the test unless every request is one that vendors take: speakers alternate, a person begins, and
// every result answers a call of the message before.
func checkPairs(t *testing.T, requests []core.ModelRequest) {
	t.Helper()
	for i, req := range requests {
		calls := map[string]bool{}
		for j, m := range req.Messages {
			if want := []core.MessageRole{core.RoleUser, core.RoleAssistant}[j%2]; m.Role != want {
				t.Errorf("request %d: message %d is of the %s", i, j, m.Role)
			}
			next := map[string]bool{}
			for _, p := range m.Parts {
				if p.Result != nil {
					if !calls[p.Result.CallID] {
						t.Errorf("request %d: the result %s has no call", i, p.Result.CallID)
					}
					delete(calls, p.Result.CallID)
				}
				if p.Call != nil {
					next[p.Call.ID] = true
				}
			}
			if len(calls) > 0 {
				t.Errorf("request %d: %v have no results", i, calls)
			}
			calls = next
		}
	}
}

func TestLongConversationIsSummedUpOnce(t *testing.T) {
	t.Parallel()
	h := buildWith(t, fake.New(
		fake.Say(words("beta", 300)).And(read(400)),
		fake.Say("epsilon").And(read(850)),
		fake.Say("THE SUMMARY").And(read(700)),
		fake.Say("eta").And(read(100)),
		fake.Say("iota").And(read(110)),
		fake.Say("lambda").And(read(120)),
	), nil, small)
	n := h.open(h.db, turn.Options{})
	end := n.run(t)
	after := int64(0)
	for _, text := range []string{words("alpha", 300), "delta", "zeta", "theta"} {
		n.send(t, message(text))
		after, _ = n.untilIdle(t, after)
	}
	end()
	second := h.open(h.db, turn.Options{})
	second.run(t)
	second.send(t, message("kappa"))
	second.untilIdle(t, after)

	asked := h.fake.Requests()
	if len(asked) != 6 {
		t.Fatalf("%d model calls", len(asked))
	}
	summary := asked[2]
	record := summary.Messages[0].Parts[0].Block.Text
	if len(summary.Tools) != 0 || !strings.Contains(summary.System, "summary") || len(summary.Messages) != 1 ||
		!strings.Contains(record, "User: alpha") || !strings.Contains(record, "Agent: beta") || strings.Contains(record, "delta") {
		t.Errorf("the summarising call reads %.300q, system %.100q", record, summary.System)
	}
	if d := cmp.Diff([]string{
		"user: This is a summary of ", "user: delta", "assistant: epsilon", "user: zeta",
	}, cutTo(texts(asked[3].Messages), 27)); d != "" {
		t.Errorf("the next call reads (-want +got):\n%s", d)
	}
	if first := asked[3].Messages[0].Parts[0].Block.Text; !strings.HasSuffix(first, "THE SUMMARY") {
		t.Errorf("the conversation begins with %q", first)
	}
	if d := cmp.Diff(asked[4].Messages, asked[5].Messages[:len(asked[4].Messages)]); d != "" {
		t.Errorf("after a restart the model reads another conversation (-before +after):\n%s", d)
	}
	if got := h.summaries(t); len(got) != 1 || got[0].Summary != "THE SUMMARY" {
		t.Errorf("compactions: %+v", got)
	}
	checkSpans(t, h)
	checkPairs(t, asked)
	s, err := n.Session(t.Context(), h.by, h.sess.ID)
	need(t, err)
	if s.Usage.InputTokens != 400+850+700+100+110+120 || s.Usage.ModelCalls != 6 {
		t.Errorf("usage %+v", s.Usage)
	}
	whole := 0
	for _, e := range h.log(t) {
		if strings.Contains(string(e.Data), "alpha x") || strings.Contains(string(e.Data), "beta x") {
			whole++
		}
	}
	if whole != 2 {
		t.Errorf("%d of the 2 old messages are listed whole", whole)
	}
}

func cutTo(lines []string, n int) []string {
	for i, l := range lines {
		lines[i] = l[:min(n, len(l))]
	}
	return lines
}

// A turn of many steps has one message of a person, at its beginning: it must be possible to part it in between.
func TestLongTurnIsSummedUpBetweenItsSteps(t *testing.T) {
	t.Parallel()
	step := func(tokens int64) fake.Step {
		return fake.CallTools(fake.Call{Name: "again", Input: `{"a":"` + strings.Repeat("x", 300) + `"}`}, fake.Call{Name: "again", Input: `{}`}).And(read(tokens))
	}
	h := buildWith(t, fake.New(
		step(200), step(400), step(600), step(820),
		fake.Say("FIRST").And(read(600)),
		step(300), step(820),
		fake.Say("SECOND").And(read(600)),
		fake.Say("done").And(read(300)),
	), toolset{{name: "again", repeatable: true}}, small)
	n := h.open(h.db, turn.Options{})
	n.run(t)
	n.send(t, message("work"))
	if _, stop := n.untilIdle(t, 0); stop.Type != core.StopEndTurn || h.fake.Left() != 0 {
		t.Fatalf("stopped because of %s, %d steps of the script are left", stop.Type, h.fake.Left())
	}
	asked := h.fake.Requests()
	if got := texts(asked[5].Messages); len(got) < 3 || !strings.HasPrefix(got[1], "assistant: calls") {
		t.Errorf("after the first summary: %q", got)
	}
	if record := asked[7].Messages[0].Parts[0].Block.Text; !strings.Contains(record, "FIRST") {
		t.Errorf("the second summary forgets the first: %.300q", record)
	}
	if got := h.summaries(t); len(got) != 2 || got[0].Through >= got[1].Through {
		t.Errorf("compactions: %+v", got)
	}
	checkSpans(t, h)
	checkPairs(t, asked)
}

func TestChosenWindowCapsTheModels(t *testing.T) {
	t.Parallel()
	h := buildWith(t, fake.New(fake.Say("beta").And(read(90)), fake.Say("SUMMARY"), fake.Say("delta").And(read(20))), nil, func(a *core.AgentSpec) {
		a.Model.ID, a.Model.ContextWindow = "small", 100
	})
	n := h.open(h.db, turn.Options{})
	n.run(t)
	n.send(t, message(words("alpha", 30)))
	after, _ := n.untilIdle(t, 0)
	n.send(t, message("gamma"))
	n.untilIdle(t, after)
	if got := h.summaries(t); len(got) != 1 || h.fake.Left() != 0 {
		t.Errorf("compactions: %+v; %d steps left", got, h.fake.Left())
	}
}

// tooLong is how a vendor refuses.
var tooLong = fake.Fail(&core.ModelError{Type: core.ModelFailed, TooLong: true, Message: "The conversation no longer fits the context window of the model."})

func TestRefusedConversationIsSummedUp(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		script []fake.Step
		stop   core.StopType
		made   int // summaries
	}{
		{"and fits then", []fake.Step{tooLong, fake.Say("SUMMARY"), fake.Say("delta")}, core.StopEndTurn, 1},
		{"and once more without a tail", []fake.Step{tooLong, fake.Say("SUMMARY"), tooLong, fake.Say("SHORTER"), fake.Say("delta")}, core.StopEndTurn, 2},
		{"and does not fit then either", []fake.Step{tooLong, fake.Say("SUMMARY"), tooLong, fake.Say("SHORTER"), tooLong}, core.StopRetriesExhausted, 2},
		{"which fails", []fake.Step{tooLong, fake.Fail(&core.ModelError{Type: core.ModelFailed, Message: "no"}), tooLong, fake.Fail(&core.ModelError{Type: core.ModelFailed, Message: "no"}), tooLong}, core.StopRetriesExhausted, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := build(t, fake.New(append([]fake.Step{fake.Say("beta"), fake.Say("two")}, c.script...)...), nil) // a model of unknown window
			n := h.open(h.db, turn.Options{})
			n.run(t)
			after := int64(0)
			var stop core.StopReason
			for _, text := range []string{words("alpha", 300), "one", "gamma"} {
				n.send(t, message(text))
				after, stop = n.untilIdle(t, after)
			}
			if stop.Type != c.stop || len(h.summaries(t)) != c.made || h.fake.Left() != 0 {
				t.Errorf("stopped because of %s, %d summaries, %d steps left", stop.Type, len(h.summaries(t)), h.fake.Left())
			}
			failed := 0
			for _, e := range h.log(t) {
				if e.Type == core.EventSessionError {
					failed++
				}
			}
			if want := map[core.StopType]int{core.StopRetriesExhausted: 1}[c.stop]; failed != want {
				t.Errorf("clients were told of %d errors, want %d", failed, want)
			}
			checkSpans(t, h)
			checkPairs(t, h.fake.Requests())
		})
	}
}

func TestFailedSummaryLeavesTheConversationAsItIs(t *testing.T) {
	t.Parallel()
	broken := fake.Fail(&core.ModelError{Type: core.ModelOverloaded, Message: "busy", Retryable: true})
	for name, failing := range map[string]fake.Step{
		"error": broken, "cut": fake.Cut("half a summ"), "empty": fake.Say(" \n"), "refusal": fake.Say("I must not.").And(fake.Stop(core.StopModelRefusal)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := buildWith(t, fake.New(fake.Say("beta").And(read(850)), failing, fake.Say("delta").And(read(860))), nil, small)
			n := h.open(h.db, turn.Options{})
			n.run(t)
			n.send(t, message(words("alpha", 150)))
			after, _ := n.untilIdle(t, 0)
			n.send(t, message("gamma"))
			_, stop := n.untilIdle(t, after)
			asked := h.fake.Requests()
			if stop.Type != core.StopEndTurn || len(asked) != 3 || len(h.summaries(t)) != 0 {
				t.Fatalf("stopped because of %s after %d calls, summaries %v", stop.Type, len(asked), h.summaries(t))
			}
			if d := cmp.Diff([]string{"user: alpha", "assistant: ", "user: gamma"}, cutTo(texts(asked[2].Messages), 11)); d != "" {
				t.Errorf("the model reads (-want +got):\n%s", d)
			}
			checkSpans(t, h)
		})
	}
}

func TestInterruptEndsTheSummary(t *testing.T) {
	t.Parallel()
	h := buildWith(t, fake.New(fake.Say("beta").And(read(850)), fake.Block(nil), fake.Say("SUMMARY"), fake.Say("epsilon").And(read(50))), nil, small)
	n := h.open(h.db, turn.Options{})
	n.run(t)
	n.send(t, message(words("alpha", 150)))
	after, _ := n.untilIdle(t, 0)
	n.send(t, message("gamma"))
	<-h.fake.Waiting()
	n.send(t, session.Input{Interrupt: &core.Interrupt{}})
	after, stop := n.untilIdle(t, after)
	if stop.Type != core.StopInterrupted || len(h.summaries(t)) != 0 {
		t.Errorf("stopped because of %s, summaries %v", stop.Type, h.summaries(t))
	}
	n.send(t, message("delta"))
	if _, stop = n.untilIdle(t, after); stop.Type != core.StopEndTurn || len(h.summaries(t)) != 1 || h.fake.Left() != 0 {
		t.Errorf("the next turn ended with %s, summaries %v, %d steps left", stop.Type, h.summaries(t), h.fake.Left())
	}
	checkSpans(t, h)
	checkPairs(t, h.fake.Requests())
}

// Wherever the process ends, the next life goes on with one summary, and the model reads what the log says.
func TestSummarySurvivesACutAfterAnyTransaction(t *testing.T) {
	t.Parallel()
	react := fake.Func(func(req core.ModelRequest) []core.Chunk {
		last := req.Messages[len(req.Messages)-1].Parts
		text, used := "final", int64(100)
		switch said := last[len(last)-1].Block; {
		case strings.HasPrefix(req.System, "You keep the notes"):
			text = "SUMMARY"
		case said != nil && strings.HasPrefix(said.Text, "alpha"):
			used = 850
		}
		return []core.Chunk{{Type: core.ChunkText, Text: text}, {Type: core.ChunkUsage, Usage: core.Usage{InputTokens: used}}, {Type: core.ChunkStop, Stop: core.StopModelEnd}}
	})
	for cut := int64(0); ; cut++ {
		steps := make([]fake.Step, 20)
		for i := range steps {
			steps[i] = react
		}
		h := buildWith(t, fake.New(steps...), nil, small)
		n := h.open(h.db, turn.Options{})
		end := n.run(t)
		n.send(t, message(words("alpha", 300)))
		n.untilIdle(t, 0)
		end()
		ctx, cancel := context.WithCancel(t.Context())
		frail := newFrail(h.db, cut, cancel)
		first := h.open(frail, turn.Options{})
		end = first.run(t)
		who := &client{first: []session.Input{message("gamma")}}
		whole := who.drive(ctx, t, first)
		end()
		cancel()
		if !whole {
			second := h.open(h.db, turn.Options{})
			stop := second.run(t)
			(&client{}).drive(t.Context(), t, second)
			stop()
		}
		asked := h.fake.Requests()
		name := fmt.Sprintf("cut at %d", cut)
		if got := h.summaries(t); len(got) != 1 {
			t.Fatalf("%s: %d summaries", name, len(got))
		}
		if got := cutTo(texts(asked[len(asked)-1].Messages), 20); !strings.HasPrefix(got[0], "user: This is a summ") || got[len(got)-1] != "user: gamma" {
			t.Errorf("%s: the last call reads %q", name, got)
		}
		checkSpans(t, h)
		checkPairs(t, asked)
		if whole {
			return
		}
	}
}

// A client may answer before the turn says that it waits. A summary made then takes the answer with its call.
func TestSummaryKeepsAnEarlyAnswerWithItsCall(t *testing.T) {
	t.Parallel()
	h := buildWith(t, fake.New(
		fake.CallTool("ask_me", `{"a":"`+strings.Repeat("x", 900)+`"}`).And(read(850)),
		fake.Say("SUMMARY").And(read(600)), fake.Say("done").And(read(100)), fake.Say("bye").And(read(110)),
	), nil, small)
	var n node
	frail, sent := newFrail(h.db, 1<<40, func() {}), false
	frail.twice = func() {
		if use, asked := h.uses(t)["ask_me"]; asked && !sent {
			sent = true
			n.send(t, session.Input{CustomResult: &core.ToolResult{ToolUse: use.ID, Content: core.Text("42")}})
		}
	}
	n = h.open(frail, turn.Options{})
	n.run(t)
	n.send(t, message("go"))
	after, stop := n.untilIdle(t, 0)
	n.send(t, message("and now?"))
	n.untilIdle(t, after)
	if stop.Type != core.StopEndTurn || len(h.summaries(t)) != 1 || h.fake.Left() != 0 {
		t.Errorf("stopped by %s, %d summaries, %d steps left", stop.Type, len(h.summaries(t)), h.fake.Left())
	}
	checkPairs(t, h.fake.Requests())
}

// A conversation that is nearly all tail would be summed up again before every call, for nothing.
func TestNoSummaryIsMadeThatWouldFreeNothing(t *testing.T) {
	t.Parallel()
	h := buildWith(t, fake.New(fake.Say("beta").And(read(850)), fake.Say("delta").And(read(860))), nil, small)
	n := h.open(h.db, turn.Options{})
	n.run(t)
	n.send(t, message("alpha"))
	after, _ := n.untilIdle(t, 0)
	n.send(t, message("gamma"))
	if _, stop := n.untilIdle(t, after); stop.Type != core.StopEndTurn || len(h.summaries(t)) != 0 || h.fake.Left() != 0 {
		t.Errorf("stopped by %s, summaries %v, %d steps left", stop.Type, h.summaries(t), h.fake.Left())
	}
}
