package tool_test

import (
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/sandbox"
	"github.com/reeve-ai/reeve/internal/sandbox/guest"
	"github.com/reeve-ai/reeve/internal/tool"
)

func TestMain(m *testing.M) {
	guest.RunIfAsked()
	goleak.VerifyTestMain(m)
}

// now is the time in every test: a winter's day, so that zones have their standard time.
var now = time.Date(2026, 1, 15, 13, 4, 5, 0, time.UTC)

// bubblewrapWorks is false on machines without it; their tests run with the driver none alone.
var bubblewrapWorks = sync.OnceValue(func() bool {
	_, _, err := sandbox.Select(context.Background(), sandbox.ModeBubblewrap, sandbox.Options{})
	return err == nil
})

// desk is a session with tools and a living sandbox.
type desk struct {
	*testing.T
	tools   *tool.Registry
	env     core.ToolEnv
	sandbox core.Sandbox
}

// onEach runs a test with each driver of the two that differ most.
func onEach(t *testing.T, test func(desk)) {
	t.Helper()
	for _, mode := range []string{sandbox.ModeBubblewrap, sandbox.ModeNone} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			if mode == sandbox.ModeBubblewrap && !bubblewrapWorks() {
				t.Skip("bubblewrap does not work here")
			}
			driver, _, err := sandbox.Select(t.Context(), mode, sandbox.Options{})
			if err != nil {
				t.Fatal(err)
			}
			session := core.NewID[core.SessionID]()
			sb, err := driver.Open(t.Context(), core.SandboxSpec{
				Session: session, Folder: filepath.Join(t.TempDir(), "workspace"),
				Limits: core.SandboxLimits{OutputBytes: 256 << 10, Command: 20 * time.Second},
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := sb.Close(); err != nil {
					t.Error(err)
				}
			})
			test(desk{T: t, tools: tool.NewRegistry(), sandbox: sb, env: core.ToolEnv{
				Session: session, Now: now,
				Sandbox: func(context.Context) (core.Sandbox, error) { return sb, nil },
			}})
		})
	}
}

// call runs a tool with an input of members in pairs.
func (d desk) call(name string, members ...any) answer {
	d.Helper()
	input := map[string]any{}
	for i := 0; i < len(members); i += 2 {
		input[members[i].(string)] = members[i+1]
	}
	raw, err := json.Marshal(input)
	if err != nil {
		d.Fatal(err)
	}
	return run(d.T, d.tools, d.env, name, string(raw))
}

// put writes a file past the tools.
func (d desk) put(path, text string) {
	d.Helper()
	if _, err := d.sandbox.WriteFile(d.Context(), path, []byte(text)); err != nil {
		d.Fatal(err)
	}
}

// file reads a file past the tools.
func (d desk) file(path string) string {
	d.Helper()
	b, err := d.sandbox.ReadFile(d.Context(), path, 32<<20)
	if err != nil {
		d.Fatal(err)
	}
	return string(b)
}

// answer is what the model would read.
type answer struct {
	t     *testing.T
	asked string
	text  string
	bad   bool
}

func run(t *testing.T, tools *tool.Registry, env core.ToolEnv, name, input string) answer {
	t.Helper()
	one, ok := tools.Builtin(name)
	if !ok {
		t.Fatalf("no tool %q", name)
	}
	out, err := one.Run(t.Context(), env, json.RawMessage(input))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	a := answer{t: t, asked: name + " " + input[:min(len(input), 200)], bad: out.IsError}
	for _, b := range out.Content {
		if b.Type != core.BlockText || b.Text == "" {
			t.Errorf("%s: block %+v", a.asked, b)
		}
		a.text += b.Text
	}
	return a
}

// is fails the test unless the answer is good and exactly this.
func (a answer) is(want string) {
	a.t.Helper()
	if a.bad || a.text != want {
		a.t.Errorf("%s\n got %v %q\nwant %q", a.asked, a.bad, a.text, want)
	}
}

// refuses fails the test unless the answer is an error that says all of this.
func (a answer) refuses(says ...string) {
	a.t.Helper()
	for _, s := range says {
		if !a.bad || !strings.Contains(a.text, s) {
			a.t.Errorf("%s\n got %v %q\nwant an error with %q", a.asked, a.bad, a.text, s)
		}
	}
}
