package core

import "time"

// Role is what a person or an access token may do in a project.
type Role string

const (
	RoleAdmin  Role = "admin"  // everything
	RoleMember Role = "member" // use: run sessions, read all; not register agents nor touch keys
	RoleViewer Role = "viewer" // read only
)

// rank orders the roles; an unknown role has rank 0 and may do nothing.
func (r Role) rank() int {
	switch r {
	case RoleAdmin:
		return 3
	case RoleMember:
		return 2
	case RoleViewer:
		return 1
	}
	return 0
}

// Valid reports whether r is one of the roles above.
func (r Role) Valid() bool { return r.rank() > 0 }

// PrincipalKind says what proved the caller.
type PrincipalKind string

const (
	PrincipalToken        PrincipalKind = "access_token"
	PrincipalUser         PrincipalKind = "user"
	PrincipalAgent        PrincipalKind = "agent_key"
	PrincipalSDK          PrincipalKind = "sdk_key"
	PrincipalAgentSession PrincipalKind = "session_token"
	PrincipalEnvironment  PrincipalKind = "environment_key" // a worker of one self-hosted environment
	PrincipalWork         PrincipalKind = "work_token"      // a worker that has one work item
)

// Principal is who is calling. Every service method takes one, and every query is scoped by its
// project. The zero Principal may do nothing.
type Principal struct {
	Kind       PrincipalKind
	Project    ProjectID
	Role       Role
	Credential CredentialID // empty for PrincipalUser
	User       UserID       // who the caller is or who made the token; empty for machine credentials
	Agent      AgentID      // for PrincipalAgent and PrincipalAgentSession, else empty
	Session    SessionID    // the session in whose name an agent acts here, by a tool or a worker; else empty
	// Environment is for PrincipalEnvironment and PrincipalWork, else empty.
	Environment EnvironmentID
	Work        WorkID    // for PrincipalWork, else empty. Once that item is stopped, Session is empty
	IssuedAt    time.Time // when the user token was issued; zero unless a user token proved the caller
}

// Require returns Forbidden unless p's role is at least r.
func (p Principal) Require(r Role) error {
	if p.Project == "" || p.Role.rank() < r.rank() {
		return Errorf(Forbidden, "forbidden", "this credential may not do that: it needs the role %s", r)
	}
	return nil
}

// RequireIn is Require for what a worker may do as well, in a session: one with the key of an environment in
// the sessions of that environment, one with the token of a work item in the session of that item while it is
// not stopped. Every other session is NotFound to a worker, as another project's is to all.
func (p Principal) RequireIn(s Session, r Role) error {
	var own bool
	switch p.Kind {
	case PrincipalEnvironment:
		own = p.Environment != "" && p.Environment == s.Environment
	case PrincipalWork:
		own = p.Session != "" && p.Session == s.ID
	default:
		return p.Require(r)
	}
	if !own || p.Project != s.Project {
		return NotFoundError("session", string(s.ID))
	}
	return nil
}

// RequireSkills is Require(RoleViewer) for what workers may do as well: to list and to download skills
// (claude-managed-agents.md section 3.2). The token of a work item serves until that is stopped.
func (p Principal) RequireSkills() error {
	if p.Kind == PrincipalEnvironment || p.Kind == PrincipalWork && p.Session != "" {
		return nil
	}
	return p.Require(RoleViewer)
}

// Acting is the session as one that acts for itself on this server, with the rights that the token of its work
// item would have.
func Acting(s Session) Principal {
	return Principal{Kind: PrincipalWork, Project: s.Project, Environment: s.Environment, Session: s.ID}
}

// IsWorker reports whether p runs tools for a self-hosted environment. It has no role: what it may do says
// RequireIn, and each service that is made for it.
func (p Principal) IsWorker() bool {
	return p.Kind == PrincipalEnvironment || p.Kind == PrincipalWork
}

// Project is the tenant: everything below belongs to exactly one.
type Project struct {
	ID          ProjectID
	Name        string  // 1–255 characters
	Description string  // ≤ 300 characters
	Domain      *string // ≤ 200 characters; nil if never given
	Active      bool
	CreatedBy   UserID
	CreatedAt   time.Time // UTC, whole microseconds, like every time in this package
	UpdatedAt   time.Time
}

// User is a person. Email is unique, trimmed and lower-case.
type User struct {
	ID           UserID
	FirstName    string
	MiddleName   string
	LastName     string
	Email        string
	PasswordHash string    // argon2id, encoded with its parameters; never leaves the server
	TokensAfter  time.Time // user tokens issued before this time are refused (logout, password change)
	CreatedAt    time.Time
	UpdatedAt    time.Time
}

// Membership is a user's role in a project.
type Membership struct {
	Project   ProjectID
	User      UserID
	Role      Role
	Active    bool
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Invitation asks a person into a project. Who has the plain token and an account with the e-mail may
// accept it, once.
type Invitation struct {
	ID         InvitationID
	Project    ProjectID
	Email      string // trimmed and lower-case, ≤ 254 characters
	Role       Role
	Prefix     string // 11 letters and digits; unique among all invitations; in clear in the token
	Hash       []byte // HMAC-SHA-256 of the whole token; 32 bytes
	InvitedBy  UserID // empty when an access token of no person did
	CreatedAt  time.Time
	ExpiresAt  time.Time
	AcceptedAt time.Time // zero: not yet
	RevokedAt  time.Time // zero: not revoked
}

// Open reports whether the invitation may still be accepted at the given time.
func (i Invitation) Open(now time.Time) bool {
	return i.AcceptedAt.IsZero() && i.RevokedAt.IsZero() && now.Before(i.ExpiresAt)
}

// CredentialKind says what a stored key is for; a key of one kind is never accepted as another.
type CredentialKind string

const (
	CredentialAccess CredentialKind = "access" // API token of a project
	CredentialSDK    CredentialKind = "sdk"    // backend SDK key (otas)
	CredentialAgent  CredentialKind = "agent"  // an agent's own key

	CredentialEnvironment CredentialKind = "environment" // a worker's key to one self-hosted environment
)

// Credential is a key that is shown once and kept as a hash.
type Credential struct {
	ID      CredentialID
	Project ProjectID
	Kind    CredentialKind
	Prefix  string  // 11 letters and digits; unique among all credentials; in clear in the key
	Hash    []byte  // HMAC-SHA-256 of the whole key; 32 bytes
	Name    *string // nil if never given
	Role    Role    // for CredentialAccess
	Agent   AgentID // for CredentialAgent, else empty
	// Environment is for CredentialEnvironment, else empty. The environment may be gone.
	Environment EnvironmentID
	CreatedBy   UserID // empty when the server itself made it
	CreatedAt   time.Time
	ExpiresAt   time.Time // zero: never
	RevokedAt   time.Time // zero: not revoked
	LastUsedAt  time.Time // zero: never; kept to the minute
	// EndsSessions: the key was revoked for itself, not replaced, so the sessions that it had opened ended
	// with it. Only for CredentialAgent.
	EndsSessions bool
}

// Live reports whether the credential works at the given time.
func (c Credential) Live(now time.Time) bool {
	return c.RevokedAt.IsZero() && (c.ExpiresAt.IsZero() || now.Before(c.ExpiresAt))
}
