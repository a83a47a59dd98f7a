package observe

import (
	"context"
	"slices"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// Graph says who called what in a session, and in which order. Its lists are never nil, and the agent is
// always there.
type Graph struct {
	Nodes     []Node // the agent first, then by first use
	Edges     []Edge // by first use
	Steps     []Step // all calls, by Order
	Truncated bool   // the session has more calls than these: see MaxSteps
}

// Node is the agent, a service or an endpoint.
type Node struct {
	ID      string // the same in every answer, and in Call.Target
	Kind    string // NodeAgent, NodeService or NodeEndpoint
	Label   string // the agent's name; the host; "GET /v2/geocode"
	Service string // the host, "project" or "outside"; empty for the agent
	Calls   int64
	Errors  int64 // core.Capture.Failed
}

// Kinds of edges in a Graph.
const (
	EdgeCalls = "calls" // agent to service, service to endpoint
	EdgeThen  = "then"  // from an endpoint to the one that was called next, in order of start
)

// Edge is drawn between two nodes. For EdgeThen it counts the calls to which it leads.
type Edge struct {
	From, To      string // Node.ID
	Kind          string
	Calls, Errors int64
	FirstOrder    int // Step.Order of the first call
	MeanMS, MaxMS float64
}

// Step is one call of a Graph.
type Step struct {
	Order      int // 1, 2, 3 … by start, as in a Timeline
	Capture    core.CaptureID
	Endpoint   string // Node.ID
	Method     string
	Path       string
	StatusCode int
	LatencyMS  float64
	OffsetMS   float64 // since the session's first start
	Failed     bool    // core.Capture.Failed
}

const (
	// MaxSteps is how many captures a Graph looks at, those that ended first: as many as are put in one
	// order for a Timeline.
	MaxSteps = window
	// maxGraphBytes bounds the paths in a Graph, so that its answer has a size that can be sent.
	maxGraphBytes = 8 << 20
)

// Graph returns the call graph of a session. The order of everything in it depends on nothing but the
// captures.
//
// Errors: Forbidden; NotFound ("agent_not_found", "session_not_found").
func (s *Service) Graph(ctx context.Context, by core.Principal, agent core.AgentID, session core.SessionID) (Graph, error) {
	a, err := s.readable(ctx, by, agent)
	if err != nil {
		return Graph{}, err
	}
	if err := s.checkSession(ctx, by, agent, session); err != nil {
		return Graph{}, err
	}
	calls, truncated, err := s.graphCalls(ctx, by.Project, agent, session)
	if err != nil {
		return Graph{}, err
	}
	g := newDrawing(a.Name, len(calls))
	g.Truncated = truncated
	slices.SortFunc(calls, func(a, b graphCall) int { return byStart(a.place, b.place) })
	for _, c := range calls {
		g.add(c, calls[0].start)
	}
	return g.finish(), nil
}

// graphCall is what a Graph needs of a capture: less than its texts.
type graphCall struct {
	place
	target target
	step   Step
}

func (s *Service) graphCalls(ctx context.Context, project core.ProjectID, agent core.AgentID, session core.SessionID) (calls []graphCall, truncated bool, err error) {
	var after *core.CaptureKey
	size := 0
	for {
		q := core.CaptureQuery{Limit: min(walkPage, MaxSteps-len(calls)), After: after, Bare: true, MaxBytes: walkBytes}
		list, next, err := s.page(ctx, project, agent, session, q)
		if err != nil {
			return nil, false, err
		}
		for _, c := range list {
			if size += len(c.Path); size > maxGraphBytes {
				return calls, true, nil
			}
			calls = append(calls, graphCall{
				place:  place{id: c.ID, start: startOf(c), end: c.At},
				target: targetOf(c),
				step: Step{
					Capture: c.ID, Method: c.Method, Path: c.Path, StatusCode: c.StatusCode,
					LatencyMS: c.LatencyMS, Failed: c.Failed(),
				},
			})
		}
		if next == nil || len(calls) == MaxSteps {
			return calls, next != nil, nil
		}
		after = next
	}
}

// drawing is a Graph while it grows.
type drawing struct {
	Graph
	nodes map[string]int // by id
	edges map[[2]string]int
	last  string // the endpoint before
}

func newDrawing(agent string, steps int) *drawing {
	d := &drawing{nodes: map[string]int{}, edges: map[[2]string]int{}}
	d.Edges, d.Steps = []Edge{}, make([]Step, 0, steps)
	d.node(Node{ID: NodeAgent, Kind: NodeAgent, Label: agent})
	return d
}

// node returns the node with this id, which it draws if there is none.
func (d *drawing) node(n Node) *Node {
	i, ok := d.nodes[n.ID]
	if !ok {
		i = len(d.Nodes)
		d.nodes[n.ID] = i
		d.Nodes = append(d.Nodes, n)
	}
	return &d.Nodes[i]
}

// edge counts a call on an edge, which it draws if there is none. Two nodes have one edge at most: "then"
// leads from endpoint to endpoint, "calls" never does.
func (d *drawing) edge(from, to, kind string, s Step) {
	i, ok := d.edges[[2]string{from, to}]
	if !ok {
		i = len(d.Edges)
		d.edges[[2]string{from, to}] = i
		d.Edges = append(d.Edges, Edge{From: from, To: to, Kind: kind, FirstOrder: s.Order})
	}
	e := &d.Edges[i]
	e.Calls++
	if s.Failed {
		e.Errors++
	}
	e.MeanMS += s.LatencyMS // their sum, until finish
	e.MaxMS = max(e.MaxMS, s.LatencyMS)
}

// add draws the next call.
func (d *drawing) add(c graphCall, first time.Time) {
	s, service, endpoint := c.step, c.target.serviceID(), c.target.id()
	s.Order, s.Endpoint, s.OffsetMS = len(d.Steps)+1, endpoint, milliseconds(c.start.Sub(first))
	d.Steps = append(d.Steps, s)
	d.Nodes[0].count(s)
	d.node(Node{ID: service, Kind: NodeService, Label: c.target.service, Service: c.target.service}).count(s)
	d.node(Node{ID: endpoint, Kind: NodeEndpoint, Label: c.target.label, Service: c.target.service}).count(s)
	d.edge(NodeAgent, service, EdgeCalls, s)
	d.edge(service, endpoint, EdgeCalls, s)
	if d.last != "" {
		d.edge(d.last, endpoint, EdgeThen, s)
	}
	d.last = endpoint
}

func (n *Node) count(s Step) {
	n.Calls++
	if s.Failed {
		n.Errors++
	}
}

func (d *drawing) finish() Graph {
	for i := range d.Edges {
		d.Edges[i].MeanMS /= float64(d.Edges[i].Calls)
	}
	return d.Graph
}
