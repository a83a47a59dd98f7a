package turn_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/provider/fake"
	"github.com/reeve-ai/reeve/internal/session"
	"github.com/reeve-ai/reeve/internal/turn"
)

// selfHosted leaves the tools of the session's sandbox to workers.
func (h *house) selfHosted(t *testing.T) {
	t.Helper()
	env, err := h.db.Environment(t.Context(), h.by.Project, h.sess.Environment)
	need(t, err)
	env.Config.SelfHosted = true
	need(t, h.db.UpdateEnvironment(t.Context(), env))
}

// uses returns the session's tool uses by name.
func (h *house) uses(t *testing.T) map[string]core.Event {
	t.Helper()
	uses := map[string]core.Event{}
	for _, e := range h.log(t) {
		if e.Type == core.EventAgentToolUse {
			u, err := core.Payload[core.ToolUse](e)
			need(t, err)
			uses[u.Name] = e
		}
	}
	return uses
}

// A worker sees a tool use when it is appended. Its answer may come before the turn says that it waits, and
// must neither be lost nor leave the session waiting for it.
func TestAnAnswerThatIsQuickerThanTheTurnIsHeard(t *testing.T) {
	t.Parallel()
	slow := &counted{name: "web", gate: make(chan struct{})}
	far := &counted{name: "bash"}
	h := build(t, fake.New(fake.CallTools(fake.Call{Name: "bash", Input: `{}`}, fake.Call{Name: "web", Input: `{"a":1}`}), fake.Say("Done.")), toolset{far, slow})
	h.selfHosted(t)
	n := h.open(newFrail(h.db, 1<<40, func() {}), turn.Options{})
	stop := n.run(t)
	n.send(t, message("go"))
	slow.gate <- struct{}{} // the turn is busy with its own tool
	result := session.Input{ToolResult: &core.ToolResult{ToolUse: h.uses(t)["bash"].ID, Content: core.Text("from the worker")}}
	n.send(t, result)
	if _, err := n.Send(t.Context(), h.by, h.sess.ID, []session.Input{result}, session.SendOptions{}); core.KindOf(err) != core.Invalid {
		t.Errorf("a second answer: %v", err)
	}
	slow.gate <- struct{}{}
	if _, reason := n.untilIdle(t, 0); reason.Type != core.StopEndTurn {
		t.Errorf("the turn ended with %s", reason.Type)
	}
	stop()
	if far.runs.Load() != 0 {
		t.Error("the server ran the worker's tool")
	}
	heard := map[string]string{}
	for _, p := range h.fake.Requests()[1].Messages[2].Parts {
		heard[p.Result.Name] = p.Result.Content[0].Text
	}
	if d := cmp.Diff(map[string]string{"bash": "from the worker", "web": `{"a":1}`}, heard); d != "" {
		t.Errorf("the model heard (-want +got):\n%s", d)
	}
}

func TestATurnThatComesToWaitForAWorkerQueuesWork(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	h := build(t, fake.New(fake.Block(release).And(fake.CallTool("bash", `{}`)), fake.Say("Done.")), toolset{{name: "bash"}})
	h.selfHosted(t)
	ready := make(chan core.EnvironmentID, 1)
	n := h.open(h.db, turn.Options{WorkReady: func(e core.EnvironmentID) { ready <- e }})
	n.run(t)
	n.send(t, message("go"))
	<-h.fake.Waiting()
	w, err := h.db.LiveWork(t.Context(), h.by.Project, h.sess.ID) // of the message
	need(t, err)
	w.Stop(h.now(), true)
	need(t, h.db.UpdateWork(t.Context(), w))
	close(release)
	if _, reason := n.untilIdle(t, 0); reason.Type != core.StopRequiresAction {
		t.Fatalf("the turn ended with %s", reason.Type)
	}
	again, err := h.db.LiveWork(t.Context(), h.by.Project, h.sess.ID)
	if err != nil || again.ID == w.ID || again.State != core.WorkQueued {
		t.Errorf("work = %+v, %v", again, err)
	}
	select {
	case e := <-ready:
		if e != h.sess.Environment {
			t.Errorf("told of %s", e)
		}
	case <-time.After(time.Minute):
		t.Error("nobody was told of the work")
	}
}

// The SDKs' workers run whatever tool use is allowed and has a name that they know.
func TestNoWorkerRunsWhatTheServerAnswers(t *testing.T) {
	t.Parallel()
	h := build(t, fake.New(fake.CallTools(fake.Call{Name: "write", Input: `{}`}, fake.Call{Name: "bash", Input: `[]`}), fake.Say("Done.")), toolset{{name: "bash"}})
	h.selfHosted(t)
	n := h.open(h.db, turn.Options{})
	n.run(t)
	n.send(t, message("go"))
	if _, reason := n.untilIdle(t, 0); reason.Type != core.StopEndTurn {
		t.Errorf("the turn ended with %s", reason.Type)
	}
	for name, e := range h.uses(t) {
		if u, err := core.Payload[core.ToolUse](e); err != nil || u.Permission != "deny" {
			t.Errorf("%s is %q, %v", name, u.Permission, err)
		}
	}
}
