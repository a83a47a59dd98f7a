package deployment_test

import (
	"strings"
	"testing"
	"time"

	"github.com/reeve-ai/reeve/internal/catalog"
	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/deployment"
)

func TestWhatADeploymentRefersToIsJudgedWhenItIsMade(t *testing.T) {
	t.Parallel()
	h := build(t)
	for name, c := range map[string]struct {
		edit  func(*core.Deployment)
		field string
	}{
		"no name":            {func(d *core.Deployment) { d.Name = "" }, "name"},
		"a long name":        {func(d *core.Deployment) { d.Name = strings.Repeat("ü", 257) }, "name"},
		"a long description": {func(d *core.Deployment) { d.Description = strings.Repeat("x", 2049) }, "description"},
		"no events":          {func(d *core.Deployment) { d.Events = nil }, "initial_events"},
		"too many events":    {func(d *core.Deployment) { d.Events = make([]core.InitialEvent, 51) }, "initial_events"},
		"an event of no use": {func(d *core.Deployment) {
			d.Events = append(d.Events, core.InitialEvent{Type: core.EventUserInterrupt})
		}, "initial_events[1].type"},
		"an empty message":     {func(d *core.Deployment) { d.Events[0].Message = &core.Message{} }, "initial_events[0].content"},
		"too much metadata":    {func(d *core.Deployment) { d.Metadata = map[string]string{"k": strings.Repeat("x", 513)} }, "metadata.k"},
		"no agent":             {func(d *core.Deployment) { d.Agent = "" }, "agent"},
		"an unknown agent":     {func(d *core.Deployment) { d.Agent = core.NewID[core.AgentID]() }, "agent"},
		"an unknown version":   {func(d *core.Deployment) { d.AgentVersion = 7 }, "agent"},
		"no environment":       {func(d *core.Deployment) { d.Environment = "" }, "environment_id"},
		"unknown environment":  {func(d *core.Deployment) { d.Environment = "x" }, "environment_id"},
		"an unknown vault":     {func(d *core.Deployment) { d.VaultIDs = []string{string(h.vault.ID), "x"} }, "vault_ids[1]"},
		"too many vaults":      {func(d *core.Deployment) { d.VaultIDs = make([]string, 51) }, "vault_ids"},
		"a bad expression":     {func(d *core.Deployment) { d.Schedule.Expression = "@daily" }, "schedule.expression"},
		"a bad zone":           {func(d *core.Deployment) { d.Schedule.Timezone = "Nowhere" }, "schedule.timezone"},
		"a date that is none":  {func(d *core.Deployment) { d.Schedule.Expression = "0 0 31 4 *" }, "schedule.expression"},
		"a zone and no minute": {func(d *core.Deployment) { d.Schedule.Expression = "" }, "schedule.expression"},
	} {
		_, err := h.Create(t.Context(), h.by, h.draft(c.edit))
		if core.KindOf(err) != core.Invalid || !strings.Contains(err.Error(), ": "+c.field+": ") {
			t.Errorf("%s: %v, want the field %s", name, err, c.field)
		}
	}
	list, err := h.Deployments(t.Context(), h.by, core.DeploymentPage{Limit: 10, IncludeArchived: true})
	need(t, err)
	same(t, "deployments", len(list), 0)
}

func TestRolesOfDeployments(t *testing.T) {
	t.Parallel()
	h := build(t)
	d := h.hourly(t)
	viewer, member := h.by, h.by
	viewer.Role, member.Role = core.RoleViewer, core.RoleMember
	ctx, other := t.Context(), core.Principal{Kind: core.PrincipalToken, Project: core.NewID[core.ProjectID](), Role: core.RoleAdmin}
	run, err := h.Trigger(ctx, member, d.ID, deployment.TriggerOptions{})
	need(t, err)
	nothing := func(*core.Deployment) error { return nil }
	for name, c := range map[string]struct {
		try  func(core.Principal) error
		role core.Role // the lowest that may
	}{
		"create":  {func(p core.Principal) error { _, err := h.Create(ctx, p, h.draft()); return err }, core.RoleAdmin},
		"update":  {func(p core.Principal) error { _, err := h.Update(ctx, p, d.ID, nothing); return err }, core.RoleAdmin},
		"pause":   {func(p core.Principal) error { _, err := h.Pause(ctx, p, d.ID); return err }, core.RoleAdmin},
		"unpause": {func(p core.Principal) error { _, err := h.Unpause(ctx, p, d.ID); return err }, core.RoleAdmin},
		"archive": {func(p core.Principal) error { _, err := h.Archive(ctx, p, d.ID); return err }, core.RoleAdmin},
		"trigger": {func(p core.Principal) error {
			_, err := h.Trigger(ctx, p, d.ID, deployment.TriggerOptions{})
			return err
		}, core.RoleMember},
		"read":     {func(p core.Principal) error { _, err := h.Deployment(ctx, p, d.ID); return err }, core.RoleViewer},
		"read run": {func(p core.Principal) error { _, err := h.DeploymentRun(ctx, p, run.ID); return err }, core.RoleViewer},
	} {
		for _, p := range []core.Principal{{Project: h.by.Project}, viewer, member} {
			if err := c.try(p); (core.KindOf(err) == core.Forbidden) != (p.Require(c.role) != nil) {
				t.Errorf("%s as %q: %v", name, p.Role, err)
			}
		}
		if err := c.try(other); name != "create" && core.KindOf(err) != core.NotFound {
			t.Errorf("%s of another project's: %v", name, err)
		}
	}
}

func TestAnAgentIsPinned(t *testing.T) {
	t.Parallel()
	h := build(t)
	ctx, d := t.Context(), h.hourly(t)
	same(t, "version", d.AgentVersion, 1)
	_, err := h.catalog.UpdateAgent(ctx, h.by, h.agent.ID, catalog.UpdateOptions{Limits: catalog.ClaudeLimits}, func(s *core.AgentSpec) error { s.System = "new"; return nil })
	need(t, err)
	run, err := h.Trigger(ctx, h.by, d.ID, deployment.TriggerOptions{})
	need(t, err)
	same(t, "version of the run", run.AgentVersion, 1)
	sess, err := h.sessions.Session(ctx, h.by, run.Session)
	need(t, err)
	same(t, "system prompt", sess.Snapshot.System, "")
	d, err = h.Update(ctx, h.by, d.ID, func(d *core.Deployment) error { d.AgentVersion = 0; return nil })
	need(t, err)
	same(t, "pinned again", d.AgentVersion, 2)
}

func TestUpdatesAimAnew(t *testing.T) {
	t.Parallel()
	h := build(t)
	ctx, d := t.Context(), h.hourly(t)
	update := func(change func(*core.Deployment)) core.Deployment {
		t.Helper()
		next, err := h.Update(ctx, h.by, d.ID, func(d *core.Deployment) error { change(d); return nil })
		need(t, err)
		same(t, "stored", h.reload(t, d), next)
		return next
	}
	h.setClock(noon.Add(time.Minute))
	same(t, "without effect", update(func(d *core.Deployment) {
		d.Name, d.NextRunAt, d.Pause, d.Project = "hourly", noon, core.PausedManually, "x"
	}), d)

	daily := update(func(d *core.Deployment) { d.Schedule.Expression = "30 12 * * *" })
	same(t, "due", daily.DueAt, noon.Add(30*time.Minute))
	same(t, "updated", daily.UpdatedAt, noon.Add(time.Minute))
	renamed := update(func(d *core.Deployment) { d.Name = "daily" })
	same(t, "due after a new name", renamed.NextRunAt, daily.NextRunAt)

	manual := update(func(d *core.Deployment) { d.Schedule = nil })
	if !manual.DueAt.IsZero() || !manual.NextRunAt.IsZero() || len(h.Upcoming(manual)) != 0 {
		t.Errorf("by hand only, and due at %s", manual.NextRunAt)
	}
	again := update(func(d *core.Deployment) {
		d.Schedule = &core.Schedule{Expression: "0 * * * *", Timezone: "Asia/Kolkata"}
	})
	same(t, "due in another zone", again.DueAt, noon.Add(30*time.Minute))

	// What is gone does not keep the rest from being changed.
	_, err := h.catalog.ArchiveEnvironment(ctx, h.by, h.env.ID)
	need(t, err)
	update(func(d *core.Deployment) { d.Description = "still here" })
	if _, err := h.Update(ctx, h.by, d.ID, func(d *core.Deployment) error { d.VaultIDs = nil; return nil }); core.CodeOf(err) != "environment_archived" {
		t.Errorf("a change of its sessions: %v", err)
	}
}

func TestPauseUnpauseArchive(t *testing.T) {
	t.Parallel()
	h := build(t)
	ctx, d := t.Context(), h.hourly(t)
	paused, err := h.Pause(ctx, h.by, d.ID)
	need(t, err)
	same(t, "pause", paused.Pause, core.PausedManually)
	h.sweep(t, d.NextRunAt, 0)
	same(t, "upcoming while paused", h.Upcoming(paused)[0], noon.Add(2*time.Hour))
	changed, err := h.Update(ctx, h.by, d.ID, func(d *core.Deployment) error { d.Schedule.Expression = "* * * * *"; return nil })
	need(t, err)
	if !changed.NextRunAt.IsZero() {
		t.Errorf("a change of the schedule woke it: due at %s", changed.NextRunAt)
	}
	if _, err := h.Trigger(ctx, h.by, d.ID, deployment.TriggerOptions{RefusePaused: true}); core.CodeOf(err) != "deployment_paused" {
		t.Errorf("run while paused, where that is refused: %v", err)
	}
	run, err := h.Trigger(ctx, h.by, d.ID, deployment.TriggerOptions{})
	need(t, err)
	same(t, "run while paused", run.Trigger, core.TriggerManual)
	if last := h.reload(t, d).LastRunAt; !last.IsZero() {
		t.Errorf("a run by hand counts as the schedule's: %s", last)
	}

	h.setClock(noon.Add(5*time.Hour + 30*time.Second))
	woken, err := h.Unpause(ctx, h.by, d.ID)
	need(t, err)
	same(t, "pause", woken.Pause, "")
	same(t, "due", woken.DueAt, noon.Add(5*time.Hour+time.Minute))

	gone, err := h.Archive(ctx, h.by, d.ID)
	need(t, err)
	again, err := h.Archive(ctx, h.by, d.ID)
	need(t, err)
	same(t, "archived twice", again, gone)
	h.sweep(t, noon.Add(6*time.Hour), 0)
	same(t, "upcoming", h.Upcoming(gone), []time.Time{})
	for name, try := range map[string]func() error{
		"pause":   func() error { _, err := h.Pause(ctx, h.by, d.ID); return err },
		"unpause": func() error { _, err := h.Unpause(ctx, h.by, d.ID); return err },
		"update": func() error {
			_, err := h.Update(ctx, h.by, d.ID, func(*core.Deployment) error { return nil })
			return err
		},
		"run": func() error {
			_, err := h.Trigger(ctx, h.by, d.ID, deployment.TriggerOptions{})
			return err
		},
	} {
		if err := try(); core.CodeOf(err) != "deployment_archived" {
			t.Errorf("%s of an archived one: %v", name, err)
		}
	}
}

func TestArchivingAnAgentArchivesItsDeployments(t *testing.T) {
	t.Parallel()
	h := build(t)
	d := h.hourly(t)
	_, err := h.catalog.ArchiveAgent(t.Context(), h.by, h.agent.ID)
	need(t, err)
	if gone := h.reload(t, d); gone.ArchivedAt.IsZero() || !gone.NextRunAt.IsZero() {
		t.Errorf("archived at %s, due at %s", gone.ArchivedAt, gone.NextRunAt)
	}
	h.sweep(t, d.NextRunAt, 0)
	same(t, "runs", len(h.runs(t, d)), 0)
}

func TestUpcomingRuns(t *testing.T) {
	t.Parallel()
	h := build(t)
	d := h.hourly(t)
	hour := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Hour) }
	same(t, "upcoming", h.Upcoming(d), []time.Time{hour(1), hour(2), hour(3), hour(4), hour(5)})
	h.setClock(hour(1).Add(time.Second)) // the moment is there, its jitter is not over
	same(t, "about to start", h.Upcoming(d), []time.Time{hour(1), hour(2), hour(3), hour(4), hour(5)})
	h.sweep(t, d.NextRunAt, 1)
	same(t, "after the fire", h.Upcoming(h.reload(t, d))[0], hour(2))
}

func TestSchedulesAreCounted(t *testing.T) {
	t.Parallel()
	h := build(t)
	first := h.hourly(t)
	need(t, h.db.Tx(t.Context(), func(tx core.Store) error {
		for range deployment.MaxScheduled - 1 {
			d := first
			d.ID = core.NewID[core.DeploymentID]()
			if err := tx.CreateDeployment(t.Context(), d); err != nil {
				return err
			}
		}
		return nil
	}))
	if _, err := h.Create(t.Context(), h.by, h.draft()); core.CodeOf(err) != "too_many_schedules" {
		t.Errorf("one too many: %v", err)
	}
	manual := h.hourly(t, func(d *core.Deployment) { d.Schedule = nil })
	schedule := func(d *core.Deployment) error { d.Schedule = first.Schedule; return nil }
	if _, err := h.Update(t.Context(), h.by, manual.ID, schedule); core.CodeOf(err) != "too_many_schedules" {
		t.Errorf("one too many by an update: %v", err)
	}
	_, err := h.Archive(t.Context(), h.by, first.ID)
	need(t, err)
	_, err = h.Update(t.Context(), h.by, manual.ID, schedule)
	need(t, err)
}
