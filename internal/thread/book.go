package thread

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// MaxOpen bounds the threads of one session that are not archived, the primary one included. It is Reeve's own
// number: every one of them is read when the state of one changes.
const MaxOpen = 500

// Book is the threads of one session inside one transaction that holds the session. Its methods change them and
// return what the log has to say of it, in order; nothing is stored before Close. It is used by one goroutine and
// thrown away with its transaction.
type Book struct {
	tx      core.Store
	now     time.Time
	sess    *core.Session
	threads []core.Thread // open ones, the primary first
	changed map[core.ThreadID]bool
	turn    core.TurnID // of the primary thread, once its state has changed
	again   bool        // the reason of the session's idle has to be said once more
}

// Open reads the open threads of a session that tx holds. What changes in the session changes in sess.
func Open(ctx context.Context, tx core.Store, sess *core.Session, now time.Time) (*Book, error) {
	threads, err := tx.Threads(ctx, sess.Project, sess.ID, core.ThreadPage{Limit: MaxOpen + 1, Open: true})
	if err != nil {
		return nil, fmt.Errorf("read the threads of session %s: %w", sess.ID, err)
	}
	b := &Book{tx: tx, now: now, sess: sess, changed: map[core.ThreadID]bool{}}
	for _, t := range threads {
		b.threads = append(b.threads, t.Of(*sess))
	}
	return b, nil
}

// Session is the session as it is now.
func (b *Book) Session() core.Session { return *b.sess }

// Open lists the threads that are neither archived nor terminated, the primary one first. The caller does not
// change the list.
func (b *Book) Open() []core.Thread { return b.threads }

// Thread returns an open thread. False: there is none of this id.
func (b *Book) Thread(id core.ThreadID) (core.Thread, bool) {
	if t := b.find(id); t != nil {
		return *t, true
	}
	return core.Thread{}, false
}

func (b *Book) find(id core.ThreadID) *core.Thread {
	i := slices.IndexFunc(b.threads, func(t core.Thread) bool { return t.ID == id })
	if i < 0 {
		return nil
	}
	return &b.threads[i]
}

// Busy counts the threads besides the primary one that run or wait for a client. Advisors are not counted.
func (b *Book) Busy() int {
	n := 0
	for _, t := range b.threads {
		if t.Parent != "" && t.Kind != core.RosterAdvisor && (t.Live() || t.Waits()) {
			n++
		}
	}
	return n
}

// Create stores a new thread, which is idle and was never run, and says so in the primary thread, in the turn
// that made it.
func (b *Book) Create(ctx context.Context, t core.Thread, by core.TurnID) ([]core.Draft, error) {
	t.Project, t.Session, t.Parent = b.sess.Project, b.sess.ID, core.PrimaryThread(b.sess.ID)
	t.Status = core.StatusIdle
	t.CreatedAt = b.now
	if !t.CreatedAt.After(b.sess.CreatedAt) { // another node's clock: the primary thread stays the oldest
		t.CreatedAt = b.sess.CreatedAt.Add(time.Microsecond)
	}
	t.UpdatedAt = t.CreatedAt
	if err := b.tx.CreateThread(ctx, t); err != nil {
		return nil, err
	}
	b.threads = append(b.threads, t)
	return []core.Draft{core.NewDraft(t.Parent, by, core.EventThreadCreated, core.ThreadEvent{Thread: t.ID, Name: t.Name})}, nil
}

// Start says that a turn of the thread begins, or goes on behind a pause.
func (b *Book) Start(id core.ThreadID, turn core.TurnID) []core.Draft {
	t := b.find(id)
	if t == nil {
		return nil
	}
	told := b.move(t, turn, core.StatusRunning, nil, core.EventThreadRunning)
	if t.Kind == core.RosterAdvisor {
		return told
	}
	return append(b.Say(), told...) // the session runs before its thread does
}

// Pause says that the thread's model call failed and will be made again.
func (b *Book) Pause(id core.ThreadID, turn core.TurnID) []core.Draft {
	t := b.find(id)
	if t == nil {
		return nil
	}
	return b.move(t, turn, core.StatusRescheduling, nil, core.EventThreadRescheduling)
}

// Rest says that a turn of the thread ended. Whether the session rests too is said by Say and Close.
func (b *Book) Rest(id core.ThreadID, turn core.TurnID, stop core.StopReason) []core.Draft {
	t := b.find(id)
	if t == nil {
		return nil
	}
	if t.Waits() && stop.Type == core.StopRequiresAction {
		b.again = true // some of several answers came: it is said again which are left
	}
	return b.move(t, turn, core.StatusIdle, &stop, core.EventThreadIdle)
}

// End ends the thread for good.
func (b *Book) End(id core.ThreadID, turn core.TurnID) []core.Draft {
	t := b.find(id)
	if t == nil {
		return nil
	}
	return b.move(t, turn, core.StatusTerminated, nil, core.EventThreadTerminated)
}

// Archive ends the thread and sets ArchivedAt.
func (b *Book) Archive(id core.ThreadID) []core.Draft {
	drafts := b.End(id, "")
	if t := b.find(id); t != nil {
		t.ArchivedAt = b.now
	}
	return drafts
}

// Spend adds to what the thread and the session used.
func (b *Book) Spend(id core.ThreadID, u core.Usage) {
	if t := b.find(id); t != nil && u != (core.Usage{}) {
		t.Usage, b.sess.Usage = t.Usage.Add(u), b.sess.Usage.Add(u)
		t.UpdatedAt, b.changed[id] = b.now, true
	}
}

func (b *Book) move(t *core.Thread, turn core.TurnID, status core.SessionStatus, stop *core.StopReason, say core.EventType) []core.Draft {
	t.Status, t.StopReason, t.UpdatedAt = status, stop, b.now
	b.changed[t.ID] = true
	if t.Parent == "" {
		b.turn = turn
	}
	d := core.NewDraft(t.ID, turn, say, core.ThreadEvent{Thread: t.ID, Name: t.Name, Stop: stop})
	d.Shared = t.Parent != ""
	return []core.Draft{d}
}

// Say brings the session's status in line with its threads, and says what changed.
func (b *Book) Say() []core.Draft {
	status, stop := b.together()
	if status == b.sess.Status && sameStop(stop, b.sess.StopReason) && !b.again {
		return nil
	}
	changed := status != b.sess.Status
	b.sess.Status, b.sess.StopReason, b.again = status, stop, false
	primary := core.PrimaryThread(b.sess.ID)
	switch {
	case status == core.StatusIdle:
		return []core.Draft{
			core.NewDraft(primary, b.turn, core.EventSessionUsage, core.UsageSnapshot{Usage: b.sess.Usage, Budget: b.sess.Budget}),
			core.NewDraft(primary, b.turn, core.EventStatusIdle, stop),
		}
	case status == core.StatusRescheduling && changed:
		return []core.Draft{core.NewDraft(primary, b.turn, core.EventStatusRescheduling, nil)}
	case changed:
		return []core.Draft{core.NewDraft(primary, b.turn, core.EventStatusRunning, nil)}
	}
	return nil
}

// together is the status of a session whose threads are these: it runs while one of them does. Idle, it waits for
// whatever any of them waits for. An advisor works inside a turn of the primary thread and counts for nothing.
func (b *Book) together() (core.SessionStatus, *core.StopReason) {
	paused, spent := false, false
	var stop, own core.StopReason // of whatever waits; of the primary thread
	for _, t := range b.threads {
		switch {
		case t.Kind == core.RosterAdvisor:
		case t.Status == core.StatusRunning:
			return core.StatusRunning, nil
		case t.Status == core.StatusRescheduling:
			paused = true
		case t.Status != core.StatusIdle || t.StopReason == nil:
		case t.Waits():
			stop.Type = core.StopRequiresAction // it outranks all others
			stop.Events = append(stop.Events, t.StopReason.Events...)
		case t.Parent == "":
			own = *t.StopReason
		case t.StopReason.Type == core.StopBudgetReached:
			spent = true
		}
	}
	switch {
	case paused:
		return core.StatusRescheduling, nil
	case stop.Type == "" && spent:
		return core.StatusIdle, &core.StopReason{Type: core.StopBudgetReached}
	case stop.Type == "" && own.Type == "": // nothing ever ran
		return core.StatusIdle, nil
	case stop.Type == "":
		return core.StatusIdle, &own
	}
	slices.SortFunc(stop.Events, cmp.Compare[core.EventID]) // ids grow: oldest first
	return core.StatusIdle, &stop
}

func sameStop(a, b *core.StopReason) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Type == b.Type && slices.Equal(a.Events, b.Events)
}

// Close stores what changed and returns what is left to say of the session. Nothing may be done with the book
// behind it.
func (b *Book) Close(ctx context.Context) ([]core.Draft, error) {
	if len(b.changed) == 0 && !b.again {
		return nil, nil
	}
	last := b.Say()
	for _, t := range b.threads {
		if !b.changed[t.ID] {
			continue
		}
		if err := b.tx.SetThreadState(ctx, t); err != nil {
			return nil, err
		}
	}
	b.sess.UpdatedAt = b.now
	return last, b.tx.SetSessionState(ctx, *b.sess)
}
