package identity

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/core"
)

func TestSDKKeysHaveTheirLifetime(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ctx := t.Context()
	admin := w.project(t, "a@b")
	for days, code := range map[int]string{-1: "invalid_field", 0: "invalid_field", 301: "invalid_field", 1: "", 300: ""} {
		plain, key, err := w.CreateSDKKey(ctx, admin, days, " ci ")
		if code != "" {
			wantError(t, err, core.Invalid, code)
			if e := coreError(err); e.Field != "validity" {
				t.Errorf("%d days: field %q", days, e.Field)
			}
			continue
		}
		if err != nil || !strings.HasPrefix(plain, "otas_"+key.Prefix+"_") || len(plain) != 60 || *key.Name != "ci" ||
			!key.ExpiresAt.Equal(key.CreatedAt.AddDate(0, 0, days)) || key.CreatedBy != admin.User {
			t.Errorf("%d days: %q, %+v, %v", days, plain, key, err)
		}
	}
	_, _, err := w.CreateSDKKey(ctx, admin, 1, strings.Repeat("n", 256))
	wantError(t, err, core.Invalid, "field_too_long")
}

func TestAllKeysAreListedAndEachCanBeRevoked(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ctx := t.Context()
	admin, stranger := w.project(t, "a@b"), w.project(t, "b@b")
	raw := w.keys(t, admin)
	w.keys(t, stranger)
	keys, err := w.Keys(ctx, admin)
	if err != nil || len(keys) != 3 || !keys[0].CreatedAt.Equal(keys[2].CreatedAt) {
		t.Fatalf("Keys = %v, %v", keys, err)
	}
	works := map[core.CredentialKind]func() error{
		core.CredentialAccess: func() error { _, err := w.Token(ctx, raw[core.CredentialAccess]); return err },
		core.CredentialSDK:    func() error { _, _, err := w.SDKProject(ctx, raw[core.CredentialSDK]); return err },
		core.CredentialAgent:  func() error { _, _, err := w.AgentKey(ctx, raw[core.CredentialAgent]); return err },
	}
	for _, k := range keys {
		if err := works[k.Kind](); err != nil {
			t.Errorf("%s before: %v", k.Kind, err)
		}
		_, err := w.RevokeKey(ctx, stranger, k.ID)
		wantError(t, err, core.NotFound, "key_not_found")
		if k.Kind != core.CredentialSDK {
			wantError(t, w.RevokeSDKKey(ctx, admin, k.ID), core.NotFound, "sdk_key_not_found")
		}
		w.clock.move(time.Second)
		got, err := w.RevokeKey(ctx, admin, k.ID)
		want := k
		want.RevokedAt, want.EndsSessions, want.LastUsedAt = w.Service.clock(), k.Kind == core.CredentialAgent, got.LastUsedAt
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("RevokeKey: %v %s", err, diff)
		}
		if err := works[k.Kind](); core.KindOf(err) != core.Unauthenticated {
			t.Errorf("%s after: %v", k.Kind, err)
		}
		_, err = w.RevokeKey(ctx, admin, k.ID)
		wantError(t, err, core.NotFound, "key_not_found")
	}
	if keys, err := w.Keys(ctx, admin); err != nil || len(keys) != 3 || keys[0].RevokedAt.IsZero() {
		t.Errorf("afterwards: %v, %v", keys, err)
	}
}

// S6: in the original, every member mints SDK keys.
func TestOnlyAdministratorsTouchKeys(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ctx := t.Context()
	admin := w.project(t, "a@b")
	_, first, err := w.CreateSDKKey(ctx, admin, 1, "")
	if err != nil {
		t.Fatal(err)
	}
	w.clock.move(time.Second)
	_, second, err := w.CreateSDKKey(ctx, admin, 1, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, by := range []core.Principal{
		{Kind: core.PrincipalUser, Project: admin.Project, Role: core.RoleMember},
		{Kind: core.PrincipalUser, Project: admin.Project, Role: core.RoleViewer},
		{Kind: core.PrincipalSDK, Project: admin.Project, Credential: first.ID},
		{},
	} {
		_, _, err := w.CreateSDKKey(ctx, by, 1, "")
		wantError(t, err, core.Forbidden, "forbidden")
		_, err = w.SDKKeys(ctx, by)
		wantError(t, err, core.Forbidden, "forbidden")
		_, err = w.Keys(ctx, by)
		wantError(t, err, core.Forbidden, "forbidden")
		wantError(t, w.RevokeSDKKey(ctx, by, first.ID), core.Forbidden, "forbidden")
		_, err = w.RevokeKey(ctx, by, first.ID)
		wantError(t, err, core.Forbidden, "forbidden")
	}
	w.agent(t, admin) // its key is none of these
	if err := w.RevokeSDKKey(ctx, admin, first.ID); err != nil {
		t.Fatal(err)
	}
	wantError(t, w.RevokeSDKKey(ctx, admin, first.ID), core.NotFound, "sdk_key_not_found")
	list, err := w.SDKKeys(ctx, admin)
	if err != nil || len(list) != 2 || list[0].ID != second.ID || list[1].ID != first.ID || list[1].RevokedAt.IsZero() {
		t.Errorf("SDKKeys = %+v, %v", list, err)
	}
}
