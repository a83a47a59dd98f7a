package managed

import (
	"time"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/vault"
)

// newSecret reads the body that makes a credential, in either form that the flavour has.
func (o *object) newSecret(fl *Flavour) vault.NewSecret {
	n := vault.NewSecret{Metadata: o.stringMap("metadata")}
	if name := read[string](o, "display_name"); name.V != "" {
		n.Name = &name.V
	}
	if o.flatSecret(fl) {
		n.Flat = true
		n.Kind, n.Target, n.Plain.Token = core.SecretKind(o.text("type")), o.text("mcp_server_url"), o.text("access_token")
		if n.Kind == "" {
			n.Kind = core.SecretBearer // the one kind that this form has (qoder.md section 3.8)
		}
		if n.Kind != core.SecretBearer {
			o.fail(core.InvalidField(o.field("type"), "must be %s here: send other kinds in auth", core.SecretBearer))
		}
		if n.Terms.Protocol = o.text("protocol"); n.Terms.Protocol == "" {
			n.Terms.Protocol = "streamable_http"
		}
		return n
	}
	auth := o.object("auth")
	if auth == nil {
		o.fail(core.InvalidField(o.field("auth"), "is required"))
		return n
	}
	n.Kind = core.SecretKind(auth.text("type"))
	switch n.Kind {
	case core.SecretBearer:
		n.Target, n.Plain.Token = auth.text("mcp_server_url"), auth.text("token")
	case core.SecretOAuth:
		n.Target, n.Plain.Token = auth.text("mcp_server_url"), auth.text("access_token")
		if at := auth.moment("expires_at"); at != nil {
			n.ExpiresAt = *at
		}
		auth.newRefresh(&n)
	case core.SecretVariable:
		n.Target, n.Plain.Token = auth.text("secret_name"), auth.text("secret_value")
		auth.newPlaces(&n)
	default:
		auth.fail(core.InvalidField(auth.field("type"), "must be one of %s, %s, %s", core.SecretOAuth, core.SecretBearer, core.SecretVariable))
	}
	auth.closed()
	return n
}

// flatSecret reports whether a credential comes in Qoder's older form, without auth.
func (o *object) flatSecret(fl *Flavour) bool {
	if fl != Qoder || o.raw("auth") != nil {
		return false
	}
	for _, name := range []string{"mcp_server_url", "access_token", "protocol"} {
		if o.raw(name) != nil {
			return true
		}
	}
	return false
}

func (o *object) newRefresh(n *vault.NewSecret) {
	r := o.object("refresh")
	if r == nil {
		return
	}
	terms := &core.RefreshTerms{Endpoint: r.text("token_endpoint"), ClientID: r.text("client_id"), Scope: r.text("scope"), Resource: r.text("resource")}
	n.Plain.RefreshToken = r.text("refresh_token")
	if proof := r.object("token_endpoint_auth"); proof != nil {
		terms.Auth, n.Plain.ClientSecret = proof.text("type"), proof.text("client_secret")
		proof.closed()
	}
	r.closed()
	n.Terms.Refresh = terms
}

// newPlaces reads where a variable's value may go: networking, which must be said, and injection_location,
// which is everywhere if it is not.
func (o *object) newPlaces(n *vault.NewSecret) {
	hosts := o.hosts()
	if hosts == nil {
		o.fail(core.InvalidField(o.field("networking"), "is required"))
		return
	}
	n.Terms.Limited, n.Terms.Hosts = hosts.Limited, hosts.Names
	header, body, given := o.location()
	if !given {
		n.Terms.InHeader, n.Terms.InBody = true, true
		return
	}
	n.Terms.InHeader, n.Terms.InBody = header != nil && *header, body != nil && *body
}

// hosts reads networking; nil: absent, or a mistake.
func (o *object) hosts() *vault.Hosts {
	const name = "networking"
	n := o.object(name)
	if n == nil {
		if o.raw(name) != nil {
			o.fail(core.InvalidField(o.field(name), "must not be null"))
		}
		return nil
	}
	defer n.closed()
	switch kind := n.text("type"); kind {
	case "unrestricted":
		return &vault.Hosts{}
	case "limited":
		hosts := read[[]string](n, "allowed_hosts")
		if !hosts.Set || hosts.Null {
			n.fail(core.InvalidField(n.field("allowed_hosts"), "is required"))
		}
		return &vault.Hosts{Limited: true, Names: hosts.V}
	}
	n.fail(core.InvalidField(n.field("type"), "must be one of unrestricted, limited"))
	return nil
}

// location reads injection_location; nil members are absent ones.
func (o *object) location() (header, body *bool, given bool) {
	const name = "injection_location"
	l := o.object(name)
	if l == nil {
		if o.raw(name) != nil {
			o.fail(core.InvalidField(o.field(name), "must not be null"))
		}
		return nil, nil, false
	}
	for member, to := range map[string]**bool{"header": &header, "body": &body} {
		v := read[bool](l, member)
		if v.Null {
			l.fail(core.InvalidField(l.field(member), "must not be null"))
		}
		if v.Set {
			*to = &v.V
		}
	}
	l.closed()
	return header, body, true
}

// secretChange reads the body that changes a credential.
func (o *object) secretChange(fl *Flavour) vault.SecretChange {
	c := vault.SecretChange{Metadata: o.patch("metadata")}
	if name := read[string](o, "display_name"); name.Set {
		var next *string
		if !name.Null {
			next = &name.V
		}
		c.Name = &next
	}
	if o.flatSecret(fl) {
		c.Flat, c.Kind = true, core.SecretBearer
		c.Target, c.Token = o.given("mcp_server_url"), o.given("access_token")
		return c
	}
	auth := o.object("auth")
	if auth == nil {
		return c
	}
	if c.Kind = core.SecretKind(auth.text("type")); c.Kind == "" {
		auth.fail(core.InvalidField(auth.field("type"), "is required"))
	}
	switch c.Kind {
	case core.SecretBearer:
		c.Target, c.Token = auth.given("mcp_server_url"), auth.given("token")
	case core.SecretOAuth:
		c.Target, c.Token, c.ExpiresAt = auth.given("mcp_server_url"), auth.given("access_token"), auth.moment("expires_at")
		auth.refreshChange(&c)
	case core.SecretVariable:
		c.Target, c.Token = auth.given("secret_name"), auth.given("secret_value")
		c.Hosts = auth.hosts()
		c.InHeader, c.InBody, _ = auth.location()
	default:
		return c // the service says that the kind cannot be changed
	}
	auth.closed()
	return c
}

func (o *object) refreshChange(c *vault.SecretChange) {
	r := o.object("refresh")
	if r == nil {
		return
	}
	c.RefreshToken, c.Endpoint, c.ClientID = r.given("refresh_token"), r.given("token_endpoint"), r.given("client_id")
	for name, to := range map[string]**string{"scope": &c.Scope, "resource": &c.Resource} {
		if v := read[string](r, name); v.Set { // null is ""
			*to = &v.V
		}
	}
	if proof := r.object("token_endpoint_auth"); proof != nil {
		c.Auth, c.ClientSecret = proof.given("type"), proof.given("client_secret")
		proof.closed()
	}
	r.closed()
}

// moment reads a time; nil: absent. null is the zero time: not known.
func (o *object) moment(name string) *time.Time {
	v := read[string](o, name)
	if !v.Set {
		return nil
	}
	if v.Null {
		return &time.Time{}
	}
	at, err := time.Parse(time.RFC3339Nano, v.V)
	if err != nil {
		o.fail(core.InvalidField(o.field(name), "must be a time as in RFC 3339"))
		return nil
	}
	at = at.UTC()
	return &at
}
