package workspace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/reeve-ai/reeve/internal/core"
)

const (
	maxSkillFiles = 2000
	maxSkillBytes = 50 << 20 // unpacked (qoder.md section 3.9); the service takes no more either
	unpackTime    = time.Minute

	// keepSkill is how long an unpacked version stays that no session opens. A living sandbox that shows it is
	// closed long before.
	keepSkill  = 7 * 24 * time.Hour
	touchEvery = time.Hour // a use is written down that often
	skillDraft = ".new-"
	skillTrash = ".old-"
)

// skillShelf has versions of skills as folders, one for all sessions that use it: a version never changes. A
// folder's time is that of its last use.
type skillShelf struct {
	root   string
	files  SkillFiles
	flight singleflight.Group // who asks for a version while it is being unpacked waits for it
	mu     sync.Mutex         // held while a folder is found, and while one is removed
}

func newSkillShelf(root string, files SkillFiles) *skillShelf {
	return &skillShelf{root: root, files: files}
}

func (s *skillShelf) folder(v core.SkillVersion) string {
	return filepath.Join(s.root, string(v.Project), string(v.Skill)+"-"+strconv.FormatInt(v.Number, 10))
}

// take returns the folder of a version, which is unpacked if it is not there.
func (s *skillShelf) take(ctx context.Context, v core.SkillVersion) (string, error) {
	folder := s.folder(v)
	for {
		if there, err := s.found(folder); there || err != nil {
			return folder, err
		}
		result := s.flight.DoChan(folder, func() (any, error) {
			if there, err := s.found(folder); there || err != nil {
				return nil, err
			}
			// Others may wait for this too, who do not leave when the first one does.
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), unpackTime)
			defer cancel()
			return nil, s.unpack(ctx, v, folder)
		})
		select {
		case r := <-result:
			if r.Err != nil {
				return "", r.Err
			}
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

// found reports whether the folder is there, and that it is used.
func (s *skillShelf) found(folder string) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	info, err := os.Stat(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for an unpacked skill: %w", err)
	}
	if now := time.Now(); now.Sub(info.ModTime()) > touchEvery {
		if err := os.Chtimes(folder, now, now); err != nil {
			return false, fmt.Errorf("keep an unpacked skill: %w", err)
		}
	}
	return true, nil
}

// unpack makes the folder, whole or not at all.
func (s *skillShelf) unpack(ctx context.Context, v core.SkillVersion, folder string) (err error) {
	parent := filepath.Dir(folder)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return fmt.Errorf("make the folder of skills: %w", err)
	}
	draft, err := os.MkdirTemp(parent, skillDraft)
	if err != nil {
		return fmt.Errorf("make the folder of a skill: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(draft))
		}
	}()
	root, err := os.OpenRoot(draft)
	if err != nil {
		return fmt.Errorf("open the folder of a skill: %w", err)
	}
	defer func() { _ = root.Close() }() // nothing is written through it
	u := unpacking{root: root, left: maxSkillBytes}
	if _, err := s.files.Files(ctx, v.Project, v.Skill, strconv.FormatInt(v.Number, 10), u.file); err != nil {
		return fmt.Errorf("unpack version %d of skill %s: %w", v.Number, v.Skill, err)
	}
	if err := root.Chmod(".", 0o755); err != nil { // whoever the sandbox runs as may read
		return fmt.Errorf("open the folder of a skill to all: %w", err)
	}
	if err := os.Rename(draft, folder); err != nil {
		return fmt.Errorf("place the folder of a skill: %w", err)
	}
	return nil
}

// unpacking is a skill that is being unpacked. The service has judged it when it was uploaded; nothing leads
// out of the folder even so.
type unpacking struct {
	root  *os.Root
	count int
	left  int64 // bytes that may come
}

func (u *unpacking) file(f core.SkillFile, content io.Reader) error {
	if u.count++; u.count > maxSkillFiles {
		return fmt.Errorf("it has more than %d files", maxSkillFiles)
	}
	if !fs.ValidPath(f.Path) {
		return fmt.Errorf("%q is no path below a folder", f.Path)
	}
	if err := u.parents(path.Dir(f.Path)); err != nil {
		return err
	}
	out, err := u.root.OpenFile(f.Path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	n, err := io.Copy(out, io.LimitReader(content, min(f.Bytes, u.left)+1))
	u.left -= n
	mode := fs.FileMode(0o644)
	if f.Exec {
		mode = 0o755
	}
	err = errors.Join(err, out.Chmod(mode), out.Close())
	switch {
	case err != nil:
		return err
	case n != f.Bytes:
		return fmt.Errorf("%s is not of the size that it should have", f.Path)
	case u.left < 0:
		return fmt.Errorf("it has more than %d bytes", maxSkillBytes)
	}
	return nil
}

// parents makes folders that everybody may read, whatever the umask is.
func (u *unpacking) parents(dir string) error {
	if dir == "." {
		return nil
	}
	if err := u.parents(path.Dir(dir)); err != nil {
		return err
	}
	err := u.root.Mkdir(dir, 0o755)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return u.root.Chmod(dir, 0o755)
}

// run tidies at once and then every hour.
func (s *skillShelf) run(ctx context.Context) error {
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()
	for {
		s.tidy(ctx, time.Now().Add(-keepSkill))
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// tidy removes what was not used since. What cannot be removed now is tried again the next time.
func (s *skillShelf) tidy(ctx context.Context, since time.Time) {
	projects, _ := os.ReadDir(s.root) // not there yet: nothing to do
	for _, p := range projects {
		folder := filepath.Join(s.root, p.Name())
		entries, _ := os.ReadDir(folder)
		for _, e := range entries {
			if ctx.Err() != nil {
				return
			}
			s.expire(filepath.Join(folder, e.Name()), since)
		}
	}
}

func (s *skillShelf) expire(folder string, since time.Time) {
	s.mu.Lock()
	info, err := os.Stat(folder)
	if err != nil || !info.ModTime().Before(since) {
		s.mu.Unlock()
		return
	}
	trash := folder
	if !strings.HasPrefix(filepath.Base(folder), ".") {
		trash = filepath.Join(filepath.Dir(folder), skillTrash+filepath.Base(folder))
		err = os.Rename(folder, trash)
	}
	s.mu.Unlock()
	if err == nil {
		_ = os.RemoveAll(trash) // else its time has passed at the next look too
	}
}
