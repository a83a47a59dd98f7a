package managed

import (
	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/deployment"
)

const (
	runPrefix  = "drun_" // both dialects write it alike
	runList    = "drun"
	maxRunPage = 1000
)

// runDeployment serves POST /deployments/{deployment}/run.
func (f *Face) runDeployment(c *call) (reply, error) {
	id, err := pathID[core.DeploymentID](c, "deployment")
	if err != nil {
		return reply{}, err
	}
	run, err := f.deployments.Trigger(c.Context(), c.by, id, deployment.TriggerOptions{RefusePaused: c.fl.refusePaused})
	if err != nil {
		return reply{}, named(err, "deployment", c.PathValue("deployment"))
	}
	return ok(c.fl.deploymentRunWire(run))
}

// getDeploymentRun serves GET /deployment_runs/{deployment_run}.
func (f *Face) getDeploymentRun(c *call) (reply, error) {
	run, err := f.deploymentRun(c)
	if err != nil {
		return reply{}, err
	}
	return ok(c.fl.deploymentRunWire(run))
}

// deploymentRun loads the run that the path names.
func (f *Face) deploymentRun(c *call) (core.DeploymentRun, error) {
	id, err := pathID[core.DeploymentRunID](c, "deployment_run")
	if err != nil {
		return core.DeploymentRun{}, err
	}
	run, err := f.deployments.DeploymentRun(c.Context(), c.by, id)
	return run, named(err, "deployment_run", c.PathValue("deployment_run"))
}

// getRunOfDeployment serves Qoder's GET /deployments/{deployment}/runs/{deployment_run}.
func (f *Face) getRunOfDeployment(c *call) (reply, error) {
	id, err := pathID[core.DeploymentID](c, "deployment")
	if err != nil {
		return reply{}, err
	}
	run, err := f.deploymentRun(c)
	if err != nil {
		return reply{}, err
	}
	if run.Deployment != id {
		return reply{}, core.NotFoundError("deployment_run", c.PathValue("deployment_run"))
	}
	return ok(c.fl.deploymentRunWire(run))
}

// listRunsOfDeployment serves Qoder's GET /deployments/{deployment}/runs.
func (f *Face) listRunsOfDeployment(c *call) (reply, error) {
	id, err := pathID[core.DeploymentID](c, "deployment")
	if err != nil {
		return reply{}, err
	}
	if _, err := f.deployments.Deployment(c.Context(), c.by, id); err != nil {
		return reply{}, named(err, "deployment", c.PathValue("deployment"))
	}
	return f.runs(c, id)
}

// listDeploymentRuns serves GET /deployment_runs. A deployment that is not there has no runs.
func (f *Face) listDeploymentRuns(c *call) (reply, error) {
	spelled := c.query.Get("deployment_id")
	id, known := core.ParseID[core.DeploymentID](spelled)
	if spelled != "" && !known {
		id = core.DeploymentID(spelled) // names nothing
	}
	return f.runs(c, id)
}

// runs lists runs, newest first, of one deployment if it is not empty.
func (f *Face) runs(c *call, of core.DeploymentID) (reply, error) {
	w, err := c.window(runList, false, defaultPage, maxRunPage, func(spelled string) (cursor, error) {
		id, known := core.ParseID[core.DeploymentRunID](spelled)
		if !known {
			return cursor{}, core.NotFoundError("deployment_run", spelled)
		}
		r, err := f.deployments.DeploymentRun(c.Context(), c.by, id)
		return cursor{at: r.CreatedAt.UnixMicro(), id: string(r.ID)}, err
	})
	if err != nil {
		return reply{}, err
	}
	q, err := c.runFilter(w)
	if err != nil {
		return reply{}, err
	}
	q.Deployment = of
	runs, err := f.deployments.DeploymentRuns(c.Context(), c.by, q)
	if err != nil {
		return reply{}, err
	}
	return ok(w.envelope(each(runs, func(r core.DeploymentRun) entry {
		return entry{at: r.CreatedAt.UnixMicro(), id: string(r.ID), wire: runPrefix + string(r.ID), body: c.fl.deploymentRunWire(r)}
	})))
}

// runFilter reads the filters of the list.
func (c *call) runFilter(w window) (q core.DeploymentRunPage, err error) {
	if w.asc {
		return q, core.InvalidField("order", "runs are listed newest first: must be desc")
	}
	created, err := c.query.span("created_at")
	if err == nil {
		err = w.within(created)
	}
	if err != nil {
		return q, err
	}
	q.Limit = w.fetch()
	q.After, q.Before = w.keys()
	q.CreatedFrom, q.CreatedTo = created.closed()
	switch trigger := core.TriggerType(c.query.Get("trigger_type")); trigger {
	case "", core.TriggerSchedule, core.TriggerManual:
		q.Trigger = trigger
	default:
		return q, core.InvalidField("trigger_type", "must be one of schedule, manual")
	}
	if c.query.Get("has_error") != "" {
		failed, err := c.query.flag("has_error")
		if err != nil {
			return q, err
		}
		q.Failed = &failed
	}
	return q, nil
}

// deploymentRunWire is a run on the wire. Exactly one of SessionID and Error is not null.
type deploymentRunWire struct {
	Type           string         `json:"type"`
	ID             string         `json:"id"`
	DeploymentID   string         `json:"deployment_id"`
	Agent          agentReference `json:"agent"`
	SessionID      *string        `json:"session_id"`
	Error          *runErrorWire  `json:"error"`
	TriggerContext triggerWire    `json:"trigger_context"`
	CreatedAt      string         `json:"created_at"`
}

type runErrorWire struct {
	Type    string `json:"type"`
	Message string `json:"message"`
}

type triggerWire struct {
	Type        string `json:"type"`
	ScheduledAt string `json:"scheduled_at,omitempty"` // not for runs by hand
}

func (fl *Flavour) deploymentRunWire(r core.DeploymentRun) deploymentRunWire {
	w := deploymentRunWire{
		Type: "deployment_run", ID: runPrefix + string(r.ID), DeploymentID: fl.deploymentPrefix + string(r.Deployment),
		Agent:          agentReference{Type: "agent", ID: agentPrefix + string(r.Agent), Version: r.AgentVersion},
		TriggerContext: triggerWire{Type: string(r.Trigger)}, CreatedAt: timestamp(r.CreatedAt),
	}
	if !r.ScheduledAt.IsZero() {
		w.TriggerContext.ScheduledAt = timestamp(r.ScheduledAt)
	}
	if r.Error != nil {
		w.Error = &runErrorWire{Type: string(r.Error.Type), Message: r.Error.Message}
	} else {
		id := fl.sessionPrefix + string(r.Session)
		w.SessionID = &id
	}
	return w
}
