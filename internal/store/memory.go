package store

import (
	"context"
	"strings"
	"unicode/utf8"

	"github.com/reeve-ai/reeve/internal/core"
)

const (
	memoryColumns = "m.project_id, m.store_id, m.id, m.path, m.sha256, m.bytes, m.metadata, m.number, m.version_id, m.created_at, m.updated_at"
	// bareMemories leaves the contents out, and fullMemories reads them where they are.
	bareMemories = "SELECT " + memoryColumns + ", '' FROM memories m WHERE m.project_id = $1 AND m.store_id = $2"
	fullMemories = "SELECT " + memoryColumns + `, v.content FROM memories m JOIN memory_versions v
		ON v.project_id = m.project_id AND v.store_id = m.store_id AND v.id = m.version_id
		WHERE m.project_id = $1 AND m.store_id = $2`
)

func scanMemory(r row) (core.Memory, error) {
	var m core.Memory
	err := r.Scan((*string)(&m.Project), (*string)(&m.Store), (*string)(&m.ID), &m.Path, &m.SHA256, &m.Bytes,
		jsonColumn{&m.Metadata}, &m.Number, (*string)(&m.Version), timeColumn{&m.CreatedAt}, timeColumn{&m.UpdatedAt}, &m.Content)
	return m, err
}

// Memory implements core.MemoryStorage.
func (s *store) Memory(ctx context.Context, project core.ProjectID, store core.MemoryStoreID, id core.MemoryID) (core.Memory, error) {
	return readOne(ctx, s, "memory", string(id), fullMemories+" AND m.id = $3",
		[]any{string(project), string(store), string(id)}, scanMemory)
}

// MemoryAt implements core.MemoryStorage.
func (s *store) MemoryAt(ctx context.Context, project core.ProjectID, store core.MemoryStoreID, path string) (core.Memory, error) {
	return readOne(ctx, s, "memory", path, fullMemories+" AND m.path = $3",
		[]any{string(project), string(store), path}, scanMemory)
}

// MemoryBlocking implements core.MemoryStorage.
func (s *store) MemoryBlocking(ctx context.Context, project core.ProjectID, store core.MemoryStoreID, path string, except core.MemoryID) (core.Memory, error) {
	above := []string{path}
	for i := strings.LastIndexByte(path, '/'); i > 0; i = strings.LastIndexByte(path[:i], '/') {
		above = append(above, path[:i])
	}
	var blocking core.Memory
	err := s.read(ctx, "read memory", func(h handle) error {
		list, err := all(ctx, h, bareMemories+" AND "+s.engine.in("m.path", "$3")+" AND m.id <> $4 LIMIT 1",
			[]any{string(project), string(store), s.engine.list(above), string(except)}, scanMemory)
		if err != nil {
			return err
		}
		if len(list) == 0 {
			list, err = all(ctx, h, bareMemories+" AND m.path >= $3 AND m.path < $4 AND m.id <> $5 ORDER BY m.path LIMIT 1",
				[]any{string(project), string(store), path + "/", beyond(path + "/"), string(except)}, scanMemory)
			if err != nil {
				return err
			}
		}
		if len(list) == 0 {
			return core.NotFoundError("memory", path)
		}
		blocking = list[0]
		return nil
	})
	return blocking, err
}

// Memories implements core.MemoryStorage.
func (s *store) Memories(ctx context.Context, project core.ProjectID, store core.MemoryStoreID, page core.MemoryPage) ([]core.Memory, error) {
	q := listQuery{engine: s.engine, args: []any{string(project), string(store)}}
	query := bareMemories
	if page.Contents {
		query = fullMemories
	}
	if from := max(page.Prefix, page.From); from != "" {
		q.and("m.path >= %s", from)
	}
	to := beyond(page.Prefix)
	if page.Before != "" && (to == "" || page.Before < to) {
		to = page.Before
	}
	if to != "" {
		q.and("m.path < %s", to)
	}
	if len(q.where) > 0 {
		query += " AND " + q.conditions()
	}
	if backwards := page.Before != ""; backwards {
		list, err := readAll(ctx, s, "memories", query+" ORDER BY m.path DESC"+q.limit(page.Limit, 0), q.args, scanMemory)
		return inOrder(list, backwards), err
	}
	return readAll(ctx, s, "memories", query+" ORDER BY m.path"+q.limit(page.Limit, 0), q.args, scanMemory)
}

// beyond is the lowest text that is above all that begin with prefix; empty: there is none. UTF-8 has the
// order of its characters.
func beyond(prefix string) string {
	for prefix != "" {
		last, size := utf8.DecodeLastRuneInString(prefix)
		prefix = prefix[:len(prefix)-size]
		switch {
		case last == utf8.MaxRune:
			continue
		case last == 0xD7FF: // surrogates are no characters
			last = 0xE000
		default:
			last++
		}
		return prefix + string(last)
	}
	return ""
}

// WriteMemory implements core.MemoryStorage.
func (s *store) WriteMemory(ctx context.Context, m core.Memory, by core.Actor) error {
	metadata, err := encodedMap(m.Metadata)
	if err != nil {
		return s.fail("write memory", err)
	}
	operation := core.MemoryModified
	if m.Number == 1 {
		operation = core.MemoryCreated
	}
	taken := core.Errorf(core.Conflict, "memory_already_exists", "there is a memory with this id, or at this path, already")
	return s.write(ctx, "write memory", func(h *txn) error {
		args := []any{
			string(m.Project), string(m.Store), string(m.ID), m.Path, m.SHA256, m.Bytes, metadata, m.Number,
			string(m.Version), micros(m.CreatedAt), micros(m.UpdatedAt),
		}
		entries, before := 1, int64(0)
		if operation == core.MemoryCreated {
			if err := must(ctx, h, taken, `INSERT INTO memories (project_id, store_id, id, path, sha256, bytes, metadata, number, version_id, created_at, updated_at)
				VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING`, args...); err != nil {
				return err
			}
		} else {
			old, err := s.headOf(ctx, h, m)
			if err != nil {
				return err
			}
			blocked, err := found(ctx, h, "SELECT 1 FROM memories WHERE project_id = $1 AND store_id = $2 AND path = $3 AND id <> $4",
				string(m.Project), string(m.Store), m.Path, string(m.ID))
			if err != nil {
				return err
			}
			if blocked {
				return taken
			}
			entries, before = 0, old.Bytes
			if _, err := h.change(ctx, `UPDATE memories SET path = $4, sha256 = $5, bytes = $6, metadata = $7, number = $8, version_id = $9, updated_at = $10
				WHERE project_id = $1 AND store_id = $2 AND id = $3`, append(args[:9:9], args[10]), nil); err != nil {
				return err
			}
		}
		if err := countMemories(ctx, h, m, entries, m.Bytes-before); err != nil {
			return err
		}
		return insertMemoryVersion(ctx, h, core.MemoryVersion{
			Project: m.Project, Store: m.Store, ID: m.Version, Memory: m.ID, Number: m.Number, Operation: operation,
			Path: m.Path, Content: m.Content, SHA256: m.SHA256, Bytes: m.Bytes, CreatedBy: by, CreatedAt: m.UpdatedAt,
		})
	})
}

// DeleteMemory implements core.MemoryStorage.
func (s *store) DeleteMemory(ctx context.Context, m core.Memory, by core.Actor) error {
	return s.write(ctx, "delete memory", func(h *txn) error {
		old, err := s.headOf(ctx, h, m)
		if err != nil {
			return err
		}
		if _, err := h.change(ctx, "DELETE FROM memories WHERE project_id = $1 AND store_id = $2 AND id = $3",
			[]any{string(m.Project), string(m.Store), string(m.ID)}, nil); err != nil {
			return err
		}
		if err := countMemories(ctx, h, m, -1, -old.Bytes); err != nil {
			return err
		}
		return insertMemoryVersion(ctx, h, core.MemoryVersion{
			Project: m.Project, Store: m.Store, ID: m.Version, Memory: m.ID, Number: m.Number, Operation: core.MemoryDeleted,
			Path: m.Path, CreatedBy: by, CreatedAt: m.UpdatedAt,
		})
	})
}

// headOf returns and holds the stored memory that m is about to replace, without its content.
func (s *store) headOf(ctx context.Context, h handle, m core.Memory) (core.Memory, error) {
	list, err := all(ctx, h, bareMemories+" AND m.id = $3"+s.engine.hold("m"),
		[]any{string(m.Project), string(m.Store), string(m.ID)}, scanMemory)
	switch {
	case err != nil:
		return core.Memory{}, err
	case len(list) == 0:
		return core.Memory{}, core.NotFoundError("memory", string(m.ID))
	case list[0].Number != m.Number-1:
		return core.Memory{}, core.Errorf(core.Conflict, "memory_version_conflict", "the memory was changed in the meantime: read it again")
	}
	return list[0], nil
}

// countMemories keeps the store's own numbers right.
func countMemories(ctx context.Context, h handle, m core.Memory, entries int, bytes int64) error {
	return must(ctx, h, core.NotFoundError("memory_store", string(m.Store)),
		"UPDATE memory_stores SET entries = entries + $3, bytes = bytes + $4, changes = changes + 1 WHERE project_id = $1 AND id = $2",
		string(m.Project), string(m.Store), entries, bytes)
}
