package store

import (
	"context"

	"github.com/reeve-ai/reeve/internal/core"
)

const deploymentRunColumns = `r.project_id, r.id, r.deployment_id, r.agent_id, r.agent_version, r.session_id,
	r.error_type, r.error_message, r.trigger_type, r.scheduled_at, r.created_at`

func scanDeploymentRun(r row) (core.DeploymentRun, error) {
	var run core.DeploymentRun
	var failed core.RunError
	err := r.Scan((*string)(&run.Project), (*string)(&run.ID), (*string)(&run.Deployment), (*string)(&run.Agent),
		&run.AgentVersion, (*string)(&run.Session), (*string)(&failed.Type), &failed.Message, (*string)(&run.Trigger),
		timeColumn{&run.ScheduledAt}, timeColumn{&run.CreatedAt})
	if failed.Type != "" {
		run.Error = &failed
	}
	return run, err
}

// CreateDeploymentRun implements core.DeploymentStore. An unknown deployment is NotFound
// ("reference_not_found").
func (s *store) CreateDeploymentRun(ctx context.Context, r core.DeploymentRun) error {
	var failed core.RunError
	if r.Error != nil {
		failed = *r.Error
	}
	return s.write(ctx, "create deployment run", func(h *txn) error {
		return must(ctx, h, core.Errorf(core.Conflict, "deployment_run_already_exists", "this run was recorded already"),
			`INSERT INTO deployment_runs (project_id, id, deployment_id, agent_id, agent_version, session_id,
				error_type, error_message, trigger_type, scheduled_at, created_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING`,
			string(r.Project), string(r.ID), string(r.Deployment), string(r.Agent), r.AgentVersion, string(r.Session),
			string(failed.Type), failed.Message, string(r.Trigger), micros(r.ScheduledAt), micros(r.CreatedAt))
	})
}

// DeploymentRun implements core.DeploymentStore.
func (s *store) DeploymentRun(ctx context.Context, project core.ProjectID, id core.DeploymentRunID) (core.DeploymentRun, error) {
	return readOne(ctx, s, "deployment_run", string(id),
		"SELECT "+deploymentRunColumns+" FROM deployment_runs r WHERE r.project_id = $1 AND r.id = $2",
		[]any{string(project), string(id)}, scanDeploymentRun)
}

// DeploymentRuns implements core.DeploymentStore.
func (s *store) DeploymentRuns(ctx context.Context, project core.ProjectID, page core.DeploymentRunPage) ([]core.DeploymentRun, error) {
	q := listQuery{engine: s.engine}
	q.and("r.project_id = %s", string(project))
	if page.Deployment != "" {
		q.and("r.deployment_id = %s", string(page.Deployment))
	}
	if page.Trigger != "" {
		q.and("r.trigger_type = %s", string(page.Trigger))
	}
	if page.Failed != nil {
		q.where = append(q.where, map[bool]string{true: "r.error_type <> ''", false: "r.error_type = ''"}[*page.Failed])
	}
	q.created("r", page.CreatedFrom, page.CreatedTo)
	order, backwards := q.order("r", keyset{after: page.After, before: page.Before})
	query := "SELECT " + deploymentRunColumns + " FROM deployment_runs r WHERE " + q.conditions() + order + q.limit(page.Limit, 0)
	list, err := readAll(ctx, s, "deployment runs", query, q.args, scanDeploymentRun)
	return inOrder(list, backwards), err
}
