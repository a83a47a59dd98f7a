package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gofrs/flock"

	"github.com/reeve-ai/reeve/internal/core"
)

// lockName is the lock's file in the data folder. It holds the process id of who has the lock.
const lockName = "reeve.lock"

// FolderLock is the right to be the one server on a data folder. The operating system takes it back
// when the process ends, however it ends.
type FolderLock struct{ file *flock.Flock }

// Lock takes the data folder for this process. The folder must exist. If another process has it, the
// answer is Conflict ("data_folder_in_use") and the message names the folder and that process.
//
// Opening the database needs no lock: `reeve token create` works beside a running server.
func Lock(dataDir string) (*FolderLock, error) {
	path := filepath.Join(dataDir, lockName)
	file := flock.New(path, flock.SetFlag(os.O_CREATE|os.O_RDWR))
	ok, err := file.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock the data folder %s: %w", dataDir, err)
	}
	if !ok {
		return nil, inUse(dataDir, path)
	}
	if err := os.WriteFile(path, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("lock the data folder %s: %w", dataDir, err), file.Unlock())
	}
	return &FolderLock{file: file}, nil
}

// inUse says who has the lock.
func inUse(dataDir, path string) error {
	by := "another process"
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("read who holds it: %w", err)
	}
	if pid := strings.TrimSpace(string(b)); pid != "" {
		by = "process " + pid
	}
	return &core.Error{
		Kind: core.Conflict, Code: "data_folder_in_use", Err: err,
		Message: fmt.Sprintf("the data folder %s is in use by %s: stop that one first, or choose another folder", dataDir, by),
	}
}

// Unlock gives the folder up. The file stays: removing it would let two processes lock two files of
// the same name.
func (l *FolderLock) Unlock() error {
	if err := l.file.Unlock(); err != nil {
		return fmt.Errorf("unlock the data folder: %w", err)
	}
	return nil
}
