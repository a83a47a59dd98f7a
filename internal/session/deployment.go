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
	n, err := s.newOf(d)
	if err != nil {
		return 0, err
	}
	if err := checkNew(n); err != nil {
		return 0, err
	}
	spec, version, err := s.resolve(ctx, tx, by, n)
	if err != nil {
		return 0, err
	}
	if _, err = s.muster(ctx, tx, by.Project, n, spec); err != nil {
		return 0, err
	}
	if _, err = s.planResources(ctx, tx, by.Project, n); err != nil {
		return 0, err
	}
	_, err = s.withRubrics(ctx, by.Project, "initial_events", n.Inputs)
	return version, err
}

// CreateOf makes a session of a deployment, as CreateIn does.
func (s *Service) CreateOf(ctx context.Context, tx core.Store, by core.Principal, d core.Deployment) (id core.SessionID, announce func(), err error) {
	n, err := s.newOf(d)
	if err != nil {
		return "", nil, err
	}
	sess, announce, err := s.CreateIn(ctx, tx, by, n)
	return sess.ID, announce, err
}

func (s *Service) newOf(d core.Deployment) (NewSession, error) {
	resources, err := s.unsealed(d)
	if err != nil {
		return NewSession{}, err
	}
	n := NewSession{
		Agent: d.Agent, Version: d.AgentVersion, Environment: d.Environment, Deployment: d.ID,
		EnvVars: d.EnvVars, VaultIDs: d.VaultIDs, Resources: resources, Budget: d.Budget, Inputs: make([]Input, len(d.Events)),
	}
	for i, e := range d.Events {
		n.Inputs[i] = Input{Message: e.Message, Outcome: e.Outcome}
		if e.Type == core.EventSystemMessage {
			n.Inputs[i] = Input{System: e.Message}
		}
	}
	return n, nil
}
