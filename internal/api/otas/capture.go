package otas

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/identity"
	"github.com/reeve-ai/reeve/internal/observe"
)

// Captures is what the face needs of the captures: recording them, and what is read from them.
type Captures interface {
	// Admit makes room for that many bytes of a body that the agent sent.
	Admit(ctx context.Context, agent core.AgentID, size int64) (release func(), err error)
	// Spend takes n reports from the agent's allowance, before they are looked at.
	Spend(from observe.Source, n int) error
	Record(ctx context.Context, from observe.Source, r observe.Report) (core.CaptureID, error)
	RecordAll(ctx context.Context, from observe.Source, reports []observe.Report) ([]observe.Outcome, error)

	Captures(ctx context.Context, by core.Principal, agent core.AgentID, session core.SessionID, q core.CaptureQuery) ([]core.Capture, *core.CaptureKey, error)
	SessionCaptures(ctx context.Context, by core.Principal, ids []core.SessionID) (map[core.SessionID]core.CaptureCounts, error)
	Timeline(ctx context.Context, by core.Principal, agent core.AgentID, session core.SessionID, q core.CaptureQuery) (observe.Timeline, error)
	Graph(ctx context.Context, by core.Principal, agent core.AgentID, session core.SessionID) (observe.Graph, error)

	PathDays(ctx context.Context, by core.Principal, agent core.AgentID, days core.Days) (list []core.PathDay, more bool, err error)
	LatencyDays(ctx context.Context, by core.Principal, agent core.AgentID, days core.Days) ([]core.LatencyDay, error)
	ErrorDays(ctx context.Context, by core.Principal, agent core.AgentID, days core.Days) ([]core.ErrorDay, error)
	PathErrors(ctx context.Context, by core.Principal, agent core.AgentID, days core.Days, limit int) ([]core.PathErrors, error)
	Usage(ctx context.Context, by core.Principal, days core.Days) ([]core.AgentUsage, error)
	AgentUsage(ctx context.Context, by core.Principal, agent core.AgentID, days core.Days) (total core.AgentUsage, byDay []core.AgentUsage, err error)
}

// The guards of captures and their reads; check asks checkCapture about them. They are numbered apart
// from those of guard.go.
const (
	guardReportSDK   guard = iota + 100 // a project's backend that reports what an agent called there
	guardReportAgent                    // an agent that reports what it called
	guardRead                           // a person or an access token, and an agent of the project: G-READ
)

var (
	errMissingSDKKey       = core.Errorf(core.Unauthenticated, "missing_sdk_key", "the header %s is missing", headerSDKKey)
	errMissingAgentKey     = core.Errorf(core.Unauthenticated, "missing_agent_key", "the header %s is missing", headerAgentKey)
	errMissingSessionToken = core.Errorf(core.Unauthenticated, "missing_agent_session_token", "the header %s is missing", headerSessionToken)
)

// asReport is what failures are called where captures come in (reference 4.1).
var asReport = map[string]failure{
	"invalid_agent_key":       {http.StatusUnauthorized, "invalid_or_expired_agent_key"},
	"invalid_session_token":   {http.StatusUnauthorized, "invalid_or_expired_token"},
	"missing_required_fields": {http.StatusBadRequest, "missing_required_fields"},
	"session_not_found":       {http.StatusUnauthorized, "invalid_or_expired_token"}, // deleted since its token was checked
}

// captureRoutes lists the endpoints of captures and their reads: rows 21 to 26 of the reference, section 9,
// and Reeve's own.
func (f *Face) captureRoutes() []route {
	report := func(path string, g guard, handle func(*call) (reply, error)) route {
		return route{
			method: "POST", paths: []string{"/api/v1/backend/log/" + path}, guard: g, methodFirst: true,
			as: asReport, more: moreOfReport, handle: handle,
		}
	}
	read := func(path string, handle func(*call) (reply, error)) route {
		return route{
			method: "GET", paths: []string{"/api/v1/agent/" + path}, guard: guardRead,
			as: asRead, more: moreOfRead, handle: handle,
		}
	}
	return []route{
		report("sdk", guardReportSDK, f.recordSDK),
		report("agent", guardReportAgent, f.recordAgent),
		report("sdk/batch", guardReportSDK, f.recordBatch),
		report("agent/batch", guardReportAgent, f.recordBatch),
		read("path-timeseries", f.pathTimeseries),
		read("session/events", f.sessionEvents),
		read("latency-percentiles", f.latencyPercentiles),
		read("error-count", f.errorCount),
		read("session/timeline", f.sessionTimeline),
		read("session/graph", f.sessionGraph),
		read("error-breakdown", f.errorBreakdown),
		read("usage", f.agentUsage),
		{
			method: "GET", paths: []string{"/api/agent/v1/usage"}, guard: guardProject,
			as: asRead, more: moreOfRead, handle: f.projectUsage,
		},
	}
}

// checkCapture is check for the guards of this file.
func (f *Face) checkCapture(g guard, c *call) error {
	switch g {
	case guardNone:
		return nil
	case guardReportSDK:
		return checkReporter(c, headerSDKKey, errMissingSDKKey, f.identity.SDKReporter)
	case guardReportAgent:
		return checkReporter(c, headerAgentKey, errMissingAgentKey, f.identity.AgentReporter)
	case guardRead:
		return f.checkRead(c)
	}
	return fmt.Errorf("guard %d is unknown", g) // and lets nobody pass
}

// checkReporter finds out who reports, in the order of reference 4.1: key, session token, whether they
// belong together. A reporter that has used up its allowance is turned away here, before its body is read.
func checkReporter(c *call, header string, missing error, who func(ctx context.Context, key, token string) (identity.Reporter, error)) error {
	key, token := c.r.Header.Get(header), c.r.Header.Get(headerSessionToken)
	if key == "" {
		return missing
	}
	rep, err := who(c.r.Context(), key, token)
	if token == "" && core.CodeOf(err) == "invalid_session_token" { // the key was good
		return errMissingSessionToken
	}
	if err != nil {
		return err
	}
	c.by = rep.By
	c.source = observe.Source{By: rep.By, Agent: rep.Agent, Session: rep.Session, Secrets: rep.Secrets}
	return nil
}

// recordSDK serves POST /api/v1/backend/log/sdk/ (reference 4.1). Its answer holds no id.
func (f *Face) recordSDK(c *call) (reply, error) {
	if _, err := f.record(c); err != nil {
		return reply{}, err
	}
	return reply{http.StatusCreated, "event_captured", "response", struct{}{}}, nil
}

// recordAgent serves POST /api/v1/backend/log/agent/ (reference 4.1).
func (f *Face) recordAgent(c *call) (reply, error) {
	id, err := f.record(c)
	if err != nil {
		return reply{}, err
	}
	return reply{http.StatusCreated, "event_captured", "response", struct {
		EventID string `json:"event_id"`
	}{core.FormatUUID(id)}}, nil
}

// record stores one report. A report that is no good costs as much as any other.
func (f *Face) record(c *call) (core.CaptureID, error) {
	if err := f.captures.Spend(c.source, 1); err != nil {
		return "", err
	}
	body := f.roomyBody(c, maxBody)
	defer body.close()
	raw, err := io.ReadAll(body)
	if err != nil {
		return "", bodyError(err, maxBody)
	}
	body.arrived()
	report, err := parseReport(bytes.TrimPrefix(raw, byteOrderMark))
	if err != nil {
		return "", err
	}
	return f.captures.Record(c.r.Context(), c.source, report)
}

// missingFields are the required members that a report lacks, in the order of reference 4.1.
type missingFields []string

func (m missingFields) Error() string { return fmt.Sprintf("missing: %q", []string(m)) }

// moreOfReport is what failures of reports carry beside their code.
func moreOfReport(_ string, err *core.Error) any {
	var missing missingFields
	var nothing nothingCaptured
	switch {
	case errors.As(err, &missing):
		return struct {
			Missing []string `json:"missing_fields"`
		}{missing}
	case errors.As(err, &nothing):
		return struct {
			Response batchWire `json:"response"`
		}{nothing.batchWire}
	}
	return nil
}
