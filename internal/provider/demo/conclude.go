package demo

import (
	"encoding/json"
	"fmt"
	"strings"
)

// conclude is the final answer to a task: it quotes what the tools returned.
func conclude(s situation) answer {
	if len(s.done) == 0 {
		return answer{text: fmt.Sprintf("%sYou wrote %d words: %q. I was offered no tool that I know (bash, write, read), so I can only answer. %s",
			introduction, len(strings.Fields(s.task)), shorten(s.task, 160), usageHint)}
	}
	var b strings.Builder
	failed := 0
	for _, o := range s.done {
		if o.failed {
			failed++
			fmt.Fprintf(&b, "The call of %s failed: %s\n\n", o.tool, shorten(o.text, 200))
		}
	}
	if o, ok := find(s, "bash", `echo "folder:`); ok {
		b.WriteString("The sandbox says about itself:\n\n" + fenced(o.text) + "\n\n")
	}
	if n, ok := taskWords(s); ok {
		fmt.Fprintf(&b, "Your task has %s words.\n\n", n)
	}
	if _, ok := find(s, "write", ""); ok {
		fmt.Fprintf(&b, "I wrote `%s`", s.file())
		if o, ok := find(s, "bash", "wc -l -w"); ok {
			if n := number.FindAllString(o.text, 2); len(n) == 2 {
				fmt.Fprintf(&b, ": %s lines, %s words", n[0], n[1])
			}
		}
		b.WriteString(".\n\n")
	}
	if o, ok := find(s, "read", ""); ok {
		b.WriteString("Read back, it begins:\n\n" + fenced(head(o.text, 5)) + "\n\n")
	}
	fmt.Fprintf(&b, "%d tool calls, %d failed. This was Reeve's built-in demo model: the plan is fixed, the tools and their results are real.", len(s.done), failed)
	return answer{text: b.String()}
}

// find returns the first result of a tool that did not fail and whose command begins so.
func find(s situation, tool, command string) (outcome, bool) {
	for _, o := range s.done {
		if o.tool == tool && !o.failed && strings.HasPrefix(commandOf(o), command) {
			return o, true
		}
	}
	return outcome{}, false
}

// taskWords is the number that wc gave for the task.
func taskWords(s situation) (string, bool) {
	o, ok := find(s, "bash", "printf '%s' ")
	if !ok {
		return "", false
	}
	n := number.FindString(o.text)
	return n, n != ""
}

// commandOf is the command of a bash call, or empty.
func commandOf(o outcome) string {
	var in struct {
		Command string `json:"command"`
		Cmd     string `json:"cmd"`
	}
	_ = json.Unmarshal([]byte(o.input), &in) // our own call
	return in.Command + in.Cmd
}

// head is the first n lines of text.
func head(text string, n int) string {
	lines := strings.SplitN(text, "\n", n+1)
	return strings.Join(lines[:min(n, len(lines))], "\n")
}

// fenced sets text apart with a fence that is longer than any inside it, cut down to 4,000 characters.
func fenced(text string) string {
	if text == "" {
		text = "(no output)"
	}
	if r := []rune(text); len(r) > 4000 {
		text = string(r[:4000]) + "\n…"
	}
	fence := "```"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	return fence + "\n" + text + "\n" + fence
}
