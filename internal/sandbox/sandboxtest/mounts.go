package sandboxtest

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/core"
)

// mounted opens a sandbox with a read-only mount that holds a file, a writable one that does too, and a
// read-only one below the working folder. Nobody but the server's user can walk to them on the host.
func (s suite) mounted(t *testing.T) (p place, library, notes string) {
	t.Helper()
	p = s.open(t, func(spec *core.SandboxSpec) {
		data := filepath.Dir(filepath.Dir(spec.Folder))
		library, notes = filepath.Join(data, "library"), filepath.Join(data, "notes")
		for dir, file := range map[string]string{library: "book", filepath.Join(library, "deep"): "page", notes: "note"} {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, file), []byte("needle in "+file+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		spec.Mounts = []core.Mount{
			{Host: library, Path: "/mnt/skills/library", ReadOnly: true},
			{Host: notes, Path: "/mnt/memory/notes"},
			{Host: library, Path: "/workspace/lent/books", ReadOnly: true},
		}
	})
	return p, library, notes
}

func (s suite) mounts(t *testing.T) {
	if slices.Contains(s.except, Mounts) {
		t.Run("AreSeenByTheFileTools", func(t *testing.T) {
			t.Parallel()
			p, library, notes := s.mounted(t)
			toolsSee(t, p)
			if created, err := p.WriteFile(t.Context(), "/mnt/memory/notes/made/tool", []byte("by the tool\n")); err != nil || !created {
				t.Errorf("WriteFile = %t, %v", created, err)
			}
			p.says("cat lent/books/book", "needle in book\n") // commands see those below the working folder
			for _, name := range []string{"/mnt/skills/library/book", "/mnt/skills/library/new", "lent/books/book"} {
				_, err := p.WriteFile(t.Context(), name, []byte("x"))
				wantCode(t, "WriteFile("+name+")", err, core.Invalid, "permission_denied")
			}
			for path, want := range map[string]string{filepath.Join(notes, "made/tool"): "by the tool\n", filepath.Join(library, "book"): "needle in book\n"} {
				if got, err := os.ReadFile(path); err != nil || string(got) != want {
					t.Errorf("on the host %s = %q, %v", path, got, err)
				}
			}
		})
		return
	}
	t.Run("AreSeenByTheShellAndTheFileTools", func(t *testing.T) {
		t.Parallel()
		p, _, _ := s.mounted(t)
		p.says("cat /mnt/skills/library/book /mnt/skills/library/deep/page /mnt/memory/notes/note lent/books/book",
			"needle in book\nneedle in page\nneedle in note\nneedle in book\n")
		p.says("ls /mnt /mnt/memory", "/mnt:\nmemory\nskills\n\n/mnt/memory:\nnotes\n")
		toolsSee(t, p)
		found, more, err := p.Glob(t.Context(), "/mnt", "**/*", 10)
		slices.Sort(found)
		if d := cmp.Diff([]string{"/mnt/memory/notes/note", "/mnt/skills/library/book", "/mnt/skills/library/deep/page"}, found); d != "" || more || err != nil {
			t.Errorf("Glob: more %t, %v, diff %s", more, err, d)
		}
	})
	t.Run("AWritableOneIsWrittenThrough", func(t *testing.T) {
		t.Parallel()
		p, _, notes := s.mounted(t)
		p.says("cd /mnt/memory/notes && echo more >>note && mkdir sub && echo new >sub/shell && mv note moved && echo yes", "yes\n")
		if created, err := p.WriteFile(t.Context(), "/mnt/memory/notes/made/tool", []byte("by the tool\n")); err != nil || !created {
			t.Errorf("WriteFile = %t, %v", created, err)
		}
		for name, want := range map[string]string{"moved": "needle in note\nmore\n", "sub/shell": "new\n", "made/tool": "by the tool\n"} {
			if got, err := os.ReadFile(filepath.Join(notes, name)); err != nil || string(got) != want {
				t.Errorf("on the host %s = %q, %v", name, got, err)
			}
		}
	})
	t.Run("WhatTheHostAddsIsSeenAtOnce", func(t *testing.T) {
		t.Parallel()
		p, library, _ := s.mounted(t)
		p.says("ls /mnt/skills/library", "book\ndeep\n")
		if err := os.WriteFile(filepath.Join(library, "late"), []byte("here\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		p.says("cat /mnt/skills/library/late", "here\n")
	})
	t.Run("AReadOnlyOneStaysAsItIs", func(t *testing.T) {
		t.Parallel()
		p, library, _ := s.mounted(t)
		for _, dir := range []string{"/mnt/skills/library", "lent/books"} {
			p.says("cd ~; for c in 'touch new' 'rm book' 'mv book moved' 'chmod 777 book' 'sh -c \"echo x >>book\"'; do (cd "+dir+" && eval \"$c\" 2>/dev/null) && echo \"$c\"; done; true", "")
			for _, name := range []string{"book", "new", "sub/new"} {
				_, err := p.WriteFile(t.Context(), dir+"/"+name, []byte("x"))
				wantCode(t, "WriteFile in "+dir, err, core.Invalid, "permission_denied")
			}
		}
		if got, err := os.ReadFile(filepath.Join(library, "book")); err != nil || string(got) != "needle in book\n" {
			t.Errorf("on the host it is %q, %v", got, err)
		}
		if list, err := os.ReadDir(library); err != nil || len(list) != 2 {
			t.Errorf("on the host there are %v, %v", list, err)
		}
	})
	t.Run("LeadToNothingElseOfTheHost", func(t *testing.T) {
		t.Parallel()
		s.need(t, HostFiles)
		p, _, _ := s.mounted(t)
		secret := filepath.Join(p.data, "secret")
		if err := os.WriteFile(secret, []byte("top secret"), 0o644); err != nil {
			t.Fatal(err)
		}
		p.says("ln -s "+secret+" /mnt/memory/notes/link", "")
		for _, path := range []string{"/mnt/memory/notes/link", "/mnt/memory/notes/../../../" + secret, "/mnt/memory/secret"} {
			if got, err := p.ReadFile(t.Context(), path, 100); core.KindOf(err) != core.Invalid {
				t.Errorf("ReadFile(%s) = %q, %v; want Invalid", path, got, err)
			}
			if res := p.bash("cat " + path + " 2>/dev/null"); res.Output != "" {
				t.Errorf("the shell reads %s: %q", path, res.Output)
			}
		}
		p.says("touch /mnt/planted /mnt/memory/planted 2>/dev/null || echo no", "no\n")
	})
	t.Run("OtherSandboxesDoNotSeeThem", func(t *testing.T) {
		t.Parallel()
		p, _, _ := s.mounted(t)
		p.says("ls /mnt/memory", "notes\n")
		s.open(t).says("ls -d /mnt/memory 2>/dev/null || echo none", "none\n")
	})
	t.Run("AreThereAgainInTheNextSandbox", func(t *testing.T) {
		t.Parallel()
		data := t.TempDir()
		notes := filepath.Join(data, "notes")
		if err := os.Mkdir(notes, 0o755); err != nil {
			t.Fatal(err)
		}
		mount := func(spec *core.SandboxSpec) { spec.Mounts = []core.Mount{{Host: notes, Path: "/workspace/a/b"}} }
		first := s.openIn(t, data, mount)
		first.says("echo kept >a/b/note", "")
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		s.openIn(t, data, mount).says("cat a/b/note && echo more >>a/b/note && echo yes", "kept\nyes\n")
	})
	t.Run("AWrongOneIsRefused", func(t *testing.T) {
		t.Parallel()
		data := t.TempDir()
		blocked := filepath.Join(data, "blocked")
		if err := os.Mkdir(blocked, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("/etc", filepath.Join(blocked, "link")); err != nil {
			t.Fatal(err)
		}
		for _, m := range []core.Mount{
			{Host: data, Path: "/etc"},
			{Host: data, Path: "/mnt"},
			{Host: data, Path: "/mnt/../etc"},
			{Host: data, Path: "/workspace"},
			{Host: "relative", Path: "/mnt/x"},
			{Host: filepath.Join(data, "missing"), Path: "/mnt/x"},
			{Host: data, Path: "/workspace/link"},
			{Host: data, Path: "/workspace/link/below"},
		} {
			_, err := s.driver.Open(t.Context(), core.SandboxSpec{Folder: blocked, Mounts: []core.Mount{m}})
			wantCode(t, "Open with "+m.Host+" at "+m.Path, err, core.Unavailable, "sandbox_unavailable")
		}
	})
}

// toolsSee checks what file operations find in the mounts of mounted.
func toolsSee(t *testing.T, p place) {
	t.Helper()
	for path, want := range map[string]string{"/mnt/skills/library/deep/page": "needle in page\n", "/mnt/memory/notes/note": "needle in note\n", "lent/books/book": "needle in book\n"} {
		if got, err := p.ReadFile(t.Context(), path, 100); err != nil || string(got) != want {
			t.Errorf("ReadFile(%s) = %q, %v", path, got, err)
		}
	}
	found, more, err := p.Glob(t.Context(), "/mnt/skills/library", "**/*", 10)
	slices.Sort(found)
	if d := cmp.Diff([]string{"/mnt/skills/library/book", "/mnt/skills/library/deep/page"}, found); d != "" || more || err != nil {
		t.Errorf("Glob: more %t, %v, diff %s", more, err, d)
	}
	lines, _, err := p.Grep(t.Context(), "/mnt/memory/notes", "needle", 1000)
	if d := cmp.Diff([]string{"/mnt/memory/notes/note:1:needle in note"}, lines); d != "" || err != nil {
		t.Errorf("Grep: %v, diff %s", err, d)
	}
}
