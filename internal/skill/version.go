package skill

import (
	"archive/zip"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/reeve-ai/reeve/internal/core"
)

// CreateVersion makes the next version of a skill. id may be empty: made.
//
// Errors: Forbidden (below admin); NotFound; Invalid (another name than the skill's, where the limits keep
// it); Conflict ("skill_version_already_exists"); Timeout ("upload_took_too_long").
func (s *Service) CreateVersion(ctx context.Context, by core.Principal, skill core.SkillID, id core.SkillVersionID, b *Bundle, l Limits) (core.SkillVersion, error) {
	if err := by.Require(core.RoleAdmin); err != nil {
		return core.SkillVersion{}, err
	}
	if id == "" {
		id = core.NewID[core.SkillVersionID]()
	}
	var made core.SkillVersion
	err := s.store.Tx(ctx, func(tx core.Store) error {
		of, err := tx.Skill(ctx, by.Project, skill)
		if err != nil {
			return err
		}
		if l.KeepsName && b.Name != of.Name {
			return l.fault(skillMD, "the name must stay %q; it is %q", of.Name, b.Name)
		}
		made, err = s.add(ctx, tx, &of, id, b)
		return err
	})
	if err != nil {
		return core.SkillVersion{}, err
	}
	return made, nil
}

// Version returns a version, which ref names by its number, by its id, or as the latest.
//
// Errors: Forbidden; NotFound ("skill_not_found", "skill_version_not_found").
func (s *Service) Version(ctx context.Context, by core.Principal, skill core.SkillID, ref string) (core.SkillVersion, error) {
	if err := by.RequireSkills(); err != nil {
		return core.SkillVersion{}, err
	}
	return version(ctx, s.store, by.Project, skill, ref)
}

func version(ctx context.Context, store core.Store, project core.ProjectID, skill core.SkillID, ref string) (core.SkillVersion, error) {
	of, err := store.Skill(ctx, project, skill)
	if err != nil {
		return core.SkillVersion{}, err
	}
	if ref == core.SkillVersionLatest && of.Latest != 0 {
		return store.SkillVersion(ctx, project, skill, of.Latest)
	}
	number, id, known := core.ParseSkillVersion(ref)
	switch {
	case !known:
		return core.SkillVersion{}, core.NotFoundError("skill_version", ref)
	case id != "":
		return store.SkillVersionByID(ctx, project, skill, id)
	}
	return store.SkillVersion(ctx, project, skill, number)
}

// Versions lists a skill's versions, newest first. Errors: Forbidden; NotFound; Invalid (limit outside of 1
// to 1001).
func (s *Service) Versions(ctx context.Context, by core.Principal, skill core.SkillID, page core.SkillVersionPage) ([]core.SkillVersion, error) {
	if err := by.RequireSkills(); err != nil {
		return nil, err
	}
	if err := checkLimit(page.Limit); err != nil {
		return nil, err
	}
	if _, err := s.store.Skill(ctx, by.Project, skill); err != nil {
		return nil, err
	}
	return s.store.SkillVersions(ctx, by.Project, skill, page)
}

// DeleteVersion removes a version for good and returns what it was. Its number never comes again.
//
// Errors: Forbidden (below admin); NotFound; Invalid ("last_version") for the only one, where the limits
// keep it.
func (s *Service) DeleteVersion(ctx context.Context, by core.Principal, skill core.SkillID, ref string, l Limits) (core.SkillVersion, error) {
	if err := by.Require(core.RoleAdmin); err != nil {
		return core.SkillVersion{}, err
	}
	var gone core.SkillVersion
	err := s.store.Tx(ctx, func(tx core.Store) error {
		of, err := tx.Skill(ctx, by.Project, skill)
		if err != nil {
			return err
		}
		if gone, err = version(ctx, tx, by.Project, skill, ref); err != nil {
			return err
		}
		newest, err := tx.SkillVersions(ctx, by.Project, skill, core.SkillVersionPage{Limit: 2})
		if err != nil {
			return err
		}
		if len(newest) == 1 && l.KeepsOne {
			return core.Errorf(core.Invalid, "last_version", "a skill has at least one version: delete the skill instead")
		}
		now := s.clock()
		if err := tx.DeleteSkillVersion(ctx, by.Project, skill, gone.Number, now); err != nil {
			return err
		}
		if of.Latest == gone.Number {
			of.Latest, of.LatestID = 0, ""
			if len(newest) == 2 {
				of.Latest, of.LatestID = newest[1].Number, newest[1].ID
			}
		}
		of.UpdatedAt = now
		return tx.UpdateSkill(ctx, of)
	})
	if err != nil {
		return core.SkillVersion{}, err
	}
	s.depot.Wake()
	return gone, nil
}

// Open returns a version and its archive, to be closed by the caller. Errors: as Version.
func (s *Service) Open(ctx context.Context, by core.Principal, skill core.SkillID, ref string) (core.SkillVersion, io.ReadSeekCloser, error) {
	if err := by.RequireSkills(); err != nil {
		return core.SkillVersion{}, nil, err
	}
	return s.open(ctx, by.Project, skill, ref)
}

func (s *Service) open(ctx context.Context, project core.ProjectID, skill core.SkillID, ref string) (core.SkillVersion, io.ReadSeekCloser, error) {
	v, err := version(ctx, s.store, project, skill, ref)
	if err != nil {
		return v, nil, err
	}
	archive, err := s.depot.Open(ctx, v.Blob)
	if core.CodeOf(err) == "blob_not_found" { // deleted since it was read
		err = core.NotFoundError("skill_version", ref)
	}
	return v, archive, err
}

// Content returns the archive of a version for the server's own use, to be closed by the caller. NotFound as
// Version.
func (s *Service) Content(ctx context.Context, project core.ProjectID, skill core.SkillID, ref string) (io.ReadSeekCloser, error) {
	_, archive, err := s.open(ctx, project, skill, ref)
	return archive, err
}

// Files calls each with every file of a version and its content, by path, for the server's own use: to put
// a skill into a sandbox. It returns the version, and stops at the first error. NotFound as Version.
func (s *Service) Files(ctx context.Context, project core.ProjectID, skill core.SkillID, ref string, each func(f core.SkillFile, content io.Reader) error) (core.SkillVersion, error) {
	v, content, err := s.open(ctx, project, skill, ref)
	if err != nil {
		return v, err
	}
	defer func() { _ = content.Close() }() // it was only read
	archive, err := zip.NewReader(at{content}, v.Bytes)
	if err != nil {
		return v, fmt.Errorf("read the archive of skill version %d: %w", v.Number, err)
	}
	known := make(map[string]core.SkillFile, len(v.Files))
	for _, f := range v.Files {
		known[f.Path] = f
	}
	for _, entry := range archive.File {
		f, ok := known[strings.TrimPrefix(entry.Name, v.Directory+"/")]
		if !ok {
			return v, fmt.Errorf("the archive of skill version %d holds a file that it should not", v.Number)
		}
		if err := one(entry, f, each); err != nil {
			return v, err
		}
	}
	return v, nil
}

func one(entry *zip.File, f core.SkillFile, each func(f core.SkillFile, content io.Reader) error) error {
	r, err := entry.Open()
	if err != nil {
		return fmt.Errorf("unpack %s: %w", f.Path, err)
	}
	defer func() { _ = r.Close() }() // it was only read
	return each(f, r)
}
