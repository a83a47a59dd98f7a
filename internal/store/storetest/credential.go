package storetest

import (
	"testing"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

func keyID(c core.Credential) core.CredentialID { return c.ID }

// agentKey edits a credential into the key of an agent.
func agentKey(agent core.AgentID) func(*core.Credential) {
	return func(c *core.Credential) { c.Kind, c.Agent, c.Role = core.CredentialAgent, agent, "" }
}

var credentialPromises = map[string]func(*testing.T, *bundle){
	"AKeyComesBackAsItWentIn": func(t *testing.T, b *bundle) {
		project, name := b.project(t), "ci"
		agent := b.agent(t, project).ID
		want := b.key(t, project, agentKey(agent), func(c *core.Credential) {
			c.Name, c.Role, c.CreatedBy = &name, core.RoleViewer, "u"
			c.Hash = []byte{0, 1, 0xff, 0, 200}
			c.ExpiresAt, c.RevokedAt, c.LastUsedAt, c.EndsSessions = kept(at(100)), kept(at(101)), kept(at(102)), true
		})
		for _, want := range []core.Credential{want, b.key(t, project)} {
			state, err := b.KeyState(b.ctx, want.Prefix, "")
			need(t, err)
			same(t, "state", state.Credential, want)
			got, err := b.Credential(b.ctx, project, want.ID)
			need(t, err)
			same(t, "by id", got, want)
			got, err = b.CredentialByPrefix(b.ctx, want.Prefix)
			need(t, err)
			same(t, "by prefix", got, want)
		}
	},
	"ATakenPrefixIsConflict": func(t *testing.T, b *bundle) {
		first := b.key(t, b.project(t))
		second := core.Credential{ID: "second", Project: b.project(t), Prefix: first.Prefix, Hash: []byte("h")}
		refused(t, "CreateCredential", b.CreateCredential(b.ctx, second), core.Conflict, "prefix_taken")
	},
	"AnUnknownKeyIsNotFound": func(t *testing.T, b *bundle) {
		project := b.project(t)
		_, err := b.Credential(b.ctx, project, "none")
		refused(t, "Credential", err, core.NotFound, "credential_not_found")
		_, err = b.KeyState(b.ctx, "none", "")
		refused(t, "KeyState", err, core.NotFound, "credential_not_found")
		_, err = b.CredentialByPrefix(b.ctx, "none")
		refused(t, "CredentialByPrefix", err, core.NotFound, "credential_not_found")
		refused(t, "RevokeCredential", b.RevokeCredential(b.ctx, project, "none", at(1), false), core.NotFound, "credential_not_found")
	},
	"KeysAreListedByKindAndAgentNewestFirst": func(t *testing.T, b *bundle) {
		project := b.project(t)
		one, two := b.agent(t, project).ID, b.agent(t, project).ID
		access := []core.Credential{b.key(t, project), b.key(t, project)}
		keys := []core.Credential{b.key(t, project, agentKey(one)), b.key(t, project, agentKey(two)), b.key(t, project, agentKey(one))}
		for _, c := range []struct {
			name  string
			kind  core.CredentialKind
			agent core.AgentID
			want  []core.CredentialID
		}{
			{"access", core.CredentialAccess, "", []core.CredentialID{access[1].ID, access[0].ID}},
			{"all agents", core.CredentialAgent, "", []core.CredentialID{keys[2].ID, keys[1].ID, keys[0].ID}},
			{"one agent", core.CredentialAgent, one, []core.CredentialID{keys[2].ID, keys[0].ID}},
			{"none", core.CredentialSDK, "", []core.CredentialID{}},
			{"all kinds", "", "", []core.CredentialID{keys[2].ID, keys[1].ID, keys[0].ID, access[1].ID, access[0].ID}},
			{"all kinds of one agent", "", two, []core.CredentialID{keys[1].ID}},
		} {
			list, err := b.Credentials(b.ctx, project, c.kind, c.agent)
			need(t, err)
			same(t, c.name, ids(list, keyID), c.want)
		}
	},
	"AgentCredentialsAreTheUnrevokedKeysOfAll": func(t *testing.T, b *bundle) {
		project := b.project(t)
		agents := []core.AgentID{b.agent(t, project).ID, b.agent(t, project).ID, b.agent(t, project).ID}
		first, second := b.key(t, project, agentKey(agents[0])), b.key(t, project, agentKey(agents[0]))
		gone := b.key(t, project, agentKey(agents[0]))
		need(t, b.RevokeCredential(b.ctx, project, gone.ID, at(1), false))
		b.key(t, project, agentKey(agents[2]))
		got, err := b.AgentCredentials(b.ctx, project, agents[:2])
		need(t, err)
		same(t, "keys", got, map[core.AgentID][]core.Credential{agents[0]: {second, first}})
		got, err = b.AgentCredentials(b.ctx, project, nil)
		need(t, err)
		same(t, "of no agents", got, map[core.AgentID][]core.Credential{})
	},
	"AKeyIsRevokedOnce": func(t *testing.T, b *bundle) {
		c := b.key(t, b.project(t))
		need(t, b.RevokeCredential(b.ctx, c.Project, c.ID, at(7), true))
		refused(t, "again", b.RevokeCredential(b.ctx, c.Project, c.ID, at(8), false), core.NotFound, "credential_not_found")
		got, err := b.Credential(b.ctx, c.Project, c.ID)
		need(t, err)
		c.RevokedAt, c.EndsSessions = kept(at(7)), true
		same(t, "key", got, c)
	},
	"AnAgentsKeysAreRevokedTogether": func(t *testing.T, b *bundle) {
		project := b.project(t)
		agent, other := b.agent(t, project).ID, b.agent(t, project).ID
		first := b.key(t, project, agentKey(agent))
		second := b.key(t, project, agentKey(agent))
		spared := b.key(t, project, agentKey(other))
		need(t, b.RevokeCredential(b.ctx, project, first.ID, at(1), true))
		for _, want := range []int{1, 0} {
			n, err := b.RevokeAgentCredentials(b.ctx, project, agent, at(2))
			need(t, err)
			same(t, "count", n, want)
		}
		got, err := b.Credential(b.ctx, project, first.ID)
		need(t, err)
		first.RevokedAt, first.EndsSessions = kept(at(1)), true
		same(t, "revoked before", got, first)
		got, err = b.Credential(b.ctx, project, second.ID)
		need(t, err)
		second.RevokedAt = kept(at(2)) // replaced: its sessions go on
		same(t, "revoked together", got, second)
		got, err = b.Credential(b.ctx, project, spared.ID)
		need(t, err)
		same(t, "another agent's", got, spared)
	},
	"KeyStateTellsOnWhatAKeyDepends": func(t *testing.T, b *bundle) {
		project := b.project(t)
		agent, other := b.agent(t, project), b.agent(t, project)
		opener := b.key(t, project, agentKey(agent.ID))
		key := b.key(t, project, agentKey(agent.ID))
		sdk := b.key(t, project, func(c *core.Credential) { c.Kind, c.Role = core.CredentialSDK, "" })
		s := b.session(t, project, func(s *core.Session) { s.Agent, s.AgentKey = agent.ID, opener.ID })
		theirs := b.session(t, project, func(s *core.Session) { s.Agent = other.ID })
		foreign := b.session(t, b.project(t))
		state := func(what, prefix string, session core.SessionID, want core.KeyState) {
			t.Helper()
			got, err := b.KeyState(b.ctx, prefix, session)
			need(t, err)
			got.Credential = core.Credential{}
			same(t, what, got, want)
		}
		all := core.KeyState{ProjectActive: true, AgentActive: true, SessionAgent: agent.ID, SessionOpen: true}
		alone := core.KeyState{ProjectActive: true, AgentActive: true}
		state("key and session", key.Prefix, s.ID, all)
		state("key alone", key.Prefix, "", alone)
		state("another project's session", key.Prefix, foreign.ID, alone)
		state("another agent's session", key.Prefix, theirs.ID, core.KeyState{ProjectActive: true, AgentActive: true, SessionAgent: other.ID, SessionOpen: true})
		state("SDK key and session", sdk.Prefix, s.ID, all)
		state("SDK key alone", sdk.Prefix, "none", core.KeyState{ProjectActive: true})
		need(t, b.RevokeCredential(b.ctx, project, opener.ID, at(1), false))
		state("opened by a key that was replaced", key.Prefix, s.ID, all)
		other.Active = false
		need(t, b.SetAgentState(b.ctx, other))
		state("another agent is off", key.Prefix, theirs.ID, core.KeyState{ProjectActive: true, AgentActive: true, SessionAgent: other.ID, SessionOpen: true})
		state("the session's agent is off", sdk.Prefix, theirs.ID, core.KeyState{ProjectActive: true, SessionAgent: other.ID, SessionOpen: true})
		agent.ArchivedAt = at(2)
		need(t, b.SetAgentState(b.ctx, agent))
		state("the agent is archived", key.Prefix, "", core.KeyState{ProjectActive: true})
		need(t, b.UpdateProject(b.ctx, core.Project{ID: project}))
		s.ArchivedAt = at(3)
		need(t, b.UpdateSession(b.ctx, s))
		state("all is off", key.Prefix, s.ID, core.KeyState{SessionAgent: agent.ID})
	},
	"SessionStateTellsOnWhatATokenDepends": func(t *testing.T, b *bundle) {
		project := b.project(t)
		agent := b.agent(t, project)
		opener := b.key(t, project, agentKey(agent.ID))
		s := b.session(t, project, func(s *core.Session) { s.Agent, s.AgentKey = agent.ID, opener.ID })
		managed := b.session(t, project, func(s *core.Session) { s.Agent = agent.ID })
		want := core.SessionState{Agent: agent.ID, AgentKey: opener.ID, ProjectActive: true, AgentActive: true, Open: true}
		state := func(what string, session core.SessionID, want core.SessionState) {
			t.Helper()
			got, err := b.SessionState(b.ctx, project, session)
			need(t, err)
			same(t, what, got, want)
		}
		state("all is on", s.ID, want)
		_, err := b.SessionState(b.ctx, project, "none")
		refused(t, "unknown", err, core.NotFound, "session_not_found")
		need(t, b.RevokeCredential(b.ctx, project, opener.ID, at(1), true))
		want.Open = false
		state("its key was revoked for itself", s.ID, want)
		want.Open, want.AgentKey = true, ""
		state("opened without a key", managed.ID, want)
		managed.ArchivedAt = at(2)
		need(t, b.UpdateSession(b.ctx, managed))
		agent.Active = false
		need(t, b.SetAgentState(b.ctx, agent))
		need(t, b.UpdateProject(b.ctx, core.Project{ID: project}))
		state("all is off", managed.ID, core.SessionState{Agent: agent.ID})
	},
	"TouchKeepsTheLatestUse": func(t *testing.T, b *bundle) {
		project := b.project(t)
		one, two := b.key(t, project), b.key(t, project)
		need(t, b.TouchCredentials(b.ctx, nil))
		need(t, b.TouchCredentials(b.ctx, map[core.CredentialID]time.Time{one.ID: at(10), two.ID: at(20), "none": at(30)}))
		need(t, b.TouchCredentials(b.ctx, map[core.CredentialID]time.Time{one.ID: at(15), two.ID: at(15)}))
		for id, want := range map[core.CredentialID]time.Time{one.ID: at(15), two.ID: at(20)} {
			got, err := b.Credential(b.ctx, project, id)
			need(t, err)
			same(t, "LastUsedAt", got.LastUsedAt, kept(want))
		}
	},
}
