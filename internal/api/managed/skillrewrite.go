package managed

import (
	"bytes"
	"encoding/base64"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/skill"
)

// rewriteSkill serves PUT /skills/{skill}, a call that is deprecated (qoder.md section 3.9): the content becomes
// a version. A text is a new SKILL.md, beside which the other files stay; a zip archive, in base64, is the whole
// skill.
func (f *Face) rewriteSkill(c *call) (reply, error) {
	c.header.Set("Deprecation", "true") // RFC 9745 has a date there; clients of this dialect look for this
	id, err := pathID[core.SkillID](c, "skill")
	if err != nil {
		return reply{}, err
	}
	o, err := bodyObject(c)
	if err != nil {
		return reply{}, err
	}
	content := []byte(o.required("content"))
	switch o.text("content_encoding") {
	case "", "utf-8":
	case "base64":
		raw, err := base64.StdEncoding.DecodeString(string(content))
		if err != nil {
			o.fail(core.InvalidField("content", "is not base64"))
		}
		content = raw
	default:
		o.fail(core.InvalidField("content_encoding", "must be utf-8 or base64"))
	}
	if err := o.end(); err != nil {
		return reply{}, err
	}
	limits := c.skillLimits()
	limits.Files = "content"
	var bundle *skill.Bundle
	if bytes.HasPrefix(content, []byte("PK\x03\x04")) {
		bundle, err = f.skills.Pack(c.Context(), c.by, skill.One("skill.zip", bytes.NewReader(content)), limits)
	} else {
		bundle, err = f.skills.Rewrite(c.Context(), c.by, id, content, limits)
	}
	if err != nil {
		return reply{}, named(err, "skill", c.PathValue("skill"))
	}
	defer f.skills.Discard(c.Context(), c.by, bundle)
	if _, err := f.skills.CreateVersion(c.Context(), c.by, id, "", bundle, limits); err != nil {
		return reply{}, named(err, "skill", c.PathValue("skill"))
	}
	got, err := f.skills.Skill(c.Context(), c.by, id)
	if err != nil {
		return reply{}, named(err, "skill", c.PathValue("skill"))
	}
	return ok(c.skillWire(got))
}
