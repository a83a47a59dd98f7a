package identity

import (
	"context"
	"fmt"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// IssueToken asks for a new access token.
type IssueToken struct {
	Project   core.ProjectID // empty: the installation's oldest active project
	Spelling  Spelling       // empty: SpellingAccess
	Role      core.Role      // empty: RoleAdmin
	Name      string         // ≤ 255 characters; may be empty
	ExpiresAt time.Time      // zero: never
	CreatedBy core.UserID    // empty: the server itself
}

// maxKeyName is the longest name of a key, in characters (reference otas.md, 1.4).
const maxKeyName = 255

// IssueToken makes an access token. Its plain text is in the result and nowhere else.
//
// It asks for no principal: who may call it, the operator at the command line or an administrator,
// is the caller's business.
//
// Errors: NotFound (project); Invalid.
func (s *Service) IssueToken(ctx context.Context, in IssueToken) (string, core.Credential, error) {
	project, err := s.tokenProject(ctx, in.Project)
	if err != nil {
		return "", core.Credential{}, err
	}
	plain, c, err := s.newToken(project, in)
	if err != nil {
		return "", core.Credential{}, err
	}
	if err := s.store.CreateCredential(ctx, c); err != nil {
		return "", core.Credential{}, fmt.Errorf("store access token: %w", err)
	}
	return plain, c, nil
}

func (s *Service) tokenProject(ctx context.Context, id core.ProjectID) (core.ProjectID, error) {
	if id != "" {
		return id, s.liveProject(ctx, id)
	}
	all, err := s.store.Projects(ctx)
	if err != nil {
		return "", fmt.Errorf("list projects: %w", err)
	}
	for _, p := range all { // oldest first
		if p.Active {
			return p.ID, nil
		}
	}
	if len(all) > 0 {
		return "", core.Errorf(core.NotFound, "project_not_found", "every project is deactivated: a token would not work")
	}
	return "", core.Errorf(core.NotFound, "project_not_found", "there is no project yet: start the server once, it makes the first one")
}

// newToken draws the token and checks what was asked for.
func (s *Service) newToken(project core.ProjectID, in IssueToken) (string, core.Credential, error) {
	if in.Spelling == "" {
		in.Spelling = SpellingAccess
	}
	if in.Role == "" {
		in.Role = core.RoleAdmin
	}
	label := in.Spelling.label()
	switch {
	case label == "":
		return "", core.Credential{}, core.InvalidField("kind", "%q is not one of %v", in.Spelling, Spellings)
	case !in.Role.Valid():
		return "", core.Credential{}, core.InvalidField("role", "%q is not one of admin, member, viewer", in.Role)
	case !in.ExpiresAt.IsZero() && !in.ExpiresAt.After(s.clock()):
		return "", core.Credential{}, core.InvalidField("expires_at", "it lies in the past")
	}
	name, err := keyName(in.Name)
	if err != nil {
		return "", core.Credential{}, err
	}
	plain, c := s.newKey(label, project, 0)
	c.Role, c.Name, c.CreatedBy = in.Role, name, in.CreatedBy
	if !in.ExpiresAt.IsZero() {
		c.ExpiresAt = in.ExpiresAt.UTC().Truncate(time.Microsecond)
	}
	return plain, c, nil
}
