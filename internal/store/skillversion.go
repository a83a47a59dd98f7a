package store

import (
	"context"
	"strconv"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

const (
	skillVersionColumns = `v.project_id, v.skill_id, v.number, v.id, v.blob_key, v.bytes, v.sha256, v.name, v.description,
		v.directory, v.created_at, v.files`
	skillVersionsOf = "SELECT " + skillVersionColumns + " FROM skill_versions v WHERE v.project_id = $1 AND v.skill_id = $2"
)

func scanSkillVersion(r row) (core.SkillVersion, error) {
	var v core.SkillVersion
	err := r.Scan((*string)(&v.Project), (*string)(&v.Skill), &v.Number, (*string)(&v.ID), (*string)(&v.Key), &v.Bytes, &v.SHA256,
		&v.Name, &v.Description, &v.Directory, timeColumn{&v.CreatedAt}, jsonColumn{&v.Files})
	return v, err
}

// CreateSkillVersion implements core.SkillStore.
func (s *store) CreateSkillVersion(ctx context.Context, v core.SkillVersion) error {
	files, err := encoded(v.Files)
	if err != nil {
		return s.fail("create skill version", err)
	}
	return s.write(ctx, "create skill version", func(h *txn) error {
		if err := must(ctx, h, core.Errorf(core.Conflict, "skill_version_already_exists", "the skill has this version already"),
			`INSERT INTO skill_versions (project_id, skill_id, number, id, blob_key, bytes, sha256, name, description, directory, created_at, files)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT DO NOTHING`,
			string(v.Project), string(v.Skill), v.Number, string(v.ID), string(v.Key), v.Bytes, v.SHA256, v.Name, v.Description,
			v.Directory, micros(v.CreatedAt), files); err != nil {
			return err
		}
		return adopt(ctx, h, v.Project, v.Key, v.CreatedAt)
	})
}

// SkillVersion implements core.SkillStore.
func (s *store) SkillVersion(ctx context.Context, project core.ProjectID, skill core.SkillID, number int64) (core.SkillVersion, error) {
	return readOne(ctx, s, "skill_version", strconv.FormatInt(number, 10), skillVersionsOf+" AND v.number = $3",
		[]any{string(project), string(skill), number}, scanSkillVersion)
}

// SkillVersionByID implements core.SkillStore.
func (s *store) SkillVersionByID(ctx context.Context, project core.ProjectID, skill core.SkillID, id core.SkillVersionID) (core.SkillVersion, error) {
	return readOne(ctx, s, "skill_version", string(id), skillVersionsOf+" AND v.id = $3",
		[]any{string(project), string(skill), string(id)}, scanSkillVersion)
}

// SkillVersions implements core.SkillStore.
func (s *store) SkillVersions(ctx context.Context, project core.ProjectID, skill core.SkillID, page core.SkillVersionPage) ([]core.SkillVersion, error) {
	q := listQuery{engine: s.engine}
	q.and("v.project_id = %s", string(project))
	q.and("v.skill_id = %s", string(skill))
	if page.Below != 0 {
		q.and("v.number < %s", page.Below)
	}
	direction, backwards := "DESC", page.Above != 0
	if backwards {
		q.and("v.number > %s", page.Above)
		direction = "ASC"
	}
	query := "SELECT " + skillVersionColumns + " FROM skill_versions v WHERE " + q.conditions() + " ORDER BY v.number " + direction + q.limit(page.Limit, 0)
	list, err := readAll(ctx, s, "skill versions", query, q.args, scanSkillVersion)
	return inOrder(list, backwards), err
}

// DeleteSkillVersion implements core.SkillStore.
func (s *store) DeleteSkillVersion(ctx context.Context, project core.ProjectID, skill core.SkillID, number int64, at time.Time) error {
	return s.write(ctx, "delete skill version", func(h *txn) error {
		if err := must(ctx, h, core.NotFoundError("skill_version", strconv.FormatInt(number, 10)),
			`INSERT INTO strays (project_id, blob_key, due_at)
			SELECT project_id, blob_key, $4 FROM skill_versions WHERE project_id = $1 AND skill_id = $2 AND number = $3`,
			string(project), string(skill), number, micros(at)); err != nil {
			return err
		}
		_, err := h.change(ctx, "DELETE FROM skill_versions WHERE project_id = $1 AND skill_id = $2 AND number = $3",
			[]any{string(project), string(skill), number}, nil)
		return err
	})
}
