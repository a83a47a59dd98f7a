// Package session is the service for sessions: making them, sending to them, reading and following
// their logs. It owns the rules of what a session accepts; it runs no turn itself, but hands the lease
// that a message earns to the Dispatcher in the same breath.
package session

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/reeve-ai/reeve/internal/core"
)

// Dispatcher runs turns on this node.
type Dispatcher interface {
	// Node is the name under which leases are taken.
	Node() string
	// Admit reports RateLimited when this node has more turns waiting than it can hold.
	Admit() error
	// LeaseUntil is the end of a lease taken now.
	LeaseUntil(now time.Time) time.Time
	// Start takes over a lease. It does not block.
	Start(lease core.Lease)
	// Interrupt makes whoever runs this thread's turn look at once at the interrupt with this Seq.
	Interrupt(thread core.ThreadID, seq int64)
}

// Definitions judges what agents are made of.
type Definitions interface {
	// CheckVariant judges a session's own variant of an agent in what it changes. Invalid names the field.
	CheckVariant(agent, variant core.AgentSpec) error
	// NeedsSandbox reports whether the agent has a tool that works inside a sandbox.
	NeedsSandbox(agent core.AgentSpec) bool
}

// Service holds the rules of sessions.
type Service struct {
	store    core.Store
	models   core.Models
	agents   Definitions
	bus      core.Bus
	dispatch Dispatcher
	now      func() time.Time
	walls    error                                                                           // why this server has no sandbox; nil: it has
	forget   func(ctx context.Context, project core.ProjectID, session core.SessionID) error // nil: nothing to forget

	vaults func(ctx context.Context, tx core.Store, project core.ProjectID, ids []core.VaultID) error // nil: there are no vaults

	skills func(ctx context.Context, tx core.Store, project core.ProjectID, bindings []core.SkillBinding) ([]core.SkillBinding, error) // nil: there are none

	workReady func(core.EnvironmentID) // nil: nobody listens

	rubrics func(ctx context.Context, project core.ProjectID, id core.FileID, most int64) (string, error) // nil: there are no files
	renew   func(core.SessionID) error                                                                    // nil: there are no sandboxes

	sealer core.Sealer // of repositories' tokens; nil: none are taken

	closing   chan struct{} // closed when the server stops: every Follow ends
	closeOnce sync.Once
}

// New returns the service. now is the clock, in UTC.
func New(store core.Store, models core.Models, agents Definitions, bus core.Bus, dispatch Dispatcher, now func() time.Time) *Service {
	return &Service{store: store, models: models, agents: agents, bus: bus, dispatch: dispatch, now: now, closing: make(chan struct{})}
}

// RefuseSandboxes makes Create refuse sessions that need a sandbox of this server, with err, which is shown
// to clients. It is for a machine that can isolate nothing, and is called before the service is used.
func (s *Service) RefuseSandboxes(err *core.Error) { s.walls = err }

// AfterDelete has fn called when a session was deleted, to delete what is kept of it elsewhere. It is called
// before the service is used.
func (s *Service) AfterDelete(fn func(ctx context.Context, project core.ProjectID, session core.SessionID) error) {
	s.forget = fn
}

// UseVaults has check judge the vaults that a new session names, in the transaction that makes it. It is
// called before the service is used.
func (s *Service) UseVaults(check func(ctx context.Context, tx core.Store, project core.ProjectID, ids []core.VaultID) error) {
	s.vaults = check
}

// OnWork has fn called behind a commit that queued a work item for an environment. It is called before the
// service is used.
func (s *Service) OnWork(fn func(core.EnvironmentID)) { s.workReady = fn }

// Close ends every Follow, so that a server that stops need not wait for its watchers. All else goes on.
func (s *Service) Close() { s.closeOnce.Do(func() { close(s.closing) }) }

// Limits of what a session takes: those of Claude Managed Agents, see docs/contracts/managed.md.
const (
	MaxTitle         = 1000 // characters
	MaxMetadata      = 16   // pairs
	MaxMetadataKey   = 64   // characters
	MaxMetadataValue = 512  // characters
	MaxInitialInputs = 50
	MaxInputs        = 1000 // in one Send
)

// Overrides replace parts of the agent for one session. A nil field inherits; an empty one clears.
type Overrides struct {
	Model      *core.ModelChoice
	System     *string
	Tools      *[]core.Toolset
	MCPServers *[]core.MCPServer
	Skills     *[]core.SkillBinding
}

// NewSession is a request for a managed session.
type NewSession struct {
	Agent       core.AgentID
	Version     int // 0: the newest
	Overrides   *Overrides
	Environment core.EnvironmentID
	Deployment  core.DeploymentID // whose run this is; empty: nobody's
	Title       *string
	Metadata    map[string]string
	EnvVars     map[string]string
	VaultIDs    []string        // 32 hex digits each, in the order in which they are asked
	Resources   []core.Resource // as they were asked for: without ID, File, Token, times
	OnceEach    bool            // one file can be attached once (qoder.md section 3.3)
	Budget      *core.Budget    // nil: none
	Inputs      []Input         // ≤ 50 messages, at most one outcome among them; if any, the session starts to run at once
}

// Create makes a session with a frozen copy of the agent. With Inputs the first turn is owed in the
// same transaction, and the session comes back running.
//
// Errors: Invalid (agent or environment unknown, archived or of another project; limits; a model that
// nothing serves; skills that do not exist; vaults that do not or are archived), Forbidden, RateLimited.
func (s *Service) Create(ctx context.Context, by core.Principal, n NewSession) (core.Session, error) {
	if err := s.admit(by, n); err != nil {
		return core.Session{}, err
	}
	// Files are read outside of the transaction, on whose connection nobody else may wait.
	inputs, err := s.withRubrics(ctx, by.Project, "initial_events", n.Inputs)
	if err != nil {
		return core.Session{}, err
	}
	n.Inputs = inputs
	var sess core.Session
	var announce func()
	err = s.store.Tx(ctx, func(tx core.Store) (err error) {
		sess, announce, err = s.create(ctx, tx, by, n)
		return err
	})
	if err != nil {
		return core.Session{}, err
	}
	announce()
	return sess, nil
}

// CreateIn is Create as a part of the caller's transaction. If that is committed, the caller calls announce
// once, behind the commit: it starts the first turn. If the transaction is undone, there is nothing to
// announce.
func (s *Service) CreateIn(ctx context.Context, tx core.Store, by core.Principal, n NewSession) (sess core.Session, announce func(), err error) {
	if err := s.admit(by, n); err != nil {
		return core.Session{}, nil, err
	}
	return s.create(ctx, tx, by, n)
}

// admit judges what needs no look into the store.
func (s *Service) admit(by core.Principal, n NewSession) error {
	if err := by.Require(core.RoleMember); err != nil {
		return err
	}
	if err := checkNew(n); err != nil {
		return err
	}
	if len(n.Inputs) > 0 {
		return s.dispatch.Admit()
	}
	return nil
}

// create makes the session in tx.
func (s *Service) create(ctx context.Context, tx core.Store, by core.Principal, n NewSession) (core.Session, func(), error) {
	spec, version, err := s.resolve(ctx, tx, by, n)
	if err != nil {
		return core.Session{}, nil, err
	}
	team, err := s.muster(ctx, tx, by.Project, n, spec)
	if err != nil {
		return core.Session{}, nil, err
	}
	plan, err := s.planResources(ctx, tx, by.Project, n)
	if err != nil {
		return core.Session{}, nil, err
	}
	if n.Inputs, err = s.withRubrics(ctx, by.Project, "initial_events", n.Inputs); err != nil {
		return core.Session{}, nil, err
	}
	now := s.now()
	sess := core.Session{
		Project: by.Project, ID: core.NewID[core.SessionID](), Origin: core.OriginManaged,
		Agent: n.Agent, AgentVersion: version, Snapshot: spec, Team: team, Environment: n.Environment, Deployment: n.Deployment,
		Title: n.Title, Metadata: n.Metadata, EnvVars: n.EnvVars, VaultIDs: n.VaultIDs, Budget: n.Budget,
		Status: core.StatusIdle, CreatedAt: now, UpdatedAt: now,
	}
	if sess.Metadata == nil {
		sess.Metadata = map[string]string{}
	}
	if sess.Resources, err = s.attach(ctx, tx, sess, plan, now); err != nil {
		return core.Session{}, nil, err
	}
	if err := tx.CreateSession(ctx, sess); err != nil {
		return core.Session{}, nil, err
	}
	var started accepted
	if len(n.Inputs) > 0 {
		if started, err = s.accept(ctx, tx, &sess, n.Inputs, SendOptions{}); err != nil {
			return core.Session{}, nil, err
		}
	} else if started.work, err = queueWork(ctx, tx, sess, now); err != nil {
		return core.Session{}, nil, err
	}
	return sess, func() { s.announce(sess.ID, started) }, nil
}

// resolve loads and checks what a new session refers to. References are 400, not 404: the session is
// what the request is about, and it was never there.
func (s *Service) resolve(ctx context.Context, tx core.Store, by core.Principal, n NewSession) (*core.AgentSpec, int, error) {
	agent, err := loadAgent(ctx, tx, by, n)
	if err != nil {
		return nil, 0, err
	}
	env, err := tx.Environment(ctx, by.Project, n.Environment)
	if core.KindOf(err) == core.NotFound {
		return nil, 0, reference("environment_not_found", "environment_id", "environment env_%s was not found", n.Environment)
	}
	if err != nil {
		return nil, 0, err
	}
	if !env.ArchivedAt.IsZero() {
		return nil, 0, reference("environment_archived", "environment_id", "environment env_%s is archived", n.Environment)
	}
	spec := agent.AgentSpec
	if n.Overrides != nil {
		n.Overrides.apply(&spec)
		if err := s.agents.CheckVariant(agent.AgentSpec, spec); err != nil {
			return nil, 0, within("agent", err)
		}
	}
	if err := servable(env.Config); err != nil {
		return nil, 0, err
	}
	if spec.Skills, err = s.needSkills(ctx, tx, by.Project, spec.Skills); err != nil {
		return nil, 0, err
	}
	if s.walls != nil && !env.Config.SelfHosted && s.agents.NeedsSandbox(spec) {
		return nil, 0, s.walls
	}
	if _, err := s.models.Model(spec.Model.ID); err != nil {
		return nil, 0, err
	}
	if err := s.suitsModel(n, spec); err != nil {
		return nil, 0, err
	}
	if err := s.checkVaults(ctx, tx, by.Project, n.VaultIDs); err != nil {
		return nil, 0, err
	}
	return &spec, agent.Version, nil
}

func (s *Service) checkVaults(ctx context.Context, tx core.Store, project core.ProjectID, vaults []string) error {
	if len(vaults) == 0 {
		return nil
	}
	if s.vaults == nil {
		return reference("vault_not_found", "vault_ids[0]", "there is no such vault")
	}
	ids := make([]core.VaultID, len(vaults))
	for i, id := range vaults {
		ids[i] = core.VaultID(id)
	}
	return s.vaults(ctx, tx, project, ids)
}

// reference is an Invalid error about what a new session refers to. Its code says what is the matter with
// it, for those who start sessions again and again and want to know whether that still makes sense.
func reference(code, field, format string, args ...any) *core.Error {
	e := core.InvalidField(field, format, args...)
	e.Code = code
	return e
}

// within puts the name of the request's member before the field that an error names.
func within(member string, err error) error {
	var e *core.Error
	if !errors.As(err, &e) || e.Field == "" {
		return err
	}
	inner := *e
	inner.Field = member + "." + e.Field
	inner.Message = inner.Field + strings.TrimPrefix(e.Message, e.Field)
	return &inner
}

// servable refuses what this server stores but cannot yet do, before a session relies on it: an agent
// that was told of tools which are not there would only fail later, and less clearly.
func servable(env core.EnvironmentConfig) error {
	if len(env.Packages["apt"]) > 0 {
		return core.InvalidField("environment_id", "it lists apt packages, which only root can install: this server's sandboxes have the programs of its machine, and take packages of cargo, gem, go, npm and pip")
	}
	return nil
}

func loadAgent(ctx context.Context, tx core.Store, by core.Principal, n NewSession) (core.Agent, error) {
	var agent core.Agent
	var err error
	if n.Version > 0 {
		agent, err = tx.AgentVersion(ctx, by.Project, n.Agent, n.Version)
	} else {
		agent, err = tx.Agent(ctx, by.Project, n.Agent)
	}
	switch {
	case core.KindOf(err) == core.NotFound && n.Version > 0:
		return agent, core.InvalidField("agent", "agent agent_%s has no version %d", n.Agent, n.Version)
	case core.KindOf(err) == core.NotFound:
		return agent, core.InvalidField("agent", "agent agent_%s was not found", n.Agent)
	case err != nil:
		return agent, err
	case !agent.ArchivedAt.IsZero():
		return agent, reference("agent_archived", "agent", "agent agent_%s is archived", n.Agent)
	case !agent.Active:
		return agent, core.InvalidField("agent", "agent agent_%s is deactivated", n.Agent)
	}
	return agent, nil
}

func (o *Overrides) apply(spec *core.AgentSpec) {
	if o.Model != nil {
		spec.Model = *o.Model
	}
	if o.System != nil {
		spec.System = *o.System
	}
	if o.Tools != nil {
		spec.Tools = *o.Tools
	}
	if o.MCPServers != nil {
		spec.MCPServers = *o.MCPServers
	}
	if o.Skills != nil {
		spec.Skills = *o.Skills
	}
}

func checkNew(n NewSession) error {
	if n.Agent == "" {
		return core.InvalidField("agent", "is required")
	}
	if n.Environment == "" {
		return core.InvalidField("environment_id", "is required")
	}
	if err := checkTitle(n.Title); err != nil {
		return err
	}
	if len(n.Inputs) > MaxInitialInputs {
		return core.InvalidField("initial_events", "at most %d events", MaxInitialInputs)
	}
	for i, in := range n.Inputs {
		if in.Message == nil && in.Outcome == nil && (in.System == nil || n.Deployment == "") {
			return core.InvalidField(indexed("initial_events", i)+".type", "a new session takes only user.message and user.define_outcome")
		}
		if err := checkInput(indexed("initial_events", i), in); err != nil {
			return err
		}
	}
	if err := checkFileDocuments(n.Inputs); err != nil {
		return err
	}
	if err := errors.Join(oneOutcome("initial_events", n.Inputs), placedSystem("initial_events", n.Inputs), checkBudget(n.Budget)); err != nil {
		return err
	}
	if _, err := planned("resources", n.Resources, n.OnceEach); err != nil {
		return err
	}
	return CheckMetadata(n.Metadata)
}

func checkTitle(title *string) error {
	if title != nil && utf8.RuneCountInString(*title) > MaxTitle {
		return core.InvalidField("title", "at most %d characters", MaxTitle)
	}
	return nil
}

// CheckMetadata applies the limits that every dialect shares: 16 pairs, keys of 64 and values of 512
// characters.
func CheckMetadata(m map[string]string) error {
	if len(m) > MaxMetadata {
		return core.InvalidField("metadata", "at most %d pairs", MaxMetadata)
	}
	for k, v := range m {
		if k == "" || utf8.RuneCountInString(k) > MaxMetadataKey {
			return core.InvalidField("metadata", "keys have 1 to %d characters", MaxMetadataKey)
		}
		if utf8.RuneCountInString(v) > MaxMetadataValue {
			return core.InvalidField("metadata."+k, "at most %d characters", MaxMetadataValue)
		}
	}
	return nil
}

// Observe opens a session of an agent that runs elsewhere and proved itself with its own key.
// meta is a JSON object, or nil.
//
// Errors: Forbidden unless the caller is an agent; NotFound if the agent is gone.
func (s *Service) Observe(ctx context.Context, by core.Principal, meta json.RawMessage) (core.Session, error) {
	if by.Kind != core.PrincipalAgent || by.Agent == "" {
		return core.Session{}, core.Errorf(core.Forbidden, "forbidden", "only an agent key opens an observed session")
	}
	now := s.now()
	sess := core.Session{
		Project: by.Project, ID: core.NewID[core.SessionID](), Origin: core.OriginObserved, Agent: by.Agent,
		AgentKey: by.Credential, Metadata: map[string]string{}, Meta: meta,
		Status: core.StatusRunning, CreatedAt: now, UpdatedAt: now,
	}
	if err := s.store.CreateSession(ctx, sess); err != nil {
		return core.Session{}, err
	}
	return sess, nil
}

// Session returns one session of the caller's project, and to a worker one that it serves; or NotFound.
func (s *Service) Session(ctx context.Context, by core.Principal, id core.SessionID) (core.Session, error) {
	return open(ctx, s.store, by, id, core.RoleViewer)
}

// open loads a session for who has the role, or serves it as a worker.
func open(ctx context.Context, store core.Store, by core.Principal, id core.SessionID, role core.Role) (core.Session, error) {
	if !by.IsWorker() {
		if err := by.Require(role); err != nil {
			return core.Session{}, err
		}
	}
	sess, err := store.Session(ctx, by.Project, id)
	if err == nil {
		err = by.RequireIn(sess, role)
	}
	if err != nil {
		return core.Session{}, err
	}
	return sess, nil
}

// Sessions lists the caller's sessions as page asks; past the end the slice is empty.
func (s *Service) Sessions(ctx context.Context, by core.Principal, page core.SessionPage) ([]core.Session, error) {
	if err := by.Require(core.RoleViewer); err != nil {
		return nil, err
	}
	return s.store.Sessions(ctx, by.Project, page)
}

var errArchived = core.Errorf(core.Invalid, "session_archived", "the session is archived")

// Archive ends a session for good. Archiving twice answers the same.
//
// Errors: NotFound; Invalid ("session_running") while a turn runs; Forbidden.
func (s *Service) Archive(ctx context.Context, by core.Principal, id core.SessionID) (core.Session, error) {
	if err := by.Require(core.RoleMember); err != nil {
		return core.Session{}, err
	}
	var sess core.Session
	err := s.store.Tx(ctx, func(tx core.Store) error {
		var err error
		if sess, err = tx.Session(ctx, by.Project, id); err != nil || !sess.ArchivedAt.IsZero() {
			return err
		}
		if busy(sess) {
			return core.Errorf(core.Invalid, "session_running", "the session is running: interrupt it first")
		}
		now := s.now()
		sess.Status, sess.ArchivedAt, sess.UpdatedAt = core.StatusTerminated, now, now
		if err := tx.UpdateSession(ctx, sess); err != nil {
			return err
		}
		if _, err = tx.Append(ctx, by.Project, id, now, core.NewDraft(core.PrimaryThread(id), "", core.EventStatusTerminated, nil)); err != nil {
			return err
		}
		return stopWork(ctx, tx, sess, now)
	})
	if err != nil {
		return core.Session{}, err
	}
	s.bus.Wake(id)
	return sess, nil
}

// Delete removes a session with its log. Open streams end.
//
// Errors: NotFound; Invalid ("session_running") while a turn runs; Forbidden.
func (s *Service) Delete(ctx context.Context, by core.Principal, id core.SessionID) error {
	if err := by.Require(core.RoleMember); err != nil {
		return err
	}
	err := s.store.Tx(ctx, func(tx core.Store) error {
		sess, err := tx.Session(ctx, by.Project, id)
		if err != nil {
			return err
		}
		if busy(sess) {
			return core.Errorf(core.Invalid, "session_running", "the session is running: interrupt it first")
		}
		if _, err := tx.DeleteSessionFiles(ctx, by.Project, id, s.now()); err != nil {
			return err
		}
		return tx.DeleteSession(ctx, by.Project, id)
	})
	if err != nil {
		return err
	}
	s.bus.Wake(id)
	if s.forget != nil {
		// The session is gone whatever comes now: a caller that leaves must not keep the rest alive.
		return s.forget(context.WithoutCancel(ctx), by.Project, id)
	}
	return nil
}

// busy says that Reeve itself runs a turn. An observed session never is.
func busy(s core.Session) bool {
	return s.Origin == core.OriginManaged && (s.Status == core.StatusRunning || s.Status == core.StatusRescheduling)
}
