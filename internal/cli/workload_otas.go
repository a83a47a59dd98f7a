package cli

import (
	"context"
	"fmt"
	"net/http"
)

const (
	bodiesEach  = 8   // different single calls of each reporter
	batchSize   = 500 // calls in one batch
	agentsTotal = 500 // in the list of agents
	sdkKeyDays  = 1
)

// openSessions measures what an agent does first.
func (o *otasBench) openSessions(ctx context.Context) error {
	agents, err := o.reporters(ctx)
	if err != nil {
		return err
	}
	var shots []shot
	for _, a := range agents {
		header := http.Header{"X-Otas-Agent-Key": {a.key}, "Content-Type": {"application/json"}}
		s, err := newShot(o.base, "/api/agent/v1/session/create/", header, []byte(`{"meta":{"task":"bench"}}`), http.StatusOK)
		if err != nil {
			return err
		}
		shots = append(shots, s)
	}
	return o.row(ctx, "session create, agent key", 1, shots)
}

// single measures calls that are reported one by one, over both paths.
func (o *otasBench) single(ctx context.Context) error {
	agents, err := o.reporters(ctx)
	if err != nil {
		return err
	}
	shots, err := o.singleShots(agents)
	if err != nil {
		return err
	}
	if err := o.row(ctx, "capture, agent path", 1, shots); err != nil {
		return err
	}
	if o.sdkKey == "" {
		if o.sdkKey, err = o.people().CreateSDKKey(ctx, o.project, sdkKeyDays); err != nil {
			return fmt.Errorf("make an SDK key: %w", err)
		}
	}
	if shots, err = o.sdkShots(agents); err != nil {
		return err
	}
	return o.row(ctx, "capture, SDK path", 1, shots)
}

func (o *otasBench) singleShots(agents []reporter) ([]shot, error) {
	return o.captureShots(agents, "/api/v1/backend/log/agent/", true, func(a reporter) http.Header { return a.header("application/json") })
}

func (o *otasBench) sdkShots(agents []reporter) ([]shot, error) {
	return o.captureShots(agents, "/api/v1/backend/log/sdk/", false, func(a reporter) http.Header {
		return http.Header{"X-Otas-Sdk-Key": {o.sdkKey}, "X-Otas-Agent-Session-Token": {a.token}, "Content-Type": {"application/json"}}
	})
}

// captureShots makes single captures. Neighbours in the list belong to different agents.
func (o *otasBench) captureShots(agents []reporter, path string, outside bool, header func(reporter) http.Header) ([]shot, error) {
	var shots []shot
	for i := range bodiesEach {
		for n, a := range agents {
			calls := newCallMaker(o.project, uint64(i), uint64(n))
			s, err := newShot(o.base, path, header(a), calls.one(outside), http.StatusCreated)
			if err != nil {
				return nil, err
			}
			shots = append(shots, s)
		}
	}
	return shots, nil
}

// batch measures calls that are reported many at a time.
func (o *otasBench) batch(ctx context.Context) error {
	agents, err := o.reporters(ctx)
	if err != nil {
		return err
	}
	var shots []shot
	for i, a := range agents {
		s, err := o.batchShot(a, newCallMaker(o.project, 1, uint64(i)).lines(batchSize))
		if err != nil {
			return err
		}
		shots = append(shots, s)
	}
	return o.row(ctx, fmt.Sprintf("captures, %d a request", batchSize), batchSize, shots)
}

func (o *otasBench) batchShot(a reporter, lines []byte) (shot, error) {
	return newShot(o.base, "/api/v1/backend/log/agent/batch/", a.header("application/x-ndjson"), lines, http.StatusCreated)
}

// agentList measures the list that the console's first page asks for.
func (o *otasBench) agentList(ctx context.Context) error {
	have, err := o.people().CountAgents(ctx, o.project)
	if err != nil {
		return fmt.Errorf("list the agents: %w", err)
	}
	for ; have < agentsTotal; have++ {
		if _, err := o.people().CreateAgent(ctx, o.project, fmt.Sprintf("Listed %d", have+1), "Made by reeve bench", "Reeve"); err != nil {
			return fmt.Errorf("register an agent: %w", err)
		}
	}
	header := http.Header{"X-Otas-User-Token": {o.flags.token}}
	s, err := newShot(o.base, "/api/agent/v1/list/", header, nil, http.StatusOK)
	if err != nil {
		return err
	}
	return o.row(ctx, fmt.Sprintf("agent list, %d agents", have), 1, []shot{s})
}
