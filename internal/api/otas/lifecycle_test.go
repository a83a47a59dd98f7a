package otas_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/reeve-ai/reeve/internal/catalog"
	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/identity"
)

// S7: in the original, deactivated agents, projects and memberships keep full access.
func TestWhatIsSwitchedOffIsRefused(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ctx := t.Context()
	n := w.tenant(t)

	former := w.person(t)
	w.join(t, former, n, core.RoleAdmin, true)
	w.do(t, "GET", "/api/agent/v1/list/", n.as(former), "").must(t, 200, "agents_listed")
	w.join(t, former, n, core.RoleAdmin, false)
	w.do(t, "GET", "/api/agent/v1/list/", n.as(former), "").must(t, 403, "user_project_mapping_invalid")
	w.do(t, "POST", "/api/project/v1/authenticate/", n.as(former), "").must(t, 400, "user_project_mapping_invalid")

	off := core.Project{ID: core.NewID[core.ProjectID](), Name: "off", CreatedBy: n.admin.id, CreatedAt: w.clock.now(), UpdatedAt: w.clock.now()}
	if err := w.store.CreateProject(ctx, off); err != nil {
		t.Fatal(err)
	}
	inactive := tenant{admin: n.admin, project: core.FormatUUID(off.ID)}
	w.join(t, n.admin, inactive, core.RoleAdmin, true)
	w.do(t, "GET", "/api/agent/v1/list/", inactive.headers(), "").must(t, 403, "user_project_mapping_invalid")
	if list := w.do(t, "GET", "/api/project/v1/list/", n.headers(), "").raw; strings.Contains(list, inactive.project) {
		t.Errorf("an inactive project is listed: %s", list)
	}

	a, err := w.store.Agent(ctx, n.projectID(), n.agentID())
	if err != nil {
		t.Fatal(err)
	}
	refused := func(when string) {
		t.Helper()
		key := headers{"X-OTAS-AGENT-KEY": n.key}
		w.do(t, "POST", "/api/agent/v1/session/create/", key, "").must(t, 401, "invalid_agent_key")
		w.do(t, "POST", "/api/agent/v1/auth/verify/", key, "").must(t, 401, "invalid_agent_key")
		w.do(t, "POST", "/api/agent/v1/agents/key/create/", n.headers(), `{"agent_id":"`+n.agent+`"}`).must(t, 404, "agent_not_found_or_invalid_id")
		w.do(t, "GET", "/api/agent/v1/sessions/list/?agent_id="+n.agent, n.headers(), "").must(t, 403, "agent_not_found_or_no_access")
		if list := w.do(t, "GET", "/api/agent/v1/list/", n.headers(), "").raw; strings.Contains(list, n.agent) {
			t.Errorf("%s, the agent is listed: %s", when, list)
		}
		if _, _, err := w.identity.Session(ctx, n.sessionToken); core.KindOf(err) != core.Unauthenticated {
			t.Errorf("%s, its session goes on: %v", when, err)
		}
	}
	a.Active = false
	if err := w.store.SetAgentState(ctx, a); err != nil {
		t.Fatal(err)
	}
	refused("deactivated")
	a.Active, a.ArchivedAt = true, w.clock.now()
	if err := w.store.SetAgentState(ctx, a); err != nil {
		t.Fatal(err)
	}
	refused("archived")
}

// C10: the original lists a key as active after its end.
func TestKeysAndTokensEndAfterThirtyDays(t *testing.T) {
	t.Parallel()
	w := setup(t)
	n := w.tenant(t)
	w.clock.move(identity.AgentKeyLifetime - time.Hour)
	w.open(t, n.key)
	if keys := listedKeys(t, w, n); len(keys) != 1 {
		t.Errorf("keys before the end: %v", keys)
	}
	w.clock.move(2 * time.Hour)
	w.do(t, "POST", "/api/agent/v1/session/create/", headers{"X-OTAS-AGENT-KEY": n.key}, "").must(t, 401, "invalid_agent_key")
	w.do(t, "POST", "/api/user/v1/authenticate/", n.headers(), "").must(t, 401, "invalid_token")
	if _, _, err := w.identity.Session(t.Context(), n.sessionToken); core.KindOf(err) != core.Unauthenticated {
		t.Errorf("the session token still works: %v", err)
	}
	n.admin.token = w.do(t, "POST", "/api/user/v1/login/", nil, `{"email":"`+n.admin.email+`","password":"`+password+`"}`).must(t, 200, "login_success").text(t, "response", "jwt_token")
	if keys := listedKeys(t, w, n); len(keys) != 0 {
		t.Errorf("keys after the end: %v", keys)
	}
}

// C10: the original lists an SDK key as active after its end.
func TestSDKKeysEndWithTheirValidity(t *testing.T) {
	t.Parallel()
	w := setup(t)
	n := w.tenant(t)
	made := w.do(t, "POST", "/api/project/v1/sdk/backend/key/create/", n.headers(), `{"validity":2}`).must(t, 201, "backend_sdk_key_created")
	key := headers{"X-OTAS-SDK-KEY": made.text(t, "response_body", "api_key")}
	listed := func() (sdk, every map[string]any) {
		t.Helper()
		one := w.do(t, "GET", "/api/project/v1/sdk/backend/key/list/", n.headers(), "").must(t, 200, "backend_sdk_keys_listed").at(t, "response_body", "keys").([]any)
		all := w.do(t, "GET", "/api/project/v1/key/list/", n.headers(), "").must(t, 200, "keys_listed").at(t, "response_body", "keys").([]any)
		return one[0].(map[string]any), all[0].(map[string]any)
	}
	w.clock.move(48*time.Hour - time.Minute)
	w.do(t, "POST", "/api/project/v1/sdk/backend/key/authenticate/", key, "").must(t, 200, "authenticated")
	if sdk, every := listed(); sdk["active"] != true || every["active"] != true || every["kind"] != "sdk" {
		t.Errorf("before its end: %v, %v", sdk, every)
	}
	w.clock.move(2 * time.Minute)
	w.do(t, "POST", "/api/project/v1/sdk/backend/key/authenticate/", key, "").must(t, 403, "invalid_sdk_key")
	if sdk, every := listed(); sdk["active"] != false || every["active"] != false || sdk["revoked_at"] != nil || every["revoked_at"] != nil {
		t.Errorf("after its end: %v, %v", sdk, every)
	}
}

// C1, for the keys of backends: the SDK splits them at "_".
func TestEverySDKKeyHasThreeParts(t *testing.T) {
	t.Parallel()
	w := setup(t)
	n := w.tenant(t)
	for range 60 {
		key := w.sdkKey(t, n)
		if parts := strings.Split(key, "_"); len(parts) != 3 || parts[0] != "otas" || len(parts[1]) != 11 || len(parts[2]) != 43 {
			t.Fatalf("key %s", key)
		}
	}
}

// S10: who finds a token lying about cannot take the account over with it.
func TestPasswordChangeAsksWhoItIs(t *testing.T) {
	t.Parallel()
	w := setup(t)
	p := w.person(t)
	const path, next = "/api/user/v1/reset-password/update/", "nine eager couriers"
	h := headers{"X-OTAS-USER-TOKEN": p.token}
	w.clock.move(16 * time.Minute)
	for body, want := range map[string]struct {
		status int
		code   string
	}{
		`{"password":"` + next + `"}`:                                          {403, "reauthentication_required"},
		`{"password":"` + next + `","current_password":null}`:                  {403, "reauthentication_required"},
		`{"password":"` + next + `","current_password":"not it"}`:              {400, "wrong_password"},
		`{"password":"` + next + `","current_password":""}`:                    {400, "wrong_password"},
		`{"password":"` + next + `","current_password":5}`:                     {400, "invalid_json"},
		`{"password":"password","current_password":"` + password + `"}`:        {400, "password_too_weak"},
		`{"password":"` + p.email + `","current_password":"` + password + `"}`: {400, "password_too_weak"},
		`{"password":"12345","current_password":"` + password + `"}`:           {400, "password_too_short"},
		`{"current_password":"` + password + `"}`:                              {400, "missing_password"},
	} {
		a := w.do(t, "PUT", path, h, body).must(t, want.status, want.code)
		if null, there := a.body["response_body"]; !there || null != nil {
			t.Errorf("%s: %s", body, a.raw)
		}
	}
	w.do(t, "POST", "/api/user/v1/authenticate/", h, "").must(t, 200, "user_authenticated") // a wrong password logs nobody out
	w.do(t, "PUT", path, h, `{"password":"`+next+`","current_password":"`+password+`"}`).must(t, 200, "password_updated")
	w.do(t, "POST", "/api/user/v1/authenticate/", h, "").must(t, 401, "invalid_token")
	fresh := w.do(t, "POST", "/api/user/v1/login/", nil, `{"email":"`+p.email+`","password":"`+next+`"}`).must(t, 200, "login_success").text(t, "response", "jwt_token")
	w.do(t, "PUT", path, headers{"X-OTAS-USER-TOKEN": fresh}, `{"password":"seven idle postmen"}`).must(t, 200, "password_updated")
}

func listedKeys(t *testing.T, w *world, n tenant) []any {
	t.Helper()
	agents := w.do(t, "GET", "/api/agent/v1/list/", n.headers(), "").must(t, 200, "agents_listed").at(t, "response", "agents").([]any)
	return agents[0].(map[string]any)["agent_keys"].([]any)
}

// TestSessionTokenTellsTheSession reads the token as reference 1.9 describes it: its id is in no body.
func TestSessionTokenTellsTheSession(t *testing.T) {
	t.Parallel()
	w := setup(t)
	n := w.tenant(t)
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(n.sessionToken, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims struct {
		Session string `json:"agent_session_id"`
		Agent   string `json:"agent_id"`
		Exp     int64  `json:"exp"`
		Iat     int64  `json:"iat"`
	}
	if err := json.Unmarshal(raw, &claims); err != nil {
		t.Fatal(err)
	}
	if claims.Session != n.sess || claims.Agent != n.agent || claims.Exp-claims.Iat != 30*24*3600 {
		t.Errorf("claims = %s, session %s, agent %s", raw, n.sess, n.agent)
	}
	by, id, err := w.identity.Session(t.Context(), n.sessionToken)
	if err != nil || core.FormatUUID(id) != n.sess || by.Project != n.projectID() {
		t.Errorf("Session = %+v, %s, %v", by, id, err)
	}
}

// C1: one in seven of the original's keys never worked.
func TestEveryAgentKeyWorks(t *testing.T) {
	t.Parallel()
	w := setup(t)
	n := w.tenant(t)
	for range 60 {
		a := w.do(t, "POST", "/api/agent/v1/agents/key/create/", n.headers(), `{"agent_id":"`+n.agent+`"}`).must(t, 201, "agent_key_created")
		w.open(t, a.text(t, "response", "agent_key", "api_key"))
	}
}

// TestAgentAndFirstKeyAreOne: of an agent whose key cannot be stored, nothing stays.
func TestAgentAndFirstKeyAreOne(t *testing.T) {
	t.Parallel()
	w := setup(t)
	n := w.tenant(t)
	by := core.Principal{Kind: core.PrincipalUser, Project: n.projectID(), Role: core.RoleAdmin, User: n.admin.id}
	_, err := w.catalog.CreateAgent(t.Context(), by, core.AgentSpec{Name: "Half", Provider: "x"}, catalog.CreateOptions{
		Limits: catalog.OtasLimits,
		InTx: func(ctx context.Context, tx core.Store, a core.Agent) error {
			_, key := w.identity.NewAgentKey(a, by)
			if err := tx.CreateCredential(ctx, key); err != nil {
				return err
			}
			return fmt.Errorf("the power went")
		},
	})
	if err == nil {
		t.Fatal("the agent was made")
	}
	if list := w.do(t, "GET", "/api/agent/v1/list/", n.headers(), "").raw; strings.Contains(list, "Half") {
		t.Errorf("half an agent: %s", list)
	}
}

// TestAgentsOfOtherFacesAreListed: one agent under every API. C14: the list has an order, newest first.
func TestAgentsOfOtherFacesAreListed(t *testing.T) {
	t.Parallel()
	w := setup(t)
	n := w.tenant(t)
	token, _, err := w.identity.IssueToken(t.Context(), identity.IssueToken{Project: n.projectID(), Spelling: identity.SpellingEverruns})
	if err != nil {
		t.Fatal(err)
	}
	by, err := w.identity.Token(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	var made []string
	for i := range 205 { // more than one page of the list
		a, err := w.catalog.CreateAgent(t.Context(), by, core.AgentSpec{Name: fmt.Sprint("agent-", i)}, catalog.CreateOptions{Limits: catalog.EverrunsLimits})
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, core.FormatUUID(a.ID))
	}
	agents := w.do(t, "GET", "/api/agent/v1/list/", headers{"X-OTAS-USER-TOKEN": token}, "").must(t, 200, "agents_listed").at(t, "response", "agents").([]any)
	if len(agents) != len(made)+1 {
		t.Fatalf("%d agents are listed", len(agents))
	}
	for i, id := range made {
		a := agents[len(made)-1-i].(map[string]any)
		if a["id"] != id || a["created_by"] != nil || len(a["agent_keys"].([]any)) != 0 {
			t.Fatalf("place %d holds %v, want %s", len(made)-1-i, a, id)
		}
	}
	// It gets its first key by rotation, and can then report for itself.
	key := w.do(t, "POST", "/api/agent/v1/agents/key/create/", headers{"X-OTAS-USER-TOKEN": token}, `{"agent_id":"agent_`+strings.ReplaceAll(made[0], "-", "")+`"}`).
		must(t, 201, "agent_key_created").text(t, "response", "agent_key", "api_key")
	w.open(t, key)
}

// TestManagedSessionsAreListedToo: one list for sessions that run here and elsewhere.
func TestManagedSessionsAreListedToo(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ctx := t.Context()
	n := w.tenant(t)
	now := w.clock.now()
	env := core.Environment{Project: n.projectID(), ID: core.NewID[core.EnvironmentID](), Name: "e", Metadata: map[string]string{}, CreatedAt: now, UpdatedAt: now}
	if err := w.store.CreateEnvironment(ctx, env); err != nil {
		t.Fatal(err)
	}
	sess := core.Session{
		Project: n.projectID(), ID: core.NewID[core.SessionID](), Origin: core.OriginManaged, Agent: n.agentID(), AgentVersion: 1,
		Snapshot: &core.AgentSpec{Name: "Router"}, Environment: env.ID, Metadata: map[string]string{"team": "x"},
		Status: core.StatusIdle, CreatedAt: now, UpdatedAt: now,
	}
	if err := w.store.CreateSession(ctx, sess); err != nil {
		t.Fatal(err)
	}
	list := w.do(t, "GET", "/api/agent/v1/sessions/list/?agent_id="+n.agent, n.headers(), "").must(t, 200, "agent_sessions_listed").at(t, "response", "sessions").([]any)
	w.do(t, "POST", "/api/agent/v1/session/end/", n.headers(), `{"session_id":"`+core.FormatUUID(sess.ID)+`"}`).must(t, 404, "session_not_found")
	if got, err := w.store.Session(ctx, sess.Project, sess.ID); err != nil || !got.ArchivedAt.IsZero() {
		t.Errorf("a session of this server was ended here: %+v, %v", got, err)
	}
	got := list[0].(map[string]any)
	if len(list) != 2 || got["id"] != core.FormatUUID(sess.ID) || got["agent_key_id"] != nil || fmt.Sprint(got["meta"]) != "map[team:x]" {
		t.Errorf("sessions = %v", list)
	}
}

// TestEndedSessionTakesNoMore: its token stops at once, and what it recorded stays.
func TestEndedSessionTakesNoMore(t *testing.T) {
	t.Parallel()
	w := setup(t)
	n := w.tenant(t)
	report := func(token string) answer {
		t.Helper()
		return w.do(t, "POST", "/api/v1/backend/log/agent/", headers{"X-OTAS-AGENT-KEY": n.key, "X-OTAS-AGENT-SESSION-TOKEN": token},
			`{"project_id":"`+n.project+`","path":"/x","method":"GET","status_code":500,"latency_ms":1}`)
	}
	other := w.open(t, n.key)
	report(n.sessionToken).must(t, 201, "event_captured")
	w.do(t, "POST", "/api/agent/v1/session/end/", n.headers(), `{"session_id":"`+n.sess+`"}`).must(t, 200, "agent_session_ended")
	report(n.sessionToken).must(t, 401, "invalid_or_expired_token")
	report(other).must(t, 201, "event_captured")
	list := w.do(t, "GET", "/api/agent/v1/sessions/list/?agent_id="+n.agent, n.headers(), "").must(t, 200, "agent_sessions_listed").at(t, "response", "sessions").([]any)
	for _, s := range list {
		if m := s.(map[string]any); m["event_count"] != 1.0 || m["error_count"] != 1.0 || m["last_event_at"] == nil {
			t.Errorf("session %v", m)
		}
	}
	if len(list) != 2 {
		t.Errorf("%d sessions", len(list))
	}
}

// P6: the original answers all sessions at once. Here pages of any size meet without a gap.
func TestSessionPagesMeet(t *testing.T) {
	t.Parallel()
	w := setup(t)
	n := w.tenant(t)
	for range 249 {
		w.open(t, n.key)
	}
	path := "/api/agent/v1/sessions/list/?agent_id=" + n.agent
	all := w.do(t, "GET", path, n.headers(), "").must(t, 200, "agent_sessions_listed")
	if got := len(all.at(t, "response", "sessions").([]any)); got != 250 || strings.Contains(all.raw, "next_after") {
		t.Fatalf("%d sessions in one answer", got)
	}
	for _, limit := range []int{1, 99, 100, 125, 250, 251} {
		var got []any
		after := ""
		for {
			a := w.do(t, "GET", fmt.Sprintf("%s&limit=%d%s", path, limit, after), n.headers(), "").must(t, 200, "agent_sessions_listed")
			page := a.at(t, "response", "sessions").([]any)
			if got = append(got, page...); len(page) > limit {
				t.Fatalf("limit %d: %d sessions", limit, len(page))
			}
			next, more := a.body["response"].(map[string]any)["next_after"].(string)
			if !more {
				break
			}
			if limit == 1 && len(got) == 3 {
				break // three steps tell as much as 250
			}
			after = "&after=" + next
		}
		want := all.at(t, "response", "sessions").([]any)[:len(got)]
		if fmt.Sprint(got) != fmt.Sprint(want) || limit > 1 && len(got) != 250 {
			t.Errorf("limit %d: %d sessions, or another order", limit, len(got))
		}
	}
}

func TestConcurrentSignUpsOfOneEmail(t *testing.T) {
	t.Parallel()
	w := setup(t)
	var mu sync.Mutex
	counts := map[any]int{}
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			a := w.do(t, "POST", "/api/user/v1/create/", nil, `{"first_name":"A","last_name":"B","email":"same@example.org","password":"`+password+`"}`)
			mu.Lock()
			defer mu.Unlock()
			counts[a.body["status_description"]]++
		})
	}
	wg.Wait()
	if counts["user_created"] != 1 || counts["user_already_exists"] != 5 {
		t.Errorf("answers: %v", counts)
	}
}

// S8: the original lets anyone guess as often as they like.
func TestGuessingIsSlowedDown(t *testing.T) {
	t.Parallel()
	w := setup(t)
	p := w.person(t)
	body := `{"email":"` + p.email + `","password":"wrong password"}`
	for tries := 1; ; tries++ { // ten at once, and one more every six seconds that this takes
		a := w.do(t, "POST", "/api/user/v1/login/", nil, body)
		if a.status == 401 && tries < 40 {
			continue
		}
		a.must(t, 429, "rate_limited")
		if tries <= 10 {
			t.Errorf("try %d was refused", tries)
		}
		if wait, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || wait < 1 || wait > 6 {
			t.Errorf("Retry-After = %q", a.header.Get("Retry-After"))
		}
		break
	}
	w.do(t, "POST", "/api/user/v1/authenticate/", headers{"X-OTAS-USER-TOKEN": p.token}, "").must(t, 200, "user_authenticated")
}
