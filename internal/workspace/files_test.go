package workspace_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/workspace"
)

// tree lists what is below a folder as "path: content", and fails if it is not for everybody to read.
func tree(t *testing.T, folder string) []string {
	t.Helper()
	list := []string{}
	need(t, filepath.WalkDir(folder, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(folder, p)
		if d.IsDir() {
			if info.Mode().Perm() != 0o755 {
				t.Errorf("folder %s has mode %v", rel, info.Mode())
			}
			return nil
		}
		if info.Mode() != 0o644 {
			t.Errorf("%s has mode %v", rel, info.Mode())
		}
		raw, err := os.ReadFile(p)
		list = append(list, rel+": "+string(raw))
		return err
	}))
	slices.Sort(list)
	return list
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func TestAttachedFilesComeAndGoInTheFolderThatTheSandboxSees(t *testing.T) {
	t.Parallel()
	h := build(t)
	p := workspace.NewFiles(h.files, always)
	open := func() []core.Mount {
		t.Helper()
		mounts, err := p.Open(t.Context(), h.sess, h.folder, h.work)
		need(t, err)
		return mounts
	}
	mounts := open()
	same(t, "mounts", mounts, []core.Mount{{Host: filepath.Join(h.folder, "tree"), Path: "/mnt/session/uploads", ReadOnly: true}})
	same(t, "nothing attached", tree(t, mounts[0].Host), []string{})
	h.upload(t, "a.txt", "one")
	nested := h.upload(t, "data/deep/b.txt", "two")
	same(t, "mounts", open(), mounts) // the same folder: nothing has to be mounted again
	same(t, "attached", tree(t, mounts[0].Host), []string{"a.txt: one", "data/deep/b.txt: two"})
	text, err := p.Brief(t.Context(), h.sess)
	need(t, err)
	if !strings.Contains(text, "- /mnt/session/uploads/a.txt\n- /mnt/session/uploads/data/deep/b.txt") {
		t.Errorf("brief = %q", text)
	}
	// One is detached, and its folder's name becomes a file's.
	h.sess.Resources = slices.DeleteFunc(h.sess.Resources, func(r core.Resource) bool { return r.ID == nested.ID })
	h.upload(t, "data", "three")
	open()
	same(t, "changed", tree(t, mounts[0].Host), []string{"a.txt: one", "data: three"})
	// Detached and attached anew at the same path: it is another file.
	h.sess.Resources = h.sess.Resources[:1]
	h.upload(t, "data", "four")
	open()
	same(t, "replaced", tree(t, mounts[0].Host), []string{"a.txt: one", "data: four"})
}

func TestAFileThatIsGoneIsNotShown(t *testing.T) {
	t.Parallel()
	h := build(t)
	p := workspace.NewFiles(h.files, always)
	gone := h.upload(t, "gone.txt", "x")
	h.upload(t, "here.txt", "y")
	need(t, h.files.Delete(t.Context(), h.by, gone.File))
	for range 2 {
		mounts, err := p.Open(t.Context(), h.sess, h.folder, h.work)
		need(t, err)
		same(t, "shown", tree(t, mounts[0].Host), []string{"here.txt: y"})
	}
}

func TestFilesAreBroughtAgainIfTheNoteOfThemIsLost(t *testing.T) {
	t.Parallel()
	h := build(t)
	p := workspace.NewFiles(h.files, always)
	h.upload(t, "a.txt", "one")
	mounts, err := p.Open(t.Context(), h.sess, h.folder, h.work)
	need(t, err)
	need(t, os.WriteFile(filepath.Join(h.folder, "manifest.json"), []byte(`{"a.t`), 0o600)) // cut off
	need(t, os.WriteFile(filepath.Join(h.folder, "draft"), []byte("half"), 0o600))
	_, err = p.Open(t.Context(), h.sess, h.folder, h.work)
	need(t, err)
	same(t, "shown", tree(t, mounts[0].Host), []string{"a.txt: one"})
}

func TestPathsNeverLeadOutOfTheUploads(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.upload(t, "../../escaped.txt", "x")
	h.upload(t, "../uploads-too/y", "y")
	mounts, err := workspace.NewFiles(h.files, always).Open(t.Context(), h.sess, h.folder, h.work)
	need(t, err)
	same(t, "shown", tree(t, mounts[0].Host), []string{})
	if _, err := os.Lstat(filepath.Join(h.folder, "..", "escaped.txt")); err == nil {
		t.Error("a file was written outside")
	}
}

func TestPartsAreWantedWhereThereIsASandbox(t *testing.T) {
	t.Parallel()
	plain := core.Session{Snapshot: &core.AgentSpec{}}
	elsewhere := core.Session{Snapshot: &core.AgentSpec{}, Elsewhere: true}
	repo := core.Session{Snapshot: &core.AgentSpec{}, Resources: []core.Resource{{Type: core.ResourceRepository}}}
	for _, row := range []struct {
		name string
		part workspace.Part
		sess core.Session
		want bool
	}{
		{"files with tools", workspace.NewFiles(nil, always), plain, true},
		{"files without tools", workspace.NewFiles(nil, never), plain, false},
		{"files elsewhere", workspace.NewFiles(nil, always), elsewhere, false},
		{"files of an observed session", workspace.NewFiles(nil, always), core.Session{}, false},
		{"outputs with tools", workspace.NewOutputs(nil, always, nil, workspace.OutputLimits{}), plain, true},
		{"outputs without tools", workspace.NewOutputs(nil, never, nil, workspace.OutputLimits{}), plain, false},
		{"outputs elsewhere", workspace.NewOutputs(nil, always, nil, workspace.OutputLimits{}), elsewhere, false},
		{"repositories", workspace.NewRepositories(workspace.RepositoryOptions{}), repo, true},
		{"no repositories", workspace.NewRepositories(workspace.RepositoryOptions{}), plain, false},
	} {
		if got := row.part.Wanted(row.sess); got != row.want {
			t.Errorf("%s: wanted = %v", row.name, got)
		}
	}
}
