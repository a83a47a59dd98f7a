package store

import (
	"context"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

const deploymentColumns = `d.project_id, d.id, d.name, d.description, d.agent_id, d.agent_version, d.environment_id,
	d.events, d.vault_ids, d.env_vars, d.env_text, d.metadata, d.cron, d.timezone, d.pause, d.resources, d.budget,
	d.due_at, d.next_run_at, d.last_run_at, d.created_at, d.updated_at, d.archived_at`

func scanDeployment(r row) (core.Deployment, error) {
	var d core.Deployment
	var when core.Schedule
	err := r.Scan((*string)(&d.Project), (*string)(&d.ID), &d.Name, &d.Description, (*string)(&d.Agent), &d.AgentVersion,
		(*string)(&d.Environment), jsonColumn{&d.Events}, jsonColumn{&d.VaultIDs}, jsonColumn{&d.EnvVars}, &d.EnvText,
		jsonColumn{&d.Metadata}, &when.Expression, &when.Timezone, (*string)(&d.Pause),
		jsonColumn{&d.Resources}, jsonColumn{&d.Budget}, timeColumn{&d.DueAt}, timeColumn{&d.NextRunAt}, timeColumn{&d.LastRunAt},
		timeColumn{&d.CreatedAt}, timeColumn{&d.UpdatedAt}, timeColumn{&d.ArchivedAt})
	if when.Expression != "" {
		d.Schedule = &when
	}
	return d, err
}

// deploymentArgs are the columns that an update replaces, behind project and id.
func deploymentArgs(d core.Deployment) ([]any, error) {
	events, err := encoded(d.Events)
	if err != nil {
		return nil, err
	}
	metadata, err := encodedMap(d.Metadata)
	if err != nil {
		return nil, err
	}
	var vaultIDs, envVars, resources, budget any // nil is NULL
	if d.VaultIDs != nil {
		if vaultIDs, err = encoded(d.VaultIDs); err != nil {
			return nil, err
		}
	}
	if d.EnvVars != nil {
		if envVars, err = encoded(d.EnvVars); err != nil {
			return nil, err
		}
	}
	if d.Resources != nil {
		if resources, err = encoded(d.Resources); err != nil {
			return nil, err
		}
	}
	if d.Budget != nil {
		if budget, err = encoded(d.Budget); err != nil {
			return nil, err
		}
	}
	var when core.Schedule
	if d.Schedule != nil {
		when = *d.Schedule
	}
	return []any{
		string(d.Project), string(d.ID), d.Name, d.Description, string(d.Agent), d.AgentVersion, string(d.Environment),
		events, vaultIDs, envVars, d.EnvText, metadata, when.Expression, when.Timezone, string(d.Pause),
		micros(d.DueAt), micros(d.NextRunAt), micros(d.LastRunAt), micros(d.UpdatedAt), micros(d.ArchivedAt),
		resources, budget,
	}, nil
}

// CreateDeployment implements core.DeploymentStore. An unknown project or agent is NotFound
// ("reference_not_found").
func (s *store) CreateDeployment(ctx context.Context, d core.Deployment) error {
	args, err := deploymentArgs(d)
	if err != nil {
		return s.fail("create deployment", err)
	}
	return s.write(ctx, "create deployment", func(h *txn) error {
		return must(ctx, h, core.Errorf(core.Conflict, "deployment_already_exists", "a deployment with this id exists already"),
			`INSERT INTO deployments (project_id, id, name, description, agent_id, agent_version, environment_id,
				events, vault_ids, env_vars, env_text, metadata, cron, timezone, pause,
				due_at, next_run_at, last_run_at, updated_at, archived_at, resources, budget, created_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23)
			ON CONFLICT DO NOTHING`, append(args, micros(d.CreatedAt))...)
	})
}

// Deployment implements core.DeploymentStore.
func (s *store) Deployment(ctx context.Context, project core.ProjectID, id core.DeploymentID) (core.Deployment, error) {
	query := "SELECT " + deploymentColumns + " FROM deployments d WHERE d.project_id = $1 AND d.id = $2"
	if s.tx != nil {
		query += s.engine.hold("d")
	}
	return readOne(ctx, s, "deployment", string(id), query, []any{string(project), string(id)}, scanDeployment)
}

// UpdateDeployment implements core.DeploymentStore.
func (s *store) UpdateDeployment(ctx context.Context, d core.Deployment) error {
	args, err := deploymentArgs(d)
	if err != nil {
		return s.fail("update deployment", err)
	}
	return s.write(ctx, "update deployment", func(h *txn) error {
		return must(ctx, h, core.NotFoundError("deployment", string(d.ID)), `UPDATE deployments
			SET name = $3, description = $4, agent_id = $5, agent_version = $6, environment_id = $7, events = $8,
				vault_ids = $9, env_vars = $10, env_text = $11, metadata = $12, cron = $13, timezone = $14, pause = $15,
				due_at = $16, next_run_at = $17, last_run_at = $18, updated_at = $19, archived_at = $20, resources = $21, budget = $22
			WHERE project_id = $1 AND id = $2`, args...)
	})
}

// Deployments implements core.DeploymentStore.
func (s *store) Deployments(ctx context.Context, project core.ProjectID, page core.DeploymentPage) ([]core.Deployment, error) {
	q := listQuery{engine: s.engine}
	q.and("d.project_id = %s", string(project))
	if page.Agent != "" {
		q.and("d.agent_id = %s", string(page.Agent))
	}
	if !page.IncludeArchived {
		q.and("d.archived_at = 0")
	}
	if page.Paused != nil {
		q.where = append(q.where, map[bool]string{true: "d.pause <> ''", false: "d.pause = ''"}[*page.Paused])
	}
	q.created("d", page.CreatedFrom, page.CreatedTo)
	order, backwards := q.order("d", keyset{after: page.After, before: page.Before})
	query := "SELECT " + deploymentColumns + " FROM deployments d WHERE " + q.conditions() + order + q.limit(page.Limit, 0)
	list, err := readAll(ctx, s, "deployments", query, q.args, scanDeployment)
	return inOrder(list, backwards), err
}

// CountScheduled implements core.DeploymentStore.
func (s *store) CountScheduled(ctx context.Context, project core.ProjectID) (int, error) {
	return readOne(ctx, s, "deployment", "",
		"SELECT count(*) FROM deployments WHERE project_id = $1 AND cron <> '' AND archived_at = 0",
		[]any{string(project)}, func(r row) (n int, err error) { return n, r.Scan(&n) })
}

// DueDeployments implements core.DeploymentStore.
func (s *store) DueDeployments(ctx context.Context, now time.Time, limit int) ([]core.DueDeployment, error) {
	return readAll(ctx, s, "due deployments", `SELECT project_id, id, next_run_at FROM deployments
		WHERE next_run_at > 0 AND next_run_at <= $1 ORDER BY next_run_at, project_id, id LIMIT $2 + 0`,
		[]any{micros(now), max(limit, 0)}, func(r row) (core.DueDeployment, error) {
			var d core.DueDeployment
			return d, r.Scan((*string)(&d.Project), (*string)(&d.ID), timeColumn{&d.NextRunAt})
		})
}

// ArchiveDeployments implements core.DeploymentStore.
func (s *store) ArchiveDeployments(ctx context.Context, project core.ProjectID, agent core.AgentID, at time.Time) (count int, err error) {
	err = s.write(ctx, "archive deployments", func(h *txn) error {
		n, err := h.change(ctx, `UPDATE deployments SET archived_at = $3, updated_at = $3, due_at = 0, next_run_at = 0
			WHERE project_id = $1 AND agent_id = $2 AND archived_at = 0`,
			[]any{string(project), string(agent), micros(at)}, nil)
		count = int(n)
		return err
	})
	return count, err
}
