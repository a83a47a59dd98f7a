package workspace

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/reeve-ai/reeve/internal/core"
)

// skillsFolder is where a sandbox sees skills, each below its name.
const skillsFolder = "/mnt/skills"

// SkillVersions tells what is known of skills. It is a part of core.SkillStore.
type SkillVersions interface {
	SkillVersion(ctx context.Context, project core.ProjectID, skill core.SkillID, number int64) (core.SkillVersion, error)
}

// SkillFiles is the service that has what is in skills.
type SkillFiles interface {
	// Files calls each with every file of a version and its content.
	Files(ctx context.Context, project core.ProjectID, skill core.SkillID, ref string, each func(f core.SkillFile, content io.Reader) error) (core.SkillVersion, error)
}

// SkillPart shows the skills of a session's agents, those of a whole team, as read-only folders. A version is
// unpacked once for all sessions: see skillShelf.
type SkillPart struct {
	versions SkillVersions
	shelf    *skillShelf
	uses     func(core.AgentSpec) bool
}

// NewSkills makes the part, which keeps unpacked skills below a folder of the host that it alone uses. uses tells
// which agents have tools that work in a sandbox. Its Run removes what nobody uses.
func NewSkills(folder string, versions SkillVersions, files SkillFiles, uses func(core.AgentSpec) bool) *SkillPart {
	return &SkillPart{versions: versions, shelf: newSkillShelf(folder, files), uses: uses}
}

var _ Part = (*SkillPart)(nil)

// Name implements Part.
func (*SkillPart) Name() string { return "skills" }

// Wanted implements Part.
func (p *SkillPart) Wanted(sess core.Session) bool {
	return sess.Snapshot != nil && len(skillsOf(sess)) > 0
}

// skillsOf are the skills of all agents of a session, each version once, in their order.
func skillsOf(sess core.Session) []core.SkillBinding {
	var list []core.SkillBinding
	seen := map[core.SkillBinding]bool{}
	add := func(spec *core.AgentSpec) {
		if spec == nil {
			return
		}
		for _, b := range spec.Skills {
			if b.Type == core.SkillCustom && !seen[b] {
				seen[b] = true
				list = append(list, b)
			}
		}
	}
	add(sess.Snapshot)
	for _, t := range sess.Team {
		add(t.Spec)
	}
	return list
}

// shownSkill is a version by the name of its folder.
type shownSkill struct {
	core.SkillVersion
	folder string // unique in the session
}

// shown finds the skills of a session. One that was deleted since the session began is left out: the session
// goes on without it.
func (p *SkillPart) shown(ctx context.Context, sess core.Session) ([]shownSkill, error) {
	var list []shownSkill
	taken := map[string]bool{}
	for _, b := range skillsOf(sess) {
		number, err := strconv.ParseInt(b.Version, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("skill %s has the version %q, which is no number: %w", b.Skill, b.Version, err)
		}
		v, err := p.versions.SkillVersion(ctx, sess.Project, core.SkillID(b.Skill), number)
		if core.KindOf(err) == core.NotFound {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("find version %d of skill %s: %w", number, b.Skill, err)
		}
		name := v.Name
		for n := 2; taken[name]; n++ { // two skills, or two versions of one, of the same name
			name = v.Name + "-" + strconv.Itoa(n)
		}
		taken[name] = true
		list = append(list, shownSkill{v, name})
	}
	return list, nil
}

// Open implements Part.
func (p *SkillPart) Open(ctx context.Context, sess core.Session, _, _ string) ([]core.Mount, error) {
	list, err := p.shown(ctx, sess)
	if err != nil {
		return nil, err
	}
	var mounts []core.Mount
	for _, s := range list {
		host, err := p.shelf.take(ctx, s.SkillVersion)
		if core.KindOf(err) == core.NotFound { // deleted at this moment
			continue
		}
		if err != nil {
			return nil, err
		}
		mounts = append(mounts, core.Mount{Host: host, Path: skillsFolder + "/" + s.folder, ReadOnly: true})
	}
	return mounts, nil
}

// Brief implements Part. Of a skill only its name, its description and where it is are told
// (claude-managed-agents.md section 6.4). Workers put skills below their working folder (section 5.4).
func (p *SkillPart) Brief(ctx context.Context, sess core.Session) (string, error) {
	if !sess.Elsewhere && !p.uses(*sess.Snapshot) {
		return "", nil
	}
	list, err := p.shown(ctx, sess)
	if err != nil || len(list) == 0 {
		return "", err
	}
	root := skillsFolder
	if sess.Elsewhere {
		root = "skills"
	}
	var b strings.Builder
	b.WriteString("# Skills\n\nEach of these files tells how to do something well. When a task fits a description, read the file " +
		"before you begin; it names other files in its folder that may help.\n")
	for _, s := range list {
		folder := s.folder
		if sess.Elsewhere {
			folder = s.Name
		}
		fmt.Fprintf(&b, "\n- %s (`%s/%s/SKILL.md`): %s", s.Name, root, folder, indented(s.Description))
	}
	return b.String(), nil
}

// Settle implements Part: nobody can change skills.
func (*SkillPart) Settle(context.Context, core.Session, string) error { return nil }

// Run removes unpacked skills that no session used for a week, until ctx ends. It returns nil.
func (p *SkillPart) Run(ctx context.Context) error { return p.shelf.run(ctx) }
