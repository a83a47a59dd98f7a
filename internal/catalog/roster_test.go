package catalog_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/catalog"
	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/provider"
	"github.com/reeve-ai/reeve/internal/tool"
)

func agentMember(id core.AgentID, version int) core.RosterMember {
	return core.RosterMember{Kind: core.RosterAgent, Agent: id, Version: version}
}

func TestRosterShapesAreChecked(t *testing.T) {
	t.Parallel()
	twice := members(1)[0]
	negative := members(1)[0]
	negative.Version = -1
	refuse(t, catalog.ClaudeLimits, []invalid{
		{"member twice", roster(twice, twice), "multiagent.agents[1]", false},
		{"two selves", roster(self, self), "multiagent.agents[1]", false},
		{"two advisors", roster(advisor, advisor), "multiagent.agents[1]", false},
		{"unknown kind", roster(core.RosterMember{Kind: "x"}), "multiagent.agents[0].type", false},
		{"agent without an id", roster(core.RosterMember{Kind: core.RosterAgent}), "multiagent.agents[0].id", false},
		{"negative version", roster(negative), "multiagent.agents[0].version", false},
		{"advisor without a model", roster(core.RosterMember{Kind: core.RosterAdvisor}), "multiagent.agents[0].model", false},
		{"advisor with an unknown speed", roster(core.RosterMember{Kind: core.RosterAdvisor, Model: &core.ModelChoice{ID: model, Speed: "warp"}}), "multiagent.agents[0].model.speed", false},
	})
}

func TestRosterMembersMustBeUsable(t *testing.T) {
	t.Parallel()
	f := setup(t)
	foreign, err := f.CreateAgent(t.Context(), f.other, valid(), catalog.CreateOptions{Limits: catalog.ClaudeLimits})
	if err != nil {
		t.Fatal(err)
	}
	plain, archived := f.create(t, valid()), f.create(t, valid())
	if _, err := f.ArchiveAgent(t.Context(), f.admin, archived.ID); err != nil {
		t.Fatal(err)
	}
	off := f.create(t, valid())
	off.Active = false
	if err := f.store.SetAgentState(t.Context(), off); err != nil {
		t.Fatal(err)
	}
	lead := f.create(t, roster(agentMember(plain.ID, 0)))
	pinned := f.create(t, with(func(s *core.AgentSpec) { s.Model.InferenceGeo = "us" }))
	for _, c := range []struct {
		name, field string
		spec        core.AgentSpec
	}{
		{"of another project", "multiagent.agents[0]", roster(agentMember(foreign.ID, 0))},
		{"unknown", "multiagent.agents[1]", roster(self, agentMember(core.NewID[core.AgentID](), 0))},
		{"unknown version", "multiagent.agents[0].version", roster(agentMember(plain.ID, 2))},
		{"archived", "multiagent.agents[0]", roster(agentMember(archived.ID, 0))},
		{"deactivated", "multiagent.agents[0]", roster(agentMember(off.ID, 0))},
		{"with a roster of its own", "multiagent.agents[0]", roster(agentMember(lead.ID, 0))},
		{"bound to another place", "multiagent.agents[0]", roster(agentMember(pinned.ID, 0))},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := f.CreateAgent(t.Context(), f.admin, c.spec, catalog.CreateOptions{Limits: catalog.ClaudeLimits})
			wantError(t, err, core.Invalid, "invalid_field", c.field)
		})
	}
	_, err = f.UpdateAgent(t.Context(), f.admin, lead.ID, catalog.UpdateOptions{Limits: catalog.ClaudeLimits}, func(s *core.AgentSpec) error {
		s.Model.InferenceGeo = "eu"
		return nil
	})
	wantError(t, err, core.Invalid, "invalid_field", "model.inference_geo")
	_, err = f.UpdateAgent(t.Context(), f.admin, lead.ID, catalog.UpdateOptions{Limits: catalog.ClaudeLimits}, func(s *core.AgentSpec) error {
		s.Model.InferenceGeo = "us"
		return nil
	})
	wantError(t, err, core.Invalid, "invalid_field", "multiagent.agents[0]")
}

func TestRosterVersionsArePinnedWhenSaved(t *testing.T) {
	t.Parallel()
	f := setup(t)
	worker := f.create(t, valid())
	rename := func(id core.AgentID, name string) core.Agent {
		a, err := f.UpdateAgent(t.Context(), f.admin, id, catalog.UpdateOptions{Limits: catalog.ClaudeLimits}, func(s *core.AgentSpec) error {
			s.Name = name
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	rename(worker.ID, "second")
	given := roster(advisor, agentMember(worker.ID, 0), self)
	lead := f.create(t, given)
	want := []core.RosterMember{agentMember(worker.ID, 2), self, advisor} // the advisor is kept last
	if diff := cmp.Diff(want, lead.Roster.Members); diff != "" {
		t.Errorf("roster (-want +got):\n%s", diff)
	}
	if given.Roster.Members[1].Version != 0 {
		t.Error("the caller's own definition was changed")
	}
	rename(worker.ID, "third")
	if lead = rename(lead.ID, "lead"); lead.Roster.Members[0].Version != 2 {
		t.Errorf("a change elsewhere moved the pin to version %d", lead.Roster.Members[0].Version)
	}
	if _, err := f.ArchiveAgent(t.Context(), f.admin, worker.ID); err != nil {
		t.Fatal(err)
	}
	rename(lead.ID, "a roster that is left alone is not judged again")

	read := lead.Version
	lead, err := f.UpdateAgent(t.Context(), f.admin, lead.ID, catalog.UpdateOptions{Limits: catalog.ClaudeLimits}, func(s *core.AgentSpec) error {
		s.Name = "lead"
		s.Roster = &core.Roster{Members: []core.RosterMember{agentMember(lead.ID, read)}} // as the wire shows self
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]core.RosterMember{self}, lead.Roster.Members); diff != "" {
		t.Errorf("an agent's own id (-want +got):\n%s", diff)
	}
	_, err = f.UpdateAgent(t.Context(), f.admin, lead.ID, catalog.UpdateOptions{Limits: catalog.ClaudeLimits}, func(s *core.AgentSpec) error {
		s.Tools = nil
		return nil
	})
	wantError(t, err, core.Invalid, "invalid_field", "tools")
}

// The members were bound to the coordinator's place when it was saved: a session's own model must stay there.
func TestVariantOfACoordinatorStaysInItsPlace(t *testing.T) {
	t.Parallel()
	f := setup(t)
	us := f.create(t, with(func(s *core.AgentSpec) { s.Model.InferenceGeo = "us" }))
	team := roster(core.RosterMember{Kind: core.RosterAgent, Agent: us.ID})
	team.Model.InferenceGeo = "us"
	a := f.create(t, team)
	for geo, ok := range map[string]bool{"us": true, "": false, "global": false} {
		variant := a.AgentSpec
		variant.Model = core.ModelChoice{ID: model, InferenceGeo: geo}
		err := f.CheckVariant(a.AgentSpec, variant)
		if ok && err != nil {
			t.Errorf("%q: %v", geo, err)
		} else if !ok {
			wantError(t, err, core.Invalid, "invalid_field", "model.inference_geo")
		}
	}
}

// What a model's provider cannot do is refused when the agent is saved, its advisor's too.
func TestSpeedAndPlaceMustSuitTheProvider(t *testing.T) {
	t.Parallel()
	f := setup(t)
	models, err := provider.Open(provider.Options{AnthropicKey: "k", OpenAIKey: "k"})
	if err != nil {
		t.Fatal(err)
	}
	s := catalog.New(f.store, models, tool.NewRegistry(), nil)
	create := func(m core.ModelChoice, advisor *core.ModelChoice) error {
		spec := with(func(s *core.AgentSpec) { s.Model = m })
		if advisor != nil {
			spec = roster(core.RosterMember{Kind: core.RosterAdvisor, Model: advisor})
			spec.Model = m
		}
		_, err := s.CreateAgent(t.Context(), f.admin, spec, catalog.CreateOptions{Limits: catalog.ClaudeLimits})
		return err
	}
	if err := create(core.ModelChoice{ID: "claude-opus-5", Speed: "fast", InferenceGeo: "us"}, &core.ModelChoice{ID: "claude-fable-5", Speed: "fast", InferenceGeo: "us"}); err != nil {
		t.Error(err)
	}
	if err := create(core.ModelChoice{ID: "gpt-5", Speed: "standard"}, nil); err != nil {
		t.Error(err)
	}
	wantError(t, create(core.ModelChoice{ID: "gpt-5", Speed: "fast"}, nil), core.Invalid, "invalid_field", "model.speed")
	wantError(t, create(core.ModelChoice{ID: "gpt-5", InferenceGeo: "global"}, nil), core.Invalid, "invalid_field", "model.inference_geo")
	wantError(t, create(core.ModelChoice{ID: "claude-opus-5"}, &core.ModelChoice{ID: "gpt-5", Speed: "fast"}), core.Invalid, "invalid_field", "multiagent.agents[0].model.speed")
}
