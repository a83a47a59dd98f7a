package catalog_test

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/catalog"
	"github.com/reeve-ai/reeve/internal/core"
)

// skill stores a skill of the first project with versions of these numbers, the last of them the latest.
func (f fixture) skill(t *testing.T, numbers ...int64) core.Skill {
	t.Helper()
	now := time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)
	s := core.Skill{Project: f.admin.Project, ID: core.NewID[core.SkillID](), Name: "s", CreatedAt: now, UpdatedAt: now}
	if err := f.store.CreateSkill(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	for _, n := range numbers {
		v := core.SkillVersion{
			Project: s.Project, Skill: s.ID, ID: core.NewID[core.SkillVersionID](), Number: n,
			Blob: core.Blob{Key: core.NewID[core.BlobKey]()}, CreatedAt: now,
		}
		if err := f.store.AddStray(t.Context(), core.Stray{Project: s.Project, Key: v.Key, DueAt: now.Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		if err := f.store.CreateSkillVersion(t.Context(), v); err != nil {
			t.Fatal(err)
		}
		s.Latest, s.LatestID, s.Mark = n, v.ID, n
	}
	if err := f.store.UpdateSkill(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	return s
}

// bindings attaches n skills that are there, at their only version.
func (f fixture) bindings(t *testing.T, n int) []core.SkillBinding {
	t.Helper()
	list := make([]core.SkillBinding, n)
	for i := range list {
		list[i] = core.SkillBinding{Type: "custom", Skill: string(f.skill(t, 7).ID), Version: "7"}
	}
	return list
}

func TestVersionsOfSkillsAreFixedWhenAnAgentIsSaved(t *testing.T) {
	t.Parallel()
	f := setup(t)
	s := f.skill(t, 1759178010641129, 1759178010641130)
	hex := string(s.ID)
	for _, c := range []struct{ skill, version, want string }{
		{hex, "", "1759178010641130"},
		{hex, "latest", "1759178010641130"},
		{"skill_" + hex, "1759178010641129", "1759178010641129"},
		{hex, "skver_" + string(s.LatestID), "1759178010641130"},
		{hex, "skillver_" + string(s.LatestID), "1759178010641130"},
	} {
		spec := with(func(a *core.AgentSpec) {
			a.Tools, a.Skills = []core.Toolset{builtin}, []core.SkillBinding{{Type: "custom", Skill: c.skill, Version: c.version}}
		})
		made := f.create(t, spec)
		if diff := cmp.Diff([]core.SkillBinding{{Type: "custom", Skill: hex, Version: c.want}}, made.Skills); diff != "" {
			t.Errorf("%s at %q (-want +got):\n%s", c.skill, c.version, diff)
		}
	}
}

func TestAnUpdateFixesSkillsAnewOnlyIfItNamesThem(t *testing.T) {
	t.Parallel()
	f := setup(t)
	s := f.skill(t, 5)
	spec := with(func(a *core.AgentSpec) {
		a.Tools, a.Skills = []core.Toolset{builtin}, []core.SkillBinding{{Type: "custom", Skill: string(s.ID)}}
	})
	a := f.create(t, spec)
	update := func(change func(*core.AgentSpec)) core.Agent {
		t.Helper()
		got, err := f.UpdateAgent(t.Context(), f.admin, a.ID, catalog.UpdateOptions{Limits: catalog.ClaudeLimits}, func(a *core.AgentSpec) error {
			change(a)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	bind := func(version string) func(*core.AgentSpec) {
		return func(a *core.AgentSpec) {
			a.Skills = []core.SkillBinding{{Type: "custom", Skill: "skill_" + string(s.ID), Version: version}}
		}
	}
	if got := update(bind("")); got.Version != 1 {
		t.Errorf("the same skill at what is still the latest made version %d", got.Version)
	}
	if err := f.store.DeleteSkill(t.Context(), f.admin.Project, s.ID, time.Now()); err != nil {
		t.Fatal(err)
	}
	if got := update(func(a *core.AgentSpec) { a.System = "new" }); got.Version != 2 || got.Skills[0].Version != "5" {
		t.Errorf("an update of other parts = %+v", got)
	}
	_, err := f.UpdateAgent(t.Context(), f.admin, a.ID, catalog.UpdateOptions{Limits: catalog.ClaudeLimits}, func(a *core.AgentSpec) error {
		bind("4")(a)
		return nil
	})
	if err != nil {
		t.Errorf("a skill that was deleted is as one that was never there: %v", err)
	}
}

func TestVersionsOfSkillsThatAreThereMustBeThereToo(t *testing.T) {
	t.Parallel()
	f := setup(t)
	s, none := f.skill(t, 5), f.skill(t)
	bind := func(kind, id, version string) core.SkillBinding {
		return core.SkillBinding{Type: kind, Skill: id, Version: version}
	}
	good := bind("custom", string(s.ID), "")
	for _, c := range []struct {
		name  string
		bind  core.SkillBinding
		field string
	}{
		{"without a version", bind("custom", string(none.ID), "latest"), "skills[1].version"},
		{"at an unknown version", bind("custom", string(s.ID), strconv.Itoa(6)), "skills[1].version"},
		{"at no version", bind("custom", string(s.ID), "newest"), "skills[1].version"},
		{"at an unknown id", bind("custom", string(s.ID), "skver_0198c1d2000070008000000000000001"), "skills[1].version"},
	} {
		spec := with(func(a *core.AgentSpec) {
			a.Tools, a.Skills = []core.Toolset{builtin}, []core.SkillBinding{good, c.bind}
		})
		_, err := f.CreateAgent(t.Context(), f.admin, spec, catalog.CreateOptions{Limits: catalog.ClaudeLimits})
		if core.KindOf(err) != core.Invalid {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		wantError(t, err, core.Invalid, "invalid_field", c.field)
	}
}

// A definition may name what is not on this server: the vendor's own skills, or one that comes later. Only a
// session would need it.
func TestSkillsThatAreNotHereAreKeptAsGiven(t *testing.T) {
	t.Parallel()
	f := setup(t)
	s := f.skill(t, 5)
	given := []core.SkillBinding{
		{Type: "custom", Skill: "skill_0198c1d2000070008000000000000001", Version: "latest"},
		{Type: "anthropic", Skill: "pdf", Version: "20251013"},
	}
	spec := with(func(a *core.AgentSpec) { a.Tools, a.Skills = []core.Toolset{builtin}, given })
	a, err := f.CreateAgent(t.Context(), f.admin, spec, catalog.CreateOptions{Limits: catalog.ClaudeLimits})
	if err != nil || !slices.Equal(a.Skills, given) {
		t.Errorf("skills = %+v, %v", a.Skills, err)
	}
	// Another project's skill is not here either: nothing of it is told, not even its version.
	foreign := []core.SkillBinding{{Type: "custom", Skill: "skill_" + string(s.ID)}}
	spec = with(func(a *core.AgentSpec) { a.Tools, a.Skills = []core.Toolset{builtin}, foreign })
	if a, err = f.CreateAgent(t.Context(), f.other, spec, catalog.CreateOptions{Limits: catalog.ClaudeLimits}); err != nil || !slices.Equal(a.Skills, foreign) {
		t.Errorf("a foreign skill = %+v, %v", a.Skills, err)
	}
}

func TestASessionNeedsSkillsThatAreHere(t *testing.T) {
	t.Parallel()
	f := setup(t)
	s, none := f.skill(t, 5, 6), f.skill(t)
	bind := func(kind, id, version string) core.SkillBinding {
		return core.SkillBinding{Type: kind, Skill: id, Version: version}
	}
	good := bind("custom", string(s.ID), "5")
	got, err := f.NeedSkills(t.Context(), f.store, f.admin.Project, []core.SkillBinding{good, bind("custom", "skill_"+string(s.ID), "latest")})
	if diff := cmp.Diff([]core.SkillBinding{good, bind("custom", string(s.ID), "6")}, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for name, c := range map[string]struct {
		bind  core.SkillBinding
		field string
	}{
		"unknown":            {bind("custom", "skill_0198c1d2000070008000000000000001", "1"), "skills[1]"},
		"a vendor's":         {bind("anthropic", "pdf", "latest"), "skills[1]"},
		"no version":         {bind("custom", string(none.ID), ""), "skills[1].version"},
		"an unknown version": {bind("custom", string(s.ID), "7"), "skills[1].version"},
	} {
		_, err := f.NeedSkills(t.Context(), f.store, f.admin.Project, []core.SkillBinding{good, c.bind})
		if core.KindOf(err) != core.Invalid {
			t.Errorf("%s: %v", name, err)
			continue
		}
		wantError(t, err, core.Invalid, "skill_not_found", c.field)
	}
	if _, err := f.NeedSkills(t.Context(), f.store, f.other.Project, []core.SkillBinding{good}); core.CodeOf(err) != "skill_not_found" {
		t.Errorf("another project's skill = %v", err)
	}
}
