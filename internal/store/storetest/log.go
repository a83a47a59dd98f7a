package storetest

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/reeve-ai/reeve/internal/core"
)

func eventID(e core.Event) core.EventID { return e.ID }

// seqs returns the numbers of events.
func seqs(events []core.Event) []int64 {
	out := make([]int64, len(events))
	for i, e := range events {
		out[i] = e.Seq
	}
	return out
}

var logPromises = map[string]func(*testing.T, *bundle){
	"EventsAreNumberedFromOneWithoutGaps": func(t *testing.T, b *bundle) {
		s := b.session(t, b.project(t))
		same(t, "first", seqs(b.log(t, s, 2)), []int64{1, 2})
		same(t, "second", seqs(b.log(t, s, 1)), []int64{3})
		same(t, "another session", seqs(b.log(t, b.session(t, s.Project), 1)), []int64{1})
		got, err := b.Session(b.ctx, s.Project, s.ID)
		need(t, err)
		same(t, "LastSeq", got.LastSeq, int64(3))
	},
	"WhatAppendReturnsIsWhatIsStored": func(t *testing.T, b *bundle) {
		s := b.session(t, b.project(t))
		one := core.NewDraft("thread", "turn", core.EventUserMessage, core.Message{Content: core.Text("<&>\u2028 ü")})
		two := core.NewDraft("", "", core.EventStatusRunning, nil)
		two.Queued = true
		got, err := b.Append(b.ctx, s.Project, s.ID, at(9), one, two)
		need(t, err)
		same(t, "returned", got, []core.Event{
			{ID: one.ID, Session: s.ID, Thread: "thread", Turn: "turn", Seq: 1, Type: core.EventUserMessage, At: kept(at(9)), ProcessedAt: kept(at(9)), Data: one.JSON()},
			{ID: two.ID, Session: s.ID, Seq: 2, Type: core.EventStatusRunning, At: kept(at(9)), Data: json.RawMessage("{}")},
		})
		stored, err := b.Events(b.ctx, s.Project, s.ID, core.EventQuery{Limit: 10})
		need(t, err)
		same(t, "stored", stored, got)
		for _, want := range got {
			found, err := b.EventByID(b.ctx, s.Project, s.ID, want.ID)
			need(t, err)
			same(t, "by id", found, want)
		}
	},
	"ADraftWithoutIDOrPayloadGetsThem": func(t *testing.T, b *bundle) {
		s := b.session(t, b.project(t))
		got, err := b.Append(b.ctx, s.Project, s.ID, at(1), core.Draft{Type: core.EventStatusIdle},
			core.Draft{Type: core.EventStatusIdle, Data: core.StopReason{Type: core.StopEndTurn}})
		need(t, err)
		if len(got[0].ID) != 32 || got[0].ID == got[1].ID {
			t.Errorf("ids = %q and %q, want two of 32 digits", got[0].ID, got[1].ID)
		}
		same(t, "payload", string(got[0].Data), "{}")
		same(t, "payload", string(got[1].Data), `{"type":"end_turn"}`)
	},
	"ManyDraftsAreOneAppend": func(t *testing.T, b *bundle) {
		s := b.session(t, b.project(t))
		for _, n := range []int{1, 31, 32, 33, 100} {
			before := b.log(t, s, n)
			got, err := b.Events(b.ctx, s.Project, s.ID, core.EventQuery{After: before[0].Seq - 1, Limit: 1000})
			need(t, err)
			same(t, fmt.Sprintf("%d drafts", n), got, before)
		}
	},
	"NoDraftsAppendNothing": func(t *testing.T, b *bundle) {
		s := b.session(t, b.project(t))
		got, err := b.Append(b.ctx, s.Project, s.ID, at(1))
		need(t, err)
		same(t, "events", got, []core.Event{})
		_, err = b.Append(b.ctx, s.Project, "none", at(1))
		refused(t, "unknown session", err, core.NotFound, "session_not_found")
	},
	"AnIDThatTheLogHasIsConflictAndAppendsNothing": func(t *testing.T, b *bundle) {
		s := b.session(t, b.project(t))
		first := b.log(t, s, 1)
		again := drafts(s, 3)
		again[2].ID = first[0].ID
		_, err := b.Append(b.ctx, s.Project, s.ID, at(1), again...)
		refused(t, "Append", err, core.Conflict, "")
		same(t, "next", seqs(b.log(t, s, 1)), []int64{2})
		other := b.session(t, s.Project)
		_, err = b.Append(b.ctx, s.Project, other.ID, at(1), again...)
		need(t, err) // unique within a log only
	},
	"AnUnknownSessionOrEventIsNotFound": func(t *testing.T, b *bundle) {
		s := b.session(t, b.project(t))
		_, err := b.Append(b.ctx, s.Project, "none", at(1), drafts(s, 1)...)
		refused(t, "Append", err, core.NotFound, "session_not_found")
		_, err = b.Events(b.ctx, s.Project, "none", core.EventQuery{Limit: 1})
		refused(t, "Events", err, core.NotFound, "session_not_found")
		_, err = b.EventByID(b.ctx, s.Project, s.ID, "none")
		refused(t, "EventByID", err, core.NotFound, "event_not_found")
	},
	"NoPlaceReachesAnotherLog": func(t *testing.T, b *bundle) {
		p := b.project(t)
		before, s, after := b.session(t, p), b.session(t, p), b.session(t, p)
		b.log(t, before, 5)
		want := b.log(t, s, 3)
		b.log(t, after, 5)
		for _, place := range []int64{-1 << 62, -1 << 40, -1, 0, 1, 3, 4, 1<<32 - 1, 1 << 32, 1 << 40, 1<<63 - 1} {
			for _, descending := range []bool{false, true} {
				got, err := b.Events(b.ctx, p, s.ID, core.EventQuery{After: place, Descending: descending, Limit: 100})
				need(t, err)
				if descending {
					slices.Reverse(got)
				}
				expected := []core.Event{}
				for _, e := range want {
					if !descending && e.Seq > place || descending && (place <= 0 || e.Seq < place) {
						expected = append(expected, e)
					}
				}
				same(t, fmt.Sprintf("after %d, descending %t", place, descending), got, expected)
			}
		}
	},
	"QueriesSelectPartsOfTheLog": func(t *testing.T, b *bundle) {
		s := b.session(t, b.project(t))
		for i, c := range []struct {
			eventType core.EventType
			thread    core.ThreadID
		}{
			{core.EventUserMessage, "a"}, {core.EventAgentMessage, "a"}, {core.EventUserMessage, "b"}, {core.EventStatusIdle, "b"}, {core.EventUserMessage, "a"},
		} {
			_, err := b.Append(b.ctx, s.Project, s.ID, at(i+1), core.NewDraft(c.thread, "", c.eventType, nil))
			need(t, err)
		}
		for _, c := range []struct {
			name string
			q    core.EventQuery
			want []int64
		}{
			{"all", core.EventQuery{}, []int64{1, 2, 3, 4, 5}},
			{"after", core.EventQuery{After: 3}, []int64{4, 5}},
			{"after, limited", core.EventQuery{After: 1, Limit: 2}, []int64{2, 3}},
			{"at the end", core.EventQuery{After: 5}, []int64{}},
			{"past the end", core.EventQuery{After: 1 << 40}, []int64{}},
			{"newest first", core.EventQuery{Descending: true, Limit: 2}, []int64{5, 4}},
			{"newest first, below", core.EventQuery{Descending: true, After: 4, Limit: 2}, []int64{3, 2}},
			{"newest first, below the first", core.EventQuery{Descending: true, After: 1}, []int64{}},
			{"one type", core.EventQuery{Types: []core.EventType{core.EventUserMessage}}, []int64{1, 3, 5}},
			{"two types", core.EventQuery{Types: []core.EventType{core.EventStatusIdle, core.EventAgentMessage}}, []int64{2, 4}},
			{"a type nobody wrote", core.EventQuery{Types: []core.EventType{core.EventSessionError}}, []int64{}},
			{"a thread", core.EventQuery{Thread: "b"}, []int64{3, 4}},
			{"from", core.EventQuery{From: at(4)}, []int64{4, 5}},
			{"to", core.EventQuery{To: at(2)}, []int64{1, 2}},
			{"everything", core.EventQuery{After: 1, From: at(1), To: at(5), Thread: "a", Types: []core.EventType{core.EventUserMessage}}, []int64{5}},
		} {
			if c.q.Limit == 0 {
				c.q.Limit = 100
			}
			got, err := b.Events(b.ctx, s.Project, s.ID, c.q)
			need(t, err)
			same(t, c.name, seqs(got), c.want)
		}
	},
}

var queuePromises = map[string]func(*testing.T, *bundle){
	"QueuedInputWaitsUntilItIsProcessed": func(t *testing.T, b *bundle) {
		s := b.session(t, b.project(t))
		thread := core.PrimaryThread(s.ID)
		queued := []core.Draft{draft(s, core.EventUserMessage, true), draft(s, core.EventUserMessage, true), draft(s, core.EventUserInterrupt, true)}
		_, err := b.Append(b.ctx, s.Project, s.ID, at(1), queued[0], draft(s, core.EventAgentMessage, false), queued[1],
			core.Draft{Thread: "other", Type: core.EventUserMessage, Queued: true}, queued[2])
		need(t, err)
		waiting := func(want ...core.EventID) {
			t.Helper()
			got, err := b.QueuedEvents(b.ctx, s.Project, s.ID, thread)
			need(t, err)
			same(t, "queue", ids(got, eventID), want)
		}
		waiting(queued[0].ID, queued[1].ID, queued[2].ID)
		need(t, b.MarkProcessed(b.ctx, s.Project, s.ID, at(2), queued[0].ID, queued[2].ID))
		waiting(queued[1].ID)
		got, err := b.EventByID(b.ctx, s.Project, s.ID, queued[2].ID)
		need(t, err)
		same(t, "ProcessedAt", got.ProcessedAt, kept(at(2)))
		same(t, "At", got.At, kept(at(1)))
	},
	"WhatIsProcessedKeepsItsTime": func(t *testing.T, b *bundle) {
		s := b.session(t, b.project(t))
		d := draft(s, core.EventUserMessage, true)
		_, err := b.Append(b.ctx, s.Project, s.ID, at(1), d)
		need(t, err)
		for i := range 3 {
			need(t, b.MarkProcessed(b.ctx, s.Project, s.ID, at(5+i), d.ID))
		}
		got, err := b.EventByID(b.ctx, s.Project, s.ID, d.ID)
		need(t, err)
		same(t, "ProcessedAt", got.ProcessedAt, kept(at(5)))
	},
	"AnUnknownEventCannotBeProcessed": func(t *testing.T, b *bundle) {
		s := b.session(t, b.project(t))
		other := b.session(t, s.Project)
		d := draft(s, core.EventUserMessage, true)
		_, err := b.Append(b.ctx, s.Project, s.ID, at(1), d)
		need(t, err)
		refused(t, "unknown", b.MarkProcessed(b.ctx, s.Project, s.ID, at(2), d.ID, "none"), core.NotFound, "event_not_found")
		refused(t, "another session's", b.MarkProcessed(b.ctx, s.Project, other.ID, at(2), d.ID), core.NotFound, "event_not_found")
		refused(t, "unknown session", b.MarkProcessed(b.ctx, s.Project, "none", at(2)), core.NotFound, "session_not_found")
		got, err := b.QueuedEvents(b.ctx, s.Project, s.ID, core.PrimaryThread(s.ID))
		need(t, err)
		same(t, "still queued", ids(got, eventID), []core.EventID{d.ID})
		need(t, b.MarkProcessed(b.ctx, s.Project, s.ID, at(2)))
	},
	"AnUnknownThreadIsNotFound": func(t *testing.T, b *bundle) {
		s := b.session(t, b.project(t))
		got, err := b.QueuedEvents(b.ctx, s.Project, s.ID, core.PrimaryThread(s.ID))
		need(t, err)
		same(t, "empty queue", got, []core.Event{})
		_, err = b.QueuedEvents(b.ctx, s.Project, s.ID, "none")
		refused(t, "QueuedEvents", err, core.NotFound, "thread_not_found")
	},
}
