package compat

import (
	"slices"
	"strconv"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"

	"github.com/reeve-ai/reeve/internal/app/apptest"
)

func agentID(a anthropic.BetaManagedAgentsAgent) string     { return a.ID }
func sessionID(s anthropic.BetaManagedAgentsSession) string { return s.ID }

func goAgents(t *testing.T, g *gosdk) {
	agents, ctx := g.Beta.Agents, t.Context()
	made := g.newAgent(t, `{"description":"Helps.","metadata":{"team":"a","site":"x"}}`)
	equal(t, made.Tools[0].AsAgentToolset20260401().DefaultConfig.PermissionPolicy.Type, "always_allow")
	change := func(text string) *anthropic.BetaManagedAgentsAgent {
		t.Helper()
		return must(agents.Update(ctx, made.ID, from[anthropic.BetaAgentUpdateParams](t, text)))(t)
	}
	merged := change(`{"version":1,"metadata":{"team":"b"}}`)
	equal(t, merged.Metadata, map[string]string{"team": "b", "site": "x"})
	equal(t, merged.System, "Be brief.")
	cleared := change(`{"version":2,"system":null,"tools":[],"description":""}`)
	holds(t, cleared.Version == 3 && !cleared.JSON.System.Valid() && len(cleared.Tools) == 0, cleared.RawJSON())
	equal(t, change(`{"version":3,"name":"Helper"}`).Version, 3)
	equal(t, must(agents.Get(ctx, made.ID, anthropic.BetaAgentGetParams{}))(t).Version, 3)
	equal(t, must(agents.Get(ctx, made.ID, anthropic.BetaAgentGetParams{Version: anthropic.Int(1)}))(t).System, "Be brief.")
	versions := all(t, agents.Versions.ListAutoPaging(ctx, made.ID, anthropic.BetaAgentVersionListParams{Limit: anthropic.Int(2)}), func(a anthropic.BetaManagedAgentsAgent) int64 { return a.Version })
	equal(t, versions, []int64{3, 2, 1})
	archived := must(agents.Archive(ctx, made.ID, anthropic.BetaAgentArchiveParams{}))(t)
	holds(t, !archived.ArchivedAt.IsZero(), archived.RawJSON())
	_, err := agents.Update(ctx, made.ID, from[anthropic.BetaAgentUpdateParams](t, `{"version":3,"name":"Other"}`))
	refused(t, err, 400, "invalid_request_error")
	there := all(t, agents.ListAutoPaging(ctx, anthropic.BetaAgentListParams{Limit: anthropic.Int(100)}), agentID)
	holds(t, !slices.Contains(there, made.ID), there)
	there = all(t, agents.ListAutoPaging(ctx, anthropic.BetaAgentListParams{Limit: anthropic.Int(100), IncludeArchived: anthropic.Bool(true)}), agentID)
	holds(t, slices.Contains(there, made.ID), there)
}

func goStaleVersion(t *testing.T, g *gosdk) {
	made := g.newAgent(t, "")
	update := func(name string) error {
		_, err := g.Beta.Agents.Update(t.Context(), made.ID, anthropic.BetaAgentUpdateParams{Version: anthropic.Int(1), Name: anthropic.String(name)})
		return err
	}
	if err := update("Second"); err != nil {
		t.Fatal(err)
	}
	count := func() int {
		n, err := strconv.Atoi(g.ask(t.Context(), t, "GET", "count?path=/v1/agents/"+made.ID))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := count()
	refused(t, update("Third"), 409, "conflict_error")
	equal(t, count()-before, 1)
}

func goLists(t *testing.T, g *gosdk) {
	var old []string
	for i := range 5 {
		old = append(old, g.newAgent(t, `{"name":"Listed `+strconv.Itoa(i)+`"}`).ID)
	}
	slices.Reverse(old)
	var seen []string
	page := must(g.Beta.Agents.List(t.Context(), anthropic.BetaAgentListParams{Limit: anthropic.Int(2)}))(t)
	for page != nil {
		for _, a := range page.Data {
			seen = append(seen, a.ID)
		}
		g.newAgent(t, `{"name":"Inserted"}`)
		page = must(page.GetNextPage())(t)
	}
	twice := slices.Clone(seen)
	slices.Sort(twice)
	equal(t, len(slices.Compact(twice)), len(seen))
	equal(t, slices.DeleteFunc(seen, func(id string) bool { return !slices.Contains(old, id) }), old)
}

func goEnvironments(t *testing.T, g *gosdk) {
	environments, ctx := g.Beta.Environments, t.Context()
	made := must(environments.New(ctx, from[anthropic.BetaEnvironmentNewParams](t,
		`{"name":"box","description":"A box.","metadata":{"a":"1","b":"2"},"config":{"type":"cloud","networking":{"type":"limited","allowed_hosts":["example.com"]}}}`)))(t)
	equal(t, made.Config.Networking.AllowedHosts, []string{"example.com"})
	changed := must(environments.Update(ctx, made.ID, from[anthropic.BetaEnvironmentUpdateParams](t, `{"name":"crate","metadata":{"a":""}}`)))(t)
	equal(t, changed.Name, "crate")
	equal(t, changed.Metadata, map[string]string{"b": "2"})
	equal(t, changed.Config.RawJSON(), made.Config.RawJSON())
	equal(t, must(environments.Get(ctx, made.ID, anthropic.BetaEnvironmentGetParams{}))(t).RawJSON(), changed.RawJSON())
	there := all(t, environments.ListAutoPaging(ctx, anthropic.BetaEnvironmentListParams{Limit: anthropic.Int(2)}), func(e anthropic.BetaEnvironment) string { return e.ID })
	holds(t, slices.Contains(there, made.ID), there)
	archived := must(environments.Archive(ctx, made.ID, anthropic.BetaEnvironmentArchiveParams{}))(t)
	holds(t, archived.ArchivedAt != "", archived.RawJSON())
	equal(t, string(must(environments.Delete(ctx, made.ID, anthropic.BetaEnvironmentDeleteParams{}))(t).Type), "environment_deleted")
	_, err := environments.Get(ctx, made.ID, anthropic.BetaEnvironmentGetParams{})
	refused(t, err, 404, "not_found_error")
}

func goSessions(t *testing.T, g *gosdk) {
	sessions, ctx := g.Beta.Sessions, t.Context()
	agent := g.newAgent(t, "").ID
	must(g.Beta.Agents.Update(ctx, agent, anthropic.BetaAgentUpdateParams{Version: anthropic.Int(1), System: anthropic.String("Be long.")}))(t)
	environment := g.newEnvironment(t, "")
	create := func(of, more string) *anthropic.BetaManagedAgentsSession {
		t.Helper()
		return must(sessions.New(ctx, from[anthropic.BetaSessionNewParams](t, `{"environment_id":"`+environment+`","agent":`+of+more+`}`)))(t)
	}
	newest := create(`"`+agent+`"`, `,"title":"One","metadata":{"k":"v"}`)
	holds(t, newest.Status == "idle" && newest.Agent.Version == 2, newest.RawJSON())
	pinned := create(`{"type":"agent","id":"`+agent+`","version":1}`, "")
	equal(t, pinned.Agent.System, "Be brief.")
	overridden := create(`{"type":"agent_with_overrides","id":"`+agent+`","system":"Be kind.","tools":[]}`, "")
	holds(t, overridden.Agent.System == "Be kind." && len(overridden.Agent.Tools) == 0, overridden.RawJSON())
	begun := create(`"`+agent+`"`, `,"initial_events":[`+sent("Hello")+`]`)
	equal(t, string(begun.Status), "running")

	updated := must(sessions.Update(ctx, newest.ID, from[anthropic.BetaSessionUpdateParams](t, `{"title":"Two","metadata":{"l":"w"}}`)))(t)
	equal(t, updated.Title, "Two")
	equal(t, updated.Metadata, map[string]string{"k": "v", "l": "w"})
	ids := []string{newest.ID, pinned.ID, overridden.ID, begun.ID}
	listed := func(params anthropic.BetaSessionListParams) []string {
		t.Helper()
		params.AgentID, params.Limit = anthropic.String(agent), anthropic.Int(2)
		return all(t, sessions.ListAutoPaging(ctx, params), sessionID)
	}
	equal(t, listed(anthropic.BetaSessionListParams{Order: "asc"}), ids)
	slices.Reverse(ids)
	equal(t, listed(anthropic.BetaSessionListParams{}), ids)
	equal(t, listed(anthropic.BetaSessionListParams{AgentVersion: anthropic.Int(1)}), []string{pinned.ID})
	idle := listed(anthropic.BetaSessionListParams{Statuses: []string{"idle"}})
	holds(t, slices.Contains(idle, newest.ID), idle)
	_, err := g.Beta.Environments.Delete(ctx, environment, anthropic.BetaEnvironmentDeleteParams{})
	refused(t, err, 409, "conflict_error")

	equal(t, string(must(sessions.Archive(ctx, newest.ID, anthropic.BetaSessionArchiveParams{}))(t).Status), "terminated")
	refused(t, g.send(t, newest.ID, sent("Hello?")), 400, "invalid_request_error")
	equal(t, string(must(sessions.Delete(ctx, pinned.ID, anthropic.BetaSessionDeleteParams{}))(t).Type), "session_deleted")
	_, err = sessions.Get(ctx, pinned.ID, anthropic.BetaSessionGetParams{})
	refused(t, err, 404, "not_found_error")
}

func goModels(t *testing.T, g *gosdk) {
	ctx := t.Context()
	names := all(t, g.Beta.Models.ListAutoPaging(ctx, anthropic.BetaModelListParams{Limit: anthropic.Int(2)}), func(m anthropic.BetaModelInfo) string { return m.ID })
	holds(t, slices.Contains(names, apptest.Model), names)
	equal(t, len(must(g.Models.List(ctx, anthropic.ModelListParams{Limit: anthropic.Int(2)}))(t).Data), 2)
	equal(t, must(g.Beta.Models.Get(ctx, apptest.Model, anthropic.BetaModelGetParams{}))(t).ID, apptest.Model)
}

func goErrors(t *testing.T, g *gosdk) {
	agents, ctx := g.Beta.Agents, t.Context()
	_, err := agents.Get(ctx, "agent_011CZkYpogX7uDKUyvBTophP", anthropic.BetaAgentGetParams{})
	refused(t, err, 404, "not_found_error")
	_, err = agents.New(ctx, from[anthropic.BetaAgentNewParams](t, `{"name":"","model":{"id":"`+apptest.Model+`"}}`))
	refused(t, err, 400, "invalid_request_error")
	_, err = agents.List(ctx, anthropic.BetaAgentListParams{}, option.WithAPIKey("sk-ant-wrong"))
	refused(t, err, 401, "authentication_error")
}
