package app_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/reeve-ai/reeve/internal/app"
	"github.com/reeve-ai/reeve/internal/app/apptest"
	"github.com/reeve-ai/reeve/internal/config"
	"github.com/reeve-ai/reeve/internal/provider/fake"
)

// TestSecurityWeaknessesOfTheOriginal has a test for each of S1 to S16 of reference otas.md, section 8,
// through the running server. S17, one service calling the other in the clear, has nothing left to test:
// there is one process.
func TestSecurityWeaknessesOfTheOriginal(t *testing.T) {
	t.Parallel()
	srv := apptest.Start(t)
	for name, test := range map[string]func(*testing.T, *apptest.Server){
		"S1 a token with another algorithm is only refused":         anotherAlgorithm,
		"S2 every installation has a secret of its own":             ownSecret,
		"S3 tokens of one kind are not another, and can be revoked": tokensEnd,
		"S4 a session ends with its agent, its key and itself":      sessionsEnd,
		"S5 no tenant writes for another's agent":                   noForeignWrites,
		"S6 members and viewers make no keys":                       onlyAdminsMakeKeys,
		"S7 what is switched off is out":                            switchedOff,
		"S9 a password may look like a hash":                        passwordLikeAHash,
		"S10 weak passwords are refused":                            weakPasswords,
		"S11 no text of the inside gets out":                        nothingFromInside,
		"S12 an unknown e-mail reads like a wrong password":         unknownEmail,
		"S13 no origin gets the browser's credentials":              foreignOrigin,
		"S16 secrets are not stored":                                secretsAreNotStored,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, srv)
		})
	}
}

func anotherAlgorithm(t *testing.T, srv *apptest.Server) {
	d := newDesk(t, srv)
	part := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	body := strings.Split(d.user, ".")[1]
	secret, err := os.ReadFile(filepath.Join(srv.Data, "secret.key"))
	if err != nil {
		t.Fatal(err)
	}
	for _, header := range []string{`{"alg":"none","typ":"JWT"}`, `{"alg":"HS512","typ":"JWT"}`, `{"alg":"RS256","typ":"JWT"}`, `{"alg":7}`, `[]`} {
		for _, signature := range []string{"", part("signature"), strings.Split(d.user, ".")[2]} {
			token := part(header) + "." + body + "." + signature
			a := otas(t, srv, "POST", "/api/user/v1/authenticate/", nil, "X-OTAS-USER-TOKEN", token).is(t, 401, "invalid_token")
			if bytes.Contains(a.Raw, bytes.TrimSpace(secret)) {
				t.Errorf("%s: the answer has the secret", header)
			}
			otas(t, srv, "POST", "/api/v1/backend/log/agent/", d.event(nil), "X-OTAS-AGENT-KEY", d.key, "X-OTAS-AGENT-SESSION-TOKEN", token).
				is(t, 401, "invalid_or_expired_token")
		}
	}
}

func ownSecret(t *testing.T, srv *apptest.Server) {
	other := apptest.Start(t)
	d := newDesk(t, srv)
	otas(t, other, "POST", "/api/user/v1/authenticate/", nil, "X-OTAS-USER-TOKEN", d.user).is(t, 401, "invalid_token")
	mine, err := os.ReadFile(filepath.Join(srv.Data, "secret.key"))
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := os.ReadFile(filepath.Join(other.Data, "secret.key"))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(mine, theirs) || len(mine) < 32 {
		t.Errorf("the secrets are %d bytes, equal: %v", len(mine), bytes.Equal(mine, theirs))
	}
	for _, name := range []string{"secret.key", "reeve.db", "captures.db"} {
		info, err := os.Stat(filepath.Join(srv.Data, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("others may open %s: %v", name, info.Mode())
		}
	}
}

func tokensEnd(t *testing.T, srv *apptest.Server) {
	d := newDesk(t, srv)
	otas(t, srv, "POST", "/api/user/v1/authenticate/", nil, "X-OTAS-USER-TOKEN", d.token).is(t, 401, "invalid_token")
	otas(t, srv, "POST", "/api/v1/backend/log/agent/", d.event(nil), "X-OTAS-AGENT-KEY", d.key, "X-OTAS-AGENT-SESSION-TOKEN", d.user).
		is(t, 401, "invalid_or_expired_token")
	for _, key := range []string{d.sdk, srv.Token} {
		otas(t, srv, "POST", "/api/agent/v1/session/create/", nil, "X-OTAS-AGENT-KEY", key).is(t, 401, "invalid_agent_key")
	}
	otas(t, srv, "POST", "/api/v1/backend/log/sdk/", d.event(nil), "X-OTAS-SDK-KEY", d.key, "X-OTAS-AGENT-SESSION-TOKEN", d.token).
		is(t, 401, "invalid_sdk_key")
	for _, token := range []string{d.user, d.token} {
		if c := claims(t, token); c["exp"] == nil || c["kind"] == nil || c["aud"] == nil || c["iss"] == nil {
			t.Errorf("claims = %v", c)
		}
	}
	otas(t, srv, "PUT", "/api/user/v1/reset-password/update/", `{"password":"nine eager couriers"}`, "X-OTAS-USER-TOKEN", d.user).is(t, 200, "password_updated")
	otas(t, srv, "POST", "/api/user/v1/authenticate/", nil, "X-OTAS-USER-TOKEN", d.user).is(t, 401, "invalid_token")
	again := otas(t, srv, "POST", "/api/user/v1/login/", map[string]any{"email": d.email, "password": "nine eager couriers"}).
		is(t, 200, "login_success").text(t, "response.jwt_token")
	otas(t, srv, "POST", "/api/user/v1/logout/", nil, "X-OTAS-USER-TOKEN", again).is(t, 200, "logged_out")
	otas(t, srv, "POST", "/api/user/v1/authenticate/", nil, "X-OTAS-USER-TOKEN", again).is(t, 401, "invalid_token")
}

func sessionsEnd(t *testing.T, srv *apptest.Server) {
	d := newDesk(t, srv)
	d.sdkReport(t, d.token, d.event(nil)).is(t, 201, "event_captured")

	ended, id := d.open(t, d.key)
	d.admin(t, "POST", "/api/agent/v1/session/end/", map[string]any{"session_id": id}).is(t, 200, "agent_session_ended")
	d.sdkReport(t, ended, d.event(nil)).is(t, 401, "invalid_or_expired_token")

	d.admin(t, "POST", "/api/agent/v1/deactivate/", map[string]any{"agent_id": d.agent}).is(t, 200, "agent_deactivated")
	d.sdkReport(t, d.token, d.event(nil)).is(t, 401, "invalid_or_expired_token")
	d.admin(t, "POST", "/api/agent/v1/reactivate/", map[string]any{"agent_id": d.agent}).is(t, 200, "agent_reactivated")
	d.sdkReport(t, d.token, d.event(nil)).is(t, 201, "event_captured")

	// A key that is replaced leaves its sessions (reference 3.15); one that is revoked takes them along.
	a := d.admin(t, "POST", "/api/agent/v1/agents/key/create/", map[string]any{"agent_id": d.agent}).is(t, 201, "agent_key_created")
	d.sdkReport(t, d.token, d.event(nil)).is(t, 201, "event_captured")
	token, _ := d.open(t, a.text(t, "response.agent_key.api_key"))
	d.sdkReport(t, token, d.event(nil)).is(t, 201, "event_captured")
	d.admin(t, "POST", "/api/agent/v1/agents/key/revoke/", map[string]any{"agent_key_id": a.text(t, "response.agent_key.id")}).is(t, 200, "agent_key_revoked")
	d.sdkReport(t, token, d.event(nil)).is(t, 401, "invalid_or_expired_token")
}

func noForeignWrites(t *testing.T, srv *apptest.Server) {
	mine, theirs := newDesk(t, srv), newDesk(t, srv)
	mine.sdkReport(t, theirs.token, mine.event(nil)).is(t, 403, "session_agent_mismatch")
	otas(t, srv, "POST", "/api/v1/backend/log/agent/", mine.event(nil), "X-OTAS-AGENT-KEY", mine.key, "X-OTAS-AGENT-SESSION-TOKEN", theirs.token).
		is(t, 403, "session_agent_mismatch")
	mine.report(t, theirs.event(nil)).is(t, 403, "project_mismatch")
	for _, d := range []*desk{mine, theirs} {
		if got := d.events(t, d.session); len(got) != 0 {
			t.Errorf("captured: %v", got)
		}
	}
	// Nor does one read another's, with its own credentials and the other's ids.
	theirs.report(t, theirs.event(nil)).is(t, 201, "event_captured")
	a := otas(t, srv, "GET", "/api/v1/agent/session/events/?session_id="+theirs.session, nil,
		"X-OTAS-USER-TOKEN", mine.user, "X-OTAS-PROJECT-ID", mine.project, "X-OTAS-AGENT-ID", mine.agent)
	if events := a.is(t, 200, "session_events_listed").Body["events"].([]any); len(events) != 0 {
		t.Errorf("a foreign session shows %v", events)
	}
	otas(t, srv, "GET", "/api/v1/agent/session/events/?session_id="+theirs.session, nil,
		"X-OTAS-USER-TOKEN", mine.user, "X-OTAS-PROJECT-ID", mine.project, "X-OTAS-AGENT-ID", theirs.agent).is(t, 404, "agent_not_found")
}

func onlyAdminsMakeKeys(t *testing.T, srv *apptest.Server) {
	d := newDesk(t, srv)
	for _, privilege := range []int{2, 3} {
		user, _ := d.join(t, privilege)
		d.as(t, user, "POST", "/api/project/v1/sdk/backend/key/create/", `{"validity":30}`).is(t, 403, "forbidden")
		d.as(t, user, "POST", "/api/project/v1/sdk/backend/key/create/", `{broken`).is(t, 403, "forbidden")
		d.as(t, user, "GET", "/api/project/v1/sdk/backend/key/list/", nil).is(t, 403, "forbidden")
		d.as(t, user, "POST", "/api/project/v1/sdk/backend/key/revoke/", map[string]any{"sdk_key_id": d.sdkID}).is(t, 403, "forbidden")
		d.as(t, user, "GET", "/api/project/v1/key/list/", nil).is(t, 403, "forbidden")
		d.as(t, user, "POST", "/api/project/v1/key/revoke/", map[string]any{"key_id": d.keyID}).is(t, 403, "forbidden")
		d.as(t, user, "POST", "/api/project/v1/members/invite/", map[string]any{"email": "x@example.org"}).is(t, 403, "forbidden")
		d.as(t, user, "GET", "/api/agent/v1/list/", nil).is(t, 200, "agents_listed")
	}
	keys := d.admin(t, "GET", "/api/project/v1/sdk/backend/key/list/", nil).is(t, 200, "backend_sdk_keys_listed").at(t, "response_body.keys").([]any)
	if len(keys) != 1 {
		t.Errorf("SDK keys: %v", keys)
	}
}

func switchedOff(t *testing.T, srv *apptest.Server) {
	d := newDesk(t, srv)
	user, id := d.join(t, 1)
	d.as(t, user, "GET", "/api/agent/v1/list/", nil).is(t, 200, "agents_listed")
	d.admin(t, "POST", "/api/project/v1/members/remove/", map[string]any{"user_id": id}).is(t, 200, "member_removed")
	d.as(t, user, "GET", "/api/agent/v1/list/", nil).is(t, 403, "user_project_mapping_invalid")

	d.admin(t, "POST", "/api/project/v1/deactivate/", nil).is(t, 200, "project_deactivated")
	d.admin(t, "GET", "/api/agent/v1/list/", nil).is(t, 403, "user_project_mapping_invalid")
	otas(t, srv, "POST", "/api/agent/v1/session/create/", nil, "X-OTAS-AGENT-KEY", d.key).is(t, 401, "invalid_agent_key")
	otas(t, srv, "POST", "/api/project/v1/sdk/backend/key/authenticate/", nil, "X-OTAS-SDK-KEY", d.sdk).is(t, 403, "invalid_sdk_key")
	d.report(t, d.event(nil)).is(t, 401, "invalid_or_expired_agent_key")
	d.sdkReport(t, d.token, d.event(nil)).is(t, 401, "invalid_sdk_key")

	otas(t, srv, "POST", "/api/project/v1/reactivate/", map[string]any{"project_id": d.project}, "X-OTAS-USER-TOKEN", user).is(t, 404, "project_not_found")
	otas(t, srv, "POST", "/api/project/v1/reactivate/", map[string]any{"project_id": d.project}, "X-OTAS-USER-TOKEN", d.user).is(t, 200, "project_reactivated")
	d.report(t, d.event(nil)).is(t, 201, "event_captured")
}

// S8, first half: tries to log in run out.
func TestLoginIsThrottled(t *testing.T) {
	t.Parallel()
	srv := apptest.Start(t)
	d := newDesk(t, srv)
	for range 30 {
		a := otas(t, srv, "POST", "/api/user/v1/login/", map[string]any{"email": d.email, "password": "wrong wrong wrong"})
		if a.Status == 401 {
			continue
		}
		a.is(t, 429, "rate_limited")
		if after, err := strconv.Atoi(a.Header.Get("Retry-After")); err != nil || after < 1 {
			t.Errorf("Retry-After = %q", a.Header.Get("Retry-After"))
		}
		return
	}
	t.Error("thirty wrong passwords were not slowed down")
}

// S8, second half: an agent that floods is told to wait, and others are not.
func TestFloodingAgentIsToldToWait(t *testing.T) {
	t.Parallel()
	began := time.Now() // the clock stands still, so that nothing of the allowance comes back on a slow machine
	srv := apptest.StartWith(t, fake.New(), apptest.WithConfig(func(c *config.Config) { c.Limits.AgentRate, c.Limits.AgentBurst = 1, 50 }),
		apptest.WithOptions(func(o *app.Options) { o.Now = func() time.Time { return began } }))
	flood, other := newDesk(t, srv), newDesk(t, srv)
	var captured, refused atomic.Int64
	var senders sync.WaitGroup
	for range 8 {
		senders.Go(func() {
			for range 25 {
				switch a := flood.report(t, flood.event(nil)); a.Status {
				case http.StatusCreated:
					captured.Add(1)
				case http.StatusTooManyRequests:
					refused.Add(1)
					if after, err := strconv.Atoi(a.Header.Get("Retry-After")); err != nil || after < 1 || a.Body["status_description"] != "rate_limited" {
						t.Errorf("Retry-After = %q: %s", a.Header.Get("Retry-After"), a.Raw)
					}
				default:
					t.Errorf("the flood is answered with %d %s", a.Status, a.Raw)
				}
			}
		})
	}
	for range 40 { // under the allowance: none of these may be refused, whatever the flood does
		other.report(t, other.event(nil)).is(t, 201, "event_captured")
	}
	senders.Wait()
	// One session took one of the 50.
	if captured.Load() != 49 || refused.Load() == 0 || captured.Load()+refused.Load() != 200 {
		t.Errorf("captured %d, refused %d", captured.Load(), refused.Load())
	}
	if a := otas(t, srv, "POST", "/api/agent/v1/session/create/", nil, "X-OTAS-AGENT-KEY", flood.key); a.Status != 429 {
		t.Errorf("a flooding agent opens sessions: %d %s", a.Status, a.Raw)
	}
	// What was confirmed is there, and nothing else.
	events := flood.read(t, "/api/v1/agent/session/events/?limit=500&session_id="+flood.session).is(t, 200, "session_events_listed").Body["events"].([]any)
	if int64(len(events)) != captured.Load() {
		t.Errorf("%d events are kept, %d were confirmed", len(events), captured.Load())
	}
}

func passwordLikeAHash(t *testing.T, srv *apptest.Server) {
	const password = "pbkdf2_sha256$720000$saltysalt$hashyhash"
	email := fmt.Sprintf("hash%d@example.org", desks.Add(1))
	otas(t, srv, "POST", "/api/user/v1/create/", map[string]any{"first_name": "A", "last_name": "B", "email": email, "password": password}).is(t, 200, "user_created")
	otas(t, srv, "POST", "/api/user/v1/login/", map[string]any{"email": email, "password": password}).is(t, 200, "login_success")
	file, err := os.ReadFile(filepath.Join(srv.Data, "reeve.db-wal"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(file, []byte(email)) || bytes.Contains(file, []byte(password)) {
		t.Errorf("the database has the e-mail: %v, the password in clear: %v", bytes.Contains(file, []byte(email)), bytes.Contains(file, []byte(password)))
	}
}

func weakPasswords(t *testing.T, srv *apptest.Server) {
	d := newDesk(t, srv)
	for _, password := range []string{"password", "12345678901", "qwertyuiop", d.email} {
		otas(t, srv, "POST", "/api/user/v1/create/", map[string]any{"first_name": "Mira", "last_name": "Okafor", "email": d.email, "password": password}).
			is(t, 400, "password_too_weak")
		otas(t, srv, "PUT", "/api/user/v1/reset-password/update/", map[string]any{"password": password}, "X-OTAS-USER-TOKEN", d.user).
			is(t, 400, "password_too_weak")
	}
	otas(t, srv, "PUT", "/api/user/v1/reset-password/update/", map[string]any{"password": "nine eager couriers", "current_password": "not this one"}, "X-OTAS-USER-TOKEN", d.user).
		is(t, 400, "wrong_password")
}

// S10, second half: a token that was left lying about does not change the password.
func TestOldTokenDoesNotChangeThePassword(t *testing.T) {
	t.Parallel()
	var ahead atomic.Int64
	srv := apptest.StartWith(t, fake.New(), apptest.WithOptions(func(o *app.Options) {
		o.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	}))
	_, user, _ := account(t, srv)
	ahead.Store(int64(16 * time.Minute))
	const next = "nine eager couriers"
	otas(t, srv, "PUT", "/api/user/v1/reset-password/update/", map[string]any{"password": next}, "X-OTAS-USER-TOKEN", user).is(t, 403, "reauthentication_required")
	otas(t, srv, "PUT", "/api/user/v1/reset-password/update/", map[string]any{"password": next, "current_password": deskPassword}, "X-OTAS-USER-TOKEN", user).
		is(t, 200, "password_updated")
}

// nothingFromInside sends nonsense everywhere; otas itself checks that answers tell nothing.
func nothingFromInside(t *testing.T, srv *apptest.Server) {
	d := newDesk(t, srv)
	for _, e := range endpoints {
		for _, body := range []string{`{`, `null`, `[]`, `7`, `"x"`, "{\"a\":\"\xff\"}", `{"email":7,"password":[],"agent_id":{},"validity":1e99}`, strings.Repeat("[", 20_000)} {
			a := otas(t, srv, e.method, e.path, body, "X-OTAS-USER-TOKEN", d.user, "X-OTAS-PROJECT-ID", d.project, "X-OTAS-AGENT-ID", d.agent,
				"X-OTAS-AGENT-KEY", d.key, "X-OTAS-SDK-KEY", d.sdk, "X-OTAS-AGENT-SESSION-TOKEN", d.token)
			if a.Status >= 500 {
				t.Errorf("%s %s with %.20q: %d %s", e.method, e.path, body, a.Status, a.Raw)
			}
			if description, _ := a.Body["status_description"].(string); strings.Contains(description, "error: ") {
				t.Errorf("%s %s with %.20q: %s", e.method, e.path, body, a.Raw)
			}
		}
	}
}

func unknownEmail(t *testing.T, srv *apptest.Server) {
	d := newDesk(t, srv)
	known := otas(t, srv, "POST", "/api/user/v1/login/", map[string]any{"email": d.email, "password": "wrong wrong wrong"}).is(t, 401, "login_failed")
	unknown := otas(t, srv, "POST", "/api/user/v1/login/", map[string]any{"email": "nobody." + d.email, "password": "wrong wrong wrong"}).is(t, 401, "login_failed")
	if !bytes.Equal(known.Raw, unknown.Raw) {
		t.Errorf("a known e-mail answers %s, an unknown one %s", known.Raw, unknown.Raw)
	}
	// To invite somebody does not tell either whether they have an account.
	for _, email := range []string{d.email + ".org", func() string { e, _, _ := account(t, srv); return e }()} {
		d.admin(t, "POST", "/api/project/v1/members/invite/", map[string]any{"email": email}).is(t, 201, "member_invited")
	}
}

func foreignOrigin(t *testing.T, srv *apptest.Server) {
	d := newDesk(t, srv)
	for _, method := range []string{"OPTIONS", "GET"} {
		a := otas(t, srv, method, "/api/agent/v1/list/", nil, "X-OTAS-USER-TOKEN", d.user, "X-OTAS-PROJECT-ID", d.project, "Origin", "https://evil.example")
		if a.Header.Get("Access-Control-Allow-Origin") != "*" || a.Header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: %v", method, a.Header)
		}
	}
}

// S14: bodies, keys and tokens stay out of the log, at its most talkative.
func TestLogHasNoBodiesAndNoKeys(t *testing.T) {
	t.Parallel()
	var log lockedBuffer
	srv := apptest.StartWith(t, fake.New(), apptest.WithOptions(func(o *app.Options) {
		o.Log = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}))
	d := newDesk(t, srv)
	d.report(t, d.event(map[string]any{"request_body": "body-of-a-capture"})).is(t, 201, "event_captured")
	d.report(t, `{"request_body": "body-of-a-capture", broken`).is(t, 400, "invalid_json")
	srv.Stop()
	for name, secret := range map[string]string{
		"password": deskPassword, "user token": d.user, "agent key": d.key, "SDK key": d.sdk, "session token": d.token,
		"body": "body-of-a-capture", "project's name": "Parcel Desk",
	} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the %s is in the log", name)
		}
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

var _ io.Writer = (*lockedBuffer)(nil)

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func secretsAreNotStored(t *testing.T, srv *apptest.Server) {
	d := newDesk(t, srv)
	headers := map[string]any{
		"authorization": "Bearer topsecret-1", "Cookie": "sid=topsecret-2", "X-API-Key": "topsecret-3",
		"x-otas-agent-session-token": d.token, "accept": "application/json",
	}
	headerText := fmt.Sprintf(`{"Authorization": "Basic topsecret-4", "x-otas-agent-session-token": %q, "host": "parceldesk.example"}`, d.token)
	d.sdkReport(t, d.token, d.event(map[string]any{
		"request_headers": headerText, "response_headers": headers,
		"request_body": "token=" + d.token, "metadata": map[string]any{"key": d.sdk}, "error": "refused: " + d.key,
	})).is(t, 201, "event_captured")
	e := d.events(t, d.session)[0].(map[string]any)
	if got, want := e["request_headers"], `{"Authorization": "[REDACTED]", "x-otas-agent-session-token": "[REDACTED]", "host": "parceldesk.example"}`; got != want {
		t.Errorf("request headers = %s", got)
	}
	if got := e["request_body"]; got != "token=[REDACTED]" {
		t.Errorf("request body = %s", got)
	}
	for _, name := range []string{"captures.db", "captures.db-wal"} {
		file, err := os.ReadFile(filepath.Join(srv.Data, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{"topsecret-", d.token, d.sdk, d.key} {
			if bytes.Contains(file, []byte(secret)) {
				t.Errorf("%s has %.12s…", name, secret)
			}
		}
		if name == "captures.db-wal" && !bytes.Contains(file, []byte("parceldesk.example")) {
			t.Error("the file does not have what it must have: the test looks in the wrong place")
		}
	}
}
