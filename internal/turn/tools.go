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
// appended as it comes. An interrupt does not stop a tool: it takes effect behind it.
func (v *run) runTools(ctx context.Context) error {
	v.mu.Lock()
	ours, _ := v.openUses()
	v.mu.Unlock()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(v.opts.MaxParallelTools)
	for _, u := range ours {
		group.Go(func() (err error) {
			defer func() { // this goroutine's panic would end the process
				if p := recover(); p != nil {
					err = brokenError{fmt.Errorf("panic: %v\n%s", p, debug.Stack())}
				}
			}()
			began := v.now()
			out, err := v.answer(ctx, u)
			if err != nil {
				return err
			}
			took := v.now().Sub(began)
			return v.write(ctx, func(core.Store) ([]core.Draft, error) {
				return []core.Draft{v.result(u, out, took)}, nil
			})
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

// answer is what the model gets for one tool use. An error means that this run must stop.
func (v *run) answer(ctx context.Context, u *use) (core.ToolOutput, error) {
	e, known := v.tools.entries[u.Name]
	switch {
	case !known:
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
		return refusal("The server restarted while this ran. Whether it finished, and how far it got, is unknown: check before you repeat it."), nil
	}
	out, err := v.invoke(ctx, e.tool, u)
	if ctx.Err() != nil {
		return core.ToolOutput{}, ctx.Err()
	}
	if err != nil {
		v.log.Error("tool failed", "tool", u.Name, "use", u.event, "err", err)
		return refusal("The tool could not do its part: %s", shown(err)), nil
	}
	return out, nil
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
		Sandbox: func(ctx context.Context) (core.Sandbox, error) {
			return v.sandboxes.Sandbox(ctx, core.SandboxSpec{
				Session: v.lease.Session, Folder: v.opts.Workspace(v.lease.Project, v.lease.Session),
				Network: v.net && v.opts.SandboxNetwork, Env: v.sess.EnvVars, Limits: v.opts.SandboxLimits,
			})
		},
	}, u.Input)
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
