package observe

import (
	"slices"
	"strings"
)

// secretHeaders are those whose values are never stored: those that the original's SDK hides (reference
// otas.md, section 7), the headers of Reeve's own keys and tokens (section 2.3), and what else is usual.
var secretHeaders = []string{
	"authorization", "cookie", "set-cookie", "x-api-key", "proxy-authorization",
	"x-otas-agent-session-token", "x-otas-agent-key", "x-otas-sdk-key", "x-otas-user-token",
	"api-key", "x-access-token", "x-amz-security-token", "x-auth-token", "x-csrf-token", "x-csrftoken",
	"x-functions-key", "x-gitlab-token", "x-goog-api-key", "x-refresh-token", "x-session-token", "x-vault-token",
	"ocp-apim-subscription-key", "private-token",
}

// SecretHeaders lists the names of the headers whose values are never stored, more of them included: lower-case,
// with "-" for "_", each once, in a fixed order. The list is the caller's own.
func SecretHeaders(more ...string) []string {
	var out []string
	for _, name := range slices.Concat(secretHeaders, more) {
		name = strings.ReplaceAll(strings.ToLower(strings.TrimSpace(name)), "_", "-")
		if name != "" && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// headerNames is a set of header names, lower-case and with "-" for "_".
type headerNames struct {
	set   map[string]bool
	sizes [maxHeaderName + 1]bool // lengths of names in the set: most other headers need no look at it
}

func newHeaderNames(more []string) *headerNames {
	n := &headerNames{set: map[string]bool{}}
	for _, name := range SecretHeaders(more...) {
		if len(name) <= maxHeaderName {
			n.set[name], n.sizes[len(name)] = true, true
		}
	}
	return n
}

// maxHeaderName is more than any header's name has, in bytes.
const maxHeaderName = 128

// serverPrefixes are what servers put before names, in the order in which it stands there.
var serverPrefixes = [...]string{"redirect", "http"}

// has reports whether the set holds a name as it stands between quotes. CGI and WSGI servers spell it
// HTTP_AUTHORIZATION, and Apache REDIRECT_HTTP_AUTHORIZATION, which is the same name.
func (n *headerNames) has(name string) bool {
	if strings.IndexByte(name, '\\') >= 0 && len(name) <= 6*maxHeaderName {
		name = decode(name)
	}
	if name != "" && (name[0] <= ' ' || name[0] == ':' || name[len(name)-1] <= ' ' || name[len(name)-1] == ':') {
		name = strings.Trim(name, " \t\r\n:")
	}
	for i := 0; i < len(serverPrefixes); {
		if p := serverPrefixes[i]; len(name) > len(p)+1 && strings.EqualFold(name[:len(p)], p) && (name[len(p)] == '_' || name[len(p)] == '-') {
			name = name[len(p)+1:]
			continue // it may stand there again: once for each redirect
		}
		i++
	}
	if len(name) > maxHeaderName || !n.sizes[len(name)] {
		return false
	}
	var lower [maxHeaderName]byte
	for i := range len(name) {
		switch b := name[i]; {
		case b-'A' < 26:
			lower[i] = b | 0x20
		case b == '_':
			lower[i] = '-'
		default:
			lower[i] = b
		}
	}
	return n.set[string(lower[:len(name)])]
}
