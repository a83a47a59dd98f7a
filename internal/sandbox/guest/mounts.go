package guest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	ll "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"

	"github.com/reeve-ai/reeve/internal/sandbox/layout"
)

// While a view is built, the host's files are at oldRoot and the view grows at newRoot, both on a
// small file system in memory that is itself the root.
const (
	oldRoot = "/oldroot"
	newRoot = "/newroot"
)

// makeView builds the sandbox's file system and makes it the root. The process is in user, mount,
// pid, net, ipc and uts namespaces of its own, and has the capabilities for it there.
func makeView(entries []layout.Entry, network bool) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	// /tmp is on every system. What the host put there for us shows again under oldRoot, since
	// pivot_root takes this mount away from above it.
	if err := unix.Mount("tmpfs", layout.Temp, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755"); err != nil {
		return fmt.Errorf("mount staging: %w", err)
	}
	for _, dir := range []string{newRoot, oldRoot} {
		if err := os.Mkdir(layout.Temp+dir, 0o755); err != nil {
			return fmt.Errorf("prepare staging: %w", err)
		}
	}
	if err := unix.PivotRoot(layout.Temp, layout.Temp+oldRoot); err != nil {
		return fmt.Errorf("change root to staging: %w", err)
	}
	if err := unix.Chdir("/"); err != nil {
		return fmt.Errorf("enter staging: %w", err)
	}
	if err := unix.Mount("tmpfs", newRoot, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755"); err != nil {
		return fmt.Errorf("mount new root: %w", err)
	}
	for _, e := range entries {
		if err := makeEntry(e); err != nil {
			return fmt.Errorf("make %s: %w", e.Target, err)
		}
	}
	if err := enterNewRoot(); err != nil {
		return err
	}
	if err := unix.Sethostname([]byte(layout.Hostname)); err != nil {
		return fmt.Errorf("set host name: %w", err)
	}
	if network {
		return nil
	}
	return loopbackUp()
}

func enterNewRoot() error {
	if err := unix.Unmount(oldRoot, unix.MNT_DETACH); err != nil {
		return fmt.Errorf("leave the old root: %w", err)
	}
	if err := unix.Chdir(newRoot); err != nil {
		return fmt.Errorf("enter the new root: %w", err)
	}
	// With both arguments the same, the old root ends up on top of the new one (pivot_root(2)).
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("change root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("leave staging: %w", err)
	}
	return unix.Chdir("/")
}

func makeEntry(e layout.Entry) error {
	target := filepath.Join(newRoot, e.Target)
	switch e.Kind {
	case layout.ReadOnly:
		return bind(filepath.Join(oldRoot, e.Source), target, unix.MOUNT_ATTR_RDONLY)
	case layout.Writable:
		return bind(filepath.Join(oldRoot, e.Source), target, 0)
	case layout.Memory:
		if err := os.MkdirAll(target, 0o755); err != nil {
			return err
		}
		mode := e.Mode
		if mode == 0 {
			mode = 0o755
		}
		return unix.Mount("tmpfs", target, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, fmt.Sprintf("mode=%o,size=%d", mode, e.Bytes))
	case layout.Processes:
		if err := os.MkdirAll(target, 0o755); err != nil {
			return err
		}
		return unix.Mount("proc", target, "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
	case layout.Devices:
		return makeDevices(target)
	case layout.Symlink:
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		return os.Symlink(e.Source, target)
	case layout.File:
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		return os.WriteFile(target, []byte(e.Content), 0o644)
	case layout.Folder:
		return os.MkdirAll(target, 0o755)
	case layout.Sealed:
		return unix.Mount("", target, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV, "")
	}
	return fmt.Errorf("unknown kind %q", e.Kind)
}

// bind shows source, with what is mounted below it, at target. In a user namespace a bind without
// the mounts below is refused, because it could uncover what they hide.
func bind(source, target string, attr uint64) error {
	info, err := os.Stat(source)
	if err != nil {
		return err
	}
	if info.IsDir() {
		err = os.MkdirAll(target, 0o755)
	} else {
		err = touch(target)
	}
	if err != nil {
		return err
	}
	if err := unix.Mount(source, target, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return err
	}
	return unix.MountSetattr(unix.AT_FDCWD, target, unix.AT_RECURSIVE, &unix.MountAttr{Attr_set: attr | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV})
}

func touch(p string) error {
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(p, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	return f.Close()
}

func makeDevices(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NOEXEC, "mode=0755,size=65536"); err != nil {
		return err
	}
	for _, name := range []string{"null", "zero", "full", "random", "urandom", "tty"} {
		target := filepath.Join(dir, name)
		if err := touch(target); err != nil {
			return err
		}
		// The one place where nodev must not be set.
		if err := unix.Mount(filepath.Join(oldRoot, "dev", name), target, "", unix.MS_BIND, ""); err != nil {
			return err
		}
	}
	pts := filepath.Join(dir, "pts")
	if err := os.Mkdir(pts, 0o755); err != nil {
		return err
	}
	if err := unix.Mount("devpts", pts, "devpts", unix.MS_NOSUID|unix.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620"); err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(dir, "shm"), 0o755); err != nil {
		return err
	}
	for name, to := range map[string]string{"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2", "ptmx": "pts/ptmx"} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// loopbackUp switches the one interface of a fresh network namespace on, so that a server and its
// client can both run inside.
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("bring loopback up: %w", err)
	}
	defer func() { _ = unix.Close(fd) }()
	req, err := unix.NewIfreq("lo")
	if err != nil {
		return fmt.Errorf("bring loopback up: %w", err)
	}
	req.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, req); err != nil {
		return fmt.Errorf("bring loopback up: %w", err)
	}
	return nil
}

// dropCapabilities gives up what the guest needed to build its view, on all threads: nothing that it
// starts can have a capability again. The guest's own threads lose theirs too, except in a build
// with cgo, where the runtime cannot reach them all.
func dropCapabilities() error {
	last, err := lastCapability()
	if err != nil {
		return err
	}
	for c := 0; c <= last; c++ {
		if err := ll.AllThreadsPrctl(unix.PR_CAPBSET_DROP, uintptr(c), 0, 0, 0); err != nil {
			return fmt.Errorf("drop capability %d: %w", c, err)
		}
	}
	if err := ll.AllThreadsPrctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return fmt.Errorf("clear ambient capabilities: %w", err)
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	if err := capsetAllThreads(&header, &none); err != nil && !errors.Is(err, syscall.ENOTSUP) {
		return fmt.Errorf("drop capabilities: %w", err)
	}
	return nil
}

func lastCapability() (int, error) {
	b, err := os.ReadFile("/proc/sys/kernel/cap_last_cap")
	if err != nil {
		return 0, fmt.Errorf("read the number of capabilities: %w", err)
	}
	return strconv.Atoi(strings.TrimSpace(string(b)))
}
