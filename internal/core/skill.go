package core

import (
	"context"
	"strconv"
	"strings"
	"time"
)

// SkillID is the id of a Skill.
type SkillID string

// SkillVersionID is the id of a SkillVersion.
type SkillVersionID string

// Types of a SkillBinding. Of the last two, which are made by vendors, this server has none.
const (
	SkillCustom    = "custom"
	SkillAnthropic = "anthropic"
	SkillQoder     = "qoder"
)

// SkillVersionLatest stands for the newest version in a SkillBinding that is not stored yet.
const SkillVersionLatest = "latest"

// Skill is a folder of instructions that agents read when they need them, kept in versions.
type Skill struct {
	Project   ProjectID
	ID        SkillID
	Name      string            // that of the first version
	Title     *string           // 1–255 characters; nil if never given
	Metadata  map[string]string // never nil
	Latest    int64             // the highest number of a version that is there; 0: none is
	LatestID  SkillVersionID    // its id; empty: there is none
	Mark      int64             // the highest number that a version ever had, so that none comes again
	CreatedAt time.Time
	UpdatedAt time.Time
}

// SkillVersion is a skill at one time. It never changes. Its blob is a zip archive: regular files only, in
// the one folder Directory, each path once, whatever the case of its letters.
type SkillVersion struct {
	Project ProjectID
	Skill   SkillID
	ID      SkillVersionID
	Number  int64 // microseconds since 1970 when it was made, or one more than the version before; unique in the skill
	Blob
	Name        string // of the front matter of SKILL.md; 1–64 of a–z 0–9 - _
	Description string // the same; 1–1,024 characters
	Directory   string // the folder that the archive holds; one path segment
	Files       []SkillFile
	CreatedAt   time.Time
}

// SkillFile is one file of a version. It is stored as JSON under these names.
type SkillFile struct {
	Path   string `json:"path"` // below Directory, with slashes: "SKILL.md", "scripts/run.py"
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"` // 64 lower-case hex digits
	Exec   bool   `json:"exec,omitempty"`
}

// ParseSkillVersion reads how a client names a version: by its number, or by its id in any of its spellings.
// One of the two is set. It reports false for anything else, SkillVersionLatest included.
func ParseSkillVersion(ref string) (number int64, id SkillVersionID, ok bool) {
	if n, err := strconv.ParseInt(ref, 10, 64); err == nil {
		return n, "", n > 0 && strings.Trim(ref, "0123456789") == ""
	}
	id, ok = ParseID[SkillVersionID](ref)
	return 0, id, ok
}

// SkillPage is a query for skills, newest first (CreatedAt, then ID, descending).
type SkillPage struct {
	Limit       int // 1 to 1001
	After       *PageKey
	Before      *PageKey // rows on the other side of this key; the order of the answer stays the same
	TitlePrefix string   // of Title, to the letter; empty: all
}

// SkillVersionPage is a query for the versions of a skill, newest first.
type SkillVersionPage struct {
	Limit int   // 1 to 1001
	Below int64 // only versions with a lower number; 0: open
	Above int64 // only versions with a higher number, of those the nearest; 0: open
}

// SkillStore keeps what is known of skills. Their archives are in Blobs.
type SkillStore interface {
	// CreateSkill stores a skill; a taken id is Conflict ("skill_already_exists").
	CreateSkill(ctx context.Context, s Skill) error
	// Skill returns a skill. Inside Tx it also holds the skill until the transaction ends.
	Skill(ctx context.Context, project ProjectID, id SkillID) (Skill, error)
	// UpdateSkill replaces Title, Metadata, Latest, LatestID, Mark and UpdatedAt.
	UpdateSkill(ctx context.Context, s Skill) error
	// DeleteSkill removes a skill and its versions; their blobs become Strays that are due at once.
	DeleteSkill(ctx context.Context, project ProjectID, id SkillID, at time.Time) error
	Skills(ctx context.Context, project ProjectID, page SkillPage) ([]Skill, error)

	// CreateSkillVersion stores a version and makes it the owner of its blob, as CreateFile does. A taken id
	// or number is Conflict ("skill_version_already_exists"), an unknown skill NotFound.
	CreateSkillVersion(ctx context.Context, v SkillVersion) error
	// SkillVersion returns the version of a skill with this number.
	SkillVersion(ctx context.Context, project ProjectID, skill SkillID, number int64) (SkillVersion, error)
	// SkillVersionByID returns the version of a skill with this id.
	SkillVersionByID(ctx context.Context, project ProjectID, skill SkillID, id SkillVersionID) (SkillVersion, error)
	SkillVersions(ctx context.Context, project ProjectID, skill SkillID, page SkillVersionPage) ([]SkillVersion, error)
	// DeleteSkillVersion removes a version; its blob becomes a Stray that is due at once.
	DeleteSkillVersion(ctx context.Context, project ProjectID, skill SkillID, number int64, at time.Time) error
}
