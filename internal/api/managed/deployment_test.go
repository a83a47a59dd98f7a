package managed_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/api/exchange"
	"github.com/reeve-ai/reeve/internal/app"
	"github.com/reeve-ai/reeve/internal/app/apptest"
	"github.com/reeve-ai/reeve/internal/deployment"
	"github.com/reeve-ai/reeve/internal/provider/fake"
)

func TestRecordedDeployments(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"deployment_claude", "deployment_qoder"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			exchange.Run(t, s.URL, "testdata/"+name+".txtar", map[string]string{
				"token": s.token, "member": s.member, "viewer": s.viewer, "foreign": s.foreign,
			})
		})
	}
}

// deployment makes an agent, an environment and a deployment that fires every minute, and returns its id.
func (c client) deployment(t *testing.T) string {
	t.Helper()
	env := c.must(t, "POST", "/environments", `{"name":"box"}`)["id"].(string)
	return c.must(t, "POST", "/deployments", `{"name":"minutely","agent":"`+c.agent(t, "")+`","environment_id":"`+env+`",
		"initial_events":[{"type":"user.message","content":[{"type":"text","text":"go"}]}],
		"schedule":{"type":"cron","expression":"* * * * *","timezone":"UTC"}}`)["id"].(string)
}

// elapse lets what is due after some time fire: by a node whose clock is ahead.
func (s *server) elapse(t *testing.T, d time.Duration) {
	t.Helper()
	later := time.Now().Add(d)
	node := deployment.New(s.db, s.sessions, deployment.Options{Now: func() time.Time { return later }, Log: slog.New(slog.DiscardHandler)})
	if _, err := node.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestAScheduledRunOnTheWire(t *testing.T) {
	t.Parallel()
	s := start(t, fake.Say("done"), fake.Say("done"))
	for _, c := range []client{claude(s), qoder(s)} {
		id := c.deployment(t)
		s.elapse(t, 90*time.Second)
		d := c.must(t, "GET", "/deployments/"+id, "")
		if dig(d, "schedule", "last_run_at") == nil {
			t.Errorf("schedule after the run: %v", d["schedule"])
		}
		list := c.must(t, "GET", "/deployment_runs?deployment_id="+id, "")
		run := dig(list, "data", 0)
		if dig(run, "trigger_context", "type") != "schedule" || dig(run, "error") != nil || dig(list, "data", 1) != nil {
			t.Fatalf("runs: %v", list)
		}
		if at, err := time.Parse(time.RFC3339Nano, dig(run, "trigger_context", "scheduled_at").(string)); err != nil || !at.Equal(at.Truncate(time.Minute)) {
			t.Errorf("scheduled at %v: %v", at, err)
		}
		sess := c.must(t, "GET", "/sessions/"+dig(run, "session_id").(string), "")
		if sess["deployment_id"] != id {
			t.Errorf("deployment of the session: %v, want %s", sess["deployment_id"], id)
		}
		for query, want := range map[string]any{"deployment_id=" + id: sess["id"], "deployment_id=dep_0198c1d2000070008000000000000001": nil} {
			if got := dig(c.must(t, "GET", "/sessions?"+query, ""), "data", 0, "id"); got != want {
				t.Errorf("sessions?%s: %v, want %v", query, got, want)
			}
		}
	}
}

func TestAFailedScheduledRunPauses(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, c := range []client{claude(s), qoder(s)} {
		id := c.deployment(t)
		c.must(t, "POST", "/environments/"+c.must(t, "GET", "/deployments/"+id, "")["environment_id"].(string)+"/archive", "")
		s.elapse(t, 90*time.Second)
		d := c.must(t, "GET", "/deployments/"+id, "")
		want := map[string]any{"type": "error", "error": map[string]any{"type": "environment_archived_error"}}
		if diff := cmp.Diff(want, d["paused_reason"]); diff != "" || d["status"] != "paused" {
			t.Errorf("status %v, paused_reason (-want +got):\n%s", d["status"], diff)
		}
		if n := len(dig(d, "schedule", "upcoming_runs_at").([]any)); n != 5 {
			t.Errorf("a paused schedule shows %d moments", n)
		}
		failed := dig(c.must(t, "GET", "/deployment_runs?has_error=true&trigger_type=schedule&deployment_id="+id, ""), "data", 0)
		if dig(failed, "session_id") != nil || dig(failed, "error", "type") != "environment_archived_error" {
			t.Errorf("run: %v", failed)
		}
		c.must(t, "POST", "/deployments/"+id+"/archive", "")
		d = c.must(t, "GET", "/deployments/"+id, "")
		if d["status"] != map[string]string{"/v1": "active", "/api/v1/cloud": "paused"}[c.base] || (d["status"] == "paused") != (d["paused_reason"] != nil) {
			t.Errorf("archived: status %v, paused_reason %v", d["status"], d["paused_reason"])
		}
	}
}

func TestDeploymentsAndRunsInPages(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, c := range []client{claude(s), qoder(s)} {
		var deployments, runs []any
		for range 3 {
			id := c.deployment(t)
			deployments = append([]any{id}, deployments...)
			runs = append([]any{c.must(t, "POST", "/deployments/"+id+"/run", "")["id"]}, runs...)
		}
		next := func(page map[string]any) string { return "&page=" + page["next_page"].(string) }
		firstDeployments := c.must(t, "GET", "/deployments?limit=2", "")
		firstRuns := c.must(t, "GET", "/deployment_runs?limit=2", "")
		c.must(t, "POST", "/deployments/"+c.deployment(t)+"/run", "") // what is made in between moves nothing
		secondDeployments := c.must(t, "GET", "/deployments?limit=2"+next(firstDeployments), "")
		secondRuns := c.must(t, "GET", "/deployment_runs?limit=2"+next(firstRuns), "")
		for _, pages := range []struct {
			first, second map[string]any
			want          []any
		}{{firstDeployments, secondDeployments, deployments}, {firstRuns, secondRuns, runs}} {
			got := []any{dig(pages.first, "data", 0, "id"), dig(pages.first, "data", 1, "id"), dig(pages.second, "data", 0, "id")}
			if diff := cmp.Diff(pages.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.base, diff)
			}
		}
	}
}

func TestAnIdempotencyKeyMakesOneDeployment(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := qoder(s)
	env := c.must(t, "POST", "/environments", `{"name":"box"}`)["id"].(string)
	body := `{"name":"d","agent":"` + c.agent(t, "") + `","environment_id":"` + env + `","initial_events":[{"type":"user.message","content":[{"type":"text","text":"go"}]}]}`
	one := c.must(t, "POST", "/deployments", body, "Idempotency-Key", "k")
	two := c.must(t, "POST", "/deployments", body, "Idempotency-Key", "k")
	run := c.must(t, "POST", "/deployments/"+one["id"].(string)+"/run", "", "Idempotency-Key", "r")
	again := c.must(t, "POST", "/deployments/"+one["id"].(string)+"/run", "", "Idempotency-Key", "r")
	if one["id"] != two["id"] || run["id"] != again["id"] {
		t.Errorf("deployments %v and %v, runs %v and %v", one["id"], two["id"], run["id"], again["id"])
	}
	if n := len(dig(c.must(t, "GET", "/deployment_runs", ""), "data").([]any)); n != 1 {
		t.Errorf("%d runs", n)
	}
}

func need(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// The official client on the real app, whose clock the test puts forward; the app's own sweep fires.
func TestOfficialSDKDeployments(t *testing.T) {
	t.Parallel()
	ahead := make(chan time.Duration, 1) // holds how far the clock is ahead
	ahead <- 0
	srv := apptest.StartWith(t, fake.New(fake.Say("scanned"), fake.Say("scanned")), apptest.WithOptions(func(o *app.Options) {
		o.Now = func() time.Time {
			d := <-ahead
			ahead <- d
			return time.Now().Add(d)
		}
	}))
	client, _ := sdk(t, srv)
	ctx := t.Context()
	agent, err := client.Beta.Agents.New(ctx, anthropic.BetaAgentNewParams{Name: "Scanner", Model: anthropic.BetaManagedAgentsModelConfigParams{ID: apptest.Model}})
	need(t, err)
	env, err := client.Beta.Environments.New(ctx, anthropic.BetaEnvironmentNewParams{Name: "box"})
	need(t, err)
	message := anthropic.BetaManagedAgentsDeploymentInitialEventParamsOfUserMessage([]anthropic.BetaManagedAgentsUserMessageEventParamsContentUnion{{
		OfText: &anthropic.BetaManagedAgentsTextBlockParam{Text: "Scan.", Type: anthropic.BetaManagedAgentsTextBlockTypeText},
	}})
	d, err := client.Beta.Deployments.New(ctx, anthropic.BetaDeploymentNewParams{
		Name: "Hourly scan", Agent: anthropic.BetaDeploymentNewParamsAgentUnion{OfString: anthropic.String(agent.ID)}, EnvironmentID: env.ID,
		InitialEvents: []anthropic.BetaManagedAgentsDeploymentInitialEventParamsUnion{message},
		Schedule:      anthropic.BetaManagedAgentsScheduleParams{Expression: "0 * * * *", Timezone: "America/New_York", Type: anthropic.BetaManagedAgentsScheduleParamsTypeCron},
	})
	need(t, err)
	if len(d.Schedule.UpcomingRunsAt) != 5 || d.Agent.Version != 1 || d.Status != anthropic.BetaManagedAgentsDeploymentStatusActive {
		t.Errorf("deployment: %s", d.RawJSON())
	}
	d, err = client.Beta.Deployments.Update(ctx, d.ID, anthropic.BetaDeploymentUpdateParams{Description: anthropic.String("scans"), Metadata: map[string]string{"a": "b"}})
	need(t, err)
	d, err = client.Beta.Deployments.Pause(ctx, d.ID, anthropic.BetaDeploymentPauseParams{})
	need(t, err)
	if _, manual := d.PausedReason.AsAny().(anthropic.BetaManagedAgentsManualDeploymentPausedReason); !manual {
		t.Errorf("paused: %s", d.RawJSON())
	}
	run, err := client.Beta.Deployments.Run(ctx, d.ID, anthropic.BetaDeploymentRunParams{})
	need(t, err)
	d, err = client.Beta.Deployments.Unpause(ctx, d.ID, anthropic.BetaDeploymentUnpauseParams{})
	need(t, err)

	<-ahead
	ahead <- time.Until(d.Schedule.UpcomingRunsAt[0]) + 9*time.Minute
	deadline := time.After(patience)
	var scheduled *anthropic.BetaManagedAgentsDeploymentRun
	for scheduled == nil {
		page, err := client.Beta.DeploymentRuns.List(ctx, anthropic.BetaDeploymentRunListParams{
			DeploymentID: anthropic.String(d.ID), TriggerType: anthropic.BetaManagedAgentsTriggerTypeSchedule, HasError: anthropic.Bool(false),
		})
		need(t, err)
		if len(page.Data) > 0 {
			scheduled = &page.Data[0]
		}
		select {
		case <-deadline:
			t.Fatal("the schedule did not fire")
		case <-time.After(50 * time.Millisecond):
		}
	}
	if !scheduled.TriggerContext.ScheduledAt.Equal(d.Schedule.UpcomingRunsAt[0]) {
		t.Errorf("scheduled at %s, want %s", scheduled.TriggerContext.ScheduledAt, d.Schedule.UpcomingRunsAt[0])
	}
	got, err := client.Beta.DeploymentRuns.Get(ctx, scheduled.ID, anthropic.BetaDeploymentRunGetParams{})
	need(t, err)
	if got.SessionID == "" || got.SessionID == run.SessionID {
		t.Errorf("run: %s", got.RawJSON())
	}
	all := client.Beta.DeploymentRuns.ListAutoPaging(ctx, anthropic.BetaDeploymentRunListParams{Limit: anthropic.Int(1)})
	var ids []string
	for all.Next() {
		ids = append(ids, all.Current().ID)
	}
	need(t, all.Err())
	if diff := cmp.Diff([]string{scheduled.ID, run.ID}, ids); diff != "" {
		t.Errorf("all runs (-want +got):\n%s", diff)
	}
	sessions, err := client.Beta.Sessions.List(ctx, anthropic.BetaSessionListParams{DeploymentID: anthropic.String(d.ID)})
	need(t, err)
	if len(sessions.Data) != 2 || sessions.Data[0].DeploymentID != d.ID {
		t.Errorf("%d sessions of the deployment", len(sessions.Data))
	}
	list, err := client.Beta.Deployments.List(ctx, anthropic.BetaDeploymentListParams{AgentID: anthropic.String(agent.ID), Status: anthropic.BetaManagedAgentsDeploymentStatusActive})
	need(t, err)
	if len(list.Data) != 1 || list.Data[0].Schedule.LastRunAt.IsZero() {
		t.Errorf("deployments: %+v", list.Data)
	}
	_, err = client.Beta.Agents.Archive(ctx, agent.ID, anthropic.BetaAgentArchiveParams{})
	need(t, err)
	d, err = client.Beta.Deployments.Get(ctx, d.ID, anthropic.BetaDeploymentGetParams{})
	need(t, err)
	if d.ArchivedAt.IsZero() {
		t.Error("the agent is archived, its deployment is not")
	}
	_, err = client.Beta.Deployments.Archive(ctx, d.ID, anthropic.BetaDeploymentArchiveParams{})
	need(t, err)
}
