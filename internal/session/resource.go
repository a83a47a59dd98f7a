package session

import (
	"context"
	"slices"

	"github.com/reeve-ai/reeve/internal/core"
)

// Resources returns what a session has attached, in the order in which it was attached.
//
// Errors: NotFound; Forbidden.
func (s *Service) Resources(ctx context.Context, by core.Principal, id core.SessionID) ([]core.Resource, error) {
	sess, err := s.Session(ctx, by, id)
	return sess.Resources, err
}

// Resource returns one of them. Errors: NotFound ("session_not_found", "session_resource_not_found"); Forbidden.
func (s *Service) Resource(ctx context.Context, by core.Principal, id core.SessionID, resource core.ResourceID) (core.Resource, error) {
	sess, err := s.Session(ctx, by, id)
	if err != nil {
		return core.Resource{}, err
	}
	i, err := place(sess, resource)
	if err != nil {
		return core.Resource{}, err
	}
	return sess.Resources[i], nil
}

func place(sess core.Session, id core.ResourceID) (int, error) {
	i := slices.IndexFunc(sess.Resources, func(r core.Resource) bool { return r.ID == id })
	if i < 0 {
		return 0, core.NotFoundError("session_resource", string(id))
	}
	return i, nil
}

// AddOptions vary AddResource by dialect.
type AddOptions struct {
	OnceEach bool // one file can be attached once (qoder.md section 3.3)
}

// AddResource attaches a file to a session; it appears in the sandbox with the next turn. If the session has a
// resource of that ID already, it is returned and nothing changes.
//
// Errors: NotFound; Forbidden (below member); Invalid, naming the field (not a file, "file_not_found", a path that
// is taken, limits, "self_hosted_resources_unsupported", "session_archived", "session_observed"); Conflict
// ("file_already_attached").
func (s *Service) AddResource(ctx context.Context, by core.Principal, id core.SessionID, r core.Resource, o AddOptions) (core.Resource, error) {
	if err := by.Require(core.RoleMember); err != nil {
		return core.Resource{}, err
	}
	if r.Type != core.ResourceFile {
		return core.Resource{}, core.InvalidField("type", "only files can be added to a session; the others are attached when it is made")
	}
	var added core.Resource
	err := s.changeResources(ctx, by, id, func(tx core.Store, sess *core.Session) (bool, error) {
		if i, err := place(*sess, r.ID); err == nil {
			added = sess.Resources[i]
			return false, nil
		}
		env, err := environmentOf(ctx, tx, *sess)
		if err != nil {
			return false, err
		}
		plan := []attaching{{Resource: r}}
		if err := s.plan(ctx, tx, *sess, env, plan, o); err != nil {
			return false, err
		}
		made, err := s.attach(ctx, tx, *sess, plan, s.now())
		if err != nil {
			return false, err
		}
		added = made[0]
		sess.Resources = append(slices.Clone(sess.Resources), added)
		return true, nil
	})
	return added, err
}

// plan judges a file that a session is to get besides what it has.
func (s *Service) plan(ctx context.Context, tx core.Store, sess core.Session, env core.EnvironmentConfig, plan []attaching, o AddOptions) error {
	if err := plan[0].check(); err != nil {
		return err
	}
	var ids []core.FileID
	for _, other := range sess.Resources {
		if err := apart(&plan[0], other, o.OnceEach); err != nil {
			return err
		}
		if other.Type == core.ResourceFile {
			ids = append(ids, other.File)
		}
	}
	if len(ids) >= MaxFiles {
		return core.InvalidField("type", "a session has at most %d files", MaxFiles)
	}
	if err := s.find(ctx, tx, sess.Project, env, plan); err != nil {
		return err
	}
	have, err := filesOf(ctx, tx, sess.Project, ids, s.now())
	if err != nil {
		return err
	}
	var bytes int64
	for _, f := range have {
		bytes += f.Bytes
	}
	return checkSize(plan, bytes)
}

// RotateToken replaces the token of a repository. It counts for clones that are yet to be made.
//
// Errors: NotFound; Forbidden (below member); Invalid, naming the field (not a repository, a bad token,
// "session_archived").
func (s *Service) RotateToken(ctx context.Context, by core.Principal, id core.SessionID, resource core.ResourceID, token core.Clear) (core.Resource, error) {
	if err := by.Require(core.RoleMember); err != nil {
		return core.Resource{}, err
	}
	if err := checkToken("authorization_token", token); err != nil {
		return core.Resource{}, err
	}
	var rotated core.Resource
	err := s.changeResources(ctx, by, id, func(_ core.Store, sess *core.Session) (bool, error) {
		i, err := place(*sess, resource)
		if err != nil {
			return false, err
		}
		rotated = sess.Resources[i]
		if rotated.Type != core.ResourceRepository {
			return false, core.InvalidField("authorization_token", "only repositories have one")
		}
		rotated.Clear, rotated.UpdatedAt = token, s.now()
		if err := s.seal(&rotated, sess.Project, ownerSession, string(sess.ID)); err != nil {
			return false, err
		}
		sess.Resources = slices.Clone(sess.Resources)
		sess.Resources[i] = rotated
		return true, nil
	})
	return rotated, err
}

// DeleteResource detaches a file, with the session's copy of it, or a repository, of which what was cloned stays in
// the working folder. Memory stores stay attached as long as the session lives.
//
// Errors: NotFound; Forbidden (below member); Invalid (a memory store; "session_archived").
func (s *Service) DeleteResource(ctx context.Context, by core.Principal, id core.SessionID, resource core.ResourceID) error {
	if err := by.Require(core.RoleMember); err != nil {
		return err
	}
	return s.changeResources(ctx, by, id, func(tx core.Store, sess *core.Session) (bool, error) {
		i, err := place(*sess, resource)
		if err != nil {
			return false, err
		}
		switch r := sess.Resources[i]; r.Type {
		case core.ResourceMemoryStore:
			return false, core.Errorf(core.Invalid, "resource_stays", "a memory store stays attached as long as the session lives")
		case core.ResourceFile:
			if err := tx.DeleteFile(ctx, sess.Project, r.File, s.now()); err != nil && core.KindOf(err) != core.NotFound {
				return false, err
			}
		}
		sess.Resources = slices.Delete(slices.Clone(sess.Resources), i, i+1)
		return true, nil
	})
}

// changeResources runs fn on a session that can be changed, and stores what it has attached then if fn says that it
// changed.
func (s *Service) changeResources(ctx context.Context, by core.Principal, id core.SessionID, fn func(core.Store, *core.Session) (bool, error)) error {
	return s.store.Tx(ctx, func(tx core.Store) error {
		sess, err := tx.Session(ctx, by.Project, id)
		switch {
		case err != nil:
			return err
		case sess.Origin != core.OriginManaged:
			return core.Errorf(core.Invalid, "session_observed", "the agent of this session runs elsewhere: nothing can be attached to it")
		case !sess.ArchivedAt.IsZero():
			return errArchived
		}
		if changed, err := fn(tx, &sess); err != nil || !changed {
			return err
		}
		sess.UpdatedAt = s.now()
		return tx.UpdateSession(ctx, sess)
	})
}

// environmentOf is the recipe of a session's sandbox; of one that is gone the zero value.
func environmentOf(ctx context.Context, tx core.Store, sess core.Session) (core.EnvironmentConfig, error) {
	env, err := tx.Environment(ctx, sess.Project, sess.Environment)
	if core.KindOf(err) == core.NotFound {
		return core.EnvironmentConfig{}, nil
	}
	return env.Config, err
}
