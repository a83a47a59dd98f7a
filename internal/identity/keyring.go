package identity

import (
	"context"
	"fmt"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// The lifetime of an SDK key, in days (reference otas.md, 3.9).
const (
	MinSDKKeyDays = 1
	MaxSDKKeyDays = 300
)

// CreateSDKKey makes a key with which the project's backend reports. Its plain text is in the result and
// nowhere else. name may be empty. Only an administrator may, as the original's documents have it and its
// code has not (reference otas.md, section 8, S6).
//
// Errors: Forbidden; Invalid (field "validity" for days outside of MinSDKKeyDays to MaxSDKKeyDays;
// "field_too_long" for the name).
func (s *Service) CreateSDKKey(ctx context.Context, by core.Principal, days int, name string) (string, core.Credential, error) {
	if err := by.Require(core.RoleAdmin); err != nil {
		return "", core.Credential{}, err
	}
	if days < MinSDKKeyDays || days > MaxSDKKeyDays {
		return "", core.Credential{}, core.InvalidField("validity", "must be between %d and %d days", MinSDKKeyDays, MaxSDKKeyDays)
	}
	given, err := keyName(name)
	if err != nil {
		return "", core.Credential{}, err
	}
	plain, c := s.newKey(sdkLabel, by.Project, time.Duration(days)*24*time.Hour)
	c.Name, c.CreatedBy = given, by.User
	if err := s.store.CreateCredential(ctx, c); err != nil {
		return "", core.Credential{}, fmt.Errorf("store SDK key: %w", err)
	}
	return plain, c, nil
}

// SDKKeys lists the project's SDK keys, newest first, those that were revoked or have expired included. It
// is never nil.
//
// Errors: Forbidden (below admin).
func (s *Service) SDKKeys(ctx context.Context, by core.Principal) ([]core.Credential, error) {
	return s.credentials(ctx, by, core.CredentialSDK)
}

// Keys lists all keys of the project, of every kind, newest first, those that were revoked or have expired
// included. It is never nil.
//
// Errors: Forbidden (below admin).
func (s *Service) Keys(ctx context.Context, by core.Principal) ([]core.Credential, error) {
	return s.credentials(ctx, by, "")
}

func (s *Service) credentials(ctx context.Context, by core.Principal, kind core.CredentialKind) ([]core.Credential, error) {
	if err := by.Require(core.RoleAdmin); err != nil {
		return nil, err
	}
	list, err := s.store.Credentials(ctx, by.Project, kind, "")
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	return list, nil
}

// RevokeSDKKey ends one SDK key, at once.
//
// Errors: Forbidden; NotFound ("sdk_key_not_found": no SDK key of this project, or already revoked).
func (s *Service) RevokeSDKKey(ctx context.Context, by core.Principal, id core.CredentialID) error {
	_, err := s.revoke(ctx, by, id, core.CredentialSDK, "sdk_key")
	return err
}

// RevokeKey ends one key of any kind, at once, and returns it as it is now. With an agent key, the sessions
// that it had opened end.
//
// Errors: Forbidden; NotFound ("key_not_found": no key of this project, or already revoked).
func (s *Service) RevokeKey(ctx context.Context, by core.Principal, id core.CredentialID) (core.Credential, error) {
	return s.revoke(ctx, by, id, "", "key")
}

// revoke ends a key of one kind, or of any if kind is empty; noun is what it is called in the error.
func (s *Service) revoke(ctx context.Context, by core.Principal, id core.CredentialID, kind core.CredentialKind, noun string) (core.Credential, error) {
	if err := by.Require(core.RoleAdmin); err != nil {
		return core.Credential{}, err
	}
	var c core.Credential
	err := s.store.Tx(ctx, func(tx core.Store) (err error) {
		if c, err = tx.Credential(ctx, by.Project, id); err != nil {
			return err
		}
		if kind != "" && c.Kind != kind {
			return core.NotFoundError(noun, core.FormatUUID(id))
		}
		at, ends := s.clock(), c.Kind == core.CredentialAgent
		if err := tx.RevokeCredential(ctx, by.Project, id, at, ends); err != nil {
			return err
		}
		c.RevokedAt, c.EndsSessions = at, ends
		return nil
	})
	if core.KindOf(err) == core.NotFound {
		return core.Credential{}, core.NotFoundError(noun, core.FormatUUID(id))
	}
	if err != nil {
		return core.Credential{}, fmt.Errorf("revoke %s: %w", noun, err)
	}
	return c, nil
}
