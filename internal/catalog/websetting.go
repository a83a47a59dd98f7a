package catalog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// Bounds of the settings of web_fetch and web_search. The number of domains is that of
// claude-managed-agents.md section 5.1, the lengths those of DNS and of the fields around.
const (
	maxDomains = 64
	maxDomain  = 253
	maxPath    = 1024
	maxPlace   = 256
)

// settingNames are the members that may stand beside the switches of a built-in tool (claude-managed-agents.md
// section 5.1). Other tools have none.
var settingNames = map[string][]string{
	core.ToolWebFetch:  {"allowed_domains", "blocked_domains", "max_content_tokens", urlSources},
	core.ToolWebSearch: {"allowed_domains", "blocked_domains", "user_location"},
}

// urlSources narrows web_fetch to addresses that the conversation has shown, by where they were (the SDK's
// BetaManagedAgentsWebFetchURLSourcesParams). Here every address may be fetched: only what says so is taken.
const urlSources = "url_sources"

// settings judges what stands beside the switches of one built-in tool and returns it in its kept form: what is
// null is left out, so that a definition that is sent back as it was read is no change. Members that no tool has
// are refused, or with KeepUnknown kept.
func (r review) settings(at string, kind core.ToolsetKind, c core.ToolConfig) (json.RawMessage, error) {
	if err := checkObject(at, c.Extra); err != nil || c.Extra == nil {
		return c.Extra, err
	}
	var given map[string]json.RawMessage
	if err := json.Unmarshal(c.Extra, &given); err != nil {
		return nil, core.InvalidField(at, "must be an object")
	}
	var own []string
	if kind == core.ToolsetBuiltin {
		own = settingNames[c.Name]
	}
	kept := map[string]json.RawMessage{}
	for _, name := range sortedKeys(given) {
		raw := given[name]
		switch {
		case slices.Contains(own, name):
			if string(raw) == "null" {
				continue
			}
			if err := settingShape(at+"."+name, c.Name, name, raw); err != nil {
				return nil, err
			}
		case !r.lim.KeepUnknown:
			return nil, core.InvalidField(at+"."+name, "unknown field")
		}
		if name != urlSources {
			kept[name] = raw
		}
	}
	if own != nil && kept["allowed_domains"] != nil && kept["blocked_domains"] != nil {
		return nil, core.InvalidField(at+".blocked_domains", "cannot be combined with allowed_domains")
	}
	if len(kept) == 0 {
		return nil, nil
	}
	out, err := json.Marshal(kept)
	if err != nil {
		return nil, fmt.Errorf("write the settings of a tool: %w", err)
	}
	return out, nil
}

func settingShape(at, tool, name string, raw json.RawMessage) error {
	switch name {
	case "max_content_tokens":
		var n int64
		if err := json.Unmarshal(raw, &n); err != nil || n < 1 {
			return core.InvalidField(at, "must be a whole number of at least 1")
		}
		return nil
	case "user_location":
		return locationShape(at, raw)
	case urlSources:
		return allSources(at, raw)
	}
	var domains []string
	if err := json.Unmarshal(raw, &domains); err != nil {
		return core.InvalidField(at, "must be a list of host names")
	}
	switch {
	case len(domains) == 0:
		return core.InvalidField(at, "must not be empty: leave it out to set no bounds")
	case len(domains) > maxDomains:
		return overLimit(at, "has %d entries; at most %d are allowed", len(domains), maxDomains)
	}
	seen := map[string]bool{}
	for i, d := range domains {
		at := fmt.Sprintf("%s[%d]", at, i)
		if err := domainShape(at, d, tool == core.ToolWebSearch); err != nil {
			return err
		}
		key := strings.ToLower(d)
		if seen[key] {
			return core.InvalidField(at, "%q is listed twice", clip(d))
		}
		seen[key] = true
	}
	return nil
}

// allSources wants every source to be open: null, "all" or {"type":"all"}.
func allSources(at string, raw json.RawMessage) error {
	var sources map[string]json.RawMessage
	if err := json.Unmarshal(raw, &sources); err != nil {
		return core.InvalidField(at, "must be an object")
	}
	for _, name := range sortedKeys(sources) {
		var word string
		var object struct {
			Type string `json:"type"`
		}
		if !slices.Contains([]string{"client_tool_results", "server_tool_results", "user_input"}, name) {
			return core.InvalidField(at+"."+name, "unknown field")
		}
		all := string(sources[name]) == "null" || json.Unmarshal(sources[name], &word) == nil && word == "all" ||
			json.Unmarshal(sources[name], &object) == nil && object.Type == "all"
		if !all {
			return core.InvalidField(at+"."+name, "is not supported by this server yet: only all is")
		}
	}
	return nil
}

// label is one part of a host name in ASCII; a name in other letters is written in punycode.
var label = regexp.MustCompile(`^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$`)

// localNames are endings of names that mean this machine or this network (RFC 6761, 6762, 8375 and 9476 among
// others).
var localNames = []string{"localhost", "localdomain", "local", "internal", "intranet", "lan", "home", "corp", "private", "test", "invalid", "onion", "home.arpa"}

// domainShape holds claude-managed-agents.md section 5.1: a host name and nothing else, or also a path.
func domainShape(at, domain string, mayHavePath bool) error {
	host, path, hasPath := strings.Cut(domain, "/")
	host = strings.ToLower(host)
	labels := strings.Split(host, ".")
	_, notIP := netip.ParseAddr(strings.Trim(host, "[]"))
	switch {
	case strings.Contains(domain, "://"):
		return core.InvalidField(at, "must be a host name without a scheme")
	case hasPath && !mayHavePath:
		return core.InvalidField(at, "must be a host name without a path")
	case strings.ContainsAny(path, "?#*\\ ") || !printable(path) || len(path) > maxPath:
		return core.InvalidField(at, "must have a plain path behind the host name, without query or wildcards")
	case notIP == nil, strings.Trim(labels[len(labels)-1], "0123456789") == "" && host != "":
		return core.InvalidField(at, "must be a host name, not an address")
	case strings.Contains(host, ":"):
		return core.InvalidField(at, "must be a host name without a port")
	case !printable(host):
		return core.InvalidField(at, "must be in ASCII: write the name in punycode (xn--…)")
	case len(host) > maxDomain || slices.ContainsFunc(labels, func(l string) bool { return !label.MatchString(l) }):
		return core.InvalidField(at, "is not a host name such as example.com")
	case slices.ContainsFunc(localNames, func(name string) bool { return host == name || strings.HasSuffix(host, "."+name) }):
		return core.InvalidField(at, "must not be a name of the local machine or network")
	case len(labels) < 2:
		return core.InvalidField(at, "must have more than a top-level domain")
	}
	return nil
}

func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= 0x20 || r >= 0x7f })
}

var country = regexp.MustCompile(`^[A-Z]{2}$`)

// locationShape holds the SDK's BetaManagedAgentsUserLocationParam.
func locationShape(at string, raw json.RawMessage) error {
	var l struct {
		Type                            *string
		City, Region, Country, Timezone *string
	}
	if t := bytes.TrimSpace(raw); len(t) == 0 || t[0] != '{' {
		return core.InvalidField(at, "must be an object")
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&l); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) && wrong.Field != "" {
			return core.InvalidField(at+"."+strings.ToLower(wrong.Field), "must be a string")
		}
		return core.InvalidField(at, "has members besides type, city, region, country, timezone")
	}
	if l.Type == nil || *l.Type != "approximate" {
		return core.InvalidField(at+".type", `must be "approximate"`)
	}
	for _, f := range []struct {
		name string
		text *string
	}{{"city", l.City}, {"region", l.Region}, {"country", l.Country}, {"timezone", l.Timezone}} {
		if f.text == nil {
			continue
		}
		at := at + "." + f.name
		if strings.TrimSpace(*f.text) == "" {
			return core.InvalidField(at, "must not be empty")
		}
		if err := checkLength(at, *f.text, maxPlace); err != nil {
			return err
		}
	}
	if l.Country != nil && !country.MatchString(*l.Country) {
		return core.InvalidField(at+".country", "must be two upper-case letters (ISO 3166-1)")
	}
	if l.Timezone != nil {
		if _, err := time.LoadLocation(*l.Timezone); err != nil || *l.Timezone == "Local" {
			return core.InvalidField(at+".timezone", "%q is not a time zone such as Europe/Berlin", clip(*l.Timezone))
		}
	}
	return nil
}

func sortedKeys(m map[string]json.RawMessage) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
