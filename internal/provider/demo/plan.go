package demo

import (
	"fmt"
	"regexp"
	"strings"
)

const introduction = "I am Reeve's built-in demo model: a fixed plan, not a language model. " +
	"To work with a real one, start the server with ANTHROPIC_API_KEY or OPENAI_API_KEY set, " +
	"or with --model-url for any OpenAI-compatible server.\n\n"

const usageHint = "With tools I can do three things: write a small report about my sandbox (give me any task), " +
	"run one command (\"run: uname -a\"), and repeat words (\"echo hello\")."

var greeting = regexp.MustCompile(`(?i)^(hi|hello|hey|help|thanks|thank you|who are you|what are you|what can you do)\b[\s!.?]*(there|reeve|demo)?[\s!.?]*$`)

// decide is the whole of the demo model's mind.
func decide(s situation) answer {
	lower := strings.ToLower(s.task)
	switch {
	case strings.HasPrefix(lower, "run:"):
		return run(s, strings.TrimSpace(s.task[len("run:"):]))
	case strings.HasPrefix(lower, "echo ") || strings.HasPrefix(lower, "echo:"):
		return answer{text: strings.TrimSpace(s.task[len("echo "):])}
	case greeting.MatchString(s.task), s.task == "":
		return answer{text: introduction + usageHint}
	}
	stages := plan(s)
	if s.round < len(stages) {
		return stages[s.round](s)
	}
	return conclude(s)
}

// run does one command and tells what came of it.
func run(s situation, command string) answer {
	switch {
	case command == "":
		return answer{text: "There is no command behind \"run:\"."}
	case !s.has("bash"):
		return answer{text: "I cannot run `" + shorten(command, 200) + "`: this agent has no bash tool."}
	case s.round == 0:
		return answer{thought: "The task names a command. I run exactly that.", calls: []call{s.bash(command)}}
	}
	if len(s.done) == 0 {
		return answer{text: "The command was not run."}
	}
	last := s.done[len(s.done)-1]
	verdict := "printed:"
	if last.failed {
		verdict = "failed:"
	}
	return answer{text: fmt.Sprintf("`%s` %s\n\n%s", shorten(command, 200), verdict, fenced(last.text))}
}

// plan lists the steps of a task before the conclusion, as far as the offered tools allow.
func plan(s situation) []func(situation) answer {
	var stages []func(situation) answer
	if s.has("bash") {
		stages = append(stages, look)
	}
	if s.has("write") {
		stages = append(stages, write)
		if s.has("read") || s.has("bash") {
			stages = append(stages, check)
		}
	}
	return stages
}

// look collects facts: three commands at once.
func look(s situation) answer {
	return answer{
		thought: fmt.Sprintf("The task is: %q. I look at the sandbox first, then write %s and read it back.", shorten(s.task, 160), s.file()),
		text:    "I begin by looking around.",
		calls: []call{
			s.bash(`echo "folder: $(pwd)"; echo "system: $(uname -srm)"; echo "user id: $(id -u)"`),
			s.bash("ls -la | head -n 20"),
			s.bash("printf '%s' " + quote(shorten(s.task, 2000)) + " | wc -w"),
		},
	}
}

// write puts what was found into a file.
func write(s situation) answer {
	return answer{
		thought: fmt.Sprintf("I have %d results. Now I put them into %s.", len(s.done), s.file()),
		calls:   []call{s.call("write", "file_path|path|filename", s.file(), "content|file_text|text", report(s))},
	}
}

// check reads the file back, and counts it with another tool at the same time.
func check(s situation) answer {
	a := answer{thought: "I check that the file is there and holds what I wrote."}
	if s.has("read") {
		a.calls = append(a.calls, s.call("read", "file_path|path|filename", s.file()))
	}
	if s.has("bash") {
		a.calls = append(a.calls, s.bash("wc -l -w "+s.file()))
	}
	return a
}

// report is the file's text.
func report(s situation) string {
	var b strings.Builder
	b.WriteString("# Report\n\nTask: " + shorten(s.task, 400) + "\n")
	if n, ok := taskWords(s); ok {
		fmt.Fprintf(&b, "\nThe task has %s words, counted in the sandbox.\n", n)
	}
	for _, o := range s.done {
		if command := shorten(commandOf(o), 120); !strings.HasPrefix(command, "printf") {
			fmt.Fprintf(&b, "\n## %s\n\n%s\n", command, fenced(o.text))
		}
	}
	b.WriteString("\nWritten by Reeve's built-in demo model.\n")
	return b.String()
}
