package workspace

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// maxDepth is how many folders deep a walk goes.
const maxDepth = 64

var (
	errTooMany = errors.New("there are too many files and folders")
	errTooDeep = fmt.Errorf("it is more than %d folders deep", maxDepth)
)

// dirs is a tree to walk in which a sandbox may change anything at any time: a folder that becomes a pipe blocks
// nobody, and no more names are held than are left to be looked at.
type dirs struct {
	fs.FS
	root *os.Root
	left *int // -1: there were more
}

// dirsOf is the tree below root, of which a walk sees at most limit entries.
func dirsOf(root *os.Root, limit int) dirs { return dirs{root.FS(), root, &limit} }

// ReadDir implements fs.ReadDirFS. With errTooMany it returns those entries that are within the limit.
func (d dirs) ReadDir(name string) ([]fs.DirEntry, error) {
	if strings.Count(name, "/") >= maxDepth {
		return nil, errTooDeep
	}
	if *d.left < 0 {
		return nil, errTooMany
	}
	f, err := openDir(d.root, name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	list, err := f.ReadDir(*d.left + 1)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	if len(list) > *d.left {
		list, err = list[:*d.left], errTooMany
		*d.left = -1
	} else {
		*d.left -= len(list)
	}
	slices.SortFunc(list, func(a, b fs.DirEntry) int { return cmp.Compare(a.Name(), b.Name()) })
	return list, err
}

// openDir opens a folder, and at once nothing else.
func openDir(root *os.Root, name string) (*os.File, error) {
	return root.OpenFile(name, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
}
