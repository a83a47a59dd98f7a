package sandbox

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/sandbox/none"
)

// poolOf starts a pool over sandboxes without walls, which every machine can run.
func poolOf(t *testing.T, idle time.Duration, most int) (p *Pool, spec func(name string) core.SandboxSpec) {
	t.Helper()
	p = NewPool(none.New(Options{NoGroups: true}), idle, most)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := p.Run(ctx); err != nil {
			t.Errorf("Run = %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		if n := p.Alive(); n != 0 {
			t.Errorf("%d sandboxes outlive the pool", n)
		}
	})
	dir := t.TempDir()
	return p, func(name string) core.SandboxSpec {
		return core.SandboxSpec{Session: core.SessionID(name), Folder: filepath.Join(dir, name)}
	}
}

func output(t *testing.T, s core.Sandbox, command string) string {
	t.Helper()
	res, err := s.Bash(t.Context(), core.BashCommand{Command: command})
	if err != nil {
		t.Fatalf("Bash(%q): %v", command, err)
	}
	return res.Output
}

// until waits for a change of the pool that makes the condition true.
func until(t *testing.T, p *Pool, condition func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		p.mu.Lock()
		changed := p.changed
		p.mu.Unlock()
		if condition() {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatal("it did not happen in time")
		}
	}
}

func TestASessionHasOneSandbox(t *testing.T) {
	t.Parallel()
	p, spec := poolOf(t, 0, 0)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			s, err := p.Sandbox(t.Context(), spec("one"))
			if err != nil {
				t.Error(err)
				return
			}
			output(t, s, fmt.Sprintf("v%d=%d", i, i))
		})
	}
	wg.Wait()
	s, err := p.Sandbox(t.Context(), spec("one"))
	if err != nil {
		t.Fatal(err)
	}
	if got := output(t, s, "echo $v0$v1$v2$v3$v4$v5$v6$v7"); got != "01234567\n" {
		t.Errorf("the shell knows %q of eight callers", got)
	}
	other, err := p.Sandbox(t.Context(), spec("two"))
	if err != nil {
		t.Fatal(err)
	}
	if got := output(t, other, "echo x$v1"); got != "x\n" || p.Alive() != 2 {
		t.Errorf("the other session's shell says %q; %d are alive", got, p.Alive())
	}
}

func TestADeadSandboxIsReplaced(t *testing.T) {
	t.Parallel()
	p, spec := poolOf(t, 0, 0)
	s, err := p.Sandbox(t.Context(), spec("one"))
	if err != nil {
		t.Fatal(err)
	}
	output(t, s, "x=old; echo kept >f")
	_, err = s.Bash(t.Context(), core.BashCommand{Command: "kill -9 $PPID; while true; do true; done"}) // the guest itself; the shell dies with it
	if core.KindOf(err) != core.Unavailable || core.CodeOf(err) != "sandbox_died" {
		t.Errorf("Bash in a dying sandbox = %v", err)
	}
	if got := output(t, s, "echo ${x-new}; cat f"); got != "new\nkept\n" {
		t.Errorf("the next one says %q", got)
	}
	if p.Alive() != 1 {
		t.Errorf("%d are alive", p.Alive())
	}
}

func TestIdleSandboxesAreClosed(t *testing.T) {
	t.Parallel()
	p, spec := poolOf(t, 50*time.Millisecond, 0)
	s, err := p.Sandbox(t.Context(), spec("one"))
	if err != nil {
		t.Fatal(err)
	}
	output(t, s, "x=old")
	until(t, p, func() bool { return p.Alive() == 0 })
	if got := output(t, s, "echo ${x-new}"); got != "new\n" {
		t.Errorf("after the pause it says %q", got)
	}
	// One that works is not idle, however long it takes.
	if got := output(t, s, "y=1; sleep 0.3; echo $y"); got != "1\n" {
		t.Errorf("a long command says %q", got)
	}
}

func TestTheLongestIdleMakesRoom(t *testing.T) {
	t.Parallel()
	p, spec := poolOf(t, time.Hour, 2)
	boxes := map[string]core.Sandbox{}
	for _, name := range []string{"a", "b", "c"} {
		s, err := p.Sandbox(t.Context(), spec(name))
		if err != nil {
			t.Fatal(err)
		}
		boxes[name] = s
		output(t, s, "x="+name)
		if name == "b" {
			output(t, boxes["a"], "true") // b is now idle for longer than a
		}
	}
	if n := p.Alive(); n != 2 {
		t.Errorf("%d are alive, want 2", n)
	}
	if got := output(t, boxes["a"], "echo ${x-new}"); got != "a\n" {
		t.Errorf("a, used last, says %q", got)
	}
	if got := output(t, boxes["b"], "echo ${x-new}"); got != "new\n" {
		t.Errorf("b, idle for longest, says %q", got)
	}
}

func TestWhenAllAreBusyTheNextWaits(t *testing.T) {
	t.Parallel()
	p, spec := poolOf(t, time.Hour, 1)
	s, err := p.Sandbox(t.Context(), spec("busy"))
	if err != nil {
		t.Fatal(err)
	}
	busy := make(chan string, 1)
	go func() { busy <- output(t, s, "touch started; until [ -e go ]; do sleep 0.01; done; echo finished") }()
	for { // until the command has begun
		_, err := s.ReadFile(t.Context(), "started", 10)
		if err == nil {
			break
		}
		if core.CodeOf(err) != "not_found" {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := p.Sandbox(ctx, spec("next")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Sandbox while all are busy = %v, want context.DeadlineExceeded", err)
	}
	if _, err := s.WriteFile(t.Context(), "go", nil); err != nil {
		t.Fatal(err)
	}
	next, err := p.Sandbox(t.Context(), spec("next"))
	if err != nil {
		t.Fatal(err)
	}
	if got := output(t, next, "echo here"); got != "here\n" {
		t.Errorf("the next says %q", got)
	}
	if got := <-busy; got != "finished\n" {
		t.Errorf("the busy one says %q", got)
	}
}

func TestCloseEndsOneSession(t *testing.T) {
	t.Parallel()
	p, spec := poolOf(t, 0, 0)
	s, err := p.Sandbox(t.Context(), spec("one"))
	if err != nil {
		t.Fatal(err)
	}
	output(t, s, "x=old")
	if err := s.Close(); err != nil || p.Alive() != 0 {
		t.Errorf("Close = %v, %d are alive", err, p.Alive())
	}
	if err := p.Close("never seen"); err != nil {
		t.Errorf("Close of nothing = %v", err)
	}
	if got := output(t, s, "echo ${x-new}"); got != "new\n" {
		t.Errorf("after Close it says %q", got)
	}
}

func TestAStoppedPoolRefuses(t *testing.T) {
	t.Parallel()
	p := NewPool(none.New(Options{NoGroups: true}), 0, 0)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Run(ctx); err != nil {
		t.Errorf("Run = %v", err)
	}
	_, err := p.Sandbox(t.Context(), core.SandboxSpec{Session: "one", Folder: t.TempDir()})
	if core.KindOf(err) != core.Unavailable || core.CodeOf(err) != "shutting_down" {
		t.Errorf("Sandbox = %v, want Unavailable (shutting_down)", err)
	}
}

func TestAnOpeningThatFailsIsReportedAndForgotten(t *testing.T) {
	t.Parallel()
	p, spec := poolOf(t, 0, 0)
	bad := spec("one")
	bad.Env = map[string]string{"A=B": ""}
	if _, err := p.Sandbox(t.Context(), bad); core.KindOf(err) != core.Invalid {
		t.Errorf("Sandbox = %v, want Invalid", err)
	}
	if p.Alive() != 0 {
		t.Errorf("%d are alive", p.Alive())
	}
	if _, err := p.Sandbox(t.Context(), spec("one")); err != nil {
		t.Errorf("the next try = %v", err)
	}
}

// mounting opens sandboxes of the driver none and writes down which mounts they should have.
type mounting struct {
	core.SandboxDriver
	opened chan []core.Mount
}

func (d mounting) Open(ctx context.Context, spec core.SandboxSpec) (core.Sandbox, error) {
	d.opened <- spec.Mounts
	spec.Mounts = nil
	return d.SandboxDriver.Open(ctx, spec)
}

func TestOtherMountsTakeANewSandbox(t *testing.T) {
	t.Parallel()
	p, spec := poolOf(t, 0, 0)
	d := mounting{p.driver, make(chan []core.Mount, 10)}
	p.driver = d
	one := spec("one")
	two := one
	two.Mounts = []core.Mount{{Host: "/tmp", Path: "/mnt/a"}}
	three := one
	three.Mounts = []core.Mount{{Host: "/tmp", Path: "/mnt/a", ReadOnly: true}}
	for _, s := range []core.SandboxSpec{one, one, two, two, three} {
		box, err := p.Sandbox(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		output(t, box, "true")
	}
	close(d.opened)
	var got [][]core.Mount
	for m := range d.opened {
		got = append(got, m)
	}
	if diff := cmp.Diff([][]core.Mount{nil, two.Mounts, three.Mounts}, got); diff != "" {
		t.Errorf("sandboxes with these mounts were opened: %s", diff)
	}
}
