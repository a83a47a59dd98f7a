package vault_test

import (
	"context"
	"errors"
	"testing"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/vault"
)

// A refresh that brought no token is told, once, and whoever cannot be told spoils nothing; one that brought one
// is not told.
func TestARefreshThatFailedIsTold(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a, in := serveAuthority(t), b.vault(t)
	var told []core.SecretID
	s := vault.New(b.db, installation, b.outgoing, vault.Options{
		Now: b.clock.now,
		RefreshFailed: func(_ context.Context, project core.ProjectID, of core.VaultID, id core.SecretID) error {
			if project != "p1" || of != in {
				t.Errorf("told of %s in %s", of, project)
			}
			told = append(told, id)
			return errors.New("nobody listens")
		},
	})
	t.Cleanup(s.Close)
	secret := b.secret(t, in, oauth(a, core.TokenAuthBasic))
	validate := func(want vault.RefreshStatus) {
		t.Helper()
		v, err := s.Validate(t.Context(), b.admin, in, secret.ID)
		if err != nil || v.Refresh == nil || v.Refresh.Status != want {
			t.Fatalf("%+v, %v", v, err)
		}
	}
	a.set(func(a *authority) { a.access = "other" })
	validate(vault.RefreshSucceeded)
	if len(told) != 0 {
		t.Errorf("told %q of a success", told)
	}
	a.set(func(a *authority) { a.access, a.refresh = "other", "other" })
	validate(vault.RefreshFailed)
	if len(told) != 1 || told[0] != secret.ID {
		t.Errorf("told %q, want %q once", told, secret.ID)
	}
}
