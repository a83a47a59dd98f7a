package managed

import (
	"net/http"

	"github.com/reeve-ai/reeve/internal/api/httpio"
	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/session"
)

// deploymentList is the list's name, as it stands in cursors.
const deploymentList = "depl"

// deploymentRoutes are those of deployments and their runs (CMA section 3.11, qoder.md section 3.11).
func (f *Face) deploymentRoutes() []route {
	return []route{
		{method: http.MethodPost, path: "/deployments", serve: f.createDeployment, events: true},
		{method: http.MethodGet, path: "/deployments", serve: f.listDeployments},
		{method: http.MethodGet, path: "/deployments/{deployment}", serve: f.getDeployment},
		{method: http.MethodPost, path: "/deployments/{deployment}", serve: f.updateDeployment, events: true},
		{method: http.MethodPost, path: "/deployments/{deployment}/archive", serve: f.archiveDeployment},
		{method: http.MethodPost, path: "/deployments/{deployment}/pause", serve: f.pauseDeployment},
		{method: http.MethodPost, path: "/deployments/{deployment}/unpause", serve: f.unpauseDeployment},
		{method: http.MethodPost, path: "/deployments/{deployment}/run", serve: f.runDeployment, unsafe: true},
		{method: http.MethodGet, path: "/deployments/{deployment}/runs", serve: f.listRunsOfDeployment, only: Qoder},
		{method: http.MethodGet, path: "/deployments/{deployment}/runs/{deployment_run}", serve: f.getRunOfDeployment, only: Qoder},

		{method: http.MethodGet, path: "/deployment_runs", serve: f.listDeploymentRuns},
		{method: http.MethodGet, path: "/deployment_runs/{deployment_run}", serve: f.getDeploymentRun},
	}
}

// deploymentPatch is the body of a create or an update. What is left out stays.
type deploymentPatch struct {
	name, environment  *string // nil: absent
	description        httpio.Optional[string]
	agent              *core.AgentID // nil: absent
	version            int           // 0: the newest
	events             []core.InitialEvent
	vaultIDs           []string
	scheduleGiven      bool
	schedule           *core.Schedule // nil: none
	metadata           map[string]*string
	envVars            map[string]string
	envText            string
	eventsGiven        bool
	vaultsGiven        bool
	resources          []core.Resource
	resourcesGiven     bool
	budget             *core.Budget // nil: none
	budgetGiven        bool
	environmentDefined bool // envVars and envText were given
}

func (o *object) deploymentPatch(fl *Flavour) deploymentPatch {
	p := deploymentPatch{
		name: o.given("name"), description: read[string](o, "description"), environment: o.given("environment_id"),
		metadata: o.patch("metadata"), vaultIDs: o.vaultIDs("vault_ids"), vaultsGiven: o.raw("vault_ids") != nil,
	}
	if raw := o.raw("agent"); raw != nil {
		p.agent, p.version = o.deploymentAgent(fl)
	}
	if raw := o.raw("initial_events"); raw != nil {
		p.eventsGiven = true
		if string(raw) == "null" {
			o.fail(core.InvalidField(o.field("initial_events"), "cannot be cleared"))
		}
		p.events = each(o.inputs("initial_events", fl), initialEvent)
	}
	if o.raw("schedule") != nil {
		p.scheduleGiven = true
		p.schedule = o.object("schedule").schedule()
	}
	if fl == Qoder && o.raw("environment_variables") != nil {
		p.environmentDefined = true
		p.envVars, p.envText = o.variables("environment_variables"), o.text("environment_variables")
	}
	if o.raw("resources") != nil {
		p.resourcesGiven, p.resources = true, o.resources("resources")
	}
	p.budget, p.budgetGiven = o.budget("budget")
	return p
}

// deploymentAgent reads the agent: as a session's, but without overrides.
func (o *object) deploymentAgent(fl *Flavour) (*core.AgentID, int) {
	var n session.NewSession
	o.sessionAgent(fl, &n)
	switch {
	case n.Overrides != nil:
		o.fail(core.InvalidField(o.field("agent.type"), "is not a kind of agent reference that a deployment takes"))
	case n.Agent == "":
		o.fail(core.InvalidField(o.field("agent"), "must not be empty or null"))
	}
	return &n.Agent, n.Version
}

// initialEvent keeps what a session may begin with. The session service refuses the others, by their type.
func initialEvent(in session.Input) core.InitialEvent {
	switch {
	case in.Message != nil:
		return core.InitialEvent{Type: core.EventUserMessage, Message: in.Message}
	case in.System != nil:
		return core.InitialEvent{Type: core.EventSystemMessage, Message: in.System}
	case in.Outcome != nil:
		return core.InitialEvent{Type: core.EventUserDefineOutcome, Outcome: in.Outcome}
	}
	return core.InitialEvent{}
}

// schedule reads a schedule; nil: none.
func (o *object) schedule() *core.Schedule {
	if o == nil {
		return nil
	}
	if kind := o.text("type"); kind != "cron" {
		o.fail(core.InvalidField(o.field("type"), `must be "cron"`))
	}
	s := &core.Schedule{Expression: o.text("expression"), Timezone: o.text("timezone")}
	o.raw("last_run_at") // what an answer has besides, for clients that send back what they got
	o.raw("upcoming_runs_at")
	o.closed()
	return s
}

func (p deploymentPatch) apply(d *core.Deployment) error {
	if p.name != nil {
		d.Name = *p.name
	}
	d.Description = orElse(p.description, d.Description)
	if p.environment != nil {
		id, known := core.ParseID[core.EnvironmentID](*p.environment)
		if !known && *p.environment != "" {
			return core.InvalidField("environment_id", "environment %q was not found", *p.environment)
		}
		d.Environment = id
	}
	if p.agent != nil {
		d.Agent, d.AgentVersion = *p.agent, p.version
	}
	if p.eventsGiven {
		d.Events = p.events
	}
	if p.vaultsGiven {
		d.VaultIDs = p.vaultIDs
	}
	if p.scheduleGiven {
		d.Schedule = p.schedule
	}
	if p.budgetGiven {
		d.Budget = p.budget
	}
	if p.resourcesGiven {
		d.Resources = p.resources
	}
	if p.environmentDefined {
		d.EnvVars, d.EnvText = p.envVars, p.envText
	}
	d.Metadata = patched(d.Metadata, p.metadata)
	return nil
}

// createDeployment serves POST /deployments.
func (f *Face) createDeployment(c *call) (reply, error) {
	o, err := bodyObject(c)
	if err != nil {
		return reply{}, err
	}
	for _, name := range []string{"name", "agent", "environment_id", "initial_events"} {
		if string(o.members[name]) == "null" {
			delete(o.members, name) // as good as absent: the services say that it is missing
		}
	}
	p := o.deploymentPatch(c.fl)
	if err := o.end(); err != nil {
		return reply{}, err
	}
	var n core.Deployment
	if err := p.apply(&n); err != nil {
		return reply{}, err
	}
	if c.once != nil {
		n.ID = core.DeploymentID(c.once.record.Object)
	}
	made, err := f.deployments.Create(c.Context(), c.by, n)
	if c.once != nil && core.CodeOf(err) == "deployment_already_exists" { // an earlier try made it
		made, err = f.deployments.Deployment(c.Context(), c.by, n.ID)
	}
	if err != nil {
		return reply{}, err
	}
	return reply{c.fl.created, f.deploymentWire(c.fl, made)}, nil
}

// deploymentReply answers with a deployment that a service returned.
func (f *Face) deploymentReply(c *call, d core.Deployment, err error) (reply, error) {
	if err != nil {
		return reply{}, named(err, "deployment", c.PathValue("deployment"))
	}
	return ok(f.deploymentWire(c.fl, d))
}

// getDeployment serves GET /deployments/{deployment}.
func (f *Face) getDeployment(c *call) (reply, error) {
	id, err := pathID[core.DeploymentID](c, "deployment")
	if err != nil {
		return reply{}, err
	}
	d, err := f.deployments.Deployment(c.Context(), c.by, id)
	return f.deploymentReply(c, d, err)
}

// updateDeployment serves POST /deployments/{deployment}.
func (f *Face) updateDeployment(c *call) (reply, error) {
	id, err := pathID[core.DeploymentID](c, "deployment")
	if err != nil {
		return reply{}, err
	}
	o, err := bodyObject(c)
	if err != nil {
		return reply{}, err
	}
	p := o.deploymentPatch(c.fl)
	if err := o.end(); err != nil {
		return reply{}, err
	}
	d, err := f.deployments.Update(c.Context(), c.by, id, p.apply)
	return f.deploymentReply(c, d, err)
}

// archiveDeployment serves POST /deployments/{deployment}/archive.
func (f *Face) archiveDeployment(c *call) (reply, error) {
	id, err := pathID[core.DeploymentID](c, "deployment")
	if err != nil {
		return reply{}, err
	}
	d, err := f.deployments.Archive(c.Context(), c.by, id)
	return f.deploymentReply(c, d, err)
}

// pauseDeployment serves POST /deployments/{deployment}/pause.
func (f *Face) pauseDeployment(c *call) (reply, error) {
	id, err := pathID[core.DeploymentID](c, "deployment")
	if err != nil {
		return reply{}, err
	}
	d, err := f.deployments.Pause(c.Context(), c.by, id)
	return f.deploymentReply(c, d, err)
}

// unpauseDeployment serves POST /deployments/{deployment}/unpause.
func (f *Face) unpauseDeployment(c *call) (reply, error) {
	id, err := pathID[core.DeploymentID](c, "deployment")
	if err != nil {
		return reply{}, err
	}
	d, err := f.deployments.Unpause(c.Context(), c.by, id)
	return f.deploymentReply(c, d, err)
}
