package managed

import (
	"encoding/json"
	"fmt"

	"github.com/reeve-ai/reeve/internal/core"
)

// States of a deployment on the wire.
const (
	statusActive = "active"
	statusPaused = "paused"
)

// deploymentWire is a deployment on the wire (CMA section 3.11, qoder.md section 3.11).
type deploymentWire struct {
	Type                 string            `json:"type"`
	ID                   string            `json:"id"`
	Name                 string            `json:"name"`
	Description          any               `json:"description"`
	Agent                agentReference    `json:"agent"`
	EnvironmentID        string            `json:"environment_id"`
	EnvironmentVariables *string           `json:"environment_variables,omitempty"` // Qoder only; as it was sent
	InitialEvents        []any             `json:"initial_events"`
	Resources            []any             `json:"resources"`
	VaultIDs             []string          `json:"vault_ids"`
	Schedule             any               `json:"schedule"` // null: by hand only
	Status               string            `json:"status"`
	PausedReason         any               `json:"paused_reason"`
	Metadata             map[string]string `json:"metadata"`
	Budget               json.RawMessage   `json:"budget,omitempty"` // Qoder: only if there is one
	ArchivedAt           any               `json:"archived_at"`
	CreatedAt            string            `json:"created_at"`
	UpdatedAt            string            `json:"updated_at"`
}

type scheduleWire struct {
	Type           string   `json:"type"`
	Expression     string   `json:"expression"`
	Timezone       string   `json:"timezone"`
	LastRunAt      any      `json:"last_run_at"`
	UpcomingRunsAt []string `json:"upcoming_runs_at"`
}

type initialEventWire struct {
	Type    core.EventType `json:"type"`
	Content []any          `json:"content"`
}

type pausedWire struct {
	Type  string         `json:"type"`
	Error *pausedByError `json:"error,omitempty"`
}

type pausedByError struct {
	Type string `json:"type"`
}

func (f *Face) deploymentWire(fl *Flavour, d core.Deployment) deploymentWire {
	w := deploymentWire{
		Type: "deployment", ID: fl.deploymentPrefix + string(d.ID), Name: fl.deploymentName(d), Description: fl.text(d.Description),
		Agent:         agentReference{Type: "agent", ID: agentPrefix + string(d.Agent), Version: d.AgentVersion},
		EnvironmentID: environmentPrefix + string(d.Environment), InitialEvents: each(d.Events, initialEventForm), Resources: each(d.Resources, resourceConfigWire),
		VaultIDs: each(d.VaultIDs, func(id string) string { return fl.vaultPrefix + id }),
		Status:   statusActive, Metadata: metadata(d.Metadata), ArchivedAt: maybeTime(d.ArchivedAt),
		CreatedAt: timestamp(d.CreatedAt), UpdatedAt: timestamp(d.UpdatedAt),
	}
	if fl == Qoder {
		w.EnvironmentVariables = &d.EnvText
	}
	if fl != Qoder || d.Budget != nil {
		w.Budget = budgetOf(d.Budget)
	}
	if s := d.Schedule; s != nil {
		w.Schedule = scheduleWire{
			Type: "cron", Expression: s.Expression, Timezone: s.Timezone, LastRunAt: maybeTime(d.LastRunAt),
			UpcomingRunsAt: each(f.deployments.Upcoming(d), timestamp),
		}
	}
	// With Claude an archived deployment is active; with Qoder it keeps the state that it had.
	if d.Pause != "" && (fl.keepsStatus || d.ArchivedAt.IsZero()) {
		w.Status, w.PausedReason = statusPaused, pausedReason(d.Pause)
	}
	return w
}

// deploymentName writes the name. Qoder says in it that a deployment was archived, and when: there names
// are unique, and the old one is free again (qoder.md section 3.11).
func (fl *Flavour) deploymentName(d core.Deployment) string {
	if fl == Qoder && !d.ArchivedAt.IsZero() {
		return fmt.Sprintf("%s_archived_%d", d.Name, d.ArchivedAt.Unix())
	}
	return d.Name
}

func pausedReason(reason core.PauseReason) pausedWire {
	if reason == core.PausedManually {
		return pausedWire{Type: string(reason)}
	}
	return pausedWire{Type: "error", Error: &pausedByError{Type: string(reason)}}
}

// initialEventForm writes an event that no session has got yet: it has no id.
func initialEventForm(e core.InitialEvent) any {
	if e.Outcome != nil {
		return initialOutcome(e.Outcome)
	}
	w := initialEventWire{Type: e.Type, Content: []any{}}
	if e.Message != nil {
		w.Content = blocksWire(e.Message.Content)
	}
	return w
}
