package sandboxtest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/reeve-ai/reeve/internal/core"
)

func (s suite) shell(t *testing.T) {
	t.Run("StateStaysFromCommandToCommand", func(t *testing.T) {
		t.Parallel()
		p := s.open(t)
		p.says("mkdir deep && cd deep && x=41 && export y=2 && f() { echo $((x + y)); }", "")
		p.says("f; basename $PWD", "43\ndeep\n")
		p.says("sh -c 'echo $x-$y'", "-2\n")
	})
	t.Run("ItStartsInTheWorkingFolder", func(t *testing.T) {
		t.Parallel()
		p := s.open(t)
		p.says("echo here >f; test $PWD = $HOME && cat $HOME/f", "here\n")
		if got, err := p.ReadFile(t.Context(), "/workspace/f", 100); err != nil || string(got) != "here\n" {
			t.Errorf("ReadFile = %q, %v", got, err)
		}
	})
	t.Run("ExitCodes", func(t *testing.T) {
		t.Parallel()
		p := s.open(t)
		for _, c := range []struct {
			command string
			want    int
		}{
			{"true", 0},
			{"false", 1},
			{"(exit 7)", 7},
			{"no-such-program", 127},
			{"exit 3", 3},
			{"kill -9 $$", 137},
			{"exec sh -c 'exit 9'", 9},
			{"set -e; false; echo not here", 1},
			{"echo 'unclosed", 2},
			{"if", 2},
			{"return 4", 1},
			{"sh -c 'kill -15 $$'", 143},
			{"# only a remark", 0},
			{"true # remark", 0},
			{"cat <<E\nx\nE", 0},
			{"false &", 0},
		} {
			res := p.bash(c.command)
			if c.command == "return 4" || c.want == 2 {
				if res.ExitCode == 0 { // shells differ in the number
					t.Errorf("Bash(%q) succeeded, output %q", c.command, res.Output)
				}
			} else if res.ExitCode != c.want {
				t.Errorf("Bash(%q) = exit code %d, want %d; output %q", c.command, res.ExitCode, c.want, res.Output)
			}
			p.says("echo alive", "alive\n")
		}
	})
	t.Run("AfterExitTheNextCommandHasANewShell", func(t *testing.T) {
		t.Parallel()
		p := s.open(t)
		p.says("x=old", "")
		if res := p.bash("echo last words; exit 3"); res.ExitCode != 3 || res.Output != "last words\n" {
			t.Errorf("exit 3 = %+v", res)
		}
		p.says("echo ${x-new}", "new\n")
	})
	t.Run("RestartForgetsAndKills", func(t *testing.T) {
		t.Parallel()
		p := s.open(t)
		l := p.lifeline("line")
		p.says("x=old; (echo s; exec sleep 1000) >line & ", "")
		l.started()
		res, err := p.Bash(t.Context(), core.BashCommand{Restart: true})
		if err != nil || res.ExitCode != 0 || res.Output != "" {
			t.Errorf("restart = %+v, %v", res, err)
		}
		l.ended()
		p.says("echo ${x-new}", "new\n")
		res, err = p.Bash(t.Context(), core.BashCommand{Restart: true, Command: "echo both"})
		if err != nil || res.Output != "both\n" {
			t.Errorf("restart with a command = %+v, %v", res, err)
		}
	})
	t.Run("StandardInputIsEmpty", func(t *testing.T) {
		t.Parallel()
		s.open(t).says("cat; read line; echo $?", "1\n")
	})
	t.Run("CommandsRunOneAfterTheOther", func(t *testing.T) {
		t.Parallel()
		p := s.open(t)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() { p.bash("n=$(cat n 2>/dev/null || echo 0); echo $((n + 1)) >n") })
		}
		wg.Wait()
		p.says("cat n", "8\n")
	})
	t.Run("LongCommand", func(t *testing.T) {
		t.Parallel()
		p := s.open(t)
		for _, n := range []int{100, 1_000, 40_000} {
			p.says("cat <<'E' | wc -c; x=set\n"+strings.Repeat("it's ", n)+"\nE", fmt.Sprintln(5*n+1))
			p.says("echo $x; unset x", "set\n")
			if !slices.Contains(s.except, View) { // else others' may be there
				p.says("ls -A /tmp", "")
			}
		}
	})
	t.Run("ItsEndCannotBeForged", func(t *testing.T) {
		t.Parallel()
		p := s.open(t)
		for range 3 {
			res := p.bash(`for fd in 3 4 5 6 7 8 9 10 11 12 13; do { echo "word 0" >&$fd; printf junk >&$fd; } 2>/dev/null; done; echo after; (exit 5)`)
			// Some of the numbers are the shell's own copies of its output.
			if res.ExitCode != 5 || !strings.HasSuffix(res.Output, "after\n") {
				t.Errorf("= %+v, want exit code 5 after the whole output", res)
			}
		}
		p.bash("set -x")
		if res := p.bash("echo traced"); !strings.HasSuffix(res.Output, "++ echo traced\ntraced\n") || contains(res.Output, "printf") {
			t.Errorf("with set -x the output is %q", res.Output)
		}
	})
	t.Run("NoCommandAndNUL", func(t *testing.T) {
		t.Parallel()
		p := s.open(t)
		_, err := p.Bash(t.Context(), core.BashCommand{})
		wantCode(t, "an empty command", err, core.Invalid, "invalid_command")
		_, err = p.Bash(t.Context(), core.BashCommand{Command: "echo a\x00b"})
		wantCode(t, "a command with NUL", err, core.Invalid, "invalid_command")
	})
}

func (s suite) output(t *testing.T) {
	t.Run("BothStreamsInOrder", func(t *testing.T) {
		t.Parallel()
		s.open(t).says("for i in 1 2 3; do echo out $i; echo err $i >&2; done", "out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\n")
	})
	t.Run("TheFirstPartIsKeptAndTheRestCounted", func(t *testing.T) {
		t.Parallel()
		p := s.open(t, limits(core.SandboxLimits{OutputBytes: 1000}))
		res := p.bash("printf start; head -c 300000 /dev/zero | tr '\\0' a")
		if len(res.Output) != 1000 || !strings.HasPrefix(res.Output, "startaaa") || res.Dropped != 299_005 {
			t.Errorf("%d bytes kept, %d dropped, begins %.10q", len(res.Output), res.Dropped, res.Output)
		}
		p.says("echo next", "next\n")
	})
	t.Run("DefaultLimitIs100KiB", func(t *testing.T) {
		t.Parallel()
		res := s.open(t).bash("head -c 200000 /dev/zero | tr '\\0' a")
		if len(res.Output) != 100<<10 || res.Dropped != 200_000-100<<10 {
			t.Errorf("%d bytes kept, %d dropped", len(res.Output), res.Dropped)
		}
	})
	t.Run("BinaryBecomesValidUTF8", func(t *testing.T) {
		t.Parallel()
		p := s.open(t, limits(core.SandboxLimits{OutputBytes: 64}))
		p.says(`printf 'a\xff\xfeb'`, "a\uFFFDb")
		res := p.bash("head -c 1000 /dev/urandom")
		if !utf8.ValidString(res.Output) || len(res.Output) > 64 {
			t.Errorf("%d bytes, valid %t", len(res.Output), utf8.ValidString(res.Output))
		}
		res = p.bash("for i in $(seq 50); do printf é; done")
		if res.Output != strings.Repeat("é", 32) {
			t.Errorf("cut in a character: %q", res.Output)
		}
	})
	t.Run("BackgroundProcessesDoNotHoldACommand", func(t *testing.T) {
		t.Parallel()
		p := s.open(t)
		start := time.Now()
		p.says("sleep 1000 & echo started", "started\n")
		if took := time.Since(start); took > 30*time.Second {
			t.Errorf("it took %v", took)
		}
	})
	t.Run("AFloodInTheBackgroundDoesNotHoldACommand", func(t *testing.T) {
		t.Parallel()
		p := s.open(t)
		p.bash("yes & true")
		for range 5 {
			if res := p.bash("true"); len(res.Output) > 100<<10 {
				t.Errorf("%d bytes", len(res.Output))
			}
		}
		if _, err := p.Bash(t.Context(), core.BashCommand{Restart: true}); err != nil {
			t.Error(err)
		}
		p.says("echo quiet", "quiet\n")
	})
	t.Run("BackgroundOutputComesWithTheNextCommand", func(t *testing.T) {
		t.Parallel()
		p := s.open(t)
		p.bash("(until [ -e go ]; do sleep 0.01; done; echo from behind; touch done) & true")
		res := p.bash("touch go; until [ -e done ]; do sleep 0.01; done; echo in front")
		if res.Output != "from behind\nin front\n" {
			t.Errorf("output = %q", res.Output)
		}
	})
}
