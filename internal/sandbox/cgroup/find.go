// Package cgroup bounds the memory and the number of processes of one sandbox as a whole, with the
// kernel's control groups, version 1 or 2, where this process may make groups. It writes the few
// files itself: the cgroup1 and cgroup2 packages of containerd/cgroups bring D-Bus and eBPF along
// for things that are not needed here.
package cgroup

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// ErrNone says that this process cannot make groups here.
var ErrNone = errors.New("no control groups that this process may use")

// Parent is the place under which groups are made. It is safe for concurrent use.
type Parent struct {
	version int
	dirs    []string // version 1: one for each controller; version 2: one
	home    []string // version 1: where threads go back to, in the order of dirs
}

// Version is 1 or 2.
func (p *Parent) Version() int { return p.version }

// Find looks for a place where this process may make groups, and makes a folder "reeve" there.
// It removes what a former life left behind. ErrNone if there is no such place.
func Find() (*Parent, error) {
	return find("/proc/self", os.Getuid() == 0)
}

// mount is one mounted cgroup hierarchy, and the folder in it that this process belongs to.
type mount struct {
	kind    string // cgroup or cgroup2
	options []string
	point   string // where it is mounted
	own     string // this process's folder
}

func find(proc string, root bool) (*Parent, error) {
	mounts, err := readMounts(proc)
	if err != nil {
		return nil, err
	}
	if p := findV2(mounts, root); p != nil {
		p.sweep()
		return p, nil
	}
	if p := findV1(mounts); p != nil {
		p.sweep()
		return p, nil
	}
	return nil, ErrNone
}

func findV1(mounts []mount) *Parent {
	p := &Parent{version: 1}
	for _, controller := range []string{"memory", "pids"} {
		i := slices.IndexFunc(mounts, func(m mount) bool { return m.kind == "cgroup" && slices.Contains(m.options, controller) })
		if i < 0 {
			return nil // one without the other would be half a limit
		}
		dir := filepath.Join(mounts[i].own, "reeve")
		if slices.Contains(p.dirs, dir) {
			continue // both controllers share a hierarchy
		}
		if !makeWritable(dir) {
			return nil
		}
		p.dirs = append(p.dirs, dir)
		p.home = append(p.home, mounts[i].own)
	}
	return p
}

// findV2 tries the top of the tree, which alone may hold processes and pass controllers on at
// the same time, and then the process's own folder, as systemd's Delegate=yes gives it.
func findV2(mounts []mount, root bool) *Parent {
	i := slices.IndexFunc(mounts, func(m mount) bool { return m.kind == "cgroup2" })
	if i < 0 {
		return nil
	}
	m := mounts[i]
	if !hasControllers(filepath.Join(m.point, "cgroup.controllers")) {
		return nil // they belong to version 1 here
	}
	_, err := os.Stat(filepath.Join(m.point, "cgroup.type"))
	if isTop := errors.Is(err, os.ErrNotExist); isTop && root {
		if p := delegate(m.point, ""); p != nil {
			return p
		}
	}
	if m.own == m.point {
		return nil
	}
	return delegate(m.own, "reeve-server")
}

// delegate makes dir/reeve with both controllers switched on for its children. With leaf set, this
// process first moves to that child of dir: a group below the top either holds processes or passes
// controllers on. It moves back if that was not enough, because others live in dir.
func delegate(dir, leaf string) *Parent {
	if leaf != "" {
		inner := filepath.Join(dir, leaf)
		if !makeWritable(inner) {
			return nil
		}
		if err := write(filepath.Join(inner, "cgroup.procs"), "0"); err != nil {
			return nil
		}
	}
	group := filepath.Join(dir, "reeve")
	for _, d := range []string{dir, group} {
		if d == group && !makeWritable(group) {
			break
		}
		if hasControllers(filepath.Join(d, "cgroup.subtree_control")) {
			continue
		}
		if err := write(filepath.Join(d, "cgroup.subtree_control"), "+memory +pids"); err != nil {
			break
		}
	}
	if hasControllers(filepath.Join(group, "cgroup.subtree_control")) {
		return &Parent{version: 2, dirs: []string{group}}
	}
	if leaf != "" {
		_ = write(filepath.Join(dir, "cgroup.procs"), "0")
	}
	return nil
}

func hasControllers(file string) bool {
	b, err := os.ReadFile(file)
	names := strings.Fields(string(b))
	return err == nil && slices.Contains(names, "memory") && slices.Contains(names, "pids")
}

func makeWritable(dir string) bool {
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return false
	}
	probe := filepath.Join(dir, fmt.Sprintf("probe-%d", os.Getpid()))
	if err := os.Mkdir(probe, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return false
	}
	return os.Remove(probe) == nil
}

// sweep removes groups without processes; the kernel refuses to remove the others.
func (p *Parent) sweep() {
	for _, dir := range p.dirs {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, e := range entries {
			info, err := e.Info()
			// A young one may belong to another server that is about to start its first process.
			if err == nil && e.IsDir() && strings.HasPrefix(e.Name(), groupPrefix) && time.Since(info.ModTime()) > time.Minute {
				_ = os.Remove(filepath.Join(dir, e.Name()))
			}
		}
	}
}

// readMounts reads the cgroup mounts (proc(5), mountinfo) and the process's own folders in them
// (cgroups(7), /proc/pid/cgroup).
func readMounts(proc string) ([]mount, error) {
	own, err := readOwn(filepath.Join(proc, "cgroup"))
	if err != nil {
		return nil, err
	}
	f, err := os.Open(filepath.Join(proc, "mountinfo"))
	if err != nil {
		return nil, fmt.Errorf("read mounts: %w", err)
	}
	defer func() { _ = f.Close() }()
	var out []mount
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		left, right, ok := strings.Cut(lines.Text(), " - ")
		fields, tail := strings.Fields(left), strings.Fields(right)
		if !ok || len(fields) < 5 || len(tail) < 3 || (tail[0] != "cgroup" && tail[0] != "cgroup2") {
			continue
		}
		m := mount{kind: tail[0], options: strings.Split(tail[2], ","), point: fields[4]}
		path, found := ownPath(own, m)
		if !found {
			continue
		}
		// A container may mount only its own part of the tree: fields[3] says which.
		if part := fields[3]; part != "/" {
			path = strings.TrimPrefix(path, part)
		}
		m.own = filepath.Join(m.point, path)
		out = append(out, m)
	}
	return out, lines.Err()
}

func ownPath(own map[string]string, m mount) (string, bool) {
	if m.kind == "cgroup2" {
		path, ok := own[""]
		return path, ok
	}
	for _, o := range m.options {
		if path, ok := own[o]; ok && o != "" {
			return path, true
		}
	}
	return "", false
}

// readOwn maps each controller to the process's path; version 2 has the empty name.
func readOwn(file string) (map[string]string, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read own control groups: %w", err)
	}
	own := map[string]string{}
	for line := range strings.Lines(string(b)) {
		parts := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(parts) != 3 {
			continue
		}
		for name := range strings.SplitSeq(parts[1], ",") {
			own[name] = parts[2]
		}
	}
	return own, nil
}

func write(file, value string) error {
	// Control files are never created or truncated, only written.
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}
