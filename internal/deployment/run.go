package deployment

import (
	"context"
	"errors"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// maxRunPage is the longest list of runs that a face shows; it asks for one more, to know whether there is
// another page.
const maxRunPage = 1000

// DeploymentRun returns one run. Errors: Forbidden; NotFound.
func (s *Service) DeploymentRun(ctx context.Context, by core.Principal, id core.DeploymentRunID) (core.DeploymentRun, error) {
	if err := by.Require(core.RoleViewer); err != nil {
		return core.DeploymentRun{}, err
	}
	return s.store.DeploymentRun(ctx, by.Project, id)
}

// DeploymentRuns lists runs, newest first; of an unknown deployment there are none. Errors: Forbidden;
// Invalid (limit outside of 1 to 1001).
func (s *Service) DeploymentRuns(ctx context.Context, by core.Principal, page core.DeploymentRunPage) ([]core.DeploymentRun, error) {
	if err := by.Require(core.RoleViewer); err != nil {
		return nil, err
	}
	if page.Limit < 1 || page.Limit > maxRunPage+1 {
		return nil, core.InvalidField("limit", "must be between 1 and %d", maxRunPage)
	}
	return s.store.DeploymentRuns(ctx, by.Project, page)
}

// TriggerOptions vary Trigger by dialect.
type TriggerOptions struct {
	RefusePaused bool // a paused deployment is a Conflict ("deployment_paused") (qoder.md section 3.11)
}

// Trigger starts a session of the deployment now, whatever its schedule says, and records the run. If the
// session could not be made, the run has an Error, and nothing is paused.
//
// Errors: Forbidden (below member); NotFound; Invalid ("deployment_archived"); Conflict.
func (s *Service) Trigger(ctx context.Context, by core.Principal, id core.DeploymentID, o TriggerOptions) (core.DeploymentRun, error) {
	if err := by.Require(core.RoleMember); err != nil {
		return core.DeploymentRun{}, err
	}
	var run core.DeploymentRun
	announce := func() {}
	err := s.store.Tx(ctx, func(tx core.Store) error {
		announce = func() {}
		d, err := tx.Deployment(ctx, by.Project, id)
		switch {
		case err != nil:
			return err
		case !d.ArchivedAt.IsZero():
			return core.Errorf(core.Invalid, "deployment_archived", "the deployment is archived and cannot be run")
		case d.Pause != "" && o.RefusePaused:
			return core.Errorf(core.Conflict, "deployment_paused", "the deployment is paused: unpause it first")
		}
		run = newRun(d, core.TriggerManual, time.Time{}, s.clock())
		if announce, err = s.begin(ctx, tx, by, d, &run); err != nil {
			return err
		}
		return tx.CreateDeploymentRun(ctx, run)
	})
	if err != nil {
		return core.DeploymentRun{}, err
	}
	announce()
	return run, nil
}

func newRun(d core.Deployment, trigger core.TriggerType, scheduled, now time.Time) core.DeploymentRun {
	return core.DeploymentRun{
		Project: d.Project, ID: core.NewID[core.DeploymentRunID](), Deployment: d.ID, Agent: d.Agent, AgentVersion: d.AgentVersion,
		Trigger: trigger, ScheduledAt: scheduled, CreatedAt: now,
	}
}

// begin makes the session of a run, or notes in the run why that is refused. An error is neither: the
// transaction has to be undone.
func (s *Service) begin(ctx context.Context, tx core.Store, by core.Principal, d core.Deployment, run *core.DeploymentRun) (announce func(), err error) {
	announce = func() {}
	err = tx.Tx(ctx, func(tx core.Store) error { // a refusal that comes behind a write spoils the whole
		project, err := tx.Project(ctx, d.Project)
		if err != nil {
			return err
		}
		if !project.Active {
			return core.Errorf(core.Invalid, "project_inactive", "the project is deactivated")
		}
		run.Session, announce, err = s.sessions.CreateOf(ctx, tx, by, d)
		return err
	})
	if err == nil {
		return announce, nil
	}
	if run.Error = refusal(err); run.Error == nil {
		return nil, err
	}
	run.Session = ""
	return func() {}, nil
}

// refusals are the errors of a new session that have a name of their own in a run.
var refusals = map[string]core.RunErrorType{
	"environment_archived": core.RunEnvironmentArchived, "environment_not_found": core.RunEnvironmentNotFound,
	"agent_archived": core.RunAgentArchived, "vault_not_found": core.RunVaultNotFound, "vault_archived": core.RunVaultArchived,
	"file_not_found": core.RunFileNotFound, "memory_store_archived": core.RunMemoryStoreArchived, "skill_not_found": core.RunSkillNotFound,
	"session_resource_not_found": core.RunResourceNotFound, "project_inactive": core.RunWorkspaceArchived,
	"self_hosted_resources_unsupported": core.RunSelfHostedResources, "mcp_egress_blocked": core.RunMCPEgressBlocked,
}

// refusal says why a session was refused; nil if it was not, but something broke.
func refusal(err error) *core.RunError {
	var e *core.Error
	if !errors.As(err, &e) {
		return nil
	}
	switch e.Kind {
	case core.RateLimited:
		return &core.RunError{Type: core.RunRateLimited, Message: e.Message}
	case core.Internal, core.Timeout, core.Unavailable:
		return nil
	}
	kind, known := refusals[e.Code]
	if !known {
		kind = core.RunRejected
	}
	return &core.RunError{Type: kind, Message: e.Message}
}

// final says whether a failure is one that waiting does not cure, so that the schedule is paused with it
// (claude-managed-agents.md section 3.11; the types are those that paused_reason has).
func final(kind core.RunErrorType) bool {
	switch kind {
	case core.RunRateLimited, core.RunRejected, core.RunUnknown:
		return false
	}
	return true
}
