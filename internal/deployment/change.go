package deployment

import (
	"context"
	"maps"
	"reflect"
	"slices"

	"github.com/reeve-ai/reeve/internal/core"
)

var errArchived = core.Errorf(core.Invalid, "deployment_archived", "the deployment is archived and cannot be changed")

// Update changes what somebody may choose. change gets a copy, may be called more than once, and ends the
// update by an error; setting AgentVersion to 0 pins the newest. A change without effect changes nothing.
// A new schedule counts from now. Sessions that run already stay as they are.
//
// Errors: Forbidden (below admin); NotFound; Invalid, naming the field, also if something about its session
// was changed and that could not be made now; Invalid ("deployment_archived").
func (s *Service) Update(ctx context.Context, by core.Principal, id core.DeploymentID, change func(*core.Deployment) error) (core.Deployment, error) {
	return s.change(ctx, by, id, func(tx core.Store, old core.Deployment) (core.Deployment, error) {
		d := clone(old)
		if err := change(&d); err != nil {
			return d, err
		}
		d = choice(old, d)
		if err := check(d); err != nil {
			return d, err
		}
		if !sameSession(old, d) {
			version, err := s.sessions.CheckDeployment(ctx, tx, by, d)
			if err != nil {
				return d, err
			}
			d.AgentVersion = version
			if d.Resources, err = s.sessions.SealResources(d); err != nil {
				return d, err
			}
		}
		switch {
		case reflect.DeepEqual(old.Schedule, d.Schedule):
			return d, nil
		case old.Schedule == nil || d.Schedule == nil:
			return d, s.arm(ctx, tx, &d)
		}
		return d, aim(&d, s.clock())
	})
}

// choice is old with what somebody may choose from d.
func choice(old, d core.Deployment) core.Deployment {
	next := old
	next.Name, next.Description, next.Metadata = d.Name, d.Description, d.Metadata
	next.Agent, next.AgentVersion, next.Environment = d.Agent, d.AgentVersion, d.Environment
	next.Events, next.VaultIDs, next.EnvVars, next.EnvText = d.Events, d.VaultIDs, d.EnvVars, d.EnvText
	next.Schedule, next.Resources, next.Budget = d.Schedule, d.Resources, d.Budget
	return next
}

func clone(d core.Deployment) core.Deployment {
	d.Metadata, d.EnvVars = maps.Clone(d.Metadata), maps.Clone(d.EnvVars)
	d.Events, d.VaultIDs = slices.Clone(d.Events), slices.Clone(d.VaultIDs)
	d.Resources = slices.Clone(d.Resources)
	if d.Budget != nil {
		budget := *d.Budget
		d.Budget = &budget
	}
	if d.Schedule != nil {
		schedule := *d.Schedule
		d.Schedule = &schedule
	}
	return d
}

// sameSession says whether two states of a deployment make the same sessions.
func sameSession(a, b core.Deployment) bool {
	return a.Agent == b.Agent && a.AgentVersion == b.AgentVersion && a.Environment == b.Environment &&
		reflect.DeepEqual(a.Resources, b.Resources) && reflect.DeepEqual(a.Events, b.Events) && slices.Equal(a.VaultIDs, b.VaultIDs) && maps.Equal(a.EnvVars, b.EnvVars) &&
		reflect.DeepEqual(a.Budget, b.Budget)
}

// Pause stops the schedule. Sessions that run go on, and runs by hand are still possible. A deployment that
// is paused stays so; if a failed run had paused it, the reason is now that somebody asked for it.
//
// Errors: Forbidden (below admin); NotFound; Invalid ("deployment_archived").
func (s *Service) Pause(ctx context.Context, by core.Principal, id core.DeploymentID) (core.Deployment, error) {
	return s.change(ctx, by, id, func(_ core.Store, d core.Deployment) (core.Deployment, error) {
		d.Pause = core.PausedManually
		return d, aim(&d, s.clock())
	})
}

// Unpause lets the schedule go on from its next moment; what it missed is not made up for. An active
// deployment stays as it is.
//
// Errors: Forbidden (below admin); NotFound; Invalid ("deployment_archived").
func (s *Service) Unpause(ctx context.Context, by core.Principal, id core.DeploymentID) (core.Deployment, error) {
	return s.change(ctx, by, id, func(_ core.Store, d core.Deployment) (core.Deployment, error) {
		if d.Pause == "" {
			return d, nil
		}
		d.Pause = ""
		return d, aim(&d, s.clock())
	})
}

// change runs fn on a deployment that is not archived, and stores the result if it is another.
func (s *Service) change(ctx context.Context, by core.Principal, id core.DeploymentID, fn func(core.Store, core.Deployment) (core.Deployment, error)) (core.Deployment, error) {
	if err := by.Require(core.RoleAdmin); err != nil {
		return core.Deployment{}, err
	}
	var d core.Deployment
	err := s.store.Tx(ctx, func(tx core.Store) error {
		old, err := tx.Deployment(ctx, by.Project, id)
		if err != nil {
			return err
		}
		if !old.ArchivedAt.IsZero() {
			return errArchived
		}
		if d, err = fn(tx, old); err != nil || reflect.DeepEqual(old, d) {
			return err
		}
		d.UpdatedAt = s.clock()
		return tx.UpdateDeployment(ctx, d)
	})
	if err != nil {
		return core.Deployment{}, err
	}
	return d, nil
}

// Archive ends a deployment for good: its schedule stops, and it cannot be changed or run. Doing so again
// changes nothing. Errors: Forbidden (below admin); NotFound.
func (s *Service) Archive(ctx context.Context, by core.Principal, id core.DeploymentID) (core.Deployment, error) {
	if err := by.Require(core.RoleAdmin); err != nil {
		return core.Deployment{}, err
	}
	var d core.Deployment
	err := s.store.Tx(ctx, func(tx core.Store) (err error) {
		if d, err = tx.Deployment(ctx, by.Project, id); err != nil || !d.ArchivedAt.IsZero() {
			return err
		}
		d.ArchivedAt = s.clock()
		d.UpdatedAt = d.ArchivedAt
		if err := aim(&d, d.ArchivedAt); err != nil {
			return err
		}
		return tx.UpdateDeployment(ctx, d)
	})
	if err != nil {
		return core.Deployment{}, err
	}
	return d, nil
}
