package store

import (
	"context"

	"github.com/reeve-ai/reeve/internal/core"
)

const invitationColumns = "id, project_id, email, role, prefix, hash, invited_by, created_at, expires_at, accepted_at, revoked_at"

func scanInvitation(r row) (core.Invitation, error) {
	var i core.Invitation
	err := r.Scan((*string)(&i.ID), (*string)(&i.Project), &i.Email, (*string)(&i.Role), &i.Prefix, &i.Hash,
		(*string)(&i.InvitedBy), timeColumn{&i.CreatedAt}, timeColumn{&i.ExpiresAt},
		timeColumn{&i.AcceptedAt}, timeColumn{&i.RevokedAt})
	return i, err
}

// CreateInvitation implements core.ProjectStore. An unknown project is NotFound ("reference_not_found").
func (s *store) CreateInvitation(ctx context.Context, i core.Invitation) error {
	return s.write(ctx, "create invitation", func(h *txn) error {
		return must(ctx, h, core.Errorf(core.Conflict, "prefix_taken", "an invitation with this prefix exists already"),
			"INSERT INTO invitations ("+invitationColumns+`)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING`,
			string(i.ID), string(i.Project), i.Email, string(i.Role), i.Prefix, i.Hash, string(i.InvitedBy),
			micros(i.CreatedAt), micros(i.ExpiresAt), micros(i.AcceptedAt), micros(i.RevokedAt))
	})
}

// InvitationByPrefix implements core.ProjectStore.
func (s *store) InvitationByPrefix(ctx context.Context, prefix string) (core.Invitation, error) {
	query := "SELECT " + invitationColumns + " FROM invitations WHERE prefix = $1"
	if s.tx != nil {
		query += s.engine.hold("invitations")
	}
	return readOne(ctx, s, "invitation", prefix, query, []any{prefix}, scanInvitation)
}

// Invitation implements core.ProjectStore.
func (s *store) Invitation(ctx context.Context, project core.ProjectID, id core.InvitationID) (core.Invitation, error) {
	return readOne(ctx, s, "invitation", string(id),
		"SELECT "+invitationColumns+" FROM invitations WHERE id = $1 AND project_id = $2",
		[]any{string(id), string(project)}, scanInvitation)
}

// Invitations implements core.ProjectStore.
func (s *store) Invitations(ctx context.Context, project core.ProjectID) ([]core.Invitation, error) {
	return readAll(ctx, s, "invitations", "SELECT "+invitationColumns+` FROM invitations
		WHERE project_id = $1 AND accepted_at = 0 AND revoked_at = 0 ORDER BY created_at DESC, id DESC`,
		[]any{string(project)}, scanInvitation)
}

// UpdateInvitation implements core.ProjectStore. An unknown invitation is NotFound.
func (s *store) UpdateInvitation(ctx context.Context, i core.Invitation) error {
	return s.write(ctx, "update invitation", func(h *txn) error {
		return must(ctx, h, core.NotFoundError("invitation", string(i.ID)),
			"UPDATE invitations SET accepted_at = $3, revoked_at = $4 WHERE id = $1 AND project_id = $2",
			string(i.ID), string(i.Project), micros(i.AcceptedAt), micros(i.RevokedAt))
	})
}
