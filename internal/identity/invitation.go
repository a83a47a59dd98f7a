package identity

import (
	"context"
	"crypto/hmac"
	"fmt"
	"slices"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

const (
	// InvitationLifetime is how long an invitation may be accepted.
	InvitationLifetime = 7 * 24 * time.Hour
	// MaxInvitations is how many open invitations a project may have.
	MaxInvitations = 1000
)

// NewInvitation is what the inviter tells.
type NewInvitation struct {
	Email string
	Role  core.Role
}

// Invite asks a person into the project. Whether they have an account already makes no difference, and is
// not told. The plain token, which the inviter passes on, is in the result and nowhere else. A new
// invitation replaces open ones to the same e-mail.
//
// Errors: Forbidden (below admin); Invalid ("invalid_email_format"; "field_too_long" with field "email";
// field "privilege"); Conflict ("already_a_member"; "too_many_invitations": MaxInvitations are open).
func (s *Service) Invite(ctx context.Context, by core.Principal, in NewInvitation) (string, core.Invitation, error) {
	if err := by.Require(core.RoleAdmin); err != nil {
		return "", core.Invitation{}, err
	}
	email := normalEmail(in.Email)
	if err := checkEmail(email); err != nil {
		return "", core.Invitation{}, err
	}
	if err := checkRole(in.Role); err != nil {
		return "", core.Invitation{}, err
	}
	plain, lookup := drawKey(inviteLabel)
	now := s.clock()
	inv := core.Invitation{
		ID: core.NewID[core.InvitationID](), Project: by.Project, Email: email, Role: in.Role,
		Prefix: lookup, Hash: s.sum(plain), InvitedBy: by.User, CreatedAt: now, ExpiresAt: now.Add(InvitationLifetime),
	}
	err := s.store.Tx(ctx, func(tx core.Store) error {
		if _, err := tx.Project(ctx, by.Project); err != nil { // holds it: of two invitations one is left
			return err
		}
		if err := s.makeRoom(ctx, tx, inv); err != nil {
			return err
		}
		return tx.CreateInvitation(ctx, inv)
	})
	if err != nil {
		return "", core.Invitation{}, fmt.Errorf("invite: %w", err)
	}
	return plain, inv, nil
}

// makeRoom refuses an invitation that makes no sense and revokes the ones that it replaces.
func (s *Service) makeRoom(ctx context.Context, tx core.Store, inv core.Invitation) error {
	members, err := tx.Members(ctx, inv.Project)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(members, func(m core.Member) bool { return m.Active && m.Person.Email == inv.Email }) {
		return core.Errorf(core.Conflict, "already_a_member", "this person belongs to the project already")
	}
	waiting, err := tx.Invitations(ctx, inv.Project)
	if err != nil {
		return err
	}
	open := 0
	for _, old := range waiting {
		switch {
		case old.Email == inv.Email:
			old.RevokedAt = inv.CreatedAt
			if err := tx.UpdateInvitation(ctx, old); err != nil {
				return err
			}
		case old.Open(inv.CreatedAt):
			open++
		}
	}
	if open >= MaxInvitations {
		return core.Errorf(core.Conflict, "too_many_invitations", "the project has %d open invitations: revoke some first", open)
	}
	return nil
}

// Invitations lists the project's open invitations, newest first. It is never nil.
//
// Errors: Forbidden (below admin).
func (s *Service) Invitations(ctx context.Context, by core.Principal) ([]core.Invitation, error) {
	if err := by.Require(core.RoleAdmin); err != nil {
		return nil, err
	}
	list, err := s.store.Invitations(ctx, by.Project)
	if err != nil {
		return nil, fmt.Errorf("list invitations: %w", err)
	}
	now := s.clock()
	return slices.DeleteFunc(list, func(i core.Invitation) bool { return !i.Open(now) }), nil
}

// RevokeInvitation ends an open invitation.
//
// Errors: Forbidden (below admin); NotFound ("invitation_not_found": none of this project, or not open).
func (s *Service) RevokeInvitation(ctx context.Context, by core.Principal, id core.InvitationID) error {
	if err := by.Require(core.RoleAdmin); err != nil {
		return err
	}
	err := s.store.Tx(ctx, func(tx core.Store) error {
		if _, err := tx.Project(ctx, by.Project); err != nil { // all that end invitations hold the project first
			return err
		}
		inv, err := tx.Invitation(ctx, by.Project, id)
		if err != nil {
			return err
		}
		now := s.clock()
		if !inv.Open(now) {
			return core.NotFoundError("invitation", string(id))
		}
		inv.RevokedAt = now
		return tx.UpdateInvitation(ctx, inv)
	})
	if core.KindOf(err) == core.NotFound {
		return core.NotFoundError("invitation", core.FormatUUID(id))
	}
	if err != nil {
		return fmt.Errorf("revoke invitation: %w", err)
	}
	return nil
}

// AcceptInvitation makes a person, as User returns them, a member of the project that invited them, once.
// The invitation must be to their own e-mail: a token that went astray lets nobody else in. It returns the
// project and the membership as they are now.
//
// Errors: Forbidden (no person); NotFound ("invitation_not_found") for everything else: which part was
// wrong is not told.
func (s *Service) AcceptInvitation(ctx context.Context, by core.Principal, plain string) (core.Project, core.Membership, error) {
	if by.Kind != core.PrincipalUser {
		return core.Project{}, core.Membership{}, errNoPerson()
	}
	none := core.Errorf(core.NotFound, "invitation_not_found", "there is no such invitation for this person, or it is no longer open")
	label, lookup, ok := cutKey(plain)
	if !ok || label != inviteLabel {
		return core.Project{}, core.Membership{}, none
	}
	var p core.Project
	var m core.Membership
	inv, err := s.store.InvitationByPrefix(ctx, lookup)
	if err == nil && hmac.Equal(s.sum(plain), inv.Hash) {
		err = s.store.Tx(ctx, func(tx core.Store) (err error) {
			p, m, err = s.join(ctx, tx, by.User, inv)
			return err
		})
	} else if err == nil {
		err = none
	}
	if core.KindOf(err) == core.NotFound {
		return core.Project{}, core.Membership{}, none
	}
	if err != nil {
		return core.Project{}, core.Membership{}, fmt.Errorf("accept invitation: %w", err)
	}
	return p, m, nil
}

// join uses an invitation up. NotFound if it is not for this person, or not open, or its project is off.
func (s *Service) join(ctx context.Context, tx core.Store, user core.UserID, inv core.Invitation) (core.Project, core.Membership, error) {
	none := core.NotFoundError("invitation", string(inv.ID))
	p, err := tx.Project(ctx, inv.Project) // held first, as by all that end invitations
	if err != nil {
		return core.Project{}, core.Membership{}, err
	}
	if inv, err = tx.InvitationByPrefix(ctx, inv.Prefix); err != nil { // as it is now
		return core.Project{}, core.Membership{}, err
	}
	u, err := tx.User(ctx, user)
	if err != nil {
		return core.Project{}, core.Membership{}, err
	}
	now := s.clock()
	if u.Email != inv.Email || !inv.Open(now) || !p.Active {
		return core.Project{}, core.Membership{}, none
	}
	m, err := tx.Membership(ctx, inv.Project, user)
	switch {
	case core.KindOf(err) == core.NotFound:
		m = core.Membership{Project: inv.Project, User: user, CreatedAt: now}
	case err != nil:
		return core.Project{}, core.Membership{}, err
	case m.Active:
		return core.Project{}, core.Membership{}, none // an old invitation must not give a role back
	}
	m.Role, m.Active, m.UpdatedAt = inv.Role, true, now
	if err := tx.PutMembership(ctx, m); err != nil {
		return core.Project{}, core.Membership{}, err
	}
	inv.AcceptedAt = now
	return p, m, tx.UpdateInvitation(ctx, inv)
}
