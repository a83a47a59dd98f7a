package otas

import (
	"math"
	"net/http"

	"github.com/reeve-ai/reeve/internal/core"
)

// tenths rounds to one decimal, as the original does with percentiles (reference 4.3).
func tenths(x float64) float64 { return math.Round(x*10) / 10 }

// pathWire is what one path was called, day by day.
type pathWire struct {
	Path string    `json:"path"`
	Data []dayWire `json:"data"`
}

type dayWire struct {
	Date  string `json:"date"`
	Count int64  `json:"count"`
}

// pathTimeseries serves GET /api/v1/agent/path-timeseries/ (reference 4.3). more_paths is Reeve's own.
func (f *Face) pathTimeseries(c *call) (reply, error) {
	days, err := c.days()
	if err != nil {
		return reply{}, err
	}
	list, more, err := f.captures.PathDays(c.r.Context(), c.by, c.agent.ID, days)
	if err != nil {
		return reply{}, err
	}
	paths := []pathWire{}
	for _, d := range list { // by path, then by day
		if len(paths) == 0 || paths[len(paths)-1].Path != d.Path {
			paths = append(paths, pathWire{Path: d.Path})
		}
		last := &paths[len(paths)-1]
		last.Data = append(last.Data, dayWire{d.Day.String(), d.Count})
	}
	return reply{http.StatusOK, "", "", struct {
		readScope
		Paths []pathWire `json:"paths"`
		More  bool       `json:"more_paths,omitempty"`
	}{c.scope(), paths, more}}, nil
}

// series is a daily series of one agent.
type series[T any] struct {
	readScope
	Data []T `json:"data"` // by date
}

type latencyWire struct {
	Date string  `json:"date"`
	P50  float64 `json:"p50"`
	P95  float64 `json:"p95"`
	P99  float64 `json:"p99"`
}

// latencyPercentiles serves GET /api/v1/agent/latency-percentiles/ (reference 4.3).
func (f *Face) latencyPercentiles(c *call) (reply, error) {
	days, err := c.days()
	if err != nil {
		return reply{}, err
	}
	list, err := f.captures.LatencyDays(c.r.Context(), c.by, c.agent.ID, days)
	if err != nil {
		return reply{}, err
	}
	data := make([]latencyWire, 0, len(list))
	for _, d := range list {
		data = append(data, latencyWire{d.Day.String(), tenths(d.P50), tenths(d.P95), tenths(d.P99)})
	}
	return reply{http.StatusOK, "", "", series[latencyWire]{c.scope(), data}}, nil
}

type errorDayWire struct {
	Date         string `json:"date"`
	Errors       int64  `json:"error_count"`
	Count        int64  `json:"count"`
	ClientErrors int64  `json:"client_error_count"`
}

// errorCount serves GET /api/v1/agent/error-count/ (reference 4.3). An error is what core.Capture.Failed
// says; count and client_error_count are Reeve's own.
func (f *Face) errorCount(c *call) (reply, error) {
	days, err := c.days()
	if err != nil {
		return reply{}, err
	}
	list, err := f.captures.ErrorDays(c.r.Context(), c.by, c.agent.ID, days)
	if err != nil {
		return reply{}, err
	}
	data := make([]errorDayWire, 0, len(list))
	for _, d := range list {
		data = append(data, errorDayWire{d.Day.String(), d.Errors, d.Count, d.ClientErrors})
	}
	return reply{http.StatusOK, "", "", series[errorDayWire]{c.scope(), data}}, nil
}

// The parts of an error breakdown.
type (
	pathErrorsWire struct {
		Path         string         `json:"path"`
		Count        int64          `json:"count"`
		Errors       int64          `json:"error_count"`
		ClientErrors int64          `json:"client_error_count"`
		Rate         float64        `json:"error_rate"` // errors / count, four decimals
		Statuses     []statusWire   `json:"statuses"`   // the core.MaxStatuses most frequent
		MoreStatuses bool           `json:"more_statuses,omitempty"`
		Last         *lastErrorWire `json:"last_error"`
	}
	statusWire struct {
		Method     string `json:"method"`
		StatusCode int    `json:"status_code"`
		Count      int64  `json:"count"`
		Errors     int64  `json:"error_count"`
	}
	lastErrorWire struct {
		EventID    string  `json:"event_id"`
		EventTime  string  `json:"event_time"`
		SessionID  string  `json:"agent_session_id"`
		Method     string  `json:"method"`
		StatusCode int     `json:"status_code"`
		LatencyMS  float64 `json:"latency_ms"`
		Error      *string `json:"error"`
	}
)

func pathErrorsOf(p core.PathErrors) pathErrorsWire {
	out := pathErrorsWire{
		Path: p.Path, Count: p.Count, Errors: p.Errors, ClientErrors: p.ClientErrors,
		Statuses: make([]statusWire, 0, len(p.Statuses)), MoreStatuses: p.MoreStatuses,
	}
	if p.Count > 0 {
		out.Rate = math.Round(float64(p.Errors)/float64(p.Count)*1e4) / 1e4
	}
	for _, s := range p.Statuses {
		out.Statuses = append(out.Statuses, statusWire{s.Method, s.StatusCode, s.Count, s.Errors})
	}
	if l := p.Last; l != nil {
		out.Last = &lastErrorWire{
			EventID: core.FormatUUID(l.ID), EventTime: stamp(l.At), SessionID: core.FormatUUID(l.Session),
			Method: l.Method, StatusCode: l.StatusCode, LatencyMS: l.LatencyMS, Error: l.Error,
		}
	}
	return out
}

// errorBreakdown serves GET /api/v1/agent/error-breakdown/, Reeve's own: the paths with the most errors.
func (f *Face) errorBreakdown(c *call) (reply, error) {
	days, err := c.days()
	if err != nil {
		return reply{}, err
	}
	most, err := limit(c.r.URL.Query(), 50, 200)
	if err != nil {
		return reply{}, err
	}
	list, err := f.captures.PathErrors(c.r.Context(), c.by, c.agent.ID, days, most)
	if err != nil {
		return reply{}, err
	}
	paths := make([]pathErrorsWire, 0, len(list))
	for _, p := range list {
		paths = append(paths, pathErrorsOf(p))
	}
	return reply{http.StatusOK, "error_breakdown", "", struct {
		readScope
		Paths []pathErrorsWire `json:"paths"`
	}{c.scope(), paths}}, nil
}

// usageWire counts what an agent did.
type usageWire struct {
	Count         int64   `json:"event_count"`
	Errors        int64   `json:"error_count"`
	ClientErrors  int64   `json:"client_error_count"`
	RequestBytes  int64   `json:"request_size_bytes"`
	ResponseBytes int64   `json:"response_size_bytes"`
	TotalMS       float64 `json:"total_latency_ms"`
	MeanMS        float64 `json:"mean_latency_ms"`
	MaxMS         float64 `json:"max_latency_ms"`
}

func usageOf(u core.AgentUsage) usageWire {
	out := usageWire{
		Count: u.Captures, Errors: u.Errors, ClientErrors: u.ClientErrors,
		RequestBytes: u.RequestBytes, ResponseBytes: u.ResponseBytes, TotalMS: tenths(u.LatencyMS), MaxMS: u.MaxLatencyMS,
	}
	if u.Captures > 0 {
		out.MeanMS = tenths(u.LatencyMS / float64(u.Captures))
	}
	return out
}

// sumWire is a usage over days.
type sumWire struct {
	Sessions int64 `json:"session_count"` // that have events in these days
	usageWire
}

// agentUsage serves GET /api/v1/agent/usage/, Reeve's own.
func (f *Face) agentUsage(c *call) (reply, error) {
	span, err := c.days()
	if err != nil {
		return reply{}, err
	}
	total, list, err := f.captures.AgentUsage(c.r.Context(), c.by, c.agent.ID, span)
	if err != nil {
		return reply{}, err
	}
	type day struct {
		Date string `json:"date"`
		usageWire
	}
	days := make([]day, 0, len(list))
	for _, u := range list {
		days = append(days, day{u.Day.String(), usageOf(u)})
	}
	return reply{http.StatusOK, "agent_usage", "", struct {
		readScope
		Total sumWire `json:"total"`
		Days  []day   `json:"days"`
	}{c.scope(), sumWire{total.Sessions, usageOf(total)}, days}}, nil
}

// projectUsage serves GET /api/agent/v1/usage/, Reeve's own: all agents of the project that have events in
// these days, those with the most first.
func (f *Face) projectUsage(c *call) (reply, error) {
	span, err := c.days()
	if err != nil {
		return reply{}, err
	}
	list, err := f.captures.Usage(c.r.Context(), c.by, span)
	if err != nil {
		return reply{}, err
	}
	type agent struct {
		AgentID string `json:"agent_id"`
		sumWire
	}
	agents := make([]agent, 0, len(list))
	for _, u := range list {
		agents = append(agents, agent{core.FormatUUID(u.Agent), sumWire{u.Sessions, usageOf(u)}})
	}
	return reply{http.StatusOK, "agents_usage", "response", struct {
		ProjectID string  `json:"project_id"`
		Agents    []agent `json:"agents"`
	}{core.FormatUUID(c.by.Project), agents}}, nil
}
