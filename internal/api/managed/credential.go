package managed

import (
	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/vault"
)

// createCredential serves POST /vaults/{vault}/credentials.
func (f *Face) createCredential(c *call) (reply, error) {
	in, err := pathID[core.VaultID](c, "vault")
	if err != nil {
		return reply{}, err
	}
	o, err := bodyObject(c)
	if err != nil {
		return reply{}, err
	}
	n := o.newSecret(c.fl)
	if err := o.end(); err != nil {
		return reply{}, err
	}
	if c.once != nil {
		n.ID = core.SecretID(c.once.record.Object)
	}
	made, err := f.vaults.CreateSecret(c.Context(), c.by, in, n)
	if c.once != nil && core.CodeOf(err) == "secret_already_exists" { // an earlier try made it
		made, err = f.vaults.Secret(c.Context(), c.by, in, n.ID)
	}
	if err != nil {
		return reply{}, c.credentialError(err)
	}
	return reply{c.fl.created, c.fl.credentialWire(made)}, nil
}

// getCredential serves GET /vaults/{vault}/credentials/{credential}.
func (f *Face) getCredential(c *call) (reply, error) {
	in, id, err := c.credentialPath()
	if err != nil {
		return reply{}, err
	}
	return c.credentialReply(f.vaults.Secret(c.Context(), c.by, in, id))
}

// updateCredential serves POST /vaults/{vault}/credentials/{credential}.
func (f *Face) updateCredential(c *call) (reply, error) {
	in, id, err := c.credentialPath()
	if err != nil {
		return reply{}, err
	}
	o, err := bodyObject(c)
	if err != nil {
		return reply{}, err
	}
	change := o.secretChange(c.fl)
	if err := o.end(); err != nil {
		return reply{}, err
	}
	return c.credentialReply(f.vaults.UpdateSecret(c.Context(), c.by, in, id, change))
}

// archiveCredential serves POST /vaults/{vault}/credentials/{credential}/archive.
func (f *Face) archiveCredential(c *call) (reply, error) {
	in, id, err := c.credentialPath()
	if err != nil {
		return reply{}, err
	}
	return c.credentialReply(f.vaults.ArchiveSecret(c.Context(), c.by, in, id))
}

// deleteCredential serves DELETE /vaults/{vault}/credentials/{credential}.
func (f *Face) deleteCredential(c *call) (reply, error) {
	in, id, err := c.credentialPath()
	if err != nil {
		return reply{}, err
	}
	if err := f.vaults.DeleteSecret(c.Context(), c.by, in, id); err != nil {
		return reply{}, c.credentialError(err)
	}
	return ok(deleted{ID: c.fl.secretPrefix + string(id), Type: "vault_credential_deleted"})
}

// validateCredential serves POST /vaults/{vault}/credentials/{credential}/mcp_oauth_validate.
func (f *Face) validateCredential(c *call) (reply, error) {
	in, id, err := c.credentialPath()
	if err != nil {
		return reply{}, err
	}
	v, err := f.vaults.Validate(c.Context(), c.by, in, id)
	if err != nil {
		return reply{}, c.credentialError(err)
	}
	return ok(c.fl.validationWire(v))
}

// listCredentials serves GET /vaults/{vault}/credentials, newest first.
func (f *Face) listCredentials(c *call) (reply, error) {
	in, err := pathID[core.VaultID](c, "vault")
	if err != nil {
		return reply{}, err
	}
	w, page, err := c.vaultPage(secretList, func(spelled string) (cursor, error) {
		id, known := core.ParseID[core.SecretID](spelled)
		if !known {
			return cursor{}, core.NotFoundError("credential", spelled)
		}
		s, err := f.vaults.Secret(c.Context(), c.by, in, id)
		return cursor{at: s.CreatedAt.UnixMicro(), id: string(s.ID)}, err
	})
	if err != nil {
		return reply{}, err
	}
	secrets, err := f.vaults.Secrets(c.Context(), c.by, in, page)
	if err != nil {
		return reply{}, c.credentialError(err)
	}
	return ok(w.envelope(each(secrets, func(s core.Secret) entry {
		return entry{at: s.CreatedAt.UnixMicro(), id: string(s.ID), wire: c.fl.secretPrefix + string(s.ID), body: c.fl.credentialWire(s)}
	})))
}

func (c *call) credentialPath() (core.VaultID, core.SecretID, error) {
	in, err := pathID[core.VaultID](c, "vault")
	if err != nil {
		return "", "", err
	}
	id, err := pathID[core.SecretID](c, "credential")
	return in, id, err
}

func (c *call) credentialReply(s core.Secret, err error) (reply, error) {
	if err != nil {
		return reply{}, c.credentialError(err)
	}
	return ok(c.fl.credentialWire(s))
}

// credentialError names what was not found in the client's spelling.
func (c *call) credentialError(err error) error {
	if core.CodeOf(err) == "vault_not_found" || c.PathValue("credential") == "" {
		return named(err, "vault", c.PathValue("vault"))
	}
	return named(err, "credential", c.PathValue("credential"))
}

// credentialWire is a credential on the wire. What is secret is not in it.
type credentialWire struct {
	Type         string            `json:"type"`
	ID           string            `json:"id"`
	VaultID      string            `json:"vault_id"`
	DisplayName  *string           `json:"display_name"`
	Auth         any               `json:"auth"`
	MCPServerURL string            `json:"mcp_server_url,omitempty"` // of Qoder's older, flat body
	Protocol     string            `json:"protocol,omitempty"`       // the same
	Status       string            `json:"status,omitempty"`         // Qoder: active, archived
	Metadata     map[string]string `json:"metadata"`
	ArchivedAt   any               `json:"archived_at"`
	CreatedAt    string            `json:"created_at"`
	UpdatedAt    string            `json:"updated_at"`
}

type bearerAuth struct {
	Type         string `json:"type"`
	MCPServerURL string `json:"mcp_server_url"`
}

type oauthAuth struct {
	Type         string       `json:"type"`
	MCPServerURL string       `json:"mcp_server_url"`
	ExpiresAt    any          `json:"expires_at,omitempty"`
	Refresh      *refreshAuth `json:"refresh,omitempty"`
}

type refreshAuth struct {
	TokenEndpoint     string            `json:"token_endpoint"`
	ClientID          string            `json:"client_id"`
	TokenEndpointAuth map[string]string `json:"token_endpoint_auth"`
	Scope             string            `json:"scope,omitempty"`
	Resource          string            `json:"resource,omitempty"`
}

type variableAuth struct {
	Type              string       `json:"type"`
	SecretName        string       `json:"secret_name"`
	Networking        any          `json:"networking"`
	InjectionLocation locationWire `json:"injection_location"`
}

type locationWire struct {
	Header bool `json:"header"`
	Body   bool `json:"body"`
}

type limitedHosts struct {
	Type         string   `json:"type"`
	AllowedHosts []string `json:"allowed_hosts"`
}

func (fl *Flavour) credentialWire(s core.Secret) credentialWire {
	w := credentialWire{
		Type: "vault_credential", ID: fl.secretPrefix + string(s.ID), VaultID: fl.vaultPrefix + string(s.Vault), DisplayName: s.Name,
		Auth: authWire(s), Metadata: metadata(s.Metadata), ArchivedAt: maybeTime(s.ArchivedAt),
		CreatedAt: timestamp(s.CreatedAt), UpdatedAt: timestamp(s.UpdatedAt),
	}
	if fl == Qoder {
		if w.Status = "active"; !s.ArchivedAt.IsZero() {
			w.Status = "archived"
		}
		if s.Terms.Protocol != "" {
			w.MCPServerURL, w.Protocol = s.Terms.URL, s.Terms.Protocol
		}
	}
	return w
}

func authWire(s core.Secret) any {
	kind := string(s.Kind)
	switch s.Kind {
	case core.SecretBearer:
		return bearerAuth{Type: kind, MCPServerURL: s.Terms.URL}
	case core.SecretOAuth:
		w := oauthAuth{Type: kind, MCPServerURL: s.Terms.URL, ExpiresAt: maybeTime(s.ExpiresAt)}
		if r := s.Terms.Refresh; r != nil {
			w.Refresh = &refreshAuth{
				TokenEndpoint: r.Endpoint, ClientID: r.ClientID, TokenEndpointAuth: map[string]string{"type": r.Auth},
				Scope: r.Scope, Resource: r.Resource,
			}
		}
		return w
	}
	w := variableAuth{
		Type: kind, SecretName: s.Target, Networking: map[string]string{"type": "unrestricted"},
		InjectionLocation: locationWire{Header: s.Terms.InHeader, Body: s.Terms.InBody},
	}
	if s.Terms.Limited {
		w.Networking = limitedHosts{Type: "limited", AllowedHosts: list(s.Terms.Hosts)}
	}
	return w
}

// validationWire is what a validation found (CMA section 3.7).
type validationWire struct {
	Type            string       `json:"type"`
	CredentialID    string       `json:"credential_id"`
	VaultID         string       `json:"vault_id"`
	ValidatedAt     string       `json:"validated_at"`
	HasRefreshToken bool         `json:"has_refresh_token"`
	Status          string       `json:"status"`
	MCPProbe        *probeWire   `json:"mcp_probe"`
	Refresh         *refreshWire `json:"refresh"`
}

type probeWire struct {
	Method       string        `json:"method"`
	HTTPResponse *responseWire `json:"http_response"`
}

type refreshWire struct {
	Status       string        `json:"status"`
	HTTPResponse *responseWire `json:"http_response"`
}

type responseWire struct {
	StatusCode    int    `json:"status_code"`
	ContentType   string `json:"content_type"`
	Body          string `json:"body"`
	BodyTruncated bool   `json:"body_truncated"`
}

func (fl *Flavour) validationWire(v vault.Validation) validationWire {
	w := validationWire{
		Type: "vault_credential_validation", CredentialID: fl.secretPrefix + string(v.Secret.ID), VaultID: fl.vaultPrefix + string(v.Secret.Vault),
		ValidatedAt: timestamp(v.At), HasRefreshToken: v.HasRefreshToken, Status: string(v.Verdict),
	}
	if p := v.Probe; p != nil {
		w.MCPProbe = &probeWire{Method: p.Method, HTTPResponse: shownResponse(p.Response)}
	}
	if r := v.Refresh; r != nil {
		w.Refresh = &refreshWire{Status: string(r.Status), HTTPResponse: shownResponse(r.Response)}
	}
	return w
}

func shownResponse(r *vault.Response) *responseWire {
	if r == nil {
		return nil
	}
	return &responseWire{StatusCode: r.Status, ContentType: r.ContentType, Body: r.Body, BodyTruncated: r.Truncated}
}
