package vault

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/reeve-ai/reeve/internal/core"
)

// Limits: claude-managed-agents.md sections 1.7 and 3.7; qoder.md section 3.8 for the sizes of tokens, URLs and
// client ids. Those of variables, scopes and of vaults in a session are Reeve's own.
const (
	MaxSecrets       = 20 // active ones in a vault
	MaxVaults        = 50 // that a session or deployment names
	MaxName          = 255
	MaxHosts         = 16
	maxToken         = 8192 // bytes of one secret value
	maxURL           = 2047 // bytes
	maxClientID      = 1024
	maxScope         = 2048
	maxVariable      = 255
	maxMetadata      = 16 // pairs
	maxMetadataKey   = 64
	maxMetadataValue = 512
	maxPage          = 1000
)

var (
	variablePattern = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	// hostPattern is a bare host name: no scheme, port or path.
	hostPattern = regexp.MustCompile(`^([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`)
	// numbers looks like an IPv4 address: no name ends in a number (RFC 1123, section 2.1).
	numbers = regexp.MustCompile(`(^|\.)[0-9]+$`)
)

func checkLimit(limit int) error {
	if limit < 1 || limit > maxPage {
		return core.InvalidField("limit", "must be between 1 and %d", maxPage)
	}
	return nil
}

func tooMany(field string) error {
	message := fmt.Sprintf("a vault holds at most %d active credentials", MaxSecrets)
	if field != "" {
		message = field + ": " + message
	}
	return &core.Error{Kind: core.Invalid, Code: "too_many_credentials", Field: field, Message: message}
}

func checkVault(v core.Vault) error {
	if v.Name == "" {
		return core.InvalidField("display_name", "is required and must not be empty")
	}
	return errors.Join(checkLength("display_name", v.Name, MaxName), checkMetadata(v.Metadata))
}

func checkLength(field, text string, most int) error {
	if n := utf8.RuneCountInString(text); n > most {
		return core.InvalidField(field, "has %d characters; at most %d are allowed", n, most)
	}
	return nil
}

func checkMetadata(m map[string]string) error {
	if n := len(m); n > maxMetadata {
		return core.InvalidField("metadata", "has %d entries; at most %d are allowed", n, maxMetadata)
	}
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if n := utf8.RuneCountInString(key); n == 0 || n > maxMetadataKey {
			return core.InvalidField("metadata", "keys must have 1 to %d characters", maxMetadataKey)
		}
		if err := checkLength("metadata."+key, m[key], maxMetadataValue); err != nil {
			return err
		}
	}
	return nil
}

// checkTarget judges and normalises what a new secret is for, and its kind.
func checkTarget(s *core.Secret, n NewSecret) error {
	field := n.field(targetField(s.Kind))
	switch s.Kind {
	case core.SecretBearer, core.SecretOAuth:
		if err := checkURL(field, s.Target); err != nil {
			return err
		}
		s.Terms.URL = s.Target
		s.Target, _ = core.NormalURL(s.Target)
		return nil
	case core.SecretVariable:
		switch {
		case s.Target == "":
			return core.InvalidField(field, "is required")
		case len(s.Target) > maxVariable || !variablePattern.MatchString(s.Target):
			return core.InvalidField(field, "must be letters, digits and _, not beginning with a digit, at most %d", maxVariable)
		}
		return nil
	}
	return core.InvalidField(n.field("auth.type"), "must be one of %s, %s, %s", core.SecretOAuth, core.SecretBearer, core.SecretVariable)
}

func checkURL(field, raw string) error {
	if raw == "" {
		return core.InvalidField(field, "is required")
	}
	if len(raw) > maxURL {
		return core.InvalidField(field, "is longer than %d characters", maxURL)
	}
	u, err := url.Parse(raw)
	if _, ok := core.NormalURL(raw); err != nil || !ok {
		return core.InvalidField(field, "must be an http or https URL with a host")
	}
	if u.User != nil {
		return core.InvalidField(field, "must not hold a user or password")
	}
	return nil
}

// checkPlain judges what is secret. Messages never quote it.
func checkPlain(s core.Secret, p Plain, named func(string) string) error {
	field := map[core.SecretKind]string{
		core.SecretBearer: "auth.token", core.SecretOAuth: "auth.access_token", core.SecretVariable: "auth.secret_value",
	}[s.Kind]
	if err := checkValue(named(field), p.Token, s.Kind != core.SecretVariable); err != nil {
		return err
	}
	if s.Terms.Refresh == nil {
		return nil
	}
	if err := checkValue("auth.refresh.refresh_token", p.RefreshToken, false); err != nil {
		return err
	}
	const secret = "auth.refresh.token_endpoint_auth.client_secret"
	switch s.Terms.Refresh.Auth {
	case core.TokenAuthBasic, core.TokenAuthPost:
		return checkValue(secret, p.ClientSecret, false)
	case core.TokenAuthNone:
		if p.ClientSecret != "" {
			return core.InvalidField(secret, "is not for the type none")
		}
	}
	return nil // checkRefresh says that there is no other way
}

// checkValue judges one secret value. A bearer token goes into a header, where blanks and line ends have no
// place (RFC 6750, section 2.1); they are most often pasted along.
func checkValue(field, value string, bearer bool) error {
	switch {
	case value == "":
		return core.InvalidField(field, "is required and must not be empty")
	case len(value) > maxToken:
		return core.InvalidField(field, "is longer than %d bytes", maxToken)
	case bearer && !isToken(value):
		return core.InvalidField(field, "must be printable ASCII without blanks or line ends")
	}
	return nil
}

func isToken(s string) bool {
	return s != "" && len(s) <= maxToken && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// checkSecret judges what may be shown of a secret.
func checkSecret(s core.Secret) error {
	if s.Name != nil {
		if err := checkLength("display_name", *s.Name, MaxName); err != nil {
			return err
		}
	}
	if err := checkMetadata(s.Metadata); err != nil {
		return err
	}
	if s.Kind == core.SecretVariable {
		if !s.Terms.InHeader && !s.Terms.InBody {
			return core.InvalidField("auth.injection_location", "at least one of header and body must be true")
		}
		return checkHosts(s.Terms.Hosts)
	}
	if p := s.Terms.Protocol; p != "" && p != "sse" && p != "streamable_http" {
		return core.InvalidField("protocol", "must be one of sse, streamable_http")
	}
	return checkRefresh(s.Terms.Refresh)
}

func checkRefresh(r *core.RefreshTerms) error {
	if r == nil {
		return nil
	}
	const at = "auth.refresh."
	if err := checkURL(at+"token_endpoint", r.Endpoint); err != nil {
		return err
	}
	if r.ClientID == "" {
		return core.InvalidField(at+"client_id", "is required")
	}
	if err := checkLength(at+"client_id", r.ClientID, maxClientID); err != nil {
		return err
	}
	switch r.Auth {
	case core.TokenAuthNone, core.TokenAuthBasic, core.TokenAuthPost:
	default:
		return core.InvalidField(at+"token_endpoint_auth.type", "must be one of %s, %s, %s", core.TokenAuthNone, core.TokenAuthBasic, core.TokenAuthPost)
	}
	if err := checkLength(at+"scope", r.Scope, maxScope); err != nil {
		return err
	}
	return checkLength(at+"resource", r.Resource, maxURL)
}

// checkHosts takes bare hosts, IPv4 addresses, and *. before a name (claude-managed-agents.md section 3.7).
func checkHosts(hosts []string) error {
	const field = "auth.networking.allowed_hosts"
	if n := len(hosts); n > MaxHosts {
		return core.InvalidField(field, "has %d entries; at most %d are allowed", n, MaxHosts)
	}
	for i, host := range hosts {
		name, wild := strings.CutPrefix(host, "*.")
		ok := len(host) <= 253 && hostPattern.MatchString(name)
		if ok && numbers.MatchString(name) {
			addr, err := netip.ParseAddr(name)
			ok = err == nil && addr.Is4() && !wild
		}
		if !ok {
			return core.InvalidField(fmt.Sprintf("%s[%d]", field, i), "must be a host name, an IPv4 address or *. and a host name, without scheme, port or path")
		}
	}
	return nil
}

// inside puts the name of a member before the field that an error names.
func inside(member string, err error) error {
	var e *core.Error
	if !errors.As(err, &e) || e.Field == "" {
		return err
	}
	inner := *e
	inner.Field = member + "." + e.Field
	inner.Message = member + "." + e.Message
	return &inner
}
