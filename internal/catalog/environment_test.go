package catalog_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/core"
)

func TestEnvironmentLives(t *testing.T) {
	t.Parallel()
	f := setup(t)
	given := core.Environment{
		Name: "build box", Description: "for builds",
		Config: core.EnvironmentConfig{
			Networking: core.Networking{Limited: true, AllowedHosts: []string{"example.com", "*.example.org"}},
			Packages:   map[string][]string{"apt": {"git"}, "pip": {"requests==2.0"}}, SetupScript: "true\n",
		},
	}
	made, err := f.CreateEnvironment(t.Context(), f.admin, given)
	if err != nil {
		t.Fatal(err)
	}
	if made.ID == "" || made.Project != f.admin.Project || made.CreatedAt.IsZero() || !made.ArchivedAt.IsZero() || made.Metadata == nil {
		t.Errorf("environment = %+v", made)
	}
	got, err := f.Environment(t.Context(), f.viewer, made.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(made, got); diff != "" {
		t.Errorf("read back (-made +got):\n%s", diff)
	}
	changed, err := f.UpdateEnvironment(t.Context(), f.admin, made.ID, func(e *core.Environment) error {
		e.Name, e.Project, e.ID = "renamed", f.other.Project, "x"
		e.Config.Packages["npm"] = []string{"vite"}
		return nil
	})
	if err != nil || changed.Name != "renamed" || changed.ID != made.ID || changed.Project != made.Project || !changed.UpdatedAt.After(made.UpdatedAt) {
		t.Errorf("changed = %+v, %v", changed, err)
	}
	same, err := f.UpdateEnvironment(t.Context(), f.admin, made.ID, func(*core.Environment) error { return nil })
	if err != nil || !same.UpdatedAt.Equal(changed.UpdatedAt) {
		t.Errorf("a change without effect moved the time to %v, %v", same.UpdatedAt, err)
	}
	archived, err := f.ArchiveEnvironment(t.Context(), f.admin, made.ID)
	if err != nil || archived.ArchivedAt.IsZero() {
		t.Fatalf("archived = %+v, %v", archived, err)
	}
	if again, err := f.ArchiveEnvironment(t.Context(), f.admin, made.ID); err != nil || !again.ArchivedAt.Equal(archived.ArchivedAt) {
		t.Errorf("archived again at %v, %v", again.ArchivedAt, err)
	}
	_, err = f.UpdateEnvironment(t.Context(), f.admin, made.ID, func(*core.Environment) error { return nil })
	wantError(t, err, core.Invalid, "environment_archived", "")
	for _, c := range []struct {
		all  bool
		want int
	}{{false, 0}, {true, 1}} {
		list, err := f.Environments(t.Context(), f.viewer, core.EnvironmentPage{Limit: 10, IncludeArchived: c.all})
		if err != nil || len(list) != c.want {
			t.Errorf("include archived %v: %d listed, %v", c.all, len(list), err)
		}
	}
	if err := f.DeleteEnvironment(t.Context(), f.admin, made.ID); err != nil {
		t.Fatal(err)
	}
	_, err = f.Environment(t.Context(), f.viewer, made.ID)
	wantError(t, err, core.NotFound, "environment_not_found", "")
}

func TestEnvironmentInUseIsKept(t *testing.T) {
	t.Parallel()
	f := setup(t)
	env, err := f.CreateEnvironment(t.Context(), f.admin, core.Environment{Name: "e"})
	if err != nil {
		t.Fatal(err)
	}
	a := f.create(t, valid())
	sess := core.Session{
		Project: f.admin.Project, ID: core.NewID[core.SessionID](), Origin: core.OriginManaged, Agent: a.ID, AgentVersion: 1,
		Snapshot: &a.AgentSpec, Environment: env.ID, Metadata: map[string]string{}, Status: core.StatusIdle,
		CreatedAt: a.CreatedAt, UpdatedAt: a.CreatedAt,
	}
	if err := f.store.CreateSession(t.Context(), sess); err != nil {
		t.Fatal(err)
	}
	wantError(t, f.DeleteEnvironment(t.Context(), f.admin, env.ID), core.Conflict, "environment_in_use", "")
}

func TestEnvironmentsAreChecked(t *testing.T) {
	t.Parallel()
	f := setup(t)
	with := func(change func(*core.Environment)) core.Environment {
		e := core.Environment{Name: "e"}
		change(&e)
		return e
	}
	hosts := func(hosts ...string) core.Environment {
		return with(func(e *core.Environment) { e.Config.Networking = core.Networking{Limited: true, AllowedHosts: hosts} })
	}
	packages := func(manager string, names ...string) core.Environment {
		return with(func(e *core.Environment) { e.Config.Packages = map[string][]string{manager: names} })
	}
	selfHosted := func(change func(*core.EnvironmentConfig)) core.Environment {
		return with(func(e *core.Environment) { e.Config.SelfHosted = true; change(&e.Config) })
	}
	pairs := map[string]string{}
	for i := range 17 {
		pairs[fmt.Sprint(i)] = ""
	}
	for _, c := range []struct {
		name, field, code string
		e                 core.Environment
	}{
		{"no name", "name", "invalid_field", core.Environment{}},
		{"name of 257", "name", "limit_exceeded", core.Environment{Name: strings.Repeat("é", 257)}},
		{"description of 2049", "description", "limit_exceeded", with(func(e *core.Environment) { e.Description = strings.Repeat("x", 2049) })},
		{"metadata of 17", "metadata", "limit_exceeded", with(func(e *core.Environment) { e.Metadata = pairs })},
		{"id in capitals", "id", "invalid_field", with(func(e *core.Environment) { e.ID = "0198C1D2000070008000000000000001" })},
		{"host with a scheme", "config.networking.allowed_hosts[1]", "invalid_field", hosts("a.example", "https://b.example")},
		{"host with a port", "config.networking.allowed_hosts[0]", "invalid_field", hosts("a.example:443")},
		{"host with a path", "config.networking.allowed_hosts[0]", "invalid_field", hosts("a.example/x")},
		{"star alone", "config.networking.allowed_hosts[0]", "invalid_field", hosts("*")},
		{"star in the middle", "config.networking.allowed_hosts[0]", "invalid_field", hosts("a.*.example")},
		{"257 hosts", "config.networking.allowed_hosts", "limit_exceeded", hosts(strings.Split(strings.Repeat("a,", 256)+"a", ",")...)},
		{"unknown package manager", "config.packages.brew", "invalid_field", packages("brew", "git")},
		{"package that is an option", "config.packages.pip[1]", "invalid_field", packages("pip", "a", "--index-url=http://x")},
		{"blank package", "config.packages.apt[0]", "invalid_field", packages("apt", " ")},
		{"package on two lines", "config.packages.apt[0]", "invalid_field", packages("apt", "a\nb")},
		{"setup script over 64 KiB", "config.setup_script", "limit_exceeded", with(func(e *core.Environment) { e.Config.SetupScript = strings.Repeat("x", 64<<10+1) })},
		{"scope in the cloud", "scope", "invalid_field", with(func(e *core.Environment) { e.Config.Scope = "account" })},
		{"unknown scope", "scope", "invalid_field", selfHosted(func(c *core.EnvironmentConfig) { c.Scope = "planet" })},
		{"self-hosted with a network", "config.networking", "invalid_field", selfHosted(func(c *core.EnvironmentConfig) { c.Networking.Limited = true })},
		{"self-hosted with packages", "config.packages", "invalid_field", selfHosted(func(c *core.EnvironmentConfig) { c.Packages = map[string][]string{"apt": {"git"}} })},
		{"self-hosted with a script", "config.setup_script", "invalid_field", selfHosted(func(c *core.EnvironmentConfig) { c.SetupScript = "true" })},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := f.CreateEnvironment(t.Context(), f.admin, c.e)
			wantError(t, err, core.Invalid, c.code, c.field)
		})
	}
	if _, err := f.CreateEnvironment(t.Context(), f.admin, selfHosted(func(c *core.EnvironmentConfig) { c.Scope = "organization" })); err != nil {
		t.Error(err)
	}
}

func TestEnvironmentsOfOthersAreNotFound(t *testing.T) {
	t.Parallel()
	f := setup(t)
	env, err := f.CreateEnvironment(t.Context(), f.admin, core.Environment{Name: "e"})
	if err != nil {
		t.Fatal(err)
	}
	change := func(*core.Environment) error { return nil }
	calls := map[string]func(by core.Principal) error{
		"read": func(by core.Principal) error { _, err := f.Environment(t.Context(), by, env.ID); return err },
		"update": func(by core.Principal) error {
			_, err := f.UpdateEnvironment(t.Context(), by, env.ID, change)
			return err
		},
		"archive": func(by core.Principal) error { _, err := f.ArchiveEnvironment(t.Context(), by, env.ID); return err },
		"delete":  func(by core.Principal) error { return f.DeleteEnvironment(t.Context(), by, env.ID) },
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			wantError(t, call(f.other), core.NotFound, "environment_not_found", "")
			wantError(t, call(core.Principal{}), core.Forbidden, "forbidden", "")
			if name != "read" {
				wantError(t, call(f.member), core.Forbidden, "forbidden", "")
			}
		})
	}
	_, err = f.CreateEnvironment(t.Context(), f.member, core.Environment{Name: "e"})
	wantError(t, err, core.Forbidden, "forbidden", "")
	if list, err := f.Environments(t.Context(), f.other, core.EnvironmentPage{Limit: 10}); err != nil || len(list) != 0 {
		t.Errorf("another project lists %d environments, %v", len(list), err)
	}
}
