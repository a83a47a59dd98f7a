package managed_test

import (
	"errors"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"
	"github.com/anthropics/anthropic-sdk-go/packages/param"
	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/app/apptest"
	"github.com/reeve-ai/reeve/internal/provider/fake"
)

// sdk is the official Go client, unchanged: base URL and key only. requests counts what it sends.
func sdk(t *testing.T, srv *apptest.Server) (client anthropic.Client, requests *int) {
	t.Helper()
	requests = new(int)
	return anthropic.NewClient(option.WithBaseURL(srv.URL), option.WithAPIKey(srv.Token),
		option.WithMiddleware(func(r *http.Request, next option.MiddlewareNext) (*http.Response, error) {
			*requests++
			return next(r)
		})), requests
}

// parts makes what a turn needs: an agent with the whole toolset, an environment and a session.
func parts(t *testing.T, client anthropic.Client) (*anthropic.BetaManagedAgentsAgent, *anthropic.BetaManagedAgentsSession) {
	t.Helper()
	agent, err := client.Beta.Agents.New(t.Context(), anthropic.BetaAgentNewParams{
		Name: "SDK agent", System: anthropic.String("Be brief."),
		Model: anthropic.BetaManagedAgentsModelConfigParams{ID: apptest.Model},
		Tools: []anthropic.BetaAgentNewParamsToolUnion{{OfAgentToolset20260401: &anthropic.BetaManagedAgentsAgentToolset20260401Params{
			Type: anthropic.BetaManagedAgentsAgentToolset20260401ParamsTypeAgentToolset20260401,
		}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	env, err := client.Beta.Environments.New(t.Context(), anthropic.BetaEnvironmentNewParams{Name: "box"})
	if err != nil {
		t.Fatal(err)
	}
	sess, err := client.Beta.Sessions.New(t.Context(), anthropic.BetaSessionNewParams{
		Agent: anthropic.BetaSessionNewParamsAgentUnion{OfString: anthropic.String(agent.ID)}, EnvironmentID: env.ID,
		Title: anthropic.String("A session"), Metadata: map[string]string{"k": "v"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if sess.Status != anthropic.BetaManagedAgentsSessionStatusIdle || sess.Agent.ID != agent.ID || sess.Title != "A session" || sess.Metadata["k"] != "v" {
		t.Errorf("session = %s", sess.RawJSON())
	}
	return agent, sess
}

func say(text string) anthropic.BetaSessionEventSendParams {
	return anthropic.BetaSessionEventSendParams{Events: []anthropic.BetaManagedAgentsEventParamsUnion{{
		OfUserMessage: &anthropic.BetaManagedAgentsUserMessageEventParams{
			Type: anthropic.BetaManagedAgentsUserMessageEventParamsTypeUserMessage,
			Content: []anthropic.BetaManagedAgentsUserMessageEventParamsContentUnion{{
				OfText: &anthropic.BetaManagedAgentsTextBlockParam{Type: anthropic.BetaManagedAgentsTextBlockTypeText, Text: text},
			}},
		},
	}}}
}

// TestOfficialSDKRunsAWholeTurn: stream first, then send, read until idle, with a tool that really runs
// and with previews; then the list shows the same.
func TestOfficialSDKRunsAWholeTurn(t *testing.T) {
	t.Parallel()
	srv := apptest.Start(t, fake.CallTool("bash", `{"command":"printf hi"}`), fake.SayPieces("It ", "printed ", "hi."))
	client, _ := sdk(t, srv)
	agent, sess := parts(t, client)
	if agent.Version != 1 || agent.Tools[0].AsAgentToolset20260401().DefaultConfig.PermissionPolicy.Type != "always_allow" {
		t.Errorf("agent = %s", agent.RawJSON())
	}

	stream := client.Beta.Sessions.Events.StreamEvents(t.Context(), sess.ID, anthropic.BetaSessionEventStreamParams{
		EventDeltas: []anthropic.BetaManagedAgentsDeltaType{anthropic.BetaManagedAgentsDeltaTypeAgentMessage},
	})
	defer func() { _ = stream.Close() }()
	sent, err := client.Beta.Sessions.Events.Send(t.Context(), sess.ID, say("What does printf hi print?"))
	if err != nil {
		t.Fatal(err)
	}
	var ids []string // of the events, in order, previews left out
	var seen []string
	var preview, answer, result string
	for stream.Next() {
		e := stream.Current()
		switch e.Type {
		case "event_start":
			continue
		case "event_delta":
			preview += e.AsEventDelta().Delta.Content.Text
			continue
		case "agent.message":
			answer = e.AsAgentMessage().Content[0].Text
		case "agent.tool_result":
			result = e.AsAgentToolResult().Content[0].Text
		}
		if !slices.Contains(ids, e.ID) { // a message comes twice: queued and stamped
			ids, seen = append(ids, e.ID), append(seen, e.Type)
		}
		if e.Type == "session.status_idle" {
			if got := e.AsSessionStatusIdle().StopReason.Type; got != "end_turn" {
				t.Errorf("stop reason = %q", got)
			}
			break
		}
	}
	if err := stream.Err(); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"user.message", "session.status_running", "span.model_request_start", "agent.tool_use", "span.model_request_end",
		"agent.tool_result", "span.model_request_start", "agent.message", "span.model_request_end", "session.usage", "session.status_idle",
	}
	if d := cmp.Diff(want, seen); d != "" {
		t.Fatalf("events (-want +got):\n%s", d)
	}
	if ids[0] != sent.Data[0].ID || answer != "It printed hi." || result != "hi" {
		t.Errorf("sent %s, answer %q, result %q", sent.Data[0].ID, answer, result)
	}
	if preview != "" && preview != answer {
		t.Errorf("preview = %q", preview)
	}

	var listed []string
	pages := client.Beta.Sessions.Events.ListAutoPaging(t.Context(), sess.ID, anthropic.BetaSessionEventListParams{Limit: anthropic.Int(4)})
	for pages.Next() {
		listed = append(listed, pages.Current().ID)
	}
	if err := pages.Err(); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(ids, listed); d != "" {
		t.Errorf("listed (-streamed +listed):\n%s", d)
	}
	after, err := client.Beta.Sessions.Get(t.Context(), sess.ID, anthropic.BetaSessionGetParams{})
	if err != nil || after.Status != anthropic.BetaManagedAgentsSessionStatusIdle || after.Usage.InputTokens != 20 {
		t.Errorf("session = %v, %v", after, err)
	}
}

// TestOfficialSDKSendsBeforeItWatches, as the SDK's own first example does.
func TestOfficialSDKSendsBeforeItWatches(t *testing.T) {
	t.Parallel()
	srv := apptest.Start(t, fake.Say("Quick."))
	client, _ := sdk(t, srv)
	_, sess := parts(t, client)
	if _, err := client.Beta.Sessions.Events.Send(t.Context(), sess.ID, say("Hi")); err != nil {
		t.Fatal(err)
	}
	stream := client.Beta.Sessions.Events.StreamEvents(t.Context(), sess.ID, anthropic.BetaSessionEventStreamParams{})
	defer func() { _ = stream.Close() }()
	answer := ""
	for stream.Next() {
		if e := stream.Current(); e.Type == "agent.message" {
			answer = e.AsAgentMessage().Content[0].Text
		} else if e.Type == "session.status_idle" {
			break
		}
	}
	if answer != "Quick." || stream.Err() != nil {
		t.Errorf("answer = %q, %v", answer, stream.Err())
	}
}

// TestOfficialSDKDoesNotRepeatWhatCannotWork: a lost race for an agent's version is told once.
func TestOfficialSDKDoesNotRepeatWhatCannotWork(t *testing.T) {
	t.Parallel()
	srv := apptest.Start(t)
	client, requests := sdk(t, srv)
	agent, sess := parts(t, client)
	update := func(version int64, change anthropic.BetaAgentUpdateParams) error {
		change.Version = anthropic.Int(version)
		_, err := client.Beta.Agents.Update(t.Context(), agent.ID, change)
		return err
	}
	if err := update(1, anthropic.BetaAgentUpdateParams{System: param.Null[string](), Metadata: map[string]string{"a": "1"}}); err != nil {
		t.Fatal(err)
	}
	before := *requests
	err := update(1, anthropic.BetaAgentUpdateParams{Name: anthropic.String("x")})
	var refused *anthropic.Error
	if !errors.As(err, &refused) || refused.StatusCode != http.StatusConflict || refused.RequestID == "" || *requests != before+1 {
		t.Errorf("%d requests, error %v", *requests-before, err)
	}
	newest, err := client.Beta.Agents.Get(t.Context(), agent.ID, anthropic.BetaAgentGetParams{})
	if err != nil || newest.Version != 2 || newest.JSON.System.Valid() || newest.Metadata["a"] != "1" {
		t.Errorf("agent = %v, %v", newest, err)
	}
	old, err := client.Beta.Agents.Get(t.Context(), agent.ID, anthropic.BetaAgentGetParams{Version: anthropic.Int(1)})
	if err != nil || old.System != "Be brief." {
		t.Errorf("version 1 = %v, %v", old, err)
	}
	if versions, err := client.Beta.Agents.Versions.List(t.Context(), agent.ID, anthropic.BetaAgentVersionListParams{}); err != nil || len(versions.Data) != 2 {
		t.Errorf("versions = %v, %v", versions, err)
	}
	if _, err := client.Beta.Sessions.Update(t.Context(), sess.ID, anthropic.BetaSessionUpdateParams{Title: anthropic.String("New")}); err != nil {
		t.Error(err)
	}
	sessions, err := client.Beta.Sessions.List(t.Context(), anthropic.BetaSessionListParams{AgentID: anthropic.String(agent.ID), Statuses: []string{"idle"}})
	if err != nil || len(sessions.Data) != 1 || sessions.Data[0].Title != "New" {
		t.Errorf("sessions = %v, %v", sessions, err)
	}
	if archived, err := client.Beta.Sessions.Archive(t.Context(), sess.ID, anthropic.BetaSessionArchiveParams{}); err != nil || archived.ArchivedAt.IsZero() {
		t.Errorf("archived = %v, %v", archived, err)
	}
	if gone, err := client.Beta.Sessions.Delete(t.Context(), sess.ID, anthropic.BetaSessionDeleteParams{}); err != nil || gone.ID != sess.ID {
		t.Errorf("deleted = %v, %v", gone, err)
	}
	if models, err := client.Beta.Models.List(t.Context(), anthropic.BetaModelListParams{Limit: anthropic.Int(2)}); err != nil || len(models.Data) != 2 || !models.HasMore {
		t.Errorf("models = %v, %v", models, err)
	}
	if m, err := client.Beta.Models.Get(t.Context(), apptest.Model, anthropic.BetaModelGetParams{}); err != nil || m.ID != apptest.Model {
		t.Errorf("model = %v, %v", m, err)
	}
}

// TestEveryFieldOfTheSDKIsKnown sends each member that the SDK can send, as null, and wants no complaint
// that it is unknown. What is then missing or not supported is another matter.
func TestEveryFieldOfTheSDKIsKnown(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := claude(s)
	agent, sess := c.agent(t, ""), c.session(t, "")
	inAgent := func(member string) func(string) string {
		return func(object string) string { return `{"name":"a","model":"scripted","` + member + `":` + object + `}` }
	}
	inTools := func(object string) string { return inAgent("tools")("[" + object + "]") }
	inToolset := func(member string) func(string) string {
		return func(object string) string {
			return inTools(`{"type":"agent_toolset_20260401","` + member + `":` + object + `}`)
		}
	}
	inSession := func(object string) string { return `{"environment_id":"x","agent":` + object + `}` }
	inEvents := func(object string) string { return `{"events":[` + object + `]}` }
	inContent := func(object string) string {
		return inEvents(`{"type":"user.custom_tool_result","content":[` + object + `]}`)
	}
	events, use := "/sessions/"+sess+"/events", "sevt_0198c1d2000070008000000000000001"
	self := func(object string) string { return object }
	store := "/memory_stores/memstore_0198c1d2000070008000000000000001"
	for _, tc := range []struct {
		params any
		set    string // members that are not null, so that the rest is looked at
		path   string
		wrap   func(string) string
		open   bool
	}{
		{anthropic.BetaAgentNewParams{}, ``, "/agents", self, false},
		{anthropic.BetaAgentUpdateParams{}, ``, "/agents/" + agent, self, false},
		{anthropic.BetaManagedAgentsModelConfigParams{}, `"id":"scripted"`, "/agents", inAgent("model"), false},
		{anthropic.BetaManagedAgentsAgentToolset20260401Params{}, `"type":"agent_toolset_20260401"`, "/agents", inTools, false},
		{anthropic.BetaManagedAgentsAgentToolsetDefaultConfigParams{}, ``, "/agents", inToolset("default_config"), false},
		{anthropic.BetaManagedAgentsBashToolConfigParams{}, `"name":"bash"`, "/agents", func(o string) string { return inToolset("configs")("[" + o + "]") }, false},
		{anthropic.BetaManagedAgentsWebFetchToolConfigParams{}, `"name":"web_fetch"`, "/agents", func(o string) string { return inToolset("configs")("[" + o + "]") }, false},
		{anthropic.BetaManagedAgentsWebSearchToolConfigParams{}, `"name":"web_search"`, "/agents", func(o string) string { return inToolset("configs")("[" + o + "]") }, false},
		{anthropic.BetaManagedAgentsMCPToolsetParams{}, `"type":"mcp_toolset"`, "/agents", inTools, false},
		{anthropic.BetaManagedAgentsCustomToolParams{}, `"type":"custom"`, "/agents", inTools, false},
		{anthropic.BetaManagedAgentsURLMCPServerParams{}, ``, "/agents", func(o string) string { return inAgent("mcp_servers")("[" + o + "]") }, false},
		{anthropic.BetaManagedAgentsCustomSkillParams{}, ``, "/agents", func(o string) string { return inAgent("skills")("[" + o + "]") }, false},
		{anthropic.BetaManagedAgentsMultiagentCoordinatorParams{}, `"type":"coordinator"`, "/agents", inAgent("multiagent"), false},
		{anthropic.BetaManagedAgentsAgentParams{}, `"type":"agent"`, "/agents", func(o string) string {
			return inAgent("multiagent")(`{"type":"coordinator","agents":[` + o + `]}`)
		}, false},
		{anthropic.BetaManagedAgentsAdvisorParams{}, `"type":"advisor"`, "/agents", func(o string) string {
			return inAgent("multiagent")(`{"type":"coordinator","agents":[` + o + `]}`)
		}, false},
		{anthropic.BetaEnvironmentNewParams{}, ``, "/environments", self, false},
		{anthropic.BetaEnvironmentUpdateParams{}, ``, "/environments/env_0198c1d2000070008000000000000001", self, false},
		{anthropic.BetaCloudConfigParams{}, `"type":"cloud"`, "/environments", inEnvironment("config"), false},
		{anthropic.BetaLimitedNetworkParams{}, `"type":"limited"`, "/environments", func(o string) string { return inEnvironment("config")(`{"type":"cloud","networking":` + o + `}`) }, false},
		{anthropic.BetaPackagesParams{}, ``, "/environments", func(o string) string { return inEnvironment("config")(`{"type":"cloud","packages":` + o + `}`) }, false},
		{anthropic.BetaMemoryStoreNewParams{}, ``, "/memory_stores", self, false},
		{anthropic.BetaMemoryStoreUpdateParams{}, `"name":"a"`, store, self, false},
		{anthropic.BetaMemoryStoreMemoryNewParams{}, `"content":""`, store + "/memories", self, false},
		{anthropic.BetaMemoryStoreMemoryUpdateParams{}, ``, store + "/memories/mem_0198c1d2000070008000000000000001", self, false},
		{anthropic.BetaManagedAgentsPreconditionParam{}, `"type":"content_sha256","content_sha256":""`, store + "/memories/mem_0198c1d2000070008000000000000001", func(o string) string {
			return `{"precondition":` + o + `}`
		}, false},
		{anthropic.BetaSessionNewParams{}, ``, "/sessions", self, false},
		{anthropic.BetaSessionUpdateParams{}, ``, "/sessions/" + sess, self, false},
		{anthropic.BetaManagedAgentsAgentParams{}, `"type":"agent","id":"` + agent + `"`, "/sessions", inSession, false},
		{anthropic.BetaManagedAgentsAgentWithOverridesParams{}, `"type":"agent_with_overrides","id":"` + agent + `","model":"scripted"`, "/sessions", inSession, false},
		{anthropic.BetaManagedAgentsUserMessageEventParams{}, `"type":"user.message"`, events, inEvents, false},
		{anthropic.BetaManagedAgentsUserInterruptEventParams{}, `"type":"user.interrupt"`, events, inEvents, false},
		{anthropic.BetaManagedAgentsUserToolConfirmationEventParams{}, `"type":"user.tool_confirmation","result":"allow","tool_use_id":"` + use + `"`, events, inEvents, false},
		{anthropic.BetaManagedAgentsUserCustomToolResultEventParams{}, `"type":"user.custom_tool_result","custom_tool_use_id":"` + use + `"`, events, inEvents, false},
		{anthropic.BetaManagedAgentsUserToolResultEventParams{}, `"type":"user.tool_result","tool_use_id":"` + use + `"`, events, inEvents, false},
		{anthropic.BetaManagedAgentsUserDefineOutcomeEventParams{}, `"type":"user.define_outcome","description":"","rubric":{"type":"text","content":"r"}`, events, inEvents, false},
		{anthropic.BetaManagedAgentsTextRubricParams{}, `"type":"text","content":""`, events, func(o string) string {
			return inEvents(`{"type":"user.define_outcome","description":"d","rubric":` + o + `}`)
		}, false},
		{anthropic.BetaManagedAgentsSystemMessageEventParams{}, `"type":"system.message"`, events, inEvents, false},
		{anthropic.BetaManagedAgentsBudgetLimitParam{}, `"type":"limit","max_list_cost":{"amount":"1","currency":"USD"}`, "/sessions/" + sess, func(o string) string { return `{"budget":` + o + `}` }, false},
		{anthropic.BetaMonetaryAmountParam{}, `"amount":"1","currency":"USD"`, "/sessions/" + sess, func(o string) string {
			return `{"budget":{"type":"limit","max_list_cost":` + o + `}}`
		}, false},
		{anthropic.BetaManagedAgentsDocumentBlockParam{}, `"type":"document"`, events, inContent, true},
		{anthropic.BetaManagedAgentsSearchResultBlockParam{}, `"type":"search_result"`, events, inContent, true},
	} {
		of := reflect.TypeOf(tc.params)
		t.Run(of.Name()+" "+tc.path, func(t *testing.T) {
			t.Parallel()
			object := "{" + tc.set
			for i := range of.NumField() {
				member, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
				if member == "" || member == "-" || strings.Contains(tc.set, `"`+member+`":`) {
					continue
				}
				object += `,"` + member + `":null`
			}
			object = strings.Replace(object, "{,", "{", 1)
			if a := c.do(t, "POST", tc.path, tc.wrap(object+"}")); strings.Contains(a.raw, "unknown field") {
				t.Errorf("%s", a.raw)
			}
			// Content may have any members. All others are closed, or this proves nothing.
			if a := c.do(t, "POST", tc.path, tc.wrap(object+`,"zz":1}`)); !tc.open && !strings.Contains(a.raw, "zz: unknown field") {
				t.Errorf("the control was not refused: %s", a.raw)
			}
		})
	}
}

func inEnvironment(member string) func(string) string {
	return func(object string) string { return `{"name":"a","` + member + `":` + object + `}` }
}
