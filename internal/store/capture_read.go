package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// ofSource is the number of the agent whose project and id are $1 and $2, and of none else.
const ofSource = "(SELECT no FROM sources WHERE project_id = $1 AND agent_id = $2)"

// agentArgs are the arguments of ofSource; false: there can be no such agent.
func agentArgs(project core.ProjectID, agent core.AgentID) ([]any, bool) {
	p, ok := rawIDOf(project)
	a, ok2 := rawIDOf(agent)
	return []any{p[:], a[:]}, ok && ok2
}

// bareColumns are the columns of a capture, all but its long texts, which follow them if they are wanted.
const bareColumns = `c.id, c.via, c.at, c.received_at, p.path, c.method, c.status, c.latency, c.request_bytes, c.response_bytes,
	c.named, c.short_texts`

// atColumn reads microseconds, of which each is a time: it differs from timeColumn at 0.
type atColumn struct{ to *time.Time }

func (c atColumn) Scan(src any) error {
	us, ok := src.(int64)
	if !ok {
		return fmt.Errorf("time column holds %T", src)
	}
	*c.to = time.UnixMicro(us).UTC()
	return nil
}

// captureScan reads a row of bareColumns and perhaps the long texts into c, and returns how many bytes its
// texts have.
func captureScan(r row, c *core.Capture, bare bool) (size int, err error) {
	var short, long []byte
	dest := []any{
		idBytesColumn[core.CaptureID]{&c.ID},
		(*string)(&c.Via),
		atColumn{&c.At},
		atColumn{&c.ReceivedAt},
		idColumn[string]{&c.Path},
		&c.Method, &c.StatusCode, &c.LatencyMS, &c.RequestBytes, &c.ResponseBytes,
		flagColumn{&c.Named},
		rawColumn{&short},
	}
	if !bare {
		dest = append(dest, rawColumn{&long})
	}
	if err := r.Scan(dest...); err != nil {
		return 0, err
	}
	size, err = unpackShort(short, c)
	if err != nil {
		return 0, err
	}
	more, err := unpackLong(long, c)
	return size + more, err
}

// errPageFull ends the reading of a page early.
var errPageFull = errors.New("store: the page is full")

// Captures implements core.CaptureStore. All texts that are returned count for MaxBytes: those that Bare
// leaves out do not, nor do paths.
func (d *CaptureDB) Captures(ctx context.Context, project core.ProjectID, agent core.AgentID, session core.SessionID, q core.CaptureQuery) ([]core.Capture, error) {
	list := []core.Capture{}
	args, ok := agentArgs(project, agent)
	id, ok2 := rawIDOf(session)
	if !ok || !ok2 {
		return list, nil
	}
	l := listQuery{engine: d.base.engine, args: append(args, id[:])}
	l.and("c.session = (SELECT no FROM sessions WHERE id = $3 AND source = " + ofSource + ")")
	if q.After != nil {
		after, ok := rawIDOf(q.After.ID)
		if !ok {
			return nil, invalidID("capture")
		}
		l.and("(c.at, c.id) > (%s, %s)", q.After.At.UnixMicro(), after[:])
	}
	columns := bareColumns
	if !q.Bare {
		columns += ", c.long_texts"
	}
	query := "SELECT " + columns + " FROM captures c JOIN paths p ON p.no = c.path WHERE " + l.conditions() + " ORDER BY c.at, c.id" + l.limit(q.Limit, 0)
	size := 0
	err := d.base.read(ctx, "list captures", func(h handle) error {
		err := h.rows(ctx, query, l.args, func(r row) error {
			c := core.Capture{Project: project, Agent: agent, Session: session}
			n, err := captureScan(r, &c, q.Bare)
			if err != nil {
				return err
			}
			list = append(list, c)
			if size += n; q.MaxBytes > 0 && size >= q.MaxBytes {
				return errPageFull
			}
			return nil
		})
		if errors.Is(err, errPageFull) {
			return nil
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// SessionCaptures implements core.CaptureStore.
func (d *CaptureDB) SessionCaptures(ctx context.Context, project core.ProjectID, sessions []core.SessionID) (map[core.SessionID]core.CaptureCounts, error) {
	counts := make(map[core.SessionID]core.CaptureCounts, len(sessions))
	p, ok := rawIDOf(project)
	var ids []string
	for _, s := range sessions {
		if _, ok := rawIDOf(s); ok {
			ids = append(ids, string(s))
		}
	}
	if !ok || len(ids) == 0 {
		return counts, nil
	}
	query := `SELECT s.id, s.captures, s.errors, s.client_errors, s.first_at, s.last_at FROM sessions s
		JOIN sources o ON o.no = s.source AND o.project_id = $1 WHERE ` + d.base.engine.inBytes("s.id", "$2")
	err := d.base.read(ctx, "count the captures of sessions", func(h handle) error {
		return h.rows(ctx, query, []any{p[:], d.base.engine.list(ids)}, func(r row) error {
			var id core.SessionID
			var n core.CaptureCounts
			if err := r.Scan(idBytesColumn[core.SessionID]{&id}, &n.Captures, &n.Errors, &n.ClientErrors, atColumn{&n.FirstAt}, atColumn{&n.LastAt}); err != nil {
				return err
			}
			if before, twice := counts[id]; twice { // two agents reported for one session
				n = sumOf(before, n)
			}
			counts[id] = n
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return counts, nil
}

func sumOf(a, b core.CaptureCounts) core.CaptureCounts {
	if a.FirstAt.Before(b.FirstAt) {
		b.FirstAt = a.FirstAt
	}
	if a.LastAt.After(b.LastAt) {
		b.LastAt = a.LastAt
	}
	b.Captures += a.Captures
	b.Errors += a.Errors
	b.ClientErrors += a.ClientErrors
	return b
}
