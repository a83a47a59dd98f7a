package app

import (
	"context"
	"net/netip"
	"path/filepath"

	"github.com/reeve-ai/reeve/internal/config"
	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/egress"
	"github.com/reeve-ai/reeve/internal/environment"
)

// openEnvironments makes what gives sandboxes their network, secrets and packages. namespaces is whether they
// have network namespaces.
func (a *App) openEnvironments(secret []byte, namespaces bool) (err error) {
	var out egress.Options
	for _, prefix := range a.cfg.Sandbox.AllowPrivate {
		out.AllowPrivate = append(out.AllowPrivate, netip.MustParsePrefix(prefix)) // config.Validate has parsed it
	}
	a.environments, err = environment.New(environment.Options{
		Root: filepath.Join(a.cfg.Data, "environments"), Network: a.cfg.Sandbox.Network == config.NetworkOn, Namespaces: namespaces,
		PackageHosts: a.cfg.Sandbox.PackageHosts, Egress: out, Installation: secret, Secrets: a.variables, Sandboxes: a.sandboxes,
		Now: a.now, Log: a.log,
	})
	return err
}

// variables lists the secrets of a session's vaults that are variables of its sandbox.
func (a *App) variables(ctx context.Context, project core.ProjectID, vaults []core.VaultID) ([]environment.Variable, error) {
	found, err := a.vaults.EnvironmentSecrets(ctx, project, vaults)
	if err != nil {
		return nil, err
	}
	out := make([]environment.Variable, len(found))
	for i, v := range found {
		out[i] = environment.Variable{Vault: v.Vault, Secret: v.Secret, Name: v.Name, Value: v.Value, Terms: v.Terms}
	}
	return out, nil
}
