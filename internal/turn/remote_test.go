package turn_test

import (
	"context"
	"log/slog"
	"net/netip"
	"testing"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/egress"
	"github.com/reeve-ai/reeve/internal/session"
	"github.com/reeve-ai/reeve/internal/tool/mcp"
	"github.com/reeve-ai/reeve/internal/tool/mcp/mcptest"
	"github.com/reeve-ai/reeve/internal/turn"
)

// keyless is a project without vaults.
type keyless struct{}

func (keyless) Token(context.Context, core.ProjectID, []core.VaultID, string, string) (string, error) {
	return "", nil
}

// withServers runs the client of MCP servers until the test ends.
func (h *house) withServers(t *testing.T) {
	t.Helper()
	pool := mcp.NewPool(keyless{}, mcp.Options{
		Egress: egress.Options{AllowPrivate: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}, Log: slog.New(slog.DiscardHandler),
	})
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1) // holds the one result
	go func() { ended <- pool.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		need(t, <-ended)
	})
	h.mcp = pool
}

// uses gives an agent two servers. The second has no tools for it, because nothing answers there.
func uses(url string) func(*core.AgentSpec) {
	return func(spec *core.AgentSpec) {
		spec.MCPServers = []core.MCPServer{{Type: "url", Name: "tracker", URL: url}, {Type: "url", Name: "gone", URL: "http://127.0.0.1:1/mcp"}}
		spec.Tools = append(spec.Tools, core.Toolset{Kind: core.ToolsetMCP, Server: "gone"}, core.Toolset{
			Kind: core.ToolsetMCP, Server: "tracker", Default: core.ToolConfig{Policy: core.PolicyAllow},
			Configs: []core.ToolConfig{{Name: "echo", Policy: core.PolicyAsk}},
		})
	}
}

func TestMCPUsesSurviveACutAfterAnyTransaction(t *testing.T) {
	t.Parallel()
	for n := int64(0); ; n++ {
		tracker := mcptest.Serve(t)
		h := buildWith(t, reactor(), toolset{}, uses(tracker.URL+"/mcp"))
		h.withServers(t)
		who := &client{first: []session.Input{message("use mcp__tracker__add mcp__tracker__look mcp__tracker__echo mcp__gone__x")}}
		ctx, cancel := context.WithCancel(t.Context())
		first := h.open(newFrail(h.db, n, cancel), turn.Options{})
		end := first.run(t)
		whole := who.drive(ctx, t, first)
		cancel()
		end()
		if !whole {
			second := h.open(newFrail(h.db, 1000, func() {}), turn.Options{})
			end := second.run(t)
			if !who.drive(t.Context(), t, second) {
				t.Fatalf("cut after %d: the session never rests", n)
			}
			end()
		}
		checkLog(t, h, n, 1, 2)
		faults := map[core.TurnID]int{}
		for _, e := range h.log(t) {
			if e.Type != core.EventSessionError {
				continue
			}
			fault, err := core.Payload[core.SessionError](e)
			need(t, err)
			if faults[e.Turn]++; faults[e.Turn] > 1 || fault.Server != "gone" || fault.Type != core.MCPConnectionFailed {
				t.Errorf("cut after %d: error %s in turn %s", n, e.Data, e.Turn)
			}
		}
		if len(faults) != 2 { // the second begins with the confirmation
			t.Errorf("cut after %d: errors in %d turns, want 2", n, len(faults))
		}
		if add, echo := tracker.Calls("add"), tracker.Calls("echo"); add > 1 || echo > 1 || whole && (add != 1 || echo != 1) {
			t.Errorf("cut after %d: add ran %d times, echo %d", n, add, echo)
		}
		tracker.Stop()
		if whole || t.Failed() {
			t.Logf("%d cuts", n)
			return
		}
	}
}
