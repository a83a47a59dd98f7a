package store

import (
	"context"
	"strings"

	"github.com/reeve-ai/reeve/internal/core"
)

// agentQuery selects an agent at one version; the conditions follow.
const agentQuery = `SELECT a.project_id, a.id, v.version, v.spec, a.active, a.created_by, a.created_at,
	v.updated_at, a.archived_at, v.made_at
	FROM agents a JOIN agent_versions v ON v.project_id = a.project_id AND v.agent_id = a.id `

func scanAgent(r row) (core.Agent, error) {
	var a core.Agent
	err := r.Scan((*string)(&a.Project), (*string)(&a.ID), &a.Version, jsonColumn{&a.AgentSpec}, flagColumn{&a.Active},
		(*string)(&a.CreatedBy), timeColumn{&a.CreatedAt}, timeColumn{&a.UpdatedAt}, timeColumn{&a.ArchivedAt}, timeColumn{&a.VersionMadeAt})
	return a, err
}

// searched is the text that AgentPage.Search looks in. Lower-case is made here and not in SQL,
// because SQLite lowers ASCII only. The separator keeps a match from crossing from one to the other.
func searched(spec core.AgentSpec) string {
	return strings.ToLower(spec.Name + "\x1f" + spec.Description)
}

// CreateAgent implements core.AgentStore. An unknown project is NotFound ("reference_not_found").
func (s *store) CreateAgent(ctx context.Context, a core.Agent) error {
	a.Version = 1
	return s.write(ctx, "create agent", func(h *txn) error {
		err := must(ctx, h, core.Errorf(core.Conflict, "agent_already_exists", "an agent with this id exists already"),
			`INSERT INTO agents (project_id, id, version, search, active, created_by, created_at, archived_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING`,
			string(a.Project), string(a.ID), a.Version, searched(a.AgentSpec), flag(a.Active), string(a.CreatedBy),
			micros(a.CreatedAt), micros(a.ArchivedAt))
		if err != nil {
			return err
		}
		return insertAgentVersion(ctx, h, a)
	})
}

func insertAgentVersion(ctx context.Context, h handle, a core.Agent) error {
	spec, err := encoded(a.AgentSpec)
	if err != nil {
		return err
	}
	_, err = h.change(ctx, `INSERT INTO agent_versions (project_id, agent_id, version, spec, made_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6)`,
		[]any{string(a.Project), string(a.ID), a.Version, spec, micros(a.VersionMadeAt), micros(a.UpdatedAt)}, nil)
	return err
}

// Agent implements core.AgentStore.
func (s *store) Agent(ctx context.Context, project core.ProjectID, id core.AgentID) (core.Agent, error) {
	query := agentQuery + "AND v.version = a.version WHERE a.project_id = $1 AND a.id = $2"
	if s.tx != nil {
		if err := s.holdRow(ctx, "agents", string(project), string(id)); err != nil {
			return core.Agent{}, s.fail("hold agent", err)
		}
		query += s.engine.hold("a")
	}
	return readOne(ctx, s, "agent", string(id), query, []any{string(project), string(id)}, scanAgent)
}

// AgentVersion implements core.AgentStore.
func (s *store) AgentVersion(ctx context.Context, project core.ProjectID, id core.AgentID, version int) (core.Agent, error) {
	return readOne(ctx, s, "agent", string(id),
		agentQuery+"WHERE a.project_id = $1 AND a.id = $2 AND v.version = $3",
		[]any{string(project), string(id), version}, scanAgent)
}

// AgentVersions implements core.AgentStore. An unknown agent is NotFound.
func (s *store) AgentVersions(ctx context.Context, project core.ProjectID, id core.AgentID, before, limit int) (list []core.Agent, err error) {
	q := listQuery{engine: s.engine}
	q.and("a.project_id = %s AND a.id = %s", string(project), string(id))
	if before > 0 {
		q.and("v.version < %s", before)
	}
	query := agentQuery + "WHERE " + q.conditions() + " ORDER BY v.version DESC" + q.limit(limit, 0)
	err = s.read(ctx, "list agent versions", func(h handle) (err error) {
		list, err = all(ctx, h, query, q.args, scanAgent)
		if err != nil || len(list) > 0 {
			return err
		}
		there, err := found(ctx, h, "SELECT 1 FROM agents WHERE project_id = $1 AND id = $2", string(project), string(id))
		if err == nil && !there {
			return core.NotFoundError("agent", string(id))
		}
		return err
	})
	return list, err
}

// UpdateAgent implements core.AgentStore.
func (s *store) UpdateAgent(ctx context.Context, a core.Agent) error {
	return s.write(ctx, "update agent", func(h *txn) error {
		n, err := h.change(ctx, `UPDATE agents SET version = $3, search = $5
			WHERE project_id = $1 AND id = $2 AND version = $4`,
			[]any{string(a.Project), string(a.ID), a.Version, a.Version - 1, searched(a.AgentSpec)}, nil)
		if err != nil {
			return err
		}
		if n > 0 {
			return insertAgentVersion(ctx, h, a)
		}
		there, err := found(ctx, h, "SELECT 1 FROM agents WHERE project_id = $1 AND id = $2", string(a.Project), string(a.ID))
		if err != nil {
			return err
		}
		if !there {
			return core.NotFoundError("agent", string(a.ID))
		}
		return core.Errorf(core.Conflict, "version_conflict", "the agent was changed in the meantime: read it again")
	})
}

// SetAgentState implements core.AgentStore. UpdatedAt is stored with the newest version.
func (s *store) SetAgentState(ctx context.Context, a core.Agent) error {
	return s.write(ctx, "set agent state", func(h *txn) error {
		err := must(ctx, h, core.NotFoundError("agent", string(a.ID)),
			"UPDATE agents SET active = $3, archived_at = $4 WHERE project_id = $1 AND id = $2",
			string(a.Project), string(a.ID), flag(a.Active), micros(a.ArchivedAt))
		if err != nil {
			return err
		}
		_, err = h.change(ctx, `UPDATE agent_versions SET updated_at = $3
			WHERE project_id = $1 AND agent_id = $2
			AND version = (SELECT version FROM agents WHERE project_id = $1 AND id = $2)`,
			[]any{string(a.Project), string(a.ID), micros(a.UpdatedAt)}, nil)
		return err
	})
}

// Agents implements core.AgentStore.
func (s *store) Agents(ctx context.Context, project core.ProjectID, page core.AgentPage) ([]core.Agent, error) {
	q := s.agentFilter(project, page)
	order, backwards := q.order("a", keyset{page.After, page.Before, page.Ascending})
	query := agentQuery + "AND v.version = a.version WHERE " + q.conditions() + order + q.limit(page.Limit, page.Offset)
	list, err := readAll(ctx, s, "agents", query, q.args, scanAgent)
	return inOrder(list, backwards), err
}

// CountAgents implements core.AgentStore.
func (s *store) CountAgents(ctx context.Context, project core.ProjectID, page core.AgentPage) (int, error) {
	q := s.agentFilter(project, page)
	return readOne(ctx, s, "agent count", "", "SELECT count(*) FROM agents a WHERE "+q.conditions(), q.args,
		func(r row) (int, error) {
			var n int
			err := r.Scan(&n)
			return n, err
		})
}

// agentFilter has the conditions of a page but its keys.
func (s *store) agentFilter(project core.ProjectID, page core.AgentPage) *listQuery {
	q := &listQuery{engine: s.engine}
	q.and("a.project_id = %s", string(project))
	if !page.IncludeArchived {
		q.and("a.archived_at = 0")
	}
	if page.ActiveOnly {
		q.and("a.active = 1")
	}
	if page.Search != "" {
		q.where = append(q.where, q.engine.contains("a.search", q.arg(strings.ToLower(page.Search))))
	}
	if !page.CreatedFrom.IsZero() {
		q.and("a.created_at >= %s", micros(page.CreatedFrom))
	}
	if !page.CreatedTo.IsZero() {
		q.and("a.created_at <= %s", micros(page.CreatedTo))
	}
	return q
}
