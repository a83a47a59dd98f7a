package webhook_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/webhook"
)

// rig makes the things that a session and a deployment need, by the observed store.
type rig struct {
	*house
	agent       core.Agent
	environment core.Environment
	session     core.Session
}

func (h *house) rig(t *testing.T) rig {
	t.Helper()
	ctx, p := t.Context(), h.by.Project
	r := rig{house: h}
	r.agent = core.Agent{Project: p, ID: core.NewID[core.AgentID](), Version: 1, AgentSpec: core.AgentSpec{Name: "a"}, Active: true, CreatedAt: noon, UpdatedAt: noon, VersionMadeAt: noon}
	need(t, h.store.CreateAgent(ctx, r.agent))
	r.environment = core.Environment{Project: p, ID: core.NewID[core.EnvironmentID](), Name: "e", Metadata: map[string]string{}, CreatedAt: noon, UpdatedAt: noon}
	need(t, h.store.CreateEnvironment(ctx, r.environment))
	r.session = core.Session{
		Project: p, ID: core.NewID[core.SessionID](), Origin: core.OriginManaged, Agent: r.agent.ID, AgentVersion: 1, Snapshot: &r.agent.AgentSpec,
		Environment: r.environment.ID, Metadata: map[string]string{}, Status: core.StatusIdle, CreatedAt: noon, UpdatedAt: noon,
	}
	need(t, h.store.CreateSession(ctx, r.session))
	return r
}

func (r rig) deployment(t *testing.T) core.Deployment {
	t.Helper()
	d := core.Deployment{
		Project: r.by.Project, ID: core.NewID[core.DeploymentID](), Name: "d", Agent: r.agent.ID, AgentVersion: 1, Environment: r.environment.ID,
		Events: []core.InitialEvent{}, Metadata: map[string]string{}, CreatedAt: noon, UpdatedAt: noon,
	}
	need(t, r.store.CreateDeployment(t.Context(), d))
	return d
}

// append appends one entry to the session's log.
func (r rig) append(t *testing.T, typ core.EventType, payload any) {
	t.Helper()
	_, err := r.store.Append(t.Context(), r.by.Project, r.session.ID, noon, core.NewDraft(core.PrimaryThread(r.session.ID), "", typ, payload))
	need(t, err)
}

// Every type that a webhook can ask for has a cause, and every change that has a type tells it once, with the
// object's id.
func TestEveryTypeHasItsCause(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	session := func(of func(t *testing.T, r rig)) func(*testing.T, rig) string {
		return func(t *testing.T, r rig) string {
			of(t, r)
			return "sesn_" + string(r.session.ID)
		}
	}
	for name, c := range map[string]struct {
		cause func(t *testing.T, r rig) (object string)
		want  []string
	}{
		"a message is accepted": {session(func(t *testing.T, r rig) { r.append(t, core.EventStatusRunning, nil) }), []string{"session.running", "session.status_run_started"}},
		"a turn ends": {session(func(t *testing.T, r rig) {
			r.append(t, core.EventStatusIdle, core.StopReason{Type: core.StopEndTurn})
		}), []string{"session.idled", "session.status_idled"}},
		"a turn waits": {session(func(t *testing.T, r rig) {
			r.append(t, core.EventStatusIdle, core.StopReason{Type: core.StopRequiresAction})
		}), []string{"session.idled", "session.requires_action", "session.status_idled"}},
		"a budget is used up": {session(func(t *testing.T, r rig) {
			r.append(t, core.EventStatusIdle, core.StopReason{Type: core.StopBudgetReached})
		}), []string{"session.budget_reached", "session.idled", "session.status_idled"}},
		"a call fails for now":     {session(func(t *testing.T, r rig) { r.append(t, core.EventStatusRescheduling, nil) }), []string{"session.status_rescheduled"}},
		"a session ends":           {session(func(t *testing.T, r rig) { r.append(t, core.EventStatusTerminated, nil) }), []string{"session.status_terminated"}},
		"a session is changed":     {session(func(t *testing.T, r rig) { r.append(t, core.EventSessionUpdated, nil) }), []string{"session.updated"}},
		"an evaluation ends":       {session(func(t *testing.T, r rig) { r.append(t, core.EventOutcomeEnd, nil) }), []string{"session.outcome_evaluation_ended"}},
		"nothing that is told":     {session(func(t *testing.T, r rig) { r.append(t, core.EventAgentMessage, nil) }), nil},
		"a thread begins":          {session(func(t *testing.T, r rig) { r.append(t, core.EventThreadCreated, core.ThreadEvent{Thread: "th"}) }), []string{"session.thread_created"}},
		"a thread is idle":         {session(func(t *testing.T, r rig) { r.append(t, core.EventThreadIdle, core.ThreadEvent{Thread: "th"}) }), []string{"session.thread_idled"}},
		"a thread ends":            {session(func(t *testing.T, r rig) { r.append(t, core.EventThreadTerminated, core.ThreadEvent{Thread: "th"}) }), []string{"session.thread_terminated"}},
		"a session is deleted":     {session(func(t *testing.T, r rig) { need(t, r.store.DeleteSession(ctx, r.by.Project, r.session.ID)) }), []string{"session.deleted"}},
		"a session's row is moved": {session(func(t *testing.T, r rig) { need(t, r.store.UpdateSession(ctx, r.session)) }), nil},
		"a session is archived, and its row is moved": {session(func(t *testing.T, r rig) {
			r.session.ArchivedAt = noon
			need(t, r.store.UpdateSession(ctx, r.session))
			need(t, r.store.UpdateSession(ctx, r.session))
		}), []string{"session.archived"}},
		"a session is made": {func(t *testing.T, r rig) string {
			r.session.ID = "00000000000000000000000000000001"
			need(t, r.store.CreateSession(ctx, r.session))
			return "sesn_00000000000000000000000000000001"
		}, []string{"session.created"}},

		"an agent is made": {func(t *testing.T, r rig) string {
			r.agent.ID = "00000000000000000000000000000001"
			need(t, r.store.CreateAgent(ctx, r.agent))
			return "agent_00000000000000000000000000000001"
		}, []string{"agent.created"}},
		"an agent is changed and archived": {func(t *testing.T, r rig) string {
			r.agent.Version = 2
			need(t, r.store.UpdateAgent(ctx, r.agent))
			r.agent.ArchivedAt = noon
			need(t, r.store.SetAgentState(ctx, r.agent))
			return "agent_" + string(r.agent.ID)
		}, []string{"agent.archived", "agent.updated"}},
		"an agent is switched off": {func(t *testing.T, r rig) string {
			r.agent.Active = false
			need(t, r.store.SetAgentState(ctx, r.agent))
			return "agent_" + string(r.agent.ID)
		}, []string{"agent.updated"}},
		"an environment lives and dies": {func(t *testing.T, r rig) string {
			e := r.environment
			e.ID = core.NewID[core.EnvironmentID]()
			need(t, r.store.CreateEnvironment(ctx, e))
			need(t, r.store.UpdateEnvironment(ctx, e))
			e.ArchivedAt = noon
			need(t, r.store.UpdateEnvironment(ctx, e))
			need(t, r.store.DeleteEnvironment(ctx, r.by.Project, e.ID))
			return "env_" + string(e.ID)
		}, []string{"environment.archived", "environment.created", "environment.deleted", "environment.updated"}},
		"a memory store lives and dies": {func(t *testing.T, r rig) string {
			m := core.MemoryStore{Project: r.by.Project, ID: core.NewID[core.MemoryStoreID](), Name: "m"}
			need(t, r.store.CreateMemoryStore(ctx, m))
			need(t, r.store.UpdateMemoryStore(ctx, m))
			m.ArchivedAt = noon
			need(t, r.store.UpdateMemoryStore(ctx, m))
			need(t, r.store.DeleteMemoryStore(ctx, r.by.Project, m.ID))
			return "memstore_" + string(m.ID)
		}, []string{"memory_store.archived", "memory_store.created", "memory_store.deleted"}},
		"a vault lives and dies": {func(t *testing.T, r rig) string {
			v := core.Vault{Project: r.by.Project, ID: core.NewID[core.VaultID](), Name: "v"}
			need(t, r.store.CreateVault(ctx, v))
			need(t, r.store.UpdateVault(ctx, v))
			v.ArchivedAt = noon
			need(t, r.store.UpdateVault(ctx, v))
			need(t, r.store.DeleteVault(ctx, r.by.Project, v.ID))
			return "vlt_" + string(v.ID)
		}, []string{"vault.archived", "vault.created", "vault.deleted"}},
		"a deployment lives": {func(t *testing.T, r rig) string {
			d := r.deployment(t)
			for i, change := range []func(){
				func() { d.Name = "new" },
				func() { d.Pause = core.PausedManually },
				func() { d.Pause = "" },
				func() { d.ArchivedAt = noon },
			} {
				change()
				d.UpdatedAt = noon.Add(time.Duration(i+1) * time.Second)
				need(t, r.store.UpdateDeployment(ctx, d))
			}
			d.LastRunAt = noon // a fire is no update
			need(t, r.store.UpdateDeployment(ctx, d))
			return "depl_" + string(d.ID)
		}, []string{"deployment.archived", "deployment.created", "deployment.paused", "deployment.unpaused", "deployment.updated"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := build(t)
			r := h.rig(t)
			w, _ := h.hook(t, "https://example.org")
			object := c.cause(t, r)
			same(t, "types", h.types(t, w), c.want)
			for _, d := range h.log(t, w) {
				var got struct{ Data map[string]string }
				need(t, json.Unmarshal(d.Payload, &got))
				if got.Data["id"] != object || got.Data["type"] != d.Type {
					t.Errorf("%s is about %v, want %s", d.Type, got.Data, object)
				}
				if thread := got.Data["session_thread_id"]; (thread == "sthr_th") != slices.Contains([]string{"session.thread_created", "session.thread_idled", "session.thread_terminated"}, d.Type) {
					t.Errorf("%s names the thread %q", d.Type, thread)
				}
			}
		})
	}
}

func TestCredentialsAreToldWithTheirVault(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	h := build(t)
	w, _ := h.hook(t, "https://example.org", "vault_credential.created", "vault_credential.archived", "vault_credential.deleted", "vault_credential.refresh_failed")
	p, vault := h.by.Project, core.NewID[core.VaultID]()
	need(t, h.store.CreateVault(ctx, core.Vault{Project: p, ID: vault, Name: "v"}))
	secret := func(target string) core.Secret {
		s := core.Secret{Project: p, Vault: vault, ID: core.NewID[core.SecretID](), Kind: core.SecretBearer, Target: target, SealKey: "k", Sealed: []byte("x"), CreatedAt: noon}
		need(t, h.store.CreateSecret(ctx, s))
		return s
	}
	one, two, three := secret("1"), secret("2"), secret("3")
	need(t, h.store.UpdateSecret(ctx, one))
	one.ArchivedAt = noon
	need(t, h.store.UpdateSecret(ctx, one))
	need(t, h.store.DeleteSecret(ctx, p, vault, two.ID))
	need(t, h.RefreshFailed(ctx, p, vault, three.ID))
	if n, err := h.store.ArchiveSecrets(ctx, p, vault, noon); n != 1 || err != nil {
		t.Fatalf("%d archived, %v", n, err)
	}
	need(t, h.store.DeleteVault(ctx, p, vault))
	var got []string
	for _, d := range h.log(t, w) {
		var m struct{ Data map[string]string }
		need(t, json.Unmarshal(d.Payload, &m))
		same(t, "vault", m.Data["vault_id"], "vlt_"+string(vault))
		for name, s := range map[string]core.Secret{"one": one, "two": two, "three": three} {
			if m.Data["id"] == "vcrd_"+string(s.ID) {
				got = append(got, name+" "+d.Type)
			}
		}
	}
	slices.Sort(got)
	same(t, "told", got, []string{
		"one vault_credential.archived", "one vault_credential.created", "one vault_credential.deleted",
		"three vault_credential.archived", "three vault_credential.created", "three vault_credential.deleted", "three vault_credential.refresh_failed",
		"two vault_credential.created", "two vault_credential.deleted",
	})
}

func TestRunsAndArchivedDeploymentsAreTold(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	h := build(t)
	r := h.rig(t)
	one, two := r.deployment(t), r.deployment(t)
	two.ArchivedAt = noon
	need(t, h.store.UpdateDeployment(ctx, two))
	w, _ := h.hook(t, "https://example.org")
	for _, failed := range []*core.RunError{nil, {Type: core.RunUnknown, Message: "m"}} {
		run := core.DeploymentRun{Project: h.by.Project, ID: core.NewID[core.DeploymentRunID](), Deployment: one.ID, Agent: r.agent.ID, AgentVersion: 1, Trigger: core.TriggerManual, Error: failed, CreatedAt: noon}
		need(t, h.store.CreateDeploymentRun(ctx, run))
	}
	if n, err := h.store.ArchiveDeployments(ctx, h.by.Project, r.agent.ID, noon); n != 1 || err != nil {
		t.Fatalf("%d archived, %v", n, err)
	}
	same(t, "types", h.types(t, w), []string{
		"deployment.archived", "deployment_run.failed", "deployment_run.started", "deployment_run.started", "deployment_run.succeeded",
	})
}

func TestAWebhookIsToldOnlyWhatItAskedForInItsProject(t *testing.T) {
	t.Parallel()
	h := build(t)
	all, _ := h.hook(t, "https://example.org")
	some, _ := h.hook(t, "https://example.org", "memory_store.deleted")
	theirs, _, err := h.Create(t.Context(), h.foreign, webhook.NewWebhook{URL: "https://example.org", Events: []string{"*"}})
	need(t, err)
	off, _, err := h.Create(t.Context(), h.by, webhook.NewWebhook{URL: "https://example.org", Events: []string{"*"}, Off: true})
	need(t, err)
	id := h.event(t)
	need(t, h.store.DeleteMemoryStore(t.Context(), h.by.Project, id))
	same(t, "all", h.types(t, all), []string{"memory_store.created", "memory_store.deleted"})
	same(t, "some", h.types(t, some), []string{"memory_store.deleted"})
	same(t, "one that is off", h.types(t, off), nil)
	list, err := h.Deliveries(t.Context(), h.foreign, theirs.ID, core.DeliveryPage{Limit: 10})
	need(t, err)
	same(t, "theirs", list, []core.Delivery{})
	if a, b := h.log(t, all)[1], h.log(t, some)[0]; a.Event != b.Event || string(a.Payload) != string(b.Payload) {
		t.Error("one event has two ids")
	}
}

// The change and its delivery are one transaction: both come to be, or neither.
func TestCauseAndDeliveryCommitTogether(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	h := build(t)
	w, _ := h.hook(t, receive(t).URL)
	undo := errors.New("undo")
	m := core.MemoryStore{Project: h.by.Project, ID: core.NewID[core.MemoryStoreID](), Name: "m"}
	err := h.store.Tx(ctx, func(tx core.Store) error {
		if err := tx.CreateMemoryStore(ctx, m); err != nil {
			return err
		}
		list, err := tx.Deliveries(ctx, h.by.Project, w.ID, core.DeliveryPage{Limit: 10})
		if err != nil || len(list) != 1 {
			t.Errorf("inside: %v, %v", list, err)
		}
		return undo
	})
	if !errors.Is(err, undo) {
		t.Fatal(err)
	}
	same(t, "undone", h.types(t, w), nil)
	h.sweep(t, 0)
	need(t, h.store.Tx(ctx, func(tx core.Store) error {
		return tx.Tx(ctx, func(inner core.Store) error { return inner.CreateMemoryStore(ctx, m) })
	}))
	same(t, "committed", h.types(t, w), []string{"memory_store.created"})
	refused(t, "again", h.store.CreateMemoryStore(ctx, m), core.Conflict, "memory_store_already_exists")
	same(t, "no change, no event", h.types(t, w), []string{"memory_store.created"})
	err = h.store.UpdateEnvironment(ctx, core.Environment{Project: h.by.Project, ID: "none"})
	refused(t, "of nothing", err, core.NotFound, "environment_not_found")
	h.sweep(t, 1)
}

// A commit wakes the sender: nobody waits for its tick.
func TestASenderIsWokenByTheCommit(t *testing.T) {
	t.Parallel()
	h := build(t)
	told := make(chan string, 10)
	s := h.nodeBy(t, pass(told))
	h.store = s.Observe(h.db)
	_, _, err := s.Create(t.Context(), h.by, webhook.NewWebhook{URL: "https://example.org", Events: []string{"*"}})
	need(t, err)
	run(t, s)
	for range 5 {
		h.event(t)
		await(t, told, "the message")
	}
}

// Who has no webhooks pays nothing: not one statement more.
func TestAProjectWithoutWebhooksPaysNothing(t *testing.T) {
	t.Parallel()
	h := build(t)
	r := h.rig(t)
	if _, _, err := h.Create(t.Context(), h.foreign, webhook.NewWebhook{URL: "https://example.org", Events: []string{"*"}}); err != nil {
		t.Fatal(err)
	}
	turn := func(s core.Store) int64 {
		before := h.db.Stats().Statements
		need(t, s.Tx(t.Context(), func(tx core.Store) error {
			ctx := context.WithoutCancel(t.Context())
			if _, err := tx.Append(ctx, h.by.Project, r.session.ID, noon, core.NewDraft("t", "", core.EventStatusRunning, nil)); err != nil {
				return err
			}
			sess := r.session
			sess.ArchivedAt = noon
			return tx.UpdateSession(ctx, sess)
		}))
		return h.db.Stats().Statements - before
	}
	if plain, observed := turn(h.db), turn(h.store); plain != observed || plain == 0 {
		t.Errorf("%d statements become %d", plain, observed)
	}
}

// What another node made is heard of by the next load, and a node that has not loaded yet takes everybody for a
// listener.
func TestNodesHearOfEachOthersWebhooks(t *testing.T) {
	t.Parallel()
	h := build(t)
	other := h.node(t)
	w, _ := h.hook(t, "https://example.org")
	tell := func(s core.Store) {
		t.Helper()
		need(t, s.CreateMemoryStore(t.Context(), core.MemoryStore{Project: h.by.Project, ID: core.NewID[core.MemoryStoreID](), Name: "m"}))
	}
	tell(other.Observe(h.db))
	same(t, "before it loads", len(h.types(t, w)), 0)
	need(t, other.Load(t.Context()))
	tell(other.Observe(h.db))
	same(t, "behind it", len(h.types(t, w)), 1)
	fresh, err := webhook.New(h.db, installation, nil, webhook.Options{Log: silent()})
	need(t, err)
	tell(fresh.Observe(h.db))
	same(t, "a node that has not loaded", len(h.types(t, w)), 2)
}
