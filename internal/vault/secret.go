package vault

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// NewSecret is a request for a secret.
type NewSecret struct {
	ID        core.SecretID // empty: made here
	Kind      core.SecretKind
	Target    string // the URL of the MCP server, as the client spelled it, or the name of the variable
	Name      *string
	Metadata  map[string]string
	Terms     core.SecretTerms // URL is filled in from Target
	ExpiresAt time.Time        // of a SecretOAuth; zero: not known
	Plain     Plain
	Flat      bool // it came in Qoder's older body, so errors name its fields as they stand there
}

// CreateSecret seals a secret and puts it into a vault.
//
// Errors: Forbidden (below admin); NotFound (the vault); Invalid, naming the field, "vault_archived", or
// "too_many_credentials" above MaxSecrets; Conflict ("secret_already_exists" for the id;
// "credential_exists" while the vault has an active secret for the same server or variable).
func (s *Service) CreateSecret(ctx context.Context, by core.Principal, vault core.VaultID, n NewSecret) (core.Secret, error) {
	if err := by.Require(core.RoleAdmin); err != nil {
		return core.Secret{}, err
	}
	secret, err := s.prepare(core.Vault{Project: by.Project, ID: vault}, n, s.clock())
	if err != nil {
		return core.Secret{}, err
	}
	err = s.store.Tx(ctx, func(tx core.Store) error {
		v, err := tx.Vault(ctx, by.Project, vault)
		if err != nil {
			return err
		}
		if !v.ArchivedAt.IsZero() {
			return errVaultArchived
		}
		if err := tx.CreateSecret(ctx, secret); err != nil {
			return taken(n, err)
		}
		// Counted afterwards, so that who repeats a request by its id is told that, not that the vault is full.
		count, err := tx.CountSecrets(ctx, by.Project, vault)
		if err == nil && count > MaxSecrets {
			return tooMany("")
		}
		return err
	})
	if err != nil {
		return core.Secret{}, err
	}
	return secret, nil
}

// prepare checks a new secret and seals it.
func (s *Service) prepare(v core.Vault, n NewSecret, now time.Time) (core.Secret, error) {
	if n.ID == "" {
		n.ID = core.NewID[core.SecretID]()
	}
	secret := core.Secret{
		Project: v.Project, Vault: v.ID, ID: n.ID, Kind: n.Kind, Target: n.Target, Name: n.Name,
		Metadata: maps.Clone(n.Metadata), Terms: n.Terms, ExpiresAt: n.ExpiresAt.UTC().Truncate(time.Microsecond), CreatedAt: now, UpdatedAt: now,
	}
	if secret.Metadata == nil {
		secret.Metadata = map[string]string{}
	}
	if err := checkTarget(&secret, n); err != nil {
		return core.Secret{}, err
	}
	if err := checkPlain(secret, n.Plain, n.field); err != nil {
		return core.Secret{}, err
	}
	if !n.ExpiresAt.IsZero() && !n.ExpiresAt.After(now) {
		return core.Secret{}, core.InvalidField("auth.expires_at", "must be in the future")
	}
	if err := checkSecret(secret); err != nil {
		return core.Secret{}, err
	}
	return secret, s.ring.seal(&secret, n.Plain)
}

// taken turns the store's word for a second secret of one target into the caller's.
func taken(n NewSecret, err error) error {
	if core.CodeOf(err) != "secret_target_taken" {
		return err
	}
	field := n.field("auth.mcp_server_url")
	if n.Kind == core.SecretVariable {
		field = "auth.secret_name"
	}
	return &core.Error{
		Kind: core.Conflict, Code: "credential_exists", Field: field,
		Message: field + ": the vault has an active credential for this already: update that, or archive it first",
	}
}

// Secret returns one secret, archived or not. Errors: Forbidden; NotFound.
func (s *Service) Secret(ctx context.Context, by core.Principal, vault core.VaultID, id core.SecretID) (core.Secret, error) {
	if err := by.Require(core.RoleViewer); err != nil {
		return core.Secret{}, err
	}
	return s.store.Secret(ctx, by.Project, vault, id)
}

// Secrets lists the secrets of a vault, newest first. Errors: Forbidden; NotFound (the vault); Invalid (limit
// outside of 1 to 1000).
func (s *Service) Secrets(ctx context.Context, by core.Principal, vault core.VaultID, page core.VaultPage) ([]core.Secret, error) {
	if err := by.Require(core.RoleViewer); err != nil {
		return nil, err
	}
	if err := checkLimit(page.Limit); err != nil {
		return nil, err
	}
	if _, err := s.store.Vault(ctx, by.Project, vault); err != nil {
		return nil, err
	}
	return s.store.Secrets(ctx, by.Project, vault, page)
}

// UpdateSecret changes a secret (claude-managed-agents.md section 3.7 says in what).
//
// Errors: Forbidden (below admin); NotFound; Invalid, naming the field, or "credential_archived".
func (s *Service) UpdateSecret(ctx context.Context, by core.Principal, vault core.VaultID, id core.SecretID, c SecretChange) (core.Secret, error) {
	if err := by.Require(core.RoleAdmin); err != nil {
		return core.Secret{}, err
	}
	var secret core.Secret
	err := s.store.Tx(ctx, func(tx core.Store) error {
		stored, err := tx.Secret(ctx, by.Project, vault, id)
		if err != nil {
			return err
		}
		if !stored.ArchivedAt.IsZero() {
			return errSecretArchived
		}
		old, err := s.ring.open(stored)
		if err != nil {
			return err
		}
		secret = stored
		secret.Metadata = maps.Clone(stored.Metadata)
		plain, err := c.apply(&secret, old, s.clock())
		if err != nil {
			return err
		}
		if plain == old && sameJSON(stored, secret) {
			return nil
		}
		if err := errors.Join(checkPlain(secret, plain, c.field), checkSecret(secret)); err != nil {
			return err
		}
		secret.UpdatedAt = s.clock()
		if plain != old {
			if err := s.ring.seal(&secret, plain); err != nil {
				return err
			}
		}
		return tx.UpdateSecret(ctx, secret)
	})
	if err != nil {
		return core.Secret{}, err
	}
	return secret, nil
}

var errSecretArchived = core.Errorf(core.Invalid, "credential_archived", "the credential is archived")

func sameJSON(a, b core.Secret) bool {
	left, _ := json.Marshal(a) // plain values always marshal
	right, _ := json.Marshal(b)
	return slices.Equal(left, right)
}

// ArchiveSecret archives a secret for good and deletes what was secret. Its server or variable is free for
// another. Doing so again changes nothing. Errors: Forbidden (below admin); NotFound.
func (s *Service) ArchiveSecret(ctx context.Context, by core.Principal, vault core.VaultID, id core.SecretID) (core.Secret, error) {
	if err := by.Require(core.RoleAdmin); err != nil {
		return core.Secret{}, err
	}
	var secret core.Secret
	err := s.store.Tx(ctx, func(tx core.Store) (err error) {
		if secret, err = tx.Secret(ctx, by.Project, vault, id); err != nil || !secret.ArchivedAt.IsZero() {
			return err
		}
		secret.ArchivedAt = s.clock()
		secret.UpdatedAt, secret.SealKey, secret.Sealed = secret.ArchivedAt, "", nil
		return tx.UpdateSecret(ctx, secret)
	})
	if err != nil {
		return core.Secret{}, err
	}
	return secret, nil
}

// DeleteSecret removes a secret. Errors: Forbidden (below admin); NotFound.
func (s *Service) DeleteSecret(ctx context.Context, by core.Principal, vault core.VaultID, id core.SecretID) error {
	if err := by.Require(core.RoleAdmin); err != nil {
		return err
	}
	return s.store.DeleteSecret(ctx, by.Project, vault, id)
}

// field names a field of the request as the client spelled it.
func (n NewSecret) field(name string) string { return fieldIn(n.Flat, name) }

// fieldIn translates names of the nested body into those of Qoder's older, flat one.
func fieldIn(flat bool, name string) string {
	if !flat {
		return name
	}
	if name == "auth.token" {
		return "access_token"
	}
	return strings.TrimPrefix(name, "auth.")
}
