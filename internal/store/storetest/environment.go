package storetest

import (
	"testing"

	"github.com/reeve-ai/reeve/internal/core"
)

func environmentName(e core.Environment) string { return e.Name }

var environmentPromises = map[string]func(*testing.T, *bundle){
	"AnEnvironmentComesBackAsItWentIn": func(t *testing.T, b *bundle) {
		p := b.project(t)
		for _, want := range []core.Environment{
			b.environment(t, p),
			b.environment(t, p, func(e *core.Environment) {
				e.Description, e.Metadata, e.ArchivedAt = "d", map[string]string{"k": "v"}, kept(at(9))
				e.Config = core.EnvironmentConfig{
					SelfHosted: true, Networking: core.Networking{Limited: true, AllowedHosts: []string{"h"}},
					Packages: map[string][]string{"pip": {"x"}}, SetupScript: "s", Scope: "account",
				}
			}),
		} {
			got, err := b.Environment(b.ctx, p, want.ID)
			need(t, err)
			same(t, "environment", got, want)
		}
	},
	"MetadataIsNeverNil": func(t *testing.T, b *bundle) {
		e := b.environment(t, b.project(t), func(e *core.Environment) { e.Metadata = nil })
		got, err := b.Environment(b.ctx, e.Project, e.ID)
		need(t, err)
		same(t, "metadata", got.Metadata, map[string]string{})
	},
	"ATakenIDIsConflict": func(t *testing.T, b *bundle) {
		e := b.environment(t, b.project(t))
		refused(t, "CreateEnvironment", b.CreateEnvironment(b.ctx, e), core.Conflict, "environment_already_exists")
	},
	"AnUnknownEnvironmentIsNotFound": func(t *testing.T, b *bundle) {
		p := b.project(t)
		_, err := b.Environment(b.ctx, p, "none")
		refused(t, "Environment", err, core.NotFound, "environment_not_found")
		refused(t, "UpdateEnvironment", b.UpdateEnvironment(b.ctx, core.Environment{Project: p, ID: "none"}), core.NotFound, "environment_not_found")
		refused(t, "DeleteEnvironment", b.DeleteEnvironment(b.ctx, p, "none"), core.NotFound, "environment_not_found")
	},
	"UpdateReplacesAllButCreation": func(t *testing.T, b *bundle) {
		want := b.environment(t, b.project(t))
		change := core.Environment{
			Project: want.Project, ID: want.ID, Name: "new", Description: "d", Metadata: map[string]string{"a": "b"},
			Config:    core.EnvironmentConfig{SetupScript: "s"},
			CreatedAt: at(70), UpdatedAt: kept(at(71)), ArchivedAt: kept(at(72)),
		}
		need(t, b.UpdateEnvironment(b.ctx, change))
		got, err := b.Environment(b.ctx, want.Project, want.ID)
		need(t, err)
		change.CreatedAt = want.CreatedAt
		same(t, "environment", got, change)
	},
	"DeleteIsRefusedWhileASessionRefersToIt": func(t *testing.T, b *bundle) {
		e := b.environment(t, b.project(t))
		s := b.session(t, e.Project, func(s *core.Session) { s.Environment = e.ID })
		refused(t, "in use", b.DeleteEnvironment(b.ctx, e.Project, e.ID), core.Conflict, "environment_in_use")
		need(t, b.DeleteSession(b.ctx, s.Project, s.ID))
		need(t, b.DeleteEnvironment(b.ctx, e.Project, e.ID))
		_, err := b.Environment(b.ctx, e.Project, e.ID)
		refused(t, "deleted", err, core.NotFound, "")
	},
	"EnvironmentsAreListedNewestFirstInPages": func(t *testing.T, b *bundle) {
		p := b.project(t)
		place := map[string]*core.PageKey{}
		for _, name := range []string{"1", "2", "3", "4"} {
			e := b.environment(t, p, func(e *core.Environment) { e.Name = name })
			place[name] = &core.PageKey{CreatedAt: e.CreatedAt, ID: string(e.ID)}
		}
		b.environment(t, p, func(e *core.Environment) { e.Name, e.ArchivedAt = "gone", at(99) })
		b.environment(t, b.project(t), func(e *core.Environment) { e.Name = "foreign" })
		for _, c := range []struct {
			name string
			page core.EnvironmentPage
			want []string
		}{
			{"all", core.EnvironmentPage{Limit: 10}, []string{"4", "3", "2", "1"}},
			{"archived too", core.EnvironmentPage{Limit: 2, IncludeArchived: true}, []string{"gone", "4"}},
			{"after", core.EnvironmentPage{Limit: 2, After: place["4"]}, []string{"3", "2"}},
			{"before", core.EnvironmentPage{Limit: 2, Before: place["1"]}, []string{"3", "2"}},
		} {
			list, err := b.Environments(b.ctx, p, c.page)
			need(t, err)
			same(t, c.name, ids(list, environmentName), c.want)
		}
	},
}
