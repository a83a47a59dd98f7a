package identity

import (
	"context"
	"fmt"

	"github.com/reeve-ai/reeve/internal/core"
)

// Bootstrap is what the first start makes. Password and Token are plain texts that exist nowhere
// else: show them to the operator, once.
type Bootstrap struct {
	User     core.User
	Password string
	Project  core.Project
	Token    string // an access token of the project, with the role admin
}

// AdminEmail is the name under which the first administrator logs in.
const AdminEmail = "admin@localhost"

// passwordSize gives the first password 119 bits.
const passwordSize = 20

// Bootstrap makes an administrator, a project and an access token on an empty installation, all or
// nothing. It reports false, and makes nothing, when there is a project already; of several nodes
// that start at once, one makes them.
func (s *Service) Bootstrap(ctx context.Context) (Bootstrap, bool, error) {
	all, err := s.store.Projects(ctx)
	if err != nil {
		return Bootstrap{}, false, fmt.Errorf("list projects: %w", err)
	}
	if len(all) > 0 {
		return Bootstrap{}, false, nil
	}
	out, err := s.draft(ctx)
	if err != nil {
		return Bootstrap{}, false, err
	}
	token, c, err := s.newToken(out.Project.ID, IssueToken{Name: "first token", CreatedBy: out.User.ID})
	if err != nil {
		return Bootstrap{}, false, err
	}
	out.Token = token
	made := false
	err = s.store.Tx(ctx, func(tx core.Store) error {
		made = false
		all, err := tx.Projects(ctx)
		if err != nil || len(all) > 0 {
			return err
		}
		if err := tx.CreateUser(ctx, out.User); err != nil {
			return err
		}
		if err := createProject(ctx, tx, out.Project); err != nil {
			return err
		}
		if err := tx.CreateCredential(ctx, c); err != nil {
			return err
		}
		made = true
		return nil
	})
	if core.KindOf(err) == core.Conflict {
		return Bootstrap{}, false, nil // another node was faster
	}
	if err != nil || !made {
		return Bootstrap{}, false, err
	}
	return out, true, nil
}

// draft makes the first user and project, not stored yet.
func (s *Service) draft(ctx context.Context) (Bootstrap, error) {
	password := randomText(passwordSize)
	hash, err := s.passwords.hash(ctx, password)
	if err != nil {
		return Bootstrap{}, err
	}
	now := s.clock()
	user := core.User{
		ID:           core.NewID[core.UserID](),
		FirstName:    "Admin",
		LastName:     "Reeve",
		Email:        AdminEmail,
		PasswordHash: hash,
		CreatedAt:    now,
		UpdatedAt:    now,
	}
	domain := ""
	project, err := s.newProject(user.ID, NewProject{Name: "Default", Domain: &domain})
	return Bootstrap{User: user, Password: password, Project: project}, err
}
