package turn

import (
	"context"
	"fmt"
	"unicode/utf8"

	"github.com/reeve-ai/reeve/internal/core"
)

// keptFolder holds the whole of results that were too long for the model. It is in the working folder, which
// stays for the whole session. Built-in tools that know how their output is best shortened put theirs there too
// (package tool).
const keptFolder = "/workspace/.reeve"

// previewEnd is how many characters each end of a preview has.
const previewEnd = 4_000

// textLength counts the characters of all texts of a result.
func textLength(blocks []core.Block) int {
	n := 0
	for _, b := range blocks {
		n += utf8.RuneCountInString(b.Text)
	}
	return n
}

// shortened puts a preview in the place of the texts of a result. Pictures and documents stay. where says what
// became of the whole.
func shortened(blocks []core.Block, where string) []core.Block {
	whole := []rune(joined(blocks))
	head, tail := string(whole[:previewEnd]), string(whole[len(whole)-previewEnd:])
	out := core.Text(fmt.Sprintf("%s\n\n[… %d of %d characters are left out here; %s …]\n\n%s",
		head, len(whole)-2*previewEnd, len(whole), where, tail))
	for _, b := range blocks {
		if b.Text == "" {
			out = append(out, b)
		}
	}
	return out
}

func joined(blocks []core.Block) string {
	text := ""
	for _, b := range blocks {
		if b.Text != "" && text != "" {
			text += "\n"
		}
		text += b.Text
	}
	return text
}

// notKept is what a preview says where there is no file.
const notKept = "the rest was not kept"

// fit makes a result short enough for the model and for the log: the whole text of a longer one goes into a file
// of the sandbox, if the agent has one with which it can read files.
func (v *run) fit(ctx context.Context, use core.EventID, content []core.Block) []core.Block {
	if textLength(content) <= core.MaxToolText {
		return content
	}
	return shortened(content, v.keepText(ctx, use, joined(content)))
}

// keepText writes a text to a file and says where it is.
func (v *run) keepText(ctx context.Context, use core.EventID, text string) string {
	if !v.readsFiles() {
		return notKept
	}
	path := keptFolder + "/output/" + string(use) + ".txt"
	sb, err := v.sandbox(ctx)
	if err == nil { // what is kept must not end up in somebody's commit
		_, err = sb.WriteFile(ctx, keptFolder+"/.gitignore", []byte("*\n"))
	}
	if err == nil {
		_, err = sb.WriteFile(ctx, path, []byte(text))
	}
	if err != nil {
		v.log.Warn("a long result could not be kept in the sandbox", "use", use, "err", err)
		return notKept
	}
	return "the whole is in " + path
}

// keeper is keepText for the tool that makes the text; nil if there would be no file.
func (v *run) keeper(use core.EventID) func(context.Context, string) string {
	if !v.readsFiles() {
		return nil
	}
	return func(ctx context.Context, text string) string { return v.keepText(ctx, use, text) }
}

// readsFiles reports whether the agent has a sandbox of this server, and a tool that reads files in it.
func (v *run) readsFiles() bool {
	if v.self || v.sandboxes == nil || v.opts.Workspaces == nil {
		return false
	}
	for _, name := range []string{"read", "bash", "grep"} {
		if e, ok := v.tools.entries[name]; ok && e.kind == core.ToolsetBuiltin && !e.client && e.policy != core.PolicyDeny {
			return true
		}
	}
	return false
}

// keepResults shortens the results of clients that are too long for the model, and puts their whole texts where
// the agent can read them. The clients' own events stay as they were sent.
func (v *run) keepResults(ctx context.Context) error {
	var drafts []core.Draft
	for _, use := range v.t.long {
		res := v.t.results[use]
		drafts = append(drafts, v.draft(core.EventResultKept, core.ResultKept{ToolUse: use, Content: v.fit(ctx, use, res.Content)}))
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return v.write(ctx, func(core.Store) ([]core.Draft, error) { return drafts, nil })
}

// note remembers a result that is too long for the model until its shorter form is in the log.
func (t *transcript) note(use core.EventID, res *core.ModelResult) {
	if textLength(res.Content) <= core.MaxToolText {
		return
	}
	if t.results == nil {
		t.results = map[core.EventID]*core.ModelResult{}
	}
	t.long, t.results[use] = append(t.long, use), res
}

// keep puts the shorter form of a result in its place.
func (t *transcript) keep(e core.Event) error {
	k, err := core.Payload[core.ResultKept](e)
	if err != nil {
		return err
	}
	if res := t.results[k.ToolUse]; res != nil {
		res.Content = k.Content // no model has read it yet
		delete(t.results, k.ToolUse)
	}
	for i, use := range t.long {
		if use == k.ToolUse {
			t.long = append(t.long[:i:i], t.long[i+1:]...)
			break
		}
	}
	return nil
}
