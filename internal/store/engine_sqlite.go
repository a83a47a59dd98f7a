package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/reeve-ai/reeve/internal/core"
)

// sqliteEngine is engine on SQLite: one connection writes, in groups, and a few read. A reader sees
// what was committed when its statement began and never waits for the writer (WAL).
type sqliteEngine struct {
	path    string
	writers *sql.DB // one connection, held by writer
	readers *sql.DB
	writer  *groupWriter
	// lanes holds the reading connections that are free, and nil for one that is still to be opened;
	// its capacity is how many there may be. A reader waits here when all are busy.
	lanes chan *prepared
	stats *counters
	log   *slog.Logger

	closing sync.Once
	closed  chan struct{}
}

// sqliteSettings are the same on every connection. busy_timeout bounds how long another process that
// writes (reeve token create) is waited for.
var sqliteSettings = []string{"busy_timeout(5000)", "foreign_keys(1)", "temp_store(MEMORY)"}

// sqliteDSN is the driver's name for the file at path, with settings. The path is escaped, because a
// folder's name may hold what means something in a URI.
func sqliteDSN(path string, settings ...string) string {
	q := url.Values{"_pragma": append(append([]string{}, sqliteSettings...), settings...)}
	u := url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(path), RawQuery: q.Encode()}
	return u.String()
}

// openSQLite opens the file, creates it if need be, and brings its schema up to date.
func openSQLite(ctx context.Context, o Options, versions fs.FS) (_ *sqliteEngine, err error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	path, err := filepath.Abs(o.Path)
	if err != nil {
		return nil, fmt.Errorf("store: open %s: %w", o.Path, err)
	}
	// SQLite would create it readable for all; the -wal and -shm files take its mode over.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("store: open the database: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("store: open the database: %w", err)
	}
	synchronous := "NORMAL"
	if o.Durability == DurabilityFull {
		synchronous = "FULL"
	}
	e := &sqliteEngine{
		path: path, lanes: make(chan *prepared, o.Readers), stats: &counters{}, log: o.Log, closed: make(chan struct{}),
	}
	defer func() {
		if err != nil {
			_ = e.closePools() // the first error says more
		}
	}()
	if e.writers, err = sql.Open("sqlite", sqliteDSN(path, "journal_mode(WAL)", "synchronous("+synchronous+")",
		"cache_size(-32768)", "journal_size_limit(67108864)")); err != nil {
		return nil, fmt.Errorf("store: open the database: %w", err)
	}
	e.writers.SetMaxOpenConns(1)
	if err := migrateSQLite(ctx, e.writers, path, versions); err != nil {
		return nil, err
	}
	if e.readers, err = sql.Open("sqlite", sqliteDSN(path, "query_only(1)", "cache_size(-8192)")); err != nil {
		return nil, fmt.Errorf("store: open the database: %w", err)
	}
	e.readers.SetMaxOpenConns(o.Readers)
	for range o.Readers {
		e.lanes <- nil
	}
	conn, err := e.writers.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("store: open the database: %w", err)
	}
	e.writer = newGroupWriter(newPrepared(conn, e.stats), e.stats)
	return e, nil
}

func (e *sqliteEngine) read(ctx context.Context, fn func(handle) error) error {
	var lane *prepared
	select {
	case <-e.closed:
		return errClosed
	default:
	}
	select {
	case lane = <-e.lanes:
	case <-ctx.Done():
		return ctx.Err()
	case <-e.closed:
		return errClosed
	}
	defer func() { e.lanes <- lane }()
	if err := ctx.Err(); err != nil {
		return err
	}
	if lane == nil {
		conn, err := e.readers.Conn(ctx)
		if err != nil {
			return fmt.Errorf("store: open a reading connection: %w", err)
		}
		lane = newPrepared(conn, e.stats)
		lane.reads = true
	}
	return fn(lane)
}

// snapshot: in a deferred transaction, the first statement says what the others see as well.
func (e *sqliteEngine) snapshot(ctx context.Context, fn func(handle) error) error {
	return e.read(ctx, func(h handle) (err error) {
		lane := h.(*prepared) // read gives nothing else
		if err := lane.do(ctx, "BEGIN"); err != nil {
			return fmt.Errorf("begin reading: %w", err)
		}
		defer func() { // after a panic too: the lane goes on to others
			if end := lane.do(ctx, "COMMIT"); err == nil && end != nil {
				err = fmt.Errorf("end reading: %w", end)
			}
		}()
		return fn(h)
	})
}

func (e *sqliteEngine) write(ctx context.Context, fn func(*txn) error) error {
	return e.writer.write(ctx, fn)
}

// hold: BEGIN IMMEDIATE keeps every other writer out until the end.
func (e *sqliteEngine) hold(string) string { return "" }

func (e *sqliteEngine) holdFirst(string) string { return "" }

func (e *sqliteEngine) skipHeld() string { return "" }

func (e *sqliteEngine) contains(column, argument string) string {
	return "instr(" + column + ", " + argument + ") > 0"
}

func (e *sqliteEngine) in(column, argument string) string {
	return column + " IN (SELECT value FROM json_each(" + argument + "))"
}

func (e *sqliteEngine) inBytes(column, argument string) string {
	return column + " IN (SELECT unhex(value) FROM json_each(" + argument + "))"
}

func (e *sqliteEngine) list(values []string) any { return jsonList(values) }

// inNumbers: json_each gives numbers, so that the text is that of in.
func (e *sqliteEngine) inNumbers(column, argument string) string { return e.in(column, argument) }

func (e *sqliteEngine) numbers(values []int64) any { return jsonList(values) }

func jsonList[T string | int64](values []T) string {
	b, err := json.Marshal(values)
	if err != nil {
		panic(fmt.Sprintf("store: list for a statement: %v", err)) // strings and numbers always marshal
	}
	return string(b)
}

func (e *sqliteEngine) violation(err error) violation {
	var failed *sqlite.Error
	if !errors.As(err, &failed) {
		return violationNone
	}
	switch failed.Code() {
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY:
		return violationUnique
	case sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
		return violationForeign
	}
	return violationNone
}

// maxInsertRows is how many events one INSERT takes; more go in several. A turn appends one to eight.
const maxInsertRows = 32

// insertTexts are the INSERTs for 1 … maxInsertRows events, made when first needed.
var insertTexts [maxInsertRows + 1]atomic.Pointer[string]

func insertText(n int) string {
	if text := insertTexts[n].Load(); text != nil {
		return *text
	}
	var b strings.Builder
	b.WriteString("INSERT INTO events (" + eventColumns + ") VALUES ")
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		for c := range eventColumnCount {
			mark := ", "
			if c == 0 {
				mark = "("
			}
			fmt.Fprintf(&b, "%s$%d", mark, i*eventColumnCount+c+1)
		}
		b.WriteString(")")
	}
	text := b.String()
	insertTexts[n].Store(&text)
	return text
}

func (e *sqliteEngine) insertEvents(ctx context.Context, h handle, log int64, events []core.Event) error {
	return insertEvents(ctx, h, log, events)
}

func insertEvents(ctx context.Context, h handle, log int64, events []core.Event) error {
	for len(events) > 0 {
		n := min(len(events), maxInsertRows)
		args := make([]any, 0, n*eventColumnCount)
		for _, event := range events[:n] {
			args = eventArgs(args, log, event)
		}
		if _, err := h.change(ctx, insertText(n), args, nil); err != nil {
			return err
		}
		events = events[n:]
	}
	return nil
}

func (e *sqliteEngine) run(ctx context.Context) error { return e.checkpoint(ctx) }

func (e *sqliteEngine) snapshotStats() Stats { return e.stats.snapshot() }

// close waits for what is running, moves the write-ahead log into the database file and closes all
// connections. Later calls do nothing.
func (e *sqliteEngine) close(ctx context.Context) (err error) {
	e.closing.Do(func() {
		e.writer.close()
		close(e.closed)
		for range cap(e.lanes) {
			if lane := <-e.lanes; lane != nil {
				err = errors.Join(err, lane.close())
			}
		}
		err = errors.Join(err, e.readers.Close(), e.writer.exclusive(func(p *prepared) error {
			// Another process may still read or write; then the file stays for whoever closes last.
			_, err := walCheckpoint(ctx, p.conn, "TRUNCATE")
			return errors.Join(err, p.close())
		}), e.writers.Close())
	})
	return err
}

// closePools closes what openSQLite had opened when it failed.
func (e *sqliteEngine) closePools() error {
	var err error
	for _, pool := range []*sql.DB{e.readers, e.writers} {
		if pool != nil {
			err = errors.Join(err, pool.Close())
		}
	}
	return err
}
