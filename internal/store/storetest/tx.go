package storetest

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/reeve-ai/reeve/internal/core"
)

var errUndo = errors.New("undo")

// messages counts the events of a session as others see them.
func (b *bundle) messages(t *testing.T, s core.Session) int {
	t.Helper()
	events, err := b.Events(b.ctx, s.Project, s.ID, core.EventQuery{Limit: 1000})
	need(t, err)
	return len(events)
}

// say appends one message in a transaction.
func say(ctx context.Context, tx core.Store, s core.Session) error {
	_, err := tx.Append(ctx, s.Project, s.ID, at(1), drafts(s, 1)...)
	return err
}

var txPromises = map[string]func(*testing.T, *bundle){
	"AllIsKept": func(t *testing.T, b *bundle) {
		s := b.session(t, b.project(t))
		need(t, b.Tx(b.ctx, func(tx core.Store) error {
			if err := say(b.ctx, tx, s); err != nil {
				return err
			}
			_, _, err := tx.OweTurn(b.ctx, s.Project, s.ID, core.PrimaryThread(s.ID), "n", at(1), at(2))
			return err
		}))
		same(t, "messages", b.messages(t, s), 1)
		same(t, "pending", b.turnState(t, s).Pending, true)
	},
	"AnErrorUndoesAllAndComesBackAsItIs": func(t *testing.T, b *bundle) {
		s := b.session(t, b.project(t))
		err := b.Tx(b.ctx, func(tx core.Store) error {
			if err := say(b.ctx, tx, s); err != nil {
				return err
			}
			if _, _, err := tx.OweTurn(b.ctx, s.Project, s.ID, core.PrimaryThread(s.ID), "n", at(1), at(2)); err != nil {
				return err
			}
			return errUndo
		})
		if err != errUndo { //nolint:errorlint // the very same
			t.Errorf("Tx = %v, want the function's own error", err)
		}
		same(t, "messages", b.messages(t, s), 0)
		same(t, "turn", b.turnState(t, s), core.TurnState{})
		same(t, "next number", seqs(b.log(t, s, 1)), []int64{1})
	},
	"APanicUndoesAllAndBecomesAnError": func(t *testing.T, b *bundle) {
		s := b.session(t, b.project(t))
		err := b.Tx(b.ctx, func(tx core.Store) error {
			if err := say(b.ctx, tx, s); err != nil {
				return err
			}
			panic("boom")
		})
		refused(t, "Tx", err, core.Internal, "")
		if err != nil && !strings.Contains(err.Error(), "boom") {
			t.Errorf("Tx = %v, want the panic's value in it", err)
		}
		same(t, "messages", b.messages(t, s), 0)
		need(t, b.Tx(b.ctx, func(tx core.Store) error { return say(b.ctx, tx, s) }))
	},
	"ReadsInsideSeeTheWritesAndOthersDoNot": func(t *testing.T, b *bundle) {
		s := b.session(t, b.project(t))
		var inside, outside []core.Event
		var a, other core.Session
		need(t, b.Tx(b.ctx, func(tx core.Store) (err error) {
			if err := say(b.ctx, tx, s); err != nil {
				return err
			}
			if inside, err = tx.Events(b.ctx, s.Project, s.ID, core.EventQuery{Limit: 10}); err != nil {
				return err
			}
			if a, err = tx.Session(b.ctx, s.Project, s.ID); err != nil {
				return err
			}
			if outside, err = b.Events(b.ctx, s.Project, s.ID, core.EventQuery{Limit: 10}); err != nil {
				return err
			}
			other, err = b.Session(b.ctx, s.Project, s.ID)
			return err
		}))
		same(t, "inside", seqs(inside), []int64{1})
		same(t, "inside: LastSeq", a.LastSeq, int64(1))
		same(t, "outside", seqs(outside), []int64{})
		same(t, "outside: LastSeq", other.LastSeq, int64(0))
		same(t, "after the commit", b.messages(t, s), 1)
	},
	"TxInsideTxJoins": func(t *testing.T, b *bundle) {
		s := b.session(t, b.project(t))
		nested := func(result error) error {
			return b.Tx(b.ctx, func(tx core.Store) error {
				if err := say(b.ctx, tx, s); err != nil {
					return err
				}
				if err := tx.Tx(b.ctx, func(tx core.Store) error { return say(b.ctx, tx, s) }); err != nil {
					return err
				}
				return result
			})
		}
		if err := nested(errUndo); !errors.Is(err, errUndo) {
			t.Errorf("Tx = %v, want %v", err, errUndo)
		}
		same(t, "undone with the outer one", b.messages(t, s), 0)
		need(t, nested(nil))
		same(t, "kept with the outer one", b.messages(t, s), 2)
	},
	"AnInnerTxThatFailedAfterWritingSpoilsTheOuter": func(t *testing.T, b *bundle) {
		s := b.session(t, b.project(t))
		err := b.Tx(b.ctx, func(tx core.Store) error {
			if err := say(b.ctx, tx, s); err != nil {
				return err
			}
			_ = tx.Tx(b.ctx, func(tx core.Store) error {
				if err := say(b.ctx, tx, s); err != nil {
					return err
				}
				return errUndo
			})
			return nil
		})
		if !errors.Is(err, errUndo) {
			t.Errorf("Tx = %v, want %v", err, errUndo)
		}
		same(t, "messages", b.messages(t, s), 0)
	},
	"AnInnerTxThatWroteNothingSpoilsNothing": func(t *testing.T, b *bundle) {
		s := b.session(t, b.project(t))
		need(t, b.Tx(b.ctx, func(tx core.Store) error {
			inner := tx.Tx(b.ctx, func(tx core.Store) error {
				_, err := tx.Session(b.ctx, s.Project, "none")
				return err
			})
			if core.KindOf(inner) != core.NotFound {
				return inner
			}
			return say(b.ctx, tx, s)
		}))
		same(t, "messages", b.messages(t, s), 1)
	},
	"NotFoundAndConflictAreAnswersAndSpoilNothing": func(t *testing.T, b *bundle) {
		s := b.session(t, b.project(t))
		agent := b.agent(t, s.Project)
		project, err := b.Project(b.ctx, s.Project)
		need(t, err)
		user, err := b.User(b.ctx, b.user(t))
		need(t, err)
		key, environment := b.key(t, s.Project), b.environment(t, s.Project)
		need(t, b.Tx(b.ctx, func(tx core.Store) error {
			for name, try := range map[string]func() error{
				"CreateProject":     func() error { return tx.CreateProject(b.ctx, project) },
				"CreateUser":        func() error { return tx.CreateUser(b.ctx, user) },
				"CreateCredential":  func() error { return tx.CreateCredential(b.ctx, key) },
				"CreateAgent":       func() error { return tx.CreateAgent(b.ctx, agent) },
				"UpdateAgent":       func() error { return tx.UpdateAgent(b.ctx, agent) },
				"CreateEnvironment": func() error { return tx.CreateEnvironment(b.ctx, environment) },
				"CreateSession":     func() error { return tx.CreateSession(b.ctx, s) },
				"HoldLease":         func() error { return tx.HoldLease(b.ctx, leaseOf(s, "n", 1, 1)) },
			} {
				if err := try(); core.KindOf(err) != core.Conflict {
					t.Errorf("%s in Tx: %v, want Conflict", name, err)
				}
			}
			if err := tx.UpdateSession(b.ctx, core.Session{ID: "none"}); core.KindOf(err) != core.NotFound {
				t.Errorf("UpdateSession in Tx: %v, want NotFound", err)
			}
			return say(b.ctx, tx, s)
		}))
		same(t, "messages", b.messages(t, s), 1)
	},
	"AFailedStatementSpoilsTheTransaction": func(t *testing.T, b *bundle) {
		s := b.session(t, b.project(t))
		first := b.log(t, s, 1)
		again := drafts(s, 1)
		again[0].ID = first[0].ID
		err := b.Tx(b.ctx, func(tx core.Store) error {
			if err := say(b.ctx, tx, s); err != nil {
				return err
			}
			_, _ = tx.Append(b.ctx, s.Project, s.ID, at(2), again...) // an id that is taken
			return nil
		})
		refused(t, "Tx", err, core.Conflict, "")
		same(t, "messages", b.messages(t, s), 1)
		same(t, "next number", seqs(b.log(t, s, 1)), []int64{2})
	},
	"AnErrorThatWrapsAnAnswerComesBackAsItIs": func(t *testing.T, b *bundle) {
		s := b.session(t, b.project(t))
		again := drafts(s, 1)
		again[0].ID = b.log(t, s, 1)[0].ID
		err := b.Tx(b.ctx, func(tx core.Store) error {
			_, err := tx.Append(b.ctx, s.Project, s.ID, at(2), again...)
			return &core.Error{Kind: core.Invalid, Code: "twice", Err: err}
		})
		refused(t, "Tx", err, core.Invalid, "twice")
	},
	"AnEndedContextKeepsItFromStarting": func(t *testing.T, b *bundle) {
		ctx, cancel := context.WithCancel(b.ctx)
		cancel()
		ran := false
		err := b.Tx(ctx, func(core.Store) error { ran = true; return nil })
		if !errors.Is(err, context.Canceled) || ran {
			t.Errorf("Tx = %v and ran = %t, want %v and false", err, ran, context.Canceled)
		}
		if _, err := b.Projects(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Projects = %v, want %v", err, context.Canceled)
		}
	},
	"AContextThatEndsInsideUndoesAll": func(t *testing.T, b *bundle) {
		s := b.session(t, b.project(t))
		ctx, cancel := context.WithCancel(b.ctx)
		err := b.Tx(ctx, func(tx core.Store) error {
			if err := say(ctx, tx, s); err != nil {
				return err
			}
			cancel()
			return say(ctx, tx, s)
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("Tx = %v, want %v", err, context.Canceled)
		}
		same(t, "messages", b.messages(t, s), 0)
	},
	"ATransactionsStoreIsDeadAfterwards": func(t *testing.T, b *bundle) {
		s := b.session(t, b.project(t))
		var kept core.Store
		need(t, b.Tx(b.ctx, func(tx core.Store) error { kept = tx; return nil }))
		refused(t, "a write", say(b.ctx, kept, s), core.Internal, "")
		_, err := kept.Session(b.ctx, s.Project, s.ID)
		refused(t, "a read", err, core.Internal, "")
		refused(t, "Tx", kept.Tx(b.ctx, func(tx core.Store) error { return say(b.ctx, tx, s) }), core.Internal, "")
		same(t, "messages", b.messages(t, s), 0)
	},
}
