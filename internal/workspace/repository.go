package workspace

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/reeve-ai/reeve/internal/core"
)

// Repositories clones the repositories that are attached to a session into its working folder, once: what the
// agent does there then is its own. Tokens are used for the clone alone and never enter the sandbox.
type Repositories struct {
	opts  RepositoryOptions
	slots chan struct{} // one for each clone that may run

	mu     sync.Mutex
	failed map[attempt]failure // at most maxFailed
}

// attempt is what was tried.
type attempt struct {
	session  core.SessionID
	resource core.ResourceID
	token    string // sealed: another one is tried at once
}

// failure is what came of it, and until when it is not tried again.
type failure struct {
	err   error
	until time.Time
}

// maxFailed is how many failures are remembered.
const maxFailed = 1000

// RepositoryOptions are what clones need. Zero limits take the defaults.
type RepositoryOptions struct {
	Dial    func(ctx context.Context, address string) (net.Conn, error) // the way to the host, which judges its address
	Sealer  core.Sealer                                                 // of tokens
	Git     string                                                      // the program; empty: git, from PATH
	CAFile  string                                                      // PEM file of the authorities that are believed; empty: the system's
	Timeout time.Duration                                               // of one clone; 5 minutes
	Bytes   int64                                                       // of one transfer, and of one clone on the disk; 2 GB
	Retry   time.Duration                                               // until a clone that failed is tried again; 1 minute
}

// NewRepositories makes the part.
func NewRepositories(o RepositoryOptions) *Repositories {
	if o.Git == "" {
		o.Git = "git"
	}
	if o.Timeout <= 0 {
		o.Timeout = 5 * time.Minute
	}
	if o.Bytes <= 0 {
		o.Bytes = 2 << 30
	}
	if o.Retry <= 0 {
		o.Retry = time.Minute
	}
	return &Repositories{opts: o, slots: make(chan struct{}, maxClones), failed: map[attempt]failure{}}
}

var _ Part = (*Repositories)(nil)

// Name implements Part.
func (*Repositories) Name() string { return "repositories" }

// Wanted implements Part.
func (*Repositories) Wanted(sess core.Session) bool {
	return !sess.Elsewhere && slices.ContainsFunc(sess.Resources, func(r core.Resource) bool { return r.Type == core.ResourceRepository })
}

// Open implements Part. Errors: Unavailable ("git_missing", "repository_unavailable"); Invalid
// ("repository_not_cloned") where trying again does not help.
func (p *Repositories) Open(ctx context.Context, sess core.Session, folder, work string) ([]core.Mount, error) {
	for _, r := range sess.Resources {
		if r.Type != core.ResourceRepository {
			continue
		}
		done := filepath.Join(folder, string(r.ID)+".done")
		if _, err := os.Lstat(done); err == nil {
			continue
		}
		if err := p.bring(ctx, sess, r, folder, work); err != nil {
			return nil, err
		}
		if err := os.WriteFile(done, nil, 0o600); err != nil {
			return nil, fmt.Errorf("note that a repository was cloned: %w", err)
		}
		_ = os.Remove(movingMark(folder, r)) // it says nothing any more
	}
	return nil, nil
}

// bring clones one repository, gives it to the user of the sandbox, and moves it to its place when it is whole.
func (p *Repositories) bring(ctx context.Context, sess core.Session, r core.Resource, folder, work string) error {
	at, below := strings.CutPrefix(r.MountPath, core.WorkFolder+"/")
	if !below || !filepath.IsLocal(at) {
		return fmt.Errorf("repository %s of session %s has the path %q", r.ID, sess.ID, r.MountPath)
	}
	if err := os.MkdirAll(work, 0o700); err != nil {
		return fmt.Errorf("make the working folder: %w", err)
	}
	root, err := os.OpenRoot(work)
	if err != nil {
		return fmt.Errorf("open the working folder: %w", err)
	}
	defer func() { _ = root.Close() }() // only names were changed through it
	moving := movingMark(folder, r)
	if info, err := root.Lstat(at); err == nil {
		if _, err := os.Lstat(moving); err == nil && info.IsDir() {
			return nil // a former life moved it there and died before it noted that
		}
		return occupied(r, nil)
	}
	draft := filepath.Join(folder, string(r.ID)+".draft")
	if err := os.RemoveAll(draft); err != nil { // of a former life
		return fmt.Errorf("remove half a clone: %w", err)
	}
	defer func() { _ = os.RemoveAll(draft) }() // nothing is there if all went well; else the next clone removes it
	if err := p.try(ctx, sess, r, draft, folder); err != nil {
		return err
	}
	owner, err := ownerOf(work)
	if err != nil {
		return err
	}
	if err := owner.take(draft); err != nil {
		return err
	}
	if err := os.WriteFile(moving, nil, 0o600); err != nil {
		return fmt.Errorf("note that a repository is moved: %w", err)
	}
	err = owner.move(root, draft, at)
	if err == nil {
		return nil
	}
	if gone := os.Remove(moving); gone != nil {
		return errors.Join(err, gone)
	}
	if errors.Is(err, fs.ErrExist) || errors.Is(err, unix.ENOTDIR) {
		return occupied(r, err)
	}
	return err
}

// movingMark is the file that says that what is at a repository's path is ours.
func movingMark(folder string, r core.Resource) string {
	return filepath.Join(folder, string(r.ID)+".moving")
}

func occupied(r core.Resource, err error) error {
	return notCloned(core.Invalid, "repository_not_cloned", r, "something is at its path already", err)
}

// try makes a clone, unless that failed just now: every use of the sandbox asks for it.
func (p *Repositories) try(ctx context.Context, sess core.Session, r core.Resource, draft, folder string) error {
	what := attempt{sess.ID, r.ID, string(r.Token)}
	p.mu.Lock()
	before, failed := p.failed[what]
	p.mu.Unlock()
	if failed && time.Now().Before(before.until) {
		return before.err
	}
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-p.slots }()
	err := p.clone(ctx, sess, r, draft, folder)
	if ctx.Err() == nil {
		p.remember(what, err)
	}
	return err
}

// remember notes how an attempt ended.
func (p *Repositories) remember(what attempt, err error) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.failed, what)
	if err == nil {
		return
	}
	if len(p.failed) >= maxFailed {
		maps.DeleteFunc(p.failed, func(_ attempt, f failure) bool { return !now.Before(f.until) })
	}
	if len(p.failed) < maxFailed { // else it is only tried once more than need be
		p.failed[what] = failure{err, now.Add(p.opts.Retry)}
	}
}

// clone makes a clone of what is wanted at draft.
func (p *Repositories) clone(ctx context.Context, sess core.Session, r core.Resource, draft, folder string) error {
	u, err := url.Parse(r.URL)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
		return fmt.Errorf("repository %s of session %s has a URL that is not taken", r.ID, sess.ID)
	}
	var token core.Clear
	if r.Token != nil {
		if token, err = p.opts.Sealer.Unseal(sess.Project, "session", string(sess.ID), r.Token); err != nil {
			return err
		}
	}
	port := u.Port()
	if port == "" {
		port = "443"
	}
	limited, cancel := context.WithTimeout(ctx, p.opts.Timeout)
	defer cancel()
	way, err := dig(limited, net.JoinHostPort(u.Hostname(), port), p.opts.Bytes, p.opts.Dial)
	if err != nil {
		return err
	}
	defer way.fill()
	g := git{
		program: p.opts.Git, home: folder, host: u.Scheme + "://" + u.Host + "/", token: token, way: way, ca: p.opts.CAFile,
		draft: draft, limit: p.opts.Bytes,
	}
	err = g.clone(limited, r)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(limited.Err(), context.DeadlineExceeded):
		return notCloned(core.Unavailable, "repository_unavailable", r, "it took more than "+p.opts.Timeout.String(), err)
	}
	return explainClone(r, way.why(), err)
}

// explainClone says in our words why a repository could not be cloned.
func explainClone(r core.Resource, why, err error) error {
	var ours *core.Error
	var failed *gitError
	switch {
	case errors.Is(why, errTooMuch), errors.Is(err, errTooMuch):
		return notCloned(core.Invalid, "repository_not_cloned", r, "it is too large", err)
	case errors.As(why, &ours):
		return notCloned(core.Unavailable, "repository_unavailable", r, ours.Message, err)
	case errors.As(err, &ours):
		return err
	case !errors.As(err, &failed):
		return err
	}
	for _, known := range []struct{ part, means string }{
		{"could not read Username", "it is not there, or its token is missing or not valid"},
		{"Authentication failed", "it is not there, or its token is missing or not valid"},
		{"error: 401", "it is not there, or its token is missing or not valid"},
		{"error: 403", "its token may not read it"},
		{"not found", "it, or the branch that is wanted, was not found"},
		{"error: 404", "it was not found"},
		{"did not match any", "the commit that is wanted was not found"},
		{"Needed a single revision", "the commit that is wanted was not found"},
		{"unknown revision", "the commit that is wanted was not found"},
	} {
		if strings.Contains(failed.said, known.part) {
			return notCloned(core.Invalid, "repository_not_cloned", r, known.means, err)
		}
	}
	return notCloned(core.Unavailable, "repository_unavailable", r, "git failed; the server's log says why", err)
}

func notCloned(kind core.Kind, code string, r core.Resource, why string, err error) error {
	return &core.Error{Kind: kind, Code: code, Message: fmt.Sprintf("the repository %s could not be cloned: %s", r.URL, why), Err: err}
}

// owner is who owns a session's working folder: this process, or the user of a sandbox that was there before.
type owner struct{ uid, gid int }

func ownerOf(folder string) (owner, error) {
	info, err := os.Lstat(folder)
	if err != nil {
		return owner{}, fmt.Errorf("look at the working folder: %w", err)
	}
	st := info.Sys().(*syscall.Stat_t)
	return owner{int(st.Uid), int(st.Gid)}, nil
}

// own reports that nothing has to be given away.
func (o owner) own() bool { return o.uid == os.Getuid() }

// take gives a tree to the owner. Nobody else can reach it yet.
func (o owner) take(tree string) error {
	if o.own() {
		return nil // the driver gives it away with the folder, when it starts the sandbox
	}
	return filepath.WalkDir(tree, func(p string, _ fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("give a clone to its user: %w", err)
		}
		return os.Lchown(p, o.uid, o.gid)
	})
}

// move puts a tree at a path below root, where an agent may be at work: links there lead nowhere out of it.
func (o owner) move(root *os.Root, tree, at string) error {
	dir := path.Dir(at)
	made, err := makeDirs(root, dir)
	if err != nil {
		return fmt.Errorf("make the folder of a repository: %w", err)
	}
	for _, folder := range made {
		if o.own() {
			break
		}
		if err := root.Lchown(folder, o.uid, o.gid); err != nil {
			return fmt.Errorf("give a folder to its user: %w", err)
		}
	}
	parent, err := openDir(root, dir)
	if err != nil {
		return fmt.Errorf("open the folder of a repository: %w", err)
	}
	defer func() { _ = parent.Close() }() // it was only looked up
	// It replaces nothing but an empty folder.
	err = unix.Renameat(unix.AT_FDCWD, tree, int(parent.Fd()), path.Base(at))
	if err != nil {
		return fmt.Errorf("move a clone to its place: %w", err)
	}
	return nil
}

// Brief implements Part.
func (*Repositories) Brief(_ context.Context, sess core.Session) (string, error) {
	var b strings.Builder
	b.WriteString("These repositories are cloned into the working folder:")
	for _, r := range sess.Resources {
		if r.Type != core.ResourceRepository {
			continue
		}
		fmt.Fprintf(&b, "\n- %s: %s", r.MountPath, r.URL)
		switch {
		case r.Branch != "":
			b.WriteString(", branch " + r.Branch)
		case r.Commit != "":
			b.WriteString(", commit " + r.Commit)
		}
	}
	return b.String(), nil
}

// Settle implements Part: what the agent did in a repository stays in its working folder.
func (*Repositories) Settle(context.Context, core.Session, string) error { return nil }
