package store

import (
	"context"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

const skillColumns = "k.project_id, k.id, k.name, k.title, k.metadata, k.latest, k.latest_id, k.mark, k.created_at, k.updated_at"

func scanSkill(r row) (core.Skill, error) {
	var k core.Skill
	err := r.Scan((*string)(&k.Project), (*string)(&k.ID), &k.Name, &k.Title, jsonColumn{&k.Metadata}, &k.Latest,
		(*string)(&k.LatestID), &k.Mark, timeColumn{&k.CreatedAt}, timeColumn{&k.UpdatedAt})
	return k, err
}

// CreateSkill implements core.SkillStore. An unknown project is NotFound ("reference_not_found").
func (s *store) CreateSkill(ctx context.Context, k core.Skill) error {
	metadata, err := encodedMap(k.Metadata)
	if err != nil {
		return s.fail("create skill", err)
	}
	return s.write(ctx, "create skill", func(h *txn) error {
		return must(ctx, h, core.Errorf(core.Conflict, "skill_already_exists", "a skill with this id exists already"),
			`INSERT INTO skills (project_id, id, name, title, metadata, latest, latest_id, mark, created_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING`,
			string(k.Project), string(k.ID), k.Name, pointed(k.Title), metadata, k.Latest, string(k.LatestID), k.Mark,
			micros(k.CreatedAt), micros(k.UpdatedAt))
	})
}

// Skill implements core.SkillStore.
func (s *store) Skill(ctx context.Context, project core.ProjectID, id core.SkillID) (core.Skill, error) {
	query := "SELECT " + skillColumns + " FROM skills k WHERE k.project_id = $1 AND k.id = $2"
	if s.tx != nil {
		query += s.engine.hold("k")
	}
	return readOne(ctx, s, "skill", string(id), query, []any{string(project), string(id)}, scanSkill)
}

// UpdateSkill implements core.SkillStore.
func (s *store) UpdateSkill(ctx context.Context, k core.Skill) error {
	metadata, err := encodedMap(k.Metadata)
	if err != nil {
		return s.fail("update skill", err)
	}
	return s.write(ctx, "update skill", func(h *txn) error {
		return must(ctx, h, core.NotFoundError("skill", string(k.ID)), `UPDATE skills
			SET title = $3, metadata = $4, latest = $5, latest_id = $6, mark = $7, updated_at = $8
			WHERE project_id = $1 AND id = $2`,
			string(k.Project), string(k.ID), pointed(k.Title), metadata, k.Latest, string(k.LatestID), k.Mark, micros(k.UpdatedAt))
	})
}

// DeleteSkill implements core.SkillStore. The schema takes the versions along.
func (s *store) DeleteSkill(ctx context.Context, project core.ProjectID, id core.SkillID, at time.Time) error {
	return s.write(ctx, "delete skill", func(h *txn) error {
		if _, err := h.change(ctx, `INSERT INTO strays (project_id, blob_key, due_at)
			SELECT project_id, blob_key, $3 FROM skill_versions WHERE project_id = $1 AND skill_id = $2`,
			[]any{string(project), string(id), micros(at)}, nil); err != nil {
			return err
		}
		return must(ctx, h, core.NotFoundError("skill", string(id)),
			"DELETE FROM skills WHERE project_id = $1 AND id = $2", string(project), string(id))
	})
}

// Skills implements core.SkillStore.
func (s *store) Skills(ctx context.Context, project core.ProjectID, page core.SkillPage) ([]core.Skill, error) {
	q := listQuery{engine: s.engine}
	q.and("k.project_id = %s", string(project))
	if page.TitlePrefix != "" {
		q.and("k.title >= %s", page.TitlePrefix)
		if end := beyond(page.TitlePrefix); end != "" {
			q.and("k.title < %s", end)
		}
	}
	order, backwards := q.order("k", keyset{after: page.After, before: page.Before})
	query := "SELECT " + skillColumns + " FROM skills k WHERE " + q.conditions() + order + q.limit(page.Limit, 0)
	list, err := readAll(ctx, s, "skills", query, q.args, scanSkill)
	return inOrder(list, backwards), err
}
