package exchange

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const uuid = "0198c1d2-0000-7000-8000-0123456789ab"

func TestMatchText(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, pattern, got string
		want               bool
	}{
		{"literal", "agent_created", "agent_created", true},
		{"literal differs", "agent_created", "agent_made", false},
		{"kind", "<uuid>", uuid, true},
		{"kind does not match a longer text", "<uuid>", uuid + "0", false},
		{"kind within text", "/v1/agents/<uuid>?x=.", "/v1/agents/" + uuid + "?x=.", true},
		{"dots are literal", "a.b", "axb", false},
		{"six digits", "<micros>", "2026-04-16T10:00:00.000000+00:00", true},
		{"five digits", "<micros>", "2026-04-16T10:00:00.00000+00:00", false},
		{"Z is a time", "<time>", "2026-04-16T10:00:00Z", true},
		{"Z is not micros", "<micros>", "2026-04-16T10:00:00.000000Z", false},
		{"other angle brackets are text", "<html>", "<html>", true},
		{"variable", "agent {{known}}", "agent value", true},
		{"variable differs", "agent {{known}}", "agent other", false},
		{"variable not set", "{{unknown}}", "value", false},
		{"several lines", "a <string> z", "a \n z", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if got := matchText(tc.pattern, tc.got, map[string]string{"known": "value"}); got != tc.want {
				t.Errorf("matchText(%q, %q) = %v", tc.pattern, tc.got, got)
			}
		})
	}
}

func TestBodyDifferencesAreSeen(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, want, got string
		differs         string // a part of the report; empty: the same
	}{
		{"order of members is free", `{"a":1,"b":[true]}`, `{"b":[true],"a":1}`, ""},
		{"placeholder", `{"id":"<uuid>"}`, `{"id":"` + uuid + `"}`, ""},
		{"typed placeholders", `["<int>","<number>","<bool>","<object>","<array>","<any>","<any>"]`, `[1,1.5,false,{},[],null,"x"]`, ""},
		{"int is no fraction", `["<int>"]`, `[1.5]`, "1.5"},
		{"absent is not null", `{"a":null}`, `{}`, `"a"`},
		{"absent is not any", `{"a":"<any>"}`, `{}`, `"a"`},
		{"extra member", `{}`, `{"secret":1}`, "secret"},
		{"shorter array", `[1,2]`, `[1]`, "2"},
		{"longer array", `[1]`, `[1,2]`, "2"},
		{"wrong type", `{"a":{"b":1}}`, `{"a":"b"}`, `"b"`},
		{"number as it is written", `[1.0]`, `[1]`, "1.0"},
		{"text", "data: {}\n\ndata: <uuid>", "data: {}\n\ndata: " + uuid + "\n", ""},
		{"text differs", "data: {}", "data: []", "data: []"},
		{"empty", ``, ``, ""},
		{"body where none is wanted", ``, `{}`, "{}"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			diff := answer{body: []byte(tc.got)}.compareBody(tc.want, map[string]string{})
			if (diff == "") != (tc.differs == "") || !strings.Contains(diff, tc.differs) {
				t.Errorf("compareBody(%s, %s) = %q, want a report with %q", tc.want, tc.got, diff, tc.differs)
			}
		})
	}
}

func TestStatusAndHeadersAreCompared(t *testing.T) {
	t.Parallel()
	a := answer{status: 405, header: http.Header{"Allow": {"POST"}}}
	if diff := a.compare(message{line: "405", headers: []string{"Allow: POST", "Location:"}}, nil); diff != "" {
		t.Errorf("the same answer differs: %s", diff)
	}
	for _, want := range []message{{line: "404"}, {line: "405", headers: []string{"Allow: GET"}}, {line: "405", headers: []string{"Allow:"}}} {
		if a.compare(want, nil) == "" {
			t.Errorf("%+v was not told from %+v", want, a)
		}
	}
}

const recorded = `What this guards.
-- create.request --
POST /things
X-Key: {{key}}

{"name": "first"}
-- create.response --
201
Content-Type: application/json

{"id": "{{id=uuid}}", "echo": "first", "key": "k1"}
-- read.request --
GET /things/{{id}}
-- read.response --
200

{"id": "{{id}}", "path": "/things/{{id}}"}
`

func server(t *testing.T) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /things", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		name := strings.Split(string(body), `"`)[3]
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{"id":"`+uuid+`","echo":"`+name+`","key":"`+r.Header.Get("X-Key")+`"}`)
	})
	mux.HandleFunc("GET /things/{id}", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, `{"id":"`+r.PathValue("id")+`","path":"`+r.URL.Path+`"}`)
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv.URL
}

func TestRunPlaysAndCaptures(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "x.txtar")
	if err := os.WriteFile(file, []byte(recorded), 0o600); err != nil {
		t.Fatal(err)
	}
	vars := map[string]string{"key": "k1"}
	Run(t, server(t), file, vars)
	if vars["id"] != uuid {
		t.Errorf("captured id = %q", vars["id"])
	}
}

func TestUpdateKeepsWhatStillMatches(t *testing.T) {
	t.Parallel()
	rec, err := parse([]byte(recorded))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(rec.format()); got != recorded {
		t.Errorf("an untouched recording changed:\n%s", cmp.Diff(recorded, got))
	}
	now := answer{
		status: 200, header: http.Header{"Content-Type": {"application/json"}},
		body: []byte(`{"id":"` + uuid + `","echo":"second","made":"2026-04-16T10:00:00.123456+00:00"}`),
	}
	got := now.record(rec.exchanges[0].response, map[string]string{})
	want := message{
		line: "200", headers: []string{"Content-Type: application/json"},
		body: "{\n  \"echo\": \"second\",\n  \"id\": \"{{id=uuid}}\",\n  \"made\": \"<micros>\"\n}",
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(message{})); diff != "" {
		t.Error(diff)
	}
	fresh := now.record(message{}, map[string]string{"agent": uuid})
	if !strings.Contains(fresh.body, `"id": "{{agent}}"`) {
		t.Errorf("a known value was not recognized: %s", fresh.body)
	}
}

func TestParseRefusesStrayResponses(t *testing.T) {
	t.Parallel()
	if _, err := parse([]byte("-- b.response --\n200\n")); err == nil {
		t.Error("a response without a request was accepted")
	}
}

func TestMissingVariableIsNamed(t *testing.T) {
	t.Parallel()
	_, err := exchange{request: message{line: "GET /{{nobody}}"}}.send(t.Context(), "http://127.0.0.1:1", map[string]string{})
	if err == nil || !strings.Contains(err.Error(), "{{nobody}}") {
		t.Errorf("error = %v", err)
	}
}
