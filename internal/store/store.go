package store

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/reeve-ai/reeve/internal/core"
)

// store is core.Store on an engine: outside transactions, or inside one.
type store struct {
	engine engine
	tx     *txn // nil outside transactions
}

var _ core.Store = (*store)(nil)

// Tx implements core.Store. fn runs on whichever goroutine commits next, so it must not end it
// (runtime.Goexit, testing's FailNow), and it must use tx only: the outer Store would wait for fn
// itself. tx is dead when fn has returned. A panic in fn undoes the transaction and is returned as an
// Internal error with its stack.
//
// A statement that failed, or an inner Tx that failed after it had written, spoils the transaction:
// Tx then fails even if fn returns nil. NotFound, and Conflict of Create, are answers and spoil
// nothing.
//
// fn must also be quick: nobody else writes meanwhile.
func (s *store) Tx(ctx context.Context, fn func(tx core.Store) error) error {
	err := s.transaction(ctx, func(t *txn) error {
		return fn(&store{engine: s.engine, tx: t})
	})
	if broken := s.broken(err); broken != nil {
		return broken
	}
	return err // fn's own error is not wrapped
}

// transaction runs fn in the transaction that s is inside of, or in one of its own.
func (s *store) transaction(ctx context.Context, fn func(*txn) error) error {
	if s.tx != nil {
		return s.tx.join(fn)
	}
	return s.engine.write(ctx, fn)
}

// write runs fn for a method that writes; doing says what it does, for errors.
func (s *store) write(ctx context.Context, doing string, fn func(*txn) error) error {
	return s.fail(doing, s.transaction(ctx, fn))
}

// read runs fn for a method that only reads; doing says what it does, for errors.
func (s *store) read(ctx context.Context, doing string, fn func(handle) error) error {
	if s.tx != nil {
		return s.fail(doing, fn(s.tx))
	}
	return s.fail(doing, s.engine.read(ctx, fn))
}

// fail makes of err what a method returns: a core.Error, or an error that says what was being done.
func (s *store) fail(doing string, err error) error {
	var known *core.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	err = fmt.Errorf("%s: %w", doing, err)
	if broken := s.broken(err); broken != nil {
		return broken
	}
	return err
}

// broken is the one place where broken rules of the schema become core.Errors. It returns nil for every
// other error, for what is a core.Error already, and for nil.
func (s *store) broken(err error) error {
	var known *core.Error
	if err == nil || errors.As(err, &known) {
		return nil
	}
	switch s.engine.violation(err) {
	case violationUnique:
		return &core.Error{Kind: core.Conflict, Code: "already_exists", Message: "such an object exists already", Err: err}
	case violationForeign:
		return &core.Error{Kind: core.NotFound, Code: "reference_not_found", Message: "something that this refers to was not found", Err: err}
	}
	return nil
}

// found reports whether the query, which selects anything, has a row.
func found(ctx context.Context, h handle, query string, args ...any) (bool, error) {
	there := false
	err := h.rows(ctx, query, args, func(row) error {
		there = true
		return nil
	})
	return there, err
}

// all reads every row with scan. The slice is empty, never nil, when there is none.
func all[T any](ctx context.Context, h handle, query string, args []any, scan func(row) (T, error)) ([]T, error) {
	list := []T{}
	err := h.rows(ctx, query, args, func(r row) error {
		v, err := scan(r)
		if err == nil {
			list = append(list, v)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// readOne reads the one thing that query names, a noun with an id, or answers NotFound.
func readOne[T any](ctx context.Context, s *store, noun, id, query string, args []any, scan func(row) (T, error)) (T, error) {
	var thing T
	err := s.read(ctx, "read "+noun, func(h handle) error {
		there := false
		err := h.rows(ctx, query, args, func(r row) (err error) {
			there = true
			thing, err = scan(r)
			return err
		})
		if err == nil && !there {
			return core.NotFoundError(noun, id)
		}
		return err
	})
	return thing, err
}

// readAll reads a list; what says of which things.
func readAll[T any](ctx context.Context, s *store, what, query string, args []any, scan func(row) (T, error)) ([]T, error) {
	var list []T
	err := s.read(ctx, "list "+what, func(h handle) (err error) {
		list, err = all(ctx, h, query, args, scan)
		return err
	})
	return list, err
}

// must changes exactly the rows that query names, and returns missing if it names none.
func must(ctx context.Context, h handle, missing error, query string, args ...any) error {
	n, err := h.change(ctx, query, args, nil)
	if err == nil && n == 0 {
		return missing
	}
	return err
}

// panicError turns a recovered panic into an error that keeps the stack, for the log only.
func panicError(p any) error {
	cause, ok := p.(error)
	if !ok {
		cause = fmt.Errorf("%v", p)
	}
	return &core.Error{Kind: core.Internal, Err: fmt.Errorf("store: panic in a transaction: %w\n%s", cause, debug.Stack())}
}

// holdRow runs the engine's holdFirst, inside a transaction. That there is no such row is no error.
func (s *store) holdRow(ctx context.Context, table, project, id string) error {
	query := s.engine.holdFirst(table)
	if query == "" {
		return nil
	}
	_, err := found(ctx, s.tx, query, project, id)
	return err
}
