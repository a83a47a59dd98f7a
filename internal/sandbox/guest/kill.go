package guest

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// killer ends every process of the sandbox but the guest, daemons in sessions of their own included.
type killer struct{ mode KillMode }

// newKiller checks that a mode is what it says: kill(-1) in the wrong place would end every process
// of the user, or of the machine.
func newKiller(c Config) (killer, error) {
	switch c.Kill {
	case KillNamespace:
		if os.Getpid() != 1 {
			return killer{}, fmt.Errorf("pid %d is not the first of a pid namespace", os.Getpid())
		}
	case KillUser:
		if os.Getuid() == 0 || os.Getuid() != c.UID {
			return killer{}, fmt.Errorf("uid %d is not the sandbox's own %d", os.Getuid(), c.UID)
		}
	case KillTree:
	default:
		return killer{}, fmt.Errorf("unknown kill mode %q", c.Kill)
	}
	if c.Kill != KillNamespace {
		if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
			return killer{}, fmt.Errorf("become subreaper: %w", err)
		}
	}
	return killer{mode: c.Kill}, nil
}

// killAll returns when all are gone, so that none of them writes another word, or after killGrace,
// when one is stuck in the kernel and will die when it comes out.
func (k killer) killAll() {
	deadline := time.Now().Add(killGrace)
	for pause := 100 * time.Microsecond; time.Now().Before(deadline); pause = min(2*pause, 20*time.Millisecond) {
		if k.killOnce() {
			return
		}
		time.Sleep(pause)
	}
}

// killOnce signals everybody and reports whether nobody was left.
func (k killer) killOnce() (none bool) {
	// Where it is safe, the kernel signals all at once, under the lock that fork needs, so none slips
	// away. It says ESRCH when there was nobody at all.
	switch k.mode {
	case KillNamespace:
		return unix.Kill(-1, unix.SIGKILL) != nil
	case KillUser:
		_ = unix.Kill(-1, unix.SIGKILL)
		return len(descendants(os.Getpid())) == 0
	}
	// Each round first stops what it finds, so that fewer are born while the round goes on. What
	// they fork meanwhile is found in the next one; the process limit bounds how many that can be.
	pids := descendants(os.Getpid())
	for _, sig := range []unix.Signal{unix.SIGSTOP, unix.SIGKILL} {
		for _, pid := range pids {
			_ = unix.Kill(pid, sig)
		}
	}
	return len(pids) == 0
}

// descendants lists the living processes below root.
func descendants(root int) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	children := map[int][]int{}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if parent, ok := parentOf(pid); ok {
			children[parent] = append(children[parent], pid)
		}
	}
	var out []int
	for queue := children[root]; len(queue) > 0; queue = queue[1:] {
		out = append(out, queue[0])
		queue = append(queue, children[queue[0]]...)
	}
	return out
}

// parentOf reads the parent from /proc/pid/stat (proc(5)): "pid (name) state parent …", where the
// name may hold spaces and parentheses. False for a zombie, which only waits to be collected.
func parentOf(pid int) (int, bool) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, false
	}
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(fields) < 2 || fields[0][0] == 'Z' || fields[0][0] == 'X' {
		return 0, false
	}
	parent, err := strconv.Atoi(string(fields[1]))
	return parent, err == nil
}
