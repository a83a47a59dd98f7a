package managed_test

import (
	"testing"

	"github.com/anthropics/anthropic-sdk-go"

	"github.com/reeve-ai/reeve/internal/app/apptest"
	"github.com/reeve-ai/reeve/internal/config"
	"github.com/reeve-ai/reeve/internal/provider/fake"
	"github.com/reeve-ai/reeve/internal/tool/mcp/mcptest"
)

// TestOfficialSDKUsesToolsOfMCPServers: two servers, of which one is away and one wants to be asked.
func TestOfficialSDKUsesToolsOfMCPServers(t *testing.T) {
	t.Parallel()
	tracker, away := mcptest.Serve(t), mcptest.Serve(t)
	away.Require("unknown")
	srv := apptest.StartWith(t, fake.New(fake.CallTool("mcp__tracker__echo", `{"text":"hi"}`), fake.Say("It says hi.")),
		apptest.WithConfig(func(c *config.Config) { c.Egress.AllowPrivate = []string{"127.0.0.1/32"} }))
	client, _ := sdk(t, srv)
	server := func(name, url string) anthropic.BetaManagedAgentsURLMCPServerParams {
		return anthropic.BetaManagedAgentsURLMCPServerParams{Type: anthropic.BetaManagedAgentsURLMCPServerParamsTypeURL, Name: name, URL: url}
	}
	toolset := func(name string) anthropic.BetaAgentNewParamsToolUnion {
		return anthropic.BetaAgentNewParamsToolUnion{OfMCPToolset: &anthropic.BetaManagedAgentsMCPToolsetParams{
			Type: anthropic.BetaManagedAgentsMCPToolsetParamsTypeMCPToolset, MCPServerName: name,
		}}
	}
	agent, err := client.Beta.Agents.New(t.Context(), anthropic.BetaAgentNewParams{
		Name: "SDK agent", Model: anthropic.BetaManagedAgentsModelConfigParams{ID: apptest.Model},
		MCPServers: []anthropic.BetaManagedAgentsURLMCPServerParams{server("tracker", tracker.URL+"/mcp"), server("away", away.URL+"/sse")},
		Tools:      []anthropic.BetaAgentNewParamsToolUnion{toolset("tracker"), toolset("away")},
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
	})
	if err != nil {
		t.Fatal(err)
	}
	stream := client.Beta.Sessions.Events.StreamEvents(t.Context(), sess.ID, anthropic.BetaSessionEventStreamParams{})
	defer func() { _ = stream.Close() }()
	if _, err := client.Beta.Sessions.Events.Send(t.Context(), sess.ID, say("Use it.")); err != nil {
		t.Fatal(err)
	}
	var use anthropic.BetaManagedAgentsAgentMCPToolUseEvent
	var result anthropic.BetaManagedAgentsAgentMCPToolResultEvent
	var faults []anthropic.BetaManagedAgentsMCPAuthenticationFailedError
	for asked := false; stream.Next(); {
		e := stream.Current()
		switch e.Type {
		case "agent.mcp_tool_use":
			use = e.AsAgentMCPToolUse()
		case "agent.mcp_tool_result":
			result = e.AsAgentMCPToolResult()
		case "session.error":
			faults = append(faults, e.AsSessionError().Error.AsMCPAuthenticationFailedError())
		}
		if e.Type != "session.status_idle" {
			continue
		}
		stop := e.AsSessionStatusIdle().StopReason
		if asked {
			if stop.Type != "end_turn" {
				t.Errorf("stop reason = %q", stop.Type)
			}
			break
		}
		asked = true
		if stop.Type != "requires_action" || stop.EventIDs[0] != use.ID {
			t.Fatalf("stop reason = %s", stop.RawJSON())
		}
		if _, err := client.Beta.Sessions.Events.Send(t.Context(), sess.ID, anthropic.BetaSessionEventSendParams{Events: []anthropic.BetaManagedAgentsEventParamsUnion{{
			OfUserToolConfirmation: &anthropic.BetaManagedAgentsUserToolConfirmationEventParams{
				Type:      anthropic.BetaManagedAgentsUserToolConfirmationEventParamsTypeUserToolConfirmation,
				ToolUseID: use.ID, Result: anthropic.BetaManagedAgentsUserToolConfirmationEventParamsResultAllow,
			},
		}}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := stream.Err(); err != nil {
		t.Fatal(err)
	}
	if use.MCPServerName != "tracker" || use.Name != "echo" || use.Input["text"] != "hi" || use.EvaluatedPermission != anthropic.BetaManagedAgentsAgentEvaluatedPermissionAsk {
		t.Errorf("use = %s", use.RawJSON())
	}
	if result.MCPToolUseID != use.ID || result.IsError || result.Content[0].Text != "echo: hi" {
		t.Errorf("result = %s", result.RawJSON())
	}
	if len(faults) != 2 { // the second turn begins with the confirmation
		t.Fatalf("%d errors", len(faults))
	}
	if f := faults[0]; f.MCPServerName != "away" || f.Message == "" || f.RetryStatus.Type != "retrying" {
		t.Errorf("error = %s", f.RawJSON())
	}
}
