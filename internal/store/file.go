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

const insertFile = `INSERT INTO files (project_id, id, blob_key, bytes, sha256, name, media_type, downloadable, session_id,
	metadata, created_at, expires_at)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT DO NOTHING`

// CreateFile implements core.FileStore. An unknown project is NotFound ("reference_not_found").
func (s *store) CreateFile(ctx context.Context, f core.File) error {
	metadata := string(f.Metadata)
	if metadata == "" {
		metadata = "{}"
	}
	return s.write(ctx, "create file", func(h *txn) error {
		if err := must(ctx, h, core.Errorf(core.Conflict, "file_already_exists", "a file with this id exists already"),
			insertFile,
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
		return s.deleteFile(ctx, h, project, id, at)
	})
}

// CopyFile implements core.FileStore. The other file is held, so that nobody deletes the blob meanwhile.
func (s *store) CopyFile(ctx context.Context, f core.File, from core.FileID) error {
	metadata := string(f.Metadata)
	if metadata == "" {
		metadata = "{}"
	}
	return s.write(ctx, "copy file", func(h *txn) error {
		found, err := all(ctx, h, "SELECT "+fileColumns+" FROM files f WHERE f.project_id = $1 AND f.id = $2"+s.engine.hold("f"),
			[]any{string(f.Project), string(from)}, scanFile)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return core.NotFoundError("file", string(from))
		}
		b := found[0].Blob
		return must(ctx, h, core.Errorf(core.Conflict, "file_already_exists", "a file with this id exists already"), insertFile,
			string(f.Project), string(f.ID), string(b.Key), b.Bytes, b.SHA256, f.Name, f.MediaType, flag(f.Downloadable),
			string(f.Session), metadata, micros(f.CreatedAt), micros(f.ExpiresAt))
	})
}

// DeleteSessionFiles implements core.FileStore.
func (s *store) DeleteSessionFiles(ctx context.Context, project core.ProjectID, session core.SessionID, at time.Time) (count int, err error) {
	err = s.write(ctx, "delete the files of a session", func(h *txn) error {
		list, err := all(ctx, h, "SELECT "+fileColumns+" FROM files f WHERE f.project_id = $1 AND f.session_id = $2 AND f.session_id <> ''",
			[]any{string(project), string(session)}, scanFile)
		if err != nil {
			return err
		}
		for _, f := range list {
			if err := s.deleteFile(ctx, h, project, f.ID, at); err != nil {
				return err
			}
		}
		count = len(list)
		return nil
	})
	return count, err
}

// CountSessionFiles implements core.FileStore.
func (s *store) CountSessionFiles(ctx context.Context, project core.ProjectID, session core.SessionID) (int, error) {
	return readOne(ctx, s, "file", "", "SELECT count(*) FROM files WHERE project_id = $1 AND session_id = $2",
		[]any{string(project), string(session)}, func(r row) (n int, err error) { return n, r.Scan(&n) })
}

// deleteFile holds all files that share the blob, so that of two that are deleted side by side the last one
// sees that it is the last.
func (s *store) deleteFile(ctx context.Context, h handle, project core.ProjectID, id core.FileID, at time.Time) error {
	sharers, err := all(ctx, h, "SELECT "+fileColumns+` FROM files f WHERE f.project_id = $1
		AND f.blob_key = (SELECT g.blob_key FROM files g WHERE g.project_id = $1 AND g.id = $2) ORDER BY f.id`+s.engine.hold("f"),
		[]any{string(project), string(id)}, scanFile)
	if err != nil {
		return err
	}
	last := len(sharers) == 1 && sharers[0].ID == id
	if last { // a copy that was made while this waited for the row is not among what the statement saw
		copied, err := found(ctx, h, "SELECT 1 FROM files WHERE project_id = $1 AND blob_key = $2 AND id <> $3",
			string(project), string(sharers[0].Key), string(id))
		if err != nil {
			return err
		}
		last = !copied
	}
	if last {
		if err := must(ctx, h, core.Errorf(core.Conflict, "already_exists", "such an object exists already"),
			"INSERT INTO strays (project_id, blob_key, due_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
			string(project), string(sharers[0].Key), micros(at)); err != nil {
			return err
		}
	}
	return must(ctx, h, core.NotFoundError("file", string(id)), "DELETE FROM files WHERE project_id = $1 AND id = $2", string(project), string(id))
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
			if err := s.deleteFile(ctx, h, f.Project, f.ID, now); err != nil {
				return err
			}
			count++
		}
		return nil
	})
	return count, err
}
