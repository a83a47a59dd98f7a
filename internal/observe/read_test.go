package observe_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/identity"
	"github.com/reeve-ai/reeve/internal/observe"
)

var today = core.Days{From: core.DayOf(noon), To: core.DayOf(noon)}

// reads are all reads of one agent.
func (f *fixture) reads(t *testing.T, by core.Principal, agent core.AgentID, days core.Days) map[string]error {
	ctx, errs := t.Context(), map[string]error{}
	_, _, errs["paths"] = f.PathDays(ctx, by, agent, days)
	_, errs["latency"] = f.LatencyDays(ctx, by, agent, days)
	_, errs["errors"] = f.ErrorDays(ctx, by, agent, days)
	_, errs["path errors"] = f.PathErrors(ctx, by, agent, days, 50)
	_, _, errs["agent usage"] = f.AgentUsage(ctx, by, agent, days)
	return errs
}

// sessionReads are all reads of one session.
func (f *fixture) sessionReads(t *testing.T, by core.Principal, agent core.AgentID, id core.SessionID) map[string]error {
	ctx, errs, q := t.Context(), map[string]error{}, core.CaptureQuery{Limit: 10}
	_, _, errs["captures"] = f.Captures(ctx, by, agent, id, q)
	_, errs["timeline"] = f.Timeline(ctx, by, agent, id, q)
	_, errs["graph"] = f.Graph(ctx, by, agent, id)
	return errs
}

func TestReadsNeedAViewerAndAnAgentThatWorks(t *testing.T) {
	t.Parallel()
	f := setup(t, observe.Options{}, identity.Limits{})
	f.record(t, f.from, call("/", 200))
	all := func(by core.Principal, agent core.AgentID) map[string]error {
		errs := f.reads(t, by, agent, today)
		for name, err := range f.sessionReads(t, by, agent, f.session) {
			errs[name] = err
		}
		return errs
	}
	for name, err := range all(f.viewer, f.agent.ID) {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, err := range all(f.from.By, f.agent.ID) {
		wantError(t, name+" by the agent's key", err, core.Forbidden, "forbidden", "")
	}
	for name, err := range all(f.other, f.agent.ID) {
		wantError(t, name+" of another project", err, core.NotFound, "agent_not_found", "")
	}
	for what, change := range map[string]func(*core.Agent){
		"deactivated": func(a *core.Agent) { a.Active = false },
		"archived":    func(a *core.Agent) { a.ArchivedAt = noon },
	} {
		a := f.agent
		change(&a)
		need(t, f.db.SetAgentState(t.Context(), a))
		for name, err := range all(f.viewer, f.agent.ID) {
			wantError(t, name+" of one that is "+what, err, core.NotFound, "agent_not_found", "")
		}
	}
	_, err := f.Usage(t.Context(), f.from.By, today)
	wantError(t, "usage by the agent's key", err, core.Forbidden, "forbidden", "")
	_, err = f.SessionCaptures(t.Context(), f.from.By, []core.SessionID{f.session})
	wantError(t, "counts by the agent's key", err, core.Forbidden, "forbidden", "")
}

func TestASpanOfDaysHasAnOrderAndALimit(t *testing.T) {
	t.Parallel()
	f := setup(t, observe.Options{}, identity.Limits{})
	day := core.DayOf(noon)
	for name, err := range f.reads(t, f.viewer, f.agent.ID, core.Days{From: day, To: day - 1}) {
		wantError(t, name+" backwards", err, core.Invalid, "invalid_date_range", "start_date")
	}
	for name, err := range f.reads(t, f.viewer, f.agent.ID, core.Days{From: day - 3660, To: day}) {
		wantError(t, name+" of a long span", err, core.Invalid, "invalid_date_range", "end_date")
	}
	for name, err := range f.reads(t, f.viewer, f.agent.ID, core.Days{From: day - 3659, To: day}) {
		if err != nil {
			t.Errorf("%s of the longest span: %v", name, err)
		}
	}
	_, err := f.Usage(t.Context(), f.viewer, core.Days{From: day, To: day - 1})
	wantError(t, "usage backwards", err, core.Invalid, "invalid_date_range", "start_date")
	_, err = f.PathErrors(t.Context(), f.viewer, f.agent.ID, today, 0)
	wantError(t, "no paths", err, core.Invalid, "invalid_field", "limit")
}

func TestWhatIsCountedAgreesWithWhatWasReported(t *testing.T) {
	t.Parallel()
	f := setup(t, observe.Options{}, identity.Limits{})
	ctx := t.Context()
	failed := call("/b", 200)
	failed.Error, failed.RequestBytes, failed.ResponseBytes = new("no route"), 10, 20
	yesterday := call("/a", 404)
	yesterday.At = noon.Add(-24 * time.Hour)
	f.record(t, f.from, call("/a", 200), failed, yesterday)
	f.record(t, f.otherFrom, call("/elsewhere", 500))

	paths, more, err := f.PathDays(ctx, f.viewer, f.agent.ID, today)
	need(t, err)
	if want := []core.PathDay{{Path: "/a", Day: today.From, Count: 1}, {Path: "/b", Day: today.From, Count: 1}}; more || !cmp.Equal(want, paths) {
		t.Errorf("paths: %+v, more %t", paths, more)
	}
	latency, err := f.LatencyDays(ctx, f.viewer, f.agent.ID, today)
	need(t, err)
	if want := []core.LatencyDay{{Day: today.From, Count: 2, P50: 20, P95: 20, P99: 20}}; !cmp.Equal(want, latency) {
		t.Errorf("latency: %+v", latency)
	}
	both := core.Days{From: today.From - 1, To: today.To}
	days, err := f.ErrorDays(ctx, f.viewer, f.agent.ID, both)
	need(t, err)
	if want := []core.ErrorDay{{Day: both.From, Count: 1, ClientErrors: 1}, {Day: both.To, Count: 2, Errors: 1}}; !cmp.Equal(want, days) {
		t.Errorf("errors: %+v", days)
	}
	broken, err := f.PathErrors(ctx, f.viewer, f.agent.ID, both, 1)
	need(t, err)
	if len(broken) != 1 || broken[0].Path != "/b" || broken[0].Last == nil || *broken[0].Last.Error != "no route" {
		t.Errorf("path errors: %+v", broken)
	}
	total, byDay, err := f.AgentUsage(ctx, f.viewer, f.agent.ID, both)
	need(t, err)
	want := core.AgentUsage{Agent: f.agent.ID, Captures: 3, Errors: 1, ClientErrors: 1, Sessions: 1, RequestBytes: 10, ResponseBytes: 20, LatencyMS: 60, MaxLatencyMS: 20}
	if diff := cmp.Diff(want, total); diff != "" || len(byDay) != 2 || byDay[1].Captures != 2 {
		t.Errorf("usage (-want +got):\n%s; by day %+v", diff, byDay)
	}
	usage, err := f.Usage(ctx, f.viewer, both)
	need(t, err)
	if diff := cmp.Diff([]core.AgentUsage{want}, usage); diff != "" {
		t.Errorf("usage of the project (-want +got):\n%s", diff)
	}
	if total, byDay, err = f.AgentUsage(ctx, f.viewer, f.agent.ID, core.Days{}); err != nil || total != (core.AgentUsage{Agent: f.agent.ID}) || len(byDay) != 0 {
		t.Errorf("usage of 1970: %+v, %+v, %v", total, byDay, err)
	}
	counts, err := f.SessionCaptures(ctx, f.viewer, []core.SessionID{f.session, f.otherFrom.Session})
	need(t, err)
	if len(counts) != 1 || counts[f.session].Captures != 3 || counts[f.session].Errors != 1 {
		t.Errorf("counts: %+v", counts)
	}
	need(t, f.Forget(ctx, f.agent.Project, f.session))
	if counts, err = f.SessionCaptures(ctx, f.viewer, []core.SessionID{f.session}); err != nil || len(counts) != 0 {
		t.Errorf("counts of a session that was deleted: %+v, %v", counts, err)
	}
}

func TestACursorLeadsThroughTheWholeSession(t *testing.T) {
	t.Parallel()
	f := setup(t, observe.Options{}, identity.Limits{})
	var reports []observe.Report
	for i := range 10 {
		r := call(fmt.Sprintf("/%d", i), 200)
		r.At, r.RequestBody = noon.Add(time.Duration(i-20)*time.Second), new("0123456789")
		reports = append(reports, r)
	}
	f.record(t, f.from, reports...)
	for _, q := range []core.CaptureQuery{{Limit: 3}, {Limit: 5}, {Limit: 10}, {Limit: 100, MaxBytes: 25}, {Limit: 3, Bare: true, MaxBytes: 1}} {
		var paths []string
		for pages := 0; ; pages++ {
			list, next, err := f.Captures(t.Context(), f.viewer, f.agent.ID, f.session, q)
			need(t, err)
			if len(list) == 0 || pages == 11 {
				t.Fatalf("%+v: page %d has %d captures", q, pages, len(list))
			}
			for _, c := range list {
				paths = append(paths, c.Path)
			}
			if q.After = next; next == nil {
				break
			}
		}
		if want := []string{"/0", "/1", "/2", "/3", "/4", "/5", "/6", "/7", "/8", "/9"}; !cmp.Equal(want, paths) {
			t.Errorf("%+v leads to %q", q, paths)
		}
	}
	list, next, err := f.Captures(t.Context(), f.viewer, f.agent.ID, core.NewID[core.SessionID](), core.CaptureQuery{Limit: 1})
	if err != nil || len(list) != 0 || next != nil {
		t.Errorf("a session that nobody knows: %v, %v, %v", list, next, err)
	}
	for _, limit := range []int{0, observe.MaxPage + 1} {
		_, _, err = f.Captures(t.Context(), f.viewer, f.agent.ID, f.session, core.CaptureQuery{Limit: limit})
		wantError(t, fmt.Sprint("limit ", limit), err, core.Invalid, "invalid_field", "limit")
	}
}
