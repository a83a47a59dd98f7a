package session

import (
	"context"
	"slices"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/thread"
)

// desk is a thread that takes input, inside the transaction that holds its session.
type desk struct {
	thread core.ThreadID
	own    core.Session // the session with the thread's own status and reason in the place of its own
	book   *thread.Book // nil: the session has this thread alone, and its state is the session's
	places []int        // of the inputs in the request, -1 for one that is not in it; nil: 0, 1, 2 …
}

// soloDesk is the one thread of a session without a team.
func soloDesk(sess core.Session) desk {
	return desk{thread: core.PrimaryThread(sess.ID), own: sess}
}

func (d desk) field(i int) string {
	if d.places != nil {
		i = d.places[i]
	}
	return indexed("events", i)
}

// start says that the thread's turn begins.
func (d desk) start(sess *core.Session) []core.Draft {
	turn := core.NewID[core.TurnID]()
	if d.book != nil {
		return d.book.Start(d.thread, turn)
	}
	sess.Status, sess.StopReason = core.StatusRunning, nil
	return []core.Draft{core.NewDraft(d.thread, turn, core.EventStatusRunning, nil)}
}

// wait says again which answers the thread waits for.
func (d desk) wait(sess *core.Session, left []core.EventID) []core.Draft {
	stop := core.StopReason{Type: core.StopRequiresAction, Events: left}
	if d.book != nil {
		return d.book.Rest(d.thread, "", stop)
	}
	sess.StopReason = &stop
	return []core.Draft{
		core.NewDraft(d.thread, "", core.EventSessionUsage, core.UsageSnapshot{Usage: sess.Usage, Budget: sess.Budget}),
		core.NewDraft(d.thread, "", core.EventStatusIdle, stop),
	}
}

// ring is an interrupt that a running thread has to look at.
type ring struct {
	thread core.ThreadID
	seq    int64
}

// acceptTeam is accept for a coordinator's session: each input goes to the thread that it is for, the primary thread
// unless it says or implies another (claude-managed-agents.md section 4.1). An interrupt that names no thread is for
// all of them; those besides the primary one get a copy of their own.
func (s *Service) acceptTeam(ctx context.Context, tx core.Store, sess *core.Session, in []Input) (accepted, error) {
	now := s.now()
	book, err := thread.Open(ctx, tx, sess, now)
	if err != nil {
		return accepted{}, err
	}
	desks, inputs, err := sortInputs(ctx, tx, *sess, book, in)
	if err != nil {
		return accepted{}, err
	}
	all := accepted{events: make([]core.Event, len(in))}
	for i, at := range desks {
		took, err := s.take(ctx, tx, sess, at, inputs[i])
		if err != nil {
			return accepted{}, err
		}
		all.join(at, took)
	}
	last, err := book.Close(ctx)
	if err != nil || len(last) == 0 {
		return all, err
	}
	events, err := tx.Append(ctx, sess.Project, sess.ID, now, last...)
	if err == nil {
		sess.LastSeq = events[len(events)-1].Seq
	}
	return all, err
}

// join adds what one thread took in.
func (a *accepted) join(at desk, took accepted) {
	for i, e := range took.events {
		if at.places[i] >= 0 {
			a.events[at.places[i]] = e
		}
	}
	switch {
	case took.leased:
		a.leases = append(a.leases, took.lease)
	case took.interrupt > 0:
		a.rings = append(a.rings, ring{at.thread, took.interrupt})
	}
	if took.work != "" {
		a.work = took.work
	}
}

// sortInputs parts a request by thread, in the order in which the threads come in it.
func sortInputs(ctx context.Context, tx core.Store, sess core.Session, book *thread.Book, in []Input) ([]desk, [][]Input, error) {
	var desks []desk
	var inputs [][]Input
	put := func(t core.Thread, place int, input Input) {
		i := slices.IndexFunc(desks, func(d desk) bool { return d.thread == t.ID })
		if i < 0 {
			i = len(desks)
			own := sess
			own.Status, own.StopReason = t.Status, t.StopReason
			desks = append(desks, desk{thread: t.ID, own: own, book: book})
			inputs = append(inputs, nil)
		}
		desks[i].places = append(desks[i].places, place)
		inputs[i] = append(inputs[i], input)
	}
	for i, input := range in {
		id, err := threadOf(ctx, tx, sess, input)
		if err != nil {
			return nil, nil, err
		}
		t, open := book.Thread(id)
		if !open && input.Interrupt != nil {
			return nil, nil, core.InvalidField(indexed("events", i)+".session_thread_id", "the session has no such thread")
		}
		if !open { // what waited in it waits no longer; the primary thread says so
			t, _ = book.Thread(core.PrimaryThread(sess.ID))
		}
		put(t, i, input)
		if input.Interrupt == nil || input.Interrupt.Thread != "" {
			continue
		}
		for _, other := range book.Open() {
			own := sess
			own.Status, own.StopReason = other.Status, other.StopReason
			if other.Parent != "" && other.Kind != core.RosterAdvisor && (other.Live() || other.Waits() || halted(own)) {
				put(other, -1, Input{Interrupt: &core.Interrupt{Thread: other.ID}})
			}
		}
	}
	return desks, inputs, nil
}

// threadOf is the thread that an input is for. That of an answer follows from the tool use that it names.
func threadOf(ctx context.Context, tx core.Store, sess core.Session, in Input) (core.ThreadID, error) {
	var use core.EventID
	switch {
	case in.Interrupt != nil && in.Interrupt.Thread != "":
		return in.Interrupt.Thread, nil
	case in.Confirmation != nil:
		use = in.Confirmation.ToolUse
	case in.CustomResult != nil:
		use = in.CustomResult.ToolUse
	case in.ToolResult != nil:
		use = in.ToolResult.ToolUse
	}
	primary := core.PrimaryThread(sess.ID)
	if use == "" {
		return primary, nil
	}
	e, err := tx.EventByID(ctx, sess.Project, sess.ID, use)
	if core.KindOf(err) == core.NotFound { // what is wrong with it is said where it is judged
		return primary, nil
	}
	return e.Thread, err
}

// resumeTeam starts the threads of a team that had come to the end of the budget with work left, as far as the
// session may go on. It returns what the log has to say of it.
func (s *Service) resumeTeam(ctx context.Context, tx core.Store, sess *core.Session, now time.Time) ([]core.Draft, []core.Lease, error) {
	book, err := thread.Open(ctx, tx, sess, now)
	if err != nil || sess.Budget.Reached(sess.Usage) {
		return nil, nil, err
	}
	var drafts []core.Draft
	var leases []core.Lease
	for _, t := range slices.Clone(book.Open()) {
		if t.Status != core.StatusIdle || t.StopReason == nil || t.StopReason.Type != core.StopBudgetReached {
			continue
		}
		drafts = append(drafts, book.Start(t.ID, core.NewID[core.TurnID]())...)
		lease, taken, err := tx.OweTurn(ctx, sess.Project, sess.ID, t.ID, s.dispatch.Node(), now, s.dispatch.LeaseUntil(now))
		if err != nil {
			return nil, nil, err
		}
		if taken {
			leases = append(leases, lease)
		}
	}
	last, err := book.Close(ctx)
	return append(drafts, last...), leases, err
}
