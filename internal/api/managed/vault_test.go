package managed_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"
	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/api/exchange"
	"github.com/reeve-ai/reeve/internal/app"
	"github.com/reeve-ai/reeve/internal/app/apptest"
	"github.com/reeve-ai/reeve/internal/config"
	"github.com/reeve-ai/reeve/internal/provider/fake"
)

// issuer is a token endpoint at /token and an MCP server at /mcp, which takes the token "access-secret-1" that
// /token gives.
func issuer(t *testing.T) *httptest.Server {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		body, err := io.ReadAll(r.Body)
		switch {
		case err != nil:
			t.Error(err)
		case r.URL.Path == "/token" && strings.Contains(string(body), "refresh_token=refresh-secret-0"):
			_, _ = io.WriteString(w, `{"access_token":"access-secret-1","refresh_token":"refresh-secret-1","expires_in":3600}`)
		case r.URL.Path == "/token":
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"error":"invalid_grant","refresh_token":"refresh-secret-echo"}`)
		case r.Header.Get("Authorization") == "Bearer access-secret-1":
			_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{}}`)
		default:
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, `{"error":"invalid_token","you_sent":"`+r.Header.Get("Authorization")+`"}`)
		}
	}))
	t.Cleanup(srv.Close)
	return srv
}

func TestRecordedVaults(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"vault_claude", "vault_qoder"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			exchange.Run(t, s.URL, "testdata/"+name+".txtar", map[string]string{
				"token": s.token, "member": s.member, "viewer": s.viewer, "foreign": s.foreign, "mcp": issuer(t).URL,
			})
		})
	}
}

func TestCredentialBodiesAreJudged(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := claude(s)
	in := "/vaults/" + c.must(t, "POST", "/vaults", `{"display_name":"v"}`)["id"].(string) + "/credentials"
	env := func(more string) string {
		return `{"auth":{"type":"environment_variable","secret_name":"A","secret_value":"x"` + more + `}}`
	}
	open := `,"networking":{"type":"unrestricted"}`
	oauth := func(more string) string {
		return `{"auth":{"type":"mcp_oauth","mcp_server_url":"https://a","access_token":"x"` + more + `}}`
	}
	for _, tc := range []struct{ name, body, field string }{
		{"nothing", `{}`, "auth"},
		{"auth null", `{"auth":null}`, "auth"},
		{"no type", `{"auth":{}}`, "auth.type"},
		{"unknown type", `{"auth":{"type":"basic"}}`, "auth.type"},
		{"no token", `{"auth":{"type":"static_bearer","mcp_server_url":"https://a"}}`, "auth.token"},
		{"another type's member", `{"auth":{"type":"static_bearer","mcp_server_url":"https://a","token":"x","access_token":"y"}}`, "auth.access_token"},
		{"token is a number", `{"auth":{"type":"static_bearer","mcp_server_url":"https://a","token":123456789}}`, "auth.token"},
		{"no networking", env(``), "auth.networking"},
		{"networking null", env(`,"networking":null`), "auth.networking"},
		{"unknown networking", env(`,"networking":{"type":"closed"}`), "auth.networking.type"},
		{"hosts for all hosts", env(`,"networking":{"type":"unrestricted","allowed_hosts":[]}`), "auth.networking.allowed_hosts"},
		{"no hosts", env(`,"networking":{"type":"limited"}`), "auth.networking.allowed_hosts"},
		{"a URL as host", env(`,"networking":{"type":"limited","allowed_hosts":["a.com","https://b.com"]}`), "auth.networking.allowed_hosts[1]"},
		{"location null", env(open + `,"injection_location":null`), "auth.injection_location"},
		{"location's member null", env(open + `,"injection_location":{"header":null,"body":true}`), "auth.injection_location.header"},
		{"nowhere", env(open + `,"injection_location":{"header":false,"body":false}`), "auth.injection_location"},
		{"nowhere by omission", env(open + `,"injection_location":{}`), "auth.injection_location"},
		{"past", oauth(`,"expires_at":"2020-01-01T00:00:00Z"`), "auth.expires_at"},
		{"no time", oauth(`,"expires_at":"soon"`), "auth.expires_at"},
		{"refresh without all", oauth(`,"refresh":{}`), "auth.refresh.refresh_token"},
		{"no proof", oauth(`,"refresh":{"refresh_token":"r","token_endpoint":"https://t","client_id":"c"}`), "auth.refresh.token_endpoint_auth.type"},
		{"secret for none", oauth(`,"refresh":{"refresh_token":"r","token_endpoint":"https://t","client_id":"c","token_endpoint_auth":{"type":"none","client_secret":"x"}}`), "auth.refresh.token_endpoint_auth.client_secret"},
		{"Qoder's older body", `{"mcp_server_url":"https://a","type":"static_bearer","access_token":"x"}`, "auth"},
	} {
		if m := c.refused(t, c.do(t, "POST", in, tc.body), 400, "invalid_request_error"); !strings.HasPrefix(m, tc.field+":") {
			t.Errorf("%s: message = %q, want the field %s", tc.name, m, tc.field)
		}
	}
	made := c.must(t, "POST", in, env(open+`,"injection_location":{"body":true}`))
	if d := cmp.Diff(map[string]any{"header": false, "body": true}, dig(made, "auth", "injection_location")); d != "" {
		t.Errorf("location (-want +got):\n%s", d)
	}
	merged := c.must(t, "POST", in+"/"+made["id"].(string), `{"auth":{"type":"environment_variable","injection_location":{"header":true}}}`)
	if d := cmp.Diff(map[string]any{"header": true, "body": true}, dig(merged, "auth", "injection_location")); d != "" {
		t.Errorf("merged location (-want +got):\n%s", d)
	}
	for _, tc := range []struct{ name, body, field string }{
		{"no type", `{"auth":{"secret_value":"x"}}`, "auth.type"},
		{"another type", `{"auth":{"type":"static_bearer","token":"x"}}`, "auth.type"},
		{"value null", `{"auth":{"type":"environment_variable","secret_value":null}}`, "auth.secret_value"},
		{"location null", `{"auth":{"type":"environment_variable","injection_location":null}}`, "auth.injection_location"},
		{"nowhere", `{"auth":{"type":"environment_variable","injection_location":{"header":false,"body":false}}}`, "auth.injection_location"},
		{"name", `{"auth":{"type":"environment_variable","secret_name":"B"}}`, "auth.secret_name"},
	} {
		if m := c.refused(t, c.do(t, "POST", in+"/"+made["id"].(string), tc.body), 400, "invalid_request_error"); !strings.HasPrefix(m, tc.field+":") {
			t.Errorf("update, %s: message = %q, want the field %s", tc.name, m, tc.field)
		}
	}
}

func TestVaultsOfASession(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, c := range []client{claude(s), qoder(s)} {
		env, agent := c.must(t, "POST", "/environments", `{"name":"box"}`)["id"].(string), c.agent(t, "")
		vault := func() string { return c.must(t, "POST", "/vaults", `{"display_name":"v"}`)["id"].(string) }
		create := func(ids string) string {
			return `{"agent":"` + agent + `","environment_id":"` + env + `","vault_ids":[` + ids + `]}`
		}
		one, two, gone := vault(), vault(), vault()
		c.must(t, "POST", "/vaults/"+gone+"/archive", "")
		foreign := c.as(s.foreign).must(t, "POST", "/vaults", `{"display_name":"v"}`)["id"].(string)
		sess := c.must(t, "POST", "/sessions", create(`"`+two+`","`+one+`"`))
		if d := cmp.Diff([]any{two, one}, sess["vault_ids"]); d != "" {
			t.Errorf("vaults of the session (-want +got):\n%s", d)
		}
		for name, ids := range map[string]string{"archived": gone, "foreign": foreign, "no id": "x", "unknown": "vlt_0198c1d2000070008000000000000001"} {
			m := c.refused(t, c.do(t, "POST", "/sessions", create(`"`+one+`","`+ids+`"`)), 400, "invalid_request_error")
			if !strings.HasPrefix(m, "vault_ids[1]:") {
				t.Errorf("%s: message = %q", name, m)
			}
		}
		// A session outlives its vaults, and goes on to name them.
		c.must(t, "DELETE", "/vaults/"+two, "")
		after := c.must(t, "GET", "/sessions/"+sess["id"].(string), "")
		if d := cmp.Diff([]any{two, one}, after["vault_ids"]); d != "" {
			t.Errorf("after the delete (-want +got):\n%s", d)
		}
	}
}

func TestListsOfVaultsGoInPages(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, c := range []client{claude(s), qoder(s)} {
		in := c.must(t, "POST", "/vaults", `{"display_name":"v0"}`)["id"].(string)
		newest := []any{}
		for i := range 5 {
			body := fmt.Sprintf(`{"auth":{"type":"static_bearer","mcp_server_url":"https://a%d","token":"x"}}`, i)
			newest = append([]any{c.must(t, "POST", "/vaults/"+in+"/credentials", body)["id"]}, newest...)
		}
		var got []any
		path := "/vaults/" + in + "/credentials?limit=2"
		for next := ""; ; {
			body := c.must(t, "GET", path+next, "")
			for i := range body["data"].([]any) {
				got = append(got, dig(body, "data", i, "id"))
			}
			cursor, more := body["next_page"].(string)
			if !more {
				break
			}
			next = "&page=" + cursor
			if len(got) == 2 { // an insert moves nothing
				c.must(t, "POST", "/vaults/"+in+"/credentials", `{"auth":{"type":"static_bearer","mcp_server_url":"https://new","token":"x"}}`)
			}
		}
		if d := cmp.Diff(newest, got); d != "" {
			t.Errorf("pages (-want +got):\n%s", d)
		}
		c.refused(t, c.do(t, "GET", "/vaults?page=junk", ""), 400, "invalid_request_error")
		c.refused(t, c.do(t, "GET", "/vaults?order=asc", ""), 400, "invalid_request_error")
		c.refused(t, c.do(t, "GET", "/vaults?limit=101", ""), 400, "invalid_request_error")
		c.refused(t, c.do(t, "GET", "/vaults/vlt_0198c1d2000070008000000000000001/credentials", ""), 404, "not_found_error")
	}
}

func TestRepeatedCreatesOfVaultsMakeOne(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := qoder(s)
	body := `{"display_name":"v","credentials":[{"mcp_server_url":"https://a","protocol":"sse","type":"static_bearer","access_token":"x"}]}`
	first := c.do(t, "POST", "/vaults", body, "Idempotency-Key", "k1")
	again := c.do(t, "POST", "/vaults", body, "Idempotency-Key", "k1")
	if first.status != 201 || first.raw != again.raw || dig(first.body, "credentials", 0, "protocol") != "sse" {
		t.Errorf("first %d %s\nagain %d %s", first.status, first.raw, again.status, again.raw)
	}
	path := "/vaults/" + first.body["id"].(string) + "/credentials"
	variable := `{"auth":{"type":"environment_variable","secret_name":"A","secret_value":"x","networking":{"type":"unrestricted"}}}`
	one := c.do(t, "POST", path, variable, "Idempotency-Key", "k2")
	two := c.do(t, "POST", path, variable, "Idempotency-Key", "k2")
	if one.status != 201 || one.raw != two.raw || two.header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("one %d %s\ntwo %d %s", one.status, one.raw, two.status, two.raw)
	}
	third := c.do(t, "POST", path, variable, "Idempotency-Key", "k3")
	c.refused(t, third, 409, "conflict_error")
	if third.header.Get("X-Should-Retry") != "false" {
		t.Errorf("headers = %v", third.header)
	}
}

// vaultServer is the real app, which may reach 127.0.0.1. The log goes where the test can read it.
func vaultServer(t *testing.T) (*apptest.Server, anthropic.Client, *syncBuffer, *bytes.Buffer, *atomic.Int64) {
	t.Helper()
	log, answers, requests := &syncBuffer{}, &bytes.Buffer{}, &atomic.Int64{}
	srv := apptest.StartWith(t, fake.New(), apptest.WithOptions(func(o *app.Options) { o.Log = log.logger() }),
		apptest.WithConfig(func(c *config.Config) { c.Egress.AllowPrivate = []string{"127.0.0.1/32"} }))
	client := anthropic.NewClient(option.WithBaseURL(srv.URL), option.WithAPIKey(srv.Token),
		option.WithMiddleware(func(r *http.Request, next option.MiddlewareNext) (*http.Response, error) {
			requests.Add(1)
			res, err := next(r)
			if err != nil {
				return nil, err
			}
			body, err := io.ReadAll(res.Body)
			_ = res.Body.Close()
			answers.Write(body)
			res.Body = io.NopCloser(bytes.NewReader(body))
			return res, err
		}))
	return srv, client, log, answers, requests
}

// TestOfficialSDKKeepsVaults drives every endpoint of vaults and credentials, all three kinds, with the
// official client unchanged, and then looks for the secrets in the data folder, the log and the answers.
func TestOfficialSDKKeepsVaults(t *testing.T) {
	t.Parallel()
	srv, client, log, answers, requests := vaultServer(t)
	ctx, mcp, vaults := t.Context(), issuer(t).URL, client.Beta.Vaults
	v, err := vaults.New(ctx, anthropic.BetaVaultNewParams{DisplayName: "Alice", Metadata: map[string]string{"user": "u1"}})
	if err != nil || !strings.HasPrefix(v.ID, "vlt_") || v.Metadata["user"] != "u1" || v.JSON.ArchivedAt.Valid() {
		t.Fatalf("vault = %v, %v", v, err)
	}
	if v, err = vaults.Update(ctx, v.ID, anthropic.BetaVaultUpdateParams{DisplayName: anthropic.String("Alice B.")}); err != nil || v.DisplayName != "Alice B." || v.Metadata["user"] != "u1" {
		t.Errorf("vault = %v, %v", v, err)
	}
	create := func(auth anthropic.BetaVaultCredentialNewParamsAuthUnion) (*anthropic.BetaManagedAgentsCredential, error) {
		return vaults.Credentials.New(ctx, v.ID, anthropic.BetaVaultCredentialNewParams{Auth: auth, DisplayName: anthropic.String("a key")})
	}
	static := anthropic.BetaVaultCredentialNewParamsAuthUnion{OfStaticBearer: &anthropic.BetaManagedAgentsStaticBearerCreateParams{
		Type: "static_bearer", MCPServerURL: "https://mcp.example.com/sse", Token: "bearer-secret-0",
	}}
	bearer, err := create(static)
	if err != nil || bearer.Auth.AsStaticBearer().MCPServerURL != "https://mcp.example.com/sse" || bearer.VaultID != v.ID || bearer.DisplayName != "a key" {
		t.Fatalf("credential = %v, %v", bearer, err)
	}
	before := requests.Load()
	if _, err = create(static); err == nil || !strings.Contains(err.Error(), "409") || requests.Load() != before+1 {
		t.Errorf("second credential for a server: %v, %d requests", err, requests.Load()-before)
	}
	ends := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	oauth, err := create(anthropic.BetaVaultCredentialNewParamsAuthUnion{OfMCPOAuth: &anthropic.BetaManagedAgentsMCPOAuthCreateParams{
		Type: "mcp_oauth", MCPServerURL: mcp + "/mcp", AccessToken: "access-secret-0", ExpiresAt: anthropic.Time(ends),
		Refresh: anthropic.BetaManagedAgentsMCPOAuthRefreshParams{
			ClientID: "client-1", RefreshToken: "refresh-secret-0", TokenEndpoint: mcp + "/token", Scope: anthropic.String("read"),
			TokenEndpointAuth: anthropic.BetaManagedAgentsMCPOAuthRefreshParamsTokenEndpointAuthUnion{
				OfClientSecretBasic: &anthropic.BetaManagedAgentsTokenEndpointAuthBasicParam{Type: "client_secret_basic", ClientSecret: "client-secret-0"},
			},
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if a := oauth.Auth.AsMCPOAuth(); !a.ExpiresAt.Equal(ends) || a.Refresh.TokenEndpointAuth.Type != "client_secret_basic" || a.Refresh.Scope != "read" || a.Refresh.JSON.Resource.Valid() {
		t.Errorf("auth = %s", a.RawJSON())
	}
	variable, err := create(anthropic.BetaVaultCredentialNewParamsAuthUnion{OfEnvironmentVariable: &anthropic.BetaManagedAgentsEnvironmentVariableCreateParams{
		Type: "environment_variable", SecretName: "API_KEY", SecretValue: "value-secret-0",
		Networking: anthropic.BetaManagedAgentsCredentialNetworkingParamsUnion{OfLimited: &anthropic.BetaManagedAgentsLimitedCredentialNetworkingParams{Type: "limited", AllowedHosts: []string{"*.example.com"}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if a := variable.Auth.AsEnvironmentVariable(); a.SecretName != "API_KEY" || !a.InjectionLocation.Header || !a.InjectionLocation.Body || a.Networking.AsLimited().AllowedHosts[0] != "*.example.com" {
		t.Errorf("auth = %s", a.RawJSON())
	}
	validate := func() *anthropic.BetaManagedAgentsCredentialValidation {
		t.Helper()
		got, err := vaults.Credentials.MCPOAuthValidate(ctx, oauth.ID, anthropic.BetaVaultCredentialMCPOAuthValidateParams{VaultID: v.ID})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := validate(); got.Status != "valid" || got.Refresh.Status != "succeeded" || got.JSON.MCPProbe.Valid() || !got.HasRefreshToken || got.CredentialID != oauth.ID || got.VaultID != v.ID {
		t.Errorf("validation = %s", got.RawJSON())
	}
	changed, err := vaults.Credentials.Update(ctx, oauth.ID, anthropic.BetaVaultCredentialUpdateParams{
		VaultID: v.ID, Metadata: map[string]string{"k": "v"},
		Auth: anthropic.BetaVaultCredentialUpdateParamsAuthUnion{OfMCPOAuth: &anthropic.BetaManagedAgentsMCPOAuthUpdateParams{
			Type: "mcp_oauth", AccessToken: anthropic.String("access-secret-2"), ExpiresAt: anthropic.Time(ends.Add(time.Hour)),
			Refresh: anthropic.BetaManagedAgentsMCPOAuthRefreshUpdateParams{
				RefreshToken: anthropic.String("refresh-secret-2"), Scope: anthropic.String("write"),
				TokenEndpointAuth: anthropic.BetaManagedAgentsMCPOAuthRefreshUpdateParamsTokenEndpointAuthUnion{
					OfClientSecretPost: &anthropic.BetaManagedAgentsTokenEndpointAuthPostUpdateParam{Type: "client_secret_post", ClientSecret: anthropic.String("client-secret-2")},
				},
			},
		}},
	})
	if err != nil || changed.Auth.Refresh.Scope != "write" || changed.Auth.Refresh.TokenEndpointAuth.Type != "client_secret_basic" || changed.Metadata["k"] != "v" {
		t.Errorf("changed = %v, %v", changed, err)
	}
	if got := validate(); got.Status != "invalid" || got.Refresh.Status != "failed" || got.Refresh.HTTPResponse.StatusCode != 400 ||
		got.MCPProbe.Method != "initialize" || got.MCPProbe.HTTPResponse.StatusCode != 401 || got.MCPProbe.HTTPResponse.BodyTruncated ||
		!strings.Contains(got.MCPProbe.HTTPResponse.Body, "invalid_token") {
		t.Errorf("validation = %s", got.RawJSON())
	}
	var listed []string
	pages := vaults.Credentials.ListAutoPaging(ctx, v.ID, anthropic.BetaVaultCredentialListParams{Limit: anthropic.Int(2)})
	for pages.Next() {
		listed = append(listed, pages.Current().ID)
	}
	if d := cmp.Diff([]string{variable.ID, oauth.ID, bearer.ID}, listed); d != "" || pages.Err() != nil {
		t.Errorf("listed (-want +got):\n%s%v", d, pages.Err())
	}
	if a, err := vaults.Credentials.Archive(ctx, bearer.ID, anthropic.BetaVaultCredentialArchiveParams{VaultID: v.ID}); err != nil || a.ArchivedAt.IsZero() {
		t.Errorf("archived = %v, %v", a, err)
	}
	if got, err := vaults.Credentials.Get(ctx, bearer.ID, anthropic.BetaVaultCredentialGetParams{VaultID: v.ID}); err != nil || got.ArchivedAt.IsZero() {
		t.Errorf("got = %v, %v", got, err)
	}
	if d, err := vaults.Credentials.Delete(ctx, variable.ID, anthropic.BetaVaultCredentialDeleteParams{VaultID: v.ID}); err != nil || d.ID != variable.ID || d.Type != "vault_credential_deleted" {
		t.Errorf("deleted = %v, %v", d, err)
	}
	if all, err := vaults.Credentials.List(ctx, v.ID, anthropic.BetaVaultCredentialListParams{IncludeArchived: anthropic.Bool(true)}); err != nil || len(all.Data) != 2 {
		t.Errorf("all = %v, %v", all, err)
	}
	if all, err := vaults.List(ctx, anthropic.BetaVaultListParams{}); err != nil || len(all.Data) != 1 || all.Data[0].ID != v.ID {
		t.Errorf("vaults = %v, %v", all, err)
	}
	if a, err := vaults.Archive(ctx, v.ID, anthropic.BetaVaultArchiveParams{}); err != nil || a.ArchivedAt.IsZero() {
		t.Errorf("archived = %v, %v", a, err)
	}
	if got, err := vaults.Get(ctx, v.ID, anthropic.BetaVaultGetParams{}); err != nil || got.ArchivedAt.IsZero() {
		t.Errorf("got = %v, %v", got, err)
	}
	if d, err := vaults.Delete(ctx, v.ID, anthropic.BetaVaultDeleteParams{}); err != nil || d.ID != v.ID || d.Type != "vault_deleted" {
		t.Errorf("deleted = %v, %v", d, err)
	}
	srv.Stop()
	places := map[string]string{"log": log.String(), "answers": answers.String()}
	files, err := filepath.Glob(filepath.Join(srv.Data, "*.db*"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		places[filepath.Base(f)] = string(raw)
	}
	if !strings.Contains(places["reeve.db"], "Alice B.") && !strings.Contains(places["reeve.db-wal"], "Alice B.") || !strings.Contains(places["answers"], "initialize") {
		t.Error("the control is not found: this proves nothing")
	}
	for where, text := range places {
		for _, secret := range []string{"bearer-secret", "access-secret", "refresh-secret", "client-secret", "value-secret"} {
			if strings.Contains(text, secret) {
				t.Errorf("%s holds %s", where, secret)
			}
		}
	}
}

// Every member that the SDK can send for vaults is known; what is missing then is another matter.
func TestEveryVaultFieldOfTheSDKIsKnown(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := claude(s)
	in := "/vaults/" + c.must(t, "POST", "/vaults", `{"display_name":"v"}`)["id"].(string)
	made := in + "/credentials/" + c.must(t, "POST", in+"/credentials", `{"auth":{"type":"mcp_oauth","mcp_server_url":"https://a","access_token":"x"}}`)["id"].(string)
	self := func(o string) string { return o }
	auth := func(o string) string { return `{"auth":` + o + `}` }
	inOAuth := func(member string) func(string) string {
		return func(o string) string { return auth(`{"type":"mcp_oauth","` + member + `":` + o + `}`) }
	}
	inVariable := func(member string) func(string) string {
		return func(o string) string { return auth(`{"type":"environment_variable","` + member + `":` + o + `}`) }
	}
	inProof := func(o string) string { return inOAuth("refresh")(`{"token_endpoint_auth":` + o + `}`) }
	for _, tc := range []struct {
		params any
		set    string
		path   string
		wrap   func(string) string
	}{
		{anthropic.BetaVaultNewParams{}, ``, "/vaults", self},
		{anthropic.BetaVaultUpdateParams{}, ``, in, self},
		{anthropic.BetaVaultCredentialNewParams{}, ``, in + "/credentials", self},
		{anthropic.BetaVaultCredentialUpdateParams{}, ``, made, self},
		{anthropic.BetaManagedAgentsStaticBearerCreateParams{}, `"type":"static_bearer"`, in + "/credentials", auth},
		{anthropic.BetaManagedAgentsStaticBearerUpdateParams{}, `"type":"static_bearer"`, made, auth},
		{anthropic.BetaManagedAgentsMCPOAuthCreateParams{}, `"type":"mcp_oauth"`, in + "/credentials", auth},
		{anthropic.BetaManagedAgentsMCPOAuthUpdateParams{}, `"type":"mcp_oauth"`, made, auth},
		{anthropic.BetaManagedAgentsMCPOAuthRefreshParams{}, ``, in + "/credentials", inOAuth("refresh")},
		{anthropic.BetaManagedAgentsMCPOAuthRefreshUpdateParams{}, ``, made, inOAuth("refresh")},
		{anthropic.BetaManagedAgentsTokenEndpointAuthNoneParam{}, `"type":"none"`, in + "/credentials", inProof},
		{anthropic.BetaManagedAgentsTokenEndpointAuthBasicParam{}, `"type":"client_secret_basic"`, in + "/credentials", inProof},
		{anthropic.BetaManagedAgentsTokenEndpointAuthPostUpdateParam{}, `"type":"client_secret_post"`, made, inProof},
		{anthropic.BetaManagedAgentsEnvironmentVariableCreateParams{}, `"type":"environment_variable"`, in + "/credentials", auth},
		{anthropic.BetaManagedAgentsEnvironmentVariableUpdateParams{}, `"type":"environment_variable"`, made, auth},
		{anthropic.BetaManagedAgentsInjectionLocationUpdateParams{}, ``, made, inVariable("injection_location")},
		{anthropic.BetaManagedAgentsLimitedCredentialNetworkingParams{}, `"type":"limited"`, in + "/credentials", inVariable("networking")},
	} {
		of := reflect.TypeOf(tc.params)
		object := "{" + tc.set
		for i := range of.NumField() {
			member, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
			if member != "" && member != "-" && !strings.Contains(tc.set, `"`+member+`":`) {
				object += `,"` + member + `":null`
			}
		}
		object = strings.Replace(object, "{,", "{", 1)
		if a := c.do(t, "POST", tc.path, tc.wrap(object+"}")); strings.Contains(a.raw, "unknown field") {
			t.Errorf("%s: %s", of.Name(), a.raw)
		}
	}
	var control struct{ Error struct{ Message string } }
	if a := c.do(t, "POST", "/vaults", `{"display_name":"v","zz":1}`); json.Unmarshal([]byte(a.raw), &control) != nil || control.Error.Message != "zz: unknown field" {
		t.Errorf("the control was not refused: %s", a.raw)
	}
}

// syncBuffer is a log that is read while it may be written.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func (s *syncBuffer) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(s, &slog.HandlerOptions{Level: slog.LevelDebug}))
}
