package guest

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// openFiles is the shell's limit of open files, as most systems have it.
const openFiles = 4096

// limitProcess puts the limits on the shell, from which all it starts inherits them. The guest
// itself stays free of them: it must be able to start a thread while a fork bomb has used up the
// user's processes.
func limitProcess(pid int, c Config) error {
	limits := map[int]uint64{
		unix.RLIMIT_CORE:   0,
		unix.RLIMIT_NOFILE: openFiles,
		unix.RLIMIT_FSIZE:  uint64(c.FileBytes),
		unix.RLIMIT_NPROC:  uint64(c.Processes),
	}
	if c.DataBytes > 0 {
		// RLIMIT_DATA counts private memory that can be written (Linux 4.7). RLIMIT_AS would count
		// reservations too, and node or the JVM reserve far more than they use; at eight times the
		// limit it only stops shared mappings.
		limits[unix.RLIMIT_DATA] = uint64(c.DataBytes)
		limits[unix.RLIMIT_AS] = 8 * uint64(c.DataBytes)
	}
	for resource, value := range limits {
		var old unix.Rlimit
		if err := unix.Prlimit(pid, resource, nil, &old); err != nil {
			return fmt.Errorf("read limit %d: %w", resource, err)
		}
		value = min(value, old.Max)
		if err := unix.Prlimit(pid, resource, &unix.Rlimit{Cur: value, Max: value}, nil); err != nil {
			return fmt.Errorf("set limit %d: %w", resource, err)
		}
	}
	// When the group's memory is used up, the kernel takes what the shell started and not the guest.
	// Where /proc does not let us say so, the guest may be hit, and the sandbox is opened anew.
	_ = os.WriteFile("/proc/"+strconv.Itoa(pid)+"/oom_score_adj", []byte("1000"), 0)
	return nil
}
