package app_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/reeve-ai/reeve/internal/app/apptest"
	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/provider/fake"
	"github.com/reeve-ai/reeve/internal/tool/mcp/mcptest"
)

var keptPath = regexp.MustCompile(`/workspace/\.reeve/output/[0-9a-f]+\.txt`)

// readResult is the text of the newest tool result that a request brings.
func readResult(req core.ModelRequest) string {
	last := req.Messages[len(req.Messages)-1].Parts
	text := ""
	for _, b := range last[len(last)-1].Result.Content {
		text += b.Text
	}
	return text
}

// countKept is a model that counts the bytes of the file that its last result names.
var countKept = fake.Func(func(req core.ModelRequest) []core.Chunk {
	return []core.Chunk{{Type: core.ChunkToolCall, Call: &core.ToolCall{ID: "count", Name: "bash", Input: `{"command":"wc -c < ` + keptPath.FindString(readResult(req)) + `"}`}}}
})

// answerLong lets the session wait for its custom tool and answers with a text.
func answerLong(t *testing.T, srv *apptest.Server, sess *apptest.Session, text string) []apptest.Event {
	t.Helper()
	sess.Send(t, "Ask me.")
	uses := apptest.Find(sess.UntilIdle(t), "agent.custom_tool_use")
	if len(uses) != 1 {
		t.Fatalf("%d uses of the custom tool", len(uses))
	}
	srv.Must(t, http.MethodPost, "/v1/sessions/"+sess.ID+"/events", object{"events": []any{object{
		"type": "user.custom_tool_result", "custom_tool_use_id": uses[0].ID, "content": []any{object{"type": "text", "text": text}},
	}}})
	return sess.UntilIdle(t)
}

var askMe = object{"type": "custom", "name": "ask_me", "description": "Asks.", "input_schema": object{"type": "object"}}

func TestLongResultOfAClientIsKeptInTheSandbox(t *testing.T) {
	t.Parallel()
	whole := "begin " + strings.Repeat("é", 120_000) + " end"
	srv := apptest.Start(t, fake.CallTool("ask_me", `{}`), countKept, fake.Say("Done."), fake.Say("Still done."))
	sess := srv.NewSessionOf(t, srv.NewAgent(t, func(a map[string]any) { a["tools"] = append([]any{askMe}, apptest.Toolset...) }))
	events := answerLong(t, srv, sess, whole)
	asked := srv.Fake.Requests()
	if got := readResult(asked[1]); len([]rune(got)) > 10_000 || !strings.HasPrefix(got, "begin é") || !strings.HasSuffix(got, "é end") || !strings.Contains(got, "112010 of 120010 characters are left out") {
		t.Errorf("the model reads %d bytes: %.60q", len(got), got)
	}
	if got := strings.TrimSpace(readResult(asked[2])); got != "240010" {
		t.Errorf("the file has %q bytes", got)
	}
	results := apptest.Find(sess.Log(t), "user.custom_tool_result")
	if len(results) != 1 || results[0].Data["content"].([]any)[0].(object)["text"] != whole {
		t.Error("the client's own event is not listed as it was sent")
	}
	for _, e := range events {
		if strings.HasPrefix(e.Type, "reeve.") {
			t.Errorf("a client of this dialect is told of %s", e.Type)
		}
	}
	sess.Send(t, "Go on.")
	sess.UntilIdle(t)
	last := srv.Fake.Requests()[3].Messages
	if got := last[2].Parts[0].Result.Content[0].Text; got != asked[1].Messages[2].Parts[0].Result.Content[0].Text {
		t.Errorf("later the model reads %.60q", got)
	}
}

func TestLongResultWithoutASandboxIsCut(t *testing.T) {
	t.Parallel()
	srv := apptest.Start(t, fake.CallTool("ask_me", `{}`), fake.Say("Done."))
	sess := srv.NewSessionOf(t, srv.NewAgent(t, func(a map[string]any) { a["tools"] = []any{askMe} }))
	answerLong(t, srv, sess, strings.Repeat("x", 100_001))
	if got := readResult(srv.Fake.Requests()[1]); len(got) > 10_000 || !strings.Contains(got, "92001 of 100001 characters are left out here; the rest was not kept") {
		t.Errorf("the model reads %d bytes: %.60q", len(got), got)
	}
	short := apptest.Start(t, fake.CallTool("ask_me", `{}`), fake.Say("Done."))
	sess = short.NewSessionOf(t, short.NewAgent(t, func(a map[string]any) { a["tools"] = []any{askMe} }))
	answerLong(t, short, sess, strings.Repeat("x", 100_000))
	if got := readResult(short.Fake.Requests()[1]); got != strings.Repeat("x", 100_000) {
		t.Errorf("100,000 characters became %d", len(got))
	}
}

func TestLongResultOfAnMCPToolIsKeptInTheSandbox(t *testing.T) {
	t.Parallel()
	tracker := mcptest.Serve(t)
	srv := apptest.StartWith(t, fake.New(fake.CallTool("mcp__tracker__huge", `{}`), countKept, fake.Say("Done.")), apptest.WithConfig(reachable))
	sess := srv.NewSessionOf(t, srv.NewAgent(t, func(a map[string]any) {
		a["mcp_servers"] = []any{object{"type": "url", "name": "tracker", "url": tracker.URL + "/mcp"}}
		a["tools"] = append([]any{object{"type": "mcp_toolset", "mcp_server_name": "tracker", "default_config": object{"permission_policy": object{"type": "always_allow"}}}}, apptest.Toolset...)
	}))
	sess.Send(t, "Use it.")
	events := sess.UntilIdle(t)
	results := apptest.Find(events, "agent.mcp_tool_result")
	if len(results) != 1 {
		t.Fatalf("events %q", apptest.Types(events))
	}
	if text := results[0].Data["content"].([]any)[0].(object)["text"].(string); len([]rune(text)) > 10_000 || keptPath.FindString(text) == "" {
		t.Errorf("the log has %d bytes", len(text))
	}
	if got := strings.TrimSpace(readResult(srv.Fake.Requests()[2])); len(got) != len("8000000") {
		t.Errorf("the file has %q bytes", got)
	}
}
