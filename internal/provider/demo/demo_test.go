package demo_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/provider/demo"
	"github.com/reeve-ai/reeve/internal/provider/providertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func schema(names ...string) json.RawMessage {
	props := map[string]any{}
	for _, n := range names {
		props[n] = map[string]string{"type": "string"}
	}
	b, _ := json.Marshal(map[string]any{"type": "object", "properties": props})
	return b
}

var tools = []core.ToolSpec{
	{Name: "bash", InputSchema: schema("command", "restart")},
	{Name: "read", InputSchema: schema("file_path")},
	{Name: "write", InputSchema: schema("file_path", "content")},
}

// folder runs the tools for real, in a folder of its own.
type folder struct {
	t    *testing.T
	path string
}

func (f folder) run(c *core.ToolCall) core.ModelResult {
	f.t.Helper()
	var in map[string]string
	if err := json.Unmarshal([]byte(c.Input), &in); err != nil {
		f.t.Fatalf("input of %s: %v", c.Name, err)
	}
	var out []byte
	var err error
	switch strings.ToLower(c.Name) {
	case "bash":
		cmd := exec.CommandContext(f.t.Context(), "bash", "-c", in["command"])
		cmd.Dir = f.path
		out, err = cmd.CombinedOutput()
	case "write":
		err = os.WriteFile(filepath.Join(f.path, in["file_path"]), []byte(in["content"]), 0o644)
		out = []byte("written")
	case "read":
		out, err = os.ReadFile(filepath.Join(f.path, in["file_path"]))
	default:
		f.t.Fatalf("call of %q", c.Name)
	}
	r := core.ModelResult{CallID: c.ID, Name: c.Name, Content: core.Text(string(out)), IsError: err != nil}
	if err != nil {
		r.Content = core.Text(string(out) + err.Error())
	}
	return r
}

// say appends a user's message and plays the turn to its end. It returns the conversation, the
// names of the tools called step by step, and the final answer.
func (f folder) say(tools []core.ToolSpec, history []core.ModelMessage, words string) ([]core.ModelMessage, [][]string, string) {
	f.t.Helper()
	history = append(history, core.ModelMessage{Role: core.RoleUser, Parts: []core.ModelPart{{Block: &core.Block{Type: core.BlockText, Text: words}}}})
	var steps [][]string
	ids := map[string]bool{}
	for range 10 {
		chunks := providertest.Answered(f.t, demo.New(), core.ModelRequest{Model: "demo", MaxTokens: 8192, Messages: history, Tools: tools})
		answer := core.ModelMessage{Role: core.RoleAssistant}
		results := core.ModelMessage{Role: core.RoleUser}
		var called []string
		for _, c := range chunks {
			switch c.Type {
			case core.ChunkThought:
				answer.Parts = append(answer.Parts, core.ModelPart{Thinking: c.Thinking})
			case core.ChunkToolCall:
				if ids[c.Call.ID] {
					f.t.Errorf("call id %s is there twice", c.Call.ID)
				}
				ids[c.Call.ID] = true
				called = append(called, c.Call.Name)
				answer.Parts = append(answer.Parts, core.ModelPart{Call: &core.ModelCall{ID: c.Call.ID, Name: c.Call.Name, Input: json.RawMessage(c.Call.Input)}})
				r := f.run(c.Call)
				results.Parts = append(results.Parts, core.ModelPart{Result: &r})
			}
		}
		text := providertest.Words(chunks)
		if text != "" {
			answer.Parts = append(answer.Parts, core.ModelPart{Block: &core.Block{Type: core.BlockText, Text: text}})
		}
		history = append(history, answer)
		stop := chunks[len(chunks)-1].Stop
		if (stop == core.StopModelTools) != (called != nil) {
			f.t.Errorf("stop %q with calls %q", stop, called)
		}
		if called == nil {
			return history, steps, text
		}
		steps, history = append(steps, called), append(history, results)
	}
	f.t.Fatal("the demo model does not come to an end")
	return nil, nil, ""
}

func TestTaskBecomesAReportWithRealResults(t *testing.T) {
	t.Parallel()
	f := folder{t, t.TempDir()}
	if err := os.WriteFile(filepath.Join(f.path, "apples.csv"), []byte("a,b\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	task := "Please look at my folder; it's small."
	history, steps, answer := f.say(tools, nil, task)
	if diff := cmp.Diff([][]string{{"bash", "bash", "bash"}, {"write"}, {"read", "bash"}}, steps); diff != "" {
		t.Errorf("steps differ (-want +got):\n%s", diff)
	}
	report, err := os.ReadFile(filepath.Join(f.path, "report.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Task: " + task, "The task has 7 words", "folder: " + f.path, "apples.csv"} {
		if !strings.Contains(string(report), want) {
			t.Errorf("report lacks %q:\n%s", want, report)
		}
	}
	lines, words := strings.Count(string(report), "\n"), len(strings.Fields(string(report)))
	for _, want := range []string{"folder: " + f.path, "Your task has 7 words", "report.md", "# Report", "6 tool calls, 0 failed", "demo model"} {
		if !strings.Contains(answer, want) {
			t.Errorf("answer lacks %q:\n%s", want, answer)
		}
	}
	if want := strings.Join([]string{itoa(lines), "lines,", itoa(words), "words"}, " "); !strings.Contains(answer, want) {
		t.Errorf("answer lacks %q:\n%s", want, answer)
	}

	// The next task in the same session begins anew, with ids of its own.
	_, steps, answer = f.say(tools, history, "run: cat report.md | head -n 1; exit 3")
	if diff := cmp.Diff([][]string{{"bash"}}, steps); diff != "" {
		t.Errorf("steps differ (-want +got):\n%s", diff)
	}
	if !strings.Contains(answer, "failed:") || !strings.Contains(answer, "# Report\n") {
		t.Errorf("answer %q", answer)
	}
}

func itoa(n int) string { b, _ := json.Marshal(n); return string(b) }

func TestPlanFollowsTheOfferedTools(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		tools []core.ToolSpec
		words string
		steps [][]string
		says  string
	}{
		"none":           {nil, "Write a poem.", nil, "I am Reeve's built-in demo model"},
		"unknown ones":   {[]core.ToolSpec{{Name: "weather"}}, "Write a poem.", nil, "ANTHROPIC_API_KEY"},
		"bash alone":     {tools[:1], "Look around.", [][]string{{"bash", "bash", "bash"}}, "3 tool calls"},
		"write alone":    {tools[2:], "Write notes.md for me.", [][]string{{"write"}}, "I wrote `notes.md`"},
		"mentioned file": {tools[2:], "Summarise notes.md.", [][]string{{"write"}}, "I wrote `report.md`"},
		"named target":   {tools[2:], "Summarise notes.md and save it to sum.txt", [][]string{{"write"}}, "I wrote `sum.txt`"},
		"capital names": {
			[]core.ToolSpec{{Name: "Bash", InputSchema: schema("command")}, {Name: "Write", InputSchema: schema("content", "file_path")}},
			"Go.",
			[][]string{{"Bash", "Bash", "Bash"}, {"Write"}, {"Bash"}},
			"5 tool calls, 0 failed",
		},
		"run":            {tools, "run: echo $((6*7))", [][]string{{"bash"}}, "```\n42\n"},
		"run nothing":    {tools, "run:", nil, "no command"},
		"run, no bash":   {tools[1:], "run: ls", nil, "no bash tool"},
		"echo":           {tools, "echo Good  morning", nil, "Good  morning"},
		"greeting":       {tools, "Hello there!", nil, "built-in demo model"},
		"shell injected": {tools[:1], "it's $(touch owned) `touch owned` \"x\"", [][]string{{"bash", "bash", "bash"}}, "Your task has 6 words"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := folder{t, t.TempDir()}
			_, steps, answer := f.say(tc.tools, nil, tc.words)
			if diff := cmp.Diff(tc.steps, steps); diff != "" {
				t.Errorf("steps differ (-want +got):\n%s", diff)
			}
			if !strings.Contains(answer, tc.says) {
				t.Errorf("answer %q lacks %q", answer, tc.says)
			}
			if _, err := os.Stat(filepath.Join(f.path, "owned")); err == nil {
				t.Error("words of the task were run")
			}
		})
	}
}

func TestArgumentNamesComeFromTheSchema(t *testing.T) {
	t.Parallel()
	spec := core.ToolSpec{Name: "write", InputSchema: schema("path", "file_text")}
	chunks := providertest.Answered(t, demo.New(), core.ModelRequest{Model: "demo", MaxTokens: 100, Tools: []core.ToolSpec{spec}, Messages: providertest.Hi.Messages[:0:0]})
	if providertest.Words(chunks) == "" {
		t.Error("no answer to an empty conversation")
	}
	task := core.ModelMessage{Role: core.RoleUser, Parts: []core.ModelPart{{Block: &core.Block{Type: core.BlockText, Text: "Write something."}}}}
	for _, c := range providertest.Answered(t, demo.New(), core.ModelRequest{Model: "demo", MaxTokens: 100, Tools: []core.ToolSpec{spec}, Messages: []core.ModelMessage{task}}) {
		if c.Call != nil && (!strings.Contains(c.Call.Input, `"path":"report.md"`) || !strings.Contains(c.Call.Input, `"file_text":`)) {
			t.Errorf("input %s", c.Call.Input)
		}
	}
}

func TestFailedToolsAreReported(t *testing.T) {
	t.Parallel()
	history := []core.ModelMessage{
		{Role: core.RoleUser, Parts: []core.ModelPart{{Block: &core.Block{Type: core.BlockText, Text: "Look around."}}}},
		{Role: core.RoleAssistant, Parts: []core.ModelPart{{Call: &core.ModelCall{ID: "demo_1_1", Name: "bash", Input: json.RawMessage(`{"command":"ls"}`)}}}},
		{Role: core.RoleUser, Parts: []core.ModelPart{{Result: &core.ModelResult{CallID: "demo_1_1", Name: "bash", Content: core.Text("the sandbox is gone"), IsError: true}}}},
	}
	answer := providertest.Words(providertest.Answered(t, demo.New(), core.ModelRequest{Model: "demo", MaxTokens: 100, Tools: tools[:1], Messages: history}))
	if !strings.Contains(answer, "The call of bash failed: the sandbox is gone") || !strings.Contains(answer, "1 failed") {
		t.Errorf("answer %q", answer)
	}
}

func TestSameConversationSameAnswer(t *testing.T) {
	t.Parallel()
	req := providertest.Hi
	req.Tools = tools
	if diff := cmp.Diff(providertest.Answered(t, demo.New(), req), providertest.Answered(t, demo.New(), req)); diff != "" {
		t.Errorf("two answers differ:\n%s", diff)
	}
}

func TestDelayIsHeldAndEndsWithTheContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := demo.New(demo.WithDelay(time.Second))
		begin, pieces := time.Now(), 0
		for _, c := range providertest.Answered(t, p, providertest.Hi) {
			if c.Type == core.ChunkText || c.Type == core.ChunkThinking {
				pieces++
			}
		}
		if got := time.Since(begin); pieces < 5 || got != time.Duration(pieces)*time.Second {
			t.Errorf("%d pieces took %s", pieces, got)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		begin = time.Now()
		if _, err := providertest.Collect(ctx, t, p, providertest.Hi); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != 1500*time.Millisecond {
			t.Errorf("error %v after %s", err, time.Since(begin))
		}
	})
}
