package storetest

import (
	"fmt"
	"testing"

	"github.com/reeve-ai/reeve/internal/core"
)

func invitationID(i core.Invitation) core.InvitationID { return i.ID }

func (b *bundle) invitation(t *testing.T, project core.ProjectID, edit ...func(*core.Invitation)) core.Invitation {
	t.Helper()
	i := core.Invitation{
		ID: core.NewID[core.InvitationID](), Project: project, Email: "guest@example.org", Role: core.RoleMember,
		Prefix: fmt.Sprintf("prefix%05d", b.n.Add(1)), Hash: []byte("hash"), CreatedAt: kept(b.later()),
	}
	for _, f := range edit {
		f(&i)
	}
	need(t, b.CreateInvitation(b.ctx, i))
	return i
}

var invitationPromises = map[string]func(*testing.T, *bundle){
	"AnInvitationComesBackAsItWentIn": func(t *testing.T, b *bundle) {
		project := b.project(t)
		full := b.invitation(t, project, func(i *core.Invitation) {
			i.Role, i.InvitedBy, i.Hash = core.RoleViewer, "u", []byte{0, 1, 0xff, 0, 200}
			i.ExpiresAt, i.AcceptedAt, i.RevokedAt = kept(at(100)), kept(at(101)), kept(at(102))
		})
		for _, want := range []core.Invitation{full, b.invitation(t, project)} {
			got, err := b.Invitation(b.ctx, project, want.ID)
			need(t, err)
			same(t, "by id", got, want)
			got, err = b.InvitationByPrefix(b.ctx, want.Prefix)
			need(t, err)
			same(t, "by prefix", got, want)
			need(t, b.Tx(b.ctx, func(tx core.Store) error {
				got, err := tx.InvitationByPrefix(b.ctx, want.Prefix)
				same(t, "held", got, want)
				return err
			}))
		}
	},
	"ATakenPrefixIsConflict": func(t *testing.T, b *bundle) {
		first := b.invitation(t, b.project(t))
		second := core.Invitation{ID: "second", Project: b.project(t), Prefix: first.Prefix, Hash: []byte("h")}
		refused(t, "CreateInvitation", b.CreateInvitation(b.ctx, second), core.Conflict, "prefix_taken")
	},
	"AnInvitationNeedsItsProject": func(t *testing.T, b *bundle) {
		err := b.CreateInvitation(b.ctx, core.Invitation{ID: "i", Project: "none", Prefix: "p", Hash: []byte("h")})
		refused(t, "CreateInvitation", err, core.NotFound, "reference_not_found")
	},
	"AnUnknownInvitationIsNotFound": func(t *testing.T, b *bundle) {
		project := b.project(t)
		_, err := b.Invitation(b.ctx, project, "none")
		refused(t, "Invitation", err, core.NotFound, "invitation_not_found")
		_, err = b.InvitationByPrefix(b.ctx, "none")
		refused(t, "InvitationByPrefix", err, core.NotFound, "invitation_not_found")
		err = b.UpdateInvitation(b.ctx, core.Invitation{ID: "none", Project: project})
		refused(t, "UpdateInvitation", err, core.NotFound, "invitation_not_found")
	},
	"UpdateReplacesTheEndAlone": func(t *testing.T, b *bundle) {
		want := b.invitation(t, b.project(t))
		change := core.Invitation{
			ID: want.ID, Project: want.Project, Email: "other@example.org", Role: core.RoleAdmin, Prefix: "other",
			Hash: []byte("other"), CreatedAt: at(50), ExpiresAt: at(51), AcceptedAt: at(60), RevokedAt: at(61),
		}
		need(t, b.UpdateInvitation(b.ctx, change))
		got, err := b.Invitation(b.ctx, want.Project, want.ID)
		need(t, err)
		want.AcceptedAt, want.RevokedAt = kept(at(60)), kept(at(61))
		same(t, "invitation", got, want)
	},
	"ThoseThatWaitAreListedNewestFirst": func(t *testing.T, b *bundle) {
		project := b.project(t)
		expired := b.invitation(t, project, func(i *core.Invitation) { i.ExpiresAt = at(-100) })
		open := b.invitation(t, project)
		accepted, revoked := b.invitation(t, project), b.invitation(t, project)
		accepted.AcceptedAt, revoked.RevokedAt = at(5), at(6)
		need(t, b.UpdateInvitation(b.ctx, accepted))
		need(t, b.UpdateInvitation(b.ctx, revoked))
		b.invitation(t, b.project(t)) // another project's
		list, err := b.Invitations(b.ctx, project)
		need(t, err)
		same(t, "waiting", ids(list, invitationID), []core.InvitationID{open.ID, expired.ID})
		list, err = b.Invitations(b.ctx, "none")
		need(t, err)
		same(t, "of nowhere", list, []core.Invitation{})
	},
}
