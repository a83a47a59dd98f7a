package store

import (
	"context"

	"github.com/reeve-ai/reeve/internal/core"
)

const projectColumns = "p.id, p.name, p.description, p.domain, p.active, p.created_by, p.created_at, p.updated_at"

// projectFields are the destinations of projectColumns.
func projectFields(p *core.Project) []any {
	return []any{
		(*string)(&p.ID), &p.Name, &p.Description, &p.Domain,
		flagColumn{&p.Active},
		(*string)(&p.CreatedBy),
		timeColumn{&p.CreatedAt},
		timeColumn{&p.UpdatedAt},
	}
}

func scanProject(r row) (core.Project, error) {
	var p core.Project
	err := r.Scan(projectFields(&p)...)
	return p, err
}

// CreateProject implements core.ProjectStore. A taken id is Conflict ("project_already_exists").
func (s *store) CreateProject(ctx context.Context, p core.Project) error {
	return s.write(ctx, "create project", func(h *txn) error {
		return must(ctx, h, core.Errorf(core.Conflict, "project_already_exists", "there is such a project already"),
			`INSERT INTO projects (id, name, description, domain, active, created_by, created_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING`,
			string(p.ID), p.Name, p.Description, pointed(p.Domain), flag(p.Active),
			string(p.CreatedBy), micros(p.CreatedAt), micros(p.UpdatedAt))
	})
}

// Project implements core.ProjectStore.
func (s *store) Project(ctx context.Context, id core.ProjectID) (core.Project, error) {
	query := "SELECT " + projectColumns + " FROM projects p WHERE p.id = $1"
	if s.tx != nil {
		query += s.engine.hold("p")
	}
	return readOne(ctx, s, "project", string(id), query, []any{string(id)}, scanProject)
}

// UpdateProject implements core.ProjectStore. An unknown project is NotFound.
func (s *store) UpdateProject(ctx context.Context, p core.Project) error {
	return s.write(ctx, "update project", func(h *txn) error {
		return must(ctx, h, core.NotFoundError("project", string(p.ID)), `UPDATE projects
			SET name = $2, description = $3, domain = $4, active = $5, updated_at = $6 WHERE id = $1`,
			string(p.ID), p.Name, p.Description, pointed(p.Domain), flag(p.Active), micros(p.UpdatedAt))
	})
}

// Projects implements core.ProjectStore.
func (s *store) Projects(ctx context.Context) ([]core.Project, error) {
	return readAll(ctx, s, "projects",
		"SELECT "+projectColumns+" FROM projects p ORDER BY p.created_at, p.id", nil, scanProject)
}
