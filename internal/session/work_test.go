package session_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/session"
)

// environment makes an environment whose tools workers run, unless it is a local one.
func (h *house) environment(t *testing.T, selfHosted bool) core.Environment {
	t.Helper()
	e := core.Environment{
		Project: h.by.Project, ID: core.NewID[core.EnvironmentID](), Name: "box", Config: core.EnvironmentConfig{SelfHosted: selfHosted},
		Metadata: map[string]string{}, CreatedAt: now(), UpdatedAt: now(),
	}
	need(t, h.db.CreateEnvironment(t.Context(), e))
	return e
}

// in moves the house to a session of an environment; it may be running.
func (h *house) in(t *testing.T, e core.Environment, status core.SessionStatus) {
	t.Helper()
	h.sess = core.Session{
		Project: h.by.Project, ID: core.NewID[core.SessionID](), Origin: core.OriginManaged, Environment: e.ID, Metadata: map[string]string{},
		Status: status, CreatedAt: now(), UpdatedAt: now(),
	}
	need(t, h.db.CreateSession(t.Context(), h.sess))
}

// use appends a tool use and returns its id.
func (h *house) use(t *testing.T, kind core.ToolsetKind, name, permission string) core.EventID {
	t.Helper()
	u := core.ToolUse{Kind: kind, Name: name, Permission: permission, Input: json.RawMessage("{}"), CallID: "c"}
	return h.append(t, h.draft(core.EventAgentToolUse, u))[0].ID
}

// waitFor makes the session wait for tool uses.
func (h *house) waitFor(t *testing.T, uses ...core.EventID) {
	t.Helper()
	h.sess.Status, h.sess.StopReason = core.StatusIdle, &core.StopReason{Type: core.StopRequiresAction, Events: uses}
	need(t, h.db.SetSessionState(t.Context(), h.sess))
}

func (h *house) send(t *testing.T, by core.Principal, in ...session.Input) error {
	t.Helper()
	_, err := h.Send(t.Context(), by, h.sess.ID, in, session.SendOptions{})
	return err
}

func result(use core.EventID) session.Input {
	return session.Input{ToolResult: &core.ToolResult{ToolUse: use, Content: core.Text("done")}}
}

func allow(use core.EventID) session.Input {
	return session.Input{Confirmation: &core.ToolConfirmation{ToolUse: use, Allow: true}}
}

func (h *house) work(t *testing.T, e core.Environment) []core.WorkState {
	t.Helper()
	list, err := h.db.Works(t.Context(), h.by.Project, e.ID, core.WorkPage{Limit: 10})
	need(t, err)
	states := []core.WorkState{}
	for _, w := range list {
		states = append(states, w.State)
	}
	return states
}

func (h *house) stopWork(t *testing.T) {
	t.Helper()
	w, err := h.db.LiveWork(t.Context(), h.by.Project, h.sess.ID)
	need(t, err)
	w.Stop(now(), true)
	need(t, h.db.UpdateWork(t.Context(), w))
}

func TestInputQueuesWorkUnlessTheSessionHasSome(t *testing.T) {
	t.Parallel()
	h := build(t)
	e := h.environment(t, true)
	woken := 0
	h.OnWork(func(got core.EnvironmentID) {
		if woken++; got != e.ID {
			t.Errorf("woken: %s", got)
		}
	})
	h.in(t, e, core.StatusIdle)
	need(t, h.send(t, h.by, stop))
	if d := cmp.Diff([]core.WorkState{}, h.work(t, e)); d != "" {
		t.Errorf("an interrupt of nothing (-want +got):\n%s", d)
	}
	need(t, h.send(t, h.by, hello))
	need(t, h.send(t, h.by, hello))
	if d := cmp.Diff([]core.WorkState{core.WorkQueued}, h.work(t, e)); d != "" || woken != 1 {
		t.Errorf("two messages: woken %d times (-want +got):\n%s", woken, d)
	}
	h.stopWork(t)
	h.waitFor(t, h.use(t, core.ToolsetBuiltin, "bash", "allow"))
	need(t, h.send(t, h.by, stop))
	if d := cmp.Diff([]core.WorkState{core.WorkQueued, core.WorkStopped}, h.work(t, e)); d != "" || woken != 2 {
		t.Errorf("an interrupt of a session that waits: woken %d times (-want +got):\n%s", woken, d)
	}
}

func TestArchivingStopsTheWork(t *testing.T) {
	t.Parallel()
	h := build(t)
	e := h.environment(t, true)
	h.in(t, e, core.StatusIdle)
	_, err := h.db.QueueWork(t.Context(), core.NewWork(h.sess, now()))
	need(t, err)
	w, err := h.db.LiveWork(t.Context(), h.by.Project, h.sess.ID)
	need(t, err)
	w.State, w.LeaseUntil = core.WorkActive, now().Add(time.Minute)
	need(t, h.db.UpdateWork(t.Context(), w))
	_, err = h.Archive(t.Context(), h.by, h.sess.ID)
	need(t, err)
	if d := cmp.Diff([]core.WorkState{core.WorkStopping}, h.work(t, e)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestAnAnswerMayBeQuickerThanTheTurn(t *testing.T) {
	t.Parallel()
	h := build(t)
	own, far := h.environment(t, false), h.environment(t, true)
	custom := func(use core.EventID) session.Input {
		return session.Input{CustomResult: &core.ToolResult{ToolUse: use, Content: core.Text("done")}}
	}
	for name, c := range map[string]struct {
		in               core.Environment
		kind             core.ToolsetKind
		tool, permission string
		answers          []func(core.EventID) session.Input
		refused          bool // the last of them
	}{
		"a worker's result":                {far, core.ToolsetBuiltin, "bash", "allow", []func(core.EventID) session.Input{result}, false},
		"a second one":                     {far, core.ToolsetBuiltin, "bash", "allow", []func(core.EventID) session.Input{result, result}, true},
		"a client's":                       {own, core.ToolsetCustom, "ask_me", "allow", []func(core.EventID) session.Input{custom}, false},
		"of the other kind":                {own, core.ToolsetCustom, "ask_me", "allow", []func(core.EventID) session.Input{result, custom}, true},
		"for what this server runs":        {own, core.ToolsetBuiltin, "bash", "allow", []func(core.EventID) session.Input{result}, true},
		"for a web tool":                   {far, core.ToolsetBuiltin, "web_fetch", "allow", []func(core.EventID) session.Input{result}, true},
		"for what is denied":               {far, core.ToolsetBuiltin, "bash", "deny", []func(core.EventID) session.Input{result}, true},
		"before the confirmation":          {far, core.ToolsetBuiltin, "bash", "ask", []func(core.EventID) session.Input{result}, true},
		"a confirmation":                   {own, core.ToolsetBuiltin, "bash", "ask", []func(core.EventID) session.Input{allow}, false},
		"a second confirmation":            {own, core.ToolsetBuiltin, "bash", "ask", []func(core.EventID) session.Input{allow, allow}, true},
		"confirmed, then a result":         {far, core.ToolsetBuiltin, "bash", "ask", []func(core.EventID) session.Input{allow, result}, false},
		"confirmed, and run by the server": {own, core.ToolsetBuiltin, "bash", "ask", []func(core.EventID) session.Input{allow, result}, true},
	} {
		h.in(t, c.in, core.StatusRunning)
		use := h.use(t, c.kind, c.tool, c.permission)
		var err error
		for i, answer := range c.answers {
			if err = h.send(t, h.by, answer(use)); err != nil && i < len(c.answers)-1 {
				t.Errorf("%s: answer %d: %v", name, i, err)
			}
		}
		if c.refused != (core.KindOf(err) == core.Invalid && err != nil) {
			t.Errorf("%s: %v", name, err)
		}
	}
	h.in(t, far, core.StatusRunning)
	use := h.use(t, core.ToolsetBuiltin, "bash", "allow")
	if err := h.send(t, h.by, result(use), result(use)); core.KindOf(err) != core.Invalid {
		t.Errorf("twice in one request: %v", err)
	}
	if err := h.send(t, h.by, result(core.NewID[core.EventID]())); core.KindOf(err) != core.Invalid {
		t.Errorf("an unknown use: %v", err)
	}
}

func TestAToolThatAWorkerMayRunNowGoesOnWaiting(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.in(t, h.environment(t, true), core.StatusIdle)
	asked, other := h.use(t, core.ToolsetBuiltin, "bash", "ask"), h.use(t, core.ToolsetBuiltin, "read", "allow")
	h.waitFor(t, asked, other)
	check := func(what string, status core.SessionStatus, waits ...core.EventID) {
		t.Helper()
		s, err := h.Session(t.Context(), h.by, h.sess.ID)
		need(t, err)
		var got []core.EventID
		if s.StopReason != nil {
			got = s.StopReason.Events
		}
		if s.Status != status || !slices.Equal(got, waits) {
			t.Errorf("%s: %s, waits for %v; want %s, %v", what, s.Status, got, status, waits)
		}
	}
	events, err := h.Send(t.Context(), h.by, h.sess.ID, []session.Input{allow(asked)}, session.SendOptions{})
	need(t, err)
	if events[0].ProcessedAt.IsZero() {
		t.Error("the confirmation waits for a turn that has nothing to do")
	}
	check("confirmed", core.StatusIdle, asked, other)
	if err := h.send(t, h.by, allow(asked)); core.KindOf(err) != core.Invalid {
		t.Errorf("confirmed again: %v", err)
	}
	need(t, h.send(t, h.by, result(asked)))
	check("run", core.StatusIdle, other)
	need(t, h.send(t, h.by, result(other)))
	check("both are", core.StatusRunning)
}

func TestAWorkerReachesTheSessionsThatItServes(t *testing.T) {
	t.Parallel()
	h := build(t)
	e := h.environment(t, true)
	h.in(t, h.environment(t, true), core.StatusIdle)
	elsewhere := h.sess.ID
	h.in(t, e, core.StatusIdle)
	sibling := h.sess.ID
	h.in(t, e, core.StatusIdle)
	use := h.use(t, core.ToolsetBuiltin, "bash", "ask")
	for name, w := range map[string]struct {
		by      core.Principal
		sibling bool
		own     bool
	}{
		"environment key": {core.Principal{Kind: core.PrincipalEnvironment, Project: h.by.Project, Environment: e.ID}, true, true},
		"work token":      {core.Principal{Kind: core.PrincipalWork, Project: h.by.Project, Environment: e.ID, Work: "w", Session: h.sess.ID}, false, true},
		"after the stop":  {core.Principal{Kind: core.PrincipalWork, Project: h.by.Project, Environment: e.ID, Work: "w"}, false, false},
		"another project": {core.Principal{Kind: core.PrincipalEnvironment, Project: "x", Environment: e.ID}, false, false},
	} {
		reach := func(id core.SessionID, want bool) {
			t.Helper()
			_, err1 := h.Session(t.Context(), w.by, id)
			_, err2 := h.Events(t.Context(), w.by, id, core.EventQuery{})
			_, err3 := h.Send(t.Context(), w.by, id, []session.Input{stop}, session.SendOptions{})
			for i, err := range []error{err1, err2, err3} {
				if want != (err == nil) || err != nil && core.KindOf(err) != core.NotFound {
					t.Errorf("%s, call %d: %v", name, i, err)
				}
			}
		}
		reach(h.sess.ID, w.own)
		reach(sibling, w.sibling)
		reach(elsewhere, false)
		_, err1 := h.Sessions(t.Context(), w.by, core.SessionPage{Limit: 1})
		_, err2 := h.Update(t.Context(), w.by, h.sess.ID, session.Change{})
		_, err3 := h.Archive(t.Context(), w.by, h.sess.ID)
		_, err4 := h.Cancel(t.Context(), w.by, h.sess.ID)
		_, err5 := h.Create(t.Context(), w.by, session.NewSession{})
		err6 := h.Delete(t.Context(), w.by, h.sess.ID)
		err7 := h.send(t, w.by, allow(use))
		for i, err := range []error{err1, err2, err3, err4, err5, err6, err7} {
			if core.KindOf(err) != core.Forbidden {
				t.Errorf("%s, forbidden call %d: %v", name, i, err)
			}
		}
	}
}
