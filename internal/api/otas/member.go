package otas

import (
	"net/http"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/identity"
)

// memberWire is a person in a project. The times are those of the membership.
type memberWire struct {
	UserID     string `json:"user_id"`
	FirstName  string `json:"first_name"`
	MiddleName string `json:"middle_name"`
	LastName   string `json:"last_name"`
	Email      string `json:"email"`
	Privilege  int    `json:"privilege"`
	CreatedAt  string `json:"created_at"`
	UpdatedAt  string `json:"updated_at"`
}

func memberOf(m core.Member) memberWire {
	return memberWire{
		UserID: core.FormatUUID(m.User), FirstName: m.Person.FirstName, MiddleName: m.Person.MiddleName, LastName: m.Person.LastName,
		Email: m.Person.Email, Privilege: privilege(m.Role), CreatedAt: stamp(m.CreatedAt), UpdatedAt: stamp(m.UpdatedAt),
	}
}

// invitationWire is an invitation that nobody has accepted yet. Its token is shown once, to the
// administrator who asks for it: this server sends no mail.
type invitationWire struct {
	ID        string `json:"id"`
	Email     string `json:"email"`
	Privilege int    `json:"privilege"`
	CreatedAt string `json:"created_at"`
	ExpiresAt string `json:"expires_at"`
	Token     string `json:"token,omitempty"`
}

func invitationOf(i core.Invitation) invitationWire {
	return invitationWire{
		ID: core.FormatUUID(i.ID), Email: i.Email, Privilege: privilege(i.Role),
		CreatedAt: stamp(i.CreatedAt), ExpiresAt: stamp(i.ExpiresAt),
	}
}

// privilege reads a role, as privilege writes one; role is empty if it is not given.
func (o object) privilege() (core.Role, error) {
	n, given, err := o.integer("privilege")
	if err == nil && !given {
		return "", nil
	}
	for _, role := range []core.Role{core.RoleAdmin, core.RoleMember, core.RoleViewer} {
		if err == nil && n == privilege(role) {
			return role, nil
		}
	}
	return "", core.InvalidField("privilege", "must be 1 (admin), 2 (member) or 3 (viewer)")
}

// invite serves POST {project}/members/invite/.
func (f *Face) invite(c *call) (reply, error) {
	body, err := c.object()
	if err != nil {
		return reply{}, err
	}
	var in identity.NewInvitation
	if in.Email, err = body.id("email"); err != nil {
		return reply{}, err
	}
	if in.Role, err = body.privilege(); err != nil {
		return reply{}, err
	}
	if in.Role == "" {
		in.Role = core.RoleMember // what the original's table has as its default (reference 1.3)
	}
	plain, inv, err := f.identity.Invite(c.r.Context(), c.by, in)
	if err != nil {
		return reply{}, err
	}
	shown := invitationOf(inv)
	shown.Token = plain
	return reply{http.StatusCreated, "member_invited", "response_body", struct {
		Invitation invitationWire `json:"invitation"`
	}{shown}}, nil
}

// listMembers serves GET {project}/members/list/. Who is invited, only administrators see.
func (f *Face) listMembers(c *call) (reply, error) {
	ctx := c.r.Context()
	members, err := f.identity.Members(ctx, c.by)
	if err != nil {
		return reply{}, err
	}
	out := struct {
		Members     []memberWire      `json:"members"`
		Invitations *[]invitationWire `json:"invitations,omitempty"` // nil: not for the caller
	}{Members: make([]memberWire, 0, len(members))}
	for _, m := range members {
		out.Members = append(out.Members, memberOf(m))
	}
	if c.by.Require(core.RoleAdmin) == nil {
		open, err := f.identity.Invitations(ctx, c.by)
		if err != nil {
			return reply{}, err
		}
		list := make([]invitationWire, 0, len(open))
		for _, i := range open {
			list = append(list, invitationOf(i))
		}
		out.Invitations = &list
	}
	return reply{http.StatusOK, "members_listed", "response_body", out}, nil
}

// acceptInvitation serves POST {project}/members/accept/. The caller has no part in the project yet, so
// only the token in the body says which one it is.
func (f *Face) acceptInvitation(c *call) (reply, error) {
	plain, err := c.givenID("invitation")
	if err != nil {
		return reply{}, err
	}
	p, m, err := f.identity.AcceptInvitation(c.r.Context(), c.by, plain)
	if err != nil {
		return reply{}, err
	}
	return reply{http.StatusOK, "member_joined", "response_body", struct {
		Project   projectWire `json:"project"`
		Privilege int         `json:"privilege"`
	}{projectOf(p), privilege(m.Role)}}, nil
}

// revokeInvitation serves POST {project}/members/invite/revoke/.
func (f *Face) revokeInvitation(c *call) (reply, error) {
	given, err := c.givenID("invitation_id")
	if err != nil {
		return reply{}, err
	}
	id, ok := core.ParseID[core.InvitationID](given)
	if !ok {
		return reply{}, core.NotFoundError("invitation", given)
	}
	if err := f.identity.RevokeInvitation(c.r.Context(), c.by, id); err != nil {
		return reply{}, err
	}
	return reply{http.StatusOK, "invitation_revoked", "response_body", struct {
		ID string `json:"id"`
	}{core.FormatUUID(id)}}, nil
}

// changeMember serves POST {project}/members/change/.
func (f *Face) changeMember(c *call) (reply, error) {
	body, err := c.object()
	if err != nil {
		return reply{}, err
	}
	given, err := body.id("user_id")
	if err != nil {
		return reply{}, err
	}
	role, err := body.privilege()
	if err != nil {
		return reply{}, err
	}
	if role == "" {
		return reply{}, core.Errorf(core.Invalid, "privilege_required", "privilege is required")
	}
	user, ok := core.ParseID[core.UserID](given)
	if !ok {
		return reply{}, core.NotFoundError("member", given)
	}
	m, err := f.identity.ChangeMember(c.r.Context(), c.by, user, role)
	if err != nil {
		return reply{}, err
	}
	return reply{http.StatusOK, "member_changed", "response_body", struct {
		Member memberWire `json:"member"`
	}{memberOf(m)}}, nil
}

// removeMember serves POST {project}/members/remove/. Everybody may remove themselves.
func (f *Face) removeMember(c *call) (reply, error) {
	given, err := c.givenID("user_id")
	if err != nil {
		return reply{}, err
	}
	user, ok := core.ParseID[core.UserID](given)
	if !ok {
		return reply{}, core.NotFoundError("member", given)
	}
	if err := f.identity.RemoveMember(c.r.Context(), c.by, user); err != nil {
		return reply{}, err
	}
	return reply{http.StatusOK, "member_removed", "response_body", struct {
		UserID string `json:"user_id"`
	}{core.FormatUUID(user)}}, nil
}
