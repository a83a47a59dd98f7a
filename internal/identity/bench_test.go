package identity

import (
	"path/filepath"
	"testing"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/store"
)

// BenchmarkAgentKey is the check that every call of an agent begins with: three reads and one HMAC.
func BenchmarkAgentKey(b *testing.B) {
	db, err := store.Open(b.Context(), store.Options{Path: filepath.Join(b.TempDir(), "reeve.db")})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	s := New(db, testSecret, Options{})
	boot, _, err := s.Bootstrap(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	now := s.clock()
	a := core.Agent{Project: boot.Project.ID, ID: core.NewID[core.AgentID](), Version: 1, Active: true, CreatedAt: now, UpdatedAt: now, VersionMadeAt: now}
	plain, key := s.NewAgentKey(a, core.Principal{})
	err = db.Tx(b.Context(), func(tx core.Store) error {
		if err := tx.CreateAgent(b.Context(), a); err != nil {
			return err
		}
		return tx.CreateCredential(b.Context(), key)
	})
	if err != nil {
		b.Fatal(err)
	}
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, _, err := s.AgentKey(b.Context(), plain); err != nil {
				b.Error(err)
			}
		}
	})
}
