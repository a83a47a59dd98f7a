package tool_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestBashKeepsItsShell(t *testing.T) {
	t.Parallel()
	onEach(t, func(d desk) {
		d.call("bash", "command", "mkdir -p sub; cd sub; greeting=hello").is("")
		d.call("bash", "command", `echo "$greeting from ${PWD##*/}"; echo problem >&2`).is("hello from sub\nproblem\n")
		d.call("bash", "restart", true).is("The shell was restarted.")
		d.call("bash", "command", `echo "[$greeting] ${PWD##*/}"`).is("[] workspace\n")
		d.call("bash", "command", "greeting=again", "restart", true).is("")
		d.call("bash", "command", "printf '%s' $greeting").is("again")
	})
}

func TestBashTellsHowACommandFailed(t *testing.T) {
	t.Parallel()
	onEach(t, func(d desk) {
		a := d.call("bash", "command", "printf partly; exit 3")
		a.refuses("partly\nexit code: 3")
		if !strings.HasSuffix(a.text, "\nexit code: 3") {
			t.Errorf("%q", a.text)
		}
		a = d.call("bash", "command", "false")
		if !a.bad || a.text != "exit code: 1" {
			t.Errorf("%v %q", a.bad, a.text)
		}
		a = d.call("bash", "command", "echo begun; sleep 60", "timeout_ms", 200)
		a.refuses("begun\n", "timed out", "new shell")
		if !regexp.MustCompile(`\nexit code: \d+$`).MatchString(a.text) {
			t.Errorf("%q", a.text)
		}
		d.call("bash", "command", "echo alive").is("alive\n")
		d.call("bash", "command", `printf 'a\0b\377c'`).is("a\uFFFDb\uFFFDc")
	})
}

func TestLongOutputIsKeptInAFile(t *testing.T) {
	t.Parallel()
	onEach(t, func(d desk) {
		exact := d.call("bash", "command", "head -c 100000 /dev/zero | tr '\\0' x")
		if exact.bad || len(exact.text) != 100_000 {
			t.Errorf("100,000 characters became %d", len(exact.text))
		}
		a := d.call("bash", "command", "for i in $(seq 20000); do echo é$i; done; exit 7")
		if n := utf8.RuneCountInString(a.text); !a.bad || n > 10_000 {
			t.Errorf("preview has %d characters, error %v", n, a.bad)
		}
		if !strings.HasPrefix(a.text, "é1\né2\n") || !strings.HasSuffix(a.text, "é20000\nexit code: 7") {
			t.Errorf("preview %q … %q", a.text[:20], a.text[len(a.text)-40:])
		}
		path := regexp.MustCompile(`/workspace/\.reeve/output/[0-9a-f]{32}\.txt`).FindString(a.text)
		if path == "" {
			t.Fatalf("no path in %q", a.text)
		}
		var whole strings.Builder
		for i := range 20000 {
			fmt.Fprintf(&whole, "é%d\n", i+1)
		}
		if got := d.file(path); got != whole.String() {
			t.Errorf("the file has %d bytes, want %d", len(got), whole.Len())
		}
		if n := utf8.RuneCountInString(whole.String()); !strings.Contains(a.text, fmt.Sprintf("%d of %d characters are left out", n-8000, n)) {
			t.Errorf("the preview must say how much is left out")
		}
		d.call("read", "file_path", path, "view_range", []int{10000, 10001}).is("é10000\né10001\n")
		if got := d.file("/workspace/.reeve/.gitignore"); got != "*\n" {
			t.Errorf(".gitignore = %q", got)
		}
	})
}

func TestLongOutputIsShownEvenIfItCannotBeKept(t *testing.T) {
	t.Parallel()
	onEach(t, func(d desk) {
		d.put(".reeve", "a file where the folder would be")
		a := d.call("bash", "command", "seq 100000 | head -c 150000")
		if a.bad || !strings.HasPrefix(a.text, "1\n2\n") || !strings.Contains(a.text, "[… 142000 of 150000 characters are left out here; the whole output could not be kept …]") {
			t.Errorf("%v %.100q", a.bad, a.text)
		}
	})
}

func TestDroppedOutputIsCounted(t *testing.T) {
	t.Parallel()
	onEach(t, func(d desk) {
		a := d.call("bash", "command", "head -c 300000 /dev/zero | tr '\\0' x")
		if dropped := fmt.Sprintf("[%d more bytes of output were dropped]", 300_000-256<<10); a.bad || !strings.HasSuffix(a.text, dropped) {
			t.Errorf("%v … %q, want %q", a.bad, a.text[max(0, len(a.text)-200):], dropped)
		}
	})
}

func TestBashEndsWithItsContext(t *testing.T) {
	t.Parallel()
	onEach(t, func(d desk) {
		ctx, cancel := context.WithTimeout(d.Context(), 300*time.Millisecond)
		defer cancel()
		one, _ := d.tools.Builtin("bash")
		if out, err := one.Run(ctx, d.env, json.RawMessage(`{"command":"sleep 60"}`)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%+v, %v", out, err)
		}
		d.call("bash", "command", "echo alive").is("alive\n")
	})
}
