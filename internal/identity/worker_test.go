package identity

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/core"
)

// environment makes a self-hosted environment.
func (w world) environment(t *testing.T, by core.Principal, selfHosted bool) core.Environment {
	t.Helper()
	now := w.Service.clock()
	e := core.Environment{
		Project: by.Project, ID: core.NewID[core.EnvironmentID](), Name: "box", Config: core.EnvironmentConfig{SelfHosted: selfHosted},
		Metadata: map[string]string{}, CreatedAt: now, UpdatedAt: now,
	}
	if err := w.db.CreateEnvironment(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	return e
}

// work queues an item for a new session of an environment.
func (w world) work(t *testing.T, by core.Principal, e core.Environment) core.Work {
	t.Helper()
	agent, _, _ := w.agent(t, by)
	now := w.Service.clock()
	s := core.Session{
		Project: by.Project, ID: core.NewID[core.SessionID](), Origin: core.OriginManaged, Agent: agent.ID, AgentVersion: 1, Environment: e.ID,
		Metadata: map[string]string{}, Status: core.StatusIdle, CreatedAt: now, UpdatedAt: now,
	}
	item := core.Work{
		Project: by.Project, Environment: e.ID, ID: core.NewID[core.WorkID](), Session: s.ID, State: core.WorkQueued,
		Metadata: map[string]string{}, CreatedAt: now, AvailableAt: now,
	}
	if err := w.db.CreateSession(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if _, err := w.db.QueueWork(t.Context(), item); err != nil {
		t.Fatal(err)
	}
	return item
}

func code(err error) string {
	if err == nil {
		return ""
	}
	return core.CodeOf(err)
}

func TestAnEnvironmentKeyOpensItsEnvironmentAndNothingElse(t *testing.T) {
	t.Parallel()
	w := setup(t)
	admin := w.project(t, "a@example.org")
	e := w.environment(t, admin, true)
	plain, key, err := w.CreateEnvironmentKey(t.Context(), admin, e.ID, NewEnvironmentKey{Name: " laptop "})
	if err != nil || !strings.HasPrefix(plain, "sk-reeve-env_") || *key.Name != "laptop" || key.CreatedBy != admin.User {
		t.Fatalf("key = %q %+v, %v", plain, key, err)
	}
	by, err := w.Caller(t.Context(), plain)
	want := core.Principal{Kind: core.PrincipalEnvironment, Project: admin.Project, Credential: key.ID, Environment: e.ID}
	if d := cmp.Diff(want, by); d != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, d)
	}
	if by.Require(core.RoleViewer) == nil {
		t.Error("the key has a role")
	}
	own, other := core.Session{Project: admin.Project, Environment: e.ID, ID: "s"}, core.Session{Project: admin.Project, Environment: "x", ID: "s"}
	if err := by.RequireIn(own, core.RoleMember); err != nil {
		t.Error(err)
	}
	if err := by.RequireIn(other, core.RoleViewer); core.KindOf(err) != core.NotFound {
		t.Errorf("a session of another environment: %v", err)
	}
	for name, try := range map[string]func() error{
		"access token": func() error { _, err := w.Token(t.Context(), plain); return err },
		"agent key":    func() error { _, _, err := w.AgentKey(t.Context(), plain); return err },
		"SDK key":      func() error { _, _, err := w.SDKProject(t.Context(), plain); return err },
	} {
		if core.KindOf(try()) != core.Unauthenticated {
			t.Errorf("it works as %s", name)
		}
	}
}

func TestAnEnvironmentKeyEnds(t *testing.T) {
	t.Parallel()
	w := setup(t)
	admin := w.project(t, "a@example.org")
	e, other := w.environment(t, admin, true), w.environment(t, admin, true)
	mint := func(n NewEnvironmentKey) (string, core.Credential) {
		t.Helper()
		plain, c, err := w.CreateEnvironmentKey(t.Context(), admin, e.ID, n)
		if err != nil {
			t.Fatal(err)
		}
		return plain, c
	}
	short, _ := mint(NewEnvironmentKey{ExpiresAt: w.clock.now().Add(time.Minute)})
	long, key := mint(NewEnvironmentKey{})
	last, _ := mint(NewEnvironmentKey{})
	w.clock.move(time.Minute)
	if _, err := w.EnvironmentKey(t.Context(), short); code(err) != "invalid_environment_key" {
		t.Errorf("an expired key: %v", err)
	}
	if _, err := w.RevokeEnvironmentKey(t.Context(), admin, other.ID, key.ID); code(err) != "environment_key_not_found" {
		t.Errorf("revoke by another environment: %v", err)
	}
	revoked, err := w.RevokeEnvironmentKey(t.Context(), admin, e.ID, key.ID)
	if err != nil || revoked.RevokedAt.IsZero() {
		t.Fatalf("revoked = %+v, %v", revoked, err)
	}
	if _, err := w.EnvironmentKey(t.Context(), long); code(err) != "invalid_environment_key" {
		t.Errorf("a revoked key: %v", err)
	}
	if list, err := w.EnvironmentKeys(t.Context(), admin, e.ID); err != nil || len(list) != 3 || list[1].RevokedAt.IsZero() {
		t.Errorf("keys = %+v, %v", list, err)
	}
	if _, err := w.EnvironmentKey(t.Context(), last); err != nil {
		t.Error(err)
	}
	if err := w.db.DeleteEnvironment(t.Context(), admin.Project, e.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := w.EnvironmentKey(t.Context(), last); code(err) != "invalid_environment_key" {
		t.Errorf("a key of a deleted environment: %v", err)
	}
}

func TestWhoMayHaveEnvironmentKeys(t *testing.T) {
	t.Parallel()
	w := setup(t)
	admin, foreign := w.project(t, "a@example.org"), w.project(t, "b@example.org")
	e, cloud := w.environment(t, admin, true), w.environment(t, admin, false)
	member := admin
	member.Role = core.RoleMember
	mint := func(by core.Principal, e core.Environment, n NewEnvironmentKey) string {
		_, _, err := w.CreateEnvironmentKey(t.Context(), by, e.ID, n)
		return code(err)
	}
	for what, got := range map[string]string{
		"forbidden":                   mint(member, e, NewEnvironmentKey{}),
		"environment_not_found":       mint(foreign, e, NewEnvironmentKey{}),
		"environment_not_self_hosted": mint(admin, cloud, NewEnvironmentKey{}),
		"invalid_field":               mint(admin, e, NewEnvironmentKey{ExpiresAt: w.clock.now()}),
		"field_too_long":              mint(admin, e, NewEnvironmentKey{Name: strings.Repeat("n", 256)}),
	} {
		if got != what {
			t.Errorf("code = %q, want %q", got, what)
		}
	}
}

func TestAWorkTokenReachesItsSessionUntilTheItemIsStopped(t *testing.T) {
	t.Parallel()
	w := setup(t)
	admin := w.project(t, "a@example.org")
	e := w.environment(t, admin, true)
	item := w.work(t, admin, e)
	_, key, err := w.CreateEnvironmentKey(t.Context(), admin, e.ID, NewEnvironmentKey{})
	if err != nil {
		t.Fatal(err)
	}
	asker := core.Principal{Kind: core.PrincipalEnvironment, Project: admin.Project, Credential: key.ID, Environment: e.ID}
	token, err := w.NewWorkToken(asker, item)
	if err != nil {
		t.Fatal(err)
	}
	by, err := w.Caller(t.Context(), token)
	want := core.Principal{Kind: core.PrincipalWork, Project: admin.Project, Environment: e.ID, Work: item.ID, Session: item.Session}
	if d := cmp.Diff(want, by); d != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, d)
	}
	session := core.Session{Project: admin.Project, Environment: e.ID, ID: item.Session}
	if err := by.RequireIn(session, core.RoleMember); err != nil {
		t.Error(err)
	}
	if err := by.RequireIn(core.Session{Project: admin.Project, Environment: e.ID, ID: "x"}, core.RoleViewer); core.KindOf(err) != core.NotFound {
		t.Errorf("another session of the environment: %v", err)
	}
	if _, _, err := w.Session(t.Context(), strings.TrimPrefix(token, workLabel)); err == nil {
		t.Error("it works as an agent's session token")
	}
	stopped := item
	stopped.State = core.WorkStopped
	if err := w.db.UpdateWork(t.Context(), stopped); err != nil {
		t.Fatal(err)
	}
	if by, err = w.WorkToken(t.Context(), token); err != nil || by.Session != "" || by.Work != item.ID {
		t.Errorf("once the item is stopped: %+v, %v", by, err)
	}
	if err := by.RequireIn(session, core.RoleViewer); core.KindOf(err) != core.NotFound || by.RequireSkills() == nil {
		t.Errorf("the session is still reached: %v", err)
	}
	if _, err := w.RevokeEnvironmentKey(t.Context(), admin, e.ID, key.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := w.WorkToken(t.Context(), token); code(err) != "invalid_work_token" {
		t.Errorf("once its key is revoked: %v", err)
	}
	other, err := w.NewWorkToken(admin, item)
	if err != nil {
		t.Fatal(err)
	}
	w.clock.move(WorkTokenLifetime + time.Minute)
	if _, err := w.WorkToken(t.Context(), other); code(err) != "invalid_work_token" {
		t.Errorf("once its time is over: %v", err)
	}
}
