package webhook

import (
	"context"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// manySecrets is more than a vault ever shows: it bounds what one transaction tells.
const manySecrets = 1000

func vaultWire(id core.VaultID) string { return vaultPrefix + string(id) }

func secretEvent(verb string, vault core.VaultID, id core.SecretID) happening {
	return happening{Type: "vault_credential." + verb, Object: secretPrefix + string(id), Vault: vaultWire(vault)}
}

// CreateVault implements core.Store.
func (w *watch) CreateVault(ctx context.Context, v core.Vault) error {
	return w.and(ctx, v.Project, func(to core.Store) error { return to.CreateVault(ctx, v) },
		happening{Type: "vault.created", Object: vaultWire(v.ID)})
}

// UpdateVault implements core.Store. Only its archive is told.
func (w *watch) UpdateVault(ctx context.Context, v core.Vault) error {
	change := func(to core.Store) error { return to.UpdateVault(ctx, v) }
	if v.ArchivedAt.IsZero() {
		return change(w.Store)
	}
	return compare(ctx, w, v.Project,
		func(from core.Store) (core.Vault, error) { return from.Vault(ctx, v.Project, v.ID) }, change,
		func(was core.Vault) []happening {
			return one("vault", archived(was.ArchivedAt, v.ArchivedAt, ""), vaultWire(v.ID))
		})
}

// DeleteVault implements core.Store. Its secrets go with it, and each is told.
func (w *watch) DeleteVault(ctx context.Context, project core.ProjectID, id core.VaultID) error {
	return compare(ctx, w, project,
		func(from core.Store) ([]core.Secret, error) {
			return from.Secrets(ctx, project, id, core.VaultPage{Limit: manySecrets, IncludeArchived: true})
		},
		func(to core.Store) error { return to.DeleteVault(ctx, project, id) },
		func(gone []core.Secret) []happening {
			return append(secretEvents("deleted", gone), happening{Type: "vault.deleted", Object: vaultWire(id)})
		})
}

func secretEvents(verb string, list []core.Secret) []happening {
	var what []happening
	for _, s := range list {
		what = append(what, secretEvent(verb, s.Vault, s.ID))
	}
	return what
}

// CreateSecret implements core.Store.
func (w *watch) CreateSecret(ctx context.Context, s core.Secret) error {
	return w.and(ctx, s.Project, func(to core.Store) error { return to.CreateSecret(ctx, s) }, secretEvent("created", s.Vault, s.ID))
}

// UpdateSecret implements core.Store. Only its archive is told.
func (w *watch) UpdateSecret(ctx context.Context, s core.Secret) error {
	change := func(to core.Store) error { return to.UpdateSecret(ctx, s) }
	if s.ArchivedAt.IsZero() {
		return change(w.Store)
	}
	return compare(ctx, w, s.Project,
		func(from core.Store) (core.Secret, error) { return from.Secret(ctx, s.Project, s.Vault, s.ID) }, change,
		func(was core.Secret) []happening {
			if archived(was.ArchivedAt, s.ArchivedAt, "") == "" {
				return nil
			}
			return []happening{secretEvent("archived", s.Vault, s.ID)}
		})
}

// DeleteSecret implements core.Store.
func (w *watch) DeleteSecret(ctx context.Context, project core.ProjectID, vault core.VaultID, id core.SecretID) error {
	return w.and(ctx, project, func(to core.Store) error { return to.DeleteSecret(ctx, project, vault, id) }, secretEvent("deleted", vault, id))
}

// ArchiveSecrets implements core.Store.
func (w *watch) ArchiveSecrets(ctx context.Context, project core.ProjectID, vault core.VaultID, at time.Time) (count int, err error) {
	err = compare(ctx, w, project,
		func(from core.Store) ([]core.Secret, error) {
			return from.Secrets(ctx, project, vault, core.VaultPage{Limit: manySecrets})
		},
		func(to core.Store) (err error) {
			count, err = to.ArchiveSecrets(ctx, project, vault, at)
			return err
		},
		func(active []core.Secret) []happening { return secretEvents("archived", active) })
	return count, err
}
