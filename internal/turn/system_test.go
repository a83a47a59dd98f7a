package turn_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/provider/fake"
	"github.com/reeve-ai/reeve/internal/session"
	"github.com/reeve-ai/reeve/internal/turn"
)

func system(texts ...string) session.Input {
	m := &core.Message{}
	for _, s := range texts {
		m.Content = append(m.Content, core.Text(s)...)
	}
	return session.Input{System: m}
}

func TestASystemMessageReachesTheModelAtItsPlace(t *testing.T) {
	t.Parallel()
	h := build(t, fake.New(fake.Say("hi"), fake.CallTool("ask_me", `{}`), fake.Say("bye")), nil)
	n := h.open(h.db, turn.Options{})
	n.run(t)
	n.send(t, message("hello"), system("Be kind.", "Be brief."))
	after, _ := n.untilIdle(t, 0)
	n.send(t, message("ask"))
	after, stop := n.untilIdle(t, after)
	n.send(t, session.Input{CustomResult: &core.ToolResult{ToolUse: stop.Events[0], Content: core.Text("42")}}, system("Stop now."))
	n.untilIdle(t, after)
	want := [][]string{{"user:hello", "system:Be kind.\n\nBe brief."}, {"assistant:hi"}, {"user:ask"}, {"call"}, {"result", "system:Stop now."}}
	var got [][]string
	for _, m := range h.fake.Requests()[2].Messages {
		var parts []string
		for _, p := range m.Parts {
			switch {
			case p.System != "":
				parts = append(parts, "system:"+p.System)
			case p.Block != nil:
				parts = append(parts, string(m.Role)+":"+p.Block.Text)
			case p.Call != nil:
				parts = append(parts, "call")
			case p.Result != nil:
				parts = append(parts, "result")
			}
		}
		got = append(got, parts)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("conversation (-want +got):\n%s", diff)
	}
}

func TestASystemMessageAloneWaitsForTheNextInput(t *testing.T) {
	t.Parallel()
	h := build(t, fake.New(fake.Say("hi"), fake.Say("bye")), nil)
	n := h.open(h.db, turn.Options{})
	n.run(t)
	n.send(t, system("Be kind."))
	if s := h.stored(t); s.Status != core.StatusIdle {
		t.Fatalf("a system message alone made the session %s", s.Status)
	}
	n.send(t, message("hello"))
	after, _ := n.untilIdle(t, 0)
	if parts := h.fake.Requests()[0].Messages[0].Parts; len(parts) != 2 || parts[0].System != "Be kind." || parts[1].Block.Text != "hello" {
		t.Errorf("the model was told %+v", parts)
	}
	for _, e := range h.log(t) {
		if e.ProcessedAt.IsZero() {
			t.Errorf("%s was never taken up", e.Type)
		}
	}
	n.send(t, message("again"))
	n.untilIdle(t, after)
}

func TestWhereASystemMessageMayStand(t *testing.T) {
	t.Parallel()
	h := build(t, fake.New(fake.CallTool("ask_me", `{}`)), nil)
	n := h.open(h.db, turn.Options{})
	n.run(t)
	refuse := func(name string, in ...session.Input) {
		t.Helper()
		if _, err := n.Send(t.Context(), h.by, h.sess.ID, in, session.SendOptions{}); core.KindOf(err) != core.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	many := make([]string, 1001)
	for i := range many {
		many[i] = "x"
	}
	refuse("first", system("s"), message("m"))
	refuse("two", message("m"), system("s"), system("s"))
	refuse("behind an interrupt", session.Input{Interrupt: &core.Interrupt{}}, system("s"))
	refuse("behind an outcome", outcome(3), system("s"))
	refuse("empty", message("m"), system())
	refuse("too many blocks", message("m"), system(many...))
	refuse("a picture", message("m"), session.Input{System: &core.Message{Content: []core.Block{{Type: core.BlockImage, Source: &core.Source{Type: "url", URL: "https://e.test/x.png"}}}}})
	n.send(t, message("ask"))
	n.untilIdle(t, 0)
	refuse("alone while a tool use waits", system("s"))
	if _, err := n.Create(t.Context(), h.by, session.NewSession{Agent: h.sess.Agent, Environment: h.sess.Environment, Inputs: []session.Input{message("m"), system("s")}}); core.KindOf(err) != core.Invalid {
		t.Errorf("at the beginning of a session: %v", err)
	}
	d := core.Deployment{
		ID: core.NewID[core.DeploymentID](), Project: h.by.Project, Agent: h.sess.Agent, Environment: h.sess.Environment,
		Events: []core.InitialEvent{
			{Type: core.EventUserMessage, Message: &core.Message{Content: core.Text("m")}},
			{Type: core.EventSystemMessage, Message: &core.Message{Content: core.Text("s")}},
		},
	}
	need(t, h.db.Tx(t.Context(), func(tx core.Store) error {
		_, err := n.CheckDeployment(t.Context(), tx, h.by, d)
		return err
	}))
}
