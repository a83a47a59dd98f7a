package skill

import (
	"context"
	"io"
	"maps"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// Depot is where bytes are written and read; see internal/blob.
type Depot interface {
	Stage(ctx context.Context, project core.ProjectID, r io.Reader, limit int64) (core.Blob, error)
	Discard(ctx context.Context, project core.ProjectID, blobs ...core.Blob)
	Open(ctx context.Context, b core.Blob) (io.ReadSeekCloser, error)
	Wake()
}

// Service is used from several goroutines.
type Service struct {
	store core.Store
	depot Depot
	now   func() time.Time
}

// New makes the service. now may be nil: the wall clock.
func New(store core.Store, depot Depot, now func() time.Time) *Service {
	if now == nil {
		now = time.Now
	}
	return &Service{store: store, depot: depot, now: now}
}

// clock returns the time as the store keeps it.
func (s *Service) clock() time.Time { return s.now().UTC().Truncate(time.Microsecond) }

// Discard deletes a bundle of which no version was made.
func (s *Service) Discard(ctx context.Context, by core.Principal, b *Bundle) {
	s.depot.Discard(ctx, by.Project, b.Blob)
}

// NewSkill is what becomes a skill with one version.
type NewSkill struct {
	ID       core.SkillID // empty: made
	Title    *string      // nil: none
	Metadata map[string]string
	Bundle   *Bundle
}

// Create makes a skill and its first version.
//
// Errors: Forbidden (below admin); Invalid, naming the field; Conflict ("skill_already_exists"); Timeout
// ("upload_took_too_long"), when the bundle was deleted meanwhile.
func (s *Service) Create(ctx context.Context, by core.Principal, n NewSkill, l Limits) (core.Skill, error) {
	if err := by.Require(core.RoleAdmin); err != nil {
		return core.Skill{}, err
	}
	if err := l.checkTitle(n.Title); err != nil {
		return core.Skill{}, err
	}
	if err := checkMetadata(n.Metadata); err != nil {
		return core.Skill{}, err
	}
	if n.ID == "" {
		n.ID = core.NewID[core.SkillID]()
	}
	version := core.NewID[core.SkillVersionID]()
	var made core.Skill
	err := s.store.Tx(ctx, func(tx core.Store) error {
		now := s.clock()
		made = core.Skill{
			Project: by.Project, ID: n.ID, Name: n.Bundle.Name, Title: n.Title, Metadata: maps.Clone(n.Metadata),
			CreatedAt: now, UpdatedAt: now,
		}
		if made.Metadata == nil {
			made.Metadata = map[string]string{}
		}
		if err := tx.CreateSkill(ctx, made); err != nil {
			return err
		}
		_, err := s.add(ctx, tx, &made, version, n.Bundle)
		return err
	})
	if err != nil {
		return core.Skill{}, err
	}
	return made, nil
}

// add makes a version of a skill that the transaction holds, and brings the skill up to date.
func (s *Service) add(ctx context.Context, tx core.Store, of *core.Skill, id core.SkillVersionID, b *Bundle) (core.SkillVersion, error) {
	now := s.clock()
	v := core.SkillVersion{
		Project: of.Project, Skill: of.ID, ID: id, Number: max(now.UnixMicro(), of.Mark+1), Blob: b.Blob,
		Name: b.Name, Description: b.Description, Directory: b.Directory, Files: b.Files, CreatedAt: now,
	}
	err := tx.CreateSkillVersion(ctx, v)
	if core.CodeOf(err) == "stray_not_found" {
		err = &core.Error{Kind: core.Timeout, Code: "upload_took_too_long", Message: "the upload took too long", Err: err}
	}
	if err != nil {
		return v, err
	}
	of.Latest, of.LatestID, of.Mark, of.UpdatedAt = v.Number, v.ID, v.Number, now
	return v, tx.UpdateSkill(ctx, *of)
}

// Skill returns a skill. Errors: Forbidden; NotFound.
func (s *Service) Skill(ctx context.Context, by core.Principal, id core.SkillID) (core.Skill, error) {
	if err := by.RequireSkills(); err != nil {
		return core.Skill{}, err
	}
	return s.store.Skill(ctx, by.Project, id)
}

// Skills lists the project's skills, newest first. Errors: Forbidden; Invalid (limit outside of 1 to 1001).
func (s *Service) Skills(ctx context.Context, by core.Principal, page core.SkillPage) ([]core.Skill, error) {
	if err := by.RequireSkills(); err != nil {
		return nil, err
	}
	if err := checkLimit(page.Limit); err != nil {
		return nil, err
	}
	return s.store.Skills(ctx, by.Project, page)
}

func checkLimit(limit int) error {
	if limit < 1 || limit > maxPage {
		return core.InvalidField("limit", "must be between 1 and %d", maxPage-1)
	}
	return nil
}

// Delete removes a skill and all of its versions for good. Agents that use it are left alone: they start no
// new session. Errors: Forbidden (below admin); NotFound.
func (s *Service) Delete(ctx context.Context, by core.Principal, id core.SkillID) error {
	if err := by.Require(core.RoleAdmin); err != nil {
		return err
	}
	if err := s.store.DeleteSkill(ctx, by.Project, id, s.clock()); err != nil {
		return err
	}
	s.depot.Wake()
	return nil
}
