package compat

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/lib/environments"
	"github.com/anthropics/anthropic-sdk-go/toolrunner"

	"github.com/reeve-ai/reeve/internal/app/apptest"
)

// goExamples are flows of the Go client's own examples, beyond those that all clients run.
var goExamples = []struct {
	name string
	run  func(t *testing.T, g *gosdk)
}{
	{"a tool runner observes", goToolRunner},
	{"work is dispatched", goDispatch},
}

// goToolRunner: the client's runner answers a custom tool and shows what it did.
func goToolRunner(t *testing.T, g *gosdk) {
	session := g.newSession(t, `[{"type":"custom","name":"get_weather","description":"The weather of a city.","input_schema":{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}}]`)
	type place struct {
		City string `json:"city"`
	}
	weather := must(toolrunner.NewBetaToolFromJSONSchema("get_weather", "The weather of a city.", func(_ context.Context, p place) (anthropic.BetaToolResultBlockParamContentUnion, error) {
		return anthropic.BetaToolResultBlockParamContentUnion{OfText: &anthropic.BetaTextBlockParam{Text: "Rain in " + p.City + "."}}, nil
	}))(t)
	idle := 300 * time.Millisecond
	runner := anthropic.NewSessionToolRunner(t.Context(), g.Client, session, anthropic.SessionToolRunnerOptions{Tools: []anthropic.BetaTool{weather}, MaxIdle: &idle, Logger: slog.New(slog.DiscardHandler)})
	defer func() { _ = runner.Close() }()
	if err := g.send(t, session, sent(`calls [{"name":"get_weather","input":{"city":"Oslo"}}]`)); err != nil {
		t.Fatal(err)
	}
	var posted []string
	for runner.Next() {
		if c := runner.Current(); c.Posted && !c.IsError {
			posted = append(posted, c.Name)
		}
	}
	if err := runner.Err(); !errors.Is(err, anthropic.ErrIdleTimeout) { // how it says that there is nothing more to do
		t.Fatal(err)
	}
	equal(t, posted, []string{"get_weather"})
	said := all(t, g.Beta.Sessions.Events.ListAutoPaging(t.Context(), session, anthropic.BetaSessionEventListParams{Types: []anthropic.BetaManagedAgentsSessionEventType{"agent.message"}}),
		func(e anthropic.BetaManagedAgentsSessionEventUnion) string { return heard(e.RawJSON()) })
	equal(t, said, []string{"It said: Rain in Oslo."})
}

// goDispatch: one program takes the work and hands each item to another, which has no more than its secret.
func goDispatch(t *testing.T, g *gosdk) {
	c := client{}.crew(t, g.w) // nobody is hired
	s := c.session(t, nil)
	idle, quiet := 300*time.Millisecond, slog.New(slog.DiscardHandler)
	poller := environments.NewWorkPoller(t.Context(), g.Client, environments.WorkPollerOptions{EnvironmentID: c.env, EnvironmentKey: c.key, AutoStop: anthropic.Bool(false), Logger: quiet})
	defer func() { _ = poller.Close() }()
	holds(t, poller.Next(), poller.Err())
	item := poller.Current()
	holds(t, item.Secret != "", "an item without a secret")
	s.Send(t, `calls [{"name":"bash","input":{"command":"printf dispatched"}}]`)
	worker := environments.NewEnvironmentWorker(g.Client, environments.EnvironmentWorkerOptions{Workdir: t.TempDir(), MaxIdle: &idle, Logger: quiet})
	if err := worker.HandleItem(t.Context(), environments.HandleItemOptions{WorkID: item.ID, EnvironmentID: c.env, SessionID: item.Data.ID, WorkSecret: item.Secret}); err != nil {
		t.Fatal(err)
	}
	said := rest(t, s)
	holds(t, strings.Contains(said, "dispatched"), said)
	apptest.Poll(t, "the end of the item", func() bool {
		return c.Must(t, http.MethodGet, "/v1/environments/"+c.env+"/work/"+item.ID, nil)["state"] == "stopped"
	})
}
