package storetest

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/reeve-ai/reeve/internal/core"
)

// captureModel is what a core.CaptureStore promises, computed the plain way from the captures that were
// kept.
type captureModel struct{ kept []core.Capture }

// append keeps what is new, as the store must, and reports which that is.
func (m *captureModel) append(captures []core.Capture) []bool {
	fresh := make([]bool, len(captures))
	for i, c := range captures {
		fresh[i] = !c.Named || !slices.ContainsFunc(m.kept, func(k core.Capture) bool {
			return k.Named && k.Project == c.Project && k.Agent == c.Agent && k.ID == c.ID
		})
		if fresh[i] {
			m.kept = append(m.kept, keptCapture(c))
		}
	}
	return fresh
}

func (m *captureModel) forget(project core.ProjectID, session core.SessionID) {
	m.kept = slices.DeleteFunc(m.kept, func(c core.Capture) bool { return c.Project == project && c.Session == session })
}

func (m *captureModel) expire(before core.Day) int {
	n := len(m.kept)
	m.kept = slices.DeleteFunc(m.kept, func(c core.Capture) bool { return core.DayOf(c.At) < before })
	return n - len(m.kept)
}

// of lists the captures of an agent in a span.
func (m *captureModel) of(project core.ProjectID, agent core.AgentID, days core.Days) []core.Capture {
	var list []core.Capture
	for _, c := range m.kept {
		if d := core.DayOf(c.At); c.Project == project && c.Agent == agent && d >= days.From && d <= days.To {
			list = append(list, c)
		}
	}
	return list
}

func (m *captureModel) captures(project core.ProjectID, agent core.AgentID, session core.SessionID) []core.Capture {
	list := []core.Capture{}
	for _, c := range m.kept {
		if c.Project == project && c.Agent == agent && c.Session == session {
			list = append(list, c)
		}
	}
	slices.SortFunc(list, compareCaptures)
	return list
}

func compareCaptures(a, b core.Capture) int {
	return cmp.Or(a.At.Compare(b.At), strings.Compare(string(a.ID), string(b.ID)))
}

func (m *captureModel) sessions(project core.ProjectID) map[core.SessionID]core.CaptureCounts {
	counts := make(map[core.SessionID]core.CaptureCounts)
	for _, c := range m.kept {
		if c.Project != project {
			continue
		}
		n := counts[c.Session]
		if n.Captures == 0 || c.At.Before(n.FirstAt) {
			n.FirstAt = c.At
		}
		if c.At.After(n.LastAt) {
			n.LastAt = c.At
		}
		n.Captures++
		n.Errors += one(c.Failed())
		n.ClientErrors += one(c.ClientFailed())
		counts[c.Session] = n
	}
	return counts
}

func one(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func (m *captureModel) pathDays(project core.ProjectID, agent core.AgentID, days core.Days) []core.PathDay {
	type key struct {
		path string
		day  core.Day
	}
	counts := make(map[key]int64)
	for _, c := range m.of(project, agent, days) {
		counts[key{c.Path, core.DayOf(c.At)}]++
	}
	list := []core.PathDay{}
	for k, n := range counts {
		list = append(list, core.PathDay{Path: k.path, Day: k.day, Count: n})
	}
	slices.SortFunc(list, func(a, b core.PathDay) int { return cmp.Or(strings.Compare(a.Path, b.Path), cmp.Compare(a.Day, b.Day)) })
	return list
}

func (m *captureModel) latencyDays(project core.ProjectID, agent core.AgentID, days core.Days) []core.LatencyDay {
	byDay := make(map[core.Day][]float64)
	for _, c := range m.of(project, agent, days) {
		byDay[core.DayOf(c.At)] = append(byDay[core.DayOf(c.At)], c.LatencyMS)
	}
	list := []core.LatencyDay{}
	for _, d := range slices.Sorted(maps.Keys(byDay)) {
		l := byDay[d]
		slices.Sort(l)
		list = append(list, core.LatencyDay{Day: d, Count: int64(len(l)), P50: percentile(l, 0.5), P95: percentile(l, 0.95), P99: percentile(l, 0.99)})
	}
	return list
}

// percentile is PERCENTILE_CONT of sorted values.
func percentile(sorted []float64, part float64) float64 {
	position := part * float64(len(sorted)-1)
	i := int(position)
	if between := position - float64(i); between > 0 {
		return sorted[i] + float64(between*(sorted[i+1]-sorted[i]))
	}
	return sorted[i]
}

func (m *captureModel) errorDays(project core.ProjectID, agent core.AgentID, days core.Days) []core.ErrorDay {
	list := []core.ErrorDay{}
	for _, u := range m.usageDays(project, agent, days) {
		list = append(list, core.ErrorDay{Day: u.Day, Count: u.Captures, Errors: u.Errors, ClientErrors: u.ClientErrors})
	}
	return list
}

func (m *captureModel) pathErrors(project core.ProjectID, agent core.AgentID, days core.Days) []core.PathErrors {
	type key struct {
		path, method string
		status       int
	}
	paths, statuses := make(map[string]*core.PathErrors), make(map[key]*core.MethodStatus)
	for _, c := range m.of(project, agent, days) {
		p, k := paths[c.Path], key{c.Path, c.Method, c.StatusCode}
		if p == nil {
			p = &core.PathErrors{Path: c.Path}
			paths[c.Path] = p
		}
		s := statuses[k]
		if s == nil {
			s = &core.MethodStatus{Method: c.Method, StatusCode: c.StatusCode}
			statuses[k] = s
		}
		p.Count++
		p.Errors += one(c.Failed())
		p.ClientErrors += one(c.ClientFailed())
		s.Count++
		s.Errors += one(c.Failed())
		if c.Failed() && (p.Last == nil || compareCaptures(c, *p.Last) > 0) {
			last := bare(c)
			p.Last = &last
		}
	}
	for k, s := range statuses {
		paths[k.path].Statuses = append(paths[k.path].Statuses, *s)
	}
	list := []core.PathErrors{}
	for _, p := range paths {
		slices.SortFunc(p.Statuses, func(a, b core.MethodStatus) int {
			return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Method, b.Method), cmp.Compare(a.StatusCode, b.StatusCode))
		})
		if p.MoreStatuses = len(p.Statuses) > core.MaxStatuses; p.MoreStatuses {
			p.Statuses = p.Statuses[:core.MaxStatuses]
		}
		if p.Errors+p.ClientErrors > 0 {
			list = append(list, *p)
		}
	}
	slices.SortFunc(list, func(a, b core.PathErrors) int {
		return cmp.Or(cmp.Compare(b.Errors, a.Errors), cmp.Compare(b.ClientErrors, a.ClientErrors), cmp.Compare(b.Count, a.Count), strings.Compare(a.Path, b.Path))
	})
	return list
}

func (m *captureModel) usage(project core.ProjectID, days core.Days) []core.AgentUsage {
	agents := make(map[core.AgentID]bool)
	for _, c := range m.kept {
		agents[c.Agent] = true
	}
	list := []core.AgentUsage{}
	for a := range agents {
		if of := m.of(project, a, days); len(of) > 0 {
			list = append(list, usageOf(a, of))
		}
	}
	slices.SortFunc(list, func(a, b core.AgentUsage) int {
		return cmp.Or(cmp.Compare(b.Captures, a.Captures), cmp.Compare(a.Agent, b.Agent))
	})
	return list
}

func usageOf(agent core.AgentID, captures []core.Capture) core.AgentUsage {
	u := core.AgentUsage{Agent: agent}
	sessions := make(map[core.SessionID]bool)
	for _, c := range captures {
		sessions[c.Session] = true
		u.Captures++
		u.Errors += one(c.Failed())
		u.ClientErrors += one(c.ClientFailed())
		u.RequestBytes += c.RequestBytes
		u.ResponseBytes += c.ResponseBytes
		u.LatencyMS += c.LatencyMS
		u.MaxLatencyMS = max(u.MaxLatencyMS, c.LatencyMS)
	}
	u.Sessions = int64(len(sessions))
	return u
}

func (m *captureModel) usageDays(project core.ProjectID, agent core.AgentID, days core.Days) []core.AgentUsage {
	byDay := make(map[core.Day][]core.Capture)
	for _, c := range m.of(project, agent, days) {
		byDay[core.DayOf(c.At)] = append(byDay[core.DayOf(c.At)], c)
	}
	list := []core.AgentUsage{}
	for _, d := range slices.Sorted(maps.Keys(byDay)) {
		u := usageOf(agent, byDay[d])
		u.Day, u.Sessions = d, 0
		list = append(list, u)
	}
	return list
}

// checkCaptures compares everything that a store says with the model: for each project and agent that
// the model knows or ever knew, and for each span.
func checkCaptures(t *testing.T, when string, b *captureBundle, m *captureModel, projects []core.ProjectID, agents []core.AgentID, sessions []core.SessionID, spans ...core.Days) {
	t.Helper()
	ctx := t.Context()
	check := func(what string, got any, err error, want any) {
		t.Helper()
		need(t, err)
		if diff := gocmp.Diff(want, got, sumsAgree, b.maxMayBeHigh()); diff != "" {
			t.Fatalf("%s: %s (-want +got):\n%s", when, what, diff)
		}
	}
	for _, p := range projects {
		counts, err := b.SessionCaptures(ctx, p, sessions)
		check("SessionCaptures", counts, err, m.sessions(p))
		for _, span := range spans {
			usage, err := b.Usage(ctx, p, nil, span)
			check("Usage", usage, err, m.usage(p, span))
			for _, a := range agents {
				paths, more, err := b.PathDays(ctx, p, a, span, 1000)
				check("PathDays", paths, err, m.pathDays(p, a, span))
				check("PathDays: more", more, nil, false)
				latencies, err := b.LatencyDays(ctx, p, a, span)
				check("LatencyDays", latencies, err, m.latencyDays(p, a, span))
				errors, err := b.ErrorDays(ctx, p, a, span)
				check("ErrorDays", errors, err, m.errorDays(p, a, span))
				wrong, err := b.PathErrors(ctx, p, a, span, 1000)
				check("PathErrors", wrong, err, m.pathErrors(p, a, span))
				days, err := b.UsageDays(ctx, p, a, span)
				check("UsageDays", days, err, m.usageDays(p, a, span))
			}
		}
		for _, a := range agents {
			for _, s := range sessions {
				list, err := b.Captures(ctx, p, a, s, core.CaptureQuery{Limit: 10_000})
				check("Captures", list, err, m.captures(p, a, s))
			}
		}
	}
}

// sumsAgree compares sums of latencies, whose last digits depend on the order of adding. Percentiles are
// exact.
var sumsAgree = gocmp.FilterPath(func(p gocmp.Path) bool { return p.Last().String() == ".LatencyMS" }, cmpopts.EquateApprox(1e-9, 1e-6))
