package store

import (
	"context"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

const fileColumns = `f.project_id, f.id, f.blob_key, f.bytes, f.sha256, f.name, f.media_type, f.downloadable, f.session_id,
	f.metadata, f.created_at, f.expires_at`

func scanFile(r row) (core.File, error) {
	var f core.File
	err := r.Scan((*string)(&f.Project), (*string)(&f.ID), (*string)(&f.Key), &f.Bytes, &f.SHA256, &f.Name, &f.MediaType,
		flagColumn{&f.Downloadable}, (*string)(&f.Session), rawColumn{(*[]byte)(&f.Metadata)},
		timeColumn{&f.CreatedAt}, timeColumn{&f.ExpiresAt})
	return f, err
}

// CreateFile implements core.FileStore. An unknown project is NotFound ("reference_not_found").
func (s *store) CreateFile(ctx context.Context, f core.File) error {
	metadata := string(f.Metadata)
	if metadata == "" {
		metadata = "{}"
	}
	return s.write(ctx, "create file", func(h *txn) error {
		if err := must(ctx, h, core.Errorf(core.Conflict, "file_already_exists", "a file with this id exists already"),
			`INSERT INTO files (project_id, id, blob_key, bytes, sha256, name, media_type, downloadable, session_id,
				metadata, created_at, expires_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT DO NOTHING`,
			string(f.Project), string(f.ID), string(f.Key), f.Bytes, f.SHA256, f.Name, f.MediaType, flag(f.Downloadable),
			string(f.Session), metadata, micros(f.CreatedAt), micros(f.ExpiresAt)); err != nil {
			return err
		}
		return adopt(ctx, h, f.Project, f.Key, f.CreatedAt)
	})
}

// File implements core.FileStore.
func (s *store) File(ctx context.Context, project core.ProjectID, id core.FileID) (core.File, error) {
	return readOne(ctx, s, "file", string(id), "SELECT "+fileColumns+" FROM files f WHERE f.project_id = $1 AND f.id = $2",
		[]any{string(project), string(id)}, scanFile)
}

// Files implements core.FileStore.
func (s *store) Files(ctx context.Context, project core.ProjectID, page core.FilePage) ([]core.File, error) {
	q := listQuery{engine: s.engine}
	q.and("f.project_id = %s", string(project))
	if page.Session != "" {
		q.and("f.session_id = %s", string(page.Session))
	}
	if !page.Now.IsZero() {
		q.and("(f.expires_at = 0 OR f.expires_at > %s)", micros(page.Now))
	}
	order, backwards := q.order("f", keyset{after: page.After, before: page.Before})
	query := "SELECT " + fileColumns + " FROM files f WHERE " + q.conditions() + order + q.limit(page.Limit, 0)
	list, err := readAll(ctx, s, "files", query, q.args, scanFile)
	return inOrder(list, backwards), err
}

// FilesByID implements core.FileStore.
func (s *store) FilesByID(ctx context.Context, project core.ProjectID, ids []core.FileID) ([]core.File, error) {
	if len(ids) == 0 {
		return []core.File{}, nil
	}
	q := listQuery{engine: s.engine}
	q.and("f.project_id = %s", string(project))
	andIn(&q, "f.id", ids)
	return readAll(ctx, s, "files", "SELECT "+fileColumns+" FROM files f WHERE "+q.conditions(), q.args, scanFile)
}

// DeleteFile implements core.FileStore.
func (s *store) DeleteFile(ctx context.Context, project core.ProjectID, id core.FileID, at time.Time) error {
	return s.write(ctx, "delete file", func(h *txn) error {
		return deleteFile(ctx, h, project, id, at)
	})
}

func deleteFile(ctx context.Context, h handle, project core.ProjectID, id core.FileID, at time.Time) error {
	if err := must(ctx, h, core.NotFoundError("file", string(id)),
		"INSERT INTO strays (project_id, blob_key, due_at) SELECT project_id, blob_key, $3 FROM files WHERE project_id = $1 AND id = $2",
		string(project), string(id), micros(at)); err != nil {
		return err
	}
	_, err := h.change(ctx, "DELETE FROM files WHERE project_id = $1 AND id = $2", []any{string(project), string(id)}, nil)
	return err
}

// ExpireFiles implements core.FileStore.
func (s *store) ExpireFiles(ctx context.Context, now time.Time, limit int) (count int, err error) {
	err = s.write(ctx, "expire files", func(h *txn) error {
		count = 0
		list, err := all(ctx, h, "SELECT "+fileColumns+` FROM files f WHERE f.expires_at > 0 AND f.expires_at <= $1
			ORDER BY f.expires_at LIMIT $2 + 0`, []any{micros(now), max(limit, 0)}, scanFile)
		if err != nil {
			return err
		}
		for _, f := range list {
			if err := deleteFile(ctx, h, f.Project, f.ID, now); err != nil {
				return err
			}
			count++
		}
		return nil
	})
	return count, err
}
