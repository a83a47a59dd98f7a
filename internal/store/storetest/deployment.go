package storetest

import (
	"testing"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

func deploymentID(d core.Deployment) core.DeploymentID { return d.ID }

func deploymentRunID(r core.DeploymentRun) core.DeploymentRunID { return r.ID }

func (b *bundle) newDeployment(t *testing.T, project core.ProjectID) core.Deployment {
	t.Helper()
	now := kept(b.later())
	return core.Deployment{
		Project: project, ID: core.NewID[core.DeploymentID](), Name: "nightly", Agent: b.agent(t, project).ID, AgentVersion: 1,
		Environment: "gone", Events: []core.InitialEvent{{Type: core.EventUserMessage, Message: &core.Message{Content: core.Text("go")}}},
		Metadata: map[string]string{}, CreatedAt: now, UpdatedAt: now,
	}
}

func (b *bundle) deployment(t *testing.T, project core.ProjectID, edit ...func(*core.Deployment)) core.Deployment {
	t.Helper()
	d := b.newDeployment(t, project)
	for _, f := range edit {
		f(&d)
	}
	need(t, b.CreateDeployment(b.ctx, d))
	return d
}

func (b *bundle) deploymentRun(t *testing.T, d core.Deployment, edit ...func(*core.DeploymentRun)) core.DeploymentRun {
	t.Helper()
	r := core.DeploymentRun{
		Project: d.Project, ID: core.NewID[core.DeploymentRunID](), Deployment: d.ID, Agent: d.Agent, AgentVersion: d.AgentVersion,
		Session: "gone", Trigger: core.TriggerManual, CreatedAt: kept(b.later()),
	}
	for _, f := range edit {
		f(&r)
	}
	need(t, b.CreateDeploymentRun(b.ctx, r))
	return r
}

// failed makes a run one of the schedule that came to nothing.
func failed(seconds int) func(*core.DeploymentRun) {
	return func(r *core.DeploymentRun) {
		r.Session, r.Error = "", &core.RunError{Type: core.RunVaultArchived, Message: "it is archived"}
		r.Trigger, r.ScheduledAt = core.TriggerSchedule, kept(at(seconds))
	}
}

// due gives a deployment a schedule that is to fire.
func due(seconds int) func(*core.Deployment) {
	return func(d *core.Deployment) {
		d.Schedule = &core.Schedule{Expression: "* * * * *", Timezone: "UTC"}
		d.DueAt, d.NextRunAt = kept(at(seconds-1)), kept(at(seconds))
	}
}

var deploymentPromises = map[string]func(*testing.T, *bundle){
	"ADeploymentComesBackAsItWentIn": func(t *testing.T, b *bundle) {
		p := b.project(t)
		full := b.deployment(t, p, due(30), func(d *core.Deployment) {
			d.Description, d.VaultIDs, d.EnvVars, d.EnvText = "text", []string{"v2", "v1"}, map[string]string{"A": "1"}, "A=1"
			d.Resources = []core.Resource{{Type: core.ResourceRepository, URL: "https://h/o/r", Token: []byte{0, 255}}}
			d.Metadata, d.Pause, d.LastRunAt, d.ArchivedAt = map[string]string{"k": "v"}, core.PausedManually, kept(at(7)), kept(at(8))
		})
		for _, want := range []core.Deployment{full, b.deployment(t, p)} {
			got, err := b.Deployment(b.ctx, p, want.ID)
			need(t, err)
			same(t, "deployment", got, want)
			refused(t, "again", b.CreateDeployment(b.ctx, want), core.Conflict, "deployment_already_exists")
		}
	},
	"UpdateDeploymentReplacesAllButCreation": func(t *testing.T, b *bundle) {
		p := b.project(t)
		old, change := b.deployment(t, p, due(30)), b.newDeployment(t, p)
		change.ID, change.Name, change.AgentVersion, change.VaultIDs, change.LastRunAt = old.ID, "new", 2, []string{"v"}, kept(at(90))
		change.Resources = []core.Resource{{Type: core.ResourceFile, Source: "f"}}
		change.Pause, change.ArchivedAt, change.EnvText = core.PauseReason(core.RunAgentArchived), kept(at(91)), "B=2"
		need(t, b.UpdateDeployment(b.ctx, change))
		got, err := b.Deployment(b.ctx, p, old.ID)
		need(t, err)
		change.CreatedAt = old.CreatedAt
		same(t, "deployment", got, change)
	},
	"WhatIsUnknownIsNotFound": func(t *testing.T, b *bundle) {
		p := b.project(t)
		lost := b.newDeployment(t, p)
		_, err := b.Deployment(b.ctx, p, lost.ID)
		refused(t, "Deployment", err, core.NotFound, "deployment_not_found")
		refused(t, "UpdateDeployment", b.UpdateDeployment(b.ctx, lost), core.NotFound, "deployment_not_found")
		refused(t, "CreateDeploymentRun", b.CreateDeploymentRun(b.ctx, core.DeploymentRun{Project: p, ID: "r", Deployment: lost.ID}), core.NotFound, "")
		_, err = b.DeploymentRun(b.ctx, p, "none")
		refused(t, "DeploymentRun", err, core.NotFound, "deployment_run_not_found")
		runs, err := b.DeploymentRuns(b.ctx, p, core.DeploymentRunPage{Limit: 10, Deployment: lost.ID})
		need(t, err)
		same(t, "runs", runs, []core.DeploymentRun{})
		lost.Agent = "none"
		refused(t, "CreateDeployment", b.CreateDeployment(b.ctx, lost), core.NotFound, "")
	},
	"DeploymentsAreListedNewestFirstAndFiltered": func(t *testing.T, b *bundle) {
		p := b.project(t)
		created := func(seconds int) func(*core.Deployment) {
			return func(d *core.Deployment) { d.CreatedAt = kept(at(seconds)) }
		}
		same1, same2 := b.deployment(t, p, created(50)), b.deployment(t, p, created(50))
		paused := b.deployment(t, p, created(60), func(d *core.Deployment) { d.Pause = core.PausedManually })
		gone := b.deployment(t, p, created(70), func(d *core.Deployment) { d.ArchivedAt = at(71) })
		b.deployment(t, b.project(t))
		place := func(d core.Deployment) *core.PageKey { return &core.PageKey{CreatedAt: d.CreatedAt, ID: string(d.ID)} }
		yes, no := true, false
		for _, c := range []struct {
			name string
			page core.DeploymentPage
			want []core.DeploymentID
		}{
			{"all", core.DeploymentPage{Limit: 10}, []core.DeploymentID{paused.ID, same2.ID, same1.ID}},
			{"archived too", core.DeploymentPage{Limit: 2, IncludeArchived: true}, []core.DeploymentID{gone.ID, paused.ID}},
			{"between equal times", core.DeploymentPage{Limit: 5, After: place(same2)}, []core.DeploymentID{same1.ID}},
			{"before", core.DeploymentPage{Limit: 1, Before: place(same1)}, []core.DeploymentID{same2.ID}},
			{"paused", core.DeploymentPage{Limit: 5, Paused: &yes}, []core.DeploymentID{paused.ID}},
			{"active", core.DeploymentPage{Limit: 5, Paused: &no}, []core.DeploymentID{same2.ID, same1.ID}},
			{"of an agent", core.DeploymentPage{Limit: 5, Agent: same1.Agent}, []core.DeploymentID{same1.ID}},
			{"since", core.DeploymentPage{Limit: 5, CreatedFrom: kept(at(60))}, []core.DeploymentID{paused.ID}},
			{"until", core.DeploymentPage{Limit: 5, CreatedTo: kept(at(50))}, []core.DeploymentID{same2.ID, same1.ID}},
		} {
			list, err := b.Deployments(b.ctx, p, c.page)
			need(t, err)
			same(t, c.name, ids(list, deploymentID), c.want)
		}
	},
	"DueDeploymentsAreThoseWhoseTimeHasCome": func(t *testing.T, b *bundle) {
		p := b.project(t)
		later, first := b.deployment(t, p, due(40)), b.deployment(t, b.project(t), due(30))
		b.deployment(t, p, due(41))
		b.deployment(t, p)
		for limit, want := range map[int][]core.DueDeployment{
			0: {},
			1: {{Project: first.Project, ID: first.ID, NextRunAt: first.NextRunAt}},
			5: {{Project: first.Project, ID: first.ID, NextRunAt: first.NextRunAt}, {Project: later.Project, ID: later.ID, NextRunAt: later.NextRunAt}},
		} {
			list, err := b.DueDeployments(b.ctx, at(40), limit)
			need(t, err)
			same(t, "due", list, want)
		}
	},
	"ArchiveDeploymentsIsForOneAgent": func(t *testing.T, b *bundle) {
		p := b.project(t)
		a := b.agent(t, p).ID
		of := func(d *core.Deployment) { d.Agent = a }
		one := b.deployment(t, p, of, due(30))
		old := b.deployment(t, p, of, func(d *core.Deployment) { d.ArchivedAt = kept(at(5)) })
		other := b.deployment(t, p, due(30))
		n, err := b.ArchiveDeployments(b.ctx, p, a, at(80))
		need(t, err)
		same(t, "archived", n, 1)
		one.ArchivedAt, one.UpdatedAt, one.DueAt, one.NextRunAt = kept(at(80)), kept(at(80)), time.Time{}, time.Time{}
		for _, want := range []core.Deployment{one, old, other} {
			got, err := b.Deployment(b.ctx, p, want.ID)
			need(t, err)
			same(t, "deployment", got, want)
		}
		count, err := b.CountScheduled(b.ctx, p)
		need(t, err)
		same(t, "scheduled", count, 1)
	},
	"SessionsAreFoundByTheirDeployment": func(t *testing.T, b *bundle) {
		p := b.project(t)
		d := b.deployment(t, p)
		s := b.session(t, p, func(s *core.Session) { s.Deployment = d.ID })
		b.session(t, p)
		list, err := b.Sessions(b.ctx, p, core.SessionPage{Limit: 10, Deployment: d.ID})
		need(t, err)
		same(t, "sessions", list, []core.Session{s})
	},
}

var deploymentRunPromises = map[string]func(*testing.T, *bundle){
	"ARunComesBackAsItWentIn": func(t *testing.T, b *bundle) {
		d := b.deployment(t, b.project(t))
		for _, want := range []core.DeploymentRun{b.deploymentRun(t, d), b.deploymentRun(t, d, failed(20))} {
			got, err := b.DeploymentRun(b.ctx, d.Project, want.ID)
			need(t, err)
			same(t, "run", got, want)
			refused(t, "again", b.CreateDeploymentRun(b.ctx, want), core.Conflict, "deployment_run_already_exists")
		}
	},
	"AMomentOfAScheduleHasOneRun": func(t *testing.T, b *bundle) {
		p := b.project(t)
		d := b.deployment(t, p)
		first := b.deploymentRun(t, d, failed(20))
		second := first
		second.ID = "second"
		refused(t, "the same moment", b.CreateDeploymentRun(b.ctx, second), core.Conflict, "deployment_run_already_exists")
		b.deploymentRun(t, d, failed(21))
		b.deploymentRun(t, b.deployment(t, p), failed(20))
		b.deploymentRun(t, d)
		b.deploymentRun(t, d)
	},
	"RunsAreListedNewestFirstAndFiltered": func(t *testing.T, b *bundle) {
		p := b.project(t)
		d := b.deployment(t, p)
		created := func(seconds int) func(*core.DeploymentRun) {
			return func(r *core.DeploymentRun) { r.CreatedAt = kept(at(seconds)) }
		}
		same1, same2 := b.deploymentRun(t, d, created(50)), b.deploymentRun(t, d, created(50))
		lost := b.deploymentRun(t, d, failed(55), created(60))
		other := b.deploymentRun(t, b.deployment(t, p), created(70))
		b.deploymentRun(t, b.deployment(t, b.project(t)))
		place := func(r core.DeploymentRun) *core.PageKey {
			return &core.PageKey{CreatedAt: r.CreatedAt, ID: string(r.ID)}
		}
		yes, no := true, false
		for _, c := range []struct {
			name string
			page core.DeploymentRunPage
			want []core.DeploymentRunID
		}{
			{"all", core.DeploymentRunPage{Limit: 10}, []core.DeploymentRunID{other.ID, lost.ID, same2.ID, same1.ID}},
			{"limit", core.DeploymentRunPage{Limit: 1}, []core.DeploymentRunID{other.ID}},
			{"between equal times", core.DeploymentRunPage{Limit: 5, After: place(same2)}, []core.DeploymentRunID{same1.ID}},
			{"before", core.DeploymentRunPage{Limit: 1, Before: place(same1)}, []core.DeploymentRunID{same2.ID}},
			{"of a deployment", core.DeploymentRunPage{Limit: 5, Deployment: d.ID, After: place(lost)}, []core.DeploymentRunID{same2.ID, same1.ID}},
			{"by the schedule", core.DeploymentRunPage{Limit: 5, Trigger: core.TriggerSchedule}, []core.DeploymentRunID{lost.ID}},
			{"failed", core.DeploymentRunPage{Limit: 5, Failed: &yes}, []core.DeploymentRunID{lost.ID}},
			{"not failed", core.DeploymentRunPage{Limit: 5, Failed: &no, Deployment: d.ID}, []core.DeploymentRunID{same2.ID, same1.ID}},
			{"span", core.DeploymentRunPage{Limit: 5, CreatedFrom: kept(at(51)), CreatedTo: kept(at(60))}, []core.DeploymentRunID{lost.ID}},
		} {
			list, err := b.DeploymentRuns(b.ctx, p, c.page)
			need(t, err)
			same(t, c.name, ids(list, deploymentRunID), c.want)
		}
	},
}
