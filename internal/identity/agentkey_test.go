package identity

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

func TestRotationLeavesOneKey(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ctx := t.Context()
	admin := w.project(t, "a@b")
	a, first, _ := w.agent(t, admin)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if _, _, err := w.RotateAgentKey(ctx, admin, a.ID, ""); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	last, key, err := w.RotateAgentKey(ctx, admin, a.ID, " laptop ")
	if err != nil || key.Name == nil || *key.Name != "laptop" || !key.ExpiresAt.Equal(key.CreatedAt.Add(30*24*time.Hour)) {
		t.Fatalf("RotateAgentKey = %+v, %v", key, err)
	}
	keys, err := w.AgentKeys(ctx, admin, []core.AgentID{a.ID})
	if err != nil || len(keys[a.ID]) != 1 || keys[a.ID][0].ID != key.ID {
		t.Errorf("live keys = %v, %v", keys, err)
	}
	_, _, err = w.AgentKey(ctx, first)
	wantError(t, err, core.Unauthenticated, "invalid_agent_key")
	if _, got, err := w.AgentKey(ctx, last); err != nil || got.ID != a.ID {
		t.Errorf("the new key: %v, %v", got, err)
	}
}

// C10: the original goes on listing keys as active when their time is over.
func TestExpiredKeysAreNotListed(t *testing.T) {
	t.Parallel()
	w := setup(t)
	admin := w.project(t, "a@b")
	a, _, _ := w.agent(t, admin)
	w.clock.move(AgentKeyLifetime)
	if keys, err := w.AgentKeys(t.Context(), admin, []core.AgentID{a.ID}); err != nil || len(keys) != 0 {
		t.Errorf("live keys = %v, %v", keys, err)
	}
}

func TestWhoMayTouchAgentKeys(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ctx := t.Context()
	admin, stranger := w.project(t, "a@b"), w.project(t, "b@b")
	a, plain, key := w.agent(t, admin)
	_, access, err := w.IssueToken(ctx, IssueToken{Project: admin.Project})
	if err != nil {
		t.Fatal(err)
	}
	off, _, _ := w.agent(t, admin)
	off.Active = false
	if err := w.db.SetAgentState(ctx, off); err != nil {
		t.Fatal(err)
	}
	agent, _, err := w.AgentKey(ctx, plain)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		by   core.Principal
		kind core.Kind
	}{
		"stranger": {stranger, core.NotFound},
		"member":   {core.Principal{Kind: core.PrincipalUser, Project: admin.Project, Role: core.RoleMember}, core.Forbidden},
		"viewer":   {core.Principal{Kind: core.PrincipalUser, Project: admin.Project, Role: core.RoleViewer}, core.Forbidden},
		"agent":    {agent, core.Forbidden},
		"nobody":   {core.Principal{}, core.Forbidden},
	} {
		if _, _, err := w.RotateAgentKey(ctx, tc.by, a.ID, ""); core.KindOf(err) != tc.kind {
			t.Errorf("%s rotates: %v", name, err)
		}
		if err := w.RevokeAgentKey(ctx, tc.by, key.ID); core.KindOf(err) != tc.kind {
			t.Errorf("%s revokes: %v", name, err)
		}
	}
	if keys, err := w.AgentKeys(ctx, stranger, []core.AgentID{a.ID}); err != nil || len(keys) != 0 {
		t.Errorf("the stranger sees %v, %v", keys, err)
	}
	if _, err := w.AgentKeys(ctx, agent, []core.AgentID{a.ID}); core.KindOf(err) != core.Forbidden {
		t.Errorf("an agent lists keys: %v", err)
	}
	if err := w.RevokeAgentKey(ctx, admin, access.ID); core.KindOf(err) != core.NotFound {
		t.Errorf("an access token was revoked as an agent key: %v", err)
	}
	if _, _, err := w.RotateAgentKey(ctx, admin, off.ID, ""); core.KindOf(err) != core.NotFound {
		t.Errorf("a key for a deactivated agent: %v", err)
	}
	_, _, err = w.RotateAgentKey(ctx, admin, a.ID, strings.Repeat("n", 256))
	wantError(t, err, core.Invalid, "field_too_long")

	if _, _, err := w.AgentKey(ctx, plain); err != nil {
		t.Errorf("the key was harmed by all this: %v", err)
	}
	if err := w.RevokeAgentKey(ctx, admin, key.ID); err != nil {
		t.Errorf("the administrator revokes: %v", err)
	}
	if err := w.RevokeAgentKey(ctx, admin, key.ID); core.KindOf(err) != core.NotFound {
		t.Errorf("revoked twice: %v", err)
	}
}
