package skill

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/reeve-ai/reeve/internal/core"
)

// MaxBytes is how large an upload may be, and how large what is in it, unpacked (qoder.md section 3.9).
const MaxBytes = 50 << 20

// The bounds below are our own where no reference is named.
const (
	maxFiles   = 2000     // files and folders in an upload
	maxSkillMD = 1 << 20  // bytes of SKILL.md, which a model is to read
	maxFront   = 16 << 10 // bytes of its front matter
	maxNesting = 64       // levels in it; ten thousand take the parser seconds
	maxSegment = 255      // bytes of one name in a path, as file systems have it
	maxPath    = 1024     // bytes
	// A file may unpack to maxRatio times its size, but always to freeBytes.
	maxRatio  = 200
	freeBytes = 1 << 20

	maxName        = 64   // qoder.md section 3.9
	maxDescription = 1024 // characters
	maxTitle       = 255  // characters (qoder.md section 3.9, the SDK's BetaSkill)
	maxPairs       = 16   // of metadata (claude-managed-agents.md section 1.7)
	maxKey         = 64
	maxValue       = 512
	maxPage        = 1001 // faces show at most 1,000, and ask for one more
)

// Limits is what dialects differ in.
type Limits struct {
	Files       string // the wire's name of the uploaded files, for errors
	Title       string // and of the title
	Underscores bool   // a name may hold "_"
	FolderName  bool   // SKILL.md may leave the name out: then it is that of its folder
	NoTags      bool   // name and description may not hold what looks like an XML tag
	FlatFiles   bool   // files that come one by one need no folder around them
	KeepsName   bool   // every version has the name of the first
	KeepsOne    bool   // the last version cannot be deleted but with its skill
}

// ClaudeLimits are those of claude-managed-agents.md section 3.8; ClaudeNewLimits those of its newer clients
// (section 12; the SDK's BetaSkill and BetaSkillVersion say that a name never changes and that there is
// always a version).
var (
	ClaudeLimits    = Limits{Files: "files", Title: "display_title", NoTags: true}
	ClaudeNewLimits = Limits{Files: "files", Title: "display_name", NoTags: true, FolderName: true, KeepsName: true, KeepsOne: true}
)

// QoderLimits are those of qoder.md section 3.9.
var QoderLimits = Limits{Files: "files", Title: "display_title", Underscores: true, FlatFiles: true}

// fault is an error about one file of an upload.
func (l Limits) fault(name, format string, args ...any) *core.Error {
	return core.InvalidField(l.Files, "%s: %s", clip(name), fmt.Sprintf(format, args...))
}

// clip shortens a client's own text for a message.
func clip(s string) string {
	const most = 120
	s = strings.ToValidUTF8(s, "\uFFFD")
	if utf8.RuneCountInString(s) > most {
		s = string([]rune(s)[:most]) + "…"
	}
	return s
}

func (l Limits) checkTitle(title *string) error {
	if title == nil {
		return nil
	}
	switch n := utf8.RuneCountInString(*title); {
	case n == 0:
		return core.InvalidField(l.Title, "must not be empty")
	case n > maxTitle:
		return core.InvalidField(l.Title, "is %d characters long; at most %d are allowed", n, maxTitle)
	case !utf8.ValidString(*title):
		return core.InvalidField(l.Title, "is not valid UTF-8")
	case strings.ContainsFunc(*title, unicode.IsControl):
		return core.InvalidField(l.Title, "must be one line without control characters")
	}
	return nil
}

func checkMetadata(m map[string]string) error {
	if len(m) > maxPairs {
		return core.InvalidField("metadata", "has %d entries; at most %d are allowed", len(m), maxPairs)
	}
	for _, key := range slices.Sorted(maps.Keys(m)) {
		for field, part := range map[string]struct {
			text string
			max  int
		}{"metadata": {key, maxKey}, "metadata." + key: {m[key], maxValue}} {
			switch n := utf8.RuneCountInString(part.text); {
			case n > part.max:
				return core.InvalidField(field, "is %d characters long; at most %d are allowed", n, part.max)
			case !utf8.ValidString(part.text) || strings.ContainsRune(part.text, 0):
				return core.InvalidField(field, "must be text without NUL")
			}
		}
	}
	return nil
}
