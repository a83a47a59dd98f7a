package managed

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strconv"

	"github.com/reeve-ai/reeve/internal/api/httpio"
	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/skill"
)

const (
	skillPrefix    = "skill_"
	versionPrefix  = "skillver_"
	newVersion     = "skver_" // since skills left beta
	skillList      = "skill"
	skillVersions  = "skver"
	maxSkillPage   = 1000 // qoder.md section 2.6, the SDK's BetaSkillListParams
	deprecatedFile = "file"
	// skillsBeta is sent by clients that expect skills as they were before they left beta (CMA section 12).
	skillsBeta = "skills-2025-10-02"
)

// skillRoutes are those of skills and their versions (CMA sections 3.8 and 12, qoder.md section 3.9).
func (f *Face) skillRoutes() []route {
	return []route{
		{method: http.MethodPost, path: "/skills", receive: f.receiveSkill, serve: f.createSkill},
		{method: http.MethodGet, path: "/skills", serve: f.listSkills, worker: true},
		{method: http.MethodGet, path: "/skills/{skill}", serve: f.getSkill, worker: true},
		{method: http.MethodPut, path: "/skills/{skill}", serve: f.rewriteSkill, only: Qoder},
		{method: http.MethodDelete, path: "/skills/{skill}", serve: f.deleteSkill},
		{method: http.MethodPost, path: "/skills/{skill}/versions", receive: f.receiveSkill, serve: f.createSkillVersion},
		{method: http.MethodGet, path: "/skills/{skill}/versions", serve: f.listSkillVersions, worker: true},
		{method: http.MethodGet, path: "/skills/{skill}/versions/{version}", serve: f.getSkillVersion, worker: true},
		{method: http.MethodDelete, path: "/skills/{skill}/versions/{version}", serve: f.deleteSkillVersion},
		{method: http.MethodGet, path: "/skills/{skill}/versions/{version}/content", download: f.downloadSkill, worker: true},
	}
}

// newSkills reports whether a request expects skills as they are since they left beta.
func (c *call) newSkills() bool { return c.fl == Claude && !c.beta(skillsBeta) }

func (c *call) skillLimits() skill.Limits {
	if c.newSkills() {
		return skill.ClaudeNewLimits
	}
	return c.fl.skills
}

// skillUpload is a skill whose files have come and were found good.
type skillUpload struct {
	face   *Face
	call   *call
	bundle *skill.Bundle
	texts  map[string]string
}

func (u *skillUpload) discard() { u.face.skills.Discard(u.call.Context(), u.call.by, u.bundle) }

func (u *skillUpload) fingerprint() []byte {
	files := u.bundle.Fingerprint()
	sum := sha256.New()
	_, _ = fmt.Fprintf(sum, "%x %q %q", files, u.title(), u.texts["metadata"]) // a hash takes everything
	return sum.Sum(nil)
}

// title is the label of the skill, which the two editions of the wire call differently.
func (u *skillUpload) title() string {
	if t := u.texts["display_title"]; t != "" {
		return t
	}
	return u.texts["display_name"]
}

// receiveSkill reads the body of POST /skills and POST /skills/{skill}/versions.
func (f *Face) receiveSkill(w http.ResponseWriter, c *call) (upload, error) {
	body, err := newFormBody(w, c, skill.MaxBytes+maxOverhead)
	if err != nil {
		return nil, err
	}
	bundle, err := f.skills.Pack(c.Context(), c.by, c.skillFiles(body), c.skillLimits())
	if err != nil {
		return nil, err
	}
	return &skillUpload{f, c, bundle, body.texts}, nil
}

// skillFiles yields the files of a form. Qoder's older clients call a single archive "file".
func (c *call) skillFiles(body *formBody) iter.Seq2[skill.Part, error] {
	files, texts := []string{"files[]", "files"}, []string{"display_title", "display_name"}
	if c.fl == Qoder {
		files, texts = append(files, deprecatedFile), append(texts, "metadata")
	}
	return func(yield func(skill.Part, error) bool) {
		for {
			part, err := body.next(files, texts)
			switch {
			case errors.Is(err, io.EOF):
				return
			case err != nil:
				yield(skill.Part{}, err)
				return
			}
			if part.FormName() == deprecatedFile {
				c.header.Set("Deprecation", "true")
			}
			if !yield(skill.Part{Name: filename(part), Body: content{part}}, nil) {
				return
			}
		}
	}
}

// createSkill serves POST /skills, when its body has come.
func (f *Face) createSkill(c *call) (reply, error) {
	u := c.upload.(*skillUpload)
	n := skill.NewSkill{Bundle: u.bundle}
	if title := u.title(); title != "" {
		n.Title = &title
	}
	if text := u.texts["metadata"]; text != "" {
		o := &object{known: map[string]bool{}, unknown: c.fl.unknown, fault: new(error)}
		o.members = map[string]json.RawMessage{"metadata": json.RawMessage(text)}
		if err := httpio.Check([]byte(text)); err != nil {
			return reply{}, core.InvalidField("metadata", "must be a JSON object of strings")
		}
		n.Metadata = o.stringMap("metadata")
		if err := o.end(); err != nil {
			return reply{}, err
		}
	}
	if c.once != nil {
		n.ID = core.SkillID(c.once.record.Object)
	}
	made, err := f.skills.Create(c.Context(), c.by, n, c.skillLimits())
	if c.once != nil && core.CodeOf(err) == "skill_already_exists" { // an earlier try made it
		made, err = f.skills.Skill(c.Context(), c.by, n.ID)
	}
	if err != nil {
		return reply{}, err
	}
	return reply{c.fl.created, c.skillWire(made)}, nil
}

// getSkill serves GET /skills/{skill}.
func (f *Face) getSkill(c *call) (reply, error) {
	id, err := pathID[core.SkillID](c, "skill")
	if err != nil {
		return reply{}, err
	}
	got, err := f.skills.Skill(c.Context(), c.by, id)
	if err != nil {
		return reply{}, named(err, "skill", c.PathValue("skill"))
	}
	return ok(c.skillWire(got))
}

// deleteSkill serves DELETE /skills/{skill}.
func (f *Face) deleteSkill(c *call) (reply, error) {
	id, err := pathID[core.SkillID](c, "skill")
	if err != nil {
		return reply{}, err
	}
	if err := f.skills.Delete(c.Context(), c.by, id); err != nil {
		return reply{}, named(err, "skill", c.PathValue("skill"))
	}
	return ok(deleted{ID: skillPrefix + string(id), Type: "skill_deleted"})
}

// listSkills serves GET /skills, newest first.
func (f *Face) listSkills(c *call) (reply, error) {
	w, err := c.window(skillList, false, defaultPage, maxSkillPage, func(spelled string) (cursor, error) {
		id, known := core.ParseID[core.SkillID](spelled)
		if !known {
			return cursor{}, core.NotFoundError("skill", spelled)
		}
		got, err := f.skills.Skill(c.Context(), c.by, id)
		return cursor{at: got.CreatedAt.UnixMicro(), id: string(got.ID)}, err
	})
	if err != nil {
		return reply{}, err
	}
	if w.asc {
		return reply{}, core.InvalidField("order", "this list is newest first: must be desc")
	}
	page := core.SkillPage{Limit: w.fetch()}
	page.After, page.Before = w.keys()
	if c.fl == Qoder {
		page.TitlePrefix = c.query.Get("display_title")
	}
	switch source := c.query.Get("source"); source {
	case "", core.SkillCustom:
	case core.SkillAnthropic, "anthropic_example", "plugin", core.SkillQoder:
		return ok(c.withMore(w.envelope(nil))) // of vendors' own skills there is none here
	default:
		return reply{}, core.InvalidField("source", "must be custom or the vendor's name")
	}
	skills, err := f.skills.Skills(c.Context(), c.by, page)
	if err != nil {
		return reply{}, err
	}
	return ok(c.withMore(w.envelope(each(skills, func(got core.Skill) entry {
		return entry{at: got.CreatedAt.UnixMicro(), id: string(got.ID), wire: skillPrefix + string(got.ID), body: c.skillWire(got)}
	}))))
}

// morePage is page for the lists that say whether there is more, too (CMA section 1.5).
type morePage struct {
	page
	HasMore bool `json:"has_more"`
}

func (c *call) withMore(envelope any) any {
	if p, is := envelope.(page); is {
		return morePage{p, p.NextPage != nil}
	}
	return envelope
}

// skillWire is a skill on the wire before skills left beta, and with Qoder.
type skillWire struct {
	Type          string `json:"type"`
	ID            string `json:"id"`
	DisplayTitle  any    `json:"display_title"`
	LatestVersion any    `json:"latest_version"`
	Source        string `json:"source"`
	Metadata      any    `json:"metadata,omitempty"` // Qoder only
	CreatedAt     string `json:"created_at"`
	UpdatedAt     string `json:"updated_at"`
}

// newSkillWire is the same since then: the name stands in for a label that was never given.
type newSkillWire struct {
	Type            string `json:"type"`
	ID              string `json:"id"`
	DisplayName     string `json:"display_name"`
	LatestVersionID any    `json:"latest_version_id"`
	Source          struct {
		Type string `json:"type"`
	} `json:"source"`
	CreatedAt string `json:"created_at"`
	UpdatedAt string `json:"updated_at"`
}

func (c *call) skillWire(s core.Skill) any {
	title := s.Name
	if s.Title != nil {
		title = *s.Title
	}
	if c.newSkills() {
		w := newSkillWire{Type: "skill", ID: skillPrefix + string(s.ID), DisplayName: title, CreatedAt: timestamp(s.CreatedAt), UpdatedAt: timestamp(s.UpdatedAt)}
		w.Source.Type = core.SkillCustom
		if s.LatestID != "" {
			w.LatestVersionID = newVersion + string(s.LatestID)
		}
		return w
	}
	w := skillWire{
		Type: "skill", ID: skillPrefix + string(s.ID), DisplayTitle: c.fl.text(""), LatestVersion: c.fl.text(""),
		Source: core.SkillCustom, CreatedAt: timestamp(s.CreatedAt), UpdatedAt: timestamp(s.UpdatedAt),
	}
	if s.Title != nil {
		w.DisplayTitle = title
	}
	if s.Latest != 0 {
		w.LatestVersion = strconv.FormatInt(s.Latest, 10)
	}
	if c.fl == Qoder {
		w.Metadata = metadata(s.Metadata)
	}
	return w
}
