package turn_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/provider/fake"
	"github.com/reeve-ai/reeve/internal/session"
	"github.com/reeve-ai/reeve/internal/turn"
)

const (
	satisfied = `{"result":"satisfied","explanation":"It has a title and a sum."}`
	revise    = "```json\n" + `{"result":"needs_revision","explanation":"The sum is missing."}` + "\n```"
)

func outcome(most int) session.Input {
	return session.Input{Outcome: &core.NewOutcome{Description: "Write a report.", Rubric: "It has a title and a sum.", MaxIterations: most}}
}

// evaluations lists the ends of evaluations in the log, without ids and usage.
func (h *house) evaluations(t *testing.T) []core.OutcomeEnd {
	t.Helper()
	var ends []core.OutcomeEnd
	for _, e := range h.log(t) {
		if e.Type == core.EventOutcomeEnd {
			end, err := core.Payload[core.OutcomeEnd](e)
			need(t, err)
			end.Start, end.Outcome, end.Usage = "", "", core.Usage{}
			ends = append(ends, end)
		}
	}
	return ends
}

// saidTo joins what a request's last message says.
func saidTo(r core.ModelRequest) string {
	var texts []string
	for _, p := range r.Messages[len(r.Messages)-1].Parts {
		if p.Block != nil {
			texts = append(texts, p.Block.Text)
		}
	}
	return strings.Join(texts, "\n")
}

var outcomeSteps = []core.EventType{
	core.EventStatusRunning, core.EventModelRequestStart, core.EventAgentMessage, core.EventOutcomeStart, core.EventOutcomeEnd, core.EventSessionUsage, core.EventStatusIdle,
}

func TestAnOutcomeIsSatisfiedAfterOneRevision(t *testing.T) {
	t.Parallel()
	h := buildWith(t, fake.New(fake.Say("a title"), fake.Say(revise), fake.Say("a title and a sum"), fake.Say(satisfied)), toolset{{name: "a"}},
		func(a *core.AgentSpec) { a.Model.ID, a.System = "priced", "You write reports." })
	n := h.open(newFrail(h.db, 1000, func() {}), turn.Options{}) // every transaction twice
	n.run(t)
	n.send(t, outcome(0))
	if _, stop := n.untilIdle(t, 0); stop.Type != core.StopEndTurn || h.fake.Left() != 0 {
		t.Fatalf("stopped by %s with %d steps left", stop.Type, h.fake.Left())
	}
	want := []core.EventType{
		core.EventStatusRunning, core.EventModelRequestStart, core.EventAgentMessage, core.EventOutcomeStart, core.EventOutcomeEnd,
		core.EventModelRequestStart, core.EventAgentMessage, core.EventOutcomeStart, core.EventOutcomeEnd, core.EventSessionUsage, core.EventStatusIdle,
	}
	if diff := cmp.Diff(want, h.types(t, outcomeSteps...)); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
	ends := []core.OutcomeEnd{
		{Iteration: 0, Result: core.OutcomeNeedsRevision, Explanation: "The sum is missing."},
		{Iteration: 1, Result: core.OutcomeSatisfied, Explanation: "It has a title and a sum."},
	}
	if diff := cmp.Diff(ends, h.evaluations(t)); diff != "" {
		t.Errorf("evaluations (-want +got):\n%s", diff)
	}
	s := h.stored(t)
	if len(s.Outcomes) != 1 {
		t.Fatalf("outcomes: %+v", s.Outcomes)
	}
	o := s.Outcomes[0]
	if o.Result != core.OutcomeSatisfied || o.Iteration != 1 || o.MaxIterations != 3 || o.CompletedAt.IsZero() || o.Explanation != "It has a title and a sum." {
		t.Errorf("outcome: %+v", o)
	}
	if s.Usage.ModelCalls != 4 || s.Usage.TokenCost != 8*core.Cent {
		t.Errorf("the grader's calls are not counted: %+v", s.Usage)
	}
	asked := h.fake.Requests()
	if said := saidTo(asked[0]); !strings.Contains(said, "Write a report.") || !strings.Contains(said, "It has a title and a sum.") {
		t.Errorf("the agent was told %q", said)
	}
	grader := asked[1]
	if shown := saidTo(grader); len(grader.Tools) != 0 || len(grader.Messages) != 1 || strings.Contains(grader.System, "You write reports.") ||
		!strings.Contains(shown, "It has a title and a sum.") || !strings.Contains(shown, "Agent: a title") {
		t.Errorf("the grader was asked %+v", grader)
	}
	if said := saidTo(asked[2]); !strings.Contains(said, "The sum is missing.") {
		t.Errorf("the agent was told %q", said)
	}
	for _, e := range h.log(t) {
		if e.Type == core.EventOutcomeEnd {
			end, err := core.Payload[core.OutcomeEnd](e)
			need(t, err)
			if end.Start == "" || end.Outcome != o.ID || end.Usage.TokenCost != 2*core.Cent {
				t.Errorf("end of an evaluation: %+v", end)
			}
		}
	}
	// A new outcome may follow.
	_, err := n.Send(t.Context(), h.by, h.sess.ID, []session.Input{outcome(1)}, session.SendOptions{})
	need(t, err)
}

func TestTheLastIterationAllowsOneClosingTurn(t *testing.T) {
	t.Parallel()
	h := build(t, fake.New(fake.Say("one"), fake.Say(revise), fake.Say("two"), fake.Say(revise), fake.Say("I give up.")), nil)
	n := h.open(h.db, turn.Options{})
	n.run(t)
	n.send(t, outcome(2))
	if _, stop := n.untilIdle(t, 0); stop.Type != core.StopEndTurn || h.fake.Left() != 0 {
		t.Fatalf("stopped by %s with %d steps left", stop.Type, h.fake.Left())
	}
	ends := []core.OutcomeEnd{
		{Iteration: 0, Result: core.OutcomeNeedsRevision, Explanation: "The sum is missing."},
		{Iteration: 1, Result: core.OutcomeMaxIterations, Explanation: "The sum is missing."},
	}
	if diff := cmp.Diff(ends, h.evaluations(t)); diff != "" {
		t.Errorf("evaluations (-want +got):\n%s", diff)
	}
	if said := saidTo(h.fake.Requests()[4]); !strings.Contains(said, "for the last time") {
		t.Errorf("the agent was told %q", said)
	}
	if o := h.stored(t).Outcomes[0]; o.Result != core.OutcomeMaxIterations || o.CompletedAt.IsZero() {
		t.Errorf("outcome: %+v", o)
	}
}

func TestAnInterruptEndsTheOutcome(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		steps []fake.Step
		start bool // an evaluation had begun
	}{
		"while the agent works": {[]fake.Step{fake.Block(nil)}, false},
		"while it is graded":    {[]fake.Step{fake.Say("a title"), fake.Block(nil)}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := build(t, fake.New(append(tc.steps, fake.Say("hello"))...), nil)
			n := h.open(newFrail(h.db, 1000, func() {}), turn.Options{})
			n.run(t)
			n.send(t, outcome(3))
			<-h.fake.Waiting()
			n.send(t, session.Input{Interrupt: &core.Interrupt{}})
			after, stop := n.untilIdle(t, 0)
			if stop.Type != core.StopInterrupted {
				t.Fatalf("stopped by %s", stop.Type)
			}
			want := []core.OutcomeEnd{{Result: core.OutcomeInterrupted, Explanation: "A client interrupted the work."}}
			if diff := cmp.Diff(want, h.evaluations(t)); diff != "" {
				t.Errorf("evaluations (-want +got):\n%s", diff)
			}
			if o := h.stored(t).Outcomes[0]; o.Result != core.OutcomeInterrupted || o.CompletedAt.IsZero() {
				t.Errorf("outcome: %+v", o)
			}
			var end core.OutcomeEnd
			for _, e := range h.log(t) {
				if e.Type == core.EventOutcomeEnd {
					var err error
					end, err = core.Payload[core.OutcomeEnd](e)
					need(t, err)
				}
			}
			if (end.Start != "") != tc.start {
				t.Errorf("the end names the start %q", end.Start)
			}
			n.send(t, message("hello"))
			if _, stop := n.untilIdle(t, after); stop.Type != core.StopEndTurn || h.fake.Left() != 0 {
				t.Errorf("the next turn stopped by %s with %d steps left", stop.Type, h.fake.Left())
			}
		})
	}
}

func TestAGraderWithoutAVerdictFailsTheOutcome(t *testing.T) {
	t.Parallel()
	for name, step := range map[string]fake.Step{
		"words":           fake.Say("Looks good to me."),
		"another verdict": fake.Say(`{"result":"perfect","explanation":"x"}`),
		"no reason":       fake.Say(`{"result":"satisfied","explanation":" "}`),
		"more":            fake.Say(satisfied + satisfied),
		"more members":    fake.Say(`{"result":"satisfied","explanation":"x","score":5}`),
		"cut":             fake.Cut(satisfied),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := build(t, fake.New(fake.Say("a title"), step, step), nil)
			n := h.open(h.db, turn.Options{MaxAttempts: 2})
			n.run(t)
			n.send(t, outcome(3))
			if _, stop := n.untilIdle(t, 0); stop.Type != core.StopEndTurn || h.fake.Left() != 0 {
				t.Fatalf("stopped by %s with %d steps left", stop.Type, h.fake.Left())
			}
			ends := h.evaluations(t)
			if len(ends) != 1 || ends[0].Result != core.OutcomeFailed || !strings.HasPrefix(ends[0].Explanation, "The grader gave no verdict") {
				t.Errorf("evaluations: %+v", ends)
			}
			if o := h.stored(t).Outcomes[0]; o.Result != core.OutcomeFailed {
				t.Errorf("outcome: %+v", o)
			}
			want := []core.EventType{core.EventOutcomeStart, core.EventSessionError, core.EventStatusRescheduling, core.EventStatusRunning, core.EventOutcomeEnd}
			if diff := cmp.Diff(want, h.types(t, append(want, core.EventStatusRunning)...)[1:]); diff != "" {
				t.Errorf("log behind the start of the turn (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAGraderMayFailTheOutcome(t *testing.T) {
	t.Parallel()
	h := build(t, fake.New(fake.Say("a poem"), fake.Say(`{"result":"failed","explanation":"There is no report."}`)), nil)
	n := h.open(h.db, turn.Options{})
	n.run(t)
	n.send(t, outcome(3))
	n.untilIdle(t, 0)
	if o := h.stored(t).Outcomes[0]; o.Result != core.OutcomeFailed || o.Explanation != "There is no report." || h.fake.Left() != 0 {
		t.Errorf("outcome: %+v", o)
	}
}

func TestATurnThatFailsEndsTheOutcome(t *testing.T) {
	t.Parallel()
	h := build(t, fake.New(fake.Fail(&core.ModelError{Type: core.ModelFailed, Message: "no"})), nil)
	n := h.open(h.db, turn.Options{})
	n.run(t)
	n.send(t, outcome(3))
	if _, stop := n.untilIdle(t, 0); stop.Type != core.StopRetriesExhausted {
		t.Fatalf("stopped by %s", stop.Type)
	}
	if o := h.stored(t).Outcomes[0]; o.Result != core.OutcomeFailed || o.Explanation != "The turn failed: no" {
		t.Errorf("outcome: %+v", o)
	}
}

// A node that dies while the grader thinks: the next one asks again, in the same evaluation.
func TestAnEvaluationIsMadeAgainAfterACrash(t *testing.T) {
	t.Parallel()
	h := build(t, fake.New(fake.Say("a title"), fake.Say(revise), fake.Say("more"), fake.Block(nil), fake.Say(satisfied)), nil)
	first := h.open(h.db, turn.Options{})
	end := first.run(t)
	first.send(t, outcome(3))
	<-h.fake.Waiting()
	if o := h.stored(t).Outcomes[0]; o.Result != core.OutcomeEvaluating || o.Iteration != 1 {
		t.Errorf("outcome during the evaluation: %+v", o)
	}
	end()
	second := h.open(h.db, turn.Options{})
	second.run(t)
	if _, stop := second.untilIdle(t, 0); stop.Type != core.StopEndTurn || h.fake.Left() != 0 {
		t.Fatalf("stopped by %s with %d steps left", stop.Type, h.fake.Left())
	}
	ends := h.evaluations(t)
	if len(ends) != 2 || ends[1].Iteration != 1 || ends[1].Result != core.OutcomeSatisfied {
		t.Errorf("evaluations: %+v", ends)
	}
	if starts := h.types(t, core.EventOutcomeStart); len(starts) != 2 {
		t.Errorf("%d evaluations were begun", len(starts))
	}
}

func TestAnEvaluationHasAHeartbeat(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	h := build(t, fake.New(fake.Say("a title"), fake.Block(release).And(fake.Say(satisfied))), nil)
	n := h.open(h.db, turn.Options{Heartbeat: time.Millisecond})
	n.run(t)
	n.send(t, outcome(3))
	first := n.waitFor(t, core.EventOutcomeOngoing, 0)
	span, err := core.Payload[core.OutcomeSpan](n.waitFor(t, core.EventOutcomeOngoing, first.Seq))
	need(t, err)
	if span.Outcome != h.stored(t).Outcomes[0].ID || span.Iteration != 0 {
		t.Errorf("heartbeat: %+v", span)
	}
	close(release)
	if _, stop := n.untilIdle(t, 0); stop.Type != core.StopEndTurn || h.stored(t).Outcomes[0].Result != core.OutcomeSatisfied {
		t.Errorf("stopped by %s, outcome %+v", stop.Type, h.stored(t).Outcomes[0])
	}
}

func TestTheBudgetHoldsForTheGraderToo(t *testing.T) {
	t.Parallel()
	h := limited(t, 2, nil, fake.Say("a title"), fake.Say(satisfied))
	n := h.open(h.db, turn.Options{})
	n.run(t)
	n.send(t, outcome(3))
	after, stop := n.untilIdle(t, 0)
	if stop.Type != core.StopBudgetReached || h.fake.Left() != 1 {
		t.Fatalf("stopped by %s with %d steps left", stop.Type, h.fake.Left())
	}
	_, err := n.budget(t, cents(50))
	need(t, err)
	if _, stop := n.untilIdle(t, after); stop.Type != core.StopEndTurn || h.stored(t).Outcomes[0].Result != core.OutcomeSatisfied {
		t.Errorf("stopped by %s, outcome %+v", stop.Type, h.stored(t).Outcomes[0])
	}
	if shown := saidTo(h.fake.Requests()[1]); !strings.Contains(shown, "The agent's last message:\n\na title") {
		t.Errorf("the grader of a later turn was shown %q", shown)
	}
}

func TestOneOutcomeAtATime(t *testing.T) {
	t.Parallel()
	h := build(t, fake.New(fake.Block(nil)), nil)
	n := h.open(h.db, turn.Options{})
	n.run(t)
	n.send(t, outcome(3))
	<-h.fake.Waiting()
	refuse := func(name, code string, in ...session.Input) {
		t.Helper()
		if _, err := n.Send(t.Context(), h.by, h.sess.ID, in, session.SendOptions{}); core.KindOf(err) != core.Invalid || code != "" && core.CodeOf(err) != code {
			t.Errorf("%s: %v", name, err)
		}
	}
	refuse("a second", "outcome_active", outcome(3))
	n.send(t, session.Input{Interrupt: &core.Interrupt{}})
	n.untilIdle(t, 0)
	refuse("two at once", "", outcome(3), outcome(3))
	refuse("no rubric", "", session.Input{Outcome: &core.NewOutcome{Description: "d"}})
	refuse("no description", "", session.Input{Outcome: &core.NewOutcome{Rubric: "r"}})
	refuse("too many iterations", "", outcome(21))
	refuse("too long", "", session.Input{Outcome: &core.NewOutcome{Description: "d", Rubric: strings.Repeat("é", session.MaxRubric+1)}})
	refuse("a file without files", "file_not_found", session.Input{Outcome: &core.NewOutcome{Description: "d", RubricFile: "f"}})
}

// An outcome that comes while the agent works on something else waits as a message does.
func TestAnOutcomeDuringATurnIsTakenUpInIt(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	h := build(t, fake.New(fake.Block(release).And(fake.Say("hello")), fake.Say("a title"), fake.Say(satisfied)), nil)
	n := h.open(newFrail(h.db, 1000, func() {}), turn.Options{})
	n.run(t)
	n.send(t, message("hello"))
	<-h.fake.Waiting()
	n.send(t, outcome(3))
	if o := h.stored(t).Outcomes[0]; o.Result != core.OutcomePending {
		t.Errorf("outcome before it was taken up: %+v", o)
	}
	close(release)
	if _, stop := n.untilIdle(t, 0); stop.Type != core.StopEndTurn || h.fake.Left() != 0 {
		t.Fatalf("stopped by %s with %d steps left", stop.Type, h.fake.Left())
	}
	if o := h.stored(t).Outcomes[0]; o.Result != core.OutcomeSatisfied {
		t.Errorf("outcome: %+v", o)
	}
	if shown := saidTo(h.fake.Requests()[2]); strings.Contains(shown, "Agent: hello") {
		t.Errorf("the grader was shown what came before the outcome: %s", shown)
	}
}
