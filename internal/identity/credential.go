package identity

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"

	"github.com/reeve-ai/reeve/internal/core"
)

// refused is the one answer for a credential of a kind that does not work, whatever the reason.
func refused(kind core.CredentialKind) error {
	switch kind {
	case core.CredentialAgent:
		return core.Errorf(core.Unauthenticated, "invalid_agent_key", "the agent key is not valid")
	case core.CredentialSDK:
		return core.Errorf(core.Unauthenticated, "invalid_sdk_key", "the SDK key is not valid")
	case core.CredentialEnvironment:
		return core.Errorf(core.Unauthenticated, "invalid_environment_key", "the environment key is not valid")
	}
	return core.Errorf(core.Unauthenticated, "invalid_token", "the access token is not valid")
}

// Token returns who holds an access token, in any spelling.
//
// Errors: Unauthenticated ("invalid_token").
func (s *Service) Token(ctx context.Context, raw string) (core.Principal, error) {
	k, err := s.key(ctx, raw, s.proof(raw), core.CredentialAccess, "")
	if err != nil {
		return core.Principal{}, err
	}
	return core.Principal{Kind: core.PrincipalToken, Project: k.Project, Role: k.Role, Credential: k.ID, User: k.CreatedBy}, nil
}

// SDKProject returns which project's backend holds an SDK key, and that project. The principal has no
// role: the key serves to report, not to read or to change anything.
//
// Errors: Unauthenticated ("invalid_sdk_key").
func (s *Service) SDKProject(ctx context.Context, raw string) (core.Principal, core.Project, error) {
	k, err := s.key(ctx, raw, s.proof(raw), core.CredentialSDK, "")
	if err != nil {
		return core.Principal{}, core.Project{}, err
	}
	p, err := s.store.Project(ctx, k.Project)
	if err != nil {
		return core.Principal{}, core.Project{}, fmt.Errorf("read project: %w", err)
	}
	return core.Principal{Kind: core.PrincipalSDK, Project: k.Project, Credential: k.ID}, p, nil
}

// AgentKey returns which agent holds an agent key, and that agent. The principal has no role: the
// key lets an agent open sessions and report, nothing else. The key of a deactivated or archived
// agent does not work. It takes one from the agent's allowance: agents that open sessions without end
// are slowed down as those that report without end.
//
// Errors: Unauthenticated ("invalid_agent_key"); RateLimited ("rate_limited", with RetryAfter), for a key
// that was valid before without reading anything.
func (s *Service) AgentKey(ctx context.Context, raw string) (core.Principal, core.Agent, error) {
	sum := s.proof(raw)
	if whose, ok := s.allowance.whose(sum); ok {
		if err := s.allowance.left(whose); err != nil {
			return core.Principal{}, core.Agent{}, err
		}
	}
	k, err := s.key(ctx, raw, sum, core.CredentialAgent, "")
	if err != nil {
		return core.Principal{}, core.Agent{}, err
	}
	s.allowance.remember(sum, account{k.Project, k.Agent})
	if err := s.allowance.spend(account{k.Project, k.Agent}, 1); err != nil {
		return core.Principal{}, core.Agent{}, err
	}
	agent, err := s.store.Agent(ctx, k.Project, k.Agent)
	if err != nil {
		return core.Principal{}, core.Agent{}, fmt.Errorf("read agent: %w", err)
	}
	by := core.Principal{Kind: core.PrincipalAgent, Project: k.Project, Credential: k.ID, Agent: k.Agent}
	return by, agent, nil
}

// proof is the sum of what a caller presents as a key.
func (s *Service) proof(raw string) []byte {
	if len(raw) > maxCredentialSize {
		raw = "" // key refuses it: no need to hash a megabyte
	}
	return s.sum(raw)
}

// key finds the stored key that raw proves, if it works now, in one read; sum is its proof. What the
// session, which may be empty, depends on comes with it.
func (s *Service) key(ctx context.Context, raw string, sum []byte, kind core.CredentialKind, session core.SessionID) (core.KeyState, error) {
	if len(raw) > maxCredentialSize {
		return core.KeyState{}, refused(kind)
	}
	var k core.KeyState
	k.Hash = make([]byte, sha256.Size) // compared when there is no row: the same work either way
	if lookup, is, ok := parseKey(raw); ok && is == kind {
		found, err := s.store.KeyState(ctx, lookup, session)
		switch {
		case err == nil:
			k = found
		case core.KindOf(err) != core.NotFound:
			return core.KeyState{}, fmt.Errorf("look up %s key: %w", kind, err)
		}
	}
	now := s.clock()
	proven := hmac.Equal(sum, k.Hash) && k.Kind == kind && k.Live(now)
	lost := k.Agent != "" && !k.AgentActive || k.Environment != "" && !k.EnvironmentThere
	if !proven || !k.ProjectActive || lost {
		return core.KeyState{}, refused(kind)
	}
	s.used.note(k.Credential, now)
	return k, nil
}

// liveProject returns NotFound unless the project exists and is active.
func (s *Service) liveProject(ctx context.Context, id core.ProjectID) error {
	p, err := s.store.Project(ctx, id)
	if err != nil {
		return fmt.Errorf("read project: %w", err)
	}
	if !p.Active {
		return core.NotFoundError("project", string(id))
	}
	return nil
}

func usable(a core.Agent) bool { return a.Active && a.ArchivedAt.IsZero() }
