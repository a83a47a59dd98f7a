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
	}
	return core.Errorf(core.Unauthenticated, "invalid_token", "the access token is not valid")
}

// Token returns who holds an access token, in any spelling.
//
// Errors: Unauthenticated ("invalid_token").
func (s *Service) Token(ctx context.Context, raw string) (core.Principal, error) {
	c, err := s.credential(ctx, raw, core.CredentialAccess)
	if err != nil {
		return core.Principal{}, err
	}
	return core.Principal{Kind: core.PrincipalToken, Project: c.Project, Role: c.Role, Credential: c.ID, User: c.CreatedBy}, nil
}

// SDKKey returns which project's backend holds an SDK key. The principal has no role: the key serves
// to report, not to read or to change anything.
//
// Errors: Unauthenticated ("invalid_sdk_key").
func (s *Service) SDKKey(ctx context.Context, raw string) (core.Principal, error) {
	c, err := s.credential(ctx, raw, core.CredentialSDK)
	if err != nil {
		return core.Principal{}, err
	}
	return core.Principal{Kind: core.PrincipalSDK, Project: c.Project, Credential: c.ID}, nil
}

// AgentKey returns which agent holds an agent key, and that agent. The principal has no role: the
// key lets an agent open sessions and report, nothing else. The key of a deactivated or archived
// agent does not work.
//
// Errors: Unauthenticated ("invalid_agent_key").
func (s *Service) AgentKey(ctx context.Context, raw string) (core.Principal, core.Agent, error) {
	c, err := s.credential(ctx, raw, core.CredentialAgent)
	if err != nil {
		return core.Principal{}, core.Agent{}, err
	}
	agent, err := s.liveAgent(ctx, c.Project, c.Agent)
	if core.KindOf(err) == core.NotFound {
		return core.Principal{}, core.Agent{}, refused(core.CredentialAgent)
	}
	if err != nil {
		return core.Principal{}, core.Agent{}, err
	}
	by := core.Principal{Kind: core.PrincipalAgent, Project: c.Project, Credential: c.ID, Agent: c.Agent}
	return by, agent, nil
}

// credential finds the stored key that raw proves, if it works now.
func (s *Service) credential(ctx context.Context, raw string, kind core.CredentialKind) (core.Credential, error) {
	if len(raw) > maxCredentialSize {
		return core.Credential{}, refused(kind)
	}
	c := core.Credential{Hash: make([]byte, sha256.Size)} // compared when there is no row: the same work either way
	if lookup, k, ok := parseKey(raw); ok && k == kind {
		found, err := s.store.CredentialByPrefix(ctx, lookup)
		switch {
		case err == nil:
			c = found
		case core.KindOf(err) != core.NotFound:
			return core.Credential{}, fmt.Errorf("look up %s key: %w", kind, err)
		}
	}
	now := s.clock()
	if !hmac.Equal(s.sum(raw), c.Hash) || c.Kind != kind || !c.Live(now) {
		return core.Credential{}, refused(kind)
	}
	if err := s.liveProject(ctx, c.Project); err != nil {
		if core.KindOf(err) == core.NotFound {
			return core.Credential{}, refused(kind)
		}
		return core.Credential{}, err
	}
	s.used.note(c, now)
	return c, nil
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

// liveAgent returns NotFound unless the agent exists, is active and not archived.
func (s *Service) liveAgent(ctx context.Context, project core.ProjectID, id core.AgentID) (core.Agent, error) {
	a, err := s.store.Agent(ctx, project, id)
	if err != nil {
		return core.Agent{}, fmt.Errorf("read agent: %w", err)
	}
	if !usable(a) {
		return core.Agent{}, core.NotFoundError("agent", string(id))
	}
	return a, nil
}

func usable(a core.Agent) bool { return a.Active && a.ArchivedAt.IsZero() }
