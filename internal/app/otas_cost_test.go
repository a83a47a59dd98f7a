package app_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/reeve-ai/reeve/internal/app/apptest"
	"github.com/reeve-ai/reeve/internal/provider/fake"
)

// These are P1 to P8 of reference otas.md, section 8, as far as they can be counted: what a request
// costs must not grow with what others have stored. How long it takes, `reeve bench otas` measures. P5
// is held by the plan test of the store; P9 is about a client.

// statements counts what the requests of fn ran in the databases.
func statements(srv *apptest.Server, fn func()) int64 {
	before := srv.Statements.Load()
	fn()
	return srv.Statements.Load() - before
}

// P1, P2: a key is found by its prefix, whoever has how many.
func TestKeyCheckCostsTheSameWithManyKeys(t *testing.T) {
	t.Parallel()
	srv := apptest.StartWith(t, fake.New())
	d := newDesk(t, srv)
	check := func() (sdk, agent, capture int64) {
		sdk = statements(srv, func() {
			otas(t, srv, "POST", "/api/project/v1/sdk/backend/key/authenticate/", nil, "X-OTAS-SDK-KEY", d.sdk).is(t, 200, "authenticated")
		})
		agent = statements(srv, func() {
			otas(t, srv, "POST", "/api/agent/v1/auth/verify/", nil, "X-OTAS-AGENT-KEY", d.key).is(t, 200, "authenticated")
		})
		capture = statements(srv, func() { d.report(t, d.event(nil)).is(t, 201, "event_captured") })
		return sdk, agent, capture
	}
	d.report(t, d.event(nil)).is(t, 201, "event_captured") // the first of a day makes the rows of its counts
	sdk1, agent1, capture1 := check()
	for range 3 {
		other := newDesk(t, srv)
		for range 20 {
			other.admin(t, "POST", "/api/project/v1/sdk/backend/key/create/", `{"validity":300}`).is(t, 201, "backend_sdk_key_created")
		}
	}
	sdk2, agent2, capture2 := check()
	if sdk1 != sdk2 || agent1 != agent2 || capture1 != capture2 {
		t.Errorf("statements: SDK key %d then %d, agent key %d then %d, capture %d then %d", sdk1, sdk2, agent1, agent2, capture1, capture2)
	}
	if sdk2 > 2 || agent2 > 2 || capture2 > 3+8 { // 3 to check it, 8 to store it and to count it
		t.Errorf("statements: SDK key %d, agent key %d, capture %d: more than the check needs", sdk2, agent2, capture2)
	}
}

// P4: the agents' keys come with the agents.
func TestAgentListCostsTheSameWithManyAgents(t *testing.T) {
	t.Parallel()
	srv := apptest.StartWith(t, fake.New())
	d := newDesk(t, srv)
	list := func() int64 {
		return statements(srv, func() { d.admin(t, "GET", "/api/agent/v1/list/", nil).is(t, 200, "agents_listed") })
	}
	one := list()
	for i := range 100 {
		d.admin(t, "POST", "/api/agent/v1/create/", map[string]any{"agent_name": fmt.Sprintf("a%d", i), "agent_provider": "x"}).is(t, 201, "agent_created")
	}
	if many := list(); many != one {
		t.Errorf("%d statements with one agent, %d with 101", one, many)
	}
}

// P6, P7, P8: a thousand events come in one request, and reading them costs a few statements.
func TestReadsCostTheSameWithManyCaptures(t *testing.T) {
	t.Parallel()
	srv := apptest.StartWith(t, fake.New())
	d := newDesk(t, srv)
	batch := func(n int) {
		var lines strings.Builder
		for i := range n {
			fmt.Fprintf(&lines, `{"project_id":%q,"path":"/p/%d","method":"GET","status_code":%d,"latency_ms":%d}`+"\n", d.project, i%7, 200+i%3*150, i)
		}
		otas(t, srv, "POST", "/api/v1/backend/log/agent/batch/", lines.String(), "X-OTAS-AGENT-KEY", d.key, "X-OTAS-AGENT-SESSION-TOKEN", d.token).
			is(t, 201, "events_captured")
	}
	reads := []string{
		"/api/v1/agent/path-timeseries/?start_date=2026-01-01&end_date=2027-12-31",
		"/api/v1/agent/error-count/?start_date=2026-01-01&end_date=2027-12-31",
		"/api/v1/agent/latency-percentiles/?start_date=2026-01-01&end_date=2027-12-31",
		"/api/v1/agent/error-breakdown/?start_date=2026-01-01&end_date=2027-12-31",
		"/api/v1/agent/usage/?start_date=2026-01-01&end_date=2027-12-31",
		"/api/v1/agent/session/events/?limit=5&session_id=" + d.session,
		"/api/v1/agent/session/timeline/?limit=5&session_id=" + d.session,
	}
	cost := func() map[string]int64 {
		costs := map[string]int64{}
		for _, path := range reads {
			costs[path] = statements(srv, func() {
				if a := d.read(t, path); a.Status != 200 {
					t.Fatalf("%s: %d %s", path, a.Status, a.Raw)
				}
			})
		}
		return costs
	}
	batch(21)
	few := cost()
	batch(2000)
	for path, many := range cost() {
		// A percentile that falls on another place may need a look or two more.
		if many > few[path]+4 || many > 20 {
			t.Errorf("%s: %d statements with few captures, %d with many", path, few[path], many)
		}
	}
}
