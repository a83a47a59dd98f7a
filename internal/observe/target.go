package observe

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/reeve-ai/reeve/internal/core"
)

// Kinds of nodes in a Graph.
const (
	NodeAgent    = "agent"
	NodeService  = "service"
	NodeEndpoint = "endpoint"
)

// What a service is called whose host nobody said.
const (
	ownService     = "project" // it reported itself: the project's backend
	unknownService = "outside"
)

// target is what was called: an endpoint of a service.
type target struct {
	service string // host, with its port if one was given; ownService; unknownService
	label   string // "GET /v2/geocode"
}

// id is the endpoint's Node.ID: short, because each call of a timeline repeats it, and the same for the
// same endpoint in every answer.
func (t target) id() string {
	sum := sha256.Sum256([]byte(t.service + "\x00" + t.label))
	return NodeEndpoint + ":" + hex.EncodeToString(sum[:8])
}

// serviceID is the Node.ID of its service.
func (t target) serviceID() string { return NodeService + ":" + t.service }

// targetOf tells what a call went to: the service is the host of a whole URL, else the host header, else
// what follows from who reported. The path is kept as it is, without query and fragment: which parts of it
// are ids is not guessed.
func targetOf(c core.Capture) target {
	host, path := splitURL(c.Path)
	switch {
	case host != "":
	case c.Host != nil:
		host = *c.Host
	case c.Via == core.CaptureBySDK:
		host = ownService
	default:
		host = unknownService
	}
	if i := strings.IndexAny(path, "?#"); i >= 0 {
		path = path[:i]
	}
	return target{service: host, label: strings.ToUpper(c.Method) + " " + path}
}

// splitURL returns the host of a URL and what follows it. A path alone has no host, even if it begins with
// two slashes: the original's SDK sends such (reference otas.md, section 2.2).
func splitURL(path string) (host, rest string) {
	scheme, after, ok := strings.Cut(path, "://")
	if !ok || scheme == "" || strings.Trim(strings.ToLower(scheme), "abcdefghijklmnopqrstuvwxyz0123456789+-.") != "" {
		return "", path
	}
	end := strings.IndexAny(after, "/?#")
	if end < 0 {
		end = len(after)
	}
	authority := after[:end]
	host = hostName(authority[strings.LastIndexByte(authority, '@')+1:]) // without a user and a password
	if host == "" {
		return "", path
	}
	if rest = after[end:]; !strings.HasPrefix(rest, "/") {
		rest = "/" + rest
	}
	return host, rest
}

// maxHost is the longest name of a host (RFC 1035, section 2.3.4), with a port.
const maxHost = 253 + len(":65535")

// hostName reads a host as it is written in a header: quotes or brackets may be around it. Empty if that is
// no host.
func hostName(written string) string {
	name := strings.ToLower(strings.Trim(written, " \t\r\n\"'(){},"))
	if len(name) > 2 && name[0] == 'b' && (name[1] == '\'' || name[1] == '"') { // bytes of Python
		name = name[2:]
	}
	if !strings.Contains(name, "]:") { // not [::1]:8080
		if inner, ok := strings.CutPrefix(name, "["); ok && strings.Count(name, ":") < 2 {
			name = strings.Trim(inner, "]\"' ") // a list of one
		}
	}
	if len(name) > maxHost {
		return ""
	}
	for i := range len(name) {
		if !alphanumeric(name[i]) && strings.IndexByte(".-_:[]", name[i]) < 0 {
			return ""
		}
	}
	return name
}
