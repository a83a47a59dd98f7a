package tool

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/reeve-ai/reeve/internal/core"
)

// readLimit is the largest file that read returns (Claude Managed Agents section 5.1).
const readLimit = 256 << 10

type read struct{}

func (read) Spec() core.ToolSpec { return spec("read") }

func (read) Repeatable() bool { return true }

func (read) Run(ctx context.Context, env core.ToolEnv, raw json.RawMessage) (core.ToolOutput, error) {
	in := readInput("read", raw)
	path := in.filled("file_path")
	first, last, ranged := in.pair("view_range")
	switch {
	case ranged && first < 1:
		in.fault("view_range must begin at line 1 or later")
	case ranged && last > 0 && last < first:
		in.fault("view_range must not end before it begins")
	}
	if out, bad := in.refusal(); bad {
		return out, nil
	}
	sb, err := env.Sandbox(ctx)
	if err != nil {
		return failure(ctx, err)
	}
	data, err := sb.ReadFile(ctx, path, readLimit)
	if core.CodeOf(err) == "file_too_large" {
		return refuse("%s is larger than %d KiB, the most that can be read at once. Use grep, or bash with head, tail or sed -n, to look at parts of it.", path, readLimit>>10), nil
	}
	if err != nil {
		return failure(ctx, err)
	}
	if binary(data) {
		return refuse("%s is a binary file of %d bytes. Use bash with file, xxd or a program that knows its format.", path, len(data)), nil
	}
	if !ranged {
		first, last = 1, 0
	}
	return view(path, strings.ToValidUTF8(string(data), "\uFFFD"), first, last), nil
}

// view returns the lines from first to last, counted from 1; last ≤ 0 means the end.
func view(path, text string, first, last int64) core.ToolOutput {
	lines := strings.SplitAfter(text, "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1] // the text ended with a line end
	}
	n := int64(len(lines))
	if first > max(n, 1) {
		return refuse("%s has only %d lines; view_range begins at %d.", path, n, first)
	}
	if last <= 0 || last > n {
		last = n
	}
	var b strings.Builder
	size := 0
	for i := first; i <= last; i++ {
		line := lines[i-1]
		if size += utf8.RuneCountInString(line); size <= inline {
			b.WriteString(line)
			continue
		}
		if i == first {
			return say(fmt.Sprintf("%s\n\n[This is the beginning of line %d of %s; the line is too long to be shown whole. Use bash with cut -c to look at parts of it.]", clip(line, inline), i, path))
		}
		fmt.Fprintf(&b, "\n[These are lines %d to %d of %d in %s. Continue with view_range [%d, %d].]", first, i-1, n, path, i, last)
		break
	}
	return say(b.String())
}

// binary reports whether data is no text: it has a NUL byte, or more than a tenth of it is not UTF-8.
// The tenth lets files in an old 8-bit encoding pass, mostly readable.
func binary(data []byte) bool {
	invalid := 0
	for rest := data; len(rest) > 0; {
		r, n := utf8.DecodeRune(rest)
		if r == 0 {
			return true
		}
		if r == utf8.RuneError && n == 1 {
			invalid++
		}
		rest = rest[n:]
	}
	return invalid*10 > len(data)
}
