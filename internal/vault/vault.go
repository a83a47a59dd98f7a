package vault

import (
	"context"
	"fmt"
	"maps"

	"github.com/reeve-ai/reeve/internal/core"
)

// NewVault is a request for a vault.
type NewVault struct {
	ID       core.VaultID // empty: made here
	Name     string
	Metadata map[string]string
	Secrets  []NewSecret // to be made with it (Qoder's older clients); errors name them credentials[i]
}

// CreateVault makes a vault and its first secrets, or nothing. The secrets come back in order, never nil.
//
// Errors: Forbidden (below admin); Invalid, naming the field; Conflict ("vault_already_exists"; those of
// CreateSecret).
func (s *Service) CreateVault(ctx context.Context, by core.Principal, n NewVault) (core.Vault, []core.Secret, error) {
	if err := by.Require(core.RoleAdmin); err != nil {
		return core.Vault{}, nil, err
	}
	if n.ID == "" {
		n.ID = core.NewID[core.VaultID]()
	}
	now := s.clock()
	v := core.Vault{Project: by.Project, ID: n.ID, Name: n.Name, Metadata: maps.Clone(n.Metadata), CreatedAt: now, UpdatedAt: now}
	if v.Metadata == nil {
		v.Metadata = map[string]string{}
	}
	if err := checkVault(v); err != nil {
		return core.Vault{}, nil, err
	}
	if len(n.Secrets) > MaxSecrets {
		return core.Vault{}, nil, tooMany("credentials")
	}
	made := make([]core.Secret, len(n.Secrets))
	for i, first := range n.Secrets {
		var err error
		if made[i], err = s.prepare(v, first, now); err != nil {
			return core.Vault{}, nil, inside(fmt.Sprintf("credentials[%d]", i), err)
		}
	}
	err := s.store.Tx(ctx, func(tx core.Store) error {
		if err := tx.CreateVault(ctx, v); err != nil {
			return err
		}
		for i, secret := range made {
			if err := tx.CreateSecret(ctx, secret); err != nil {
				return inside(fmt.Sprintf("credentials[%d]", i), taken(n.Secrets[i], err))
			}
		}
		return nil
	})
	if err != nil {
		return core.Vault{}, nil, err
	}
	return v, made, nil
}

// Vault returns one vault, archived or not. Errors: Forbidden; NotFound.
func (s *Service) Vault(ctx context.Context, by core.Principal, id core.VaultID) (core.Vault, error) {
	if err := by.Require(core.RoleViewer); err != nil {
		return core.Vault{}, err
	}
	return s.store.Vault(ctx, by.Project, id)
}

// Vaults lists the project's vaults, newest first. Errors: Forbidden; Invalid (limit outside of 1 to 1000).
func (s *Service) Vaults(ctx context.Context, by core.Principal, page core.VaultPage) ([]core.Vault, error) {
	if err := by.Require(core.RoleViewer); err != nil {
		return nil, err
	}
	if err := checkLimit(page.Limit); err != nil {
		return nil, err
	}
	return s.store.Vaults(ctx, by.Project, page)
}

// VaultChange is what may be changed in a vault. A nil field stays. Metadata is merged: a nil value deletes
// its key.
type VaultChange struct {
	Name     *string
	Metadata map[string]*string
}

// UpdateVault changes a vault. Errors: Forbidden (below admin); NotFound; Invalid, naming the field, or
// "vault_archived".
func (s *Service) UpdateVault(ctx context.Context, by core.Principal, id core.VaultID, c VaultChange) (core.Vault, error) {
	if err := by.Require(core.RoleAdmin); err != nil {
		return core.Vault{}, err
	}
	var v core.Vault
	err := s.store.Tx(ctx, func(tx core.Store) error {
		stored, err := tx.Vault(ctx, by.Project, id)
		if err != nil {
			return err
		}
		v = stored
		if !v.ArchivedAt.IsZero() {
			return errVaultArchived
		}
		if c.Name != nil {
			v.Name = *c.Name
		}
		v.Metadata = merged(v.Metadata, c.Metadata)
		if v.Name == stored.Name && maps.Equal(v.Metadata, stored.Metadata) {
			return nil
		}
		if err := checkVault(v); err != nil {
			return err
		}
		v.UpdatedAt = s.clock()
		return tx.UpdateVault(ctx, v)
	})
	if err != nil {
		return core.Vault{}, err
	}
	return v, nil
}

var errVaultArchived = core.Errorf(core.Invalid, "vault_archived", "the vault is archived")

// ArchiveVault archives a vault and all of its secrets, for good; what was secret is deleted. Sessions that
// name the vault go on without it. Doing so again changes nothing.
//
// Errors: Forbidden (below admin); NotFound.
func (s *Service) ArchiveVault(ctx context.Context, by core.Principal, id core.VaultID) (core.Vault, error) {
	if err := by.Require(core.RoleAdmin); err != nil {
		return core.Vault{}, err
	}
	var v core.Vault
	err := s.store.Tx(ctx, func(tx core.Store) (err error) {
		if v, err = tx.Vault(ctx, by.Project, id); err != nil || !v.ArchivedAt.IsZero() {
			return err
		}
		v.ArchivedAt = s.clock()
		v.UpdatedAt = v.ArchivedAt
		if err := tx.UpdateVault(ctx, v); err != nil {
			return err
		}
		_, err = tx.ArchiveSecrets(ctx, by.Project, id, v.ArchivedAt)
		return err
	})
	if err != nil {
		return core.Vault{}, err
	}
	return v, nil
}

// DeleteVault removes a vault with all of its secrets. Sessions that name it go on without it.
//
// Errors: Forbidden (below admin); NotFound.
func (s *Service) DeleteVault(ctx context.Context, by core.Principal, id core.VaultID) error {
	if err := by.Require(core.RoleAdmin); err != nil {
		return err
	}
	return s.store.DeleteVault(ctx, by.Project, id)
}

// merged applies a patch to a map and returns a new one, never nil.
func merged(m map[string]string, patch map[string]*string) map[string]string {
	next := make(map[string]string, len(m)+len(patch))
	maps.Copy(next, m)
	for k, v := range patch {
		if v == nil {
			delete(next, k)
		} else {
			next[k] = *v
		}
	}
	return next
}
