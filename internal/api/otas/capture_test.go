package otas_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/app"
	"github.com/reeve-ai/reeve/internal/app/apptest"
	"github.com/reeve-ai/reeve/internal/config"
	"github.com/reeve-ai/reeve/internal/provider/fake"
)

// reporter is a running server with a project's agent, an open session of it, and an SDK key.
type reporter struct {
	srv                    *apptest.Server
	project, agent, key    string
	session, token, sdkKey string
}

func newReporter(t *testing.T, options ...apptest.Option) reporter {
	t.Helper()
	// Nothing runs here, and to probe sandboxes takes this binary to start as their guest.
	options = append(options, apptest.WithConfig(func(c *config.Config) { c.Sandbox.Mode = config.SandboxNone }))
	r := reporter{srv: apptest.StartWith(t, fake.New(), options...)}
	key := r.srv.Must(t, "POST", "/api/project/v1/sdk/backend/key/create/", `{"validity":30}`, "X-OTAS-USER-TOKEN", r.srv.Token)["response_body"].(map[string]any)
	r.project, r.sdkKey = key["project_id"].(string), key["api_key"].(string)
	r.agent, r.key, r.token = r.newAgent(t)
	list := r.srv.Must(t, "GET", "/api/agent/v1/sessions/list/?agent_id="+r.agent, nil, "X-OTAS-USER-TOKEN", r.srv.Token)["response"].(map[string]any)
	r.session = list["sessions"].([]any)[0].(map[string]any)["id"].(string)
	return r
}

// newAgent makes one more agent of the project, with a key and a session.
func (r reporter) newAgent(t *testing.T) (agent, key, token string) {
	t.Helper()
	made := r.srv.Must(t, "POST", "/api/agent/v1/create/", `{"agent_name":"Router","agent_provider":"OpenAI"}`, "X-OTAS-USER-TOKEN", r.srv.Token)["response"].(map[string]any)
	agent, key = made["agent"].(map[string]any)["id"].(string), made["agent_key"].(map[string]any)["api_key"].(string)
	token = r.srv.Must(t, "POST", "/api/agent/v1/session/create/", nil, "X-OTAS-AGENT-KEY", key)["response"].(map[string]any)["jwt_token"].(string)
	return agent, key, token
}

// event is a report with the required members and more.
func (r reporter) event(more string) string {
	if more != "" {
		more = "," + more
	}
	return `{"project_id":"` + r.project + `","path":"/a","method":"GET","status_code":200,"latency_ms":1.5` + more + `}`
}

// report sends a body to a path of the agent's own ("", "batch/?results=errors").
func (r reporter) report(t *testing.T, path, body string) apptest.Answer {
	t.Helper()
	return r.srv.Do(t, "POST", "/api/v1/backend/log/agent/"+path, body, "X-OTAS-AGENT-KEY", r.key, "X-OTAS-AGENT-SESSION-TOKEN", r.token)
}

// read calls a read of the agent, which must be answered so.
func (r reporter) read(t *testing.T, path string, status int, description string) apptest.Answer {
	t.Helper()
	a := r.srv.Do(t, "GET", "/api/v1/agent/"+path, nil, "X-OTAS-USER-TOKEN", r.srv.Token, "X-OTAS-AGENT-ID", r.agent)
	if got, _ := a.Body["status_description"].(string); a.Status != status || got != description {
		t.Fatalf("%s is answered %d %s, want %d %s", path, a.Status, a.Raw, status, description)
	}
	return a
}

func wantAnswer(t *testing.T, what string, a apptest.Answer, status int, description string) map[string]any {
	t.Helper()
	if a.Status != status || a.Body["status_description"] != description {
		t.Fatalf("%s is answered %d %.500s, want %d %s", what, a.Status, a.Raw, status, description)
	}
	response, _ := a.Body["response"].(map[string]any)
	return response
}

func TestLimitsOfAReport(t *testing.T) {
	t.Parallel()
	r := newReporter(t, apptest.WithConfig(func(c *config.Config) { c.Limits.AgentBurst, c.Limits.AgentBurstKB = 1_000_000, 1<<20 }))
	pad := func(size int) string {
		body := r.event(`"request_body":"@"`)
		return strings.Replace(body, "@", strings.Repeat("y", size-len(body)+1), 1)
	}
	const limit = 2_621_440
	wantAnswer(t, "a body at the limit", r.report(t, "", pad(limit)), 201, "event_captured")
	wantAnswer(t, "a body over the limit", r.report(t, "", pad(limit+1)), 413, "request_too_large")
	a := r.read(t, "session/events/?session_id="+r.session, 200, "session_events_listed")
	if body := a.Body["events"].([]any)[0].(map[string]any)["request_body"].(string); len(body) < limit-1000 {
		t.Errorf("%d bytes of the body came back", len(body))
	}

	lines := func(n int) string { return strings.Repeat(r.event("")+"\n", n) }
	wantAnswer(t, "5000 lines", r.report(t, "batch/?results=errors", lines(5000)+"\n \n"), 201, "events_captured")
	spaced := strings.Repeat("\n"+r.event("")+"\n", 5000)
	wantAnswer(t, "10,000 lines", r.report(t, "batch/?results=errors", spaced), 201, "events_captured")
	for what, body := range map[string]string{"5001 lines": lines(5001), "10,001 lines": spaced + "\n", "a lot of nothing": strings.Repeat("\r\n", 10_001), "5001 elements": "[" + strings.Repeat("1,", 5000) + "1]"} {
		wantAnswer(t, what, r.report(t, "batch/", body), 413, "too_many_events")
	}
	wantAnswer(t, "a batch over 16 MiB", r.report(t, "batch/", strings.Repeat(pad(1<<20)+"\n", 17)), 413, "request_too_large")
	wantAnswer(t, "an array over 16 MiB", r.report(t, "batch/", " ["+strings.Repeat(pad(1<<20)+",", 17)+"1]"), 413, "request_too_large")
	for what, body := range map[string]string{
		"NDJSON": pad(limit) + "\r\n" + pad(limit+1) + "\n" + r.event(""),
		"array":  "[" + pad(limit) + "," + pad(limit+1) + "," + r.event("") + "]",
	} {
		got := wantAnswer(t, what, r.report(t, "batch/?results=errors", body), 207, "events_partly_captured")
		want := map[string]any{"accepted": 2.0, "duplicates": 0.0, "rejected": 1.0, "results": []any{
			map[string]any{"line": 2.0, "status": 0.0, "status_description": "request_too_large"},
		}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("a long line in %s (-want +got):\n%s", what, diff)
		}
	}
	counts := r.read(t, "error-count/?start_date="+time.Now().UTC().AddDate(0, 0, -1).Format(time.DateOnly)+"&end_date="+time.Now().UTC().AddDate(0, 0, 1).Format(time.DateOnly), 200, "")
	if n := counts.Body["data"].([]any)[0].(map[string]any)["count"]; n != 10005.0 { // those that were refused left nothing
		t.Errorf("%v events are counted", n)
	}
}

// TestFloodIsTurnedAway: S8. One agent's flood is not another's. The clock stands, so that nothing is given back.
func TestFloodIsTurnedAway(t *testing.T) {
	t.Parallel()
	now := time.Now()
	r := newReporter(t, apptest.WithConfig(func(c *config.Config) { c.Limits.AgentRate, c.Limits.AgentBurst = 1, 10 }),
		apptest.WithOptions(func(o *app.Options) { o.Now = func() time.Time { return now } }))
	other := r
	other.agent, other.key, other.token = r.newAgent(t)

	// The session took one of ten. A batch is taken whole or not at all.
	a := r.report(t, "batch/", strings.Repeat(r.event("")+"\n", 10))
	wantAnswer(t, "ten lines", a, 429, "rate_limited")
	if got := a.Header.Get("Retry-After"); got != "1" {
		t.Errorf("Retry-After = %q", got)
	}
	wantAnswer(t, "eight lines", r.report(t, "batch/", strings.Repeat(r.event("")+"\n", 8)), 201, "events_captured")
	wantAnswer(t, "the last one", r.report(t, "", r.event("")), 201, "event_captured")
	for _, path := range []string{"", "batch/", "batch/?results=unknown"} {
		wantAnswer(t, "a body that is not read", r.report(t, path, "not json"), 429, "rate_limited")
	}
	wantAnswer(t, "another agent", other.report(t, "", r.event("")), 201, "event_captured")
	wantAnswer(t, "more than may ever come", other.report(t, "batch/", strings.Repeat(r.event("")+"\n", 11)), 413, "over_allowance")
	if events := r.read(t, "session/events/?session_id="+r.session, 200, "session_events_listed").Body; events["count"] != 9.0 {
		t.Errorf("%v events are stored, want 9", events["count"])
	}
}

// TestWhatIsRefusedIsPaidFor: reports that are no good cost as much to read as others. The clock stands.
func TestWhatIsRefusedIsPaidFor(t *testing.T) {
	t.Parallel()
	now := time.Now()
	r := newReporter(t, apptest.WithConfig(func(c *config.Config) { c.Limits.AgentRate, c.Limits.AgentBurst = 1, 10 }),
		apptest.WithOptions(func(o *app.Options) { o.Now = func() time.Time { return now } }))
	for what, tc := range map[string]struct {
		path, body, code string
		times            int // after these, the nine that are left are spent
	}{
		"no JSON":                {"", "not json", "invalid_json", 9},
		"nothing":                {"", "", "missing_required_fields", 9},
		"an empty batch":         {"batch/", "", "no_event_captured", 9},
		"blank and broken lines": {"batch/", "{\n\n \nx\r\n\n[]\n{}\n\nnull", "no_event_captured", 1},
		"blank lines":            {"batch/", strings.Repeat("\n", 9), "no_event_captured", 1},
		"an array of nothing":    {"batch/", "[1,2,[3,4,5],{\"a\":6,\"b\":[\"]\\\",,\"]},7,8,9,10,11]", "no_event_captured", 1},
		"a broken array":         {"batch/", "[1,2,3,4,5,6,7,8,{", "invalid_json", 1},
		"a broken empty array":   {"batch/", "[", "invalid_json", 9},
	} {
		x := r
		x.agent, x.key, x.token = r.newAgent(t)
		for range tc.times {
			wantAnswer(t, what, x.report(t, tc.path, tc.body), 400, tc.code)
		}
		wantAnswer(t, what+" after it", x.report(t, tc.path, tc.body), 429, "rate_limited")
	}
}

// TestLargeBatchIsRefusedInItsMiddle: the lines are paid for as they are read. What is stored is all or nothing,
// and who is told to wait is told how long for all of it.
func TestLargeBatchIsRefusedInItsMiddle(t *testing.T) {
	t.Parallel()
	now := time.Now()
	r := newReporter(t, apptest.WithConfig(func(c *config.Config) { c.Limits.AgentRate, c.Limits.AgentBurst = 1, 500 }),
		apptest.WithOptions(func(o *app.Options) { o.Now = func() time.Time { return now } }))
	lines := func(n int) string { return strings.Repeat(r.event("")+"\n", n) }
	wantAnswer(t, "150 of 499", r.report(t, "batch/?results=errors", lines(150)), 201, "events_captured")
	long := r.event(`"request_body":"` + strings.Repeat("y", 100_000) + `"`)
	a := r.report(t, "batch/", lines(449)+long) // 300 are taken, 49 are left
	wantAnswer(t, "450 of 349", a, 429, "rate_limited")
	if got := a.Header.Get("Retry-After"); got != "401" {
		t.Errorf("Retry-After = %q, want the time for 450", got)
	}
	wantAnswer(t, "more than may ever come", r.report(t, "batch/", lines(501)), 413, "over_allowance")
	wantAnswer(t, "the last ones", r.report(t, "batch/", lines(49)), 201, "events_captured")
	wantAnswer(t, "one more", r.report(t, "", r.event("")), 429, "rate_limited")
	span := "start_date=" + now.UTC().AddDate(0, 0, -1).Format(time.DateOnly) + "&end_date=" + now.UTC().AddDate(0, 0, 1).Format(time.DateOnly)
	if n := r.read(t, "error-count/?"+span, 200, "").Body["data"].([]any)[0].(map[string]any)["count"]; n != 199.0 {
		t.Errorf("%v events are stored, want 199", n)
	}
}

// TestByteOrderMarkIsNoData: some editors and shells write one.
func TestByteOrderMarkIsNoData(t *testing.T) {
	t.Parallel()
	r := newReporter(t)
	wantAnswer(t, "a report", r.report(t, "", "\ufeff"+r.event("")), 201, "event_captured")
	wantAnswer(t, "NDJSON", r.report(t, "batch/", "\ufeff"+r.event("")+"\n"+r.event("")), 201, "events_captured")
	wantAnswer(t, "an array", r.report(t, "batch/", "\ufeff ["+r.event("")+"]"), 201, "events_captured")
	wantAnswer(t, "one in the middle", r.report(t, "batch/", r.event("")+"\n\ufeff"+r.event("")), 207, "events_partly_captured")
}

// TestReportIsRepeatedSafely: an event_id of the reporter's own is stored once.
func TestReportIsRepeatedSafely(t *testing.T) {
	t.Parallel()
	r := newReporter(t)
	const id = "c60e1d84-2b97-4f3a-9e55-70a8d1c2b346"
	body := r.event(`"event_id":"` + strings.ToUpper(id) + `"`)
	for range 2 {
		if got := wantAnswer(t, "a report", r.report(t, "", body), 201, "event_captured"); got["event_id"] != id {
			t.Errorf("event_id = %v", got["event_id"])
		}
	}
	got := wantAnswer(t, "a batch", r.report(t, "batch/", body+"\n"+r.event("")), 201, "events_captured")
	if got["accepted"] != 1.0 || got["duplicates"] != 1.0 || got["results"].([]any)[0].(map[string]any)["duplicate"] != true {
		t.Errorf("batch = %v", got)
	}
	a := r.read(t, "session/events/?session_id="+r.session, 200, "session_events_listed")
	if a.Body["count"] != 2.0 {
		t.Errorf("%v events are stored", a.Body["count"])
	}
}

// TestSessionIsReadToItsEnd: C12. Pages join without gap or overlap, in order of time.
func TestSessionIsReadToItsEnd(t *testing.T) {
	t.Parallel()
	r := newReporter(t)
	var lines strings.Builder
	for i := range 1203 {
		fmt.Fprintln(&lines, r.event(fmt.Sprintf(`"event_time":%d,"request_body":"%d","error":"e"`, 1_790_000_000+i/2, i))) // two at each time
	}
	wantAnswer(t, "the events", r.report(t, "batch/?results=errors", lines.String()), 201, "events_captured")
	for _, read := range []struct{ path, list, id string }{{"events", "events", "event_id"}, {"timeline", "calls", "event_id"}} {
		var seen []string
		after := ""
		for pages := 0; ; pages++ {
			a := r.srv.Do(t, "GET", "/api/v1/agent/session/"+read.path+"/?limit=500&session_id="+strings.ToUpper(r.session)+"&after="+after, nil, "X-OTAS-USER-TOKEN", r.srv.Token, "X-OTAS-AGENT-ID", r.agent)
			if a.Status != 200 || a.Body["session_id"] != strings.ToUpper(r.session) {
				t.Fatalf("%s: %d %.300s", read.path, a.Status, a.Raw)
			}
			for _, e := range a.Body[read.list].([]any) {
				seen = append(seen, e.(map[string]any)[read.id].(string))
			}
			next, more := a.Body["next_after"].(string)
			if !more {
				break
			}
			if after = next; pages > 3 {
				t.Fatal("there is no end")
			}
		}
		sorted := slices.Clone(seen)
		slices.Sort(sorted)
		if n := len(slices.Compact(sorted)); n != 1203 || len(seen) != 1203 {
			t.Errorf("%s: %d events, %d different ones, want 1203", read.path, len(seen), n)
		}
	}
	a := r.read(t, "session/events/?bodies=false&limit=1&session_id="+r.session, 200, "session_events_listed")
	if e := a.Body["events"].([]any)[0].(map[string]any); e["request_body"] != nil || e["error"] != "e" {
		t.Errorf("an event without bodies is %v", e)
	}
}

// TestAnswersAreBounded: a page of events ends before it grows without end, and so does a list of paths.
func TestAnswersAreBounded(t *testing.T) {
	t.Parallel()
	r := newReporter(t)
	big := r.event(`"path":"/big","response_body":"` + strings.Repeat("y", 2_500_000) + `"`)
	for range 8 {
		wantAnswer(t, "a large event", r.report(t, "", big), 201, "event_captured")
	}
	first := r.read(t, "session/events/?session_id="+r.session, 200, "session_events_listed").Body
	rest := r.read(t, "session/events/?session_id="+r.session+"&after="+first["next_after"].(string), 200, "session_events_listed").Body
	if first["count"] != 7.0 || rest["count"] != 1.0 || rest["next_after"] != nil {
		t.Errorf("pages of %v and %v events, then %v", first["count"], rest["count"], rest["next_after"])
	}

	var lines strings.Builder
	for i := range 1001 {
		fmt.Fprintln(&lines, r.event(fmt.Sprintf(`"path":"/%d"`, i)))
	}
	wantAnswer(t, "many paths", r.report(t, "batch/?results=errors", lines.String()), 201, "events_captured")
	today := time.Now().UTC()
	span := "start_date=" + today.AddDate(0, 0, -1).Format(time.DateOnly) + "&end_date=" + today.AddDate(0, 0, 1).Format(time.DateOnly)
	paths := r.read(t, "path-timeseries/?"+span, 200, "").Body
	list := paths["paths"].([]any)
	if len(list) != 1000 || paths["more_paths"] != true || list[999].(map[string]any)["path"] != "/big" { // the most called, and the last by name
		t.Errorf("%d paths, more: %v, last %v", len(list), paths["more_paths"], list[len(list)-1])
	}
}

// TestStatusesOfAPathAreBounded: who answers with any status there is makes no endless breakdown.
func TestStatusesOfAPathAreBounded(t *testing.T) {
	t.Parallel()
	r := newReporter(t)
	var lines strings.Builder
	for i := range 50 {
		for _, path := range []string{"/many", "/fifty"} {
			fmt.Fprintln(&lines, r.event(fmt.Sprintf(`"path":%q,"status_code":%d`, path, 500+i)))
		}
	}
	wantAnswer(t, "the events", r.report(t, "batch/", lines.String()+r.event(`"path":"/many","status_code":550`)), 201, "events_captured")
	today := time.Now().UTC()
	a := r.read(t, "error-breakdown/?start_date="+today.AddDate(0, 0, -1).Format(time.DateOnly)+"&end_date="+today.AddDate(0, 0, 1).Format(time.DateOnly), 200, "error_breakdown")
	for i, path := range []string{"/many", "/fifty"} {
		p := a.Body["paths"].([]any)[i].(map[string]any)
		more, shown := p["more_statuses"]
		if want := path == "/many"; p["path"] != path || len(p["statuses"].([]any)) != 50 || shown != want || want && more != true {
			t.Errorf("%s: %v, more: %v", path, p, more)
		}
	}
}

// TestTroubleOfOursIsNotTheReporters: C5. Who is told 401 throws its events away.
func TestTroubleOfOursIsNotTheReporters(t *testing.T) {
	t.Parallel()
	w := setup(t)
	n := w.tenant(t)
	if err := w.store.Close(); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"agent/", "agent/batch/", "sdk/", "sdk/batch/"} {
		h := headers{"X-OTAS-AGENT-KEY": n.key, "X-OTAS-SDK-KEY": "otas" + strings.TrimPrefix(n.key, "agent"), "X-OTAS-AGENT-SESSION-TOKEN": n.sessionToken}
		w.do(t, "POST", "/api/v1/backend/log/"+path, h, "{}").must(t, 500, "server_error")
	}
}
