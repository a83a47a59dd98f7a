package catalog

import (
	"context"
	"fmt"
	"slices"

	"github.com/reeve-ai/reeve/internal/core"
)

// rosterShapes checks a coordinator's team by itself (claude-managed-agents.md section 6.1,
// qoder.md section 4.7). Whether its agents exist is pinRoster's question.
func (r review) rosterShapes() error {
	if !r.parts.roster || r.spec.Roster == nil {
		return nil
	}
	seen, selves, advisors := map[core.AgentID]bool{}, 0, 0
	for i, m := range r.spec.Roster.Members {
		at := memberField(i)
		switch m.Kind {
		case core.RosterAgent:
			if m.Agent == "" {
				return core.InvalidField(at+".id", "is required and must not be empty")
			}
			if seen[m.Agent] {
				return core.InvalidField(at, "the same agent is listed twice")
			}
			if m.Version < 0 {
				return core.InvalidField(at+".version", "must be at least 1")
			}
			seen[m.Agent] = true
		case core.RosterSelf:
			if selves++; selves > 1 {
				return core.InvalidField(at, "there is another self entry; only one is allowed")
			}
		case core.RosterAdvisor:
			if advisors++; advisors > 1 {
				return core.InvalidField(at, "there is another advisor entry; only one is allowed")
			}
			if m.Model == nil || m.Model.ID == "" {
				return core.InvalidField(at+".model", "is required and must not be empty")
			}
			if err := checkLength(at+".model", m.Model.ID, maxModelName); err != nil {
				return err
			}
			if err := checkChoice(at+".model", *m.Model); err != nil {
				return err
			}
		default:
			return core.InvalidField(at+".type", "must be one of agent, self, advisor")
		}
	}
	return nil
}

func memberField(i int) string { return fmt.Sprintf("multiagent.agents[%d]", i) }

// keptRoster returns a copy of a roster in its kept form: the agent's own id means self, and the
// advisor stands last.
func keptRoster(own core.AgentID, roster *core.Roster) *core.Roster {
	if roster == nil {
		return nil
	}
	members := slices.Clone(roster.Members)
	for i, m := range members {
		if m.Kind == core.RosterAgent && m.Agent == own {
			members[i] = core.RosterMember{Kind: core.RosterSelf}
		}
	}
	slices.SortStableFunc(members, func(a, b core.RosterMember) int { return last(a) - last(b) })
	return &core.Roster{Members: members}
}

func last(m core.RosterMember) int {
	if m.Kind == core.RosterAdvisor {
		return 1
	}
	return 0
}

// pinRoster finds the members of a roster in the caller's project and returns the definition with
// their versions fixed. What is not there is Invalid, not NotFound: the agent that names it is what
// the request is about (seed page 003). It holds no member, so that two coordinators that name each
// other cannot wait for one another.
func (s *Service) pinRoster(ctx context.Context, tx core.Store, project core.ProjectID, spec core.AgentSpec) (core.AgentSpec, error) {
	if spec.Roster == nil {
		return spec, nil
	}
	members := slices.Clone(spec.Roster.Members)
	for i, m := range members {
		switch m.Kind {
		case core.RosterAgent:
			a, err := member(ctx, tx, project, memberField(i), m)
			if err != nil {
				return spec, err
			}
			members[i].Version = a.Version
		case core.RosterAdvisor:
			if err := s.checkModel(memberField(i)+".model", *m.Model); err != nil {
				return spec, err
			}
		}
	}
	spec.Roster = &core.Roster{Members: members}
	return spec, checkGeo(ctx, tx, project, spec)
}

// checkGeo wants a coordinator and its pinned members to be bound to the same place, or all to none
// (claude-managed-agents.md section 6.1).
func checkGeo(ctx context.Context, tx core.Store, project core.ProjectID, spec core.AgentSpec) error {
	if spec.Roster == nil {
		return nil
	}
	for i, m := range spec.Roster.Members {
		geo := spec.Model.InferenceGeo
		switch m.Kind {
		case core.RosterAgent:
			a, err := tx.AgentVersion(ctx, project, m.Agent, m.Version)
			if err != nil {
				return fmt.Errorf("read roster member: %w", err)
			}
			geo = a.Model.InferenceGeo
		case core.RosterAdvisor:
			geo = m.Model.InferenceGeo
		}
		if geo != spec.Model.InferenceGeo {
			return core.InvalidField(memberField(i), "inference_geo %q differs from the coordinator's %q; all must be the same or unset", geo, spec.Model.InferenceGeo)
		}
	}
	return nil
}

// member reads one member at its version, or the newest if none is given. It takes the newest from the
// list of versions because Agent would hold the row.
func member(ctx context.Context, tx core.Store, project core.ProjectID, field string, m core.RosterMember) (core.Agent, error) {
	newest, err := tx.AgentVersions(ctx, project, m.Agent, 0, 1)
	if err != nil && core.KindOf(err) != core.NotFound {
		return core.Agent{}, err
	}
	if len(newest) == 0 {
		return core.Agent{}, core.InvalidField(field, "there is no agent %q", "agent_"+string(m.Agent))
	}
	a := newest[0]
	if !a.ArchivedAt.IsZero() {
		return core.Agent{}, core.InvalidField(field, "the agent %q is archived", "agent_"+string(m.Agent))
	}
	if !a.Active {
		return core.Agent{}, core.InvalidField(field, "the agent %q is deactivated", "agent_"+string(m.Agent))
	}
	if m.Version != 0 && m.Version != a.Version {
		a, err = tx.AgentVersion(ctx, project, m.Agent, m.Version)
		if core.KindOf(err) == core.NotFound {
			return core.Agent{}, core.InvalidField(field+".version", "the agent %q has no version %d", "agent_"+string(m.Agent), m.Version)
		}
		if err != nil {
			return core.Agent{}, err
		}
	}
	if a.Roster != nil {
		return core.Agent{}, core.InvalidField(field, "the agent %q has a roster of its own; a team is one level deep", "agent_"+string(m.Agent))
	}
	return a, nil
}
