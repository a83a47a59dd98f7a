package app_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/app"
	"github.com/reeve-ai/reeve/internal/app/apptest"
	"github.com/reeve-ai/reeve/internal/config"
	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/provider/fake"
	"github.com/reeve-ai/reeve/internal/tool/mcp/mcptest"
)

type object = map[string]any

// reachable lets a server reach the MCP servers of tests.
func reachable(c *config.Config) { c.Egress.AllowPrivate = []string{"127.0.0.1/32"} }

// startMCP starts the app with a script and an agent that uses one MCP server, named tracker.
func startMCP(t *testing.T, tracker string, script *fake.Provider, options ...apptest.Option) (srv *apptest.Server, agent string) {
	t.Helper()
	srv = apptest.StartWith(t, script, append(options, apptest.WithConfig(reachable))...)
	return srv, srv.NewAgent(t, func(a map[string]any) {
		a["mcp_servers"] = []any{object{"type": "url", "name": "tracker", "url": tracker}}
		a["tools"] = []any{object{
			"type": "mcp_toolset", "mcp_server_name": "tracker",
			"default_config": object{"permission_policy": object{"type": "always_allow"}},
			"configs":        []any{object{"name": "add", "permission_policy": object{"type": "always_ask"}}, object{"name": "fail", "enabled": false}},
		}}
	})
}

// fault returns the one session.error among events.
func fault(t *testing.T, events []apptest.Event) object {
	t.Helper()
	faults := apptest.Find(events, "session.error")
	if len(faults) != 1 {
		t.Fatalf("%d errors among %q", len(faults), apptest.Types(events))
	}
	return faults[0].Data["error"].(object)
}

func TestMCPToolsRunAsTheirPolicySays(t *testing.T) {
	t.Parallel()
	tracker := mcptest.Serve(t)
	srv, agent := startMCP(t, tracker.URL+"/mcp", fake.New(
		fake.CallTools(fake.Call{Name: "mcp__tracker__echo", Input: `{"text":"hi"}`}, fake.Call{Name: "mcp__tracker__add", Input: `{}`},
			fake.Call{Name: "mcp__tracker__add", Input: `{}`}, fake.Call{Name: "mcp__tracker__fail", Input: `{}`}),
		fake.CallTool("mcp__tracker__picture", `{}`), fake.Say("Done.")))
	sess := srv.NewSessionOf(t, agent)
	sess.Send(t, "Use them.")
	events := sess.UntilIdle(t)
	uses := apptest.Find(events, "agent.mcp_tool_use")
	if len(uses) != 3 || len(apptest.Find(events, "agent.tool_use")) != 1 { // fail is switched off: it is no tool of the agent
		t.Fatalf("events = %q", apptest.Types(events))
	}
	for i, want := range []object{
		{"mcp_server_name": "tracker", "name": "echo", "input": object{"text": "hi"}, "evaluated_permission": "allow"},
		{"mcp_server_name": "tracker", "name": "add", "input": object{}, "evaluated_permission": "ask"},
		{"mcp_server_name": "tracker", "name": "add", "input": object{}, "evaluated_permission": "ask"},
	} {
		want["id"], want["type"], want["processed_at"] = uses[i].ID, "agent.mcp_tool_use", uses[i].Data["processed_at"]
		if d := cmp.Diff(want, uses[i].Data); d != "" {
			t.Errorf("use %d (-want +got):\n%s", i, d)
		}
	}
	stop := events[len(events)-1].Data["stop_reason"].(object)
	if d := cmp.Diff([]any{uses[1].ID, uses[2].ID}, stop["event_ids"]); d != "" || stop["type"] != "requires_action" || tracker.Calls("add") != 0 {
		t.Fatalf("stop = %v, %d calls", stop, tracker.Calls("add"))
	}
	sess.Post(t, object{"type": "user.tool_confirmation", "tool_use_id": uses[1].ID, "result": "allow"},
		object{"type": "user.tool_confirmation", "tool_use_id": uses[2].ID, "result": "deny", "deny_message": "once is enough"})
	rest := sess.UntilIdle(t)
	byUse := map[any]string{}
	for _, r := range apptest.Find(append(events, rest...), "agent.mcp_tool_result") {
		byUse[r.Data["mcp_tool_use_id"]] = fmt.Sprint(r.Data["is_error"], " ", r.Say())
	}
	if len(byUse) != 4 || byUse[uses[0].ID] != "false echo: hi" || byUse[uses[1].ID] != "false 1" || !strings.Contains(byUse[uses[2].ID], "once is enough") || tracker.Calls("add") != 1 {
		t.Errorf("results = %q, %d calls", byUse, tracker.Calls("add"))
	}

	requests := srv.Fake.Requests()
	var names []string
	for _, tool := range requests[0].Tools {
		names = append(names, tool.Name)
		if !strings.Contains(string(tool.InputSchema), `"text"`) || tool.Description == "" {
			t.Errorf("the model was told of %s: %q %s", tool.Name, tool.Description, tool.InputSchema)
		}
	}
	if len(names) != len(mcptest.Tools)-1 || slices.Contains(names, "mcp__tracker__fail") || !slices.Contains(names, core.MCPToolName("tracker", "odd.name/1")) {
		t.Errorf("the model was told of %q", names)
	}
	last := requests[2].Messages[len(requests[2].Messages)-1].Parts[0].Result
	if last.Name != "mcp__tracker__picture" || last.Content[0].Type != core.BlockImage || last.Content[0].Source.MediaType != "image/png" {
		t.Errorf("the model was shown %+v", last)
	}
	if call := requests[1].Messages[1].Parts[0].Call; call.Name != "mcp__tracker__echo" || string(call.Input) != `{"text":"hi"}` {
		t.Errorf("the model is reminded of %+v", call)
	}
	// The other flavour tells the same, under its own ids.
	page := srv.Must(t, http.MethodGet, "/api/v1/cloud/sessions/"+sess.ID+"/events?limit=100&types[]=agent.mcp_tool_use&types[]=agent.mcp_tool_result", nil,
		"Authorization", "Bearer "+srv.Token)["data"].([]any)
	if len(page) != 8 {
		t.Fatalf("with Qoder there are %d events", len(page))
	}
	use, result := page[0].(object), page[3].(object)
	if use["mcp_server_name"] != "tracker" || use["name"] != "echo" || use["evaluated_permission"] != "allow" ||
		result["mcp_tool_use_id"] != use["id"] || result["is_error"] != false || !strings.HasPrefix(fmt.Sprint(use["id"]), "evt_") {
		t.Errorf("with Qoder: %v\n%v", use, result)
	}
}

func TestMCPServerThatIsAwayDoesNotEndTheTurn(t *testing.T) {
	t.Parallel()
	tracker := mcptest.Serve(t)
	tracker.Answer(http.StatusServiceUnavailable)
	srv, agent := startMCP(t, tracker.URL+"/mcp?key=secret-3", fake.New(
		fake.CallTool("no_such_tool", `{}`), fake.Say("Without it, then."),
		fake.Say("Still without."), fake.CallTool("mcp__tracker__echo", `{"text":"back"}`), fake.Say("There it is.")))
	sess := srv.NewSessionOf(t, agent)
	sess.Send(t, "Use it.")
	events := sess.UntilIdle(t)
	got := fault(t, events) // once, though the model was asked twice
	want := object{"type": "mcp_connection_failed_error", "mcp_server_name": "tracker", "retry_status": object{"type": "retrying"}, "message": got["message"]}
	if d := cmp.Diff(want, got); d != "" || !strings.Contains(fmt.Sprint(got["message"]), "503") {
		t.Errorf("error (-want +got):\n%s", d)
	}
	if at := slices.Index(apptest.Types(events), "session.error"); at > slices.Index(apptest.Types(events), "span.model_request_start") || len(srv.Fake.Requests()[0].Tools) != 0 {
		t.Errorf("the error comes at %d of %q; the model was told of %d tools", at, apptest.Types(events), len(srv.Fake.Requests()[0].Tools))
	}
	if stop := events[len(events)-1].Data["stop_reason"].(object)["type"]; stop != "end_turn" {
		t.Errorf("stop reason = %v", stop)
	}
	sess.Send(t, "And now?")
	if again := fault(t, sess.UntilIdle(t)); again["type"] != want["type"] {
		t.Errorf("in the next turn: %v", again)
	}
	tracker.Answer(0)
	sess.Send(t, "And now?")
	events = sess.UntilIdle(t)
	if r := apptest.Find(events, "agent.mcp_tool_result"); len(r) != 1 || r[0].Say() != "echo: back" || len(apptest.Find(events, "session.error")) != 0 {
		t.Errorf("when it is back: %q", apptest.Types(events))
	}
	for _, e := range sess.Log(t) {
		if strings.Contains(fmt.Sprint(e.Data), "secret-3") {
			t.Errorf("an event holds the URL's key: %v", e.Data)
		}
	}
}

// lines is a log that can be read.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func TestMCPServerGetsTheCredentialOfTheVault(t *testing.T) {
	t.Parallel()
	tracker := mcptest.Serve(t)
	tracker.Require("secret-good")
	var log lines
	srv, agent := startMCP(t, tracker.URL+"/mcp", fake.New(
		fake.Say("Not let in."), fake.CallTool("mcp__tracker__whoami", `{}`), fake.Say("Let in."),
		fake.CallTool("mcp__tracker__echo", `{"text":"rotated"}`), fake.Say("Again.")),
		apptest.WithOptions(func(o *app.Options) { o.Log = slog.New(slog.NewTextHandler(&log, nil)) }))
	vault := srv.Must(t, http.MethodPost, "/v1/vaults", object{"display_name": "keys"})["id"].(string)
	// Another spelling of the same URL.
	at := strings.Replace(tracker.URL, "http://", "HTTP://", 1) + "/mcp/"
	credential := "/v1/vaults/" + vault + "/credentials"
	made := srv.Must(t, http.MethodPost, credential, object{"auth": object{"type": "static_bearer", "mcp_server_url": at, "token": "secret-bad"}})["id"].(string)
	rotate := func(token string) {
		srv.Must(t, http.MethodPost, credential+"/"+made, object{"auth": object{"type": "static_bearer", "token": token}})
	}
	env := srv.Must(t, http.MethodPost, "/v1/environments", object{"name": "box"})["id"]
	id := srv.Must(t, http.MethodPost, "/v1/sessions", object{"agent": agent, "environment_id": env, "vault_ids": []any{vault}})["id"].(string)
	sess := srv.Reopen(t, id)
	sess.Send(t, "Go.")
	got := fault(t, sess.UntilIdle(t))
	if got["type"] != "mcp_authentication_failed_error" || got["mcp_server_name"] != "tracker" || !strings.Contains(fmt.Sprint(got["message"]), "credential") {
		t.Errorf("error = %v", got)
	}
	rotate("secret-good")
	sess.Send(t, "And now?")
	if r := apptest.Find(sess.UntilIdle(t), "agent.mcp_tool_result"); len(r) != 1 || r[0].Say() != "you sent Bearer [credential]" {
		t.Errorf("after the rotation: %v", r)
	}
	tracker.Require("secret-next") // while the connection stands
	rotate("secret-next")
	sess.Send(t, "Once more.")
	if r := apptest.Find(sess.UntilIdle(t), "agent.mcp_tool_result"); len(r) != 1 || r[0].Say() != "echo: rotated" {
		t.Errorf("after the second rotation: %v", r)
	}
	if d := cmp.Diff([]string{"Bearer secret-bad", "Bearer secret-good", "Bearer secret-next"}, tracker.Seen()); d != "" {
		t.Errorf("the server saw (-want +got):\n%s", d)
	}
	told := log.String() + fmt.Sprint(srv.Fake.Requests())
	for _, e := range sess.Log(t) {
		told += fmt.Sprint(e.Data)
	}
	if strings.Contains(told, "secret-") || !strings.Contains(told, "mcp server not connected") {
		t.Error("a credential is in the log, in an event, or was shown to the model, or nothing was logged")
	}
}

func TestRefusedAccessTokenIsRefreshedForTheMCPServer(t *testing.T) {
	t.Parallel()
	tracker := mcptest.Serve(t)
	tracker.Require("secret-fresh")
	var refreshed atomic.Int64
	issuer := serveHTTP(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		refreshed.Add(1)
		if r.FormValue("refresh_token") != "secret-refresh" {
			t.Errorf("the token endpoint got %v", r.Form)
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"access_token":"secret-fresh","token_type":"Bearer"}`)
	}))
	srv, agent := startMCP(t, tracker.URL+"/sse", fake.New(fake.CallTool("mcp__tracker__echo", `{"text":"in"}`), fake.Say("Done.")))
	vault := srv.Must(t, http.MethodPost, "/v1/vaults", object{"display_name": "keys"})["id"].(string)
	srv.Must(t, http.MethodPost, "/v1/vaults/"+vault+"/credentials", object{"auth": object{
		"type": "mcp_oauth", "mcp_server_url": tracker.URL + "/sse", "access_token": "secret-stale",
		"refresh": object{"token_endpoint": issuer, "client_id": "c", "refresh_token": "secret-refresh", "token_endpoint_auth": object{"type": "none"}},
	}})
	env := srv.Must(t, http.MethodPost, "/v1/environments", object{"name": "box"})["id"]
	id := srv.Must(t, http.MethodPost, "/v1/sessions", object{"agent": agent, "environment_id": env, "vault_ids": []any{vault}})["id"].(string)
	sess := srv.Reopen(t, id)
	sess.Send(t, "Go.")
	events := sess.UntilIdle(t)
	if r := apptest.Find(events, "agent.mcp_tool_result"); len(r) != 1 || r[0].Say() != "echo: in" || len(apptest.Find(events, "session.error")) != 0 || refreshed.Load() != 1 {
		t.Errorf("events %q, %d refreshes", apptest.Types(events), refreshed.Load())
	}
	if d := cmp.Diff([]string{"Bearer secret-stale", "Bearer secret-fresh"}, tracker.Seen()); d != "" {
		t.Errorf("the server saw (-want +got):\n%s", d)
	}
}

func TestMCPCallsThatACrashCutOff(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		tool, says string
		calls      int
	}{
		{"hang", "unknown", 1}, // nobody knows how far it came
		{"look", "seen", 2},    // it only reads
	} {
		t.Run(tt.tool, func(t *testing.T) {
			t.Parallel()
			tracker := mcptest.Serve(t)
			first, agent := startMCP(t, tracker.URL+"/mcp", fake.New(fake.CallTool("mcp__tracker__"+tt.tool, `{"text":"hang"}`)),
				apptest.WithConfig(func(c *config.Config) { c.Turns.SoftStop = 1 }))
			sess := first.NewSessionOf(t, agent)
			sess.Send(t, "Go.")
			wait(t, "the call", tracker.Hanging)
			first.Stop()
			wait(t, "the end of the call at the server", tracker.Cancelled)

			second := apptest.StartWith(t, fake.New(fake.Say("Well.")), apptest.Again(first), apptest.WithConfig(reachable))
			log := second.Reopen(t, sess.ID).AwaitIdle(t)
			results := apptest.Find(log, "agent.mcp_tool_result")
			if len(results) != 1 || !strings.Contains(results[0].Say(), tt.says) || tracker.Calls(tt.tool) != tt.calls {
				t.Errorf("results = %v, after %d calls", results, tracker.Calls(tt.tool))
			}
			if uses := apptest.Find(log, "agent.mcp_tool_use"); len(uses) != 1 || results[0].Data["mcp_tool_use_id"] != uses[0].ID {
				t.Errorf("uses = %v", uses)
			}
		})
	}
}

func TestMCPServerThatIsGoneAfterTheConfirmation(t *testing.T) {
	t.Parallel()
	tracker := mcptest.Serve(t)
	srv, agent := startMCP(t, tracker.URL+"/sse", fake.New(fake.CallTool("mcp__tracker__add", `{}`), fake.Say("A pity.")))
	sess := srv.NewSessionOf(t, agent)
	sess.Send(t, "Go.")
	use := apptest.Find(sess.UntilIdle(t), "agent.mcp_tool_use")[0]
	tracker.Stop()
	sess.Post(t, object{"type": "user.tool_confirmation", "tool_use_id": use.ID, "result": "allow"})
	events := sess.UntilIdle(t)
	if got := fault(t, events); got["type"] != "mcp_connection_failed_error" {
		t.Errorf("error = %v", got)
	}
	if r := apptest.Find(events, "agent.mcp_tool_result"); len(r) != 1 || r[0].Data["is_error"] != true || !strings.Contains(r[0].Say(), "Not run") {
		t.Errorf("results = %v", r)
	}
}

func TestInterruptEndsAnMCPCall(t *testing.T) {
	t.Parallel()
	tracker := mcptest.Serve(t)
	srv, agent := startMCP(t, tracker.URL+"/json", fake.New(fake.CallTool("mcp__tracker__hang", `{}`), fake.Say("Here I am.")))
	sess := srv.NewSessionOf(t, agent)
	sess.Send(t, "Hang.")
	wait(t, "the call", tracker.Hanging)
	sess.Post(t, object{"type": "user.interrupt"})
	events := sess.UntilIdle(t)
	wait(t, "the end of the call at the server", tracker.Cancelled)
	if r := apptest.Find(events, "agent.mcp_tool_result"); len(r) != 1 || !strings.Contains(r[0].Say(), "interrupted") {
		t.Errorf("results = %v", r)
	}
	sess.Send(t, "Are you there?")
	if got := apptest.Find(sess.UntilIdle(t), "agent.message"); len(got) != 1 || got[0].Say() != "Here I am." {
		t.Errorf("afterwards: %v", got)
	}
}

func TestInterruptEndsTheWaitForAnMCPServer(t *testing.T) {
	t.Parallel()
	reached, free := make(chan struct{}, 100), make(chan struct{})
	mute := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		reached <- struct{}{}
		select {
		case <-r.Context().Done():
		case <-free:
		}
	})
	ln := serveHTTP(t, mute)
	t.Cleanup(func() { close(free) })
	srv, agent := startMCP(t, ln, fake.New())
	sess := srv.NewSessionOf(t, agent)
	sess.Send(t, "Go.")
	wait(t, "the connection", reached)
	sess.Post(t, object{"type": "user.interrupt"})
	events := sess.UntilIdle(t)
	if len(apptest.Find(events, "session.error")) != 0 || len(srv.Fake.Requests()) != 0 {
		t.Errorf("events = %q", apptest.Types(events))
	}
}

func TestMCPToolsThatComeInMidTurnCanBeUsed(t *testing.T) {
	t.Parallel()
	tracker := mcptest.Serve(t)
	srv, agent := startMCP(t, tracker.URL+"/mcp", fake.New(
		fake.CallTool("mcp__tracker__grow", `{}`), fake.CallTool("mcp__tracker__grown", `{"text":"new"}`), fake.Say("Grown.")))
	sess := srv.NewSessionOf(t, agent)
	sess.Send(t, "Grow.")
	results := apptest.Find(sess.UntilIdle(t), "agent.mcp_tool_result")
	if len(results) != 2 || results[1].Say() != "echo: new" {
		t.Errorf("results = %v", results)
	}
}

// serveHTTP serves on loopback until the test ends and returns the URL.
func serveHTTP(t *testing.T, h http.Handler) string {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.URL
}

// wait waits for a signal of a test's server.
func wait(t *testing.T, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(apptest.Patience):
		t.Fatalf("%s did not come", what)
	}
}
