package store

import (
	"context"

	"github.com/reeve-ai/reeve/internal/core"
)

// UpdateSnapshot implements core.SessionStore.
func (s *store) UpdateSnapshot(ctx context.Context, project core.ProjectID, id core.SessionID, spec core.AgentSpec) error {
	text, err := encoded(spec)
	if err != nil {
		return s.fail("update snapshot", err)
	}
	return s.write(ctx, "update snapshot", func(h *txn) error {
		return must(ctx, h, core.NotFoundError("session", string(id)), `UPDATE session_snapshots SET spec = $3
			WHERE session_id = $1 AND EXISTS (SELECT 1 FROM sessions WHERE id = $1 AND project_id = $2)`,
			string(id), string(project), text)
	})
}
