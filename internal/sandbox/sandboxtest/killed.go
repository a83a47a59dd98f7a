package sandboxtest

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// killedFolder is set in the process that RunKilledServer kills: its sandbox's working folder.
const killedFolder = "REEVE_TEST_KILLED_SERVER"

// RunKilledServer proves that nothing of a sandbox outlives its server, however that ends. It starts
// the calling test a second time, as a server that it kills, so a test must do nothing else.
func RunKilledServer(t *testing.T, driver core.SandboxDriver) {
	if folder := os.Getenv(killedFolder); folder != "" {
		beKilled(t, driver, folder)
		return
	}
	// All that the killed one leaves behind is in here. Others may pass, so that its sandbox's user can
	// reach the folder without help.
	base, err := os.MkdirTemp("", "killed-server-")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(base) }()
	folder := filepath.Join(base, "one")
	for dir, mode := range map[string]os.FileMode{base: 0o711, folder: 0o700} {
		if err := errors.Join(os.MkdirAll(dir, mode), os.Chmod(dir, mode)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(folder, "line"), 0o600); err != nil {
		t.Fatal(err)
	}
	fd, err := syscall.Open(filepath.Join(folder, "line"), syscall.O_RDONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	l := lifeline{place{t: t}, os.NewFile(uintptr(fd), "line")}
	defer func() { _ = l.file.Close() }()

	server := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$")
	server.Env = append(os.Environ(), killedFolder+"="+folder, "TMPDIR="+base)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Wait() }()
	defer func() { _ = server.Process.Kill() }()
	l.started()
	if err := server.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	l.ended()
}

// beKilled runs a command that never ends and leaves daemons behind.
func beKilled(t *testing.T, driver core.SandboxDriver, folder string) {
	box, err := driver.Open(t.Context(), core.SandboxSpec{Folder: folder})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = box.Close() }()
	_, err = box.Bash(t.Context(), core.BashCommand{Command: daemons + "sleep 1000", Timeout: time.Minute})
	t.Fatalf("still alive: %v", err)
}
