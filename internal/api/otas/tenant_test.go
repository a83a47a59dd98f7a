package otas_test

import (
	"strings"
	"testing"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/identity"
)

// TestForeignIDsAreNotFound sends everything that one tenant has through another's credentials: the
// answer must be the same as for an id that does not exist, and must change nothing.
func TestForeignIDsAreNotFound(t *testing.T) {
	t.Parallel()
	w := setup(t)
	mine, theirs := w.tenant(t), w.tenant(t)
	token, _, err := w.identity.IssueToken(t.Context(), identity.IssueToken{Project: mine.projectID()})
	if err != nil {
		t.Fatal(err)
	}
	nobody := core.FormatUUID(core.NewID[string]())
	sdk := w.do(t, "POST", "/api/project/v1/sdk/backend/key/create/", theirs.headers(), `{"validity":30}`).must(t, 201, "backend_sdk_key_created")
	inv := w.do(t, "POST", "/api/project/v1/members/invite/", theirs.headers(), `{"email":"them@example.org"}`).must(t, 201, "member_invited")
	them := core.FormatUUID(theirs.admin.id)
	for caller, h := range map[string]headers{
		"person":       mine.headers(),
		"access token": {"X-OTAS-USER-TOKEN": token},
	} {
		for name, tc := range map[string]struct {
			method, path, body string // %s is the id
			theirs             string
			status             int
			description        string
		}{
			"rotate key":        {"POST", "/api/agent/v1/agents/key/create/", `{"agent_id":"%s"}`, theirs.agent, 404, "agent_not_found_or_invalid_id"},
			"revoke key":        {"POST", "/api/agent/v1/agents/key/revoke/", `{"agent_key_id":"%s"}`, theirs.keyID, 404, "agent_key_not_found"},
			"revoke SDK key":    {"POST", "/api/project/v1/sdk/backend/key/revoke/", `{"sdk_key_id":"%s"}`, sdk.text(t, "response_body", "id"), 404, "sdk_key_not_found"},
			"revoke any key":    {"POST", "/api/project/v1/key/revoke/", `{"key_id":"%s"}`, theirs.keyID, 404, "key_not_found"},
			"revoke invitation": {"POST", "/api/project/v1/members/invite/revoke/", `{"invitation_id":"%s"}`, inv.text(t, "response_body", "invitation", "id"), 404, "invitation_not_found"},
			"change member":     {"POST", "/api/project/v1/members/change/", `{"user_id":"%s","privilege":3}`, them, 404, "member_not_found"},
			"remove member":     {"POST", "/api/project/v1/members/remove/", `{"user_id":"%s"}`, them, 404, "member_not_found"},
			"deactivate agent":  {"POST", "/api/agent/v1/deactivate/", `{"agent_id":"%s"}`, theirs.agent, 404, "agent_not_found"},
			"reactivate agent":  {"POST", "/api/agent/v1/reactivate/", `{"agent_id":"%s"}`, theirs.agent, 404, "agent_not_found"},
			"end session":       {"POST", "/api/agent/v1/session/end/", `{"session_id":"%s"}`, theirs.sess, 404, "session_not_found"},
			"manifest":          {"GET", "/api/agent/v1/manifest/?agent_id=%s", "", theirs.agent, 404, "agent_not_found"},
			"list sessions":     {"GET", "/api/agent/v1/sessions/list/?agent_id=%s", "", theirs.agent, 403, "agent_not_found_or_no_access"},
		} {
			var answers []string
			for _, id := range []string{tc.theirs, nobody} {
				fill := func(s string) string { return strings.ReplaceAll(s, "%s", id) }
				answers = append(answers, w.do(t, tc.method, fill(tc.path), h, fill(tc.body)).must(t, tc.status, tc.description).raw)
			}
			if answers[0] != answers[1] {
				t.Errorf("%s by %s: a foreign id answers %s, an unknown one %s", name, caller, answers[0], answers[1])
			}
		}
	}
	for name, h := range map[string]headers{
		"my token, their project":        {"X-OTAS-USER-TOKEN": mine.admin.token, "X-OTAS-PROJECT-ID": theirs.project},
		"my access token, their project": {"X-OTAS-USER-TOKEN": token, "X-OTAS-PROJECT-ID": theirs.project},
	} {
		for _, path := range []string{"/api/agent/v1/create/", "/api/agent/v1/agents/key/create/", "/api/agent/v1/agents/key/revoke/"} {
			w.do(t, "POST", path, h, `{"agent_name":"x","agent_provider":"y","agent_id":"`+theirs.agent+`","agent_key_id":"`+theirs.keyID+`"}`).
				must(t, 403, "user_project_mapping_invalid")
		}
		for _, path := range []string{"/api/agent/v1/list/", "/api/agent/v1/sessions/list/?agent_id=" + theirs.agent} {
			if a := w.do(t, "GET", path, h, ""); a.status != 403 || a.body["status_description"] != "user_project_mapping_invalid" {
				t.Errorf("%s on %s: %d %s", name, path, a.status, a.raw)
			}
		}
	}
	seen := w.do(t, "GET", "/api/agent/v1/list/", theirs.headers(), "").must(t, 200, "agents_listed").raw
	if strings.Contains(seen, mine.agent) || !strings.Contains(seen, theirs.keyID) || strings.Count(seen, `"prefix"`) != 1 {
		t.Errorf("their list: %s", seen)
	}
	if mineSeen := w.do(t, "GET", "/api/agent/v1/list/", mine.headers(), "").raw; strings.Contains(mineSeen, theirs.agent) || strings.Contains(mineSeen, theirs.keyID) {
		t.Errorf("my list: %s", mineSeen)
	}
	w.do(t, "POST", "/api/agent/v1/auth/verify/", headers{"X-OTAS-AGENT-KEY": theirs.key}, "").must(t, 200, "authenticated")
	w.do(t, "POST", "/api/project/v1/sdk/backend/key/authenticate/", headers{"X-OTAS-SDK-KEY": sdk.text(t, "response_body", "api_key")}, "").must(t, 200, "authenticated")
	if _, _, err := w.identity.Session(t.Context(), theirs.sessionToken); err != nil {
		t.Errorf("their session ended: %v", err)
	}
	if list := w.do(t, "GET", "/api/project/v1/members/list/", theirs.headers(), "").must(t, 200, "members_listed").raw; !strings.Contains(list, them) || !strings.Contains(list, "them@example.org") {
		t.Errorf("their members: %s", list)
	}
}

// TestNoCredentialIsTakenForAnother puts every credential into every header.
func TestNoCredentialIsTakenForAnother(t *testing.T) {
	t.Parallel()
	w := setup(t)
	n := w.tenant(t)
	access, _, err := w.identity.IssueToken(t.Context(), identity.IssueToken{Project: n.projectID(), Role: core.RoleViewer})
	if err != nil {
		t.Fatal(err)
	}
	credentials := map[string]string{
		"SDK key":    w.sdkKey(t, n),
		"user token": n.admin.token, "access token": access, "agent key": n.key, "session token": n.sessionToken,
		"project id": n.project, "agent id": n.agent, "key id": n.keyID,
	}
	for name, tc := range map[string]struct {
		method, path, header string
		takes                []string
	}{
		"who am I":       {"POST", "/api/user/v1/authenticate/", "X-OTAS-USER-TOKEN", []string{"user token"}},
		"create project": {"POST", "/api/project/v1/create/", "X-OTAS-USER-TOKEN", []string{"user token"}},
		"membership":     {"POST", "/api/project/v1/authenticate/", "X-OTAS-USER-TOKEN", []string{"user token"}},
		"list agents":    {"GET", "/api/agent/v1/list/", "X-OTAS-USER-TOKEN", []string{"user token", "access token"}},
		"create session": {"POST", "/api/agent/v1/session/create/", "X-OTAS-AGENT-KEY", []string{"agent key"}},
		"may I read":     {"POST", "/api/agent/v1/user/authenticate/", "X-OTAS-USER-TOKEN", []string{"user token", "access token"}},
		"SDK key list":   {"GET", "/api/project/v1/sdk/backend/key/list/", "X-OTAS-USER-TOKEN", []string{"user token", "access token"}},
		"members":        {"GET", "/api/project/v1/members/list/", "X-OTAS-USER-TOKEN", []string{"user token", "access token"}},
		"accept":         {"POST", "/api/project/v1/members/accept/", "X-OTAS-USER-TOKEN", []string{"user token"}},
		"switch off":     {"GET", "/api/project/v1/deactivate/", "X-OTAS-USER-TOKEN", []string{"user token"}},
		"SDK project":    {"POST", "/api/project/v1/sdk/backend/key/authenticate/", "X-OTAS-SDK-KEY", []string{"SDK key"}},
		"verify agent":   {"POST", "/api/agent/v1/auth/verify/", "X-OTAS-AGENT-KEY", []string{"agent key"}},
	} {
		for credential, value := range credentials {
			taken := false
			for _, c := range tc.takes {
				taken = taken || c == credential
			}
			a := w.do(t, tc.method, tc.path, headers{tc.header: value, "X-OTAS-PROJECT-ID": n.project}, `{"project_name":"x"}`)
			if got := a.status != 401 && a.body["status_description"] != "invalid_sdk_key"; got != taken {
				t.Errorf("%s with a %s: %d %s", name, credential, a.status, a.raw)
			}
		}
	}
	w.do(t, "POST", "/api/agent/v1/create/", headers{"X-OTAS-USER-TOKEN": access}, `{"agent_name":"x","agent_provider":"y"}`).must(t, 403, "forbidden")
}

// TestTroubleOfTheServerIsNotTheKeysFault takes the database away under a running server. C5: clients throw keys
// away that are refused, and drop what they wanted to report.
func TestTroubleOfTheServerIsNotTheKeysFault(t *testing.T) {
	t.Parallel()
	w := setup(t)
	n := w.tenant(t)
	sdk := w.sdkKey(t, n)
	if err := w.store.Close(); err != nil {
		t.Fatal(err)
	}
	event := `{"project_id":"` + n.project + `","path":"/","method":"GET","status_code":200,"latency_ms":1}`
	for name, a := range map[string]answer{
		"agent path": w.do(t, "POST", "/api/v1/backend/log/agent/", headers{"X-OTAS-AGENT-KEY": n.key, "X-OTAS-AGENT-SESSION-TOKEN": n.sessionToken}, event),
		"SDK path":   w.do(t, "POST", "/api/v1/backend/log/sdk/", headers{"X-OTAS-SDK-KEY": sdk, "X-OTAS-AGENT-SESSION-TOKEN": n.sessionToken}, event),
		"SDK key":    w.do(t, "POST", "/api/project/v1/sdk/backend/key/authenticate/", headers{"X-OTAS-SDK-KEY": sdk}, ""),
		"session":    w.do(t, "POST", "/api/agent/v1/session/create/", headers{"X-OTAS-AGENT-KEY": n.key}, ""),
		"user token": w.do(t, "POST", "/api/user/v1/authenticate/", headers{"X-OTAS-USER-TOKEN": n.admin.token}, ""),
		"list":       w.do(t, "GET", "/api/agent/v1/list/", n.headers(), ""),
	} {
		if a.status != 500 || a.body["status_description"] != "server_error" {
			t.Errorf("%s: %d %s", name, a.status, a.raw)
		}
	}
}
