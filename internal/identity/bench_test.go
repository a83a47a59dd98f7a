package identity

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/store"
)

// BenchmarkChecks are the checks that every call of an agent or a backend begins with: one read, one HMAC and,
// with a session token, one signature. AgentKey reads the agent as well.
func BenchmarkChecks(b *testing.B) {
	db, err := store.Open(b.Context(), store.Options{Path: filepath.Join(b.TempDir(), "reeve.db")})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	s := New(db, testSecret, Options{Limits: Limits{AgentRate: 1_000_000_000, AgentBurst: 1_000_000_000}})
	boot, _, err := s.Bootstrap(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	now := s.clock()
	a := core.Agent{Project: boot.Project.ID, ID: core.NewID[core.AgentID](), Version: 1, Active: true, CreatedAt: now, UpdatedAt: now, VersionMadeAt: now}
	key, c := s.NewAgentKey(a, core.Principal{})
	sess := core.Session{
		Project: a.Project, ID: core.NewID[core.SessionID](), Origin: core.OriginObserved, Agent: a.ID, AgentKey: c.ID,
		Metadata: map[string]string{}, Status: core.StatusRunning, CreatedAt: now, UpdatedAt: now,
	}
	err = db.Tx(b.Context(), func(tx core.Store) error {
		if err := tx.CreateAgent(b.Context(), a); err != nil {
			return err
		}
		if err := tx.CreateCredential(b.Context(), c); err != nil {
			return err
		}
		return tx.CreateSession(b.Context(), sess)
	})
	if err != nil {
		b.Fatal(err)
	}
	token, err := s.SessionToken(sess, now)
	if err != nil {
		b.Fatal(err)
	}
	sdk, _, err := s.CreateSDKKey(b.Context(), core.Principal{Project: a.Project, Role: core.RoleAdmin}, 1, "")
	if err != nil {
		b.Fatal(err)
	}
	for name, check := range map[string]func(context.Context) error{
		"Token":         func(ctx context.Context) error { _, err := s.Token(ctx, boot.Token); return err },
		"AgentKey":      func(ctx context.Context) error { _, _, err := s.AgentKey(ctx, key); return err },
		"Session":       func(ctx context.Context) error { _, _, err := s.Session(ctx, token); return err },
		"AgentReporter": func(ctx context.Context) error { return second(s.AgentReporter(ctx, key, token)) },
		"SDKReporter":   func(ctx context.Context) error { return second(s.SDKReporter(ctx, sdk, token)) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := check(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
