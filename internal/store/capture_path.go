package store

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/reeve-ai/reeve/internal/core"
)

// pathDay is a core.PathDay whose path is still a number.
type pathDay struct {
	path, count int64
	day         core.Day
}

// PathDays implements core.CaptureStore. Among paths that were called equally often, those that were
// known earlier come first.
func (d *CaptureDB) PathDays(ctx context.Context, project core.ProjectID, agent core.AgentID, days core.Days, limit int) (list []core.PathDay, more bool, err error) {
	list = []core.PathDay{}
	args, ok := agentArgs(project, agent)
	if !ok || limit <= 0 {
		return list, false, nil
	}
	err = d.base.fail("count by path", d.base.engine.snapshot(ctx, func(h handle) error {
		var rows []pathDay
		counts := make(map[int64]int64)
		err := h.rows(ctx, `SELECT path, day, CAST(SUM(captures) AS BIGINT) FROM calls
			WHERE source = `+ofSource+` AND day BETWEEN $3 AND $4 GROUP BY day, path`,
			append(args, int64(days.From), int64(days.To)), func(r row) error {
				var p pathDay
				err := r.Scan(&p.path, &p.day, &p.count)
				rows = append(rows, p)
				counts[p.path] += p.count
				return err
			})
		if err != nil {
			return err
		}
		chosen := make([]int64, 0, len(counts))
		for no := range counts {
			chosen = append(chosen, no)
		}
		slices.SortFunc(chosen, func(a, b int64) int { return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b)) })
		if more = len(chosen) > limit; more {
			chosen = chosen[:limit]
		}
		texts, err := d.pathTexts(ctx, h, chosen)
		if err != nil {
			return err
		}
		for _, p := range rows {
			if text, ok := texts[p.path]; ok {
				list = append(list, core.PathDay{Path: text, Day: p.day, Count: p.count})
			}
		}
		return nil
	}))
	if err != nil {
		return nil, false, err
	}
	slices.SortFunc(list, func(a, b core.PathDay) int { return cmp.Or(strings.Compare(a.Path, b.Path), cmp.Compare(a.Day, b.Day)) })
	return list, more, nil
}

// pathTexts reads paths by their numbers.
func (d *CaptureDB) pathTexts(ctx context.Context, h handle, numbers []int64) (map[int64]string, error) {
	texts := make(map[int64]string, len(numbers))
	if len(numbers) == 0 {
		return texts, nil
	}
	e := d.base.engine
	err := h.rows(ctx, "SELECT no, path FROM paths WHERE "+e.inNumbers("no", "$1"), []any{e.numbers(numbers)}, func(r row) error {
		var no int64
		var text string
		err := r.Scan(&no, idColumn[string]{&text})
		texts[no] = text
		return err
	})
	return texts, err
}

// PathErrors implements core.CaptureStore. Statuses that are equally frequent come in order of method and
// code.
func (d *CaptureDB) PathErrors(ctx context.Context, project core.ProjectID, agent core.AgentID, days core.Days, limit int) ([]core.PathErrors, error) {
	list := []core.PathErrors{}
	args, ok := agentArgs(project, agent)
	if !ok || limit <= 0 {
		return list, nil
	}
	err := d.base.fail("count errors by path", d.base.engine.snapshot(ctx, func(h handle) error {
		byPath, err := pathErrors(ctx, h, append(args, int64(days.From), int64(days.To)))
		if err != nil {
			return err
		}
		chosen := make([]int64, 0, len(byPath))
		for no, p := range byPath {
			if p.Errors+p.ClientErrors > 0 {
				chosen = append(chosen, no)
			}
		}
		slices.SortFunc(chosen, func(a, b int64) int { return cmp.Or(worse(byPath[a], byPath[b]), cmp.Compare(a, b)) })
		chosen = chosen[:min(limit, len(chosen))]
		texts, err := d.pathTexts(ctx, h, chosen)
		if err != nil {
			return err
		}
		for _, no := range chosen {
			p := byPath[no]
			p.Path = texts[no]
			slices.SortFunc(p.Statuses, func(a, b core.MethodStatus) int {
				return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Method, b.Method), cmp.Compare(a.StatusCode, b.StatusCode))
			})
			if p.Errors > 0 {
				if p.Last, err = lastFailed(ctx, h, no, days); err != nil {
					return err
				}
				p.Last.Project, p.Last.Agent = project, agent
			}
			list = append(list, *p)
		}
		return nil
	}))
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(list, func(a, b core.PathErrors) int { return cmp.Or(worse(&a, &b), strings.Compare(a.Path, b.Path)) })
	return list, nil
}

// worse orders paths by what went wrong, most first.
func worse(a, b *core.PathErrors) int {
	return cmp.Or(cmp.Compare(b.Errors, a.Errors), cmp.Compare(b.ClientErrors, a.ClientErrors), cmp.Compare(b.Count, a.Count))
}

// pathErrors counts all calls by the number of their path. Path and Last are still missing.
func pathErrors(ctx context.Context, h handle, args []any) (map[int64]*core.PathErrors, error) {
	byPath := make(map[int64]*core.PathErrors)
	err := h.rows(ctx, `SELECT path, method, status, CAST(SUM(captures) AS BIGINT), CAST(SUM(errors) AS BIGINT), CAST(SUM(client_errors) AS BIGINT)
		FROM calls WHERE source = `+ofSource+` AND day BETWEEN $3 AND $4 GROUP BY path, method, status`, args, func(r row) error {
		var no, clientErrors int64
		var s core.MethodStatus
		if err := r.Scan(&no, &s.Method, &s.StatusCode, &s.Count, &s.Errors, &clientErrors); err != nil {
			return err
		}
		p := byPath[no]
		if p == nil {
			p = &core.PathErrors{}
			byPath[no] = p
		}
		p.Count += s.Count
		p.Errors += s.Errors
		p.ClientErrors += clientErrors
		p.Statuses = append(p.Statuses, s)
		return nil
	})
	return byPath, err
}

// lastFailed reads the newest capture of a path that failed in these days; there is one.
func lastFailed(ctx context.Context, h handle, path int64, days core.Days) (*core.Capture, error) {
	var c *core.Capture
	err := h.rows(ctx, "SELECT "+bareColumns+`, s.id FROM captures c JOIN paths p ON p.no = c.path JOIN sessions s ON s.no = c.session
		WHERE c.path = $1 AND c.outcome = 1 AND c.at >= $2 AND c.at < $3 ORDER BY c.at DESC, c.id DESC LIMIT 1`,
		[]any{path, days.From.Time().UnixMicro(), (days.To + 1).Time().UnixMicro()}, func(r row) error {
			c = &core.Capture{}
			_, err := captureScan(withMore{r, idBytesColumn[core.SessionID]{&c.Session}}, c, true)
			return err
		})
	if err == nil && c == nil {
		return nil, errCounts
	}
	return c, err
}

// withMore is a row that has one more column behind those that are asked for.
type withMore struct {
	row
	last any
}

func (m withMore) Scan(dest ...any) error { return m.row.Scan(append(dest, m.last)...) }
