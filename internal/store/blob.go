package store

import (
	"context"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

func scanStray(r row) (core.Stray, error) {
	var s core.Stray
	err := r.Scan((*string)(&s.Project), (*string)(&s.Key), timeColumn{&s.DueAt})
	return s, err
}

// AddStray implements core.BlobStore. An unknown project is NotFound ("reference_not_found").
func (s *store) AddStray(ctx context.Context, stray core.Stray) error {
	return s.write(ctx, "note a stray blob", func(h *txn) error {
		return must(ctx, h, core.Errorf(core.Conflict, "already_exists", "such an object exists already"),
			"INSERT INTO strays (project_id, blob_key, due_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
			string(stray.Project), string(stray.Key), micros(stray.DueAt))
	})
}

// Stray implements core.BlobStore.
func (s *store) Stray(ctx context.Context, project core.ProjectID, key core.BlobKey) (core.Stray, error) {
	return readOne(ctx, s, "stray", string(key), "SELECT project_id, blob_key, due_at FROM strays WHERE project_id = $1 AND blob_key = $2",
		[]any{string(project), string(key)}, scanStray)
}

// ClaimStrays implements core.BlobStore.
func (s *store) ClaimStrays(ctx context.Context, due time.Time, limit int) (claimed []core.Stray, err error) {
	err = s.write(ctx, "claim stray blobs", func(h *txn) error {
		claimed, err = all(ctx, h, `SELECT project_id, blob_key, due_at FROM strays
			WHERE due_at <= $1 ORDER BY due_at, blob_key LIMIT $2 + 0`+s.engine.hold("strays"),
			[]any{micros(due), max(limit, 0)}, scanStray)
		if err != nil {
			return err
		}
		for i, stray := range claimed {
			if stray.DueAt.IsZero() {
				continue
			}
			if _, err := h.change(ctx, "UPDATE strays SET due_at = 0 WHERE project_id = $1 AND blob_key = $2",
				[]any{string(stray.Project), string(stray.Key)}, nil); err != nil {
				return err
			}
			claimed[i].DueAt = time.Time{}
		}
		return nil
	})
	return claimed, err
}

// DropStray implements core.BlobStore.
func (s *store) DropStray(ctx context.Context, project core.ProjectID, key core.BlobKey) error {
	return s.write(ctx, "drop the note of a stray blob", func(h *txn) error {
		_, err := h.change(ctx, "DELETE FROM strays WHERE project_id = $1 AND blob_key = $2", []any{string(project), string(key)}, nil)
		return err
	})
}

// adopt takes the note of a blob away, for the transaction that stores the blob's owner at the given time.
func adopt(ctx context.Context, h handle, project core.ProjectID, key core.BlobKey, at time.Time) error {
	return must(ctx, h, core.NotFoundError("stray", string(key)),
		"DELETE FROM strays WHERE project_id = $1 AND blob_key = $2 AND due_at > $3", string(project), string(key), micros(at))
}
