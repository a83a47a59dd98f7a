package catalog_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/catalog"
	"github.com/reeve-ai/reeve/internal/core"
)

func TestCreatedAgentIsKept(t *testing.T) {
	t.Parallel()
	f := setup(t)
	yes := true
	spec := core.AgentSpec{
		Name: "Release scribe", Description: "Writes notes", System: "Be terse.",
		Model: core.ModelChoice{ID: model, Speed: "standard"},
		Tools: []core.Toolset{
			{
				Kind: core.ToolsetBuiltin, Default: core.ToolConfig{Policy: core.PolicyAsk},
				Configs: []core.ToolConfig{{Name: "bash", Enabled: &yes, Policy: core.PolicyAllow}},
			},
			{Kind: core.ToolsetMCP, Server: "tracker"},
			{
				Kind: core.ToolsetCustom, Name: "lookup", Description: "Looks up an order.",
				InputSchema: json.RawMessage(`{"type":"object","properties":{"order.id":{"type":"string"}},"required":["order.id"]}`),
			},
		},
		MCPServers: []core.MCPServer{{Type: "url", Name: "tracker", URL: "https://mcp.example.com/mcp"}},
		Skills:     f.bindings(t, 1),
		Metadata:   map[string]string{"team": "tools"},
	}
	made := f.create(t, spec)
	if made.Version != 1 || !made.Active || made.CreatedBy != f.admin.User || made.Project != f.admin.Project {
		t.Errorf("agent = %+v, want an active version 1 by its creator", made)
	}
	if made.CreatedAt.IsZero() || made.CreatedAt.Nanosecond()%1000 != 0 || !made.UpdatedAt.Equal(made.CreatedAt) || !made.VersionMadeAt.Equal(made.CreatedAt) {
		t.Errorf("times = %v, %v, %v: want one time in whole microseconds", made.CreatedAt, made.UpdatedAt, made.VersionMadeAt)
	}
	if diff := cmp.Diff(spec, made.AgentSpec); diff != "" {
		t.Errorf("definition (-given +made):\n%s", diff)
	}
	got, err := f.Agent(t.Context(), f.viewer, made.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(made, got); diff != "" {
		t.Errorf("read back (-made +got):\n%s", diff)
	}
}

func TestClientsIDIsKept(t *testing.T) {
	t.Parallel()
	f := setup(t)
	opts := catalog.CreateOptions{ID: "01933b5a000070008000000000000001", Limits: catalog.QoderLimits}
	spec := core.AgentSpec{Name: "a", Model: core.ModelChoice{ID: model}}
	a, err := f.CreateAgent(t.Context(), f.admin, spec, opts)
	if err != nil || a.ID != opts.ID {
		t.Fatalf("agent = %q, %v", a.ID, err)
	}
	_, err = f.CreateAgent(t.Context(), f.admin, spec, opts)
	wantError(t, err, core.Conflict, "agent_already_exists", "")
	if _, err = f.CreateAgent(t.Context(), f.other, spec, opts); err != nil {
		t.Errorf("the same id in another project: %v", err)
	}
	opts.ID = "01933B5A000070008000000000000001"
	_, err = f.CreateAgent(t.Context(), f.admin, spec, opts)
	wantError(t, err, core.Invalid, "invalid_field", "id")
}

func TestUpsertUpdatesInPlace(t *testing.T) {
	t.Parallel()
	f := setup(t)
	opts := catalog.CreateOptions{ID: "01933b5a000070008000000000000002", Limits: catalog.EverrunsLimits}
	spec := core.AgentSpec{Name: "first", System: "x"}
	if _, created, err := f.PutAgent(t.Context(), f.admin, spec, opts); err != nil || !created {
		t.Fatalf("created = %v, %v", created, err)
	}
	_, err := f.UpdateAgent(t.Context(), f.admin, opts.ID, catalog.UpdateOptions{Limits: catalog.ClaudeLimits}, func(s *core.AgentSpec) error {
		s.Metadata = map[string]string{"k": "v"}
		return nil
	})
	if err != nil {
		t.Fatalf("a dialect that wants a model must leave an agent without one alone: %v", err)
	}
	opts.Merge = func(stored *core.AgentSpec, given core.AgentSpec) { stored.Name = given.Name }
	opts.InTx = func(context.Context, core.Store, core.Agent) error { return errors.New("only for new agents") }
	spec.Name = "second"
	a, created, err := f.PutAgent(t.Context(), f.admin, spec, opts)
	if err != nil || created || a.Version != 3 || a.Name != "second" || a.Metadata["k"] != "v" {
		t.Errorf("merged agent = %+v, created %v, %v", a, created, err)
	}
	opts.Merge = nil
	a, _, err = f.PutAgent(t.Context(), f.admin, spec, opts)
	if err != nil || a.Version != 4 || a.Metadata != nil {
		t.Errorf("without Merge the whole definition is replaced, got %+v, %v", a, err)
	}
	if _, err := f.ArchiveAgent(t.Context(), f.admin, opts.ID); err != nil {
		t.Fatal(err)
	}
	_, _, err = f.PutAgent(t.Context(), f.admin, spec, opts)
	wantError(t, err, core.Invalid, "agent_archived", "")
}

func TestInTxFailureUndoesTheAgent(t *testing.T) {
	t.Parallel()
	f := setup(t)
	boom := errors.New("boom")
	var seen core.Agent
	_, err := f.CreateAgent(t.Context(), f.admin, core.AgentSpec{Name: "a", Provider: "Anthropic"}, catalog.CreateOptions{
		Limits: catalog.OtasLimits,
		InTx: func(ctx context.Context, tx core.Store, a core.Agent) error {
			seen = a
			if _, err := tx.Agent(ctx, a.Project, a.ID); err != nil {
				return fmt.Errorf("not there yet: %w", err)
			}
			return boom
		},
	})
	if !errors.Is(err, boom) {
		t.Fatalf("error = %v, want that of InTx", err)
	}
	_, err = f.Agent(t.Context(), f.admin, seen.ID)
	wantError(t, err, core.NotFound, "agent_not_found", "")
}

func TestUpdateMakesVersions(t *testing.T) {
	t.Parallel()
	f := setup(t)
	v1 := f.create(t, core.AgentSpec{
		Name: "scribe", Model: core.ModelChoice{ID: model},
		Tools: []core.Toolset{{Kind: core.ToolsetBuiltin, Configs: []core.ToolConfig{{Name: "bash"}}}},
	})
	update := func(expect int, change func(*core.AgentSpec) error) (core.Agent, error) {
		return f.UpdateAgent(t.Context(), f.admin, v1.ID, catalog.UpdateOptions{Expect: expect, Limits: catalog.ClaudeLimits}, change)
	}
	system := func(text string) func(*core.AgentSpec) error {
		return func(s *core.AgentSpec) error { s.System = text; return nil }
	}
	v2, err := update(1, system("new"))
	if err != nil {
		t.Fatal(err)
	}
	if v2.Version != 2 || v2.System != "new" || !v2.CreatedAt.Equal(v1.CreatedAt) || !v2.UpdatedAt.After(v1.UpdatedAt) || !v2.VersionMadeAt.Equal(v2.UpdatedAt) {
		t.Errorf("version 2 = %+v", v2)
	}
	same, err := update(0, system("new"))
	if err != nil || same.Version != 2 || !same.UpdatedAt.Equal(v2.UpdatedAt) {
		t.Errorf("a change without effect gave version %d at %v, %v", same.Version, same.UpdatedAt, err)
	}
	on := true
	same, err = update(0, func(s *core.AgentSpec) error { // what a client reads: every default written out
		s.Tools[0].Default = core.ToolConfig{Enabled: &on, Policy: core.PolicyAllow}
		s.Tools[0].Configs[0] = core.ToolConfig{Name: "bash", Enabled: &on, Policy: core.PolicyAllow}
		s.Model.Speed, s.Model.Effort = "standard", "high"
		return nil
	})
	if err != nil || same.Version != 2 {
		t.Errorf("defaults written out gave version %d, %v", same.Version, err)
	}
	_, err = update(1, system("new"))
	wantError(t, err, core.Conflict, "version_conflict", "")
	_, err = update(0, func(*core.AgentSpec) error { return core.InvalidField("x", "no") })
	wantError(t, err, core.Invalid, "invalid_field", "x")

	for version, want := range map[int]core.Agent{1: v1, 2: v2} {
		got, err := f.AgentVersion(t.Context(), f.viewer, v1.ID, version)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("version %d (-want +got):\n%s", version, diff)
		}
	}
	_, err = f.AgentVersion(t.Context(), f.viewer, v1.ID, 3)
	wantError(t, err, core.NotFound, "agent_version_not_found", "")
	_, err = f.AgentVersion(t.Context(), f.viewer, v1.ID, 0)
	wantError(t, err, core.Invalid, "invalid_field", "version")
}

func TestVersionsArePagedNewestFirst(t *testing.T) {
	t.Parallel()
	f := setup(t)
	a := f.create(t, core.AgentSpec{Name: "v1", Model: core.ModelChoice{ID: model}})
	for v := 2; v <= 4; v++ {
		_, err := f.UpdateAgent(t.Context(), f.admin, a.ID, catalog.UpdateOptions{Limits: catalog.QoderLimits}, func(s *core.AgentSpec) error {
			s.Name = fmt.Sprintf("v%d", v)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		before, limit int
		want          []string
	}{{0, 10, []string{"v4", "v3", "v2", "v1"}}, {4, 2, []string{"v3", "v2"}}, {1, 2, nil}} {
		list, err := f.AgentVersions(t.Context(), f.viewer, a.ID, c.before, c.limit)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, v := range list {
			names = append(names, v.Name)
		}
		if diff := cmp.Diff(c.want, names); diff != "" {
			t.Errorf("before %d, limit %d (-want +got):\n%s", c.before, c.limit, diff)
		}
	}
	_, err := f.AgentVersions(t.Context(), f.viewer, core.NewID[core.AgentID](), 0, 1)
	wantError(t, err, core.NotFound, "agent_not_found", "")
	_, err = f.AgentVersions(t.Context(), f.viewer, a.ID, 0, 0)
	wantError(t, err, core.Invalid, "invalid_field", "limit")
}

func TestOneOfParallelUpdatesWins(t *testing.T) {
	t.Parallel()
	f := setup(t)
	a := f.create(t, core.AgentSpec{Name: "contested", Model: core.ModelChoice{ID: model}})
	const writers = 8
	errs := make([]error, writers)
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			_, errs[i] = f.UpdateAgent(context.Background(), f.admin, a.ID, catalog.UpdateOptions{Expect: 1, Limits: catalog.ClaudeLimits}, func(s *core.AgentSpec) error {
				s.Name = fmt.Sprint("writer ", i)
				return nil
			})
		})
	}
	wg.Wait()
	winner := -1
	for i, err := range errs {
		if err == nil && winner >= 0 {
			t.Errorf("writers %d and %d both won", winner, i)
		}
		if err == nil {
			winner = i
			continue
		}
		wantError(t, err, core.Conflict, "version_conflict", "")
	}
	got, err := f.Agent(t.Context(), f.admin, a.ID)
	if err != nil || got.Version != 2 || got.Name != fmt.Sprint("writer ", winner) {
		t.Errorf("agent is %q at version %d, %v; writer %d won", got.Name, got.Version, err, winner)
	}
}

func TestParallelUpsertsOfOneIDAllSucceed(t *testing.T) {
	t.Parallel()
	f := setup(t)
	id := core.NewID[core.AgentID]()
	const writers = 8
	created := make([]bool, writers)
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			var err error
			_, created[i], err = f.PutAgent(context.Background(), f.admin, core.AgentSpec{Name: fmt.Sprint("n", i)}, catalog.CreateOptions{ID: id, Limits: catalog.EverrunsLimits})
			if err != nil {
				t.Errorf("writer %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	n := 0
	for _, c := range created {
		if c {
			n++
		}
	}
	got, err := f.Agent(t.Context(), f.admin, id)
	if err != nil || n != 1 || got.Version != writers {
		t.Errorf("%d writers made the agent, it is at version %d, %v; want 1 and %d", n, got.Version, err, writers)
	}
}

func TestAnAgentIsSwitchedOffAndOn(t *testing.T) {
	t.Parallel()
	f := setup(t)
	ctx := t.Context()
	a := f.create(t, core.AgentSpec{Name: "switch", Model: core.ModelChoice{ID: model}})
	spared := f.create(t, core.AgentSpec{Name: "other", Model: core.ModelChoice{ID: model}})
	want := a
	for _, step := range []struct {
		name   string
		change func(context.Context, core.Principal, core.AgentID) (core.Agent, error)
		active bool
	}{{"off", f.DeactivateAgent, false}, {"on", f.ReactivateAgent, true}} {
		got, err := step.change(ctx, f.admin, a.ID)
		if err != nil || !got.UpdatedAt.After(want.UpdatedAt) {
			t.Fatalf("%s: updated at %v, %v", step.name, got.UpdatedAt, err)
		}
		want.Active, want.UpdatedAt = step.active, got.UpdatedAt
		again, err := step.change(ctx, f.admin, a.ID)
		if err != nil {
			t.Fatalf("%s again: %v", step.name, err)
		}
		stored, err := f.Agent(ctx, f.viewer, a.ID)
		if err != nil {
			t.Fatal(err)
		}
		for what, got := range map[string]core.Agent{"answer": got, "again": again, "stored": stored} {
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s, %s (-want +got):\n%s", step.name, what, diff)
			}
		}
		list, err := f.Agents(ctx, f.viewer, core.AgentPage{Limit: 10, ActiveOnly: true})
		if n := map[bool]int{true: 2, false: 1}[step.active]; err != nil || len(list) != n {
			t.Errorf("%s: %d active agents, %v", step.name, len(list), err)
		}
	}
	if _, err := f.ArchiveAgent(ctx, f.admin, a.ID); err != nil {
		t.Fatal(err)
	}
	_, err := f.DeactivateAgent(ctx, f.admin, a.ID)
	wantError(t, err, core.Conflict, "agent_archived", "")
	_, err = f.ReactivateAgent(ctx, f.admin, a.ID)
	wantError(t, err, core.Conflict, "agent_archived", "")
	if got, err := f.Agent(ctx, f.admin, spared.ID); err != nil || !got.Active {
		t.Errorf("another agent: %+v, %v", got, err)
	}
}

func TestArchivingIsFinal(t *testing.T) {
	t.Parallel()
	f := setup(t)
	a := f.create(t, core.AgentSpec{Name: "old", Model: core.ModelChoice{ID: model}})
	archived, err := f.ArchiveAgent(t.Context(), f.admin, a.ID)
	if err != nil || archived.ArchivedAt.IsZero() || archived.Version != 1 || !archived.UpdatedAt.Equal(archived.ArchivedAt) {
		t.Fatalf("archived = %+v, %v", archived, err)
	}
	again, err := f.ArchiveAgent(t.Context(), f.admin, a.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(archived, again); diff != "" {
		t.Errorf("archived twice (-first +second):\n%s", diff)
	}
	_, err = f.UpdateAgent(t.Context(), f.admin, a.ID, catalog.UpdateOptions{Limits: catalog.ClaudeLimits}, func(*core.AgentSpec) error { return nil })
	wantError(t, err, core.Invalid, "agent_archived", "")
	for _, c := range []struct {
		all  bool
		want int
	}{{false, 0}, {true, 1}} {
		page := core.AgentPage{Limit: 10, IncludeArchived: c.all}
		list, err := f.Agents(t.Context(), f.viewer, page)
		n, countErr := f.CountAgents(t.Context(), f.viewer, page)
		if err != nil || countErr != nil || len(list) != c.want || n != c.want {
			t.Errorf("include archived %v: %d listed, %d counted, want %d (%v, %v)", c.all, len(list), n, c.want, err, countErr)
		}
	}
}

func TestAgentIsFoundByItsExactName(t *testing.T) {
	t.Parallel()
	f := setup(t)
	named := func(name string) core.AgentID {
		return f.create(t, core.AgentSpec{Name: name, Model: core.ModelChoice{ID: model}}).ID
	}
	named("Desk")
	newest, longer, gone := named("Desk"), named("Desk 2"), named("Desk")
	if _, err := f.ArchiveAgent(t.Context(), f.admin, gone); err != nil {
		t.Fatal(err)
	}
	onlyArchived := named("Attic")
	if _, err := f.ArchiveAgent(t.Context(), f.admin, onlyArchived); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]core.AgentID{"Desk": newest, "Desk 2": longer, "Attic": onlyArchived} {
		got, err := f.AgentByName(t.Context(), f.viewer, name)
		if err != nil || got.ID != want {
			t.Errorf("%q is agent %s, %v; want %s", name, got.ID, err, want)
		}
	}
	for _, name := range []string{"desk", "Des", "", "Desk\x00", "100%"} {
		_, err := f.AgentByName(t.Context(), f.viewer, name)
		wantError(t, err, core.NotFound, "agent_not_found", "")
	}
	_, err := f.AgentByName(t.Context(), f.other, "Desk")
	wantError(t, err, core.NotFound, "agent_not_found", "")
}

func TestRolesAndProjectsAreSeparate(t *testing.T) {
	t.Parallel()
	f := setup(t)
	a := f.create(t, core.AgentSpec{Name: "a", Model: core.ModelChoice{ID: model}})
	calls := map[string]func(by core.Principal) error{
		"update": func(by core.Principal) error {
			_, err := f.UpdateAgent(t.Context(), by, a.ID, catalog.UpdateOptions{Limits: catalog.ClaudeLimits}, func(*core.AgentSpec) error { return nil })
			return err
		},
		"archive":       func(by core.Principal) error { _, err := f.ArchiveAgent(t.Context(), by, a.ID); return err },
		"deactivate":    func(by core.Principal) error { _, err := f.DeactivateAgent(t.Context(), by, a.ID); return err },
		"reactivate":    func(by core.Principal) error { _, err := f.ReactivateAgent(t.Context(), by, a.ID); return err },
		"read":          func(by core.Principal) error { _, err := f.Agent(t.Context(), by, a.ID); return err },
		"read version":  func(by core.Principal) error { _, err := f.AgentVersion(t.Context(), by, a.ID, 1); return err },
		"list versions": func(by core.Principal) error { _, err := f.AgentVersions(t.Context(), by, a.ID, 0, 1); return err },
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			wantError(t, call(f.other), core.NotFound, "agent_not_found", "")
			wantError(t, call(core.Principal{}), core.Forbidden, "forbidden", "")
		})
	}
	for _, name := range []string{"update", "archive", "deactivate", "reactivate"} {
		wantError(t, calls[name](f.member), core.Forbidden, "forbidden", "")
	}
	_, err := f.CreateAgent(t.Context(), f.member, core.AgentSpec{Name: "b", Model: core.ModelChoice{ID: model}}, catalog.CreateOptions{Limits: catalog.ClaudeLimits})
	wantError(t, err, core.Forbidden, "forbidden", "")
	if list, err := f.Agents(t.Context(), f.other, core.AgentPage{Limit: 10}); err != nil || len(list) != 0 {
		t.Errorf("another project lists %d agents, %v", len(list), err)
	}
	_, err = f.Agents(t.Context(), core.Principal{}, core.AgentPage{Limit: 10})
	wantError(t, err, core.Forbidden, "forbidden", "")
	_, err = f.CountAgents(t.Context(), core.Principal{}, core.AgentPage{})
	wantError(t, err, core.Forbidden, "forbidden", "")
}
