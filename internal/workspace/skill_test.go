package workspace_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/blob"
	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/skill"
	"github.com/reeve-ai/reeve/internal/store"
	"github.com/reeve-ai/reeve/internal/workspace"
)

// library is the real service for skills, and the part over it.
type library struct {
	*testing.T
	db      *store.DB
	service *skill.Service
	admin   core.Principal
	root    string
	part    *workspace.SkillPart
	spaces  *workspace.Service
	unpacks atomic.Int64
}

func newLibrary(t *testing.T) *library {
	t.Helper()
	l := &library{T: t, root: filepath.Join(t.TempDir(), "skills")}
	db, err := store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "reeve.db")})
	l.must(err)
	t.Cleanup(func() { l.must(db.Close()) })
	folder, err := blob.OpenFolder(filepath.Join(t.TempDir(), "blobs"))
	l.must(err)
	l.db = db
	l.service = skill.New(db, blob.NewDepot(db, folder, blob.Options{}), nil)
	l.admin = core.Principal{Kind: core.PrincipalToken, Role: core.RoleAdmin, Project: core.NewID[core.ProjectID]()}
	l.must(db.CreateProject(t.Context(), core.Project{ID: l.admin.Project, Name: "p", Active: true}))
	l.part = workspace.NewSkills(l.root, db, l, func(s core.AgentSpec) bool { return len(s.Tools) > 0 })
	l.spaces = workspace.New(filepath.Join(t.TempDir(), "w"), l.part)
	return l
}

func (l *library) must(err error) {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
}

// Files counts how often a skill is unpacked.
func (l *library) Files(ctx context.Context, project core.ProjectID, id core.SkillID, ref string, each func(core.SkillFile, io.Reader) error) (core.SkillVersion, error) {
	l.unpacks.Add(1)
	return l.service.Files(ctx, project, id, ref, each)
}

// skill uploads one, and returns how an agent names it.
func (l *library) skill(name, description string, files ...string) core.SkillBinding {
	l.Helper()
	files = append(files, "SKILL.md", "---\nname: "+name+"\ndescription: "+description+"\n---\nDo it.\n")
	b, err := l.service.Pack(l.Context(), l.admin, func(yield func(skill.Part, error) bool) {
		for i := 0; i < len(files); i += 2 {
			if !yield(skill.Part{Name: name + "/" + files[i], Body: strings.NewReader(files[i+1])}, nil) {
				return
			}
		}
	}, skill.ClaudeLimits)
	l.must(err)
	made, err := l.service.Create(l.Context(), l.admin, skill.NewSkill{Bundle: b}, skill.ClaudeLimits)
	l.must(err)
	v, err := l.service.Version(l.Context(), l.admin, made.ID, core.SkillVersionLatest)
	l.must(err)
	return core.SkillBinding{Type: core.SkillCustom, Skill: string(made.ID), Version: strconv.FormatInt(v.Number, 10)}
}

func (l *library) session(skills ...core.SkillBinding) core.Session {
	spec := core.AgentSpec{Name: "a", Tools: []core.Toolset{{Kind: core.ToolsetBuiltin}}, Skills: skills}
	return core.Session{Project: l.admin.Project, ID: core.NewID[core.SessionID](), Origin: core.OriginManaged, Snapshot: &spec}
}

// open returns the mounts by their paths.
func (l *library) open(sess core.Session) map[string]core.Mount {
	l.Helper()
	w, err := l.spaces.Open(l.Context(), sess)
	l.must(err)
	got := map[string]core.Mount{}
	for _, m := range w.Mounts {
		if !m.ReadOnly {
			l.Errorf("%s is writable", m.Path)
		}
		got[m.Path] = m
	}
	return got
}

func TestSkillsAreReadOnlyFolders(t *testing.T) {
	t.Parallel()
	l := newLibrary(t)
	pdf := l.skill("pdf", "Reads PDF files.", "scripts/run.py", "print(1)", "deep/er/data", "x")
	mounts := l.open(l.session(pdf))
	host := mounts["/mnt/skills/pdf"].Host
	if len(mounts) != 1 || host == "" {
		t.Fatalf("mounts = %+v", mounts)
	}
	for name, want := range map[string]string{"scripts/run.py": "print(1)", "deep/er/data": "x", "SKILL.md": "---\nname: pdf\ndescription: Reads PDF files.\n---\nDo it.\n"} {
		if b, err := os.ReadFile(filepath.Join(host, name)); err != nil || string(b) != want {
			t.Errorf("%s = %q, %v", name, b, err)
		}
	}
	// Everybody may read, whatever the umask and whoever the sandbox runs as.
	l.must(filepath.WalkDir(host, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && (info.Mode().Perm()&0o444 != 0o444 || d.IsDir() && info.Mode().Perm() != 0o755) {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	}))
	brief, err := l.spaces.Brief(t.Context(), l.session(pdf))
	l.must(err)
	if !strings.Contains(brief, "\n- pdf (`/mnt/skills/pdf/SKILL.md`): Reads PDF files.") || strings.Contains(brief, "Do it") {
		t.Errorf("brief:\n%s", brief)
	}
}

func TestAVersionIsUnpackedOnceForAllSessions(t *testing.T) {
	t.Parallel()
	l := newLibrary(t)
	pdf := l.skill("pdf", "d")
	var wg sync.WaitGroup
	hosts := make([]string, 30)
	for i := range hosts {
		wg.Go(func() { hosts[i] = l.open(l.session(pdf))["/mnt/skills/pdf"].Host })
	}
	wg.Wait()
	for _, h := range hosts {
		if h != hosts[0] || h == "" {
			t.Errorf("hosts = %q", hosts)
		}
	}
	if n := l.unpacks.Load(); n != 1 {
		t.Errorf("unpacked %d times", n)
	}
}

func TestATeamHasTheSkillsOfAll(t *testing.T) {
	t.Parallel()
	l := newLibrary(t)
	one, two, same := l.skill("one", "d"), l.skill("two", "d"), l.skill("one", "another of that name")
	sess := l.session(one)
	sess.Team = []core.Teammate{
		{RosterMember: core.RosterMember{Kind: core.RosterSelf}},
		{Spec: &core.AgentSpec{Skills: []core.SkillBinding{one, two}}},
		{Spec: &core.AgentSpec{Skills: []core.SkillBinding{same}}},
	}
	var got []string
	w, err := l.spaces.Open(t.Context(), sess)
	l.must(err)
	for _, m := range w.Mounts {
		got = append(got, m.Path)
	}
	if diff := cmp.Diff([]string{"/mnt/skills/one", "/mnt/skills/two", "/mnt/skills/one-2"}, got); diff != "" {
		t.Errorf("mounts (-want +got):\n%s", diff)
	}
}

func TestWorkersFindSkillsElsewhere(t *testing.T) {
	t.Parallel()
	l := newLibrary(t)
	sess := l.session(l.skill("pdf", "d"))
	sess.Elsewhere = true
	brief, err := l.spaces.Brief(t.Context(), sess)
	if err != nil || !strings.Contains(brief, "(`skills/pdf/SKILL.md`)") {
		t.Errorf("brief: %q, %v", brief, err)
	}
	sess = l.session(l.skill("csv", "d"))
	sess.Snapshot.Tools = nil // nothing could read them
	if brief, err = l.spaces.Brief(t.Context(), sess); err != nil || brief != "" {
		t.Errorf("brief: %q, %v", brief, err)
	}
}

func TestADeletedSkillLeavesTheOthers(t *testing.T) {
	t.Parallel()
	l := newLibrary(t)
	pdf, csv := l.skill("pdf", "d"), l.skill("csv", "d")
	l.must(l.service.Delete(t.Context(), l.admin, core.SkillID(pdf.Skill)))
	sess := l.session(pdf, csv)
	if mounts := l.open(sess); len(mounts) != 1 || mounts["/mnt/skills/csv"].Host == "" {
		t.Errorf("mounts = %+v", mounts)
	}
	foreign := l.session(csv)
	foreign.Project = core.NewID[core.ProjectID]()
	if mounts := l.open(foreign); len(mounts) != 0 {
		t.Errorf("another project sees %+v", mounts)
	}
}

func TestWhatDoesNotFitItsListIsNotUnpacked(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]core.SkillFile{
		"it leads outside":     {Path: "../out", Bytes: 1},
		"it is absolute":       {Path: "/tmp/out", Bytes: 1},
		"it is larger":         {Path: "a", Bytes: 0},
		"it is smaller":        {Path: "a", Bytes: 2},
		"it is there already":  {Path: "SKILL.md", Bytes: 1},
		"it is below a file":   {Path: "SKILL.md/x", Bytes: 1},
		"it is much too large": {Path: "a", Bytes: 60 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLibrary(t)
			b := l.skill("pdf", "d")
			part := workspace.NewSkills(l.root, l.db, forged{l, f}, func(core.AgentSpec) bool { return true })
			sess := l.session(b)
			if mounts, err := part.Open(t.Context(), sess, "", ""); err == nil {
				t.Fatalf("mounts = %+v", mounts)
			}
			entries, err := os.ReadDir(filepath.Join(l.root, string(l.admin.Project)))
			if err != nil || len(entries) != 0 {
				t.Errorf("left behind: %v, %v", entries, err)
			}
			if mounts := l.open(sess); len(mounts) != 1 { // once the source is good
				t.Errorf("mounts = %+v", mounts)
			}
		})
	}
}

// forged adds a file to what the service has.
type forged struct {
	*library
	file core.SkillFile
}

func (s forged) Files(ctx context.Context, project core.ProjectID, id core.SkillID, ref string, each func(core.SkillFile, io.Reader) error) (core.SkillVersion, error) {
	v, err := s.library.Files(ctx, project, id, ref, each)
	if err != nil {
		return v, err
	}
	var content io.Reader = strings.NewReader("x")
	if s.file.Bytes > 1<<20 {
		content = zeros{}
	}
	return v, each(s.file, content)
}

// zeros never end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func TestUnusedSkillsAreRemoved(t *testing.T) {
	t.Parallel()
	l := newLibrary(t)
	old, used := l.session(l.skill("old", "d")), l.session(l.skill("used", "d"))
	oldHost, usedHost := l.open(old)["/mnt/skills/old"].Host, l.open(used)["/mnt/skills/used"].Host
	crashed := filepath.Join(filepath.Dir(oldHost), ".new-123")
	l.must(os.Mkdir(crashed, 0o700))
	long := time.Now().Add(-8 * 24 * time.Hour)
	for _, dir := range []string{oldHost, usedHost, crashed} {
		l.must(os.Chtimes(dir, long, long))
	}
	l.open(used) // writes down that it is used
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1) // holds the one result
	go func() { ended <- l.part.Run(ctx) }()
	deadline := time.Now().Add(20 * time.Second)
	for there := true; there; {
		if time.Now().After(deadline) {
			t.Fatal("nothing was removed")
		}
		_, err := os.Stat(crashed)
		_, err2 := os.Stat(oldHost)
		there = err == nil || err2 == nil
	}
	cancel()
	l.must(<-ended)
	if _, err := os.Stat(usedHost); errors.Is(err, fs.ErrNotExist) {
		t.Error("one that is used was removed")
	}
	if host := l.open(old)["/mnt/skills/old"].Host; host != oldHost {
		t.Errorf("unpacked again at %s, want %s", host, oldHost)
	}
}
