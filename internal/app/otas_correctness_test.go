package app_test

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/app"
	"github.com/reeve-ai/reeve/internal/app/apptest"
	"github.com/reeve-ai/reeve/internal/provider/fake"
)

// endpoint is one of the face's, with a body that names things by id.
type endpoint struct {
	method, path string
	ids          []string // members of the body that are ids
	body         string   // %q is where the id goes; empty: it takes none
}

// endpoints are all that take a body or an id.
var endpoints = []endpoint{
	{"POST", "/api/user/v1/create/", nil, `{}`},
	{"POST", "/api/user/v1/login/", nil, `{}`},
	{"PUT", "/api/user/v1/edit/", nil, `{}`},
	{"PUT", "/api/user/v1/reset-password/update/", nil, `{}`},
	{"POST", "/api/project/v1/create/", nil, `{}`},
	{"POST", "/api/project/v1/sdk/backend/key/create/", nil, `{}`},
	{"POST", "/api/project/v1/sdk/backend/key/revoke/", []string{"sdk_key_id"}, `{"sdk_key_id":%q}`},
	{"POST", "/api/project/v1/members/invite/", nil, `{}`},
	{"POST", "/api/project/v1/members/accept/", nil, `{}`},
	{"POST", "/api/project/v1/members/invite/revoke/", []string{"invitation_id"}, `{"invitation_id":%q}`},
	{"POST", "/api/project/v1/members/change/", []string{"user_id"}, `{"user_id":%q,"privilege":2}`},
	{"POST", "/api/project/v1/members/remove/", []string{"user_id"}, `{"user_id":%q}`},
	{"POST", "/api/project/v1/reactivate/", []string{"project_id"}, `{"project_id":%q}`},
	{"POST", "/api/project/v1/key/revoke/", []string{"key_id"}, `{"key_id":%q}`},
	{"POST", "/api/agent/v1/create/", nil, `{}`},
	{"POST", "/api/agent/v1/agents/key/create/", []string{"agent_id"}, `{"agent_id":%q}`},
	{"POST", "/api/agent/v1/agents/key/revoke/", []string{"agent_key_id"}, `{"agent_key_id":%q}`},
	{"POST", "/api/agent/v1/deactivate/", []string{"agent_id"}, `{"agent_id":%q}`},
	{"POST", "/api/agent/v1/reactivate/", []string{"agent_id"}, `{"agent_id":%q}`},
	{"POST", "/api/agent/v1/session/create/", nil, `{}`},
	{"POST", "/api/agent/v1/session/end/", []string{"session_id"}, `{"session_id":%q}`},
	{"POST", "/api/v1/backend/log/agent/", nil, `{}`},
	{"POST", "/api/v1/backend/log/sdk/", nil, `{}`},
}

// lookups are the endpoints that name things in the address.
var lookups = []string{
	"/api/agent/v1/sessions/list/?agent_id=",
	"/api/agent/v1/manifest/?agent_id=",
	"/api/v1/agent/session/events/?session_id=",
	"/api/v1/agent/session/timeline/?session_id=",
	"/api/v1/agent/session/graph/?session_id=",
}

// TestCorrectnessWeaknessesOfTheOriginal has a test for each of C1 to C14 of reference otas.md, section
// 8, through the running server. C6 (a service that answers no JSON), C13 (a job worker that cannot
// start) and C15 (no tests) have no counterpart here.
func TestCorrectnessWeaknessesOfTheOriginal(t *testing.T) {
	t.Parallel()
	srv := apptest.Start(t)
	for name, test := range map[string]func(*testing.T, *apptest.Server){
		"C1 every agent key works":                             everyKeyWorks,
		"C2 wrong values are refused by name":                  wrongValues,
		"C3 an event's time and project count":                 timeAndProject,
		"C4 long paths are kept":                               longPaths,
		"C7 malformed ids are not found":                       malformedIDs,
		"C8 a body that is no object is the client's mistake":  noObjects,
		"C9 blank names and odd values are refused":            blankNames,
		"C10 keys have names":                                  namedKeys,
		"C11 an error is what went wrong":                      whatIsAnError,
		"C12 a session is read to its end":                     readToTheEnd,
		"C14 the newest agent comes first":                     newestFirst,
		"S10 and C9 hold for members of a project's own kinds": privileges,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, srv)
		})
	}
}

var keyShape = regexp.MustCompile(`^(agent|otas)_[0-9A-Za-z]{11}_[0-9A-Za-z]{43}$`)

func everyKeyWorks(t *testing.T, srv *apptest.Server) {
	d := newDesk(t, srv)
	keys := []string{d.key, d.sdk}
	for range 40 { // the original's chance that all of these work is 0.2 %
		key := d.admin(t, "POST", "/api/agent/v1/agents/key/create/", map[string]any{"agent_id": d.agent}).
			is(t, 201, "agent_key_created").text(t, "response.agent_key.api_key")
		otas(t, srv, "POST", "/api/agent/v1/auth/verify/", nil, "X-OTAS-AGENT-KEY", key).is(t, 200, "authenticated")
		keys = append(keys, key)
	}
	for _, key := range keys {
		if !keyShape.MatchString(key) {
			t.Errorf("%q", key)
		}
	}
}

func wrongValues(t *testing.T, srv *apptest.Server) {
	d := newDesk(t, srv)
	for field, values := range map[string][]any{
		"path":                  {"", true, []any{}, strings.Repeat("x", 8193)},
		"method":                {"", true, strings.Repeat("M", 21)},
		"status_code":           {"abc", -1, 200.7, true, 2147483648, map[string]any{}},
		"latency_ms":            {"NaN", "Infinity", -0.1, true, "fast", 1e300},
		"request_size_bytes":    {-1, "many", 0.5},
		"response_size_bytes":   {-1, []any{}},
		"request_content_type":  {strings.Repeat("t", 256)},
		"response_content_type": {strings.Repeat("t", 256)},
		"event_time":            {"yesterday", "2999-01-01T00:00:00Z", true},
		"event_id":              {"not-an-id", 7},
	} {
		for _, v := range values {
			a := d.report(t, d.event(map[string]any{field: v}))
			if got := a.Body["status_description"]; a.Status != 400 || got != "invalid_field: "+field {
				t.Errorf("%s = %.40v: %d %s", field, v, a.Status, a.Raw)
			}
		}
	}
	d.report(t, strings.Replace(`{"project_id":"P","path":"/","method":"GET","status_code":200,"latency_ms":NaN}`, "P", d.project, 1)).is(t, 400, "invalid_json")
	a := d.report(t, map[string]any{"path": "/"}).is(t, 400, "missing_required_fields")
	if diff := cmp.Diff([]any{"project_id", "method", "status_code", "latency_ms"}, a.Body["missing_fields"]); diff != "" {
		t.Errorf("missing fields: %s", diff)
	}
	d.report(t, d.event(map[string]any{"request_body": strings.Repeat("x", 2_621_440)})).is(t, 413, "request_too_large")
	if events := d.events(t, d.session); len(events) != 0 {
		t.Errorf("refused events are kept: %v", events)
	}
	// What can be read, is: numbers as texts, objects where texts are kept, NUL in a body.
	d.report(t, d.event(map[string]any{
		"status_code": "201", "latency_ms": "7.25", "request_headers": map[string]any{"A": "b", "t": true}, "response_body": "a\x00b",
		"custom_properties": []any{1, "two", nil}, "error": false, "request_size_bytes": nil,
	})).is(t, 201, "event_captured")
	got := d.events(t, d.session)[0].(map[string]any)
	want := map[string]any{
		"status_code": 201.0, "latency_ms": 7.25, "request_headers": `{"A":"b","t":true}`, "response_body": "a\uFFFDb",
		"custom_properties": []any{1.0, "two", nil}, "request_size_bytes": 0.0,
	}
	for name, v := range want {
		if diff := cmp.Diff(v, got[name]); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if e := got["error"]; e != nil && e != "" {
		t.Errorf("error = %v", e)
	}
}

func timeAndProject(t *testing.T, srv *apptest.Server) {
	d := newDesk(t, srv)
	late := time.Now().UTC().Add(-49 * time.Hour).Truncate(time.Microsecond)
	d.report(t, d.event(map[string]any{"path": "/second"})).is(t, 201, "event_captured")
	d.report(t, d.event(map[string]any{"path": "/first", "event_time": late.Format(time.RFC3339Nano)})).is(t, 201, "event_captured")
	events := d.events(t, d.session)
	first := events[0].(map[string]any)
	if first["path"] != "/first" || first["event_time"] != late.Format("2006-01-02T15:04:05.000000")+"+00:00" || first["event_date"] != late.Format(time.DateOnly) {
		t.Errorf("the late event is %v", first)
	}
	if events[1].(map[string]any)["path"] != "/second" {
		t.Errorf("order: %v", events)
	}
	hexID := make([]byte, 16)
	_, _ = rand.Read(hexID)
	d.report(t, d.event(map[string]any{"project_id": hex.EncodeToString(hexID)})).is(t, 403, "project_mismatch")
}

func longPaths(t *testing.T, srv *apptest.Server) {
	d := newDesk(t, srv)
	random := make([]byte, 4000)
	_, _ = rand.Read(random)
	path := "/" + hex.EncodeToString(random)
	d.report(t, d.event(map[string]any{"path": path})).is(t, 201, "event_captured")
	if got := d.events(t, d.session)[0].(map[string]any)["path"]; got != path {
		t.Errorf("path = %.40s…", got)
	}
	day := time.Now().UTC().Format(time.DateOnly)
	paths := d.read(t, "/api/v1/agent/path-timeseries/?start_date="+day+"&end_date="+day).Body["paths"].([]any)
	if len(paths) != 1 || paths[0].(map[string]any)["path"] != path {
		t.Errorf("series of %d paths", len(paths))
	}
}

func malformedIDs(t *testing.T, srv *apptest.Server) {
	d := newDesk(t, srv)
	headers := []string{"X-OTAS-USER-TOKEN", d.user, "X-OTAS-PROJECT-ID", d.project, "X-OTAS-AGENT-ID", d.agent}
	for _, id := range []string{"7", "not-a-uuid", "zzzzzzzz-zzzz-zzzz-zzzz-zzzzzzzzzzzz", strings.Repeat("a", 5000), "' OR 1=1", "\u0000"} {
		for _, e := range endpoints {
			if len(e.ids) == 0 {
				continue
			}
			if a := otas(t, srv, e.method, e.path, fmt.Sprintf(e.body, id), headers...); a.Status < 400 || a.Status > 404 {
				t.Errorf("%s with %.20q: %d %s", e.path, id, a.Status, a.Raw)
			}
		}
		for _, path := range lookups {
			escaped := strings.NewReplacer("\x00", "%00", " ", "%20", "'", "%27").Replace(id)
			if a := otas(t, srv, "GET", path+escaped, nil, headers...); a.Status < 400 || a.Status > 404 {
				t.Errorf("%s%.20q: %d %s", path, id, a.Status, a.Raw)
			}
		}
	}
	for _, bad := range []string{"7", "not-a-uuid"} {
		d.read(t, "/api/v1/agent/latency-percentiles/?start_date=2026-01-01&end_date=2026-01-02")
		otas(t, srv, "GET", "/api/v1/agent/error-count/?start_date=2026-01-01&end_date=2026-01-02", nil,
			"X-OTAS-USER-TOKEN", d.user, "X-OTAS-PROJECT-ID", d.project, "X-OTAS-AGENT-ID", bad).is(t, 404, "agent_not_found")
		otas(t, srv, "POST", "/api/agent/v1/user/authenticate/", nil,
			"X-OTAS-USER-TOKEN", d.user, "X-OTAS-PROJECT-ID", d.project, "X-OTAS-AGENT-ID", bad).is(t, 404, "agent_not_found")
		otas(t, srv, "GET", "/api/agent/v1/list/", nil, "X-OTAS-USER-TOKEN", d.user, "X-OTAS-PROJECT-ID", bad).is(t, 403, "user_project_mapping_invalid")
	}
}

func noObjects(t *testing.T, srv *apptest.Server) {
	d := newDesk(t, srv)
	for _, e := range endpoints {
		for _, body := range []string{`[]`, `null`, `7`, `"x"`, `true`, "\xff\xfe"} {
			a := otas(t, srv, e.method, e.path, body, "X-OTAS-USER-TOKEN", d.user, "X-OTAS-PROJECT-ID", d.project,
				"X-OTAS-AGENT-KEY", d.key, "X-OTAS-SDK-KEY", d.sdk, "X-OTAS-AGENT-SESSION-TOKEN", d.token)
			if a.Status != http.StatusBadRequest && a.Status != http.StatusUnauthorized { // 401: login_failed
				t.Errorf("%s with %q: %d %s", e.path, body, a.Status, a.Raw)
			}
		}
	}
}

func blankNames(t *testing.T, srv *apptest.Server) {
	d := newDesk(t, srv)
	d.admin(t, "POST", "/api/agent/v1/create/", `{"agent_name":"  ","agent_provider":"x"}`).is(t, 400, "agent_creation_failed")
	otas(t, srv, "POST", "/api/user/v1/create/", map[string]any{"first_name": " ", "last_name": "", "email": "blank@example.org", "password": deskPassword}).
		is(t, 400, "missing_fields: first_name, last_name")
	for _, validity := range []string{`true`, `"30"`, `0`, `301`, `1.5`, `null`, `[]`} {
		d.admin(t, "POST", "/api/project/v1/sdk/backend/key/create/", `{"validity":`+validity+`}`).is(t, 400, "sdk_key_creation_failed")
	}
	for _, domain := range []string{`7`, `"javascript:alert(1)"`, `"no spaces here"`, `{"a":1}`} {
		otas(t, srv, "POST", "/api/project/v1/create/", `{"project_name":"x","project_domain":`+domain+`}`, "X-OTAS-USER-TOKEN", d.user).is(t, 400, "project_creation_failed")
	}
}

func privileges(t *testing.T, srv *apptest.Server) {
	d := newDesk(t, srv)
	for _, privilege := range []string{`0`, `4`, `"admin"`, `1.5`, `true`} {
		a := d.admin(t, "POST", "/api/project/v1/members/invite/", `{"email":"new@example.org","privilege":`+privilege+`}`)
		if a.Status != 400 || a.Body["status_description"] != "invalid_field: privilege" {
			t.Errorf("privilege %s: %d %s", privilege, a.Status, a.Raw)
		}
	}
}

func namedKeys(t *testing.T, srv *apptest.Server) {
	d := newDesk(t, srv)
	d.admin(t, "POST", "/api/project/v1/sdk/backend/key/create/", `{"validity":1,"name":"  billing backend "}`).is(t, 201, "backend_sdk_key_created")
	d.admin(t, "POST", "/api/agent/v1/agents/key/create/", map[string]any{"agent_id": d.agent, "name": "laptop"}).is(t, 201, "agent_key_created")
	var names []any
	for _, k := range d.admin(t, "GET", "/api/project/v1/key/list/", nil).is(t, 200, "keys_listed").at(t, "response_body.keys").([]any) {
		names = append(names, k.(map[string]any)["name"])
	}
	if want := []any{"laptop", "billing backend", nil, nil}; !slices.Equal(names, want) {
		t.Errorf("names, newest key first: %v, want %v", names, want)
	}
}

// C10, second half: a key that ended does not read as active, and its last use is known.
func TestEndedKeyIsNotActiveAndItsUseIsKnown(t *testing.T) {
	t.Parallel()
	var ahead atomic.Int64
	clock := apptest.WithOptions(func(o *app.Options) {
		o.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	})
	srv := apptest.StartWith(t, fake.New(), clock)
	d := newDesk(t, srv)
	otas(t, srv, "POST", "/api/project/v1/sdk/backend/key/authenticate/", nil, "X-OTAS-SDK-KEY", d.sdk).is(t, 200, "authenticated")
	srv.Stop() // the use is written at the latest now
	d.srv = apptest.StartWith(t, fake.New(), clock, apptest.Again(srv))
	key := func() map[string]any {
		for _, k := range d.admin(t, "GET", "/api/project/v1/key/list/", nil).is(t, 200, "keys_listed").at(t, "response_body.keys").([]any) {
			if m := k.(map[string]any); m["id"] == d.sdkID {
				return m
			}
		}
		t.Fatal("the key is not listed")
		return nil
	}
	if k := key(); k["active"] != true || k["last_used_at"] == nil {
		t.Errorf("before its end: %v", k)
	}
	ahead.Store(int64(30*24*time.Hour + time.Minute))
	d.user = otas(t, d.srv, "POST", "/api/user/v1/login/", map[string]any{"email": d.email, "password": deskPassword}).
		is(t, 200, "login_success").text(t, "response.jwt_token")
	if k := key(); k["active"] != false || k["revoked_at"] != nil {
		t.Errorf("after its end: %v", k)
	}
	listed := d.admin(t, "GET", "/api/project/v1/sdk/backend/key/list/", nil).is(t, 200, "backend_sdk_keys_listed").at(t, "response_body.keys").([]any)
	if k := listed[0].(map[string]any); k["active"] != false {
		t.Errorf("the list of SDK keys shows %v", k)
	}
}

func whatIsAnError(t *testing.T, srv *apptest.Server) {
	d := newDesk(t, srv)
	for _, change := range []map[string]any{
		{"status_code": 500},                    // an error without a text
		{"status_code": 200, "error": "torn"},   // one with a text
		{"status_code": 0},                      // nobody answered
		{"status_code": 404},                    // the client's
		{"status_code": 200, "error": false},    // none
		{"status_code": 200, "error": ""},       // none
		{"status_code": 302, "error": nil},      // none
		{"status_code": 503, "error": "broken"}, // one, not two
	} {
		d.report(t, d.event(change)).is(t, 201, "event_captured")
	}
	day := time.Now().UTC().Format(time.DateOnly)
	a := d.read(t, "/api/v1/agent/error-count/?start_date="+day+"&end_date="+day)
	want := []any{map[string]any{"date": day, "error_count": 4.0, "count": 8.0, "client_error_count": 1.0}}
	if diff := cmp.Diff(want, a.Body["data"]); diff != "" {
		t.Errorf("error-count: %s", diff)
	}
}

func readToTheEnd(t *testing.T, srv *apptest.Server) {
	d := newDesk(t, srv)
	const n = 1203
	var lines strings.Builder
	for i := range n {
		fmt.Fprintf(&lines, `{"project_id":%q,"path":"/p/%d","method":"GET","status_code":200,"latency_ms":%d}`+"\n", d.project, i, i)
	}
	otas(t, srv, "POST", "/api/v1/backend/log/agent/batch/", lines.String(), "X-OTAS-AGENT-KEY", d.key, "X-OTAS-AGENT-SESSION-TOKEN", d.token).
		is(t, 201, "events_captured")
	seen := map[string]bool{}
	next, pages := "", 0
	for {
		a := d.read(t, "/api/v1/agent/session/events/?limit=500&bodies=false&session_id="+d.session+next).is(t, 200, "session_events_listed")
		for _, e := range a.Body["events"].([]any) {
			seen[e.(map[string]any)["path"].(string)] = true
		}
		pages++
		after, more := a.Body["next_after"].(string)
		if !more {
			break
		}
		next = "&after=" + after
	}
	if len(seen) != n || pages != 3 {
		t.Errorf("%d of %d events on %d pages", len(seen), n, pages)
	}
	// And the percentiles of these known latencies are those of PERCENTILE_CONT.
	day := time.Now().UTC().Format(time.DateOnly)
	data := d.read(t, "/api/v1/agent/latency-percentiles/?start_date="+day+"&end_date="+day).Body["data"].([]any)
	got := data[0].(map[string]any)
	for name, p := range map[string]float64{"p50": 0.5, "p95": 0.95, "p99": 0.99} {
		if want := math.Round(p*(n-1)*10) / 10; got[name] != want {
			t.Errorf("%s = %v, want %v", name, got[name], want)
		}
	}
}

func newestFirst(t *testing.T, srv *apptest.Server) {
	d := newDesk(t, srv)
	for i := range 5 {
		d.admin(t, "POST", "/api/agent/v1/create/", map[string]any{"agent_name": fmt.Sprintf("a%d", i), "agent_provider": "x"}).is(t, 201, "agent_created")
	}
	var names []string
	for _, a := range d.admin(t, "GET", "/api/agent/v1/list/", nil).is(t, 200, "agents_listed").at(t, "response.agents").([]any) {
		names = append(names, a.(map[string]any)["name"].(string))
	}
	if want := []string{"a4", "a3", "a2", "a1", "a0", "Route Planner"}; !slices.Equal(names, want) {
		t.Errorf("agents = %q, want %q", names, want)
	}
}

// The addresses of OTAS's Python SDK are built in: keys are checked on one port, events go to another.
func TestTwoPortsAreOneServer(t *testing.T) {
	t.Parallel()
	srv := apptest.StartWith(t, fake.New(), apptest.AlsoListening())
	d := newDesk(t, srv)
	otas(t, srv, "POST", "/api/project/v1/sdk/backend/key/authenticate/", nil, "X-OTAS-SDK-KEY", d.sdk).is(t, 200, "authenticated")
	first := srv.URL
	srv.URL = srv.Also
	d.sdkReport(t, d.token, d.event(nil)).is(t, 201, "event_captured")
	srv.URL = first
	if events := d.events(t, d.session); len(events) != 1 {
		t.Errorf("events: %v", events)
	}
}
