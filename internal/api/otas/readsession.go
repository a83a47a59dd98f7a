package otas

import (
	"encoding/json"
	"net/http"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/observe"
)

// maxEventsBytes ends a page of events early: what is shown of a session is never without bound.
const maxEventsBytes = 16 << 20

// eventWire is an event of reference 4.2: all members, always.
type eventWire struct {
	EventID             string          `json:"event_id"`
	EventTime           string          `json:"event_time"`
	EventDate           string          `json:"event_date"`
	ProjectID           string          `json:"project_id"`
	AgentID             string          `json:"agent_id"`
	SessionID           string          `json:"agent_session_id"`
	Path                string          `json:"path"`
	Method              string          `json:"method"`
	StatusCode          int             `json:"status_code"`
	LatencyMS           float64         `json:"latency_ms"`
	RequestBytes        int64           `json:"request_size_bytes"`
	ResponseBytes       int64           `json:"response_size_bytes"`
	RequestHeaders      *string         `json:"request_headers"`
	RequestBody         *string         `json:"request_body"`
	QueryParams         *string         `json:"query_params"`
	PostData            *string         `json:"post_data"`
	ResponseHeaders     *string         `json:"response_headers"`
	ResponseBody        *string         `json:"response_body"`
	RequestContentType  *string         `json:"request_content_type"`
	ResponseContentType *string         `json:"response_content_type"`
	CustomProperties    json.RawMessage `json:"custom_properties"`
	Error               *string         `json:"error"`
	Metadata            json.RawMessage `json:"metadata"`
	CreatedAt           string          `json:"created_at"`
}

func eventOf(c core.Capture) eventWire {
	return eventWire{
		EventID: core.FormatUUID(c.ID), EventTime: stamp(c.At), EventDate: core.DayOf(c.At).String(),
		ProjectID: core.FormatUUID(c.Project), AgentID: core.FormatUUID(c.Agent), SessionID: core.FormatUUID(c.Session),
		Path: c.Path, Method: c.Method, StatusCode: c.StatusCode, LatencyMS: c.LatencyMS,
		RequestBytes: c.RequestBytes, ResponseBytes: c.ResponseBytes,
		RequestHeaders: c.RequestHeaders, RequestBody: c.RequestBody, QueryParams: c.QueryParams, PostData: c.PostData,
		ResponseHeaders: c.ResponseHeaders, ResponseBody: c.ResponseBody,
		RequestContentType: c.RequestContentType, ResponseContentType: c.ResponseContentType,
		CustomProperties: c.CustomProperties, Error: c.Error, Metadata: c.Metadata, CreatedAt: stamp(c.ReceivedAt),
	}
}

// readScope are the first members of every read of one agent.
type readScope struct {
	AgentID   string `json:"agent_id"`
	ProjectID string `json:"project_id"`
}

func (c *call) scope() readScope {
	return readScope{core.FormatUUID(c.agent.ID), core.FormatUUID(c.by.Project)}
}

// sessionEvents serves GET /api/v1/agent/session/events/ (reference 4.2). Two parameters are Reeve's own:
// after, a next_after of an earlier answer (section 8, C12), and bodies=false, which leaves out what is
// large. A session that is not there has no events.
func (f *Face) sessionEvents(c *call) (reply, error) {
	query := c.r.URL.Query()
	id, given, err := sessionID(query)
	if err != nil {
		return reply{}, err
	}
	q := core.CaptureQuery{MaxBytes: maxEventsBytes}
	if q.Limit, err = limit(query, 200, 500); err != nil {
		return reply{}, err
	}
	if q.After, err = captureAfter(query); err != nil {
		return reply{}, err
	}
	switch query.Get("bodies") {
	case "", "true":
	case "false":
		q.Bare = true
	default:
		return reply{}, core.InvalidField("bodies", "must be true or false")
	}
	list, next, err := f.captures.Captures(c.r.Context(), c.by, c.agent.ID, id, q)
	if err != nil {
		return reply{}, err
	}
	events := make([]eventWire, 0, len(list))
	for _, capture := range list {
		events = append(events, eventOf(capture))
	}
	return reply{http.StatusOK, "session_events_listed", "", struct {
		readScope
		SessionID string      `json:"session_id"`
		Count     int         `json:"count"`
		Events    []eventWire `json:"events"`
		NextAfter string      `json:"next_after,omitempty"`
	}{c.scope(), given, len(events), events, captureCursor(next)}}, nil
}

// callWire is one call of a timeline.
type callWire struct {
	Order               int     `json:"order"`
	EventID             string  `json:"event_id"`
	StartedAt           string  `json:"started_at"`
	EndedAt             string  `json:"ended_at"`
	OffsetMS            float64 `json:"offset_ms"` // since the start of the session's first call
	LatencyMS           float64 `json:"latency_ms"`
	Lane                int     `json:"lane"` // 0, 1 …: calls of one lane do not overlap
	Target              string  `json:"target"`
	Source              string  `json:"source"` // "agent" or "sdk": who reported it
	Method              string  `json:"method"`
	Path                string  `json:"path"`
	StatusCode          int     `json:"status_code"`
	RequestBytes        int64   `json:"request_size_bytes"`
	ResponseBytes       int64   `json:"response_size_bytes"`
	RequestContentType  *string `json:"request_content_type"`
	ResponseContentType *string `json:"response_content_type"`
	Error               *string `json:"error"`
	Failed              bool    `json:"failed"`
}

func callOf(c observe.Call) callWire {
	return callWire{
		Order: c.Order, EventID: core.FormatUUID(c.ID), StartedAt: stamp(c.StartedAt), EndedAt: stamp(c.At),
		OffsetMS: c.OffsetMS, LatencyMS: c.LatencyMS, Lane: c.Lane, Target: c.Target, Source: string(c.Via),
		Method: c.Method, Path: c.Path, StatusCode: c.StatusCode,
		RequestBytes: c.RequestBytes, ResponseBytes: c.ResponseBytes,
		RequestContentType: c.RequestContentType, ResponseContentType: c.ResponseContentType,
		Error: c.Error, Failed: c.Failed(),
	}
}

// sessionTimeline serves GET /api/v1/agent/session/timeline/, Reeve's own: the calls of a session as they
// lay in time.
func (f *Face) sessionTimeline(c *call) (reply, error) {
	query := c.r.URL.Query()
	id, given, err := sessionID(query)
	if err != nil {
		return reply{}, err
	}
	q := core.CaptureQuery{Bare: true}
	if q.Limit, err = limit(query, 200, 1000); err != nil {
		return reply{}, err
	}
	if q.After, err = captureAfter(query); err != nil {
		return reply{}, err
	}
	line, err := f.captures.Timeline(c.r.Context(), c.by, c.agent.ID, id, q)
	if err != nil {
		return reply{}, err
	}
	calls := make([]callWire, 0, len(line.Calls))
	for _, one := range line.Calls {
		calls = append(calls, callOf(one))
	}
	return reply{http.StatusOK, "session_timeline", "", struct {
		readScope
		SessionID string     `json:"session_id"`
		Start     *string    `json:"start"`
		End       *string    `json:"end"`
		Count     int        `json:"count"`
		Calls     []callWire `json:"calls"`
		NextAfter string     `json:"next_after,omitempty"`
	}{c.scope(), given, stampOrNull(line.Start), stampOrNull(line.End), len(calls), calls, captureCursor(line.Next)}}, nil
}

// The parts of a session's graph.
type (
	nodeWire struct {
		ID      string `json:"id"`
		Kind    string `json:"kind"` // agent, service, endpoint
		Label   string `json:"label"`
		Service string `json:"service"`
		Count   int64  `json:"count"`
		Errors  int64  `json:"error_count"`
	}
	edgeWire struct {
		From       string  `json:"from"`
		To         string  `json:"to"`
		Kind       string  `json:"kind"` // calls, then
		Count      int64   `json:"count"`
		Errors     int64   `json:"error_count"`
		FirstOrder int     `json:"first_order"`
		MeanMS     float64 `json:"mean_latency_ms"`
		MaxMS      float64 `json:"max_latency_ms"`
	}
	stepWire struct {
		Order      int     `json:"order"`
		EventID    string  `json:"event_id"`
		Endpoint   string  `json:"endpoint"`
		Method     string  `json:"method"`
		Path       string  `json:"path"`
		StatusCode int     `json:"status_code"`
		LatencyMS  float64 `json:"latency_ms"`
		OffsetMS   float64 `json:"offset_ms"`
		Failed     bool    `json:"failed"`
	}
)

// sessionGraph serves GET /api/v1/agent/session/graph/, Reeve's own: who called what, in which order, with
// what result.
func (f *Face) sessionGraph(c *call) (reply, error) {
	id, given, err := sessionID(c.r.URL.Query())
	if err != nil {
		return reply{}, err
	}
	g, err := f.captures.Graph(c.r.Context(), c.by, c.agent.ID, id)
	if err != nil {
		return reply{}, err
	}
	nodes, edges, steps := make([]nodeWire, 0, len(g.Nodes)), make([]edgeWire, 0, len(g.Edges)), make([]stepWire, 0, len(g.Steps))
	for _, n := range g.Nodes {
		nodes = append(nodes, nodeWire{n.ID, n.Kind, n.Label, n.Service, n.Calls, n.Errors})
	}
	for _, e := range g.Edges {
		edges = append(edges, edgeWire{e.From, e.To, e.Kind, e.Calls, e.Errors, e.FirstOrder, tenths(e.MeanMS), e.MaxMS})
	}
	for _, s := range g.Steps {
		steps = append(steps, stepWire{s.Order, core.FormatUUID(s.Capture), s.Endpoint, s.Method, s.Path, s.StatusCode, s.LatencyMS, s.OffsetMS, s.Failed})
	}
	return reply{http.StatusOK, "session_graph", "", struct {
		readScope
		SessionID string     `json:"session_id"`
		Nodes     []nodeWire `json:"nodes"`
		Edges     []edgeWire `json:"edges"`
		Steps     []stepWire `json:"steps"`
		Truncated bool       `json:"truncated"`
	}{c.scope(), given, nodes, edges, steps, g.Truncated}}, nil
}
