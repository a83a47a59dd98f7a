package client_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/client"
)

// answer serves one fixed answer, and keeps the request.
func answer(t *testing.T, status int, kind, body string) (*httptest.Server, *http.Request) {
	t.Helper()
	seen := new(http.Request)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		*seen = *r
		seen.Body = io.NopCloser(strings.NewReader(string(raw)))
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Request-Id", "req_1")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(srv.Close)
	return srv, seen
}

func TestRequestsCarryTheCredential(t *testing.T) {
	t.Parallel()
	srv, seen := answer(t, 200, "application/json", `{"id":"agent_1","name":"A","version":2,"model":{"id":"m"}}`)
	got, err := client.New(srv.URL+"/", "sk-reeve_x", nil).UpdateAgent(t.Context(), "agent_1", client.AgentParams{
		Version: 1, Model: "m", Tools: []json.RawMessage{client.Toolset},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := client.Agent{ID: "agent_1", Name: "A", Version: 2}
	want.Model.ID = "m"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	body, err := io.ReadAll(seen.Body)
	if err != nil {
		t.Fatal(err)
	}
	line := fmt.Sprint(seen.Method, " ", seen.URL.Path, " ", seen.Header.Get("X-Api-Key"), " ", seen.Header.Get("Anthropic-Version"), " ", string(body))
	if want := `POST /v1/agents/agent_1 sk-reeve_x 2023-06-01 {"model":"m","tools":[{"type":"agent_toolset_20260401"}],"version":1}`; line != want {
		t.Errorf("request = %s\nwant %s", line, want)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status int
		body   string
		want   client.Error
		text   string
	}{
		"managed": {
			400, `{"type":"error","error":{"type":"invalid_request_error","message":"name: is required"},"request_id":"req_1"}`,
			client.Error{Status: 400, Code: "invalid_request_error", Message: "name: is required", RequestID: "req_1"},
			"the server answered 400 invalid_request_error: name: is required",
		},
		"otas": {
			403, `{"status":0,"status_description":"forbidden"}`,
			client.Error{Status: 403, Code: "forbidden", RequestID: "req_1"},
			"the server answered 403 forbidden",
		},
		"the border": {
			404, `{"error":{"code":"route_not_found","message":"no such route"},"request_id":"req_1"}`,
			client.Error{Status: 404, Code: "route_not_found", Message: "no such route", RequestID: "req_1"},
			"the server answered 404 route_not_found: no such route",
		},
		"a proxy": {
			502, "<html>bad gateway</html>",
			client.Error{Status: 502, Message: "<html>bad gateway</html>", RequestID: "req_1"},
			"the server answered 502: <html>bad gateway</html> (req_1)",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv, _ := answer(t, c.status, "application/json", c.body)
			_, err := client.New(srv.URL, "x", nil).CreateEnvironment(t.Context(), "e")
			var got *client.Error
			if !errors.As(err, &got) {
				t.Fatalf("error is %T: %v", err, err)
			}
			if diff := cmp.Diff(c.want, *got); diff != "" {
				t.Error(diff)
			}
			if got.Error() != c.text {
				t.Errorf("text = %s", got)
			}
		})
	}
}

func TestOtasLoginThenAgent(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/user/v1/login/", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"status":1,"response":{"jwt_token":"jwt"}}`)
	})
	mux.HandleFunc("POST /api/agent/v1/create/", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-OTAS-USER-TOKEN") != "jwt" || r.Header.Get("X-OTAS-PROJECT-ID") != "p" {
			t.Errorf("headers = %v", r.Header)
		}
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{"status":1,"response":{"agent":{"id":"a","name":"N"},"agent_key":{"prefix":"x","api_key":"agent_x_y"}}}`)
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	o, err := client.Login(t.Context(), srv.URL, "admin@localhost", "secret", nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := o.CreateAgent(t.Context(), "p", "N", "", "Anthropic")
	if err != nil || got.Agent.ID != "a" || got.Key.Prefix != "x" || got.Key.APIKey != "agent_x_y" {
		t.Errorf("agent = %+v, %v", got, err)
	}
}

func TestSDKKeyOfAProject(t *testing.T) {
	t.Parallel()
	srv, seen := answer(t, 201, "application/json", `{"status":1,"response_body":{"api_key":"otas_x_y"}}`)
	key, err := client.NewOtas(srv.URL, "token", nil).CreateSDKKey(t.Context(), "p", 30)
	if err != nil || key != "otas_x_y" {
		t.Fatalf("key = %q, %v", key, err)
	}
	body, err := io.ReadAll(seen.Body)
	if err != nil {
		t.Fatal(err)
	}
	line := fmt.Sprint(seen.URL.Path, " ", seen.Header.Get("X-OTAS-USER-TOKEN"), " ", seen.Header.Get("X-OTAS-PROJECT-ID"), " ", string(body))
	if want := `/api/project/v1/sdk/backend/key/create/ token p {"validity":30}`; line != want {
		t.Errorf("request = %s\nwant %s", line, want)
	}
}

func TestAgentsAreCounted(t *testing.T) {
	t.Parallel()
	srv, _ := answer(t, 200, "application/json", `{"status":1,"response":{"agents":[{"id":"a"},{"id":"b"}]}}`)
	if n, err := client.NewOtas(srv.URL, "token", nil).CountAgents(t.Context(), ""); err != nil || n != 2 {
		t.Errorf("%d agents, %v", n, err)
	}
}

func TestSessionTokensNameTheirSession(t *testing.T) {
	t.Parallel()
	// {"agent_id":"a","agent_session_id":"s-1"}
	if id, err := client.SessionOf("eyJhbGciOiJIUzI1NiJ9.eyJhZ2VudF9pZCI6ImEiLCJhZ2VudF9zZXNzaW9uX2lkIjoicy0xIn0.c2ln"); err != nil || id != "s-1" {
		t.Errorf("session = %q, %v", id, err)
	}
	for _, bad := range []string{"", "a.b", "a.e30.c", "a.!!.c"} {
		if id, err := client.SessionOf(bad); err == nil {
			t.Errorf("SessionOf(%q) = %q", bad, id)
		}
	}
}
