package deployment

import (
	"context"
	"fmt"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

const (
	// MaxLate is how late a fire may start: a restart or a busy moment delays it, but what nobody could
	// start for longer was missed, and is not made up for (claude-managed-agents.md section 3.11).
	MaxLate = 10 * time.Minute
	// sweepSize is how many deployments one look takes.
	sweepSize = 100
)

// Run fires deployments whose time has come until ctx ends. Every node runs it; a fire happens once.
func (s *Service) Run(ctx context.Context) error {
	tick := time.NewTicker(s.every)
	defer tick.Stop()
	for {
		if _, err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("fire deployments", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Sweep fires what is due now and returns how many runs it recorded. One that breaks is logged and does not
// keep the others from firing.
func (s *Service) Sweep(ctx context.Context) (runs int, err error) {
	due, err := s.store.DueDeployments(ctx, s.clock(), sweepSize)
	if err != nil {
		return 0, fmt.Errorf("find due deployments: %w", err)
	}
	for _, d := range due {
		ran, err := s.fire(ctx, d)
		if err != nil {
			if ctx.Err() != nil { // the row is as it was: another sweep finds it
				return runs, ctx.Err()
			}
			s.log.Error("deployment did not fire", "project", d.Project, "deployment", d.ID, "err", err)
		}
		if ran {
			runs++
		}
	}
	return runs, nil
}

// fire starts one due deployment. The run, the session and the time of the next fire are one transaction:
// whoever dies before its end has done nothing, and whoever comes after it finds nothing due.
func (s *Service) fire(ctx context.Context, due core.DueDeployment) (ran bool, err error) {
	by := core.Principal{Kind: core.PrincipalDeployment, Project: due.Project, Role: core.RoleMember}
	announce := func() {}
	err = s.store.Tx(ctx, func(tx core.Store) (err error) {
		ran, announce = false, func() {}
		return s.take(ctx, tx, due, func(d *core.Deployment, run *core.DeploymentRun) error {
			ran = true
			announce, err = s.begin(ctx, tx, by, *d, run)
			return err
		})
	})
	if err == nil {
		announce()
		return ran, nil
	}
	if ctx.Err() != nil {
		return false, err
	}
	// Something broke that is no refusal. The fire is recorded as failed, or it would break again and again;
	// if that breaks too, it is most likely the database, and a later sweep tries again.
	attempt := func(_ *core.Deployment, run *core.DeploymentRun) error {
		ran = true
		run.Error = &core.RunError{Type: core.RunUnknown, Message: "an internal error kept the session from being made; the server's log has its cause"}
		return nil
	}
	if core.CodeOf(err) == "deployment_run_already_exists" { // the clock was put back: this moment has its run
		attempt = nil
	}
	broken := s.store.Tx(ctx, func(tx core.Store) error {
		ran = false
		return s.take(ctx, tx, due, attempt)
	})
	return ran && broken == nil, err
}

// take moves a deployment that is still due on to its next fire, and in between lets attempt fill in the run
// of this one; nil makes no run. What is no longer due is left alone; what was missed gets no run.
func (s *Service) take(ctx context.Context, tx core.Store, due core.DueDeployment, attempt func(*core.Deployment, *core.DeploymentRun) error) error {
	d, err := tx.Deployment(ctx, due.Project, due.ID)
	if err != nil {
		return err
	}
	if !d.NextRunAt.Equal(due.NextRunAt) {
		return nil // another node was first, or somebody paused or changed it
	}
	now := s.clock()
	switch late := now.Sub(d.NextRunAt); {
	case late > MaxLate:
		s.log.Warn("deployment missed a fire", "deployment", d.ID, "scheduled_at", d.DueAt, "late", late)
	case attempt != nil:
		run := newRun(d, core.TriggerSchedule, d.DueAt, now)
		if err := attempt(&d, &run); err != nil {
			return err
		}
		if err := tx.CreateDeploymentRun(ctx, run); err != nil {
			return err
		}
		if run.Error == nil {
			d.LastRunAt = now
		} else if final(run.Error.Type) {
			d.Pause = core.PauseReason(run.Error.Type)
		}
	}
	if err := aim(&d, now); err != nil {
		return err
	}
	return tx.UpdateDeployment(ctx, d)
}
