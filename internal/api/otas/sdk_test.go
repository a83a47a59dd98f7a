package otas_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/reeve-ai/reeve/internal/app/apptest"
)

// sdkCall is one request of the published SDK, and what it was answered.
type sdkCall struct {
	name    string
	payload map[string]any // nil: it had none
	status  int
	body    map[string]any
}

// TestPublishedSDKWorksUnchanged sends what the Python SDK sends, byte for byte: see testdata/sdk.txtar.
func TestPublishedSDKWorksUnchanged(t *testing.T) {
	t.Parallel()
	r := newReporter(t)
	calls := sdkCalls(t, r)

	start := calls[0]
	if project := start.body["response"].(map[string]any)["project"].(map[string]any); start.status != 200 || start.body["status"] != 1.0 || project["id"] != r.project {
		t.Errorf("start-up is answered %d %v", start.status, start.body)
	}
	var sent []map[string]any
	for _, c := range calls[1:] {
		want, code, response := 201, "event_captured", any(map[string]any{})
		if c.name == "SDK, a request without a session" {
			want, code, response = 401, "missing_agent_session_token", nil
		} else {
			sent = append(sent, c.payload)
		}
		if diff := cmp.Diff(response, c.body["response"]); c.status != want || c.body["status_description"] != code || diff != "" {
			t.Errorf("%s is answered %d %v", c.name, c.status, c.body)
		}
	}

	a := r.read(t, "session/events/?session_id="+r.session, 200, "session_events_listed")
	for _, secret := range []string{r.token, r.sdkKey} {
		if strings.Contains(string(a.Raw), secret) {
			t.Errorf("%.20s… is stored", secret)
		}
	}
	events := a.Body["events"].([]any)
	if len(events) != len(sent) || len(sent) != 5 {
		t.Fatalf("%d events of %d reports", len(events), len(sent))
	}
	for i, e := range events {
		got := e.(map[string]any)
		for _, own := range []string{"event_id", "event_time", "event_date", "agent_id", "agent_session_id", "created_at"} {
			if got[own] == nil {
				t.Errorf("event %d has no %s", i, own)
			}
			delete(got, own)
		}
		for _, m := range []map[string]any{got, sent[i]} {
			var names map[string]string
			if err := json.Unmarshal([]byte(m["request_headers"].(string)), &names); err != nil {
				t.Fatal(err)
			}
			if names["x-otas-agent-session-token"] == r.token {
				names["x-otas-agent-session-token"] = "[REDACTED]"
			}
			m["request_headers"] = names
		}
		if diff := cmp.Diff(sent[i], got); diff != "" {
			t.Errorf("event %d (-sent +read):\n%s", i, diff)
		}
	}
}

// sdkCalls plays the requests of the SDK in testdata, each over a connection of its own as the SDK does.
func sdkCalls(t *testing.T, r reporter) []sdkCall {
	t.Helper()
	raw, err := os.ReadFile("testdata/sdk.txtar")
	if err != nil {
		t.Fatal(err)
	}
	fill := strings.NewReplacer("{{project}}", r.project, "{{sdk_key}}", r.sdkKey, "{{token}}", r.token)
	var calls []sdkCall
	for _, f := range txtar.Parse(raw).Files {
		name, isRequest := strings.CutSuffix(f.Name, ".request")
		if !isRequest || !strings.HasPrefix(name, "SDK") || !strings.Contains(string(f.Data), "python-requests") {
			continue
		}
		head, body, _ := strings.Cut(strings.TrimSuffix(fill.Replace(string(f.Data)), "\n"), "\n\n")
		line, names, _ := strings.Cut(head, "\n")
		c := sdkCall{name: name}
		if body != "" {
			if err := json.Unmarshal([]byte(body), &c.payload); err != nil {
				t.Fatal(err)
			}
		}
		c.status, c.body = overTCP(t, r.srv, fmt.Sprintf("%s HTTP/1.1\r\n%s\r\nContent-Length: %d\r\n\r\n%s",
			line, strings.ReplaceAll(strings.TrimSuffix(names, "\n"), "\n", "\r\n"), len(body), body))
		calls = append(calls, c)
	}
	if len(calls) != 7 {
		t.Fatalf("%d requests in the recording", len(calls))
	}
	return calls
}

func overTCP(t *testing.T, srv *apptest.Server, request string) (int, map[string]any) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(srv.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(apptest.Patience))
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var body map[string]any
	if err := json.NewDecoder(res.Body).Decode(&body); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, body
}
