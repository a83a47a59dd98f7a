package identity

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/reeve-ai/reeve/internal/core"
)

// AgentKeyLifetime is how long an agent key works (reference otas.md, 1.6).
const AgentKeyLifetime = 30 * 24 * time.Hour

// NewAgentKey draws a key for an agent. It is not stored: the caller stores the credential in the
// transaction that makes the agent, so that there is never an agent whose first key got lost.
func (s *Service) NewAgentKey(a core.Agent, by core.Principal) (string, core.Credential) {
	plain, c := s.newKey(agentLabel, a.Project, AgentKeyLifetime)
	c.Agent, c.CreatedBy = a.ID, by.User
	return plain, c
}

// AgentKeys lists the keys of the agents that work now, newest first.
//
// Errors: Forbidden.
func (s *Service) AgentKeys(ctx context.Context, by core.Principal, agents []core.AgentID) (map[core.AgentID][]core.Credential, error) {
	if err := by.Require(core.RoleViewer); err != nil {
		return nil, err
	}
	all, err := s.store.AgentCredentials(ctx, by.Project, agents)
	if err != nil {
		return nil, fmt.Errorf("list agent keys: %w", err)
	}
	now := s.clock()
	live := make(map[core.AgentID][]core.Credential, len(all))
	for agent, keys := range all {
		for _, k := range keys {
			if k.Live(now) {
				live[agent] = append(live[agent], k)
			}
		}
	}
	return live, nil
}

// RotateAgentKey revokes every key of an agent and makes a new one, in one transaction. Sessions
// opened with an old key go on. name may be empty.
//
// Errors: Forbidden; Invalid (name); NotFound (agent; also one that is deactivated or archived).
func (s *Service) RotateAgentKey(ctx context.Context, by core.Principal, agent core.AgentID, name string) (string, core.Credential, error) {
	if err := by.Require(core.RoleAdmin); err != nil {
		return "", core.Credential{}, err
	}
	keyName, err := keyName(name)
	if err != nil {
		return "", core.Credential{}, err
	}
	var plain string
	var key core.Credential
	err = s.store.Tx(ctx, func(tx core.Store) error {
		a, err := tx.Agent(ctx, by.Project, agent) // holds the agent: of two rotations one key survives
		if err != nil {
			return err
		}
		if !usable(a) {
			return core.NotFoundError("agent", string(agent))
		}
		if _, err := tx.RevokeAgentCredentials(ctx, by.Project, agent, s.clock()); err != nil {
			return err
		}
		plain, key = s.NewAgentKey(a, by)
		key.Name = keyName
		return tx.CreateCredential(ctx, key)
	})
	if err != nil {
		return "", core.Credential{}, fmt.Errorf("rotate agent key: %w", err)
	}
	return plain, key, nil
}

// RevokeAgentKey ends one agent key at once, and with it the sessions that it had opened.
//
// Errors: Forbidden; NotFound ("agent_key_not_found": no agent key of this project, or already revoked).
func (s *Service) RevokeAgentKey(ctx context.Context, by core.Principal, id core.CredentialID) error {
	_, err := s.revoke(ctx, by, id, core.CredentialAgent, "agent_key")
	return err
}

// keyName checks the optional name of a key.
func keyName(name string) (*string, error) {
	name = strings.TrimSpace(name)
	if utf8.RuneCountInString(name) > maxKeyName {
		return nil, tooLong("name")
	}
	if name == "" {
		return nil, nil
	}
	return &name, nil
}
