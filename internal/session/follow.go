package session

import (
	"context"
	"iter"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// MaxEventPage is the most events that one read returns.
const MaxEventPage = 10_000

// Events returns a part of a session's log, as q asks; past the end the slice is empty. Unless q names a thread it
// is the session's own view: the primary thread, and what the others share.
//
// Errors: NotFound; Forbidden.
func (s *Service) Events(ctx context.Context, by core.Principal, id core.SessionID, q core.EventQuery) ([]core.Event, error) {
	sess, err := s.Session(ctx, by, id)
	if err != nil {
		return nil, err
	}
	if q.Thread == "" && sess.Coordinates() {
		q.Thread, q.Shared = core.PrimaryThread(id), true
	}
	if q.Limit <= 0 || q.Limit > MaxEventPage {
		q.Limit = MaxEventPage
	}
	return s.store.Events(ctx, by.Project, id, q)
}

// Event returns one entry of a session's log by its id.
//
// Errors: NotFound; Forbidden.
func (s *Service) Event(ctx context.Context, by core.Principal, id core.SessionID, event core.EventID) (core.Event, error) {
	if _, err := s.Session(ctx, by, id); err != nil {
		return core.Event{}, err
	}
	return s.store.EventByID(ctx, by.Project, id, event)
}

// FollowOptions say where to begin and what to pass on.
type FollowOptions struct {
	// After begins behind this Seq: 0 is the whole log. Ignored with Tail.
	After int64
	// Tail begins at the end of the log. With Recent it goes back a little: to the last input, if
	// that is younger than Recent or its turn still runs. It is for clients that send first and
	// open the stream then: without it they would miss a fast turn and hang.
	Tail   bool
	Recent time.Duration
	// Thread is the thread to watch; empty: the session's own view, as Events has it.
	Thread core.ThreadID
	// Deltas passes deltas on, besides events.
	Deltas bool
	// Ready is called once, before anything is yielded, when the watch stands: from then on nothing is
	// missed, deltas included. An error from it ends the watch without a word. It may be nil.
	Ready func() error
}

// Feed is one thing that a watcher is told: exactly one field is set.
type Feed struct {
	Event   *core.Event
	Delta   *core.Delta
	Beat    bool // nothing happened for a while: keep the connection alive
	Deleted bool // the session was deleted: the last thing that comes
}

const (
	beatEvery  = 15 * time.Second
	followPage = 500
)

// Follow reads a session's log and goes on as it grows, until ctx ends, the caller
// stops or the service closes. It yields
// events in order of Seq without a gap. A delta never comes behind its finished event, and once one
// was lost the rest of that event's deltas are left out.
//
// An error is the last thing it yields: NotFound or Forbidden before anything else.
func (s *Service) Follow(ctx context.Context, by core.Principal, id core.SessionID, opts FollowOptions) iter.Seq2[Feed, error] {
	return func(yield func(Feed, error) bool) {
		sub, cancel := s.bus.Subscribe(id) // before the first read, so that nothing falls between
		defer cancel()
		sess, err := s.Session(ctx, by, id)
		if err != nil {
			if ctx.Err() == nil { // a watch that ended before it began has nothing to tell
				yield(Feed{}, err)
			}
			return
		}
		f := follower{s: s, by: by, project: by.Project, id: id, sub: sub, yield: yield, deltas: opts.Deltas, after: opts.After, thread: opts.Thread}
		if opts.Thread == "" {
			f.thread, f.shared = core.PrimaryThread(id), true
		} else if _, err := s.store.Thread(ctx, by.Project, id, opts.Thread); err != nil {
			yield(Feed{}, err)
			return
		}
		if opts.Tail {
			if f.after, err = s.tail(ctx, sess, opts); err != nil {
				yield(Feed{}, err)
				return
			}
		}
		if opts.Ready != nil && opts.Ready() != nil {
			return
		}
		f.run(ctx)
	}
}

// tail finds the Seq behind which a watcher without a place of its own begins.
func (s *Service) tail(ctx context.Context, sess core.Session, opts FollowOptions) (int64, error) {
	recent := opts.Recent
	if recent <= 0 || sess.LastSeq == 0 {
		return sess.LastSeq, nil
	}
	q := core.EventQuery{Descending: true, Limit: 50, Types: inputTypes, Thread: opts.Thread}
	switch {
	case opts.Thread != "": // whom the others of its team send to
		q.Types = append(inputTypes[:len(inputTypes):len(inputTypes)], core.EventMessageReceived)
	case sess.Coordinates():
		q.Thread, q.Shared = core.PrimaryThread(sess.ID), true
	}
	inputs, err := s.store.Events(ctx, sess.Project, sess.ID, q)
	if err != nil || len(inputs) == 0 {
		return sess.LastSeq, err
	}
	newest := inputs[0]
	if !busy(sess) && s.now().Sub(newest.At) > recent {
		return sess.LastSeq, nil
	}
	first := newest.Seq
	for _, e := range inputs { // one batch was appended at one moment
		if !e.At.Equal(newest.At) {
			break
		}
		first = e.Seq
	}
	return min(first-1, sess.LastSeq), nil // the input may be younger than sess: what came between is not left out
}

var inputTypes = []core.EventType{
	core.EventUserMessage, core.EventUserInterrupt, core.EventUserToolConfirmation,
	core.EventUserCustomToolResult, core.EventUserToolResult,
}

// follower is the state of one watcher.
type follower struct {
	s       *Service
	by      core.Principal
	project core.ProjectID
	id      core.SessionID
	sub     core.Subscription
	yield   func(Feed, error) bool
	deltas  bool
	thread  core.ThreadID
	shared  bool // what other threads share is shown, too
	after   int64
	event   core.EventID // the event whose deltas come now
	next    int          // the N that its next delta must have; -1 when one was lost
	whole   core.EventID // the newest event that was yielded and that deltas could be of
}

func (f *follower) run(ctx context.Context) {
	beat := time.NewTimer(beatEvery)
	defer beat.Stop()
	if !f.read(ctx) {
		return
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.s.closing:
			return
		case d := <-f.sub.Deltas:
			// The beat goes on: a face may have nothing to show of deltas, for as long as a model thinks.
			if !f.delta(d) {
				return
			}
			continue
		case <-f.sub.Woken:
			// The deltas of what was just committed were published before the nudge: they go first.
			if !f.drain() || !f.read(ctx) {
				return
			}
		case <-beat.C:
			// The bus may lose a nudge, so a beat looks again too.
			if !f.read(ctx) || !f.serves(ctx) || !f.yield(Feed{Beat: true}, nil) {
				return
			}
		}
		beat.Reset(beatEvery)
	}
}

// serves reports whether the watcher may go on: the token of a work item ends with that item.
func (f *follower) serves(ctx context.Context) bool {
	if f.by.Kind != core.PrincipalWork {
		return true
	}
	w, err := f.s.store.LiveWork(ctx, f.project, f.id)
	return err == nil && w.ID == f.by.Work
}

// read yields everything in the log behind f.after. It reports false when the watch is over.
func (f *follower) read(ctx context.Context) bool {
	for {
		events, err := f.s.store.Events(ctx, f.project, f.id, core.EventQuery{After: f.after, Limit: followPage})
		if err != nil && core.KindOf(err) != core.NotFound {
			if ctx.Err() == nil {
				f.yield(Feed{}, err)
			}
			return false
		}
		if len(events) == 0 {
			return f.exists(ctx, err)
		}
		// The deltas of what was read were published before it was committed: they go first.
		if !f.drain() {
			return false
		}
		for i := range events {
			// Read and passed over here, not left out by the query: so no part of the log is read twice.
			if !f.shows(events[i]) {
				f.after = events[i].Seq
				continue
			}
			if t := events[i].Type; t == core.EventAgentMessage || t == core.EventAgentThinking {
				f.whole = max(f.whole, events[i].ID)
			}
			f.after = events[i].Seq
			if !f.yield(Feed{Event: &events[i]}, nil) {
				return false
			}
		}
		if len(events) < followPage {
			return true
		}
	}
}

// shows reports whether the watcher's view has an event.
func (f *follower) shows(e core.Event) bool {
	return e.Thread == f.thread || f.shared && e.Shared
}

// exists tells an empty page from a session that is gone.
func (f *follower) exists(ctx context.Context, err error) bool {
	if err == nil {
		_, err = f.s.store.Session(ctx, f.project, f.id)
	}
	switch {
	case err == nil:
		return true
	case core.KindOf(err) == core.NotFound:
		f.yield(Feed{Deleted: true}, nil)
	case ctx.Err() == nil:
		f.yield(Feed{}, err)
	}
	return false
}

func (f *follower) drain() bool {
	for {
		select {
		case d := <-f.sub.Deltas:
			if !f.delta(d) {
				return false
			}
		default:
			return true
		}
	}
}

func (f *follower) delta(d core.Delta) bool {
	// A read for an earlier nudge, or for a beat, may have found the event before its deltas were taken
	// from the bus. Ids grow, so one comparison tells that; at worst, when the clocks of two nodes differ,
	// deltas are left out.
	if !f.deltas || d.Thread != f.thread || d.Event <= f.whole {
		return true
	}
	if d.Start {
		f.event, f.next = d.Event, 0
	}
	if d.Event != f.event || d.N != f.next {
		if d.Event == f.event {
			f.next = -1
		}
		return true
	}
	f.next++
	return f.yield(Feed{Delta: &d}, nil)
}
