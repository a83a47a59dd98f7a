package workspace

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/reeve-ai/reeve/internal/core"
)

// Outputs turns what an agent leaves in core.OutputsFolder into files of its session.
type Outputs struct {
	keeper OutputKeeper
	uses   func(core.AgentSpec) bool
	log    *slog.Logger
	limits OutputLimits
}

// OutputKeeper makes files of sessions.
type OutputKeeper interface {
	// StageOutput takes the content of a file that is to be. More than limit is TooLarge.
	StageOutput(ctx context.Context, project core.ProjectID, r io.Reader, limit int64) (core.Blob, error)
	// KeepOutput makes a file of it; if there is one of that ID already, nothing changes.
	KeepOutput(ctx context.Context, project core.ProjectID, session core.SessionID, id core.FileID, path string, b core.Blob) error
	// DiscardOutput deletes what was staged and not kept.
	DiscardOutput(ctx context.Context, project core.ProjectID, b core.Blob)
}

// OutputLimits bound what one session leaves. Zero fields take the defaults.
type OutputLimits struct {
	Bytes   int64 // of one file; 500 MB
	Files   int   // at different paths; 1,000
	Entries int   // looked at in one folder tree; 20,000
	Read    int64 // bytes read in one Settle, but for the end of the last file; 2 GiB. The next one goes on
}

// NewOutputs makes the part. uses tells which agents have tools that work in a sandbox.
func NewOutputs(keeper OutputKeeper, uses func(core.AgentSpec) bool, log *slog.Logger, l OutputLimits) *Outputs {
	if l.Bytes <= 0 {
		l.Bytes = 500 << 20
	}
	if l.Files <= 0 {
		l.Files = 1000
	}
	if l.Entries <= 0 {
		l.Entries = 20_000
	}
	if l.Read <= 0 {
		l.Read = 2 << 30
	}
	return &Outputs{keeper, uses, log, l}
}

var _ Part = (*Outputs)(nil)

// Name implements Part.
func (*Outputs) Name() string { return "outputs" }

// Wanted implements Part.
func (o *Outputs) Wanted(sess core.Session) bool { return inSandbox(sess, o.uses) }

// Open implements Part.
func (*Outputs) Open(_ context.Context, _ core.Session, folder, _ string) ([]core.Mount, error) {
	tree := filepath.Join(folder, treeName)
	if err := os.MkdirAll(tree, 0o755); err != nil {
		return nil, fmt.Errorf("make the folder of outputs: %w", err)
	}
	return []core.Mount{{Host: tree, Path: core.OutputsFolder}}, nil
}

// Brief implements Part.
func (*Outputs) Brief(context.Context, core.Session) (string, error) {
	return "Write the files that are the result of your work to " + core.OutputsFolder + ": the user gets what is there when you are done.", nil
}

// kept is what is known of a path of the outputs.
type kept struct {
	SHA256 string `json:"sha256"`
	Mark   string `json:"mark"`  // of the file as it was looked at: while it stays, the content does
	Times  int    `json:"times"` // that the content changed
}

// fullName is a file beside the tree. While it is young, the session can have no more files.
const fullName = "full"

// fullFor is how long a session that can have no more files is left alone: only its user makes room.
const fullFor = 5 * time.Minute

// Settle implements Part. A file that cannot be kept is logged and left for the next time, and keeps no other
// from being kept.
func (o *Outputs) Settle(ctx context.Context, sess core.Session, folder string) error {
	full := filepath.Join(folder, fullName)
	if info, err := os.Lstat(full); err == nil && time.Since(info.ModTime()) < fullFor {
		return nil
	}
	root, err := os.OpenRoot(filepath.Join(folder, treeName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // no sandbox was opened yet
	}
	if err != nil {
		return fmt.Errorf("open the folder of outputs: %w", err)
	}
	defer func() { _ = root.Close() }() // it was only read
	known, err := readManifest[map[string]kept](folder)
	if err != nil {
		return err
	}
	w := walk{Outputs: o, sess: sess, root: root, known: known}
	err = fs.WalkDir(dirsOf(root, o.limits.Entries), ".", func(path string, d fs.DirEntry, err error) error { return w.visit(ctx, path, d, err) })
	if w.changed {
		err = errors.Join(err, writeManifest(folder, known))
	}
	if w.refused {
		err = errors.Join(err, os.WriteFile(full, nil, 0o600))
	}
	return errors.Join(append(w.failed, err)...)
}

// walk is one look at a session's outputs.
type walk struct {
	*Outputs
	sess    core.Session
	root    *os.Root
	known   map[string]kept
	read    int64 // bytes of files
	changed bool
	tooMany bool // there are more entries than are looked at
	full    bool // new paths are not kept any more
	refused bool // the session can have no more files
	failed  []error
}

func (w *walk) visit(ctx context.Context, path string, d fs.DirEntry, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	switch {
	case err == nil:
	case errors.Is(err, errTooMany):
		if !w.tooMany {
			w.log.Warn("a session's outputs have too many entries; the rest is not kept", "session", w.sess.ID, "looked_at", w.limits.Entries)
		}
		w.tooMany = true
		return nil // what was read of the folder is looked at
	case errors.Is(err, errTooDeep):
		w.log.Warn("a folder of outputs is too deep; what is in it is not kept", "session", w.sess.ID, "path", path)
		return nil
	default: // it went away while we walked, or cannot be read
		return nil
	}
	if !d.Type().IsRegular() {
		return nil
	}
	if _, before := w.known[path]; !before && len(w.known) >= w.limits.Files {
		if !w.full {
			w.log.Warn("a session has too many outputs; new ones are not kept", "session", w.sess.ID, "kept", w.limits.Files)
		}
		w.full = true
		return nil
	}
	switch err := w.take(ctx, path); {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, errLater):
		w.log.Warn("a session has more outputs than are read at one time; the rest is left for the next", "session", w.sess.ID, "read", w.read)
		return fs.SkipAll
	case core.CodeOf(err) == "too_many_files":
		w.log.Warn("a session can have no more files; its outputs are not kept until there is room", "session", w.sess.ID)
		w.refused = true
		return fs.SkipAll
	case core.CodeOf(err) == "blob_too_large":
		w.log.Warn("an output is too large and is not kept", "session", w.sess.ID, "path", path, "limit", w.limits.Bytes)
	case core.KindOf(err) == core.NotFound && err != nil: // the session is gone
		return err
	case err != nil:
		w.failed = append(w.failed, fmt.Errorf("keep output %q: %w", path, err))
	}
	return nil
}

// errLater leaves a file for the next Settle.
var errLater = errors.New("enough was read for now")

// take keeps a file whose content is new. Processes in the sandbox may go on writing, replace it by a link or a
// pipe: what was opened is looked at again, and nothing is waited for.
func (w *walk) take(ctx context.Context, path string) error {
	in, err := w.root.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil // it is gone, or a link now
	}
	defer func() { _ = in.Close() }() // it was only read
	info, err := in.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	was := w.known[path]
	mark := markOf(info)
	if mark == was.Mark {
		return nil
	}
	if info.Size() > w.limits.Bytes {
		return core.Errorf(core.TooLarge, "blob_too_large", "the file has %d bytes", info.Size())
	}
	if w.read >= w.limits.Read {
		return errLater
	}
	if info.Size() > 0 && was.SHA256 != "" { // perhaps it was only touched
		sum := sha256.New()
		if _, err := io.Copy(sum, reading{ctx, metered{io.LimitReader(in, w.limits.Bytes), &w.read}}); err != nil {
			return err
		}
		if hex.EncodeToString(sum.Sum(nil)) == was.SHA256 {
			w.note(path, kept{was.SHA256, mark, was.Times})
			return nil
		}
		if _, err := in.Seek(0, io.SeekStart); err != nil {
			return err
		}
	}
	b, err := w.keeper.StageOutput(ctx, w.sess.Project, reading{ctx, metered{in, &w.read}}, w.limits.Bytes)
	if err != nil {
		return err
	}
	defer w.keeper.DiscardOutput(ctx, w.sess.Project, b) // leaves alone what was kept
	if b.SHA256 != was.SHA256 {
		// The id follows from what is kept, so that doing it again after a crash makes no second file.
		id := outputID(w.sess, path, was.Times, b.SHA256)
		if err := w.keeper.KeepOutput(ctx, w.sess.Project, w.sess.ID, id, path, b); err != nil {
			return err
		}
		was.Times++
	}
	w.note(path, kept{b.SHA256, mark, was.Times})
	return nil
}

func (w *walk) note(path string, k kept) { w.known[path], w.changed = k, true }

// metered counts what is read.
type metered struct {
	r io.Reader
	n *int64
}

func (m metered) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	*m.n += int64(n)
	return n, err
}

// markOf says which state of a file this is. The change time cannot be set by whoever owns the file.
func markOf(info fs.FileInfo) string {
	st := info.Sys().(*syscall.Stat_t)
	return fmt.Sprintf("%d:%d:%d.%d", st.Ino, info.Size(), st.Ctim.Sec, st.Ctim.Nsec)
}

func outputID(sess core.Session, path string, times int, sum string) core.FileID {
	h := sha256.Sum256(fmt.Appendf(nil, "output %s %s %q %d %s", sess.Project, sess.ID, path, times, sum))
	return core.FileID(hex.EncodeToString(h[:16]))
}
