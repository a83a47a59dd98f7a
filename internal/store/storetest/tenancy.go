package storetest

import (
	"reflect"
	"testing"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// tenants is a project with one of everything, and another that must not see it.
type tenants struct {
	mine        core.ProjectID
	agent       core.Agent
	environment core.Environment
	session     core.Session
	event       core.Event
	key         core.Credential
	invitation  core.Invitation
	member      core.UserID
}

// foreign tries to reach another project's things. Every method that takes a project, or a thing that
// belongs to one, has at least one entry; the suite checks that none is forgotten.
var foreign = map[string][]struct {
	as    string
	try   func(b *bundle, s core.Store, w tenants) error
	found core.Kind // what the answer must be; Internal stands for "no error, and nothing found"
}{
	"CreateSession": {
		{"of their agent", func(b *bundle, s core.Store, w tenants) error {
			return s.CreateSession(b.ctx, core.Session{Project: w.mine, ID: "s1", Agent: w.agent.ID})
		}, core.NotFound},
		{"in their environment", func(b *bundle, s core.Store, w tenants) error {
			return s.CreateSession(b.ctx, core.Session{Project: w.mine, ID: "s2", Environment: w.environment.ID})
		}, core.NotFound},
	},
	"CreateCredential": {{"for their agent", func(b *bundle, s core.Store, w tenants) error {
		return s.CreateCredential(b.ctx, core.Credential{Project: w.mine, ID: "c", Prefix: "c", Agent: w.agent.ID, Hash: []byte("h")})
	}, core.NotFound}},
	"CreateAgent": {{"under their agent's id", own(func(b *bundle, s core.Store, w tenants) error { return s.CreateAgent(b.ctx, w.asMine().agent) }), core.Internal}},
	"CreateEnvironment": {{"under their environment's id", own(func(b *bundle, s core.Store, w tenants) error {
		return s.CreateEnvironment(b.ctx, w.asMine().environment)
	}), core.Internal}},
	"CreateProject": nil, // makes a tenant
	"Project":       nil, // finds a project out
	"UpdateProject": nil, // changes the tenant itself
	"PutMembership": nil, // makes a member: nothing of the other project is touched
	"Membership": {{"of their member", func(b *bundle, s core.Store, w tenants) error {
		_, err := s.Membership(b.ctx, w.mine, w.member)
		return err
	}, core.NotFound}},
	"Members": {{"their member", func(b *bundle, s core.Store, w tenants) error {
		list, err := s.Members(b.ctx, w.mine)
		return nothing(len(list), err)
	}, core.Internal}},
	"CreateInvitation": {{"under their invitation's id", func(b *bundle, s core.Store, w tenants) error {
		return s.CreateInvitation(b.ctx, w.asMine().invitation)
	}, core.Conflict}},
	"Invitation": {{"theirs", func(b *bundle, s core.Store, w tenants) error {
		_, err := s.Invitation(b.ctx, w.mine, w.invitation.ID)
		return err
	}, core.NotFound}},
	"Invitations": {{"all", func(b *bundle, s core.Store, w tenants) error {
		list, err := s.Invitations(b.ctx, w.mine)
		return nothing(len(list), err)
	}, core.Internal}},
	"UpdateInvitation": {{"theirs", func(b *bundle, s core.Store, w tenants) error {
		return s.UpdateInvitation(b.ctx, w.asMine().invitation)
	}, core.NotFound}},
	"SessionState": {{"theirs", func(b *bundle, s core.Store, w tenants) error {
		_, err := s.SessionState(b.ctx, w.mine, w.session.ID)
		return err
	}, core.NotFound}},
	"Credential": {{"their key", func(b *bundle, s core.Store, w tenants) error {
		_, err := s.Credential(b.ctx, w.mine, w.key.ID)
		return err
	}, core.NotFound}},
	"Credentials": {{"their agent's keys", func(b *bundle, s core.Store, w tenants) error {
		list, err := s.Credentials(b.ctx, w.mine, core.CredentialAgent, w.agent.ID)
		return nothing(len(list), err)
	}, core.Internal}},
	"AgentCredentials": {{"their agent's keys", func(b *bundle, s core.Store, w tenants) error {
		list, err := s.AgentCredentials(b.ctx, w.mine, []core.AgentID{w.agent.ID})
		return nothing(len(list), err)
	}, core.Internal}},
	"RevokeCredential": {{"their key", func(b *bundle, s core.Store, w tenants) error {
		return s.RevokeCredential(b.ctx, w.mine, w.key.ID, at(1), true)
	}, core.NotFound}},
	"RevokeAgentCredentials": {{"their agent's keys", func(b *bundle, s core.Store, w tenants) error {
		return nothing(s.RevokeAgentCredentials(b.ctx, w.mine, w.agent.ID, at(1)))
	}, core.Internal}},
	"Agent": {{"theirs", func(b *bundle, s core.Store, w tenants) error {
		_, err := s.Agent(b.ctx, w.mine, w.agent.ID)
		return err
	}, core.NotFound}},
	"AgentVersion": {{"theirs", func(b *bundle, s core.Store, w tenants) error {
		_, err := s.AgentVersion(b.ctx, w.mine, w.agent.ID, 1)
		return err
	}, core.NotFound}},
	"AgentVersions": {{"theirs", func(b *bundle, s core.Store, w tenants) error {
		_, err := s.AgentVersions(b.ctx, w.mine, w.agent.ID, 0, 10)
		return err
	}, core.NotFound}},
	"UpdateAgent": {{"theirs", func(b *bundle, s core.Store, w tenants) error {
		a := w.asMine().agent
		a.Version = 2
		return s.UpdateAgent(b.ctx, a)
	}, core.NotFound}},
	"SetAgentState": {{"theirs", func(b *bundle, s core.Store, w tenants) error { return s.SetAgentState(b.ctx, w.asMine().agent) }, core.NotFound}},
	"Agents": {{"all", func(b *bundle, s core.Store, w tenants) error {
		list, err := s.Agents(b.ctx, w.mine, core.AgentPage{Limit: 10, IncludeArchived: true})
		return nothing(len(list), err)
	}, core.Internal}},
	"CountAgents": {{"all", func(b *bundle, s core.Store, w tenants) error {
		return nothing(s.CountAgents(b.ctx, w.mine, core.AgentPage{IncludeArchived: true}))
	}, core.Internal}},
	"Environment": {{"theirs", func(b *bundle, s core.Store, w tenants) error {
		_, err := s.Environment(b.ctx, w.mine, w.environment.ID)
		return err
	}, core.NotFound}},
	"UpdateEnvironment": {{"theirs", func(b *bundle, s core.Store, w tenants) error {
		return s.UpdateEnvironment(b.ctx, w.asMine().environment)
	}, core.NotFound}},
	"DeleteEnvironment": {{"theirs", func(b *bundle, s core.Store, w tenants) error {
		return s.DeleteEnvironment(b.ctx, w.mine, w.environment.ID)
	}, core.NotFound}},
	"Environments": {{"all", func(b *bundle, s core.Store, w tenants) error {
		list, err := s.Environments(b.ctx, w.mine, core.EnvironmentPage{Limit: 10, IncludeArchived: true})
		return nothing(len(list), err)
	}, core.Internal}},
	"Session": {{"theirs", func(b *bundle, s core.Store, w tenants) error {
		_, err := s.Session(b.ctx, w.mine, w.session.ID)
		return err
	}, core.NotFound}},
	"UpdateSession":   {{"theirs", func(b *bundle, s core.Store, w tenants) error { return s.UpdateSession(b.ctx, w.asMine().session) }, core.NotFound}},
	"SetSessionState": {{"theirs", func(b *bundle, s core.Store, w tenants) error { return s.SetSessionState(b.ctx, w.asMine().session) }, core.NotFound}},
	"DeleteSession": {{"theirs", func(b *bundle, s core.Store, w tenants) error {
		return s.DeleteSession(b.ctx, w.mine, w.session.ID)
	}, core.NotFound}},
	"Sessions": {
		{"all", func(b *bundle, s core.Store, w tenants) error {
			list, err := s.Sessions(b.ctx, w.mine, core.SessionPage{Limit: 10, IncludeArchived: true})
			return nothing(len(list), err)
		}, core.Internal},
		{"their agent's", func(b *bundle, s core.Store, w tenants) error {
			list, err := s.Sessions(b.ctx, w.mine, core.SessionPage{Limit: 10, IncludeArchived: true, Agent: w.agent.ID})
			return nothing(len(list), err)
		}, core.Internal},
	},
	"Thread": {{"theirs", func(b *bundle, s core.Store, w tenants) error {
		_, err := s.Thread(b.ctx, w.mine, w.session.ID, core.PrimaryThread(w.session.ID))
		return err
	}, core.NotFound}},
	"Append": {
		{"to their log", func(b *bundle, s core.Store, w tenants) error {
			_, err := s.Append(b.ctx, w.mine, w.session.ID, at(1), drafts(w.session, 1)...)
			return err
		}, core.NotFound},
		{"nothing to their log", func(b *bundle, s core.Store, w tenants) error {
			_, err := s.Append(b.ctx, w.mine, w.session.ID, at(1))
			return err
		}, core.NotFound},
	},
	"MarkProcessed": {
		{"their event", func(b *bundle, s core.Store, w tenants) error {
			return s.MarkProcessed(b.ctx, w.mine, w.session.ID, at(1), w.event.ID)
		}, core.NotFound},
		{"nothing of their log", func(b *bundle, s core.Store, w tenants) error {
			return s.MarkProcessed(b.ctx, w.mine, w.session.ID, at(1))
		}, core.NotFound},
	},
	"Events": {{"theirs", func(b *bundle, s core.Store, w tenants) error {
		_, err := s.Events(b.ctx, w.mine, w.session.ID, core.EventQuery{Limit: 10})
		return err
	}, core.NotFound}},
	"QueuedEvents": {{"theirs", func(b *bundle, s core.Store, w tenants) error {
		_, err := s.QueuedEvents(b.ctx, w.mine, w.session.ID, core.PrimaryThread(w.session.ID))
		return err
	}, core.NotFound}},
	"EventByID": {{"theirs", func(b *bundle, s core.Store, w tenants) error {
		_, err := s.EventByID(b.ctx, w.mine, w.session.ID, w.event.ID)
		return err
	}, core.NotFound}},
	"OweTurn": {
		{"while theirs is leased", func(b *bundle, s core.Store, w tenants) error {
			_, _, err := s.OweTurn(b.ctx, w.mine, w.session.ID, core.PrimaryThread(w.session.ID), "n", at(1), at(2))
			return err
		}, core.NotFound},
		{"when their lease has run out", func(b *bundle, s core.Store, w tenants) error {
			_, _, err := s.OweTurn(b.ctx, w.mine, w.session.ID, core.PrimaryThread(w.session.ID), "n", at(1000), at(2000))
			return err
		}, core.NotFound},
	},
	"HoldLease":    {{"theirs", func(b *bundle, s core.Store, w tenants) error { return s.HoldLease(b.ctx, w.lease()) }, core.Conflict}},
	"SettleTurn":   {{"theirs", func(b *bundle, s core.Store, w tenants) error { return s.SettleTurn(b.ctx, w.lease()) }, core.Conflict}},
	"ReleaseLease": {{"theirs", func(b *bundle, s core.Store, w tenants) error { return s.ReleaseLease(b.ctx, w.lease()) }, core.Conflict}},
	"ExtendLeases": {{"theirs", func(b *bundle, s core.Store, w tenants) error {
		lost, err := s.ExtendLeases(b.ctx, []core.Lease{w.lease()}, at(500))
		return nothing(len(lost)-1, err)
	}, core.Internal}},
	"ReserveIdempotency": {{"their key", own(func(b *bundle, s core.Store, w tenants) error {
		_, fresh, err := s.ReserveIdempotency(b.ctx, record(w.mine, "mine", 1, 100), at(1))
		return nothing(map[bool]int{false: 1}[fresh], err)
	}), core.Internal}},
	"FinishIdempotency": {{"their key", func(b *bundle, s core.Store, w tenants) error {
		return s.FinishIdempotency(b.ctx, record(w.mine, "theirs", 1, 100))
	}, core.NotFound}},
	"DropIdempotency": {{"their key", func(b *bundle, s core.Store, w tenants) error {
		return s.DropIdempotency(b.ctx, record(w.mine, "theirs", 1, 100))
	}, core.NotFound}},
}

// nothing turns "something was found" into an error.
func nothing(found int, err error) error {
	if err == nil && found != 0 {
		return core.Errorf(core.Invalid, "found", "found %d of theirs", found)
	}
	return err
}

// own runs a try that makes something of its own in a transaction that is then undone, so that it does
// not disturb the others.
func own(try func(b *bundle, s core.Store, w tenants) error) func(b *bundle, s core.Store, w tenants) error {
	undo := core.Errorf(core.Unavailable, "undo", "undo")
	return func(b *bundle, _ core.Store, w tenants) error {
		var result error
		if err := b.Tx(b.ctx, func(tx core.Store) error {
			result = try(b, tx, w)
			return undo
		}); core.CodeOf(err) != "undo" && result == nil {
			return err
		}
		return result
	}
}

// asMine returns their things under my project's name, to be passed to methods that take a whole thing.
func (w tenants) asMine() tenants {
	w.agent.Project, w.environment.Project, w.session.Project, w.invitation.Project = w.mine, w.mine, w.mine, w.mine
	w.invitation.RevokedAt = at(1)
	w.agent.Name, w.environment.Name, w.session.Status = "taken over", "taken over", core.StatusTerminated
	return w
}

// lease is their live lease under my project's name.
func (w tenants) lease() core.Lease {
	l := leaseOf(w.session, "n1", 1, 1+lifetime)
	l.Project = w.mine
	return l
}

// twoTenants fills one project and makes another that is empty.
func (b *bundle) twoTenants(t *testing.T) tenants {
	t.Helper()
	theirs := b.project(t)
	w := tenants{mine: b.project(t), agent: b.agent(t, theirs), environment: b.environment(t, theirs), member: b.user(t)}
	w.session = b.session(t, theirs, func(s *core.Session) { s.Agent, s.Environment = w.agent.ID, w.environment.ID })
	events, err := b.Append(b.ctx, theirs, w.session.ID, at(1), draft(w.session, core.EventUserMessage, true))
	need(t, err)
	w.event = events[0]
	w.key = b.key(t, theirs, agentKey(w.agent.ID))
	w.invitation = b.invitation(t, theirs)
	need(t, b.PutMembership(b.ctx, core.Membership{Project: theirs, User: w.member, Role: core.RoleAdmin}))
	b.owe(t, w.session, "n1", 1)
	b.reserve(t, record(theirs, "theirs", 1, 100), 1)
	return w
}

var tenancyPromises = map[string]func(*testing.T, *bundle){
	"NoMethodReachesAnotherProject": func(t *testing.T, b *bundle) {
		w := b.twoTenants(t)
		for method, tries := range foreign {
			for _, c := range tries {
				check := func(where string, err error) {
					switch {
					case c.found == core.Internal && err != nil:
						t.Errorf("%s %s%s: %v", method, c.as, where, err)
					case c.found != core.Internal:
						refused(t, method+" "+c.as+where, err, c.found, "")
					}
				}
				check("", c.try(b, b, w))
				if c.found == core.Internal {
					continue
				}
				check(" in Tx", b.Tx(b.ctx, func(tx core.Store) error { return c.try(b, tx, w) }))
			}
		}
		b.untouched(t, w)
	},
	"NoMethodIsForgotten": func(t *testing.T, _ *bundle) {
		store := reflect.TypeFor[core.Store]()
		for i := range store.NumMethod() {
			m := store.Method(i)
			_, known := foreign[m.Name]
			if takesProject(m.Type) && !known {
				t.Errorf("%s takes a project and is not in the table of this suite", m.Name)
			}
		}
	},
	"TheSameAgentIDInTwoProjectsIsTwoAgents": func(t *testing.T, b *bundle) {
		one := b.agent(t, b.project(t))
		two := b.agent(t, b.project(t), func(a *core.Agent) { a.ID, a.Name = one.ID, "two" })
		s := b.session(t, two.Project, func(s *core.Session) { s.Agent = two.ID })
		b.key(t, two.Project, agentKey(two.ID))
		n, err := b.RevokeAgentCredentials(b.ctx, one.Project, one.ID, at(1))
		need(t, err)
		same(t, "revoked", n, 0)
		list, err := b.Sessions(b.ctx, one.Project, core.SessionPage{Limit: 10, Agent: one.ID})
		need(t, err)
		same(t, "sessions of one", list, []core.Session{})
		list, err = b.Sessions(b.ctx, two.Project, core.SessionPage{Limit: 10, Agent: two.ID})
		need(t, err)
		same(t, "sessions of two", ids(list, sessionID), []core.SessionID{s.ID})
		two.Version, two.Name = 2, "changed"
		need(t, b.UpdateAgent(b.ctx, two))
		got, err := b.Agent(b.ctx, one.Project, one.ID)
		need(t, err)
		same(t, "one", got, one)
	},
}

// untouched checks that all of their things are as they were made.
func (b *bundle) untouched(t *testing.T, w tenants) {
	t.Helper()
	theirs := w.agent.Project
	agent, err := b.Agent(b.ctx, theirs, w.agent.ID)
	need(t, err)
	same(t, "agent", agent, w.agent)
	environment, err := b.Environment(b.ctx, theirs, w.environment.ID)
	need(t, err)
	same(t, "environment", environment, w.environment)
	session, err := b.Session(b.ctx, theirs, w.session.ID)
	need(t, err)
	want := w.session
	want.LastSeq = 1
	same(t, "session", session, want)
	events, err := b.QueuedEvents(b.ctx, theirs, w.session.ID, core.PrimaryThread(w.session.ID))
	need(t, err)
	same(t, "log", events, []core.Event{w.event})
	key, err := b.Credential(b.ctx, theirs, w.key.ID)
	need(t, err)
	same(t, "key", key, w.key)
	invitation, err := b.Invitation(b.ctx, theirs, w.invitation.ID)
	need(t, err)
	same(t, "invitation", invitation, w.invitation)
	same(t, "turn", b.turnState(t, w.session), core.TurnState{Pending: true, Node: "n1", Epoch: 1, LeaseUntil: kept(at(1 + lifetime))})
	rec, fresh := b.reserve(t, record(theirs, "again", 1, 100), 1)
	same(t, "idempotency key is free", fresh, false)
	same(t, "idempotency key", rec, record(theirs, "theirs", 1, 100))
}

// takesProject reports whether a method has a parameter that is, or has, a project's id.
func takesProject(method reflect.Type) bool {
	project := reflect.TypeFor[core.ProjectID]()
	for i := range method.NumIn() {
		p := method.In(i)
		if p == project {
			return true
		}
		if p.Kind() == reflect.Slice {
			p = p.Elem()
		}
		if p.Kind() == reflect.Struct && p != reflect.TypeFor[time.Time]() {
			if _, has := p.FieldByName("Project"); has {
				return true
			}
		}
	}
	return false
}
