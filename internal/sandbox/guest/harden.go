package guest

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/reeve-ai/reeve/internal/sandbox/seccomp"
)

// confine builds the walls that the host did not build, from the outermost to the innermost. What
// cannot be had and is not essential comes back as notes.
func confine(c Config) (notes []string, err error) {
	if c.Mounts != nil {
		if err := makeView(c.Mounts, c.Network); err != nil {
			return nil, err
		}
		if err := dropCapabilities(); err != nil {
			return nil, err
		}
	}
	if c.Landlock != nil {
		// With a gateway the namespace is the wall: its loopback must be open to reach it.
		if err := c.Landlock.restrict(c.Network || c.Gate != 0); err != nil {
			return nil, err
		}
	}
	if c.Seccomp != nil {
		program, err := seccomp.Program(*c.Seccomp)
		if err != nil {
			notes = append(notes, "no system call filter on "+runtime.GOARCH)
		} else if err := seccomp.Install(program); err != nil {
			return nil, err
		}
	}
	// The shell runs as the same user: without this it could read the guest's memory and descriptors.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("hide the guest's memory: %w", err)
	}
	return notes, nil
}

// frugal keeps the guest's own memory small: it only passes bytes on.
func frugal() {
	debug.SetGCPercent(50)
	debug.SetMemoryLimit(64 << 20)
}

// reserveThreads makes the runtime start threads that it keeps. Root is exempt from the limit that
// leaves the guest room beside a fork bomb: all share the control group's, and a Go program that
// cannot start a thread ends.
func reserveThreads() {
	const n = 32
	var here sync.WaitGroup
	here.Add(n)
	all := make(chan struct{})
	for range n {
		go func() {
			// A goroutine that waits on a thread of its own keeps it. Unlocked, the thread stays idle.
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			here.Done()
			<-all
		}()
	}
	here.Wait()
	close(all)
}

// hideDescriptors marks everything but the first three descriptors as not to be inherited.
func hideDescriptors() error {
	err := unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC)
	if err == nil {
		return nil
	}
	if !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("hide descriptors: %w", err)
	}
	entries, err := os.ReadDir("/proc/self/fd") // before Linux 5.11
	if err != nil {
		return fmt.Errorf("hide descriptors: %w", err)
	}
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
	return nil
}

func capsetAllThreads(header *unix.CapUserHeader, data *[2]unix.CapUserData) error {
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(header)), uintptr(unsafe.Pointer(&data[0])), 0)
	if errno != 0 {
		return errno
	}
	return nil
}
