package session

import (
	"net/url"
	"path"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/reeve-ai/reeve/internal/core"
)

const (
	maxMountPath = 512 // bytes (qoder.md section 3.3)
	maxPathPart  = 255 // bytes of one name: what file systems take
	maxURL       = 512 // bytes
	maxBranch    = 255 // bytes
	maxToken     = 1024
	maxSlug      = 64
)

// below returns the absolute path of what a client wants below a root: a path that does not begin with the root
// already begins there.
func below(field, root, given string) (string, error) {
	switch {
	case len(given) > maxMountPath:
		return "", core.InvalidField(field, "at most %d bytes", maxMountPath)
	case !utf8.ValidString(given) || strings.ContainsFunc(given, unicode.IsControl):
		return "", core.InvalidField(field, "holds a control character")
	}
	rest := given
	if given == root || strings.HasPrefix(given, root+"/") {
		rest = given[len(root):]
	}
	for part := range strings.SplitSeq(rest, "/") {
		switch {
		case part == "..":
			return "", core.InvalidField(field, "must not hold ..")
		case len(part) > maxPathPart:
			return "", core.InvalidField(field, "no name in it may have more than %d bytes", maxPathPart)
		}
	}
	clean := path.Join(root, rest)
	if clean == root {
		return "", core.InvalidField(field, "names nothing below %s", root)
	}
	return clean, nil
}

// uploadPath is where a session sees a file.
func uploadPath(field, given string, source core.FileID) (string, error) {
	if given == "" {
		return core.UploadsFolder + "/file_" + string(source), nil
	}
	return below(field, core.UploadsFolder, given)
}

// repositoryPath is where a session sees a repository.
func repositoryPath(field, given, repository string) (string, error) {
	if given == "" {
		given = repository
	}
	if strings.HasPrefix(given, "/") && given != core.WorkFolder && !strings.HasPrefix(given, core.WorkFolder+"/") {
		return "", core.InvalidField(field, "must lie below %s", core.WorkFolder)
	}
	return below(field, core.WorkFolder, given)
}

var (
	pathPart   = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)
	commitHash = regexp.MustCompile(`^[0-9a-f]{7,64}$`)
	branchName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_./+#@=,%!-]*$`)
	tokenText  = regexp.MustCompile(`^[!-~]+$`)
)

// checkURL judges where a repository is, and returns its name.
func checkURL(field, raw string) (string, error) {
	u, err := url.Parse(raw)
	if err != nil || len(raw) > maxURL || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.RawPath != "" {
		return "", core.InvalidField(field, "must be https://github.com/owner/repository, or of another host over https")
	}
	parts := strings.Split(strings.TrimPrefix(u.Path, "/"), "/")
	for _, part := range parts {
		if !pathPart.MatchString(part) || part == "." || part == ".." {
			return "", core.InvalidField(field, "must be https://github.com/owner/repository")
		}
	}
	name := parts[len(parts)-1]
	switch {
	case len(parts) < 2:
		return "", core.InvalidField(field, "must be https://github.com/owner/repository")
	case strings.HasSuffix(name, ".git"):
		return "", core.InvalidField(field, "must not end in .git")
	}
	return name, nil
}

func checkBranch(field, name string) error {
	// The rules of git-check-ref-format(1), and nothing that could be taken for an option.
	if len(name) > maxBranch || !branchName.MatchString(name) || strings.Contains(name, "..") || strings.Contains(name, "@{") ||
		strings.Contains(name, "//") || strings.Contains(name, "/.") || strings.HasSuffix(name, "/") || strings.HasSuffix(name, ".") || strings.HasSuffix(name, ".lock") {
		return core.InvalidField(field, "is not the name of a branch")
	}
	return nil
}

func checkToken(field string, token core.Clear) error {
	if len(token) > maxToken || !tokenText.MatchString(string(token)) {
		return core.InvalidField(field, "must be 1 to %d printable ASCII characters without spaces", maxToken)
	}
	return nil
}

// slug is the folder of a memory store (claude-managed-agents.md section 6.3): its name in lower case, with one
// hyphen for each run of what is neither a letter nor a digit.
func slug(m core.MemoryStore) string {
	var b strings.Builder
	for _, r := range strings.ToLower(m.Name) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
		if b.Len() == maxSlug {
			break
		}
	}
	if s := strings.Trim(b.String(), "-"); s != "" {
		return s
	}
	return string(m.ID) // a name in another script
}
