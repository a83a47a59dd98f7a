package tool

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/reeve-ai/reeve/internal/core"
)

// inline is how many characters of a result the model gets; more goes into a file of the sandbox, of
// which it gets a preview.
const inline = core.MaxToolText

// previewEnd is how many characters each end of a preview has: enough to see what kind of output it
// is, and how it ended.
const previewEnd = 4_000

// spillFolder holds the results that were too long. It is in the working folder and not in /tmp,
// because the model may come back to a path after the sandbox was started anew.
const spillFolder = "/workspace/.reeve"

// say is a result of one text, or without content if the text is empty: vendors refuse empty blocks.
func say(text string) core.ToolOutput {
	if text == "" {
		return core.ToolOutput{}
	}
	return core.ToolOutput{Content: core.Text(clean(text))}
}

// refuse is an error result.
func refuse(format string, args ...any) core.ToolOutput {
	out := say(fmt.Sprintf(format, args...))
	out.IsError = true
	return out
}

// failure turns an error into what the model reads. What has no Kind is Reeve's own fault and stays an
// error, as does the end of ctx.
func failure(ctx context.Context, err error) (core.ToolOutput, error) {
	if ctx.Err() != nil {
		return core.ToolOutput{}, ctx.Err()
	}
	var e *core.Error
	if !errors.As(err, &e) || e.Kind == core.Internal {
		return core.ToolOutput{}, err
	}
	return refuse("%s", sentence(e.Message)), nil
}

// object is a result that is one JSON object.
func object(v any) core.ToolOutput {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // nobody puts it into a page, and \u003c costs the model tokens
	if err := enc.Encode(v); err != nil {
		panic(fmt.Sprintf("tool: %v", err)) // our own structs always marshal
	}
	return say(strings.TrimSuffix(b.String(), "\n"))
}

// objectError is the error result of tools whose results are objects.
func objectError(code, message string) core.ToolOutput {
	out := object(struct {
		Error string `json:"error"`
		Code  string `json:"code"`
	}{clean(message), code})
	out.IsError = true
	return out
}

// fit returns a text that is short enough as it is. A longer one is written to a file of the sandbox,
// and its two ends come back with the file's path between them.
func fit(ctx context.Context, sb core.Sandbox, text string) string {
	n := utf8.RuneCountInString(text)
	if n <= inline {
		return text
	}
	path := spillFolder + "/output/" + core.NewID[string]() + ".txt"
	where := "the whole output is in " + path
	if err := spill(ctx, sb, path, text); err != nil {
		where = "the whole output could not be kept"
	}
	return preview(text, where)
}

// preview is the two ends of a text of more than core.MaxToolText characters, with a word between them about
// where the whole is.
func preview(text, where string) string {
	n := utf8.RuneCountInString(text)
	head, tail := text[:byteOf(text, previewEnd)], text[byteOf(text, n-previewEnd):]
	return fmt.Sprintf("%s\n\n[… %d of %d characters are left out here; %s …]\n\n%s", head, n-2*previewEnd, n, where, tail)
}

func spill(ctx context.Context, sb core.Sandbox, path, text string) error {
	// What is kept here must not end up in somebody's commit.
	if _, err := sb.WriteFile(ctx, spillFolder+"/.gitignore", []byte("*\n")); err != nil {
		return err
	}
	_, err := sb.WriteFile(ctx, path, []byte(text))
	return err
}

// byteOf is where the n-th character of a text begins, or its length if it has fewer.
func byteOf(text string, n int) int {
	for i := range text {
		if n == 0 {
			return i
		}
		n--
	}
	return len(text)
}

// clip cuts a text to at most n characters.
func clip(text string, n int) string { return text[:byteOf(text, n)] }

// clean makes a text storable everywhere: valid UTF-8 without NUL, which PostgreSQL refuses.
func clean(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}

// sentence makes one of an error's message.
func sentence(message string) string {
	if message == "" {
		return "It did not work."
	}
	if strings.HasSuffix(message, ".") {
		return message
	}
	return message + "."
}

// count is a number with its noun: 1 byte, 2 bytes.
func count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}
