package vault

import (
	"slices"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// SecretChange is what an update says about a secret. A nil field stays. Target, Endpoint, ClientID and
// Resource never change: an update may repeat them, and is refused if they differ.
type SecretChange struct {
	Name     **string // a nil inner pointer clears
	Metadata map[string]*string
	Flat     bool // as NewSecret.Flat

	Kind         core.SecretKind // must be the stored one; empty: the rest below is nil
	Target       *string
	Token        *string // the bearer or access token, or the variable's value
	ExpiresAt    *time.Time
	RefreshToken *string
	ClientSecret *string
	Auth         *string // how the client says that it proves itself; the stored way stays
	Scope        *string // empty clears
	Endpoint     *string
	ClientID     *string
	Resource     *string

	Hosts            *Hosts // replaces the hosts whole
	InHeader, InBody *bool  // each stays for itself
}

// Hosts is where a variable's value may be sent.
type Hosts struct {
	Limited bool     // false: everywhere
	Names   []string // with Limited
}

func (c SecretChange) field(name string) string { return fieldIn(c.Flat, name) }

// apply changes secret, whose maps it may write into, and returns what is to be sealed.
func (c SecretChange) apply(secret *core.Secret, old Plain, now time.Time) (Plain, error) {
	if c.Name != nil {
		if secret.Name = *c.Name; secret.Name != nil && *secret.Name == "" {
			return old, core.InvalidField("display_name", "must have 1 to %d characters", MaxName)
		}
	}
	secret.Metadata = merged(secret.Metadata, c.Metadata)
	if c.Kind == "" {
		return old, nil
	}
	if c.Kind != secret.Kind {
		return old, core.InvalidField(c.field("auth.type"), "cannot be changed: it is %s", secret.Kind)
	}
	if c.Target != nil && !sameTarget(*secret, *c.Target) {
		return old, unchangeable(c.field(targetField(secret.Kind)))
	}
	next := old
	if c.Token != nil {
		next.Token = *c.Token
	}
	if c.ExpiresAt != nil && !c.ExpiresAt.Equal(secret.ExpiresAt) {
		if secret.ExpiresAt = c.ExpiresAt.UTC().Truncate(time.Microsecond); !secret.ExpiresAt.IsZero() && !secret.ExpiresAt.After(now) {
			return old, core.InvalidField("auth.expires_at", "must be in the future")
		}
	}
	if c.Hosts != nil {
		secret.Terms.Limited, secret.Terms.Hosts = c.Hosts.Limited, slices.Clone(c.Hosts.Names)
	}
	if c.InHeader != nil {
		secret.Terms.InHeader = *c.InHeader
	}
	if c.InBody != nil {
		secret.Terms.InBody = *c.InBody
	}
	return c.refresh(secret, next)
}

// refresh applies what is said about refreshing.
func (c SecretChange) refresh(secret *core.Secret, next Plain) (Plain, error) {
	if c.RefreshToken == nil && c.ClientSecret == nil && c.Auth == nil && c.Scope == nil && c.Endpoint == nil && c.ClientID == nil && c.Resource == nil {
		return next, nil
	}
	if secret.Terms.Refresh == nil {
		return next, core.InvalidField("auth.refresh", "this credential was made without a refresh configuration: make a new one")
	}
	terms := *secret.Terms.Refresh // not the stored one's own
	for _, fixed := range []struct {
		field       string
		given, kept string
		set         bool
	}{
		{"auth.refresh.token_endpoint", text(c.Endpoint), terms.Endpoint, c.Endpoint != nil},
		{"auth.refresh.client_id", text(c.ClientID), terms.ClientID, c.ClientID != nil},
		{"auth.refresh.resource", text(c.Resource), terms.Resource, c.Resource != nil},
	} {
		if fixed.set && fixed.given != fixed.kept {
			return next, unchangeable(fixed.field)
		}
	}
	// Of the two ways with a secret either may be said, and the stored one stays; without one there is none to
	// change (claude-managed-agents.md section 3.7, as the official client describes it).
	if c.Auth != nil && (*c.Auth == core.TokenAuthNone) != (terms.Auth == core.TokenAuthNone) {
		return next, unchangeable("auth.refresh.token_endpoint_auth.type")
	}
	if c.Scope != nil {
		terms.Scope = *c.Scope
	}
	if c.RefreshToken != nil {
		next.RefreshToken = *c.RefreshToken
	}
	if c.ClientSecret != nil {
		next.ClientSecret = *c.ClientSecret
	}
	secret.Terms.Refresh = &terms
	return next, nil
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func unchangeable(field string) error {
	return core.InvalidField(field, "cannot be changed: archive the credential and make a new one")
}

func targetField(kind core.SecretKind) string {
	if kind == core.SecretVariable {
		return "auth.secret_name"
	}
	return "auth.mcp_server_url"
}

func sameTarget(s core.Secret, given string) bool {
	if s.Kind == core.SecretVariable {
		return given == s.Target
	}
	normal, ok := core.NormalURL(given)
	return ok && normal == s.Target
}
