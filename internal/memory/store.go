package memory

import (
	"context"
	"log/slog"
	"maps"
	"strings"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// CodeArchived is the code of the Invalid error with which an archived store refuses to be changed.
const CodeArchived = "memory_store_archived"

// Service is used from several goroutines.
type Service struct {
	store core.Store
	now   func() time.Time
	log   *slog.Logger
}

// New makes the service. now may be nil: the wall clock; log may be nil: nothing is logged.
func New(store core.Store, now func() time.Time, log *slog.Logger) *Service {
	if now == nil {
		now = time.Now
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Service{store: store, now: now, log: log}
}

// clock returns the time as the store keeps it.
func (s *Service) clock() time.Time { return s.now().UTC().Truncate(time.Microsecond) }

// CreateStore makes an empty store of the name, description and metadata in m, and of its id unless that
// is empty.
//
// Errors: Forbidden (below member); Invalid, naming the field; Conflict ("memory_store_already_exists").
func (s *Service) CreateStore(ctx context.Context, by core.Principal, m core.MemoryStore, l Limits) (core.MemoryStore, error) {
	if err := by.Require(core.RoleMember); err != nil {
		return core.MemoryStore{}, err
	}
	if m.ID == "" {
		m.ID = core.NewID[core.MemoryStoreID]()
	} else if id, ok := core.ParseID[core.MemoryStoreID](string(m.ID)); !ok || id != m.ID {
		return core.MemoryStore{}, core.InvalidField("id", "must be 32 lower-case hex digits behind its prefix")
	}
	l.tidy(&m)
	if err := l.checkStore(m); err != nil {
		return core.MemoryStore{}, err
	}
	if err := checkMetadata(m.Metadata); err != nil {
		return core.MemoryStore{}, err
	}
	now := s.clock()
	m = core.MemoryStore{
		Project: by.Project, ID: m.ID, Name: m.Name, Description: m.Description, Metadata: maps.Clone(m.Metadata),
		CreatedAt: now, UpdatedAt: now,
	}
	if m.Metadata == nil {
		m.Metadata = map[string]string{}
	}
	if err := s.store.CreateMemoryStore(ctx, m); err != nil {
		return core.MemoryStore{}, err
	}
	return m, nil
}

func (l Limits) tidy(m *core.MemoryStore) {
	if l.TrimText {
		m.Name, m.Description = strings.TrimSpace(m.Name), strings.TrimSpace(m.Description)
	}
}

// Store returns one store, archived or not. Errors: Forbidden; NotFound.
func (s *Service) Store(ctx context.Context, by core.Principal, id core.MemoryStoreID) (core.MemoryStore, error) {
	if err := s.mayRead(ctx, by, id); err != nil {
		return core.MemoryStore{}, err
	}
	return s.store.MemoryStore(ctx, by.Project, id)
}

// Stores lists the project's stores, newest first. Errors: Forbidden; Invalid (limit outside of 1 to
// 1000).
func (s *Service) Stores(ctx context.Context, by core.Principal, page core.MemoryStorePage) ([]core.MemoryStore, error) {
	if err := by.Require(core.RoleViewer); err != nil {
		return nil, err
	}
	if err := checkLimit(page.Limit); err != nil {
		return nil, err
	}
	return s.store.MemoryStores(ctx, by.Project, page)
}

// UpdateStore changes the name, the description and the metadata of a store. change gets a copy, may be
// called more than once, and ends the update by an error. What it does to other fields is ignored, and
// what it leaves as it was is not held against the limits: another dialect may have made it.
//
// Errors: Forbidden (below member); NotFound; Invalid, naming the field, or CodeArchived.
func (s *Service) UpdateStore(ctx context.Context, by core.Principal, id core.MemoryStoreID, l Limits, change func(*core.MemoryStore) error) (core.MemoryStore, error) {
	if err := by.Require(core.RoleMember); err != nil {
		return core.MemoryStore{}, err
	}
	var m core.MemoryStore
	err := s.store.Tx(ctx, func(tx core.Store) error {
		stored, err := tx.MemoryStore(ctx, by.Project, id)
		if err == nil {
			err = writable(stored)
		}
		if err != nil {
			return err
		}
		next := stored
		next.Metadata = maps.Clone(stored.Metadata)
		if err := change(&next); err != nil {
			return err
		}
		m = stored
		m.Name, m.Description, m.Metadata = next.Name, next.Description, next.Metadata
		if m.Metadata == nil {
			m.Metadata = map[string]string{}
		}
		l.tidy(&m)
		renamed, told := m.Name != stored.Name || m.Description != stored.Description, !maps.Equal(m.Metadata, stored.Metadata)
		if renamed {
			if err := l.checkStore(m); err != nil {
				return err
			}
		}
		if told {
			if err := checkMetadata(m.Metadata); err != nil {
				return err
			}
		}
		if !renamed && !told {
			return nil
		}
		m.UpdatedAt = s.clock()
		return tx.UpdateMemoryStore(ctx, m)
	})
	if err != nil {
		return core.MemoryStore{}, err
	}
	return m, nil
}

// ArchiveStore archives a store for good: it can be read, and its memories deleted, but nothing in it is
// made or changed any more (claude-managed-agents.md section 3.10). Doing so again changes nothing.
// Errors: Forbidden (below member); NotFound.
func (s *Service) ArchiveStore(ctx context.Context, by core.Principal, id core.MemoryStoreID) (core.MemoryStore, error) {
	if err := by.Require(core.RoleMember); err != nil {
		return core.MemoryStore{}, err
	}
	var m core.MemoryStore
	err := s.store.Tx(ctx, func(tx core.Store) (err error) {
		if m, err = tx.MemoryStore(ctx, by.Project, id); err != nil || !m.ArchivedAt.IsZero() {
			return err
		}
		m.ArchivedAt = s.clock()
		m.UpdatedAt = m.ArchivedAt
		return tx.UpdateMemoryStore(ctx, m)
	})
	if err != nil {
		return core.MemoryStore{}, err
	}
	return m, nil
}

// DeleteStore removes a store with its memories and their whole history, which is why it takes more than
// to write. Errors: Forbidden (below admin); NotFound.
func (s *Service) DeleteStore(ctx context.Context, by core.Principal, id core.MemoryStoreID) error {
	if err := by.Require(core.RoleAdmin); err != nil {
		return err
	}
	return s.store.DeleteMemoryStore(ctx, by.Project, id)
}

// writable refuses an archived store.
func writable(m core.MemoryStore) error {
	if m.ArchivedAt.IsZero() {
		return nil
	}
	return core.Errorf(core.Invalid, CodeArchived, "the memory store is archived: what is in it can be read and deleted, not changed")
}
