package store

import (
	"context"

	"github.com/reeve-ai/reeve/internal/core"
)

const userColumns = `u.id, u.first_name, u.middle_name, u.last_name, u.email, u.password_hash, u.tokens_after,
	u.created_at, u.updated_at`

// userFields are the destinations of userColumns.
func userFields(u *core.User) []any {
	return []any{
		(*string)(&u.ID), &u.FirstName, &u.MiddleName, &u.LastName, &u.Email, &u.PasswordHash,
		timeColumn{&u.TokensAfter},
		timeColumn{&u.CreatedAt},
		timeColumn{&u.UpdatedAt},
	}
}

func scanUser(r row) (core.User, error) {
	var u core.User
	err := r.Scan(userFields(&u)...)
	return u, err
}

func errUserExists() error {
	return core.Errorf(core.Conflict, "user_already_exists", "a user with this email exists already")
}

// CreateUser implements core.ProjectStore.
func (s *store) CreateUser(ctx context.Context, u core.User) error {
	return s.write(ctx, "create user", func(h *txn) error {
		return must(ctx, h, errUserExists(),
			`INSERT INTO users (id, first_name, middle_name, last_name, email, password_hash, tokens_after, created_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING`,
			string(u.ID), u.FirstName, u.MiddleName, u.LastName, u.Email, u.PasswordHash,
			micros(u.TokensAfter), micros(u.CreatedAt), micros(u.UpdatedAt))
	})
}

// User implements core.ProjectStore.
func (s *store) User(ctx context.Context, id core.UserID) (core.User, error) {
	return readOne(ctx, s, "user", string(id),
		"SELECT "+userColumns+" FROM users u WHERE u.id = $1", []any{string(id)}, scanUser)
}

// UserByEmail implements core.ProjectStore.
func (s *store) UserByEmail(ctx context.Context, email string) (core.User, error) {
	return readOne(ctx, s, "user", email,
		"SELECT "+userColumns+" FROM users u WHERE u.email = $1", []any{email}, scanUser)
}

// UpdateUser implements core.ProjectStore. An email that another user has is Conflict
// ("user_already_exists").
func (s *store) UpdateUser(ctx context.Context, u core.User) error {
	return s.write(ctx, "update user", func(h *txn) error {
		taken, err := found(ctx, h, "SELECT 1 FROM users WHERE email = $1 AND id <> $2", u.Email, string(u.ID))
		if err != nil {
			return err
		}
		if taken {
			return errUserExists()
		}
		return must(ctx, h, core.NotFoundError("user", string(u.ID)), `UPDATE users
			SET first_name = $2, middle_name = $3, last_name = $4, email = $5, password_hash = $6,
				tokens_after = $7, updated_at = $8
			WHERE id = $1`,
			string(u.ID), u.FirstName, u.MiddleName, u.LastName, u.Email, u.PasswordHash,
			micros(u.TokensAfter), micros(u.UpdatedAt))
	})
}

const membershipColumns = "m.project_id, m.user_id, m.role, m.active, m.created_at, m.updated_at"

// membershipFields are the destinations of membershipColumns.
func membershipFields(m *core.Membership) []any {
	return []any{
		(*string)(&m.Project), (*string)(&m.User), (*string)(&m.Role),
		flagColumn{&m.Active},
		timeColumn{&m.CreatedAt},
		timeColumn{&m.UpdatedAt},
	}
}

func scanMembership(r row) (core.Membership, error) {
	var m core.Membership
	err := r.Scan(membershipFields(&m)...)
	return m, err
}

// PutMembership implements core.ProjectStore. A membership that exists keeps its CreatedAt. An
// unknown project or user is NotFound ("reference_not_found").
func (s *store) PutMembership(ctx context.Context, m core.Membership) error {
	return s.write(ctx, "put membership", func(h *txn) error {
		_, err := h.change(ctx, `INSERT INTO memberships (project_id, user_id, role, active, created_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (project_id, user_id) DO UPDATE
			SET role = excluded.role, active = excluded.active, updated_at = excluded.updated_at`,
			[]any{string(m.Project), string(m.User), string(m.Role), flag(m.Active), micros(m.CreatedAt), micros(m.UpdatedAt)}, nil)
		return err
	})
}

// Membership implements core.ProjectStore.
func (s *store) Membership(ctx context.Context, project core.ProjectID, user core.UserID) (core.Membership, error) {
	return readOne(ctx, s, "membership", string(user),
		"SELECT "+membershipColumns+" FROM memberships m WHERE m.project_id = $1 AND m.user_id = $2",
		[]any{string(project), string(user)}, scanMembership)
}

// Memberships implements core.ProjectStore.
func (s *store) Memberships(ctx context.Context, user core.UserID) ([]core.Membership, error) {
	return readAll(ctx, s, "memberships", "SELECT "+membershipColumns+`
		FROM memberships m JOIN projects p ON p.id = m.project_id
		WHERE m.user_id = $1 ORDER BY p.created_at DESC, p.id DESC`,
		[]any{string(user)}, scanMembership)
}

// ProjectsOf implements core.ProjectStore.
func (s *store) ProjectsOf(ctx context.Context, user core.UserID) ([]core.MemberProject, error) {
	scan := func(r row) (core.MemberProject, error) {
		var m core.MemberProject
		err := r.Scan(append(membershipFields(&m.Membership), projectFields(&m.Of)...)...)
		return m, err
	}
	return readAll(ctx, s, "projects of a user", "SELECT "+membershipColumns+", "+projectColumns+`
		FROM memberships m JOIN projects p ON p.id = m.project_id
		WHERE m.user_id = $1 ORDER BY p.created_at DESC, p.id DESC`,
		[]any{string(user)}, scan)
}

// Members implements core.ProjectStore.
func (s *store) Members(ctx context.Context, project core.ProjectID) ([]core.Member, error) {
	scan := func(r row) (core.Member, error) {
		var m core.Member
		err := r.Scan(append(membershipFields(&m.Membership), userFields(&m.Person)...)...)
		return m, err
	}
	return readAll(ctx, s, "members", "SELECT "+membershipColumns+", "+userColumns+`
		FROM memberships m JOIN users u ON u.id = m.user_id
		WHERE m.project_id = $1 ORDER BY m.created_at, m.user_id`,
		[]any{string(project)}, scan)
}
