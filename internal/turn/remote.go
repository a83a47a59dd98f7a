package turn

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/reeve-ai/reeve/internal/core"
)

// remote is an MCP server of the agent, as far as this run has it.
type remote struct {
	server core.MCPServer
	conn   core.MCPConnection // nil: not reached
	tools  []core.MCPTool     // as last listed
	fault  *core.MCPError     // why it cannot be used; nil: it can
	called atomic.Bool        // one of its tools was called since they were listed
}

// remoteTool is one tool of an MCP server.
type remoteTool struct {
	*remote
	spec core.ToolSpec
	what core.MCPTool
}

// Spec implements core.Tool.
func (t remoteTool) Spec() core.ToolSpec { return t.spec }

// Repeatable implements core.Tool. It believes the server, which knows best and has to live with it.
func (t remoteTool) Repeatable() bool { return t.what.Repeatable }

// Run implements core.Tool.
func (t remoteTool) Run(ctx context.Context, _ core.ToolEnv, input json.RawMessage) (core.ToolOutput, error) {
	t.called.Store(true)
	return t.conn.Call(ctx, t.what.Name, input)
}

// remotesOf lists the servers that an agent uses, in the order of its tools.
func remotesOf(spec core.AgentSpec) []*remote {
	var out []*remote
	for _, set := range spec.Tools {
		i := slices.IndexFunc(spec.MCPServers, func(s core.MCPServer) bool { return s.Name == set.Server })
		if set.Kind == core.ToolsetMCP && i >= 0 {
			out = append(out, &remote{server: spec.MCPServers[i]})
		}
	}
	return out
}

// owesReach reports whether the servers are still to be reached in this turn.
func (v *run) owesReach() bool { return len(v.remotes) > 0 && v.reached != v.t.turn }

// reach connects to the agent's servers and lists their tools, once in a turn, side by side. Those that cannot
// be reached are told to the client, and the turn goes on without them (claude-managed-agents.md section
// 5.2). An interrupt ends it; then it is done again if the turn needs it.
func (v *run) reach(ctx context.Context) error {
	wakeable, stop := v.alarm.interruptible(ctx)
	defer stop()
	if err := v.each(wakeable, v.remotes, v.connect); err != nil {
		return err
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case wakeable.Err() != nil:
		return nil
	}
	turn := v.t.turn
	err := v.write(ctx, func(core.Store) ([]core.Draft, error) {
		var drafts []core.Draft
		for _, r := range v.remotes {
			if r.fault != nil && !v.t.failed[r.server.Name] {
				drafts = append(drafts, v.draft(core.EventSessionError, core.SessionError{
					Type: r.fault.Type, Retry: "retrying", Server: r.server.Name,
					Message: fmt.Sprintf("The MCP server %q cannot be used: %s. The turn goes on without its tools; the next turn tries again.", r.server.Name, r.fault.Message),
				}))
			}
		}
		return drafts, nil
	})
	if err != nil {
		return err
	}
	v.reached = turn
	v.equip()
	return nil
}

// connect brings one server up to date. That the context has ended is no fault of the server.
func (v *run) connect(ctx context.Context, r *remote) {
	var fault *core.MCPError
	err := v.list(ctx, r)
	if errors.As(err, &fault) {
		r.fault = fault
	} else if err != nil && ctx.Err() == nil {
		v.log.Error("mcp server not reached", "mcp_server", r.server.Name, "err", err)
		r.fault = &core.MCPError{Type: core.MCPConnectionFailed, Message: "an internal error; it was logged"}
	}
}

func (v *run) list(ctx context.Context, r *remote) error {
	if r.conn == nil {
		if v.opts.MCP == nil {
			return &core.MCPError{Type: core.MCPConnectionFailed, Message: "this server connects to none"}
		}
		vaults := make([]core.VaultID, len(v.sess.VaultIDs))
		for i, id := range v.sess.VaultIDs {
			vaults[i] = core.VaultID(id)
		}
		conn, err := v.opts.MCP.Connect(ctx, core.MCPTarget{Project: v.lease.Project, Session: v.lease.Session, Vaults: vaults, Server: r.server})
		if err != nil {
			return err
		}
		r.conn = conn
	}
	tools, err := r.conn.Tools(ctx)
	if err != nil {
		return err
	}
	r.tools, r.fault = tools, nil
	r.called.Store(false)
	return nil
}

// relist looks at the tools of those servers again whose list may have changed with the calls of this step.
// What cannot be had stays as it was.
func (v *run) relist(ctx context.Context) error {
	var due []*remote
	for _, r := range v.remotes {
		if r.conn != nil && r.fault == nil && r.called.Load() && r.conn.Changes() {
			due = append(due, r)
		}
	}
	if len(due) == 0 {
		return nil
	}
	wakeable, stop := v.alarm.interruptible(ctx)
	defer stop()
	err := v.each(wakeable, due, func(ctx context.Context, r *remote) {
		if err := v.list(ctx, r); err != nil && ctx.Err() == nil {
			v.log.Warn("tools of an mcp server could not be listed again", "mcp_server", r.server.Name, "err", err)
		}
	})
	if err != nil {
		return err
	}
	v.equip()
	return ctx.Err()
}

// each does something with several servers at one time.
func (v *run) each(ctx context.Context, remotes []*remote, do func(context.Context, *remote)) error {
	var group errgroup.Group
	for _, r := range remotes {
		group.Go(func() (err error) {
			defer func() { // this goroutine's panic would end the process
				if p := recover(); p != nil {
					err = brokenError{fmt.Errorf("panic: %v\n%s", p, debug.Stack())}
				}
			}()
			do(ctx, r)
			return nil
		})
	}
	return group.Wait()
}

// leave gives the connections back.
func (v *run) leave() {
	for _, r := range v.remotes {
		if r.conn != nil {
			r.conn.Release()
		}
	}
}

// remote returns the agent's server of this name, or nil.
func (v *run) remote(name string) *remote {
	for _, r := range v.remotes {
		if r.server.Name == name {
			return r
		}
	}
	return nil
}
