package turn_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/provider/fake"
	"github.com/reeve-ai/reeve/internal/session"
	"github.com/reeve-ai/reeve/internal/turn"
)

// limited makes a house whose session has a budget. A call of its model costs 2 cents: 10 tokens in and 5 out.
func limited(t *testing.T, cents int64, tools toolset, steps ...fake.Step) *house {
	t.Helper()
	h := buildWith(t, fake.New(steps...), tools, func(a *core.AgentSpec) { a.Model.ID = "priced" })
	h.begin(t, session.NewSession{Budget: &core.Budget{Cents: cents, Currency: "USD"}})
	return h
}

// begin replaces the house's session by another one of its agent.
func (h *house) begin(t *testing.T, s session.NewSession) {
	t.Helper()
	s.Agent, s.Environment = h.sess.Agent, h.sess.Environment
	var err error
	h.sess, err = h.open(h.db, turn.Options{}).Create(t.Context(), h.by, s)
	need(t, err)
}

// stored is the session as it is stored.
func (h *house) stored(t *testing.T) core.Session {
	t.Helper()
	s, err := h.db.Session(t.Context(), h.by.Project, h.sess.ID)
	need(t, err)
	return s
}

// types lists the log's events, those of these types only.
func (h *house) types(t *testing.T, of ...core.EventType) []core.EventType {
	t.Helper()
	var list []core.EventType
	for _, e := range h.log(t) {
		if slices.Contains(of, e.Type) {
			list = append(list, e.Type)
		}
	}
	return list
}

func (n node) budget(t *testing.T, b *core.Budget) (core.Session, error) {
	t.Helper()
	return n.Update(t.Context(), n.h.by, n.h.sess.ID, session.Change{Budget: &b})
}

func cents(n int64) *core.Budget { return &core.Budget{Cents: n, Currency: "USD"} }

func TestABudgetEndsTheTurnBetweenTwoModelCalls(t *testing.T) {
	t.Parallel()
	h := limited(t, 2, toolset{{name: "again"}}, fake.CallTool("again", `{}`), fake.Say("done"))
	n := h.open(h.db, turn.Options{})
	n.run(t)
	n.send(t, message("go"))
	after, stop := n.untilIdle(t, 0)
	if stop.Type != core.StopBudgetReached || h.fake.Left() != 1 || h.tools[0].runs.Load() != 1 {
		t.Fatalf("stopped by %s with %d steps left and %d tool runs", stop.Type, h.fake.Left(), h.tools[0].runs.Load())
	}
	log := h.log(t)
	usage, err := core.Payload[core.UsageSnapshot](log[len(log)-2])
	need(t, err)
	if log[len(log)-2].Type != core.EventSessionUsage || usage.Usage.TokenCost != 2*core.Cent || *usage.Budget != *cents(2) {
		t.Errorf("right before the idle: %s %+v", log[len(log)-2].Type, usage)
	}
	if s := h.stored(t); s.Usage.ListCost() < 2*core.Cent || s.Usage.ListCost() >= 3*core.Cent || s.Status != core.StatusIdle {
		t.Errorf("session %s costs %d", s.Status, s.Usage.ListCost())
	}
	for name, in := range map[string]session.Input{
		"message": message("more"), "outcome": {Outcome: &core.NewOutcome{Description: "d", Rubric: "r"}},
		"system": {System: &core.Message{Content: core.Text("s")}},
	} {
		if _, err := n.Send(t.Context(), h.by, h.sess.ID, []session.Input{in}, session.SendOptions{}); core.CodeOf(err) != "session_at_budget" {
			t.Errorf("%s at budget: %v", name, err)
		}
	}
	for _, b := range []*core.Budget{cents(1), {Cents: 5, Currency: "EUR"}, {Cents: 0, Currency: "USD"}} {
		if _, err := n.budget(t, b); core.KindOf(err) != core.Invalid {
			t.Errorf("budget %+v: %v", *b, err)
		}
	}
	s, err := n.budget(t, cents(100))
	need(t, err)
	if s.Status != core.StatusRunning || s.Budget.Cents != 100 {
		t.Errorf("after the raise: %s, %+v", s.Status, s.Budget)
	}
	if _, stop = n.untilIdle(t, after); stop.Type != core.StopEndTurn || h.fake.Left() != 0 {
		t.Errorf("resumed and stopped by %s with %d steps left", stop.Type, h.fake.Left())
	}
	asked := h.fake.Requests()
	if last := asked[1].Messages[len(asked[1].Messages)-1]; last.Parts[0].Result == nil {
		t.Errorf("the second call did not bring the tool's result: %+v", last)
	}
}

func TestABudgetThatIsRemovedLetsTheTurnGoOn(t *testing.T) {
	t.Parallel()
	h := limited(t, 1, toolset{{name: "again"}}, fake.CallTool("again", `{}`), fake.Say("done"))
	n := h.open(newFrail(h.db, 1000, func() {}), turn.Options{}) // every transaction twice
	n.run(t)
	n.send(t, message("go"))
	after, stop := n.untilIdle(t, 0)
	if stop.Type != core.StopBudgetReached {
		t.Fatalf("stopped by %s", stop.Type)
	}
	_, err := n.budget(t, nil)
	need(t, err)
	if _, stop = n.untilIdle(t, after); stop.Type != core.StopEndTurn {
		t.Errorf("stopped by %s", stop.Type)
	}
	if s := h.stored(t); s.Usage.TokenCost != 4*core.Cent || s.Usage.ModelCalls != 2 || s.Budget != nil {
		t.Errorf("usage %+v, budget %+v", s.Usage, s.Budget)
	}
	if _, err := n.budget(t, cents(100)); core.KindOf(err) != core.Invalid {
		t.Errorf("a budget was added later: %v", err)
	}
}

func TestABudgetThatGrowsDuringATurnCounts(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{})
	h := limited(t, 1, toolset{{name: "again", gate: gate}}, fake.CallTool("again", `{}`), fake.Say("done"))
	n := h.open(h.db, turn.Options{})
	n.run(t)
	n.send(t, message("go"))
	gate <- struct{}{}
	_, err := n.budget(t, cents(100))
	need(t, err)
	gate <- struct{}{}
	if _, stop := n.untilIdle(t, 0); stop.Type != core.StopEndTurn {
		t.Errorf("stopped by %s", stop.Type)
	}
}

func TestRequiresActionOutranksTheBudget(t *testing.T) {
	t.Parallel()
	h := limited(t, 1, nil, fake.CallTool("ask_me", `{}`), fake.Say("done"))
	n := h.open(h.db, turn.Options{})
	n.run(t)
	n.send(t, message("go"))
	after, stop := n.untilIdle(t, 0)
	if stop.Type != core.StopRequiresAction {
		t.Fatalf("stopped by %s", stop.Type)
	}
	if _, err := n.Send(t.Context(), h.by, h.sess.ID, []session.Input{message("more")}, session.SendOptions{}); core.CodeOf(err) != "session_at_budget" {
		t.Errorf("message at budget: %v", err)
	}
	n.send(t, session.Input{CustomResult: &core.ToolResult{ToolUse: stop.Events[0], Content: core.Text("42")}})
	if _, stop = n.untilIdle(t, after); stop.Type != core.StopBudgetReached || h.fake.Left() != 1 {
		t.Errorf("stopped by %s with %d steps left", stop.Type, h.fake.Left())
	}
}

func TestAnInterruptAtTheBudgetEndsTheWorkThatWasLeft(t *testing.T) {
	t.Parallel()
	h := limited(t, 1, toolset{{name: "again"}}, fake.CallTool("again", `{}`), fake.Say("done"))
	n := h.open(h.db, turn.Options{})
	n.run(t)
	n.send(t, message("go"))
	after, _ := n.untilIdle(t, 0)
	n.send(t, session.Input{Interrupt: &core.Interrupt{}})
	if _, stop := n.untilIdle(t, after); stop.Type != core.StopInterrupted {
		t.Fatalf("stopped by %s", stop.Type)
	}
	s, err := n.budget(t, cents(100))
	need(t, err)
	if s.Status != core.StatusIdle {
		t.Errorf("the raise made it %s", s.Status)
	}
}

func TestABudgetNeedsAModelWithPrices(t *testing.T) {
	t.Parallel()
	h := build(t, fake.New(), nil)
	n := h.open(h.db, turn.Options{})
	_, err := n.Create(t.Context(), h.by, session.NewSession{Agent: h.sess.Agent, Environment: h.sess.Environment, Budget: cents(5)})
	if core.CodeOf(err) != "model_not_budgetable" || core.KindOf(err) != core.Invalid {
		t.Errorf("a budget for a model without prices: %v", err)
	}
	for _, b := range []core.Budget{{Currency: "USD"}, {Cents: 5, Currency: "usd"}, {Cents: session.MaxBudget + 1, Currency: "USD"}} {
		if _, err := n.Create(t.Context(), h.by, session.NewSession{Agent: h.sess.Agent, Environment: h.sess.Environment, Budget: &b}); core.KindOf(err) != core.Invalid || core.CodeOf(err) == "model_not_budgetable" {
			t.Errorf("budget %+v: %v", b, err)
		}
	}
}

// A model may lose its price while a session with a budget runs it: nothing can be measured any more.
func TestACallWithoutAPriceIsCounted(t *testing.T) {
	t.Parallel()
	h := build(t, fake.New(fake.Say("hello")), nil)
	n := h.open(h.db, turn.Options{})
	n.run(t)
	n.send(t, message("go"))
	n.untilIdle(t, 0)
	want := core.Usage{InputTokens: 10, OutputTokens: 5, ModelCalls: 1, UnpricedCalls: 1}
	got := h.stored(t).Usage
	got.ActiveMS = 0
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("usage (-want +got):\n%s", diff)
	}
}

func TestVisitsOfTheWebAreCounted(t *testing.T) {
	t.Parallel()
	h := limited(t, 100, toolset{{name: "web_fetch"}, {name: "web_search"}},
		fake.CallTools(fake.Call{Name: "web_fetch", Input: `{}`}, fake.Call{Name: "web_search", Input: `{}`}, fake.Call{Name: "web_search", Input: `{}`}), fake.Say("done"))
	n := h.open(newFrail(h.db, 1000, func() {}), turn.Options{})
	n.run(t)
	n.send(t, message("go"))
	n.untilIdle(t, 0)
	u := h.stored(t).Usage
	if u.WebFetches != 1 || u.WebSearches != 2 || u.TokenCost != 4*core.Cent || u.ListCost().Cents() != "6" {
		t.Errorf("usage %+v costs %s cents", u, u.ListCost().Cents())
	}
}

// waitFor follows the log until it has an event of a type behind a Seq.
func (n node) waitFor(t *testing.T, typ core.EventType, after int64) core.Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // a deadline, not a delay
	defer cancel()
	for feed, err := range n.Follow(ctx, n.h.by, n.h.sess.ID, session.FollowOptions{After: after}) {
		need(t, err)
		if feed.Event != nil && feed.Event.Type == typ {
			return *feed.Event
		}
	}
	t.Fatalf("no %s came", typ)
	return core.Event{}
}
