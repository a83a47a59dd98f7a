package identity

import (
	"context"
	"fmt"
	"slices"

	"github.com/reeve-ai/reeve/internal/core"
)

// Members lists the project's active members, the oldest membership first. The persons come without the
// hashes of their passwords. It is never nil.
//
// Errors: Forbidden (below viewer).
func (s *Service) Members(ctx context.Context, by core.Principal) ([]core.Member, error) {
	if err := by.Require(core.RoleViewer); err != nil {
		return nil, err
	}
	list, err := s.store.Members(ctx, by.Project)
	if err != nil {
		return nil, fmt.Errorf("list members: %w", err)
	}
	list = slices.DeleteFunc(list, func(m core.Member) bool { return !m.Active })
	for i := range list {
		list[i].Person.PasswordHash = ""
	}
	return list, nil
}

// ChangeMember gives a member another role; administrators may change their own. It returns the member as
// they are now, without the hash of their password.
//
// Errors: Forbidden (below admin); Invalid (field "privilege": no such role); NotFound ("member_not_found":
// no active member); Conflict ("last_admin": nobody would be left to administer the project).
func (s *Service) ChangeMember(ctx context.Context, by core.Principal, user core.UserID, role core.Role) (core.Member, error) {
	if err := by.Require(core.RoleAdmin); err != nil {
		return core.Member{}, err
	}
	if err := checkRole(role); err != nil {
		return core.Member{}, err
	}
	m, err := s.changeMember(ctx, by, core.RoleAdmin, user, func(m *core.Membership) { m.Role = role })
	if err != nil {
		return core.Member{}, fmt.Errorf("change member: %w", err)
	}
	return m, nil
}

// RemoveMember ends a membership: the person loses all access to the project, and may be invited again.
// Everybody may leave, and administrators may remove others. Access tokens that the person made belong to
// the project and go on.
//
// Errors: Forbidden (below admin, for others); NotFound ("member_not_found"); Conflict ("last_admin").
func (s *Service) RemoveMember(ctx context.Context, by core.Principal, user core.UserID) error {
	need := core.RoleAdmin
	if by.Kind == core.PrincipalUser && by.User == user {
		need = core.RoleViewer
	}
	if err := by.Require(need); err != nil {
		return err
	}
	if _, err := s.changeMember(ctx, by, need, user, func(m *core.Membership) { m.Active = false }); err != nil {
		return fmt.Errorf("remove member: %w", err)
	}
	return nil
}

// changeMember changes one membership in a transaction that holds the project, so that of two
// administrators who remove each other one is left.
func (s *Service) changeMember(ctx context.Context, by core.Principal, need core.Role, user core.UserID, change func(*core.Membership)) (core.Member, error) {
	var changed core.Member
	err := s.store.Tx(ctx, func(tx core.Store) error {
		if _, err := tx.Project(ctx, by.Project); err != nil {
			return err
		}
		list, err := tx.Members(ctx, by.Project)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(list, func(m core.Member) bool { return m.User == user && m.Active })
		if at < 0 {
			return core.NotFoundError("member", core.FormatUUID(user))
		}
		stillAllowed := has(list, by, need)
		changed = list[at]
		changed.Person.PasswordHash = ""
		change(&changed.Membership)
		list[at] = changed
		if !slices.ContainsFunc(list, isAdmin) {
			return core.Errorf(core.Conflict, "last_admin", "the project needs an administrator: make somebody else one first")
		}
		if !stillAllowed {
			return core.Errorf(core.Forbidden, "forbidden", "the caller is no longer an administrator of the project")
		}
		changed.UpdatedAt = s.clock()
		return tx.PutMembership(ctx, changed.Membership)
	})
	return changed, err
}

func isAdmin(m core.Member) bool { return m.Active && m.Role == core.RoleAdmin }

// has asks again, inside the transaction, whether a person has that role or more: somebody else may have
// taken it since their token was read. Access tokens have no membership to lose.
func has(list []core.Member, by core.Principal, need core.Role) bool {
	if by.Kind != core.PrincipalUser {
		return true
	}
	return slices.ContainsFunc(list, func(m core.Member) bool {
		by.Role = m.Role
		return m.User == by.User && m.Active && by.Require(need) == nil
	})
}

// checkRole refuses what is no role. The field has the original's name for it.
func checkRole(role core.Role) error {
	if !role.Valid() {
		return core.InvalidField("privilege", "must be that of an admin, a member or a viewer")
	}
	return nil
}
