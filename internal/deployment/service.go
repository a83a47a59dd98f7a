package deployment

import (
	"context"
	"log/slog"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// Sessions makes the sessions of deployments.
type Sessions interface {
	// CheckDeployment judges whether a deployment's sessions could be made now, and returns the version of
	// the agent that they would run.
	CheckDeployment(ctx context.Context, tx core.Store, by core.Principal, d core.Deployment) (version int, err error)
	// CreateOf makes a session in tx. The caller calls announce once tx is committed, and not if it is undone.
	CreateOf(ctx context.Context, tx core.Store, by core.Principal, d core.Deployment) (id core.SessionID, announce func(), err error)
	// SealResources returns a deployment's resources as they are stored: with their tokens sealed.
	SealResources(d core.Deployment) ([]core.Resource, error)
}

// Options are what New can do without.
type Options struct {
	Now   func() time.Time // nil: the system clock
	Log   *slog.Logger     // nil: slog.Default()
	Sweep time.Duration    // how often Run looks for due deployments; 0: every second
}

// Service is used from several goroutines.
type Service struct {
	store    core.Store
	sessions Sessions
	now      func() time.Time
	log      *slog.Logger
	every    time.Duration
}

// New makes the service. Nothing fires before Run.
func New(store core.Store, sessions Sessions, o Options) *Service {
	s := &Service{store: store, sessions: sessions, now: o.Now, log: o.Log, every: o.Sweep}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	if s.every <= 0 {
		s.every = time.Second
	}
	return s
}

// clock returns the time as the store keeps it.
func (s *Service) clock() time.Time { return s.now().UTC().Truncate(time.Microsecond) }

// Create saves a deployment, active. Of n it takes what somebody may choose; ID may be set by the caller.
// AgentVersion 0 pins the newest.
//
// Errors: Forbidden (below admin); Invalid, naming the field, also if its session could not be made now;
// Conflict ("deployment_already_exists") for a taken ID.
func (s *Service) Create(ctx context.Context, by core.Principal, n core.Deployment) (core.Deployment, error) {
	if err := by.Require(core.RoleAdmin); err != nil {
		return core.Deployment{}, err
	}
	n.Project, n.Pause, n.LastRunAt, n.ArchivedAt = by.Project, "", time.Time{}, time.Time{}
	if n.ID == "" {
		n.ID = core.NewID[core.DeploymentID]()
	}
	if n.Metadata == nil {
		n.Metadata = map[string]string{}
	}
	if err := check(n); err != nil {
		return core.Deployment{}, err
	}
	var d core.Deployment
	err := s.store.Tx(ctx, func(tx core.Store) (err error) {
		d = n
		d.CreatedAt = s.clock()
		d.UpdatedAt = d.CreatedAt
		if d.AgentVersion, err = s.sessions.CheckDeployment(ctx, tx, by, d); err != nil {
			return err
		}
		if err := s.arm(ctx, tx, &d); err != nil {
			return err
		}
		if d.Resources, err = s.sessions.SealResources(d); err != nil {
			return err
		}
		return tx.CreateDeployment(ctx, d)
	})
	if err != nil {
		return core.Deployment{}, err
	}
	return d, nil
}

// arm gives a deployment that has got its schedule just now the time of its next fire.
func (s *Service) arm(ctx context.Context, tx core.Store, d *core.Deployment) error {
	if d.Schedule == nil {
		d.DueAt, d.NextRunAt = time.Time{}, time.Time{}
		return nil
	}
	n, err := tx.CountScheduled(ctx, d.Project)
	if err != nil {
		return err
	}
	if n >= MaxScheduled {
		return &core.Error{
			Kind: core.Invalid, Code: "too_many_schedules", Field: "schedule",
			Message: "schedule: a project has at most 1000 deployments with a schedule",
		}
	}
	return aim(d, s.clock())
}

// aim sets when a deployment fires next behind now, or that it does not.
func aim(d *core.Deployment, now time.Time) error {
	d.DueAt, d.NextRunAt = time.Time{}, time.Time{}
	if d.Schedule == nil || d.Pause != "" || !d.ArchivedAt.IsZero() {
		return nil
	}
	t, err := read(*d.Schedule)
	if err != nil {
		return err
	}
	if at := t.next(now); !at.IsZero() {
		d.DueAt, d.NextRunAt = at, t.start(d.ID, at)
	}
	return nil
}

// Deployment returns one deployment. Errors: Forbidden; NotFound.
func (s *Service) Deployment(ctx context.Context, by core.Principal, id core.DeploymentID) (core.Deployment, error) {
	if err := by.Require(core.RoleViewer); err != nil {
		return core.Deployment{}, err
	}
	return s.store.Deployment(ctx, by.Project, id)
}

// Deployments lists the project's deployments, newest first. Errors: Forbidden; Invalid (limit outside of 1
// to 1000; a state of the schedule together with archived ones).
func (s *Service) Deployments(ctx context.Context, by core.Principal, page core.DeploymentPage) ([]core.Deployment, error) {
	if err := by.Require(core.RoleViewer); err != nil {
		return nil, err
	}
	if page.Paused != nil && page.IncludeArchived {
		return nil, core.InvalidField("status", "cannot be combined with include_archived")
	}
	if page.Limit < 1 || page.Limit > 1000 {
		return nil, core.InvalidField("limit", "must be between 1 and 1000")
	}
	return s.store.Deployments(ctx, by.Project, page)
}

// UpcomingRuns is how many of the next moments of a schedule are shown.
const UpcomingRuns = 5

// Upcoming lists the next moments of a deployment's schedule, without jitter; for a paused one those at which
// it would fire. It is empty, never nil, without a schedule and when archived.
func (s *Service) Upcoming(d core.Deployment) []time.Time {
	if d.Schedule == nil || !d.ArchivedAt.IsZero() {
		return []time.Time{}
	}
	t, err := read(*d.Schedule)
	if err != nil { // it was read before it was stored
		s.log.Error("schedule cannot be read any more", "deployment", d.ID, "err", err)
		return []time.Time{}
	}
	now := s.clock()
	if !d.DueAt.IsZero() && !d.DueAt.After(now) { // it starts any moment: its jitter is not over yet
		return append([]time.Time{d.DueAt}, t.upcoming(now, UpcomingRuns-1)...)
	}
	return t.upcoming(now, UpcomingRuns)
}
