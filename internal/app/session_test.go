package app_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/reeve-ai/reeve/internal/app/apptest"
	"github.com/reeve-ai/reeve/internal/provider/fake"
)

func text(s string) []any { return []any{map[string]any{"type": "text", "text": s}} }

func TestInterruptWithAMessageToAnIdleSessionIsOneTurn(t *testing.T) {
	t.Parallel()
	srv := apptest.Start(t, fake.Say("At once."))
	sess := srv.NewSession(t)
	sess.Post(t, map[string]any{"type": "user.interrupt"}, map[string]any{"type": "user.message", "content": text("Do this instead.")})
	events := sess.UntilIdle(t)
	if got := apptest.Find(events, "agent.message"); len(got) != 1 || got[0].Say() != "At once." {
		t.Errorf("a client that waits for idle sees %q", apptest.Types(events))
	}
}

func TestInitialEventsAreCheckedAsAllOthers(t *testing.T) {
	t.Parallel()
	srv := apptest.Start(t)
	agent := srv.NewAgent(t, nil)
	env := srv.Must(t, http.MethodPost, "/v1/environments", map[string]any{"name": "box"})["id"]
	for name, event := range map[string]map[string]any{
		"no content":   {"type": "user.message", "content": []any{}},
		"unknown file": {"type": "user.message", "content": []any{map[string]any{"type": "document", "source": map[string]any{"type": "file", "file_id": "file_1"}}}},
	} {
		a := srv.Do(t, http.MethodPost, "/v1/sessions", map[string]any{"agent": agent, "environment_id": env, "initial_events": []any{event}})
		if a.Status != http.StatusBadRequest || !strings.Contains(string(a.Raw), "initial_events[0]") {
			t.Errorf("%s: %d %s", name, a.Status, a.Raw)
		}
	}
}

// On a self-hosted environment a worker runs the tool, and only behind the client's confirmation.
func TestAskedToolOfASelfHostedSessionIsConfirmedThenAnswered(t *testing.T) {
	t.Parallel()
	srv := apptest.Start(t, fake.CallTool("bash", `{"command":"date"}`), fake.Say("It is late."))
	agent := srv.NewAgent(t, func(a map[string]any) {
		a["tools"] = []any{map[string]any{
			"type":    "agent_toolset_20260401",
			"configs": []any{map[string]any{"name": "bash", "permission_policy": map[string]any{"type": "always_ask"}}},
		}}
	})
	env := srv.Must(t, http.MethodPost, "/v1/environments", map[string]any{"name": "far", "config": map[string]any{"type": "self_hosted"}})["id"]
	sess := srv.Reopen(t, srv.Must(t, http.MethodPost, "/v1/sessions", map[string]any{"agent": agent, "environment_id": env})["id"].(string))
	refused := func(event map[string]any) {
		t.Helper()
		if a := srv.Do(t, http.MethodPost, "/v1/sessions/"+sess.ID+"/events", map[string]any{"events": []any{event}}); a.Status != http.StatusBadRequest {
			t.Errorf("%v: %d %s", event["type"], a.Status, a.Raw)
		}
	}
	sess.Send(t, "How late is it?")
	use := apptest.Find(sess.UntilIdle(t), "agent.tool_use")[0].ID
	confirm := map[string]any{"type": "user.tool_confirmation", "tool_use_id": use, "result": "allow"}
	result := map[string]any{"type": "user.tool_result", "tool_use_id": use, "content": text("midnight")}
	refused(result)
	sess.Post(t, confirm)
	if stop := apptest.Find(sess.UntilIdle(t), "session.status_idle")[0].Data["stop_reason"].(map[string]any); stop["type"] != "requires_action" {
		t.Errorf("confirmed, and now: %v", stop)
	}
	refused(confirm)
	sess.Post(t, result)
	if got := apptest.Find(sess.UntilIdle(t), "agent.message"); len(got) != 1 || got[0].Say() != "It is late." {
		t.Errorf("answer = %v", got)
	}
	if heard := srv.Fake.Requests()[1].Messages[2].Parts[0].Result; heard == nil || heard.Content[0].Text != "midnight" {
		t.Errorf("the model heard %+v", heard)
	}
}
