package turn

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/reeve-ai/reeve/internal/core"
)

// runTools answers every tool use that is this server's to answer, side by side. Each result is
// appended as it comes. An interrupt does not stop a tool of our own: it takes effect behind it. A call to an
// MCP server it does stop, since nobody knows how long that would take.
func (v *run) runTools(ctx context.Context) error {
	v.mu.Lock()
	ours, _ := v.openUses()
	v.mu.Unlock()
	ours, err := v.runTeamTools(ctx, ours)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(v.opts.MaxParallelTools)
	wakeable, stop := v.alarm.interruptible(ctx)
	defer stop()
	for _, u := range ours {
		group.Go(func() (err error) {
			defer func() { // this goroutine's panic would end the process
				if p := recover(); p != nil {
					err = brokenError{fmt.Errorf("panic: %v\n%s", p, debug.Stack())}
				}
			}()
			if v.tools.entries[u.called()].advisor && u.InputError == "" {
				return v.consult(ctx, wakeable, u)
			}
			began := v.now()
			out, err := v.answer(ctx, wakeable, u)
			if err != nil {
				return err
			}
			took := v.now().Sub(began)
			return v.writeResult(ctx, u, out, took)
		})
	}
	return group.Wait()
}

func (v *run) result(u *use, out core.ToolOutput, took time.Duration) core.Draft {
	content := out.Content
	if content == nil {
		content = []core.Block{}
	}
	return v.draft(core.EventAgentToolResult, core.ToolResult{ToolUse: u.event, Content: content, IsError: out.IsError, TookMS: took.Milliseconds()})
}

// unknownOutcome is what the model reads of a tool that may have run.
const unknownOutcome = "The server restarted while this ran. Whether it finished, and how far it got, is unknown: check before you repeat it."

// answer is what the model gets for one tool use. wakeable ends before ctx if a client interrupts. An error
// means that this run must stop.
func (v *run) answer(ctx, wakeable context.Context, u *use) (core.ToolOutput, error) {
	e, known := v.tools.entries[u.called()]
	switch {
	case !known && u.Kind == core.ToolsetMCP && u.Permission != "deny" && !u.refused:
		return v.answerAway(u), nil
	case !known && u.Kind != core.ToolsetMCP:
		return refusal("There is no tool named %q.", u.Name), nil
	case u.InputError != "":
		return refusal("Not run: %s.", u.InputError), nil
	case u.Permission == "deny":
		return refusal("Not run: the policy of this agent denies %s.", u.Name), nil
	case u.refused && u.reason != "":
		return refusal("Not run: the user refused it and said: %s", u.reason), nil
	case u.refused:
		return refusal("Not run: the user refused it."), nil
	case u.maybeRan && !e.tool.Repeatable():
		return refusal(unknownOutcome), nil
	}
	stoppable := ctx
	if e.kind == core.ToolsetMCP {
		stoppable = wakeable
	}
	out, err := v.invoke(stoppable, e.tool, u)
	if ctx.Err() != nil {
		return core.ToolOutput{}, ctx.Err()
	}
	if err != nil && stoppable.Err() != nil {
		return refusal("The user interrupted. Whether this ran, and how far, is unknown."), nil
	}
	if err != nil {
		v.log.Error("tool failed", "tool", u.Name, "use", u.event, "err", err)
		return refusal("The tool could not do its part: %s", shown(err)), nil
	}
	out.Content = v.fit(ctx, u.event, out.Content)
	return out, nil
}

// answerAway answers a use of a tool that its MCP server does not offer now.
func (v *run) answerAway(u *use) core.ToolOutput {
	switch r := v.remote(u.Server); {
	case u.maybeRan:
		return refusal(unknownOutcome)
	case r != nil && r.fault != nil:
		return refusal("Not run: the MCP server %q cannot be used now: %s.", u.Server, r.fault.Message)
	}
	return refusal("Not run: the MCP server %q has no tool named %q any more.", u.Server, u.Name)
}

// invoke runs the tool and turns its panic into an error.
func (v *run) invoke(ctx context.Context, tool core.Tool, u *use) (out core.ToolOutput, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("tool %s panicked: %v\n%s", u.Name, p, debug.Stack())
		}
	}()
	return tool.Run(ctx, core.ToolEnv{
		Project: v.lease.Project, Session: v.lease.Session, Now: v.now(),
		Settings: v.tools.entries[u.called()].settings, Keep: v.keeper(u.event),
		Sandbox: v.sandbox,
	}, u.Input)
}

// sandbox opens the session's workspace and the sandbox in it.
func (v *run) sandbox(ctx context.Context) (core.Sandbox, error) {
	v.touched.Store(true)
	sess := v.session()
	w, err := v.opts.Workspaces.Open(ctx, sess)
	if err != nil {
		return nil, err
	}
	return v.furnished(ctx, sess, core.SandboxSpec{
		Session: v.lease.Session, Folder: w.Folder, Mounts: w.Mounts, Env: sess.EnvVars, Limits: v.opts.SandboxLimits,
	})
}

func refusal(format string, args ...any) core.ToolOutput {
	return core.ToolOutput{Content: core.Text(fmt.Sprintf(format, args...)), IsError: true}
}

// shown is what of an error the model may read.
func shown(err error) string {
	if fault := modelFault(err); fault.Type == core.ModelFailed {
		return fault.Message
	}
	return "an internal error; it was logged"
}
