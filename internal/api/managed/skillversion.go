package managed

import (
	"strconv"

	"github.com/reeve-ai/reeve/internal/core"
)

// createSkillVersion serves POST /skills/{skill}/versions, when its body has come.
func (f *Face) createSkillVersion(c *call) (reply, error) {
	id, err := pathID[core.SkillID](c, "skill")
	if err != nil {
		return reply{}, err
	}
	u := c.upload.(*skillUpload)
	var own core.SkillVersionID
	if c.once != nil {
		own = core.SkillVersionID(c.once.record.Object)
	}
	made, err := f.skills.CreateVersion(c.Context(), c.by, id, own, u.bundle, c.skillLimits())
	if c.once != nil && core.CodeOf(err) == "skill_version_already_exists" { // an earlier try made it
		made, err = f.skills.Version(c.Context(), c.by, id, string(own))
	}
	if err != nil {
		return reply{}, named(err, "skill", c.PathValue("skill"))
	}
	return reply{c.fl.created, c.skillVersionWire(made)}, nil
}

// getSkillVersion serves GET /skills/{skill}/versions/{version}: a number, an id, or latest.
func (f *Face) getSkillVersion(c *call) (reply, error) {
	id, err := pathID[core.SkillID](c, "skill")
	if err != nil {
		return reply{}, err
	}
	got, err := f.skills.Version(c.Context(), c.by, id, c.PathValue("version"))
	if err != nil {
		return reply{}, c.noVersion(err)
	}
	return ok(c.skillVersionWire(got))
}

// noVersion says in the client's spelling what was not found: the skill or its version.
func (c *call) noVersion(err error) error {
	if core.CodeOf(err) == "skill_version_not_found" {
		return named(err, "skill_version", c.PathValue("version"))
	}
	return named(err, "skill", c.PathValue("skill"))
}

// deleteSkillVersion serves DELETE /skills/{skill}/versions/{version}.
func (f *Face) deleteSkillVersion(c *call) (reply, error) {
	id, err := pathID[core.SkillID](c, "skill")
	if err != nil {
		return reply{}, err
	}
	gone, err := f.skills.DeleteVersion(c.Context(), c.by, id, c.PathValue("version"), c.skillLimits())
	if err != nil {
		return reply{}, c.noVersion(err)
	}
	d := deleted{ID: strconv.FormatInt(gone.Number, 10), Type: "skill_version_deleted"}
	if c.newSkills() {
		d.ID = newVersion + string(gone.ID)
	}
	return ok(d)
}

// downloadSkill serves GET /skills/{skill}/versions/{version}/content: a zip archive of one folder.
func (f *Face) downloadSkill(c *call) (*download, error) {
	id, err := pathID[core.SkillID](c, "skill")
	if err != nil {
		return nil, err
	}
	v, archive, err := f.skills.Open(c.Context(), c.by, id, c.PathValue("version"))
	if err != nil {
		return nil, c.noVersion(err)
	}
	return &download{ReadSeekCloser: archive, name: v.Name + ".zip", mediaType: "application/zip", sha256: v.SHA256, at: v.CreatedAt}, nil
}

// listSkillVersions serves GET /skills/{skill}/versions, newest first.
func (f *Face) listSkillVersions(c *call) (reply, error) {
	id, err := pathID[core.SkillID](c, "skill")
	if err != nil {
		return reply{}, err
	}
	w, err := c.window(skillVersions, false, defaultPage, maxSkillPage, func(spelled string) (cursor, error) {
		v, err := f.skills.Version(c.Context(), c.by, id, spelled)
		return cursor{at: v.Number}, err
	})
	if err != nil {
		return reply{}, err
	}
	if w.asc {
		return reply{}, core.InvalidField("order", "this list is newest first: must be desc")
	}
	page := core.SkillVersionPage{Limit: w.fetch()}
	switch {
	case w.from == nil:
	case w.from.back:
		page.Above = w.from.at
	default:
		page.Below = w.from.at
	}
	versions, err := f.skills.Versions(c.Context(), c.by, id, page)
	if err != nil {
		return reply{}, named(err, "skill", c.PathValue("skill"))
	}
	return ok(c.withMore(w.envelope(each(versions, func(v core.SkillVersion) entry {
		return entry{at: v.Number, wire: versionPrefix + string(v.ID), body: c.skillVersionWire(v)}
	}))))
}

// skillVersionWire is a version on the wire. Since skills left beta it is named by its id alone.
type skillVersionWire struct {
	Type        string `json:"type"`
	ID          string `json:"id"`
	SkillID     string `json:"skill_id"`
	Version     string `json:"version,omitempty"`
	Name        string `json:"name"`
	Description string `json:"description"`
	Directory   string `json:"directory,omitempty"`
	CreatedAt   string `json:"created_at"`
}

func (c *call) skillVersionWire(v core.SkillVersion) skillVersionWire {
	w := skillVersionWire{
		Type: "skill_version", ID: versionPrefix + string(v.ID), SkillID: skillPrefix + string(v.Skill),
		Version: strconv.FormatInt(v.Number, 10), Name: v.Name, Description: v.Description, Directory: v.Directory,
		CreatedAt: timestamp(v.CreatedAt),
	}
	if c.newSkills() {
		w.ID, w.Version, w.Directory = newVersion+string(v.ID), "", ""
	}
	return w
}
