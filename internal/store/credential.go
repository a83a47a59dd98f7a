package store

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

const credentialColumns = `c.id, c.project_id, c.kind, c.prefix, c.hash, c.name, c.role, c.agent_id, c.created_by,
	c.created_at, c.expires_at, c.revoked_at, c.last_used_at, c.ends_sessions, c.environment_id`

// credentialFields are the destinations of credentialColumns.
func credentialFields(c *core.Credential) []any {
	return []any{
		(*string)(&c.ID), (*string)(&c.Project), (*string)(&c.Kind), &c.Prefix, &c.Hash, &c.Name,
		(*string)(&c.Role),
		idColumn[core.AgentID]{&c.Agent},
		(*string)(&c.CreatedBy),
		timeColumn{&c.CreatedAt},
		timeColumn{&c.ExpiresAt},
		timeColumn{&c.RevokedAt},
		timeColumn{&c.LastUsedAt},
		flagColumn{&c.EndsSessions},
		idColumn[core.EnvironmentID]{&c.Environment},
	}
}

func scanCredential(r row) (core.Credential, error) {
	var c core.Credential
	err := r.Scan(credentialFields(&c)...)
	return c, err
}

// CreateCredential implements core.CredentialStore. An unknown project or agent is NotFound
// ("reference_not_found").
func (s *store) CreateCredential(ctx context.Context, c core.Credential) error {
	return s.write(ctx, "create credential", func(h *txn) error {
		return must(ctx, h, core.Errorf(core.Conflict, "prefix_taken", "a key with this prefix exists already"),
			`INSERT INTO credentials (id, project_id, kind, prefix, hash, name, role, agent_id, created_by,
				created_at, expires_at, revoked_at, last_used_at, ends_sessions, environment_id)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) ON CONFLICT DO NOTHING`,
			string(c.ID), string(c.Project), string(c.Kind), c.Prefix, c.Hash, pointed(c.Name), string(c.Role),
			orNull(c.Agent), string(c.CreatedBy),
			micros(c.CreatedAt), micros(c.ExpiresAt), micros(c.RevokedAt), micros(c.LastUsedAt),
			flag(c.EndsSessions), orNull(c.Environment))
	})
}

// CredentialByPrefix implements core.CredentialStore.
func (s *store) CredentialByPrefix(ctx context.Context, prefix string) (core.Credential, error) {
	return readOne(ctx, s, "credential", prefix,
		"SELECT "+credentialColumns+" FROM credentials c WHERE c.prefix = $1", []any{prefix}, scanCredential)
}

// agentUsable and sessionOpen are columns of the statements below. Their tables may be outer ones: no row
// is no.
const (
	agentUsable = "CASE WHEN a.active = 1 AND a.archived_at = 0 THEN 1 ELSE 0 END"
	sessionOpen = "CASE WHEN s.archived_at = 0 AND COALESCE(o.ends_sessions, 0) = 0 THEN 1 ELSE 0 END"
)

// KeyState implements core.CredentialStore.
func (s *store) KeyState(ctx context.Context, prefix string, session core.SessionID) (core.KeyState, error) {
	scan := func(r row) (core.KeyState, error) {
		var k core.KeyState
		err := r.Scan(append(credentialFields(&k.Credential), flagColumn{&k.ProjectActive}, flagColumn{&k.AgentActive},
			idColumn[core.AgentID]{&k.SessionAgent}, flagColumn{&k.SessionOpen}, flagColumn{&k.EnvironmentThere})...)
		return k, err
	}
	return readOne(ctx, s, "credential", prefix,
		"SELECT "+credentialColumns+", p.active, "+agentUsable+", s.agent_id, "+sessionOpen+`, CASE WHEN e.id IS NULL THEN 0 ELSE 1 END
		FROM credentials c
		JOIN projects p ON p.id = c.project_id
		LEFT JOIN sessions s ON s.id = $2 AND s.project_id = c.project_id
		LEFT JOIN agents a ON a.project_id = c.project_id AND a.id = COALESCE(c.agent_id, s.agent_id)
		LEFT JOIN credentials o ON o.id = s.agent_key
		LEFT JOIN environments e ON e.project_id = c.project_id AND e.id = c.environment_id
		WHERE c.prefix = $1`, []any{prefix, string(session)}, scan)
}

// SessionState implements core.CredentialStore.
func (s *store) SessionState(ctx context.Context, project core.ProjectID, session core.SessionID) (core.SessionState, error) {
	scan := func(r row) (core.SessionState, error) {
		var st core.SessionState
		err := r.Scan(idColumn[core.AgentID]{&st.Agent}, (*string)(&st.AgentKey), flagColumn{&st.ProjectActive},
			flagColumn{&st.AgentActive}, flagColumn{&st.Open})
		return st, err
	}
	return readOne(ctx, s, "session", string(session),
		"SELECT s.agent_id, s.agent_key, p.active, "+agentUsable+", "+sessionOpen+`
		FROM sessions s
		JOIN projects p ON p.id = s.project_id
		LEFT JOIN agents a ON a.project_id = s.project_id AND a.id = s.agent_id
		LEFT JOIN credentials o ON o.id = s.agent_key
		WHERE s.id = $1 AND s.project_id = $2`, []any{string(session), string(project)}, scan)
}

// Credential implements core.CredentialStore.
func (s *store) Credential(ctx context.Context, project core.ProjectID, id core.CredentialID) (core.Credential, error) {
	return readOne(ctx, s, "credential", string(id),
		"SELECT "+credentialColumns+" FROM credentials c WHERE c.id = $1 AND c.project_id = $2",
		[]any{string(id), string(project)}, scanCredential)
}

// Credentials implements core.CredentialStore.
func (s *store) Credentials(ctx context.Context, project core.ProjectID, kind core.CredentialKind, agent core.AgentID) ([]core.Credential, error) {
	q := listQuery{engine: s.engine}
	q.and("c.project_id = %s", string(project))
	if kind != "" {
		q.and("c.kind = %s", string(kind))
	}
	if agent != "" {
		q.and("c.agent_id = %s", string(agent))
	}
	return readAll(ctx, s, "credentials",
		"SELECT "+credentialColumns+" FROM credentials c WHERE "+q.conditions()+" ORDER BY c.created_at DESC, c.id DESC",
		q.args, scanCredential)
}

// EnvironmentCredentials implements core.CredentialStore. An unknown environment has no keys.
func (s *store) EnvironmentCredentials(ctx context.Context, project core.ProjectID, environment core.EnvironmentID) ([]core.Credential, error) {
	return readAll(ctx, s, "environment credentials", "SELECT "+credentialColumns+` FROM credentials c
		WHERE c.project_id = $1 AND c.environment_id = $2 AND c.environment_id IS NOT NULL ORDER BY c.created_at DESC, c.id DESC`,
		[]any{string(project), string(environment)}, scanCredential)
}

// AgentCredentials implements core.CredentialStore. Agents without a key are not in the map.
func (s *store) AgentCredentials(ctx context.Context, project core.ProjectID, agents []core.AgentID) (map[core.AgentID][]core.Credential, error) {
	byAgent := make(map[core.AgentID][]core.Credential, len(agents))
	if len(agents) == 0 {
		return byAgent, nil
	}
	q := listQuery{engine: s.engine}
	q.and("c.project_id = %s AND c.kind = %s AND c.revoked_at = 0", string(project), string(core.CredentialAgent))
	andIn(&q, "c.agent_id", agents)
	list, err := readAll(ctx, s, "agent credentials",
		"SELECT "+credentialColumns+" FROM credentials c WHERE "+q.conditions()+" ORDER BY c.created_at DESC, c.id DESC",
		q.args, scanCredential)
	for _, c := range list {
		byAgent[c.Agent] = append(byAgent[c.Agent], c)
	}
	return byAgent, err
}

// RevokeCredential implements core.CredentialStore.
func (s *store) RevokeCredential(ctx context.Context, project core.ProjectID, id core.CredentialID, at time.Time, endsSessions bool) error {
	return s.write(ctx, "revoke credential", func(h *txn) error {
		return must(ctx, h, core.NotFoundError("credential", string(id)),
			"UPDATE credentials SET revoked_at = $3, ends_sessions = $4 WHERE id = $1 AND project_id = $2 AND revoked_at = 0",
			string(id), string(project), micros(at), flag(endsSessions))
	})
}

// RevokeAgentCredentials implements core.CredentialStore. An unknown agent has no keys: 0.
func (s *store) RevokeAgentCredentials(ctx context.Context, project core.ProjectID, agent core.AgentID, at time.Time) (count int, err error) {
	err = s.write(ctx, "revoke agent credentials", func(h *txn) error {
		n, err := h.change(ctx, `UPDATE credentials SET revoked_at = $4
			WHERE project_id = $1 AND agent_id = $2 AND kind = $3 AND revoked_at = 0`,
			[]any{string(project), string(agent), string(core.CredentialAgent), micros(at)}, nil)
		count = int(n)
		return err
	})
	return count, err
}

// TouchCredentials implements core.CredentialStore. Ids that are not there are passed over.
func (s *store) TouchCredentials(ctx context.Context, used map[core.CredentialID]time.Time) error {
	if len(used) == 0 {
		return nil
	}
	return s.write(ctx, "touch credentials", func(h *txn) error {
		for _, id := range slices.Sorted(maps.Keys(used)) { // one order for all, so that writers cannot block each other
			_, err := h.change(ctx, "UPDATE credentials SET last_used_at = $2 WHERE id = $1 AND last_used_at < $2",
				[]any{string(id), micros(used[id])}, nil)
			if err != nil {
				return err
			}
		}
		return nil
	})
}
