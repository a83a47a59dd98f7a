package demo

import (
	"encoding/json"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/reeve-ai/reeve/internal/core"
)

// situation is what the demo model knows of a conversation.
type situation struct {
	task    string    // the words of the last message in which a person spoke
	done    []outcome // of the tool calls since then, in order
	round   int       // answers since then
	answers int       // answers in all
	tools   map[string]core.ToolSpec
}

// outcome is a tool call with its result.
type outcome struct {
	tool   string // lower case
	input  string
	text   string
	failed bool
}

// read takes from a request what the plan needs.
func read(req core.ModelRequest) situation {
	s := situation{tools: map[string]core.ToolSpec{}}
	for _, t := range req.Tools {
		s.tools[strings.ToLower(t.Name)] = t
	}
	inputs := map[string]string{}
	for _, m := range req.Messages {
		if m.Role == core.RoleAssistant {
			s.answers++
			s.round++
		}
		var said []string
		for _, p := range m.Parts {
			switch {
			case p.Call != nil:
				inputs[p.Call.ID] = string(p.Call.Input)
			case p.Result != nil:
				s.done = append(s.done, outcome{
					tool: strings.ToLower(p.Result.Name), input: inputs[p.Result.CallID],
					text: textOf(p.Result.Content), failed: p.Result.IsError,
				})
			case p.Block != nil && m.Role == core.RoleUser:
				said = append(said, p.Block.Text)
			}
		}
		if said != nil { // a new task, even if it came while the last one was being worked on
			s.task, s.round, s.done = strings.TrimSpace(strings.Join(said, "\n")), 0, nil
		}
	}
	return s
}

func (s situation) has(tool string) bool {
	_, ok := s.tools[tool]
	return ok
}

// call makes a call of one of the offered tools. Arguments are given as pairs of the names under
// which tools commonly take them, separated by |, and the value; the tool's schema picks the name.
func (s situation) call(tool string, args ...string) call {
	spec := s.tools[tool]
	var schema struct {
		Properties map[string]json.RawMessage `json:"properties"`
	}
	_ = json.Unmarshal(spec.InputSchema, &schema) // without a schema the first name is used
	input := map[string]string{}
	for i := 0; i+1 < len(args); i += 2 {
		names := strings.Split(args[i], "|")
		name := names[0]
		for _, n := range names {
			if _, ok := schema.Properties[n]; ok {
				name = n
				break
			}
		}
		input[name] = args[i+1]
	}
	b, _ := json.Marshal(input) // a map of strings always marshals
	return call{name: spec.Name, input: string(b)}
}

func (s situation) bash(command string) call { return s.call("bash", "command|cmd", command) }

func textOf(blocks []core.Block) string {
	var parts []string
	for _, b := range blocks {
		if b.Text != "" {
			parts = append(parts, b.Text)
		}
	}
	return strings.TrimSpace(strings.Join(parts, "\n"))
}

// size counts the characters of a request.
func size(req core.ModelRequest) int {
	n := utf8.RuneCountInString(req.System)
	for _, t := range req.Tools {
		n += utf8.RuneCountInString(t.Name) + utf8.RuneCountInString(t.Description) + len(t.InputSchema)
	}
	for _, m := range req.Messages {
		for _, p := range m.Parts {
			switch {
			case p.Block != nil:
				n += utf8.RuneCountInString(p.Block.Text)
			case p.Thinking != nil:
				n += utf8.RuneCountInString(p.Thinking.Text)
			case p.Call != nil:
				n += utf8.RuneCountInString(p.Call.Name) + utf8.RuneCount(p.Call.Input)
			case p.Result != nil:
				n += utf8.RuneCountInString(textOf(p.Result.Content))
			}
		}
	}
	return n
}

// fileName finds the file that a task wants written: "write summary.md", "save it to notes.txt". A
// file that is only mentioned is not taken, so that the demo overwrites nothing of the user's.
var fileName = regexp.MustCompile(`(?i)\b(?:write|create|save|to|into|as|called|named)\s+["'` + "`" + `]?([a-z0-9][a-z0-9_-]{0,60}\.(?:md|txt))\b`)

// file is the name of the report: the one that the task asks for, or report.md.
func (s situation) file() string {
	if m := fileName.FindStringSubmatch(s.task); m != nil {
		return m[1]
	}
	return "report.md"
}

// shorten puts text on one line and cuts it down to limit characters.
func shorten(text string, limit int) string {
	text = strings.Join(strings.Fields(text), " ")
	if r := []rune(text); len(r) > limit {
		return string(r[:limit-1]) + "…"
	}
	return text
}

// quote makes a word of text for the shell.
func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

var number = regexp.MustCompile(`[0-9]+`)
