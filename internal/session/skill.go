package session

import (
	"context"

	"github.com/reeve-ai/reeve/internal/core"
)

// UseSkills has find look for the skills of a new session's agents, in the transaction that makes it: it returns
// them with their versions fixed, or Invalid, naming the one that is not there ("skill_not_found"). Without it
// there are none. It is called before the service is used.
func (s *Service) UseSkills(find func(ctx context.Context, tx core.Store, project core.ProjectID, bindings []core.SkillBinding) ([]core.SkillBinding, error)) {
	s.skills = find
}

func (s *Service) needSkills(ctx context.Context, tx core.Store, project core.ProjectID, bindings []core.SkillBinding) ([]core.SkillBinding, error) {
	if len(bindings) == 0 {
		return bindings, nil
	}
	if s.skills == nil {
		return nil, reference("skill_not_found", "agent.skills[0]", "there is no such skill")
	}
	found, err := s.skills(ctx, tx, project, bindings)
	if err != nil {
		return nil, within("agent", err)
	}
	return found, nil
}
