package managed

import (
	"errors"

	"github.com/reeve-ai/reeve/internal/core"
)

// listDeployments serves GET /deployments, newest first.
func (f *Face) listDeployments(c *call) (reply, error) {
	w, err := c.window(deploymentList, false, defaultPage, maxPage, func(spelled string) (cursor, error) {
		id, known := core.ParseID[core.DeploymentID](spelled)
		if !known {
			return cursor{}, core.NotFoundError("deployment", spelled)
		}
		d, err := f.deployments.Deployment(c.Context(), c.by, id)
		return cursor{at: d.CreatedAt.UnixMicro(), id: string(d.ID)}, err
	})
	if err != nil {
		return reply{}, err
	}
	q, err := c.deploymentFilter(w)
	if err != nil {
		return reply{}, err
	}
	deployments, err := f.deployments.Deployments(c.Context(), c.by, q)
	if err != nil {
		return reply{}, err
	}
	return ok(w.envelope(each(deployments, func(d core.Deployment) entry {
		return entry{at: d.CreatedAt.UnixMicro(), id: string(d.ID), wire: c.fl.deploymentPrefix + string(d.ID), body: f.deploymentWire(c.fl, d)}
	})))
}

// deploymentFilter reads the filters of the list.
func (c *call) deploymentFilter(w window) (q core.DeploymentPage, err error) {
	if w.asc {
		return q, core.InvalidField("order", "deployments are listed newest first: must be desc")
	}
	created, err := c.query.span("created_at")
	if err != nil {
		return q, err
	}
	q.Limit = w.fetch()
	q.After, q.Before = w.keys()
	q.CreatedFrom, q.CreatedTo = created.closed()
	q.IncludeArchived, err = c.query.flag("include_archived")
	if err := errors.Join(err, w.within(created)); err != nil {
		return q, err
	}
	if spelled := c.query.Get("agent_id"); spelled != "" {
		id, known := core.ParseID[core.AgentID](spelled)
		if !known {
			return q, core.InvalidField("agent_id", "is not the id of an agent")
		}
		q.Agent = id
	}
	switch status := c.query.Get("status"); status {
	case "":
	case statusActive, statusPaused:
		paused := status == statusPaused
		q.Paused = &paused
	default:
		return q, core.InvalidField("status", "must be one of active, paused")
	}
	return q, nil
}
