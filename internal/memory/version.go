package memory

import (
	"context"

	"github.com/reeve-ai/reeve/internal/core"
)

// CodeLive is the code of the Invalid error with which the newest version of a memory that is still there
// refuses to be redacted.
const CodeLive = "memory_version_live"

// Version returns one version with its content. Errors: Forbidden; NotFound ("memory_store_not_found",
// "memory_version_not_found").
func (s *Service) Version(ctx context.Context, by core.Principal, store core.MemoryStoreID, id core.MemoryVersionID) (core.MemoryVersion, error) {
	if err := by.Require(core.RoleViewer); err != nil {
		return core.MemoryVersion{}, err
	}
	v, err := s.store.MemoryVersion(ctx, by.Project, store, id)
	return v, s.missing(ctx, by, store, err)
}

// Versions lists the versions of a store, of its deleted memories too, newest first. Errors: Forbidden;
// NotFound; Invalid (limit outside of 1 to 1000).
func (s *Service) Versions(ctx context.Context, by core.Principal, store core.MemoryStoreID, page core.MemoryVersionPage) ([]core.MemoryVersion, error) {
	if err := by.Require(core.RoleViewer); err != nil {
		return nil, err
	}
	if err := checkLimit(page.Limit); err != nil {
		return nil, err
	}
	if _, err := s.store.MemoryStore(ctx, by.Project, store); err != nil {
		return nil, err
	}
	return s.store.MemoryVersions(ctx, by.Project, store, page)
}

// Redact erases what a version kept: content, hash, size and path. That it was, when and who made it
// stays. Doing so again changes nothing. The newest version of a memory is refused, because its content
// is the memory's own: change or delete that first.
//
// It takes more than to write, because history is lost; and no session may do it
// (claude-managed-agents.md section 3.10).
//
// Errors: Forbidden (below admin, or a session); NotFound; Invalid (CodeLive).
func (s *Service) Redact(ctx context.Context, by core.Principal, store core.MemoryStoreID, id core.MemoryVersionID) (core.MemoryVersion, error) {
	if err := by.Require(core.RoleAdmin); err != nil {
		return core.MemoryVersion{}, err
	}
	if by.Session != "" {
		return core.MemoryVersion{}, core.Errorf(core.Forbidden, "forbidden", "a session may not redact versions")
	}
	var v core.MemoryVersion
	err := s.store.Tx(ctx, func(tx core.Store) (err error) {
		if _, err = tx.MemoryStore(ctx, by.Project, store); err != nil {
			return err
		}
		if v, err = tx.MemoryVersion(ctx, by.Project, store, id); err != nil || !v.RedactedAt.IsZero() {
			return err
		}
		head, err := tx.Memory(ctx, by.Project, store, v.Memory)
		if err == nil && head.Version == id {
			return core.Errorf(core.Invalid, CodeLive, "this is the memory's present version: change or delete the memory first")
		}
		if err != nil && core.KindOf(err) != core.NotFound {
			return err
		}
		if err := tx.RedactMemoryVersion(ctx, by.Project, store, id, by.Actor(), s.clock()); err != nil {
			return err
		}
		v, err = tx.MemoryVersion(ctx, by.Project, store, id)
		return err
	})
	if err != nil {
		return core.MemoryVersion{}, err
	}
	return v, nil
}
