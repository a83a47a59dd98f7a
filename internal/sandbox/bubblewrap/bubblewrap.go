// Package bubblewrap makes sandboxes with bubblewrap (bwrap), the default driver.
//
// Each sandbox has namespaces of its own for users, mounts, processes, network, IPC, host name and
// control groups, the file system view that package layout draws, no capabilities, no_new_privs and
// a system call filter. The network namespace is empty, and SandboxSpec.Gateway is the only way out of it.
//
// bubblewrap started by root is no boundary: what it starts is root to the host's files. A server
// that runs as root therefore becomes another user before bwrap is executed, a different one for each
// living sandbox.
package bubblewrap

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/sandbox/guest"
	"github.com/reeve-ai/reeve/internal/sandbox/host"
	"github.com/reeve-ai/reeve/internal/sandbox/layout"
	"github.com/reeve-ai/reeve/internal/sandbox/seccomp"
)

// Name is the driver's name.
const Name = "bubblewrap"

// Driver makes sandboxes with bwrap. It implements core.SandboxDriver and is safe for concurrent use.
type Driver struct {
	bwrap string
	house *host.House
}

// New finds bwrap. Unavailable ("sandbox_unavailable") if it is not installed. Whether it works on
// this machine only shows when a sandbox is opened.
func New(o host.Options) (*Driver, error) {
	path, err := exec.LookPath("bwrap")
	if err != nil {
		return nil, &core.Error{Kind: core.Unavailable, Code: "sandbox_unavailable", Message: "bubblewrap is not installed", Err: err}
	}
	return &Driver{bwrap: path, house: host.NewHouse(o)}, nil
}

// Name implements core.SandboxDriver.
func (d *Driver) Name() string { return Name }

// Grouped reports whether memory and processes of a sandbox are bounded together, by a control group.
func (d *Driver) Grouped() bool { return d.house.Grouped() }

// Open implements core.SandboxDriver.
func (d *Driver) Open(ctx context.Context, spec core.SandboxSpec) (core.Sandbox, error) {
	spec.Network = false
	room, err := d.house.Prepare(spec, host.Need{User: true})
	if err != nil {
		return nil, err
	}
	launch := room.Launch()
	launch.Program, launch.Gateway = d.bwrap, spec.Gateway
	if launch.Args, launch.Files, err = arguments(room.View()); err != nil {
		_ = room.Leave()
		return nil, &core.Error{Kind: core.Unavailable, Code: "sandbox_unavailable", Message: "a sandbox could not be prepared", Err: err}
	}
	config := room.Config(layout.Workspace, !host.NamespaceCounts())
	config.Kill = guest.KillNamespace
	config.Seccomp = &seccomp.Policy{}
	s, err := host.Open(ctx, launch, config, room.Limits, d.house.Options().Log, room.Leave)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// arguments writes the view down in bwrap's terms. The files are its descriptors from 3 on: first
// the arguments themselves, which would otherwise show host paths to whoever lists processes inside,
// then the contents of generated files.
func arguments(entries []layout.Entry) (args []string, files []*os.File, err error) {
	// The guest is process 1: nothing inside can kill it, and no process without its filter is left.
	list := []string{
		"--unshare-all", "--as-pid-1", "--die-with-parent", "--new-session", "--clearenv", "--cap-drop", "ALL",
		"--uid", strconv.Itoa(layout.UID), "--gid", strconv.Itoa(layout.GID), "--hostname", layout.Hostname,
	}
	defer func() {
		if err != nil {
			closeAll(files)
		}
	}()
	files = []*os.File{nil} // for the arguments
	for _, e := range entries {
		if e.Kind == layout.File {
			f, err := fileWith(e.Content)
			if err != nil {
				return nil, files, err
			}
			files = append(files, f)
		}
		more, err := entryArguments(e, 2+len(files))
		if err != nil {
			return nil, files, err
		}
		list = append(list, more...)
	}
	list = append(list, "--chdir", layout.Workspace)
	if files[0], err = fileWith(strings.Join(list, "\x00") + "\x00"); err != nil {
		return nil, files, err
	}
	return []string{"--args", "3", "--"}, files, nil
}

func entryArguments(e layout.Entry, fd int) ([]string, error) {
	switch e.Kind {
	case layout.ReadOnly:
		return []string{"--ro-bind", e.Source, e.Target}, nil
	case layout.Writable:
		return []string{"--bind", e.Source, e.Target}, nil
	case layout.Memory:
		return []string{"--perms", strconv.FormatUint(uint64(e.Mode), 8), "--size", strconv.FormatInt(e.Bytes, 10), "--tmpfs", e.Target}, nil
	case layout.Processes:
		return []string{"--proc", e.Target}, nil
	case layout.Devices:
		return []string{"--dev", e.Target}, nil
	case layout.Symlink:
		return []string{"--symlink", e.Source, e.Target}, nil
	case layout.Folder:
		return []string{"--dir", e.Target}, nil
	case layout.Sealed:
		return []string{"--remount-ro", e.Target}, nil
	case layout.File:
		return []string{"--perms", "0644", "--file", strconv.Itoa(fd), e.Target}, nil
	}
	return nil, fmt.Errorf("unknown kind of entry %q", e.Kind)
}

// fileWith returns a descriptor from which the text can be read. It must fit a pipe.
func fileWith(text string) (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make pipe: %w", err)
	}
	_, err = w.WriteString(text)
	if closeErr := w.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		_ = r.Close()
		return nil, fmt.Errorf("fill pipe: %w", err)
	}
	return r, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		if f != nil {
			_ = f.Close()
		}
	}
}
