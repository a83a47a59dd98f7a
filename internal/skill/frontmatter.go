package skill

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
)

// front is what SKILL.md says of itself. Other members are there for whoever reads the file.
type front struct {
	Name        string `yaml:"name"`
	Description string `yaml:"description"`
}

// readFront reads the front matter of SKILL.md: YAML between two lines of three dashes, the first of them the
// first of the file. folder is the name of the folder that the file is in, if any.
func (l Limits) readFront(raw []byte, folder string) (front, error) {
	text, err := l.frontText(raw)
	if err != nil {
		return front{}, err
	}
	if nesting(text) > maxNesting {
		return front{}, l.fault(skillMD, "the front matter nests deeper than %d levels", maxNesting)
	}
	f, err := parseFront(text)
	if err != nil {
		return front{}, l.fault(skillMD, "the front matter is not valid YAML: %s", firstLine(err))
	}
	f.Name, f.Description = strings.TrimSpace(f.Name), strings.TrimSpace(f.Description)
	if f.Name == "" && l.FolderName {
		f.Name = folder
	}
	return f, l.checkFront(f)
}

func (l Limits) frontText(raw []byte) ([]byte, error) {
	if !utf8.Valid(raw) || bytes.IndexByte(raw, 0) >= 0 {
		return nil, l.fault(skillMD, "is not text in UTF-8")
	}
	raw = bytes.ReplaceAll(bytes.TrimPrefix(raw, []byte("\uFEFF")), []byte("\r\n"), []byte("\n"))
	line, rest, _ := bytes.Cut(raw, []byte("\n"))
	if strings.TrimRight(string(line), " \t") != "---" {
		return nil, l.fault(skillMD, "must begin with front matter: a line ---, then name and description, then another line ---")
	}
	for text := rest; ; {
		line, next, more := bytes.Cut(text, []byte("\n"))
		if strings.TrimRight(string(line), " \t") == "---" {
			text = rest[:len(rest)-len(text)]
			if len(text) > maxFront {
				return nil, l.fault(skillMD, "the front matter is larger than %d bytes", maxFront)
			}
			return text, nil
		}
		if !more {
			return nil, l.fault(skillMD, "the front matter has no end: a line ---")
		}
		text = next
	}
}

// nesting is how deep the text may nest at most, quotes not looked at: brackets, or items of items on one
// line. What nests by indentation is bounded by the size of the text.
func nesting(text []byte) int {
	deepest, open := 0, 0
	for line := range bytes.Lines(text) {
		rest, items := bytes.TrimLeft(line, " "), 0
		for bytes.HasPrefix(rest, []byte("- ")) || bytes.HasPrefix(rest, []byte("? ")) {
			rest = bytes.TrimLeft(rest[2:], " ")
			items++
		}
		deepest = max(deepest, items)
		for _, c := range line {
			switch c {
			case '[', '{':
				open++
				deepest = max(deepest, open)
			case ']', '}':
				open = max(0, open-1)
			}
		}
	}
	return deepest
}

// parseFront turns a panic of the parser into an error: its input is a stranger's.
func parseFront(text []byte) (f front, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errors.New("it cannot be read")
		}
	}()
	if len(bytes.TrimSpace(text)) == 0 {
		return front{}, nil
	}
	if err := yaml.Unmarshal(text, &f); err != nil {
		return front{}, fmt.Errorf("%s", yaml.FormatError(err, false, false))
	}
	return f, nil
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(strings.TrimSpace(err.Error()), "\n")
	return line
}

var (
	nameForm       = regexp.MustCompile(`^[a-z0-9-]{1,64}$`)
	underscoreForm = regexp.MustCompile(`^[a-z0-9_-]{1,64}$`)
	tagForm        = regexp.MustCompile(`<[/!?A-Za-z][^<>]*>`)
)

func (l Limits) checkFront(f front) error {
	form, letters := nameForm, "a–z, 0–9 and -"
	if l.Underscores {
		form, letters = underscoreForm, "a–z, 0–9, - and _"
	}
	n := utf8.RuneCountInString(f.Description)
	switch {
	case f.Name == "":
		return l.fault(skillMD, "the front matter must have a name")
	case !form.MatchString(f.Name):
		return l.fault(skillMD, "the name %q must be 1 to %d characters of %s", clip(f.Name), maxName, letters)
	case n == 0:
		return l.fault(skillMD, "the front matter must have a description")
	case n > maxDescription:
		return l.fault(skillMD, "the description is %d characters long; at most %d are allowed", n, maxDescription)
	case strings.ContainsFunc(f.Description, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }):
		return l.fault(skillMD, "the description holds a control character")
	case l.NoTags && tagForm.MatchString(f.Description):
		return l.fault(skillMD, "the description must not hold XML tags")
	}
	return nil
}
