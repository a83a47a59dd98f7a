package sandboxtest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// daemons starts processes that hold a pipe in three ways in which they could escape a kill: in the
// background, in a session of its own, and orphaned twice over.
const daemons = `(echo s; exec sleep 1000) >line &
setsid sh -c 'echo s; exec sleep 1000' >line &
sh -c "setsid sh -c 'trap \"\" HUP TERM; echo s; while :; do sleep 1000; done' >line &" &
`

func (s suite) kill(t *testing.T) {
	t.Run("ATimeoutKillsTheWholeTree", func(t *testing.T) {
		t.Parallel()
		p := s.open(t)
		l := p.lifeline("line")
		res, err := p.Bash(t.Context(), core.BashCommand{Command: daemons + "echo before; sleep 1000", Timeout: time.Second})
		if err != nil || !res.TimedOut || res.Output != "before\n" || res.ExitCode != 137 {
			t.Errorf("= %+v, %v; want a timeout after the first line", res, err)
		}
		l.ended()
		p.says("echo alive", "alive\n")
	})
	t.Run("TheSandboxsOwnLimitHoldsForLongerTimeouts", func(t *testing.T) {
		t.Parallel()
		p := s.open(t, limits(core.SandboxLimits{Command: 200 * time.Millisecond}))
		res, err := p.Bash(t.Context(), core.BashCommand{Command: "sleep 1000", Timeout: time.Hour})
		if err != nil || !res.TimedOut {
			t.Errorf("= %+v, %v; want a timeout", res, err)
		}
	})
	t.Run("ACancelledCallKillsTheWholeTree", func(t *testing.T) {
		t.Parallel()
		p := s.open(t)
		l := p.lifeline("line")
		ctx, cancel := context.WithCancel(t.Context())
		failed := make(chan error, 1)
		go func() {
			_, err := p.Bash(ctx, core.BashCommand{Command: daemons + "sleep 1000"})
			failed <- err
		}()
		l.started()
		cancel()
		if err := <-failed; !errors.Is(err, context.Canceled) {
			t.Errorf("Bash = %v, want context.Canceled", err)
		}
		l.ended()
		p.says("echo alive", "alive\n")
	})
	t.Run("ACallThatWaitsForTheShellCanLeave", func(t *testing.T) {
		t.Parallel()
		p := s.open(t)
		l := p.lifeline("line")
		first := make(chan core.BashResult, 1)
		go func() {
			res, _ := p.Bash(t.Context(), core.BashCommand{Command: "echo s >line; until [ -e go ]; do sleep 0.01; done; echo first"})
			first <- res
		}()
		l.started()
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err := p.Bash(ctx, core.BashCommand{Command: "echo second"}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Bash = %v, want context.DeadlineExceeded", err)
		}
		if _, err := p.WriteFile(t.Context(), "go", nil); err != nil {
			t.Fatal(err)
		}
		if res := <-first; res.Output != "first\n" {
			t.Errorf("the first command = %+v", res)
		}
	})
	t.Run("CloseKillsTheWholeTree", func(t *testing.T) {
		t.Parallel()
		p := s.open(t)
		l := p.lifeline("line")
		p.bash(daemons)
		l.started()
		if err := p.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		l.ended()
	})
}

func (s suite) limits(t *testing.T) {
	t.Run("AMemoryBombIsContained", func(t *testing.T) {
		t.Parallel()
		p := s.open(t, limits(core.SandboxLimits{MemoryBytes: 128 << 20}))
		// tail keeps the last line, and this one never ends.
		res, err := p.Bash(t.Context(), core.BashCommand{Command: "tail /dev/zero", Timeout: time.Minute})
		if err != nil || res.TimedOut || res.ExitCode == 0 {
			t.Errorf("= %+v, %v; want it to fail for lack of memory", res, err)
		}
		p.says("echo alive", "alive\n")
	})
	t.Run("AForkBombIsContained", func(t *testing.T) {
		t.Parallel()
		s.need(t, Counted) // without a limit the bomb would take the whole machine
		p := s.open(t, limits(core.SandboxLimits{Processes: 40}))
		_, err := p.Bash(t.Context(), core.BashCommand{Command: "bomb() { bomb | bomb & }; bomb; sleep 1000", Timeout: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		p.says("echo alive", "alive\n")
		if _, err := p.WriteFile(t.Context(), "f", []byte("x")); err != nil {
			t.Error(err)
		}
	})
	t.Run("ProcessesAreCounted", func(t *testing.T) {
		t.Parallel()
		p := s.open(t, limits(core.SandboxLimits{Processes: 40}))
		s.need(t, Counted)
		// dash gives up at the first refusal, where bash tries again for seconds.
		res := p.bash("sh -c 'i=0; while [ $i -lt 400 ]; do sleep 1000 & i=$((i+1)); done'")
		if _, err := p.Bash(t.Context(), core.BashCommand{Restart: true}); err != nil {
			t.Error(err)
		}
		if !contains(res.Output, "fork") {
			t.Errorf("400 processes could be started: %q", res.Output)
		}
		p.says("echo alive", "alive\n")
	})
	t.Run("ALargeFileIsCutShort", func(t *testing.T) {
		t.Parallel()
		p := s.open(t, limits(core.SandboxLimits{FileBytes: 1 << 20}))
		if res := p.bash("head -c 3000000 /dev/zero >big"); res.ExitCode == 0 {
			t.Errorf("= %+v, want a failure", res)
		}
		if info, err := os.Stat(filepath.Join(p.folder, "big")); err != nil || info.Size() > 1<<20 {
			t.Errorf("the file is %+v, %v", info, err)
		}
		_, err := p.WriteFile(t.Context(), "big2", make([]byte, 1<<20+1))
		wantCode(t, "WriteFile", err, core.Invalid, "file_too_large")
	})
	t.Run("NoCoreDumps", func(t *testing.T) {
		t.Parallel()
		s.open(t).says("ulimit -c", "0\n")
	})
}

func (s suite) lifetime(t *testing.T) {
	t.Run("FilesOutliveTheSandbox", func(t *testing.T) {
		t.Parallel()
		p := s.open(t)
		p.says("mkdir -p a/b && echo one >a/b/f && chmod 700 a", "")
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		again := s.openIn(t, p.data)
		again.says("cat a/b/f && echo two >>a/b/f && touch a/new && rm a/new && cat a/b/f", "one\none\ntwo\n")
	})
	t.Run("AfterCloseCallsAreUnavailable", func(t *testing.T) {
		t.Parallel()
		p := s.open(t)
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		_, err := p.Bash(t.Context(), core.BashCommand{Command: "true"})
		wantCode(t, "Bash", err, core.Unavailable, "sandbox_died")
		_, err = p.ReadFile(t.Context(), "f", 10)
		wantCode(t, "ReadFile", err, core.Unavailable, "sandbox_died")
	})
	t.Run("CloseEndsACallThatRuns", func(t *testing.T) {
		t.Parallel()
		p := s.open(t)
		l := p.lifeline("line")
		failed := make(chan error, 1)
		go func() {
			_, err := p.Bash(t.Context(), core.BashCommand{Command: "echo s >line; sleep 1000"})
			failed <- err
		}()
		l.started()
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		wantCode(t, "Bash", <-failed, core.Unavailable, "sandbox_died")
	})
	t.Run("TheGuestCannotBeKilledFromInside", func(t *testing.T) {
		t.Parallel()
		s.need(t, Guest)
		p := s.open(t)
		p.says("for signal in STOP TERM INT SEGV KILL; do kill -$signal $PPID 2>/dev/null; done; echo alive", "alive\n")
		p.says("echo alive", "alive\n")
	})
	t.Run("InvalidEnvironment", func(t *testing.T) {
		t.Parallel()
		_, err := s.driver.Open(t.Context(), core.SandboxSpec{Folder: filepath.Join(t.TempDir(), "x"), Env: map[string]string{"A=B": "c"}})
		wantCode(t, "Open", err, core.Invalid, "invalid_environment")
	})
}
