package memory

import (
	"context"

	"github.com/reeve-ai/reeve/internal/core"
)

// A session works with the stores that it has attached, and with what is in them, not with their history:
// through the token of its work item (claude-managed-agents.md section 3.3), or through the server itself,
// which shows them to its sandbox under the same Principal. All other stores are NotFound to it. A store that
// was attached read-only takes nothing from it.

func (s *Service) mayRead(ctx context.Context, by core.Principal, store core.MemoryStoreID) error {
	if by.Kind != core.PrincipalWork || by.Session == "" {
		return by.Require(core.RoleViewer)
	}
	_, err := s.attached(ctx, by, store)
	return err
}

func (s *Service) mayWrite(ctx context.Context, by core.Principal, store core.MemoryStoreID) error {
	if by.Kind != core.PrincipalWork || by.Session == "" {
		return by.Require(core.RoleMember)
	}
	r, err := s.attached(ctx, by, store)
	if err == nil && r.ReadOnly {
		return core.Errorf(core.Forbidden, "memory_store_read_only", "this session has the memory store attached to read only")
	}
	return err
}

// attached finds how the caller's session has a store attached.
func (s *Service) attached(ctx context.Context, by core.Principal, store core.MemoryStoreID) (core.Resource, error) {
	sess, err := s.store.Session(ctx, by.Project, by.Session)
	if err != nil {
		return core.Resource{}, err
	}
	for _, r := range sess.Resources {
		if r.Type == core.ResourceMemoryStore && r.Store == store {
			return r, nil
		}
	}
	return core.Resource{}, core.NotFoundError("memory_store", string(store))
}

// Memories lists the memories of a store by path as they are stored, without roll-ups. Errors: Forbidden;
// NotFound; Invalid (limit outside of 1 to 1000).
func (s *Service) Memories(ctx context.Context, by core.Principal, store core.MemoryStoreID, page core.MemoryPage) ([]core.Memory, error) {
	if err := s.mayRead(ctx, by, store); err != nil {
		return nil, err
	}
	if err := checkLimit(page.Limit); err != nil {
		return nil, err
	}
	return s.store.Memories(ctx, by.Project, store, page)
}

// Put stores m.Content: with m.Number 0 as a new memory at m.Path, else as the next version of m.ID, which must
// still be at m.Number. Other fields of m do not count. The limits are those of sandboxes: ClaudeLimits.
//
// Errors: as Create and Update; a memory that has changed since is Conflict (CodePrecondition).
func (s *Service) Put(ctx context.Context, by core.Principal, m core.Memory) (core.Memory, error) {
	if m.Number == 0 {
		return s.Create(ctx, by, m.Store, NewMemory{Path: m.Path, Content: m.Content}, ClaudeLimits)
	}
	return s.Update(ctx, by, m.Store, m.ID, Change{Content: &m.Content, If: Precondition{Number: m.Number}}, ClaudeLimits)
}

// Remove deletes the memory m.ID, which must still be at m.Number. Errors: as Delete.
func (s *Service) Remove(ctx context.Context, by core.Principal, m core.Memory) error {
	return s.Delete(ctx, by, m.Store, m.ID, Precondition{Number: m.Number}, ClaudeLimits)
}
