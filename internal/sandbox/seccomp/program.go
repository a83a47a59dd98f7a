package seccomp

import (
	"fmt"
	"runtime"
	"slices"
	"unsafe"

	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/sys/unix"
)

// Offsets in struct seccomp_data (linux/seccomp.h): the number, the architecture, the address of
// the instruction, six arguments of 64 bits. Little-endian: the low half of an argument comes first.
const (
	offNumber = 0
	offArch   = 4
	offArgs   = 16
)

const (
	retAllow = unix.SECCOMP_RET_ALLOW
	retPerm  = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
	retNoSys = unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)
)

// x32Bit marks calls of the x32 interface, which share amd64's architecture number.
const x32Bit = 0x40000000

// Requests of ioctl(2) that put keys into a terminal's input (asm-generic/ioctls.h, linux/tiocl.h).
const (
	tiocsti   = 0x5412
	tioclinux = 0x541c
)

// Program assembles the filter for this machine. It fails on an architecture whose call numbers
// are not known and on big-endian machines.
func Program(p Policy) ([]unix.SockFilter, error) {
	return programFor(runtime.GOARCH, p)
}

func programFor(goarch string, p Policy) ([]unix.SockFilter, error) {
	if goarch != "amd64" && goarch != "arm64" && goarch != "386" && goarch != "arm" {
		return nil, fmt.Errorf("no system call filter for %s", goarch)
	}
	info, err := arch.GetInfo(goarch)
	if err != nil {
		return nil, fmt.Errorf("system call table of %s: %w", goarch, err)
	}
	b := builder{}
	b.load(offArch)
	b.unless(uint32(info.ID), retNoSys)
	b.load(offNumber)
	if info.ID == arch.X86_64.ID {
		b.add(unix.BPF_JMP|unix.BPF_JGE|unix.BPF_K, x32Bit, 0, 1)
		b.ret(retNoSys)
	}
	for _, name := range denied {
		if nr, ok := info.SyscallNames[name]; ok {
			b.when(uint32(nr), retPerm)
		}
	}
	if nr, ok := info.SyscallNames["clone3"]; ok {
		b.when(uint32(nr), retNoSys)
	}
	// From here on each rule ends the program for its own call, since it overwrites the number.
	if nr, ok := info.SyscallNames["clone"]; ok {
		b.call(uint32(nr), func(r *builder) {
			r.load(offArgs) // flags are the first argument on all four architectures
			r.add(unix.BPF_JMP|unix.BPF_JSET|unix.BPF_K, unix.CLONE_NEWUSER, 0, 1)
			r.ret(retPerm)
			r.ret(retAllow)
		})
	}
	if nr, ok := info.SyscallNames["ioctl"]; ok {
		b.call(uint32(nr), func(r *builder) {
			r.load(offArgs + 8)
			r.when(tiocsti, retPerm)
			r.when(tioclinux, retPerm)
			r.ret(retAllow)
		})
	}
	if nr, ok := info.SyscallNames["socket"]; ok && p.LimitSockets {
		b.call(uint32(nr), func(r *builder) {
			r.load(offArgs)
			for _, family := range slices.Compact(slices.Sorted(slices.Values(p.Sockets))) {
				r.when(uint32(family), retAllow)
			}
			r.ret(retPerm)
		})
	}
	if nr, ok := info.SyscallNames["socketcall"]; ok && p.LimitSockets {
		b.when(uint32(nr), retPerm) // its arguments are behind a pointer, which a filter cannot follow
	}
	b.ret(retAllow)
	return b.code, nil
}

// builder collects instructions. Only the low 32 bits of arguments are ever looked at: all arguments
// in use here are int or unsigned int to the kernel, or have their known bits there.
type builder struct{ code []unix.SockFilter }

func (b *builder) add(code uint16, k uint32, jt, jf uint8) {
	b.code = append(b.code, unix.SockFilter{Code: code, K: k, Jt: jt, Jf: jf})
}

func (b *builder) load(off uint32) { b.add(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, off, 0, 0) }

func (b *builder) ret(action uint32) { b.add(unix.BPF_RET|unix.BPF_K, action, 0, 0) }

// when ends with action if the accumulator is k.
func (b *builder) when(k, action uint32) {
	b.add(unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K, k, 0, 1)
	b.ret(action)
}

// unless ends with action if the accumulator is not k.
func (b *builder) unless(k, action uint32) {
	b.add(unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K, k, 1, 0)
	b.ret(action)
}

// call runs the rule for one system call; the rule must end with a return.
func (b *builder) call(nr uint32, rule func(*builder)) {
	r := builder{}
	rule(&r)
	b.add(unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K, nr, 0, uint8(len(r.code)))
	b.code = append(b.code, r.code...)
}

// Install puts the filter on every thread of this process, for good. It sets no_new_privs first, as
// the kernel asks of those without privileges.
func Install(code []unix.SockFilter) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("set no_new_privs: %w", err)
	}
	prog := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&prog)))
	if errno != 0 {
		return fmt.Errorf("install system call filter: %w", errno)
	}
	return nil
}
