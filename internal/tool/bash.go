package tool

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// longestCommand keeps the sum of milliseconds within a Duration; the sandbox's own limit is shorter.
const longestCommand = 24 * time.Hour

type bash struct{}

func (bash) Spec() core.ToolSpec { return spec("bash") }

func (bash) Repeatable() bool { return false }

func (bash) Run(ctx context.Context, env core.ToolEnv, raw json.RawMessage) (core.ToolOutput, error) {
	in := readInput("bash", raw)
	cmd := core.BashCommand{Command: in.text("command"), Restart: in.flag("restart")}
	ms, timed := in.whole("timeout_ms")
	switch {
	case timed && ms <= 0:
		in.fault("timeout_ms must be at least 1")
	case strings.TrimSpace(cmd.Command) == "" && !cmd.Restart:
		in.fault("command is required unless restart is true")
	}
	if out, bad := in.refusal(); bad {
		return out, nil
	}
	cmd.Timeout = time.Duration(min(ms, longestCommand.Milliseconds())) * time.Millisecond
	sb, err := env.Sandbox(ctx)
	if err != nil {
		return failure(ctx, err)
	}
	res, err := sb.Bash(ctx, cmd)
	if err != nil {
		return failure(ctx, err)
	}
	if cmd.Command == "" && res.ExitCode == 0 && res.Output == "" {
		return say("The shell was restarted."), nil
	}
	out := say(bashText(fit(ctx, sb, res.Output), res))
	out.IsError = res.ExitCode != 0 || res.TimedOut
	return out, nil
}

// bashText puts below the output what the model cannot see in it. The exit code comes last: that is
// where the reference executor has it (Claude Managed Agents section 5.1).
func bashText(output string, res core.BashResult) string {
	var notes []string
	if res.Dropped > 0 {
		notes = append(notes, fmt.Sprintf("[%d more bytes of output were dropped]", res.Dropped))
	}
	if res.TimedOut {
		notes = append(notes, "The command timed out and was killed, with all that it had started. The next call starts a new shell.")
	}
	if res.ExitCode != 0 {
		notes = append(notes, fmt.Sprintf("exit code: %d", res.ExitCode))
	}
	if len(notes) == 0 {
		return output
	}
	if output != "" && !strings.HasSuffix(output, "\n") {
		output += "\n"
	}
	return output + strings.Join(notes, "\n")
}
