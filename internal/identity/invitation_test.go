package identity

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/core"
)

func TestAnInvitationLetsOnePersonInOnce(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ctx := t.Context()
	admin := w.project(t, "a@b")
	plain, inv, err := w.Invite(ctx, admin, NewInvitation{Email: " Guest@B ", Role: core.RoleViewer}) // who has no account yet
	want := core.Invitation{
		ID: inv.ID, Project: admin.Project, Email: "guest@b", Role: core.RoleViewer, Prefix: inv.Prefix, Hash: inv.Hash,
		InvitedBy: admin.User, CreatedAt: w.Service.clock(), ExpiresAt: w.Service.clock().Add(7 * 24 * time.Hour),
	}
	if diff := cmp.Diff(want, inv); err != nil || diff != "" || len(plain) != 62 || !strings.HasPrefix(plain, "invite_"+inv.Prefix+"_") {
		t.Fatalf("Invite = %q, %v %s", plain, err, diff)
	}
	if list, err := w.Invitations(ctx, admin); err != nil || len(list) != 1 || list[0].ID != inv.ID {
		t.Errorf("Invitations = %v, %v", list, err)
	}
	_, guest, _ := w.person(t, "guest@b")
	_, stranger, _ := w.person(t, "stranger@b")
	accept := func(by core.Principal, plain string) error {
		_, _, err := w.AcceptInvitation(ctx, by, plain)
		return err
	}
	for name, err := range map[string]error{
		"somebody else's": accept(stranger, plain), "nothing": accept(guest, ""), "another secret": accept(guest, plain[:len(plain)-1]+string(other(plain[len(plain)-1]))),
		"another label": accept(guest, "agent_"+strings.TrimPrefix(plain, "invite_")), "nobody": accept(core.Principal{Kind: core.PrincipalUser}, plain),
	} {
		wantError(t, err, core.NotFound, "invitation_not_found")
		if errText(err) != errText(accept(guest, "")) {
			t.Errorf("%s: %v", name, err)
		}
	}
	wantError(t, accept(core.Principal{Kind: core.PrincipalToken, User: guest.User, Project: admin.Project, Role: core.RoleAdmin}, plain), core.Forbidden, "forbidden")

	var joined atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if accept(guest, plain) == nil {
				joined.Add(1)
			}
		})
	}
	wg.Wait()
	if joined.Load() != 1 {
		t.Errorf("accepted %d times", joined.Load())
	}
	if by, _, err := w.Member(ctx, guest.User, admin.Project); err != nil || by.Role != core.RoleViewer {
		t.Errorf("Member = %+v, %v", by, err)
	}
	if list, err := w.Invitations(ctx, admin); err != nil || len(list) != 0 || list == nil {
		t.Errorf("Invitations = %v, %v", list, err)
	}
	wantError(t, w.RevokeInvitation(ctx, admin, inv.ID), core.NotFound, "invitation_not_found")
	_, _, err = w.Invite(ctx, admin, NewInvitation{Email: "GUEST@b", Role: core.RoleAdmin})
	wantError(t, err, core.Conflict, "already_a_member")
}

func TestAnInvitationEnds(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ctx := t.Context()
	admin, stranger := w.project(t, "a@b"), w.project(t, "b@b")
	_, guest, _ := w.person(t, "guest@b")
	invite := func(role core.Role) (string, core.Invitation) {
		t.Helper()
		w.clock.move(time.Second)
		plain, inv, err := w.Invite(ctx, admin, NewInvitation{Email: "guest@b", Role: role})
		if err != nil {
			t.Fatal(err)
		}
		return plain, inv
	}
	refusedAs := func(why, plain string) {
		t.Helper()
		if _, _, err := w.AcceptInvitation(ctx, guest, plain); core.CodeOf(err) != "invitation_not_found" {
			t.Errorf("%s: %v", why, err)
		}
	}
	first, _ := invite(core.RoleAdmin)
	second, inv := invite(core.RoleViewer)
	refusedAs("replaced", first)
	if list, err := w.Invitations(ctx, admin); err != nil || len(list) != 1 || list[0].ID != inv.ID {
		t.Errorf("Invitations = %v, %v", list, err)
	}
	wantError(t, w.RevokeInvitation(ctx, stranger, inv.ID), core.NotFound, "invitation_not_found")
	if err := w.RevokeInvitation(ctx, admin, inv.ID); err != nil {
		t.Fatal(err)
	}
	refusedAs("revoked", second)
	third, inv := invite(core.RoleViewer)
	w.clock.move(InvitationLifetime)
	refusedAs("expired", third)
	if list, err := w.Invitations(ctx, admin); err != nil || len(list) != 0 {
		t.Errorf("expired ones are listed: %v, %v", list, err)
	}
	wantError(t, w.RevokeInvitation(ctx, admin, inv.ID), core.NotFound, "invitation_not_found")
	fourth, _ := invite(core.RoleViewer)
	if _, err := w.DeactivateProject(ctx, admin); err != nil {
		t.Fatal(err)
	}
	refusedAs("project deactivated", fourth)
	if _, err := w.ReactivateProject(ctx, admin, admin.Project); err != nil {
		t.Fatal(err)
	}
	// One that was made before they joined in another way gives no other role.
	if err := w.db.PutMembership(ctx, core.Membership{Project: admin.Project, User: guest.User, Role: core.RoleMember, Active: true}); err != nil {
		t.Fatal(err)
	}
	refusedAs("a member already", fourth)
}

func TestWhoMayInviteWhom(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ctx := t.Context()
	admin := w.project(t, "a@b")
	for name, tc := range map[string]struct {
		in          NewInvitation
		code, field string
	}{
		"no e-mail":   {NewInvitation{"", core.RoleMember}, "invalid_email_format", ""},
		"odd e-mail":  {NewInvitation{"guest", core.RoleMember}, "invalid_email_format", ""},
		"long e-mail": {NewInvitation{strings.Repeat("a", 253) + "@b", core.RoleMember}, "field_too_long", "email"},
		"no role":     {NewInvitation{"g@b", ""}, "invalid_field", "privilege"},
		"odd role":    {NewInvitation{"g@b", "owner"}, "invalid_field", "privilege"},
	} {
		_, _, err := w.Invite(ctx, admin, tc.in)
		wantError(t, err, core.Invalid, tc.code)
		if e := coreError(err); e == nil || e.Field != tc.field {
			t.Errorf("%s: field of %v", name, err)
		}
	}
	member, _ := w.join(t, admin, "m@b", core.RoleMember)
	for _, by := range []core.Principal{member, {Kind: core.PrincipalAgent, Project: admin.Project}, {}} {
		_, _, err := w.Invite(ctx, by, NewInvitation{"g@b", core.RoleViewer})
		wantError(t, err, core.Forbidden, "forbidden")
		_, err = w.Invitations(ctx, by)
		wantError(t, err, core.Forbidden, "forbidden")
		wantError(t, w.RevokeInvitation(ctx, by, "x"), core.Forbidden, "forbidden")
	}
}

func TestOpenInvitationsAreBounded(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ctx := t.Context()
	admin := w.project(t, "a@b")
	err := w.db.Tx(ctx, func(tx core.Store) error {
		for i := range MaxInvitations {
			err := tx.CreateInvitation(ctx, core.Invitation{
				ID: core.NewID[core.InvitationID](), Project: admin.Project, Email: fmt.Sprintf("%d@b", i), Role: core.RoleViewer,
				Prefix: fmt.Sprint(i), Hash: []byte("h"), CreatedAt: w.clock.now(), ExpiresAt: w.clock.now().Add(time.Hour),
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = w.Invite(ctx, admin, NewInvitation{"g@b", core.RoleViewer})
	wantError(t, err, core.Conflict, "too_many_invitations")
	if _, _, err := w.Invite(ctx, admin, NewInvitation{"7@b", core.RoleViewer}); err != nil {
		t.Errorf("in place of an older one: %v", err)
	}
	w.clock.move(time.Hour)
	if _, _, err := w.Invite(ctx, admin, NewInvitation{"g@b", core.RoleViewer}); err != nil {
		t.Errorf("when they have expired: %v", err)
	}
}
