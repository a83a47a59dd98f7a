package storetest

import (
	"testing"

	"github.com/reeve-ai/reeve/internal/core"
)

func (b *bundle) vault(t *testing.T, project core.ProjectID, edit ...func(*core.Vault)) core.Vault {
	t.Helper()
	now := kept(b.later())
	v := core.Vault{Project: project, ID: core.NewID[core.VaultID](), Name: "vault", Metadata: map[string]string{}, CreatedAt: now, UpdatedAt: now}
	for _, f := range edit {
		f(&v)
	}
	need(t, b.CreateVault(b.ctx, v))
	return v
}

func (b *bundle) secret(t *testing.T, v core.Vault, edit ...func(*core.Secret)) core.Secret {
	t.Helper()
	s := b.newSecret(v)
	for _, f := range edit {
		f(&s)
	}
	need(t, b.CreateSecret(b.ctx, s))
	return s
}

// newSecret is a secret of which only the target is its own.
func (b *bundle) newSecret(v core.Vault) core.Secret {
	now, id := kept(b.later()), core.NewID[core.SecretID]()
	return core.Secret{
		Project: v.Project, Vault: v.ID, ID: id, Kind: core.SecretBearer, Target: "https://" + string(id), Metadata: map[string]string{},
		SealKey: "k", Sealed: []byte("sealed"), CreatedAt: now, UpdatedAt: now,
	}
}

func secretID(s core.Secret) core.SecretID { return s.ID }

func vaultID(v core.Vault) core.VaultID { return v.ID }

var vaultPromises = map[string]func(*testing.T, *bundle){
	"AVaultComesBackAsItWentIn": func(t *testing.T, b *bundle) {
		want := b.vault(t, b.project(t), func(v *core.Vault) { v.Metadata, v.ArchivedAt = map[string]string{"k": "v"}, kept(at(9)) })
		got, err := b.Vault(b.ctx, want.Project, want.ID)
		need(t, err)
		same(t, "vault", got, want)
		refused(t, "again", b.CreateVault(b.ctx, want), core.Conflict, "vault_already_exists")
	},
	"UpdateVaultReplacesAllButCreation": func(t *testing.T, b *bundle) {
		v := b.vault(t, b.project(t))
		change := core.Vault{Project: v.Project, ID: v.ID, Name: "new", Metadata: map[string]string{"a": "b"}, CreatedAt: at(70), UpdatedAt: kept(at(71)), ArchivedAt: kept(at(72))}
		need(t, b.UpdateVault(b.ctx, change))
		got, err := b.Vault(b.ctx, v.Project, v.ID)
		need(t, err)
		change.CreatedAt = v.CreatedAt
		same(t, "vault", got, change)
	},
	"WhatIsUnknownIsNotFound": func(t *testing.T, b *bundle) {
		p := b.project(t)
		v := b.vault(t, p)
		other := b.secret(t, b.vault(t, p))
		_, err := b.Vault(b.ctx, p, "none")
		refused(t, "Vault", err, core.NotFound, "vault_not_found")
		refused(t, "UpdateVault", b.UpdateVault(b.ctx, core.Vault{Project: p, ID: "none"}), core.NotFound, "vault_not_found")
		refused(t, "DeleteVault", b.DeleteVault(b.ctx, p, "none"), core.NotFound, "vault_not_found")
		_, err = b.Secret(b.ctx, p, v.ID, other.ID)
		refused(t, "Secret of another vault", err, core.NotFound, "secret_not_found")
		moved := other
		moved.Vault = v.ID
		refused(t, "UpdateSecret of another vault", b.UpdateSecret(b.ctx, moved), core.NotFound, "secret_not_found")
		refused(t, "DeleteSecret of another vault", b.DeleteSecret(b.ctx, p, v.ID, other.ID), core.NotFound, "secret_not_found")
		lost := b.newSecret(v)
		lost.Vault = "none"
		refused(t, "CreateSecret", b.CreateSecret(b.ctx, lost), core.NotFound, "")
	},
	"VaultsAreListedNewestFirstInPages": func(t *testing.T, b *bundle) {
		p := b.project(t)
		moment := kept(at(50))
		same1 := b.vault(t, p, func(v *core.Vault) { v.CreatedAt = moment })
		same2 := b.vault(t, p, func(v *core.Vault) { v.CreatedAt = moment })
		newest := b.vault(t, p, func(v *core.Vault) { v.CreatedAt = kept(at(60)) })
		gone := b.vault(t, p, func(v *core.Vault) { v.CreatedAt, v.ArchivedAt = kept(at(70)), at(71) })
		b.vault(t, b.project(t))
		place := func(v core.Vault) *core.PageKey { return &core.PageKey{CreatedAt: v.CreatedAt, ID: string(v.ID)} }
		for _, c := range []struct {
			name string
			page core.VaultPage
			want []core.VaultID
		}{
			{"all", core.VaultPage{Limit: 10}, []core.VaultID{newest.ID, same2.ID, same1.ID}},
			{"archived too", core.VaultPage{Limit: 2, IncludeArchived: true}, []core.VaultID{gone.ID, newest.ID}},
			{"between equal times", core.VaultPage{Limit: 5, After: place(same2)}, []core.VaultID{same1.ID}},
			{"before", core.VaultPage{Limit: 1, Before: place(same1)}, []core.VaultID{same2.ID}},
		} {
			list, err := b.Vaults(b.ctx, p, c.page)
			need(t, err)
			same(t, c.name, ids(list, vaultID), c.want)
		}
	},
	"DeleteVaultTakesItsSecretsAlong": func(t *testing.T, b *bundle) {
		p := b.project(t)
		v, other := b.vault(t, p), b.vault(t, p)
		s, stays := b.secret(t, v), b.secret(t, other)
		need(t, b.DeleteVault(b.ctx, p, v.ID))
		_, err := b.Secret(b.ctx, p, v.ID, s.ID)
		refused(t, "its secret", err, core.NotFound, "secret_not_found")
		_, err = b.Secret(b.ctx, p, other.ID, stays.ID)
		need(t, err)
	},
}

var secretPromises = map[string]func(*testing.T, *bundle){
	"ASecretComesBackAsItWentIn": func(t *testing.T, b *bundle) {
		name := "n"
		v := b.vault(t, b.project(t))
		for _, want := range []core.Secret{
			b.secret(t, v),
			b.secret(t, v, func(s *core.Secret) {
				s.Kind, s.Name, s.Metadata, s.ExpiresAt = core.SecretOAuth, &name, map[string]string{"k": "v"}, kept(at(9))
				s.Terms = core.SecretTerms{
					URL: "u", Protocol: "sse", Limited: true, Hosts: []string{"h"}, InHeader: true, InBody: true,
					Refresh: &core.RefreshTerms{Endpoint: "e", ClientID: "c", Auth: core.TokenAuthNone, Scope: "s", Resource: "r"},
				}
				s.SealKey, s.Sealed, s.ArchivedAt = "", nil, kept(at(10))
			}),
		} {
			got, err := b.Secret(b.ctx, v.Project, v.ID, want.ID)
			need(t, err)
			same(t, "secret", got, want)
		}
	},
	"ATargetIsTakenWhileItsSecretIsActive": func(t *testing.T, b *bundle) {
		p := b.project(t)
		v := b.vault(t, p)
		first := b.secret(t, v, func(s *core.Secret) { s.Target = "https://a" })
		second := b.newSecret(v)
		second.Target = "https://a"
		refused(t, "while active", b.CreateSecret(b.ctx, second), core.Conflict, "secret_target_taken")
		again := first
		again.Target = "https://b"
		refused(t, "same id", b.CreateSecret(b.ctx, again), core.Conflict, "secret_already_exists")
		b.secret(t, b.vault(t, p), func(s *core.Secret) { s.Target = "https://a" })
		first.ArchivedAt = kept(at(99))
		need(t, b.UpdateSecret(b.ctx, first))
		need(t, b.CreateSecret(b.ctx, second))
	},
	"AConflictSpoilsNoTransaction": func(t *testing.T, b *bundle) {
		v := b.vault(t, b.project(t))
		taken := b.secret(t, v)
		other := b.newSecret(v)
		need(t, b.Tx(b.ctx, func(tx core.Store) error {
			if err := tx.CreateSecret(b.ctx, taken); core.KindOf(err) != core.Conflict {
				return err
			}
			return tx.CreateSecret(b.ctx, other)
		}))
		n, err := b.CountSecrets(b.ctx, v.Project, v.ID)
		need(t, err)
		same(t, "secrets", n, 2)
	},
	"UpdateSecretReplacesWhatMayChange": func(t *testing.T, b *bundle) {
		name := "new"
		s := b.secret(t, b.vault(t, b.project(t)))
		change := core.Secret{
			Project: s.Project, Vault: s.Vault, ID: s.ID, Kind: core.SecretOAuth, Target: "other", Name: &name, Metadata: map[string]string{"a": "b"},
			Terms: core.SecretTerms{URL: "u"}, ExpiresAt: kept(at(70)), RefreshUntil: at(71), SealKey: "k2", Sealed: []byte("new"),
			CreatedAt: at(72), UpdatedAt: kept(at(73)), ArchivedAt: kept(at(74)),
		}
		need(t, b.UpdateSecret(b.ctx, change))
		got, err := b.Secret(b.ctx, s.Project, s.Vault, s.ID)
		need(t, err)
		change.Kind, change.Target, change.RefreshUntil, change.CreatedAt = s.Kind, s.Target, s.RefreshUntil, s.CreatedAt
		same(t, "secret", got, change)
	},
	"SecretsAreListedAndCountedByVault": func(t *testing.T, b *bundle) {
		p := b.project(t)
		v := b.vault(t, p)
		one, two := b.secret(t, v), b.secret(t, v)
		gone := b.secret(t, v, func(s *core.Secret) { s.ArchivedAt = at(99) })
		b.secret(t, b.vault(t, p))
		for _, c := range []struct {
			name string
			page core.VaultPage
			want []core.SecretID
		}{
			{"active", core.VaultPage{Limit: 10}, []core.SecretID{two.ID, one.ID}},
			{"all", core.VaultPage{Limit: 10, IncludeArchived: true}, []core.SecretID{gone.ID, two.ID, one.ID}},
			{"after", core.VaultPage{Limit: 10, After: &core.PageKey{CreatedAt: two.CreatedAt, ID: string(two.ID)}}, []core.SecretID{one.ID}},
			{"before", core.VaultPage{Limit: 10, Before: &core.PageKey{CreatedAt: one.CreatedAt, ID: string(one.ID)}}, []core.SecretID{two.ID}},
		} {
			list, err := b.Secrets(b.ctx, p, v.ID, c.page)
			need(t, err)
			same(t, c.name, ids(list, secretID), c.want)
		}
		n, err := b.CountSecrets(b.ctx, p, v.ID)
		need(t, err)
		same(t, "count", n, 2)
	},
	"ArchiveSecretsPurgesWhatWasActive": func(t *testing.T, b *bundle) {
		p := b.project(t)
		v := b.vault(t, p)
		active, archived, other := b.secret(t, v), b.secret(t, v, func(s *core.Secret) { s.ArchivedAt = kept(at(5)) }), b.secret(t, b.vault(t, p))
		n, err := b.ArchiveSecrets(b.ctx, p, v.ID, at(80))
		need(t, err)
		same(t, "archived", n, 1)
		want := active
		want.Sealed, want.SealKey, want.UpdatedAt, want.ArchivedAt = nil, "", kept(at(80)), kept(at(80))
		for _, w := range []core.Secret{want, archived, other} {
			got, err := b.Secret(b.ctx, p, w.Vault, w.ID)
			need(t, err)
			same(t, "secret", got, w)
		}
	},
	"SecretsAreFoundByTargetAndKind": func(t *testing.T, b *bundle) {
		p := b.project(t)
		v, w := b.vault(t, p), b.vault(t, p)
		target := func(s *core.Secret) { s.Target = "https://a" }
		variable := func(s *core.Secret) { s.Kind = core.SecretVariable }
		gone := func(s *core.Secret) { s.ArchivedAt = at(99) }
		first, second := b.secret(t, v, target), b.secret(t, w, target)
		env := b.secret(t, w, variable)
		b.secret(t, b.vault(t, p), target, gone)
		b.secret(t, v, variable, gone)
		for _, c := range []struct {
			vaults []core.VaultID
			want   []core.SecretID
		}{
			{nil, []core.SecretID{}},
			{[]core.VaultID{w.ID}, []core.SecretID{second.ID}},
			{[]core.VaultID{v.ID, w.ID, "none"}, []core.SecretID{first.ID, second.ID}},
		} {
			list, err := b.TargetSecrets(b.ctx, p, c.vaults, "https://a")
			need(t, err)
			got := map[core.SecretID]bool{}
			for _, s := range list {
				got[s.ID] = true
			}
			same(t, "found", len(got), len(c.want))
			for _, id := range c.want {
				same(t, "has "+string(id), got[id], true)
			}
		}
		list, err := b.KindSecrets(b.ctx, p, []core.VaultID{v.ID, w.ID}, core.SecretVariable)
		need(t, err)
		same(t, "variables", ids(list, secretID), []core.SecretID{env.ID})
	},
	"OneCallerAtATimeMayRefresh": func(t *testing.T, b *bundle) {
		s := b.secret(t, b.vault(t, b.project(t)))
		lease := func(now, until int) bool {
			t.Helper()
			got, err := b.LeaseRefresh(b.ctx, s.Project, s.Vault, s.ID, at(now), at(until))
			need(t, err)
			return got
		}
		same(t, "first", lease(1, 10), true)
		same(t, "while it is held", lease(9, 20), false)
		need(t, b.EndRefresh(b.ctx, s.Project, s.Vault, s.ID, at(9)))
		same(t, "after another's end", lease(9, 20), false)
		need(t, b.EndRefresh(b.ctx, s.Project, s.Vault, s.ID, at(10)))
		same(t, "after its end", lease(9, 20), true)
		same(t, "when it ran out", lease(20, 30), true)
		_, err := b.ArchiveSecrets(b.ctx, s.Project, s.Vault, at(31))
		need(t, err)
		same(t, "when archived", lease(40, 50), false)
	},
}
