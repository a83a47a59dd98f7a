package identity

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/core"
)

// parts decodes a token without checking it.
func parts(t *testing.T, token string) (header, claims map[string]any) {
	t.Helper()
	p := strings.Split(token, ".")
	for i, v := range []*map[string]any{&header, &claims} {
		raw, err := base64.RawURLEncoding.DecodeString(p[i])
		if err == nil {
			err = json.Unmarshal(raw, v)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return header, claims
}

func TestTokensHaveTheClaimsOfTheReference(t *testing.T) {
	t.Parallel()
	w := setup(t)
	admin := w.project(t, "a@b")
	a, _, key := w.agent(t, admin)
	sess, sessionToken := w.session(t, a, key.ID)
	_, userToken, err := w.Login(t.Context(), Login{Email: "a@b", Password: goodPassword})
	if err != nil {
		t.Fatal(err)
	}
	now := float64(w.clock.now().Unix())
	for name, tc := range map[string]struct {
		token  string
		claims map[string]any
	}{
		"user": {userToken, map[string]any{
			"user_id": core.FormatUUID(admin.User), "email": "a@b", "kind": "user", "aud": []any{"reeve/user"},
			"iat_us": float64(w.clock.now().UnixMicro()),
		}},
		"session": {sessionToken, map[string]any{
			"agent_session_id": core.FormatUUID(sess.ID), "agent_id": core.FormatUUID(a.ID), "project_id": core.FormatUUID(a.Project),
			"kind": "agent_session", "aud": []any{"reeve/agent_session"},
		}},
	} {
		tc.claims["iss"], tc.claims["iat"], tc.claims["exp"] = "reeve", now, now+30*24*3600
		header, claims := parts(t, tc.token)
		if diff := cmp.Diff(map[string]any{"alg": "HS256", "typ": "JWT"}, header); diff != "" {
			t.Errorf("%s header: %s", name, diff)
		}
		if diff := cmp.Diff(tc.claims, claims); diff != "" {
			t.Errorf("%s claims: %s", name, diff)
		}
	}
}

// S1 and S3: whatever is wrong with a token, it is refused in the same words.
func TestForgedUserTokensAreRefused(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ctx := t.Context()
	u, _, good := w.person(t, "a@b")
	admin := w.project(t, "b@b")
	a, agentKey, key := w.agent(t, admin)
	_, sessionToken := w.session(t, a, key.ID)
	access, _, err := w.IssueToken(ctx, IssueToken{})
	if err != nil {
		t.Fatal(err)
	}
	sign := func(method jwt.SigningMethod, key any, change func(c *userClaims)) string {
		c := userClaims{common: w.users.claims(w.clock.now()), UserID: core.FormatUUID(u.ID), Email: u.Email, IssuedUS: w.clock.now().UnixMicro()}
		if change != nil {
			change(&c)
		}
		raw, err := jwt.NewWithClaims(method, c).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	hs256 := func(change func(c *userClaims)) string { return sign(jwt.SigningMethodHS256, w.users.key, change) }
	if _, _, err := w.User(ctx, hs256(nil)); err != nil {
		t.Fatalf("an honest copy is refused: %v", err)
	}
	head, _, _ := strings.Cut(good, ".")
	_, _, want := w.User(ctx, "")
	wantError(t, want, core.Unauthenticated, "invalid_token")
	for name, token := range map[string]string{
		"garbage":            "garbage",
		"two parts":          "a.b",
		"no signature":       good[:strings.LastIndexByte(good, '.')+1],
		"signature cut":      good[:len(good)-2],
		"other claims":       head + "." + strings.Split(sessionToken, ".")[1] + "." + strings.Split(good, ".")[2],
		"huge":               good + strings.Repeat("A", 1<<20),
		"alg none":           sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil),
		"alg HS384":          sign(jwt.SigningMethodHS384, w.users.key, nil),
		"alg HS512":          sign(jwt.SigningMethodHS512, w.users.key, nil),
		"session token":      sessionToken,
		"access token":       access,
		"agent key":          agentKey,
		"key of sessions":    sign(jwt.SigningMethodHS256, w.sessions.key, nil),
		"the secret itself":  sign(jwt.SigningMethodHS256, testSecret, nil),
		"another kind":       hs256(func(c *userClaims) { c.Kind = kindSession }),
		"no kind":            hs256(func(c *userClaims) { c.Kind = "" }),
		"another issuer":     hs256(func(c *userClaims) { c.Issuer = "otas" }),
		"another audience":   hs256(func(c *userClaims) { c.Audience = jwt.ClaimStrings{"reeve/agent_session"} }),
		"no audience":        hs256(func(c *userClaims) { c.Audience = nil }),
		"no expiry":          hs256(func(c *userClaims) { c.ExpiresAt = nil }),
		"expired":            hs256(func(c *userClaims) { c.ExpiresAt = jwt.NewNumericDate(w.clock.now().Add(-time.Minute)) }),
		"issued in future":   hs256(func(c *userClaims) { c.IssuedAt = jwt.NewNumericDate(w.clock.now().Add(time.Hour)) }),
		"user is no UUID":    hs256(func(c *userClaims) { c.UserID = "1; DROP TABLE users" }),
		"user does not live": hs256(func(c *userClaims) { c.UserID = core.FormatUUID(core.NewID[core.UserID]()) }),
	} {
		if _, _, err := w.User(ctx, token); errText(err) != want.Error() {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.clock.move(tokenLifetime + skew + time.Second)
	if _, _, err := w.User(ctx, good); errText(err) != want.Error() {
		t.Errorf("after 30 days: %v", err)
	}
}

// S4: the original takes any session token with a good signature.
func TestSessionTokensEndWithWhatTheyStandFor(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ctx := t.Context()
	admin, stranger := w.project(t, "a@b"), w.project(t, "b@b")
	a, _, key := w.agent(t, admin)
	sess, token := w.session(t, a, key.ID)
	_, _, userToken := w.person(t, "c@b")

	by, id, err := w.Session(ctx, token)
	want := core.Principal{Kind: core.PrincipalAgentSession, Project: admin.Project, Credential: key.ID, Agent: a.ID}
	if err != nil || id != sess.ID || by != want {
		t.Fatalf("Session = %+v, %s, %v", by, id, err)
	}
	if _, _, err := w.RotateAgentKey(ctx, admin, a.ID, ""); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.Session(ctx, token); err != nil {
		t.Errorf("after its key was replaced (reference 3.15): %v", err)
	}

	forge := func(change func(s *core.Session)) string {
		s := sess
		change(&s)
		raw, err := w.SessionToken(s, w.clock.now())
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	other, _, _ := w.agent(t, admin)
	for name, raw := range map[string]string{
		"nothing":         "",
		"user token":      userToken,
		"unknown session": forge(func(s *core.Session) { s.ID = core.NewID[core.SessionID]() }),
		"another agent":   forge(func(s *core.Session) { s.Agent = other.ID }),
		"another project": forge(func(s *core.Session) { s.Project = stranger.Project }),
		"empty ids":       forge(func(s *core.Session) { s.ID = "" }),
	} {
		_, _, err := w.Session(ctx, raw)
		if core.CodeOf(err) != "invalid_session_token" {
			t.Errorf("%s: %v", name, err)
		}
	}
	type revoker func(by core.Principal, id core.CredentialID) error
	for name, revoke := range map[string]revoker{
		"RevokeAgentKey": func(by core.Principal, id core.CredentialID) error { return w.RevokeAgentKey(ctx, by, id) },
		"RevokeKey":      func(by core.Principal, id core.CredentialID) error { _, err := w.RevokeKey(ctx, by, id); return err },
	} {
		b, _, opener := w.agent(t, admin)
		spare, spareKey := w.NewAgentKey(b, admin)
		if err := w.db.CreateCredential(ctx, spareKey); err != nil {
			t.Fatal(err)
		}
		_, opened := w.session(t, b, opener.ID)
		_, another := w.session(t, b, spareKey.ID)
		if err := revoke(admin, opener.ID); err != nil {
			t.Fatal(err)
		}
		if _, _, err := w.Session(ctx, opened); core.CodeOf(err) != "invalid_session_token" {
			t.Errorf("%s: the key's session goes on: %v", name, err)
		}
		if _, _, err := w.Session(ctx, another); err != nil {
			t.Errorf("%s: the session of another key: %v", name, err)
		}
		if _, err := w.AgentReporter(ctx, spare, opened); core.CodeOf(err) != "invalid_session_token" {
			t.Errorf("%s: somebody reports into it: %v", name, err)
		}
	}
	archived, token2 := w.session(t, a, "")
	archived.ArchivedAt = w.Service.clock()
	if err := w.db.UpdateSession(ctx, archived); err != nil {
		t.Fatal(err)
	}
	_, _, err = w.Session(ctx, token2)
	wantError(t, err, core.Unauthenticated, "invalid_session_token")

	for name, change := range map[string]func(context.Context) error{
		"agent deactivated": func(ctx context.Context) error { off := a; off.Active = false; return w.db.SetAgentState(ctx, off) },
		"agent archived": func(ctx context.Context) error {
			off := a
			off.ArchivedAt = w.Service.clock()
			return w.db.SetAgentState(ctx, off)
		},
	} {
		if err := change(ctx); err != nil {
			t.Fatal(err)
		}
		_, _, err := w.Session(ctx, token)
		if core.CodeOf(err) != "invalid_session_token" {
			t.Errorf("%s: %v", name, err)
		}
	}
	live, _, _ := w.agent(t, admin)
	second, token := w.session(t, live, "")
	if err := w.db.DeleteSession(ctx, second.Project, second.ID); err != nil {
		t.Fatal(err)
	}
	_, _, err = w.Session(ctx, token)
	wantError(t, err, core.Unauthenticated, "invalid_session_token")

	off := core.Project{ID: core.NewID[core.ProjectID](), Name: "off", CreatedBy: admin.User, CreatedAt: w.Service.clock(), UpdatedAt: w.Service.clock()}
	if err := w.db.CreateProject(ctx, off); err != nil {
		t.Fatal(err)
	}
	theirs, _, _ := w.agent(t, core.Principal{Project: off.ID})
	_, token = w.session(t, theirs, "")
	_, _, err = w.Session(ctx, token)
	wantError(t, err, core.Unauthenticated, "invalid_session_token")
}
