package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/sandbox/guest"
	"github.com/reeve-ai/reeve/internal/sandbox/layout"
)

// mountRoot is where mounts lie that are not below layout.Workspace.
const mountRoot = "/mnt"

// Show is what a program finds in a mount namespace of its own, over the host's files.
type Show struct {
	// Over is a folder of the host that becomes an empty one in memory; empty: none does.
	Over   string
	Mounts []core.Mount // their Paths are where the program finds them; missing folders below Over are made
}

// here makes it so for this thread, and what it starts.
func (s Show) here() error {
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("make a mount namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	// Opened before Over hides what is below it, and after the namespace was made, in which alone they can
	// be mounted.
	sources := make([]int, 0, len(s.Mounts))
	defer func() {
		for _, fd := range sources {
			_ = unix.Close(fd)
		}
	}()
	for _, m := range s.Mounts {
		fd, err := unix.Open(m.Host, unix.O_PATH|unix.O_CLOEXEC|unix.O_DIRECTORY, 0)
		if err != nil {
			return fmt.Errorf("open the folder for %s: %w", m.Path, err)
		}
		sources = append(sources, fd)
	}
	if s.Over != "" {
		if err := unix.Mount("tmpfs", s.Over, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755"); err != nil {
			return fmt.Errorf("cover %s: %w", s.Over, err)
		}
	}
	for i, m := range s.Mounts {
		if err := bind("/proc/self/fd/"+strconv.Itoa(sources[i]), m, s.Over); err != nil {
			return fmt.Errorf("show %s: %w", m.Path, err)
		}
	}
	return nil
}

func bind(source string, m core.Mount, over string) error {
	if over != "" && strings.HasPrefix(m.Path, over+"/") {
		if err := os.MkdirAll(m.Path, 0o755); err != nil {
			return err
		}
	}
	if err := unix.Mount(source, m.Path, "", unix.MS_BIND, ""); err != nil {
		return err
	}
	flags := uintptr(unix.MS_REMOUNT | unix.MS_BIND | unix.MS_NOSUID | unix.MS_NODEV)
	if m.ReadOnly {
		flags |= unix.MS_RDONLY
	}
	return unix.Mount("", m.Path, "", flags, "")
}

// CanShow reports whether a Show works here: root of a container often may not mount.
func CanShow() bool {
	if os.Getuid() != 0 {
		return false
	}
	result := make(chan error)
	probe := Show{Over: layout.Temp, Mounts: []core.Mount{{Host: "/", Path: staged(0)}}}
	go onOwnThread(func() { result <- probe.here() })
	return <-result == nil
}

// staged is where the program that builds a sandbox's view finds its nth folder, when the sandbox's user
// could not walk to its real path.
func staged(n int) string { return path.Join(layout.Temp, strconv.Itoa(n)) }

// prepareMounts checks the mounts, makes those below the working folder possible, and gives the writable
// ones to the sandbox's user.
func (r *Room) prepareMounts(mounts []core.Mount) error {
	for _, m := range mounts {
		if err := checkMount(m); err != nil {
			return err
		}
		real, err := filepath.EvalSymlinks(m.Host)
		if err != nil {
			return fmt.Errorf("resolve the folder for %s: %w", m.Path, err)
		}
		if r.User != nil && !m.ReadOnly {
			if err := own(real, r.User.ID); err != nil {
				return err
			}
		}
		if rest, below := strings.CutPrefix(m.Path, layout.Workspace+"/"); below {
			if err := r.makePoint(rest, real); err != nil {
				return fmt.Errorf("make room for %s: %w", m.Path, err)
			}
		}
		m.Host = real
		r.Mounts = append(r.Mounts, m)
	}
	return nil
}

func checkMount(m core.Mount) error {
	switch {
	case !filepath.IsAbs(m.Host):
		return fmt.Errorf("the folder %q for %s is not an absolute path", m.Host, m.Path)
	case path.Clean(m.Path) != m.Path || !strings.HasPrefix(m.Path, mountRoot+"/") && !strings.HasPrefix(m.Path, layout.Workspace+"/"):
		return fmt.Errorf("nothing can be mounted at %q", m.Path)
	}
	return nil
}

// makePoint makes the folder that a mount below the working folder covers. Commands of an earlier sandbox
// may have put anything there, so it never leaves the working folder.
func (r *Room) makePoint(rest, host string) error {
	root, err := os.OpenRoot(r.Folder)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	for i := 0; i <= len(rest); i++ {
		if i < len(rest) && rest[i] != '/' {
			continue
		}
		err := root.Mkdir(rest[:i], 0o755)
		switch {
		case err == nil && r.User != nil:
			err = root.Lchown(rest[:i], r.User.ID, r.User.ID)
		case errors.Is(err, fs.ErrExist):
			var info fs.FileInfo
			if info, err = root.Lstat(rest[:i]); err == nil && !info.IsDir() {
				if to, _ := root.Readlink(rest); i == len(rest) && to == host { // of a sandbox that had no mounts
					err = errors.Join(root.Remove(rest), root.Mkdir(rest, 0o755))
				} else {
					err = fmt.Errorf("%s is no folder", rest[:i])
				}
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// inPlace is how the mounts are made for a sandbox without a view of its own: at their paths among the
// host's files, for that sandbox alone.
func (r *Room) inPlace() Show {
	s := Show{Over: mountRoot}
	for _, m := range r.Mounts {
		if rest, below := strings.CutPrefix(m.Path, layout.Workspace+"/"); below {
			m.Path = filepath.Join(r.Folder, rest)
		}
		s.Mounts = append(s.Mounts, m)
	}
	return s
}

// move has the file operations of such a sandbox find the mounts where they cannot be made. Below the working
// folder symlinks stand for them, so that commands find those too.
func (r *Room) move() error {
	for _, m := range r.Mounts {
		r.moved = append(r.moved, guest.Moved{Seen: m.Path, Real: m.Host, ReadOnly: m.ReadOnly})
		if rest, below := strings.CutPrefix(m.Path, layout.Workspace+"/"); below {
			if err := r.link(rest, m.Host); err != nil {
				return fmt.Errorf("link %s: %w", m.Path, err)
			}
		}
	}
	return nil
}

// link puts a symlink in the place of the empty folder that makePoint has made.
func (r *Room) link(rest, to string) error {
	root, err := os.OpenRoot(r.Folder)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	if err := root.Remove(rest); err != nil {
		return err
	}
	return root.Symlink(to, rest)
}
