package workspace

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/reeve-ai/reeve/internal/core"
)

// Files shows a session the files that are attached to it, each at its path below core.UploadsFolder. The folder
// is there from the beginning, so that what is attached later appears in a sandbox that lives already.
type Files struct {
	source core.FileSource
	uses   func(core.AgentSpec) bool
}

// NewFiles makes the part. uses tells which agents have tools that work in a sandbox.
func NewFiles(source core.FileSource, uses func(core.AgentSpec) bool) *Files {
	return &Files{source, uses}
}

var _ Part = (*Files)(nil)

// Name implements Part.
func (*Files) Name() string { return "files" }

// Wanted implements Part.
func (f *Files) Wanted(sess core.Session) bool { return inSandbox(sess, f.uses) }

// inSandbox reports whether a session's agent may use a sandbox of this server.
func inSandbox(sess core.Session, uses func(core.AgentSpec) bool) bool {
	return !sess.Elsewhere && sess.Snapshot != nil && (sess.Coordinates() || uses(*sess.Snapshot)) // any of a team may
}

// Names inside a part's folder.
const (
	treeName     = "tree"          // what the sandbox sees
	manifestName = "manifest.json" // what is in it
	draftName    = "draft"         // what is being written
)

// shown lists which file lies at which path below the tree.
type shown map[string]core.FileID

// Open implements Part.
func (f *Files) Open(ctx context.Context, sess core.Session, folder, _ string) ([]core.Mount, error) {
	tree := filepath.Join(folder, treeName)
	if err := errors.Join(os.MkdirAll(tree, 0o755), os.Chmod(tree, 0o755)); err != nil {
		return nil, fmt.Errorf("make the folder of attached files: %w", err)
	}
	mounts := []core.Mount{{Host: tree, Path: core.UploadsFolder, ReadOnly: true}}
	want := attached(sess)
	have, err := readManifest[shown](folder)
	if err != nil {
		return nil, err
	}
	if maps.Equal(want, have) {
		return mounts, nil
	}
	root, err := os.OpenRoot(tree)
	if err != nil {
		return nil, fmt.Errorf("open the folder of attached files: %w", err)
	}
	defer func() { _ = root.Close() }() // only names were changed through it
	now := shown{}
	for at, id := range have {
		if want[at] == id {
			now[at] = id
		} else if err := remove(root, at); err != nil {
			return nil, fmt.Errorf("remove a detached file: %w", err)
		}
	}
	for _, at := range slices.Sorted(maps.Keys(want)) {
		if now[at] == want[at] {
			continue
		}
		// What is gone by now is not shown, and not asked for again.
		if err := f.bring(ctx, root, sess, folder, at, want[at]); err != nil && core.KindOf(err) != core.NotFound {
			return nil, err
		}
		now[at] = want[at]
	}
	return mounts, writeManifest(folder, now)
}

// attached lists what a session's sandbox shall see.
func attached(sess core.Session) shown {
	want := shown{}
	for _, r := range sess.Resources {
		if at, below := strings.CutPrefix(r.MountPath, core.UploadsFolder+"/"); below && r.Type == core.ResourceFile && filepath.IsLocal(at) {
			want[at] = r.File
		}
	}
	return want
}

// bring writes one file and puts it at its path when it is whole.
func (f *Files) bring(ctx context.Context, root *os.Root, sess core.Session, folder, at string, id core.FileID) (err error) {
	_, content, err := f.source.OpenFile(ctx, sess.Project, id)
	if err != nil {
		return err
	}
	defer func() { _ = content.Close() }() // it was only read
	draft := filepath.Join(folder, draftName)
	out, err := os.OpenFile(draft, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return fmt.Errorf("begin an attached file: %w", err)
	}
	_, err = io.Copy(out, reading{ctx, content})
	if err = errors.Join(err, out.Chmod(0o644), out.Close()); err != nil {
		return fmt.Errorf("write an attached file: %w", err)
	}
	if _, err := makeDirs(root, path.Dir(at)); err != nil {
		return fmt.Errorf("make the folder of an attached file: %w", err)
	}
	if err := os.Rename(draft, filepath.Join(folder, treeName, filepath.FromSlash(at))); err != nil {
		return fmt.Errorf("show an attached file: %w", err)
	}
	return nil
}

// makeDirs makes a folder and those above it, for everybody to read, and returns which were not there.
func makeDirs(root *os.Root, dir string) (made []string, err error) {
	if dir == "." {
		return nil, nil
	}
	if made, err = makeDirs(root, path.Dir(dir)); err != nil {
		return made, err
	}
	switch err := root.Mkdir(dir, 0o755); {
	case errors.Is(err, fs.ErrExist):
		return made, nil
	case err != nil:
		return made, err
	}
	return append(made, dir), root.Chmod(dir, 0o755) // whatever the umask is
}

// remove deletes a file and the folders that are empty then.
func remove(root *os.Root, at string) error {
	if err := root.Remove(at); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for dir := path.Dir(at); dir != "."; dir = path.Dir(dir) {
		if root.Remove(dir) != nil { // it is not empty, or never was
			return nil
		}
	}
	return nil
}

// reading ends a long read with its context.
type reading struct {
	ctx context.Context
	r   io.Reader
}

func (r reading) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// Brief implements Part.
func (*Files) Brief(_ context.Context, sess core.Session) (string, error) {
	paths := slices.Sorted(maps.Keys(attached(sess)))
	if len(paths) == 0 {
		return "", nil
	}
	var b strings.Builder
	fmt.Fprintf(&b, "These files are attached to the session. They can be read, not changed:")
	for i, at := range paths {
		if i == maxBriefed {
			fmt.Fprintf(&b, "\n- and %d more in %s", len(paths)-i, core.UploadsFolder)
			break
		}
		fmt.Fprintf(&b, "\n- %s/%s", core.UploadsFolder, at)
	}
	return b.String(), nil
}

// maxBriefed is how many paths of files the agent is told.
const maxBriefed = 100

// Settle implements Part: nothing here can be changed.
func (*Files) Settle(context.Context, core.Session, string) error { return nil }

// readManifest reads what a part noted about its folder. A manifest that is not there, or was cut off, is empty.
func readManifest[M ~map[string]V, V any](folder string) (M, error) {
	raw, err := os.ReadFile(filepath.Join(folder, manifestName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read a manifest: %w", err)
	}
	var m M
	if json.Unmarshal(raw, &m) != nil || m == nil {
		m = M{}
	}
	return m, nil
}

// writeManifest replaces it as a whole.
func writeManifest(folder string, m any) error {
	raw, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("write a manifest: %w", err)
	}
	draft := filepath.Join(folder, manifestName+".new")
	if err := os.WriteFile(draft, raw, 0o600); err != nil {
		return fmt.Errorf("write a manifest: %w", err)
	}
	if err := os.Rename(draft, filepath.Join(folder, manifestName)); err != nil {
		return fmt.Errorf("replace a manifest: %w", err)
	}
	return nil
}
