package tool

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/reeve-ai/reeve/internal/core"
)

// grepLimit bounds the lines listed, in bytes (Claude Managed Agents section 5.1).
const grepLimit = 100 << 10

type grep struct{}

func (grep) Spec() core.ToolSpec { return spec("grep") }

func (grep) Repeatable() bool { return true }

func (grep) Run(ctx context.Context, env core.ToolEnv, raw json.RawMessage) (core.ToolOutput, error) {
	in := readInput("grep", raw)
	pattern, root := in.required("pattern"), in.text("path")
	if pattern == "" {
		in.fault("pattern must not be empty")
	}
	if out, bad := in.refusal(); bad {
		return out, nil
	}
	if root == "" {
		root = workspace
	}
	sb, err := env.Sandbox(ctx)
	if err != nil {
		return failure(ctx, err)
	}
	lines, more, err := sb.Grep(ctx, root, pattern, grepLimit)
	if err != nil {
		return failure(ctx, err)
	}
	if len(lines) == 0 && !more {
		return say("No lines match."), nil
	}
	text := strings.Join(lines, "\n")
	if short := clip(text, inline); len(short) < len(text) {
		// A little over. A file with the rest would help less than a better pattern.
		text, more = short[:strings.LastIndexByte(short, '\n')], true
	}
	if more {
		text += "\n[There are more matches than can be shown, or more files than could be searched. Use a narrower pattern or path.]"
	}
	return say(strings.TrimPrefix(text, "\n")), nil
}
