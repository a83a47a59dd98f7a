package workspace

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/reeve-ai/reeve/internal/core"
)

// Memories is the service that has the memories and their rules. It decides what a session may do with a store.
type Memories interface {
	Store(ctx context.Context, by core.Principal, id core.MemoryStoreID) (core.MemoryStore, error)
	// Memories lists memories by path, at most page.Limit.
	Memories(ctx context.Context, by core.Principal, store core.MemoryStoreID, page core.MemoryPage) ([]core.Memory, error)
	// Put stores a new memory at m.Path, or, with an m.Number, the next version of m.ID. Conflict if that is
	// not at this number any more, or the path is taken; Invalid if the store cannot take it.
	Put(ctx context.Context, by core.Principal, m core.Memory) (core.Memory, error)
	// Remove deletes m.ID. Conflict if it is not at m.Number any more.
	Remove(ctx context.Context, by core.Principal, m core.Memory) error
}

// MemoryPart shows the memory stores that a session has attached as folders: each memory is a file, at its
// path. What changes in a store comes in before the sandbox is used the next time; what the agent changes goes
// to the store behind the turn, as versions that this session made.
//
// Where both changed the same memory the store wins (claude-managed-agents.md section 6.3): its text is in the
// file, and the agent's is kept beside it, in NAME.conflict. Such files, symbolic links and whatever else is
// no plain text stay in the session's folder and go to no store. What a store cannot take, because it is too
// large or no text, stays as it is too; the agent is told so at the beginning of its next turn.
type MemoryPart struct {
	memories Memories
	visits   int // files and folders looked at in one store's folder
}

// NewMemory makes the part.
func NewMemory(m Memories) *MemoryPart { return &MemoryPart{m, maxVisited} }

// Name implements Part.
func (*MemoryPart) Name() string { return "memory" }

// Wanted implements Part.
func (*MemoryPart) Wanted(sess core.Session) bool { return len(memoryStores(sess)) > 0 }

func memoryStores(sess core.Session) []core.Resource {
	var list []core.Resource
	for _, r := range sess.Resources {
		if r.Type == core.ResourceMemoryStore {
			list = append(list, r)
		}
	}
	return list
}

// Open implements Part.
func (p *MemoryPart) Open(ctx context.Context, sess core.Session, folder, _ string) ([]core.Mount, error) {
	var mounts []core.Mount
	for _, r := range memoryStores(sess) {
		s, err := p.open(sess, r, folder)
		if err != nil {
			return nil, err
		}
		err = errors.Join(s.refresh(ctx), s.root.Close())
		if err != nil {
			return nil, fmt.Errorf("bring memory store %s: %w", r.Store, err)
		}
		mounts = append(mounts, core.Mount{Host: s.files(), Path: r.MountPath, ReadOnly: r.ReadOnly})
	}
	return mounts, nil
}

// Settle implements Part. One store that fails keeps no other from being written.
func (p *MemoryPart) Settle(ctx context.Context, sess core.Session, folder string) error {
	var errs []error
	for _, r := range memoryStores(sess) {
		if r.ReadOnly {
			continue
		}
		if _, err := os.Stat(filepath.Join(folder, string(r.Store), "files")); errors.Is(err, os.ErrNotExist) {
			continue // it was never brought
		}
		s, err := p.open(sess, r, folder)
		if err == nil {
			err = errors.Join(s.settle(ctx), s.root.Close())
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("write memory store %s: %w", r.Store, err))
		}
	}
	return errors.Join(errs...)
}

// Brief implements Part.
func (*MemoryPart) Brief(_ context.Context, sess core.Session) (string, error) {
	var b strings.Builder
	b.WriteString("# Memory\n\nThese folders hold what is remembered from one session to the next, as text files. " +
		"Look there for what may help before you begin, and keep what later sessions should know where you may write.\n")
	for _, r := range memoryStores(sess) {
		access := "read and write"
		if r.ReadOnly {
			access = "read only"
		}
		fmt.Fprintf(&b, "\n- `%s`: %s (%s)", r.MountPath, r.Name, access)
		if r.Description != "" {
			fmt.Fprintf(&b, "\n  %s", indented(r.Description))
		}
		if r.Instructions != "" {
			fmt.Fprintf(&b, "\n  Instructions: %s", indented(r.Instructions))
		}
	}
	return b.String(), nil
}

func indented(text string) string { return strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  ") }

// maxNotes is how many files one store's notes name.
const maxNotes = 20

// Notes implements Noter.
func (*MemoryPart) Notes(_ context.Context, sess core.Session, folder string) (string, error) {
	var lines []string
	for _, r := range memoryStores(sess) {
		m, err := readLedger(filepath.Join(folder, string(r.Store), ledgerName), true)
		if err != nil {
			return "", err
		}
		all := append(append([]string{}, m.Hidden...), m.Notes...)
		for i, n := range all {
			if i == maxNotes {
				lines = append(lines, fmt.Sprintf("- and %d more in `%s`", len(all)-i, r.MountPath))
				break
			}
			lines = append(lines, "- `"+r.MountPath+n)
		}
	}
	if len(lines) == 0 {
		return "", nil
	}
	return "Of these folders, some files and their stores differ:\n" + strings.Join(lines, "\n"), nil
}

// open opens the folder of one store.
func (p *MemoryPart) open(sess core.Session, r core.Resource, folder string) (*shelf, error) {
	s := &shelf{memories: p.memories, visits: p.visits, by: core.Acting(sess), of: r, folder: filepath.Join(folder, string(r.Store))}
	if err := os.MkdirAll(s.files(), 0o755); err != nil {
		return nil, fmt.Errorf("make the folder of memory store %s: %w", r.Store, err)
	}
	var err error
	if s.root, err = os.OpenRoot(s.files()); err != nil {
		return nil, fmt.Errorf("open the folder of memory store %s: %w", r.Store, err)
	}
	if err = s.claim(); err != nil {
		return nil, errors.Join(err, s.root.Close())
	}
	return s, nil
}
