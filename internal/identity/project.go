package identity

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/reeve-ai/reeve/internal/core"
)

// Limits of a project's texts, in characters (reference otas.md, 1.2).
const (
	maxProjectName        = 255
	maxProjectDescription = 300
	maxProjectDomain      = 200
)

// NewProject is what the creator of a project tells. Domain nil: never given.
type NewProject struct {
	Name        string
	Description string
	Domain      *string // "", an http or https URL, or a host with or without port
}

// CreateProject makes a project with the caller as its administrator.
//
// Errors: Forbidden (no person); Invalid, as NewProject.Validate has it.
func (s *Service) CreateProject(ctx context.Context, by core.Principal, in NewProject) (core.Project, error) {
	if by.Kind != core.PrincipalUser {
		return core.Project{}, core.Errorf(core.Forbidden, "forbidden", "only a person may create a project, with a user token")
	}
	p, err := s.newProject(by.User, in)
	if err != nil {
		return core.Project{}, err
	}
	err = s.store.Tx(ctx, func(tx core.Store) error { return createProject(ctx, tx, p) })
	if err != nil {
		return core.Project{}, fmt.Errorf("create project: %w", err)
	}
	return p, nil
}

func (s *Service) newProject(by core.UserID, in NewProject) (core.Project, error) {
	if err := in.Validate(); err != nil {
		return core.Project{}, err
	}
	now := s.clock()
	p := core.Project{
		ID:          core.NewID[core.ProjectID](),
		Name:        strings.TrimSpace(in.Name),
		Description: strings.TrimSpace(in.Description),
		Active:      true,
		CreatedBy:   by,
		CreatedAt:   now,
		UpdatedAt:   now,
	}
	if in.Domain != nil {
		domain := strings.TrimSpace(*in.Domain)
		p.Domain = &domain
	}
	return p, nil
}

// Validate reports all that is wrong at once: one core.Error for each field at fault ("name",
// "description", "domain"), joined; nil if nothing is. Its codes: "required", "field_too_long",
// "invalid_field".
func (in NewProject) Validate() error {
	var errs []error
	switch name := strings.TrimSpace(in.Name); {
	case name == "":
		errs = append(errs, &core.Error{Kind: core.Invalid, Code: "required", Field: "name", Message: "name is required"})
	case utf8.RuneCountInString(name) > maxProjectName:
		errs = append(errs, tooLong("name"))
	}
	if utf8.RuneCountInString(in.Description) > maxProjectDescription { // before trimming: reference 3.6
		errs = append(errs, tooLong("description"))
	}
	if in.Domain != nil {
		domain := strings.TrimSpace(*in.Domain)
		if utf8.RuneCountInString(domain) > maxProjectDomain {
			errs = append(errs, tooLong("domain"))
		} else if !validDomain(domain) {
			errs = append(errs, core.InvalidField("domain", "it must be an http or https URL or a host name"))
		}
	}
	return errors.Join(errs...)
}

// validDomain accepts nothing, a web address or a bare host (reference otas.md, section 8, C9).
func validDomain(s string) bool {
	if s == "" {
		return true
	}
	if strings.ContainsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) {
		return false
	}
	if !strings.Contains(s, "://") {
		u, err := url.Parse("https://" + s)
		return err == nil && u.Hostname() != "" && u.User == nil
	}
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && u.User == nil
}

// createProject stores a project and its creator's membership.
func createProject(ctx context.Context, tx core.Store, p core.Project) error {
	if err := tx.CreateProject(ctx, p); err != nil {
		return err
	}
	return tx.PutMembership(ctx, core.Membership{
		Project:   p.ID,
		User:      p.CreatedBy,
		Role:      core.RoleAdmin,
		Active:    true,
		CreatedAt: p.CreatedAt,
		UpdatedAt: p.CreatedAt,
	})
}

// ProjectOf is a project as one person sees it.
type ProjectOf struct {
	core.Project
	Role core.Role // the person's
}

// Projects lists the projects to which a person has an active membership, newest first: those that are
// active, or all. It is never nil, and costs one read.
//
// Errors: Forbidden (no person).
func (s *Service) Projects(ctx context.Context, by core.Principal, includeInactive bool) ([]ProjectOf, error) {
	if by.Kind != core.PrincipalUser {
		return nil, core.Errorf(core.Forbidden, "forbidden", "only a person has projects to list, with a user token")
	}
	all, err := s.store.ProjectsOf(ctx, by.User)
	if err != nil {
		return nil, fmt.Errorf("list projects: %w", err)
	}
	out := make([]ProjectOf, 0, len(all))
	for _, m := range all {
		if m.Active && (m.Of.Active || includeInactive) {
			out = append(out, ProjectOf{Project: m.Of, Role: m.Role})
		}
	}
	return out, nil
}

// DeactivateProject switches a project off: none of its keys, tokens, sessions and members work until
// ReactivateProject. It returns the project as it is now.
//
// Errors: Forbidden (below admin, or no person: a token could not switch it on again).
func (s *Service) DeactivateProject(ctx context.Context, by core.Principal) (core.Project, error) {
	if err := by.Require(core.RoleAdmin); err != nil {
		return core.Project{}, err
	}
	if by.Kind != core.PrincipalUser {
		return core.Project{}, core.Errorf(core.Forbidden, "forbidden", "only a person may deactivate a project, with a user token")
	}
	p, err := s.setActive(ctx, by.User, by.Project, false)
	if core.KindOf(err) == core.NotFound {
		err = core.Errorf(core.Forbidden, "forbidden", "the caller is no longer an administrator of the project")
	}
	return p, err
}

// ReactivateProject switches a project on again. The caller is a person, as User returns them, and an active
// administrator of it. It returns the project as it is now; one that was active stays as it is.
//
// Errors: Forbidden (no person); NotFound ("project_not_found", whatever the reason).
func (s *Service) ReactivateProject(ctx context.Context, by core.Principal, id core.ProjectID) (core.Project, error) {
	if by.Kind != core.PrincipalUser {
		return core.Project{}, core.Errorf(core.Forbidden, "forbidden", "only a person may reactivate a project, with a user token")
	}
	return s.setActive(ctx, by.User, id, true)
}

// setActive switches a project. The administrator is checked in the same transaction, so that one who is
// being removed does not switch any more. NotFound if they are none.
func (s *Service) setActive(ctx context.Context, admin core.UserID, id core.ProjectID, active bool) (core.Project, error) {
	none := core.NotFoundError("project", core.FormatUUID(id))
	var p core.Project
	err := s.store.Tx(ctx, func(tx core.Store) (err error) {
		if p, err = tx.Project(ctx, id); err != nil { // holds the project
			return err
		}
		m, err := tx.Membership(ctx, id, admin)
		if err != nil {
			return err
		}
		if !m.Active || m.Role != core.RoleAdmin {
			return none
		}
		if p.Active == active {
			return nil
		}
		p.Active, p.UpdatedAt = active, s.clock()
		return tx.UpdateProject(ctx, p)
	})
	if core.KindOf(err) == core.NotFound {
		return core.Project{}, none
	}
	if err != nil {
		return core.Project{}, fmt.Errorf("switch project: %w", err)
	}
	return p, nil
}

// Project returns the caller's own project.
//
// Errors: Forbidden (no part in any project); NotFound.
func (s *Service) Project(ctx context.Context, by core.Principal) (core.Project, error) {
	if err := by.Require(core.RoleViewer); err != nil {
		return core.Project{}, err
	}
	return s.store.Project(ctx, by.Project)
}

// Member returns a person as the principal of one project, and the project. No membership, an
// inactive one and an inactive project are all the same: not found.
//
// Errors: NotFound ("project_not_found").
func (s *Service) Member(ctx context.Context, user core.UserID, project core.ProjectID) (core.Principal, core.Project, error) {
	none := core.NotFoundError("project", core.FormatUUID(project))
	m, err := s.store.Membership(ctx, project, user)
	if core.KindOf(err) == core.NotFound || err == nil && !m.Active {
		return core.Principal{}, core.Project{}, none
	}
	if err != nil {
		return core.Principal{}, core.Project{}, fmt.Errorf("read membership: %w", err)
	}
	p, err := s.store.Project(ctx, project)
	if core.KindOf(err) == core.NotFound || err == nil && !p.Active {
		return core.Principal{}, core.Project{}, none
	}
	if err != nil {
		return core.Principal{}, core.Project{}, fmt.Errorf("read project: %w", err)
	}
	by := core.Principal{Kind: core.PrincipalUser, Project: p.ID, Role: m.Role, User: user}
	return by, p, nil
}
