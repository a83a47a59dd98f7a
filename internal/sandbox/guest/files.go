package guest

import (
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/reeve-ai/reeve/internal/sandbox/layout"
)

// files does file operations with the guest's own rights: what the kernel lets the shell reach, no
// more and no less.
type files struct {
	folder, temp string // where /workspace and /tmp really are
	others       []Moved
	maxFile      int64
}

// real turns a path of the host's (absolute, or relative to /workspace) into the guest's own.
func (f files) real(p string) (string, error) {
	if p == "" {
		return "", faultf("invalid_path", "the path is empty")
	}
	if strings.IndexByte(p, 0) >= 0 {
		return "", faultf("invalid_path", "the path contains a NUL byte")
	}
	if !path.IsAbs(p) {
		p = path.Join(layout.Workspace, p)
	}
	p = path.Clean(p)
	for _, m := range f.moved() {
		if rest, ok := under(m.Seen, p); ok {
			return filepath.Join(m.Real, rest), nil
		}
	}
	return p, nil
}

// seen is the other way around.
func (f files) seen(p string) string {
	for _, m := range f.moved() {
		if rest, ok := under(m.Real, p); ok {
			return path.Join(m.Seen, rest)
		}
	}
	return p
}

// moved lists what lies elsewhere, the innermost first.
func (f files) moved() []Moved {
	return append(f.others[:len(f.others):len(f.others)], Moved{Seen: layout.Workspace, Real: f.folder}, Moved{Seen: layout.Temp, Real: f.temp})
}

// sealed reports whether a real path is in a folder that file operations may only read.
func (f files) sealed(real string) bool {
	for _, m := range f.others {
		if _, ok := under(m.Real, real); ok && m.ReadOnly {
			return true
		}
	}
	return false
}

// under reports whether p is root or below it, and the rest.
func under(root, p string) (string, bool) {
	if p == root {
		return "", true
	}
	return strings.CutPrefix(p, strings.TrimSuffix(root, "/")+"/")
}

// read returns a regular file of at most limit bytes.
func (f files) read(p string, limit int64) ([]byte, error) {
	real, err := f.real(p)
	if err != nil {
		return nil, err
	}
	file, err := openRegular(real)
	if err != nil {
		return nil, f.fault(p, err)
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return nil, f.fault(p, err)
	}
	if info.Size() > limit {
		return nil, faultf("file_too_large", "%s is %d bytes; the limit is %d", p, info.Size(), limit)
	}
	b, err := io.ReadAll(io.LimitReader(file, limit+1)) // files under /proc have size 0
	if err != nil {
		return nil, f.fault(p, err)
	}
	if int64(len(b)) > limit {
		return nil, faultf("file_too_large", "%s is larger than %d bytes", p, limit)
	}
	return b, nil
}

// openRegular opens a file for reading if it is a regular one. It never waits: a pipe without a
// writer would block an ordinary open.
func openRegular(p string) (*os.File, error) {
	fd, err := unix.Open(p, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), p)
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errNotRegular
		if info.IsDir() {
			err = syscall.EISDIR
		}
	}
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return file, nil
}

var errNotRegular = errors.New("not a regular file")

// write replaces a file as a whole, through a new file beside it and a rename, so that no reader
// sees half of it. A new file gets mode 0644; one that is replaced keeps its permissions, so that an
// edited script stays executable. A symlink is followed.
func (f files) write(p string, data []byte) (created bool, err error) {
	real, err := f.real(p)
	if err != nil {
		return false, err
	}
	if strings.HasSuffix(p, "/") {
		return false, faultf("is_a_directory", "%s is a directory", p)
	}
	if int64(len(data)) > f.maxFile {
		return false, faultf("file_too_large", "%d bytes are more than the limit of %d for one file", len(data), f.maxFile)
	}
	if target, err := filepath.EvalSymlinks(real); err == nil {
		real = target
	}
	if f.sealed(real) {
		return false, f.fault(p, syscall.EROFS)
	}
	mode := fs.FileMode(0o644)
	info, err := os.Lstat(real)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		created = true
		if err := os.MkdirAll(filepath.Dir(real), 0o755); err != nil {
			return false, f.fault(p, err)
		}
	case err != nil:
		return false, f.fault(p, err)
	case info.IsDir():
		return false, f.fault(p, syscall.EISDIR)
	case info.Mode()&fs.ModeSymlink != 0:
		return false, faultf("not_found", "%s is a symlink that leads nowhere", p)
	case !info.Mode().IsRegular():
		return false, f.fault(p, errNotRegular)
	default:
		mode = info.Mode().Perm()
	}
	if err := replace(real, data, mode); err != nil {
		return false, f.fault(p, err)
	}
	return created, nil
}

func replace(real string, data []byte, mode fs.FileMode) error {
	temp := filepath.Join(filepath.Dir(real), ".reeve-write-"+rand.Text())
	file, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	err = errors.Join(err, file.Chmod(mode), file.Close())
	if err == nil {
		err = os.Rename(temp, real)
	}
	if err != nil {
		_ = os.Remove(temp)
	}
	return err
}

// fault puts a file error into words, with the path as the caller wrote it.
func (f files) fault(p string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return faultf("not_found", "%s does not exist", p)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return faultf("permission_denied", "%s: permission denied", p)
	case errors.Is(err, syscall.EISDIR):
		return faultf("is_a_directory", "%s is a directory", p)
	case errors.Is(err, errNotRegular), errors.Is(err, syscall.ENXIO), errors.Is(err, syscall.ENODEV):
		return faultf("not_a_regular_file", "%s is not a regular file", p)
	case errors.Is(err, syscall.ELOOP):
		return faultf("invalid_path", "%s: too many symlinks", p)
	case errors.Is(err, syscall.ENAMETOOLONG):
		return faultf("invalid_path", "the path is too long")
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return faultf("no_space", "%s: no space left", p)
	}
	return faultf("io_error", "%s: the file could not be read or written", p)
}
