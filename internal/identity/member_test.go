package identity

import (
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/core"
)

// join makes a new person a member of the project, by an invitation, and returns them as its principal and as
// their token has them.
func (w world) join(t *testing.T, admin core.Principal, email string, role core.Role) (member, person core.Principal) {
	t.Helper()
	_, person, _ = w.person(t, email)
	plain, _, err := w.Invite(t.Context(), admin, NewInvitation{Email: email, Role: role})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.AcceptInvitation(t.Context(), person, plain); err != nil {
		t.Fatal(err)
	}
	member, _, err = w.Member(t.Context(), person.User, admin.Project)
	if err != nil {
		t.Fatal(err)
	}
	return member, person
}

func (w world) roles(t *testing.T, by core.Principal) map[core.UserID]core.Role {
	t.Helper()
	list, err := w.Members(t.Context(), by)
	if err != nil {
		t.Fatal(err)
	}
	roles := map[core.UserID]core.Role{}
	for _, m := range list {
		roles[m.User] = m.Role
		if m.Person.ID != m.User || m.Person.Email == "" || m.Person.PasswordHash != "" {
			t.Errorf("person = %+v", m.Person)
		}
	}
	return roles
}

func TestMembersAreChangedAndRemoved(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ctx := t.Context()
	admin := w.project(t, "a@b")
	member, person := w.join(t, admin, "m@b", core.RoleMember)
	viewer, _ := w.join(t, admin, "v@b", core.RoleViewer)
	if diff := cmp.Diff(map[core.UserID]core.Role{admin.User: core.RoleAdmin, member.User: core.RoleMember, viewer.User: core.RoleViewer}, w.roles(t, viewer)); diff != "" {
		t.Error(diff)
	}
	w.clock.move(time.Second)
	m, err := w.ChangeMember(ctx, admin, member.User, core.RoleViewer)
	if err != nil || m.Role != core.RoleViewer || m.Person.Email != "m@b" || m.Person.PasswordHash != "" || !m.UpdatedAt.Equal(w.Service.clock()) || !m.CreatedAt.Before(m.UpdatedAt) {
		t.Errorf("ChangeMember = %+v, %v", m, err)
	}
	if by, _, err := w.Member(ctx, member.User, admin.Project); err != nil || by.Role != core.RoleViewer {
		t.Errorf("Member = %+v, %v", by, err)
	}
	if err := w.RemoveMember(ctx, admin, member.User); err != nil {
		t.Fatal(err)
	}
	_, _, err = w.Member(ctx, member.User, admin.Project)
	wantError(t, err, core.NotFound, "project_not_found")
	kept, err := w.db.Membership(ctx, admin.Project, member.User)
	if err != nil || kept.Active {
		t.Errorf("the row = %+v, %v", kept, err)
	}
	wantError(t, w.RemoveMember(ctx, admin, member.User), core.NotFound, "member_not_found")
	_, err = w.ChangeMember(ctx, admin, member.User, core.RoleAdmin)
	wantError(t, err, core.NotFound, "member_not_found")

	plain, _, err := w.Invite(ctx, admin, NewInvitation{Email: "m@b", Role: core.RoleAdmin})
	if err != nil {
		t.Fatal(err)
	}
	if _, again, err := w.AcceptInvitation(ctx, person, plain); err != nil || !again.Active || again.Role != core.RoleAdmin || !again.CreatedAt.Equal(kept.CreatedAt) {
		t.Errorf("invited again: %+v, %v", again, err)
	}
	if err := w.RemoveMember(ctx, viewer, viewer.User); err != nil {
		t.Errorf("a viewer leaves: %v", err)
	}
	if diff := cmp.Diff(map[core.UserID]core.Role{admin.User: core.RoleAdmin, member.User: core.RoleAdmin}, w.roles(t, admin)); diff != "" {
		t.Error(diff)
	}
}

func TestWhoMayChangeMembers(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ctx := t.Context()
	admin, stranger := w.project(t, "a@b"), w.project(t, "b@b")
	member, _ := w.join(t, admin, "m@b", core.RoleMember)
	token := core.Principal{Kind: core.PrincipalToken, Project: admin.Project, Role: core.RoleMember, User: member.User}
	for name, tc := range map[string]struct {
		by   core.Principal
		kind core.Kind
	}{
		"member": {member, core.Forbidden}, "their token": {token, core.Forbidden}, "agent": {core.Principal{Kind: core.PrincipalAgent, Project: admin.Project}, core.Forbidden},
		"stranger": {stranger, core.NotFound}, "nobody": {core.Principal{}, core.Forbidden},
	} {
		if _, err := w.ChangeMember(ctx, tc.by, admin.User, core.RoleViewer); core.KindOf(err) != tc.kind {
			t.Errorf("%s changes: %v", name, err)
		}
		if err := w.RemoveMember(ctx, tc.by, admin.User); core.KindOf(err) != tc.kind {
			t.Errorf("%s removes: %v", name, err)
		}
	}
	wantError(t, w.RemoveMember(ctx, token, member.User), core.Forbidden, "forbidden") // a token is not oneself
	_, err := w.Members(ctx, core.Principal{Kind: core.PrincipalAgent, Project: admin.Project})
	wantError(t, err, core.Forbidden, "forbidden")
	_, err = w.ChangeMember(ctx, admin, member.User, "owner")
	wantError(t, err, core.Invalid, "invalid_field")
	if e := coreError(err); e.Field != "privilege" {
		t.Errorf("field = %q", e.Field)
	}
	// An access token of an administrator may all of it.
	token.Role = core.RoleAdmin
	if err := w.RemoveMember(ctx, token, member.User); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(map[core.UserID]core.Role{admin.User: core.RoleAdmin}, w.roles(t, admin)); diff != "" {
		t.Error(diff)
	}
}

func TestTheLastAdministratorStays(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ctx := t.Context()
	first := w.project(t, "a@b")
	member, _ := w.join(t, first, "m@b", core.RoleMember)
	wantError(t, w.RemoveMember(ctx, first, first.User), core.Conflict, "last_admin")
	_, err := w.ChangeMember(ctx, first, first.User, core.RoleMember)
	wantError(t, err, core.Conflict, "last_admin")
	if _, err := w.ChangeMember(ctx, first, first.User, core.RoleAdmin); err != nil {
		t.Errorf("a change that changes nothing: %v", err)
	}
	if _, err := w.ChangeMember(ctx, first, member.User, core.RoleAdmin); err != nil {
		t.Fatal(err)
	}
	if _, err := w.ChangeMember(ctx, first, first.User, core.RoleViewer); err != nil {
		t.Errorf("an administrator steps back: %v", err)
	}
	// The principal of an earlier request is worth nothing any more.
	wantError(t, w.RemoveMember(ctx, first, member.User), core.Conflict, "last_admin")
	_, err = w.ChangeMember(ctx, first, first.User, core.RoleAdmin)
	wantError(t, err, core.Forbidden, "forbidden")
	if got := w.roles(t, first); got[first.User] != core.RoleViewer || got[member.User] != core.RoleAdmin {
		t.Errorf("roles = %v", got)
	}
}

func TestAdministratorsWhoRemoveEachOther(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ctx := t.Context()
	first := w.project(t, "a@b")
	other, _ := w.join(t, first, "b@b", core.RoleAdmin)
	errs := make([]error, 2)
	var wg sync.WaitGroup
	wg.Go(func() { errs[0] = w.RemoveMember(ctx, first, other.User) })
	wg.Go(func() { errs[1] = w.RemoveMember(ctx, other, first.User) })
	wg.Wait()
	loser := errs[0]
	if loser == nil {
		loser = errs[1]
	}
	if errs[0] != nil && errs[1] != nil {
		t.Errorf("both failed: %v", errs)
	}
	wantError(t, loser, core.Conflict, "last_admin")
	if roles := w.roles(t, first); len(roles) != 1 {
		t.Errorf("left are %v", roles)
	}
	// With a third one there, the one that was removed first is refused.
	winner, removed := first, other
	if errs[0] != nil {
		winner, removed = other, first
	}
	third, _ := w.join(t, winner, "c@b", core.RoleAdmin)
	wantError(t, w.RemoveMember(ctx, removed, third.User), core.Forbidden, "forbidden")
	_, err := w.ChangeMember(ctx, removed, third.User, core.RoleViewer)
	wantError(t, err, core.Forbidden, "forbidden")
}
