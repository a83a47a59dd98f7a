package session_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/session"
)

func TestNewVariablesRenewTheSandbox(t *testing.T) {
	t.Parallel()
	h := build(t)
	var renewed []core.SessionID
	h.UseSandboxes(func(id core.SessionID) error {
		renewed = append(renewed, id)
		return nil
	})
	for _, vars := range []map[string]string{{"A": "1"}, {"A": "1"}, {}} {
		s, err := h.Update(t.Context(), h.by, h.sess.ID, session.Change{EnvVars: vars})
		need(t, err)
		if diff := cmp.Diff(vars, s.EnvVars); diff != "" {
			t.Errorf("variables (-want +got):\n%s", diff)
		}
	}
	if diff := cmp.Diff([]core.SessionID{h.sess.ID, h.sess.ID}, renewed); diff != "" {
		t.Errorf("sandboxes renewed (-want +got):\n%s", diff)
	}
	events, err := h.db.Events(t.Context(), h.by.Project, h.sess.ID, core.EventQuery{Limit: 10})
	need(t, err)
	if len(events) != 2 || string(events[0].Data) != `{"changed":["environment_variables"]}` {
		t.Errorf("log: %+v", events)
	}
}

func TestAnUpdateTellsWhatItChanged(t *testing.T) {
	t.Parallel()
	h := build(t)
	title, one := "T", "1"
	next := &title
	s, err := h.Update(t.Context(), h.by, h.sess.ID, session.Change{Title: &next, Metadata: map[string]*string{}})
	need(t, err)
	_, err = h.Update(t.Context(), h.by, h.sess.ID, session.Change{Title: &next, Metadata: map[string]*string{"a": &one}})
	need(t, err)
	_, err = h.Update(t.Context(), h.by, h.sess.ID, session.Change{Title: &next, Metadata: map[string]*string{"a": &one}})
	need(t, err)
	events, err := h.db.Events(t.Context(), h.by.Project, h.sess.ID, core.EventQuery{Limit: 10})
	need(t, err)
	var got []string
	for _, e := range events {
		got = append(got, string(e.Data))
	}
	if diff := cmp.Diff([]string{`{"changed":["title"],"title":"T"}`, `{"changed":["metadata"],"metadata":{"a":"1"}}`}, got); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
	if s.Status != core.StatusIdle {
		t.Errorf("the session is %s", s.Status)
	}
}

func TestABudgetAboveTheCost(t *testing.T) {
	t.Parallel()
	h := build(t)
	sess := h.sess
	sess.Budget, sess.Usage.TokenCost = &core.Budget{Cents: 100, Currency: "USD"}, 10*core.Cent
	need(t, h.db.UpdateSession(t.Context(), sess))
	change := func(cents int64) error {
		b := &core.Budget{Cents: cents, Currency: "USD"}
		_, err := h.Update(t.Context(), h.by, h.sess.ID, session.Change{Budget: &b})
		return err
	}
	if err := change(10); core.CodeOf(err) != "budget_not_raised" {
		t.Errorf("down to the cost: %v", err)
	}
	need(t, change(11))
	sess.Budget, sess.Usage.UnpricedCalls = &core.Budget{Cents: 100, Currency: "USD"}, 1
	need(t, h.db.UpdateSession(t.Context(), sess))
	if err := change(200); core.CodeOf(err) != "model_not_budgetable" {
		t.Errorf("after a call without a price: %v", err)
	}
	var none *core.Budget
	if _, err := h.Update(t.Context(), h.by, h.sess.ID, session.Change{Budget: &none}); err != nil {
		t.Errorf("remove: %v", err)
	}
	if err := change(200); core.CodeOf(err) != "budget_create_only" {
		t.Errorf("add again: %v", err)
	}
}
