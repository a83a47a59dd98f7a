package webhook

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// TestEvent is the type of the event that Test sends. Nobody has to ask for it.
const TestEvent = "webhook.test"

// types are those of claude-managed-agents.md section 3.12 that happen here.
var types = []string{
	"agent.archived", "agent.created", "agent.updated",
	"deployment.archived", "deployment.created", "deployment.paused", "deployment.unpaused", "deployment.updated",
	"deployment_run.failed", "deployment_run.started", "deployment_run.succeeded",
	"environment.archived", "environment.created", "environment.deleted", "environment.updated",
	"memory_store.archived", "memory_store.created", "memory_store.deleted",
	"session.archived", "session.budget_reached", "session.created", "session.deleted", "session.idled",
	"session.outcome_evaluation_ended", "session.requires_action", "session.running", "session.status_idled",
	"session.status_rescheduled", "session.status_run_started", "session.status_terminated",
	"session.thread_created", "session.thread_idled", "session.thread_terminated", "session.updated",
	"vault.archived", "vault.created", "vault.deleted",
	"vault_credential.archived", "vault_credential.created", "vault_credential.deleted", "vault_credential.refresh_failed",
}

// causeless are the types of that section which nothing here causes: a session that has input runs, and agents
// and deployments are archived, never deleted.
var causeless = []string{"agent.deleted", "deployment.deleted", "session.pending"}

// Types lists the types of events that a webhook can ask for, in alphabetical order.
func Types() []string { return slices.Clone(types) }

// Prefixes of ids as Claude Managed Agents writes them (claude-managed-agents.md section 1.6).
const (
	agentPrefix        = "agent_"
	deploymentPrefix   = "depl_"
	runPrefix          = "drun_"
	environmentPrefix  = "env_"
	memoryStorePrefix  = "memstore_"
	sessionPrefix      = "sesn_"
	threadPrefix       = "sthr_"
	vaultPrefix        = "vlt_"
	secretPrefix       = "vcrd_"
	eventPrefix        = "whe_"
	webhookPrefix      = "webhook_"
	workspacePrefix    = "wrkspc_"
	organizationPrefix = "org_"
)

// EventID writes the id of an event, which is also the id of its messages.
func EventID(id core.EventID) string { return eventPrefix + string(id) }

// happening is something that happened to an object of a project.
type happening struct {
	Type   string
	Object string // with its prefix
	Thread string // of the session that is the object; empty: none in particular
	Vault  string // of the credential that is the object
}

// envelope is the body of a message. The two members that not every type has are those of the official clients.
type envelope struct {
	Type      string    `json:"type"` // event
	ID        string    `json:"id"`
	CreatedAt time.Time `json:"created_at"`
	Data      struct {
		Type         string `json:"type"`
		ID           string `json:"id"`
		Organization string `json:"organization_id"` // a project stands for both
		Workspace    string `json:"workspace_id"`
		Thread       string `json:"session_thread_id,omitempty"`
		Vault        string `json:"vault_id,omitempty"`
	} `json:"data"`
}

// payload writes what happened.
func payload(project core.ProjectID, id core.EventID, h happening, at time.Time) (json.RawMessage, error) {
	e := envelope{Type: "event", ID: EventID(id), CreatedAt: at}
	e.Data.Type, e.Data.ID, e.Data.Thread, e.Data.Vault = h.Type, h.Object, h.Thread, h.Vault
	e.Data.Organization, e.Data.Workspace = organizationPrefix+string(project), workspacePrefix+string(project)
	raw, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("write a webhook's event: %w", err)
	}
	return raw, nil
}

// newDelivery is what is to be sent to one webhook, at once.
func newDelivery(w core.Webhook, event core.EventID, typ string, body json.RawMessage, now time.Time) core.Delivery {
	return core.Delivery{
		Project: w.Project, ID: core.NewID[core.DeliveryID](), Webhook: w.ID, Event: event, Type: typ, Payload: body,
		State: core.DeliveryPending, DueAt: now, Attempts: []core.Attempt{}, CreatedAt: now,
	}
}
