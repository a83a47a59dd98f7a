package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

const sessionNoun = "session"

func sessionWire(id core.SessionID) string { return sessionPrefix + string(id) }

// CreateSession implements core.Store.
func (w *watch) CreateSession(ctx context.Context, s core.Session) error {
	return w.and(ctx, s.Project, func(to core.Store) error { return to.CreateSession(ctx, s) },
		happening{Type: "session.created", Object: sessionWire(s.ID)})
}

// UpdateSession implements core.Store. That something else than the archive changed, an event of the log says.
func (w *watch) UpdateSession(ctx context.Context, s core.Session) error {
	change := func(to core.Store) error { return to.UpdateSession(ctx, s) }
	if s.ArchivedAt.IsZero() {
		return change(w.Store)
	}
	return compare(ctx, w, s.Project,
		func(from core.Store) (core.Session, error) { return from.Session(ctx, s.Project, s.ID) }, change,
		func(was core.Session) []happening {
			return one(sessionNoun, archived(was.ArchivedAt, s.ArchivedAt, ""), sessionWire(s.ID))
		})
}

// DeleteSession implements core.Store.
func (w *watch) DeleteSession(ctx context.Context, project core.ProjectID, id core.SessionID) error {
	return w.and(ctx, project, func(to core.Store) error { return to.DeleteSession(ctx, project, id) },
		happening{Type: "session.deleted", Object: sessionWire(id)})
}

// Append implements core.Store.
func (w *watch) Append(ctx context.Context, project core.ProjectID, session core.SessionID, at time.Time, drafts ...core.Draft) (events []core.Event, err error) {
	if !w.hears(project) {
		return w.Store.Append(ctx, project, session, at, drafts...)
	}
	var what []happening
	for _, d := range drafts {
		more, err := entry(session, d)
		if err != nil {
			return nil, err
		}
		what = append(what, more...)
	}
	if len(what) == 0 {
		return w.Store.Append(ctx, project, session, at, drafts...)
	}
	err = w.and(ctx, project, func(to core.Store) error {
		events, err = to.Append(ctx, project, session, at, drafts...)
		return err
	}, what...)
	if err != nil {
		return nil, err
	}
	return events, nil
}

// entry says what an entry of a session's log tells; nil: nothing. A status has two names: the older ones say
// session.status_….
func entry(session core.SessionID, d core.Draft) ([]happening, error) {
	var types []string
	thread := ""
	switch d.Type {
	case core.EventStatusRunning:
		types = []string{"session.running", "session.status_run_started"}
	case core.EventStatusIdle:
		var stop core.StopReason
		if err := read(d, &stop); err != nil {
			return nil, err
		}
		types = []string{"session.idled", "session.status_idled"}
		switch stop.Type {
		case core.StopRequiresAction:
			types = append(types, "session.requires_action")
		case core.StopBudgetReached:
			types = append(types, "session.budget_reached")
		}
	case core.EventStatusRescheduling:
		types = []string{"session.status_rescheduled"}
	case core.EventStatusTerminated:
		types = []string{"session.status_terminated"}
	case core.EventSessionUpdated:
		types = []string{"session.updated"}
	case core.EventOutcomeEnd:
		types = []string{"session.outcome_evaluation_ended"}
	case core.EventThreadCreated, core.EventThreadIdle, core.EventThreadTerminated:
		var of core.ThreadEvent
		if err := read(d, &of); err != nil {
			return nil, err
		}
		if of.Thread == "" {
			of.Thread = d.Thread
		}
		thread = threadPrefix + string(of.Thread)
		types = []string{map[core.EventType]string{
			core.EventThreadCreated: "session.thread_created", core.EventThreadIdle: "session.thread_idled", core.EventThreadTerminated: "session.thread_terminated",
		}[d.Type]}
	}
	var list []happening
	for _, t := range types {
		list = append(list, happening{Type: t, Object: sessionWire(session), Thread: thread})
	}
	return list, nil
}

// read decodes the payload of a draft.
func read(d core.Draft, to any) error {
	raw := d.JSON()
	if raw == nil {
		return nil
	}
	if err := json.Unmarshal(raw, to); err != nil {
		return fmt.Errorf("decode %s for webhooks: %w", d.Type, err)
	}
	return nil
}
