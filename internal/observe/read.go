package observe

import (
	"context"
	"fmt"

	"github.com/reeve-ai/reeve/internal/core"
)

// Limits of what is read.
const (
	MaxDays  = 3660   // in a span, both ends included
	MaxPaths = 1000   // of one answer
	MaxPage  = 10_000 // captures of one answer
)

// readable returns the agent if the caller may read what was captured of it. One that is deactivated or
// archived is not found, as in reference otas.md, section 2.3, G-READ.
func (s *Service) readable(ctx context.Context, by core.Principal, id core.AgentID) (core.Agent, error) {
	if err := by.Require(core.RoleViewer); err != nil {
		return core.Agent{}, err
	}
	a, err := s.agents.Agent(ctx, by, id)
	switch {
	case core.KindOf(err) == core.NotFound || err == nil && (!a.Active || !a.ArchivedAt.IsZero()):
		return core.Agent{}, core.NotFoundError("agent", core.FormatUUID(id))
	case err != nil:
		return core.Agent{}, fmt.Errorf("read agent: %w", err)
	}
	return a, nil
}

// readableDays is readable, and checks a span of days.
func (s *Service) readableDays(ctx context.Context, by core.Principal, id core.AgentID, days core.Days) error {
	if _, err := s.readable(ctx, by, id); err != nil {
		return err
	}
	return checkDays(days)
}

func checkDays(days core.Days) error {
	if days.From > days.To {
		return &core.Error{Kind: core.Invalid, Code: "invalid_date_range", Field: "start_date", Message: "start_date must be before or equal to end_date"}
	}
	if days.To-days.From >= MaxDays {
		return &core.Error{Kind: core.Invalid, Code: "invalid_date_range", Field: "end_date", Message: fmt.Sprintf("start_date and end_date must span at most %d days", MaxDays)}
	}
	return nil
}

// PathDays counts the calls of an agent by path, in order of its bytes, then by day. Of more than MaxPaths
// paths it returns those that were called most, and reports that there are more.
//
// Errors, as of all reads by day: Forbidden; NotFound ("agent_not_found"); Invalid ("invalid_date_range").
func (s *Service) PathDays(ctx context.Context, by core.Principal, agent core.AgentID, days core.Days) (list []core.PathDay, more bool, err error) {
	if err := s.readableDays(ctx, by, agent, days); err != nil {
		return nil, false, err
	}
	return s.store.PathDays(ctx, by.Project, agent, days, MaxPaths)
}

// LatencyDays lists the percentiles of the days that have captures, in order. Errors: as of PathDays.
func (s *Service) LatencyDays(ctx context.Context, by core.Principal, agent core.AgentID, days core.Days) ([]core.LatencyDay, error) {
	if err := s.readableDays(ctx, by, agent, days); err != nil {
		return nil, err
	}
	return s.store.LatencyDays(ctx, by.Project, agent, days)
}

// ErrorDays counts the days that have captures, in order. Errors: as of PathDays.
func (s *Service) ErrorDays(ctx context.Context, by core.Principal, agent core.AgentID, days core.Days) ([]core.ErrorDay, error) {
	if err := s.readableDays(ctx, by, agent, days); err != nil {
		return nil, err
	}
	return s.store.ErrorDays(ctx, by.Project, agent, days)
}

// PathErrors lists the limit paths where most went wrong, the worst first; limit is 1 to MaxPaths. Errors: as
// of PathDays; Invalid ("limit").
func (s *Service) PathErrors(ctx context.Context, by core.Principal, agent core.AgentID, days core.Days, limit int) ([]core.PathErrors, error) {
	if err := s.readableDays(ctx, by, agent, days); err != nil {
		return nil, err
	}
	if limit < 1 || limit > MaxPaths {
		return nil, core.InvalidField("limit", "must be between 1 and %d", MaxPaths)
	}
	return s.store.PathErrors(ctx, by.Project, agent, days, limit)
}

// Usage sums up each agent of the project that has captures in the span, most captures first; agents that are
// not active are among them. Errors: Forbidden; Invalid ("invalid_date_range").
func (s *Service) Usage(ctx context.Context, by core.Principal, days core.Days) ([]core.AgentUsage, error) {
	if err := by.Require(core.RoleViewer); err != nil {
		return nil, err
	}
	if err := checkDays(days); err != nil {
		return nil, err
	}
	return s.store.Usage(ctx, by.Project, nil, days)
}

// AgentUsage sums up one agent, over the span and by day, in order. total has the agent's id even if there is
// nothing to sum up. Errors: as of PathDays.
func (s *Service) AgentUsage(ctx context.Context, by core.Principal, agent core.AgentID, days core.Days) (total core.AgentUsage, byDay []core.AgentUsage, err error) {
	if err := s.readableDays(ctx, by, agent, days); err != nil {
		return core.AgentUsage{}, nil, err
	}
	totals, err := s.store.Usage(ctx, by.Project, []core.AgentID{agent}, days)
	if err != nil {
		return core.AgentUsage{}, nil, err
	}
	total.Agent = agent
	if len(totals) > 0 {
		total = totals[0]
	}
	byDay, err = s.store.UsageDays(ctx, by.Project, agent, days)
	return total, byDay, err
}

// Captures lists a session's captures in the order in which the calls ended; empty for a session that nobody
// knows. next is where the list goes on, nil at its end.
//
// Errors: Forbidden; NotFound ("agent_not_found"); Invalid ("limit", outside of 1 to MaxPage).
func (s *Service) Captures(ctx context.Context, by core.Principal, agent core.AgentID, session core.SessionID, q core.CaptureQuery) (list []core.Capture, next *core.CaptureKey, err error) {
	if _, err := s.readable(ctx, by, agent); err != nil {
		return nil, nil, err
	}
	if err := checkLimit(q.Limit); err != nil {
		return nil, nil, err
	}
	return s.page(ctx, by.Project, agent, session, q)
}

func checkLimit(limit int) error {
	if limit < 1 || limit > MaxPage {
		return core.InvalidField("limit", "must be between 1 and %d", MaxPage)
	}
	return nil
}

// page reads captures and looks whether there are more: a page may also be short because of MaxBytes.
func (s *Service) page(ctx context.Context, project core.ProjectID, agent core.AgentID, session core.SessionID, q core.CaptureQuery) ([]core.Capture, *core.CaptureKey, error) {
	list, err := s.store.Captures(ctx, project, agent, session, q)
	if err != nil {
		return nil, nil, fmt.Errorf("read captures: %w", err)
	}
	if len(list) == 0 || len(list) < q.Limit && q.MaxBytes == 0 {
		return list, nil, nil
	}
	last := keyOf(list[len(list)-1])
	more, err := s.store.Captures(ctx, project, agent, session, core.CaptureQuery{Limit: 1, After: &last, Bare: true})
	if err != nil {
		return nil, nil, fmt.Errorf("look for more captures: %w", err)
	}
	if len(more) == 0 {
		return list, nil, nil
	}
	return list, &last, nil
}

func keyOf(c core.Capture) core.CaptureKey { return core.CaptureKey{At: c.At, ID: c.ID} }

// SessionCaptures counts captures by session; sessions without are not in the map. Errors: Forbidden.
func (s *Service) SessionCaptures(ctx context.Context, by core.Principal, ids []core.SessionID) (map[core.SessionID]core.CaptureCounts, error) {
	if err := by.Require(core.RoleViewer); err != nil {
		return nil, err
	}
	if len(ids) == 0 {
		return map[core.SessionID]core.CaptureCounts{}, nil
	}
	return s.store.SessionCaptures(ctx, by.Project, ids)
}

// Forget deletes a session's captures, when the session itself was deleted. Reports that are under way at
// that moment are deleted when they are stored.
func (s *Service) Forget(ctx context.Context, project core.ProjectID, session core.SessionID) error {
	key := sessionKey{project, session}
	s.gone.Set(key, struct{}{}) // before: a report looks after it has stored
	defer s.marks.forget(key, core.CaptureKey{})
	if err := s.store.ForgetSession(ctx, project, session); err != nil {
		return fmt.Errorf("forget captures of a session: %w", err)
	}
	return nil
}
