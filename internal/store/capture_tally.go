package store

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/reeve-ai/reeve/internal/core"
)

// counted is a stored capture as far as it is counted. The texts of a capture do not count.
type counted struct {
	source, session, path       int64
	day                         core.Day
	at                          int64
	latency                     float64
	outcome                     int64
	method                      string
	status                      int64
	requestBytes, responseBytes int64
}

// outcomes counts captures.
type outcomes struct{ captures, errors, clientErrors int64 }

func (o *outcomes) add(outcome int64) {
	o.captures++
	switch outcome {
	case outcomeFailed:
		o.errors++
	case outcomeClientFailed:
		o.clientErrors++
	}
}

// tally sums up what many captures add to the tables that count, or take away from them, so that each row
// of those is written once.
type tally struct {
	taking bool // the captures go
	days   map[dayKey]*dayTally
	calls  map[callKey]*outcomes
}

type dayKey struct {
	source int64
	day    core.Day
}

func (k dayKey) compare(l dayKey) int {
	return cmp.Or(cmp.Compare(k.source, l.source), cmp.Compare(k.day, l.day))
}

type dayTally struct {
	outcomes
	sessions, paths             int64 // already signed
	requestBytes, responseBytes int64
	latency, maxLatency         float64
	latencies                   []float64
}

type callKey struct {
	dayKey
	path   int64
	method string
	status int64
}

func (k callKey) compare(l callKey) int {
	return cmp.Or(k.dayKey.compare(l.dayKey), cmp.Compare(k.path, l.path), cmp.Compare(k.method, l.method), cmp.Compare(k.status, l.status))
}

func newTally(taking bool) *tally {
	return &tally{taking: taking, days: make(map[dayKey]*dayTally), calls: make(map[callKey]*outcomes)}
}

// day returns the tally of a day.
func (t *tally) day(k dayKey) *dayTally {
	d := t.days[k]
	if d == nil {
		d = &dayTally{}
		t.days[k] = d
	}
	return d
}

func (t *tally) add(c *counted) {
	key := dayKey{c.source, c.day}
	d := t.day(key)
	d.add(c.outcome)
	d.requestBytes = addBytes(d.requestBytes, c.requestBytes)
	d.responseBytes = addBytes(d.responseBytes, c.responseBytes)
	d.latency += c.latency
	d.maxLatency = max(d.maxLatency, c.latency)
	d.latencies = append(d.latencies, c.latency)

	call := callKey{key, c.path, c.method, c.status}
	o := t.calls[call]
	if o == nil {
		o = &outcomes{}
		t.calls[call] = o
	}
	o.add(c.outcome)
}

// addBytes adds to a sum of bytes, which ends at core.MaxSummedBytes: of two such sums, neither Go's addition
// nor the database's overflows.
func addBytes(sum, n int64) int64 {
	return min(sum+min(max(n, 0), core.MaxSummedBytes), core.MaxSummedBytes)
}

// In daysEnd, 4611686018427387903 is core.MaxSummedBytes. A sum that was cut there becomes too small when
// captures go, but never negative.
const (
	daysInto = "INSERT INTO days (source, day, captures, errors, client_errors, sessions, paths, request_bytes, response_bytes, latency, max_latency)"
	daysEnd  = `ON CONFLICT (source, day) DO UPDATE SET
		captures = days.captures + excluded.captures, errors = days.errors + excluded.errors,
		client_errors = days.client_errors + excluded.client_errors, sessions = days.sessions + excluded.sessions,
		paths = days.paths + excluded.paths,
		request_bytes = CASE WHEN days.request_bytes + excluded.request_bytes > 4611686018427387903 THEN 4611686018427387903
			WHEN days.request_bytes + excluded.request_bytes < 0 THEN 0 ELSE days.request_bytes + excluded.request_bytes END,
		response_bytes = CASE WHEN days.response_bytes + excluded.response_bytes > 4611686018427387903 THEN 4611686018427387903
			WHEN days.response_bytes + excluded.response_bytes < 0 THEN 0 ELSE days.response_bytes + excluded.response_bytes END,
		latency = days.latency + excluded.latency,
		max_latency = CASE WHEN excluded.max_latency > days.max_latency THEN excluded.max_latency ELSE days.max_latency END`
	callsInto = "INSERT INTO calls (source, day, path, method, status, captures, errors, client_errors)"
	callsEnd  = `ON CONFLICT (source, day, path, method, status) DO UPDATE SET
		captures = calls.captures + excluded.captures, errors = calls.errors + excluded.errors,
		client_errors = calls.client_errors + excluded.client_errors`
)

var (
	addDays   = rowsInsert{into: daysInto, columns: 11, end: daysEnd}
	takeDays  = rowsInsert{into: daysInto, columns: 11, end: daysEnd + " RETURNING source, day, captures"}
	addCalls  = rowsInsert{into: callsInto, columns: 8, end: callsEnd}
	takeCalls = rowsInsert{into: callsInto, columns: 8, end: callsEnd + " RETURNING source, day, path, method, status, captures"}
)

// write changes the tables that count. Rows that count nothing any more are deleted.
func (t *tally) write(ctx context.Context, h handle) error {
	if err := t.writeCalls(ctx, h); err != nil {
		return err
	}
	if err := t.writeDays(ctx, h); err != nil {
		return err
	}
	for _, key := range slices.SortedFunc(maps.Keys(t.days), dayKey.compare) {
		if err := t.writeLatencies(ctx, h, key, t.days[key].latencies); err != nil {
			return err
		}
	}
	return nil
}

// signed is n with the sign of the tally.
func (t *tally) signed(n int64) int64 {
	if t.taking {
		return -n
	}
	return n
}

func (t *tally) writeCalls(ctx context.Context, h handle) error {
	args := make([]any, 0, len(t.calls)*addCalls.columns)
	for _, k := range slices.SortedFunc(maps.Keys(t.calls), callKey.compare) {
		o := t.calls[k]
		args = append(args, k.source, int64(k.day), k.path, k.method, k.status, t.signed(o.captures), t.signed(o.errors), t.signed(o.clientErrors))
	}
	if !t.taking {
		return addCalls.run(ctx, h, args, nil)
	}
	var empty []callKey
	err := takeCalls.run(ctx, h, args, func(r row) error {
		var k callKey
		var left int64
		err := r.Scan(&k.source, &k.day, &k.path, &k.method, &k.status, &left)
		if left == 0 {
			empty = append(empty, k)
		}
		return err
	})
	if err != nil {
		return err
	}
	slices.SortFunc(empty, callKey.compare) // a RETURNING clause promises no order
	for i, k := range empty {
		if _, err := h.change(ctx, "DELETE FROM calls WHERE source = $1 AND day = $2 AND path = $3 AND method = $4 AND status = $5",
			[]any{k.source, int64(k.day), k.path, k.method, k.status}, nil); err != nil {
			return err
		}
		if i+1 < len(empty) && empty[i+1].dayKey == k.dayKey && empty[i+1].path == k.path {
			continue // the path is looked at after the last of its rows
		}
		left, err := found(ctx, h, callsOfPath, k.source, int64(k.day), k.path)
		if err != nil {
			return err
		}
		if !left {
			t.day(k.dayKey).paths--
		}
	}
	return nil
}

func (t *tally) writeDays(ctx context.Context, h handle) error {
	args := make([]any, 0, len(t.days)*addDays.columns)
	for _, k := range slices.SortedFunc(maps.Keys(t.days), dayKey.compare) {
		d := t.days[k]
		latency, highest := d.latency, d.maxLatency
		if t.taking {
			latency, highest = -latency, 0 // the highest of the others is not known: it stays
		}
		args = append(args, k.source, int64(k.day), t.signed(d.captures), t.signed(d.errors), t.signed(d.clientErrors), d.sessions, d.paths,
			t.signed(d.requestBytes), t.signed(d.responseBytes), latency, highest)
	}
	if !t.taking {
		return addDays.run(ctx, h, args, nil)
	}
	var empty []dayKey
	err := takeDays.run(ctx, h, args, func(r row) error {
		var k dayKey
		var left int64
		err := r.Scan(&k.source, &k.day, &left)
		if left == 0 {
			empty = append(empty, k)
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, k := range empty {
		if _, err := h.change(ctx, "DELETE FROM days WHERE source = $1 AND day = $2", []any{k.source, int64(k.day)}, nil); err != nil {
			return err
		}
	}
	return nil
}

func (t *tally) writeLatencies(ctx context.Context, h handle, k dayKey, latencies []float64) error {
	if len(latencies) == 0 {
		return nil // only its number of sessions has changed
	}
	var packed []byte
	err := h.rows(ctx, "SELECT histogram FROM latencies WHERE source = $1 AND day = $2", []any{k.source, int64(k.day)},
		func(r row) error { return r.Scan(rawColumn{&packed}) })
	if err != nil {
		return err
	}
	counts, err := decodeHistogram(packed)
	if err != nil {
		return err
	}
	for _, latency := range latencies {
		if t.taking {
			counts.remove(latency)
		} else {
			counts.add(latency)
		}
	}
	if len(counts) == 0 {
		_, err = h.change(ctx, "DELETE FROM latencies WHERE source = $1 AND day = $2", []any{k.source, int64(k.day)}, nil)
		return err
	}
	_, err = h.change(ctx, `INSERT INTO latencies (source, day, histogram) VALUES ($1, $2, $3)
		ON CONFLICT (source, day) DO UPDATE SET histogram = excluded.histogram`, []any{k.source, int64(k.day), counts.encode()}, nil)
	return err
}
