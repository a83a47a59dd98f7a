package observe_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/identity"
	"github.com/reeve-ai/reeve/internal/observe"
)

func TestARecordedCallIsStoredWithoutItsSecrets(t *testing.T) {
	t.Parallel()
	f := setup(t, observe.Options{Redact: []string{"x-internal"}}, identity.Limits{})
	key := "otas_hT3vK8sWq1Z_" + strings.Repeat("x", 43)
	r := observe.Report{
		Project: f.agent.Project, ProjectGiven: true, At: noon.Add(-time.Minute + 123),
		Path: "/v2/geocode?k=" + key, Method: "GET", StatusCode: 200, LatencyMS: 84.25, RequestBytes: 12, ResponseBytes: 1 << 40,
		RequestHeaders:  new(`{"Host":"Geo.example:8443","Authorization":"Bearer x","x-internal":["y"],"accept":"*/*"}`),
		RequestBody:     new("with session-token-4711\x00\xff"),
		QueryParams:     new("k=" + strings.ReplaceAll(key, "_", "%5F")),
		PostData:        new("{}"),
		ResponseHeaders: new("Set-Cookie: a=b\r\nServer: c"),
		ResponseBody:    new(`{"lat":1.0}`), RequestContentType: new("text/plain"), ResponseContentType: new("application/json"),
		CustomProperties: json.RawMessage(`{ "step": 3, "key": "agent-key-4711" }`), Metadata: json.RawMessage(` [1.50, null] `),
		Error: new(""),
	}
	id, err := f.Record(t.Context(), f.from, r)
	need(t, err)
	want := core.Capture{
		Project: f.agent.Project, ID: id, Agent: f.agent.ID, Session: f.session, Via: core.CaptureByAgent,
		At: noon.Add(-time.Minute), ReceivedAt: noon,
		Path: "/v2/geocode?k=[REDACTED]", Method: "GET", StatusCode: 200, LatencyMS: 84.25, RequestBytes: 12, ResponseBytes: 1 << 40,
		RequestHeaders:  new(`{"Host":"Geo.example:8443","Authorization":"[REDACTED]","x-internal":"[REDACTED]","accept":"*/*"}`),
		RequestBody:     new("with [REDACTED]\uFFFD\uFFFD"),
		QueryParams:     new("k=[REDACTED]"),
		PostData:        new("{}"),
		ResponseHeaders: new("Set-Cookie: [REDACTED]\r\nServer: c"),
		ResponseBody:    new(`{"lat":1.0}`), RequestContentType: new("text/plain"), ResponseContentType: new("application/json"),
		CustomProperties: json.RawMessage(`{"step":3,"key":"[REDACTED]"}`), Metadata: json.RawMessage(`[1.50,null]`),
		Error: new(""),
	}
	want.Host = new("geo.example:8443")
	if diff := cmp.Diff([]core.Capture{want}, f.stored(t)); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
	if !strings.Contains(*r.RequestBody, "session-token-4711") {
		t.Error("the reporter's own text was changed")
	}
}

func TestABareReportIsEnough(t *testing.T) {
	t.Parallel()
	f := setup(t, observe.Options{}, identity.Limits{})
	r := observe.Report{Path: "/", Method: "purge", LatencyMS: math.Copysign(0, -1), ID: core.CaptureID(strings.Repeat("0A", 16))}
	id, err := f.Record(t.Context(), f.sdk, r)
	need(t, err)
	want := core.Capture{
		Project: f.agent.Project, ID: core.CaptureID(strings.Repeat("0a", 16)), Agent: f.agent.ID, Session: f.session,
		Via: core.CaptureBySDK, At: noon, ReceivedAt: noon, Path: "/", Method: "purge", Named: true,
	}
	got := f.stored(t)
	if diff := cmp.Diff([]core.Capture{want}, got); diff != "" || id != want.ID {
		t.Errorf("stored as %s (-want +got):\n%s", id, diff)
	}
	if len(got) == 1 && math.Signbit(got[0].LatencyMS) {
		t.Error("a negative zero was stored")
	}
}

func TestAnInvalidReportNamesItsField(t *testing.T) {
	t.Parallel()
	f := setup(t, observe.Options{}, identity.Limits{})
	deep := strings.Repeat("[", 65) + strings.Repeat("]", 65)
	cases := map[string]struct {
		field string
		spoil func(r *observe.Report)
	}{
		"no path":            {"path", func(r *observe.Report) { r.Path = "" }},
		"long path":          {"path", func(r *observe.Report) { r.Path = strings.Repeat("é", 8193) }},
		"no method":          {"method", func(r *observe.Report) { r.Method = "" }},
		"long method":        {"method", func(r *observe.Report) { r.Method = strings.Repeat("é", 21) }},
		"negative status":    {"status_code", func(r *observe.Report) { r.StatusCode = -1 }},
		"high status":        {"status_code", func(r *observe.Report) { r.StatusCode = 1000 }},
		"NaN":                {"latency_ms", func(r *observe.Report) { r.LatencyMS = math.NaN() }},
		"infinite":           {"latency_ms", func(r *observe.Report) { r.LatencyMS = math.Inf(1) }},
		"minus infinite":     {"latency_ms", func(r *observe.Report) { r.LatencyMS = math.Inf(-1) }},
		"negative latency":   {"latency_ms", func(r *observe.Report) { r.LatencyMS = -0.1 }},
		"over a day":         {"latency_ms", func(r *observe.Report) { r.LatencyMS = 86_400_000.1 }},
		"negative request":   {"request_size_bytes", func(r *observe.Report) { r.RequestBytes = -1 }},
		"huge request":       {"request_size_bytes", func(r *observe.Report) { r.RequestBytes = 1<<40 + 1 }},
		"negative response":  {"response_size_bytes", func(r *observe.Report) { r.ResponseBytes = -1 }},
		"huge response":      {"response_size_bytes", func(r *observe.Report) { r.ResponseBytes = 1<<40 + 1 }},
		"long request type":  {"request_content_type", func(r *observe.Report) { r.RequestContentType = new(strings.Repeat("é", 256)) }},
		"long response type": {"response_content_type", func(r *observe.Report) { r.ResponseContentType = new(strings.Repeat("é", 256)) }},
		"no JSON":            {"custom_properties", func(r *observe.Report) { r.CustomProperties = json.RawMessage(`{"a":NaN}`) }},
		"deep":               {"metadata", func(r *observe.Report) { r.Metadata = json.RawMessage(deep) }},
		"tomorrow":           {"event_time", func(r *observe.Report) { r.At = noon.Add(5*time.Minute + 1) }},
		"long ago":           {"event_time", func(r *observe.Report) { r.At = noon.Add(-366*24*time.Hour - 1) }},
		"no id":              {"event_id", func(r *observe.Report) { r.ID = "4711" }},
	}
	for name, tc := range cases {
		r := call("/", 200)
		tc.spoil(&r)
		_, err := f.Record(t.Context(), f.from, r)
		wantError(t, name, err, core.Invalid, "invalid_field", tc.field)
	}
	large := call("/", 200)
	large.ResponseBody = new(strings.Repeat("x", observe.MaxReportBytes))
	_, err := f.Record(t.Context(), f.from, large)
	wantError(t, "large", err, core.TooLarge, "event_too_large", "")
	foreign := call("/", 200)
	foreign.Project, foreign.ProjectGiven = f.other.Project, true
	_, err = f.Record(t.Context(), f.from, foreign)
	wantError(t, "foreign project", err, core.Forbidden, "project_mismatch", "")
	if got := f.stored(t); len(got) != 0 {
		t.Errorf("%d of them were stored", len(got))
	}
}

func TestTheEdgesOfTheLimitsAreValid(t *testing.T) {
	t.Parallel()
	f := setup(t, observe.Options{}, identity.Limits{})
	low, high := call(strings.Repeat("é", 8192), 0), call("/", 999)
	low.Method, low.LatencyMS, low.At = strings.Repeat("é", 20), 86_400_000, noon.Add(-366*24*time.Hour)
	low.RequestContentType, low.Metadata = new(strings.Repeat("é", 255)), json.RawMessage(strings.Repeat("[", 64)+strings.Repeat("]", 64))
	high.At = noon.Add(5 * time.Minute)
	f.record(t, f.from, low, high)
	got := f.stored(t)
	if len(got) != 2 || !got[0].At.Equal(low.At) || !got[1].At.Equal(noon) {
		t.Errorf("stored %+v; a call of the near future happened now", got)
	}
}

func TestValidReportsOfABatchAreStored(t *testing.T) {
	t.Parallel()
	f := setup(t, observe.Options{}, identity.Limits{})
	named := call("/b", 200)
	named.ID = core.CaptureID(strings.Repeat("f", 32)) // the last of those that end at the same time
	reports := []observe.Report{call("/a", 200), named, call("", 200), named, call("/c", 200)}
	outcomes, err := f.RecordAll(t.Context(), f.from, reports)
	need(t, err)
	wantError(t, "third", outcomes[2].Err, core.Invalid, "invalid_field", "path")
	if outcomes[2].ID != "" || outcomes[1].ID != named.ID || outcomes[3].ID != named.ID {
		t.Errorf("ids: %+v", outcomes)
	}
	for i, duplicate := range []bool{false, false, false, true, false} {
		if outcomes[i].Duplicate != duplicate || i != 2 && outcomes[i].Err != nil {
			t.Errorf("outcome %d = %+v, want duplicate %t", i, outcomes[i], duplicate)
		}
	}
	var paths []string
	for _, c := range f.stored(t) {
		paths = append(paths, c.Path)
	}
	if want := []string{"/a", "/c", "/b"}; !cmp.Equal(want, paths) {
		t.Errorf("stored %q, want %q: made ids are in order", paths, want)
	}
	again, err := f.Record(t.Context(), f.from, named)
	if err != nil || again != named.ID || len(f.stored(t)) != 3 {
		t.Errorf("reported again: %q, %v; %d stored", again, err, len(f.stored(t)))
	}
	if none, err := f.RecordAll(t.Context(), f.from, nil); err != nil || none == nil || len(none) != 0 {
		t.Errorf("an empty batch: %v, %v", none, err)
	}
	_, err = f.RecordAll(t.Context(), f.from, make([]observe.Report, observe.MaxBatch+1))
	wantError(t, "large batch", err, core.TooLarge, "too_many_events", "")
}

func TestOnlyTheAgentAndItsBackendReport(t *testing.T) {
	t.Parallel()
	f := setup(t, observe.Options{}, identity.Limits{})
	for name, spoil := range map[string]func(*observe.Source){
		"viewer":     func(s *observe.Source) { s.By = f.viewer },
		"nobody":     func(s *observe.Source) { s.By = core.Principal{} },
		"no project": func(s *observe.Source) { s.By.Project = "" },
		"no agent":   func(s *observe.Source) { s.Agent, s.By.Agent = "", "" },
		"no session": func(s *observe.Source) { s.Session = "" },
	} {
		from := f.from
		spoil(&from)
		_, err := f.Record(t.Context(), from, call("/", 200))
		wantError(t, name, err, core.Forbidden, "forbidden", "")
	}
	from := f.from
	from.Agent = f.otherFrom.Agent
	_, err := f.Record(t.Context(), from, call("/", 200))
	wantError(t, "other agent", err, core.Forbidden, "session_agent_mismatch", "")
}

// The face spends before it parses, so that what is no report costs its sender too; storing spends bytes.
func TestReportsAreSpentByTheFaceAndBytesWhenTheyAreStored(t *testing.T) {
	t.Parallel()
	f := setup(t, observe.Options{}, identity.Limits{AgentRate: 1, AgentBurst: 3, AgentBytes: 1000, AgentBytesBurst: 5000})
	need(t, f.Spend(f.from, 3))
	wantError(t, "fourth", f.Spend(f.from, 1), core.RateLimited, "rate_limited", "")
	wantError(t, "more than ever", f.Spend(f.from, 4), core.TooLarge, "over_allowance", "")
	stranger := f.from
	stranger.By = f.viewer
	wantError(t, "a viewer", f.Spend(stranger, 1), core.Forbidden, "forbidden", "")
	need(t, f.Spend(f.otherFrom, 1))

	large := call("/large", 200)
	large.RequestBody = new(strings.Repeat("x", 2000))
	f.record(t, f.from, large, large) // no report is left to be spent, which is not looked at again
	_, err := f.Record(t.Context(), f.from, large)
	wantError(t, "bytes", err, core.RateLimited, "rate_limited", "")
	_, err = f.RecordAll(t.Context(), f.from, []observe.Report{large, large, large})
	wantError(t, "more bytes than ever", err, core.TooLarge, "over_allowance", "")
	_, err = f.Record(t.Context(), f.otherFrom, large)
	need(t, err)
	if got := f.stored(t); len(got) != 2 {
		t.Errorf("%d stored, want 2", len(got))
	}
}

// A session may be deleted after the reporter's key was checked: nothing would ever delete such a report.
func TestAReportIntoADeletedSessionIsNotKept(t *testing.T) {
	t.Parallel()
	f := setup(t, observe.Options{}, identity.Limits{})
	f.record(t, f.from, call("/a", 200))
	need(t, f.Forget(t.Context(), f.agent.Project, f.session))
	_, err := f.Record(t.Context(), f.from, call("/late", 200))
	wantError(t, "late", err, core.NotFound, "session_not_found", "")
	if got := f.stored(t); len(got) != 0 {
		t.Errorf("%d stored, want none", len(got))
	}
	usage, err := f.Usage(t.Context(), f.viewer, core.Days{From: core.DayOf(noon), To: core.DayOf(noon)})
	if err != nil || len(usage) > 0 && usage[0].Captures != 0 {
		t.Errorf("usage = %+v, %v", usage, err)
	}
	f.from.Session = f.open(t, f.from.By)
	f.record(t, f.from, call("/b", 200))
}

func TestLateReportsAreTakenForAsLongAsTheyAreKept(t *testing.T) {
	t.Parallel()
	f := setup(t, observe.Options{Retention: 400 * 24 * time.Hour}, identity.Limits{})
	r := call("/", 200)
	r.At = noon.Add(-400 * 24 * time.Hour)
	f.record(t, f.from, r)
	r.At = r.At.Add(-1)
	_, err := f.Record(t.Context(), f.from, r)
	wantError(t, "older", err, core.Invalid, "invalid_field", "event_time")
}
