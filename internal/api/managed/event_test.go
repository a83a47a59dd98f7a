package managed_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/provider/fake"
)

const askTool = `,"tools":[{"type":"custom","name":"ask","description":"Asks.","input_schema":{"type":"object"}}]`

// kinds are the types of a list of events.
func kinds(page map[string]any) []string {
	list := []string{}
	for _, e := range page["data"].([]any) {
		list = append(list, e.(map[string]any)["type"].(string))
	}
	return list
}

// TestTurnInBothFlavours runs one turn with a tool of the client, and compares what each flavour says.
func TestTurnInBothFlavours(t *testing.T) {
	t.Parallel()
	s := start(t, fake.Think("Hm.").And(fake.CallTool("ask", `{"question":"who?"}`)), fake.Say("It is you.").And(fake.Usage(core.Usage{InputTokens: 7, OutputTokens: 3, CacheReadTokens: 2})))
	c, q := claude(s), qoder(s)
	id := c.session(t, askTool)
	frames := c.watch(t, "/sessions/"+id+"/events/stream")
	qframes := q.watch(t, "/sessions/"+id+"/events/stream")
	sent := c.must(t, "POST", "/sessions/"+id+"/events", message("Who is it?"))
	if at, there := dig(sent, "data", 0).(map[string]any)["processed_at"]; !there || at != nil || dig(sent, "data", 0, "content", 0, "text") != "Who is it?" {
		t.Errorf("echo = %v", sent)
	}
	first := until(t, frames, "session.status_idle")
	want := []string{
		"user.message", "session.status_running", "user.message", "span.model_request_start", "agent.thinking",
		"agent.custom_tool_use", "span.model_request_end", "session.usage", "session.status_idle",
	}
	if d := cmp.Diff(want, types(first)); d != "" {
		t.Fatalf("events (-want +got):\n%s", d)
	}
	if first[0].data["id"] != first[2].data["id"] || first[0].data["processed_at"] != nil || first[2].data["processed_at"] == nil {
		t.Errorf("the message must come queued, then stamped: %v, %v", first[0].data, first[2].data)
	}
	for _, f := range first {
		name := f.data["type"]
		if name == "session.usage" {
			name = "message" // older decoders know no session.usage
		}
		if f.event != name || f.id != "" {
			t.Errorf("frame %q %q of %v", f.id, f.event, f.data["type"])
		}
	}
	use := first[5].data
	if use["name"] != "ask" || dig(use, "input", "question") != "who?" || use["evaluated_permission"] != nil {
		t.Errorf("tool use = %v", use)
	}
	idle := first[8].data
	if details, there := idle["stop_details"]; dig(idle, "stop_reason", "type") != "requires_action" || dig(idle, "stop_reason", "event_ids", 0) != use["id"] || !there || details != nil {
		t.Errorf("idle = %v", idle)
	}
	if th := first[4].data; len(th) != 3 {
		t.Errorf("thinking shows more than that it was: %v", th)
	}

	c.refused(t, c.do(t, "POST", "/sessions/"+id+"/events", `{"events":[{"type":"user.tool_confirmation","tool_use_id":"`+use["id"].(string)+`","result":"allow"}]}`), 400, "invalid_request_error")
	result := c.must(t, "POST", "/sessions/"+id+"/events", `{"events":[{"type":"user.custom_tool_result","custom_tool_use_id":"`+use["id"].(string)+`","is_error":false,
		"content":[{"type":"text","text":"You"},{"type":"search_result","source":"https://x.example.com","title":"T","content":[{"type":"text","text":"found"}],"citations":{"enabled":true}}]}]}`)
	wantResult := map[string]any{
		"type": "user.custom_tool_result", "custom_tool_use_id": use["id"], "is_error": false, "session_thread_id": nil,
		"content": []any{map[string]any{"type": "text", "text": "You"}, map[string]any{
			"type": "search_result", "source": "https://x.example.com", "title": "T", "citations": map[string]any{"enabled": true},
			"content": []any{map[string]any{"type": "text", "text": "found"}},
		}},
	}
	got := dig(result, "data", 0).(map[string]any)
	if got["processed_at"] == nil {
		t.Error("a result is stamped on receipt")
	}
	delete(got, "id")
	delete(got, "processed_at")
	if d := cmp.Diff(wantResult, got); d != "" {
		t.Errorf("echo of the result (-want +got):\n%s", d)
	}
	last := until(t, frames, "session.status_idle")
	end := last[len(last)-3].data
	usage := map[string]any{"input_tokens": 7.0, "output_tokens": 3.0, "cache_read_input_tokens": 2.0, "cache_creation_input_tokens": 0.0, "speed": nil}
	if d := cmp.Diff(any(usage), end["model_usage"]); d != "" || end["is_error"] != false || !strings.HasPrefix(fmt.Sprint(end["model_request_start_id"]), "sevt_") {
		t.Errorf("span end = %v (-want +got):\n%s", end, d)
	}
	if total := last[len(last)-2].data; dig(total, "usage", "input_tokens") != 17.0 || dig(total, "usage", "cache_read_input_tokens") != 2.0 {
		t.Errorf("usage = %v", total)
	}

	until(t, qframes, "session.status_idle")
	qlast := until(t, qframes, "session.status_idle")
	wantQoder := []string{
		"user.custom_tool_result", "session.status_running", "session.thread_status_running", "span.model_request_start",
		"agent.message", "span.model_request_end", "session.thread_status_idle", "session.status_idle",
	}
	if d := cmp.Diff(wantQoder, types(qlast)); d != "" {
		t.Errorf("events with Qoder (-want +got):\n%s", d)
	}
	for _, f := range qlast {
		if f.event != f.data["type"] || f.id != f.data["id"] || !strings.HasPrefix(f.id, "evt_") {
			t.Errorf("frame %q %q of %v", f.id, f.event, f.data)
		}
	}
	thread := qlast[6].data
	if thread["session_thread_id"] != "sthr_"+id[len("sesn_"):] || thread["agent_name"] != "Helper" || dig(thread, "stop_reason", "type") != "end_turn" {
		t.Errorf("thread status = %v", thread)
	}
}

func TestEventsAreListed(t *testing.T) {
	t.Parallel()
	s := start(t, fake.Say("One."), fake.Say("Two."))
	c, q := claude(s), qoder(s)
	id := c.session(t, "")
	for _, text := range []string{"first", "second"} {
		frames := c.watch(t, "/sessions/"+id+"/events/stream")
		c.must(t, "POST", "/sessions/"+id+"/events", message(text))
		until(t, frames, "session.status_idle")
	}
	path := "/sessions/" + id + "/events"
	one := []string{"user.message", "session.status_running", "span.model_request_start", "agent.message", "span.model_request_end", "session.usage", "session.status_idle"}
	all := append(append([]string{}, one...), one...)
	if d := cmp.Diff(all, kinds(c.must(t, "GET", path, ""))); d != "" {
		t.Fatalf("events (-want +got):\n%s", d)
	}
	whole := ids(c.must(t, "GET", path, ""))
	for _, limit := range []int{1, 3, 13, 14, 15} {
		if got, _ := walk(t, c, fmt.Sprintf("%s?limit=%d", path, limit), nil); cmp.Diff(whole, got) != "" {
			t.Errorf("pages of %d: %v", limit, got)
		}
		got, _ := walk(t, c, fmt.Sprintf("%s?order=desc&limit=%d", path, limit), nil)
		for i := range got {
			if got[i] != whole[len(whole)-1-i] {
				t.Fatalf("descending pages of %d: %v", limit, got)
			}
		}
	}
	for query, want := range map[string][]string{
		"?types[]=user.message&types[]=agent.message":  {"user.message", "agent.message", "user.message", "agent.message"},
		"?types=session.status_idle&order=desc":        {"session.status_idle", "session.status_idle"},
		"?types[]=agent.mcp_tool_use":                  {},
		"?types[]=reeve.input_processed":               {},
		"?types[]=session.thread_status_idle":          {},
		"?created_at[gte]=2020-01-01T00:00:00Z":        all,
		"?created_at[lt]=2020-01-01T00:00:00%2B00:00":  {},
		"?created_at[gt]=2999-01-01T00:00:00Z&limit=5": {},
	} {
		if d := cmp.Diff(want, kinds(c.must(t, "GET", path+query, ""))); d != "" {
			t.Errorf("%s (-want +got):\n%s", query, d)
		}
	}

	qone := []string{"user.message", "session.status_running", "session.thread_status_running", "span.model_request_start", "agent.message", "span.model_request_end", "session.thread_status_idle", "session.status_idle"}
	qall := append(append([]string{}, qone...), qone...)
	page := q.must(t, "GET", path+"?limit=100", "")
	if d := cmp.Diff(qall, kinds(page)); d != "" {
		t.Fatalf("events with Qoder (-want +got):\n%s", d)
	}
	qwhole := ids(page)
	for limit := 1; limit < 6; limit++ { // each event, those that follow from others too, is the end of some page
		if got, _ := walk(t, q, fmt.Sprintf("%s?limit=%d", path, limit), nil); cmp.Diff(qwhole, got) != "" {
			t.Errorf("pages of %d: %v, want %v", limit, got, qwhole)
		}
		got, _ := walk(t, q, fmt.Sprintf("%s?order=desc&limit=%d", path, limit), nil)
		for i := range got {
			if got[i] != qwhole[len(qwhole)-1-i] {
				t.Fatalf("descending pages of %d: %v", limit, got)
			}
		}
	}
	for i := range qwhole {
		before := q.must(t, "GET", path+"?limit=3&before_id="+qwhole[i], "")
		if d := cmp.Diff(qwhole[max(0, i-3):i], ids(before)); d != "" {
			t.Errorf("before %d (-want +got):\n%s", i, d)
		}
	}
	for query, want := range map[string][]string{
		"?type=user.message,agent.message&limit=3": {"user.message", "agent.message", "user.message"},
		"?types[]=session.thread_status_idle":      {"session.thread_status_idle", "session.thread_status_idle"},
		"?type=session.usage":                      {},
	} {
		if d := cmp.Diff(want, kinds(q.must(t, "GET", path+query, ""))); d != "" {
			t.Errorf("qoder %s (-want +got):\n%s", query, d)
		}
	}
}

func TestContentComesBackAsItWasSent(t *testing.T) {
	t.Parallel()
	s := start(t, fake.Say("Seen."))
	c := claude(s)
	id := c.session(t, "")
	content := `[{"type":"text","text":"<look> & see"},
		{"type":"image","source":{"type":"base64","media_type":"image/png","data":"aGk="}},
		{"type":"image","source":{"type":"url","url":"https://x.example.com/a.png"}},
		{"type":"document","source":{"type":"text","media_type":"text/plain","data":"words"},"title":"T","context":"C","citations":{"enabled":true}},
		{"type":"document","source":{"type":"url","url":"https://x.example.com/a.pdf"},"title":null,"context":null}]`
	frames := c.watch(t, "/sessions/"+id+"/events/stream")
	sent := c.must(t, "POST", "/sessions/"+id+"/events", `{"events":[{"type":"user.message","content":`+content+`}]}`)
	var want any
	unmarshal(t, content, &want)
	if d := cmp.Diff(want, dig(sent, "data", 0, "content")); d != "" {
		t.Errorf("content (-want +got):\n%s", d)
	}
	until(t, frames, "session.status_idle")
	if parts := s.script.Requests()[0].Messages[0].Parts; len(parts) != 5 || parts[0].Block.Text != "<look> & see" || parts[1].Block.Source.Data != "aGk=" {
		t.Errorf("the model got %+v", parts)
	}
}

// TestModelErrorsAreShown: a failed call, tried again, then given up.
func TestModelErrorsAreShown(t *testing.T) {
	t.Parallel()
	fail := fake.Fail(&core.ModelError{Type: core.ModelOverloaded, Retryable: true, Message: "The model is overloaded."})
	s := start(t, fail, fake.Cut("Half an ans"))
	c := claude(s)
	id := c.session(t, "")
	frames := c.watch(t, "/sessions/"+id+"/events/stream")
	c.must(t, "POST", "/sessions/"+id+"/events", message("hi"))
	events := until(t, frames, "session.status_idle")
	var errors []any
	for _, f := range events {
		if f.data["type"] == "session.error" {
			errors = append(errors, f.data["error"])
		}
	}
	want := []any{
		map[string]any{"type": "model_overloaded_error", "message": "The model is overloaded.", "retry_status": map[string]any{"type": "retrying"}},
		map[string]any{"type": "model_request_failed_error", "message": "The fake model's connection broke.", "retry_status": map[string]any{"type": "exhausted"}},
	}
	if d := cmp.Diff(want, errors); d != "" {
		t.Errorf("errors (-want +got):\n%s", d)
	}
	if got := dig(events[len(events)-1].data, "stop_reason", "type"); got != "retries_exhausted" {
		t.Errorf("stop reason = %v", got)
	}
}

// TestInterruptHasEachFlavoursName: cancel and user.interrupt end a turn that waits for the model.
func TestInterruptHasEachFlavoursName(t *testing.T) {
	t.Parallel()
	s := start(t, fake.Block(nil), fake.Block(nil))
	c, q := claude(s), qoder(s)
	id := c.session(t, "")
	frames, qframes := c.watch(t, "/sessions/"+id+"/events/stream"), q.watch(t, "/sessions/"+id+"/events/stream")
	q.must(t, "POST", "/sessions/"+id+"/events", message("wait"))
	<-s.script.Waiting()
	q.refused(t, q.do(t, "POST", "/sessions/"+id+"/events", message("more")), 409, "conflict_error")
	for _, path := range []string{"/sessions/" + id + "/archive"} {
		c.refused(t, c.do(t, "POST", path, ""), 400, "invalid_request_error")
	}
	c.refused(t, c.do(t, "DELETE", "/sessions/"+id, ""), 400, "invalid_request_error")
	if got := q.must(t, "POST", "/sessions/"+id+"/cancel", ""); got["status"] != "canceling" || got["id"] != "sess_"+id[len("sesn_"):] {
		t.Errorf("cancel = %v", got)
	}
	idle, qidle := until(t, frames, "session.status_idle"), until(t, qframes, "session.status_idle")
	if got := dig(idle[len(idle)-1].data, "stop_reason"); cmp.Diff(any(map[string]any{"type": "end_turn"}), got) != "" {
		t.Errorf("claude: stop reason = %v", got)
	}
	if got := dig(qidle[len(qidle)-1].data, "stop_reason", "type"); got != "cancelled" {
		t.Errorf("qoder: stop reason = %v", got)
	}
	if got := q.must(t, "GET", "/sessions/"+id, "")["status"]; got != "idle" {
		t.Errorf("status = %v", got)
	}
	// With Claude a message to a running session waits its turn.
	c.must(t, "POST", "/sessions/"+id+"/events", message("wait again"))
	<-s.script.Waiting()
	queued := c.must(t, "POST", "/sessions/"+id+"/events", `{"events":[{"type":"user.interrupt"},{"type":"user.message","content":"queued"}]}`)
	if got := kinds(queued); cmp.Diff([]string{"user.interrupt", "user.message"}, got) != "" || dig(queued, "data", 1, "content", 0, "text") != "queued" {
		t.Errorf("queued = %v", queued)
	}
	until(t, frames, "session.status_idle")
}

func TestSessionStartsWithItsFirstEvents(t *testing.T) {
	t.Parallel()
	s := start(t, fake.Say("Hello."))
	c := claude(s)
	env := c.must(t, "POST", "/environments", `{"name":"box"}`)["id"].(string)
	sess := c.must(t, "POST", "/sessions", `{"agent":"`+c.agent(t, "")+`","environment_id":"`+env+`","initial_events":[{"type":"user.message","content":[{"type":"text","text":"hi"}]}]}`)
	if sess["status"] != "running" {
		t.Errorf("status = %v", sess["status"])
	}
	until(t, c.watch(t, "/sessions/"+sess["id"].(string)+"/events/stream"), "session.status_idle")
}

func TestRosterIsPinnedAndItsSessionsShowItWhole(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := claude(s)
	member := c.agent(t, `,"system":"v1"`)
	lead := c.agent(t, `,"tools":[{"type":"agent_toolset_20260401"}],"multiagent":{"type":"coordinator","agents":[{"type":"advisor","model":"thinker"},"`+member+`",{"type":"self"}]}`)
	c.must(t, "POST", "/agents/"+member, `{"system":"v2"}`)
	want := []any{
		map[string]any{"type": "agent", "id": member, "version": 1.0},
		map[string]any{"type": "agent", "id": lead, "version": 1.0},
		map[string]any{"type": "advisor", "model": "thinker"},
	}
	if d := cmp.Diff(any(want), dig(c.must(t, "GET", "/agents/"+lead, ""), "multiagent", "agents")); d != "" {
		t.Errorf("roster (-want +got):\n%s", d)
	}
	env := c.must(t, "POST", "/environments", `{"name":"box"}`)["id"].(string)
	id := c.must(t, "POST", "/sessions", `{"agent":"`+lead+`","environment_id":"`+env+`"}`)["id"].(string)
	c.must(t, "POST", "/agents/"+member, `{"system":"v3"}`)
	agents, _ := dig(c.must(t, "GET", "/sessions/"+id, ""), "agent", "multiagent", "agents").([]any)
	if len(agents) != 3 || dig(agents[0], "system") != "v1" || dig(agents[1], "id") != lead || dig(agents[2], "type") != "advisor" {
		t.Fatalf("roster of the session = %v", agents)
	}
	if m, there := agents[0].(map[string]any)["multiagent"]; there {
		t.Errorf("a member has a roster: %v", m)
	}
}

// TestObservedSessionsAreListed: the agent runs elsewhere, so its session froze none and has no environment.
func TestObservedSessionsAreListed(t *testing.T) {
	t.Parallel()
	s := start(t)
	agent := claude(s).agent(t, `,"system":"S"`)
	by := core.Principal{Kind: core.PrincipalAgent, Project: s.admin.Project, Agent: core.AgentID(strings.TrimPrefix(agent, "agent_"))}
	sess, err := s.sessions.Observe(t.Context(), by, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []client{claude(s), qoder(s)} {
		got := dig(c.must(t, "GET", "/sessions", ""), "data", 0)
		if dig(got, "agent", "id") != agent || dig(got, "agent", "system") != "S" || dig(got, "environment_id") != nil || dig(got, "status") != "running" {
			t.Errorf("session = %v", got)
		}
		c.refused(t, c.do(t, "POST", "/sessions/"+string(sess.ID)+"/events", message("hi")), 400, "invalid_request_error")
	}
}

func TestSessionThatNeedsASandboxIsRefusedWithoutOne(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.sessions.RefuseSandboxes(core.Errorf(core.Invalid, "sandbox_unavailable", "no walls here"))
	c := claude(s)
	env := c.must(t, "POST", "/environments", `{"name":"box"}`)["id"].(string)
	own := c.must(t, "POST", "/environments", `{"name":"own","config":{"type":"self_hosted"}}`)["id"].(string)
	for _, row := range []struct {
		name, agent, env string
		status           int
	}{
		{"the toolset", c.agent(t, `,"tools":[{"type":"agent_toolset_20260401"}]`), env, 400},
		{"one tool of it", c.agent(t, `,"tools":[{"type":"agent_toolset_20260401","default_config":{"enabled":false},"configs":[{"name":"read","enabled":true}]}]`), env, 400},
		{"only web_fetch", c.agent(t, `,"tools":[{"type":"agent_toolset_20260401","default_config":{"enabled":false},"configs":[{"name":"web_fetch","enabled":true}]}]`), env, 200},
		{"no tools", c.agent(t, ``), env, 200},
		{"a worker's sandbox", c.agent(t, `,"tools":[{"type":"agent_toolset_20260401"}]`), own, 200},
	} {
		a := c.do(t, "POST", "/sessions", `{"agent":"`+row.agent+`","environment_id":"`+row.env+`"}`)
		if a.status != row.status || strings.Contains(a.raw, "no walls here") != (row.status == 400) {
			t.Errorf("%s: %d %s, want %d", row.name, a.status, a.raw, row.status)
		}
	}
}
