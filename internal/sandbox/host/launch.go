package host

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/sandbox/cgroup"
	"github.com/reeve-ai/reeve/internal/sandbox/guest"
)

// Launch says how a guest is started.
type Launch struct {
	// Program is run with Args, to which the guest's own path and argument are added. Empty: the
	// guest itself is run.
	Program string
	Args    []string
	// Files are the program's descriptors 3, 4 …; they are closed once it runs.
	Files []*os.File
	Attr  syscall.SysProcAttr
	User  *User         // nil: this process's own
	Group *cgroup.Group // nil: no common limits
	// Gateway serves what the sandbox sends out; nil: nothing does. Only for guests in a network namespace of
	// their own.
	Gateway core.Gateway
	// Show, if it has mounts, is made for the program in a mount namespace of its own. Only for root.
	Show Show
}

// process is a started program. done is closed when it and its stderr have ended.
type process struct {
	cmd    *exec.Cmd
	stdin  *os.File
	stdout *os.File
	stderr *tail
	gate   *gate // nil: no gateway
	done   chan struct{}
}

// start runs the program on a thread of its own, which lives as long as the program: namespaces and
// version 1 control groups belong to threads, and a child that asked to die with its parent dies
// with the thread that started it.
func start(l Launch) (*process, error) {
	self, err := binary()
	if err != nil {
		return nil, err
	}
	childIn, stdin, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make pipe: %w", err)
	}
	stdout, childOut, err := os.Pipe()
	if err != nil {
		_ = childIn.Close()
		_ = stdin.Close()
		return nil, fmt.Errorf("make pipe: %w", err)
	}
	p := &process{stdin: stdin, stdout: stdout, stderr: &tail{}, done: make(chan struct{})}
	ends := append([]*os.File{childIn, childOut}, l.Files...) // the child's own, once it runs
	if l.Gateway != nil {
		if p.gate, err = newGate(); err != nil {
			for _, f := range append(ends, stdin, stdout) {
				_ = f.Close()
			}
			return nil, err
		}
		ends = append(ends, p.gate.theirs)
	}
	p.cmd = l.command(self, p.gate)
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = childIn, childOut, p.stderr
	p.cmd.Env = []string{} // nil would be all of ours
	p.cmd.WaitDelay = time.Second

	started := make(chan error)
	go onOwnThread(func() {
		err := l.startHere(p.cmd)
		started <- err
		if err == nil {
			_ = p.cmd.Wait() // how it ended says nothing: the guest ends when its input does
			close(p.done)
		}
	})
	err = <-started
	for _, f := range ends {
		_ = f.Close()
	}
	if err != nil {
		p.gate.close()
		_ = stdin.Close()
		_ = stdout.Close()
		return nil, err
	}
	return p, nil
}

// gateFD is the guest's descriptor for its gate; 0: it has none.
func (l Launch) gateFD() int {
	if l.Gateway == nil {
		return 0
	}
	return 4 + len(l.Files)
}

// command puts the command line together. The guest's binary is the first extra descriptor after
// l.Files, and the gate, if there is one, the second.
func (l Launch) command(self *os.File, g *gate) *exec.Cmd {
	files := append(l.Files[:len(l.Files):len(l.Files)], self)
	guestPath := "/proc/self/fd/" + strconv.Itoa(2+len(files))
	if g != nil {
		files = append(files, g.theirs)
	}
	var cmd *exec.Cmd
	if l.Program == "" {
		cmd = &exec.Cmd{Path: guestPath, Args: []string{"sandbox", guest.Arg}}
	} else {
		args := append([]string{l.Program}, l.Args...)
		cmd = &exec.Cmd{Path: l.Program, Args: append(args, guestPath, guest.Arg)}
	}
	cmd.ExtraFiles = files
	attr := l.Attr
	if cred := l.User.Credential(); cred != nil && attr.Credential == nil {
		attr.Credential = cred
	}
	cmd.SysProcAttr = &attr
	return cmd
}

// startHere runs on a locked thread.
func (l Launch) startHere(cmd *exec.Cmd) error {
	if len(l.Show.Mounts) > 0 {
		if err := l.Show.here(); err != nil {
			return err
		}
	}
	if l.Group != nil {
		leave, err := l.Group.Attach(cmd.SysProcAttr)
		if err != nil {
			return err
		}
		defer leave()
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return nil
}

// onOwnThread runs fn on a thread that ends with it. The process's first thread cannot end, and
// /proc/self shows its namespaces; a goroutine that finds itself there starts another one and holds
// the first thread meanwhile.
func onOwnThread(fn func()) {
	runtime.LockOSThread() // never unlocked: the thread is not fit for anything else any more
	if unix.Gettid() != unix.Getpid() {
		fn()
		return
	}
	var done sync.WaitGroup
	done.Go(func() { onOwnThread(fn) })
	done.Wait()
	runtime.UnlockOSThread()
}

// tail keeps the last few KiB of a program's stderr, for error messages and the log.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - 4<<10; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.ToValidUTF8(bytes.TrimSpace(t.buf), []byte("\uFFFD")))
}

// stop ends a program: its input closes, then it has a moment, then it is killed.
func (p *process) stop() error {
	_ = p.stdin.Close()
	defer func() { _ = p.stdout.Close() }()
	timer := time.NewTimer(2 * time.Second)
	defer timer.Stop()
	select {
	case <-p.done:
		return nil
	case <-timer.C:
	}
	_ = p.cmd.Process.Kill()
	timer.Reset(5 * time.Second)
	select {
	case <-p.done:
		return nil
	case <-timer.C:
		return errors.New("the sandbox's process could not be killed")
	}
}
