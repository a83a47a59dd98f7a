// Package landlock makes sandboxes without bubblewrap, with what the kernel offers to a program by
// itself. It has two forms; the first that works on the machine is used.
//
// With namespaces (a kernel that lets this process make user namespaces): the guest builds the
// same view as bubblewrap would (package layout), in user, mount, pid, net, IPC and host name
// namespaces of its own, and adds Landlock and the system call filter.
//
// Without: Landlock and the filter alone, on the host's own file system. That is weaker:
//
//	/workspace          exists for file operations only; the shell sees the real path of the folder,
//	                    and a private folder named by TMPDIR in place of /tmp
//	processes           those of others are listed in /proc (not their memory or environment); before
//	                    Landlock ABI 6 the guest itself can be killed, and with a server that is not
//	                    root all that its user runs
//	file names          outside can be tested for, though nothing can be opened or listed
//	kill on timeout     by user id (server run by root) or by walking the process tree
//	network off         by refusing to make sockets, also local ones, instead of an empty namespace
//	network on          the host's own, loopback included, without a gateway; local sockets by path are
//	                    refused before Landlock ABI 9
//	host name, IPC      the host's own
//	memory in /dev/shm  not available
//	mounts              for commands only with a server run by root that may make mount namespaces; else
//	                    file operations alone find them at their paths, and commands under the real ones
package landlock

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/sandbox/guest"
	"github.com/reeve-ai/reeve/internal/sandbox/host"
	"github.com/reeve-ai/reeve/internal/sandbox/layout"
	"github.com/reeve-ai/reeve/internal/sandbox/seccomp"
)

// Name is the driver's name.
const Name = "landlock"

// Form says how the walls are built.
type Form int

const (
	Unknown    Form = iota // no sandbox was opened yet
	Namespaces             // a view of its own, in namespaces of its own
	Plain                  // Landlock on the host's own files
)

// Driver makes sandboxes with Landlock. It implements core.SandboxDriver and is safe for concurrent use.
type Driver struct {
	house *host.House

	mu   sync.Mutex
	form Form
}

// New makes the driver. Form forces one form; Unknown lets the first Open find out.
func New(o host.Options, form Form) *Driver { return &Driver{house: host.NewHouse(o), form: form} }

// Name implements core.SandboxDriver.
func (d *Driver) Name() string { return Name }

// Grouped reports whether memory and processes of a sandbox are bounded together, by a control group.
func (d *Driver) Grouped() bool { return d.house.Grouped() }

// Form returns how sandboxes are built; Unknown before the first.
func (d *Driver) Form() Form {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.form
}

// Open implements core.SandboxDriver.
func (d *Driver) Open(ctx context.Context, spec core.SandboxSpec) (core.Sandbox, error) {
	form := d.Form()
	if form != Plain {
		s, err := d.openNamespaces(ctx, spec)
		if err == nil || form == Namespaces || ctx.Err() != nil || core.KindOf(err) == core.Invalid {
			return settle(s, err, d, Namespaces)
		}
		d.house.Options().Log.Info("sandbox: no namespaces for Landlock", slog.Any("error", err))
	}
	s, err := d.openPlain(ctx, spec)
	return settle(s, err, d, Plain)
}

// settle remembers the form that worked, and keeps a nil *host.Sandbox out of the interface.
func settle(s *host.Sandbox, err error, d *Driver, form Form) (core.Sandbox, error) {
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.form = form
	return s, nil
}

// openNamespaces starts the guest as the first process of its own namespaces, with the capabilities
// that it needs to build its view and then gives up.
func (d *Driver) openNamespaces(ctx context.Context, spec core.SandboxSpec) (*host.Sandbox, error) {
	spec.Network = false
	room, err := d.house.Prepare(spec, host.Need{User: true})
	if err != nil {
		return nil, err
	}
	launch := room.Launch()
	launch.Attr, launch.Gateway = namespaces(room.User), spec.Gateway
	config := room.Config(layout.Workspace, !host.NamespaceCounts())
	config.Kill = guest.KillNamespace
	config.Seccomp = &seccomp.Policy{}
	config.Mounts = room.View()
	// The view is the wall; Landlock is a second one, where there is any.
	config.Landlock = &guest.LandlockRules{
		ReadOnly: []string{"/"},
		Writable: []string{layout.Workspace, layout.Temp, "/dev", "/proc"},
	}
	for _, m := range spec.Mounts {
		if !m.ReadOnly {
			config.Landlock.Writable = append(config.Landlock.Writable, m.Path)
		}
	}
	return host.Open(ctx, launch, config, room.Limits, d.house.Options().Log, room.Leave)
}

func namespaces(user *host.User) syscall.SysProcAttr {
	uid, gid, privileged := os.Getuid(), os.Getgid(), false
	if user != nil {
		uid, gid, privileged = user.ID, user.ID, true
	}
	attr := syscall.SysProcAttr{
		Setsid:      true,
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: layout.UID, HostID: uid, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: layout.GID, HostID: gid, Size: 1}},
		// Only root may say which supplementary groups a new user namespace starts with: none.
		GidMappingsEnableSetgroups: privileged,
		Credential:                 &syscall.Credential{Uid: layout.UID, Gid: layout.GID, NoSetGroups: !privileged},
		AmbientCaps:                []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_NET_ADMIN, unix.CAP_SETPCAP},
	}
	return attr
}

// openPlain starts the guest on the host's own file system.
func (d *Driver) openPlain(ctx context.Context, spec core.SandboxSpec) (*host.Sandbox, error) {
	abi := guest.LandlockABI()
	if abi < 1 {
		return nil, core.Errorf(core.Unavailable, "sandbox_unavailable", "this kernel has neither user namespaces nor Landlock for this process")
	}
	room, err := d.house.Prepare(spec, host.Need{User: true, Reach: true, InPlace: true})
	if err != nil {
		return nil, err
	}
	temp, err := privateTemp(room.User)
	if err != nil {
		_ = room.Leave()
		return nil, &core.Error{Kind: core.Unavailable, Code: "sandbox_unavailable", Message: "a sandbox could not be prepared", Err: err}
	}
	launch := room.Launch()
	launch.Attr = syscall.SysProcAttr{Setsid: true}
	config := room.Config(room.Folder, true)
	config.Folder, config.Temp = room.Folder, temp
	config.Env = append(config.Env, "TMPDIR="+temp)
	config.Kill, config.Scoped = guest.KillTree, true
	if room.User != nil {
		config.Kill = guest.KillUser
	}
	config.Seccomp = &seccomp.Policy{LimitSockets: true, Sockets: families(abi, spec.Network)}
	config.Landlock = &guest.LandlockRules{
		ReadOnly: append(layout.HostPaths(layout.Spec{Network: spec.Network, ReadOnly: d.house.Options().ReadOnly}), "/proc"),
		Writable: []string{room.Folder, temp},
		Devices:  []string{"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"},
		Required: true,
	}
	readOnly, writable := room.Shown() // with the folder that holds them, which is otherwise empty
	config.Landlock.ReadOnly = append(config.Landlock.ReadOnly, readOnly...)
	config.Landlock.Writable = append(config.Landlock.Writable, writable...)
	return host.Open(ctx, launch, config, room.Limits, d.house.Options().Log, func() error {
		room.User.KillAll() // a guest that was killed from inside left others behind
		return errors.Join(room.Leave(), os.RemoveAll(temp))
	})
}

// families are the sockets that a plain sandbox may make. Local ones could lead to any daemon of the
// host before Landlock learnt to check them (ABI 9).
func families(abi int, network bool) []int {
	var out []int
	if abi >= 9 {
		out = append(out, unix.AF_UNIX)
	}
	if network {
		out = append(out, unix.AF_INET, unix.AF_INET6, unix.AF_NETLINK)
	}
	return out
}

// privateTemp makes a folder in place of /tmp. It ends with the sandbox.
func privateTemp(user *host.User) (string, error) {
	dir, err := os.MkdirTemp("", "reeve-sandbox-")
	if err != nil {
		return "", fmt.Errorf("make a private temporary folder: %w", err)
	}
	if user != nil {
		if err := os.Chown(dir, user.ID, user.ID); err != nil {
			_ = os.Remove(dir)
			return "", fmt.Errorf("give the private temporary folder away: %w", err)
		}
	}
	return dir, nil
}
