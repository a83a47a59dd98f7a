package workspace_test

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/workspace"
)

// outputs is the folder that the agent writes to, and a look at it.
func outputs(t *testing.T, h *house, l workspace.OutputLimits) (dir string, settle func()) {
	t.Helper()
	p := workspace.NewOutputs(h.files, always, silent(), l)
	mounts, err := p.Open(t.Context(), h.sess, h.folder, h.work)
	need(t, err)
	same(t, "mounts", mounts, []core.Mount{{Host: filepath.Join(h.folder, "tree"), Path: "/mnt/session/outputs"}})
	return mounts[0].Host, func() {
		t.Helper()
		need(t, p.Settle(t.Context(), h.sess, h.folder))
	}
}

func write(t *testing.T, dir, name, content string) {
	t.Helper()
	at := filepath.Join(dir, name)
	need(t, os.MkdirAll(filepath.Dir(at), 0o755))
	need(t, os.WriteFile(at, []byte(content), 0o644))
}

func TestOutputsBecomeFilesOfTheSession(t *testing.T) {
	t.Parallel()
	h := build(t)
	dir, settle := outputs(t, h, workspace.OutputLimits{})
	settle()
	same(t, "nothing yet", h.kept(t), []string(nil))
	write(t, dir, "report.txt", "one")
	settle()
	settle() // the same content is not kept twice
	same(t, "first", h.kept(t), []string{"report.txt: one"})
	write(t, dir, "report.txt", "two")
	write(t, dir, "sub/empty.txt", "")
	settle()
	same(t, "changed", h.kept(t), []string{"report.txt: one", "report.txt: two", "empty.txt: "})
	write(t, dir, "report.txt", "two") // touched, not changed
	settle()
	write(t, dir, "report.txt", "one") // what it was before: the newest again
	settle()
	same(t, "changed back", h.kept(t), []string{"report.txt: one", "report.txt: two", "empty.txt: ", "report.txt: one"})
	list, err := h.files.Files(t.Context(), h.by, core.FilePage{Limit: 10, Session: h.sess.ID})
	need(t, err)
	for _, f := range list {
		if !f.Downloadable || f.Session != h.sess.ID || f.MediaType != "text/plain" {
			t.Errorf("file = %+v", f)
		}
	}
}

func TestOutputsAreKeptOnceAcrossACrash(t *testing.T) {
	t.Parallel()
	h := build(t)
	dir, settle := outputs(t, h, workspace.OutputLimits{})
	write(t, dir, "a.txt", "one")
	settle()
	write(t, dir, "a.txt", "two")
	before, err := os.ReadFile(filepath.Join(h.folder, "manifest.json"))
	need(t, err)
	settle()
	need(t, os.WriteFile(filepath.Join(h.folder, "manifest.json"), before, 0o600)) // it died before it noted that
	settle()
	same(t, "kept", h.kept(t), []string{"a.txt: one", "a.txt: two"})
}

func TestOnlyRegularFilesOfTheFolderAreKept(t *testing.T) {
	t.Parallel()
	h := build(t)
	dir, settle := outputs(t, h, workspace.OutputLimits{})
	secret := filepath.Join(t.TempDir(), "secret")
	need(t, os.WriteFile(secret, []byte("of the server"), 0o600))
	need(t, os.Symlink(secret, filepath.Join(dir, "link.txt")))
	need(t, os.Symlink(filepath.Dir(secret), filepath.Join(dir, "folder")))
	need(t, syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600))
	write(t, dir, "real\x01name.txt", "x")
	settle()
	same(t, "kept", h.kept(t), []string{"real_name.txt: x"})
}

func TestOutputsHaveLimits(t *testing.T) {
	t.Parallel()
	h := build(t)
	dir, settle := outputs(t, h, workspace.OutputLimits{Bytes: 5, Files: 2})
	write(t, dir, "a-large.txt", "123456")
	write(t, dir, "b.txt", "12345")
	write(t, dir, "c.txt", "c")
	write(t, dir, "d.txt", "d")
	settle()
	same(t, "kept", h.kept(t), []string{"b.txt: 12345", "c.txt: c"})
	write(t, dir, "c.txt", "C") // what is kept already still changes
	settle()
	same(t, "kept", h.kept(t), []string{"b.txt: 12345", "c.txt: c", "c.txt: C"})
}

func TestNothingIsKeptOfASessionThatIsGone(t *testing.T) {
	t.Parallel()
	h := build(t)
	dir, _ := outputs(t, h, workspace.OutputLimits{})
	write(t, dir, "a.txt", "x")
	need(t, h.db.DeleteSession(t.Context(), h.sess.Project, h.sess.ID))
	err := workspace.NewOutputs(h.files, always, silent(), workspace.OutputLimits{}).Settle(t.Context(), h.sess, h.folder)
	if core.CodeOf(err) != "session_not_found" {
		t.Errorf("Settle = %v", err)
	}
	same(t, "kept", h.kept(t), []string(nil))
}

func TestTheAgentIsToldOfItsOutputs(t *testing.T) {
	t.Parallel()
	text, err := workspace.NewOutputs(nil, always, nil, workspace.OutputLimits{}).Brief(t.Context(), core.Session{})
	if err != nil || !strings.Contains(text, "/mnt/session/outputs") {
		t.Errorf("brief = %q, %v", text, err)
	}
}

func TestOutputsAreReadInParts(t *testing.T) {
	t.Parallel()
	h := build(t)
	dir, settle := outputs(t, h, workspace.OutputLimits{Read: 5})
	write(t, dir, "a.txt", "123456")
	write(t, dir, "b.txt", "b")
	settle()
	same(t, "first", h.kept(t), []string{"a.txt: 123456"})
	settle()
	same(t, "second", h.kept(t), []string{"a.txt: 123456", "b.txt: b"})
}

func TestOnlySoManyEntriesAreLookedAt(t *testing.T) {
	t.Parallel()
	h := build(t)
	dir, settle := outputs(t, h, workspace.OutputLimits{Entries: 3})
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		write(t, dir, name, "x")
	}
	settle()
	if kept := h.kept(t); len(kept) != 3 {
		t.Errorf("kept %v", kept)
	}
}

// crowded is the files of a session that can have no more.
type crowded struct {
	workspace.OutputKeeper
	staged int
}

func (c *crowded) StageOutput(ctx context.Context, project core.ProjectID, r io.Reader, limit int64) (core.Blob, error) {
	c.staged++
	return c.OutputKeeper.StageOutput(ctx, project, r, limit)
}

func (*crowded) KeepOutput(context.Context, core.ProjectID, core.SessionID, core.FileID, string, core.Blob) error {
	return core.Errorf(core.Invalid, "too_many_files", "full")
}

func TestAFullSessionIsLeftAloneForAWhile(t *testing.T) {
	t.Parallel()
	h := build(t)
	dir, settle := outputs(t, h, workspace.OutputLimits{})
	write(t, dir, "a.txt", "a")
	write(t, dir, "b.txt", "b")
	keeper := &crowded{OutputKeeper: h.files}
	p := workspace.NewOutputs(keeper, always, silent(), workspace.OutputLimits{})
	for range 3 {
		need(t, p.Settle(t.Context(), h.sess, h.folder))
	}
	if keeper.staged != 1 {
		t.Errorf("%d files were staged", keeper.staged)
	}
	long := time.Now().Add(-time.Hour)
	need(t, os.Chtimes(filepath.Join(h.folder, "full"), long, long))
	settle() // there is room now
	same(t, "kept", h.kept(t), []string{"a.txt: a", "b.txt: b"})
}
