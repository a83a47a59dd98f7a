package store

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/reeve-ai/reeve/internal/core"
)

// errCounts says that what is counted does not agree with the captures. It never should be seen.
var errCounts = errors.New("the counts do not agree with the captures")

// LatencyDays implements core.CaptureStore.
func (d *CaptureDB) LatencyDays(ctx context.Context, project core.ProjectID, agent core.AgentID, days core.Days) ([]core.LatencyDay, error) {
	list := []core.LatencyDay{}
	args, ok := agentArgs(project, agent)
	if !ok {
		return list, nil
	}
	err := d.base.fail("read latencies", d.base.engine.snapshot(ctx, func(h handle) error {
		var all []latencies
		err := h.rows(ctx, "SELECT source, day, histogram FROM latencies WHERE source = "+ofSource+" AND day BETWEEN $3 AND $4 ORDER BY day",
			append(args, int64(days.From), int64(days.To)), func(r row) error {
				l := latencies{h: h}
				var packed []byte
				if err := r.Scan(&l.source, &l.day, rawColumn{&packed}); err != nil {
					return err
				}
				var err error
				l.counts, err = decodeHistogram(packed)
				all = append(all, l)
				return err
			})
		if err != nil {
			return err
		}
		for _, l := range all {
			day := core.LatencyDay{Day: l.day, Count: l.counts.total()}
			for _, p := range []struct {
				part float64
				to   *float64
			}{{0.5, &day.P50}, {0.95, &day.P95}, {0.99, &day.P99}} {
				if *p.to, err = l.percentile(ctx, p.part, day.Count); err != nil {
					return err
				}
			}
			list = append(list, day)
		}
		return nil
	}))
	if err != nil {
		return nil, err
	}
	return list, nil
}

// latencies are those of one agent's day. The histogram says in which bucket a rank lies; the value itself
// is then looked up in the index, near by.
type latencies struct {
	h      handle
	source int64
	day    core.Day
	counts histogram
}

// percentile is PERCENTILE_CONT: the position part*(n-1), between two latencies if need be.
func (l *latencies) percentile(ctx context.Context, part float64, n int64) (float64, error) {
	position := part * float64(n-1)
	rank := int64(position)
	lower, err := l.at(ctx, rank)
	if between := position - float64(rank); err == nil && between > 0 {
		var upper float64
		upper, err = l.at(ctx, rank+1)
		lower += float64(between * (upper - lower)) // the conversion keeps processors from fusing the two steps
	}
	return lower, err
}

// at is the latency with a rank.
func (l *latencies) at(ctx context.Context, rank int64) (float64, error) {
	b, smaller := l.counts.place(rank)
	if b.same {
		return b.value, nil
	}
	// From the nearer end of the bucket: passing over rows of the index is what takes time.
	condition, from, passed := "latency >= $3 ORDER BY latency", bucketFrom(b.number), smaller
	if larger := b.count - 1 - smaller; larger < smaller {
		condition, from, passed = "latency < $3 ORDER BY latency DESC", bucketFrom(b.number+1), larger
	}
	var value float64
	there := false
	err := l.h.rows(ctx, "SELECT latency FROM captures WHERE source = $1 AND day = $2 AND "+condition+" LIMIT 1 OFFSET $4 + 0",
		[]any{l.source, int64(l.day), from, passed}, func(r row) error {
			there = true
			return r.Scan(&value)
		})
	if err == nil && !there {
		return 0, errCounts
	}
	return value, err
}

// ErrorDays implements core.CaptureStore.
func (d *CaptureDB) ErrorDays(ctx context.Context, project core.ProjectID, agent core.AgentID, days core.Days) ([]core.ErrorDay, error) {
	args, ok := agentArgs(project, agent)
	if !ok {
		return []core.ErrorDay{}, nil
	}
	return readAll(ctx, &d.base, "errors by day", "SELECT day, captures, errors, client_errors FROM days WHERE source = "+ofSource+
		" AND day BETWEEN $3 AND $4 ORDER BY day", append(args, int64(days.From), int64(days.To)), func(r row) (e core.ErrorDay, err error) {
		err = r.Scan(&e.Day, &e.Count, &e.Errors, &e.ClientErrors)
		return e, err
	})
}

// UsageDays implements core.CaptureStore.
func (d *CaptureDB) UsageDays(ctx context.Context, project core.ProjectID, agent core.AgentID, days core.Days) ([]core.AgentUsage, error) {
	args, ok := agentArgs(project, agent)
	if !ok {
		return []core.AgentUsage{}, nil
	}
	return readAll(ctx, &d.base, "usage by day", `SELECT day, captures, errors, client_errors, request_bytes, response_bytes, latency, max_latency
		FROM days WHERE source = `+ofSource+" AND day BETWEEN $3 AND $4 ORDER BY day", append(args, int64(days.From), int64(days.To)),
		func(r row) (core.AgentUsage, error) {
			u := core.AgentUsage{Agent: agent}
			err := r.Scan(&u.Day, &u.Captures, &u.Errors, &u.ClientErrors, &u.RequestBytes, &u.ResponseBytes, &u.LatencyMS, &u.MaxLatencyMS)
			return u, err
		})
}

// Usage implements core.CaptureStore. Agents with equally many captures come in order of their ids.
func (d *CaptureDB) Usage(ctx context.Context, project core.ProjectID, agents []core.AgentID, days core.Days) ([]core.AgentUsage, error) {
	p, ok := rawIDOf(project)
	var ids []string
	for _, a := range agents {
		if _, ok := rawIDOf(a); ok {
			ids = append(ids, string(a))
		}
	}
	if !ok || len(agents) > 0 && len(ids) == 0 {
		return []core.AgentUsage{}, nil
	}
	args := []any{p[:], int64(days.From), int64(days.To)}
	query := `SELECT o.agent_id, CAST(SUM(d.captures) AS BIGINT), CAST(SUM(d.errors) AS BIGINT), CAST(SUM(d.client_errors) AS BIGINT),
		CAST(SUM(d.request_bytes / 2147483648) AS BIGINT), CAST(SUM(d.request_bytes % 2147483648) AS BIGINT),
		CAST(SUM(d.response_bytes / 2147483648) AS BIGINT), CAST(SUM(d.response_bytes % 2147483648) AS BIGINT),
		SUM(d.latency), MAX(d.max_latency),
		CAST(SUM(d.sessions) AS BIGINT) + (SELECT COUNT(DISTINCT m.session) FROM session_days m WHERE m.source = o.no AND m.day BETWEEN $2 AND $3)
		FROM sources o JOIN days d ON d.source = o.no WHERE o.project_id = $1 AND d.day BETWEEN $2 AND $3`
	if len(ids) > 0 {
		query += " AND " + d.base.engine.inBytes("o.agent_id", "$4")
		args = append(args, d.base.engine.list(ids))
	}
	list, err := readAll(ctx, &d.base, "usage", query+" GROUP BY o.no, o.agent_id", args, func(r row) (u core.AgentUsage, err error) {
		var request, response halves
		err = r.Scan(idBytesColumn[core.AgentID]{&u.Agent}, &u.Captures, &u.Errors, &u.ClientErrors,
			&request.high, &request.low, &response.high, &response.low, &u.LatencyMS, &u.MaxLatencyMS, &u.Sessions)
		u.RequestBytes, u.ResponseBytes = request.sum(), response.sum()
		return u, err
	})
	slices.SortFunc(list, func(a, b core.AgentUsage) int {
		return cmp.Or(cmp.Compare(b.Captures, a.Captures), cmp.Compare(a.Agent, b.Agent))
	})
	return list, err
}

// halves are the sums of the upper and of the lower 31 bits of sums of bytes: the database fails if a sum
// overflows, and these do not before there are 2^32 days.
type halves struct{ high, low int64 }

// sum is at most core.MaxSummedBytes.
func (h halves) sum() int64 {
	if h.high >= 1<<31 {
		return core.MaxSummedBytes
	}
	return addBytes(h.high<<31, h.low)
}
