package storetest

import (
	"testing"

	"github.com/reeve-ai/reeve/internal/core"
)

func (b *bundle) skill(t *testing.T, project core.ProjectID, edit ...func(*core.Skill)) core.Skill {
	t.Helper()
	now := kept(b.later())
	s := core.Skill{Project: project, ID: core.NewID[core.SkillID](), Name: "pdf", Metadata: map[string]string{}, CreatedAt: now, UpdatedAt: now}
	for _, e := range edit {
		e(&s)
	}
	need(t, b.CreateSkill(b.ctx, s))
	return s
}

func (b *bundle) skillVersion(t *testing.T, of core.Skill, edit ...func(*core.SkillVersion)) core.SkillVersion {
	t.Helper()
	now := kept(b.later())
	v := core.SkillVersion{
		Project: of.Project, Skill: of.ID, ID: core.NewID[core.SkillVersionID](), Number: now.UnixMicro(), Blob: b.blob(t, of.Project),
		Name: "pdf", Description: "Reads PDF.", Directory: "pdf", CreatedAt: now,
		Files: []core.SkillFile{{Path: "SKILL.md", Bytes: 3, SHA256: "s"}, {Path: "bin/run", Exec: true}},
	}
	for _, e := range edit {
		e(&v)
	}
	need(t, b.CreateSkillVersion(b.ctx, v))
	return v
}

func skillID(s core.Skill) core.SkillID { return s.ID }

var skillPromises = map[string]func(*testing.T, *bundle){
	"ASkillComesBackAsItWentIn": func(t *testing.T, b *bundle) {
		title := "Title"
		want := b.skill(t, b.project(t), func(s *core.Skill) {
			s.Title, s.Metadata, s.Latest, s.LatestID, s.Mark = &title, map[string]string{"k": "v"}, 2, "two", 3
		})
		got, err := b.Skill(b.ctx, want.Project, want.ID)
		need(t, err)
		same(t, "skill", got, want)
		refused(t, "again", b.CreateSkill(b.ctx, want), core.Conflict, "skill_already_exists")
		_, err = b.Skill(b.ctx, want.Project, "none")
		refused(t, "unknown", err, core.NotFound, "skill_not_found")
	},
	"UpdateReplacesAllButNameAndCreation": func(t *testing.T, b *bundle) {
		s := b.skill(t, b.project(t))
		title := "T"
		change := core.Skill{
			Project: s.Project, ID: s.ID, Name: "other", Title: &title, Metadata: map[string]string{"a": "b"},
			Latest: 7, LatestID: "seven", Mark: 8, CreatedAt: at(70), UpdatedAt: kept(at(71)),
		}
		need(t, b.UpdateSkill(b.ctx, change))
		got, err := b.Skill(b.ctx, s.Project, s.ID)
		need(t, err)
		change.Name, change.CreatedAt = s.Name, s.CreatedAt
		same(t, "skill", got, change)
		refused(t, "unknown", b.UpdateSkill(b.ctx, core.Skill{Project: s.Project, ID: "none"}), core.NotFound, "skill_not_found")
	},
	"SkillsAreListedNewestFirstInPages": func(t *testing.T, b *bundle) {
		p := b.project(t)
		place := map[string]*core.PageKey{}
		for name, second := range map[string]int{"1": 1, "2": 2, "3": 2, "4": 3} { // two of the same time
			b.skill(t, p, func(s *core.Skill) { s.ID, s.CreatedAt = core.SkillID(name), kept(at(second)) })
			place[name] = &core.PageKey{CreatedAt: at(second), ID: name}
		}
		for name, second := range map[string]int{"Report": 4, "Report 2": 5, "report": 6, "Repo": 7} {
			b.skill(t, p, func(s *core.Skill) { s.ID, s.Title, s.CreatedAt = core.SkillID(name), &name, kept(at(second)) })
		}
		b.skill(t, b.project(t))
		for _, c := range []struct {
			name string
			page core.SkillPage
			want []core.SkillID
		}{
			{"all", core.SkillPage{Limit: 3}, []core.SkillID{"Repo", "report", "Report 2"}},
			{"after", core.SkillPage{Limit: 2, After: place["3"]}, []core.SkillID{"2", "1"}},
			{"before", core.SkillPage{Limit: 2, Before: place["1"]}, []core.SkillID{"3", "2"}},
			{"titled", core.SkillPage{Limit: 9, TitlePrefix: "Repor"}, []core.SkillID{"Report 2", "Report"}},
			{"titled, after", core.SkillPage{Limit: 9, TitlePrefix: "Repo", After: &core.PageKey{CreatedAt: at(5), ID: "Report 2"}}, []core.SkillID{"Report"}},
		} {
			list, err := b.Skills(b.ctx, p, c.page)
			need(t, err)
			same(t, c.name, ids(list, skillID), c.want)
		}
	},
	"AVersionComesBackAsItWentIn": func(t *testing.T, b *bundle) {
		k := b.skill(t, b.project(t))
		want := b.skillVersion(t, k)
		got, err := b.SkillVersion(b.ctx, k.Project, k.ID, want.Number)
		need(t, err)
		same(t, "by number", got, want)
		got, err = b.SkillVersionByID(b.ctx, k.Project, k.ID, want.ID)
		need(t, err)
		same(t, "by id", got, want)
		other := b.skill(t, k.Project)
		_, err = b.SkillVersionByID(b.ctx, k.Project, other.ID, want.ID)
		refused(t, "of another skill", err, core.NotFound, "skill_version_not_found")
		_, err = b.SkillVersion(b.ctx, k.Project, k.ID, 1)
		refused(t, "unknown", err, core.NotFound, "skill_version_not_found")
		again := want
		again.ID, again.Blob = "other", b.blob(t, k.Project)
		refused(t, "the same number", b.CreateSkillVersion(b.ctx, again), core.Conflict, "skill_version_already_exists")
		again.ID, again.Number = want.ID, 5
		refused(t, "the same id", b.CreateSkillVersion(b.ctx, again), core.Conflict, "skill_version_already_exists")
		again.ID, again.Skill = "other", "none"
		refused(t, "of no skill", b.CreateSkillVersion(b.ctx, again), core.NotFound, "")
		b.isStray(t, k.Project, again.Key, kept(at(farOff)))
	},
	"VersionsAreListedNewestFirstInPages": func(t *testing.T, b *bundle) {
		k := b.skill(t, b.project(t))
		for _, n := range []int64{10, 9, 100, 11} {
			b.skillVersion(t, k, func(v *core.SkillVersion) { v.Number, v.ID = n, core.NewID[core.SkillVersionID]() })
		}
		b.skillVersion(t, b.skill(t, k.Project))
		for _, c := range []struct {
			name string
			page core.SkillVersionPage
			want []int64
		}{
			{"all", core.SkillVersionPage{Limit: 9}, []int64{100, 11, 10, 9}},
			{"below", core.SkillVersionPage{Limit: 2, Below: 100}, []int64{11, 10}},
			{"above", core.SkillVersionPage{Limit: 2, Above: 9}, []int64{11, 10}},
			{"past the end", core.SkillVersionPage{Limit: 2, Below: 9}, []int64{}},
		} {
			list, err := b.SkillVersions(b.ctx, k.Project, k.ID, c.page)
			need(t, err)
			numbers := make([]int64, len(list))
			for i, v := range list {
				numbers[i] = v.Number
			}
			same(t, c.name, numbers, c.want)
		}
	},
	"DeletedVersionsLeaveStrays": func(t *testing.T, b *bundle) {
		k := b.skill(t, b.project(t))
		one, two, three := b.skillVersion(t, k), b.skillVersion(t, k), b.skillVersion(t, k)
		stays := b.skillVersion(t, b.skill(t, k.Project))
		b.isNoStray(t, k.Project, one.Key)
		need(t, b.DeleteSkillVersion(b.ctx, k.Project, k.ID, one.Number, at(50)))
		b.isStray(t, k.Project, one.Key, kept(at(50)))
		b.isNoStray(t, k.Project, two.Key)
		refused(t, "again", b.DeleteSkillVersion(b.ctx, k.Project, k.ID, one.Number, at(51)), core.NotFound, "skill_version_not_found")

		need(t, b.DeleteSkill(b.ctx, k.Project, k.ID, at(52)))
		b.isStray(t, k.Project, two.Key, kept(at(52)))
		b.isStray(t, k.Project, three.Key, kept(at(52)))
		b.isNoStray(t, k.Project, stays.Key)
		_, err := b.SkillVersion(b.ctx, k.Project, k.ID, two.Number)
		refused(t, "version of a deleted skill", err, core.NotFound, "skill_version_not_found")
		refused(t, "DeleteSkill again", b.DeleteSkill(b.ctx, k.Project, k.ID, at(53)), core.NotFound, "skill_not_found")
	},
}
