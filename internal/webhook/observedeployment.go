package webhook

import (
	"context"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

func deploymentWire(id core.DeploymentID) string { return deploymentPrefix + string(id) }

// CreateDeployment implements core.Store.
func (w *watch) CreateDeployment(ctx context.Context, d core.Deployment) error {
	return w.and(ctx, d.Project, func(to core.Store) error { return to.CreateDeployment(ctx, d) },
		happening{Type: "deployment.created", Object: deploymentWire(d.ID)})
}

// UpdateDeployment implements core.Store. A fire that only moves a deployment on to its next moment is no update.
func (w *watch) UpdateDeployment(ctx context.Context, d core.Deployment) error {
	return compare(ctx, w, d.Project,
		func(from core.Store) (core.Deployment, error) { return from.Deployment(ctx, d.Project, d.ID) },
		func(to core.Store) error { return to.UpdateDeployment(ctx, d) },
		func(was core.Deployment) []happening {
			verb := ""
			switch {
			case archived(was.ArchivedAt, d.ArchivedAt, "") != "":
				verb = "archived"
			case was.Pause == "" && d.Pause != "":
				verb = "paused"
			case was.Pause != "" && d.Pause == "":
				verb = "unpaused"
			case !was.UpdatedAt.Equal(d.UpdatedAt):
				verb = "updated"
			}
			return one("deployment", verb, deploymentWire(d.ID))
		})
}

// ArchiveDeployments implements core.Store.
func (w *watch) ArchiveDeployments(ctx context.Context, project core.ProjectID, agent core.AgentID, at time.Time) (count int, err error) {
	err = compare(ctx, w, project,
		func(from core.Store) ([]happening, error) { return activeDeployments(ctx, from, project, agent) },
		func(to core.Store) (err error) {
			count, err = to.ArchiveDeployments(ctx, project, agent, at)
			return err
		},
		func(what []happening) []happening { return what })
	return count, err
}

// activeDeployments says of each deployment of an agent that it is archived.
func activeDeployments(ctx context.Context, from core.Store, project core.ProjectID, agent core.AgentID) ([]happening, error) {
	page := core.DeploymentPage{Limit: 1000, Agent: agent}
	var what []happening
	for {
		list, err := from.Deployments(ctx, project, page)
		if err != nil {
			return nil, err
		}
		for _, d := range list {
			what = append(what, happening{Type: "deployment.archived", Object: deploymentWire(d.ID)})
		}
		if len(list) < page.Limit {
			return what, nil
		}
		last := list[len(list)-1]
		page.After = &core.PageKey{CreatedAt: last.CreatedAt, ID: string(last.ID)}
	}
}

// CreateDeploymentRun implements core.Store. A run is over when it is stored: it made a session, or it did not.
func (w *watch) CreateDeploymentRun(ctx context.Context, r core.DeploymentRun) error {
	object, end := runPrefix+string(r.ID), "deployment_run.succeeded"
	if r.Error != nil {
		end = "deployment_run.failed"
	}
	return w.and(ctx, r.Project, func(to core.Store) error { return to.CreateDeploymentRun(ctx, r) },
		happening{Type: "deployment_run.started", Object: object}, happening{Type: end, Object: object})
}
