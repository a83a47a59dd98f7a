package store

import (
	"context"

	"github.com/reeve-ai/reeve/internal/core"
)

// threadQuery selects threads; the conditions follow.
const threadQuery = `SELECT t.project_id, t.session_id, t.id, t.parent_id, t.kind, t.agent_id, t.agent_version, t.name,
	t.spec, t.model, t.status, t.stop_reason, t.usage, t.created_at, t.updated_at, t.archived_at,
	t.pending, t.node, t.epoch, t.lease_until
	FROM threads t WHERE `

func scanThread(r row) (core.Thread, error) {
	var t core.Thread
	err := r.Scan((*string)(&t.Project), (*string)(&t.Session), (*string)(&t.ID), (*string)(&t.Parent), (*string)(&t.Kind),
		(*string)(&t.Agent), &t.AgentVersion, &t.Name, jsonColumn{&t.Spec}, jsonColumn{&t.Model},
		(*string)(&t.Status), jsonColumn{&t.StopReason}, jsonColumn{&t.Usage},
		timeColumn{&t.CreatedAt}, timeColumn{&t.UpdatedAt}, timeColumn{&t.ArchivedAt},
		flagColumn{&t.Turn.Pending}, &t.Turn.Node, &t.Turn.Epoch, timeColumn{&t.Turn.LeaseUntil})
	return t, err
}

// Thread implements core.ThreadStore.
func (s *store) Thread(ctx context.Context, project core.ProjectID, session core.SessionID, id core.ThreadID) (core.Thread, error) {
	return readOne(ctx, s, "thread", string(id), threadQuery+"t.session_id = $1 AND t.id = $2 AND t.project_id = $3",
		[]any{string(session), string(id), string(project)}, scanThread)
}

// Threads implements core.ThreadStore.
func (s *store) Threads(ctx context.Context, project core.ProjectID, session core.SessionID, page core.ThreadPage) ([]core.Thread, error) {
	q := listQuery{engine: s.engine}
	q.and("t.session_id = %s AND t.project_id = %s", string(session), string(project))
	if page.Open {
		q.and("t.archived_at = 0 AND t.status <> 'terminated'")
	}
	order, _ := q.order("t", keyset{after: page.After, ascending: true})
	return readAll(ctx, s, "threads", threadQuery+q.conditions()+order+q.limit(page.Limit, 0), q.args, scanThread)
}

// CreateThread implements core.ThreadStore.
func (s *store) CreateThread(ctx context.Context, t core.Thread) error {
	var spec, model any
	for _, part := range []struct {
		to   *any
		from any
		set  bool
	}{{&spec, t.Spec, t.Spec != nil}, {&model, t.Model, t.Model != nil}} {
		if !part.set {
			continue
		}
		text, err := encoded(part.from)
		if err != nil {
			return s.fail("create thread", err)
		}
		*part.to = text
	}
	stop, usage, err := encodedState(t.StopReason, t.Usage)
	if err != nil {
		return s.fail("create thread", err)
	}
	return s.write(ctx, "create thread", func(h *txn) error {
		if err := proveSession(ctx, h, t.Project, t.Session); err != nil {
			return err
		}
		return must(ctx, h, core.Errorf(core.Conflict, "thread_already_exists", "a thread with this id exists already"),
			`INSERT INTO threads (session_id, id, project_id, parent_id, created_at, pending, pending_since, node, epoch, lease_until,
				kind, agent_id, agent_version, name, spec, model, status, stop_reason, usage, updated_at, archived_at)
			VALUES ($1, $2, $3, $4, $5, 0, 0, '', 0, 0, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
			ON CONFLICT DO NOTHING`,
			string(t.Session), string(t.ID), string(t.Project), string(t.Parent), micros(t.CreatedAt),
			string(t.Kind), string(t.Agent), t.AgentVersion, t.Name, spec, model, string(t.Status), stop, usage,
			micros(t.UpdatedAt), micros(t.ArchivedAt))
	})
}

// SetThreadState implements core.ThreadStore.
func (s *store) SetThreadState(ctx context.Context, t core.Thread) error {
	stop, usage, err := encodedState(t.StopReason, t.Usage)
	if err != nil {
		return s.fail("set thread state", err)
	}
	return s.write(ctx, "set thread state", func(h *txn) error {
		return must(ctx, h, core.NotFoundError("thread", string(t.ID)), `UPDATE threads
			SET status = $4, stop_reason = $5, usage = $6, updated_at = $7, archived_at = $8
			WHERE session_id = $1 AND id = $2 AND project_id = $3`,
			string(t.Session), string(t.ID), string(t.Project), string(t.Status), stop, usage, micros(t.UpdatedAt), micros(t.ArchivedAt))
	})
}

// encodedState is the JSON of what a turn changes: why it stopped, NULL for nil, and what it used.
func encodedState(stop *core.StopReason, usage core.Usage) (reason any, used string, err error) {
	if stop != nil {
		if reason, err = encoded(stop); err != nil {
			return nil, "", err
		}
	}
	used, err = encoded(usage)
	return reason, used, err
}
