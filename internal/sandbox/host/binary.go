package host

import (
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// binary opens this program's own file, once. Guests are started from the descriptor and not from
// the path: the path may lead through folders that a guest's user may not enter (go run builds
// in one), or name a newer version after an upgrade.
var binary = sync.OnceValues(func() (*os.File, error) {
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		return nil, fmt.Errorf("open own binary: %w", err)
	}
	info, err := self.Stat()
	if err != nil {
		return nil, fmt.Errorf("look at own binary: %w", err)
	}
	if info.Mode().Perm()&0o005 == 0o005 || os.Getuid() != 0 {
		return self, nil
	}
	// Built with a strict umask: others may not run it. One copy in memory serves all guests.
	defer func() { _ = self.Close() }()
	fd, err := unix.MemfdCreate("sandbox-guest", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("copy own binary: %w", err)
	}
	copied := os.NewFile(uintptr(fd), "sandbox-guest")
	if _, err := io.Copy(copied, self); err != nil {
		return nil, fmt.Errorf("copy own binary: %w", err)
	}
	if err := unix.Fchmod(fd, 0o555); err != nil {
		return nil, fmt.Errorf("copy own binary: %w", err)
	}
	_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_WRITE|unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL)
	if err != nil {
		return nil, fmt.Errorf("seal the copy of own binary: %w", err)
	}
	// A file that somebody has open for writing cannot be run, and we still do.
	readable, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", fd))
	if err != nil {
		return nil, fmt.Errorf("open the copy of own binary: %w", err)
	}
	return readable, copied.Close()
})
