// Package sandboxtest holds the promises of core.SandboxDriver as tests. Every driver runs all of
// them, but those that the table of package sandbox says it does not make.
package sandboxtest

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// Promise names a row of the table in package sandbox.
type Promise string

// The promises that some drivers do not make.
const (
	HostFiles Promise = "host files unreadable, unwritable"
	View      Promise = "own view: /workspace, /tmp"
	Processes Promise = "own process numbers"
	Network   Promise = "no network, not even loopback"
	Guest     Promise = "the guest cannot be killed inside"
	Filter    Promise = "system call filter"
	Mounts    Promise = "mounts that commands see"      // file operations find them in any case
	Counted   Promise = "a bounded number of processes" // not for root without a control group
)

// suite is one driver and what it does not promise.
type suite struct {
	driver core.SandboxDriver
	except []Promise
}

// Run proves the promises of a driver, except those given.
func Run(t *testing.T, driver core.SandboxDriver, except ...Promise) {
	s := suite{driver, except}
	for _, group := range []struct {
		name string
		run  func(suite, *testing.T)
	}{
		{"Shell", suite.shell},
		{"Output", suite.output},
		{"Kill", suite.kill},
		{"Limits", suite.limits},
		{"Files", suite.files},
		{"Search", suite.search},
		{"Mounts", suite.mounts},
		{"Isolation", suite.isolation},
		{"Lifetime", suite.lifetime},
	} {
		t.Run(group.name, func(t *testing.T) {
			t.Parallel()
			group.run(s, t)
		})
	}
}

// need skips a test of a promise that the driver does not make.
func (s suite) need(t *testing.T, p Promise) {
	t.Helper()
	if slices.Contains(s.except, p) {
		t.Skipf("%s does not promise: %s", s.driver.Name(), p)
	}
}

// place is a sandbox under test and what is around it on the host.
type place struct {
	core.Sandbox
	t      *testing.T
	data   string // the server's folder: only its owner may enter it
	folder string // the working folder, below data
}

// open starts a sandbox in a fresh folder.
func (s suite) open(t *testing.T, change ...func(*core.SandboxSpec)) place {
	t.Helper()
	data := t.TempDir()
	if err := os.Chmod(data, 0o700); err != nil {
		t.Fatal(err)
	}
	return s.openIn(t, data, change...)
}

func (s suite) openIn(t *testing.T, data string, change ...func(*core.SandboxSpec)) place {
	t.Helper()
	spec := core.SandboxSpec{Session: core.NewID[core.SessionID](), Folder: filepath.Join(data, "workspaces", "one")}
	for _, c := range change {
		c(&spec)
	}
	box, err := s.driver.Open(t.Context(), spec)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() {
		if err := box.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return place{box, t, data, spec.Folder}
}

func limits(l core.SandboxLimits) func(*core.SandboxSpec) {
	return func(s *core.SandboxSpec) { s.Limits = l }
}

// bash runs a command that must not fail as a call.
func (p place) bash(command string) core.BashResult {
	p.t.Helper()
	res, err := p.Bash(p.t.Context(), core.BashCommand{Command: command, Timeout: time.Minute})
	if err != nil {
		p.t.Fatalf("Bash(%q): %v", command, err)
	}
	if res.TimedOut {
		p.t.Fatalf("Bash(%q) timed out; its output: %.500q", command, res.Output)
	}
	return res
}

// says runs a command that must succeed and print want.
func (p place) says(command, want string) {
	p.t.Helper()
	if res := p.bash(command); res.ExitCode != 0 || res.Output != want {
		p.t.Errorf("Bash(%q) = exit code %d, %.500q; want %q", command, res.ExitCode, res.Output, want)
	}
}

// wantCode checks an error that the model should read.
func wantCode(t *testing.T, what string, err error, kind core.Kind, codes ...string) {
	t.Helper()
	if core.KindOf(err) != kind || !slices.Contains(codes, core.CodeOf(err)) {
		t.Errorf("%s = %v (%s), want %s with one of %q", what, err, core.CodeOf(err), kind, codes)
	}
}

// lifeline makes a named pipe in the working folder. Whatever runs inside and holds its other end is
// alive; ended waits until nobody does.
type lifeline struct {
	p    place
	file *os.File
}

func (p place) lifeline(name string) lifeline {
	p.t.Helper()
	p.says("mkfifo "+name, "")
	fd, err := syscall.Open(filepath.Join(p.folder, name), syscall.O_RDONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		p.t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), name)
	p.t.Cleanup(func() { _ = f.Close() })
	return lifeline{p, f}
}

// started waits for the line that a holder writes when it has the pipe.
func (l lifeline) started() {
	l.p.t.Helper()
	buf := make([]byte, 1)
	deadline := time.Now().Add(20 * time.Second)
	for time.Now().Before(deadline) {
		_ = l.file.SetReadDeadline(deadline)
		if n, _ := l.file.Read(buf); n == 1 {
			return
		}
	}
	l.p.t.Fatal("the background process did not start")
}

// ended fails the test unless every holder is gone soon.
func (l lifeline) ended() {
	l.p.t.Helper()
	_ = l.file.SetReadDeadline(time.Now().Add(5 * time.Second))
	for {
		_, err := l.file.Read(make([]byte, 4096))
		if errors.Is(err, os.ErrDeadlineExceeded) {
			l.p.t.Fatal("a process that should have been killed is alive")
		}
		if err != nil {
			return // the end: nobody holds it
		}
	}
}

// Benchmark measures quick commands one after the other; the target is 2 ms each.
func Benchmark(b *testing.B, driver core.SandboxDriver) {
	box, err := driver.Open(b.Context(), core.SandboxSpec{Session: core.NewID[core.SessionID](), Folder: filepath.Join(b.TempDir(), "one")})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = box.Close() }()
	for name, command := range map[string]string{"builtin": "echo hi", "program": "/bin/echo hi"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				res, err := box.Bash(b.Context(), core.BashCommand{Command: command})
				if err != nil || res.Output != "hi\n" {
					b.Fatalf("%+v, %v", res, err)
				}
			}
		})
	}
	b.Run("read", func(b *testing.B) {
		if _, err := box.WriteFile(b.Context(), "f", []byte("hello\n")); err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if _, err := box.ReadFile(b.Context(), "f", 100); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("open", func(b *testing.B) {
		folder := filepath.Join(b.TempDir(), "two")
		for b.Loop() {
			s, err := driver.Open(b.Context(), core.SandboxSpec{Folder: folder})
			if err != nil {
				b.Fatal(err)
			}
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// ordinaryUser is somebody without any rights, for tests started by root.
const ordinaryUser = 54321

// AsOrdinaryUser reports true in a process that is not root. In one that is, it runs the same test
// again as an ordinary user in a process of its own, passes the outcome on, and reports false.
func AsOrdinaryUser(t *testing.T) bool {
	t.Helper()
	if os.Getuid() != 0 {
		return true
	}
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = self.Close() }()
	dir, err := os.MkdirTemp("", "ordinary-user-")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := os.Chown(dir, ordinaryUser, ordinaryUser); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/proc/self/fd/3", "-test.v", "-test.run=^"+t.Name()+"$")
	cmd.ExtraFiles = []*os.File{self}
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + dir, "HOME=" + dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: ordinaryUser, Gid: ordinaryUser}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("as an ordinary user: %v\n%s", err, out)
	} else if !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Skipf("as an ordinary user:\n%s", out)
	}
	return false
}
