package otas

import (
	"encoding/json"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/identity"
)

// stamp writes a time with six digits of fraction and an offset, always: the original leaves a
// fraction of zero out, the seed pages do not.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000") + "+00:00" }

// stampOrNull is null for the zero time.
func stampOrNull(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	s := stamp(t)
	return &s
}

// uuidOrNull is null for an empty id.
func uuidOrNull[T ~string](id T) *string {
	if id == "" {
		return nil
	}
	s := core.FormatUUID(id)
	return &s
}

// userWire is "user" of reference 3.1.
type userWire struct {
	ID         string `json:"id"`
	FirstName  string `json:"first_name"`
	MiddleName string `json:"middle_name"`
	LastName   string `json:"last_name"`
	Email      string `json:"email"`
	CreatedAt  string `json:"created_at"`
	UpdatedAt  string `json:"updated_at"`
}

func userOf(u core.User) userWire {
	return userWire{
		ID: core.FormatUUID(u.ID), FirstName: u.FirstName, MiddleName: u.MiddleName, LastName: u.LastName,
		Email: u.Email, CreatedAt: stamp(u.CreatedAt), UpdatedAt: stamp(u.UpdatedAt),
	}
}

// userPayload is what sign-up, log-in, edit and "who am I" answer.
type userPayload struct {
	User  userWire `json:"user"`
	Token string   `json:"jwt_token,omitempty"` // sign-up and log-in only
}

// projectWire is "project" of reference 3.6.
type projectWire struct {
	ID          string  `json:"id"`
	Name        string  `json:"name"`
	Description string  `json:"description"`
	Domain      *string `json:"domain"`
}

func projectOf(p core.Project) projectWire {
	return projectWire{ID: core.FormatUUID(p.ID), Name: p.Name, Description: p.Description, Domain: p.Domain}
}

// listedProject is an entry of reference 3.7.
type listedProject struct {
	projectWire
	CreatedAt string  `json:"created_at"`
	UpdatedAt string  `json:"updated_at"`
	IsActive  bool    `json:"is_active"`
	CreatedBy *string `json:"created_by"`
	Privilege int     `json:"privilege"`
}

func listedProjectOf(p identity.ProjectOf) listedProject {
	return listedProject{
		projectWire: projectOf(p.Project),
		CreatedAt:   stamp(p.CreatedAt), UpdatedAt: stamp(p.UpdatedAt), IsActive: p.Active,
		CreatedBy: uuidOrNull(p.CreatedBy), Privilege: privilege(p.Role),
	}
}

// privilege is a role as a number: 1 and 2 are the original's (reference 1.3); 3, a viewer, is
// Reeve's own and, like 2, no administrator.
func privilege(r core.Role) int {
	switch r {
	case core.RoleAdmin:
		return 1
	case core.RoleMember:
		return 2
	}
	return 3
}

// membershipWire is "UserProjectMapping" of reference 3.8, capitals and all.
type membershipWire struct {
	User struct {
		ID        string `json:"id"`
		FirstName string `json:"first_name"`
		LastName  string `json:"last_name"`
		Email     string `json:"email"`
	} `json:"User"`
	Project struct {
		ID   string `json:"project_id"`
		Name string `json:"name"`
	} `json:"Project"`
	Privilege int `json:"Privilege"`
}

// createdAgent is "agent" of seed page 000. created_by is null when an access token of no person
// made the agent.
type createdAgent struct {
	ID          string  `json:"id"`
	Name        string  `json:"name"`
	Description string  `json:"description"`
	Provider    string  `json:"provider"`
	ProjectID   string  `json:"project_id"`
	CreatedBy   *string `json:"created_by"`
	CreatedAt   string  `json:"created_at"`
}

func createdAgentOf(a core.Agent) createdAgent {
	return createdAgent{
		ID: core.FormatUUID(a.ID), Name: a.Name, Description: a.Description, Provider: a.Provider,
		ProjectID: core.FormatUUID(a.Project), CreatedBy: uuidOrNull(a.CreatedBy), CreatedAt: stamp(a.CreatedAt),
	}
}

// newKey is "agent_key" with its one-time plain text: with agent_id at seed page 000, without it
// when a key is rotated (reference 3.15).
type newKey struct {
	ID        string  `json:"id"`
	Prefix    string  `json:"prefix"`
	APIKey    string  `json:"api_key"`
	AgentID   string  `json:"agent_id,omitempty"`
	CreatedAt string  `json:"created_at"`
	ExpiresAt *string `json:"expires_at"`
	Active    bool    `json:"active"`
}

func newKeyOf(plain string, c core.Credential) newKey {
	return newKey{
		ID: core.FormatUUID(c.ID), Prefix: c.Prefix, APIKey: plain,
		CreatedAt: stamp(c.CreatedAt), ExpiresAt: stampOrNull(c.ExpiresAt), Active: true,
	}
}

// listedAgent is an entry of seed page 004.
type listedAgent struct {
	ID          string      `json:"id"`
	Name        string      `json:"name"`
	Description string      `json:"description"`
	Provider    string      `json:"provider"`
	CreatedAt   string      `json:"created_at"`
	CreatedBy   *string     `json:"created_by"`
	IsActive    bool        `json:"is_active"`
	Keys        []listedKey `json:"agent_keys"`
}

// listedKey is an entry of "agent_keys". Only keys that are neither revoked nor expired are listed, so
// active is true.
type listedKey struct {
	ID        string  `json:"id"`
	Prefix    string  `json:"prefix"`
	Name      *string `json:"name"`
	CreatedAt string  `json:"created_at"`
	ExpiresAt *string `json:"expires_at"`
	Active    bool    `json:"active"`
}

func listedAgentOf(a core.Agent, keys []core.Credential) listedAgent {
	out := listedAgent{
		ID: core.FormatUUID(a.ID), Name: a.Name, Description: a.Description, Provider: a.Provider,
		CreatedAt: stamp(a.CreatedAt), CreatedBy: uuidOrNull(a.CreatedBy), IsActive: a.Active,
		Keys: make([]listedKey, 0, len(keys)),
	}
	for _, k := range keys {
		out.Keys = append(out.Keys, listedKey{
			ID: core.FormatUUID(k.ID), Prefix: k.Prefix, Name: k.Name,
			CreatedAt: stamp(k.CreatedAt), ExpiresAt: stampOrNull(k.ExpiresAt), Active: true,
		})
	}
	return out
}

// sessionWire is an entry of reference 3.18. A session that Reeve runs itself has no agent key, and
// its metadata stands for meta. The last three are Reeve's own: what was captured in the session.
type sessionWire struct {
	ID          string  `json:"id"`
	AgentKeyID  *string `json:"agent_key_id"`
	CreatedAt   string  `json:"created_at"`
	Meta        any     `json:"meta"` // an object
	EventCount  int64   `json:"event_count"`
	ErrorCount  int64   `json:"error_count"`
	LastEventAt *string `json:"last_event_at"` // null without captures
}

func sessionOf(s core.Session, n core.CaptureCounts) sessionWire {
	out := sessionWire{
		ID: core.FormatUUID(s.ID), AgentKeyID: uuidOrNull(s.AgentKey), CreatedAt: stamp(s.CreatedAt),
		EventCount: n.Captures, ErrorCount: n.Errors, LastEventAt: stampOrNull(n.LastAt),
	}
	switch {
	case s.Meta != nil:
		out.Meta = s.Meta
	case s.Metadata != nil:
		out.Meta = s.Metadata
	default:
		out.Meta = json.RawMessage("{}")
	}
	return out
}
