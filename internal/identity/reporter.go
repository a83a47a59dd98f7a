package identity

import (
	"context"

	"github.com/reeve-ai/reeve/internal/core"
)

// Reporter is who reports captures, and into which session.
type Reporter struct {
	By      core.Principal // PrincipalAgent or PrincipalSDK; without a role
	Agent   core.AgentID   // whose calls are reported
	Session core.SessionID
	Secrets []string // the key and the token that were presented, as they were: never to be stored or logged
}

func errMismatch() error {
	return core.Errorf(core.Forbidden, "session_agent_mismatch", "the session belongs to somebody else than the key")
}

// AgentReporter returns the agent that holds both an agent key and the token of one of its own sessions.
// It costs one read.
//
// Errors: RateLimited, before anything is read, when nothing is left of the agent's allowance; Unauthenticated
// ("invalid_agent_key", as AgentKey, then "invalid_session_token", as Session); Forbidden
// ("session_agent_mismatch": the token of another agent).
func (s *Service) AgentReporter(ctx context.Context, key, token string) (Reporter, error) {
	sum := s.proof(key)
	if whose, ok := s.allowance.whose(sum); ok {
		if err := s.allowance.left(whose); err != nil {
			return Reporter{}, err
		}
	}
	claims, signed := s.sessionClaims(token)
	k, err := s.key(ctx, key, sum, core.CredentialAgent, claims.session)
	if err != nil {
		return Reporter{}, err
	}
	s.allowance.remember(sum, account{k.Project, k.Agent})
	by := core.Principal{Kind: core.PrincipalAgent, Project: k.Project, Credential: k.ID, Agent: k.Agent}
	return s.reporter(k, claims, signed, Reporter{By: by, Secrets: []string{key, token}})
}

// SDKReporter returns the project's backend that holds an SDK key, and the agent whose session token it was
// shown. It costs one read.
//
// Errors: RateLimited, before anything is read, when nothing is left of the agent's allowance; Unauthenticated
// ("invalid_sdk_key", then "invalid_session_token", as Session); Forbidden ("session_agent_mismatch": the
// token of another project; reference otas.md, section 8, S5).
func (s *Service) SDKReporter(ctx context.Context, key, token string) (Reporter, error) {
	sum := s.proof(key)
	claims, signed := s.sessionClaims(token)
	if whose, ok := s.allowance.whose(sum); ok && signed && whose.project == claims.project {
		if err := s.allowance.left(claims.account()); err != nil {
			return Reporter{}, err
		}
	}
	k, err := s.key(ctx, key, sum, core.CredentialSDK, claims.session)
	if err != nil {
		return Reporter{}, err
	}
	s.allowance.remember(sum, account{project: k.Project})
	by := core.Principal{Kind: core.PrincipalSDK, Project: k.Project, Credential: k.ID}
	return s.reporter(k, claims, signed, Reporter{By: by, Secrets: []string{key, token}})
}

// reporter judges the session that a reporter with a valid key names.
func (s *Service) reporter(k core.KeyState, claims sessionTo, signed bool, r Reporter) (Reporter, error) {
	switch {
	case !signed:
		return Reporter{}, errSessionToken()
	case claims.project != k.Project, k.Agent != "" && k.Agent != claims.agent:
		return Reporter{}, errMismatch()
	case k.SessionAgent != claims.agent, !k.SessionOpen, !k.AgentActive:
		return Reporter{}, errSessionToken()
	}
	if err := s.allowance.left(claims.account()); err != nil {
		return Reporter{}, err
	}
	r.Agent, r.Session = claims.agent, claims.session
	return r, nil
}
