package core

import (
	"context"
	"time"
)

// DeploymentID is the id of a deployment.
type DeploymentID string

// DeploymentRunID is the id of one start of a deployment.
type DeploymentRunID string

// PrincipalDeployment acts for a deployment whose time has come: nobody is there who called.
const PrincipalDeployment PrincipalKind = "deployment"

// Deployment is a saved "start a session like this". Its schedule, if it has one, starts sessions by
// itself; anybody who may run sessions can start one by hand.
type Deployment struct {
	Project      ProjectID
	ID           DeploymentID
	Name         string // 1–256 characters; not unique
	Description  string // ≤ 2,048 characters
	Agent        AgentID
	AgentVersion int // pinned, 1 or higher
	// Environment may have been archived or deleted since; a run says so then.
	Environment EnvironmentID
	Events      []InitialEvent    // 1–50, in the order in which each session gets them
	VaultIDs    []string          // as Session.VaultIDs; ≤ 50; nil if none
	Resources   []Resource        // what each session gets attached, as it was given: see Resource; ≤ 500; nil if none
	EnvVars     map[string]string // as Session.EnvVars; nil if none
	EnvText     string            // EnvVars as the client spelled them; empty if it never did
	Metadata    map[string]string // never nil
	Budget      *Budget           // as Session.Budget; nil: none
	Schedule    *Schedule         // nil: by hand only
	Pause       PauseReason       // empty: active
	// DueAt is the moment of the schedule that is next, and NextRunAt when that fire is to start: a little
	// later, so that not all start at the full hour. Both are zero unless the schedule is to fire: without
	// a schedule, paused, archived.
	DueAt      time.Time
	NextRunAt  time.Time
	LastRunAt  time.Time // when the schedule last started a session; zero: never
	CreatedAt  time.Time
	UpdatedAt  time.Time // of the last change by somebody, not of runs
	ArchivedAt time.Time // zero: not archived. One way
}

// Schedule says when a deployment fires: a cron expression of five POSIX fields, matched against the clock
// on the wall of an IANA time zone.
type Schedule struct {
	Expression string // as the client spelled it
	Timezone   string
}

// InitialEvent is what a session gets when it begins. It is stored as JSON under these names. A Type whose
// member is not set is one that no session takes as its beginning.
type InitialEvent struct {
	Type    EventType   `json:"type"`
	Message *Message    `json:"message,omitempty"` // EventUserMessage, EventSystemMessage
	Outcome *NewOutcome `json:"outcome,omitempty"` // EventUserDefineOutcome
}

// PauseReason says why a deployment's schedule does not fire: PausedManually, or the RunErrorType of the run
// that failed for good.
type PauseReason string

// PausedManually: somebody asked for it.
const PausedManually PauseReason = "manual"

// TriggerType says what started a run.
type TriggerType string

const (
	TriggerSchedule TriggerType = "schedule"
	TriggerManual   TriggerType = "manual"
)

// RunErrorType says why a run could not make its session (claude-managed-agents.md section 3.11).
type RunErrorType string

const (
	RunEnvironmentArchived  RunErrorType = "environment_archived_error"
	RunEnvironmentNotFound  RunErrorType = "environment_not_found_error"
	RunAgentArchived        RunErrorType = "agent_archived_error"
	RunVaultNotFound        RunErrorType = "vault_not_found_error"
	RunVaultArchived        RunErrorType = "vault_archived_error"
	RunFileNotFound         RunErrorType = "file_not_found_error"
	RunMemoryStoreArchived  RunErrorType = "memory_store_archived_error"
	RunSkillNotFound        RunErrorType = "skill_not_found_error"
	RunResourceNotFound     RunErrorType = "session_resource_not_found_error"
	RunWorkspaceArchived    RunErrorType = "workspace_archived_error" // the project was deactivated
	RunRateLimited          RunErrorType = "session_rate_limited_error"
	RunRejected             RunErrorType = "session_creation_rejected_error"
	RunSelfHostedResources  RunErrorType = "self_hosted_resources_unsupported_error"
	RunMCPEgressBlocked     RunErrorType = "mcp_egress_blocked_error"
	RunOrganizationDisabled RunErrorType = "organization_disabled_error"
	RunUnknown              RunErrorType = "unknown_error"
)

// DeploymentRun records one start, whether it came off or not. It never changes.
type DeploymentRun struct {
	Project      ProjectID
	ID           DeploymentRunID
	Deployment   DeploymentID
	Agent        AgentID
	AgentVersion int
	Session      SessionID // empty if there is an error; it may have been deleted since
	Error        *RunError // nil if there is a session
	Trigger      TriggerType
	ScheduledAt  time.Time // the moment of the schedule; zero unless TriggerSchedule
	CreatedAt    time.Time
}

// RunError is why a run made no session.
type RunError struct {
	Type    RunErrorType
	Message string // safe to show
}

// DueDeployment names a deployment that is to fire. NextRunAt tells whether it has fired since.
type DueDeployment struct {
	Project   ProjectID
	ID        DeploymentID
	NextRunAt time.Time
}

// DeploymentPage is a query for deployments, newest first.
type DeploymentPage struct {
	Limit           int // 1 to 1000
	After           *PageKey
	Before          *PageKey // rows on the other side of this key; the order of the answer stays the same
	IncludeArchived bool
	Agent           AgentID   // empty: all
	Paused          *bool     // nil: both
	CreatedFrom     time.Time // inclusive; zero: open
	CreatedTo       time.Time // inclusive; zero: open
}

// DeploymentRunPage is a query for runs, newest first.
type DeploymentRunPage struct {
	Limit       int // 1 to 1001
	After       *PageKey
	Before      *PageKey
	Deployment  DeploymentID // empty: all
	Trigger     TriggerType  // empty: both
	Failed      *bool        // nil: both
	CreatedFrom time.Time    // inclusive; zero: open
	CreatedTo   time.Time    // inclusive; zero: open
}

// DeploymentStore keeps deployments and their runs.
type DeploymentStore interface {
	// CreateDeployment stores a deployment; a taken id is Conflict ("deployment_already_exists"), an unknown
	// agent NotFound.
	CreateDeployment(ctx context.Context, d Deployment) error
	// Deployment returns a deployment. Inside Tx it also holds it until the end, so that two nodes that want
	// to fire it come one after the other.
	Deployment(ctx context.Context, project ProjectID, id DeploymentID) (Deployment, error)
	// UpdateDeployment replaces all fields but Project, ID and CreatedAt.
	UpdateDeployment(ctx context.Context, d Deployment) error
	Deployments(ctx context.Context, project ProjectID, page DeploymentPage) ([]Deployment, error)
	// CountScheduled counts the deployments with a schedule that are not archived.
	CountScheduled(ctx context.Context, project ProjectID) (int, error)
	// DueDeployments lists, of all projects, at most limit deployments whose NextRunAt is not after now, the
	// longest overdue first.
	DueDeployments(ctx context.Context, now time.Time, limit int) ([]DueDeployment, error)
	// ArchiveDeployments archives every deployment of an agent that is not archived yet, and returns how many.
	ArchiveDeployments(ctx context.Context, project ProjectID, agent AgentID, at time.Time) (int, error)

	// CreateDeploymentRun stores a run. A taken id, and a second scheduled run of a deployment for one
	// ScheduledAt, are Conflict ("deployment_run_already_exists"); an unknown deployment is NotFound.
	CreateDeploymentRun(ctx context.Context, r DeploymentRun) error
	DeploymentRun(ctx context.Context, project ProjectID, id DeploymentRunID) (DeploymentRun, error)
	// DeploymentRuns lists newest first; of an unknown deployment it is an empty slice and no error.
	DeploymentRuns(ctx context.Context, project ProjectID, page DeploymentRunPage) ([]DeploymentRun, error)
}
