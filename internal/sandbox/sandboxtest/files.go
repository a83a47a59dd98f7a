package sandboxtest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/core"
)

func contains(s, part string) bool { return strings.Contains(s, part) }

func (s suite) files(t *testing.T) {
	t.Run("WhatIsWrittenIsRead", func(t *testing.T) {
		t.Parallel()
		p := s.open(t)
		data := append(bytes.Repeat([]byte("line\n"), 50_000), 0, 0xff)
		for _, path := range []string{"plain", "made/on/the/way", "/workspace/absolute", "./dot/../dotted", "ünï cødé\n"} {
			created, err := p.WriteFile(t.Context(), path, data)
			if err != nil || !created {
				t.Errorf("WriteFile(%q) = %t, %v; want a new file", path, created, err)
			}
			got, err := p.ReadFile(t.Context(), path, 1<<20)
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("ReadFile(%q) = %d bytes, %v", path, len(got), err)
			}
		}
		if created, err := p.WriteFile(t.Context(), "plain", []byte("short")); err != nil || created {
			t.Errorf("the second WriteFile = %t, %v; want it replaced", created, err)
		}
		p.says("cat plain; stat -c %a plain; ls -A | grep reeve-write | wc -l", "short644\n0\n")
	})
	t.Run("TheShellAndTheFileToolsSeeTheSameFiles", func(t *testing.T) {
		t.Parallel()
		p := s.open(t)
		p.says("echo from shell >f", "")
		if got, err := p.ReadFile(t.Context(), "f", 100); err != nil || string(got) != "from shell\n" {
			t.Errorf("ReadFile = %q, %v", got, err)
		}
		if _, err := p.WriteFile(t.Context(), "g", []byte("from tool\n")); err != nil {
			t.Fatal(err)
		}
		p.says("cat g && echo more >>g && rm g", "from tool\n")
	})
	t.Run("AReplacedFileKeepsItsPermissions", func(t *testing.T) {
		t.Parallel()
		p := s.open(t)
		p.says("printf '#!/bin/sh\\necho old\\n' >run && chmod 750 run", "")
		if _, err := p.WriteFile(t.Context(), "run", []byte("#!/bin/sh\necho new\n")); err != nil {
			t.Fatal(err)
		}
		p.says("./run; stat -c %a run", "new\n750\n")
	})
	t.Run("ASymlinkIsFollowed", func(t *testing.T) {
		t.Parallel()
		p := s.open(t)
		p.says("echo old >target; ln -s target link", "")
		if created, err := p.WriteFile(t.Context(), "link", []byte("new\n")); err != nil || created {
			t.Errorf("WriteFile = %t, %v", created, err)
		}
		p.says("cat target; readlink link", "new\ntarget\n")
	})
	t.Run("Refusals", func(t *testing.T) {
		t.Parallel()
		p := s.open(t)
		p.says("mkdir dir; mkfifo pipe; head -c 1000 /dev/zero >big; touch file; ln -s nowhere broken; ln -s loop loop", "")
		for _, c := range []struct {
			path  string
			codes []string
		}{
			{"missing", []string{"not_found"}},
			{"dir", []string{"is_a_directory"}},
			{"", []string{"invalid_path"}},
			{"pipe", []string{"not_a_regular_file"}},
			{"big", []string{"file_too_large"}},
			{"file/below", []string{"not_found"}},
			{"a\x00b", []string{"invalid_path"}},
			{"broken", []string{"not_found"}},
			{"loop", []string{"invalid_path"}},
			{strings.Repeat("x", 5000), []string{"invalid_path"}},
		} {
			_, err := p.ReadFile(t.Context(), c.path, 999)
			wantCode(t, fmt.Sprintf("ReadFile(%.20q)", c.path), err, core.Invalid, c.codes...)
		}
		for path, code := range map[string]string{"dir": "is_a_directory", "pipe": "not_a_regular_file", "": "invalid_path", "new/": "is_a_directory", "broken": "not_found"} {
			_, err := p.WriteFile(t.Context(), path, []byte("x"))
			wantCode(t, fmt.Sprintf("WriteFile(%q)", path), err, core.Invalid, code)
		}
		if got, err := p.ReadFile(t.Context(), "big", 1000); err != nil || len(got) != 1000 {
			t.Errorf("a file of just the limit = %d bytes, %v", len(got), err)
		}
	})
	t.Run("TheyGoOnWhileACommandRuns", func(t *testing.T) {
		t.Parallel()
		p := s.open(t)
		result := make(chan core.BashResult, 1)
		go func() {
			res, _ := p.Bash(t.Context(), core.BashCommand{Command: "until [ -e last ]; do sleep 0.01; done; cat f*| sort | tail -1", Timeout: time.Minute})
			result <- res
		}()
		var wg sync.WaitGroup
		for i := range 40 {
			wg.Go(func() {
				name, text := fmt.Sprintf("f%02d", i), fmt.Sprintf("text %02d\n", i)
				if _, err := p.WriteFile(t.Context(), name, []byte(text)); err != nil {
					t.Error(err)
				}
				if got, err := p.ReadFile(t.Context(), name, 100); err != nil || string(got) != text {
					t.Errorf("ReadFile(%s) = %q, %v", name, got, err)
				}
			})
		}
		wg.Wait()
		if _, err := p.WriteFile(t.Context(), "last", nil); err != nil {
			t.Fatal(err)
		}
		if res := <-result; res.Output != "text 39\n" {
			t.Errorf("the command = %+v", res)
		}
	})
}

func (s suite) search(t *testing.T) {
	setup := func(t *testing.T) place {
		p := s.open(t)
		for i, f := range []string{"a.go", "b.txt", "sub/c.go", "sub/deep/d.go", ".hidden/e.go", ".git/f.go"} {
			if _, err := p.WriteFile(t.Context(), f, []byte("package x\n// needle in "+f+"\nlast")); err != nil {
				t.Fatal(err)
			}
			at := time.Unix(int64(1_700_000_000+i), 0)
			if err := os.Chtimes(filepath.Join(p.folder, f), at, at); err != nil {
				t.Fatal(err)
			}
		}
		return p
	}
	t.Run("Glob", func(t *testing.T) {
		t.Parallel()
		p := setup(t)
		for _, c := range []struct {
			root, pattern string
			limit         int
			want          string
			more          bool
		}{
			{"/workspace", "**/*.go", 10, ".hidden/e.go sub/deep/d.go sub/c.go a.go", false},
			{"/workspace", "*", 10, "b.txt a.go", false},
			{".", "**/*.go", 2, ".hidden/e.go sub/deep/d.go", true},
			{"sub", "**", 10, "sub/deep/d.go sub/c.go", false},
			{".", "sub/*.go", 10, "sub/c.go", false},
			{".", "/workspace/sub/**/*.go", 10, "sub/deep/d.go sub/c.go", false},
			{".", "*.{txt,md}", 10, "b.txt", false},
			{".git", "*", 10, ".git/f.go", false},
			{".", "nothing*", 10, "", false},
		} {
			got, more, err := p.Glob(t.Context(), c.root, c.pattern, c.limit)
			for i := range got {
				got[i] = strings.TrimPrefix(got[i], "/workspace/")
			}
			if err != nil || more != c.more || strings.Join(got, " ") != c.want {
				t.Errorf("Glob(%q, %q, %d) = %q, %t, %v; want %q, %t", c.root, c.pattern, c.limit, got, more, err, c.want, c.more)
			}
		}
		for _, pattern := range []string{"", "[", "../*", "sub/../../*"} {
			_, _, err := p.Glob(t.Context(), ".", pattern, 10)
			wantCode(t, fmt.Sprintf("Glob(%q)", pattern), err, core.Invalid, "invalid_pattern")
		}
		_, _, err := p.Glob(t.Context(), "missing", "*", 10)
		wantCode(t, "Glob in a missing folder", err, core.Invalid, "not_found")
	})
	t.Run("Grep", func(t *testing.T) {
		t.Parallel()
		p := setup(t)
		p.says(`printf 'needle\0' >binary; head -c 9000000 /dev/zero | tr '\0' n >huge; mkfifo pipe; ln -s a.go link`, "")
		got, more, err := p.Grep(t.Context(), ".", "needle in .*go$", 10_000)
		want := []string{
			"/workspace/.hidden/e.go:2:// needle in .hidden/e.go", "/workspace/a.go:2:// needle in a.go",
			"/workspace/sub/c.go:2:// needle in sub/c.go", "/workspace/sub/deep/d.go:2:// needle in sub/deep/d.go",
		}
		if d := cmp.Diff(want, got); d != "" || more || err != nil {
			t.Errorf("Grep: more %t, %v, diff %s", more, err, d)
		}
		got, more, err = p.Grep(t.Context(), "/workspace", "needle", 60)
		if err != nil || !more || len(got) != 1 {
			t.Errorf("Grep of 60 bytes = %q, %t, %v", got, more, err)
		}
		got, _, err = p.Grep(t.Context(), "/workspace/b.txt", "^last$", 1000)
		if err != nil || !slices.Equal(got, []string{"/workspace/b.txt:3:last"}) {
			t.Errorf("Grep in one file = %q, %v", got, err)
		}
		_, _, err = p.Grep(t.Context(), ".", "(", 1000)
		wantCode(t, "Grep of a bad expression", err, core.Invalid, "invalid_pattern")
		_, _, err = p.Grep(t.Context(), "missing", "x", 1000)
		wantCode(t, "Grep in a missing folder", err, core.Invalid, "not_found")
	})
	t.Run("LongLinesAreShortened", func(t *testing.T) {
		t.Parallel()
		p := s.open(t)
		if _, err := p.WriteFile(t.Context(), "long", []byte("x"+strings.Repeat("é", 100_000)+"\n")); err != nil {
			t.Fatal(err)
		}
		got, _, err := p.Grep(t.Context(), ".", "^x", 10_000)
		if err != nil || len(got) != 1 || len(got[0]) > 1100 || !contains(got[0], "more bytes") {
			t.Errorf("Grep = %d lines, %v", len(got), err)
		}
	})
}
