package vault_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/vault"
)

func ptr[T any](v T) *T { return &v }

func TestWhatMayBeStoredAsASecret(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in := b.vault(t)
	with := func(n vault.NewSecret, change func(*vault.NewSecret)) vault.NewSecret {
		change(&n)
		return n
	}
	a := serveAuthority(t)
	refresh := func(change func(*vault.NewSecret)) vault.NewSecret {
		return with(oauth(a, core.TokenAuthBasic), change)
	}
	for _, tc := range []struct {
		name  string
		n     vault.NewSecret
		field string
	}{
		{"no kind", vault.NewSecret{Target: "https://a"}, "auth.type"},
		{"no URL", bearer("", "x"), "auth.mcp_server_url"},
		{"URL without scheme", bearer("example.com/mcp", "x"), "auth.mcp_server_url"},
		{"URL of another scheme", bearer("ftp://example.com", "x"), "auth.mcp_server_url"},
		{"URL with a password", bearer("https://u:p@example.com", "x"), "auth.mcp_server_url"},
		{"long URL", bearer("https://example.com/"+strings.Repeat("a", 2028), "x"), "auth.mcp_server_url"},
		{"no token", bearer("https://a", ""), "auth.token"},
		{"token with a line end", bearer("https://a", "x\n"), "auth.token"},
		{"long token", bearer("https://a", strings.Repeat("x", 8193)), "auth.token"},
		{"variable without a name", variable("", "x"), "auth.secret_name"},
		{"variable with a bad name", variable("A-B", "x"), "auth.secret_name"},
		{"variable without a value", variable("A", ""), "auth.secret_value"},
		{"variable for nowhere", with(variable("A", "x"), func(n *vault.NewSecret) { n.Terms.InHeader, n.Terms.InBody = false, false }), "auth.injection_location"},
		{"17 hosts", with(variable("A", "x"), func(n *vault.NewSecret) { n.Terms.Hosts = strings.Split(strings.Repeat("a,", 16)+"a", ",") }), "auth.networking.allowed_hosts"},
		{"ended token", refresh(func(n *vault.NewSecret) { n.ExpiresAt = b.clock.now() }), "auth.expires_at"},
		{"no access token", refresh(func(n *vault.NewSecret) { n.Plain.Token = "" }), "auth.access_token"},
		{"no refresh token", refresh(func(n *vault.NewSecret) { n.Plain.RefreshToken = "" }), "auth.refresh.refresh_token"},
		{"no client secret", refresh(func(n *vault.NewSecret) { n.Plain.ClientSecret = "" }), "auth.refresh.token_endpoint_auth.client_secret"},
		{"needless client secret", refresh(func(n *vault.NewSecret) { n.Terms.Refresh.Auth = core.TokenAuthNone }), "auth.refresh.token_endpoint_auth.client_secret"},
		{"unknown client proof", refresh(func(n *vault.NewSecret) { n.Terms.Refresh.Auth = "jwt" }), "auth.refresh.token_endpoint_auth.type"},
		{"no client id", refresh(func(n *vault.NewSecret) { n.Terms.Refresh.ClientID = "" }), "auth.refresh.client_id"},
		{"no token endpoint", refresh(func(n *vault.NewSecret) { n.Terms.Refresh.Endpoint = "" }), "auth.refresh.token_endpoint"},
		{"long name", with(bearer("https://a", "x"), func(n *vault.NewSecret) { n.Name = ptr(strings.Repeat("é", 256)) }), "display_name"},
		{"long metadata", with(bearer("https://a", "x"), func(n *vault.NewSecret) { n.Metadata = map[string]string{"k": strings.Repeat("é", 513)} }), "metadata.k"},
		{"flat, no token", with(bearer("https://a", ""), func(n *vault.NewSecret) { n.Flat = true }), "access_token"},
		{"flat, bad protocol", with(bearer("https://a", "x"), func(n *vault.NewSecret) { n.Flat, n.Terms.Protocol = true, "stdio" }), "protocol"},
	} {
		_, err := b.CreateSecret(t.Context(), b.admin, in, tc.n)
		check(t, tc.name, err, core.Invalid, tc.field)
	}
	for host, ok := range map[string]bool{
		"api.example.com": true, "*.example.com": true, "192.0.2.1": true, "localhost": true, "xn--bcher-kva.example": true,
		"": false, "*": false, "*.": false, "*.*.com": false, "a.*.com": false, "https://a.com": false, "a.com:443": false, "a.com/x": false,
		"[::1]": false, "::1": false, "*.192.0.2.1": false, "999.0.2.1": false, "1.2.3": false, "a_b.com": false, "a.com.": false, " a.com": false, "bücher.de": false,
	} {
		n := variable("H", "x")
		n.Terms.Limited, n.Terms.Hosts = true, []string{host}
		s, err := b.CreateSecret(t.Context(), b.admin, in, n)
		if !ok {
			check(t, fmt.Sprintf("host %q", host), err, core.Invalid, "auth.networking.allowed_hosts[0]")
			continue
		}
		if err != nil {
			t.Errorf("host %q: %v", host, err)
			continue
		}
		if err := b.DeleteSecret(t.Context(), b.admin, in, s.ID); err != nil {
			t.Error(err)
		}
	}
}

func TestOneActiveSecretForAServerOrVariable(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in := b.vault(t)
	first := b.secret(t, in, bearer("https://MCP.example.com:443/v1/", "x"))
	if first.Terms.URL != "https://MCP.example.com:443/v1/" {
		t.Errorf("URL = %q: it must be shown as it was sent", first.Terms.URL)
	}
	_, err := b.CreateSecret(t.Context(), b.admin, in, bearer("https://mcp.example.com/v1", "y"))
	check(t, "same server", err, core.Conflict, "credential_exists")
	b.secret(t, in, variable("API_KEY", "x"))
	_, err = b.CreateSecret(t.Context(), b.admin, in, variable("API_KEY", "y"))
	check(t, "same variable", err, core.Conflict, "auth.secret_name")
	b.secret(t, in, variable("api_key", "x"))
	b.secret(t, b.vault(t), variable("API_KEY", "y"))
	if _, err := b.ArchiveSecret(t.Context(), b.admin, in, first.ID); err != nil {
		t.Fatal(err)
	}
	b.secret(t, in, bearer("https://mcp.example.com/v1", "y"))
}

func TestAVaultHoldsTwentyActiveSecrets(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in := b.vault(t)
	var last core.Secret
	for i := range 20 {
		last = b.secret(t, in, variable(fmt.Sprintf("V%d", i), "x"))
	}
	_, err := b.CreateSecret(t.Context(), b.admin, in, variable("MORE", "x"))
	check(t, "the 21st", err, core.Invalid, "too_many_credentials")
	again := variable("V19", "x")
	again.ID = last.ID
	_, err = b.CreateSecret(t.Context(), b.admin, in, again)
	check(t, "the 20th again by its id", err, core.Conflict, "secret_already_exists")
	if _, err := b.ArchiveSecret(t.Context(), b.admin, in, last.ID); err != nil {
		t.Fatal(err)
	}
	b.secret(t, in, variable("MORE", "x"))
	many := vault.NewVault{Name: "n", Secrets: make([]vault.NewSecret, 21)}
	_, _, err = b.CreateVault(t.Context(), b.admin, many)
	check(t, "21 at once", err, core.Invalid, "credentials")
}

func TestAVaultIsMadeWithItsSecretsOrNotAtAll(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, _, err := b.CreateVault(t.Context(), b.admin, vault.NewVault{Name: "n", Secrets: []vault.NewSecret{bearer("https://a", "x"), bearer("https://A/", "y")}})
	check(t, "two for one server", err, core.Conflict, "credentials[1].auth.mcp_server_url")
	_, _, err = b.CreateVault(t.Context(), b.admin, vault.NewVault{Name: "n", Secrets: []vault.NewSecret{bearer("https://a", "")}})
	check(t, "one without a token", err, core.Invalid, "credentials[0].auth.token")
	list, err := b.Vaults(t.Context(), b.admin, core.VaultPage{Limit: 10, IncludeArchived: true})
	if err != nil || len(list) != 0 {
		t.Errorf("vaults = %v, %v: none may be left", list, err)
	}
	v, made, err := b.CreateVault(t.Context(), b.admin, vault.NewVault{Name: "n", Secrets: []vault.NewSecret{bearer("https://a", "x"), variable("A", "y")}})
	if err != nil || len(made) != 2 || made[1].Vault != v.ID {
		t.Fatalf("made = %v, %v", made, err)
	}
}

func TestUpdateChangesWhatMayChange(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in, a := b.vault(t), serveAuthority(t)
	change := func(s core.Secret, c vault.SecretChange) (core.Secret, error) {
		return b.UpdateSecret(t.Context(), b.admin, in, s.ID, c)
	}
	must := func(s core.Secret, c vault.SecretChange) core.Secret {
		t.Helper()
		got, err := change(s, c)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	v := b.secret(t, in, variable("A", "old"))
	b.clock.move(time.Second)
	if same := must(v, vault.SecretChange{Kind: core.SecretVariable, Target: ptr("A"), Token: ptr("old")}); !same.UpdatedAt.Equal(v.UpdatedAt) {
		t.Error("a change that changes nothing counts as one")
	}
	got := must(v, vault.SecretChange{
		Kind: core.SecretVariable, Token: ptr("new"), Name: ptr(ptr("n")), Metadata: map[string]*string{"k": ptr("v")},
		Hosts: &vault.Hosts{Limited: true, Names: []string{"a.com"}}, InBody: ptr(false),
	})
	want := core.SecretTerms{Limited: true, Hosts: []string{"a.com"}, InHeader: true}
	if d := cmp.Diff(want, got.Terms); d != "" || *got.Name != "n" || got.Metadata["k"] != "v" || !got.UpdatedAt.After(v.UpdatedAt) {
		t.Errorf("secret = %+v, terms (-want +got):\n%s", got, d)
	}
	vars, err := b.EnvironmentSecrets(t.Context(), "p1", []core.VaultID{in})
	if err != nil || len(vars) != 1 || vars[0].Value != "new" {
		t.Errorf("variables = %v, %v", vars, err)
	}
	o := b.secret(t, in, oauth(a, core.TokenAuthPost))
	noRefresh := b.secret(t, in, vault.NewSecret{Kind: core.SecretOAuth, Target: "https://plain", Plain: vault.Plain{Token: "x"}})
	public := oauth(a, core.TokenAuthNone)
	public.Target = "https://public"
	none := b.secret(t, in, public)
	for name, tc := range map[string]struct {
		of    core.Secret
		c     vault.SecretChange
		field string
	}{
		"kind":                       {v, vault.SecretChange{Kind: core.SecretBearer}, "auth.type"},
		"name of a variable":         {v, vault.SecretChange{Kind: core.SecretVariable, Target: ptr("B")}, "auth.secret_name"},
		"value cleared":              {v, vault.SecretChange{Kind: core.SecretVariable, Token: ptr("")}, "auth.secret_value"},
		"last place":                 {v, vault.SecretChange{Kind: core.SecretVariable, InHeader: ptr(false)}, "auth.injection_location"},
		"empty name":                 {v, vault.SecretChange{Name: ptr(ptr(""))}, "display_name"},
		"server":                     {o, vault.SecretChange{Kind: core.SecretOAuth, Target: ptr("https://b")}, "auth.mcp_server_url"},
		"past":                       {o, vault.SecretChange{Kind: core.SecretOAuth, ExpiresAt: ptr(b.clock.now())}, "auth.expires_at"},
		"token endpoint":             {o, vault.SecretChange{Kind: core.SecretOAuth, Endpoint: ptr("https://b")}, "auth.refresh.token_endpoint"},
		"client id":                  {o, vault.SecretChange{Kind: core.SecretOAuth, ClientID: ptr("b")}, "auth.refresh.client_id"},
		"resource":                   {o, vault.SecretChange{Kind: core.SecretOAuth, Resource: ptr("")}, "auth.refresh.resource"},
		"no secret for the endpoint": {o, vault.SecretChange{Kind: core.SecretOAuth, Auth: ptr(core.TokenAuthNone)}, "auth.refresh.token_endpoint_auth.type"},
		"a secret after all":         {none, vault.SecretChange{Kind: core.SecretOAuth, Auth: ptr(core.TokenAuthPost), ClientSecret: ptr("x")}, "auth.refresh.token_endpoint_auth.type"},
		"no refresh to change":       {noRefresh, vault.SecretChange{Kind: core.SecretOAuth, RefreshToken: ptr("x")}, "auth.refresh"},
	} {
		_, err := change(tc.of, tc.c)
		check(t, name, err, core.Invalid, tc.field)
	}
	soon := b.clock.now().Add(time.Hour)
	got = must(o, vault.SecretChange{
		Kind: core.SecretOAuth, Target: ptr(strings.ToUpper(a.URL) + "/mcp/"), Token: ptr("t"), ExpiresAt: &soon, RefreshToken: ptr("r"),
		ClientSecret: ptr("c"), Auth: ptr(core.TokenAuthBasic), Scope: ptr(""), ClientID: ptr("client 1"),
	})
	if r := got.Terms.Refresh; r.Auth != core.TokenAuthPost || r.Scope != "" || !got.ExpiresAt.Equal(soon) || got.Terms.URL != a.URL+"/mcp" {
		t.Errorf("secret = %+v, refresh %+v", got, r)
	}
	if got = must(o, vault.SecretChange{Kind: core.SecretOAuth, ExpiresAt: &time.Time{}}); !got.ExpiresAt.IsZero() {
		t.Errorf("expires at %v, want not known", got.ExpiresAt)
	}
	if _, err := b.ArchiveSecret(t.Context(), b.admin, in, o.ID); err != nil {
		t.Fatal(err)
	}
	_, err = change(o, vault.SecretChange{Name: ptr[*string](nil)})
	check(t, "archived", err, core.Invalid, "credential_archived")
}

func TestArchiveDeletesWhatWasSecret(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in := b.vault(t)
	one, two := b.secret(t, in, variable("A", "x")), b.secret(t, in, bearer("https://a", "y"))
	if row := b.stored(t, one); len(row.Sealed) == 0 || row.SealKey == "" {
		t.Fatalf("row = %+v", row)
	}
	gone, err := b.ArchiveSecret(t.Context(), b.admin, in, one.ID)
	if row := b.stored(t, one); err != nil || gone.ArchivedAt.IsZero() || row.Sealed != nil || row.SealKey != "" {
		t.Errorf("row = %+v, %v", row, err)
	}
	b.clock.move(time.Second)
	v, err := b.ArchiveVault(t.Context(), b.admin, in)
	if row := b.stored(t, two); err != nil || row.Sealed != nil || !row.ArchivedAt.Equal(v.ArchivedAt) {
		t.Errorf("row = %+v, %v", row, err)
	}
	if row := b.stored(t, one); !row.ArchivedAt.Equal(gone.ArchivedAt) {
		t.Error("what was archived before was archived again")
	}
	again, err := b.ArchiveVault(t.Context(), b.admin, in)
	if err != nil || !again.ArchivedAt.Equal(v.ArchivedAt) {
		t.Errorf("again = %+v, %v", again, err)
	}
	_, err = b.CreateSecret(t.Context(), b.admin, in, variable("B", "x"))
	check(t, "new secret", err, core.Invalid, "vault_archived")
	_, err = b.UpdateVault(t.Context(), b.admin, in, vault.VaultChange{Name: ptr("x")})
	check(t, "update", err, core.Invalid, "vault_archived")
	if _, found, err := b.Match(t.Context(), "p1", []core.VaultID{in}, "https://a"); found || err != nil {
		t.Errorf("an archived secret matched: %v", err)
	}
	if err := b.DeleteVault(t.Context(), b.admin, in); err != nil {
		t.Fatal(err)
	}
	_, err = b.Secret(t.Context(), b.admin, in, one.ID)
	check(t, "secret of a deleted vault", err, core.NotFound, "secret_not_found")
}

func TestWhoMayDoWhat(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in := b.vault(t)
	s := b.secret(t, in, bearer("https://a", "x"))
	for name, try := range map[string]func(core.Principal) error{
		"create vault": func(p core.Principal) error {
			_, _, err := b.CreateVault(t.Context(), p, vault.NewVault{Name: "n"})
			return err
		},
		"update vault": func(p core.Principal) error {
			_, err := b.UpdateVault(t.Context(), p, in, vault.VaultChange{})
			return err
		},
		"create secret": func(p core.Principal) error {
			_, err := b.CreateSecret(t.Context(), p, in, variable(string(p.Project)+"_"+string(p.Role), "x"))
			return err
		},
		"update secret": func(p core.Principal) error {
			_, err := b.UpdateSecret(t.Context(), p, in, s.ID, vault.SecretChange{})
			return err
		},
		"validate": func(p core.Principal) error { _, err := b.Validate(t.Context(), p, in, s.ID); return err },
		"read":     func(p core.Principal) error { _, err := b.Secret(t.Context(), p, in, s.ID); return err },
		"list": func(p core.Principal) error {
			_, err := b.Secrets(t.Context(), p, in, core.VaultPage{Limit: 1})
			return err
		},
		"read vault": func(p core.Principal) error { _, err := b.Vault(t.Context(), p, in); return err },
	} {
		reads := strings.HasPrefix(name, "read") || name == "list"
		for _, p := range []core.Principal{b.viewer, b.member, {}} {
			if err := try(p); reads && p.Role != "" {
				if err != nil {
					t.Errorf("%s as %s: %v", name, p.Role, err)
				}
			} else {
				check(t, name+" as "+string(p.Role), err, core.Forbidden, "")
			}
		}
		if name != "create vault" {
			check(t, name+" from another project", try(b.other), core.NotFound, "")
		}
	}
	_, err := b.Validate(t.Context(), b.admin, in, s.ID)
	check(t, "validate a bearer token", err, core.Invalid, "not_mcp_oauth")
}

// A row that was copied elsewhere, changed, or sealed by another installation does not open.
func TestSealedRowsOpenOnlyInTheirPlace(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in, other := b.vault(t), b.vault(t)
	if _, _, err := b.CreateVault(t.Context(), b.other, vault.NewVault{ID: in, Name: "n"}); err != nil {
		t.Fatal(err)
	}
	s := b.stored(t, b.secret(t, in, variable("SECRET", "hidden-value")))
	for name, move := range map[string]func(*core.Secret){
		"another id":      func(c *core.Secret) { c.ID, c.Target = core.NewID[core.SecretID](), "COPY" },
		"another vault":   func(c *core.Secret) { c.Vault = other },
		"another project": func(c *core.Secret) { c.Project = "p2" },
	} {
		copied := s
		copied.Sealed = bytes.Clone(s.Sealed)
		move(&copied)
		undo := errors.New("undo")
		err := b.db.Tx(t.Context(), func(tx core.Store) error {
			if copied.ID == s.ID && copied.Project == s.Project { // an id is there once in a project
				if err := tx.DeleteSecret(t.Context(), s.Project, s.Vault, s.ID); err != nil {
					return err
				}
			}
			if err := tx.CreateSecret(t.Context(), copied); err != nil {
				return err
			}
			_, err := vault.New(tx, installation, b.outgoing, vault.Options{}).EnvironmentSecrets(t.Context(), copied.Project, []core.VaultID{copied.Vault})
			if err == nil || core.KindOf(err) != core.Internal || strings.Contains(err.Error(), "hidden") {
				t.Errorf("%s: %v", name, err)
			}
			return undo
		})
		if !errors.Is(err, undo) {
			t.Fatal(err)
		}
	}
	vars, err := b.EnvironmentSecrets(t.Context(), "p1", []core.VaultID{in})
	if err != nil || len(vars) != 1 || vars[0].Value != "hidden-value" {
		t.Errorf("in its place: %v, %v", vars, err)
	}
	again := b.service(installation, b.outgoing)
	if vars, err := again.EnvironmentSecrets(t.Context(), "p1", []core.VaultID{in}); err != nil || vars[0].Value != "hidden-value" {
		t.Errorf("on another node: %v, %v", vars, err)
	}
	stranger := b.service([]byte(strings.Repeat("t", 32)), b.outgoing)
	if _, err := stranger.EnvironmentSecrets(t.Context(), "p1", []core.VaultID{in}); err == nil || !strings.Contains(err.Error(), "key") {
		t.Errorf("with another installation's secret: %v", err)
	}
	s.Sealed[len(s.Sealed)-1] ^= 1
	if err := b.db.UpdateSecret(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if _, err := b.EnvironmentSecrets(t.Context(), "p1", []core.VaultID{in}); err == nil {
		t.Error("a changed row opened")
	}
}

func TestCheckNamesTheVaultAtFault(t *testing.T) {
	t.Parallel()
	b := setup(t)
	good, gone := b.vault(t), b.vault(t)
	if _, err := b.ArchiveVault(t.Context(), b.admin, gone); err != nil {
		t.Fatal(err)
	}
	theirs, _, err := b.CreateVault(t.Context(), b.other, vault.NewVault{Name: "n"})
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		ids   []core.VaultID
		field string
	}{
		"unknown":         {[]core.VaultID{good, "x"}, "vault_ids[1]"},
		"archived":        {[]core.VaultID{gone}, "vault_ids[0]"},
		"another project": {[]core.VaultID{theirs.ID}, "vault_ids[0]"},
		"too many":        {make([]core.VaultID, 51), "vault_ids"},
	} {
		err := b.db.Tx(t.Context(), func(tx core.Store) error { return b.Check(t.Context(), tx, "p1", tc.ids) })
		check(t, name, err, core.Invalid, tc.field)
	}
	if err := errors.Join(b.Check(t.Context(), b.db, "p1", []core.VaultID{good, good}), b.Check(t.Context(), b.db, "p1", nil)); err != nil {
		t.Error(err)
	}
}
