package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/reeve-ai/reeve/internal/core"
)

// postgresEngine is engine on PostgreSQL. Each transaction has a connection of its own; rows that must not
// change meanwhile are held by FOR UPDATE. Statements stay prepared on their connections, which the driver
// sees to.
type postgresEngine struct {
	db    *sql.DB
	stats *counters
	log   *slog.Logger
	watch func(query string, args []any) // hears of each statement before it runs; nil: nobody listens
}

// Numbers of the PostgreSQL engine.
const (
	postgresConns    = 16              // connections of one node; a transaction waits here when all are busy
	postgresIdle     = 5 * time.Minute // after that an unused connection is closed
	postgresAttempts = 8               // runs of one transaction that others cross
	// A transaction that its program forgot must not hold rows for ever, nor a statement that went wrong.
	postgresIdleTimeout      = "30000" // milliseconds
	postgresStatementTimeout = "60000"
)

// openPostgres connects, and brings the schema up to date.
func openPostgres(ctx context.Context, o Options, versions fs.FS) (_ *postgresEngine, err error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	cfg, err := pgx.ParseConfig(o.URL)
	if err != nil {
		return nil, core.InvalidField("database", "is not the address of a PostgreSQL database") // err may show the password
	}
	settings := cfg.RuntimeParams
	for name, value := range map[string]string{
		"application_name": "reeve", "idle_in_transaction_session_timeout": postgresIdleTimeout,
		"statement_timeout": postgresStatementTimeout, "synchronous_commit": "on",
	} {
		if _, given := settings[name]; !given {
			settings[name] = value
		}
	}
	e := &postgresEngine{db: stdlib.OpenDB(*cfg), stats: &counters{}, log: o.Log}
	defer func() {
		if err != nil {
			_ = e.db.Close() // the first error says more
		}
	}()
	e.db.SetMaxOpenConns(postgresConns)
	e.db.SetMaxIdleConns(postgresConns)
	e.db.SetConnMaxIdleTime(postgresIdle)
	if err := e.db.PingContext(ctx); err != nil {
		return nil, fmt.Errorf("store: connect to the database: %w", err)
	}
	if err := migratePostgres(ctx, e.db, versions); err != nil {
		return nil, err
	}
	return e, nil
}

// queryer is a pool of connections, or a transaction.
type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// postgresHandle implements handle.
type postgresHandle struct {
	on     queryer
	engine *postgresEngine
}

// begins counts a statement, and tells who watches.
func (p postgresHandle) begins(ctx context.Context, query string, args []any) {
	p.engine.stats.statement(ctx)
	if p.engine.watch != nil {
		p.engine.watch(query, args)
	}
}

func (p postgresHandle) rows(ctx context.Context, query string, args []any, scan func(row) error) error {
	p.begins(ctx, query, args)
	rows, err := p.on.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	for rows.Next() {
		if err := scan(rows); err != nil {
			_ = rows.Close() // the scan's error says more
			return err
		}
	}
	if err := rows.Close(); err != nil {
		return err
	}
	return rows.Err()
}

func (p postgresHandle) change(ctx context.Context, query string, args []any, scan func(row) error) (int64, error) {
	if scan != nil {
		var n int64
		err := p.rows(ctx, query, args, func(r row) error {
			n++
			return scan(r)
		})
		return n, err
	}
	p.begins(ctx, query, args)
	res, err := p.on.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

func (e *postgresEngine) read(_ context.Context, fn func(handle) error) error {
	return e.known(fn(postgresHandle{e.db, e}))
}

func (e *postgresEngine) snapshot(ctx context.Context, fn func(handle) error) error {
	tx, err := e.db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err != nil {
		return e.known(fmt.Errorf("begin reading: %w", err))
	}
	defer func() { _ = tx.Rollback() }() // nothing was written
	return e.known(fn(postgresHandle{tx, e}))
}

// write: a transaction that crossed another one (a deadlock, a serialization failure) is run again, a little
// later, because the other is through by then.
func (e *postgresEngine) write(ctx context.Context, fn func(*txn) error) error {
	for attempt := 1; ; attempt++ {
		err := e.once(ctx, fn)
		if attempt == postgresAttempts || !crossed(err) {
			return e.known(err)
		}
		wait := time.NewTimer(time.Duration(rand.Int64N(int64(time.Millisecond) << attempt)))
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return ctx.Err()
		}
	}
}

// once runs fn in one transaction. The end of ctx keeps it from beginning; later it does not matter, so that
// nobody's leaving makes the outcome of a commit unknown.
func (e *postgresEngine) once(ctx context.Context, fn func(*txn) error) error {
	tx, err := e.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	done := false
	defer func() {
		if !done {
			_ = tx.Rollback() // the error that led here says more
		}
	}()
	e.stats.transactions.Add(1)
	t := &txn{h: postgresHandle{tx, e}}
	if err := t.run(fn); err != nil {
		return err
	}
	done = true
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	e.stats.commits.Add(1)
	return nil
}

// crossed reports whether a transaction failed only because of another one.
func crossed(err error) bool {
	var failed *pgconn.PgError
	return errors.As(err, &failed) && (failed.Code == "40001" || failed.Code == "40P01")
}

// known makes of an error what services and clients can act upon: a text that PostgreSQL cannot hold is the
// sender's, a database that is away comes back.
func (e *postgresEngine) known(err error) error {
	var failed *pgconn.PgError
	var connect *pgconn.ConnectError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &failed) && (failed.Code == "22021" || failed.Code == "22P05"):
		return &core.Error{Kind: core.Invalid, Code: "invalid_text", Message: "a text has a character that cannot be stored (U+0000)", Err: err}
	case errors.As(err, &connect), errors.As(err, &failed) && (failed.Code[:2] == "57" || failed.Code[:2] == "53"):
		return &core.Error{Kind: core.Unavailable, Code: "database_unavailable", Message: "the database does not answer now: try again", Err: err}
	}
	return err
}

func (e *postgresEngine) hold(table string) string { return " FOR UPDATE OF " + table }

func (e *postgresEngine) holdFirst(table string) string {
	return "SELECT 1 FROM " + table + " WHERE project_id = $1 AND id = $2 FOR UPDATE"
}

func (e *postgresEngine) skipHeld() string { return " FOR UPDATE SKIP LOCKED" }

func (e *postgresEngine) contains(column, argument string) string {
	return "strpos(" + column + ", " + argument + ") > 0"
}

func (e *postgresEngine) in(column, argument string) string {
	return column + " = ANY(" + argument + ")"
}

func (e *postgresEngine) inBytes(column, argument string) string {
	return column + " = ANY(ARRAY(SELECT decode(hex, 'hex') FROM unnest(" + argument + "::text[]) hex))"
}

func (e *postgresEngine) list(values []string) any { return values }

func (e *postgresEngine) inNumbers(column, argument string) string {
	return column + " = ANY(" + argument + ")"
}

func (e *postgresEngine) numbers(values []int64) any { return values }

func (e *postgresEngine) insertEvents(ctx context.Context, h handle, log int64, events []core.Event) error {
	return insertEvents(ctx, h, log, events)
}

func (e *postgresEngine) violation(err error) violation {
	var failed *pgconn.PgError
	if !errors.As(err, &failed) {
		return violationNone
	}
	switch failed.Code {
	case "23505":
		return violationUnique
	case "23503":
		return violationForeign
	}
	return violationNone
}

func (e *postgresEngine) run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

func (e *postgresEngine) close(context.Context) error { return e.db.Close() }

func (e *postgresEngine) snapshotStats() Stats { return e.stats.snapshot() }
