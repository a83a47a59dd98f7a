package storetest

import (
	"testing"

	"github.com/reeve-ai/reeve/internal/core"
)

var snapshotPromises = map[string]func(*testing.T, *bundle){
	"ASnapshotIsReplaced": func(t *testing.T, b *bundle) {
		p := b.project(t)
		s, other := b.session(t, p, full(b, t, p)), b.session(t, p, full(b, t, p))
		next := core.AgentSpec{Name: "next", MCPServers: []core.MCPServer{{Type: "url", Name: "n", URL: "https://n.test"}}}
		need(t, b.UpdateSnapshot(b.ctx, p, s.ID, next))
		got, err := b.Session(b.ctx, p, s.ID)
		need(t, err)
		s.Snapshot = &next
		same(t, "session", got, s)
		got, err = b.Session(b.ctx, p, other.ID)
		need(t, err)
		same(t, "another session", got, other)
	},
	"OnlyASnapshotOfTheProjectIsReplaced": func(t *testing.T, b *bundle) {
		s := b.session(t, b.project(t), func(s *core.Session) { s.Snapshot = &core.AgentSpec{Name: "mine"} })
		refused(t, "another project", b.UpdateSnapshot(b.ctx, b.project(t), s.ID, core.AgentSpec{Name: "theirs"}), core.NotFound, "session_not_found")
		got, err := b.Session(b.ctx, s.Project, s.ID)
		need(t, err)
		same(t, "name", got.Snapshot.Name, "mine")
		observed := b.session(t, s.Project, func(s *core.Session) { s.Origin, s.Snapshot, s.AgentVersion = core.OriginObserved, nil, 0 })
		refused(t, "an observed session", b.UpdateSnapshot(b.ctx, s.Project, observed.ID, core.AgentSpec{}), core.NotFound, "session_not_found")
	},
	"ABudgetOfADeploymentIsKept": func(t *testing.T, b *bundle) {
		d := b.deployment(t, b.project(t), func(d *core.Deployment) {
			d.Budget = &core.Budget{Cents: 2500, Currency: "USD"}
			d.Events = []core.InitialEvent{{Type: core.EventUserDefineOutcome, Outcome: &core.NewOutcome{Description: "d", RubricFile: "f", MaxIterations: 2}}}
		})
		got, err := b.Deployment(b.ctx, d.Project, d.ID)
		need(t, err)
		same(t, "made", got, d)
		d.Budget = nil
		need(t, b.UpdateDeployment(b.ctx, d))
		got, err = b.Deployment(b.ctx, d.Project, d.ID)
		need(t, err)
		same(t, "changed", got, d)
	},
}
