package session

import (
	"context"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/thread"
)

// Thread returns one thread of a session, as it is now.
//
// Errors: NotFound; Forbidden.
func (s *Service) Thread(ctx context.Context, by core.Principal, id core.SessionID, tid core.ThreadID) (core.Thread, error) {
	sess, err := s.Session(ctx, by, id)
	if err != nil {
		return core.Thread{}, err
	}
	t, err := s.store.Thread(ctx, by.Project, id, tid)
	return t.Of(sess), err
}

// Threads lists a session's threads: the primary one first, then the others as they were made. An observed session
// has none.
//
// Errors: NotFound; Forbidden.
func (s *Service) Threads(ctx context.Context, by core.Principal, id core.SessionID, page core.ThreadPage) ([]core.Thread, error) {
	sess, err := s.Session(ctx, by, id)
	if err != nil {
		return nil, err
	}
	threads, err := s.store.Threads(ctx, by.Project, id, page)
	for i := range threads {
		threads[i] = threads[i].Of(sess)
	}
	return threads, err
}

// ArchiveThread ends a thread for good: it takes no more messages. What it waited for waits no longer. Archiving
// twice answers the same.
//
// Errors: NotFound; Invalid (the primary thread, "session_archived"; "thread_running" while a turn of it runs);
// Forbidden.
func (s *Service) ArchiveThread(ctx context.Context, by core.Principal, id core.SessionID, tid core.ThreadID) (core.Thread, error) {
	if err := by.Require(core.RoleMember); err != nil {
		return core.Thread{}, err
	}
	var t core.Thread
	var lease core.Lease
	var leased bool
	err := s.store.Tx(ctx, func(tx core.Store) error {
		leased = false
		sess, err := tx.Session(ctx, by.Project, id)
		if err != nil {
			return err
		}
		t, err = tx.Thread(ctx, by.Project, id, tid)
		t = t.Of(sess)
		switch {
		case err != nil:
			return err
		case t.Parent == "":
			return core.Errorf(core.Invalid, "thread_primary", "the primary thread cannot be archived: archive the session")
		case !t.ArchivedAt.IsZero():
			return nil
		case !sess.ArchivedAt.IsZero():
			return errArchived
		case t.Live() || t.Turn.Pending:
			return core.Errorf(core.Invalid, "thread_running", "the thread is running: interrupt it first")
		}
		now := s.now()
		if t.Status == core.StatusTerminated { // an advisor's, which ended before
			t.ArchivedAt, t.UpdatedAt = now, now
			return tx.SetThreadState(ctx, t)
		}
		book, err := thread.Open(ctx, tx, &sess, now)
		if err != nil {
			return err
		}
		waited := t.Waits()
		drafts := book.Archive(tid)
		if own, _ := book.Thread(core.PrimaryThread(id)); waited && book.LeftAlone() && own.Status == core.StatusIdle && !own.Waits() {
			drafts = append(drafts, book.Start(own.ID, core.NewID[core.TurnID]())...) // the outcome waited for this thread alone
			if lease, leased, err = tx.OweTurn(ctx, by.Project, id, own.ID, s.dispatch.Node(), now, s.dispatch.LeaseUntil(now)); err != nil {
				return err
			}
		}
		last, err := book.Close(ctx)
		if err != nil {
			return err
		}
		t, _ = book.Thread(tid)
		_, err = tx.Append(ctx, by.Project, id, now, append(drafts, last...)...)
		return err
	})
	if err != nil {
		return core.Thread{}, err
	}
	if leased {
		s.dispatch.Start(lease)
	}
	s.bus.Wake(id)
	return t, nil
}
