package memory

import (
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/reeve-ai/reeve/internal/core"
)

// Bounds that are the same everywhere (claude-managed-agents.md sections 1.7 and 3.10, qoder.md sections
// 2.7 and 3.10).
const (
	maxDescription = 1024 // characters
	maxEntries     = 2000 // memories in a store
	maxContent     = 102_400
	maxSegments    = 20 // of a path
	maxPairs       = 16 // of metadata
	maxKey         = 64
	maxValue       = 512
	maxPage        = 1000 // the longest list that one call returns; faces ask for less
)

// Limits is what dialects differ in.
type Limits struct {
	Name          int    // characters of a store's name
	TrimText      bool   // a store's name and description are trimmed
	Path          int    // bytes of a path with its leading "/"
	ContentNeeded bool   // a memory may not be empty
	AnyHash       bool   // a malformed hash in a Precondition is one that does not match, not a mistake
	HashField     string // the wire's name of that hash, for errors
}

// ClaudeLimits are those of claude-managed-agents.md section 3.10.
var ClaudeLimits = Limits{Name: 255, Path: 1024, HashField: "precondition.content_sha256"}

// QoderLimits are those of qoder.md section 3.10. Its paths come without the leading "/", so that 1,024
// bytes there are one more here.
var QoderLimits = Limits{Name: 64, TrimText: true, Path: 1025, ContentNeeded: true, AnyHash: true, HashField: "content_sha256"}

func (l Limits) checkStore(s core.MemoryStore) error {
	switch {
	case s.Name == "":
		return core.InvalidField("name", "is required and must not be empty")
	case strings.ContainsFunc(s.Name, unicode.IsControl):
		return core.InvalidField("name", "must not hold control characters")
	}
	if err := checkLength("name", s.Name, l.Name); err != nil {
		return err
	}
	return checkLength("description", s.Description, maxDescription)
}

func checkMetadata(pairs map[string]string) error {
	if n := len(pairs); n > maxPairs {
		return core.InvalidField("metadata", "has %d entries; at most %d are allowed", n, maxPairs)
	}
	for _, key := range slices.Sorted(maps.Keys(pairs)) {
		if key == "" {
			return core.InvalidField("metadata", "has an empty key")
		}
		if err := checkLength("metadata", key, maxKey); err != nil {
			return err
		}
		if err := checkLength("metadata."+key, pairs[key], maxValue); err != nil {
			return err
		}
	}
	return nil
}

// checkPath holds the rules of a path in its one stored form: "/notes/todo.md". Two spellings of one
// path must not be two memories, and a path must be a file's name when the store is mounted.
func (l Limits) checkPath(path string) error {
	const field = "path"
	switch {
	case path == "" || path == "/":
		return core.InvalidField(field, "is required and must not be empty")
	case path[0] != '/':
		return core.InvalidField(field, "must begin with /")
	case len(path) > l.Path:
		return core.InvalidField(field, "is %d bytes too long", len(path)-l.Path)
	case !utf8.ValidString(path):
		return core.InvalidField(field, "is not valid UTF-8")
	case strings.ContainsFunc(path, invisible):
		return core.InvalidField(field, "must not hold control or format characters, nor separators of lines or paragraphs")
	case !norm.NFC.IsNormalString(path):
		return core.InvalidField(field, "must be in Unicode Normalization Form C")
	}
	segments := strings.Split(path[1:], "/")
	if n := len(segments); n > maxSegments {
		return core.InvalidField(field, "has %d segments; at most %d are allowed", n, maxSegments)
	}
	for _, s := range segments {
		if s == "" || s == "." || s == ".." {
			return core.InvalidField(field, "must not have empty segments, nor the segments . and ..")
		}
	}
	return nil
}

func invisible(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
}

func (l Limits) checkContent(content string) error {
	switch {
	case content == "" && l.ContentNeeded:
		return core.InvalidField("content", "is required and must not be empty")
	case len(content) > maxContent:
		return core.InvalidField("content", "is %d bytes long; at most %d are allowed", len(content), maxContent)
	}
	return checkText("content", content)
}

func checkLength(field, text string, most int) error {
	if n := utf8.RuneCountInString(text); n > most {
		return core.InvalidField(field, "is %d characters long; at most %d are allowed", n, most)
	}
	return checkText(field, text)
}

// checkText refuses what the databases cannot keep: bytes that are not UTF-8, and NUL.
func checkText(field, text string) error {
	switch {
	case !utf8.ValidString(text):
		return core.InvalidField(field, "is not valid UTF-8")
	case strings.IndexByte(text, 0) >= 0:
		return core.InvalidField(field, "holds a NUL character")
	}
	return nil
}

func checkLimit(limit int) error {
	if limit < 1 || limit > maxPage {
		return core.InvalidField("limit", "must be between 1 and %d", maxPage)
	}
	return nil
}
