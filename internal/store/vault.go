package store

import (
	"context"

	"github.com/reeve-ai/reeve/internal/core"
)

const vaultColumns = "v.project_id, v.id, v.name, v.metadata, v.created_at, v.updated_at, v.archived_at"

func scanVault(r row) (core.Vault, error) {
	var v core.Vault
	err := r.Scan((*string)(&v.Project), (*string)(&v.ID), &v.Name, jsonColumn{&v.Metadata},
		timeColumn{&v.CreatedAt}, timeColumn{&v.UpdatedAt}, timeColumn{&v.ArchivedAt})
	return v, err
}

// CreateVault implements core.VaultStore. An unknown project is NotFound ("reference_not_found").
func (s *store) CreateVault(ctx context.Context, v core.Vault) error {
	metadata, err := encodedMap(v.Metadata)
	if err != nil {
		return s.fail("create vault", err)
	}
	return s.write(ctx, "create vault", func(h *txn) error {
		return must(ctx, h, core.Errorf(core.Conflict, "vault_already_exists", "a vault with this id exists already"),
			`INSERT INTO vaults (project_id, id, name, metadata, created_at, updated_at, archived_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING`,
			string(v.Project), string(v.ID), v.Name, metadata, micros(v.CreatedAt), micros(v.UpdatedAt), micros(v.ArchivedAt))
	})
}

// Vault implements core.VaultStore.
func (s *store) Vault(ctx context.Context, project core.ProjectID, id core.VaultID) (core.Vault, error) {
	query := "SELECT " + vaultColumns + " FROM vaults v WHERE v.project_id = $1 AND v.id = $2"
	if s.tx != nil {
		query += s.engine.hold("v")
	}
	return readOne(ctx, s, "vault", string(id), query, []any{string(project), string(id)}, scanVault)
}

// UpdateVault implements core.VaultStore.
func (s *store) UpdateVault(ctx context.Context, v core.Vault) error {
	metadata, err := encodedMap(v.Metadata)
	if err != nil {
		return s.fail("update vault", err)
	}
	return s.write(ctx, "update vault", func(h *txn) error {
		return must(ctx, h, core.NotFoundError("vault", string(v.ID)),
			"UPDATE vaults SET name = $3, metadata = $4, updated_at = $5, archived_at = $6 WHERE project_id = $1 AND id = $2",
			string(v.Project), string(v.ID), v.Name, metadata, micros(v.UpdatedAt), micros(v.ArchivedAt))
	})
}

// DeleteVault implements core.VaultStore. The schema takes the secrets along.
func (s *store) DeleteVault(ctx context.Context, project core.ProjectID, id core.VaultID) error {
	return s.write(ctx, "delete vault", func(h *txn) error {
		return must(ctx, h, core.NotFoundError("vault", string(id)),
			"DELETE FROM vaults WHERE project_id = $1 AND id = $2", string(project), string(id))
	})
}

// Vaults implements core.VaultStore.
func (s *store) Vaults(ctx context.Context, project core.ProjectID, page core.VaultPage) ([]core.Vault, error) {
	q := listQuery{engine: s.engine}
	q.and("v.project_id = %s", string(project))
	if !page.IncludeArchived {
		q.and("v.archived_at = 0")
	}
	order, backwards := q.order("v", keyset{after: page.After, before: page.Before})
	query := "SELECT " + vaultColumns + " FROM vaults v WHERE " + q.conditions() + order + q.limit(page.Limit, 0)
	list, err := readAll(ctx, s, "vaults", query, q.args, scanVault)
	return inOrder(list, backwards), err
}
