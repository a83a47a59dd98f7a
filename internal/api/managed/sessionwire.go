package managed

import (
	"encoding/json"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// sessionWire is a session on the wire (CMA section 3.4, qoder.md section 3.3).
type sessionWire struct {
	Type                 string            `json:"type"`
	ID                   string            `json:"id"`
	Agent                any               `json:"agent"`
	EnvironmentID        any               `json:"environment_id"` // null: the agent runs elsewhere
	Status               string            `json:"status"`
	Title                *string           `json:"title"`
	Metadata             map[string]string `json:"metadata"`
	EnvironmentVariables map[string]string `json:"environment_variables,omitzero"` // Qoder only
	Resources            []any             `json:"resources"`
	VaultIDs             []string          `json:"vault_ids"`
	DeploymentID         *string           `json:"deployment_id"`
	OutcomeEvaluations   []any             `json:"outcome_evaluations"`
	Stats                statsWire         `json:"stats"`
	Usage                any               `json:"usage"`
	Budget               json.RawMessage   `json:"budget,omitempty"` // Qoder: only if there is one
	ArchivedAt           any               `json:"archived_at"`
	CreatedAt            string            `json:"created_at"`
	UpdatedAt            string            `json:"updated_at"`
}

type statsWire struct {
	ActiveSeconds   float64 `json:"active_seconds"`
	DurationSeconds float64 `json:"duration_seconds"`
}

// snapshotWire is the agent of a session, as it was frozen.
type snapshotWire struct {
	Type              string             `json:"type"`
	ID                string             `json:"id"`
	Version           int                `json:"version"`
	Name              string             `json:"name"`
	Description       any                `json:"description"`
	Model             any                `json:"model"`
	System            any                `json:"system"`
	Tools             []any              `json:"tools"`
	MCPServers        []core.MCPServer   `json:"mcp_servers"`
	Skills            []skillBindingWire `json:"skills"`
	Multiagent        json.RawMessage    `json:"multiagent,omitempty"` // not in the members of a roster
	ExecutionIdentity json.RawMessage    `json:"execution_identity,omitempty"`
}

func seconds(ms int64) float64 { return float64(ms) / 1000 }

// status writes a session's status. With Qoder an archived session keeps the one it had, which is idle,
// because a running one cannot be archived (qoder.md section 3.3).
func (fl *Flavour) status(s core.Session) string {
	if fl.keepsStatus && s.Status == core.StatusTerminated && !s.ArchivedAt.IsZero() {
		return string(core.StatusIdle)
	}
	return string(s.Status)
}

// sessionWire writes a session. It reads the roster's members, if there is one.
func (f *Face) sessionWire(c *call, teams *teams, s core.Session) (sessionWire, error) {
	agent, err := f.snapshotOf(c, teams, s)
	if err != nil {
		return sessionWire{}, err
	}
	end := s.ArchivedAt
	if end.IsZero() {
		end = f.now()
	}
	w := sessionWire{
		Type: "session", ID: c.fl.sessionPrefix + string(s.ID), Agent: agent, Status: c.fl.status(s), Title: s.Title,
		Metadata: metadata(s.Metadata), Resources: each(s.Resources, c.fl.resourceWire), VaultIDs: each(list(s.VaultIDs), func(id string) string { return c.fl.vaultPrefix + id }), OutcomeEvaluations: each(list(s.Outcomes), evaluationOf),
		Stats: statsWire{ActiveSeconds: seconds(s.Usage.ActiveMS), DurationSeconds: max(0, end.Sub(s.CreatedAt).Truncate(time.Millisecond).Seconds())},
		Usage: c.fl.usageWire(s.Usage), ArchivedAt: maybeTime(s.ArchivedAt),
		CreatedAt: timestamp(s.CreatedAt), UpdatedAt: timestamp(s.UpdatedAt),
	}
	if s.Deployment != "" {
		id := c.fl.deploymentPrefix + string(s.Deployment)
		w.DeploymentID = &id
	}
	if s.Environment != "" {
		w.EnvironmentID = environmentPrefix + string(s.Environment)
	}
	if c.fl == Qoder {
		w.EnvironmentVariables = metadata(s.EnvVars)
	}
	if c.fl != Qoder || s.Budget != nil {
		w.Budget = budgetOf(s.Budget)
	}
	return w, nil
}

// snapshotOf writes the agent of a session. An observed session froze none: it shows the agent as it is.
func (f *Face) snapshotOf(c *call, teams *teams, s core.Session) (snapshotWire, error) {
	spec := s.Snapshot
	if spec == nil {
		a, err := teams.agent(c.Context(), s.Agent, 0)
		if err != nil {
			return snapshotWire{}, err
		}
		spec, s.AgentVersion = &a.AgentSpec, a.Version
	}
	w := f.snapshotWire(c.fl, s.Agent, s.AgentVersion, *spec)
	w.Multiagent = null
	if spec.Roster == nil {
		return w, nil
	}
	roster := rosterWire{Type: "coordinator", Agents: []any{}}
	for i, m := range spec.Roster.Members {
		if i < len(s.Team) && s.Team[i].Spec != nil {
			roster.Agents = append(roster.Agents, f.snapshotWire(c.fl, m.Agent, m.Version, *s.Team[i].Spec))
			continue
		}
		switch m.Kind {
		case core.RosterAdvisor:
			roster.Agents = append(roster.Agents, advisorWire(m))
		case core.RosterSelf:
			roster.Agents = append(roster.Agents, f.snapshotWire(c.fl, s.Agent, s.AgentVersion, *spec))
		default:
			a, err := teams.agent(c.Context(), m.Agent, m.Version)
			if err != nil {
				return snapshotWire{}, err
			}
			roster.Agents = append(roster.Agents, f.snapshotWire(c.fl, a.ID, a.Version, a.AgentSpec))
		}
	}
	w.Multiagent = encode(roster)
	return w, nil
}

func (f *Face) snapshotWire(fl *Flavour, id core.AgentID, version int, spec core.AgentSpec) snapshotWire {
	return snapshotWire{
		Type: "agent", ID: agentPrefix + string(id), Version: version, Name: spec.Name,
		Description: fl.text(spec.Description), Model: f.snapshotModelWire(fl, spec.Model), System: fl.text(spec.System),
		Tools: fl.toolsetsWire(spec.Tools), MCPServers: list(spec.MCPServers), Skills: fl.skillsWire(spec.Skills),
		ExecutionIdentity: fl.executionIdentity(),
	}
}
