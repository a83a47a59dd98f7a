package store

import (
	"context"

	"github.com/reeve-ai/reeve/internal/core"
)

// engine is everything in which one database differs from another. Query texts are the same on all:
// an engine adds clauses where the methods below are called, and never edits a text.
type engine interface {
	// read runs fn on a handle outside any transaction. Each statement sees all that was committed
	// before it began.
	read(ctx context.Context, fn func(handle) error) error
	// snapshot is read for several statements: all see what was committed before the first began.
	snapshot(ctx context.Context, fn func(handle) error) error
	// write runs fn in a transaction of its own and returns when that is committed, or fn's error
	// after everything that fn did was undone. fn may run on another goroutine, after others wrote.
	write(ctx context.Context, fn func(*txn) error) error

	// hold is the clause that ends a SELECT whose rows of the given table must not change until the
	// transaction ends. Empty where a transaction excludes all other writers anyway.
	hold(table string) string
	// holdFirst is the statement that has to come before a SELECT with hold, if that joins the table's row with
	// others that change with it: a SELECT that had to wait sees the row as it is now, and the others as they
	// were before. $1 is the project and $2 the id of the row. Empty where hold is.
	holdFirst(table string) string
	// skipHeld is the clause for a SELECT that takes rows which nobody else holds and passes over
	// the others.
	skipHeld() string
	// contains is the condition that column has the string in the argument as a part, to the letter.
	contains(column, argument string) string
	// in is the condition that column is one of the strings in the argument, which list makes.
	in(column, argument string) string
	// inBytes is the condition that column has the bytes of one of the strings of hex digits in the
	// argument, which list makes.
	inBytes(column, argument string) string
	// list makes the argument for in and inBytes.
	list(values []string) any
	// inNumbers is the condition that column is one of the numbers in the argument, which numbers makes.
	inNumbers(column, argument string) string
	// numbers makes the argument for inNumbers.
	numbers(values []int64) any
	// insertEvents stores events of one log, already numbered, in as few statements as it can.
	insertEvents(ctx context.Context, h handle, log int64, events []core.Event) error

	// violation says which rule of the schema a failed statement broke.
	violation(err error) violation
}

// violation is a rule of the schema that a statement broke.
type violation int

const (
	violationNone    violation = iota // the statement failed for another reason
	violationUnique                   // there is such a row already
	violationForeign                  // a row that this one refers to is missing
)

// row is one row of a result. The values that Scan stores are the caller's to keep.
type row interface {
	Scan(dest ...any) error
}

// handle runs statements, in a transaction or outside. It is used from one goroutine at a time.
type handle interface {
	// rows runs a statement that only reads, and calls scan with each row.
	rows(ctx context.Context, query string, args []any, scan func(row) error) error
	// change runs a statement that writes and returns how many rows it changed. With a scan, the
	// statement has a RETURNING clause and scan sees each row of it.
	change(ctx context.Context, query string, args []any, scan func(row) error) (int64, error)
}
