package session

import (
	"slices"

	"github.com/reeve-ai/reeve/internal/core"
)

// MaxBudget bounds a budget, in cents. Reeve's own number: a hundred million dollars.
const MaxBudget = 10_000_000_000

// errAtBudget refuses whatever would make a session that has used its budget up work on.
var errAtBudget = core.Errorf(core.Invalid, "session_at_budget",
	"the session is at budget: raise the budget or remove it; until then it takes only interrupts, confirmations and results")

// checkBudget judges a budget by itself.
func checkBudget(b *core.Budget) error {
	switch {
	case b == nil:
		return nil
	case b.Currency != "USD":
		return core.InvalidField("budget.max_list_cost.currency", "must be USD")
	case b.Cents < 1 || b.Cents > MaxBudget:
		return core.InvalidField("budget.max_list_cost.amount", "must be 1 to %d cents", int64(MaxBudget))
	}
	return nil
}

// measurable refuses a budget for a model whose calls nobody can price: the budget would never be reached.
func (s *Service) measurable(b *core.Budget, choices ...core.ModelChoice) error {
	if b == nil {
		return nil
	}
	for _, choice := range choices {
		m, err := s.models.Model(choice.ID)
		if err != nil {
			return err
		}
		if m.Prices == nil {
			return reference("model_not_budgetable", "budget",
				"model_not_budgetable: the model %q has no list price on this server, so that a budget cannot be measured: its operator can set prices in models.yaml", m.Name)
		}
	}
	return nil
}

// settles reports whether all of in may be sent to a session at its budget: what ends or answers something that
// is open already (claude-managed-agents.md section 4.1).
func settles(in []Input) bool {
	return !slices.ContainsFunc(in, Input.asks)
}

// asks reports whether an input is new work, in contrast to answers and interrupts.
func (in Input) asks() bool { return in.Message != nil || in.Outcome != nil || in.System != nil }

// halted reports whether a session waits for a higher budget, with work left.
func halted(sess core.Session) bool {
	return sess.Status == core.StatusIdle && sess.StopReason != nil && sess.StopReason.Type == core.StopBudgetReached
}

// changeBudget puts another budget, or nil for none, in the place of a session's.
func (s *Service) changeBudget(sess *core.Session, next *core.Budget) (changed bool, err error) {
	old := sess.Budget
	switch {
	case next == nil:
		sess.Budget = nil
		return old != nil, nil
	case old == nil:
		return false, reference("budget_create_only", "budget", "budget_create_only: it cannot be added to a session that was made without one")
	case *old == *next:
		return false, nil
	}
	if sess.Snapshot != nil {
		if err := s.measurable(next, sess.Snapshot.Model); err != nil {
			return false, err
		}
	}
	switch {
	case sess.Usage.UnpricedCalls > 0:
		return false, reference("model_not_budgetable", "budget",
			"model_not_budgetable: it cannot be changed, because the session ran a model without a list price; it can be removed")
	case next.Reached(sess.Usage):
		return false, reference("budget_not_raised", "budget.max_list_cost.amount",
			"budget_not_raised: it must be more than the session has cost, which is %s cents", sess.Usage.ListCost().Cents())
	}
	sess.Budget = next
	return true, nil
}
