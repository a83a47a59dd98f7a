package memory

import (
	"regexp"

	"github.com/reeve-ai/reeve/internal/core"
)

// CodePrecondition is the code of the Conflict with which a write is refused whose Precondition does not
// hold.
const CodePrecondition = "memory_precondition_failed"

// Precondition is what must hold of a memory for a write to happen. The zero Precondition always holds.
type Precondition struct {
	SHA256 *string // of the stored content, in lower-case hex digits
	Number int     // of the newest version; 0: any
}

var hashPattern = regexp.MustCompile(`^[0-9a-f]{64}$`)

func (p Precondition) check(l Limits) error {
	if !l.AnyHash && p.SHA256 != nil && !hashPattern.MatchString(*p.SHA256) {
		return core.InvalidField(l.HashField, "must be a SHA-256 in 64 lower-case hex digits")
	}
	return nil
}

func (p Precondition) holds(m core.Memory) error {
	switch {
	case p.SHA256 != nil && *p.SHA256 != m.SHA256:
		return core.Errorf(core.Conflict, CodePrecondition, "the memory's content_sha256 is not the expected one: read the memory again")
	case p.Number != 0 && p.Number != m.Number:
		return core.Errorf(core.Conflict, CodePrecondition, "the memory's version is %d, not %d: read the memory again", m.Number, p.Number)
	}
	return nil
}

// CodePathConflict is the code of a PathConflict.
const CodePathConflict = "memory_path_conflict"

// PathConflict is a Conflict (CodePathConflict): a memory is at the wanted path, at one of its parents or
// below it. A store is a tree of files, in which no file is also a folder.
type PathConflict struct {
	Memory core.MemoryID // the one in the way
	Path   string        // where that is
	err    *core.Error
}

func (e *PathConflict) Error() string { return e.err.Error() }

// Unwrap returns the core.Error.
func (e *PathConflict) Unwrap() error { return e.err }

func pathConflict(wanted string, m core.Memory) error {
	message := "there is a memory at this path already"
	if m.Path != wanted {
		message = "the path lies above or below that of another memory"
	}
	return &PathConflict{m.ID, m.Path, core.Errorf(core.Conflict, CodePathConflict, "%s", message)}
}
