package cli

import (
	"context"
	"fmt"
	"net/http"
	"strings"
)

// read is one of the reads over captures.
type read struct {
	what string
	path string // SESSION stands for each of some sessions in turn
	// count counts what the answer must hold; want is how much that is, 0: something.
	count func(a *readAnswer) int
	want  int
}

// readAnswer has what is counted of the answers of all reads.
type readAnswer struct {
	Paths []struct {
		Data []struct{ Count int } `json:"data"`
	} `json:"paths"`
	Data   []struct{ Count int } `json:"data"`
	Events []struct{}            `json:"events"`
	Calls  []struct{}            `json:"calls"`
	Steps  []struct{}            `json:"steps"`
	Days   []struct{}            `json:"days"`
	// Of the faces of the other service.
	Response struct {
		Agents   []struct{} `json:"agents"`
		Sessions []struct {
			EventCount int `json:"event_count"`
		} `json:"sessions"`
	} `json:"response"`
}

// readsOf lists the reads of an agent. Both services of the original are in it.
func (f *filling) readsOf() []read {
	agent, days := f.agents[0].id, "start_date="+f.from+"&end_date="+f.to
	inSession := min(fillSession, f.busiest)
	if len(f.sessions) > 1 {
		inSession = 0 // the last session that was planned may be smaller, and it may be the first that is read
	}
	listed := func(a *readAnswer) int { return len(a.Response.Sessions) }
	return []read{
		{"path time series", "/api/v1/agent/path-timeseries/?" + days, (*readAnswer).calls, f.busiest},
		{"latency percentiles", "/api/v1/agent/latency-percentiles/?" + days, func(a *readAnswer) int { return len(a.Data) }, 0},
		{"error counts", "/api/v1/agent/error-count/?" + days, (*readAnswer).days, f.busiest},
		{"error breakdown", "/api/v1/agent/error-breakdown/?" + days, func(a *readAnswer) int { return len(a.Paths) }, 0},
		{"usage of an agent", "/api/v1/agent/usage/?" + days, func(a *readAnswer) int { return len(a.Days) }, 0},
		{"usage of all agents", "/api/agent/v1/usage/?" + days, func(a *readAnswer) int { return len(a.Response.Agents) }, 0},
		{"session events, 200", "/api/v1/agent/session/events/?limit=200&session_id=SESSION", func(a *readAnswer) int { return len(a.Events) }, inSession},
		{"session timeline, 200", "/api/v1/agent/session/timeline/?limit=200&session_id=SESSION", func(a *readAnswer) int { return len(a.Calls) }, inSession},
		{"session graph, 200", "/api/v1/agent/session/graph/?session_id=SESSION", func(a *readAnswer) int { return len(a.Steps) }, inSession},
		{"sessions list, limit=200", "/api/agent/v1/sessions/list/?limit=200&agent_id=" + agent, listed, min(200, len(f.sessions)+1)},
		{"sessions list, default", "/api/agent/v1/sessions/list/?agent_id=" + agent, (*readAnswer).sessionCalls, f.busiest},
	}
}

// calls adds up the time series of all paths.
func (a *readAnswer) calls() (n int) {
	for _, p := range a.Paths {
		for _, d := range p.Data {
			n += d.Count
		}
	}
	return n
}

// days adds up a daily series.
func (a *readAnswer) days() (n int) {
	for _, d := range a.Data {
		n += d.Count
	}
	return n
}

// sessionCalls adds up what the listed sessions have.
func (a *readAnswer) sessionCalls() (n int) {
	for _, s := range a.Response.Sessions {
		n += s.EventCount
	}
	return n
}

// reads fills in captures and measures each read of the agent that has most of them. Before a read is
// measured it must give the right answer.
func (o *otasBench) reads(ctx context.Context) error {
	f, err := o.fill(ctx)
	if err != nil {
		return err
	}
	sessions, err := f.some(fillReadsOver)
	if err != nil {
		return err
	}
	for _, r := range f.readsOf() {
		shots, err := o.readShots(f.agents[0], r, sessions)
		if err != nil {
			return err
		}
		if err := o.verify(ctx, r, shots[0]); err != nil {
			return err
		}
		if err := o.row(ctx, r.what, 1, shots); err != nil {
			return err
		}
	}
	return nil
}

func (o *otasBench) readShots(agent reporter, r read, sessions []string) ([]shot, error) {
	header := http.Header{"X-Otas-User-Token": {o.flags.token}, "X-Otas-Project-Id": {o.project}, "X-Otas-Agent-Id": {agent.id}}
	if !strings.Contains(r.path, "SESSION") {
		sessions = []string{""}
	}
	var shots []shot
	for _, id := range sessions {
		s, err := newShot(o.base, strings.Replace(r.path, "SESSION", id, 1), header, nil, http.StatusOK)
		if err != nil {
			return nil, err
		}
		shots = append(shots, s)
	}
	return shots, nil
}

// verify checks one answer of a read.
func (o *otasBench) verify(ctx context.Context, r read, s shot) error {
	w := wire{base: o.base}
	defer w.close()
	var a readAnswer
	if err := w.must(ctx, s, &a); err != nil {
		return err
	}
	if got := r.count(&a); got == 0 || r.want > 0 && got != r.want {
		return fmt.Errorf("%s: the answer has %d of %d", r.what, got, r.want)
	}
	return nil
}
