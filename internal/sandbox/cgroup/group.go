package cgroup

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const groupPrefix = "sandbox-"

// Limits bound what a group's processes use together. A zero field is no limit.
type Limits struct {
	MemoryBytes int64 // memory and swap, page cache and tmpfs included
	Processes   int   // processes and threads
}

// Group is one sandbox's control group.
type Group struct {
	parent *Parent
	dirs   []string
}

// New makes a group with limits.
func (p *Parent) New(l Limits) (*Group, error) {
	g := &Group{parent: p}
	name := groupPrefix + strings.ToLower(rand.Text())
	for _, dir := range p.dirs {
		d := filepath.Join(dir, name)
		if err := os.Mkdir(d, 0o755); err != nil {
			_ = g.remove() // the error that led here is the one to tell
			return nil, fmt.Errorf("make control group: %w", err)
		}
		g.dirs = append(g.dirs, d)
	}
	if err := g.limit(l); err != nil {
		_ = g.remove() // the error that led here is the one to tell
		return nil, err
	}
	return g, nil
}

func (g *Group) limit(l Limits) error {
	type setting struct {
		file, value string
		optional    bool // swap accounting may be compiled out
	}
	var settings []setting
	memory := strconv.FormatInt(l.MemoryBytes, 10)
	switch {
	case l.MemoryBytes == 0:
	case g.parent.version == 1:
		settings = append(settings, setting{"memory.limit_in_bytes", memory, false}, setting{"memory.memsw.limit_in_bytes", memory, true})
	default:
		settings = append(settings, setting{"memory.max", memory, false}, setting{"memory.swap.max", "0", true})
	}
	if l.Processes > 0 {
		settings = append(settings, setting{"pids.max", strconv.Itoa(l.Processes), false})
	}
	for _, s := range settings {
		written := false
		for _, dir := range g.dirs { // in version 1 each file is in one of them
			err := write(filepath.Join(dir, s.file), s.value)
			if errors.Is(err, os.ErrNotExist) {
				continue
			}
			if err != nil && !s.optional {
				return fmt.Errorf("set %s: %w", s.file, err)
			}
			written = true
		}
		if !written && !s.optional {
			return fmt.Errorf("set %s: %w", s.file, os.ErrNotExist)
		}
	}
	return nil
}

// Attach makes the next child of the calling thread be born inside the group. The caller has locked
// its goroutine to the thread, starts one child with attr, and then calls leave.
func (g *Group) Attach(attr *syscall.SysProcAttr) (leave func(), err error) {
	if g.parent.version == 2 {
		dir, err := os.Open(g.dirs[0])
		if err != nil {
			return nil, fmt.Errorf("open control group: %w", err)
		}
		attr.UseCgroupFD, attr.CgroupFD = true, int(dir.Fd())
		return func() { _ = dir.Close() }, nil
	}
	// Version 1 moves single threads, and a child starts where its parent thread is.
	tid := strconv.Itoa(unix.Gettid())
	leave = func() {
		for _, home := range g.parent.home {
			_ = write(filepath.Join(home, "tasks"), tid)
		}
	}
	for _, dir := range g.dirs {
		if err := write(filepath.Join(dir, "tasks"), tid); err != nil {
			leave()
			return nil, fmt.Errorf("enter control group: %w", err)
		}
	}
	return leave, nil
}

// Close kills every process in the group and removes it. It gives up after a few seconds, with an
// error, when a process cannot be killed.
func (g *Group) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	pause := time.Millisecond
	for {
		g.kill()
		err := g.remove()
		if err == nil {
			return nil
		}
		// A killed process leaves its group a moment later.
		select {
		case <-ctx.Done():
			return fmt.Errorf("remove control group: %w", err)
		case <-time.After(pause):
			pause = min(2*pause, 50*time.Millisecond)
		}
	}
}

func (g *Group) kill() {
	self := os.Getpid()
	for _, dir := range g.dirs {
		if g.parent.version == 2 && write(filepath.Join(dir, "cgroup.kill"), "1") == nil {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
		if err != nil {
			continue
		}
		for field := range strings.FieldsSeq(string(b)) {
			// In version 1 this process is listed while one of its threads starts a child.
			if pid, err := strconv.Atoi(field); err == nil && pid > 0 && pid != self {
				_ = unix.Kill(pid, unix.SIGKILL)
			}
		}
	}
}

func (g *Group) remove() error {
	var errs []error
	for _, dir := range g.dirs {
		if err := os.Remove(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
