package tool

import (
	"context"
	"encoding/json"

	"github.com/reeve-ai/reeve/internal/core"
)

// write shares its queues with edit, so that an edit does not undo a write that came in between.
type write struct{ queues *queues }

func (write) Spec() core.ToolSpec { return spec("write") }

func (write) Repeatable() bool { return false }

func (w write) Run(ctx context.Context, env core.ToolEnv, raw json.RawMessage) (core.ToolOutput, error) {
	in := readInput("write", raw)
	path, content := in.filled("file_path"), in.required("content")
	if out, bad := in.refusal(); bad {
		return out, nil
	}
	sb, err := env.Sandbox(ctx)
	if err != nil {
		return failure(ctx, err)
	}
	leave, err := w.queues.enter(ctx, env.Session)
	if err != nil {
		return core.ToolOutput{}, err
	}
	defer leave()
	created, err := sb.WriteFile(ctx, path, []byte(content))
	if err != nil {
		return failure(ctx, err)
	}
	if created {
		return say("Created " + path + " (" + count(len(content), "byte") + ")."), nil
	}
	return say("Replaced " + path + " (" + count(len(content), "byte") + ")."), nil
}
