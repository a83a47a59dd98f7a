package vault_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/egress"
	"github.com/reeve-ai/reeve/internal/vault"
)

func (b *bundle) match(t *testing.T, url string, in ...core.VaultID) (string, bool) {
	t.Helper()
	found, ok, err := b.Match(t.Context(), "p1", in, url)
	if err != nil {
		t.Fatal(err)
	}
	return found.Token, ok
}

func TestFirstVaultWithTheServerWins(t *testing.T) {
	t.Parallel()
	b := setup(t)
	one, two := b.vault(t), b.vault(t)
	second := b.secret(t, two, bearer("https://mcp.example.com/v1", "second"))
	first := b.secret(t, one, bearer("https://mcp.example.com/v1", "first"))
	b.secret(t, one, variable("NAME", "x"))
	for _, tc := range []struct {
		url  string
		in   []core.VaultID
		want string // empty: none
	}{
		{"https://mcp.example.com/v1", []core.VaultID{one, two}, "first"},
		{"https://mcp.example.com/v1", []core.VaultID{two, one}, "second"},
		{"HTTPS://MCP.Example.com:443/v1/", []core.VaultID{"gone", one}, "first"},
		{"https://mcp.example.com/v1#part", []core.VaultID{one}, "first"},
		{"http://mcp.example.com/v1", []core.VaultID{one}, ""},
		{"https://mcp.example.com:8443/v1", []core.VaultID{one}, ""},
		{"https://mcp.example.com/V1", []core.VaultID{one}, ""},
		{"https://mcp.example.com/v1?a=b", []core.VaultID{one}, ""},
		{"https://mcp.example.com/v1/more", []core.VaultID{one}, ""},
		{"https://mcp.example.com/v1", nil, ""},
		{"NAME", []core.VaultID{one}, ""},
	} {
		if got, found := b.match(t, tc.url, tc.in...); got != tc.want || found != (tc.want != "") {
			t.Errorf("%s in %v: %q, %v; want %q", tc.url, tc.in, got, found, tc.want)
		}
	}
	if got, ok, err := b.Match(t.Context(), "p2", []core.VaultID{one}, "https://mcp.example.com/v1"); ok || err != nil {
		t.Errorf("from another project: %v, %v", got, err)
	}
	got, _, err := b.Match(t.Context(), "p1", []core.VaultID{two}, "https://mcp.example.com/v1")
	if err != nil || got.Secret != second.ID || got.Vault != two {
		t.Errorf("match = %v, %v; want %s (not %s)", got, err, second.ID, first.ID)
	}
}

func TestVariablesOfSeveralVaults(t *testing.T) {
	t.Parallel()
	b := setup(t)
	one, two := b.vault(t), b.vault(t)
	b.secret(t, two, variable("A", "a2"))
	b.secret(t, two, variable("B", "b2"))
	limited := variable("A", "a1")
	limited.Terms = core.SecretTerms{Limited: true, Hosts: []string{"API.example.com", "*.example.org", "192.0.2.1"}, InHeader: true}
	b.secret(t, one, limited)
	vars, err := b.EnvironmentSecrets(t.Context(), "p1", []core.VaultID{one, two})
	if err != nil || len(vars) != 2 || vars[0].Value != "a1" || vars[1].Value != "b2" || vars[0].Terms.InBody {
		t.Fatalf("variables = %v, %v", vars, err)
	}
	for host, want := range map[string]bool{
		"api.example.com": true, "API.EXAMPLE.COM.": true, "192.0.2.1": true, "a.example.org": true, "a.b.example.org": true,
		"example.org": false, ".example.org": false, "badexample.org": false, "x.api.example.com": false, "": false,
	} {
		if got := vars[0].Terms.Reaches(host); got != want {
			t.Errorf("reaches %q: %v", host, got)
		}
	}
	if !vars[1].Terms.Reaches("anything") {
		t.Error("an unrestricted value is restricted")
	}
	if none, err := b.EnvironmentSecrets(t.Context(), "p1", nil); err != nil || none == nil || len(none) != 0 {
		t.Errorf("without vaults: %v, %v", none, err)
	}
}

func TestEndedTokensAreRefreshed(t *testing.T) {
	t.Parallel()
	const form = "grant_type=refresh_token&refresh_token=refresh-secret-0&resource=https%3A%2F%2Fmcp.example.com&scope=read+write"
	for auth, want := range map[string]string{
		core.TokenAuthNone:  "client_id=client+1&" + form,
		core.TokenAuthPost:  "client_id=client+1&client_secret=client+secret%2F1&" + form,
		core.TokenAuthBasic: "Basic Y2xpZW50KzE6Y2xpZW50K3NlY3JldCUyRjE= " + form, // client+1:client+secret%2F1
	} {
		t.Run(auth, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			a, in := serveAuthority(t), b.vault(t)
			n := oauth(a, auth)
			n.ExpiresAt = b.clock.now().Add(10 * time.Minute)
			s := b.secret(t, in, n)
			if got, _ := b.match(t, a.URL+"/mcp", in); got != "access-secret-0" {
				t.Errorf("a token that lasts was refreshed: %q", got)
			}
			b.clock.move(9*time.Minute + time.Second)
			if got, _ := b.match(t, a.URL+"/mcp", in); got != "access-secret-1" {
				t.Errorf("token = %q", got)
			}
			if _, forms := a.seen(); !cmp.Equal(forms, []string{want}) {
				t.Errorf("token endpoint got %q, want %q", forms, want)
			}
			row := b.stored(t, s)
			if left := row.ExpiresAt.Sub(b.clock.now()); left != time.Hour || !row.RefreshUntil.IsZero() {
				t.Errorf("ends in %v, refresh until %v", left, row.RefreshUntil)
			}
			b.clock.move(time.Hour)
			if got, _ := b.match(t, a.URL+"/mcp", in); got != "access-secret-2" {
				t.Errorf("with the rotated refresh token: %q", got)
			}
		})
	}
}

func TestARefreshTokenThatIsNotRotatedStays(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a, in := serveAuthority(t), b.vault(t)
	a.set(func(a *authority) { a.silent = true })
	s := b.secret(t, in, oauth(a, core.TokenAuthNone))
	token := vault.Bearer{Project: "p1", Vault: in, Secret: s.ID, Token: "access-secret-0"}
	for _, want := range []string{"access-secret-1", "access-secret-2"} {
		var err error
		if token, err = b.Renew(t.Context(), token); err != nil || token.Token != want {
			t.Fatalf("token = %q, %v", token.Token, err)
		}
	}
}

// Two refreshes at one time do one, on one node and on two.
func TestRefreshesAtOneTimeDoOne(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a, in := serveAuthority(t), b.vault(t)
	release := make(chan struct{})
	a.set(func(a *authority) { a.hold = release })
	s := b.secret(t, in, oauth(a, core.TokenAuthNone))
	node2 := b.service(installation, b.outgoing)
	t.Cleanup(node2.Close)
	var wait sync.WaitGroup
	for i := range 8 {
		node := []*vault.Service{b.Service, node2}[i%2]
		wait.Go(func() {
			got, err := node.Renew(t.Context(), vault.Bearer{Project: "p1", Vault: in, Secret: s.ID, Token: "access-secret-0"})
			if err != nil || got.Token != "access-secret-1" {
				t.Errorf("token = %q, %v", got.Token, err)
			}
		})
	}
	<-a.reached
	close(release)
	wait.Wait()
	if n, _ := a.seen(); n != 1 {
		t.Errorf("%d exchanges, want 1", n)
	}
	// Who comes late with the old token gets the new one, without another exchange.
	got, err := node2.Renew(t.Context(), vault.Bearer{Project: "p1", Vault: in, Secret: s.ID, Token: "access-secret-0"})
	if n, _ := a.seen(); err != nil || got.Token != "access-secret-1" || n != 1 {
		t.Errorf("late: %q, %v, %d exchanges", got.Token, err, n)
	}
}

// A refresh token that was used up is worth nothing: what came for it is stored although the caller left.
func TestARefreshOutlivesItsCaller(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a, in := serveAuthority(t), b.vault(t)
	release := make(chan struct{})
	a.set(func(a *authority) { a.hold = release })
	s := b.secret(t, in, oauth(a, core.TokenAuthNone))
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error, 1) // holds the one result
	go func() {
		_, err := b.Renew(ctx, vault.Bearer{Project: "p1", Vault: in, Secret: s.ID, Token: "access-secret-0"})
		left <- err
	}()
	<-a.reached
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v", err)
	}
	close(release)
	b.Close() // waits for it
	if got, _ := b.match(t, a.URL+"/mcp", in); got != "access-secret-1" {
		t.Errorf("token = %q", got)
	}
}

// What a person sets while a refresh runs stays.
func TestAChangeDuringARefreshIsNotLost(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a, in := serveAuthority(t), b.vault(t)
	release := make(chan struct{})
	a.set(func(a *authority) { a.hold = release })
	s := b.secret(t, in, oauth(a, core.TokenAuthNone))
	done := make(chan vault.Bearer, 1) // holds the one result
	go func() {
		got, err := b.Renew(t.Context(), vault.Bearer{Project: "p1", Vault: in, Secret: s.ID, Token: "access-secret-0"})
		if err != nil {
			t.Error(err)
		}
		done <- got
	}()
	<-a.reached
	if _, err := b.UpdateSecret(t.Context(), b.admin, in, s.ID, vault.SecretChange{Kind: core.SecretOAuth, Token: ptr("by-hand"), Name: ptr(ptr("n"))}); err != nil {
		t.Fatal(err)
	}
	close(release)
	if got := <-done; got.Token != "by-hand" {
		t.Errorf("token = %q", got.Token)
	}
	if got := b.stored(t, s); *got.Name != "n" {
		t.Errorf("row = %+v", got)
	}
	// The refresh token is the rotated one: it works.
	got, err := b.Renew(t.Context(), vault.Bearer{Project: "p1", Vault: in, Secret: s.ID, Token: "by-hand"})
	if err != nil || got.Token != "access-secret-2" {
		t.Errorf("token = %q, %v", got.Token, err)
	}
}

func TestARefreshThatFailsLeavesTheToken(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		status int
		answer string
	}{
		"refused":          {400, `{"error":"invalid_grant"}`},
		"error with 200":   {200, `{"error":"bad_refresh_token"}`},
		"no JSON":          {200, `<html>access_token</html>`},
		"token unusable":   {200, `{"access_token":"a b"}`},
		"elsewhere":        {307, ``},
		"server is broken": {500, `oops`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			a, in := serveAuthority(t), b.vault(t)
			a.set(func(a *authority) { a.status, a.answer = tc.status, func(int) string { return tc.answer } })
			n := oauth(a, core.TokenAuthNone)
			n.ExpiresAt = b.clock.now().Add(time.Second)
			s := b.secret(t, in, n)
			before := b.stored(t, s)
			if got, _ := b.match(t, a.URL+"/mcp", in); got != "access-secret-0" {
				t.Errorf("token = %q", got)
			}
			if d := cmp.Diff(before, b.stored(t, s)); d != "" {
				t.Errorf("row changed (-before +after):\n%s", d)
			}
			if !strings.Contains(b.log.String(), string(s.ID)) {
				t.Error("the failure is not in the log")
			}
		})
	}
}

func TestPrivateAddressesAreNotReached(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.Service = b.service(installation, egress.New(egress.Options{}).Transport()) // without exceptions
	a, in := serveAuthority(t), b.vault(t)
	n := oauth(a, core.TokenAuthNone)
	n.ExpiresAt = b.clock.now().Add(time.Second)
	s := b.secret(t, in, n)
	if got, _ := b.match(t, a.URL+"/mcp", in); got != "access-secret-0" {
		t.Errorf("token = %q", got)
	}
	v, err := b.Validate(t.Context(), b.admin, in, s.ID)
	if err != nil || v.Verdict != vault.VerdictUnknown || v.Probe == nil || v.Probe.Response != nil || v.Refresh != nil {
		t.Errorf("validation = %+v, %v", v, err)
	}
	if exchanges, _ := a.seen(); exchanges != 0 {
		t.Errorf("%d exchanges", exchanges)
	}
}

func TestExpiryIsReadAsItComes(t *testing.T) {
	t.Parallel()
	for expires, want := range map[string]time.Duration{
		`3600`: time.Hour, `"3600"`: time.Hour, `3.6e3`: time.Hour, `0`: 0, `-5`: 0, `null`: 0, `"soon"`: -1, `1e99`: 10 * 365 * 24 * time.Hour,
	} {
		t.Run(expires, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			a, in := serveAuthority(t), b.vault(t)
			a.set(func(a *authority) {
				a.answer = func(int) string { return fmt.Sprintf(`{"access_token":"new","expires_in":%s}`, expires) }
			})
			s := b.secret(t, in, oauth(a, core.TokenAuthNone))
			got, err := b.Renew(t.Context(), vault.Bearer{Project: "p1", Vault: in, Secret: s.ID, Token: "access-secret-0"})
			if err != nil {
				t.Fatal(err)
			}
			if want < 0 { // no number at all: no token of the standard
				if got.Token != "access-secret-0" {
					t.Errorf("token = %q", got.Token)
				}
				return
			}
			row := b.stored(t, s)
			if got.Token != "new" || want == 0 != row.ExpiresAt.IsZero() || want > 0 && row.ExpiresAt.Sub(b.clock.now()) != want {
				t.Errorf("token %q ends %v", got.Token, row.ExpiresAt)
			}
		})
	}
}

func TestValidation(t *testing.T) {
	t.Parallel()
	refuse := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}
	}
	shown := func(status int, body string) *vault.Response {
		return &vault.Response{Status: status, ContentType: "application/json", Body: body}
	}
	refused := &vault.Probe{Method: "initialize", Response: shown(401, `{"error":"invalid_token"}`)}
	for name, tc := range map[string]struct {
		prepare   func(*authority)
		norefresh bool
		verdict   vault.Verdict
		probe     *vault.Probe
		refresh   *vault.Refresh
	}{
		"works":            {verdict: vault.VerdictValid},
		"works refreshed":  {prepare: func(a *authority) { a.access = "other" }, verdict: vault.VerdictValid, refresh: &vault.Refresh{Status: vault.RefreshSucceeded}},
		"no refresh token": {prepare: func(a *authority) { a.access = "other" }, norefresh: true, verdict: vault.VerdictInvalid, probe: refused, refresh: &vault.Refresh{Status: vault.RefreshNoToken}},
		"refresh refused": {
			prepare: func(a *authority) { a.access, a.refresh = "other", "other" }, verdict: vault.VerdictInvalid, probe: refused,
			refresh: &vault.Refresh{Status: vault.RefreshFailed, Response: shown(400, `{"error":"invalid_grant","error_description":"unknown or used"}`)},
		},
		"refreshed and refused again": {
			prepare: func(a *authority) {
				a.answer = func(int) string { return `{"access_token":"useless-secret"}` }
				a.access = "other"
			},
			verdict: vault.VerdictInvalid, probe: refused, refresh: &vault.Refresh{Status: vault.RefreshSucceeded},
		},
		"forbidden": {
			prepare: func(a *authority) { a.access, a.refuse = "other", refuse(403, `{"error":"insufficient_scope"}`) },
			verdict: vault.VerdictInvalid, probe: &vault.Probe{Method: "initialize", Response: shown(403, `{"error":"insufficient_scope"}`)},
		},
		"broken server": {
			prepare: func(a *authority) { a.access, a.refuse = "other", refuse(502, `{}`) },
			verdict: vault.VerdictUnknown, probe: &vault.Probe{Method: "initialize", Response: shown(502, `{}`)},
		},
		"sent elsewhere": {
			prepare: func(a *authority) {
				a.access, a.refuse = "other", func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Location", "http://127.0.0.1/elsewhere")
					w.WriteHeader(http.StatusTemporaryRedirect)
				}
			},
			verdict: vault.VerdictUnknown, probe: &vault.Probe{Method: "initialize", Response: &vault.Response{Status: 307}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			a, in := serveAuthority(t), b.vault(t)
			if tc.prepare != nil {
				a.set(tc.prepare)
			}
			n := oauth(a, core.TokenAuthBasic)
			if tc.norefresh {
				n.Terms.Refresh, n.Plain.RefreshToken, n.Plain.ClientSecret = nil, "", ""
			}
			s := b.secret(t, in, n)
			v, err := b.Validate(t.Context(), b.admin, in, s.ID)
			if err != nil {
				t.Fatal(err)
			}
			want := vault.Validation{Secret: v.Secret, At: b.clock.now(), HasRefreshToken: !tc.norefresh, Verdict: tc.verdict, Probe: tc.probe, Refresh: tc.refresh}
			if d := cmp.Diff(want, v); d != "" || v.Secret.ID != s.ID {
				t.Errorf("validation (-want +got):\n%s", d)
			}
		})
	}
	t.Run("token endpoint is not there", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		a, in := serveAuthority(t), b.vault(t)
		a.set(func(a *authority) { a.access = "other" })
		n := oauth(a, core.TokenAuthNone)
		n.Terms.Refresh.Endpoint = "http://127.0.0.1:1/token"
		s := b.secret(t, in, n)
		v, err := b.Validate(t.Context(), b.admin, in, s.ID)
		if err != nil || v.Verdict != vault.VerdictUnknown || v.Refresh == nil || v.Refresh.Status != vault.RefreshNoAnswer || v.Probe == nil {
			t.Errorf("validation = %+v, %v", v, err)
		}
	})
}
