package session_test

import (
	"strings"
	"testing"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/session"
)

// S7 of reference otas.md, section 8: what is switched off starts nothing, at whichever version.
func TestADeactivatedAgentStartsNoSession(t *testing.T) {
	t.Parallel()
	h := build(t)
	ctx, at := t.Context(), now()
	a := core.Agent{Project: h.by.Project, ID: core.NewID[core.AgentID](), Version: 1, CreatedAt: at, UpdatedAt: at, VersionMadeAt: at}
	need(t, h.db.CreateAgent(ctx, a)) // Active is false
	before, err := h.Sessions(ctx, h.by, core.SessionPage{Limit: 10, IncludeArchived: true})
	need(t, err)
	for _, version := range []int{0, 1} {
		_, err := h.Create(ctx, h.by, session.NewSession{Agent: a.ID, Version: version, Environment: core.NewID[core.EnvironmentID]()})
		if core.KindOf(err) != core.Invalid || !strings.Contains(err.Error(), "deactivated") {
			t.Errorf("at version %d: %v", version, err)
		}
	}
	after, err := h.Sessions(ctx, h.by, core.SessionPage{Limit: 10, IncludeArchived: true})
	need(t, err)
	if len(after) != len(before) {
		t.Errorf("%d sessions, there were %d", len(after), len(before))
	}
}
