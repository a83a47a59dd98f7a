package deployment_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/deployment"
)

func TestAFireMakesOneRunAndOneSession(t *testing.T) {
	t.Parallel()
	h := build(t)
	d := h.hourly(t, func(d *core.Deployment) { d.EnvVars = map[string]string{"STAGE": "dev"} })
	one := noon.Add(time.Hour)
	same(t, "due", d.DueAt, one)
	if jitter := d.NextRunAt.Sub(one); jitter < 5*time.Second || jitter > 9*time.Minute {
		t.Fatalf("jitter %v", jitter)
	}
	h.sweep(t, d.NextRunAt.Add(-time.Microsecond), 0)
	h.sweep(t, d.NextRunAt, 1)
	h.sweep(t, d.NextRunAt, 0)

	runs, made := h.runs(t, d), h.made(t, d)
	if len(runs) != 1 || len(made) != 1 {
		t.Fatalf("%d runs, %d sessions", len(runs), len(made))
	}
	same(t, "run", runs[0], core.DeploymentRun{
		Project: d.Project, ID: runs[0].ID, Deployment: d.ID, Agent: h.agent.ID, AgentVersion: 1, Session: made[0].ID,
		Trigger: core.TriggerSchedule, ScheduledAt: one, CreatedAt: d.NextRunAt,
	})
	same(t, "status", made[0].Status, core.StatusRunning)
	same(t, "vaults", made[0].VaultIDs, d.VaultIDs)
	same(t, "variables", made[0].EnvVars, d.EnvVars)
	log, err := h.db.Events(t.Context(), d.Project, made[0].ID, core.EventQuery{Limit: 10})
	need(t, err)
	same(t, "first event", log[0].Type, core.EventUserMessage)
	if leases := h.node.leases(); len(leases) != 1 || leases[0].Session != made[0].ID {
		t.Errorf("leases %+v", leases)
	}
	next := h.reload(t, d)
	same(t, "next", next.DueAt, one.Add(time.Hour))
	same(t, "last run", next.LastRunAt, d.NextRunAt)
	same(t, "updated", next.UpdatedAt, d.UpdatedAt)
}

func TestTwoNodesFireOnce(t *testing.T) {
	t.Parallel()
	h := build(t)
	var all []core.Deployment
	for range 20 {
		all = append(all, h.hourly(t))
	}
	h.setClock(noon.Add(time.Hour + 9*time.Minute))
	counts := make([]int, 4)
	var wg sync.WaitGroup
	for i := range counts {
		wg.Go(func() {
			n, err := h.on(h.db).Sweep(t.Context())
			if err != nil {
				t.Error(err)
			}
			counts[i] = n
		})
	}
	wg.Wait()
	if sum := counts[0] + counts[1] + counts[2] + counts[3]; sum != len(all) {
		t.Errorf("%v runs, want %d", counts, len(all))
	}
	for _, d := range all {
		if runs, made := h.runs(t, d), h.made(t, d); len(runs) != 1 || len(made) != 1 {
			t.Errorf("%d runs, %d sessions", len(runs), len(made))
		}
	}
}

func TestANodeThatDiesBeforeItsCommitFiresNothing(t *testing.T) {
	t.Parallel()
	h := build(t)
	d := h.hourly(t)
	h.setClock(d.NextRunAt)
	dead := make(chan struct{})
	if n, err := h.on(dying{h.db, dead}).Sweep(t.Context()); n != 0 || err != nil {
		t.Fatalf("%d runs, %v", n, err)
	}
	<-dead // it had come as far as the commit
	same(t, "deployment", h.reload(t, d), d)
	same(t, "runs", len(h.runs(t, d)), 0)
	same(t, "sessions", len(h.made(t, d)), 0)
	same(t, "leases", len(h.node.leases()), 0)
	h.sweep(t, d.NextRunAt.Add(3*time.Second), 1) // the next life, or another node
	h.sweep(t, d.NextRunAt.Add(4*time.Second), 0)
	same(t, "sessions", len(h.made(t, d)), 1)
}

func TestMissedFiresAreNotMadeUpFor(t *testing.T) {
	t.Parallel()
	h := build(t)
	d := h.hourly(t)
	every := h.hourly(t, func(d *core.Deployment) { d.Schedule.Expression = "* * * * *" })

	// Five minutes without a server: the fire that waits comes late, and those behind it were missed.
	h.sweep(t, every.NextRunAt.Add(5*time.Minute), 1)
	same(t, "late run", h.runs(t, every)[0].ScheduledAt, every.DueAt)
	same(t, "next", h.reload(t, every).DueAt, noon.Add(7*time.Minute))

	// Three hours without one: nothing is made up for.
	h.sweep(t, noon.Add(3*time.Hour+30*time.Minute), 0)
	same(t, "runs", len(h.runs(t, d)), 0)
	same(t, "next", h.reload(t, d).DueAt, noon.Add(4*time.Hour))
	same(t, "next of the other", h.reload(t, every).DueAt, noon.Add(3*time.Hour+31*time.Minute))
	h.sweep(t, noon.Add(4*time.Hour+9*time.Minute), 1)
	same(t, "run", h.runs(t, d)[0].ScheduledAt, noon.Add(4*time.Hour))
}

func TestFailuresHaveTypesAndSomePause(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		spoil  func(t *testing.T, h *house)
		want   core.RunErrorType
		pauses bool
	}{
		{"environment archived", func(t *testing.T, h *house) {
			_, err := h.catalog.ArchiveEnvironment(t.Context(), h.by, h.env.ID)
			need(t, err)
		}, core.RunEnvironmentArchived, true},
		{"environment deleted", func(t *testing.T, h *house) { need(t, h.catalog.DeleteEnvironment(t.Context(), h.by, h.env.ID)) }, core.RunEnvironmentNotFound, true},
		{"vault archived", func(t *testing.T, h *house) {
			_, err := h.vaults.ArchiveVault(t.Context(), h.by, h.vault.ID)
			need(t, err)
		}, core.RunVaultArchived, true},
		{"vault deleted", func(t *testing.T, h *house) { need(t, h.vaults.DeleteVault(t.Context(), h.by, h.vault.ID)) }, core.RunVaultNotFound, true},
		{"agent archived behind the service's back", func(t *testing.T, h *house) {
			a := h.agent
			a.ArchivedAt = noon
			need(t, h.db.SetAgentState(t.Context(), a))
		}, core.RunAgentArchived, true},
		{"project deactivated", func(t *testing.T, h *house) {
			p, err := h.db.Project(t.Context(), h.by.Project)
			need(t, err)
			p.Active = false
			need(t, h.db.UpdateProject(t.Context(), p))
		}, core.RunWorkspaceArchived, true},
		{"agent deactivated", func(t *testing.T, h *house) {
			_, err := h.catalog.DeactivateAgent(t.Context(), h.by, h.agent.ID)
			need(t, err)
		}, core.RunRejected, false},
		{"node full", func(_ *testing.T, h *house) {
			h.node.refuse(core.Errorf(core.RateLimited, "too_many_turns", "full"))
		}, core.RunRateLimited, false},
		{"something broke", func(_ *testing.T, h *house) { h.node.refuse(context.DeadlineExceeded) }, core.RunUnknown, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := build(t)
			d := h.hourly(t)
			c.spoil(t, h)
			h.sweep(t, d.NextRunAt, 1)
			run := h.runs(t, d)[0]
			if run.Session != "" || run.Error == nil || run.Error.Type != c.want || run.Error.Message == "" {
				t.Fatalf("run %+v, error %+v, want %s", run, run.Error, c.want)
			}
			same(t, "sessions", len(h.made(t, d)), 0)
			after := h.reload(t, d)
			if !after.LastRunAt.IsZero() {
				t.Errorf("last run at %s", after.LastRunAt)
			}
			if !c.pauses {
				same(t, "pause", after.Pause, "")
				same(t, "next", after.DueAt, d.DueAt.Add(time.Hour))
				return
			}
			same(t, "pause", after.Pause, core.PauseReason(c.want))
			if !after.NextRunAt.IsZero() {
				t.Errorf("paused and due at %s", after.NextRunAt)
			}
			h.sweep(t, d.NextRunAt.Add(24*time.Hour), 0)
			manual, err := h.Trigger(t.Context(), h.by, d.ID, deployment.TriggerOptions{})
			need(t, err)
			if manual.Error == nil || manual.Error.Type != c.want || manual.Trigger != core.TriggerManual {
				t.Errorf("run by hand: %+v", manual)
			}
		})
	}
}

func TestOneThatBreaksDoesNotStopTheOthers(t *testing.T) {
	t.Parallel()
	h := build(t)
	broken, good := h.hourly(t), h.hourly(t)
	h.setClock(noon.Add(time.Hour + 9*time.Minute))
	s := deployment.New(h.db, picky{h.sessions, broken.ID}, deployment.Options{Now: h.clock, Log: silent()})
	n, err := s.Sweep(t.Context())
	need(t, err)
	same(t, "runs", n, 2)
	same(t, "the broken one", h.runs(t, broken)[0].Error.Type, core.RunUnknown)
	same(t, "sessions of the good one", len(h.made(t, good)), 1)
}

// picky breaks for one deployment, after it has written.
type picky struct {
	deployment.Sessions
	id core.DeploymentID
}

func (p picky) CreateOf(ctx context.Context, tx core.Store, by core.Principal, d core.Deployment) (core.SessionID, func(), error) {
	id, announce, err := p.Sessions.CreateOf(ctx, tx, by, d)
	if err == nil && d.ID == p.id {
		return "", nil, context.DeadlineExceeded
	}
	return id, announce, err
}

func TestAClockThatGoesBackFiresNoMomentTwice(t *testing.T) {
	t.Parallel()
	h := build(t)
	d := h.hourly(t)
	h.sweep(t, d.NextRunAt, 1)
	h.setClock(noon) // back before the fire
	_, err := h.Pause(t.Context(), h.by, d.ID)
	need(t, err)
	back, err := h.Unpause(t.Context(), h.by, d.ID)
	need(t, err)
	same(t, "due again", back.DueAt, d.DueAt)
	h.sweep(t, d.NextRunAt, 0)
	same(t, "sessions", len(h.made(t, d)), 1)
	same(t, "next", h.reload(t, d).DueAt, d.DueAt.Add(time.Hour))
}

// In the bubble an hour is no time at all: the clock is synctest's, for the service and for its ticker.
func TestRunFiresWhenTheTimeHasComeUntilItIsStopped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := build(t)
		h.setClock(time.Now())
		s := deployment.New(h.db, h.sessions, deployment.Options{Log: silent()})
		d, err := s.Create(t.Context(), h.by, h.draft())
		need(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1) // holds the one result
		go func() { ended <- s.Run(ctx) }()
		<-time.After(time.Until(d.NextRunAt) - time.Millisecond)
		synctest.Wait()
		same(t, "runs before the time", len(h.runs(t, d)), 0)
		<-time.After(time.Second)
		synctest.Wait()
		same(t, "runs a second later", len(h.runs(t, d)), 1)
		<-time.After(3 * time.Hour)
		synctest.Wait()
		same(t, "runs three hours later", len(h.runs(t, d)), 4)
		cancel()
		need(t, <-ended)
		<-time.After(3 * time.Hour)
		same(t, "runs after the stop", len(h.runs(t, d)), 4)
	})
}
