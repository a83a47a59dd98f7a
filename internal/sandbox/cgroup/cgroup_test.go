package cgroup

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// tree writes a fake /proc/self and returns its path.
func tree(t *testing.T, cgroup, mountinfo string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"cgroup": cgroup, "mountinfo": mountinfo} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestMountsGiveTheProcessesOwnFolder(t *testing.T) {
	t.Parallel()
	proc := tree(t,
		"8:pids:/\n4:memory:/jobs/7\n3:cpu,cpuacct:/x\n0::/user.slice\n",
		"30 1 0:1 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"+
			"31 1 0:2 / /sys/fs/cgroup/pids rw shared:9 - cgroup cgroup rw,pids\n"+
			"32 1 0:3 /user.slice /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"+
			"33 1 0:4 / /tmp rw - tmpfs tmpfs rw\n")
	mounts, err := readMounts(proc)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range mounts {
		got = append(got, m.kind+" "+m.own)
	}
	want := "cgroup /sys/fs/cgroup/memory/jobs/7, cgroup /sys/fs/cgroup/pids, cgroup2 /sys/fs/cgroup/unified"
	if s := strings.Join(got, ", "); s != want {
		t.Errorf("own folders = %s, want %s", s, want)
	}
}

func TestNoWritableHierarchyIsErrNone(t *testing.T) {
	t.Parallel()
	proc := tree(t, "0::/\n", "32 1 0:3 / /does/not/exist rw - cgroup2 cgroup2 rw\n")
	if _, err := find(proc, true); !errors.Is(err, ErrNone) {
		t.Errorf("find = %v, want ErrNone", err)
	}
}

// A folder with plain files stands in for the kernel's: it shows which files are written.
func TestVersionTwoWritesItsLimits(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := &Parent{version: 2, dirs: []string{dir}}
	g := &Group{parent: p, dirs: []string{filepath.Join(dir, "sandbox-a")}}
	if err := os.Mkdir(g.dirs[0], 0o755); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{"memory.max", "pids.max", "cgroup.kill"} {
		if err := os.WriteFile(filepath.Join(g.dirs[0], f), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.limit(Limits{MemoryBytes: 1 << 20, Processes: 7}); err != nil {
		t.Fatal(err)
	}
	for f, want := range map[string]string{"memory.max": "1048576", "pids.max": "7"} {
		if b, err := os.ReadFile(filepath.Join(g.dirs[0], f)); err != nil || string(b) != want {
			t.Errorf("%s = %q, %v, want %q", f, b, err, want)
		}
	}
}

func TestGroupOnThisKernel(t *testing.T) {
	t.Parallel()
	p, err := Find()
	if errors.Is(err, ErrNone) {
		t.Skip("this process may not make control groups")
	}
	if err != nil {
		t.Fatal(err)
	}
	g, err := p.New(Limits{MemoryBytes: 64 << 20, Processes: 16})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sleep", "1000")
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	runtime.LockOSThread()
	leave, err := g.Attach(cmd.SysProcAttr)
	if err == nil {
		err = cmd.Start()
		leave()
	}
	runtime.UnlockOSThread()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(g.dirs[0], "cgroup.procs"))
	if err != nil || strings.TrimSpace(string(b)) != strconv.Itoa(cmd.Process.Pid) {
		t.Errorf("processes in the group = %q, %v, want %d alone", b, err, cmd.Process.Pid)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	if err := g.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := <-exited; err == nil {
		t.Error("the process ended by itself")
	}
	for _, dir := range g.dirs {
		if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there: %v", dir, err)
		}
	}
}
