package turn_test

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/provider/fake"
	"github.com/reeve-ai/reeve/internal/session"
	"github.com/reeve-ai/reeve/internal/turn"
)

var interrupt = session.Input{Interrupt: &core.Interrupt{}}

// spawning is a store that says when a transaction made a thread, right behind its commit.
type spawning struct {
	core.Store
	made func()
}

// noting is its transaction.
type noting struct {
	core.Store
	made *bool
}

func (n noting) CreateThread(ctx context.Context, t core.Thread) error {
	*n.made = true
	return n.Store.CreateThread(ctx, t)
}

func (s spawning) Tx(ctx context.Context, fn func(core.Store) error) error {
	made := false
	err := s.Store.Tx(ctx, func(tx core.Store) error {
		made = false
		return fn(noting{tx, &made})
	})
	if err == nil && made {
		s.made()
	}
	return err
}

func TestInterruptBetweenTwoSpawnsKeepsTheSecondFromRunning(t *testing.T) {
	t.Parallel()
	h := buildTeam(t, cast{
		"boss": leader([]string{"never"}, spawn("a", "one"), spawn("a", "two"), spawn("a", "three")),
		"a":    func(core.ModelRequest) fake.Step { return fake.Block(nil) },
	}, nil, "a")
	var n node
	var once sync.Once
	n = h.open(spawning{h.db, func() { once.Do(func() { n.send(t, interrupt) }) }}, turn.Options{})
	n.run(t)
	n.send(t, message("go"))
	if _, stop := n.untilIdle(t, 0); stop.Type != core.StopInterrupted || len(h.threads(t)) != 2 {
		t.Errorf("stopped by %s with %d threads", stop.Type, len(h.threads(t)))
	}
	checkTeam(t, h, 0)
}

func TestReportThatCameBeforeAnInterruptBeginsNoTurn(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64 // of the coordinator
	h := buildTeam(t, cast{
		"boss": func(req core.ModelRequest) fake.Step {
			calls.Add(1)
			switch {
			case newest(req) == "go":
				return fake.CallTools(spawn("a", "task"))
			case strings.Contains(heard(req), "go on"):
				return fake.Say("heard: " + heard(req))
			}
			return fake.Block(nil)
		},
		"a": func(core.ModelRequest) fake.Step { return fake.Say("report of a") },
	}, nil, "a")
	n := h.open(h.db, turn.Options{})
	n.run(t)
	n.send(t, message("go"))
	<-h.fake.Waiting()
	for threads := h.threads(t); len(threads) < 2 || threads[1].StopReason == nil; threads = h.threads(t) {
		continue
	}
	n.send(t, interrupt)
	after, stop := n.untilIdle(t, 0)
	if stop.Type != core.StopInterrupted || calls.Load() != 2 {
		t.Errorf("stopped by %s after %d calls of the coordinator", stop.Type, calls.Load())
	}
	n.send(t, message("go on"))
	n.untilIdle(t, after)
	told := slices.ContainsFunc(h.log(t), func(e core.Event) bool {
		return e.Type == core.EventAgentMessage && strings.Contains(string(e.Data), "heard: ") && strings.Contains(string(e.Data), "report of a")
	})
	if !told {
		t.Error("the report is lost")
	}
	checkTeam(t, h, 0)
}

func TestAnInterruptAtTheBudgetEndsAnOutcomeThatWaits(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	h := limited(t, 1, toolset{{name: "again"}}, fake.Block(release).And(fake.CallTool("again", `{}`)), fake.Say("done"))
	n := h.open(h.db, turn.Options{})
	n.run(t)
	n.send(t, message("go"))
	<-h.fake.Waiting()
	n.send(t, outcome(3))
	close(release)
	after, stop := n.untilIdle(t, 0)
	if o := h.stored(t).Outcomes[0]; stop.Type != core.StopBudgetReached || o.Result != core.OutcomePending {
		t.Fatalf("stopped by %s, outcome %+v", stop.Type, o)
	}
	n.send(t, interrupt)
	_, stop = n.untilIdle(t, after)
	if o := h.stored(t).Outcomes[0]; stop.Type != core.StopInterrupted || o.Result != core.OutcomeInterrupted {
		t.Errorf("stopped by %s, outcome %+v", stop.Type, o)
	}
	s, err := n.budget(t, cents(100))
	need(t, err)
	if s.Status != core.StatusIdle {
		t.Errorf("the raise made it %s", s.Status)
	}
}

// A member that ends without a report calls nobody: what the coordinator worked for is graded all the same.
func TestOutcomeIsGradedWhenTheLastMemberEndsWithoutAReport(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*testing.T, node, core.ThreadID){
		"interrupted": func(t *testing.T, n node, id core.ThreadID) {
			n.send(t, session.Input{Interrupt: &core.Interrupt{Thread: id}})
		},
		"archived": func(t *testing.T, n node, id core.ThreadID) {
			_, err := n.ArchiveThread(t.Context(), n.h.by, n.h.sess.ID, id)
			need(t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := buildTeam(t, cast{
				"boss": func(req core.ModelRequest) fake.Step {
					if strings.HasPrefix(newest(req), "Started") {
						return fake.Say("waiting")
					}
					return fake.CallTools(spawn("a", "task"))
				},
				"a":      func(core.ModelRequest) fake.Step { return fake.CallTool("ask_me", `{}`) },
				"grader": func(core.ModelRequest) fake.Step { return fake.Say(satisfied) },
			}, nil, "a")
			n := h.open(h.db, turn.Options{})
			n.run(t)
			n.send(t, outcome(3))
			after, stop := n.untilIdle(t, 0)
			if stop.Type != core.StopRequiresAction {
				t.Fatalf("stopped by %s", stop.Type)
			}
			end(t, n, h.threads(t)[1].ID)
			n.waitFor(t, core.EventOutcomeEnd, after)
			n.untilIdle(t, after)
			if o := h.state(t).Outcomes[0]; o.Result != core.OutcomeSatisfied {
				t.Errorf("outcome %+v", o)
			}
		})
	}
}

func TestTeamThatOnlyTalksToItselfIsStopped(t *testing.T) {
	t.Parallel()
	name := regexp.MustCompile(`sthr_\w+`)
	h := buildTeam(t, cast{
		"boss": func(req core.ModelRequest) fake.Step {
			switch last := newest(req); {
			case last == "go":
				return fake.CallTools(spawn("a", "ping"))
			case last == "hello":
				return fake.Say("hello")
			case last == "pong":
				return fake.CallTool("send_to_agent", fmt.Sprintf(`{"thread":%q,"message":"ping"}`, name.FindString(heard(req))))
			}
			return fake.Say("waiting")
		},
		"a": func(core.ModelRequest) fake.Step { return fake.Say("pong") },
	}, nil, "a")
	n := h.open(h.db, turn.Options{})
	n.run(t)
	n.send(t, message("go"))
	after, stop := n.untilIdle(t, 0)
	if stop.Type != core.StopMaxSteps {
		t.Fatalf("stopped by %s", stop.Type)
	}
	last := kinds(h.log(t), core.EventSessionError, core.EventThreadIdle, core.EventStatusIdle)
	if d := cmp.Diff([]core.EventType{core.EventSessionError, core.EventThreadIdle, core.EventStatusIdle}, last[len(last)-3:]); d != "" {
		t.Errorf("the log ends with (-want +got):\n%s", d)
	}
	n.send(t, message("hello"))
	if _, stop := n.untilIdle(t, after); stop.Type != core.StopEndTurn {
		t.Errorf("the client's next turn was stopped by %s", stop.Type)
	}
}
