package store

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"math"
	"slices"

	"github.com/reeve-ai/reeve/internal/core"
)

// reported is a capture on its way into the store.
type reported struct {
	counted
	capture   *core.Capture
	of        rawSource
	id        rawID
	sessionID rawID
	pathHash  rawID

	short, long any  // packed texts
	fresh       bool // it is stored
	other       bool // it is counted under core.OtherPaths
}

// rawSource names an agent.
type rawSource struct{ project, agent rawID }

// AppendCaptures implements core.CaptureStore. Calls that wait at the same time share a transaction, so
// that they fail together if the database fails.
//
// Errors: Invalid ("invalid_id", "invalid_latency"), and then nothing is stored.
func (d *CaptureDB) AppendCaptures(ctx context.Context, captures []core.Capture) ([]bool, error) {
	fresh := make([]bool, len(captures))
	if len(captures) == 0 {
		return fresh, nil
	}
	list := make([]reported, len(captures))
	for i := range captures {
		if err := list[i].take(&captures[i]); err != nil {
			return nil, err
		}
	}
	if err := d.appends.append(ctx, list, d.appendTogether); err != nil {
		return nil, d.base.fail("append captures", err)
	}
	for i := range list {
		fresh[i] = list[i].fresh
	}
	return fresh, nil
}

// take makes ready everything that needs no database.
func (r *reported) take(c *core.Capture) error {
	r.capture = c
	for _, id := range []struct {
		noun string
		text string
		raw  *rawID
	}{
		{"project", string(c.Project), &r.of.project},
		{"agent", string(c.Agent), &r.of.agent},
		{"session", string(c.Session), &r.sessionID},
		{"capture", string(c.ID), &r.id},
	} {
		raw, ok := rawIDOf(id.text)
		if !ok {
			return invalidID(id.noun)
		}
		*id.raw = raw
	}
	if !(c.LatencyMS >= 0) || math.IsInf(c.LatencyMS, 1) { // NaN is neither
		return core.Errorf(core.Invalid, "invalid_latency", "a latency must be a finite number, 0 or more")
	}
	r.pathHash = hashOf(c.Path)
	short, long := shortTexts(c), longTexts(c)
	r.short, r.long = packTexts(short[:]), packTexts(long[:])
	r.counted = counted{
		day: core.DayOf(c.At), at: c.At.UnixMicro(), latency: c.LatencyMS + 0, outcome: outcomeOf(c), // + 0: there is no -0
		method: c.Method, status: int64(c.StatusCode), requestBytes: c.RequestBytes, responseBytes: c.ResponseBytes,
	}
	return nil
}

// appendTogether stores the captures of several calls.
func (d *CaptureDB) appendTogether(ctx context.Context, together []*waitingAppend) error {
	return d.base.engine.write(ctx, func(h *txn) error {
		var list []*reported
		for _, a := range together {
			for i := range a.captures {
				a.captures[i].fresh = false
				list = append(list, &a.captures[i])
			}
		}
		a := appending{engine: d.base.engine, h: h, tally: newTally(false), bySource: make(map[rawSource][]*reported)}
		return a.run(ctx, list)
	})
}

// appending is one shared append in its transaction.
type appending struct {
	engine   engine
	h        *txn
	tally    *tally
	bySource map[rawSource][]*reported
	order    []rawSource // keys of bySource, as they came
	fresh    []*reported // what is stored, as it came
}

func (a *appending) run(ctx context.Context, list []*reported) error {
	for _, r := range list {
		if a.bySource[r.of] == nil {
			a.order = append(a.order, r.of)
		}
		a.bySource[r.of] = append(a.bySource[r.of], r)
	}
	// One order for all, so that two nodes cannot wait for each other's agents.
	slices.SortFunc(a.order, func(x, y rawSource) int {
		return cmp.Or(bytes.Compare(x.project[:], y.project[:]), bytes.Compare(x.agent[:], y.agent[:]))
	})
	for _, of := range a.order {
		if err := a.source(ctx, of, a.bySource[of]); err != nil {
			return err
		}
	}
	for _, r := range list {
		if r.fresh {
			a.fresh = append(a.fresh, r)
		}
	}
	if err := a.sessions(ctx); err != nil {
		return err
	}
	if err := a.insert(ctx); err != nil {
		return err
	}
	return a.tally.write(ctx, a.h)
}

// source gives the captures of one agent its number, finds out which of them are new, and gives those the
// numbers of their paths.
func (a *appending) source(ctx context.Context, of rawSource, list []*reported) error {
	source, firstDay, err := a.hold(ctx, of)
	if err != nil {
		return err
	}
	if err := a.markFresh(ctx, source, list); err != nil {
		return err
	}
	earliest := core.Day(math.MaxInt)
	for _, r := range list {
		if r.fresh {
			earliest = min(earliest, r.day)
		}
	}
	switch {
	case source == 0: // so that nothing of this agent can have been a duplicate
		n, err := a.h.change(ctx, `INSERT INTO sources (project_id, agent_id, first_day) VALUES ($1, $2, $3)
			ON CONFLICT (project_id, agent_id) DO NOTHING RETURNING no`,
			[]any{of.project[:], of.agent[:], int64(earliest)}, func(r row) error { return r.Scan(&source) })
		if err != nil {
			return err
		}
		if n == 0 { // another node was quicker, by a moment
			return a.source(ctx, of, list)
		}
	case earliest < firstDay:
		_, err = a.h.change(ctx, "UPDATE sources SET first_day = $2 WHERE no = $1", []any{source, int64(earliest)}, nil)
	}
	if err != nil {
		return err
	}
	for _, r := range list {
		r.source = source
	}
	return a.paths(ctx, source, list)
}

// hold finds an agent's number, and keeps other nodes from counting for the agent until the end. No number yet: 0.
func (a *appending) hold(ctx context.Context, of rawSource) (source int64, firstDay core.Day, err error) {
	err = a.h.rows(ctx, "SELECT no, first_day FROM sources WHERE project_id = $1 AND agent_id = $2"+a.engine.hold("sources"),
		[]any{of.project[:], of.agent[:]}, func(r row) error { return r.Scan(&source, &firstDay) })
	return source, firstDay, err
}

// markFresh marks the captures that were not stored before, nor are twice in the list.
func (a *appending) markFresh(ctx context.Context, source int64, list []*reported) error {
	var ids []rawID
	for _, r := range list {
		if r.capture.Named {
			ids = append(ids, r.id)
		}
	}
	seen := make(map[rawID]bool, len(ids))
	if len(ids) > 0 && source != 0 {
		condition, arg := a.among("id", ids)
		err := a.h.rows(ctx, "SELECT id FROM captures WHERE source = $1 AND named = 1 AND "+condition, []any{source, arg}, func(r row) error {
			var id rawID
			err := r.Scan(rawIDColumn{&id})
			seen[id] = true
			return err
		})
		if err != nil {
			return err
		}
	}
	for _, r := range list {
		if r.capture.Named {
			r.fresh = !seen[r.id]
			seen[r.id] = true
		} else {
			r.fresh = true
		}
	}
	return nil
}

// among is the condition that column is one of the ids, and its argument $2. A list is a table of its own
// to SQLite, which one id is not worth: an append of one capture takes a tenth less time without.
func (a *appending) among(column string, ids []rawID) (condition string, arg any) {
	if len(ids) == 1 {
		return column + " = $2", ids[0][:]
	}
	list := make([]string, len(ids))
	for i, id := range ids {
		list[i] = hex.EncodeToString(id[:])
	}
	return a.engine.inBytes(column, "$2"), a.engine.list(list)
}

var addCaptures = rowsInsert{into: `INSERT INTO captures (source, session, path, day, at, id, latency, outcome, named, via, method,
	status, received_at, request_bytes, response_bytes, short_texts, long_texts)`, columns: 17}

// insert stores the new captures and counts them.
func (a *appending) insert(ctx context.Context) error {
	args := make([]any, 0, len(a.fresh)*addCaptures.columns)
	for _, r := range a.fresh {
		c, short := r.capture, r.short
		if r.other {
			texts := shortTexts(c)
			short = packTexts(append(texts[:], &c.Path))
		}
		args = append(args, r.source, r.session, r.path, int64(r.day), r.at, r.id[:], r.latency, r.outcome, flag(c.Named),
			string(c.Via), r.method, r.status, c.ReceivedAt.UnixMicro(), r.requestBytes, r.responseBytes, short, r.long)
		a.tally.add(&r.counted)
	}
	return addCaptures.run(ctx, a.h, args, nil)
}
