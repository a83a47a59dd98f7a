package workspace

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"unicode/utf8"
)

const (
	maxName    = 255     // bytes of a file's name
	maxText    = 102_400 // bytes of a memory (claude-managed-agents.md section 1.7)
	maxVisited = 20_000  // files and folders looked at in one store's folder
	ownPrefix  = ".reeve-"
)

// conflictName is what setAside makes of names.
var conflictName = regexp.MustCompile(`\.conflict[0-9]*$`)

// claim finds out whom the folder belongs to, and lets everybody read a new one, whatever the umask: the
// user of the sandbox may be another.
func (s *shelf) claim() error {
	info, err := s.root.Stat(".")
	if err != nil {
		return fmt.Errorf("look at the folder of a memory store: %w", err)
	}
	s.owner = -1
	uid := int(info.Sys().(*syscall.Stat_t).Uid)
	if os.Getuid() == 0 && uid != 0 {
		s.owner = uid
	}
	if uid == os.Getuid() && info.Mode().Perm() != 0o755 {
		if err := s.root.Chmod(".", 0o755); err != nil {
			return fmt.Errorf("open the folder of a memory store: %w", err)
		}
	}
	return nil
}

// found is what is at a path.
type found struct {
	info    fs.FileInfo // nil: nothing
	regular bool        // a file that could be read and is not too large for a memory
	sha256  string      // if regular
	stamp   stamp       // if regular
}

func (s *shelf) look(file string) (found, error) {
	info, err := s.root.Lstat(rel(file))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return found{}, nil
	}
	if err != nil {
		return found{}, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxText {
		return found{info: info}, nil
	}
	b, at, err := s.content(file, info)
	if err != nil {
		return found{info: info}, nil // it is there, and nobody can tell what is in it
	}
	sum := sha256.Sum256(b)
	return found{info: info, regular: true, sha256: hex.EncodeToString(sum[:]), stamp: at}, nil
}

var errSwapped = errors.New("the file was replaced while it was read")

// content reads a regular file that info was found for. The stamp is that of the file while it was read; it is
// zero if that changed meanwhile or just before.
func (s *shelf) content(file string, info fs.FileInfo) ([]byte, stamp, error) {
	f, err := s.root.OpenFile(rel(file), os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe in its place would block
	if err != nil {
		return nil, stamp{}, err
	}
	defer func() { _ = f.Close() }() // it was only read
	before, err := f.Stat()
	if err != nil {
		return nil, stamp{}, err
	}
	if !os.SameFile(info, before) || !before.Mode().IsRegular() {
		return nil, stamp{}, errSwapped
	}
	b, err := io.ReadAll(io.LimitReader(f, maxText+1))
	if err != nil {
		return nil, stamp{}, err
	}
	after, err := f.Stat()
	if err != nil {
		return nil, stamp{}, err
	}
	at := stampOf(before)
	if at != stampOf(after) {
		return b, stamp{}, nil
	}
	return b, at.ripe(), nil
}

// read returns a file as a memory's text, or why it cannot be one.
func (s *shelf) read(file string, info fs.FileInfo) (text string, at stamp, why string) {
	if info.Size() > maxText {
		return "", at, fmt.Sprintf("it is %d bytes long; at most %d are allowed", info.Size(), maxText)
	}
	b, at, err := s.content(file, info)
	switch {
	case err != nil:
		return "", at, "it cannot be read"
	case !utf8.Valid(b):
		return "", at, "it is not UTF-8 text"
	}
	return string(b), at, ""
}

// write makes the file anew, so that nobody sees half of it.
func (s *shelf) write(file, text string) error {
	name := rel(file)
	temp := path.Join(path.Dir(name), ownPrefix+rand.Text())
	f, err := s.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Chmod(0o644))
	if s.owner >= 0 {
		err = errors.Join(err, f.Chown(s.owner, s.owner))
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = s.root.Rename(temp, name)
	}
	if err != nil {
		_ = s.root.Remove(temp)
	}
	return err
}

// makeParents makes the folders above a file. What is there and is no folder is set aside.
func (s *shelf) makeParents(file string) error {
	name := rel(file)
	for i, c := range name {
		if c != '/' {
			continue
		}
		above := name[:i]
		info, err := s.root.Lstat(above)
		if err == nil && info.IsDir() {
			continue
		}
		if err == nil {
			if err := s.setAside(above); err != nil {
				return err
			}
		}
		if err := s.root.Mkdir(above, 0o755); err != nil {
			return err
		}
		if err := s.root.Chmod(above, 0o755); err != nil { // whatever the umask is
			return err
		}
		if s.owner >= 0 {
			if err := s.root.Lchown(above, s.owner, s.owner); err != nil {
				return err
			}
		}
	}
	return nil
}

// setAside keeps what is at a path under another name beside it.
func (s *shelf) setAside(file string) error {
	name := rel(file)
	dir, base := path.Split(name)
	base = base[:min(len(base), maxName-len(".conflict999"))]
	for n := 1; ; n++ {
		to := dir + base + ".conflict"
		if n > 1 {
			to += strconv.Itoa(n)
		}
		switch _, err := s.root.Lstat(to); {
		case err == nil && n < 999:
			continue
		case err == nil:
			return fmt.Errorf("there are %d conflicts of one memory", n)
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
		return s.root.Rename(name, to)
	}
}

// remove deletes a file, and the folders above it that are empty then.
func (s *shelf) remove(file string) error {
	name := rel(file)
	if err := s.root.RemoveAll(name); err != nil {
		return err
	}
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if s.root.Remove(dir) != nil {
			break
		}
	}
	return nil
}

// walk finds the files that are memories, or should become some, by path. It is not complete if there is
// more than it looked at.
func (s *shelf) walk() (files map[string]fs.FileInfo, complete bool, err error) {
	files, complete = map[string]fs.FileInfo{}, true
	tooMany := false
	err = fs.WalkDir(dirsOf(s.root, s.visits), ".", func(name string, d fs.DirEntry, err error) error {
		file := "/" + name
		switch {
		case err == nil:
		case errors.Is(err, fs.ErrNotExist):
			return nil // gone since
		case errors.Is(err, errTooMany):
			complete = false
			if !tooMany {
				tooMany = true
				s.note("", fmt.Sprintf("not all saved: there are more than %d files and folders", s.visits))
			}
			return nil // what was read of the folder is looked at
		case errors.Is(err, errTooDeep):
			complete = false
			s.note(file, "not saved: "+err.Error())
			return fs.SkipDir
		default:
			complete = false
			s.note(file, "not saved: it cannot be read")
			return fs.SkipDir
		}
		_, known := s.ledger.entries[file]
		if d.IsDir() {
			if name != "." && conflictName.MatchString(name) && !s.holdsMemories(file) {
				s.note(file, conflictNote)
				return fs.SkipDir
			}
			return nil
		}
		switch {
		case !known && strings.HasPrefix(path.Base(name), ownPrefix): // half a file
		case !known && conflictName.MatchString(name):
			s.note(file, conflictNote)
		case !d.Type().IsRegular():
			if !known {
				s.note(file, "not saved: it is no file")
			}
		default:
			info, err := d.Info()
			if err == nil {
				files[file] = info
			}
		}
		return nil
	})
	return files, complete, err
}

const conflictNote = "what you wrote while others changed the same memory. The store's text is in the file without this ending: bring both together there, and delete this one"

// holdsMemories reports whether a memory is below a folder.
func (s *shelf) holdsMemories(folder string) bool {
	for file := range s.ledger.entries {
		if strings.HasPrefix(file, folder+"/") {
			return true
		}
	}
	return false
}
