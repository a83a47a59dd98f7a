package store

import (
	"context"

	"github.com/reeve-ai/reeve/internal/core"
)

const environmentColumns = "project_id, id, name, description, config, metadata, created_at, updated_at, archived_at"

func scanEnvironment(r row) (core.Environment, error) {
	var e core.Environment
	err := r.Scan((*string)(&e.Project), (*string)(&e.ID), &e.Name, &e.Description, jsonColumn{&e.Config},
		jsonColumn{&e.Metadata}, timeColumn{&e.CreatedAt}, timeColumn{&e.UpdatedAt}, timeColumn{&e.ArchivedAt})
	return e, err
}

// CreateEnvironment implements core.EnvironmentStore. A taken id is Conflict
// ("environment_already_exists"), an unknown project NotFound ("reference_not_found").
func (s *store) CreateEnvironment(ctx context.Context, e core.Environment) error {
	config, metadata, err := encodedEnvironment(e)
	if err != nil {
		return s.fail("create environment", err)
	}
	return s.write(ctx, "create environment", func(h *txn) error {
		return must(ctx, h, core.Errorf(core.Conflict, "environment_already_exists", "an environment with this id exists already"),
			"INSERT INTO environments ("+environmentColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING",
			string(e.Project), string(e.ID), e.Name, e.Description, config, metadata,
			micros(e.CreatedAt), micros(e.UpdatedAt), micros(e.ArchivedAt))
	})
}

func encodedEnvironment(e core.Environment) (config, metadata string, err error) {
	if config, err = encoded(e.Config); err != nil {
		return "", "", err
	}
	metadata, err = encodedMap(e.Metadata)
	return config, metadata, err
}

// Environment implements core.EnvironmentStore.
func (s *store) Environment(ctx context.Context, project core.ProjectID, id core.EnvironmentID) (core.Environment, error) {
	return readOne(ctx, s, "environment", string(id),
		"SELECT "+environmentColumns+" FROM environments WHERE project_id = $1 AND id = $2",
		[]any{string(project), string(id)}, scanEnvironment)
}

// UpdateEnvironment implements core.EnvironmentStore.
func (s *store) UpdateEnvironment(ctx context.Context, e core.Environment) error {
	config, metadata, err := encodedEnvironment(e)
	if err != nil {
		return s.fail("update environment", err)
	}
	return s.write(ctx, "update environment", func(h *txn) error {
		return must(ctx, h, core.NotFoundError("environment", string(e.ID)), `UPDATE environments
			SET name = $3, description = $4, config = $5, metadata = $6, updated_at = $7, archived_at = $8
			WHERE project_id = $1 AND id = $2`,
			string(e.Project), string(e.ID), e.Name, e.Description, config, metadata,
			micros(e.UpdatedAt), micros(e.ArchivedAt))
	})
}

// DeleteEnvironment implements core.EnvironmentStore.
func (s *store) DeleteEnvironment(ctx context.Context, project core.ProjectID, id core.EnvironmentID) error {
	return s.write(ctx, "delete environment", func(h *txn) error {
		// Holding the row first keeps a session that is being created from slipping in between.
		there, err := found(ctx, h, "SELECT 1 FROM environments e WHERE e.project_id = $1 AND e.id = $2"+s.engine.hold("e"),
			string(project), string(id))
		if err != nil {
			return err
		}
		if !there {
			return core.NotFoundError("environment", string(id))
		}
		used, err := found(ctx, h, "SELECT 1 FROM sessions WHERE project_id = $1 AND environment_id = $2 LIMIT 1",
			string(project), string(id))
		if err != nil {
			return err
		}
		if used {
			return core.Errorf(core.Conflict, "environment_in_use", "a session refers to this environment")
		}
		_, err = h.change(ctx, "DELETE FROM environments WHERE project_id = $1 AND id = $2",
			[]any{string(project), string(id)}, nil)
		return err
	})
}

// Environments implements core.EnvironmentStore.
func (s *store) Environments(ctx context.Context, project core.ProjectID, page core.EnvironmentPage) ([]core.Environment, error) {
	q := listQuery{engine: s.engine}
	q.and("project_id = %s", string(project))
	if !page.IncludeArchived {
		q.and("archived_at = 0")
	}
	order, backwards := q.order("environments", keyset{after: page.After, before: page.Before})
	query := "SELECT " + environmentColumns + " FROM environments WHERE " + q.conditions() + order + q.limit(page.Limit, 0)
	list, err := readAll(ctx, s, "environments", query, q.args, scanEnvironment)
	return inOrder(list, backwards), err
}
