package host

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/sandbox/cgroup"
	"github.com/reeve-ai/reeve/internal/sandbox/guest"
	"github.com/reeve-ai/reeve/internal/sandbox/layout"
)

// Options are what an operator may set for all sandboxes of a server.
type Options struct {
	Users    Users
	ReadOnly []string // more host paths that sandboxes may read
	// DataFolder is the server's own folder. Where a sandbox's user could not walk to its working
	// folder otherwise, the folders from here down to it are made passable (o+x), not readable.
	DataFolder string
	NoGroups   bool // do not use control groups, even where they can be had
	Log        *slog.Logger
}

// House is what the sandboxes of one driver share. It is safe for concurrent use.
type House struct {
	options Options
	groups  func() *cgroup.Parent // nil: none to be had
	canShow func() bool
}

// NewHouse touches nothing yet: control groups are looked for when the first sandbox needs one.
func NewHouse(o Options) *House {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &House{
		options: o,
		groups: sync.OnceValue(func() *cgroup.Parent {
			if o.NoGroups {
				return nil
			}
			p, err := cgroup.Find()
			if err != nil {
				if !errors.Is(err, cgroup.ErrNone) {
					o.Log.Warn("control groups cannot be used", "error", err)
				}
				return nil
			}
			return p
		}),
		canShow: sync.OnceValue(CanShow),
	}
}

// Options returns what the house was made with; Log is never nil.
func (h *House) Options() Options { return h.options }

// Grouped reports whether memory and processes of a sandbox are bounded together.
func (h *House) Grouped() bool { return h.groups() != nil }

// Room is what one sandbox needs on the host: a user, a folder, a control group.
type Room struct {
	Limits  core.SandboxLimits // no zero fields
	User    *User              // nil: the server's own
	Folder  string             // real path of the working folder
	Mounts  []core.Mount       // their Host is a real path
	staged  bool               // the folders are shown to the program below /tmp: User may not be able to walk to them
	show    Show               // what the program needs to be shown
	moved   []guest.Moved      // the mounts, if they could not be made
	Group   *cgroup.Group      // nil: none
	network bool
	env     map[string]string
	house   *House
}

// Need is what a driver asks of a room.
type Need struct {
	User bool // a host user of its own, if this process is root
	// Reach: the user can walk to the folder by its real path, because the sandbox sees it there.
	Reach bool
	// InPlace: the sandbox has no view of its own, so that mounts must be where it looks for them. A server run
	// by root that may make mount namespaces does so; any other has its file operations look elsewhere.
	InPlace bool
}

// Prepare takes what a sandbox needs. The caller must call Leave, once. Errors: Invalid
// ("invalid_environment"); Unavailable ("sandbox_unavailable").
func (h *House) Prepare(spec core.SandboxSpec, need Need) (*Room, error) {
	if _, err := ShellEnv("/", spec.Env); err != nil {
		return nil, err
	}
	r := &Room{Limits: WithDefaults(spec.Limits), network: spec.Network, env: spec.Env, house: h}
	err := r.prepare(spec, need)
	if err != nil {
		_ = r.Leave()
		return nil, unavailable("sandbox_unavailable", err, "a sandbox could not be prepared")
	}
	return r, nil
}

func (r *Room) prepare(spec core.SandboxSpec, need Need) (err error) {
	if need.User {
		if r.User, err = r.house.options.Users.Take(spec.Folder); err != nil {
			return err
		}
	}
	if r.Folder, err = PrepareFolder(spec.Folder, r.User); err != nil {
		return err
	}
	if err = r.prepareMounts(spec.Mounts); err != nil {
		return err
	}
	if err = r.arrange(need); err != nil {
		return err
	}
	if parent := r.house.groups(); parent != nil {
		r.Group, err = parent.New(cgroup.Limits{MemoryBytes: r.Limits.MemoryBytes, Processes: r.Limits.Processes + guestThreads})
	}
	return err
}

// arrange makes sure that the sandbox's user gets to every folder.
func (r *Room) arrange(need Need) (err error) {
	r.staged = r.User != nil && !need.Reach && r.house.canShow()
	if r.staged {
		r.show = Show{Over: layout.Temp, Mounts: []core.Mount{{Host: r.Folder, Path: staged(0)}}}
		for i, m := range r.Mounts {
			r.show.Mounts = append(r.show.Mounts, core.Mount{Host: m.Host, Path: staged(i + 1)})
		}
		return nil
	}
	shown := need.InPlace && len(r.Mounts) > 0 && r.house.canShow()
	switch {
	case shown:
		r.show = r.inPlace()
	case need.InPlace:
		if err = r.move(); err != nil {
			return err
		}
	}
	if r.User == nil {
		return nil
	}
	if err = r.house.makePassable(r.Folder, r.User.ID); err != nil || shown {
		return err
	}
	for _, m := range r.Mounts {
		if err = r.house.makePassable(m.Host, r.User.ID); err != nil {
			return err
		}
	}
	return nil
}

// Leave gives everything back. What still runs in the control group is killed.
func (r *Room) Leave() error {
	var err error
	if r.Group != nil {
		err = r.Group.Close()
	}
	r.User.Release()
	return err
}

// Launch is how a program is started in this room.
func (r *Room) Launch() Launch {
	return Launch{User: r.User, Group: r.Group, Show: r.show}
}

// View is the sandbox's own file system, from where the started program finds what goes into it.
func (r *Room) View() []layout.Entry {
	s := layout.Spec{
		Folder: r.Folder, Network: r.network, TempBytes: TempBytes(r.Limits), ReadOnly: r.house.options.ReadOnly,
		Mounts: slices.Clone(r.Mounts),
	}
	if r.staged {
		s.Folder = staged(0)
		for i := range s.Mounts {
			s.Mounts[i].Host = staged(i + 1)
		}
	}
	return layout.Entries(s)
}

// Shown is where the mounts really are in a sandbox without a view of its own, by whether they are read-only.
// The folder that holds them is read-only too.
func (r *Room) Shown() (readOnly, writable []string) {
	if r.show.Over != "" {
		readOnly = append(readOnly, r.show.Over)
	}
	real := r.show.Mounts
	for _, m := range r.moved {
		real = append(real, core.Mount{Path: m.Real, ReadOnly: m.ReadOnly})
	}
	for _, m := range real {
		if m.ReadOnly {
			readOnly = append(readOnly, m.Path)
		} else {
			writable = append(writable, m.Path)
		}
	}
	return readOnly, writable
}

// Config fills in what all drivers tell their guests alike. home is the shell's HOME. shared says that
// the guest shares its user's process count with programs outside.
func (r *Room) Config(home string, shared bool) guest.Config {
	env, _ := ShellEnv(home, r.env) // checked by Prepare
	c := guest.Config{
		Folder: layout.Workspace, Temp: layout.Temp, Moved: r.moved, Env: env, Network: r.network,
		OutputBytes: r.Limits.OutputBytes, FileBytes: r.Limits.FileBytes, Command: r.Limits.Command,
		Processes: r.Limits.Processes + guestThreads/4,
	}
	if r.Group == nil {
		c.DataBytes = r.Limits.MemoryBytes
	}
	if r.User != nil {
		c.UID = r.User.ID
	} else if shared {
		c.Processes += threadsOf(os.Getuid())
	}
	return c
}

// makePassable lets a user walk to folder. Only folders of this server are changed, and only by the
// right to pass through them.
func (h *House) makePassable(folder string, id int) error {
	for dir := filepath.Dir(folder); ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			return fmt.Errorf("look at %s: %w", dir, err)
		}
		if !passable(info, id) {
			data, err := filepath.EvalSymlinks(h.options.DataFolder)
			if err != nil || h.options.DataFolder == "" || (dir != data && !strings.HasPrefix(dir, data+"/")) {
				return fmt.Errorf("the sandbox's user cannot pass through %s: let others pass (chmod o+x), move the data folder, or install bubblewrap", dir)
			}
			if err := os.Chmod(dir, info.Mode().Perm()|0o001); err != nil {
				return fmt.Errorf("make %s passable: %w", dir, err)
			}
		}
		if dir == "/" {
			return nil
		}
	}
}

func passable(info fs.FileInfo, id int) bool {
	mode, owner := info.Mode().Perm(), info.Sys().(*syscall.Stat_t)
	switch id {
	case int(owner.Uid):
		return mode&0o100 != 0
	case int(owner.Gid):
		return mode&0o010 != 0
	}
	return mode&0o001 != 0
}

// NamespaceCounts reports whether this kernel counts the processes of a user in a user namespace of
// its own apart from those outside (Linux 5.14).
func NamespaceCounts() bool {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return false
	}
	var major, minor int
	if _, err := fmt.Sscanf(unix.ByteSliceToString(u.Release[:]), "%d.%d", &major, &minor); err != nil {
		return false
	}
	return major > 5 || major == 5 && minor >= 14
}
