// Package storetest holds the promises of core.Store as tests that run on every engine. Each runs on a
// fresh store.
package storetest

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/core"
)

// Run proves all promises. Open returns an empty store and closes it when its test has ended.
func Run(t *testing.T, open func(t *testing.T) core.Store) {
	for _, area := range []struct {
		name     string
		promises map[string]func(*testing.T, *bundle)
	}{
		{"Project", projectPromises},
		{"User", userPromises},
		{"Invitation", invitationPromises},
		{"Credential", credentialPromises},
		{"Agent", agentPromises},
		{"AgentList", agentListPromises},
		{"Environment", environmentPromises},
		{"MemoryStore", memoryStorePromises},
		{"Memory", memoryPromises},
		{"Vault", vaultPromises},
		{"Secret", secretPromises},
		{"Blob", blobPromises},
		{"File", filePromises},
		{"Skill", skillPromises},
		{"Work", workPromises},
		{"Deployment", deploymentPromises},
		{"DeploymentRun", deploymentRunPromises},
		{"Webhook", webhookPromises},
		{"Delivery", deliveryPromises},
		{"Session", sessionPromises},
		{"Snapshot", snapshotPromises},
		{"SessionList", sessionListPromises},
		{"Thread", threadPromises},
		{"Log", logPromises},
		{"Queue", queuePromises},
		{"Turn", turnPromises},
		{"Lease", leasePromises},
		{"Idempotency", idempotencyPromises},
		{"Tx", txPromises},
		{"Parallel", parallelPromises},
		{"Tenancy", tenancyPromises},
	} {
		t.Run(area.name, func(t *testing.T) {
			t.Parallel()
			for name, promise := range area.promises {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					promise(t, &bundle{Store: open(t), ctx: t.Context()})
				})
			}
		})
	}
}

// bundle is a fresh store and the means to fill it.
type bundle struct {
	core.Store
	ctx context.Context
	n   atomic.Int64 // things made so far
}

// epoch is the time at which the tests begin. Its nanoseconds check that times are cut to microseconds.
var epoch = time.Date(2026, 3, 4, 5, 6, 7, 123_456_789, time.FixedZone("", 3600))

// at is the time some seconds after epoch.
func at(seconds int) time.Time { return epoch.Add(time.Duration(seconds) * time.Second) }

// kept is t as a store gives it back.
func kept(t time.Time) time.Time { return t.Truncate(time.Microsecond).UTC() }

// later is the time of the next thing to be made: one second after the one before.
func (b *bundle) later() time.Time { return at(int(b.n.Add(1))) }

func (b *bundle) project(t *testing.T) core.ProjectID {
	t.Helper()
	now := b.later()
	p := core.Project{ID: core.NewID[core.ProjectID](), Name: "P", Active: true, CreatedAt: now, UpdatedAt: now}
	need(t, b.CreateProject(b.ctx, p))
	return p.ID
}

func (b *bundle) user(t *testing.T) core.UserID {
	t.Helper()
	now := b.later()
	u := core.User{ID: core.NewID[core.UserID](), CreatedAt: now, UpdatedAt: now}
	u.Email = string(u.ID) + "@example.org"
	need(t, b.CreateUser(b.ctx, u))
	return u.ID
}

func (b *bundle) agent(t *testing.T, project core.ProjectID, edit ...func(*core.Agent)) core.Agent {
	t.Helper()
	now := b.later()
	a := core.Agent{
		Project: project, ID: core.NewID[core.AgentID](), Version: 1,
		AgentSpec: core.AgentSpec{Name: "agent"}, Active: true, CreatedAt: now, UpdatedAt: now, VersionMadeAt: now,
	}
	for _, f := range edit {
		f(&a)
	}
	need(t, b.CreateAgent(b.ctx, a))
	a.CreatedAt, a.UpdatedAt, a.ArchivedAt, a.VersionMadeAt = keptOrZero(a.CreatedAt), keptOrZero(a.UpdatedAt), keptOrZero(a.ArchivedAt), keptOrZero(a.VersionMadeAt)
	return a
}

func keptOrZero(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return kept(t)
}

func (b *bundle) key(t *testing.T, project core.ProjectID, edit ...func(*core.Credential)) core.Credential {
	t.Helper()
	c := core.Credential{
		ID: core.NewID[core.CredentialID](), Project: project, Kind: core.CredentialAccess, Role: core.RoleAdmin,
		Prefix: fmt.Sprintf("prefix%05d", b.n.Add(1)), Hash: []byte("hash"), CreatedAt: kept(b.later()),
	}
	for _, f := range edit {
		f(&c)
	}
	need(t, b.CreateCredential(b.ctx, c))
	return c
}

func (b *bundle) environment(t *testing.T, project core.ProjectID, edit ...func(*core.Environment)) core.Environment {
	t.Helper()
	now := kept(b.later())
	e := core.Environment{
		Project: project, ID: core.NewID[core.EnvironmentID](), Name: "env", Metadata: map[string]string{},
		CreatedAt: now, UpdatedAt: now,
	}
	for _, f := range edit {
		f(&e)
	}
	need(t, b.CreateEnvironment(b.ctx, e))
	return e
}

// session makes an idle managed session of a new agent.
func (b *bundle) session(t *testing.T, project core.ProjectID, edit ...func(*core.Session)) core.Session {
	t.Helper()
	now := kept(b.later())
	s := core.Session{
		Project: project, ID: core.NewID[core.SessionID](), Origin: core.OriginManaged, AgentVersion: 1,
		Snapshot: &core.AgentSpec{Name: "agent"}, Metadata: map[string]string{}, Status: core.StatusIdle,
		CreatedAt: now, UpdatedAt: now,
	}
	for _, f := range edit {
		f(&s)
	}
	if s.Agent == "" {
		s.Agent = b.agent(t, project).ID
	}
	need(t, b.CreateSession(b.ctx, s))
	return s
}

// log appends n messages to a session.
func (b *bundle) log(t *testing.T, s core.Session, n int) []core.Event {
	t.Helper()
	events, err := b.Append(b.ctx, s.Project, s.ID, b.later(), drafts(s, n)...)
	need(t, err)
	return events
}

// drafts makes n messages for a session's primary thread.
func drafts(s core.Session, n int) []core.Draft {
	list := make([]core.Draft, n)
	for i := range list {
		list[i] = draft(s, core.EventAgentMessage, false)
	}
	return list
}

func draft(s core.Session, eventType core.EventType, queued bool) core.Draft {
	d := core.NewDraft(core.PrimaryThread(s.ID), "", eventType, core.Message{Content: core.Text("hello")})
	d.Queued = queued
	return d
}

// need ends the test if a step that it stands on failed. Not for use inside Tx.
func need(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("unexpected error: %v", err)
	}
}

// same checks a value against what was expected.
func same[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// refused checks an error's kind and, unless it is empty, its code.
func refused(t *testing.T, what string, err error, kind core.Kind, code string) {
	t.Helper()
	switch {
	case err == nil:
		t.Errorf("%s: no error, want %s", what, kind)
	case core.KindOf(err) != kind:
		t.Errorf("%s: %v: want kind %s", what, err, kind)
	case code != "" && core.CodeOf(err) != code:
		t.Errorf("%s: code %q, want %q", what, core.CodeOf(err), code)
	}
}

// ids returns one field of each, for comparing lists.
func ids[T any, K ~string](list []T, id func(T) K) []K {
	out := make([]K, len(list))
	for i, v := range list {
		out[i] = id(v)
	}
	return out
}
