package tool

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"

	"github.com/reeve-ai/reeve/internal/core"
)

// editLimit is the largest file that edit changes, before and after: what grep still searches. A
// replacement of every letter must not fill the server's memory.
const editLimit = 8 << 20

type edit struct{ queues *queues }

func (edit) Spec() core.ToolSpec { return spec("edit") }

func (edit) Repeatable() bool { return false }

func (e edit) Run(ctx context.Context, env core.ToolEnv, raw json.RawMessage) (core.ToolOutput, error) {
	in := readInput("edit", raw)
	c := change{path: in.filled("file_path"), from: in.required("old_string"), to: in.required("new_string"), all: in.flag("replace_all")}
	switch {
	case c.from == "":
		in.fault("old_string must not be empty; use write to make a file")
	case c.from == c.to:
		in.fault("old_string and new_string are the same")
	}
	if out, bad := in.refusal(); bad {
		return out, nil
	}
	sb, err := env.Sandbox(ctx)
	if err != nil {
		return failure(ctx, err)
	}
	leave, err := e.queues.enter(ctx, env.Session)
	if err != nil {
		return core.ToolOutput{}, err
	}
	defer leave()
	return c.make(ctx, sb)
}

// change is one edit.
type change struct {
	path, from, to string
	all            bool
}

func (c change) make(ctx context.Context, sb core.Sandbox) (core.ToolOutput, error) {
	data, err := sb.ReadFile(ctx, c.path, editLimit)
	if core.CodeOf(err) == "file_too_large" {
		return refuse("%s is larger than %d MiB, the most that can be edited. Use bash with sed.", c.path, editLimit>>20), nil
	}
	if err != nil {
		return failure(ctx, err)
	}
	n := bytes.Count(data, []byte(c.from))
	switch {
	case n == 0:
		return refuse("Nothing was changed: old_string was not found in %s.%s", c.path, c.hint(data)), nil
	case n > 1 && !c.all:
		return refuse("Nothing was changed: old_string occurs %d times in %s. Give more of the text around it, so that it matches once, or set replace_all.", n, c.path), nil
	case len(data)+n*(len(c.to)-len(c.from)) > editLimit:
		return refuse("Nothing was changed: %s would become larger than %d MiB.", c.path, editLimit>>20), nil
	}
	if _, err := sb.WriteFile(ctx, c.path, bytes.ReplaceAll(data, []byte(c.from), []byte(c.to))); err != nil {
		return failure(ctx, err)
	}
	return say("Replaced " + count(n, "occurrence") + " in " + c.path + "."), nil
}

// hint says what commonly keeps a text from being found.
func (c change) hint(data []byte) string {
	switch {
	case bytes.Contains(data, []byte("\r\n")) && bytes.Contains(bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n")), []byte(c.from)):
		return ` The lines of this file end with \r\n.`
	case bytes.Contains(data, []byte(strings.TrimSpace(c.from))):
		return " Without the white space around it, it would be found."
	}
	return " It must match exactly, white space included."
}
