package store

import (
	"context"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

const secretColumns = `s.project_id, s.vault_id, s.id, s.kind, s.target, s.name, s.metadata, s.terms, s.expires_at,
	s.refresh_until, s.seal_key, s.sealed, s.created_at, s.updated_at, s.archived_at`

func scanSecret(r row) (core.Secret, error) {
	var s core.Secret
	err := r.Scan((*string)(&s.Project), (*string)(&s.Vault), (*string)(&s.ID), (*string)(&s.Kind), &s.Target, &s.Name,
		jsonColumn{&s.Metadata}, jsonColumn{&s.Terms}, timeColumn{&s.ExpiresAt}, timeColumn{&s.RefreshUntil},
		&s.SealKey, rawColumn{&s.Sealed}, timeColumn{&s.CreatedAt}, timeColumn{&s.UpdatedAt}, timeColumn{&s.ArchivedAt})
	return s, err
}

func encodedSecret(s core.Secret) (metadata, terms string, sealed any, err error) {
	if metadata, err = encodedMap(s.Metadata); err != nil {
		return "", "", nil, err
	}
	if s.Sealed != nil {
		sealed = s.Sealed
	}
	terms, err = encoded(s.Terms)
	return metadata, terms, sealed, err
}

// CreateSecret implements core.VaultStore. RefreshUntil is not stored. An unknown vault is NotFound
// ("reference_not_found").
func (s *store) CreateSecret(ctx context.Context, n core.Secret) error {
	metadata, terms, sealed, err := encodedSecret(n)
	if err != nil {
		return s.fail("create secret", err)
	}
	return s.write(ctx, "create secret", func(h *txn) error {
		made, err := h.change(ctx, `INSERT INTO secrets (project_id, vault_id, id, kind, target, name, metadata, terms,
				expires_at, refresh_until, seal_key, sealed, created_at, updated_at, archived_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, $10, $11, $12, $13, $14) ON CONFLICT DO NOTHING`,
			[]any{
				string(n.Project), string(n.Vault), string(n.ID), string(n.Kind), n.Target, pointed(n.Name), metadata, terms,
				micros(n.ExpiresAt), n.SealKey, sealed, micros(n.CreatedAt), micros(n.UpdatedAt), micros(n.ArchivedAt),
			}, nil)
		if err != nil || made > 0 {
			return err
		}
		there, err := found(ctx, h, "SELECT 1 FROM secrets WHERE project_id = $1 AND id = $2", string(n.Project), string(n.ID))
		if err != nil {
			return err
		}
		if there {
			return core.Errorf(core.Conflict, "secret_already_exists", "a secret with this id exists already")
		}
		return core.Errorf(core.Conflict, "secret_target_taken", "the vault has an active secret for this target already")
	})
}

// Secret implements core.VaultStore.
func (s *store) Secret(ctx context.Context, project core.ProjectID, vault core.VaultID, id core.SecretID) (core.Secret, error) {
	query := "SELECT " + secretColumns + " FROM secrets s WHERE s.project_id = $1 AND s.id = $2 AND s.vault_id = $3"
	if s.tx != nil {
		query += s.engine.hold("s")
	}
	return readOne(ctx, s, "secret", string(id), query, []any{string(project), string(id), string(vault)}, scanSecret)
}

// UpdateSecret implements core.VaultStore.
func (s *store) UpdateSecret(ctx context.Context, n core.Secret) error {
	metadata, terms, sealed, err := encodedSecret(n)
	if err != nil {
		return s.fail("update secret", err)
	}
	return s.write(ctx, "update secret", func(h *txn) error {
		return must(ctx, h, core.NotFoundError("secret", string(n.ID)), `UPDATE secrets
			SET name = $4, metadata = $5, terms = $6, expires_at = $7, seal_key = $8, sealed = $9, updated_at = $10, archived_at = $11
			WHERE project_id = $1 AND id = $2 AND vault_id = $3`,
			string(n.Project), string(n.ID), string(n.Vault), pointed(n.Name), metadata, terms, micros(n.ExpiresAt),
			n.SealKey, sealed, micros(n.UpdatedAt), micros(n.ArchivedAt))
	})
}

// DeleteSecret implements core.VaultStore.
func (s *store) DeleteSecret(ctx context.Context, project core.ProjectID, vault core.VaultID, id core.SecretID) error {
	return s.write(ctx, "delete secret", func(h *txn) error {
		return must(ctx, h, core.NotFoundError("secret", string(id)),
			"DELETE FROM secrets WHERE project_id = $1 AND id = $2 AND vault_id = $3", string(project), string(id), string(vault))
	})
}

// Secrets implements core.VaultStore.
func (s *store) Secrets(ctx context.Context, project core.ProjectID, vault core.VaultID, page core.VaultPage) ([]core.Secret, error) {
	q := listQuery{engine: s.engine}
	q.and("s.project_id = %s", string(project))
	q.and("s.vault_id = %s", string(vault))
	if !page.IncludeArchived {
		q.and("s.archived_at = 0")
	}
	order, backwards := q.order("s", keyset{after: page.After, before: page.Before})
	query := "SELECT " + secretColumns + " FROM secrets s WHERE " + q.conditions() + order + q.limit(page.Limit, 0)
	list, err := readAll(ctx, s, "secrets", query, q.args, scanSecret)
	return inOrder(list, backwards), err
}

// CountSecrets implements core.VaultStore.
func (s *store) CountSecrets(ctx context.Context, project core.ProjectID, vault core.VaultID) (int, error) {
	return readOne(ctx, s, "vault", string(vault),
		"SELECT COUNT(*) FROM secrets WHERE project_id = $1 AND vault_id = $2 AND archived_at = 0",
		[]any{string(project), string(vault)}, func(r row) (n int, err error) {
			err = r.Scan(&n)
			return n, err
		})
}

// ArchiveSecrets implements core.VaultStore.
func (s *store) ArchiveSecrets(ctx context.Context, project core.ProjectID, vault core.VaultID, at time.Time) (int, error) {
	var n int64
	err := s.write(ctx, "archive secrets", func(h *txn) (err error) {
		n, err = h.change(ctx, `UPDATE secrets SET sealed = NULL, seal_key = '', updated_at = $3, archived_at = $3
			WHERE project_id = $1 AND vault_id = $2 AND archived_at = 0`,
			[]any{string(project), string(vault), micros(at)}, nil)
		return err
	})
	return int(n), err
}

// TargetSecrets implements core.VaultStore.
func (s *store) TargetSecrets(ctx context.Context, project core.ProjectID, vaults []core.VaultID, target string) ([]core.Secret, error) {
	if len(vaults) == 0 {
		return []core.Secret{}, nil
	}
	q := listQuery{engine: s.engine}
	q.and("s.project_id = %s", string(project))
	andIn(&q, "s.vault_id", vaults)
	q.and("s.target = %s", target)
	q.and("s.archived_at = 0")
	return readAll(ctx, s, "secrets", "SELECT "+secretColumns+" FROM secrets s WHERE "+q.conditions(), q.args, scanSecret)
}

// KindSecrets implements core.VaultStore.
func (s *store) KindSecrets(ctx context.Context, project core.ProjectID, vaults []core.VaultID, kind core.SecretKind) ([]core.Secret, error) {
	if len(vaults) == 0 {
		return []core.Secret{}, nil
	}
	q := listQuery{engine: s.engine}
	q.and("s.project_id = %s", string(project))
	andIn(&q, "s.vault_id", vaults)
	q.and("s.kind = %s", string(kind))
	q.and("s.archived_at = 0")
	return readAll(ctx, s, "secrets", "SELECT "+secretColumns+" FROM secrets s WHERE "+q.conditions(), q.args, scanSecret)
}

// LeaseRefresh implements core.VaultStore. One statement, so that no two callers find it free.
func (s *store) LeaseRefresh(ctx context.Context, project core.ProjectID, vault core.VaultID, id core.SecretID, now, until time.Time) (bool, error) {
	var n int64
	err := s.write(ctx, "lease refresh", func(h *txn) (err error) {
		n, err = h.change(ctx, `UPDATE secrets SET refresh_until = $5
			WHERE project_id = $1 AND id = $2 AND vault_id = $3 AND archived_at = 0 AND refresh_until <= $4`,
			[]any{string(project), string(id), string(vault), micros(now), micros(until)}, nil)
		return err
	})
	return n > 0, err
}

// EndRefresh implements core.VaultStore.
func (s *store) EndRefresh(ctx context.Context, project core.ProjectID, vault core.VaultID, id core.SecretID, until time.Time) error {
	return s.write(ctx, "end refresh", func(h *txn) error {
		_, err := h.change(ctx, `UPDATE secrets SET refresh_until = 0
			WHERE project_id = $1 AND id = $2 AND vault_id = $3 AND refresh_until = $4`,
			[]any{string(project), string(id), string(vault), micros(until)}, nil)
		return err
	})
}
