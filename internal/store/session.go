package store

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/reeve-ai/reeve/internal/core"
)

// sessionQuery selects sessions with their frozen definition; the conditions follow.
const sessionQuery = `SELECT s.id, s.project_id, s.origin, s.agent_id, s.agent_version, n.spec, n.team, s.environment_id,
	s.agent_key, s.title, s.metadata, s.env_vars, s.meta, s.vault_ids, s.deployment_id, s.resources, s.budget, s.outcomes, s.status, s.stop_reason, s.usage,
	s.last_seq, s.created_at, s.updated_at, s.archived_at
	` + sessionTables

const sessionTables = "FROM sessions s LEFT JOIN session_snapshots n ON n.session_id = s.id "

// attachedTables are the sessions that have a memory store attached: lists of them are in the order of its
// table.
const attachedTables = `FROM session_memory_stores m JOIN sessions s ON s.id = m.id
	LEFT JOIN session_snapshots n ON n.session_id = s.id `

func scanSession(r row) (core.Session, error) {
	var s core.Session
	err := r.Scan((*string)(&s.ID), (*string)(&s.Project), (*string)(&s.Origin), idColumn[core.AgentID]{&s.Agent},
		&s.AgentVersion, jsonColumn{&s.Snapshot}, jsonColumn{&s.Team}, idColumn[core.EnvironmentID]{&s.Environment}, (*string)(&s.AgentKey),
		&s.Title, jsonColumn{&s.Metadata}, jsonColumn{&s.EnvVars}, rawColumn{(*[]byte)(&s.Meta)}, jsonColumn{&s.VaultIDs},
		idColumn[core.DeploymentID]{&s.Deployment},
		jsonColumn{&s.Resources}, jsonColumn{&s.Budget}, jsonColumn{&s.Outcomes}, (*string)(&s.Status), jsonColumn{&s.StopReason}, jsonColumn{&s.Usage}, &s.LastSeq,
		timeColumn{&s.CreatedAt}, timeColumn{&s.UpdatedAt}, timeColumn{&s.ArchivedAt})
	return s, err
}

// sessionJSON is the JSON of a session as it is stored; nil is NULL.
type sessionJSON struct {
	snapshot, team, envVars, meta, vaultIDs, stopReason, resources, budget, outcomes any
	metadata, usage                                                                  string
}

func encodedSession(s core.Session) (sessionJSON, error) {
	var j sessionJSON
	var err error
	if j.metadata, err = encodedMap(s.Metadata); err != nil {
		return j, err
	}
	if j.usage, err = encoded(s.Usage); err != nil {
		return j, err
	}
	if s.Meta != nil {
		j.meta = string(s.Meta)
	}
	for _, part := range []struct {
		to   *any
		from any
		set  bool
	}{
		{&j.snapshot, s.Snapshot, s.Snapshot != nil},
		{&j.team, s.Team, s.Team != nil},
		{&j.envVars, s.EnvVars, s.EnvVars != nil},
		{&j.vaultIDs, s.VaultIDs, s.VaultIDs != nil},
		{&j.stopReason, s.StopReason, s.StopReason != nil},
		{&j.resources, s.Resources, s.Resources != nil},
		{&j.budget, s.Budget, s.Budget != nil},
		{&j.outcomes, s.Outcomes, s.Outcomes != nil},
	} {
		if !part.set {
			continue
		}
		text, err := json.Marshal(part.from)
		if err != nil {
			return j, err
		}
		*part.to = string(text)
	}
	return j, nil
}

// CreateSession implements core.SessionStore. The log starts empty, whatever LastSeq says. A taken id
// is Conflict ("session_already_exists"); an unknown project, agent or environment, or one of another
// project, is NotFound ("reference_not_found").
func (s *store) CreateSession(ctx context.Context, n core.Session) error {
	j, err := encodedSession(n)
	if err != nil {
		return s.fail("create session", err)
	}
	return s.write(ctx, "create session", func(h *txn) error {
		err := must(ctx, h, core.Errorf(core.Conflict, "session_already_exists", "a session with this id exists already"),
			`INSERT INTO sessions (id, project_id, origin, agent_id, agent_version, environment_id, agent_key, title,
				metadata, env_vars, meta, vault_ids, status, stop_reason, usage, last_seq, created_at, updated_at, archived_at,
				deployment_id, resources, budget, outcomes)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, 0, $16, $17, $18, $19, $20, $21, $22)
			ON CONFLICT DO NOTHING`,
			string(n.ID), string(n.Project), string(n.Origin), orNull(n.Agent), n.AgentVersion, orNull(n.Environment),
			string(n.AgentKey), pointed(n.Title), j.metadata, j.envVars, j.meta, j.vaultIDs, string(n.Status),
			j.stopReason, j.usage, micros(n.CreatedAt), micros(n.UpdatedAt), micros(n.ArchivedAt),
			orNull(n.Deployment), j.resources, j.budget, j.outcomes)
		if err != nil {
			return err
		}
		if j.snapshot != nil {
			_, err := h.change(ctx, "INSERT INTO session_snapshots (session_id, spec, team) VALUES ($1, $2, $3)",
				[]any{string(n.ID), j.snapshot, j.team}, nil)
			if err != nil {
				return err
			}
		}
		for _, r := range n.Resources {
			if r.Type != core.ResourceMemoryStore {
				continue
			}
			if _, err := h.change(ctx, "INSERT INTO session_memory_stores (project_id, store_id, created_at, id) VALUES ($1, $2, $3, $4)",
				[]any{string(n.Project), string(r.Store), micros(n.CreatedAt), string(n.ID)}, nil); err != nil {
				return err
			}
		}
		if n.Origin != core.OriginManaged {
			return nil
		}
		_, err = h.change(ctx, `INSERT INTO threads
			(session_id, id, project_id, parent_id, created_at, updated_at, pending, pending_since, node, epoch, lease_until)
			VALUES ($1, $2, $3, '', $4, $4, 0, 0, '', 0, 0)`,
			[]any{string(n.ID), string(core.PrimaryThread(n.ID)), string(n.Project), micros(n.CreatedAt)}, nil)
		return err
	})
}

// Session implements core.SessionStore.
func (s *store) Session(ctx context.Context, project core.ProjectID, id core.SessionID) (core.Session, error) {
	query := sessionQuery + "WHERE s.id = $1 AND s.project_id = $2"
	if s.tx != nil {
		if err := s.holdRow(ctx, "sessions", string(project), string(id)); err != nil {
			return core.Session{}, s.fail("hold session", err)
		}
		query += s.engine.hold("s")
	}
	return readOne(ctx, s, "session", string(id), query, []any{string(id), string(project)}, scanSession)
}

// UpdateSession implements core.SessionStore.
func (s *store) UpdateSession(ctx context.Context, n core.Session) error {
	n.Snapshot, n.Team = nil, nil // frozen
	j, err := encodedSession(n)
	if err != nil {
		return s.fail("update session", err)
	}
	return s.write(ctx, "update session", func(h *txn) error {
		return must(ctx, h, core.NotFoundError("session", string(n.ID)), `UPDATE sessions
			SET title = $3, metadata = $4, env_vars = $5, status = $6, stop_reason = $7, usage = $8,
				updated_at = $9, archived_at = $10, resources = $11, budget = $12, outcomes = $13
			WHERE id = $1 AND project_id = $2`,
			string(n.ID), string(n.Project), pointed(n.Title), j.metadata, j.envVars, string(n.Status), j.stopReason,
			j.usage, micros(n.UpdatedAt), micros(n.ArchivedAt), j.resources, j.budget, j.outcomes)
	})
}

// SetSessionState implements core.SessionStore.
func (s *store) SetSessionState(ctx context.Context, n core.Session) error {
	var stop any
	if n.StopReason != nil {
		text, err := encoded(n.StopReason)
		if err != nil {
			return s.fail("set session state", err)
		}
		stop = text
	}
	usage, err := encoded(n.Usage)
	if err != nil {
		return s.fail("set session state", err)
	}
	return s.write(ctx, "set session state", func(h *txn) error {
		return must(ctx, h, core.NotFoundError("session", string(n.ID)), `UPDATE sessions
			SET status = $3, stop_reason = $4, usage = $5, updated_at = $6
			WHERE id = $1 AND project_id = $2`,
			string(n.ID), string(n.Project), string(n.Status), stop, usage, micros(n.UpdatedAt))
	})
}

// DeleteSession implements core.SessionStore.
func (s *store) DeleteSession(ctx context.Context, project core.ProjectID, id core.SessionID) error {
	return s.write(ctx, "delete session", func(h *txn) error {
		// The session goes first: that proves whose it is, and takes threads and snapshot with it.
		var log int64
		n, err := h.change(ctx, "DELETE FROM sessions WHERE id = $1 AND project_id = $2 RETURNING log",
			[]any{string(id), string(project)}, func(r row) error { return r.Scan(&log) })
		if err != nil {
			return err
		}
		if n == 0 {
			return core.NotFoundError("session", string(id))
		}
		_, err = h.change(ctx, "DELETE FROM events WHERE place > $1 AND place < $2",
			[]any{log * logSize, (log + 1) * logSize}, nil)
		return err
	})
}

// Sessions implements core.SessionStore.
func (s *store) Sessions(ctx context.Context, project core.ProjectID, page core.SessionPage) ([]core.Session, error) {
	q, query, table := listQuery{engine: s.engine}, sessionQuery, "s"
	if page.MemoryStore != "" {
		query, table = strings.Replace(sessionQuery, sessionTables, attachedTables, 1), "m"
		q.and("m.project_id = %s AND m.store_id = %s", string(project), string(page.MemoryStore))
	}
	q.and("s.project_id = %s", string(project))
	if page.Agent != "" {
		q.and("s.agent_id = %s", string(page.Agent))
	}
	if page.AgentVersion != 0 {
		q.and("s.agent_version = %s", page.AgentVersion)
	}
	if page.Deployment != "" {
		q.and("s.deployment_id = %s", string(page.Deployment))
	}
	if page.Origin != "" {
		q.and("s.origin = %s", string(page.Origin))
	}
	andIn(&q, "s.status", page.Statuses)
	if !page.IncludeArchived {
		q.and("s.archived_at = 0")
	}
	if !page.CreatedFrom.IsZero() {
		q.and("s.created_at >= %s", micros(page.CreatedFrom))
	}
	if !page.CreatedTo.IsZero() {
		q.and("s.created_at <= %s", micros(page.CreatedTo))
	}
	if !page.CreatedAfter.IsZero() {
		q.and("s.created_at > %s", micros(page.CreatedAfter))
	}
	if !page.CreatedBefore.IsZero() {
		q.and("s.created_at < %s", micros(page.CreatedBefore))
	}
	order, backwards := q.order(table, keyset{page.After, page.Before, page.Ascending})
	list, err := readAll(ctx, s, "sessions", query+"WHERE "+q.conditions()+order+q.limit(page.Limit, 0), q.args, scanSession)
	return inOrder(list, backwards), err
}
