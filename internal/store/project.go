package store

import (
	"context"

	"github.com/reeve-ai/reeve/internal/core"
)

const projectColumns = "id, name, description, domain, active, created_by, created_at, updated_at"

func scanProject(r row) (core.Project, error) {
	var p core.Project
	err := r.Scan((*string)(&p.ID), &p.Name, &p.Description, &p.Domain, flagColumn{&p.Active},
		(*string)(&p.CreatedBy), timeColumn{&p.CreatedAt}, timeColumn{&p.UpdatedAt})
	return p, err
}

// CreateProject implements core.ProjectStore. A taken id is Conflict ("project_already_exists").
func (s *store) CreateProject(ctx context.Context, p core.Project) error {
	return s.write(ctx, "create project", func(h *txn) error {
		return must(ctx, h, core.Errorf(core.Conflict, "project_already_exists", "there is such a project already"),
			"INSERT INTO projects ("+projectColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
			string(p.ID), p.Name, p.Description, pointed(p.Domain), flag(p.Active),
			string(p.CreatedBy), micros(p.CreatedAt), micros(p.UpdatedAt))
	})
}

// Project implements core.ProjectStore.
func (s *store) Project(ctx context.Context, id core.ProjectID) (core.Project, error) {
	return readOne(ctx, s, "project", string(id),
		"SELECT "+projectColumns+" FROM projects WHERE id = $1", []any{string(id)}, scanProject)
}

// Projects implements core.ProjectStore.
func (s *store) Projects(ctx context.Context) ([]core.Project, error) {
	return readAll(ctx, s, "projects",
		"SELECT "+projectColumns+" FROM projects ORDER BY created_at, id", nil, scanProject)
}
