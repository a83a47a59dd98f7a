package app

import (
	"context"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/vault"
)

// keyring gives the client of MCP servers the tokens that are in the vaults.
type keyring struct{ vaults *vault.Service }

// Token implements mcp.Tokens. A refused token may have been changed by hand since it was read; only if it is
// still the same it is refreshed.
func (k keyring) Token(ctx context.Context, project core.ProjectID, vaults []core.VaultID, url, stale string) (string, error) {
	found, ok, err := k.vaults.Match(ctx, project, vaults, url)
	if err == nil && ok && stale != "" && found.Token == stale {
		found, err = k.vaults.Renew(ctx, found)
	}
	return found.Token, err
}
