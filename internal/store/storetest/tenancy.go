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
	store       core.MemoryStore
	memory      core.Memory
	session     core.Session
	event       core.Event
	key         core.Credential
	invitation  core.Invitation
	member      core.UserID
	vault       core.Vault
	deployment  core.Deployment
	run         core.DeploymentRun
	secret      core.Secret
	stray       core.Stray
	file        core.File
	skill       core.Skill
	version     core.SkillVersion
	work        core.Work
	webhook     core.Webhook
	delivery    core.Delivery
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
	"CreateVault": {{"under their vault's id", own(func(b *bundle, s core.Store, w tenants) error { return s.CreateVault(b.ctx, w.asMine().vault) }), core.Internal}},
	"Vault": {{"theirs", func(b *bundle, s core.Store, w tenants) error {
		_, err := s.Vault(b.ctx, w.mine, w.vault.ID)
		return err
	}, core.NotFound}},
	"UpdateVault": {{"theirs", func(b *bundle, s core.Store, w tenants) error { return s.UpdateVault(b.ctx, w.asMine().vault) }, core.NotFound}},
	"DeleteVault": {{"theirs", func(b *bundle, s core.Store, w tenants) error { return s.DeleteVault(b.ctx, w.mine, w.vault.ID) }, core.NotFound}},
	"Vaults": {{"all", func(b *bundle, s core.Store, w tenants) error {
		list, err := s.Vaults(b.ctx, w.mine, core.VaultPage{Limit: 10, IncludeArchived: true})
		return nothing(len(list), err)
	}, core.Internal}},
	"CreateSecret": {{"in their vault", func(b *bundle, s core.Store, w tenants) error {
		n := b.newSecret(w.vault)
		n.Project = w.mine
		return s.CreateSecret(b.ctx, n)
	}, core.NotFound}},
	"Secret": {{"theirs", func(b *bundle, s core.Store, w tenants) error {
		_, err := s.Secret(b.ctx, w.mine, w.vault.ID, w.secret.ID)
		return err
	}, core.NotFound}},
	"UpdateSecret": {{"theirs", func(b *bundle, s core.Store, w tenants) error { return s.UpdateSecret(b.ctx, w.asMine().secret) }, core.NotFound}},
	"DeleteSecret": {{"theirs", func(b *bundle, s core.Store, w tenants) error {
		return s.DeleteSecret(b.ctx, w.mine, w.vault.ID, w.secret.ID)
	}, core.NotFound}},
	"Secrets": {{"of their vault", func(b *bundle, s core.Store, w tenants) error {
		list, err := s.Secrets(b.ctx, w.mine, w.vault.ID, core.VaultPage{Limit: 10, IncludeArchived: true})
		return nothing(len(list), err)
	}, core.Internal}},
	"CountSecrets": {{"of their vault", func(b *bundle, s core.Store, w tenants) error {
		return nothing(s.CountSecrets(b.ctx, w.mine, w.vault.ID))
	}, core.Internal}},
	"ArchiveSecrets": {{"of their vault", func(b *bundle, s core.Store, w tenants) error {
		return nothing(s.ArchiveSecrets(b.ctx, w.mine, w.vault.ID, at(1)))
	}, core.Internal}},
	"TargetSecrets": {{"of their vault", func(b *bundle, s core.Store, w tenants) error {
		list, err := s.TargetSecrets(b.ctx, w.mine, []core.VaultID{w.vault.ID}, w.secret.Target)
		return nothing(len(list), err)
	}, core.Internal}},
	"KindSecrets": {{"of their vault", func(b *bundle, s core.Store, w tenants) error {
		list, err := s.KindSecrets(b.ctx, w.mine, []core.VaultID{w.vault.ID}, w.secret.Kind)
		return nothing(len(list), err)
	}, core.Internal}},
	"LeaseRefresh": {{"of theirs", func(b *bundle, s core.Store, w tenants) error {
		taken, err := s.LeaseRefresh(b.ctx, w.mine, w.vault.ID, w.secret.ID, at(1), at(2))
		return nothing(map[bool]int{true: 1}[taken], err)
	}, core.Internal}},
	"EndRefresh": {{"of theirs", func(b *bundle, s core.Store, w tenants) error {
		return s.EndRefresh(b.ctx, w.mine, w.vault.ID, w.secret.ID, w.secret.RefreshUntil)
	}, core.Internal}},
	"CreateDeployment": {{"of their agent", func(b *bundle, s core.Store, w tenants) error {
		d := w.asMine().deployment
		d.ID = "d"
		return s.CreateDeployment(b.ctx, d)
	}, core.NotFound}},
	"Deployment": {{"theirs", func(b *bundle, s core.Store, w tenants) error {
		_, err := s.Deployment(b.ctx, w.mine, w.deployment.ID)
		return err
	}, core.NotFound}},
	"UpdateDeployment": {{"theirs", func(b *bundle, s core.Store, w tenants) error {
		return s.UpdateDeployment(b.ctx, w.asMine().deployment)
	}, core.NotFound}},
	"Deployments": {{"all", func(b *bundle, s core.Store, w tenants) error {
		list, err := s.Deployments(b.ctx, w.mine, core.DeploymentPage{Limit: 10, IncludeArchived: true})
		return nothing(len(list), err)
	}, core.Internal}},
	"CountScheduled": {{"all", func(b *bundle, s core.Store, w tenants) error { return nothing(s.CountScheduled(b.ctx, w.mine)) }, core.Internal}},
	"ArchiveDeployments": {{"of their agent", func(b *bundle, s core.Store, w tenants) error {
		return nothing(s.ArchiveDeployments(b.ctx, w.mine, w.agent.ID, at(1)))
	}, core.Internal}},
	"CreateDeploymentRun": {{"of their deployment", func(b *bundle, s core.Store, w tenants) error {
		r := w.asMine().run
		r.ID = "r"
		return s.CreateDeploymentRun(b.ctx, r)
	}, core.NotFound}},
	"DeploymentRun": {{"theirs", func(b *bundle, s core.Store, w tenants) error {
		_, err := s.DeploymentRun(b.ctx, w.mine, w.run.ID)
		return err
	}, core.NotFound}},
	"DeploymentRuns": {{"of their deployment", func(b *bundle, s core.Store, w tenants) error {
		list, err := s.DeploymentRuns(b.ctx, w.mine, core.DeploymentRunPage{Limit: 10, Deployment: w.deployment.ID})
		return nothing(len(list), err)
	}, core.Internal}},
	"CreateWebhook": {{"under their webhook's id", own(func(b *bundle, s core.Store, w tenants) error {
		return s.CreateWebhook(b.ctx, w.asMine().webhook)
	}), core.Internal}},
	"Webhook": {{"theirs", func(b *bundle, s core.Store, w tenants) error {
		_, err := s.Webhook(b.ctx, w.mine, w.webhook.ID)
		return err
	}, core.NotFound}},
	"UpdateWebhook": {{"theirs", func(b *bundle, s core.Store, w tenants) error {
		return s.UpdateWebhook(b.ctx, w.asMine().webhook)
	}, core.NotFound}},
	"DeleteWebhook": {{"theirs", func(b *bundle, s core.Store, w tenants) error {
		return s.DeleteWebhook(b.ctx, w.mine, w.webhook.ID)
	}, core.NotFound}},
	"Webhooks": {{"all", func(b *bundle, s core.Store, w tenants) error {
		list, err := s.Webhooks(b.ctx, w.mine)
		return nothing(len(list), err)
	}, core.Internal}},
	"AddDeliveries": {{"to their webhook", own(func(b *bundle, s core.Store, w tenants) error {
		d := w.asMine().delivery
		d.ID, d.DueAt = "d", kept(at(0))
		return s.AddDeliveries(b.ctx, d)
	}), core.Internal}},
	"Delivery": {{"theirs", func(b *bundle, s core.Store, w tenants) error {
		_, err := s.Delivery(b.ctx, w.mine, w.webhook.ID, w.delivery.ID)
		return err
	}, core.NotFound}},
	"Deliveries": {{"of theirs", func(b *bundle, s core.Store, w tenants) error {
		list, err := s.Deliveries(b.ctx, w.mine, w.webhook.ID, core.DeliveryPage{Limit: 10})
		return nothing(len(list), err)
	}, core.Internal}},
	"UpdateDelivery": {{"theirs", func(b *bundle, s core.Store, w tenants) error {
		return s.UpdateDelivery(b.ctx, w.asMine().delivery)
	}, core.NotFound}},
	"ClaimDeliveries": {{"of theirs", func(b *bundle, s core.Store, w tenants) error {
		list, err := s.ClaimDeliveries(b.ctx, w.mine, w.webhook.ID, at(1000), at(2000), 10)
		return nothing(len(list), err)
	}, core.Internal}},
	"CreateMemoryStore": {{"under their store's id", own(func(b *bundle, s core.Store, w tenants) error {
		return s.CreateMemoryStore(b.ctx, w.asMine().store)
	}), core.Internal}},
	"MemoryStore": {{"theirs", func(b *bundle, s core.Store, w tenants) error {
		_, err := s.MemoryStore(b.ctx, w.mine, w.store.ID)
		return err
	}, core.NotFound}},
	"UpdateMemoryStore": {{"theirs", func(b *bundle, s core.Store, w tenants) error {
		return s.UpdateMemoryStore(b.ctx, w.asMine().store)
	}, core.NotFound}},
	"DeleteMemoryStore": {{"theirs", func(b *bundle, s core.Store, w tenants) error {
		return s.DeleteMemoryStore(b.ctx, w.mine, w.store.ID)
	}, core.NotFound}},
	"MemoryStores": {{"all", func(b *bundle, s core.Store, w tenants) error {
		list, err := s.MemoryStores(b.ctx, w.mine, core.MemoryStorePage{Limit: 10, IncludeArchived: true})
		return nothing(len(list), err)
	}, core.Internal}},
	"Memory": {{"theirs", func(b *bundle, s core.Store, w tenants) error {
		_, err := s.Memory(b.ctx, w.mine, w.store.ID, w.memory.ID)
		return err
	}, core.NotFound}},
	"MemoryAt": {{"theirs", func(b *bundle, s core.Store, w tenants) error {
		_, err := s.MemoryAt(b.ctx, w.mine, w.store.ID, w.memory.Path)
		return err
	}, core.NotFound}},
	"MemoryBlocking": {{"theirs", func(b *bundle, s core.Store, w tenants) error {
		_, err := s.MemoryBlocking(b.ctx, w.mine, w.store.ID, w.memory.Path, "")
		return err
	}, core.NotFound}},
	"Memories": {{"theirs", func(b *bundle, s core.Store, w tenants) error {
		list, err := s.Memories(b.ctx, w.mine, w.store.ID, core.MemoryPage{Limit: 10, Contents: true})
		return nothing(len(list), err)
	}, core.Internal}},
	"WriteMemory": {
		{"a new one in their store", func(b *bundle, s core.Store, w tenants) error {
			m := w.asMine().memory
			m.ID, m.Path, m.Version = "m", "/new", "v"
			return s.WriteMemory(b.ctx, m, writer)
		}, core.NotFound},
		{"theirs", func(b *bundle, s core.Store, w tenants) error {
			return s.WriteMemory(b.ctx, b.next(w.asMine().memory, "/taken", "over"), writer)
		}, core.NotFound},
	},
	"DeleteMemory": {{"theirs", func(b *bundle, s core.Store, w tenants) error {
		return s.DeleteMemory(b.ctx, b.next(w.asMine().memory, "/a", ""), writer)
	}, core.NotFound}},
	"MemoryVersion": {{"theirs", func(b *bundle, s core.Store, w tenants) error {
		_, err := s.MemoryVersion(b.ctx, w.mine, w.store.ID, w.memory.Version)
		return err
	}, core.NotFound}},
	"MemoryVersions": {{"theirs", func(b *bundle, s core.Store, w tenants) error {
		list, err := s.MemoryVersions(b.ctx, w.mine, w.store.ID, core.MemoryVersionPage{Limit: 10})
		return nothing(len(list), err)
	}, core.Internal}},
	"RedactMemoryVersion": {{"theirs", func(b *bundle, s core.Store, w tenants) error {
		return s.RedactMemoryVersion(b.ctx, w.mine, w.store.ID, w.memory.Version, writer, at(1))
	}, core.NotFound}},
	"AddStray": {{"under their key", own(func(b *bundle, s core.Store, w tenants) error { return s.AddStray(b.ctx, w.asMine().stray) }), core.Internal}},
	"Stray": {{"theirs", func(b *bundle, s core.Store, w tenants) error {
		_, err := s.Stray(b.ctx, w.mine, w.stray.Key)
		return err
	}, core.NotFound}},
	"DropStray": {{"theirs", func(b *bundle, s core.Store, w tenants) error { return s.DropStray(b.ctx, w.mine, w.stray.Key) }, core.Internal}},
	"CreateFile": {{"of their stray", func(b *bundle, s core.Store, w tenants) error {
		f := w.asMine().file
		f.Key = w.stray.Key
		return s.CreateFile(b.ctx, f)
	}, core.NotFound}},
	"File": {{"theirs", func(b *bundle, s core.Store, w tenants) error {
		_, err := s.File(b.ctx, w.mine, w.file.ID)
		return err
	}, core.NotFound}},
	"Files": {{"all", func(b *bundle, s core.Store, w tenants) error {
		list, err := s.Files(b.ctx, w.mine, core.FilePage{Limit: 10})
		return nothing(len(list), err)
	}, core.Internal}},
	"FilesByID": {{"theirs", func(b *bundle, s core.Store, w tenants) error {
		list, err := s.FilesByID(b.ctx, w.mine, []core.FileID{w.file.ID})
		return nothing(len(list), err)
	}, core.Internal}},
	"CopyFile": {{"theirs", func(b *bundle, s core.Store, w tenants) error {
		f := w.asMine().file
		f.ID = "copy"
		return s.CopyFile(b.ctx, f, w.file.ID)
	}, core.NotFound}},
	"CountSessionFiles": {{"theirs", func(b *bundle, s core.Store, w tenants) error {
		n, err := s.CountSessionFiles(b.ctx, w.mine, w.file.Session)
		return nothing(n, err)
	}, core.Internal}},
	"DeleteSessionFiles": {{"theirs", func(b *bundle, s core.Store, w tenants) error {
		n, err := s.DeleteSessionFiles(b.ctx, w.mine, w.file.Session, at(1))
		return nothing(n, err)
	}, core.Internal}},
	"DeleteFile": {{"theirs", func(b *bundle, s core.Store, w tenants) error {
		return s.DeleteFile(b.ctx, w.mine, w.file.ID, at(1))
	}, core.NotFound}},
	"CreateSkill": {{"under their skill's id", own(func(b *bundle, s core.Store, w tenants) error { return s.CreateSkill(b.ctx, w.asMine().skill) }), core.Internal}},
	"Skill": {{"theirs", func(b *bundle, s core.Store, w tenants) error {
		_, err := s.Skill(b.ctx, w.mine, w.skill.ID)
		return err
	}, core.NotFound}},
	"UpdateSkill": {{"theirs", func(b *bundle, s core.Store, w tenants) error { return s.UpdateSkill(b.ctx, w.asMine().skill) }, core.NotFound}},
	"DeleteSkill": {{"theirs", func(b *bundle, s core.Store, w tenants) error {
		return s.DeleteSkill(b.ctx, w.mine, w.skill.ID, at(1))
	}, core.NotFound}},
	"Skills": {{"all", func(b *bundle, s core.Store, w tenants) error {
		list, err := s.Skills(b.ctx, w.mine, core.SkillPage{Limit: 10})
		return nothing(len(list), err)
	}, core.Internal}},
	"CreateSkillVersion": {{"of their skill", func(b *bundle, s core.Store, w tenants) error {
		v := w.asMine().version
		v.ID, v.Number, v.Key = "v", 99, w.stray.Key
		return s.CreateSkillVersion(b.ctx, v)
	}, core.NotFound}},
	"SkillVersion": {{"theirs", func(b *bundle, s core.Store, w tenants) error {
		_, err := s.SkillVersion(b.ctx, w.mine, w.skill.ID, w.version.Number)
		return err
	}, core.NotFound}},
	"SkillVersionByID": {{"theirs", func(b *bundle, s core.Store, w tenants) error {
		_, err := s.SkillVersionByID(b.ctx, w.mine, w.skill.ID, w.version.ID)
		return err
	}, core.NotFound}},
	"SkillVersions": {{"theirs", func(b *bundle, s core.Store, w tenants) error {
		list, err := s.SkillVersions(b.ctx, w.mine, w.skill.ID, core.SkillVersionPage{Limit: 10})
		return nothing(len(list), err)
	}, core.Internal}},
	"DeleteSkillVersion": {{"theirs", func(b *bundle, s core.Store, w tenants) error {
		return s.DeleteSkillVersion(b.ctx, w.mine, w.skill.ID, w.version.Number, at(1))
	}, core.NotFound}},
	"EnvironmentCredentials": {{"of their environment", func(b *bundle, s core.Store, w tenants) error {
		list, err := s.EnvironmentCredentials(b.ctx, w.mine, w.environment.ID)
		return nothing(len(list), err)
	}, core.Internal}},
	"QueueWork": {
		{"in their environment", func(b *bundle, s core.Store, w tenants) error {
			n := b.newWork(core.Session{Project: w.mine, Environment: w.environment.ID, ID: w.session.ID})
			news, err := s.QueueWork(b.ctx, n)
			return nothing(map[bool]int{true: 1}[news], err)
		}, core.Internal},
	},
	"Work": {{"theirs", func(b *bundle, s core.Store, w tenants) error {
		_, err := s.Work(b.ctx, w.mine, w.environment.ID, w.work.ID)
		return err
	}, core.NotFound}},
	"WorkByID": {{"theirs", func(b *bundle, s core.Store, w tenants) error {
		_, err := s.WorkByID(b.ctx, w.mine, w.work.ID)
		return err
	}, core.NotFound}},
	"LiveWork": {{"theirs", func(b *bundle, s core.Store, w tenants) error {
		_, err := s.LiveWork(b.ctx, w.mine, w.session.ID)
		return err
	}, core.NotFound}},
	"UpdateWork": {{"theirs", func(b *bundle, s core.Store, w tenants) error {
		n := w.work
		n.Project, n.State = w.mine, core.WorkStopped
		return s.UpdateWork(b.ctx, n)
	}, core.NotFound}},
	"Works": {{"theirs", func(b *bundle, s core.Store, w tenants) error {
		list, err := s.Works(b.ctx, w.mine, w.environment.ID, core.WorkPage{Limit: 10})
		return nothing(len(list), err)
	}, core.Internal}},
	"WorkWaits": {{"theirs", func(b *bundle, s core.Store, w tenants) error {
		waits, err := s.WorkWaits(b.ctx, w.mine, w.environment.ID, at(1000), at(1000))
		return nothing(map[bool]int{true: 1}[waits], err)
	}, core.Internal}},
	"OfferWork": {{"theirs", func(b *bundle, s core.Store, w tenants) error {
		_, err := s.OfferWork(b.ctx, w.mine, w.environment.ID, at(1000), at(1000))
		return err
	}, core.NotFound}},
	"CountWork": {{"theirs", func(b *bundle, s core.Store, w tenants) error {
		c, err := s.CountWork(b.ctx, w.mine, w.environment.ID, at(0))
		return nothing(c.Depth+c.Pending+c.Workers, err)
	}, core.Internal}},
	"SawWorker": {{"in their environment", func(b *bundle, s core.Store, w tenants) error {
		return s.SawWorker(b.ctx, w.mine, w.environment.ID, "worker", at(1))
	}, core.NotFound}},
	"Session": {{"theirs", func(b *bundle, s core.Store, w tenants) error {
		_, err := s.Session(b.ctx, w.mine, w.session.ID)
		return err
	}, core.NotFound}},
	"UpdateSession":   {{"theirs", func(b *bundle, s core.Store, w tenants) error { return s.UpdateSession(b.ctx, w.asMine().session) }, core.NotFound}},
	"SetSessionState": {{"theirs", func(b *bundle, s core.Store, w tenants) error { return s.SetSessionState(b.ctx, w.asMine().session) }, core.NotFound}},
	"UpdateSnapshot": {{"theirs", func(b *bundle, s core.Store, w tenants) error {
		return s.UpdateSnapshot(b.ctx, w.mine, w.session.ID, core.AgentSpec{Name: "mine"})
	}, core.NotFound}},
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
	"Threads": {{"theirs", func(b *bundle, s core.Store, w tenants) error {
		list, err := s.Threads(b.ctx, w.mine, w.session.ID, core.ThreadPage{Limit: 10})
		return nothing(len(list), err)
	}, core.Internal}},
	"CreateThread": {{"in theirs", func(b *bundle, s core.Store, w tenants) error {
		return s.CreateThread(b.ctx, core.Thread{Project: w.mine, Session: w.session.ID, ID: "t"})
	}, core.NotFound}},
	"SetThreadState": {{"theirs", func(b *bundle, s core.Store, w tenants) error {
		return s.SetThreadState(b.ctx, core.Thread{Project: w.mine, Session: w.session.ID, ID: core.PrimaryThread(w.session.ID)})
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
	w.store.Project, w.memory.Project, w.store.Name = w.mine, w.mine, "taken over"
	w.invitation.RevokedAt = at(1)
	w.vault.Project, w.secret.Project = w.mine, w.mine
	w.deployment.Project, w.run.Project, w.deployment.Name = w.mine, w.mine, "taken over"
	w.stray.Project, w.file.Project, w.skill.Project, w.version.Project = w.mine, w.mine, w.mine, w.mine
	w.skill.Mark = 99
	w.webhook.Project, w.delivery.Project, w.webhook.URL, w.delivery.State = w.mine, w.mine, "taken over", core.DeliveryFailed
	w.vault.Name, w.secret.Sealed = "taken over", []byte("taken over")
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
	w.work = b.newWork(w.session)
	b.queue(t, w.work, true)
	w.invitation = b.invitation(t, theirs)
	w.store = b.memoryStore(t, theirs)
	w.memory = b.memory(t, w.store, "/a/b", "theirs")
	w.vault = b.vault(t, theirs)
	w.secret = b.secret(t, w.vault)
	leased, err := b.LeaseRefresh(b.ctx, theirs, w.vault.ID, w.secret.ID, at(1), at(2000))
	need(t, err)
	same(t, "refresh is leased", leased, true)
	w.secret.RefreshUntil = kept(at(2000))
	w.deployment = b.deployment(t, theirs, due(1), func(d *core.Deployment) { d.Agent = w.agent.ID })
	w.run = b.deploymentRun(t, w.deployment)
	w.stray = b.stray(t, theirs)
	w.file = b.file(t, theirs, func(f *core.File) { f.Session = "theirs" })
	w.skill = b.skill(t, theirs)
	w.version = b.skillVersion(t, w.skill)
	w.webhook = b.webhook(t, theirs)
	w.delivery = b.delivery(t, w.webhook)
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
	store, err := b.MemoryStore(b.ctx, theirs, w.store.ID)
	need(t, err)
	w.store.Entries, w.store.Bytes, w.store.Changes = 1, w.memory.Bytes, 1
	same(t, "memory store", store, w.store)
	memory, err := b.Memory(b.ctx, theirs, w.store.ID, w.memory.ID)
	need(t, err)
	same(t, "memory", memory, w.memory)
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
	vault, err := b.Vault(b.ctx, theirs, w.vault.ID)
	need(t, err)
	same(t, "vault", vault, w.vault)
	secret, err := b.Secret(b.ctx, theirs, w.vault.ID, w.secret.ID)
	need(t, err)
	same(t, "secret", secret, w.secret)
	deployment, err := b.Deployment(b.ctx, theirs, w.deployment.ID)
	need(t, err)
	same(t, "deployment", deployment, w.deployment)
	run, err := b.DeploymentRun(b.ctx, theirs, w.run.ID)
	need(t, err)
	same(t, "run", run, w.run)
	stray, err := b.Stray(b.ctx, theirs, w.stray.Key)
	need(t, err)
	same(t, "stray", stray, w.stray)
	file, err := b.File(b.ctx, theirs, w.file.ID)
	need(t, err)
	same(t, "file", file, w.file)
	skill, err := b.Skill(b.ctx, theirs, w.skill.ID)
	need(t, err)
	same(t, "skill", skill, w.skill)
	version, err := b.SkillVersion(b.ctx, theirs, w.skill.ID, w.version.Number)
	need(t, err)
	same(t, "skill version", version, w.version)
	work, err := b.Work(b.ctx, theirs, w.environment.ID, w.work.ID)
	need(t, err)
	same(t, "work", work, w.work)
	webhook, err := b.Webhook(b.ctx, theirs, w.webhook.ID)
	need(t, err)
	same(t, "webhook", webhook, w.webhook)
	delivery, err := b.Delivery(b.ctx, theirs, w.webhook.ID, w.delivery.ID)
	need(t, err)
	same(t, "delivery", delivery, w.delivery)
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
