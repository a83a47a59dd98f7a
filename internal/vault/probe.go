package vault

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// probeTime is how long an MCP server may take to answer one probe.
const probeTime = 15 * time.Second

// Verdict is what a validation found (claude-managed-agents.md section 3.7).
type Verdict string

const (
	VerdictValid   Verdict = "valid"   // the MCP server took the token
	VerdictInvalid Verdict = "invalid" // it refused it, and a refresh, if there could be one, did not help
	VerdictUnknown Verdict = "unknown" // it could not be found out
)

// Validation is what became of trying a SecretOAuth.
type Validation struct {
	Secret          core.Secret // as it is afterwards
	At              time.Time
	HasRefreshToken bool
	Verdict         Verdict
	Probe           *Probe   // the step that failed; nil: none did
	Refresh         *Refresh // nil: none was called for
}

// Probe is a call to an MCP server that failed.
type Probe struct {
	Method   string    // of MCP
	Response *Response // nil: there was none
}

// probeMethod is the first call of every MCP session, and the one that a server must know.
const probeMethod = "initialize"

// probeBody is that call (Model Context Protocol, revision 2025-06-18, lifecycle).
const probeBody = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"reeve","version":"1"}}}`

// Validate tries a SecretOAuth on its MCP server. If that refuses the token (401), the token is refreshed and
// tried again.
//
// Errors: Forbidden (below admin); NotFound; Invalid for other kinds ("not_mcp_oauth"), or
// "credential_archived".
func (s *Service) Validate(ctx context.Context, by core.Principal, vault core.VaultID, id core.SecretID) (Validation, error) {
	if err := by.Require(core.RoleAdmin); err != nil {
		return Validation{}, err
	}
	secret, err := s.store.Secret(ctx, by.Project, vault, id)
	switch {
	case err != nil:
		return Validation{}, err
	case secret.Kind != core.SecretOAuth:
		return Validation{}, core.Errorf(core.Invalid, "not_mcp_oauth", "only credentials of the type mcp_oauth can be validated: this is %s", secret.Kind)
	case !secret.ArchivedAt.IsZero():
		return Validation{}, errSecretArchived
	}
	plain, err := s.ring.open(secret)
	if err != nil {
		return Validation{}, err
	}
	v := Validation{Secret: secret, At: s.clock(), HasRefreshToken: secret.Terms.Refresh != nil && plain.RefreshToken != ""}
	v.Verdict, v.Probe = s.probe(ctx, secret.Terms.URL, plain)
	if v.Probe == nil || v.Probe.Response == nil || v.Probe.Response.Status != http.StatusUnauthorized {
		return v, ctx.Err()
	}
	if !v.HasRefreshToken {
		v.Refresh = &Refresh{Status: RefreshNoToken}
		return v, nil
	}
	done, err := s.refresh(ctx, reference{by.Project, vault, id}, plain.Token)
	if err != nil {
		return Validation{}, err
	}
	v.Refresh = &done.Refresh
	switch done.Status {
	case RefreshSucceeded:
		v.Verdict, v.Probe = s.probe(ctx, secret.Terms.URL, done.plain)
	case RefreshNoAnswer: // it may work when the token endpoint does
		v.Verdict = VerdictUnknown
	}
	return v, ctx.Err()
}

// probe makes the call once. The Probe is nil if it succeeded.
func (s *Service) probe(ctx context.Context, mcpURL string, p Plain) (Verdict, *Probe) {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	failed := &Probe{Method: probeMethod}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, mcpURL, strings.NewReader(probeBody))
	if err != nil {
		return VerdictUnknown, failed
	}
	req.Header.Set("Authorization", "Bearer "+p.Token)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	res, err := s.http.Do(req)
	if err != nil {
		return VerdictUnknown, failed
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode/100 == 2 { // the body may be a stream without an end
		return VerdictValid, nil
	}
	body, cut := readSome(res.Body)
	failed.Response = show(res, body, cut, p.values())
	if res.StatusCode == http.StatusUnauthorized || res.StatusCode == http.StatusForbidden {
		return VerdictInvalid, failed
	}
	return VerdictUnknown, failed
}
