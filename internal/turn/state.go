package turn

import (
	"context"
	"fmt"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/thread"
)

// A session without a team has one thread, whose state is the session's own row. The threads of a coordinator's
// session have states of their own, which are kept in the transaction's book (internal/thread). What differs
// between the two is here.

// loadThread reads the run's own thread.
func (v *run) loadThread(ctx context.Context) error {
	t, err := v.store.Thread(ctx, v.lease.Project, v.lease.Session, v.lease.Thread)
	if err != nil {
		return fmt.Errorf("load thread %s: %w", v.lease.Thread, err)
	}
	v.thread = t.Of(v.sess)
	if v.thread.Spec == nil {
		return brokenError{fmt.Errorf("thread %s has no agent", t.ID)}
	}
	v.spec = *v.thread.Spec
	return nil
}

// session is the session as last committed, for those who run beside the turn's own goroutine.
func (v *run) session() core.Session {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.sess
}

// described is the session as its workspace is described to the thread's agent: with the agent's own tools, which say
// whether it can look there. What lies there is the same for the whole team.
func (v *run) described() core.Session {
	sess := v.sess
	if v.team {
		own := v.spec
		own.Skills = sess.Snapshot.Skills
		sess.Snapshot = &own
	}
	return sess
}

// status is that of the run's thread, as last committed.
func (v *run) status() core.SessionStatus {
	if v.team {
		return v.thread.Status
	}
	return v.sess.Status
}

// begin holds what a writing transaction needs: the thread's lease and, for a team, the session before it, so that
// all who change one session's threads take their rows in the same order.
func (v *run) begin(ctx context.Context, tx core.Store) error {
	v.book, v.leases = nil, nil
	if !v.team {
		return tx.HoldLease(ctx, v.lease)
	}
	sess, err := tx.Session(ctx, v.lease.Project, v.lease.Session)
	if err != nil {
		return err
	}
	if err := tx.HoldLease(ctx, v.lease); err != nil {
		return err
	}
	v.book, err = thread.Open(ctx, tx, &sess, v.now())
	return err
}

// end stores what the transaction changed in the threads, and adds what there is to say of the session.
func (v *run) end(ctx context.Context, drafts []core.Draft) ([]core.Draft, error) {
	if v.book == nil {
		return drafts, nil
	}
	last, err := v.book.Close(ctx)
	return append(drafts, last...), err
}

// committed takes over what the transaction made of the session and starts the turns that it owes. It needs v.mu.
func (v *run) committed() {
	if v.book == nil {
		return
	}
	elsewhere := v.sess.Elsewhere // not stored
	v.sess = v.book.Session()
	v.sess.Elsewhere = elsewhere
	if t, open := v.book.Thread(v.lease.Thread); open {
		v.thread = t
	}
	for _, lease := range v.leases {
		v.start(lease)
	}
	v.book, v.leases = nil, nil
}

// goOn says that the thread runs, after a pause or at the beginning of a turn.
func (v *run) goOn(ctx context.Context, tx core.Store, turn core.TurnID) ([]core.Draft, error) {
	if v.team {
		return v.book.Start(v.lease.Thread, turn), nil
	}
	return []core.Draft{core.NewDraft(v.lease.Thread, turn, core.EventStatusRunning, nil)}, tx.SetSessionState(ctx, v.stamped(core.StatusRunning, nil))
}

// pause says that the thread waits to make a model call again.
func (v *run) pause(ctx context.Context, tx core.Store) ([]core.Draft, error) {
	if v.team {
		return v.book.Pause(v.lease.Thread, v.t.turn), nil
	}
	return []core.Draft{v.draft(core.EventStatusRescheduling, nil)}, tx.SetSessionState(ctx, v.stamped(core.StatusRescheduling, nil))
}

// startOver ends the turn and begins the next one in the same breath.
func (v *run) startOver(ctx context.Context, tx core.Store, stop core.StopReason) ([]core.Draft, error) {
	next := core.NewID[core.TurnID]()
	if v.team {
		v.book.Spend(v.lease.Thread, core.Usage{ActiveMS: v.activeMS()})
		drafts := append(v.book.Rest(v.lease.Thread, v.t.turn, stop), v.book.Say()...)
		return append(drafts, v.book.Start(v.lease.Thread, next)...), nil
	}
	sess := v.stamped(core.StatusRunning, nil)
	sess.Usage.ActiveMS += v.activeMS()
	return append(v.idleDrafts(stop), core.NewDraft(v.lease.Thread, next, core.EventStatusRunning, nil)), tx.SetSessionState(ctx, sess)
}

// rest ends the turn of a thread of a team. What a member has to say goes to the coordinator in the same
// transaction.
func (v *run) rest(ctx context.Context, tx core.Store, stop core.StopReason) ([]core.Draft, error) {
	v.book.Spend(v.lease.Thread, core.Usage{ActiveMS: v.activeMS()})
	drafts := v.report(stop)
	calls := len(drafts) > 0
	drafts = append(drafts, v.book.Rest(v.lease.Thread, v.t.turn, stop)...)
	if v.thread.Parent != "" && stop.Type == core.StopInterrupted && v.book.LeftAlone() { // nothing else would have it graded
		calls = true
	}
	if calls {
		woken, err := v.wake(ctx, tx, v.thread.Parent)
		if err != nil {
			return nil, err
		}
		drafts = append(drafts, woken...)
	}
	return drafts, tx.SettleTurn(ctx, v.lease)
}

// wake has a thread of the session that got a message take it up. One that runs finds it by itself, and one that
// waits for a client takes it with the answers.
func (v *run) wake(ctx context.Context, tx core.Store, id core.ThreadID) ([]core.Draft, error) {
	t, open := v.book.Thread(id)
	if !open || t.Live() || t.Waits() {
		return nil, nil
	}
	drafts := v.book.Start(id, core.NewID[core.TurnID]())
	now := v.now()
	lease, taken, err := tx.OweTurn(ctx, v.lease.Project, v.lease.Session, id, v.opts.Node, now, now.Add(v.opts.LeaseTTL))
	if err == nil && taken {
		v.leases = append(v.leases, lease)
	}
	return drafts, err
}
