package store

import (
	"context"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

const (
	memoryVersionHead = "project_id, store_id, id, memory_id, number, operation, path, sha256, bytes, " +
		"by_kind, by_id, erased_kind, erased_id, created_at, redacted_at"
	bareMemoryVersions = "SELECT " + memoryVersionHead + ", '' FROM memory_versions WHERE "
	fullMemoryVersions = "SELECT " + memoryVersionHead + ", content FROM memory_versions WHERE "
)

func scanMemoryVersion(r row) (core.MemoryVersion, error) {
	var v core.MemoryVersion
	err := r.Scan((*string)(&v.Project), (*string)(&v.Store), (*string)(&v.ID), (*string)(&v.Memory), &v.Number,
		(*string)(&v.Operation), &v.Path, &v.SHA256, &v.Bytes,
		(*string)(&v.CreatedBy.Kind), &v.CreatedBy.ID, (*string)(&v.RedactedBy.Kind), &v.RedactedBy.ID,
		timeColumn{&v.CreatedAt}, timeColumn{&v.RedactedAt}, &v.Content)
	return v, err
}

func insertMemoryVersion(ctx context.Context, h handle, v core.MemoryVersion) error {
	if v.Number > core.SpareVersions {
		if _, err := h.change(ctx, "UPDATE memory_versions SET spare = 1 WHERE project_id = $1 AND store_id = $2 AND memory_id = $3 AND number = $4",
			[]any{string(v.Project), string(v.Store), string(v.Memory), v.Number - core.SpareVersions}, nil); err != nil {
			return err
		}
	}
	_, err := h.change(ctx, "INSERT INTO memory_versions ("+memoryVersionHead+`, content)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, '', '', $12, 0, $13)`,
		[]any{
			string(v.Project), string(v.Store), string(v.ID), string(v.Memory), v.Number, string(v.Operation),
			v.Path, v.SHA256, v.Bytes, string(v.CreatedBy.Kind), v.CreatedBy.ID, micros(v.CreatedAt), v.Content,
		}, nil)
	return err
}

// MemoryVersion implements core.MemoryStorage.
func (s *store) MemoryVersion(ctx context.Context, project core.ProjectID, store core.MemoryStoreID, id core.MemoryVersionID) (core.MemoryVersion, error) {
	return readOne(ctx, s, "memory_version", string(id), fullMemoryVersions+"project_id = $1 AND store_id = $2 AND id = $3",
		[]any{string(project), string(store), string(id)}, scanMemoryVersion)
}

// MemoryVersions implements core.MemoryStorage.
func (s *store) MemoryVersions(ctx context.Context, project core.ProjectID, store core.MemoryStoreID, page core.MemoryVersionPage) ([]core.MemoryVersion, error) {
	q := listQuery{engine: s.engine}
	q.and("project_id = %s AND store_id = %s", string(project), string(store))
	if page.Memory != "" {
		q.and("memory_id = %s", string(page.Memory))
	}
	if page.By != (core.Actor{}) {
		q.and("by_kind = %s AND by_id = %s", string(page.By.Kind), page.By.ID)
	}
	if page.Operation != "" {
		q.and("operation = %s", string(page.Operation))
	}
	q.created("memory_versions", page.CreatedFrom, page.CreatedTo)
	order, backwards := q.order("memory_versions", keyset{after: page.After, before: page.Before})
	query := bareMemoryVersions
	if page.Contents {
		query = fullMemoryVersions
	}
	list, err := readAll(ctx, s, "memory versions", query+q.conditions()+order+q.limit(page.Limit, 0), q.args, scanMemoryVersion)
	return inOrder(list, backwards), err
}

// PruneMemoryVersions implements core.MemoryStorage.
func (s *store) PruneMemoryVersions(ctx context.Context, before time.Time, limit int) (count int, err error) {
	err = s.write(ctx, "prune memory versions", func(h *txn) error {
		count = 0
		list, err := all(ctx, h, bareMemoryVersions+"spare = 1 AND created_at < $1 ORDER BY created_at LIMIT $2 + 0",
			[]any{micros(before), max(limit, 0)}, scanMemoryVersion)
		if err != nil {
			return err
		}
		for _, v := range list {
			if _, err := h.change(ctx, "DELETE FROM memory_versions WHERE project_id = $1 AND store_id = $2 AND id = $3",
				[]any{string(v.Project), string(v.Store), string(v.ID)}, nil); err != nil {
				return err
			}
			count++
		}
		return nil
	})
	return count, err
}

// RedactMemoryVersion implements core.MemoryStorage.
func (s *store) RedactMemoryVersion(ctx context.Context, project core.ProjectID, store core.MemoryStoreID, id core.MemoryVersionID, by core.Actor, at time.Time) error {
	return s.write(ctx, "redact memory version", func(h *txn) error {
		there, err := found(ctx, h, "SELECT 1 FROM memory_versions v WHERE v.project_id = $1 AND v.store_id = $2 AND v.id = $3"+s.engine.hold("v"),
			string(project), string(store), string(id))
		if err != nil {
			return err
		}
		if !there {
			return core.NotFoundError("memory_version", string(id))
		}
		_, err = h.change(ctx, `UPDATE memory_versions
			SET path = '', content = '', sha256 = '', bytes = 0, erased_kind = $4, erased_id = $5, redacted_at = $6
			WHERE project_id = $1 AND store_id = $2 AND id = $3 AND redacted_at = 0`,
			[]any{string(project), string(store), string(id), string(by.Kind), by.ID, micros(at)}, nil)
		return err
	})
}
