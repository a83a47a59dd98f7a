package blob

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/reeve-ai/reeve/internal/core"
)

// unfinished is the folder of what is being written. Keys are digits, so it is nobody's.
const unfinished = "unfinished"

// Folder keeps blobs as files, each in one of 256 folders by the end of its key: the beginning is the time
// of its making. It implements core.Blobs and is used from several goroutines, of one process.
type Folder struct{ root string }

var _ core.Blobs = (*Folder)(nil)

// OpenFolder makes the folder if need be and removes what an earlier process did not finish.
func OpenFolder(root string) (*Folder, error) {
	rest := filepath.Join(root, unfinished)
	if err := os.RemoveAll(rest); err != nil {
		return nil, fmt.Errorf("clear the blob folder: %w", err)
	}
	if err := os.MkdirAll(rest, 0o700); err != nil {
		return nil, fmt.Errorf("make the blob folder: %w", err)
	}
	return &Folder{root}, nil
}

// path is where a key's bytes lie. A key that is none is refused, so that no caller can reach outside.
func (f *Folder) path(key core.BlobKey) (string, error) {
	if id, ok := core.ParseID[core.BlobKey](string(key)); !ok || id != key {
		return "", fmt.Errorf("blob: %q is no key", key)
	}
	return filepath.Join(f.root, string(key[len(key)-2:]), string(key)), nil
}

// Write implements core.Blobs. The bytes get their name only when they are all on the disk.
func (f *Folder) Write(ctx context.Context, key core.BlobKey, r io.Reader, limit int64) (core.Blob, error) {
	path, err := f.path(key)
	if err != nil {
		return core.Blob{}, err
	}
	tmp, err := os.CreateTemp(filepath.Join(f.root, unfinished), string(key)+".*")
	if err != nil {
		return core.Blob{}, failure("make", err)
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // renamed by then, if all went well
	b, err := fill(ctx, tmp, r, limit)
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err != nil {
		return core.Blob{}, failure("write", err)
	}
	if err := place(tmp.Name(), path); err != nil {
		return core.Blob{}, failure("place", err)
	}
	b.Key = key
	return b, nil
}

// fill copies r into w.
func fill(ctx context.Context, w io.Writer, r io.Reader, limit int64) (core.Blob, error) {
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(w, sum), io.LimitReader(whileAlive{ctx, r}, limit+1))
	if err == nil && n > limit {
		err = core.Errorf(core.TooLarge, "blob_too_large", "the content is larger than %d bytes", limit)
	}
	return core.Blob{Bytes: n, SHA256: hex.EncodeToString(sum.Sum(nil))}, err
}

// whileAlive reads until its context ends.
type whileAlive struct {
	ctx context.Context
	r   io.Reader
}

func (w whileAlive) Read(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	return w.r.Read(p)
}

// place gives a written file its name, for good: the folder is written to the disk as well, and the folder
// above it if this one is new.
func place(from, to string) error {
	folder := filepath.Dir(to)
	switch err := os.Mkdir(folder, 0o700); {
	case err == nil:
		if err := flush(filepath.Dir(folder)); err != nil {
			return err
		}
	case !errors.Is(err, fs.ErrExist):
		return err
	}
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return flush(folder)
}

func flush(folder string) error {
	d, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Open implements core.Blobs.
func (f *Folder) Open(_ context.Context, key core.BlobKey) (io.ReadSeekCloser, error) {
	path, err := f.path(key)
	if err != nil {
		return nil, err
	}
	file, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, core.NotFoundError("blob", string(key))
	case err != nil:
		return nil, failure("open", err)
	}
	return file, nil
}

// Delete implements core.Blobs.
func (f *Folder) Delete(_ context.Context, key core.BlobKey) error {
	path, err := f.path(key)
	if err != nil {
		return err
	}
	if err := os.Remove(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return failure("delete", err)
	}
	return failure("delete", flush(filepath.Dir(path)))
}

// failure says what was being done, and knows a full disk.
func failure(doing string, err error) error {
	var known *core.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return err
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return &core.Error{Kind: core.Unavailable, Code: "storage_full", Message: "the server has no room left for this", Err: err}
	}
	return fmt.Errorf("%s blob: %w", doing, err)
}
