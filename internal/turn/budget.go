package turn

import (
	"context"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// priced adds to the usage of one call what its tokens cost by the model's list prices.
func priced(model core.Model, u core.Usage) core.Usage {
	if model.Prices == nil {
		u.UnpricedCalls = 1
		return u
	}
	u.TokenCost = model.Prices.Cost(u)
	return u
}

// charge counts what was used in a transaction of the run. before is the session's usage at the transaction's
// first try, because it may be tried again.
func (v *run) charge(ctx context.Context, tx core.Store, before, used core.Usage) error {
	if v.team {
		v.book.Spend(v.lease.Thread, used)
		return nil
	}
	v.sess.Usage = before.Add(used)
	return tx.SetSessionState(ctx, v.stamped(v.sess.Status, v.sess.StopReason))
}

// visits counts what a tool of this server used of the web.
func visits(u *use, out core.ToolOutput) core.Usage {
	var used core.Usage
	if u.Kind == core.ToolsetBuiltin && !out.IsError {
		switch u.Name {
		case "web_search":
			used.WebSearches = 1
		case "web_fetch":
			used.WebFetches = 1
		}
	}
	return used
}

// writeResult appends the result of a tool that this server ran, and counts what it used of the web.
func (v *run) writeResult(ctx context.Context, u *use, out core.ToolOutput, took time.Duration) error {
	used := visits(u, out)
	var before *core.Usage
	return v.write(ctx, func(tx core.Store) ([]core.Draft, error) {
		drafts := []core.Draft{v.result(u, out, took)}
		if used == (core.Usage{}) {
			return drafts, nil
		}
		if before == nil { // another tool's write may have come before this one
			now := v.sess.Usage
			before = &now
		}
		return drafts, v.charge(ctx, tx, *before, used)
	})
}

// budgetStop ends the turn if the session has used its budget up, or runs a model that no budget can measure. The
// action is 0 if a model may be called (claude-managed-agents.md section 6.7).
func (v *run) budgetStop(ctx context.Context, tx core.Store) (action, []core.Draft, error) {
	if v.sess.Budget == nil { // none can be added later
		return 0, nil, nil
	}
	over, err := v.overBudget(ctx, tx)
	if err != nil || !over {
		return 0, nil, err
	}
	if v.touched.Load() {
		return tidy, nil, nil
	}
	d, err := v.settle(ctx, tx, core.StopReason{Type: core.StopBudgetReached})
	return done, d, err
}

// overBudget looks at the budget as it is now: a client may have changed it since the run began.
func (v *run) overBudget(ctx context.Context, tx core.Store) (bool, error) {
	used := v.sess.Usage
	if v.team {
		now := v.book.Session()
		v.sess.Budget, used = now.Budget, now.Usage
	} else {
		now, err := tx.Session(ctx, v.lease.Project, v.lease.Session)
		if err != nil {
			return false, err
		}
		v.sess.Budget = now.Budget
	}
	if v.sess.Budget == nil {
		return false, nil
	}
	if model, err := v.models.Model(v.spec.Model.ID); err == nil && model.Prices == nil {
		return true, nil
	}
	used.ActiveMS += v.activeMS()
	return v.sess.Budget.Reached(used), nil
}
