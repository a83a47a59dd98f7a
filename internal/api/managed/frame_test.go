package managed

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/reeve-ai/reeve/internal/api/httpio"
	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/session"
)

// written is what a stream writes for these feeds. The server is real, because a frame needs its write
// deadline.
func written(t *testing.T, fl *Flavour, feeds func(func(session.Feed, error) bool)) string {
	t.Helper()
	f := New(Deps{Log: slog.New(slog.DiscardHandler)})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out, err := httpio.StartStream(w)
		if err != nil {
			t.Error(err)
			return
		}
		s := &stream{translator: translator{f: f, c: &call{Request: r, fl: fl}}, out: out, begun: map[core.EventID]bool{}}
		s.run(r.Context(), feeds)
	}))
	defer srv.Close()
	res, err := srv.Client().Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestQuietStreamsAreKeptAlive(t *testing.T) {
	t.Parallel()
	beat := func(yield func(session.Feed, error) bool) { yield(session.Feed{Beat: true}, nil) }
	for fl, want := range map[*Flavour]string{
		Claude: "event: ping\ndata: {\"type\":\"ping\"}\n\n",
		Qoder:  ": heartbeat\n\n",
	} {
		if got := written(t, fl, beat); got != want {
			t.Errorf("%s: %q, want %q", fl.name, got, want)
		}
	}
}

func TestErrorIsTheLastFrame(t *testing.T) {
	t.Parallel()
	broken := func(yield func(session.Feed, error) bool) {
		yield(session.Feed{Beat: true}, nil)
		if yield(session.Feed{}, core.Errorf(core.Unavailable, "x", "the database is away")) {
			t.Error("the stream goes on behind an error")
		}
	}
	want := "event: ping\ndata: {\"type\":\"ping\"}\n\n" +
		`event: error` + "\n" + `data: {"type":"error","error":{"type":"overloaded_error","message":"the database is away"},"request_id":""}` + "\n\n"
	if got := written(t, Claude, broken); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestNoPreviewFollowsItsEvent: deltas may be read behind the log that they belong before.
func TestNoPreviewFollowsItsEvent(t *testing.T) {
	t.Parallel()
	f := New(Deps{Log: slog.New(slog.DiscardHandler)})
	s := &stream{translator: translator{f: f, c: &call{fl: Claude}}, deltas: []string{"agent.message"}, begun: map[core.EventID]bool{}}
	for range maxLate + 1 {
		id := core.NewID[core.EventID]()
		s.end(id)
		for _, d := range []core.Delta{{Event: id, Type: core.EventAgentMessage, Start: true}, {Event: id, Type: core.EventAgentMessage, N: 1, Text: "x"}} {
			s.delta(d) // would write to a stream that is not there
		}
	}
	if len(s.ended) != maxLate {
		t.Errorf("%d events are remembered, want %d", len(s.ended), maxLate)
	}
}

func TestEveryTypeOfTheLogIsDecided(t *testing.T) {
	t.Parallel()
	for _, kind := range []core.EventType{
		core.EventUserMessage, core.EventUserInterrupt, core.EventUserToolConfirmation, core.EventUserCustomToolResult, core.EventUserToolResult,
		core.EventAgentMessage, core.EventAgentThinking, core.EventAgentToolUse, core.EventAgentToolResult,
		core.EventStatusRunning, core.EventStatusIdle, core.EventStatusRescheduling, core.EventStatusTerminated,
		core.EventSessionUsage, core.EventSessionUpdated, core.EventSessionError, core.EventModelRequestStart, core.EventModelRequestEnd,
	} {
		if _, known := eventForms[kind]; !known {
			t.Errorf("%s has no form", kind)
		}
	}
	if _, known := eventForms[core.EventInputProcessed]; known {
		t.Error("reeve.input_processed has a form of its own")
	}
}

// TestFormsOfToolsAndStops checks what a turn without a sandbox and MCP servers does not show.
func TestFormsOfToolsAndStops(t *testing.T) {
	t.Parallel()
	id := core.EventID("0198c1d2000070008000000000000001")
	use := core.EventID("0198c1d2000070008000000000000002")
	event := func(kind core.EventType, payload any) core.Event {
		return core.Event{ID: id, Type: kind, Data: core.NewDraft("", "", kind, payload).JSON()}
	}
	mcp := core.Session{Snapshot: &core.AgentSpec{MCPServers: []core.MCPServer{{Name: "m"}}}}
	for _, tc := range []struct {
		name string
		fl   *Flavour
		e    core.Event
		uses map[core.EventID]core.ToolsetKind
		want string // behind id and processed_at
	}{
		{
			"builtin", Claude, event(core.EventAgentToolUse, core.ToolUse{Kind: core.ToolsetBuiltin, Name: "web_fetch", Input: []byte(`{"url":"x"}`), Permission: "ask"}), nil,
			`{"id":"sevt_0198c1d2000070008000000000000001","type":"agent.tool_use","processed_at":null,"name":"web_fetch","input":{"url":"x"},"evaluated_permission":"ask"}`,
		},
		{
			"builtin with Qoder", Qoder, event(core.EventAgentToolUse, core.ToolUse{Kind: core.ToolsetBuiltin, Name: "web_fetch", Input: []byte(`{}`), Permission: "deny"}), nil,
			`{"id":"evt_0198c1d2000070008000000000000001","type":"agent.tool_use","processed_at":null,"name":"WebFetch","input":{},"evaluated_permission":"deny"}`,
		},
		{
			"mcp", Claude, event(core.EventAgentToolUse, core.ToolUse{Kind: core.ToolsetMCP, Server: "m", Name: "bash", Input: []byte(`{}`), Permission: "allow"}), nil,
			`{"id":"sevt_0198c1d2000070008000000000000001","type":"agent.mcp_tool_use","processed_at":null,"mcp_server_name":"m","name":"bash","input":{},"evaluated_permission":"allow"}`,
		},
		{
			"mcp name with Qoder", Qoder, event(core.EventAgentToolUse, core.ToolUse{Kind: core.ToolsetMCP, Server: "m", Name: "bash", Input: []byte(`{}`), Permission: "allow"}), nil,
			`{"id":"evt_0198c1d2000070008000000000000001","type":"agent.mcp_tool_use","processed_at":null,"mcp_server_name":"m","name":"bash","input":{},"evaluated_permission":"allow"}`,
		},
		{
			"result", Claude, event(core.EventAgentToolResult, core.ToolResult{ToolUse: use, Content: []core.Block{}, IsError: true}),
			map[core.EventID]core.ToolsetKind{use: core.ToolsetBuiltin},
			`{"id":"sevt_0198c1d2000070008000000000000001","type":"agent.tool_result","processed_at":null,"tool_use_id":"sevt_0198c1d2000070008000000000000002","content":[],"is_error":true}`,
		},
		{
			"mcp result", Claude, event(core.EventAgentToolResult, core.ToolResult{ToolUse: use, Content: core.Text("x")}),
			map[core.EventID]core.ToolsetKind{use: core.ToolsetMCP},
			`{"id":"sevt_0198c1d2000070008000000000000001","type":"agent.mcp_tool_result","processed_at":null,"mcp_tool_use_id":"sevt_0198c1d2000070008000000000000002","content":[{"text":"x","type":"text"}],"is_error":false}`,
		},
		{
			"mcp error", Claude, event(core.EventSessionError, core.SessionError{Type: core.MCPConnectionFailed, Message: "away", Retry: "retrying", Server: "m"}), nil,
			`{"id":"sevt_0198c1d2000070008000000000000001","type":"session.error","processed_at":null,"error":{"type":"mcp_connection_failed_error","message":"away","mcp_server_name":"m","retry_status":{"type":"retrying"}}}`,
		},
		{
			"mcp error with Qoder", Qoder, event(core.EventSessionError, core.SessionError{Type: core.MCPAuthenticationFailed, Message: "no", Retry: "retrying", Server: "m"}), nil,
			`{"id":"evt_0198c1d2000070008000000000000001","type":"session.error","processed_at":null,"error":{"type":"mcp_authentication_failed_error","message":"no","mcp_server_name":"m","retry_status":{"type":"retrying"}}}`,
		},
		{
			"refusal", Claude, event(core.EventUserToolConfirmation, core.ToolConfirmation{ToolUse: use, Reason: "no"}), nil,
			`{"id":"sevt_0198c1d2000070008000000000000001","type":"user.tool_confirmation","processed_at":null,"tool_use_id":"sevt_0198c1d2000070008000000000000002","result":"deny","deny_message":"no","session_thread_id":null}`,
		},
		{
			"too many steps", Claude, event(core.EventStatusIdle, core.StopReason{Type: core.StopMaxSteps}), nil,
			`{"id":"sevt_0198c1d2000070008000000000000001","type":"session.status_idle","processed_at":null,"stop_reason":{"type":"end_turn"},"stop_details":null}`,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			tr := &translator{c: &call{fl: tc.fl}, session: mcp, uses: tc.uses}
			forms, err := tr.forms(tc.e)
			if err != nil || len(forms) != 1 || string(encode(forms[0].body)) != tc.want {
				t.Errorf("forms = %+v, %v\n got %s\nwant %s", forms, err, encode(forms[0].body), tc.want)
			}
		})
	}
}
