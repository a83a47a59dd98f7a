package memory

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"maps"

	"github.com/reeve-ai/reeve/internal/core"
)

// CodeFull is the code of the Invalid error with which a store that holds 2,000 memories refuses another.
const CodeFull = "memory_store_full"

// NewMemory is a memory to be made.
type NewMemory struct {
	ID       core.MemoryID // empty: chosen here
	Path     string        // with its leading "/"
	Content  string
	Metadata map[string]string
}

// Change is what an update changes; nil parts stay.
type Change struct {
	Path     *string
	Content  *string
	Metadata *map[string]string // replaces the whole
	If       Precondition
}

// Memory returns one memory with its content, of an archived store too. Errors: Forbidden; NotFound
// ("memory_store_not_found", "memory_not_found").
func (s *Service) Memory(ctx context.Context, by core.Principal, store core.MemoryStoreID, id core.MemoryID) (core.Memory, error) {
	if err := s.mayRead(ctx, by, store); err != nil {
		return core.Memory{}, err
	}
	m, err := s.store.Memory(ctx, by.Project, store, id)
	return m, s.missing(ctx, by, store, err)
}

// MemoryAt returns the memory at a path ("/notes/todo.md"), as Memory does.
func (s *Service) MemoryAt(ctx context.Context, by core.Principal, store core.MemoryStoreID, path string) (core.Memory, error) {
	if err := s.mayRead(ctx, by, store); err != nil {
		return core.Memory{}, err
	}
	m, err := s.store.MemoryAt(ctx, by.Project, store, path)
	return m, s.missing(ctx, by, store, err)
}

// missing makes of a NotFound that of the store, if that is what is missing.
func (s *Service) missing(ctx context.Context, by core.Principal, store core.MemoryStoreID, err error) error {
	if core.KindOf(err) != core.NotFound {
		return err
	}
	if _, lost := s.store.MemoryStore(ctx, by.Project, store); lost != nil {
		return lost
	}
	return err
}

// Create makes a memory. It never overwrites one.
//
// Errors: Forbidden (below member; a session that only reads the store); NotFound; Invalid, naming the field, CodeArchived or CodeFull;
// Conflict: a *PathConflict, or "memory_already_exists" for a taken id.
func (s *Service) Create(ctx context.Context, by core.Principal, store core.MemoryStoreID, n NewMemory, l Limits) (core.Memory, error) {
	if err := s.mayWrite(ctx, by, store); err != nil {
		return core.Memory{}, err
	}
	if err := l.checkNew(&n); err != nil {
		return core.Memory{}, err
	}
	var m core.Memory
	err := s.change(ctx, by, store, func(tx core.Store, kept core.MemoryStore) (err error) {
		m, err = s.create(ctx, tx, by, kept, n)
		return err
	})
	if err != nil {
		return core.Memory{}, err
	}
	return m, nil
}

func (l Limits) checkNew(n *NewMemory) error {
	if n.ID == "" {
		n.ID = core.NewID[core.MemoryID]()
	} else if id, ok := core.ParseID[core.MemoryID](string(n.ID)); !ok || id != n.ID {
		return core.InvalidField("id", "must be 32 lower-case hex digits behind its prefix")
	}
	if err := l.checkPath(n.Path); err != nil {
		return err
	}
	if err := l.checkContent(n.Content); err != nil {
		return err
	}
	return checkMetadata(n.Metadata)
}

// change runs fn in a transaction that holds the store, which must not be archived.
func (s *Service) change(ctx context.Context, by core.Principal, store core.MemoryStoreID, fn func(core.Store, core.MemoryStore) error) error {
	return s.store.Tx(ctx, func(tx core.Store) error {
		kept, err := tx.MemoryStore(ctx, by.Project, store)
		if err == nil {
			err = writable(kept)
		}
		if err != nil {
			return err
		}
		return fn(tx, kept)
	})
}

func (s *Service) create(ctx context.Context, tx core.Store, by core.Principal, store core.MemoryStore, n NewMemory) (core.Memory, error) {
	if err := free(ctx, tx, store, n.Path, ""); err != nil {
		return core.Memory{}, err
	}
	if store.Entries >= maxEntries {
		return core.Memory{}, core.Errorf(core.Invalid, CodeFull, "the memory store holds %d memories already, which is the most it can", store.Entries)
	}
	now := s.clock()
	m := core.Memory{
		Project: store.Project, Store: store.ID, ID: n.ID, Path: n.Path, Metadata: maps.Clone(n.Metadata), Number: 1,
		Version: core.NewID[core.MemoryVersionID](), CreatedAt: now, UpdatedAt: now,
	}
	if m.Metadata == nil {
		m.Metadata = map[string]string{}
	}
	fill(&m, n.Content)
	return m, tx.WriteMemory(ctx, m, by.Actor())
}

// free refuses a path that another memory than except keeps from being used.
func free(ctx context.Context, tx core.Store, store core.MemoryStore, path string, except core.MemoryID) error {
	blocking, err := tx.MemoryBlocking(ctx, store.Project, store.ID, path, except)
	switch {
	case err == nil:
		return pathConflict(path, blocking)
	case core.KindOf(err) == core.NotFound:
		return nil
	}
	return err
}

// fill sets the content and what follows from it. The hash is of the very bytes, so that clients can make
// it themselves (claude-managed-agents.md section 3.10).
func fill(m *core.Memory, content string) {
	sum := sha256.Sum256([]byte(content))
	m.Content, m.SHA256, m.Bytes = content, hex.EncodeToString(sum[:]), int64(len(content))
}

// Update changes a memory and makes its next version; without an effect it makes none. A Precondition
// that does not hold is overlooked if the memory is already as it would become: so a repeated request
// succeeds (claude-managed-agents.md section 3.10).
//
// Errors: Forbidden (below member; a session that only reads the store); NotFound; Invalid, naming the field, or CodeArchived; Conflict:
// CodePrecondition, or a *PathConflict.
func (s *Service) Update(ctx context.Context, by core.Principal, store core.MemoryStoreID, id core.MemoryID, c Change, l Limits) (core.Memory, error) {
	if err := s.mayWrite(ctx, by, store); err != nil {
		return core.Memory{}, err
	}
	if err := l.checkChange(c); err != nil {
		return core.Memory{}, err
	}
	var m core.Memory
	err := s.change(ctx, by, store, func(tx core.Store, kept core.MemoryStore) (err error) {
		if m, err = tx.Memory(ctx, by.Project, store, id); err != nil {
			return err
		}
		return s.update(ctx, tx, by, kept, &m, c)
	})
	if err != nil {
		return core.Memory{}, err
	}
	return m, nil
}

func (l Limits) checkChange(c Change) error {
	if c.Path != nil {
		if err := l.checkPath(*c.Path); err != nil {
			return err
		}
	}
	if c.Content != nil {
		if err := l.checkContent(*c.Content); err != nil {
			return err
		}
	}
	if c.Metadata != nil {
		if err := checkMetadata(*c.Metadata); err != nil {
			return err
		}
	}
	return c.If.check(l)
}

// update changes m, which was read in this transaction.
func (s *Service) update(ctx context.Context, tx core.Store, by core.Principal, store core.MemoryStore, m *core.Memory, c Change) error {
	stored := *m
	if c.Path != nil {
		m.Path = *c.Path
	}
	if c.Content != nil {
		fill(m, *c.Content)
	}
	if c.Metadata != nil {
		m.Metadata = map[string]string{}
		maps.Copy(m.Metadata, *c.Metadata)
	}
	if m.Path == stored.Path && m.Content == stored.Content && maps.Equal(m.Metadata, stored.Metadata) {
		if c == (Change{If: c.If}) { // it asks for nothing: there is no state to equal
			return c.If.holds(stored)
		}
		return nil
	}
	if err := c.If.holds(stored); err != nil {
		return err
	}
	if m.Path != stored.Path {
		if err := free(ctx, tx, store, m.Path, m.ID); err != nil {
			return err
		}
	}
	m.Number, m.Version, m.UpdatedAt = m.Number+1, core.NewID[core.MemoryVersionID](), s.clock()
	return tx.WriteMemory(ctx, *m, by.Actor())
}

// Write makes sure that a path has a content: it makes the memory, or changes the one that is there, as
// Create and Update do. It is what a session's tools call, with a Principal that names the session, so
// that the version says who wrote. A Precondition fails if there is no memory at the path.
func (s *Service) Write(ctx context.Context, by core.Principal, store core.MemoryStoreID, path, content string, must Precondition, l Limits) (core.Memory, error) {
	if err := s.mayWrite(ctx, by, store); err != nil {
		return core.Memory{}, err
	}
	n := NewMemory{Path: path, Content: content}
	if err := l.checkNew(&n); err != nil {
		return core.Memory{}, err
	}
	if err := must.check(l); err != nil {
		return core.Memory{}, err
	}
	var m core.Memory
	err := s.change(ctx, by, store, func(tx core.Store, kept core.MemoryStore) (err error) {
		m, err = tx.MemoryAt(ctx, by.Project, store, path)
		switch {
		case err == nil:
			return s.update(ctx, tx, by, kept, &m, Change{Content: &content, If: must})
		case core.KindOf(err) != core.NotFound:
			return err
		case must != Precondition{}:
			return core.Errorf(core.Conflict, CodePrecondition, "there is no memory at this path any more")
		}
		m, err = s.create(ctx, tx, by, kept, n)
		return err
	})
	if err != nil {
		return core.Memory{}, err
	}
	return m, nil
}

// Delete removes a memory; its versions stay, and the last one says so. An archived store allows it.
//
// Errors: Forbidden (below member; a session that only reads the store); NotFound; Invalid, naming the field; Conflict (CodePrecondition).
func (s *Service) Delete(ctx context.Context, by core.Principal, store core.MemoryStoreID, id core.MemoryID, must Precondition, l Limits) error {
	if err := s.mayWrite(ctx, by, store); err != nil {
		return err
	}
	if err := must.check(l); err != nil {
		return err
	}
	return s.store.Tx(ctx, func(tx core.Store) error {
		if _, err := tx.MemoryStore(ctx, by.Project, store); err != nil {
			return err
		}
		m, err := tx.Memory(ctx, by.Project, store, id)
		if err == nil {
			err = must.holds(m)
		}
		if err != nil {
			return err
		}
		m.Number, m.Version, m.UpdatedAt = m.Number+1, core.NewID[core.MemoryVersionID](), s.clock()
		return tx.DeleteMemory(ctx, m, by.Actor())
	})
}
