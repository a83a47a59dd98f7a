package storetest

import (
	"testing"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

var projectPromises = map[string]func(*testing.T, *bundle){
	"AProjectComesBackAsItWentIn": func(t *testing.T, b *bundle) {
		domain := "example.org"
		for _, want := range []core.Project{
			{ID: core.NewID[core.ProjectID](), Name: "Ünïcode — 名", Description: "d", Domain: &domain, Active: true, CreatedBy: "u", CreatedAt: at(1), UpdatedAt: at(2)},
			{ID: core.NewID[core.ProjectID](), Name: "second"},
		} {
			need(t, b.CreateProject(b.ctx, want))
			got, err := b.Project(b.ctx, want.ID)
			need(t, err)
			want.CreatedAt, want.UpdatedAt = keptOrZero(want.CreatedAt), keptOrZero(want.UpdatedAt)
			same(t, "project", got, want)
		}
	},
	"TimesAreUTCAndCutToMicroseconds": func(t *testing.T, b *bundle) {
		want := core.Project{ID: core.NewID[core.ProjectID](), CreatedAt: epoch, UpdatedAt: time.Date(1931, 1, 2, 3, 4, 5, 6_999, time.UTC)}
		need(t, b.CreateProject(b.ctx, want))
		got, err := b.Project(b.ctx, want.ID)
		need(t, err)
		for name, times := range map[string][2]time.Time{
			"CreatedAt": {got.CreatedAt, time.Date(2026, 3, 4, 4, 6, 7, 123_456_000, time.UTC)},
			"UpdatedAt": {got.UpdatedAt, time.Date(1931, 1, 2, 3, 4, 5, 6_000, time.UTC)},
		} {
			if times[0] != times[1] { // the struct: same instant and same zone
				t.Errorf("%s = %v, want %v", name, times[0], times[1])
			}
		}
	},
	"AZeroTimeStaysZero": func(t *testing.T, b *bundle) {
		p := core.Project{ID: core.NewID[core.ProjectID]()}
		need(t, b.CreateProject(b.ctx, p))
		got, err := b.Project(b.ctx, p.ID)
		need(t, err)
		if !got.CreatedAt.IsZero() || !got.UpdatedAt.IsZero() {
			t.Errorf("times = %v, %v, want zero", got.CreatedAt, got.UpdatedAt)
		}
	},
	"ATakenIDIsConflict": func(t *testing.T, b *bundle) {
		id := b.project(t)
		refused(t, "CreateProject", b.CreateProject(b.ctx, core.Project{ID: id}), core.Conflict, "project_already_exists")
	},
	"AnUnknownProjectIsNotFound": func(t *testing.T, b *bundle) {
		_, err := b.Project(b.ctx, core.NewID[core.ProjectID]())
		refused(t, "Project", err, core.NotFound, "project_not_found")
	},
	"UpdateReplacesAllButIDAndCreation": func(t *testing.T, b *bundle) {
		domain := "example.org"
		before, other := core.Project{ID: "p", Name: "old", Domain: &domain, Active: true, CreatedBy: "u", CreatedAt: kept(at(1))}, b.project(t)
		need(t, b.CreateProject(b.ctx, before))
		want := core.Project{ID: "p", Name: "new", Description: "d", CreatedBy: "v", CreatedAt: at(5), UpdatedAt: kept(at(6))}
		need(t, b.UpdateProject(b.ctx, want))
		got, err := b.Project(b.ctx, "p")
		need(t, err)
		want.CreatedBy, want.CreatedAt = before.CreatedBy, before.CreatedAt
		same(t, "project", got, want)
		spared, err := b.Project(b.ctx, other)
		need(t, err)
		same(t, "another project's name", spared.Name, "P")
		refused(t, "UpdateProject", b.UpdateProject(b.ctx, core.Project{ID: "none"}), core.NotFound, "project_not_found")
	},
	"ProjectsAreListedOldestFirst": func(t *testing.T, b *bundle) {
		list, err := b.Projects(b.ctx)
		need(t, err)
		same(t, "empty list", list, []core.Project{})
		first, second := b.project(t), b.project(t)
		need(t, b.CreateProject(b.ctx, core.Project{ID: "oldest", CreatedAt: at(-5)}))
		list, err = b.Projects(b.ctx)
		need(t, err)
		same(t, "order", ids(list, func(p core.Project) core.ProjectID { return p.ID }), []core.ProjectID{"oldest", first, second})
	},
}

var userPromises = map[string]func(*testing.T, *bundle){
	"AUserComesBackAsItWentIn": func(t *testing.T, b *bundle) {
		want := core.User{
			ID: core.NewID[core.UserID](), FirstName: "A", MiddleName: "B", LastName: "C", Email: "a@example.org",
			PasswordHash: "$argon2id$", TokensAfter: kept(at(1)), CreatedAt: kept(at(2)), UpdatedAt: kept(at(3)),
		}
		need(t, b.CreateUser(b.ctx, want))
		got, err := b.User(b.ctx, want.ID)
		need(t, err)
		same(t, "by id", got, want)
		got, err = b.UserByEmail(b.ctx, want.Email)
		need(t, err)
		same(t, "by email", got, want)
	},
	"AnUnknownUserIsNotFound": func(t *testing.T, b *bundle) {
		_, err := b.User(b.ctx, "nobody")
		refused(t, "User", err, core.NotFound, "user_not_found")
		_, err = b.UserByEmail(b.ctx, "nobody@example.org")
		refused(t, "UserByEmail", err, core.NotFound, "user_not_found")
		refused(t, "UpdateUser", b.UpdateUser(b.ctx, core.User{ID: "nobody"}), core.NotFound, "user_not_found")
	},
	"ATakenEmailIsConflict": func(t *testing.T, b *bundle) {
		first, err := b.User(b.ctx, b.user(t))
		need(t, err)
		second, err := b.User(b.ctx, b.user(t))
		need(t, err)
		refused(t, "CreateUser", b.CreateUser(b.ctx, core.User{ID: "third", Email: first.Email}), core.Conflict, "user_already_exists")
		second.Email = first.Email
		refused(t, "UpdateUser", b.UpdateUser(b.ctx, second), core.Conflict, "user_already_exists")
	},
	"UpdateReplacesAllButIDAndCreation": func(t *testing.T, b *bundle) {
		before, err := b.User(b.ctx, b.user(t))
		need(t, err)
		want := core.User{
			ID: before.ID, FirstName: "A", MiddleName: "B", LastName: "C", Email: "new@example.org", PasswordHash: "h",
			TokensAfter: kept(at(50)), CreatedAt: kept(at(60)), UpdatedAt: kept(at(70)),
		}
		need(t, b.UpdateUser(b.ctx, want))
		got, err := b.User(b.ctx, want.ID)
		need(t, err)
		want.CreatedAt = before.CreatedAt
		same(t, "user", got, want)
	},
	"PutMembershipCreatesAndReplaces": func(t *testing.T, b *bundle) {
		m := core.Membership{Project: b.project(t), User: b.user(t), Role: core.RoleViewer, CreatedAt: kept(at(1)), UpdatedAt: kept(at(1))}
		_, err := b.Membership(b.ctx, m.Project, m.User)
		refused(t, "Membership before", err, core.NotFound, "membership_not_found")
		need(t, b.PutMembership(b.ctx, m))
		got, err := b.Membership(b.ctx, m.Project, m.User)
		need(t, err)
		same(t, "created", got, m)
		m.Role, m.Active, m.UpdatedAt = core.RoleAdmin, true, kept(at(2))
		need(t, b.PutMembership(b.ctx, m))
		got, err = b.Membership(b.ctx, m.Project, m.User)
		need(t, err)
		same(t, "replaced", got, m)
	},
	"AMembershipNeedsProjectAndUser": func(t *testing.T, b *bundle) {
		refused(t, "no project", b.PutMembership(b.ctx, core.Membership{Project: "none", User: b.user(t)}), core.NotFound, "reference_not_found")
		refused(t, "no user", b.PutMembership(b.ctx, core.Membership{Project: b.project(t), User: "none"}), core.NotFound, "reference_not_found")
	},
	"MembershipsAreListedNewestProjectFirst": func(t *testing.T, b *bundle) {
		user, other := b.user(t), b.user(t)
		projects := []core.ProjectID{b.project(t), b.project(t), b.project(t)}
		for _, i := range []int{1, 0, 2} {
			need(t, b.PutMembership(b.ctx, core.Membership{Project: projects[i], User: user, Role: core.RoleMember}))
		}
		need(t, b.PutMembership(b.ctx, core.Membership{Project: projects[0], User: other, Role: core.RoleMember}))
		list, err := b.Memberships(b.ctx, user)
		need(t, err)
		same(t, "order", ids(list, func(m core.Membership) core.ProjectID { return m.Project }),
			[]core.ProjectID{projects[2], projects[1], projects[0]})
		list, err = b.Memberships(b.ctx, "nobody")
		need(t, err)
		same(t, "of nobody", list, []core.Membership{})
	},
	"APersonsProjectsComeInOneList": func(t *testing.T, b *bundle) {
		user, other := b.user(t), b.user(t)
		first, second := b.project(t), b.project(t)
		mine := core.Membership{Project: first, User: user, Role: core.RoleViewer, CreatedAt: kept(at(1)), UpdatedAt: kept(at(2))}
		also := core.Membership{Project: second, User: user, Role: core.RoleAdmin, Active: true}
		for _, m := range []core.Membership{mine, also, {Project: b.project(t), User: other, Role: core.RoleAdmin}} {
			need(t, b.PutMembership(b.ctx, m))
		}
		want := []core.MemberProject{{Membership: also}, {Membership: mine}}
		for i := range want {
			p, err := b.Project(b.ctx, want[i].Project)
			need(t, err)
			want[i].Of = p
		}
		list, err := b.ProjectsOf(b.ctx, user)
		need(t, err)
		same(t, "projects", list, want)
		list, err = b.ProjectsOf(b.ctx, "nobody")
		need(t, err)
		same(t, "of nobody", list, []core.MemberProject{})
	},
	"MembersAreListedOldestFirstWithThePersons": func(t *testing.T, b *bundle) {
		project, late, early := b.project(t), b.user(t), b.user(t)
		want := []core.Member{
			{Membership: core.Membership{Project: project, User: early, Role: core.RoleMember, CreatedAt: kept(at(1))}},
			{Membership: core.Membership{Project: project, User: late, Role: core.RoleAdmin, Active: true, CreatedAt: kept(at(2)), UpdatedAt: kept(at(3))}},
		}
		for i := range want {
			p, err := b.User(b.ctx, want[i].User)
			need(t, err)
			want[i].Person = p
			need(t, b.PutMembership(b.ctx, want[i].Membership))
		}
		need(t, b.PutMembership(b.ctx, core.Membership{Project: b.project(t), User: early, Role: core.RoleAdmin}))
		list, err := b.Members(b.ctx, project)
		need(t, err)
		same(t, "members", list, want)
		list, err = b.Members(b.ctx, "none")
		need(t, err)
		same(t, "of nowhere", list, []core.Member{})
	},
}
