package session_test

import (
	"testing"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/session"
)

var (
	hello = session.Input{Message: &core.Message{Content: core.Text("hello")}}
	stop  = session.Input{Interrupt: &core.Interrupt{}}
)

func TestInterruptOfAnIdleSessionIsDoneWithAtOnce(t *testing.T) {
	t.Parallel()
	for name, in := range map[string][]session.Input{
		"alone": {stop}, "before a message": {stop, hello}, "behind a message": {hello, stop},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := build(t)
			events, err := h.Send(t.Context(), h.by, h.sess.ID, in, session.SendOptions{})
			need(t, err)
			for _, e := range events {
				if e.ProcessedAt.IsZero() != (e.Type == core.EventUserMessage) {
					t.Errorf("%s: processed at %v", e.Type, e.ProcessedAt)
				}
			}
			state, err := h.Session(t.Context(), h.by, h.sess.ID)
			need(t, err)
			thread, err := h.db.Thread(t.Context(), h.by.Project, h.sess.ID, core.PrimaryThread(h.sess.ID))
			need(t, err)
			if runs := len(in) > 1; thread.Turn.Pending != runs || (state.Status == core.StatusRunning) != runs {
				t.Errorf("session %s, turn %+v", state.Status, thread.Turn)
			}
		})
	}
}

func TestFullServerRefusesWorkButNotInterrupts(t *testing.T) {
	t.Parallel()
	h := build(t)
	_, err := h.Send(t.Context(), h.by, h.sess.ID, []session.Input{hello}, session.SendOptions{})
	need(t, err)
	h.full = core.Errorf(core.RateLimited, "too_many_turns", "full")
	if _, err := h.Send(t.Context(), h.by, h.sess.ID, []session.Input{stop}, session.SendOptions{}); err != nil {
		t.Errorf("an interrupt: %v", err)
	}
	for name, in := range map[string][]session.Input{"a message": {hello}, "both": {stop, hello}} {
		if _, err := h.Send(t.Context(), h.by, h.sess.ID, in, session.SendOptions{}); core.KindOf(err) != core.RateLimited {
			t.Errorf("%s: %v", name, err)
		}
	}
	if cancelled, err := h.Cancel(t.Context(), h.by, h.sess.ID); !cancelled || err != nil {
		t.Errorf("cancel: %v, %v", cancelled, err)
	}
}

func TestOneBatchAnswersAToolUseOnce(t *testing.T) {
	t.Parallel()
	h := build(t)
	use := h.append(t, h.draft(core.EventAgentToolUse, core.ToolUse{Kind: core.ToolsetCustom, Name: "ask", Input: []byte(`{}`), CallID: "c", Permission: "allow"}))[0]
	h.sess.StopReason = &core.StopReason{Type: core.StopRequiresAction, Events: []core.EventID{use.ID}}
	need(t, h.db.UpdateSession(t.Context(), h.sess))
	answer := session.Input{CustomResult: &core.ToolResult{ToolUse: use.ID, Content: core.Text("yes")}}
	for name, in := range map[string][]session.Input{
		"twice":           {answer, answer},
		"with a foreign":  {answer, {CustomResult: &core.ToolResult{ToolUse: core.NewID[core.EventID](), Content: core.Text("yes")}}},
		"of another kind": {{Confirmation: &core.ToolConfirmation{ToolUse: use.ID, Allow: true}}},
	} {
		if _, err := h.Send(t.Context(), h.by, h.sess.ID, in, session.SendOptions{}); core.KindOf(err) != core.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if log, err := h.Events(t.Context(), h.by, h.sess.ID, core.EventQuery{}); err != nil || len(log) != 1 {
		t.Errorf("a refused batch left something: %d events, %v", len(log), err)
	}
	_, err := h.Send(t.Context(), h.by, h.sess.ID, []session.Input{answer, hello}, session.SendOptions{})
	need(t, err)
}
