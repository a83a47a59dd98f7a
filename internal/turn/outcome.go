package turn

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/reeve-ai/reeve/internal/core"
)

// goal is what a transcript knows of the outcome that its session works towards.
type goal struct {
	since   int64        // Seq at which the outcome got its place in the conversation
	grading core.EventID // an evaluation without its end; empty: none
	outcome core.OutcomeID
}

// outcomeTask is how an outcome is put to the agent.
func outcomeTask(d core.DefineOutcome) string {
	return fmt.Sprintf("Work towards this outcome:\n\n%s\n\nWhen you end your turn, the result is graded against this rubric:\n\n%s", d.Description, d.Rubric)
}

// placeGoal puts an outcome or a system message at its place in the conversation.
func (t *transcript) placeGoal(in core.Event) error {
	if in.Type == core.EventUserDefineOutcome {
		d, err := core.Payload[core.DefineOutcome](in)
		t.goal.since = t.at
		t.addBlocks(core.RoleUser, core.Text(outcomeTask(d)))
		return err
	}
	m, err := core.Payload[core.Message](in)
	texts := make([]string, len(m.Content))
	for i, b := range m.Content {
		texts[i] = b.Text
	}
	t.add(core.RoleUser, core.ModelPart{System: strings.Join(texts, "\n\n")})
	return err
}

// takeEvaluation takes an event of an evaluation in. What the grader misses is input for the agent.
func (t *transcript) takeEvaluation(e core.Event) error {
	if e.Type == core.EventOutcomeStart {
		span, err := core.Payload[core.OutcomeSpan](e)
		t.goal.grading, t.goal.outcome = e.ID, span.Outcome
		return err
	}
	end, err := core.Payload[core.OutcomeEnd](e)
	t.goal.grading = ""
	switch end.Result {
	case core.OutcomeNeedsRevision:
		t.addBlocks(core.RoleUser, core.Text("The result was graded against the rubric. It needs a revision:\n\n"+end.Explanation+
			"\n\nRevise the work until it meets the whole rubric."))
	case core.OutcomeMaxIterations:
		t.addBlocks(core.RoleUser, core.Text("The result was graded for the last time, and does not meet the rubric:\n\n"+end.Explanation+
			"\n\nIt will not be graded again. End with a short message that says what was reached and what is missing."))
	}
	return err
}

// awaitsGoal reports whether an outcome waits to be taken up.
func (t *transcript) awaitsGoal() bool {
	for _, in := range t.inputs {
		if in.Type == core.EventUserDefineOutcome {
			return true
		}
	}
	return false
}

// asksWork reports whether queued input gives the agent something to do. A system message alone does not: it waits
// for what it goes with.
func asksWork(queued []core.Event) bool {
	return slices.ContainsFunc(queued, func(e core.Event) bool { return e.Type != core.EventSystemMessage })
}

// goalOpen returns the outcome that this run's thread is graded for when its turn would end, or nil. Only the
// primary thread is, and not while others work for it: their answers call it again.
func (v *run) goalOpen() *core.Outcome {
	o := v.sess.ActiveOutcome()
	if o == nil || v.lease.Thread != core.PrimaryThread(v.lease.Session) {
		return nil
	}
	if v.team && v.book.Busy() > 0 {
		return nil
	}
	return o
}

// setOutcome changes the last outcome of the session in the run's transaction, if there is one and change says
// that it did. change may be called more than once.
func (v *run) setOutcome(ctx context.Context, tx core.Store, change func(*core.Outcome) bool) error {
	var now core.Session
	if v.team {
		now = v.book.Session()
	} else {
		var err error
		if now, err = tx.Session(ctx, v.lease.Project, v.lease.Session); err != nil {
			return err
		}
	}
	now.Outcomes = slices.Clone(now.Outcomes)
	v.sess.Outcomes = now.Outcomes
	if n := len(now.Outcomes); n == 0 || !change(&now.Outcomes[n-1]) {
		return nil
	}
	if v.team {
		return v.book.SetOutcomes(ctx, now.Outcomes)
	}
	return tx.UpdateSession(ctx, now)
}

// beginOutcome notes that the agent works on an outcome that was just taken up.
func (v *run) beginOutcome(ctx context.Context, tx core.Store, queue []core.Event) error {
	if !slices.ContainsFunc(queue, func(e core.Event) bool { return e.Type == core.EventUserDefineOutcome }) {
		return nil
	}
	return v.setOutcome(ctx, tx, func(o *core.Outcome) bool {
		if o.Result != core.OutcomePending {
			return false
		}
		o.Result = core.OutcomeRunning
		return true
	})
}

// stopOutcome ends the active outcome, because its turn was stopped. One whose event is in later is for the next
// turn, and stays.
func (v *run) stopOutcome(ctx context.Context, tx core.Store, result core.OutcomeResult, why string, later []core.EventID) (drafts []core.Draft, err error) {
	if v.lease.Thread != core.PrimaryThread(v.lease.Session) {
		return nil, nil
	}
	if v.sess.ActiveOutcome() == nil && v.t.goal.since == 0 && !v.t.awaitsGoal() {
		return nil, nil // this run's session may be old, but the transcript knows what came since
	}
	err = v.setOutcome(ctx, tx, func(o *core.Outcome) bool {
		if o.Result.Ends() || slices.Contains(later, o.Event) {
			return false
		}
		end := core.OutcomeEnd{Outcome: o.ID, Iteration: o.Iteration, Result: result, Explanation: why}
		if v.t.goal.outcome == o.ID {
			end.Start = v.t.goal.grading
		}
		o.Result, o.Explanation, o.CompletedAt = result, why, v.now()
		drafts = append(drafts, v.draft(core.EventOutcomeEnd, end))
		return true
	})
	return drafts, err
}

// gradeNext begins the evaluation of the active outcome, or goes on with one that an earlier run left open. The
// action is 0 if there is nothing to grade.
func (v *run) gradeNext(ctx context.Context, tx core.Store) (action, []core.Draft, error) {
	o := v.goalOpen()
	if o == nil {
		return 0, nil, nil
	}
	if act, d, err := v.budgetStop(ctx, tx); act != 0 || err != nil {
		return act, d, err
	}
	var drafts []core.Draft
	if v.status() != core.StatusRunning { // an earlier run died while it waited to try again
		d, err := v.goOn(ctx, tx, v.t.turn)
		if err != nil {
			return 0, nil, err
		}
		drafts = d
	}
	if v.t.goal.grading != "" && v.t.goal.outcome == o.ID {
		return gradeOutcome, drafts, nil
	}
	err := v.setOutcome(ctx, tx, func(o *core.Outcome) bool {
		o.Result = core.OutcomeEvaluating
		return true
	})
	return gradeOutcome, append(drafts, v.draft(core.EventOutcomeStart, core.OutcomeSpan{Outcome: o.ID, Iteration: o.Iteration})), err
}

// grade has the outcome judged, as often as it takes, and writes the verdict. An interrupt leaves the evaluation
// open for the next decision, which ends it.
func (v *run) grade(ctx context.Context) error {
	o := *v.sess.ActiveOutcome()
	var spent core.Usage // in this evaluation, by this run
	for attempt := 1; ; attempt++ {
		verdict, used, err := v.judge(ctx, o)
		if used != (core.Usage{}) {
			used.ModelCalls = 1
		}
		spent = spent.Add(used)
		switch {
		case err == nil:
			return v.endGrade(ctx, verdict, used, spent)
		case errors.Is(err, errInterrupted):
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, new(stoppedError)):
			return err
		}
		fault := modelFault(err)
		v.log.Warn("grading failed", "attempt", attempt, "type", fault.Type, "status", fault.Status, "err", err)
		if !fault.Retryable || attempt >= v.opts.MaxAttempts {
			return v.endGrade(ctx, verdictOf(core.OutcomeFailed, "The grader gave no verdict: "+fault.Message), used, spent)
		}
		if interrupted, err := v.graderBackOff(ctx, fault, attempt, used); err != nil || interrupted {
			return err
		}
	}
}

// graderBackOff tells the watchers and waits, as backOff does for the agent's own calls.
func (v *run) graderBackOff(ctx context.Context, fault *core.ModelError, attempt int, used core.Usage) (interrupted bool, err error) {
	before := v.sess.Usage
	err = v.write(ctx, func(tx core.Store) ([]core.Draft, error) {
		if err := v.charge(ctx, tx, before, used); err != nil {
			return nil, err
		}
		d, err := v.pause(ctx, tx)
		return append([]core.Draft{v.draft(core.EventSessionError, sessionError(fault, "retrying"))}, d...), err
	})
	if err != nil {
		return false, err
	}
	wakeable, stop := v.alarm.interruptible(ctx)
	rested := wait(wakeable, v.delay(fault, attempt))
	stop()
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	return !rested, v.write(ctx, func(tx core.Store) ([]core.Draft, error) { return v.goOn(ctx, tx, v.t.turn) })
}

// endGrade writes the verdict. Missing the rubric for the last time is an end of its own.
func (v *run) endGrade(ctx context.Context, verdict verdict, used, spent core.Usage) error {
	before := v.sess.Usage
	return v.write(ctx, func(tx core.Store) ([]core.Draft, error) {
		end := core.OutcomeEnd{Start: v.t.goal.grading, Result: verdict.Result, Explanation: verdict.Explanation, Usage: spent}
		err := v.setOutcome(ctx, tx, func(o *core.Outcome) bool {
			end.Outcome, end.Iteration = o.ID, o.Iteration
			if end.Result == core.OutcomeNeedsRevision && o.Iteration+1 >= o.MaxIterations {
				end.Result = core.OutcomeMaxIterations
			}
			o.Explanation = end.Explanation
			if end.Result == core.OutcomeNeedsRevision {
				o.Iteration, o.Result = o.Iteration+1, core.OutcomeRunning
			} else {
				o.Result, o.CompletedAt = end.Result, v.now()
			}
			return true
		})
		if err != nil {
			return nil, err
		}
		return []core.Draft{v.draft(core.EventOutcomeEnd, end)}, v.charge(ctx, tx, before, used)
	})
}
