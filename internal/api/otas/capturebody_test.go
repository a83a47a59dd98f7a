package otas

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/observe"
)

const required = `"project_id":"a4f0c6de-51b7-4a58-9d2f-6e3c1b7780aa","path":"/a","method":"GET","status_code":200,"latency_ms":1`

func TestReportIsReadWhole(t *testing.T) {
	t.Parallel()
	got, err := parseReport([]byte(` {"project_id" : "{A4F0C6DE-51B7-4A58-9D2F-6E3C1B7780AA}", "p\u0061th": "/v2/\"geo\"\/\u00fc\ud83d\ude00\ud800x\\u0041", "method": 7,
		"status_code": "201", "latency_ms": " 7.25 ", "request_size_bytes": null, "response_size_bytes": 3e2,
		"request_headers": {"A": "b", "t": [true]}, "request_body": "", "query_params": null, "post_data": "\u0000\b\f\n\r\t", "response_headers": "{}",
		"response_body": false, "request_content_type": "a/b", "response_content_type": 1.50,
		"custom_properties": {"a": [1, "}\"]"]}, "metadata": null, "error": "bad", "event_time": "2026-05-02T12:00:01.2044179+02:00",
		"event_id": "C60E1D84-2B97-4F3A-9E55-70A8D1C2B346", "Path": "not this", "unknown": {"path": [{}]}, "agent_id": 5} ` + "\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := observe.Report{
		Project: "a4f0c6de51b74a589d2f6e3c1b7780aa", ProjectGiven: true, ID: "c60e1d842b974f3a9e5570a8d1c2b346",
		At:   time.Date(2026, 5, 2, 10, 0, 1, 204417900, time.UTC),
		Path: "/v2/\"geo\"/ü😀\uFFFDx\\u0041", Method: "7", StatusCode: 201, LatencyMS: 7.25, ResponseBytes: 300,
		RequestHeaders: new(`{"A":"b","t":[true]}`), RequestBody: new(""), PostData: new("\x00\b\f\n\r\t"), ResponseHeaders: new("{}"),
		ResponseBody: new("false"), RequestContentType: new("a/b"), ResponseContentType: new("1.50"), Error: new("bad"),
		CustomProperties: json.RawMessage(`{"a": [1, "}\"]"]}`),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
}

func TestOfTwoMembersTheLastCounts(t *testing.T) {
	t.Parallel()
	got, err := parseReport([]byte(`{` + required + `,"path":"/b"}`))
	if err != nil || got.Path != "/b" {
		t.Errorf("path = %q, %v", got.Path, err)
	}
}

func TestNumbersInEverySpelling(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]any{
		`200`: 200, `"201"`: 201, `200.0`: 200, `2e2`: 200, `" +204 "`: 204, `"200.0"`: 200, `0`: 0, `-1`: -1, `-0.0`: 0, `599999999999`: 599999999999,
		`200.7`: nil, `"abc"`: nil, `true`: nil, `[]`: nil, `{}`: nil, `""`: nil, `"NaN"`: nil, `"Infinity"`: nil, `"0x10"`: nil, `"1_0"`: nil, `1e300`: nil, `1e999`: nil,
	} {
		got, err := parseReport([]byte(strings.Replace(`{`+required+`}`, `"status_code":200`, `"status_code":`+value, 1)))
		if want == nil {
			wantInvalid(t, value, err, "status_code")
		} else if err != nil || got.StatusCode != int64(want.(int)) {
			t.Errorf("status_code %s is %d, %v, want %d", value, got.StatusCode, err, want)
		}
	}
	for value, want := range map[string]float64{
		`84.2`: 84.2, `"7.25"`: 7.25, `0`: 0, `1e2`: 100, `-3`: -3, `"1E-1"`: 0.1,
		`true`: math.NaN(), `"NaN"`: math.NaN(), `"-Infinity"`: math.NaN(), `"inf"`: math.NaN(), `1e999`: math.NaN(), `""`: math.NaN(), `" "`: math.NaN(), `{}`: math.NaN(),
	} {
		got, err := parseReport([]byte(strings.Replace(`{`+required+`}`, `"latency_ms":1`, `"latency_ms":`+value, 1)))
		if math.IsNaN(want) {
			wantInvalid(t, value, err, "latency_ms")
		} else if err != nil || got.LatencyMS != want {
			t.Errorf("latency_ms %s is %v, %v, want %v", value, got.LatencyMS, err, want)
		}
	}
}

func wantInvalid(t *testing.T, what string, err error, field string) {
	t.Helper()
	var e *core.Error
	if !errors.As(err, &e) || e.Kind != core.Invalid || e.Code != "invalid_field" || e.Field != field {
		t.Errorf("%s: error %v, want invalid_field %s", what, err, field)
	}
}

func TestFieldsOfTheWrongTypeAreNamed(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ field, value string }{
		{"project_id", "5"},
		{"project_id", "{}"},
		{"path", "true"},
		{"path", "[]"},
		{"method", "{}"},
		{"method", "false"},
		{"request_size_bytes", `"x"`},
		{"response_size_bytes", "1.5"},
		{"response_size_bytes", "true"},
		{"event_time", `"yesterday"`},
		{"event_time", `"2026-05-02T10:00:01"`},
		{"event_time", "true"},
		{"event_time", `"1e300"`},
		{"event_time", `"NaN"`},
		{"event_time", "[]"},
		{"event_time", "1e300"},
		{"event_time", "-1e12"},
		{"event_id", `"abc"`},
		{"event_id", "7"},
		{"event_id", "{}"},
		{"event_id", `"c60e1d84_2b97-4f3a-9e55-70a8d1c2b346"`},
	} {
		_, err := parseReport(fmt.Appendf(nil, `{%s,%q:%s}`, required, tc.field, tc.value))
		wantInvalid(t, tc.value, err, tc.field)
	}
}

func TestTimeOfAReport(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]time.Time{
		`null`: {}, `""`: {}, `1777716001`: time.Date(2026, 5, 2, 10, 0, 1, 0, time.UTC),
		`"1777716001.5"`:         time.Date(2026, 5, 2, 10, 0, 1, 500000000, time.UTC),
		`1777716001.204417`:      time.Date(2026, 5, 2, 10, 0, 1, 204417000, time.UTC),
		`"2026-05-02T10:00:01Z"`: time.Date(2026, 5, 2, 10, 0, 1, 0, time.UTC), `-0.5`: time.Date(1969, 12, 31, 23, 59, 59, 500000000, time.UTC),
	} {
		got, err := parseReport([]byte(`{` + required + `,"event_time":` + value + `}`))
		if err != nil || !got.At.Equal(want) || got.At.IsZero() != want.IsZero() {
			t.Errorf("event_time %s is %v, %v, want %v", value, got.At, err, want)
		}
	}
}

// TestWhatIsNoError: C11. The original counts false and 0 as errors.
func TestWhatIsNoError(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]*string{
		`null`: nil, `""`: new(""), `false`: new(""), `0`: new(""), `0.0`: new(""), `-0e5`: new(""), `{}`: new(""), `{ }`: new(""), `[]`: new(""),
		`true`: new("true"), `1`: new("1"), `-1`: new("-1"), `0.5`: new("0.5"), `" "`: new(" "), `{"a": 1}`: new(`{"a":1}`), `[0]`: new("[0]"), `"0"`: new("0"),
	} {
		got, err := parseReport([]byte(`{` + required + `,"error":` + value + `}`))
		if diff := cmp.Diff(want, got.Error); err != nil || diff != "" {
			t.Errorf("error %s: %v %s", value, err, diff)
		}
	}
}

func TestMissingFieldsAreListed(t *testing.T) {
	t.Parallel()
	all := []string{"project_id", "path", "method", "status_code", "latency_ms"}
	for body, want := range map[string][]string{
		"": all, " \n": all, "{}": all, `{"latency_ms":null,"method":"GET","status_code":null}`: {"project_id", "path", "status_code", "latency_ms"},
		`{"Project_ID":"x","path":"","method":"","status_code":0,"latency_ms":0}`: {"project_id"},
	} {
		_, err := parseReport([]byte(body))
		var missing missingFields
		if !errors.As(err, &missing) || core.CodeOf(err) != "missing_required_fields" || core.KindOf(err) != core.Invalid {
			t.Errorf("%q: error %v", body, err)
		}
		if diff := cmp.Diff(want, []string(missing)); diff != "" {
			t.Errorf("%q: missing (-want +got):\n%s", body, diff)
		}
	}
}

func TestWhatIsNoReport(t *testing.T) {
	t.Parallel()
	for body, code := range map[string]string{
		"[]": codeNotObject, "null": codeNotObject, "1": codeNotObject, `"x"`: codeNotObject,
		"{": "invalid_json", "{}{}": "invalid_json", `{"a":NaN}`: "invalid_json", `{"a":Infinity}`: "invalid_json", "{'a':1}": "invalid_json", "{\"a\":\"\xff\"}": "invalid_json",
		"\xff\xfe{\x00}\x00": "invalid_json", "{\"a\":\"\x00\"}": "invalid_json", strings.Repeat("[", 100_000): "invalid_json",
		`{"a":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + "}": "invalid_json",
	} {
		if _, err := parseReport([]byte(body)); core.CodeOf(err) != code || core.KindOf(err) != core.Invalid {
			t.Errorf("%.20q: %v, want %s", body, err, code)
		}
	}
}

// FuzzParseReport: the walk agrees with encoding/json, and never reads past the end.
func FuzzParseReport(f *testing.F) {
	f.Add([]byte(`{` + required + `,"request_body":"\ud83d\ude00\ud83d\u0041\"","error":{"a":[1,{"b":"}"}]},"custom_properties":[ ]}`))
	f.Add([]byte(sdkPayload))
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := parseReport(raw)
		if err != nil {
			return
		}
		var plain map[string]any
		if err := json.Unmarshal(raw, &plain); err != nil {
			t.Fatalf("%q was read, and is no object: %v", raw, err)
		}
		if s, ok := plain["path"].(string); ok && s != got.Path {
			t.Errorf("path %q is read as %q", s, got.Path)
		}
		if s, ok := plain["request_body"].(string); ok && s != *got.RequestBody {
			t.Errorf("request_body %q is read as %q", s, *got.RequestBody)
		}
		if v, ok := plain["custom_properties"]; ok && v != nil {
			var kept any
			if err := json.Unmarshal(got.CustomProperties, &kept); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(v, kept); diff != "" {
				t.Errorf("custom_properties (-want +got):\n%s", diff)
			}
		}
	})
}

// sdkPayload is what the published SDK sends for a small GET.
const sdkPayload = `{"project_id": "a4f0c6de-51b7-4a58-9d2f-6e3c1b7780aa", "path": "/depots/", "method": "GET", "status_code": 200, "latency_ms": 1.7770450012903893, "request_size_bytes": 0, "response_size_bytes": 72, "request_headers": "{\"host\": \"127.0.0.1:8123\", \"user-agent\": \"python-requests/2.34.2\", \"accept-encoding\": \"gzip, deflate\", \"accept\": \"*/*\", \"connection\": \"keep-alive\", \"x-otas-agent-session-token\": \"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJhIjoxfQ.c2lnbmF0dXJl\", \"authorization\": \"[REDACTED]\"}", "request_body": "", "query_params": "{\"q\": [\"a\", \"b\"], \"city\": [\"Z\\u00fcrich\"]}", "post_data": "{}", "response_headers": "{\"Content-Type\": \"application/json\"}", "response_body": "{\"depots\": [\"Z\\u00fcrich\", \"Oslo\"], \"note\": \"a \\\"quoted\\\" <tag> & more\"}", "request_content_type": "text/plain", "response_content_type": "application/json", "custom_properties": {}, "error": "", "metadata": {}}`

// BenchmarkParseReport: a batch of 20,000 lines a second leaves 12 µs for each on one of two cores.
func BenchmarkParseReport(b *testing.B) {
	b.ReportAllocs()
	b.SetBytes(int64(len(sdkPayload)))
	for b.Loop() {
		if _, err := parseReport([]byte(sdkPayload)); err != nil {
			b.Fatal(err)
		}
	}
}
