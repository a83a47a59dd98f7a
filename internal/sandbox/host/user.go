package host

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Users is the range of host user ids that sandboxes of a server run by root use, each with a group
// of the same number. The zero value is the default: 700000 to 765535, or, where those are not
// mapped (a container with 65,536 ids), 20000 to 59999.
type Users struct {
	Base  int
	Count int
}

// User is a host user id that belongs to one living sandbox. The nil User is this process's own:
// a server that is not root cannot have others.
type User struct {
	ID   int
	lock net.Listener
}

// Release gives the id back. The nil User may be released.
func (u *User) Release() {
	if u != nil {
		_ = u.lock.Close()
	}
}

// Credential is what makes a child run as u; nil for the nil User.
func (u *User) Credential() *syscall.Credential {
	if u == nil {
		return nil
	}
	return &syscall.Credential{Uid: uint32(u.ID), Gid: uint32(u.ID)} // no supplementary groups
}

// Take reserves an id that no other living sandbox of this machine uses, preferably the one that
// owns folder already. It returns nil if this process is not root.
func (r Users) Take(folder string) (*User, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	r, err := r.mapped()
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(folder); err == nil {
		owner := int(info.Sys().(*syscall.Stat_t).Uid)
		if owner >= r.Base && owner < r.Base+r.Count {
			if u := reserve(owner); u != nil {
				return u, nil
			}
		}
	}
	for range 100 {
		if u := reserve(r.Base + rand.IntN(r.Count)); u != nil {
			return u, nil
		}
	}
	return nil, fmt.Errorf("no free user id from %d to %d", r.Base, r.Base+r.Count-1)
}

// reserve locks an id across all servers of the machine with the name of an abstract socket, which
// the kernel frees when this process ends, however it ends. Nil: taken.
func reserve(id int) *User {
	lock, err := net.Listen("unix", fmt.Sprintf("@reeve-sandbox-user-%d", id))
	if err != nil {
		return nil
	}
	return &User{ID: id, lock: lock}
}

// mapped is the range to use, of which every id exists in this process's user namespace.
func (r Users) mapped() (Users, error) {
	ranges := []Users{r}
	if r.Count == 0 {
		ranges = []Users{{700_000, 65_536}, {20_000, 40_000}}
	}
	for _, c := range ranges {
		if c.Base > 0 && isMapped("/proc/self/uid_map", c) && isMapped("/proc/self/gid_map", c) {
			return c, nil
		}
	}
	return Users{}, errors.New("this machine has no spare user ids for sandboxes")
}

// isMapped reads user_namespaces(7), "inside outside length" on each line.
func isMapped(file string, r Users) bool {
	f, err := os.Open(file)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) != 3 {
			continue
		}
		start, err1 := strconv.Atoi(fields[0])
		length, err2 := strconv.Atoi(fields[2])
		if err1 == nil && err2 == nil && start <= r.Base && r.Base+r.Count <= start+length {
			return true
		}
	}
	return false
}

// PrepareFolder makes the working folder if need be, resolves its symlinks, and gives it and all
// that is in it to u. It returns the real path.
func PrepareFolder(folder string, u *User) (string, error) {
	if !filepath.IsAbs(folder) {
		return "", fmt.Errorf("the working folder %q is not an absolute path", folder)
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", fmt.Errorf("make the working folder: %w", err)
	}
	real, err := filepath.EvalSymlinks(folder)
	if err != nil {
		return "", fmt.Errorf("resolve the working folder: %w", err)
	}
	if u == nil {
		return real, nil
	}
	return real, own(real, u.ID)
}

// own gives a tree to a user, unless its root belongs to him: then a former life did it. Symlinks are
// not followed, and os.Root keeps the walk inside even if something moved them meanwhile.
func own(folder string, id int) error {
	info, err := os.Stat(folder)
	if err != nil {
		return fmt.Errorf("look at the working folder: %w", err)
	}
	if int(info.Sys().(*syscall.Stat_t).Uid) == id {
		return nil
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return fmt.Errorf("open the working folder: %w", err)
	}
	defer func() { _ = root.Close() }()
	g := giving{root: root, id: id, left: maxOwned, until: time.Now().Add(ownTime)}
	err = g.below(".", 0) // the folder itself is the last, so that an interrupted walk is done again
	if err == nil {
		err = os.Chown(folder, id, id)
	}
	if err != nil {
		return fmt.Errorf("give the working folder to its user: %w", err)
	}
	return nil
}

const (
	maxOwned  = 5_000_000       // files and folders in a folder that changes hands
	maxDeep   = 128             // folders in each other; each takes a file descriptor
	ownBatch  = 256             // names that are held of each
	ownTime   = 2 * time.Minute // for all of them
	openBelow = os.O_RDONLY | unix.O_DIRECTORY | unix.O_NONBLOCK | unix.O_NOFOLLOW
)

// giving is one walk of own. The tree is a stranger's: it may have any number of names, and what was a folder may
// be a pipe by now.
type giving struct {
	root  *os.Root
	id    int
	left  int
	until time.Time
}

// below gives away all that is in a folder.
func (g *giving) below(dir string, depth int) error {
	if depth >= maxDeep {
		return fmt.Errorf("there are more than %d folders in each other", maxDeep)
	}
	f, err := g.root.OpenFile(dir, openBelow, 0)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // it was only read
	for {
		list, err := f.ReadDir(ownBatch)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if g.left -= len(list); g.left < 0 {
			return fmt.Errorf("there are more than %d files and folders", maxOwned)
		}
		if time.Now().After(g.until) {
			return fmt.Errorf("it takes more than %v", ownTime)
		}
		for _, e := range list {
			name := path.Join(dir, e.Name())
			if err := g.root.Lchown(name, g.id, g.id); err != nil {
				return err
			}
			if !e.IsDir() {
				continue
			}
			if err := g.below(name, depth+1); err != nil {
				return err
			}
		}
	}
}
