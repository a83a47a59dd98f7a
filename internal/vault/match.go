package vault

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// early is how long before its end an access token is refreshed, so that it does not end on its way.
const early = time.Minute

// Bearer is a token for an MCP server, and which secret it came from. It writes itself without the token.
type Bearer struct {
	Project core.ProjectID
	Vault   core.VaultID
	Secret  core.SecretID
	Token   string `json:"-"` // goes into Authorization: Bearer, and nowhere else
}

func (b Bearer) String() string { return "bearer of secret " + string(b.Secret) }

// GoString leaves the token out, too.
func (b Bearer) GoString() string { return b.String() }

// LogValue leaves the token out of logs.
func (b Bearer) LogValue() slog.Value { return slog.StringValue(b.String()) }

// Match finds the token for an MCP server: that of the first vault, in the order given, which has an active
// secret for the URL. URLs are compared as core.NormalURL writes them. False without an error means that none
// has: connect without. An access token that has ended, or is about to, is refreshed first; if that fails it
// is returned as it is, and the MCP server will refuse it. Ask again for each connection, so that changed
// tokens reach running sessions.
//
// Errors: a secret that does not open; the store; ctx's own.
func (s *Service) Match(ctx context.Context, project core.ProjectID, vaults []core.VaultID, mcpURL string) (Bearer, bool, error) {
	target, ok := core.NormalURL(mcpURL)
	if !ok || len(vaults) == 0 {
		return Bearer{}, false, nil
	}
	list, err := s.store.TargetSecrets(ctx, project, vaults, target)
	if err != nil {
		return Bearer{}, false, err
	}
	list = slices.DeleteFunc(list, func(c core.Secret) bool { return c.Kind == core.SecretVariable })
	inOrder(list, vaults)
	if len(list) == 0 {
		return Bearer{}, false, nil
	}
	secret := list[0]
	plain, err := s.ring.open(secret)
	if err != nil {
		return Bearer{}, false, err
	}
	b := Bearer{Project: project, Vault: secret.Vault, Secret: secret.ID, Token: plain.Token}
	if secret.Terms.Refresh != nil && !secret.ExpiresAt.IsZero() && !secret.ExpiresAt.After(s.now().Add(early)) {
		b, err = s.Renew(ctx, b)
	}
	return b, err == nil, err
}

// Renew is for who was refused a token: it returns another one for the same server, refreshed unless that was
// done since. Callers at the same time share one refresh. If the secret cannot be refreshed, is gone, or its
// token endpoint refuses, b comes back as it is.
//
// Errors: a secret that does not open; the store; ctx's own.
func (s *Service) Renew(ctx context.Context, b Bearer) (Bearer, error) {
	done, err := s.refresh(ctx, reference{b.Project, b.Vault, b.Secret}, b.Token)
	if core.KindOf(err) == core.NotFound {
		return b, nil
	}
	if err != nil {
		return Bearer{}, err
	}
	if done.plain.Token != "" {
		b.Token = done.plain.Token
	}
	return b, nil
}

// Variable is a value that takes the place of a placeholder at egress. It writes itself without the value.
type Variable struct {
	Vault  core.VaultID
	Secret core.SecretID
	Name   string           // of the environment variable
	Value  string           `json:"-"` // goes into requests that Terms allow, and nowhere else
	Terms  core.SecretTerms // Reaches, InHeader, InBody
}

func (v Variable) String() string { return "variable " + v.Name + " of secret " + string(v.Secret) }

// GoString leaves the value out, too.
func (v Variable) GoString() string { return v.String() }

// LogValue leaves the value out of logs.
func (v Variable) LogValue() slog.Value { return slog.StringValue(v.String()) }

// EnvironmentSecrets lists the variables that vaults hold, in the order of the vaults; of two with one name
// the first counts. It is never nil.
//
// Errors: a secret that does not open; the store.
func (s *Service) EnvironmentSecrets(ctx context.Context, project core.ProjectID, vaults []core.VaultID) ([]Variable, error) {
	list, err := s.store.KindSecrets(ctx, project, vaults, core.SecretVariable)
	if err != nil {
		return nil, err
	}
	inOrder(list, vaults)
	variables, known := []Variable{}, map[string]bool{}
	for _, secret := range list {
		if known[secret.Target] {
			continue
		}
		known[secret.Target] = true
		plain, err := s.ring.open(secret)
		if err != nil {
			return nil, err
		}
		variables = append(variables, Variable{Vault: secret.Vault, Secret: secret.ID, Name: secret.Target, Value: plain.Token, Terms: secret.Terms})
	}
	return variables, nil
}

// inOrder sorts secrets by their vault's place in the list, and by age in each.
func inOrder(list []core.Secret, vaults []core.VaultID) {
	slices.SortFunc(list, func(a, b core.Secret) int {
		return cmp.Or(cmp.Compare(slices.Index(vaults, a.Vault), slices.Index(vaults, b.Vault)), a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
}
