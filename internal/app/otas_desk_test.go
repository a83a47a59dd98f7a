package app_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/reeve-ai/reeve/internal/app/apptest"
)

// deskPassword is good enough for the rule about passwords.
const deskPassword = "seven lazy couriers"

var desks atomic.Int64

// desk is a tenant of the otas face: its administrator, one agent with its key, one open session, and
// the SDK key of its backend.
type desk struct {
	srv                  *apptest.Server
	user, email, project string
	agent, key, keyID    string
	token, session       string
	sdk, sdkID           string
}

// account signs a person up and returns the e-mail and the user token.
func account(t *testing.T, srv *apptest.Server) (email, token, id string) {
	t.Helper()
	email = fmt.Sprintf("courier%d@parceldesk.example", desks.Add(1))
	a := otas(t, srv, "POST", "/api/user/v1/create/", map[string]any{
		"first_name": "Mira", "last_name": "Okafor", "email": email, "password": deskPassword,
	})
	a.is(t, 200, "user_created")
	return email, a.text(t, "response_body.jwt_token"), a.text(t, "response_body.user.id")
}

func newDesk(t *testing.T, srv *apptest.Server) *desk {
	t.Helper()
	d := &desk{srv: srv}
	d.email, d.user, _ = account(t, srv)
	d.project = otas(t, srv, "POST", "/api/project/v1/create/", `{"project_name":"Parcel Desk"}`, "X-OTAS-USER-TOKEN", d.user).
		is(t, 201, "project_created").text(t, "response_body.project.id")
	a := d.admin(t, "POST", "/api/agent/v1/create/", `{"agent_name":"Route Planner","agent_provider":"Anthropic"}`).is(t, 201, "agent_created")
	d.agent, d.key, d.keyID = a.text(t, "response.agent.id"), a.text(t, "response.agent_key.api_key"), a.text(t, "response.agent_key.id")
	a = d.admin(t, "POST", "/api/project/v1/sdk/backend/key/create/", `{"validity":30}`).is(t, 201, "backend_sdk_key_created")
	d.sdk, d.sdkID = a.text(t, "response_body.api_key"), a.text(t, "response_body.id")
	d.token, d.session = d.open(t, d.key)
	return d
}

// open opens a session with an agent key and returns its token and its id.
func (d *desk) open(t *testing.T, key string) (token, id string) {
	t.Helper()
	token = otas(t, d.srv, "POST", "/api/agent/v1/session/create/", nil, "X-OTAS-AGENT-KEY", key).
		is(t, 200, "agent_session_created").text(t, "response.jwt_token")
	return token, claims(t, token)["agent_session_id"].(string)
}

// claims reads the middle of a JWT, as its clients do.
func claims(t *testing.T, token string) map[string]any {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("%q is no JWT", token)
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var c map[string]any
	if err := json.Unmarshal(raw, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// admin sends a request as the desk's administrator.
func (d *desk) admin(t *testing.T, method, path string, body any) reply {
	t.Helper()
	return d.as(t, d.user, method, path, body)
}

// as sends a request as a person, into the desk's project.
func (d *desk) as(t *testing.T, user, method, path string, body any) reply {
	t.Helper()
	return otas(t, d.srv, method, path, body, "X-OTAS-USER-TOKEN", user, "X-OTAS-PROJECT-ID", d.project)
}

// read asks one of the reading endpoints about the desk's agent.
func (d *desk) read(t *testing.T, path string) reply {
	t.Helper()
	return otas(t, d.srv, "GET", path, nil, "X-OTAS-USER-TOKEN", d.user, "X-OTAS-PROJECT-ID", d.project, "X-OTAS-AGENT-ID", d.agent)
}

// join makes another person a member with a privilege, by invitation, and returns their token and id.
func (d *desk) join(t *testing.T, privilege int) (token, id string) {
	t.Helper()
	email, token, id := account(t, d.srv)
	invitation := d.admin(t, "POST", "/api/project/v1/members/invite/", map[string]any{"email": email, "privilege": privilege}).
		is(t, 201, "member_invited").text(t, "response_body.invitation.token")
	otas(t, d.srv, "POST", "/api/project/v1/members/accept/", map[string]any{"invitation": invitation}, "X-OTAS-USER-TOKEN", token).
		is(t, 200, "member_joined")
	return token, id
}

// event is a good capture of the desk with some members changed; nil takes one out.
func (d *desk) event(change map[string]any) map[string]any {
	e := map[string]any{"project_id": d.project, "path": "/v2/geocode", "method": "GET", "status_code": 200, "latency_ms": 84.2}
	for k, v := range change {
		if e[k] = v; v == nil {
			delete(e, k)
		}
	}
	return e
}

// report sends one event as the agent.
func (d *desk) report(t *testing.T, body any) reply {
	t.Helper()
	return otas(t, d.srv, "POST", "/api/v1/backend/log/agent/", body, "X-OTAS-AGENT-KEY", d.key, "X-OTAS-AGENT-SESSION-TOKEN", d.token)
}

// sdkReport sends one event as the project's backend, with a session token.
func (d *desk) sdkReport(t *testing.T, token string, body any) reply {
	t.Helper()
	return otas(t, d.srv, "POST", "//api/v1/backend/log/sdk/", body, "X-OTAS-SDK-KEY", d.sdk, "X-OTAS-AGENT-SESSION-TOKEN", token)
}

// events reads a session's captures whole.
func (d *desk) events(t *testing.T, session string) []any {
	t.Helper()
	return d.read(t, "/api/v1/agent/session/events/?session_id="+session).is(t, 200, "session_events_listed").Body["events"].([]any)
}

// reply is an answer of the otas face.
type reply struct{ apptest.Answer }

// otas sends a request without any credential but those in header, and checks what holds for every
// answer: it is JSON of the envelope or the manifest, and tells nothing of what is inside the server.
func otas(t *testing.T, srv *apptest.Server, method, path string, body any, header ...string) reply {
	t.Helper()
	a := srv.Do(t, method, path, body, append([]string{"X-OTAS-NONE", "x"}, header...)...)
	for _, leak := range []string{"goroutine ", ".go:", "SQL logic", "SELECT ", "constraint failed", "<html", "Traceback", srv.Data} {
		if strings.Contains(string(a.Raw), leak) {
			t.Errorf("%s %s answers with %q in it: %s", method, path, leak, a.Raw)
		}
	}
	if a.Status >= 400 && a.Body == nil && method != http.MethodHead {
		t.Errorf("%s %s answers %d without an envelope: %s", method, path, a.Status, a.Raw)
	}
	return reply{a}
}

// is fails the test unless the answer has this status and description.
func (r reply) is(t *testing.T, status int, description string) reply {
	t.Helper()
	got, _ := r.Body["status_description"].(string)
	if r.Status != status || got != description {
		t.Fatalf("the answer is %d %s, want %d %q", r.Status, r.Raw, status, description)
	}
	if want := map[bool]float64{true: 1, false: 0}[status < 400]; r.Body["status"] != want {
		t.Fatalf("status in %s is not %v", r.Raw, want)
	}
	return r
}

// at follows names, parted by dots, into the body.
func (r reply) at(t *testing.T, path string) any {
	t.Helper()
	var v any = r.Body
	for _, name := range strings.Split(path, ".") {
		m, ok := v.(map[string]any)
		if !ok || m[name] == nil {
			t.Fatalf("no %s in %d %s", path, r.Status, r.Raw)
		}
		v = m[name]
	}
	return v
}

func (r reply) text(t *testing.T, path string) string {
	t.Helper()
	s, ok := r.at(t, path).(string)
	if !ok {
		t.Fatalf("%s is no text in %s", path, r.Raw)
	}
	return s
}
