package seccomp

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

const probeArg = "__seccomp-probe"

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == probeArg {
		probe(os.Args[2])
		return
	}
	os.Exit(m.Run())
}

// probe installs the filter in this process and prints how each call ends.
func probe(policy string) {
	var p Policy
	if err := json.Unmarshal([]byte(policy), &p); err != nil {
		panic(err)
	}
	code, err := Program(p)
	if err != nil {
		panic(err)
	}
	if err := Install(code); err != nil {
		panic(err)
	}
	call := func(nr, a, b, c uintptr) string {
		_, _, errno := unix.RawSyscall(nr, a, b, c)
		if errno == 0 {
			return "ok"
		}
		return unix.ErrnoName(errno)
	}
	const high = 1 << 32 // the kernel does not look there
	_ = json.NewEncoder(os.Stdout).Encode(map[string]string{
		"getpid":              call(unix.SYS_GETPID, 0, 0, 0),
		"mount":               call(unix.SYS_MOUNT, 0, 0, 0),
		"unshare":             call(unix.SYS_UNSHARE, 0, 0, 0),
		"clone3":              call(unix.SYS_CLONE3, 0, 0, 0),
		"clone user":          call(unix.SYS_CLONE, unix.CLONE_NEWUSER|uintptr(unix.SIGCHLD), 0, 0),
		"socket unix":         call(unix.SYS_SOCKET, unix.AF_UNIX, unix.SOCK_STREAM, 0),
		"socket inet":         call(unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_STREAM, 0),
		"socket inet, high":   call(unix.SYS_SOCKET, high|unix.AF_INET, unix.SOCK_STREAM, 0),
		"ioctl TIOCSTI":       call(unix.SYS_IOCTL, 0, tiocsti, 0),
		"ioctl TIOCSTI, high": call(unix.SYS_IOCTL, 0, high|tiocsti, 0),
		"ioctl, bad file":     call(unix.SYS_IOCTL, 999, unix.TCGETS, 0),
		"io_uring_setup":      call(unix.SYS_IO_URING_SETUP, 0, 0, 0),
	})
}

func TestFilterOnThisMachine(t *testing.T) {
	t.Parallel()
	if _, err := Program(Policy{}); err != nil {
		t.Skip(err)
	}
	common := map[string]string{
		"getpid": "ok", "mount": "EPERM", "unshare": "EPERM", "clone3": "ENOSYS", "clone user": "EPERM", "io_uring_setup": "EPERM",
		"ioctl TIOCSTI": "EPERM", "ioctl TIOCSTI, high": "EPERM", "ioctl, bad file": "EBADF",
	}
	for _, c := range []struct {
		name   string
		policy Policy
		unix   string
		inet   string
	}{
		{"all sockets", Policy{}, "ok", "ok"},
		{"no sockets", Policy{LimitSockets: true}, "EPERM", "EPERM"},
		{"local sockets", Policy{LimitSockets: true, Sockets: []int{unix.AF_UNIX}}, "ok", "EPERM"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			policy, err := json.Marshal(c.policy)
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command("/proc/self/exe", probeArg, string(policy))
			cmd.Stderr = os.Stderr
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			var got map[string]string
			if err := json.Unmarshal(out, &got); err != nil {
				t.Fatal(err)
			}
			want := map[string]string{"socket unix": c.unix, "socket inet": c.inet, "socket inet, high": c.inet}
			for k, v := range common {
				want[k] = v
			}
			for k, v := range want {
				if got[k] != v {
					t.Errorf("%s = %s, want %s", k, got[k], v)
				}
			}
		})
	}
}

// The first instructions decide about foreign architectures, before any number is looked at: 32-bit
// calls have other numbers.
func TestForeignArchitecturesAreRefused(t *testing.T) {
	t.Parallel()
	for _, goarch := range []string{"amd64", "arm64", "386", "arm"} {
		code, err := programFor(goarch, Policy{LimitSockets: true})
		if err != nil {
			t.Fatal(err)
		}
		want := []unix.SockFilter{
			{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offArch},
			{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: code[1].K, Jt: 1},
			{Code: unix.BPF_RET | unix.BPF_K, K: retNoSys},
		}
		for i, w := range want {
			if code[i] != w {
				t.Errorf("%s: instruction %d = %+v, want %+v", goarch, i, code[i], w)
			}
		}
		if last := code[len(code)-1]; last.K != retAllow {
			t.Errorf("%s: the last instruction is %+v", goarch, last)
		}
	}
	if _, err := programFor("riscv64", Policy{}); err == nil {
		t.Error("a filter for an unknown architecture")
	}
	if runtime.GOARCH == "amd64" {
		code, _ := programFor("amd64", Policy{})
		if got := fmt.Sprintf("%#x", code[4].K); got != "0x40000000" {
			t.Errorf("the x32 interface is not refused: %s", got)
		}
	}
}
