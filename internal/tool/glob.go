package tool

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/reeve-ai/reeve/internal/core"
)

// workspace is where searches begin.
const workspace = "/workspace"

// globLimit is how many paths are listed (Claude Managed Agents section 5.1).
const globLimit = 200

type glob struct{}

func (glob) Spec() core.ToolSpec { return spec("glob") }

func (glob) Repeatable() bool { return true }

func (glob) Run(ctx context.Context, env core.ToolEnv, raw json.RawMessage) (core.ToolOutput, error) {
	in := readInput("glob", raw)
	pattern, root := in.filled("pattern"), in.text("path")
	switch {
	case path.IsAbs(pattern):
		in.fault("pattern must be relative; give the folder to search as path")
	case slices.Contains(strings.Split(pattern, "/"), ".."):
		in.fault(`pattern must not contain ".."`)
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
	paths, more, err := sb.Glob(ctx, root, pattern, globLimit)
	if err != nil {
		return failure(ctx, err)
	}
	if len(paths) == 0 {
		return say("No files match."), nil
	}
	text := strings.Join(paths, "\n")
	if more {
		text = fmt.Sprintf("%s\n[There are more: these are the newest %d. Use a narrower pattern or path.]", text, len(paths))
	}
	return say(fit(ctx, sb, text)), nil
}
