package managed

import (
	"slices"
	"strings"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/session"
)

// place is where an event stands on the wire: its Seq, and which of its forms.
type place struct {
	seq  int64
	form int
}

// listEvents serves GET /sessions/{session}/events (CMA section 4.4, qoder.md section 3.5).
func (f *Face) listEvents(c *call) (reply, error) {
	sess, err := f.session(c)
	if err != nil {
		return reply{}, err
	}
	return f.eventsOf(c, sess, "")
}

// eventsOf lists the events of a thread, or, without one, what the session's own view shows.
func (f *Face) eventsOf(c *call, sess core.Session, thread core.ThreadID) (reply, error) {
	var at place // of the cursor
	w, err := c.window(eventList, true, c.fl.eventPage, c.fl.maxEventPage, func(spelled string) (cursor, error) {
		var err error
		at, err = f.eventPlace(c, sess, thread, spelled)
		return cursor{at: at.seq}, err
	})
	if err != nil {
		return reply{}, err
	}
	if w.from != nil {
		at.seq = w.from.at
	}
	created, err := c.query.span("created_at")
	if err != nil {
		return reply{}, err
	}
	kinds := c.eventKinds()
	back := w.from != nil && w.from.back
	q := core.EventQuery{Descending: w.asc == back, Types: c.fl.formTypes(kinds), Thread: thread}
	q.From, q.To = created.closed()
	if len(q.Types) == 0 { // a filter of types that no event here has
		return ok(w.envelope(nil))
	}
	entries, err := f.eventEntries(c, sess, q, w, at, kinds)
	if err != nil {
		return reply{}, err
	}
	if back {
		slices.Reverse(entries)
	}
	return ok(w.envelope(entries))
}

// eventKinds reads the filter by type: types[], types, and Qoder's type, which may be a comma list.
func (c *call) eventKinds() []string {
	kinds := c.query.each("types")
	if c.fl == Qoder {
		for _, v := range slices.Concat(kinds, c.query.each("type")) {
			kinds = append(kinds, strings.Split(v, ",")...)
		}
	}
	return kinds
}

// eventEntries reads the log from a place on, until the window is full. An event may have no form that
// is asked for, because a filter by kind of tool is only decided here.
func (f *Face) eventEntries(c *call, sess core.Session, q core.EventQuery, w window, at place, kinds []string) ([]entry, error) {
	t := translator{f: f, c: c, session: sess, thread: q.Thread}
	if w.from != nil { // begin with the cursor's own event: it may have forms behind the place
		if q.After = at.seq - 1; q.Descending {
			q.After = at.seq + 1
		}
	}
	q.Limit = min(w.fetch()+1, session.MaxEventPage)
	var entries []entry
	for {
		events, err := f.sessions.Events(c.Context(), c.by, sess.ID, q)
		if err != nil {
			return nil, named(err, "session", c.PathValue("session"))
		}
		for _, e := range events {
			forms, err := t.forms(e)
			if err != nil {
				return nil, err
			}
			for _, i := range order(len(forms), q.Descending) {
				passed := w.from != nil && e.Seq == at.seq && (i == at.form || i < at.form != q.Descending)
				if passed || len(kinds) > 0 && !slices.Contains(kinds, forms[i].kind) {
					continue
				}
				entries = append(entries, entry{at: e.Seq, wire: forms[i].id, body: forms[i].body})
				if len(entries) == w.fetch() {
					return entries, nil
				}
			}
			q.After = e.Seq
		}
		if len(events) < q.Limit {
			return entries, nil
		}
	}
}

// order lists the indexes of n forms, from the last if descending.
func order(n int, descending bool) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i
		if descending {
			list[i] = n - 1 - i
		}
	}
	return list
}

// eventPlace finds the place of an event by the id that it has on the wire. NotFound: there is none.
func (f *Face) eventPlace(c *call, sess core.Session, thread core.ThreadID, spelled string) (place, error) {
	id, known := core.ParseID[core.EventID](spelled)
	if !known {
		return place{}, core.NotFoundError("event", spelled)
	}
	e, err := f.sessions.Event(c.Context(), c.by, sess.ID, id)
	if core.KindOf(err) == core.NotFound && c.fl.threadStatus {
		if e, err = f.sessions.Event(c.Context(), c.by, sess.ID, twin(id)); err == nil && threadKinds[e.Type] == "" {
			err = core.NotFoundError("event", spelled)
		}
	}
	if err != nil {
		return place{}, named(err, "event", spelled)
	}
	t := translator{f: f, c: c, session: sess, thread: thread}
	forms, err := t.forms(e)
	if err != nil {
		return place{}, err
	}
	i := slices.IndexFunc(forms, func(f form) bool { return f.id == c.fl.eventPrefix+string(id) })
	if i < 0 { // an event without a form: behind it is as good a place
		i = len(forms)
	}
	return place{seq: e.Seq, form: i}, nil
}
