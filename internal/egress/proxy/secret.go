package proxy

import (
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/reeve-ai/reeve/internal/core"
)

// Secret is what takes the place of a placeholder. It writes itself without its value.
type Secret struct {
	Placeholder string // nothing else has it, and it needs no escaping anywhere
	Value       string `json:"-"`
	Terms       core.SecretTerms
}

func (s Secret) String() string { return "secret for " + s.Placeholder }

// GoString leaves the value out, too.
func (s Secret) GoString() string { return s.String() }

// LogValue leaves the value out of logs.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// shortest is the length from which on a value is searched for in answers: shorter ones would be found
// where they are not meant.
const shortest = 8

// reaching are the secrets that may go to a host.
func reaching(all []Secret, host string) []Secret {
	var out []Secret
	for _, s := range all {
		if s.Terms.Reaches(host) {
			out = append(out, s)
		}
	}
	return out
}

// echoes are the forms in which a server may repeat a value, and their placeholder.
func echoes(secrets []Secret) []swap {
	var list []swap
	for _, s := range secrets {
		if len(s.Value) < shortest {
			continue
		}
		seen := map[string]bool{}
		for _, form := range []string{s.Value, inJSON(s.Value, false), inJSON(s.Value, true), url.QueryEscape(s.Value), url.PathEscape(s.Value), base64.StdEncoding.EncodeToString([]byte(s.Value))} {
			if !seen[form] {
				seen[form] = true
				list = append(list, swap{form, s.Placeholder})
			}
		}
	}
	return list
}

// inJSON is a text as it stands inside a JSON string, as most writers have it; some escape <, > and &, too.
func inJSON(text string, html bool) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(html)
	_ = enc.Encode(text) // a string always encodes
	quoted := strings.TrimSuffix(b.String(), "\n")
	return quoted[1 : len(quoted)-1]
}

// fillHeader puts the secrets into a header. It returns what it made of user names and passwords, where
// placeholders cannot be seen, for the search in answers.
func fillHeader(header http.Header, secrets []Secret) (made []swap) {
	var list []swap
	for _, s := range secrets {
		if s.Terms.InHeader {
			list = append(list, swap{s.Placeholder, s.Value})
		}
	}
	into := newSwaps(list)
	if len(into) == 0 {
		return nil
	}
	for name, values := range header {
		for i, value := range values {
			values[i] = into.in(value)
			if name != "Authorization" {
				continue
			}
			if filled, ok := fillBasic(value, into); ok {
				values[i] = "Basic " + filled
				made = append(made, swap{filled, strings.TrimSpace(value[len("Basic "):])})
			}
		}
	}
	return made
}

// fillBasic swaps inside of user name and password (RFC 7617). False if there is nothing to swap.
func fillBasic(value string, into swaps) (string, bool) {
	scheme, rest, ok := strings.Cut(value, " ")
	if !ok || !strings.EqualFold(scheme, "basic") {
		return "", false
	}
	plain, err := base64.StdEncoding.DecodeString(strings.TrimSpace(rest))
	if err != nil {
		return "", false
	}
	filled := into.in(string(plain))
	return base64.StdEncoding.EncodeToString([]byte(filled)), filled != string(plain)
}

// bodySwaps are those for a body of this type. Where the type says how texts are escaped, values are.
func bodySwaps(contentType string, secrets []Secret) swaps {
	kind, _, _ := mime.ParseMediaType(contentType)
	escape := func(s string) string { return s }
	switch {
	case kind == "application/json", strings.HasSuffix(kind, "+json"):
		escape = func(s string) string { return inJSON(s, false) }
	case kind == "application/x-www-form-urlencoded":
		escape = url.QueryEscape
	}
	var list []swap
	for _, s := range secrets {
		if s.Terms.InBody {
			list = append(list, swap{s.Placeholder, escape(s.Value)})
		}
	}
	return newSwaps(list)
}
