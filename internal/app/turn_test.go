package app_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/app/apptest"
	"github.com/reeve-ai/reeve/internal/config"
	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/provider/fake"
)

// plain is what a watcher sees of a turn of one text answer. The message stands there twice: once when
// it is accepted and once when it is taken up.
var plain = []string{
	"user.message", "session.status_running", "user.message", "span.model_request_start",
	"agent.message", "span.model_request_end", "session.usage", "session.status_idle",
}

func TestPlainTurnRunsFromMessageToIdle(t *testing.T) {
	t.Parallel()
	srv := apptest.Start(t, fake.Say("Four."))
	sess := srv.NewSession(t)
	sess.Send(t, "What is two and two?")
	events := sess.UntilIdle(t)
	if d := cmp.Diff(plain, apptest.Types(events)); d != "" {
		t.Fatalf("events (-want +got):\n%s", d)
	}
	if events[0].ID != events[2].ID || events[0].Data["processed_at"] != nil || events[2].Data["processed_at"] == nil {
		t.Errorf("the message must come queued, then stamped under the same id: %v, %v", events[0].Data, events[2].Data)
	}
	if got := events[4].Say(); got != "Four." {
		t.Errorf("answer = %q", got)
	}
	if got := events[7].Data["stop_reason"].(map[string]any)["type"]; got != "end_turn" {
		t.Errorf("stop reason = %v", got)
	}
	req := srv.Fake.Requests()[0]
	if !strings.HasPrefix(req.System, "Be brief.\n\nWrite the files") || len(req.Messages) != 1 || req.Messages[0].Parts[0].Block.Text != "What is two and two?" {
		t.Errorf("the model was asked %+v", req)
	}
	state := sess.State(t)
	usage := state["usage"].(map[string]any)
	if state["status"] != "idle" || usage["input_tokens"] != 10.0 || usage["output_tokens"] != 5.0 {
		t.Errorf("session = %v", state)
	}
	if got := apptest.Types(sess.Log(t)); len(got) != len(plain)-1 {
		t.Errorf("the log lists %q, want each event once", got)
	}
}

func TestConversationGoesOnOverTurns(t *testing.T) {
	t.Parallel()
	srv := apptest.Start(t, fake.Think("Hm.").And(fake.Say("One.")), fake.Say("Two."))
	sess := srv.NewSession(t)
	sess.Send(t, "first")
	sess.UntilIdle(t)
	sess.Send(t, "second")
	sess.UntilIdle(t)
	msgs := srv.Fake.Requests()[1].Messages
	if len(msgs) != 3 || msgs[1].Role != core.RoleAssistant || msgs[1].Parts[0].Thinking.Signature != "signed:Hm." ||
		msgs[1].Parts[1].Block.Text != "One." || msgs[2].Parts[0].Block.Text != "second" {
		t.Errorf("second request = %+v", msgs)
	}
}

func TestToolResultReachesTheModel(t *testing.T) {
	t.Parallel()
	srv := apptest.Start(t, fake.CallTool("bash", `{"command":"printf 'hi from %s' \"$PWD\""}`), fake.Say("It printed hi."))
	sess := srv.NewSession(t)
	sess.Send(t, "What does it print?")
	events := sess.UntilIdle(t)
	want := []string{
		"user.message", "session.status_running", "user.message", "span.model_request_start", "agent.tool_use", "span.model_request_end",
		"agent.tool_result", "span.model_request_start", "agent.message", "span.model_request_end", "session.usage", "session.status_idle",
	}
	if d := cmp.Diff(want, apptest.Types(events)); d != "" {
		t.Fatalf("events (-want +got):\n%s", d)
	}
	use, result := events[4], events[6]
	if use.Data["name"] != "bash" || result.Data["tool_use_id"] != use.ID || result.Say() != "hi from /workspace" {
		t.Errorf("use %v\nresult %v", use.Data, result.Data)
	}
	last := srv.Fake.Requests()[1].Messages[2].Parts[0].Result
	if last == nil || last.CallID != "call_1_1" || last.Content[0].Text != "hi from /workspace" || last.IsError {
		t.Errorf("the model was told %+v", last)
	}
}

func TestParallelToolsAllAnswerBeforeTheNextCall(t *testing.T) {
	t.Parallel()
	srv := apptest.Start(t,
		fake.CallTools(
			fake.Call{Name: "write", Input: `{"file_path":"a.txt","content":"A"}`},
			fake.Call{Name: "write", Input: `{"file_path":"b.txt","content":"B"}`},
			fake.Call{Name: "no_such_tool", Input: `{}`},
			fake.Call{Name: "bash", Input: `{"command": `},
		),
		fake.CallTool("bash", `{"command":"cat a.txt b.txt"}`), fake.Say("done"))
	sess := srv.NewSession(t)
	sess.Send(t, "Write two files.")
	events := sess.UntilIdle(t)
	results := apptest.Find(events, "agent.tool_result")
	if len(results) != 5 {
		t.Fatalf("%d results, want 5: %q", len(results), apptest.Types(events))
	}
	byUse := map[any]string{}
	for _, r := range results {
		byUse[r.Data["tool_use_id"]] = fmt.Sprint(r.Data["is_error"], " ", r.Say())
	}
	uses := apptest.Find(events, "agent.tool_use")
	for i, says := range []string{"a.txt", "b.txt", "no tool named", "not a JSON object", "AB"} {
		if got := byUse[uses[i].ID]; !strings.Contains(got, says) || strings.HasPrefix(got, "true") != (i == 2 || i == 3) {
			t.Errorf("result of %v = %q, want %q", uses[i].Data["name"], got, says)
		}
	}
	if n := len(srv.Fake.Requests()[1].Messages[2].Parts); n != 4 {
		t.Errorf("the model heard %d results of its first answer, want 4", n)
	}
}

func TestMessageSentWhileRunningIsFoldedIn(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	srv := apptest.Start(t, fake.Block(release).And(fake.Say("To the first.")), fake.Say("To the second."))
	sess := srv.NewSession(t)
	sess.Send(t, "first")
	<-srv.Fake.Waiting()
	sess.Send(t, "second")
	close(release)
	events := sess.UntilIdle(t)
	if n := len(apptest.Find(events, "session.status_running")); n != 1 {
		t.Errorf("%d times running, want once: %q", n, apptest.Types(events))
	}
	answers := apptest.Find(events, "agent.message")
	if len(answers) != 2 || answers[1].Say() != "To the second." {
		t.Errorf("answers = %v", answers)
	}
	msgs := srv.Fake.Requests()[1].Messages
	if len(msgs) != 3 || msgs[2].Parts[0].Block.Text != "second" {
		t.Errorf("second request = %+v", msgs)
	}
}

func TestInterruptStopsTheModelCall(t *testing.T) {
	t.Parallel()
	srv := apptest.Start(t, fake.Say("half").And(fake.Block(nil)), fake.Say("Here I am."))
	sess := srv.NewSession(t)
	sess.Send(t, "Think for ever.")
	<-srv.Fake.Waiting()
	sess.Post(t, map[string]any{"type": "user.interrupt"})
	events := sess.UntilIdle(t)
	if len(apptest.Find(events, "agent.message")) != 0 {
		t.Errorf("a call that was interrupted leaves no message: %q", apptest.Types(events))
	}
	end := apptest.Find(events, "span.model_request_end")
	if len(end) != 1 || end[0].Data["is_error"] != true {
		t.Errorf("span end = %v", end)
	}
	sess.Send(t, "Still there?")
	if got := apptest.Find(sess.UntilIdle(t), "agent.message")[0].Say(); got != "Here I am." {
		t.Errorf("answer = %q", got)
	}
}

func TestMessageBehindAnInterruptBeginsTheNextTurn(t *testing.T) {
	t.Parallel()
	srv := apptest.Start(t, fake.Block(nil), fake.Say("Now this."))
	sess := srv.NewSession(t)
	sess.Send(t, "Think for ever.")
	<-srv.Fake.Waiting()
	sess.Post(t, map[string]any{"type": "user.interrupt"},
		map[string]any{"type": "user.message", "content": []any{map[string]any{"type": "text", "text": "Do this instead."}}})
	first := sess.UntilIdle(t)
	if n := len(apptest.Find(first, "agent.message")); n != 0 {
		t.Fatalf("events of the interrupted turn: %q", apptest.Types(first))
	}
	second := sess.UntilIdle(t)
	if got := apptest.Find(second, "agent.message"); len(got) != 1 || got[0].Say() != "Now this." || second[0].Type != "session.status_running" {
		t.Errorf("events of the next turn: %q", apptest.Types(second))
	}
}

func TestModelErrorsAreRetriedAndSurfaced(t *testing.T) {
	t.Parallel()
	srv := apptest.Start(t,
		fake.Fail(&core.ModelError{Type: core.ModelOverloaded, Message: "The vendor is overloaded.", Retryable: true}),
		fake.Cut("half an answer"), fake.Say("The whole answer."))
	sess := srv.NewSession(t)
	sess.Send(t, "Try.")
	events := sess.UntilIdle(t)
	want := []string{
		"user.message", "session.status_running", "user.message",
		"span.model_request_start", "span.model_request_end", "session.error", "session.status_rescheduled", "session.status_running",
		"span.model_request_start", "span.model_request_end", "session.error", "session.status_rescheduled", "session.status_running",
		"span.model_request_start", "agent.message", "span.model_request_end", "session.usage", "session.status_idle",
	}
	if d := cmp.Diff(want, apptest.Types(events)); d != "" {
		t.Fatalf("events (-want +got):\n%s", d)
	}
	fault := events[5].Data["error"].(map[string]any)
	if fault["type"] != "model_overloaded_error" || fault["retry_status"].(map[string]any)["type"] != "retrying" {
		t.Errorf("first error = %v", fault)
	}
	if got := apptest.Find(events, "agent.message"); len(got) != 1 || got[0].Say() != "The whole answer." {
		t.Errorf("messages = %v", got)
	}
}

func TestTurnGivesUpWhenTheModelCannotBeReached(t *testing.T) {
	t.Parallel()
	down := fake.Fail(&core.ModelError{Type: core.ModelRateLimited, Message: "Slow down.", Retryable: true})
	srv := apptest.StartWith(t, fake.New(down, down, fake.Fail(&core.ModelError{Type: core.ModelBilling, Message: "No credit."}), fake.Say("Back again.")),
		apptest.WithConfig(func(c *config.Config) { c.Turns.MaxAttempts = 2 }))
	sess := srv.NewSession(t)
	for _, want := range []string{"model_rate_limited_error", "billing_error"} {
		sess.Send(t, "Try.")
		events := sess.UntilIdle(t)
		faults := apptest.Find(events, "session.error")
		last := faults[len(faults)-1].Data["error"].(map[string]any)
		if last["type"] != want || last["retry_status"].(map[string]any)["type"] != "exhausted" {
			t.Errorf("error = %v, want %s, exhausted", last, want)
		}
		if stop := events[len(events)-1].Data["stop_reason"].(map[string]any)["type"]; stop != "retries_exhausted" {
			t.Errorf("stop reason = %v", stop)
		}
	}
	sess.Send(t, "And now?")
	if got := apptest.Find(sess.UntilIdle(t), "agent.message")[0].Say(); got != "Back again." {
		t.Errorf("answer = %q", got)
	}
}

func TestTurnStopsAtItsLimitOfSteps(t *testing.T) {
	t.Parallel()
	loop := fake.CallTool("bash", `{"command":"true"}`)
	srv := apptest.StartWith(t, fake.New(loop, loop, loop), apptest.WithConfig(func(c *config.Config) { c.Turns.MaxSteps = 2 }))
	sess := srv.NewSession(t)
	sess.Send(t, "Loop.")
	events := sess.UntilIdle(t)
	if n := len(srv.Fake.Requests()); n != 2 {
		t.Errorf("%d model calls, want 2", n)
	}
	fault := apptest.Find(events, "session.error")
	if len(fault) != 1 || !strings.Contains(fmt.Sprint(fault[0].Data), "2 steps") {
		t.Errorf("error = %v", fault)
	}
}

func TestDeltasAreAPrefixOfTheFinishedEvent(t *testing.T) {
	t.Parallel()
	srv := apptest.Start(t, fake.Think("Well…").And(fake.SayPieces("Once ", "upon ", "a time.")))
	sess := srv.NewSession(t)
	sess.Send(t, "Tell.")
	var started, finished []string
	text := map[string]string{}
	for _, e := range sess.Until(t, "session.status_idle") {
		switch e.Type {
		case "event_start":
			started = append(started, e.Data["event"].(map[string]any)["id"].(string))
		case "event_delta":
			text[e.Data["event_id"].(string)] += e.Data["delta"].(map[string]any)["content"].(map[string]any)["text"].(string)
		case "agent.thinking", "agent.message":
			finished = append(finished, e.ID)
			if e.Type == "agent.message" && text[e.ID] != e.Say() {
				t.Errorf("deltas say %q, the event %q", text[e.ID], e.Say())
			}
		}
	}
	if d := cmp.Diff(finished, started); d != "" || len(started) != 2 {
		t.Errorf("announced events are not the finished ones (-finished +announced):\n%s", d)
	}
}

func TestClientThatSendsFirstMissesNothing(t *testing.T) {
	t.Parallel()
	srv := apptest.Start(t, fake.Say("Quick."))
	sess := srv.Unwatched(t, srv.NewAgent(t, nil))
	sess.Send(t, "Be quick.")
	sess.AwaitIdle(t)
	sess.Watch(t)
	if got := apptest.Types(sess.UntilIdle(t)); got[len(got)-1] != "session.status_idle" || !slices.Contains(got, "agent.message") {
		t.Errorf("a client that sent before it watched sees %q", got)
	}
}

func TestCustomToolWaitsForItsResult(t *testing.T) {
	t.Parallel()
	srv := apptest.Start(t,
		fake.CallTools(fake.Call{Name: "get_weather", Input: `{"city":"Oslo"}`}, fake.Call{Name: "get_weather", Input: `{"city":"Rome"}`}),
		fake.Say("Cold and warm."))
	sess := srv.NewSessionOf(t, srv.NewAgent(t, func(a map[string]any) {
		a["tools"] = []any{map[string]any{
			"type": "custom", "name": "get_weather", "description": "Weather of a city.",
			"input_schema": map[string]any{"type": "object", "properties": map[string]any{"city": map[string]any{"type": "string"}}},
		}}
	}))
	sess.Send(t, "Weather?")
	events := sess.UntilIdle(t)
	uses := apptest.Find(events, "agent.custom_tool_use")
	stop := events[len(events)-1].Data["stop_reason"].(map[string]any)
	if len(uses) != 2 || stop["type"] != "requires_action" || len(stop["event_ids"].([]any)) != 2 {
		t.Fatalf("uses %v, stop %v", uses, stop)
	}
	answer := func(use apptest.Event, text string) map[string]any {
		return map[string]any{"type": "user.custom_tool_result", "custom_tool_use_id": use.ID, "content": []any{map[string]any{"type": "text", "text": text}}}
	}
	sess.Post(t, answer(uses[0], "-5"))
	again := sess.UntilIdle(t)
	left := again[len(again)-1].Data["stop_reason"].(map[string]any)["event_ids"].([]any)
	if len(left) != 1 || left[0] != uses[1].ID {
		t.Errorf("after one of two answers %v is left, want %s", left, uses[1].ID)
	}
	if a := srv.Do(t, http.MethodPost, "/v1/sessions/"+sess.ID+"/events", map[string]any{"events": []any{answer(uses[0], "again")}}); a.Status != http.StatusBadRequest {
		t.Errorf("a second answer to the same use: %d %s", a.Status, a.Raw)
	}
	sess.Post(t, answer(uses[1], "31"))
	if got := apptest.Find(sess.UntilIdle(t), "agent.message"); len(got) != 1 || got[0].Say() != "Cold and warm." {
		t.Errorf("answer = %v", got)
	}
	parts := srv.Fake.Requests()[1].Messages[2].Parts
	if len(parts) != 2 || parts[0].Result.Content[0].Text != "-5" || parts[1].Result.Content[0].Text != "31" {
		t.Errorf("the model heard %+v", parts)
	}
}

func TestAskedToolRunsOnlyWhenAllowed(t *testing.T) {
	t.Parallel()
	srv := apptest.Start(t,
		fake.CallTools(fake.Call{Name: "bash", Input: `{"command":"echo yes > ran.txt"}`}, fake.Call{Name: "bash", Input: `{"command":"echo no > ran2.txt"}`}),
		fake.CallTool("glob", `{"pattern":"ran*"}`), fake.Say("done"))
	sess := srv.NewSessionOf(t, srv.NewAgent(t, func(a map[string]any) {
		a["tools"] = []any{map[string]any{
			"type":    "agent_toolset_20260401",
			"configs": []any{map[string]any{"name": "bash", "permission_policy": map[string]any{"type": "always_ask"}}},
		}}
	}))
	sess.Send(t, "Run both.")
	uses := apptest.Find(sess.UntilIdle(t), "agent.tool_use")
	if len(uses) != 2 || uses[0].Data["evaluated_permission"] != "ask" {
		t.Fatalf("uses = %v", uses)
	}
	sess.Post(t, map[string]any{"type": "user.tool_confirmation", "tool_use_id": uses[0].ID, "result": "allow"},
		map[string]any{"type": "user.tool_confirmation", "tool_use_id": uses[1].ID, "result": "deny", "deny_message": "not that one"})
	results := apptest.Find(sess.UntilIdle(t), "agent.tool_result")
	byUse := map[any]string{}
	for _, r := range results {
		byUse[r.Data["tool_use_id"]] = r.Say()
	}
	if len(results) != 3 || !strings.Contains(byUse[uses[1].ID], "not that one") {
		t.Fatalf("results = %v", results)
	}
	if files := results[2].Say(); !strings.Contains(files, "ran.txt") || strings.Contains(files, "ran2.txt") {
		t.Errorf("files after one allowed and one refused command: %q", files)
	}
}

func TestInterruptSettlesToolUsesThatWait(t *testing.T) {
	t.Parallel()
	srv := apptest.Start(t, fake.CallTool("ask_me", `{}`), fake.Say("Never mind."))
	sess := srv.NewSessionOf(t, srv.NewAgent(t, func(a map[string]any) {
		a["tools"] = []any{map[string]any{"type": "custom", "name": "ask_me", "description": "Asks.", "input_schema": map[string]any{"type": "object"}}}
	}))
	sess.Send(t, "Ask.")
	sess.UntilIdle(t)
	sess.Post(t, map[string]any{"type": "user.interrupt"})
	if stop := sess.UntilIdle(t); stop[len(stop)-1].Data["stop_reason"].(map[string]any)["type"] != "end_turn" {
		t.Errorf("after the interrupt: %v", stop[len(stop)-1].Data)
	}
	sess.Send(t, "Go on.")
	if got := apptest.Find(sess.UntilIdle(t), "agent.message"); len(got) != 1 {
		t.Errorf("the session must go on: %v", got)
	}
}

func TestStoppedServerHandsItsTurnToTheNext(t *testing.T) {
	t.Parallel()
	first := apptest.StartWith(t, fake.New(fake.Block(nil)), apptest.WithConfig(func(c *config.Config) { c.Turns.SoftStop = 1 }))
	sess := first.NewSession(t)
	sess.Send(t, "Answer after the restart.")
	<-first.Fake.Waiting()
	first.Stop()
	sess.Ended(t)

	second := apptest.StartWith(t, fake.New(fake.Say("As you wish.")), apptest.Again(first))
	again := second.Reopen(t, sess.ID)
	events := again.UntilIdle(t)
	if got := apptest.Find(events, "agent.message"); len(got) != 1 || got[0].Say() != "As you wish." {
		t.Errorf("events after the restart: %q", apptest.Types(events))
	}
	log := again.Log(t)
	starts, ends := apptest.Find(log, "span.model_request_start"), apptest.Find(log, "span.model_request_end")
	if len(starts) != 2 || len(ends) != 2 || ends[0].Data["is_error"] != true || ends[0].Data["model_request_start_id"] != starts[0].ID {
		t.Errorf("spans: %v, %v", starts, ends)
	}
}

func TestPlainTurnTakesFewTransactions(t *testing.T) {
	t.Parallel()
	srv := apptest.StartWith(t, fake.Instant("Four."))
	sess := srv.NewSession(t)
	sess.Send(t, "warm up")
	sess.UntilIdle(t)
	before := srv.App.Stats()
	const turns = 10
	for range turns {
		sess.Send(t, "again")
		sess.UntilIdle(t)
	}
	after := srv.App.Stats()
	if got := float64(after.Transactions-before.Transactions) / turns; got > 6 {
		t.Errorf("%.1f transactions a turn, the design allows 6", got)
	}
	t.Logf("%.1f transactions, %.1f statements a turn", float64(after.Transactions-before.Transactions)/turns, float64(after.Statements-before.Statements)/turns)
}
