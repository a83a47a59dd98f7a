package skill_test

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/skill"
)

func (f fixture) version(t *testing.T, of core.Skill, in ...string) core.SkillVersion {
	t.Helper()
	v, err := f.CreateVersion(t.Context(), f.admin, of.ID, "", f.bundle(t, parts(in...), skill.ClaudeLimits), skill.ClaudeLimits)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func (f fixture) latest(t *testing.T, id core.SkillID) int64 {
	t.Helper()
	s, err := f.Skill(t.Context(), f.as(core.RoleViewer), id)
	if err != nil {
		t.Fatal(err)
	}
	return s.Latest
}

func TestNumbersOfVersionsOnlyGrow(t *testing.T) {
	t.Parallel()
	f := setup(t)
	s := f.create(t)
	if first := s.CreatedAt.Add(time.Second).UnixMicro(); s.Latest != first || s.Mark != first || s.LatestID == "" {
		t.Errorf("skill = %+v, want the version %d", s, first)
	}
	f.ticks.Store(-1000) // the clock is set back
	one := f.version(t, s, "s/SKILL.md", about("s"))
	two := f.version(t, s, "s/SKILL.md", about("s"))
	if one.Number != s.Latest+1 || two.Number != s.Latest+2 {
		t.Errorf("numbers %d, %d behind %d", one.Number, two.Number, s.Latest)
	}
	if gone, err := f.DeleteVersion(t.Context(), f.admin, s.ID, "latest", skill.ClaudeLimits); err != nil || gone.ID != two.ID {
		t.Errorf("deleted %+v, %v", gone, err)
	}
	if got := f.latest(t, s.ID); got != one.Number {
		t.Errorf("latest = %d, want %d", got, one.Number)
	}
	three := f.version(t, s, "s/SKILL.md", about("s"))
	if three.Number != two.Number+1 {
		t.Errorf("number %d came again or was left out", three.Number)
	}
	if _, err := f.DeleteVersion(t.Context(), f.admin, s.ID, string(one.ID), skill.ClaudeLimits); err != nil {
		t.Fatal(err)
	}
	if got := f.latest(t, s.ID); got != three.Number {
		t.Errorf("latest = %d, want %d", got, three.Number)
	}
}

func TestAVersionIsNamedInThreeWays(t *testing.T) {
	t.Parallel()
	f := setup(t)
	s := f.create(t)
	v := f.version(t, s, "s/SKILL.md", about("s"))
	for _, ref := range []string{"latest", "skver_" + string(v.ID), "skillver_" + string(v.ID), string(v.ID)} {
		if got, err := f.Version(t.Context(), f.admin, s.ID, ref); err != nil || got.Number != v.Number {
			t.Errorf("%s = %+v, %v", ref, got, err)
		}
	}
	other := f.create(t)
	for _, ref := range []string{"", "0", "-1", "+1", "1", "newest", "99999999999999999999", string(other.LatestID)} {
		if _, err := f.Version(t.Context(), f.admin, s.ID, ref); core.CodeOf(err) != "skill_version_not_found" {
			t.Errorf("%q: %v", ref, err)
		}
	}
	_, err := f.Version(t.Context(), f.other, s.ID, "latest")
	if core.CodeOf(err) != "skill_not_found" {
		t.Errorf("another project's: %v", err)
	}
}

func TestNewerClientsKeepNameAndLastVersion(t *testing.T) {
	t.Parallel()
	f := setup(t)
	s := f.create(t)
	b := f.bundle(t, parts("s/SKILL.md", about("other")), skill.ClaudeNewLimits)
	_, err := f.CreateVersion(t.Context(), f.admin, s.ID, "", b, skill.ClaudeNewLimits)
	wantError(t, err, core.Invalid, `the name must stay "s"`)
	_, err = f.DeleteVersion(t.Context(), f.admin, s.ID, "latest", skill.ClaudeNewLimits)
	wantError(t, err, core.Invalid, "at least one version")
	if _, err := f.DeleteVersion(t.Context(), f.admin, s.ID, "latest", skill.ClaudeLimits); err != nil {
		t.Fatal(err)
	}
	if got := f.latest(t, s.ID); got != 0 {
		t.Errorf("latest = %d, want none", got)
	}
	if _, err := f.Version(t.Context(), f.admin, s.ID, "latest"); core.CodeOf(err) != "skill_version_not_found" {
		t.Errorf("latest of none: %v", err)
	}
}

func TestRolesAndWorkers(t *testing.T) {
	t.Parallel()
	f := setup(t)
	s := f.create(t)
	b := f.bundle(t, parts("s/SKILL.md", about("s")), skill.ClaudeLimits)
	member, worker := f.as(core.RoleMember), core.Principal{Kind: core.PrincipalEnvironment, Project: f.admin.Project}
	for _, by := range []core.Principal{member, worker} {
		_, err1 := f.Create(t.Context(), by, skill.NewSkill{Bundle: b}, skill.ClaudeLimits)
		_, err2 := f.CreateVersion(t.Context(), by, s.ID, "", b, skill.ClaudeLimits)
		_, err3 := f.DeleteVersion(t.Context(), by, s.ID, "latest", skill.ClaudeLimits)
		for i, err := range []error{err1, err2, err3, f.Delete(t.Context(), by, s.ID)} {
			if core.KindOf(err) != core.Forbidden {
				t.Errorf("%s %s, %d: %v", by.Kind, by.Role, i, err)
			}
		}
	}
	for _, by := range []core.Principal{f.as(core.RoleViewer), worker} {
		_, err1 := f.Skill(t.Context(), by, s.ID)
		_, err2 := f.Skills(t.Context(), by, core.SkillPage{Limit: 1})
		_, err3 := f.Version(t.Context(), by, s.ID, "latest")
		_, err4 := f.Versions(t.Context(), by, s.ID, core.SkillVersionPage{Limit: 1})
		_, r, err5 := f.Open(t.Context(), by, s.ID, "latest")
		if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
			t.Errorf("%s %s: %v", by.Kind, by.Role, err)
			continue
		}
		if d := cmp.Diff(map[string]string{"s/SKILL.md": about("s")}, contents(t, r)); d != "" {
			t.Errorf("archive (-want +got):\n%s", d)
		}
	}
	nobody := core.Principal{Project: f.admin.Project}
	if _, err := f.Skills(t.Context(), nobody, core.SkillPage{Limit: 1}); core.KindOf(err) != core.Forbidden {
		t.Errorf("nobody: %v", err)
	}
	for _, limit := range []int{0, 1002} {
		_, err1 := f.Skills(t.Context(), f.admin, core.SkillPage{Limit: limit})
		_, err2 := f.Versions(t.Context(), f.admin, s.ID, core.SkillVersionPage{Limit: limit})
		wantError(t, err1, core.Invalid, "limit")
		wantError(t, err2, core.Invalid, "limit")
	}
}

func TestTheServerReadsASkillFileByFile(t *testing.T) {
	t.Parallel()
	f := setup(t)
	s := f.create(t)
	v := f.version(t, s, "s/SKILL.md", about("s"), "s/bin/run", "#!", "s/a", "")
	got := map[string]string{}
	read, err := f.Files(t.Context(), f.admin.Project, s.ID, "latest", func(file core.SkillFile, r io.Reader) error {
		raw, err := io.ReadAll(r)
		got[file.Path] = string(raw)
		return err
	})
	if err != nil || read.Number != v.Number {
		t.Fatalf("version = %+v, %v", read, err)
	}
	if d := cmp.Diff(map[string]string{"SKILL.md": about("s"), "bin/run": "#!", "a": ""}, got); d != "" {
		t.Errorf("files (-want +got):\n%s", d)
	}
	enough := errors.New("enough")
	if _, err := f.Files(t.Context(), f.admin.Project, s.ID, "latest", func(core.SkillFile, io.Reader) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("Files = %v", err)
	}
	r, err := f.Content(t.Context(), f.admin.Project, s.ID, "latest")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"s/SKILL.md", "s/a", "s/bin/run"}, sorted(contents(t, r))); d != "" {
		t.Errorf("archive (-want +got):\n%s", d)
	}
	if _, err := f.Content(t.Context(), f.other.Project, s.ID, "latest"); core.KindOf(err) != core.NotFound {
		t.Errorf("another project's: %v", err)
	}
}

func TestWhatIsDeletedLeavesNoBytes(t *testing.T) {
	t.Parallel()
	f := setup(t)
	s, stays := f.create(t), f.create(t)
	f.version(t, s, "s/SKILL.md", about("s"))
	f.version(t, s, "s/SKILL.md", about("s"))
	if _, err := f.DeleteVersion(t.Context(), f.admin, s.ID, "latest", skill.ClaudeLimits); err != nil {
		t.Fatal(err)
	}
	if err := f.Delete(t.Context(), f.admin, s.ID); err != nil {
		t.Fatal(err)
	}
	if n, err := f.depot.Sweep(t.Context()); n != 3 || err != nil {
		t.Errorf("swept %d, %v", n, err)
	}
	if n := f.blobs(t); n != 1 {
		t.Errorf("%d blobs are left", n)
	}
	if _, r, err := f.Open(t.Context(), f.admin, stays.ID, "latest"); err != nil {
		t.Error(err)
	} else {
		contents(t, r)
	}
	if err := f.Delete(t.Context(), f.admin, s.ID); core.CodeOf(err) != "skill_not_found" {
		t.Errorf("again: %v", err)
	}
}

func TestABundleIsUsedOnce(t *testing.T) {
	t.Parallel()
	f := setup(t)
	b := f.bundle(t, parts("s/SKILL.md", about("s")), skill.ClaudeLimits)
	s, err := f.Create(t.Context(), f.admin, skill.NewSkill{Bundle: b}, skill.ClaudeLimits)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.CreateVersion(t.Context(), f.admin, s.ID, "", b, skill.ClaudeLimits)
	wantError(t, err, core.Timeout, "took too long")
	f.Discard(t.Context(), f.admin, b) // which has an owner
	if n := f.blobs(t); n != 1 {
		t.Errorf("%d blobs", n)
	}
	long, empty := string(make([]rune, 256)), ""
	for _, title := range []*string{&long, &empty} {
		_, err := f.Create(t.Context(), f.admin, skill.NewSkill{Bundle: b, Title: title}, skill.ClaudeLimits)
		wantError(t, err, core.Invalid, "display_title")
	}
	_, err = f.Create(t.Context(), f.admin, skill.NewSkill{Bundle: b, Metadata: map[string]string{"k": long + long + long}}, skill.ClaudeLimits)
	wantError(t, err, core.Invalid, "metadata.k")
}
