package managed_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"

	"github.com/reeve-ai/reeve/internal/api/exchange"
	"github.com/reeve-ai/reeve/internal/app/apptest"
	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/provider/fake"
)

// teamScript plays a coordinator, which gives both of its agents a task, and the two: "asker" asks the client by a
// custom tool and reports its answer, "doer" reports at once. They are told apart by their system prompts.
func teamScript() *fake.Provider {
	return fake.Choose(func(req core.ModelRequest) fake.Step {
		parts := req.Messages[len(req.Messages)-1].Parts
		last := parts[len(parts)-1]
		switch {
		case strings.Contains(req.System, "I am the asker."):
			if last.Result == nil {
				return fake.CallTool("ask_me", `{"what":"name"}`)
			}
			return fake.Say("The client says " + last.Result.Content[0].Text)
		case strings.Contains(req.System, "I am the doer."):
			return fake.Say("It is done.")
		case last.Block != nil && last.Block.Text == "go":
			return fake.CallTools(
				fake.Call{Name: "spawn_agent", Input: `{"agent":"asker","message":"Ask."}`},
				fake.Call{Name: "spawn_agent", Input: `{"agent":"doer","message":"Do."}`})
		}
		return fake.Say("Noted.")
	})
}

// team makes a coordinator's session and returns it. Its children are the asker and the doer.
func (c client) team(t *testing.T) string {
	t.Helper()
	toolset := `{"type":"agent_toolset_20260401"}`
	custom := `{"type":"custom","name":"ask_me","description":"asks","input_schema":{"type":"object","properties":{}}}`
	asker := c.must(t, "POST", "/agents", `{"name":"asker","description":"asks","model":"scripted","system":"I am the asker.","tools":[`+custom+`]}`)["id"].(string)
	doer := c.must(t, "POST", "/agents", `{"name":"doer","model":"scripted","system":"I am the doer."}`)["id"].(string)
	boss := c.must(t, "POST", "/agents", `{"name":"boss","model":"scripted","tools":[`+toolset+`],"multiagent":{"type":"coordinator","agents":["`+asker+`","`+doer+`",{"type":"self"}]}}`)["id"].(string)
	env := c.must(t, "POST", "/environments", `{"name":"box"}`)["id"].(string)
	return c.must(t, "POST", "/sessions", `{"agent":"`+boss+`","environment_id":"`+env+`"}`)["id"].(string)
}

// goUntilIdle sends a message and waits for the session's own idle.
func (c client) goUntilIdle(t *testing.T, session, body string) {
	t.Helper()
	frames := c.watch(t, "/sessions/"+session+"/events/stream")
	c.must(t, "POST", "/sessions/"+session+"/events", body)
	for f := range frames {
		if f.event == "session.status_idle" {
			return
		}
	}
	t.Fatal("the stream ended before the session was idle")
}

func TestRecordedExchangesOfThreads(t *testing.T) {
	t.Parallel()
	for name, speak := range map[string]func(*server) client{"thread_claude": claude, "thread_qoder": qoder} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startWith(t, options{script: teamScript()})
			c := speak(s)
			sess := c.team(t)
			c.goUntilIdle(t, sess, message("go"))
			threads := ids(c.must(t, "GET", "/sessions/"+sess+"/threads", ""))
			exchange.Run(t, s.URL, "testdata/"+name+".txtar", map[string]string{
				"token": s.token, "viewer": s.viewer, "foreign": s.foreign, "session": sess,
				"primary": threads[0], "asker": threads[1], "doer": threads[2], "solo": c.session(t, ""),
			})
		})
	}
}

// TestThreadsAreWatchedApart: the stream of a thread has its own events and previews, the session's none of them
// but what a client has to act on.
func TestThreadsAreWatchedApart(t *testing.T) {
	t.Parallel()
	for name, speak := range map[string]func(*server) client{"claude": claude, "qoder": qoder} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := speak(startWith(t, options{script: teamScript()}))
			sess := c.team(t)
			c.goUntilIdle(t, sess, message("go"))
			list := func(path string, types ...string) (kinds []string) {
				for _, e := range c.must(t, "GET", path+"?limit=100", "")["data"].([]any) {
					if kind := e.(map[string]any)["type"].(string); len(types) == 0 || slices.Contains(types, kind) {
						kinds = append(kinds, kind)
					}
				}
				return kinds
			}
			threads := ids(c.must(t, "GET", "/sessions/"+sess+"/threads", ""))
			uses := []string{"agent.tool_use", "agent.custom_tool_use"}
			if got := list("/sessions/"+sess+"/events", uses...); !slices.Equal(got, []string{"agent.tool_use", "agent.tool_use", "agent.custom_tool_use"}) {
				t.Errorf("tool uses of the session: %q", got)
			}
			if got := list("/sessions/"+sess+"/threads/"+threads[0]+"/events", uses...); !slices.Equal(got, []string{"agent.tool_use", "agent.tool_use"}) {
				t.Errorf("tool uses of the primary thread: %q", got)
			}
			want := []string{"agent.thread_message_received", "session.thread_status_running", "span.model_request_start", "agent.message", "span.model_request_end", "agent.thread_message_sent", "session.thread_status_idle"}
			if got := list("/sessions/" + sess + "/threads/" + threads[2] + "/events"); !slices.Equal(got, want) {
				t.Errorf("events of the doer: %q", got)
			}

			own := c.watch(t, "/sessions/"+sess+"/threads/"+threads[1]+"/stream?event_deltas[]=agent.message")
			whole := c.watch(t, "/sessions/"+sess+"/events/stream?event_deltas[]=agent.message")
			answer := c.must(t, "GET", "/sessions/"+sess+"/threads/"+threads[1]+"/events?limit=100", "")["data"].([]any)
			use := ""
			for _, e := range answer {
				if m := e.(map[string]any); m["type"] == "agent.custom_tool_use" {
					use = m["id"].(string)
				}
			}
			c.must(t, "POST", "/sessions/"+sess+"/events", `{"events":[{"type":"user.custom_tool_result","custom_tool_use_id":"`+use+`","content":[{"type":"text","text":"Ada"}]}]}`)
			previewed := ""
			for f := range own {
				if f.event == "user.custom_tool_result" && f.data["session_thread_id"] != nil {
					t.Errorf("the thread's own view names the thread: %v", f.data)
				}
				if f.event == "event_delta" {
					previewed += f.data["delta"].(map[string]any)["content"].(map[string]any)["text"].(string)
				}
				if f.event == "session.thread_status_idle" && f.data["stop_reason"].(map[string]any)["type"] == "end_turn" {
					break
				}
			}
			if previewed != "The client says Ada" {
				t.Errorf("previews of the asker: %q", previewed)
			}
			answered, previewed := false, ""
			for f := range whole {
				if f.event == "user.custom_tool_result" {
					answered = f.data["session_thread_id"] == threads[1]
				}
				if f.event == "event_delta" {
					previewed += f.data["delta"].(map[string]any)["content"].(map[string]any)["text"].(string)
				}
				if f.event == "session.status_idle" && f.data["stop_reason"].(map[string]any)["type"] == "end_turn" {
					break
				}
			}
			if !answered || previewed != "Noted." {
				t.Errorf("the session's view has the answer: %v; previews %q", answered, previewed)
			}
		})
	}
}

// TestOfficialSDKReadsThreads drives each method of client.Beta.Sessions.Threads.
func TestOfficialSDKReadsThreads(t *testing.T) {
	t.Parallel()
	srv := apptest.StartWith(t, teamScript())
	client, _ := sdk(t, srv)
	ctx := t.Context()
	agent := func(name string, team ...anthropic.BetaManagedAgentsMultiagentRosterEntryParamsUnion) string {
		p := anthropic.BetaAgentNewParams{
			Name: name, System: anthropic.String("I am the " + name + "."), Model: anthropic.BetaManagedAgentsModelConfigParams{ID: apptest.Model},
		}
		if team != nil {
			p.Tools = []anthropic.BetaAgentNewParamsToolUnion{{OfAgentToolset20260401: &anthropic.BetaManagedAgentsAgentToolset20260401Params{
				Type: anthropic.BetaManagedAgentsAgentToolset20260401ParamsTypeAgentToolset20260401,
			}}}
			p.Multiagent.OfCoordinator = &anthropic.BetaManagedAgentsMultiagentCoordinatorParams{
				Type: anthropic.BetaManagedAgentsMultiagentCoordinatorParamsTypeCoordinator, Agents: team,
			}
		}
		a, err := client.Beta.Agents.New(ctx, p)
		if err != nil {
			t.Fatal(err)
		}
		return a.ID
	}
	doer := agent("doer")
	boss := agent("boss", anthropic.BetaManagedAgentsMultiagentRosterEntryParamsUnion{OfString: anthropic.String(doer)})
	env, err := client.Beta.Environments.New(ctx, anthropic.BetaEnvironmentNewParams{Name: "box"})
	if err != nil {
		t.Fatal(err)
	}
	sess, err := client.Beta.Sessions.New(ctx, anthropic.BetaSessionNewParams{
		Agent: anthropic.BetaSessionNewParamsAgentUnion{OfString: anthropic.String(boss)}, EnvironmentID: env.ID,
	})
	if err != nil {
		t.Fatal(err)
	}
	if team := sess.Agent.Multiagent.Agents; len(team) != 1 || team[0].Name != "doer" || team[0].System != "I am the doer." {
		t.Errorf("the session's team: %s", sess.RawJSON())
	}
	stream := client.Beta.Sessions.Events.StreamEvents(ctx, sess.ID, anthropic.BetaSessionEventStreamParams{})
	if _, err := client.Beta.Sessions.Events.Send(ctx, sess.ID, say("go")); err != nil {
		t.Fatal(err)
	}
	var created, child string
	for stream.Next() {
		e := stream.Current()
		if e.Type == "session.thread_created" {
			created, child = e.AsSessionThreadCreated().AgentName, e.AsSessionThreadCreated().SessionThreadID
		}
		if e.Type == "session.status_idle" {
			break
		}
	}
	if err := stream.Err(); err != nil || created != "doer" {
		t.Fatalf("created %q, %v", created, err)
	}
	_ = stream.Close()
	var listed []string
	pages := client.Beta.Sessions.Threads.ListAutoPaging(ctx, sess.ID, anthropic.BetaSessionThreadListParams{Limit: anthropic.Int(1)})
	for pages.Next() {
		listed = append(listed, pages.Current().ID)
	}
	if pages.Err() != nil || len(listed) != 2 || listed[1] != child {
		t.Fatalf("threads %q, %v", listed, pages.Err())
	}
	got, err := client.Beta.Sessions.Threads.Get(ctx, child, anthropic.BetaSessionThreadGetParams{SessionID: sess.ID})
	if err != nil || got.Status != "idle" || got.ParentThreadID != listed[0] || got.Agent.AsAgent().ID != doer || got.Usage.OutputTokens == 0 {
		t.Errorf("thread %s, %v", got.RawJSON(), err)
	}
	events := client.Beta.Sessions.Threads.Events.ListAutoPaging(ctx, child, anthropic.BetaSessionThreadEventListParams{SessionID: sess.ID, Limit: anthropic.Int(2)})
	var kinds []string
	for events.Next() {
		kinds = append(kinds, events.Current().Type)
	}
	if events.Err() != nil || !slices.Contains(kinds, "agent.thread_message_received") || !slices.Contains(kinds, "agent.thread_message_sent") {
		t.Errorf("events %q, %v", kinds, events.Err())
	}
	own := client.Beta.Sessions.Threads.Events.StreamEvents(ctx, child, anthropic.BetaSessionThreadEventStreamParams{SessionID: sess.ID})
	defer func() { _ = own.Close() }()
	if !own.Next() || own.Current().Type != "agent.thread_message_received" { // it just ran: the stream goes back to what began it
		t.Errorf("the thread's stream begins with %s, %v", own.Current().Type, own.Err())
	}
	archived, err := client.Beta.Sessions.Threads.Archive(ctx, child, anthropic.BetaSessionThreadArchiveParams{SessionID: sess.ID})
	if err != nil || archived.Status != "terminated" || archived.ArchivedAt.IsZero() {
		t.Errorf("archived %s, %v", archived.RawJSON(), err)
	}
}
