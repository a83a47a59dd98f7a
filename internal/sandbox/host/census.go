package host

import (
	"bufio"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// resident is one process as /proc/pid/status (proc(5)) tells it.
type resident struct {
	pid, uid, threads int
	dead              bool // a zombie: it only waits to be collected
}

// residents lists the processes of this machine that this process can see.
func residents() []resident {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var out []resident
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if r, ok := lookUp(pid); ok {
			out = append(out, r)
		}
	}
	return out
}

func lookUp(pid int) (resident, bool) {
	f, err := os.Open("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return resident{}, false // gone since
	}
	defer func() { _ = f.Close() }()
	r := resident{pid: pid, uid: -1}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), ":")
		fields := strings.Fields(value)
		if len(fields) == 0 {
			continue
		}
		switch key {
		case "State":
			r.dead = fields[0] == "Z" || fields[0] == "X"
		case "Uid":
			r.uid, _ = strconv.Atoi(fields[0])
		case "Threads":
			r.threads, _ = strconv.Atoi(fields[0])
		}
	}
	return r, r.uid >= 0
}

// threadsOf counts a user's threads, since that is what RLIMIT_NPROC counts.
func threadsOf(uid int) int {
	total := 0
	for _, r := range residents() {
		if r.uid == uid {
			total += r.threads
		}
	}
	return total
}

// KillAll ends every process of a sandbox's user. The nil User has none of his own.
func (u *User) KillAll() {
	if u == nil {
		return
	}
	for range 100 {
		found := false
		for _, r := range residents() {
			if r.uid == u.ID && !r.dead {
				found = true
				_ = unix.Kill(r.pid, unix.SIGKILL)
			}
		}
		if !found {
			return
		}
	}
}
