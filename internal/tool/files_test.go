package tool_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"
)

func TestReadShowsPlainText(t *testing.T) {
	t.Parallel()
	onEach(t, func(d desk) {
		d.put("a.txt", "one\ntwo\r\nthree")
		d.put("empty", "")
		d.put("line", "only\n")
		d.put("latin1", "Gr\xfc\xdfe aus K\xf6ln und umgebung, mit vielen buchstaben\n")
		for _, tt := range []struct {
			path string
			view []int
			want string
		}{
			{"a.txt", nil, "one\ntwo\r\nthree"},
			{"/workspace/a.txt", nil, "one\ntwo\r\nthree"},
			{"a.txt", []int{1, 1}, "one\n"},
			{"a.txt", []int{2, 3}, "two\r\nthree"},
			{"a.txt", []int{2, -1}, "two\r\nthree"},
			{"a.txt", []int{3, 0}, "three"},
			{"a.txt", []int{1, 99}, "one\ntwo\r\nthree"},
			{"empty", nil, ""},
			{"empty", []int{1, 5}, ""},
			{"line", []int{1, 0}, "only\n"},
			{"latin1", nil, "Gr\uFFFDe aus K\uFFFDln und umgebung, mit vielen buchstaben\n"},
		} {
			if tt.view == nil {
				d.call("read", "file_path", tt.path).is(tt.want)
			} else {
				d.call("read", "file_path", tt.path, "view_range", tt.view).is(tt.want)
			}
		}
		d.call("read", "file_path", "a.txt", "view_range", []int{4, 9}).refuses("only 3 lines", "begins at 4")
		d.call("read", "file_path", "line", "view_range", []int{2, 2}).refuses("only 1 lines")
	})
}

func TestReadRefusesWhatIsNoText(t *testing.T) {
	t.Parallel()
	onEach(t, func(d desk) {
		d.put("big", strings.Repeat("x", 256<<10+1))
		d.put("fits", strings.Repeat("x\n", 128<<10))
		d.put("nul", "text\x00more")
		d.put("random", strings.Repeat("\xff\xfe", 100))
		d.call("bash", "command", "mkdir dir; mkfifo pipe; ln -s nowhere link").is("")
		d.call("read", "file_path", "big").refuses("big is larger than 256 KiB", "sed -n")
		d.call("read", "file_path", "nul").refuses("binary file of 9 bytes")
		d.call("read", "file_path", "random").refuses("binary file")
		d.call("read", "file_path", "dir").refuses("dir is a directory")
		d.call("read", "file_path", "pipe").refuses("not a regular file")
		d.call("read", "file_path", "link").refuses("does not exist")
		d.call("read", "file_path", "no/such/file").refuses("no/such/file does not exist.")
		if a := d.call("read", "file_path", "fits"); a.bad {
			t.Errorf("256 KiB must be readable: %q", a.text)
		}
	})
}

func TestReadShowsLongFilesInParts(t *testing.T) {
	t.Parallel()
	onEach(t, func(d desk) {
		d.put("long", strings.Repeat("123456789\n", 15_000)+"end")
		a := d.call("read", "file_path", "long")
		text, note, _ := strings.Cut(a.text, "\n[")
		if a.bad || utf8.RuneCountInString(text) != 100_000 || note != "These are lines 1 to 10000 of 15001 in long. Continue with view_range [10001, 15001].]" {
			t.Errorf("%v, %d characters, note %q", a.bad, utf8.RuneCountInString(text), note)
		}
		if a := d.call("read", "file_path", "long", "view_range", []int{10001, 15001}); !strings.HasSuffix(a.text, "123456789\nend") || len(a.text) != 50_003 {
			t.Errorf("the rest has %d characters", len(a.text))
		}
		d.put("wide", "x\n"+strings.Repeat("é", 120_000)+"\n")
		if a := d.call("read", "file_path", "wide"); !strings.HasPrefix(a.text, "x\n\n[These are lines 1 to 1 of 2 in wide.") {
			t.Errorf("%q", a.text[:min(len(a.text), 100)])
		}
		a = d.call("read", "file_path", "wide", "view_range", []int{2, 2})
		if text, note, _ := strings.Cut(a.text, "\n\n["); utf8.RuneCountInString(text) != 100_000 || !strings.HasPrefix(note, "This is the beginning of line 2 of wide") {
			t.Errorf("%d characters, note %q", utf8.RuneCountInString(text), note)
		}
	})
}

func TestWriteReplacesFiles(t *testing.T) {
	t.Parallel()
	onEach(t, func(d desk) {
		d.call("write", "file_path", "new/deep/a.txt", "content", "först\n").is("Created new/deep/a.txt (7 bytes).")
		d.call("write", "file_path", "/workspace/new/deep/a.txt", "content", "x").is("Replaced /workspace/new/deep/a.txt (1 byte).")
		d.call("write", "file_path", "empty", "content", "").is("Created empty (0 bytes).")
		if got := d.file("new/deep/a.txt"); got != "x" {
			t.Errorf("file = %q", got)
		}
		d.call("write", "file_path", "new", "content", "x").refuses("new is a directory")
		d.call("write", "file_path", "empty/below", "content", "x").refuses("empty/below")
		d.call("write", "file_path", "a\x00b", "content", "x").refuses("NUL")
		d.call("write", "file_path", "/proc/nothing", "content", "x").refuses("/proc/nothing")
	})
}

func TestEditReplacesExactly(t *testing.T) {
	t.Parallel()
	onEach(t, func(d desk) {
		d.put("a.go", "one two\ntwo\n\xff\n")
		edit := func(from, to string, more ...any) answer {
			return d.call("edit", append([]any{"file_path", "a.go", "old_string", from, "new_string", to}, more...)...)
		}
		edit("one", "1").is("Replaced 1 occurrence in a.go.")
		edit("two", "2").refuses("occurs 2 times in a.go", "replace_all")
		edit("two", "2", "replace_all", true).is("Replaced 2 occurrences in a.go.")
		edit("three", "3").refuses("old_string was not found in a.go", "exactly")
		edit(" 1 2 ", "x").refuses("Without the white space around it")
		edit("2\n", "").refuses("occurs 2 times")
		edit("1 2\n", "").is("Replaced 1 occurrence in a.go.")
		if got := d.file("a.go"); got != "2\n\xff\n" {
			t.Errorf("file = %q: what was not named must stay, byte for byte", got)
		}
		d.put("dos.txt", "a\r\nb\r\n")
		d.call("edit", "file_path", "dos.txt", "old_string", "a\nb", "new_string", "c").refuses(`end with \r\n`)
		d.call("edit", "file_path", "none.txt", "old_string", "a", "new_string", "b").refuses("none.txt does not exist")
		d.call("edit", "file_path", ".", "old_string", "a", "new_string", "b").refuses("is a directory")
	})
}

func TestEditKeepsPermissionsAndLimits(t *testing.T) {
	t.Parallel()
	onEach(t, func(d desk) {
		d.call("bash", "command", "printf '#!/bin/sh\necho old\n' >run; chmod 755 run; head -c 9000000 /dev/zero | tr '\\0' x >huge; head -c 1000000 huge >large").is("")
		d.call("edit", "file_path", "run", "old_string", "old", "new_string", "new").is("Replaced 1 occurrence in run.")
		d.call("bash", "command", "./run").is("new\n")
		d.call("edit", "file_path", "huge", "old_string", "y", "new_string", "z").refuses("larger than 8 MiB")
		d.call("edit", "file_path", "large", "old_string", "x", "new_string", strings.Repeat("y", 1000), "replace_all", true).refuses("would become larger than 8 MiB")
		if got := d.file("large"); got != strings.Repeat("x", 1_000_000) {
			t.Error("a refused edit changed the file")
		}
	})
}

func TestParallelEditsLoseNothing(t *testing.T) {
	t.Parallel()
	onEach(t, func(d desk) {
		const n = 30
		var text strings.Builder
		for i := range n {
			fmt.Fprintf(&text, "<%d>\n", i)
		}
		d.put("shared", text.String())
		d.call("bash", "command", "ln -s shared alias").is("")
		var group sync.WaitGroup
		for i := range n {
			group.Go(func() {
				path := []string{"shared", "/workspace/shared", "./alias"}[i%3]
				d.call("edit", "file_path", path, "old_string", fmt.Sprintf("<%d>", i), "new_string", fmt.Sprintf("done %d", i)).
					is("Replaced 1 occurrence in " + path + ".")
			})
		}
		group.Wait()
		want := strings.NewReplacer("<", "done ", ">", "").Replace(text.String())
		if got := d.file("shared"); got != want {
			t.Errorf("file = %q", got)
		}
	})
}

func TestGlobFindsTheNewestFirst(t *testing.T) {
	t.Parallel()
	onEach(t, func(d desk) {
		d.call("glob", "pattern", "**/*").is("No files match.")
		d.call("bash", "command", `mkdir -p src/deep .git
			touch -d 2020-01-01 src/old.go; touch -d 2022-01-01 top.go; touch -d 2021-01-01 src/deep/mid.go; touch src/a.txt .git/x.go`).is("")
		d.call("glob", "pattern", "**/*.go").is("/workspace/top.go\n/workspace/src/deep/mid.go\n/workspace/src/old.go")
		d.call("glob", "pattern", "*.go").is("/workspace/top.go")
		d.call("glob", "pattern", "*.{go,txt}", "path", "src").is("/workspace/src/a.txt\n/workspace/src/old.go")
		d.call("glob", "pattern", "**", "path", "/workspace/src/deep").is("/workspace/src/deep/mid.go")
		d.call("glob", "pattern", "*", "path", "nowhere").refuses("nowhere does not exist")
		d.call("glob", "pattern", "[a").refuses("not a valid glob pattern")
		d.call("bash", "command", "mkdir many; cd many; touch $(seq 201)").is("")
		a := d.call("glob", "pattern", "many/*")
		if lines := strings.Split(a.text, "\n"); a.bad || len(lines) != 201 || lines[200] != "[There are more: these are the newest 200. Use a narrower pattern or path.]" {
			t.Errorf("%d lines, %q", len(lines), lines[len(lines)-1])
		}
	})
}

func TestGrepFindsLines(t *testing.T) {
	t.Parallel()
	onEach(t, func(d desk) {
		d.put("a/one.txt", "Alpha\nbeta\ngamma alpha\n")
		d.put("b.txt", "alphabet")
		d.put("bin", "alpha\x00")
		d.call("grep", "pattern", "alpha").is("/workspace/a/one.txt:3:gamma alpha\n/workspace/b.txt:1:alphabet")
		d.call("grep", "pattern", "(?i)^alpha$", "path", "a").is("/workspace/a/one.txt:1:Alpha")
		d.call("grep", "pattern", "alpha", "path", "b.txt").is("/workspace/b.txt:1:alphabet")
		d.call("grep", "pattern", "delta").is("No lines match.")
		d.call("grep", "pattern", "(").refuses("not a valid regular expression")
		d.call("grep", "pattern", "x", "path", "nowhere").refuses("nowhere does not exist")
		d.put("many", strings.Repeat("needle "+strings.Repeat("x", 93)+"\n", 3000))
		a := d.call("grep", "pattern", "needle")
		lines := strings.Split(a.text, "\n")
		last := lines[len(lines)-2]
		if n := utf8.RuneCountInString(a.text); a.bad || n < 99_000 || n > 100_000+200 || !strings.HasSuffix(last, "xxx") || !strings.HasPrefix(lines[len(lines)-1], "[There are more matches") {
			t.Errorf("%d characters end with %q", n, lines[len(lines)-2:])
		}
	})
}

func TestDeadSandboxIsReported(t *testing.T) {
	t.Parallel()
	onEach(t, func(d desk) {
		if err := d.sandbox.Close(); err != nil {
			t.Fatal(err)
		}
		d.call("bash", "command", "ls").refuses("the sandbox")
		d.call("read", "file_path", "a").refuses("the sandbox")
		d.call("edit", "file_path", "a", "old_string", "b", "new_string", "c").refuses("the sandbox")
	})
}
