package session

import (
	"context"

	"github.com/reeve-ai/reeve/internal/core"
)

// CheckDeployment judges whether a deployment's sessions could be made now, by the rules of Create, and
// returns the version of the agent that they would run.
//
// Errors: as Create, but for RateLimited.
func (s *Service) CheckDeployment(ctx context.Context, tx core.Store, by core.Principal, d core.Deployment) (version int, err error) {
	n := newOf(d)
	if err := checkNew(n); err != nil {
		return 0, err
	}
	_, version, err = s.resolve(ctx, tx, by, n)
	return version, err
}

// CreateOf makes a session of a deployment, as CreateIn does.
func (s *Service) CreateOf(ctx context.Context, tx core.Store, by core.Principal, d core.Deployment) (id core.SessionID, announce func(), err error) {
	sess, announce, err := s.CreateIn(ctx, tx, by, newOf(d))
	return sess.ID, announce, err
}

func newOf(d core.Deployment) NewSession {
	n := NewSession{
		Agent: d.Agent, Version: d.AgentVersion, Environment: d.Environment, Deployment: d.ID,
		EnvVars: d.EnvVars, VaultIDs: d.VaultIDs, Inputs: make([]Input, len(d.Events)),
	}
	for i, e := range d.Events {
		n.Inputs[i] = Input{Message: e.Message}
	}
	return n
}
