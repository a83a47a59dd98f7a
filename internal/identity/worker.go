package identity

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

const (
	// workLabel begins the token of a work item; the rest is a JWT.
	workLabel = "sk-reeve-work_"
	// WorkTokenLifetime bounds a work token. What ends it in practice is its item, which is looked up with every
	// use. A worker that outlives its token loses the item, and whoever has it next gets a new one.
	WorkTokenLifetime = 24 * time.Hour
)

// Caller returns who presents a credential with which a client of managed agents may come: an access token in
// any spelling, the key of an environment, or the token of a work item.
//
// Errors: Unauthenticated.
func (s *Service) Caller(ctx context.Context, raw string) (core.Principal, error) {
	switch {
	case strings.HasPrefix(raw, workLabel):
		return s.WorkToken(ctx, raw)
	case strings.HasPrefix(raw, environmentLabel):
		return s.EnvironmentKey(ctx, raw)
	}
	return s.Token(ctx, raw)
}

// IsWorkerCredential reports whether raw is spelled as what workers present. It does not say that it works.
func IsWorkerCredential(raw string) bool {
	return strings.HasPrefix(raw, workLabel) || strings.HasPrefix(raw, environmentLabel)
}

// EnvironmentKey returns whose environment a key opens to a worker. The principal has no role: see
// core.Principal.RequireIn. A key works as long as its environment is there, archived or not.
//
// Errors: Unauthenticated ("invalid_environment_key").
func (s *Service) EnvironmentKey(ctx context.Context, raw string) (core.Principal, error) {
	k, err := s.key(ctx, raw, s.proof(raw), core.CredentialEnvironment, "")
	if err != nil {
		return core.Principal{}, err
	}
	return core.Principal{Kind: core.PrincipalEnvironment, Project: k.Project, Credential: k.ID, Environment: k.Environment}, nil
}

// workClaims name an item, the project under which it is found again, and the key that it was given to.
type workClaims struct {
	common
	Work    string `json:"work_id"`
	Project string `json:"project_id"`
	Key     string `json:"key_id,omitempty"` // empty: a person asked for the item
}

// NewWorkToken makes the token under which a worker serves one item, valid for WorkTokenLifetime at most, and
// no longer than the key with which by asked for the item.
func (s *Service) NewWorkToken(by core.Principal, w core.Work) (string, error) {
	raw, err := s.work.sign(workClaims{
		common: s.work.claimsFor(s.now(), WorkTokenLifetime), Work: string(w.ID), Project: string(w.Project), Key: string(by.Credential),
	})
	if err != nil {
		return "", err
	}
	return workLabel + raw, nil
}

// WorkToken returns who serves which work item. The principal has no role: see core.Principal.RequireIn. Once
// the item is stopped the principal's Session is empty: it still may say so of its item, and hear that it is
// over, but reaches the session no more.
//
// Errors: Unauthenticated ("invalid_work_token"): also once the item is gone, or the key was revoked that it was
// given to.
func (s *Service) WorkToken(ctx context.Context, raw string) (core.Principal, error) {
	none := core.Errorf(core.Unauthenticated, "invalid_work_token", "the work token is not valid")
	var c workClaims
	token, spelled := strings.CutPrefix(raw, workLabel)
	if !spelled || !s.work.read(token, &c) {
		return core.Principal{}, none
	}
	w, err := s.store.WorkByID(ctx, core.ProjectID(c.Project), core.WorkID(c.Work))
	if core.KindOf(err) == core.NotFound {
		return core.Principal{}, none
	}
	if err != nil {
		return core.Principal{}, fmt.Errorf("read work: %w", err)
	}
	if open, err := s.stillOpen(ctx, w.Project, core.CredentialID(c.Key)); err != nil || !open {
		return core.Principal{}, cmp.Or(err, error(none))
	}
	by := core.Principal{Kind: core.PrincipalWork, Project: w.Project, Environment: w.Environment, Work: w.ID}
	if w.State != core.WorkStopped {
		by.Session = w.Session
	}
	return by, nil
}

// stillOpen reports whether a project is active and a key of it, unless it is empty, works.
func (s *Service) stillOpen(ctx context.Context, project core.ProjectID, key core.CredentialID) (bool, error) {
	p, err := s.store.Project(ctx, project)
	if err != nil {
		return false, fmt.Errorf("read project: %w", err)
	}
	if key == "" {
		return p.Active, nil
	}
	k, err := s.store.Credential(ctx, project, key)
	if core.KindOf(err) == core.NotFound {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read the key of a work token: %w", err)
	}
	return p.Active && k.Live(s.clock()), nil
}

// NewEnvironmentKey asks for a key of an environment.
type NewEnvironmentKey struct {
	Name      string    // ≤ 255 characters; may be empty
	ExpiresAt time.Time // zero: never
}

// CreateEnvironmentKey makes a key with which workers serve a self-hosted environment. Its plain text is in
// the result and nowhere else.
//
// Errors: Forbidden (below admin); NotFound (environment); Invalid (the name; "expires_at" in the past;
// "environment_not_self_hosted").
func (s *Service) CreateEnvironmentKey(ctx context.Context, by core.Principal, environment core.EnvironmentID, n NewEnvironmentKey) (string, core.Credential, error) {
	e, err := s.environment(ctx, by, environment)
	if err != nil {
		return "", core.Credential{}, err
	}
	if !e.Config.SelfHosted {
		return "", core.Credential{}, core.Errorf(core.Invalid, "environment_not_self_hosted", "only a self_hosted environment has workers, and keys for them")
	}
	name, err := keyName(n.Name)
	if err != nil {
		return "", core.Credential{}, err
	}
	plain, c := s.newKey(environmentLabel, by.Project, 0)
	c.Environment, c.Name, c.CreatedBy = environment, name, by.User
	if !n.ExpiresAt.IsZero() {
		if c.ExpiresAt = n.ExpiresAt.UTC().Truncate(time.Microsecond); !c.ExpiresAt.After(c.CreatedAt) {
			return "", core.Credential{}, core.InvalidField("expires_at", "lies in the past")
		}
	}
	if err := s.store.CreateCredential(ctx, c); err != nil {
		return "", core.Credential{}, fmt.Errorf("store environment key: %w", err)
	}
	return plain, c, nil
}

// EnvironmentKeys lists the keys of an environment, newest first, those that were revoked or have expired
// included. It is never nil.
//
// Errors: Forbidden (below admin); NotFound (environment).
func (s *Service) EnvironmentKeys(ctx context.Context, by core.Principal, environment core.EnvironmentID) ([]core.Credential, error) {
	if _, err := s.environment(ctx, by, environment); err != nil {
		return nil, err
	}
	list, err := s.store.EnvironmentCredentials(ctx, by.Project, environment)
	if err != nil {
		return nil, fmt.Errorf("list environment keys: %w", err)
	}
	return list, nil
}

// RevokeEnvironmentKey ends one key of an environment, at once, and with it the tokens of the work items that
// were given to it. It returns the key as it is now.
//
// Errors: Forbidden (below admin); NotFound (environment; "environment_key_not_found": no key of it, or
// already revoked).
func (s *Service) RevokeEnvironmentKey(ctx context.Context, by core.Principal, environment core.EnvironmentID, id core.CredentialID) (core.Credential, error) {
	if _, err := s.environment(ctx, by, environment); err != nil {
		return core.Credential{}, err
	}
	c, err := s.store.Credential(ctx, by.Project, id)
	if err != nil && core.KindOf(err) != core.NotFound {
		return core.Credential{}, fmt.Errorf("read environment key: %w", err)
	}
	if err != nil || c.Environment != environment {
		return core.Credential{}, core.NotFoundError("environment_key", core.FormatUUID(id))
	}
	return s.revoke(ctx, by, id, core.CredentialEnvironment, "environment_key")
}

// environment returns an environment to who may have its keys.
func (s *Service) environment(ctx context.Context, by core.Principal, id core.EnvironmentID) (core.Environment, error) {
	if err := by.Require(core.RoleAdmin); err != nil {
		return core.Environment{}, err
	}
	e, err := s.store.Environment(ctx, by.Project, id)
	if err != nil {
		return core.Environment{}, fmt.Errorf("read environment: %w", err)
	}
	return e, nil
}

// EnvironmentKeyStart is how an environment's key begins, up to its secret.
func EnvironmentKeyStart(c core.Credential) string { return environmentLabel + c.Prefix }
