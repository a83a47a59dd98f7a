// Package workertest runs the official SDK's own worker, unchanged, against the whole server. It is a package
// of its own because that worker brings dependencies that nothing else needs.
package workertest

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/lib/environments"
	"github.com/anthropics/anthropic-sdk-go/option"
	"github.com/anthropics/anthropic-sdk-go/tools/agenttoolset"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/reeve-ai/reeve/internal/app"
	"github.com/reeve-ai/reeve/internal/app/apptest"
	"github.com/reeve-ai/reeve/internal/provider/fake"
	"github.com/reeve-ai/reeve/internal/sandbox"
)

func TestMain(m *testing.M) {
	sandbox.RunGuestIfAsked() // this binary is the guest of the sandboxes that apptest opens
	goleak.VerifyTestMain(m, goleak.Cleanup(func(int) { http.DefaultClient.CloseIdleConnections() }))
}

// world is a server with a self-hosted environment and a key for its workers.
type world struct {
	*apptest.Server
	client anthropic.Client
	env    string
	key    string
	late   atomic.Int64 // nanoseconds that the server's clock is ahead
}

func start(t *testing.T, steps ...fake.Step) *world {
	t.Helper()
	w := &world{}
	w.Server = apptest.StartWith(t, fake.New(steps...), apptest.WithOptions(func(o *app.Options) {
		o.Now = func() time.Time { return time.Now().Add(time.Duration(w.late.Load())) }
	}))
	w.client = anthropic.NewClient(option.WithBaseURL(w.URL), option.WithAPIKey(w.Token))
	w.env = w.Must(t, "POST", "/v1/environments", map[string]any{"name": "box", "config": map[string]any{"type": "self_hosted"}})["id"].(string)
	w.key = w.Must(t, "POST", "/reeve/v1/environments/"+w.env+"/keys", map[string]any{"name": "test"})["key"].(string)
	return w
}

// session makes a session on the environment and watches it.
func (w *world) session(t *testing.T, change func(map[string]any)) *apptest.Session {
	t.Helper()
	agent := w.NewAgent(t, change)
	id := w.Must(t, "POST", "/v1/sessions", map[string]any{"agent": agent, "environment_id": w.env})["id"].(string)
	return w.Reopen(t, id)
}

// worker is a running worker of the SDK.
type worker struct {
	folder string
	kill   func() // ends it without a word to the server
	stop   func() // ends it as an operator would, and waits
}

func (w *world) worker(t *testing.T, change func(*environments.EnvironmentWorkerOptions)) *worker {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var dead atomic.Bool
	wire := &http.Transport{}
	opts := environments.EnvironmentWorkerOptions{
		EnvironmentID: w.env, EnvironmentKey: w.key, Workdir: t.TempDir(), Logger: slog.New(slog.DiscardHandler),
		RequestOptions: []option.RequestOption{
			option.WithHTTPClient(&http.Client{Transport: wire}),
			option.WithMiddleware(func(r *http.Request, next option.MiddlewareNext) (*http.Response, error) {
				if dead.Load() {
					return nil, errors.New("the machine is gone")
				}
				return next(r)
			}),
		},
	}
	if change != nil {
		change(&opts)
	}
	ended := make(chan error, 1) // holds the one result
	go func() { ended <- environments.NewEnvironmentWorker(w.client, opts).Run(ctx) }()
	stopped := false
	x := &worker{folder: opts.Workdir}
	x.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("worker: %v", err)
		}
		wire.CloseIdleConnections()
	}
	x.kill = func() {
		dead.Store(true)
		x.stop()
	}
	t.Cleanup(x.stop)
	return x
}

// states lists the states of the environment's work items, newest first.
func (w *world) states(t *testing.T) []string {
	t.Helper()
	list := []string{}
	for _, item := range w.Must(t, "GET", "/v1/environments/"+w.env+"/work", nil)["data"].([]any) {
		list = append(list, item.(map[string]any)["state"].(string))
	}
	return list
}

func (w *world) await(t *testing.T, want ...string) {
	t.Helper()
	apptest.Poll(t, "work "+strings.Join(want, ", "), func() bool { return slices.Equal(w.states(t), want) })
}

// rest reads the stream to an idle for this reason.
func rest(t *testing.T, s *apptest.Session, reason string) []apptest.Event {
	t.Helper()
	var all []apptest.Event
	for {
		all = append(all, s.UntilIdle(t)...)
		if stop, _ := all[len(all)-1].Data["stop_reason"].(map[string]any); stop["type"] == reason {
			return all
		}
	}
}

func answers(events []apptest.Event) []string {
	var list []string
	told := map[string]bool{} // what waited is told again once it is processed
	for _, e := range events {
		switch e.Type {
		case "agent.message", "agent.tool_use", "user.tool_result", "agent.tool_result", "user.tool_confirmation":
			if e.Data["processed_at"] != nil && !told[e.ID] {
				told[e.ID] = true
				list = append(list, e.Type+": "+e.Say())
			}
		}
	}
	return list
}

func TestTheSDKsWorkerRunsASession(t *testing.T) {
	t.Parallel()
	w := start(t,
		fake.CallTools(fake.Call{Name: "bash", Input: `{"command":"printf hi > out.txt"}`}, fake.Call{Name: "write", Input: `{"file_path":"b.txt","content":"there"}`}),
		fake.CallTool("bash", `{"command":"cat out.txt b.txt"}`),
		fake.Say("It says hithere."), fake.Say("Again."))
	s := w.session(t, nil)
	w.await(t, "queued")
	idle := 300 * time.Millisecond
	x := w.worker(t, func(o *environments.EnvironmentWorkerOptions) { o.MaxIdle = &idle })
	w.await(t, "active")
	s.Send(t, "Write and read.")
	got := answers(rest(t, s, "end_turn"))
	want := []string{
		"agent.tool_use: ", "agent.tool_use: ", "user.tool_result: (no output)", "user.tool_result: wrote 5 bytes to b.txt",
		"agent.tool_use: ", "user.tool_result: hithere\n", "agent.message: It says hithere.",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if text, err := os.ReadFile(filepath.Join(x.folder, "out.txt")); err != nil || string(text) != "hi" {
		t.Errorf("the worker's file: %q, %v", text, err)
	}
	w.await(t, "stopped") // the session rests, so the worker gives the item back
	stats := w.Must(t, "GET", "/v1/environments/"+w.env+"/work/stats", nil)
	if stats["depth"] != 0.0 || stats["pending"] != 0.0 || stats["workers_polling"] != 1.0 {
		t.Errorf("stats = %v", stats)
	}
	s.Send(t, "And again.")
	rest(t, s, "end_turn")
	w.await(t, "stopped", "stopped")
}

// held is a tool that says when it runs, and never answers.
type held struct {
	anthropic.BetaTool
	runs chan struct{} // capacity 1
}

func (h held) Execute(ctx context.Context, _ json.RawMessage) ([]anthropic.BetaToolResultBlockParamContentUnion, error) {
	h.runs <- struct{}{}
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestAnotherWorkerTakesOverFromOneThatDied(t *testing.T) {
	t.Parallel()
	w := start(t, fake.CallTool("bash", `{"command":"printf done"}`), fake.Say("Finished."))
	s := w.session(t, nil)
	runs := make(chan struct{}, 1)
	first := w.worker(t, func(o *environments.EnvironmentWorkerOptions) {
		o.ToolsFunc = func(env *agenttoolset.AgentToolContext) []anthropic.BetaTool {
			tools := agenttoolset.BetaAgentToolset20260401(env)
			i := slices.IndexFunc(tools, func(t anthropic.BetaTool) bool { return t.Name() == "bash" })
			tools[i] = held{tools[i], runs}
			return tools
		}
	})
	s.Send(t, "Do it.")
	select {
	case <-runs:
	case <-time.After(apptest.Patience):
		t.Fatal("the first worker did not run the tool")
	}
	first.kill()
	rest(t, s, "requires_action")
	w.await(t, "active") // nobody knows yet
	w.worker(t, nil)
	w.late.Store(int64(61 * time.Second))
	got := answers(rest(t, s, "end_turn"))
	if d := cmp.Diff([]string{"user.tool_result: done\n", "agent.message: Finished."}, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	w.await(t, "active", "stopped")
}

func TestAWorkerRunsWhatIsAllowedAndTheServerAnswersWhatIsDenied(t *testing.T) {
	t.Parallel()
	w := start(t, fake.CallTools(fake.Call{Name: "bash", Input: `{"command":"printf yes"}`}, fake.Call{Name: "bash", Input: `{"command":"printf no > no.txt"}`}), fake.Say("Well."))
	s := w.session(t, func(agent map[string]any) {
		agent["tools"] = []any{map[string]any{"type": "agent_toolset_20260401", "default_config": map[string]any{"permission_policy": map[string]any{"type": "always_ask"}}}}
	})
	x := w.worker(t, nil)
	s.Send(t, "Try both.")
	uses := apptest.Find(rest(t, s, "requires_action"), "agent.tool_use")
	s.Post(t, map[string]any{"type": "user.tool_confirmation", "tool_use_id": uses[0].ID, "result": "allow"})
	s.Post(t, map[string]any{"type": "user.tool_confirmation", "tool_use_id": uses[1].ID, "result": "deny", "deny_message": "not that"})
	got := answers(rest(t, s, "end_turn"))
	slices.Sort(got) // the worker and the client are as quick as they are
	want := []string{
		"agent.message: Well.", "agent.tool_result: Not run: the user refused it and said: not that",
		"user.tool_confirmation: ", "user.tool_confirmation: ", "user.tool_result: yes\n",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if _, err := os.Stat(filepath.Join(x.folder, "no.txt")); !os.IsNotExist(err) {
		t.Errorf("the denied tool ran: %v", err)
	}
}
