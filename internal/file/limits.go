package file

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/reeve-ai/reeve/internal/core"
)

// MaxBytes is the largest file (claude-managed-agents.md section 1.7: 500 MB).
const MaxBytes = 500 << 20

const (
	maxMetadata = 8 << 10 // bytes (qoder.md section 3.7)
	maxIDs      = 100     // of FilesByID (the SDK's BetaFileListParams)
	maxPage     = 1001    // faces show at most 1,000, and ask for one more
	// How long a file may live that does not stay (the SDK's BetaFileUploadParams).
	minLife = time.Hour
	maxLife = 90 * 24 * time.Hour
)

// Limits is what dialects differ in.
type Limits struct {
	Name        int // of a file's name: characters, or bytes if InBytes
	InBytes     bool
	NameField   string // the wire's name of a given name, for errors
	ExpiryField string
}

// ClaudeLimits are those of claude-managed-agents.md section 3.9.
var ClaudeLimits = Limits{Name: 255, NameField: "file", ExpiryField: "expires_in_seconds"}

// QoderLimits are those of qoder.md section 3.7.
var QoderLimits = Limits{Name: 255, InBytes: true, NameField: "name", ExpiryField: "expires_in_seconds"}

// cleanName returns the last part of a path as somebody's computer spells it, or "".
func cleanName(path string) string {
	return strings.TrimSpace(path[strings.LastIndexAny(path, `/\`)+1:])
}

func (l Limits) checkName(name string) error {
	n, unit := utf8.RuneCountInString(name), "characters"
	if l.InBytes {
		n, unit = len(name), "bytes"
	}
	switch {
	case !utf8.ValidString(name):
		return core.InvalidField(l.NameField, "the name of the file is not valid UTF-8")
	case n > l.Name:
		return core.InvalidField(l.NameField, "the name of the file is %d %s long; at most %d are allowed", n, unit, l.Name)
	case name == ".", name == "..":
		return core.InvalidField(l.NameField, "the file cannot be called %q", name)
	case strings.ContainsFunc(name, unicode.IsControl):
		return core.InvalidField(l.NameField, "the name of the file holds a control character")
	}
	return nil
}

func (l Limits) checkLife(life time.Duration) error {
	if life != 0 && (life < minLife || life > maxLife) {
		return core.InvalidField(l.ExpiryField, "must be from %d to %d", int(minLife.Seconds()), int(maxLife.Seconds()))
	}
	return nil
}

// checkMetadata returns an object as it is kept.
func checkMetadata(raw json.RawMessage) (json.RawMessage, error) {
	if len(bytes.TrimSpace(raw)) == 0 {
		return json.RawMessage(`{}`), nil
	}
	var compact bytes.Buffer
	switch err := json.Compact(&compact, raw); {
	case len(raw) > maxMetadata:
		return nil, core.InvalidField("metadata", "is %d bytes long; at most %d are allowed", len(raw), maxMetadata)
	case err != nil, compact.Bytes()[0] != '{', !utf8.Valid(raw):
		return nil, core.InvalidField("metadata", "must be a JSON object")
	}
	return compact.Bytes(), nil
}
