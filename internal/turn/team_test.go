package turn_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/provider/fake"
	"github.com/reeve-ai/reeve/internal/session"
	"github.com/reeve-ai/reeve/internal/turn"
)

// cast is the script of a team: what each agent does with a request, by its name. Agents say theirs in their system
// prompt; "advisor" is the advisor, "grader" the grader of outcomes.
type cast map[string]func(core.ModelRequest) fake.Step

func (c cast) provider() *fake.Provider {
	return fake.Choose(func(req core.ModelRequest) fake.Step {
		for name, play := range c {
			if strings.Contains(req.System, "I am "+name+".") || name == "advisor" && strings.HasPrefix(req.System, "You advise another agent") {
				return play(req)
			}
		}
		if play := c["grader"]; play != nil && !strings.Contains(req.System, "I am ") {
			return play(req)
		}
		return fake.Fail(&core.ModelError{Type: core.ModelFailed, Message: "nobody plays this part"})
	})
}

// buildTeam makes a house whose session has the coordinator "boss" and a team of these agents, each with all tools
// of the house and the custom tool "ask_me"; and an advisor if the cast has one.
func buildTeam(t *testing.T, c cast, tools toolset, members ...string) *house {
	t.Helper()
	h := build(t, c.provider(), tools)
	now, ctx := h.now(), t.Context()
	agent := func(name string, roster *core.Roster) core.Agent {
		a := core.Agent{
			Project: h.by.Project, ID: core.NewID[core.AgentID](), Version: 1, Active: true, CreatedAt: now, UpdatedAt: now, VersionMadeAt: now,
			AgentSpec: core.AgentSpec{Name: name, Description: "knows " + name, System: "I am " + name + ".", Roster: roster, Tools: []core.Toolset{
				{Kind: core.ToolsetBuiltin, Configs: []core.ToolConfig{{Name: "asked", Policy: core.PolicyAsk}}},
				{Kind: core.ToolsetCustom, Name: "ask_me", InputSchema: json.RawMessage(`{"type":"object"}`)},
			}},
		}
		need(t, h.db.CreateAgent(ctx, a))
		return a
	}
	roster := &core.Roster{}
	for _, name := range members {
		roster.Members = append(roster.Members, core.RosterMember{Kind: core.RosterAgent, Agent: agent(name, nil).ID, Version: 1})
	}
	if c["advisor"] != nil {
		roster.Members = append(roster.Members, core.RosterMember{Kind: core.RosterAdvisor, Model: &core.ModelChoice{ID: "scripted"}})
	}
	var err error
	h.sess, err = h.open(h.db, turn.Options{}).Create(ctx, h.by, session.NewSession{Agent: agent("boss", roster).ID, Environment: h.sess.Environment})
	need(t, err)
	return h
}

// newest is the last thing that a model was told: a text, or the text of a result.
func newest(req core.ModelRequest) string {
	parts := req.Messages[len(req.Messages)-1].Parts
	switch p := parts[len(parts)-1]; {
	case p.Block != nil:
		return p.Block.Text
	case p.Result != nil && len(p.Result.Content) > 0:
		return p.Result.Content[0].Text
	}
	return ""
}

// heard is all that a model was told, in one text.
func heard(req core.ModelRequest) string {
	var all []string
	for _, m := range req.Messages {
		for _, p := range m.Parts {
			if p.Block != nil {
				all = append(all, p.Block.Text)
			}
			if p.Result != nil {
				for _, b := range p.Result.Content {
					all = append(all, b.Text)
				}
			}
		}
	}
	return strings.Join(all, "\n")
}

func spawn(agent, message string) fake.Call {
	return fake.Call{Name: "spawn_agent", Input: fmt.Sprintf(`{"agent":%q,"message":%q}`, agent, message)}
}

// leader starts these calls when a user says "go", and then says "all done" once it heard all reports.
func leader(reports []string, calls ...fake.Call) func(core.ModelRequest) fake.Step {
	return func(req core.ModelRequest) fake.Step {
		if newest(req) == "go" {
			return fake.CallTools(calls...)
		}
		for _, r := range reports {
			if !strings.Contains(heard(req), r) {
				return fake.Say("waiting")
			}
		}
		return fake.Say("all done")
	}
}

// threads returns the session's threads, the primary one first.
func (h *house) threads(t *testing.T) []core.Thread {
	t.Helper()
	list, err := h.db.Threads(t.Context(), h.by.Project, h.sess.ID, core.ThreadPage{Limit: 1000})
	need(t, err)
	return list
}

func (h *house) state(t *testing.T) core.Session {
	t.Helper()
	s, err := h.db.Session(t.Context(), h.by.Project, h.sess.ID)
	need(t, err)
	return s
}

// kinds lists the types of a log's events that are among some.
func kinds(log []core.Event, some ...core.EventType) []core.EventType {
	var out []core.EventType
	for _, e := range log {
		if slices.Contains(some, e.Type) {
			out = append(out, e.Type)
		}
	}
	return out
}

func payload[T any](t *testing.T, e core.Event) T {
	t.Helper()
	v, err := core.Payload[T](e)
	need(t, err)
	return v
}

func TestChildrenRunSideBySideAndReportBack(t *testing.T) {
	t.Parallel()
	a, b := make(chan struct{}), make(chan struct{})
	var once [2]sync.Once
	h := buildTeam(t, cast{
		"boss": leader([]string{"report of a", "report of b"}, spawn("a", "task of a"), spawn("b", "task of b")),
		"a": func(core.ModelRequest) fake.Step {
			once[0].Do(func() { close(a) })
			return fake.Block(b).And(fake.Say("report of a"))
		},
		"b": func(core.ModelRequest) fake.Step {
			once[1].Do(func() { close(b) })
			return fake.Block(a).And(fake.Say("report of b"))
		},
	}, nil, "a", "b")
	n := h.open(h.db, turn.Options{})
	n.run(t)
	n.send(t, message("go"))
	_, stop := n.untilIdle(t, 0)
	log, threads, sess := h.log(t), h.threads(t), h.state(t)
	checkTeam(t, h, 0)
	if stop.Type != core.StopEndTurn || len(threads) != 3 || threads[1].Name != "a" || threads[2].Name != "b" {
		t.Fatalf("ended with %s and threads %+v", stop.Type, threads)
	}
	want := []core.EventType{core.EventStatusRunning, core.EventThreadCreated, core.EventThreadCreated, core.EventSessionUsage, core.EventStatusIdle}
	if d := cmp.Diff(want, kinds(log, want...)); d != "" {
		t.Errorf("the session's own events (-want +got):\n%s", d)
	}
	total := core.Usage{}
	for _, th := range threads {
		total = total.Add(th.Usage)
		if th.Status != core.StatusIdle || th.StopReason == nil || th.StopReason.Type != core.StopEndTurn || th.Usage.ModelCalls == 0 {
			t.Errorf("thread %s ends as %s %+v with %+v", th.Name, th.Status, th.StopReason, th.Usage)
		}
	}
	if total != sess.Usage {
		t.Errorf("the session used %+v, its threads %+v", sess.Usage, total)
	}
	var received []core.ThreadMessage
	for _, e := range log {
		if e.Type == core.EventMessageReceived && e.Thread == core.PrimaryThread(h.sess.ID) {
			received = append(received, payload[core.ThreadMessage](t, e))
		}
	}
	slices.SortFunc(received, func(a, b core.ThreadMessage) int { return strings.Compare(a.Name, b.Name) })
	if d := cmp.Diff([]core.ThreadMessage{
		{Thread: threads[1].ID, Name: "a", Content: core.Text("report of a")},
		{Thread: threads[2].ID, Name: "b", Content: core.Text("report of b")},
	}, received); d != "" {
		t.Errorf("what the coordinator received (-want +got):\n%s", d)
	}
	view, err := n.Events(t.Context(), h.by, h.sess.ID, core.EventQuery{})
	need(t, err)
	for _, e := range view {
		if e.Thread != core.PrimaryThread(h.sess.ID) && len(kinds([]core.Event{e}, core.EventThreadRunning, core.EventThreadIdle)) == 0 {
			t.Errorf("the session's view shows %s of thread %s", e.Type, e.Thread)
		}
	}
}

// worker calls one tool when it gets its task, and reports the tool's answer.
func worker(tool string) func(core.ModelRequest) fake.Step {
	return func(req core.ModelRequest) fake.Step {
		if newest(req) == "task" {
			return fake.CallTool(tool, `{"n":1}`)
		}
		return fake.Say("report: " + newest(req))
	}
}

func TestApprovalOfAChildIsAskedForInTheSession(t *testing.T) {
	t.Parallel()
	for _, allow := range []bool{true, false} {
		t.Run(fmt.Sprintf("allow %v", allow), func(t *testing.T) {
			t.Parallel()
			asked := &counted{name: "asked"}
			h := buildTeam(t, cast{"boss": leader([]string{"report"}, spawn("a", "task")), "a": worker("asked")}, toolset{asked}, "a")
			n := h.open(h.db, turn.Options{})
			n.run(t)
			n.send(t, message("go"))
			after, stop := n.untilIdle(t, 0)
			child := h.threads(t)[1]
			if stop.Type != core.StopRequiresAction || len(stop.Events) != 1 || !child.Waits() {
				t.Fatalf("the session waits with %+v, its child with %+v", stop, child.StopReason)
			}
			use, err := n.Event(t.Context(), h.by, h.sess.ID, stop.Events[0])
			need(t, err)
			if use.Thread != child.ID || !use.Shared {
				t.Errorf("what is waited for is of thread %s, shared %v", use.Thread, use.Shared)
			}
			answer := &core.ToolConfirmation{ToolUse: use.ID, Allow: allow}
			if !allow {
				answer.Reason = "too dear"
			}
			n.send(t, session.Input{Confirmation: answer})
			_, stop = n.untilIdle(t, after)
			checkTeam(t, h, 0)
			want := map[bool]string{true: `report: {"n":1}`, false: "report: Not run: the user refused it and said: too dear"}[allow]
			log := h.log(t)
			i := slices.IndexFunc(log, func(e core.Event) bool {
				return e.Type == core.EventMessageReceived && e.Thread == core.PrimaryThread(h.sess.ID)
			})
			if got := payload[core.ThreadMessage](t, log[i]).Content[0].Text; got != want || stop.Type != core.StopEndTurn || (asked.runs.Load() == 1) != allow {
				t.Errorf("the coordinator heard %q, want %q; ended with %s; the tool ran %d times", got, want, stop.Type, asked.runs.Load())
			}
		})
	}
}

func TestCustomToolOfAChildIsAnsweredThroughTheSession(t *testing.T) {
	t.Parallel()
	h := buildTeam(t, cast{"boss": leader([]string{"as you say"}, spawn("a", "task")), "a": worker("ask_me")}, nil, "a")
	n := h.open(h.db, turn.Options{})
	n.run(t)
	n.send(t, message("go"))
	after, stop := n.untilIdle(t, 0)
	events, err := n.Send(t.Context(), h.by, h.sess.ID, []session.Input{
		{CustomResult: &core.ToolResult{ToolUse: stop.Events[0], Content: core.Text("as you say")}}, message("thanks"),
	}, session.SendOptions{})
	need(t, err)
	child := h.threads(t)[1].ID
	if events[0].Thread != child || !events[0].Shared || events[1].Thread != core.PrimaryThread(h.sess.ID) {
		t.Errorf("the answer went to %s and the message to %s", events[0].Thread, events[1].Thread)
	}
	if _, stop = n.untilIdle(t, after); stop.Type != core.StopEndTurn {
		t.Errorf("ended with %s", stop.Type)
	}
	checkTeam(t, h, 0)
}

func TestInterruptStopsAllThreadsOrTheOneThatItNames(t *testing.T) {
	t.Parallel()
	release, begun := make(chan struct{}), make(chan string, 10)
	blocked := func(name string) func(core.ModelRequest) fake.Step {
		return func(core.ModelRequest) fake.Step {
			begun <- name
			return fake.Block(release).And(fake.Say("report of " + name))
		}
	}
	h := buildTeam(t, cast{
		"boss": leader([]string{"report of b"}, spawn("a", "task"), spawn("b", "task")), "a": blocked("a"), "b": blocked("b"),
	}, nil, "a", "b")
	n := h.open(h.db, turn.Options{})
	n.run(t)
	n.send(t, message("go"))
	<-begun
	<-begun
	a := h.threads(t)[1]
	n.send(t, session.Input{Interrupt: &core.Interrupt{Thread: a.ID}})
	for a.Live() {
		a = h.threads(t)[1]
	}
	if b := h.threads(t)[2]; a.StopReason.Type != core.StopInterrupted || !b.Live() || h.state(t).Status != core.StatusRunning {
		t.Fatalf("a ended with %+v, b is %s, the session %s", a.StopReason, b.Status, h.state(t).Status)
	}
	close(release)
	after, stop := n.untilIdle(t, 0)
	if stop.Type != core.StopEndTurn {
		t.Errorf("ended with %s", stop.Type)
	}
	checkTeam(t, h, 0)

	release = make(chan struct{}) // the next ones wait for ever
	n.send(t, message("go"))
	<-begun
	<-begun
	n.send(t, session.Input{Interrupt: &core.Interrupt{}})
	n.untilIdle(t, after)
	for _, th := range h.threads(t)[3:] {
		if th.Live() || th.StopReason.Type != core.StopInterrupted {
			t.Errorf("thread %s is %s %+v", th.ID, th.Status, th.StopReason)
		}
	}
	checkTeam(t, h, 0)
}

// Two threads of a session add to its one row at the same time.
func TestUsageOfManyThreadsIsNotLost(t *testing.T) {
	t.Parallel()
	const children, steps = 12, 5
	var calls []fake.Call
	var reports []string
	for i := range children {
		calls = append(calls, spawn("a", fmt.Sprintf("task %d", i)))
		reports = append(reports, fmt.Sprintf("report %d.", i))
	}
	h := buildTeam(t, cast{
		"boss": leader(reports, calls...),
		"a": func(req core.ModelRequest) fake.Step {
			if len(req.Messages) < 2*steps-1 {
				return fake.CallTool("again", `{}`)
			}
			return fake.Say(fmt.Sprintf("report %s.", strings.TrimPrefix(req.Messages[0].Parts[0].Block.Text, "task ")))
		},
	}, toolset{{name: "again", repeatable: true}}, "a")
	n := h.open(h.db, turn.Options{})
	n.run(t)
	n.send(t, message("go"))
	n.untilIdle(t, 0)
	checkTeam(t, h, 0)
	total := core.Usage{}
	for i, th := range h.threads(t) {
		total = total.Add(th.Usage)
		if i > 0 && th.Usage.ModelCalls != steps {
			t.Errorf("thread %d made %d model calls, want %d", i, th.Usage.ModelCalls, steps)
		}
	}
	if got := h.state(t).Usage; got != total || got.InputTokens != got.ModelCalls*fake.DefaultUsage.InputTokens {
		t.Errorf("the session used %+v, its threads %+v", got, total)
	}
}

func TestAdvisorAnswersInAThreadOfItsOwn(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		step   fake.Step
		result string
	}{
		"advice":  {fake.Say("Do it."), "Do it."},
		"failure": {fake.Fail(&core.ModelError{Type: core.ModelFailed, Message: "no such model"}), "The advisor could not be asked: no such model. Go on without it."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := buildTeam(t, cast{
				"boss": func(req core.ModelRequest) fake.Step {
					if newest(req) == "go" {
						return fake.CallTool("consult_advisor", `{"question":"Shall I?"}`)
					}
					return fake.Say("heard: " + newest(req))
				},
				"advisor": func(req core.ModelRequest) fake.Step {
					if len(req.Tools) > 0 || newest(req) != "Shall I?" {
						t.Errorf("the advisor has %d tools and was asked %q", len(req.Tools), newest(req))
					}
					return c.step
				},
			}, nil)
			n := h.open(h.db, turn.Options{})
			n.run(t)
			n.send(t, message("go"))
			_, stop := n.untilIdle(t, 0)
			checkTeam(t, h, 0)
			threads := h.threads(t)
			if stop.Type != core.StopEndTurn || len(threads) != 2 || threads[1].Name != core.AdvisorName || threads[1].Status != core.StatusTerminated {
				t.Fatalf("ended with %s and %+v", stop.Type, threads)
			}
			log := h.log(t)
			last := slices.IndexFunc(log, func(e core.Event) bool { return e.Type == core.EventAgentToolResult })
			if got := payload[core.ToolResult](t, log[last]); got.Content[0].Text != c.result || got.IsError != (name == "failure") {
				t.Errorf("result %+v, want %q", got, c.result)
			}
			if got := len(kinds(log, core.EventMessageReceived)); (name == "advice") != (got == 2) {
				t.Errorf("%d messages were received", got)
			}
			if got := h.state(t).Usage; got != threads[0].Usage.Add(threads[1].Usage) {
				t.Errorf("the session used %+v", got)
			}
		})
	}
}

func TestCoordinatorMayRunSoManyAgentsAtOneTime(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	h := buildTeam(t, cast{
		"boss": leader([]string{"report"}, slices.Repeat([]fake.Call{spawn("a", "task")}, core.MaxThreads+1)...),
		"a":    func(core.ModelRequest) fake.Step { return fake.Block(release).And(fake.Say("report")) },
	}, nil, "a")
	n := h.open(h.db, turn.Options{})
	n.run(t)
	n.send(t, message("go"))
	for h.threads(t)[0].Live() || h.threads(t)[0].StopReason == nil {
		// The coordinator has spawned them all when its turn ends.
	}
	refused := 0
	for _, e := range h.log(t) {
		if e.Type == core.EventAgentToolResult && payload[core.ToolResult](t, e).IsError {
			refused++
		}
	}
	if got := len(h.threads(t)); got != core.MaxThreads+1 || refused != 1 {
		t.Errorf("%d threads, %d calls were refused", got, refused)
	}
	close(release)
	n.untilIdle(t, 0)
	checkTeam(t, h, 0)
}

func TestAgentThatIsIdleTakesMoreWorkUntilItIsArchived(t *testing.T) {
	t.Parallel()
	var h *house
	h = buildTeam(t, cast{
		"boss": func(req core.ModelRequest) fake.Step {
			switch last := newest(req); {
			case last == "go":
				return fake.CallTools(spawn("A", "first"), fake.Call{Name: "spawn_agent", Input: `{"agent":"nobody","message":"x"}`}, fake.Call{Name: "list_agents", Input: `{}`})
			case last == "more":
				return fake.CallTool("send_to_agent", fmt.Sprintf(`{"thread":"sthr_%s","message":"second"}`, h.threads(t)[1].ID))
			default:
				return fake.Say("ok")
			}
		},
		"a": func(req core.ModelRequest) fake.Step {
			return fake.Say("heard " + strings.ReplaceAll(heard(req), "\n", "+"))
		},
	}, nil, "a")
	n := h.open(h.db, turn.Options{})
	n.run(t)
	n.send(t, message("go"))
	after, _ := n.untilIdle(t, 0)
	n.send(t, message("more"))
	after, _ = n.untilIdle(t, after)
	child := h.threads(t)[1].ID
	if _, err := n.ArchiveThread(t.Context(), h.by, h.sess.ID, core.PrimaryThread(h.sess.ID)); core.KindOf(err) != core.Invalid {
		t.Errorf("archiving the primary thread: %v", err)
	}
	archived, err := n.ArchiveThread(t.Context(), h.by, h.sess.ID, child)
	need(t, err)
	if archived.ArchivedAt.IsZero() || archived.Status != core.StatusTerminated {
		t.Errorf("archived: %+v", archived)
	}
	n.send(t, message("more"))
	n.untilIdle(t, after)
	checkTeam(t, h, 0)
	var reports, results []string
	for _, e := range h.log(t) {
		switch {
		case e.Type == core.EventMessageReceived && e.Thread != child:
			reports = append(reports, payload[core.ThreadMessage](t, e).Content[0].Text)
		case e.Type == core.EventAgentToolResult:
			results = append(results, payload[core.ToolResult](t, e).Content[0].Text)
		}
	}
	if d := cmp.Diff([]string{"heard first", "heard first+heard first+second"}, reports); d != "" {
		t.Errorf("reports (-want +got):\n%s", d)
	}
	want := []string{
		"Started a in thread sthr_" + string(child) + ". Its answer will come to you as a message.",
		`Not run: your team has no agent named "nobody". list_agents names them.`,
		`{"agents":[{"agent":"a","description":"knows a"}],"threads":[{"thread":"sthr_` + string(child) + `","agent":"a","status":"running"}]}`,
		"Sent to a in thread sthr_" + string(child) + ".",
		`Not run: there is no thread "sthr_` + string(child) + `" that takes messages. list_agents shows them.`,
	}
	if results[2] == strings.Replace(want[2], "running", "idle", 1) { // it was quick
		want[2] = results[2]
	}
	if d := cmp.Diff(want, results); d != "" {
		t.Errorf("results (-want +got):\n%s", d)
	}
}

// A cut may come after any transaction, of whichever thread: no child is started twice, no report is lost or doubled.
func TestTeamSurvivesACutAfterAnyTransaction(t *testing.T) {
	t.Parallel()
	script := cast{
		"boss": func(req core.ModelRequest) fake.Step {
			if newest(req) == "go" {
				return fake.CallTools(spawn("a", "task"), fake.Call{Name: "consult_advisor", Input: `{"question":"?"}`}, spawn("b", "task"))
			}
			return fake.Say("noted")
		},
		"a":       worker("asked"),
		"b":       worker("again"),
		"advisor": func(core.ModelRequest) fake.Step { return fake.Say("advice") },
	}
	for n := int64(0); ; n++ {
		h := buildTeam(t, script, toolset{{name: "asked"}, {name: "again", repeatable: true}}, "a", "b")
		if whole := cutOnce(t, h, &client{first: []session.Input{message("go")}}, n); whole || t.Failed() {
			t.Logf("%d cuts", n)
			return
		}
	}
}

// cutOnce drives a session whose server is cut off after n transactions and goes on in a second life. It reports
// whether there was no cut.
func cutOnce(t *testing.T, h *house, who *client, n int64) bool {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	first := h.open(newFrail(h.db, n, cancel), turn.Options{})
	end := first.run(t)
	whole := who.drive(ctx, t, first)
	cancel()
	end()
	if !whole {
		second := h.open(newFrail(h.db, 10_000, func() {}), turn.Options{})
		end := second.run(t)
		if !who.drive(t.Context(), t, second) {
			t.Fatalf("cut after %d: the session never rests", n)
		}
		end()
	}
	checkTeam(t, h, n)
	return whole
}

// checkTeam checks that the log of a session at rest tells one whole story in each of its threads.
func checkTeam(t *testing.T, h *house, cut int64) {
	t.Helper()
	log, primary := h.log(t), core.PrimaryThread(h.sess.ID)
	fault := func(e core.Event, what string) {
		t.Errorf("cut after %d: %s %d of %s: %s", cut, e.Type, e.Seq, e.Thread, what)
	}
	open, results, places := map[core.ThreadID]core.EventID{}, map[core.EventID]int{}, map[core.EventID]int{}
	status, spawned, created, ended, reports := map[core.ThreadID]core.EventType{}, 0, 0, 0, 0
	for i, e := range log {
		if e.Seq != int64(i+1) || e.ProcessedAt.IsZero() {
			fault(e, "a gap, or never taken up")
		}
		switch e.Type {
		case core.EventThreadRunning, core.EventThreadIdle, core.EventThreadRescheduling, core.EventThreadTerminated:
			status[e.Thread] = e.Type
			stop := payload[core.ThreadEvent](t, e).Stop
			if e.Type == core.EventThreadIdle && e.Thread != primary && stop.Type == core.StopEndTurn {
				ended++
			}
		case core.EventModelRequestStart:
			if open[e.Thread] != "" || status[e.Thread] != core.EventThreadRunning {
				fault(e, "begins inside another, or after "+string(status[e.Thread]))
			}
			open[e.Thread] = e.ID
		case core.EventModelRequestEnd:
			if open[e.Thread] == "" || payload[core.ModelRequestEnd](t, e).Start != open[e.Thread] {
				fault(e, "ends no open call")
			}
			open[e.Thread] = ""
		case core.EventAgentToolUse:
			results[e.ID] = 0
			if payload[core.ToolUse](t, e).Name == "consult_advisor" {
				spawned++
			}
		case core.EventAgentToolResult, core.EventUserCustomToolResult:
			r := payload[core.ToolResult](t, e)
			results[r.ToolUse]++
			if len(r.Content) > 0 && strings.HasPrefix(r.Content[0].Text, "Started ") {
				spawned++
			}
		case core.EventInputProcessed:
			for _, id := range payload[core.InputProcessed](t, e).Events {
				places[id]++
			}
		case core.EventThreadCreated:
			created++
		case core.EventMessageReceived:
			if e.Thread == primary && payload[core.ThreadMessage](t, e).ToolUse == "" {
				reports++
			}
		case core.EventStatusIdle:
			if log[i-1].Type != core.EventSessionUsage {
				fault(e, "no usage right before")
			}
			for id, s := range status {
				if s == core.EventThreadRunning || s == core.EventThreadRescheduling {
					fault(e, "thread "+string(id)+" still runs")
				}
			}
		}
	}
	for id, n := range results {
		if n != 1 {
			t.Errorf("cut after %d: tool use %s has %d results", cut, id, n)
		}
	}
	for id, n := range places {
		if n != 1 {
			t.Errorf("cut after %d: input %s was placed %d times", cut, id, n)
		}
	}
	if spawned != created || ended != reports {
		t.Errorf("cut after %d: %d threads for %d calls, %d reports of %d turns", cut, created, spawned, reports, ended)
	}
	for _, th := range h.threads(t) {
		if th.Live() || th.Turn.Pending || open[th.ID] != "" {
			t.Errorf("cut after %d: thread %s is %s, turn %+v, call %q", cut, th.Name, th.Status, th.Turn, open[th.ID])
		}
	}
	if sess := h.state(t); sess.Status != core.StatusIdle || len(log) > 0 && log[len(log)-1].Type != core.EventStatusIdle && log[len(log)-1].Type != core.EventThreadTerminated {
		t.Errorf("cut after %d: the session is %s, its log ends with %s", cut, sess.Status, log[len(log)-1].Type)
	}
	if t.Failed() {
		for _, e := range log {
			t.Logf("%d %.6s %s %s", e.Seq, string(e.Thread)[26:], e.Type, e.Data)
		}
	}
}

// An interrupt may find a consultation at work, or one that a server left behind.
func TestInterruptEndsAConsultation(t *testing.T) {
	t.Parallel()
	for _, cut := range []bool{false, true} {
		t.Run(fmt.Sprintf("cut %v", cut), func(t *testing.T) {
			t.Parallel()
			h := buildTeam(t, cast{
				"boss": func(req core.ModelRequest) fake.Step {
					if newest(req) == "go" {
						return fake.CallTool("consult_advisor", `{"question":"?"}`)
					}
					return fake.Say("ok")
				},
				"advisor": func(core.ModelRequest) fake.Step { return fake.Block(nil) },
			}, nil)
			n := h.open(h.db, turn.Options{})
			end := n.run(t)
			n.send(t, message("go"))
			<-h.fake.Waiting()
			if cut {
				end()
				n = h.open(h.db, turn.Options{})
			}
			n.send(t, session.Input{Interrupt: &core.Interrupt{}})
			if cut {
				n.run(t)
			}
			after, stop := n.untilIdle(t, 0)
			checkTeam(t, h, 0)
			if advisor := h.threads(t)[1]; stop.Type != core.StopInterrupted || advisor.Status != core.StatusTerminated {
				t.Errorf("ended with %s, the advisor's thread is %s", stop.Type, advisor.Status)
			}
			n.send(t, message("and now?"))
			if _, stop = n.untilIdle(t, after); stop.Type != core.StopEndTurn {
				t.Errorf("the next turn ended with %s", stop.Type)
			}
		})
	}
}

// A member that cannot go on tells the coordinator, which would wait for ever otherwise.
func TestMemberThatFailsTellsTheCoordinator(t *testing.T) {
	t.Parallel()
	h := buildTeam(t, cast{
		"boss": leader([]string{"its turn failed"}, spawn("a", "task")),
		"a": func(core.ModelRequest) fake.Step {
			return fake.Fail(&core.ModelError{Type: core.ModelFailed, Message: "no"})
		},
	}, nil, "a")
	n := h.open(h.db, turn.Options{})
	n.run(t)
	n.send(t, message("go"))
	n.untilIdle(t, 0)
	log := h.log(t)
	last := slices.IndexFunc(log, func(e core.Event) bool {
		return e.Type == core.EventAgentMessage && strings.Contains(string(e.Data), "all done")
	})
	if child := h.threads(t)[1]; last < 0 || child.StopReason.Type != core.StopRetriesExhausted {
		t.Errorf("the coordinator heard nothing, the member ended with %+v", child.StopReason)
	}
}
