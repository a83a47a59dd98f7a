package session

import (
	"context"
	"errors"
	"fmt"

	"github.com/reeve-ai/reeve/internal/core"
)

// muster resolves the roster of a new session's agent: the members at the versions that were pinned when the agent
// was saved, frozen with the session (claude-managed-agents.md section 6.1). Nil without a roster. What holds for
// the session's agent holds for each of them.
func (s *Service) muster(ctx context.Context, tx core.Store, project core.ProjectID, n NewSession, spec *core.AgentSpec) ([]core.Teammate, error) {
	if spec.Roster == nil {
		return nil, nil
	}
	env, err := tx.Environment(ctx, project, n.Environment)
	if err != nil {
		return nil, fmt.Errorf("read environment of a team: %w", err)
	}
	team := make([]core.Teammate, len(spec.Roster.Members))
	for i, m := range spec.Roster.Members {
		team[i] = core.Teammate{RosterMember: m}
		switch m.Kind {
		case core.RosterSelf: // judged as the session's own agent
		case core.RosterAdvisor:
			err = s.thinks(n, *m.Model)
		default:
			var a core.Agent
			if a, err = tx.AgentVersion(ctx, project, m.Agent, m.Version); err != nil {
				return nil, fmt.Errorf("read version %d of roster member %s: %w", m.Version, m.Agent, err)
			}
			a.Roster = nil
			team[i].Spec = &a.AgentSpec
			if err = s.serves(n, a.AgentSpec, env.Config); err == nil {
				team[i].Spec.Skills, err = s.needSkills(ctx, tx, project, a.Skills)
			}
		}
		if err != nil {
			return nil, ofMember(i, err)
		}
	}
	return team, nil
}

// serves judges whether a member can work here.
func (s *Service) serves(n NewSession, spec core.AgentSpec, env core.EnvironmentConfig) error {
	if err := servable(env); err != nil {
		return err
	}
	if s.walls != nil && !env.SelfHosted && s.agents.NeedsSandbox(spec) {
		return s.walls
	}
	return s.thinks(n, spec.Model)
}

func (s *Service) thinks(n NewSession, choice core.ModelChoice) error {
	if _, err := s.models.Model(choice.ID); err != nil {
		return err
	}
	return s.measurable(n.Budget, choice)
}

// ofMember says of which member an error is that a client is shown.
func ofMember(i int, err error) error {
	var known *core.Error
	if core.KindOf(err) == core.Internal || !errors.As(err, &known) {
		return err
	}
	e := *known
	e.Message = fmt.Sprintf("member %d of the agent's roster: %s", i+1, e.Message)
	return &e
}
