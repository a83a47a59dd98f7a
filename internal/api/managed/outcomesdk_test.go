package managed_test

import (
	"strings"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/app/apptest"
	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/provider/fake"
)

// half is what an answer uses that costs 50 cents with the model claude-opus-5: $5 and $25 for a million tokens.
var half = fake.Usage(core.Usage{InputTokens: 50_000, OutputTokens: 10_000})

// idleSession waits for a session to be idle and returns it with its events.
func idleSession(t *testing.T, client anthropic.Client, id string) (*anthropic.BetaManagedAgentsSession, []anthropic.BetaManagedAgentsSessionEventUnion) {
	t.Helper()
	stream := client.Beta.Sessions.Events.StreamEvents(t.Context(), id, anthropic.BetaSessionEventStreamParams{})
	defer func() { _ = stream.Close() }()
	sess, err := client.Beta.Sessions.Get(t.Context(), id, anthropic.BetaSessionGetParams{})
	need(t, err)
	for sess.Status != anthropic.BetaManagedAgentsSessionStatusIdle && stream.Next() {
		if stream.Current().Type == "session.status_idle" {
			sess, err = client.Beta.Sessions.Get(t.Context(), id, anthropic.BetaSessionGetParams{})
			need(t, err)
		}
	}
	page, err := client.Beta.Sessions.Events.List(t.Context(), id, anthropic.BetaSessionEventListParams{})
	need(t, err)
	return sess, page.Data
}

func TestOfficialSDKWorksTowardsAnOutcomeWithinABudget(t *testing.T) {
	t.Parallel()
	srv := apptest.Start(t,
		fake.Say("a title").And(half),
		fake.Say(`{"result":"needs_revision","explanation":"The sum is missing."}`).And(half),
		fake.Say("a title and a sum").And(half),
		fake.Say(`{"result":"satisfied","explanation":"All is there."}`).And(half),
	)
	client, _ := sdk(t, srv)
	ctx := t.Context()
	agent, err := client.Beta.Agents.New(ctx, anthropic.BetaAgentNewParams{Name: "Reporter", Model: anthropic.BetaManagedAgentsModelConfigParams{ID: "claude-opus-5"}})
	need(t, err)
	env, err := client.Beta.Environments.New(ctx, anthropic.BetaEnvironmentNewParams{Name: "box"})
	need(t, err)
	file, err := client.Beta.Files.Upload(ctx, anthropic.BetaFileUploadParams{File: strings.NewReader("It has a title and a sum.")})
	need(t, err)
	budget := func(cents string) anthropic.BetaManagedAgentsBudgetLimitParam {
		return anthropic.BetaManagedAgentsBudgetLimitParam{
			Type:        anthropic.BetaManagedAgentsBudgetLimitTypeLimit,
			MaxListCost: anthropic.BetaMonetaryAmountParam{Amount: cents, Currency: "USD"},
		}
	}
	sess, err := client.Beta.Sessions.New(ctx, anthropic.BetaSessionNewParams{
		Agent: anthropic.BetaSessionNewParamsAgentUnion{OfString: anthropic.String(agent.ID)}, EnvironmentID: env.ID, Budget: budget("100"),
	})
	need(t, err)
	if sess.Budget.MaxListCost.Amount != "100" || sess.Usage.ListCost.Amount != "0" {
		t.Errorf("new session: %s", sess.RawJSON())
	}
	sent, err := client.Beta.Sessions.Events.Send(ctx, sess.ID, anthropic.BetaSessionEventSendParams{Events: []anthropic.BetaManagedAgentsEventParamsUnion{{
		OfUserDefineOutcome: &anthropic.BetaManagedAgentsUserDefineOutcomeEventParams{
			Type: anthropic.BetaManagedAgentsUserDefineOutcomeEventParamsTypeUserDefineOutcome, Description: "Write a report.",
			Rubric: anthropic.BetaManagedAgentsUserDefineOutcomeEventParamsRubricUnion{
				OfFile: &anthropic.BetaManagedAgentsFileRubricParams{FileID: file.ID, Type: anthropic.BetaManagedAgentsFileRubricParamsTypeFile},
			},
		},
	}}})
	need(t, err)
	echo := sent.Data[0].AsUserDefineOutcome()
	if echo.MaxIterations != 3 || !strings.HasPrefix(echo.OutcomeID, "outc_") || echo.ProcessedAt.IsZero() || echo.Rubric.Content != "It has a title and a sum." {
		t.Errorf("echo: %s", echo.RawJSON())
	}
	sess, events := idleSession(t, client, sess.ID)
	last := events[len(events)-1].AsSessionStatusIdle()
	if last.StopReason.Type != "budget_reached" || sess.Usage.ListCost.Amount != "100" || sess.OutcomeEvaluations[0].Result != "running" {
		t.Fatalf("at the budget: %s, session %s", last.RawJSON(), sess.RawJSON())
	}
	if usage := events[len(events)-2].AsSessionUsage(); usage.Budget.MaxListCost.Amount != "100" || usage.Usage.ListCost.Amount != "100" {
		t.Errorf("usage: %s", usage.RawJSON())
	}
	if _, err = client.Beta.Sessions.Update(ctx, sess.ID, anthropic.BetaSessionUpdateParams{Budget: budget("100")}); err != nil {
		t.Errorf("the same budget again: %v", err)
	}
	if _, err = client.Beta.Sessions.Update(ctx, sess.ID, anthropic.BetaSessionUpdateParams{Budget: budget("99")}); err == nil {
		t.Error("a budget below the cost was taken")
	}
	raised, err := client.Beta.Sessions.Update(ctx, sess.ID, anthropic.BetaSessionUpdateParams{Budget: budget("1000")})
	need(t, err)
	if raised.Status != anthropic.BetaManagedAgentsSessionStatusRunning {
		t.Errorf("raised: %s", raised.RawJSON())
	}
	sess, events = idleSession(t, client, sess.ID)
	evaluation := sess.OutcomeEvaluations[0]
	if evaluation.Result != "satisfied" || evaluation.Iteration != 1 || evaluation.Explanation != "All is there." || evaluation.OutcomeID != echo.OutcomeID || evaluation.CompletedAt.IsZero() {
		t.Errorf("outcome: %s", evaluation.RawJSON())
	}
	var starts, results []string
	for _, e := range events {
		switch e := e.AsAny().(type) {
		case anthropic.BetaManagedAgentsSpanOutcomeEvaluationStartEvent:
			starts = append(starts, e.ID)
		case anthropic.BetaManagedAgentsSpanOutcomeEvaluationEndEvent:
			results = append(results, e.Result)
			if e.OutcomeEvaluationStartID != starts[len(starts)-1] || e.Usage.OutputTokens != 10_000 || e.OutcomeID != echo.OutcomeID {
				t.Errorf("end of an evaluation: %s", e.RawJSON())
			}
		}
	}
	if diff := cmp.Diff([]string{"needs_revision", "satisfied"}, results); diff != "" {
		t.Errorf("evaluations (-want +got):\n%s", diff)
	}
}

func TestOfficialSDKSystemMessageAndAgentOfASession(t *testing.T) {
	t.Parallel()
	srv := apptest.Start(t, fake.Say("hello"))
	client, _ := sdk(t, srv)
	ctx := t.Context()
	agent, err := client.Beta.Agents.New(ctx, anthropic.BetaAgentNewParams{Name: "Helper", Model: anthropic.BetaManagedAgentsModelConfigParams{ID: apptest.Model}})
	need(t, err)
	env, err := client.Beta.Environments.New(ctx, anthropic.BetaEnvironmentNewParams{Name: "box"})
	need(t, err)
	sess, err := client.Beta.Sessions.New(ctx, anthropic.BetaSessionNewParams{Agent: anthropic.BetaSessionNewParamsAgentUnion{OfString: anthropic.String(agent.ID)}, EnvironmentID: env.ID})
	need(t, err)
	changed, err := client.Beta.Sessions.Update(ctx, sess.ID, anthropic.BetaSessionUpdateParams{Agent: anthropic.BetaManagedAgentsSessionAgentUpdateParam{
		Tools: []anthropic.BetaManagedAgentsSessionAgentUpdateToolUnionParam{{OfCustom: &anthropic.BetaManagedAgentsCustomToolParams{
			Type: "custom", Name: "ask_me", Description: "asks", InputSchema: anthropic.BetaManagedAgentsCustomToolInputSchemaParam{Type: "object"},
		}}},
	}})
	need(t, err)
	if len(changed.Agent.Tools) != 1 {
		t.Errorf("agent: %s", changed.Agent.RawJSON())
	}
	_, err = client.Beta.Sessions.Events.Send(ctx, sess.ID, anthropic.BetaSessionEventSendParams{Events: []anthropic.BetaManagedAgentsEventParamsUnion{
		anthropic.BetaManagedAgentsEventParamsOfUserMessage([]anthropic.BetaManagedAgentsUserMessageEventParamsContentUnion{{
			OfText: &anthropic.BetaManagedAgentsTextBlockParam{Text: "Hi.", Type: anthropic.BetaManagedAgentsTextBlockTypeText},
		}}),
		anthropic.BetaManagedAgentsEventParamsOfSystemMessage([]anthropic.BetaManagedAgentsSystemContentBlockParam{{Text: "Be kind.", Type: "text"}}),
	}})
	need(t, err)
	_, events := idleSession(t, client, sess.ID)
	var seen []string
	for _, e := range events {
		switch e := e.AsAny().(type) {
		case anthropic.BetaManagedAgentsSystemMessageEvent:
			seen = append(seen, "system: "+e.Content[0].Text)
		case anthropic.BetaManagedAgentsSessionUpdatedEvent:
			seen = append(seen, "updated")
			if len(e.Agent.Tools) != 1 || e.JSON.Title.Valid() || e.JSON.Metadata.Valid() || e.JSON.Budget.Valid() {
				t.Errorf("updated: %s", e.RawJSON())
			}
		}
	}
	if diff := cmp.Diff([]string{"updated", "system: Be kind."}, seen); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	asked := srv.Fake.Requests()[0]
	if parts := asked.Messages[0].Parts; len(asked.Tools) != 1 || parts[len(parts)-1].System != "Be kind." {
		t.Errorf("the model was asked %+v", asked)
	}
}
