package store

import (
	"context"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

const memoryStoreColumns = "project_id, id, name, description, metadata, entries, bytes, changes, created_at, updated_at, archived_at"

func scanMemoryStore(r row) (core.MemoryStore, error) {
	var s core.MemoryStore
	err := r.Scan((*string)(&s.Project), (*string)(&s.ID), &s.Name, &s.Description, jsonColumn{&s.Metadata},
		&s.Entries, &s.Bytes, &s.Changes, timeColumn{&s.CreatedAt}, timeColumn{&s.UpdatedAt}, timeColumn{&s.ArchivedAt})
	return s, err
}

// CreateMemoryStore implements core.MemoryStorage. An unknown project is NotFound ("reference_not_found").
func (s *store) CreateMemoryStore(ctx context.Context, m core.MemoryStore) error {
	metadata, err := encodedMap(m.Metadata)
	if err != nil {
		return s.fail("create memory store", err)
	}
	return s.write(ctx, "create memory store", func(h *txn) error {
		return must(ctx, h, core.Errorf(core.Conflict, "memory_store_already_exists", "a memory store with this id exists already"),
			"INSERT INTO memory_stores ("+memoryStoreColumns+") VALUES ($1, $2, $3, $4, $5, 0, 0, 0, $6, $7, $8) ON CONFLICT DO NOTHING",
			string(m.Project), string(m.ID), m.Name, m.Description, metadata,
			micros(m.CreatedAt), micros(m.UpdatedAt), micros(m.ArchivedAt))
	})
}

// MemoryStore implements core.MemoryStorage.
func (s *store) MemoryStore(ctx context.Context, project core.ProjectID, id core.MemoryStoreID) (core.MemoryStore, error) {
	query := "SELECT " + memoryStoreColumns + " FROM memory_stores WHERE project_id = $1 AND id = $2"
	if s.tx != nil {
		query += s.engine.hold("memory_stores")
	}
	return readOne(ctx, s, "memory_store", string(id), query, []any{string(project), string(id)}, scanMemoryStore)
}

// UpdateMemoryStore implements core.MemoryStorage.
func (s *store) UpdateMemoryStore(ctx context.Context, m core.MemoryStore) error {
	metadata, err := encodedMap(m.Metadata)
	if err != nil {
		return s.fail("update memory store", err)
	}
	return s.write(ctx, "update memory store", func(h *txn) error {
		return must(ctx, h, core.NotFoundError("memory_store", string(m.ID)), `UPDATE memory_stores
			SET name = $3, description = $4, metadata = $5, updated_at = $6, archived_at = $7
			WHERE project_id = $1 AND id = $2`,
			string(m.Project), string(m.ID), m.Name, m.Description, metadata, micros(m.UpdatedAt), micros(m.ArchivedAt))
	})
}

// DeleteMemoryStore implements core.MemoryStorage. Foreign keys take the memories and versions along.
func (s *store) DeleteMemoryStore(ctx context.Context, project core.ProjectID, id core.MemoryStoreID) error {
	return s.write(ctx, "delete memory store", func(h *txn) error {
		return must(ctx, h, core.NotFoundError("memory_store", string(id)),
			"DELETE FROM memory_stores WHERE project_id = $1 AND id = $2", string(project), string(id))
	})
}

// MemoryStores implements core.MemoryStorage.
func (s *store) MemoryStores(ctx context.Context, project core.ProjectID, page core.MemoryStorePage) ([]core.MemoryStore, error) {
	q := listQuery{engine: s.engine}
	q.and("project_id = %s", string(project))
	if !page.IncludeArchived {
		q.and("archived_at = 0")
	}
	q.created("memory_stores", page.CreatedFrom, page.CreatedTo)
	order, backwards := q.order("memory_stores", keyset{after: page.After, before: page.Before})
	query := "SELECT " + memoryStoreColumns + " FROM memory_stores WHERE " + q.conditions() + order + q.limit(page.Limit, 0)
	list, err := readAll(ctx, s, "memory stores", query, q.args, scanMemoryStore)
	return inOrder(list, backwards), err
}

// created adds the conditions of a range of created_at, both ends inclusive, each open if zero.
func (q *listQuery) created(table string, from, to time.Time) {
	if !from.IsZero() {
		q.and(table+".created_at >= %s", micros(from))
	}
	if !to.IsZero() {
		q.and(table+".created_at <= %s", micros(to))
	}
}
