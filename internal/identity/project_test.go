package identity

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/core"
)

func coreError(err error) *core.Error {
	var e *core.Error
	errors.As(err, &e)
	return e
}

func TestCreateProjectReportsEveryFault(t *testing.T) {
	t.Parallel()
	long := func(n int) *string { s := strings.Repeat("é", n); return &s }
	for name, tc := range map[string]struct {
		in   NewProject
		want []string // field and code
	}{
		"least":       {NewProject{Name: "x"}, nil},
		"most":        {NewProject{Name: " " + *long(255), Description: *long(300), Domain: long(200)}, nil},
		"blank":       {NewProject{Name: " \n"}, []string{"name required"}},
		"all at once": {NewProject{Name: *long(256), Description: *long(301), Domain: long(201)}, []string{"name field_too_long", "description field_too_long", "domain field_too_long"}},
		"untrimmed":   {NewProject{Name: "x", Description: strings.Repeat(" ", 301)}, []string{"description field_too_long"}},
	} {
		var got []string
		if joined, ok := tc.in.Validate().(interface{ Unwrap() []error }); ok {
			for _, err := range joined.Unwrap() {
				got = append(got, coreError(err).Field+" "+coreError(err).Code)
			}
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// C9: the original echoes any domain of any type.
func TestDomains(t *testing.T) {
	t.Parallel()
	for domain, want := range map[string]bool{
		"": true, "https://parceldesk.example": true, "http://localhost:3000/app": true, "parceldesk.example": true, "localhost:3000": true, "[::1]:80": true,
		"javascript:alert(1)": false, "ftp://x": false, "https://": false, "https://user:pw@x": false, "a b": false, "x\ny": false, "/path": false, "https://x\x00": false,
	} {
		if got := (NewProject{Name: "x", Domain: &domain}).Validate() == nil; got != want {
			t.Errorf("domain %q is taken: %v", domain, got)
		}
	}
}

// S7: in the original, deactivated projects and memberships keep full access.
func TestWhoBelongs(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ctx := t.Context()
	admin, stranger := w.project(t, "a@b"), w.project(t, "b@b")
	now := w.Service.clock()
	put := func(project core.ProjectID, user core.UserID, role core.Role, active bool) {
		t.Helper()
		if err := w.db.PutMembership(ctx, core.Membership{Project: project, User: user, Role: role, Active: active, CreatedAt: now, UpdatedAt: now}); err != nil {
			t.Fatal(err)
		}
	}
	member, memberBy, _ := w.person(t, "c@b")
	put(admin.Project, member.ID, core.RoleMember, true)
	former, formerBy, _ := w.person(t, "d@b")
	put(admin.Project, former.ID, core.RoleAdmin, false)
	inactive := core.Project{ID: core.NewID[core.ProjectID](), Name: "off", CreatedBy: admin.User, CreatedAt: now.Add(time.Second), UpdatedAt: now}
	if err := w.db.CreateProject(ctx, inactive); err != nil {
		t.Fatal(err)
	}
	put(inactive.ID, member.ID, core.RoleAdmin, true)

	for name, tc := range map[string]struct {
		user    core.UserID
		project core.ProjectID
		role    core.Role // empty: not found
	}{
		"creator":            {admin.User, admin.Project, core.RoleAdmin},
		"member":             {member.ID, admin.Project, core.RoleMember},
		"former member":      {former.ID, admin.Project, ""},
		"stranger":           {stranger.User, admin.Project, ""},
		"inactive project":   {member.ID, inactive.ID, ""},
		"unknown project":    {member.ID, core.NewID[core.ProjectID](), ""},
		"unknown user":       {core.NewID[core.UserID](), admin.Project, ""},
		"no project, no one": {"", "", ""},
	} {
		by, p, err := w.Member(ctx, tc.user, tc.project)
		if tc.role == "" {
			wantError(t, err, core.NotFound, "project_not_found")
			continue
		}
		want := core.Principal{Kind: core.PrincipalUser, Project: tc.project, Role: tc.role, User: tc.user}
		if err != nil || by != want || p.ID != tc.project {
			t.Errorf("%s: Member = %+v, %+v, %v", name, by, p, err)
		}
	}
	list := func(ctx context.Context, by core.Principal) []string {
		t.Helper()
		all, err := w.Projects(ctx, by, false)
		if err != nil || all == nil {
			t.Errorf("Projects = %v, %v", all, err)
		}
		var out []string
		for _, p := range all {
			out = append(out, string(p.ID)+" "+string(p.Role))
		}
		return out
	}
	if diff := cmp.Diff([]string{string(admin.Project) + " member"}, list(ctx, memberBy)); diff != "" {
		t.Error(diff)
	}
	if got := list(ctx, formerBy); got != nil {
		t.Errorf("a former member lists %v", got)
	}
	machine := core.Principal{Kind: core.PrincipalToken, Project: admin.Project, Role: core.RoleAdmin, User: admin.User}
	if _, err := w.Projects(ctx, machine, true); core.KindOf(err) != core.Forbidden {
		t.Errorf("a token lists projects: %v", err)
	}
	if _, err := w.CreateProject(ctx, machine, NewProject{Name: "x"}); core.KindOf(err) != core.Forbidden {
		t.Errorf("a token creates a project: %v", err)
	}
}

// A project that is switched off is off for everybody, whatever they show.
func TestADeactivatedProjectRefusesAll(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ctx := t.Context()
	admin := w.project(t, "a@b")
	member, person := w.join(t, admin, "m@b", core.RoleMember)
	keys := w.keys(t, admin)
	a, agentKey, c := w.agent(t, admin)
	_, token := w.session(t, a, c.ID)
	ways := map[string]func(context.Context) error{
		"access token":  func(ctx context.Context) error { _, err := w.Token(ctx, keys[core.CredentialAccess]); return err },
		"SDK key":       func(ctx context.Context) error { _, _, err := w.SDKProject(ctx, keys[core.CredentialSDK]); return err },
		"agent key":     func(ctx context.Context) error { _, _, err := w.AgentKey(ctx, agentKey); return err },
		"session token": func(ctx context.Context) error { _, _, err := w.Session(ctx, token); return err },
		"agent reports": func(ctx context.Context) error { return second(w.AgentReporter(ctx, agentKey, token)) },
		"SDK reports":   func(ctx context.Context) error { return second(w.SDKReporter(ctx, keys[core.CredentialSDK], token)) },
		"admin":         func(ctx context.Context) error { _, _, err := w.Member(ctx, admin.User, admin.Project); return err },
		"member":        func(ctx context.Context) error { _, _, err := w.Member(ctx, member.User, admin.Project); return err },
		"new token": func(ctx context.Context) error {
			_, _, err := w.IssueToken(ctx, IssueToken{Project: admin.Project})
			return err
		},
		"token of any": func(ctx context.Context) error { _, _, err := w.IssueToken(ctx, IssueToken{}); return err },
	}
	for name, way := range ways {
		if err := way(ctx); err != nil {
			t.Errorf("%s before: %v", name, err)
		}
	}
	w.clock.move(time.Second)
	p, err := w.DeactivateProject(ctx, admin)
	if err != nil || p.Active || !p.UpdatedAt.Equal(w.Service.clock()) || p.Name != "Parcel Desk" {
		t.Fatalf("DeactivateProject = %+v, %v", p, err)
	}
	for name, way := range ways {
		if err := way(ctx); core.KindOf(err) != core.Unauthenticated && core.KindOf(err) != core.NotFound {
			t.Errorf("%s while it is off: %v", name, err)
		}
	}
	for all, want := range map[bool]int{false: 0, true: 1} {
		if list, err := w.Projects(ctx, person, all); err != nil || len(list) != want || list == nil {
			t.Errorf("Projects(%v) = %v, %v", all, list, err)
		}
	}
	_, stranger, _ := w.person(t, "s@b")
	for name, by := range map[string]core.Principal{"member": person, "stranger": stranger} {
		_, err := w.ReactivateProject(ctx, by, admin.Project)
		wantError(t, err, core.NotFound, "project_not_found")
		if err == nil {
			t.Error(name)
		}
	}
	_, err = w.ReactivateProject(ctx, core.Principal{Kind: core.PrincipalToken, Project: admin.Project, Role: core.RoleAdmin, User: admin.User}, admin.Project)
	wantError(t, err, core.Forbidden, "forbidden")
	_, err = w.ReactivateProject(ctx, admin, "none")
	wantError(t, err, core.NotFound, "project_not_found")
	for range 2 { // the second changes nothing
		if p, err = w.ReactivateProject(ctx, core.Principal{Kind: core.PrincipalUser, User: admin.User}, admin.Project); err != nil || !p.Active {
			t.Fatalf("ReactivateProject = %+v, %v", p, err)
		}
	}
	for name, way := range ways {
		if err := way(ctx); err != nil {
			t.Errorf("%s afterwards: %v", name, err)
		}
	}
}

func TestWhoMayDeactivateAProject(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ctx := t.Context()
	admin := w.project(t, "a@b")
	member, _ := w.join(t, admin, "m@b", core.RoleMember)
	former, formerPerson := w.join(t, admin, "f@b", core.RoleAdmin)
	if err := w.RemoveMember(ctx, admin, former.User); err != nil {
		t.Fatal(err)
	}
	for name, by := range map[string]core.Principal{
		"member": member, "admin token": {Kind: core.PrincipalToken, Project: admin.Project, Role: core.RoleAdmin, User: admin.User},
		"nobody": {}, "former admin": former,
	} {
		_, err := w.DeactivateProject(ctx, by)
		wantError(t, err, core.Forbidden, "forbidden")
		if err == nil {
			t.Error(name)
		}
	}
	_, err := w.ReactivateProject(ctx, formerPerson, admin.Project)
	wantError(t, err, core.NotFound, "project_not_found")
	if p, err := w.db.Project(ctx, admin.Project); err != nil || !p.Active {
		t.Errorf("project = %+v, %v", p, err)
	}
}

func TestProjectsCostOneRead(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ctx := t.Context()
	_, by, _ := w.person(t, "a@b")
	for range 5 {
		if _, err := w.CreateProject(ctx, by, NewProject{Name: "x"}); err != nil {
			t.Fatal(err)
		}
	}
	before := w.db.Stats().Statements
	list, err := w.Projects(ctx, by, false)
	if n := w.db.Stats().Statements - before; err != nil || len(list) != 5 || n != 1 {
		t.Errorf("%d projects, %v, cost %d statements", len(list), err, n)
	}
}
