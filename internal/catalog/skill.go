package catalog

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/reeve-ai/reeve/internal/core"
)

// PinSkills finds the skills of a definition in a project and returns the bindings with their versions
// fixed: a binding without one, or with the latest, gets the number that is the newest now
// (claude-managed-agents.md section 3.1). A skill that is not on this server, such as the vendor's own, stays
// as it was given: a definition may be older than its skills, and a session refuses it in time. A version
// that a skill has not is Invalid, not NotFound, and named as skills[i].version: the agent is what the
// request is about.
func (s *Service) PinSkills(ctx context.Context, tx core.Store, project core.ProjectID, bindings []core.SkillBinding) ([]core.SkillBinding, error) {
	if len(bindings) == 0 {
		return bindings, nil
	}
	pinned := make([]core.SkillBinding, len(bindings))
	for i, b := range bindings {
		id, number, err := skillVersion(ctx, tx, project, b, fmt.Sprintf("skills[%d]", i))
		if err != nil {
			return nil, err
		}
		if id == "" {
			pinned[i] = b
			continue
		}
		pinned[i] = core.SkillBinding{Type: b.Type, Skill: string(id), Version: strconv.FormatInt(number, 10)}
	}
	return pinned, nil
}

// NeedSkills is PinSkills for a session, which cannot do without: a skill, or a version of one, that is not here
// is Invalid ("skill_not_found"), named as skills[i].
func (s *Service) NeedSkills(ctx context.Context, tx core.Store, project core.ProjectID, bindings []core.SkillBinding) ([]core.SkillBinding, error) {
	pinned := make([]core.SkillBinding, len(bindings))
	for i, b := range bindings {
		at := fmt.Sprintf("skills[%d]", i)
		id, number, err := skillVersion(ctx, tx, project, b, at)
		if err == nil && id == "" {
			err = core.InvalidField(at, "the skill %q of type %s was not found on this server", clip(b.Skill), b.Type)
		}
		var missing *core.Error
		if errors.As(err, &missing) && missing.Kind == core.Invalid {
			e := *missing
			e.Code = "skill_not_found"
			err = &e
		}
		if err != nil {
			return nil, err
		}
		pinned[i] = core.SkillBinding{Type: b.Type, Skill: string(id), Version: strconv.FormatInt(number, 10)}
	}
	return pinned, nil
}

// skillVersion returns the skill that a binding means and the number of the version; at is the binding's place.
// The id is empty if this server has no such skill.
func skillVersion(ctx context.Context, tx core.Store, project core.ProjectID, b core.SkillBinding, at string) (core.SkillID, int64, error) {
	id, known := core.ParseID[core.SkillID](b.Skill)
	if !known || b.Type != core.SkillCustom { // of vendors' own skills there is none here
		return "", 0, nil
	}
	skill, err := tx.Skill(ctx, project, id)
	switch {
	case core.KindOf(err) == core.NotFound:
		return "", 0, nil
	case err != nil:
		return "", 0, err
	}
	if b.Version == "" || b.Version == core.SkillVersionLatest {
		if skill.Latest == 0 {
			return "", 0, core.InvalidField(at+".version", "the skill skill_%s has no version", id)
		}
		return id, skill.Latest, nil
	}
	missing := core.InvalidField(at+".version", "the skill skill_%s has no version %q", id, clip(b.Version))
	number, versionID, known := core.ParseSkillVersion(b.Version)
	var v core.SkillVersion
	switch {
	case !known:
		return "", 0, missing
	case versionID != "":
		v, err = tx.SkillVersionByID(ctx, project, id, versionID)
	default:
		v, err = tx.SkillVersion(ctx, project, id, number)
	}
	if core.KindOf(err) == core.NotFound {
		return "", 0, missing
	}
	return id, v.Number, err
}
