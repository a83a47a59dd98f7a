package skill

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// skillMD is the file that makes a folder a skill.
const skillMD = "SKILL.md"

// junk reports what archivers of one vendor's desktop leave behind: nobody uploads it on purpose, and it
// would count as a second folder.
func junk(path string) bool {
	return strings.HasPrefix(path, "__MACOSX/") || path == ".DS_Store" || strings.HasSuffix(path, "/.DS_Store")
}

// cleanPath checks the path of an uploaded file, which is one below the folder of a skill wherever that is
// unpacked. It returns what is wrong with it, or "".
func cleanPath(raw string) (path, wrong string) {
	path = strings.TrimPrefix(raw, "./")
	switch {
	case path == "":
		return "", "has no name"
	case !utf8.ValidString(path):
		return "", "the path is not valid UTF-8"
	case len(path) > maxPath:
		return "", "the path is too long"
	case strings.ContainsFunc(path, unicode.IsControl):
		return "", "the path holds a control character"
	case strings.Contains(path, `\`):
		return "", "the path holds a backslash; folders are separated by /"
	case strings.HasPrefix(path, "/"), len(path) > 1 && path[1] == ':':
		return "", "the path is absolute"
	}
	for part := range strings.SplitSeq(path, "/") {
		switch {
		case part == "":
			return "", "the path has an empty part"
		case part == ".", part == "..":
			return "", "the path has the part " + part + ", which could lead outside of the skill"
		case len(part) > maxSegment:
			return "", "a part of the path is too long"
		}
	}
	return path, ""
}

// folded is what a path is on file systems that know no case, and one spelling of each character.
func folded(path string) string { return norm.NFC.String(strings.ToLower(norm.NFC.String(path))) }

// taken finds paths that cannot lie beside each other.
type taken struct {
	files   map[string]string // folded path → the path
	folders map[string]string // the same of every folder above one
}

func newTaken() taken { return taken{map[string]string{}, map[string]string{}} }

// add takes a file's path. It returns what is wrong with that, or "".
func (t taken) add(path string) string {
	key := folded(path)
	if other, there := t.files[key]; there {
		return clash(path, other)
	}
	if other, there := t.folders[key]; there {
		return "is a file, and " + clip(other) + " a folder"
	}
	t.files[key] = path
	for i, c := range path {
		if c != '/' {
			continue
		}
		above := path[:i]
		if other, there := t.files[folded(above)]; there {
			return "lies below " + clip(other) + ", which is a file"
		}
		other, there := t.folders[folded(above)]
		if there && other != above {
			return clash(above, other)
		}
		t.folders[folded(above)] = above
	}
	return ""
}

func clash(path, other string) string {
	if path == other {
		return "comes twice"
	}
	return "differs from " + clip(other) + " only in case or in how characters are composed"
}
