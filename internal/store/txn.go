package store

import (
	"context"
	"errors"
	"fmt"
)

// errTxOver is what a Store of a transaction answers once that has ended.
var errTxOver = errors.New("store: the transaction is over")

// txn is one running transaction as its function sees it. It keeps the promise "all or nothing" on
// engines that differ in what they do after a failed statement: PostgreSQL refuses to go on, SQLite
// would. Here, a failed statement spoils the transaction everywhere.
type txn struct {
	h    handle
	over bool  // its function has returned: the handle belongs to somebody else now
	bad  error // why it can no longer be committed
	// writes counts the statements that changed something. One that found nothing to change, such as
	// a Create that met a Conflict, leaves nothing to undo.
	writes int
	// beforeWrite, if not nil, runs once, before the first statement that may write.
	beforeWrite func(ctx context.Context) error
}

func (t *txn) usable(ctx context.Context) error {
	switch {
	case t.over:
		return errTxOver
	case t.bad != nil:
		return fmt.Errorf("store: the transaction failed before: %w", t.bad)
	}
	return ctx.Err()
}

func (t *txn) rows(ctx context.Context, query string, args []any, scan func(row) error) error {
	if err := t.usable(ctx); err != nil {
		return err
	}
	err := t.h.rows(ctx, query, args, scan)
	if err != nil {
		t.bad = err
	}
	return err
}

func (t *txn) change(ctx context.Context, query string, args []any, scan func(row) error) (int64, error) {
	if err := t.usable(ctx); err != nil {
		return 0, err
	}
	if begin := t.beforeWrite; begin != nil {
		t.beforeWrite = nil
		if err := begin(ctx); err != nil {
			t.bad = err
			return 0, err
		}
	}
	n, err := t.h.change(ctx, query, args, scan)
	if err != nil {
		t.bad = err
	}
	if n > 0 {
		t.writes++
	}
	return n, err
}

// join runs fn as a part of the transaction. A part that fails after it has written spoils the whole:
// otherwise a caller that passes over the error would commit half of it.
func (t *txn) join(fn func(*txn) error) error {
	before := t.writes
	err := fn(t)
	if err != nil && t.writes > before && t.bad == nil {
		t.bad = err
	}
	return err
}

// run calls fn with the transaction and returns why it must be undone, or nil. A panic in fn is such
// a reason, because the goroutine it happens on may be serving others as well.
func (t *txn) run(fn func(*txn) error) (err error) {
	defer func() {
		t.over = true
		if p := recover(); p != nil {
			err = panicError(p)
		}
	}()
	if err := fn(t); err != nil {
		return err
	}
	return t.bad
}
