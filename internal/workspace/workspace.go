package workspace

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/turnstile"
)

// Part brings one kind of thing into sandboxes. Its folder is a place on the host that it alone uses for the
// session; it is made before and removed with the session.
type Part interface {
	// Name is a folder name, the same for ever.
	Name() string
	// Wanted reports, without any reading, whether the part has anything to do for the session. No other
	// method is called if it has not.
	Wanted(sess core.Session) bool
	// Open brings what is attached into folder, or into work, the session's working folder, and returns
	// where the sandbox shall see it. What is there already stays.
	Open(ctx context.Context, sess core.Session, folder, work string) ([]core.Mount, error)
	// Brief is what the agent is told; empty for nothing.
	Brief(ctx context.Context, sess core.Session) (string, error)
	// Settle takes what the agent changed in folder.
	Settle(ctx context.Context, sess core.Session, folder string) error
}

// Noter is a Part that has more to tell, from what it keeps in its folder, which may not be there yet.
type Noter interface {
	// Notes is told behind the Brief; empty for nothing.
	Notes(ctx context.Context, sess core.Session, folder string) (string, error)
}

// Service implements core.Workspaces on folders below a root.
type Service struct {
	root  string
	parts []Part
	busy  turnstile.Turnstile[core.SessionID] // sessions that somebody opens or settles now
}

var _ core.Workspaces = (*Service)(nil)

// New returns the service. The parts are asked in their order.
func New(root string, parts ...Part) *Service {
	return &Service{root: root, parts: parts}
}

// Folder is the host path of a session's working folder.
func (s *Service) Folder(project core.ProjectID, session core.SessionID) string {
	return filepath.Join(s.root, string(project), string(session))
}

// folder is where a part keeps what it brings. It lies beside the working folder, so that a sandbox that
// writes there writes nothing here.
func (s *Service) folder(sess core.Session, p Part) string {
	return filepath.Join(s.root, string(sess.Project), string(sess.ID)+".parts", p.Name())
}

// Open implements core.Workspaces.
func (s *Service) Open(ctx context.Context, sess core.Session) (core.Workspace, error) {
	leave, err := s.busy.Enter(ctx, sess.ID)
	if err != nil {
		return core.Workspace{}, err
	}
	defer leave()
	w := core.Workspace{Folder: s.Folder(sess.Project, sess.ID)}
	for _, p := range s.parts {
		if !p.Wanted(sess) {
			continue
		}
		folder := s.folder(sess, p)
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return core.Workspace{}, fmt.Errorf("make the folder of %s: %w", p.Name(), err)
		}
		mounts, err := p.Open(ctx, sess, folder, w.Folder)
		if err != nil {
			return core.Workspace{}, fmt.Errorf("bring %s into session %s: %w", p.Name(), sess.ID, err)
		}
		w.Mounts = append(w.Mounts, mounts...)
	}
	return w, nil
}

// Brief implements core.Workspaces.
func (s *Service) Brief(ctx context.Context, sess core.Session) (string, error) {
	var said []string
	for _, p := range s.parts {
		if !p.Wanted(sess) {
			continue
		}
		text, err := p.Brief(ctx, sess)
		if err != nil {
			return "", fmt.Errorf("describe %s of session %s: %w", p.Name(), sess.ID, err)
		}
		if text != "" {
			said = append(said, text)
		}
		if n, ok := p.(Noter); ok {
			if text, err = n.Notes(ctx, sess, s.folder(sess, p)); err != nil {
				return "", fmt.Errorf("describe %s of session %s: %w", p.Name(), sess.ID, err)
			}
			if text != "" {
				said = append(said, text)
			}
		}
	}
	return strings.Join(said, "\n\n"), nil
}

// Settle implements core.Workspaces. One part that fails keeps no other from its work.
func (s *Service) Settle(ctx context.Context, sess core.Session) error {
	leave, err := s.busy.Enter(ctx, sess.ID)
	if err != nil {
		return err
	}
	defer leave()
	var errs []error
	for _, p := range s.parts {
		if !p.Wanted(sess) {
			continue
		}
		if err := p.Settle(ctx, sess, s.folder(sess, p)); err != nil {
			errs = append(errs, fmt.Errorf("take %s of session %s: %w", p.Name(), sess.ID, err))
		}
	}
	return errors.Join(errs...)
}

// Forget removes the folders of a session that was deleted. That there are none is no error.
func (s *Service) Forget(ctx context.Context, project core.ProjectID, session core.SessionID) error {
	leave, err := s.busy.Enter(ctx, session)
	if err != nil {
		return err
	}
	defer leave()
	work := s.Folder(project, session)
	return errors.Join(os.RemoveAll(work), os.RemoveAll(work+".parts"))
}
