package session

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/reeve-ai/reeve/internal/core"
)

// Limits of what a session has attached: claude-managed-agents.md sections 1.7 and 3.6. For repositories and
// bytes none are published; these are Reeve's own.
const (
	MaxFiles        = 500
	MaxMemoryStores = 8
	MaxRepositories = 20
	MaxFileBytes    = 10 << 30 // of a session's files together: the disk of a sandbox
	maxInstructions = 4096     // characters
)

// Owners of sealed tokens, for core.Sealer.
const (
	ownerSession    = "session"
	ownerDeployment = "deployment"
)

// UseSealer has the tokens of repositories sealed. Without it sessions take none. It is called before the
// service is used.
func (s *Service) UseSealer(sealer core.Sealer) { s.sealer = sealer }

// attaching is a resource that a session is to get: the plan of it, and what it is made of.
type attaching struct {
	core.Resource
	field string // as the client spells it
	file  core.File
}

// at spells one of its members.
func (a *attaching) at(member string) string {
	if a.field == "" {
		return member
	}
	return a.field + "." + member
}

// planned judges what needs no look into the store. onceEach refuses to attach one file twice (qoder.md section 3.3).
func planned(field string, wanted []core.Resource, onceEach bool) ([]attaching, error) {
	plan := make([]attaching, len(wanted))
	counts := map[core.ResourceType]int{}
	for i, r := range wanted {
		plan[i] = attaching{Resource: r, field: indexed(field, i)}
		if err := plan[i].check(); err != nil {
			return nil, err
		}
		counts[r.Type]++
	}
	for kind, most := range map[core.ResourceType]int{
		core.ResourceFile: MaxFiles, core.ResourceMemoryStore: MaxMemoryStores, core.ResourceRepository: MaxRepositories,
	} {
		if counts[kind] > most {
			return nil, core.InvalidField(field, "at most %d of type %s", most, kind)
		}
	}
	for i := range plan {
		for _, b := range plan[:i] {
			if err := apart(&plan[i], b.Resource, onceEach); err != nil {
				return nil, err
			}
		}
	}
	return plan, nil
}

// apart refuses what cannot be attached beside another.
func apart(a *attaching, b core.Resource, onceEach bool) error {
	switch {
	case a.Type == core.ResourceMemoryStore && b.Type == a.Type && b.Store == a.Store:
		return core.InvalidField(a.at("memory_store_id"), "is attached twice")
	case a.Type == core.ResourceMemoryStore, b.Type == core.ResourceMemoryStore: // where they are is given by us
	case onceEach && a.Type == core.ResourceFile && b.Type == a.Type && b.Source == a.Source:
		return &core.Error{
			Kind: core.Conflict, Code: "file_already_attached", Field: a.field + ".file_id", Message: a.at("file_id") + ": the file is attached already",
		}
	case a.MountPath == b.MountPath:
		return core.InvalidField(a.at("mount_path"), "%s is taken", a.MountPath)
	case strings.HasPrefix(a.MountPath, b.MountPath+"/"), strings.HasPrefix(b.MountPath, a.MountPath+"/"):
		return core.InvalidField(a.at("mount_path"), "%s and %s lie in one another", a.MountPath, b.MountPath)
	}
	return nil
}

// check judges one resource by itself, and completes its path.
func (a *attaching) check() (err error) {
	switch a.Type {
	case core.ResourceFile:
		a.MountPath, err = uploadPath(a.at("mount_path"), a.MountPath, a.Source)
		return err
	case core.ResourceMemoryStore:
		if utf8.RuneCountInString(a.Instructions) > maxInstructions {
			return core.InvalidField(a.at("instructions"), "at most %d characters", maxInstructions)
		}
		return nil
	case core.ResourceRepository:
		return a.checkRepository()
	}
	return core.InvalidField(a.at("type"), "%q is not a kind of resource", string(a.Type))
}

func (a *attaching) checkRepository() error {
	name, err := checkURL(a.at("url"), a.URL)
	if err != nil {
		return err
	}
	if a.MountPath, err = repositoryPath(a.at("mount_path"), a.MountPath, name); err != nil {
		return err
	}
	if a.Branch != "" {
		if err := checkBranch(a.at("checkout.name"), a.Branch); err != nil {
			return err
		}
	}
	if a.Commit != "" && !commitHash.MatchString(a.Commit) {
		return core.InvalidField(a.at("checkout.sha"), "must be 7 to 64 lower-case hex digits")
	}
	if a.Clear != "" {
		return checkToken(a.at("authorization_token"), a.Clear)
	}
	return nil
}

// planResources judges what a new session is to get attached, and the files that its first messages show.
func (s *Service) planResources(ctx context.Context, tx core.Store, project core.ProjectID, n NewSession) ([]attaching, error) {
	if err := s.checkSources(ctx, tx, project, "initial_events", n.Inputs); err != nil {
		return nil, err
	}
	if len(n.Resources) == 0 {
		return nil, nil
	}
	plan, err := planned("resources", n.Resources, n.OnceEach)
	if err != nil {
		return nil, err
	}
	env, err := tx.Environment(ctx, project, n.Environment)
	if err != nil {
		return nil, err
	}
	if err := s.find(ctx, tx, project, env.Config, plan); err != nil {
		return nil, err
	}
	return plan, checkSize(plan, 0)
}

// find loads what a plan refers to. What is not there is Invalid, with a code that says so.
func (s *Service) find(ctx context.Context, tx core.Store, project core.ProjectID, env core.EnvironmentConfig, plan []attaching) error {
	var ids []core.FileID
	for _, a := range plan {
		if env.SelfHosted && a.Type != core.ResourceMemoryStore {
			return reference("self_hosted_resources_unsupported", a.at("type"), "a self-hosted environment takes only memory_store")
		}
		if a.Type == core.ResourceFile {
			ids = append(ids, a.Source)
		}
	}
	found, err := filesOf(ctx, tx, project, ids, s.now())
	if err != nil {
		return err
	}
	taken := map[string]bool{}
	for i := range plan {
		a := &plan[i]
		switch a.Type {
		case core.ResourceFile:
			var there bool
			if a.file, there = found[a.Source]; !there {
				return reference("file_not_found", a.at("file_id"), "file file_%s was not found", a.Source)
			}
		case core.ResourceMemoryStore:
			if err := a.findStore(ctx, tx, project, taken); err != nil {
				return err
			}
		}
	}
	return nil
}

// filesOf loads files that are there and have not expired.
func filesOf(ctx context.Context, tx core.Store, project core.ProjectID, ids []core.FileID, now time.Time) (map[core.FileID]core.File, error) {
	found := map[core.FileID]core.File{}
	if len(ids) == 0 {
		return found, nil
	}
	list, err := tx.FilesByID(ctx, project, ids)
	if err != nil {
		return nil, err
	}
	for _, f := range list {
		if !f.Expired(now) {
			found[f.ID] = f
		}
	}
	return found, nil
}

func (a *attaching) findStore(ctx context.Context, tx core.Store, project core.ProjectID, taken map[string]bool) error {
	m, err := tx.MemoryStore(ctx, project, a.Store)
	switch {
	case core.KindOf(err) == core.NotFound:
		return reference("session_resource_not_found", a.at("memory_store_id"), "memory store memstore_%s was not found", a.Store)
	case err != nil:
		return err
	case !m.ArchivedAt.IsZero():
		return reference("memory_store_archived", a.at("memory_store_id"), "memory store memstore_%s is archived", a.Store)
	}
	folder := slug(m)
	for n := 2; taken[folder]; n++ {
		folder = slug(m) + "-" + strconv.Itoa(n)
	}
	taken[folder] = true
	a.Name, a.Description, a.MountPath = m.Name, m.Description, core.MemoryFolder+"/"+folder
	return nil
}

// checkSize bounds the bytes of a session's files.
func checkSize(plan []attaching, have int64) error {
	for _, a := range plan {
		if have += a.file.Bytes; have > MaxFileBytes {
			return core.InvalidField(a.at("file_id"), "the files of a session may have at most %d bytes together", int64(MaxFileBytes))
		}
	}
	return nil
}

// attach makes the plan's resources the session's own: files are copied, tokens sealed.
func (s *Service) attach(ctx context.Context, tx core.Store, sess core.Session, plan []attaching, now time.Time) ([]core.Resource, error) {
	var made []core.Resource
	for _, a := range plan {
		r := a.Resource
		if r.ID == "" {
			r.ID = core.NewID[core.ResourceID]()
		}
		r.CreatedAt, r.UpdatedAt = now, now
		switch r.Type {
		case core.ResourceFile:
			r.File = core.NewID[core.FileID]()
			err := tx.CopyFile(ctx, core.File{
				Project: sess.Project, ID: r.File, Name: a.file.Name, MediaType: a.file.MediaType, Downloadable: true, Session: sess.ID,
				Metadata: json.RawMessage(`{}`), CreatedAt: now,
			}, r.Source)
			if err != nil {
				return nil, fmt.Errorf("copy file %s for session %s: %w", r.Source, sess.ID, err)
			}
		case core.ResourceRepository:
			r.Token = nil
			if err := s.seal(&r, sess.Project, ownerSession, string(sess.ID)); err != nil {
				return nil, err
			}
		}
		made = append(made, r)
	}
	return made, nil
}

// seal puts a repository's token where it can be stored.
func (s *Service) seal(r *core.Resource, project core.ProjectID, owner, id string) (err error) {
	if r.Clear == "" {
		return nil
	}
	if s.sealer == nil {
		return core.Errorf(core.Unavailable, "tokens_unavailable", "this server keeps no tokens")
	}
	r.Token, err = s.sealer.Seal(project, owner, id, r.Clear)
	r.Clear = ""
	return err
}

// SealResources returns a deployment's resources as they are stored. The deployment itself stays as it is.
func (s *Service) SealResources(d core.Deployment) ([]core.Resource, error) {
	var sealed []core.Resource
	for _, r := range d.Resources {
		if err := s.seal(&r, d.Project, ownerDeployment, string(d.ID)); err != nil {
			return nil, err
		}
		sealed = append(sealed, r)
	}
	return sealed, nil
}

// unsealed returns a deployment's resources with their tokens in clear text.
func (s *Service) unsealed(d core.Deployment) ([]core.Resource, error) {
	var list []core.Resource
	for _, r := range d.Resources {
		if r.Token != nil {
			if s.sealer == nil {
				return nil, core.Errorf(core.Unavailable, "tokens_unavailable", "this server keeps no tokens")
			}
			clear, err := s.sealer.Unseal(d.Project, ownerDeployment, string(d.ID), r.Token)
			if err != nil {
				return nil, err
			}
			r.Clear, r.Token = clear, nil
		}
		list = append(list, r)
	}
	return list, nil
}
