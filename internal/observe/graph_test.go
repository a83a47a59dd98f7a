package observe_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/reeve-ai/reeve/internal/identity"
	"github.com/reeve-ai/reeve/internal/observe"
)

func TestAGraphSaysWhoCalledWhatInWhichOrder(t *testing.T) {
	t.Parallel()
	f := setup(t, observe.Options{}, identity.Limits{})
	failed := ran("https://user:pw@Geo.example:8443/v2/geocode?q=depot", 50, 80)
	failed.StatusCode, failed.Method = 502, "get"
	f.record(t, f.from, ran("https://geo.example:8443/v2/geocode?q=home", 0, 10), failed)
	f.record(t, f.sdk, ran("/orders/1?x=y", 20, 40))
	refused := ran("/orders/1#top", 90, 92)
	refused.StatusCode = 404
	f.record(t, f.sdk, refused)
	f.record(t, f.from, ran("//api/v1/", 100, 104))

	g, err := f.Graph(t.Context(), f.viewer, f.agent.ID, f.session)
	need(t, err)
	ids := map[string]string{}
	for _, n := range g.Nodes {
		ids[n.Label] = n.ID
	}
	agent, geo, orders, api := ids["Route Planner"], ids["GET /v2/geocode"], ids["GET /orders/1"], ids["GET //api/v1/"]
	want := observe.Graph{
		Nodes: []observe.Node{
			{ID: "agent", Kind: "agent", Label: "Route Planner", Calls: 5, Errors: 1},
			{ID: "service:geo.example:8443", Kind: "service", Label: "geo.example:8443", Service: "geo.example:8443", Calls: 2, Errors: 1},
			{ID: geo, Kind: "endpoint", Label: "GET /v2/geocode", Service: "geo.example:8443", Calls: 2, Errors: 1},
			{ID: "service:project", Kind: "service", Label: "project", Service: "project", Calls: 2},
			{ID: orders, Kind: "endpoint", Label: "GET /orders/1", Service: "project", Calls: 2},
			{ID: "service:outside", Kind: "service", Label: "outside", Service: "outside", Calls: 1},
			{ID: api, Kind: "endpoint", Label: "GET //api/v1/", Service: "outside", Calls: 1},
		},
		Edges: []observe.Edge{
			{From: agent, To: "service:geo.example:8443", Kind: "calls", Calls: 2, Errors: 1, FirstOrder: 1, MeanMS: 20, MaxMS: 30},
			{From: "service:geo.example:8443", To: geo, Kind: "calls", Calls: 2, Errors: 1, FirstOrder: 1, MeanMS: 20, MaxMS: 30},
			{From: agent, To: "service:project", Kind: "calls", Calls: 2, FirstOrder: 2, MeanMS: 11, MaxMS: 20},
			{From: "service:project", To: orders, Kind: "calls", Calls: 2, FirstOrder: 2, MeanMS: 11, MaxMS: 20},
			{From: geo, To: orders, Kind: "then", Calls: 2, FirstOrder: 2, MeanMS: 11, MaxMS: 20},
			{From: orders, To: geo, Kind: "then", Calls: 1, Errors: 1, FirstOrder: 3, MeanMS: 30, MaxMS: 30},
			{From: agent, To: "service:outside", Kind: "calls", Calls: 1, FirstOrder: 5, MeanMS: 4, MaxMS: 4},
			{From: "service:outside", To: api, Kind: "calls", Calls: 1, FirstOrder: 5, MeanMS: 4, MaxMS: 4},
			{From: orders, To: api, Kind: "then", Calls: 1, FirstOrder: 5, MeanMS: 4, MaxMS: 4},
		},
		Steps: []observe.Step{
			{Order: 1, Endpoint: geo, Method: "GET", Path: "https://geo.example:8443/v2/geocode?q=home", StatusCode: 200, LatencyMS: 10},
			{Order: 2, Endpoint: orders, Method: "GET", Path: "/orders/1?x=y", StatusCode: 200, LatencyMS: 20, OffsetMS: 20},
			{Order: 3, Endpoint: geo, Method: "get", Path: failed.Path, StatusCode: 502, LatencyMS: 30, OffsetMS: 50, Failed: true},
			{Order: 4, Endpoint: orders, Method: "GET", Path: "/orders/1#top", StatusCode: 404, LatencyMS: 2, OffsetMS: 90},
			{Order: 5, Endpoint: api, Method: "GET", Path: "//api/v1/", StatusCode: 200, LatencyMS: 4, OffsetMS: 100},
		},
	}
	if diff := cmp.Diff(want, g, cmpopts.IgnoreFields(observe.Step{}, "Capture")); diff != "" {
		t.Errorf("graph (-want +got):\n%s", diff)
	}
	again, err := f.Graph(t.Context(), f.viewer, f.agent.ID, f.session)
	if diff := cmp.Diff(g, again); err != nil || diff != "" {
		t.Errorf("the second answer differs: %v\n%s", err, diff)
	}
}

func TestAnEmptySessionHasAGraphOfItsAgent(t *testing.T) {
	t.Parallel()
	f := setup(t, observe.Options{}, identity.Limits{})
	g, err := f.Graph(t.Context(), f.viewer, f.agent.ID, f.session)
	want := observe.Graph{Nodes: []observe.Node{{ID: "agent", Kind: "agent", Label: "Route Planner"}}, Edges: []observe.Edge{}, Steps: []observe.Step{}}
	if diff := cmp.Diff(want, g); err != nil || diff != "" {
		t.Errorf("graph: %v (-want +got):\n%s", err, diff)
	}
}

func TestAGraphOfHugePathsIsCutShort(t *testing.T) {
	t.Parallel()
	f := setup(t, observe.Options{}, identity.Limits{})
	path := strings.Repeat("é", observe.MaxPath)
	var reports []observe.Report
	for i := range 600 {
		reports = append(reports, ran(path, 0, float64(i)))
	}
	f.record(t, f.from, reports...)
	g, err := f.Graph(t.Context(), f.viewer, f.agent.ID, f.session)
	need(t, err)
	if len(g.Steps) != 512 || !g.Truncated { // of 16 KiB each
		t.Errorf("%d steps, truncated %t", len(g.Steps), g.Truncated)
	}
}

// The host header says which service a path belongs to, in whatever form headers are reported.
func TestTheHostHeaderNamesTheService(t *testing.T) {
	t.Parallel()
	f := setup(t, observe.Options{}, identity.Limits{})
	cases := []struct{ headers, want string }{
		{`{"Host":"a.example"}`, "a.example"},
		{`{"authorization":"x","HTTP_HOST":"b.example:80"}`, "b.example:80"},
		{`{"host":["c.example"]}`, "c.example"},
		{`[["host","d.example"]]`, "d.example"},
		{`["Accept","host","Host","e.example"]`, "e.example"},
		{"accept: x\r\nHost: [::1]:8000\r\n", "[::1]:8000"},
		{`[(b'host', b'f.example')]`, "f.example"},
		{`{"host":"not a host"}`, "outside"},
		{`{"x":"host"}`, "outside"},
		{`{"host":"session-token-4711"}`, "outside"},
	}
	for i, tc := range cases {
		r := ran("/", float64(i), float64(i))
		r.RequestHeaders = new(tc.headers)
		f.record(t, f.from, r)
	}
	g, err := f.Graph(t.Context(), f.viewer, f.agent.ID, f.session)
	need(t, err)
	services := map[string]string{}
	for _, n := range g.Nodes {
		services[n.ID] = n.Service
	}
	for i, s := range g.Steps {
		if got := services[s.Endpoint]; got != cases[i].want {
			t.Errorf("%s: the service is %q, want %q", cases[i].headers, got, cases[i].want)
		}
	}
}
