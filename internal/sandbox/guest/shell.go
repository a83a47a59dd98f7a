package guest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// controlFD is where the shell says that a command has ended. It is closed while commands run, so
// that no child inherits it. One digit, because dash knows no others; 8, because scripts that pick
// a descriptor by hand mostly pick 3 or 9.
const controlFD = 8

// killGrace is how long a killed shell may take to be gone.
const killGrace = 5 * time.Second

// terminal keeps the session's one shell alive from command to command.
type terminal struct {
	config Config
	reaper *reaper
	killer killer
	out    *output

	mu    sync.Mutex // one command at a time
	shell *shell     // nil: the next command starts one
}

// shell is one running bash.
type shell struct {
	script  *os.File // what it reads as its standard input
	control *os.File
	bash    bool
	exited  <-chan syscall.WaitStatus
	ended   chan int      // exit codes of commands; capacity 1
	broken  chan struct{} // closed when nobody holds the other end of control any more

	mu    sync.Mutex
	nonce string // of the command that runs
}

// outcome is what a command did.
type outcome struct {
	output   []byte
	dropped  int64
	exitCode int
	timedOut bool
}

// run executes one command. When ctx ends or the timeout passes, every process of the sandbox is
// killed; only ctx makes it an error.
func (t *terminal) run(ctx context.Context, command []byte, restart bool, timeout time.Duration) (outcome, error) {
	if bytes.IndexByte(command, 0) >= 0 {
		return outcome{}, faultf("invalid_command", "the command contains a NUL byte")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return outcome{}, err
	}
	if restart {
		t.end()
		if len(command) == 0 {
			_, _ = t.out.take()
			return outcome{}, nil
		}
	}
	if t.shell == nil {
		sh, err := t.start()
		if err != nil {
			return outcome{}, err
		}
		t.shell = sh
	}
	if timeout <= 0 || timeout > t.config.Command {
		timeout = t.config.Command
	}
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	sh := t.shell
	forget := sh.send(command, t.config.Temp)
	defer forget()

	var res outcome
	var err error
	select {
	case res.exitCode = <-sh.ended:
	case status := <-sh.exited:
		// The command ended the shell itself: exit, exec, set -e, or a signal. What it left running
		// in the background stays, as in a terminal.
		res.exitCode = exitCode(status)
		t.drop()
	case <-sh.broken:
		// The descriptor was closed behind our back, or the shell is about to be seen as ended.
		select {
		case status := <-sh.exited:
			res.exitCode = exitCode(status)
			t.drop()
		case <-time.After(killGrace):
			res.exitCode = t.end()
		}
	case <-timer.C:
		res.timedOut = true
		res.exitCode = t.end()
	case <-ctx.Done():
		t.end()
		err = ctx.Err()
	}
	res.output, res.dropped = t.out.take()
	return res, err
}

// end kills every process of the sandbox, background ones too, and forgets the shell.
func (t *terminal) end() int {
	t.killer.killAll()
	code := 128 + int(unix.SIGKILL)
	if t.shell != nil {
		select {
		case <-t.shell.exited:
		case <-time.After(killGrace): // stuck in the kernel; it dies when it comes out
		}
		t.drop()
	}
	return code
}

func (t *terminal) drop() {
	_ = t.shell.script.Close()
	_ = t.shell.control.Close()
	t.shell = nil
}

func (t *terminal) start() (*shell, error) {
	scriptR, scriptW, err := pipe()
	if err != nil {
		return nil, err
	}
	controlR, controlW, err := pipe()
	if err != nil {
		_ = unix.Close(scriptR)
		_ = unix.Close(scriptW)
		return nil, err
	}
	// The guest's own ends go to the poller; the shell's ends stay blocking.
	_ = unix.SetNonblock(scriptW, true)
	_ = unix.SetNonblock(controlR, true)
	sh := &shell{
		script:  os.NewFile(uintptr(scriptW), "script"),
		control: os.NewFile(uintptr(controlR), "control"),
		bash:    true,
		ended:   make(chan int, 1),
		broken:  make(chan struct{}),
	}
	out := t.out.writer.Fd()
	files := []uintptr{uintptr(scriptR), out, out}
	for len(files) < controlFD {
		files = append(files, ^uintptr(0)) // closed
	}
	files = append(files, uintptr(controlW))
	path, argv := "/bin/bash", []string{"bash", "--norc", "--noprofile"}
	if _, err := os.Stat(path); err != nil {
		path, argv, sh.bash = "/bin/sh", []string{"sh"}, false
	}
	pid, exited, err := t.reaper.start(path, argv, &syscall.ProcAttr{
		Dir:   t.config.Folder,
		Env:   t.config.Env,
		Files: files,
		Sys:   &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}, // its parent thread lives as long as the guest
	})
	_ = unix.Close(scriptR)
	_ = unix.Close(controlW)
	if err == nil {
		sh.exited = exited
		// Before its first command: the shell only waits for input so far.
		err = limitProcess(pid, t.config)
	}
	if err != nil {
		_ = sh.script.Close()
		_ = sh.control.Close()
		if pid > 0 {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		return nil, fmt.Errorf("start shell: %w", err)
	}
	go sh.listen()
	return sh, nil
}

// longCommand is where bash, which reads its script byte by byte, would take some milliseconds.
const longCommand = 4 << 10

// send hands the shell a command. The shell reads its script byte by byte, so the line that says
// how it ended is not in its memory while the command runs, and eval's redirections keep the
// command away from both pipes. What a command prints cannot end it: the end is a fresh random
// word on another descriptor. The caller calls forget when the command has ended.
func (sh *shell) send(command []byte, temp string) (forget func()) {
	forget = func() {}
	nonce := rand.Text()
	sh.mu.Lock()
	sh.nonce = nonce
	sh.mu.Unlock()
	text := quote(string(command))
	if len(command) > longCommand && sh.bash {
		file := filepath.Join(temp, ".reeve-command-"+rand.Text())
		if err := os.WriteFile(file, command, 0o600); err == nil {
			text = `"$(<` + quote(file) + `)"`
		}
		forget = func() { _ = os.Remove(file) }
	}
	script := fmt.Sprintf("eval %s </dev/null %d>&-\n{ command printf '%%s %%d\\n' %s $? >&%d; } 2>/dev/null\n",
		text, controlFD, nonce, controlFD)
	go func() {
		// Longer than the pipe, this waits until the shell has read; a shell that ends breaks the pipe.
		_, _ = sh.script.WriteString(script)
	}()
	return forget
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// listen reads the control pipe until it closes.
func (sh *shell) listen() {
	defer close(sh.broken)
	r := bufio.NewReaderSize(sh.control, 4096)
	for {
		line, err := r.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			continue // junk of a command that found the descriptor; ours is short
		}
		if err != nil {
			return
		}
		sh.mu.Lock()
		// Junk without a line end may stand before ours.
		at := bytes.LastIndex(line, []byte(sh.nonce))
		found := sh.nonce != "" && at >= 0
		var code int
		if found {
			code, err = strconv.Atoi(strings.TrimSpace(string(line[at+len(sh.nonce):])))
			found = err == nil
		}
		if found {
			sh.nonce = ""
		}
		sh.mu.Unlock()
		if found {
			sh.ended <- code
		}
	}
}

func exitCode(status syscall.WaitStatus) int {
	if status.Signaled() {
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}
