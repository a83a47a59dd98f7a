// Package none runs commands without any isolation, as the server's own user: for machines that are
// sandboxes themselves, and only when the operator asks for it with --sandbox=none.
//
// What stays: an environment without the server's variables, the limits, and the end of the whole
// process tree on a timeout. /workspace is translated for file operations; the shell sees the working
// folder under its real path. A server run by root bounds the number of processes only where it has
// control groups: the kernel exempts root from the other limit. A command that kills the guest leaves
// what it started running, unless there is a control group. Commands see mounts if the server
// runs as root and may make mount namespaces; else file operations alone find them. What is mounted read-only
// is so for whoever does not mean harm: commands can change it all the same.
package none

import (
	"context"
	"syscall"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/sandbox/guest"
	"github.com/reeve-ai/reeve/internal/sandbox/host"
	"github.com/reeve-ai/reeve/internal/sandbox/layout"
)

// Name is the driver's name.
const Name = "none"

// Driver runs guests as plain children. It implements core.SandboxDriver and is safe for concurrent use.
type Driver struct{ house *host.House }

// New makes the driver.
func New(o host.Options) *Driver { return &Driver{house: host.NewHouse(o)} }

// Name implements core.SandboxDriver.
func (d *Driver) Name() string { return Name }

// Open implements core.SandboxDriver.
func (d *Driver) Open(ctx context.Context, spec core.SandboxSpec) (core.Sandbox, error) {
	room, err := d.house.Prepare(spec, host.Need{InPlace: true})
	if err != nil {
		return nil, err
	}
	launch := room.Launch()
	launch.Attr = syscall.SysProcAttr{Setsid: true}
	config := room.Config(room.Folder, true)
	config.Folder, config.Temp = room.Folder, layout.Temp
	config.Kill = guest.KillTree
	s, err := host.Open(ctx, launch, config, room.Limits, d.house.Options().Log, room.Leave)
	if err != nil {
		return nil, err
	}
	return s, nil
}
