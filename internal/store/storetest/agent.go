package storetest

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// fullSpec uses every part of a definition.
func fullSpec() core.AgentSpec {
	yes := true
	return core.AgentSpec{
		Name: "Reviewer", DisplayName: "The <Reviewer>", Description: "reads & writes", Provider: "Anthropic", System: "be kind\n\u2028",
		Model: core.ModelChoice{ID: "m", Effort: "high", Speed: "fast", InferenceGeo: "eu", ContextWindow: 1 << 20},
		Tools: []core.Toolset{
			{Kind: core.ToolsetBuiltin, Configs: []core.ToolConfig{{Name: "bash", Enabled: &yes, Policy: core.PolicyAsk}}, Enabled: []string{"bash"}},
			{Kind: core.ToolsetCustom, Name: "t", Description: "d", InputSchema: json.RawMessage(`{"type":"object"}`)},
		},
		MCPServers:   []core.MCPServer{{Type: "url", Name: "n", URL: "https://example.org"}},
		Skills:       []core.SkillBinding{{Type: "custom", Skill: "s", Version: "3"}},
		Roster:       &core.Roster{Members: []core.RosterMember{{Kind: core.RosterAgent, Agent: "a", Version: 2}}},
		Metadata:     map[string]string{"k": "v"},
		Capabilities: []core.CapabilityRef{{Ref: "current_time", Config: json.RawMessage(`{"a":1}`)}},
		Tags:         []string{"x", "y"},
	}
}

var agentPromises = map[string]func(*testing.T, *bundle){
	"AnAgentComesBackAsItWentIn": func(t *testing.T, b *bundle) {
		want := b.agent(t, b.project(t), func(a *core.Agent) {
			a.AgentSpec, a.CreatedBy, a.Active, a.ArchivedAt = fullSpec(), "u", false, at(9)
			a.CreatedAt, a.UpdatedAt, a.VersionMadeAt = at(1), at(2), at(3)
		})
		got, err := b.Agent(b.ctx, want.Project, want.ID)
		need(t, err)
		same(t, "agent", got, want)
		got, err = b.AgentVersion(b.ctx, want.Project, want.ID, 1)
		need(t, err)
		same(t, "version 1", got, want)
	},
	"ATakenIDIsConflictAndOnlyInItsProject": func(t *testing.T, b *bundle) {
		first := b.agent(t, b.project(t))
		again := first
		again.Name = "second"
		refused(t, "CreateAgent", b.CreateAgent(b.ctx, again), core.Conflict, "agent_already_exists")
		again.Project = b.project(t)
		need(t, b.CreateAgent(b.ctx, again))
		for project, name := range map[core.ProjectID]string{first.Project: "agent", again.Project: "second"} {
			got, err := b.Agent(b.ctx, project, first.ID)
			need(t, err)
			same(t, "name", got.Name, name)
		}
	},
	"AnAgentNeedsItsProject": func(t *testing.T, b *bundle) {
		refused(t, "CreateAgent", b.CreateAgent(b.ctx, core.Agent{Project: "none", ID: "a"}), core.NotFound, "reference_not_found")
	},
	"AnUnknownAgentIsNotFound": func(t *testing.T, b *bundle) {
		a := b.agent(t, b.project(t))
		_, err := b.Agent(b.ctx, a.Project, "none")
		refused(t, "Agent", err, core.NotFound, "agent_not_found")
		_, err = b.AgentVersion(b.ctx, a.Project, "none", 1)
		refused(t, "AgentVersion of none", err, core.NotFound, "agent_not_found")
		_, err = b.AgentVersion(b.ctx, a.Project, a.ID, 2)
		refused(t, "AgentVersion 2", err, core.NotFound, "")
		_, err = b.AgentVersions(b.ctx, a.Project, "none", 0, 10)
		refused(t, "AgentVersions", err, core.NotFound, "agent_not_found")
		refused(t, "UpdateAgent", b.UpdateAgent(b.ctx, core.Agent{Project: a.Project, ID: "none", Version: 2}), core.NotFound, "agent_not_found")
		refused(t, "SetAgentState", b.SetAgentState(b.ctx, core.Agent{Project: a.Project, ID: "none"}), core.NotFound, "agent_not_found")
	},
	"AnUpdateMakesTheNextVersion": func(t *testing.T, b *bundle) {
		first := b.agent(t, b.project(t))
		second := first
		second.Version, second.AgentSpec = 2, fullSpec()
		second.UpdatedAt, second.VersionMadeAt = kept(at(50)), kept(at(51))
		need(t, b.UpdateAgent(b.ctx, second))
		for version, want := range map[int]core.Agent{0: second, 1: first, 2: second} {
			got, err := b.Agent(b.ctx, first.Project, first.ID)
			if version > 0 {
				got, err = b.AgentVersion(b.ctx, first.Project, first.ID, version)
			}
			need(t, err)
			same(t, fmt.Sprintf("version %d", version), got, want)
		}
	},
	"AnUpdateOfAnOlderVersionIsConflict": func(t *testing.T, b *bundle) {
		a := b.agent(t, b.project(t))
		for _, version := range []int{0, 1, 3} {
			next := a
			next.Version, next.Name = version, "changed"
			refused(t, fmt.Sprintf("to version %d", version), b.UpdateAgent(b.ctx, next), core.Conflict, "version_conflict")
		}
		got, err := b.Agent(b.ctx, a.Project, a.ID)
		need(t, err)
		same(t, "agent", got, a)
	},
	"VersionsAreListedNewestFirstBelowAPlace": func(t *testing.T, b *bundle) {
		a := b.agent(t, b.project(t))
		for a.Version = 2; a.Version <= 5; a.Version++ {
			need(t, b.UpdateAgent(b.ctx, a))
		}
		for _, c := range []struct {
			before, limit int
			want          []int
		}{{0, 10, []int{5, 4, 3, 2, 1}}, {0, 2, []int{5, 4}}, {4, 2, []int{3, 2}}, {2, 2, []int{1}}, {1, 2, []int{}}} {
			list, err := b.AgentVersions(b.ctx, a.Project, a.ID, c.before, c.limit)
			need(t, err)
			got := make([]int, len(list))
			for i, v := range list {
				got[i] = v.Version
			}
			same(t, fmt.Sprintf("below %d", c.before), got, c.want)
		}
	},
	"TheStateOfAnAgentChangesWithoutAVersion": func(t *testing.T, b *bundle) {
		first := b.agent(t, b.project(t))
		second := first
		second.Version, second.UpdatedAt = 2, kept(at(50))
		need(t, b.UpdateAgent(b.ctx, second))
		change := second
		change.Active, change.ArchivedAt, change.UpdatedAt = false, kept(at(60)), kept(at(61))
		change.Name, change.CreatedAt = "not stored", at(99)
		need(t, b.SetAgentState(b.ctx, change))
		want := second
		want.Active, want.ArchivedAt, want.UpdatedAt = false, change.ArchivedAt, change.UpdatedAt
		got, err := b.Agent(b.ctx, first.Project, first.ID)
		need(t, err)
		same(t, "agent", got, want)
		got, err = b.AgentVersion(b.ctx, first.Project, first.ID, 1)
		need(t, err)
		same(t, "time of the older version", got.UpdatedAt, first.UpdatedAt)
	},
}

// named makes agents with these names, each a second after the one before.
func (b *bundle) named(t *testing.T, project core.ProjectID, names ...string) map[string]core.Agent {
	t.Helper()
	made := map[string]core.Agent{}
	for _, name := range names {
		made[name] = b.agent(t, project, func(a *core.Agent) { a.Name = name })
	}
	return made
}

// names lists agents and returns their names.
func (b *bundle) names(t *testing.T, project core.ProjectID, page core.AgentPage) []string {
	t.Helper()
	if page.Limit == 0 {
		page.Limit = 100
	}
	list, err := b.Agents(b.ctx, project, page)
	need(t, err)
	return ids(list, func(a core.Agent) string { return a.Name })
}

func agentPlace(a core.Agent) *core.PageKey {
	return &core.PageKey{CreatedAt: a.CreatedAt, ID: string(a.ID)}
}

var agentListPromises = map[string]func(*testing.T, *bundle){
	"PagesGoInBothDirections": func(t *testing.T, b *bundle) {
		p := b.project(t)
		a := b.named(t, p, "1", "2", "3", "4", "5")
		for _, c := range []struct {
			name string
			page core.AgentPage
			want []string
		}{
			{"newest first", core.AgentPage{}, []string{"5", "4", "3", "2", "1"}},
			{"limited", core.AgentPage{Limit: 2}, []string{"5", "4"}},
			{"after", core.AgentPage{Limit: 2, After: agentPlace(a["4"])}, []string{"3", "2"}},
			{"after the last", core.AgentPage{Limit: 2, After: agentPlace(a["1"])}, []string{}},
			{"before", core.AgentPage{Limit: 2, Before: agentPlace(a["1"])}, []string{"3", "2"}},
			{"before the first", core.AgentPage{Limit: 2, Before: agentPlace(a["5"])}, []string{}},
			{"between", core.AgentPage{After: agentPlace(a["5"]), Before: agentPlace(a["2"])}, []string{"4", "3"}},
			{"oldest first", core.AgentPage{Ascending: true, Limit: 2}, []string{"1", "2"}},
			{"oldest first, after", core.AgentPage{Ascending: true, Limit: 2, After: agentPlace(a["2"])}, []string{"3", "4"}},
			{"oldest first, before", core.AgentPage{Ascending: true, Limit: 2, Before: agentPlace(a["5"])}, []string{"3", "4"}},
			{"offset", core.AgentPage{Limit: 2, Offset: 1}, []string{"4", "3"}},
			{"offset past the end", core.AgentPage{Limit: 2, Offset: 9}, []string{}},
		} {
			same(t, c.name, b.names(t, p, c.page), c.want)
		}
	},
	"AgentsOfTheSameMomentAreOrderedByID": func(t *testing.T, b *bundle) {
		p := b.project(t)
		for _, id := range []core.AgentID{"b", "c", "a"} {
			b.agent(t, p, func(a *core.Agent) { a.ID, a.Name, a.CreatedAt = id, string(id), at(0) })
		}
		same(t, "order", b.names(t, p, core.AgentPage{}), []string{"c", "b", "a"})
		place := &core.PageKey{CreatedAt: at(0), ID: "b"}
		same(t, "after", b.names(t, p, core.AgentPage{After: place}), []string{"a"})
		same(t, "before", b.names(t, p, core.AgentPage{Before: place}), []string{"c"})
	},
	"WhatIsMadeBetweenPagesShiftsNone": func(t *testing.T, b *bundle) {
		p := b.project(t)
		a := b.named(t, p, "1", "2", "3", "4")
		same(t, "first page", b.names(t, p, core.AgentPage{Limit: 2}), []string{"4", "3"})
		b.named(t, p, "5", "6")
		same(t, "second page", b.names(t, p, core.AgentPage{Limit: 2, After: agentPlace(a["3"])}), []string{"2", "1"})
		same(t, "back", b.names(t, p, core.AgentPage{Limit: 2, Before: agentPlace(a["2"])}), []string{"4", "3"})
		same(t, "further back", b.names(t, p, core.AgentPage{Limit: 9, Before: agentPlace(a["4"])}), []string{"6", "5"})
	},
	"FiltersNarrowAndCountAgrees": func(t *testing.T, b *bundle) {
		p := b.project(t)
		made := b.named(t, p, "live", "idle", "gone")
		idle, gone := made["idle"], made["gone"]
		idle.Active, gone.ArchivedAt = false, at(99)
		need(t, b.SetAgentState(b.ctx, idle))
		need(t, b.SetAgentState(b.ctx, gone))
		b.named(t, b.project(t), "foreign")
		created := made["idle"].CreatedAt
		for _, c := range []struct {
			name string
			page core.AgentPage
			want []string
		}{
			{"default", core.AgentPage{}, []string{"idle", "live"}},
			{"active", core.AgentPage{ActiveOnly: true}, []string{"live"}},
			{"archived too", core.AgentPage{IncludeArchived: true}, []string{"gone", "idle", "live"}},
			{"both", core.AgentPage{IncludeArchived: true, ActiveOnly: true}, []string{"gone", "live"}},
			{"from", core.AgentPage{IncludeArchived: true, CreatedFrom: created}, []string{"gone", "idle"}},
			{"to", core.AgentPage{IncludeArchived: true, CreatedTo: created}, []string{"idle", "live"}},
			{"from and to", core.AgentPage{CreatedFrom: created, CreatedTo: created}, []string{"idle"}},
			{"from later", core.AgentPage{IncludeArchived: true, CreatedFrom: created.Add(time.Microsecond)}, []string{"gone"}},
		} {
			same(t, c.name, b.names(t, p, c.page), c.want)
			c.page.Limit, c.page.Offset, c.page.After = 1, 5, agentPlace(made["live"])
			n, err := b.CountAgents(b.ctx, p, c.page)
			need(t, err)
			same(t, c.name+": count", n, len(c.want))
		}
	},
	"SearchFindsPartsInAnyCase": func(t *testing.T, b *bundle) {
		p := b.project(t)
		b.agent(t, p, func(a *core.Agent) { a.Name, a.Description = "Äpfel", "Sorts FRUIT" })
		b.agent(t, p, func(a *core.Agent) { a.Name, a.Description = "100%", `a_b\c` })
		b.agent(t, p, func(a *core.Agent) { a.Name, a.System = "plain", "fruit" })
		for search, want := range map[string][]string{
			"äPF": {"Äpfel"}, "fruit": {"Äpfel"}, "%": {"100%"}, "a_b": {"100%"}, `\c`: {"100%"}, "0_": {}, "A": {"plain", "100%"},
			"ÄpfelSorts": {}, "": {"plain", "100%", "Äpfel"},
		} {
			same(t, "search "+search, b.names(t, p, core.AgentPage{Search: search}), want)
		}
	},
	"SearchLooksAtTheNewestVersion": func(t *testing.T, b *bundle) {
		p := b.project(t)
		a := b.named(t, p, "before")["before"]
		a.Version, a.Name = 2, "after"
		need(t, b.UpdateAgent(b.ctx, a))
		same(t, "old name", b.names(t, p, core.AgentPage{Search: "before"}), []string{})
		same(t, "new name", b.names(t, p, core.AgentPage{Search: "after"}), []string{"after"})
	},
}
