package guest

import (
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// output reads the pipe that every shell of this guest and all their children write to. It is read
// all the time, also between commands, so that a background server never blocks on its log: what
// came meanwhile stands before the next command's own output. The first limit bytes since the last
// take are kept, the rest is counted.
type output struct {
	reader *os.File
	writer *os.File // the shells' end; kept open so that the next shell gets it too
	fd     int      // of reader, which lives as long as the guest
	limit  int

	mu      sync.Mutex // held while reading, so that take misses nothing
	kept    []byte
	dropped int64
	scratch [64 << 10]byte
}

func newOutput(limit int) (*output, error) {
	r, w, err := pipe()
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(r, true); err != nil {
		return nil, fmt.Errorf("prepare output: %w", err)
	}
	o := &output{reader: os.NewFile(uintptr(r), "output"), writer: os.NewFile(uintptr(w), "output"), fd: r, limit: limit}
	conn, err := o.reader.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("prepare output: %w", err)
	}
	go func() {
		for conn.Read(o.readable) == nil { // ends never: the guest holds both ends
		}
	}()
	return o, nil
}

// pipe makes a pipe whose two blocking ends no child inherits.
func pipe() (r, w int, err error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return 0, 0, fmt.Errorf("make pipe: %w", err)
	}
	return fds[0], fds[1], nil
}

// readable is called when the pipe may have something; false asks to be called again then.
func (o *output) readable(uintptr) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.read() > 0
}

// read takes what is there, at most one buffer, and returns how much that was. o.mu is held.
func (o *output) read() int {
	n, err := unix.Read(o.fd, o.scratch[:])
	if err != nil || n <= 0 {
		return 0
	}
	keep := min(n, o.limit-len(o.kept))
	o.kept = append(o.kept, o.scratch[:keep]...)
	o.dropped += int64(n - keep)
	return n
}

// take returns all that was written to the pipe before the call, and how much of it was dropped.
func (o *output) take() (kept []byte, dropped int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	// No more than the pipe holds was written before: a background process that never stops
	// writing must not keep us here.
	size, err := unix.FcntlInt(uintptr(o.fd), unix.F_GETPIPE_SZ, 0)
	if err != nil {
		size = len(o.scratch)
	}
	for size > 0 {
		n := o.read()
		if n == 0 {
			break
		}
		size -= n
	}
	kept, dropped = o.kept, o.dropped
	o.kept, o.dropped = nil, 0
	return kept, dropped
}
