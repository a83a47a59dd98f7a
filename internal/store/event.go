package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// eventColumns are those of an event, in the order of eventArgs and eventScan.
const (
	eventColumns     = "place, log, id, thread_id, turn_id, type, at, processed_at, data, shared"
	eventColumnCount = 10
)

// logSize is how many places a log has: an event's place is its log's number times logSize, plus its
// Seq. The queries below write it out as 4294967296.
const logSize = 1 << 32

// eventQuery selects events of the session and project that $1 and $2 name: the number of its log comes
// from the session's row and from nowhere else. More conditions, on e, follow.
const eventQuery = `SELECT e.place, e.id, e.thread_id, e.turn_id, e.type, e.at, e.processed_at, e.data, e.shared
	FROM sessions s JOIN events e ON `

// eventScan returns the function that reads rows of eventQuery.
func eventScan(session core.SessionID) func(row) (core.Event, error) {
	return func(r row) (core.Event, error) {
		e := core.Event{Session: session}
		err := r.Scan(&e.Seq, (*string)(&e.ID), (*string)(&e.Thread), (*string)(&e.Turn), (*string)(&e.Type),
			timeColumn{&e.At}, timeColumn{&e.ProcessedAt}, rawColumn{(*[]byte)(&e.Data)}, flagColumn{&e.Shared})
		e.Seq %= logSize
		return e, err
	}
}

// eventArgs appends the values of an event's columns.
func eventArgs(args []any, log int64, e core.Event) []any {
	return append(args, log*logSize+e.Seq, log, string(e.ID), string(e.Thread), string(e.Turn), string(e.Type),
		micros(e.At), micros(e.ProcessedAt), string(e.Data), flag(e.Shared))
}

// proveSession answers NotFound unless the session is the project's.
func proveSession(ctx context.Context, h handle, project core.ProjectID, session core.SessionID) error {
	there, err := found(ctx, h, "SELECT 1 FROM sessions WHERE id = $1 AND project_id = $2", string(session), string(project))
	if err == nil && !there {
		return core.NotFoundError("session", string(session))
	}
	return err
}

// Append implements core.SessionStore. Without drafts it only proves that the session is there. An id
// that the session's log has already is Conflict ("already_exists").
func (s *store) Append(ctx context.Context, project core.ProjectID, session core.SessionID, at time.Time, drafts ...core.Draft) ([]core.Event, error) {
	events, err := number(session, stored(at), drafts)
	if err != nil {
		return nil, s.fail("append", err)
	}
	err = s.write(ctx, "append", func(h *txn) error {
		if len(events) == 0 {
			return proveSession(ctx, h, project, session)
		}
		var log, last int64
		n, err := h.change(ctx, "UPDATE sessions SET last_seq = last_seq + $3 WHERE id = $1 AND project_id = $2 RETURNING log, last_seq",
			[]any{string(session), string(project), len(events)}, func(r row) error { return r.Scan(&log, &last) })
		if err != nil {
			return err
		}
		if n == 0 {
			return core.NotFoundError("session", string(session))
		}
		for i := range events {
			events[i].Seq = last - int64(len(events)-1-i)
		}
		return s.engine.insertEvents(ctx, h, log, events)
	})
	if err != nil {
		return nil, err
	}
	return events, nil
}

// number makes events of drafts, all but their Seq.
func number(session core.SessionID, at time.Time, drafts []core.Draft) ([]core.Event, error) {
	events := make([]core.Event, len(drafts))
	for i, d := range drafts {
		e := core.Event{ID: d.ID, Session: session, Thread: d.Thread, Turn: d.Turn, Shared: d.Shared, Type: d.Type, At: at, Data: d.JSON()}
		if e.ID == "" {
			e.ID = core.NewID[core.EventID]()
		}
		if !d.Queued {
			e.ProcessedAt = at
		}
		if e.Data == nil && d.Data != nil { // a draft that NewDraft did not make
			data, err := json.Marshal(d.Data)
			if err != nil {
				return nil, fmt.Errorf("encode %s event: %w", d.Type, err)
			}
			e.Data = data
		}
		if e.Data == nil {
			e.Data = json.RawMessage("{}")
		}
		events[i] = e
	}
	return events, nil
}

// MarkProcessed implements core.SessionStore. An id that is not in the session's log is NotFound.
func (s *store) MarkProcessed(ctx context.Context, project core.ProjectID, session core.SessionID, at time.Time, ids ...core.EventID) error {
	return s.write(ctx, "mark processed", func(h *txn) error {
		if len(ids) == 0 {
			return proveSession(ctx, h, project, session)
		}
		for _, id := range ids {
			n, err := h.change(ctx, `UPDATE events SET processed_at = $4
				WHERE log = (SELECT log FROM sessions WHERE id = $1 AND project_id = $2) AND id = $3 AND processed_at = 0`,
				[]any{string(session), string(project), string(id), micros(at)}, nil)
			if err != nil {
				return err
			}
			if n > 0 {
				continue
			}
			if _, err := s.eventByID(ctx, h, project, session, id); err != nil {
				return err
			}
		}
		return nil
	})
}

// Events implements core.SessionStore. An unknown session is NotFound.
func (s *store) Events(ctx context.Context, project core.ProjectID, session core.SessionID, q core.EventQuery) ([]core.Event, error) {
	l := listQuery{engine: s.engine}
	l.and("s.id = %s AND s.project_id = %s", string(session), string(project))
	first, end := "s.log * 4294967296", "(s.log + 1) * 4294967296"
	order := " ORDER BY e.place"
	if q.Descending {
		order += " DESC"
		if q.After > 0 {
			end = "s.log * 4294967296 + " + l.arg(min(q.After, logSize))
		}
	} else {
		first = "s.log * 4294967296 + " + l.arg(min(max(q.After, 0), logSize-1)) // never before the log's own beginning
	}
	andIn(&l, "e.type", q.Types)
	switch {
	case q.Thread != "" && q.Shared:
		l.and("(e.thread_id = %s OR e.shared = 1)", string(q.Thread))
	case q.Thread != "":
		l.and("e.thread_id = %s", string(q.Thread))
	}
	if !q.From.IsZero() {
		l.and("e.at >= %s", micros(q.From))
	}
	if !q.To.IsZero() {
		l.and("e.at <= %s", micros(q.To))
	}
	query := eventQuery + "e.place > " + first + " AND e.place < " + end + " WHERE " + l.conditions() + order + l.limit(q.Limit, 0)
	var list []core.Event
	err := s.read(ctx, "read events", func(h handle) (err error) {
		if list, err = all(ctx, h, query, l.args, eventScan(session)); err != nil || len(list) > 0 {
			return err
		}
		return proveSession(ctx, h, project, session)
	})
	return list, err
}

// QueuedEvents implements core.SessionStore. An unknown session or thread is NotFound.
func (s *store) QueuedEvents(ctx context.Context, project core.ProjectID, session core.SessionID, thread core.ThreadID) ([]core.Event, error) {
	var list []core.Event
	err := s.read(ctx, "read queued events", func(h handle) (err error) {
		list, err = all(ctx, h, eventQuery+`e.log = s.log AND e.processed_at = 0
			WHERE s.id = $1 AND s.project_id = $2 AND e.thread_id = $3 ORDER BY e.place`,
			[]any{string(session), string(project), string(thread)}, eventScan(session))
		if err != nil || len(list) > 0 {
			return err
		}
		there, err := found(ctx, h, "SELECT 1 FROM threads WHERE session_id = $1 AND id = $2 AND project_id = $3",
			string(session), string(thread), string(project))
		if err == nil && !there {
			return core.NotFoundError("thread", string(thread))
		}
		return err
	})
	return list, err
}

// EventByID implements core.SessionStore.
func (s *store) EventByID(ctx context.Context, project core.ProjectID, session core.SessionID, id core.EventID) (e core.Event, err error) {
	err = s.read(ctx, "read event", func(h handle) error {
		e, err = s.eventByID(ctx, h, project, session, id)
		return err
	})
	return e, err
}

func (s *store) eventByID(ctx context.Context, h handle, project core.ProjectID, session core.SessionID, id core.EventID) (core.Event, error) {
	list, err := all(ctx, h, eventQuery+"e.log = s.log AND e.id = $3 WHERE s.id = $1 AND s.project_id = $2",
		[]any{string(session), string(project), string(id)}, eventScan(session))
	if err != nil {
		return core.Event{}, err
	}
	if len(list) == 0 {
		return core.Event{}, core.NotFoundError("event", string(id))
	}
	return list[0], nil
}
