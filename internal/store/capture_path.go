package store

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/reeve-ai/reeve/internal/core"
)

// callsOf are the calls of the agent and the days $1 to $4 that have one of the paths in the argument.
// The days come from their own table, so that each path is looked up in each instead of all being read;
// SQLite keeps to the order of a CROSS JOIN.
func callsOf(e engine, paths string) string {
	return "FROM days d CROSS JOIN calls c WHERE c.source = d.source AND c.day = d.day AND d.source = " + ofSource +
		" AND d.day BETWEEN $3 AND $4 AND " + e.inNumbers("c.path", paths)
}

// PathDays implements core.CaptureStore. Among paths that were called equally often, those that were
// known earlier come first.
func (d *CaptureDB) PathDays(ctx context.Context, project core.ProjectID, agent core.AgentID, days core.Days, limit int) (list []core.PathDay, more bool, err error) {
	list = []core.PathDay{}
	args, ok := agentArgs(project, agent)
	if !ok || limit <= 0 {
		return list, false, nil
	}
	args = append(args, int64(days.From), int64(days.To))
	e := d.base.engine
	err = d.base.fail("count by path", e.snapshot(ctx, func(h handle) error {
		chosen, err := all(ctx, h, `SELECT path, CAST(SUM(captures) AS BIGINT) AS called FROM calls
			WHERE source = `+ofSource+` AND day BETWEEN $3 AND $4 GROUP BY path ORDER BY called DESC, path LIMIT $5 + 0`,
			append(slices.Clone(args), int64(limit)+1), func(r row) (no int64, err error) {
				var called int64
				err = r.Scan(&no, &called)
				return no, err
			})
		if err != nil {
			return err
		}
		if more = len(chosen) > limit; more {
			chosen = chosen[:limit]
		}
		texts, err := d.pathTexts(ctx, h, chosen)
		if err != nil || len(chosen) == 0 {
			return err
		}
		return h.rows(ctx, "SELECT c.path, d.day, CAST(SUM(c.captures) AS BIGINT) "+callsOf(e, "$5")+" GROUP BY d.day, c.path",
			append(slices.Clone(args), e.numbers(chosen)), func(r row) error {
				var no int64
				var p core.PathDay
				err := r.Scan(&no, &p.Day, &p.Count)
				p.Path = texts[no]
				list = append(list, p)
				return err
			})
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
	args = append(args, int64(days.From), int64(days.To))
	err := d.base.fail("count errors by path", d.base.engine.snapshot(ctx, func(h handle) error {
		chosen, err := d.worstPaths(ctx, h, args, limit)
		if err != nil || len(chosen.numbers) == 0 {
			return err
		}
		if err := d.statuses(ctx, h, args, chosen); err != nil {
			return err
		}
		texts, err := d.pathTexts(ctx, h, chosen.numbers)
		if err != nil {
			return err
		}
		for _, no := range chosen.numbers {
			p := chosen.paths[no]
			p.Path = texts[no]
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

// chosenPaths are the paths of PathErrors by their numbers.
type chosenPaths struct {
	numbers []int64
	paths   map[int64]*core.PathErrors
}

// worstPaths finds the paths where most went wrong, and counts their calls.
func (d *CaptureDB) worstPaths(ctx context.Context, h handle, args []any, limit int) (chosenPaths, error) {
	chosen := chosenPaths{paths: make(map[int64]*core.PathErrors)}
	err := h.rows(ctx, `SELECT path, CAST(SUM(captures) AS BIGINT) AS called, CAST(SUM(errors) AS BIGINT) AS failed,
		CAST(SUM(client_errors) AS BIGINT) AS refused FROM calls
		WHERE source = `+ofSource+` AND day BETWEEN $3 AND $4 GROUP BY path HAVING SUM(errors) + SUM(client_errors) > 0
		ORDER BY failed DESC, refused DESC, called DESC, path LIMIT $5 + 0`,
		append(slices.Clone(args), limit), func(r row) error {
			var no int64
			p := &core.PathErrors{}
			err := r.Scan(&no, &p.Count, &p.Errors, &p.ClientErrors)
			chosen.numbers = append(chosen.numbers, no)
			chosen.paths[no] = p
			return err
		})
	return chosen, err
}

// statuses reads the statuses of the paths, of each one more than it may have, to see if there are more.
func (d *CaptureDB) statuses(ctx context.Context, h handle, args []any, chosen chosenPaths) error {
	e := d.base.engine
	return h.rows(ctx, `SELECT path, method, status, called, failed FROM (
		SELECT c.path, c.method, c.status, CAST(SUM(c.captures) AS BIGINT) AS called, CAST(SUM(c.errors) AS BIGINT) AS failed,
		ROW_NUMBER() OVER (PARTITION BY c.path ORDER BY SUM(c.captures) DESC, c.method, c.status) AS place
		`+callsOf(e, "$5")+` GROUP BY c.path, c.method, c.status) AS placed WHERE place <= $6 + 0 ORDER BY path, place`,
		append(slices.Clone(args), e.numbers(chosen.numbers), core.MaxStatuses+1), func(r row) error {
			var no int64
			var s core.MethodStatus
			err := r.Scan(&no, &s.Method, &s.StatusCode, &s.Count, &s.Errors)
			if p := chosen.paths[no]; len(p.Statuses) < core.MaxStatuses {
				p.Statuses = append(p.Statuses, s)
			} else {
				p.MoreStatuses = true
			}
			return err
		})
}

// lastFailed reads the newest capture that failed in these days and is counted under a path; there is one.
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
