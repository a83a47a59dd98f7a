package compat

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/lib/environments"

	"github.com/reeve-ai/reeve/internal/app/apptest"
)

// asWorker makes this binary, started again, the worker of the client for Go.
const asWorker = "SUITE_GO_WORKER"

// runWorkerIfAsked never returns in a process that is to be a worker.
func runWorkerIfAsked() {
	if os.Getenv(asWorker) == "" {
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	idle := 300 * time.Millisecond
	err := environments.NewEnvironmentWorker(anthropic.NewClient(), environments.EnvironmentWorkerOptions{
		EnvironmentID: os.Getenv("ANTHROPIC_ENVIRONMENT_ID"), EnvironmentKey: os.Getenv("ANTHROPIC_ENVIRONMENT_KEY"),
		Workdir: os.Getenv("SUITE_WORKDIR"), MaxIdle: &idle, Logger: slog.New(slog.DiscardHandler),
	}).Run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// crew is a self-hosted environment whose workers are those of one client.
type crew struct {
	*world
	client client
	env    string
	key    string
}

func (c client) crew(t *testing.T, w *world) *crew {
	t.Helper()
	env := w.Must(t, http.MethodPost, "/v1/environments", map[string]any{"name": "crew", "config": map[string]any{"type": "self_hosted"}})["id"].(string)
	key := w.Must(t, http.MethodPost, "/reeve/v1/environments/"+env+"/keys", map[string]any{"name": "crew"})["key"].(string)
	return &crew{w, c, env, key}
}

// hired is a worker's process.
type hired struct {
	folder string
	cmd    *exec.Cmd
	out    *bytes.Buffer
	ended  chan error // holds the one result
}

// hire starts a worker, and ends it with the test.
func (c *crew) hire(t *testing.T) *hired {
	t.Helper()
	command, environ := c.client.worker(t)
	h := &hired{folder: t.TempDir(), out: &bytes.Buffer{}, ended: make(chan error, 1)}
	h.cmd = exec.CommandContext(context.WithoutCancel(t.Context()), command[0], command[1:]...)
	h.cmd.Env = append(clean(), c.environ(environ...)...)
	h.cmd.Env = append(h.cmd.Env, "ANTHROPIC_ENVIRONMENT_ID="+c.env, "ANTHROPIC_ENVIRONMENT_KEY="+c.key, "SUITE_WORKDIR="+h.folder)
	h.cmd.Dir = h.folder // where a worker works unless it is told another
	h.cmd.Stdout, h.cmd.Stderr = h.out, h.out
	h.cmd.WaitDelay = 5 * time.Second // for a tool that outlives its worker and holds its output
	if err := h.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { h.ended <- h.cmd.Wait() }()
	t.Cleanup(func() {
		h.kill()
		if t.Failed() {
			t.Logf("the worker said:\n%s", h.out)
		}
	})
	return h
}

// kill ends a worker as a machine that falls does, and waits until it is gone.
func (h *hired) kill() {
	_ = h.cmd.Process.Kill() // it may be gone
	h.ended <- <-h.ended
}

// session makes a session in the crew's environment, of an agent with this definition besides, and watches it.
func (c *crew) session(t *testing.T, change func(map[string]any)) *apptest.Session {
	t.Helper()
	return c.Reopen(t, c.Must(t, http.MethodPost, "/v1/sessions", map[string]any{"agent": c.NewAgent(t, change), "environment_id": c.env})["id"].(string))
}

// rest reads a session to its next end of a turn, and returns what was said last.
func rest(t *testing.T, s *apptest.Session) string {
	t.Helper()
	said := ""
	for {
		for _, e := range s.UntilIdle(t) {
			if e.Type == "agent.message" {
				said = e.Say()
			}
			if stop, _ := e.Data["stop_reason"].(map[string]any); stop["type"] == "end_turn" {
				return said
			}
		}
	}
}

// aWorkerRunsASession: its tools run where the worker is, and the item is given back.
func aWorkerRunsASession(t *testing.T, c *crew) {
	s := c.session(t, nil)
	h := c.hire(t)
	s.Send(t, `calls [{"name":"write","input":{"file_path":"a.txt","content":"from afar"}},{"name":"bash","input":{"command":"printf there"}}]`)
	if said := rest(t, s); !strings.Contains(said, "there") {
		t.Errorf("said %q", said)
	}
	if text, err := os.ReadFile(filepath.Join(h.folder, "a.txt")); err != nil || string(text) != "from afar" {
		t.Errorf("the worker's file: %q, %v", text, err)
	}
	stopped := func() bool {
		list := c.Must(t, http.MethodGet, "/v1/environments/"+c.env+"/work", nil)["data"].([]any)
		return list[0].(map[string]any)["state"] == "stopped"
	}
	apptest.Poll(t, "the end of the item", stopped)
	s.Send(t, `calls [{"name":"read","input":{"file_path":"a.txt"}}]`)
	if said := rest(t, s); !strings.Contains(said, "from afar") {
		t.Errorf("said %q", said)
	}
}

// aWorkerAsks: what needs a person's word runs when it comes, and never when it is refused.
func aWorkerAsks(t *testing.T, c *crew) {
	s := c.session(t, func(agent map[string]any) {
		agent["tools"] = []any{map[string]any{"type": "agent_toolset_20260401", "default_config": map[string]any{"permission_policy": map[string]any{"type": "always_ask"}}}}
	})
	h := c.hire(t)
	s.Send(t, `calls [{"name":"bash","input":{"command":"printf yes"}},{"name":"bash","input":{"command":"touch no.txt"}}]`)
	uses := apptest.Find(s.UntilIdle(t), "agent.tool_use")
	s.Post(t, map[string]any{"type": "user.tool_confirmation", "tool_use_id": uses[0].ID, "result": "allow"})
	s.Post(t, map[string]any{"type": "user.tool_confirmation", "tool_use_id": uses[1].ID, "result": "deny"})
	if said := rest(t, s); !strings.Contains(said, "yes") {
		t.Errorf("said %q", said)
	}
	if _, err := os.Stat(filepath.Join(h.folder, "no.txt")); !os.IsNotExist(err) {
		t.Errorf("what was refused has run: %v", err)
	}
}

// anotherWorkerTakesOver: the first one is killed in the middle of a tool, and its lease runs out.
func anotherWorkerTakesOver(t *testing.T, c *crew) {
	s := c.session(t, nil)
	pipe := filepath.Join(t.TempDir(), "begun")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	marker := filepath.Join(t.TempDir(), "once")
	first := c.hire(t)
	// The tool says that it runs, and does not end; the second time it ends at once.
	s.Send(t, fmt.Sprintf(`calls [{"name":"bash","input":{"command":"if mkdir %s; then echo x > %s; sleep 20; else printf finished; fi"}}]`, marker, pipe))
	begun := make(chan error, 1) // holds the one result
	go func() {
		f, err := os.Open(pipe) // waits for the tool
		if err == nil {
			_, err = io.ReadAll(f)
			_ = f.Close() // it was read to its end
		}
		begun <- err
	}()
	select {
	case err := <-begun:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(apptest.Patience):
		_ = os.WriteFile(pipe, nil, 0o600) // lets the reader go
		t.Fatal("the first worker did not run the tool")
	}
	first.kill()
	c.hire(t)
	c.turn(61 * time.Second)
	if said := rest(t, s); !strings.Contains(said, "finished") {
		t.Errorf("said %q", said)
	}
}

// workerFlows are the flows of each client that has a worker.
var workerFlows = []struct {
	name string
	run  func(t *testing.T, c *crew)
}{
	{"a worker runs a session", aWorkerRunsASession},
	{"a worker asks", aWorkerAsks},
	{"another worker takes over", anotherWorkerTakesOver}, // turns the clock, so it is the last
}

func (c client) runWorkers(t *testing.T, w *world) []flow {
	var flows []flow
	for _, f := range workerFlows {
		done := flow{Flow: f.name}
		if !t.Run(f.name, func(t *testing.T) { f.run(t, c.crew(t, w)) }) {
			done.Error = "see above"
		}
		flows = append(flows, done)
	}
	return flows
}
