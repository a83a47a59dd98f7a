package otas

import (
	_ "embed"
	"fmt"
	"mime"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/observe"
)

// manifestText tells an agent what reference section 6 lists, in words of our own; the other two are its step 2,
// for a project with a domain and for one without. {{.Name}} is filled in. Everything that people typed must go
// through label before it comes here: agents do what the text says.
//
// They are no templates of the standard library: a program that runs one keeps every method of every type that
// it links, which is 10 MB here (internal/archtest watches over it).
var (
	//go:embed manifest.md.tmpl
	manifestText string
	//go:embed manifest_domain.md.tmpl
	manifestDomain string
	//go:embed manifest_nodomain.md.tmpl
	manifestNoDomain string
)

// fill puts values in, by name. What is filled in is not looked at again.
func fill(text string, values map[string]any) string {
	pairs := make([]string, 0, 2*len(values))
	for name, v := range values {
		pairs = append(pairs, "{{."+name+"}}", fmt.Sprint(v))
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// manifest serves GET /api/agent/v1/manifest/?agent_id=, which is Reeve's own: the original fills its manifest in the
// browser. The agent's key is not in it, because nobody but its holder has it.
func (f *Face) manifest(c *call) (reply, error) {
	given := c.r.URL.Query().Get("agent_id")
	if given == "" {
		return reply{}, errAgentRequired
	}
	a, err := f.liveAgent(c, given)
	if err != nil {
		return reply{}, err
	}
	p, err := f.callersProject(c)
	if err != nil {
		return reply{}, err
	}
	redacted := observe.SecretHeaders()
	for i, h := range redacted {
		redacted[i] = "`" + h + "`"
	}
	v := map[string]any{
		"Server":    baseURL(c.r),
		"ProjectID": core.FormatUUID(p.ID), "ProjectName": label(p.Name),
		"AgentID": core.FormatUUID(a.ID), "AgentName": label(a.Name),
		"MaxMeta": maxMeta, "MaxBody": maxBody, "MaxBatch": observe.MaxBatch, "MaxBatchBytes": maxBatch,
		"MaxPath": observe.MaxPath, "MaxMethod": observe.MaxMethod,
		"MaxContentType": observe.MaxContentType, "MaxLatency": observe.MaxLatencyMS, "MaxCallBytes": observe.MaxCallBytes,
		"Redacted": strings.Join(redacted, ", "),
		"Domain":   "none is set", "TokensGo": "The same holds for the tokens.", "ProjectCalls": manifestNoDomain,
	}
	if p.Domain != nil && *p.Domain != "" {
		v["Domain"], v["TokensGo"] = label(*p.Domain), "Send the tokens there and, as step 2 says, to the project domain."
		v["ProjectCalls"] = fill(manifestDomain, v)
	}
	return reply{http.StatusOK, "", "", document{
		mime: "text/markdown; charset=utf-8", name: "OTAS_AGENT_MANIFEST_" + fileName(a.Name) + ".md", text: []byte(fill(manifestText, v)),
	}}, nil
}

// callersProject is the project that the caller belongs to. With an access token no guard has read it.
func (f *Face) callersProject(c *call) (core.Project, error) {
	if c.project.ID != "" {
		return c.project, nil
	}
	return f.identity.Project(c.r.Context(), c.by)
}

// document is a payload that is a text of its own, to be shown or to be saved under a name.
type document struct {
	mime string
	name string
	text []byte
}

func (d document) write(w http.ResponseWriter, status int) {
	w.Header().Set("Content-Type", d.mime)
	w.Header().Set("Content-Disposition", mime.FormatMediaType("inline", map[string]string{"filename": d.name}))
	w.Header().Set("Content-Length", strconv.Itoa(len(d.text)))
	w.WriteHeader(status)
	_, _ = w.Write(d.text) // the client is gone: there is nobody left to tell
}

// plainHost is a host as it may stand inside of quotes in a shell: a Host header may hold almost anything.
var plainHost = regexp.MustCompile(`\A(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?\z`)

// baseURL is the address at which the client reached this server. Behind a proxy that ends TLS it says http: headers
// that say otherwise are not believed, as anyone can send them.
func baseURL(r *http.Request) string {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	if plainHost.MatchString(r.Host) {
		return scheme + "://" + r.Host
	}
	if at, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		return scheme + "://" + at.String()
	}
	return scheme + "://localhost"
}

// maxLabel is how much of a name or a domain the manifest shows, in characters. The longest that is kept whole is a
// project's name.
const maxLabel = 255

// label makes a Markdown code span with a quoted text of one line out of what somebody typed. It cannot end the span or
// the line, and holds nothing that a reader does not see.
func label(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.Is(unicode.C, r) || r == unicode.ReplacementChar: // control, format, private use
			return -1
		case r == '`':
			return '\''
		}
		return r
	}, s)
	s = cut(strings.Join(strings.Fields(s), " "), maxLabel, "…")
	return "`\"" + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + "\"`"
}

// fileName is a name as it may be part of a file's: white space becomes "_" (reference section 6), and so does all but
// letters, digits, ".", "-" and "_".
func fileName(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.IsMark(r) || r == '.' || r == '-' {
			return r
		}
		return '_'
	}, s)
	return cut(s, 100, "")
}

// cut shortens a text to so many characters, and puts more behind what it shortened.
func cut(s string, max int, more string) string {
	runes := []rune(s)
	if len(runes) <= max {
		return s
	}
	return string(runes[:max]) + more
}
