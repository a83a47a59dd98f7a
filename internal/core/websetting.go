package core

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"strings"
)

// The built-in tools that have settings of their own.
const (
	ToolWebFetch  = "web_fetch"
	ToolWebSearch = "web_search"
)

// WebSettings are what ToolConfig.Extra holds for web_fetch and web_search, under these names
// (claude-managed-agents.md section 5.1). The zero value sets nothing.
type WebSettings struct {
	// AllowedDomains and BlockedDomains hold 1 to 64 host names in ASCII; of both at most one is set. A name also
	// means all below it. Those of web_search may have a path behind the host.
	AllowedDomains   []string      `json:"allowed_domains,omitempty"`
	BlockedDomains   []string      `json:"blocked_domains,omitempty"`
	MaxContentTokens int64         `json:"max_content_tokens,omitempty"` // web_fetch: of the text of one page; 0: no bound of the agent's own
	UserLocation     *UserLocation `json:"user_location,omitempty"`      // web_search
}

// UserLocation is roughly where the user is. Empty members are not known.
type UserLocation struct {
	Type     string `json:"type"` // approximate
	City     string `json:"city,omitempty"`
	Region   string `json:"region,omitempty"`
	Country  string `json:"country,omitempty"`  // two upper-case letters (ISO 3166-1)
	Timezone string `json:"timezone,omitempty"` // IANA: Europe/Berlin
}

// ReadWebSettings decodes the settings of a stored definition. Members that it does not know are left out.
func ReadWebSettings(raw json.RawMessage) (WebSettings, error) {
	var s WebSettings
	if len(bytes.TrimSpace(raw)) == 0 {
		return s, nil
	}
	if err := json.Unmarshal(raw, &s); err != nil {
		return WebSettings{}, fmt.Errorf("decode the settings of a web tool: %w", err)
	}
	return s, nil
}

// Allows judges a host name as it stands in a URL, without its port, and the path behind it. A name that is not
// ASCII is refused wherever there is a list: it may be another spelling of one that is on it.
func (s WebSettings) Allows(host, path string) bool {
	if len(s.AllowedDomains) == 0 && len(s.BlockedDomains) == 0 {
		return true
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	for i := range len(host) {
		if host[i] >= 0x80 {
			return false
		}
	}
	if len(s.AllowedDomains) > 0 {
		return covered(s.AllowedDomains, host, path)
	}
	return !covered(s.BlockedDomains, host, path)
}

func covered(domains []string, host, path string) bool {
	for _, d := range domains {
		name, prefix, hasPath := strings.Cut(d, "/")
		name = strings.ToLower(name)
		if host != name && (!strings.HasSuffix(host, "."+name) || net.ParseIP(host) != nil) {
			continue
		}
		prefix = "/" + strings.TrimSuffix(prefix, "/")
		if !hasPath || prefix == "/" || path == prefix || strings.HasPrefix(path, prefix+"/") {
			return true
		}
	}
	return false
}

// Brief tells the model what was set, behind the tool's description. Empty if nothing was.
func (s WebSettings) Brief() string {
	var b strings.Builder
	for _, l := range []struct {
		domains []string
		says    string
	}{{s.AllowedDomains, "Only these sites, with everything below them, can be reached"}, {s.BlockedDomains, "These sites, with everything below them, cannot be reached"}} {
		if len(l.domains) > 0 {
			fmt.Fprintf(&b, "\n- %s: %s.", l.says, strings.Join(l.domains, ", "))
		}
	}
	if s.MaxContentTokens > 0 {
		fmt.Fprintf(&b, "\n- The text of a page is cut at about %d tokens.", s.MaxContentTokens)
	}
	if at := s.UserLocation.String(); at != "" {
		fmt.Fprintf(&b, "\n- The user is roughly here: %s. Search for that place where it matters.", at)
	}
	return b.String()
}

// String writes the known members; empty for nil.
func (l *UserLocation) String() string {
	if l == nil {
		return ""
	}
	var known []string
	for _, part := range []string{l.City, l.Region, l.Country} {
		if part != "" {
			known = append(known, part)
		}
	}
	at := strings.Join(known, ", ")
	switch {
	case l.Timezone == "":
		return at
	case at == "":
		return "time zone " + l.Timezone
	}
	return at + " (time zone " + l.Timezone + ")"
}
