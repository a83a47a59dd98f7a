package vault_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/vault"
)

// A server that is asked may answer with what it was sent, in any spelling. None of it is shown.
func TestAnswersAreShownWithoutSecrets(t *testing.T) {
	t.Parallel()
	const access, refresh, client = `acc"ess\secret/0`, "refresh&secret=0", "client secret/1"
	b := setup(t)
	a, in := serveAuthority(t), b.vault(t)
	quoted, err := json.Marshal(access)
	if err != nil {
		t.Fatal(err)
	}
	echo := strings.Join([]string{
		"raw " + access, "quoted " + string(quoted), "form " + url.QueryEscape(refresh), "path " + url.PathEscape(access),
		"base64 " + base64.StdEncoding.EncodeToString([]byte(client)),
		`{"client_secret":"foreign-one \" two","id_token":"foreign-three","error":"kept"}`, `{\"refresh_token\":\"foreign-four\"}`,
		"api_key=foreign-five&x=kept", "Authorization: Bearer foreign-six", "Basic Zm9yZWlnbi1zZXZlbg==",
		"eyJmb3JlaWdu.ZWlnaHQ.c2ln", "<b>kept</b>",
	}, "\n")
	a.set(func(a *authority) {
		a.access, a.status, a.answer = "other", 400, func(int) string { return echo }
		a.refuse = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain; token="+url.QueryEscape(access))
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(echo + strings.Repeat("x", 5000)))
		}
	})
	n := oauth(a, core.TokenAuthPost)
	n.Plain = vault.Plain{Token: access, RefreshToken: refresh, ClientSecret: client}
	s := b.secret(t, in, n)
	v, err := b.Validate(t.Context(), b.admin, in, s.ID)
	if err != nil || v.Probe == nil || v.Refresh == nil || v.Refresh.Response == nil {
		t.Fatalf("validation = %+v, %v", v, err)
	}
	for name, r := range map[string]*vault.Response{"probe": v.Probe.Response, "refresh": v.Refresh.Response} {
		all := r.ContentType + r.Body
		for _, hidden := range []string{"ess", "secret/", "cret=", "secret%", "foreign", "Zm9yZ", "eyJ", "ZWlnaHQ", "Y2xpZW50"} {
			if strings.Contains(strings.ReplaceAll(strings.ReplaceAll(all, "access", ""), "application", ""), hidden) {
				t.Errorf("%s shows %q:\n%s", name, hidden, all)
			}
		}
		if strings.Count(r.Body, "kept") != 3 {
			t.Errorf("%s lost what is not secret:\n%s", name, r.Body)
		}
	}
	if p := v.Probe.Response; len(p.Body) != 4096 || !p.Truncated {
		t.Errorf("%d bytes, truncated %v", len(p.Body), p.Truncated)
	}
	if r := v.Refresh.Response; r.Truncated || r.Status != 400 {
		t.Errorf("%d, truncated %v", r.Status, r.Truncated)
	}
}

// The end of an answer that was cut off may hold the beginning of a secret.
func TestACutAnswerShowsNoPartOfASecret(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a, in := serveAuthority(t), b.vault(t)
	token := strings.Repeat("k", 8000)
	a.set(func(a *authority) {
		a.access, a.refuse = "other", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			// Whole copies shrink to nothing, so that the cut one comes into what is shown.
			_, _ = w.Write([]byte(strings.Repeat(token+" ", 32) + strings.Repeat("k", 7900)))
		}
	})
	n := oauth(a, core.TokenAuthNone)
	n.Plain.Token = token
	s := b.secret(t, in, n)
	v, err := b.Validate(t.Context(), b.admin, in, s.ID)
	if err != nil || v.Probe == nil || v.Probe.Response == nil || !v.Probe.Response.Truncated {
		t.Fatalf("validation = %+v, %v", v, err)
	}
	if strings.Contains(v.Probe.Response.Body, "kkk") {
		t.Errorf("body shows a part of the token: %.100q", v.Probe.Response.Body)
	}
}

// Nothing that was kept secret is in the database, in the log, or in anything that is answered or printed.
func TestSecretsAreFoundNowhere(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a, in := serveAuthority(t), b.vault(t)
	var told bytes.Buffer
	tell := func(v any, err error) {
		raw, _ := json.Marshal(v)
		_, _ = fmt.Fprintf(&told, "%s %v %+v %#v %v\n", raw, v, v, v, err)
	}
	o := b.secret(t, in, oauth(a, core.TokenAuthPost))
	tell(o, nil)
	tell(b.CreateSecret(t.Context(), b.admin, in, oauth(a, core.TokenAuthPost))) // Conflict
	tell(b.CreateSecret(t.Context(), b.admin, in, bearer("https://b", "bearer-secret \n")))
	tell(b.CreateSecret(t.Context(), b.admin, in, bearer("https://b", "bearer-secret-0")))
	v := b.secret(t, in, variable("V", "value-secret-0"))
	tell(b.UpdateSecret(t.Context(), b.admin, in, v.ID, vault.SecretChange{Kind: core.SecretVariable, Token: ptr("value-secret-1")}))
	a.set(func(a *authority) { a.access = "other" })
	tell(b.Validate(t.Context(), b.admin, in, o.ID)) // rotates
	a.set(func(a *authority) { a.access, a.refresh = "other", "other" })
	tell(b.Validate(t.Context(), b.admin, in, o.ID)) // is refused
	tell(b.Secrets(t.Context(), b.admin, in, core.VaultPage{Limit: 10}))
	tell(b.ArchiveSecret(t.Context(), b.admin, in, v.ID))
	plain := vault.Plain{Token: "access-secret-x"}
	match, _, err := b.Match(t.Context(), "p1", []core.VaultID{in}, a.URL+"/mcp")
	if err != nil || !strings.HasPrefix(match.Token, "access-secret-") {
		t.Fatalf("match = %q, %v", match.Token, err)
	}
	vars := vault.Variable{Name: "V", Value: "value-secret-x"}
	_, _ = fmt.Fprintf(&told, "%v %+v %#v %s %v %+v %#v %v %+v %#v\n", plain, plain, plain, plain, match, match, match, vars, vars, vars)
	log := slog.New(slog.NewJSONHandler(&told, nil))
	log.Info("x", "plain", plain, "match", match, "variable", vars)

	if !strings.Contains(told.String(), string(o.ID)) || !strings.Contains(b.log.String(), string(o.ID)) {
		t.Error("the control is not found where it must be: this proves nothing")
	}
	database := b.databaseBytes(t)
	if !bytes.Contains(database, []byte(o.ID)) || !bytes.Contains(database, []byte("client 1")) {
		t.Error("the control is not in the database: this proves nothing")
	}
	for where, text := range map[string]string{"database": string(database), "log": b.log.String(), "answers": told.String()} {
		for _, secret := range []string{"access-secret", "refresh-secret", "client secret", "bearer-secret", "value-secret"} {
			for _, spelled := range []string{secret, url.QueryEscape(secret), base64.StdEncoding.EncodeToString([]byte(secret))[:12]} {
				if i := strings.Index(text, spelled); i >= 0 {
					t.Errorf("%s holds %q: …%q…", where, spelled, text[max(0, i-80):min(len(text), i+40)])
				}
			}
		}
	}
}
