package core

import (
	"context"
	"time"
)

// Store keeps everything. Its promises, which store/storetest proves on every engine:
//
//   - Every method that reads or writes a project's things takes the project, and never sees
//     another's: a foreign id is NotFound. The methods that find a project out (CredentialByPrefix,
//     UserByEmail, User, ClaimTurns, ClaimStrays …) say so.
//   - "No such row" is NotFound; a broken unique rule is Conflict; all other errors are Internal.
//   - Times come back as they went in: UTC, cut to whole microseconds; a zero time stays zero.
//   - A method outside Tx is a transaction of its own.
type Store interface {
	ProjectStore
	CredentialStore
	AgentStore
	EnvironmentStore
	MemoryStorage
	SessionStore
	TurnStore
	IdempotencyStore
	VaultStore
	DeploymentStore
	WorkStore
	BlobStore
	FileStore
	SkillStore
	WebhookStore
	ThreadStore

	// Tx runs fn in one transaction: all of it is kept, or nothing. fn may be called more than once,
	// so it must touch nothing but tx and its own results. Tx inside Tx joins the outer one.
	// Returning nil means that the transaction is committed and will survive the process.
	Tx(ctx context.Context, fn func(tx Store) error) error
}

// ProjectStore keeps projects, people and who belongs where.
type ProjectStore interface {
	CreateProject(ctx context.Context, p Project) error
	// Project returns a project. Inside Tx it also holds the project until the transaction ends.
	Project(ctx context.Context, id ProjectID) (Project, error)
	// UpdateProject replaces Name, Description, Domain, Active and UpdatedAt.
	UpdateProject(ctx context.Context, p Project) error
	// Projects lists the whole installation's projects, oldest first. For the operator's commands.
	Projects(ctx context.Context) ([]Project, error)

	// CreateUser stores a person; a taken email is Conflict ("user_already_exists").
	CreateUser(ctx context.Context, u User) error
	User(ctx context.Context, id UserID) (User, error)
	UserByEmail(ctx context.Context, email string) (User, error)
	// UpdateUser replaces all fields but ID and CreatedAt.
	UpdateUser(ctx context.Context, u User) error

	// PutMembership creates or replaces a membership.
	PutMembership(ctx context.Context, m Membership) error
	Membership(ctx context.Context, project ProjectID, user UserID) (Membership, error)
	// Memberships lists a person's memberships, newest project first.
	Memberships(ctx context.Context, user UserID) ([]Membership, error)
	// ProjectsOf lists a person's memberships together with their projects, newest project first.
	ProjectsOf(ctx context.Context, user UserID) ([]MemberProject, error)
	// Members lists a project's memberships together with the persons, oldest membership first, those
	// that are not active included.
	Members(ctx context.Context, project ProjectID) ([]Member, error)

	// CreateInvitation stores an invitation; a taken prefix is Conflict ("prefix_taken").
	CreateInvitation(ctx context.Context, i Invitation) error
	// InvitationByPrefix finds an invitation to any project. Inside Tx it also holds it until the end.
	InvitationByPrefix(ctx context.Context, prefix string) (Invitation, error)
	Invitation(ctx context.Context, project ProjectID, id InvitationID) (Invitation, error)
	// Invitations lists those of a project that are neither accepted nor revoked, newest first; expired
	// ones included.
	Invitations(ctx context.Context, project ProjectID) ([]Invitation, error)
	// UpdateInvitation replaces AcceptedAt and RevokedAt.
	UpdateInvitation(ctx context.Context, i Invitation) error
}

// Member is a person in a project.
type Member struct {
	Membership
	Person User
}

// MemberProject is a project as a member has it.
type MemberProject struct {
	Membership
	Of Project
}

// CredentialStore keeps keys, as hashes.
type CredentialStore interface {
	// CreateCredential stores a key; a taken prefix is Conflict ("prefix_taken").
	CreateCredential(ctx context.Context, c Credential) error
	// CredentialByPrefix finds a key of any project. One indexed read.
	CredentialByPrefix(ctx context.Context, prefix string) (Credential, error)
	// KeyState finds a key of any project and what its use depends on, in one statement. session may be
	// empty or unknown; one of another project than the key's is unknown.
	KeyState(ctx context.Context, prefix string, session SessionID) (KeyState, error)
	// SessionState tells on what a session's token depends, in one statement.
	SessionState(ctx context.Context, project ProjectID, session SessionID) (SessionState, error)
	Credential(ctx context.Context, project ProjectID, id CredentialID) (Credential, error)
	// Credentials lists keys of one kind, newest first; kind empty: of all kinds; agent empty: of all
	// agents.
	Credentials(ctx context.Context, project ProjectID, kind CredentialKind, agent AgentID) ([]Credential, error)
	// AgentCredentials lists the unrevoked agent keys of all given agents in one query, newest first.
	AgentCredentials(ctx context.Context, project ProjectID, agents []AgentID) (map[AgentID][]Credential, error)
	// RevokeCredential sets RevokedAt, and EndsSessions as given, once; unknown or already revoked is
	// NotFound.
	RevokeCredential(ctx context.Context, project ProjectID, id CredentialID, at time.Time, endsSessions bool) error
	// RevokeAgentCredentials revokes every unrevoked key of an agent and returns how many.
	RevokeAgentCredentials(ctx context.Context, project ProjectID, agent AgentID, at time.Time) (int, error)
	// EnvironmentCredentials lists the keys of an environment, newest first.
	EnvironmentCredentials(ctx context.Context, project ProjectID, environment EnvironmentID) ([]Credential, error)
	// TouchCredentials sets LastUsedAt of many keys at once; older times are ignored.
	TouchCredentials(ctx context.Context, used map[CredentialID]time.Time) error
}

// KeyState is a key together with all that decides whether it works, and whether somebody may report into
// a session with it.
type KeyState struct {
	Credential
	ProjectActive bool
	// AgentActive: the key's agent, or for the key of no agent the session's, is active and not archived.
	AgentActive bool
	// SessionAgent is whose session it is; empty if the key's project has no such session.
	SessionAgent AgentID
	// SessionOpen: the session is not archived, and the key that opened it was not revoked with
	// EndsSessions.
	SessionOpen bool
	// EnvironmentThere: the key's environment was not deleted. False for a key of none.
	EnvironmentThere bool
}

// SessionState is all that decides whether a session's token works.
type SessionState struct {
	Agent         AgentID
	AgentKey      CredentialID // the key that opened it; empty if none did
	ProjectActive bool
	AgentActive   bool // the agent is active and not archived
	Open          bool // as KeyState.SessionOpen
}

// AgentStore keeps agents and their versions. An agent's id is unique within its project.
type AgentStore interface {
	// CreateAgent stores the agent and its version 1; a taken id is Conflict ("agent_already_exists").
	CreateAgent(ctx context.Context, a Agent) error
	// Agent returns the newest version. Inside Tx it also holds the agent until the end.
	Agent(ctx context.Context, project ProjectID, id AgentID) (Agent, error)
	AgentVersion(ctx context.Context, project ProjectID, id AgentID, version int) (Agent, error)
	// AgentVersions lists versions below before (0: all), newest first.
	AgentVersions(ctx context.Context, project ProjectID, id AgentID, before, limit int) ([]Agent, error)
	// UpdateAgent stores a.Version as the newest, which must be the stored one plus 1, else Conflict
	// ("version_conflict").
	UpdateAgent(ctx context.Context, a Agent) error
	// SetAgentState stores Active, ArchivedAt and UpdatedAt; the version stays.
	SetAgentState(ctx context.Context, a Agent) error
	Agents(ctx context.Context, project ProjectID, page AgentPage) ([]Agent, error)
	// CountAgents counts what Agents would list without its limit, offset and keys.
	CountAgents(ctx context.Context, project ProjectID, page AgentPage) (int, error)
}

// EnvironmentStore keeps environments.
type EnvironmentStore interface {
	CreateEnvironment(ctx context.Context, e Environment) error
	Environment(ctx context.Context, project ProjectID, id EnvironmentID) (Environment, error)
	// UpdateEnvironment replaces all fields but Project, ID and CreatedAt.
	UpdateEnvironment(ctx context.Context, e Environment) error
	// DeleteEnvironment refuses with Conflict ("environment_in_use") while a session refers to it.
	DeleteEnvironment(ctx context.Context, project ProjectID, id EnvironmentID) error
	// Environments lists newest first.
	Environments(ctx context.Context, project ProjectID, page EnvironmentPage) ([]Environment, error)
}

// EnvironmentPage is a query for environments, newest first.
type EnvironmentPage struct {
	Limit           int
	After           *PageKey
	Before          *PageKey
	IncludeArchived bool
}

// SessionStore keeps sessions, their threads and their logs.
type SessionStore interface {
	// CreateSession stores a session and, for a managed one, its primary thread.
	CreateSession(ctx context.Context, s Session) error
	// Session returns the session. Inside Tx it also holds the session until the transaction ends,
	// so that two writers of one log wait instead of colliding.
	Session(ctx context.Context, project ProjectID, id SessionID) (Session, error)
	// UpdateSession stores Title, Metadata, EnvVars, Resources, Budget, Outcomes, Status, StopReason, Usage,
	// UpdatedAt and ArchivedAt.
	// The session must have been read in the same Tx, or a change made in between is lost.
	UpdateSession(ctx context.Context, s Session) error
	// UpdateSnapshot replaces the frozen definition of a managed session; of another session it is NotFound.
	UpdateSnapshot(ctx context.Context, project ProjectID, id SessionID, spec AgentSpec) error
	// SetSessionState stores Status, StopReason, Usage and UpdatedAt alone: what the runner that holds the
	// lease owns, so that it needs no fresh read.
	SetSessionState(ctx context.Context, s Session) error
	// DeleteSession removes the session, its threads and its log.
	DeleteSession(ctx context.Context, project ProjectID, id SessionID) error
	Sessions(ctx context.Context, project ProjectID, page SessionPage) ([]Session, error)

	// Append gives the drafts the next Seqs and stores all of them or none. The events come back in
	// order, At and (unless Queued) ProcessedAt set to at.
	Append(ctx context.Context, project ProjectID, session SessionID, at time.Time, drafts ...Draft) ([]Event, error)
	// MarkProcessed sets ProcessedAt of queued events; those already set keep theirs.
	MarkProcessed(ctx context.Context, project ProjectID, session SessionID, at time.Time, ids ...EventID) error
	// Events returns a part of the log; past the end it is an empty slice and no error.
	Events(ctx context.Context, project ProjectID, session SessionID, q EventQuery) ([]Event, error)
	// QueuedEvents returns input of a thread that no runner took up yet, oldest first.
	QueuedEvents(ctx context.Context, project ProjectID, session SessionID, thread ThreadID) ([]Event, error)
	// EventByID finds one entry of a session's log.
	EventByID(ctx context.Context, project ProjectID, session SessionID, id EventID) (Event, error)
}

// TurnStore is the dispatch of turns: a state of the thread row.
type TurnStore interface {
	// OweTurn marks that a thread owes a turn, and leases it to node until the given time if nobody
	// holds a live lease at now. It reports the lease and whether it was taken. An empty node takes none.
	OweTurn(ctx context.Context, project ProjectID, session SessionID, thread ThreadID, node string, now, until time.Time) (Lease, bool, error)
	// ClaimTurns leases at most limit pending threads of any project whose lease is absent or ran out at
	// now, oldest debt first. Two callers never get the same thread.
	ClaimTurns(ctx context.Context, node string, now, until time.Time, limit int) ([]Lease, error)
	// ExtendLeases moves the end of leases and returns those that are no longer the caller's.
	ExtendLeases(ctx context.Context, leases []Lease, until time.Time) (lost []Lease, err error)
	// HoldLease holds the thread until the transaction ends and returns ErrLeaseLost unless the lease is
	// still the caller's: same node, same epoch, still pending. Runners call it first in every Tx that writes.
	HoldLease(ctx context.Context, lease Lease) error
	// SettleTurn ends a turn: pending is cleared and the lease given up. ErrLeaseLost as HoldLease.
	SettleTurn(ctx context.Context, lease Lease) error
	// ReleaseLease gives the lease up but leaves the turn owed, so that any node may go on at once.
	ReleaseLease(ctx context.Context, lease Lease) error
	// FreeLeases drops every lease of a node, turns stay owed, and returns how many. For start-up: the
	// node's former life is over.
	FreeLeases(ctx context.Context, node string) (int, error)
}

// Idempotency is the record of a request that carried an Idempotency-Key.
type Idempotency struct {
	Project     ProjectID
	Caller      string   // who the key belongs to: the credential or user id
	Key         string   // as the client sent it
	Fingerprint [32]byte // of method, path and body
	Object      string   // the id set aside for the object to be made, so that a second try makes no second one
	Status      int      // 0 while the request is in flight
	Response    []byte
	CreatedAt   time.Time
	ExpiresAt   time.Time
}

// IdempotencyStore remembers requests by their Idempotency-Key.
type IdempotencyStore interface {
	// ReserveIdempotency stores the record unless a live one (ExpiresAt after now) exists for the same
	// project, caller and key; it returns the stored one and whether it is new.
	ReserveIdempotency(ctx context.Context, rec Idempotency, now time.Time) (Idempotency, bool, error)
	// FinishIdempotency stores Status and Response of a reserved record.
	FinishIdempotency(ctx context.Context, rec Idempotency) error
	// DropIdempotency forgets a reserved record, so that the key may be used again.
	DropIdempotency(ctx context.Context, rec Idempotency) error
	// ExpireIdempotency deletes records whose time is over and returns how many.
	ExpireIdempotency(ctx context.Context, now time.Time) (int, error)
}
