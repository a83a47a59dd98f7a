package store

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"

	"github.com/reeve-ai/reeve/internal/store/migrations"
)

// Durability says what a committed transaction survives besides the end of the process.
type Durability string

const (
	// DurabilityNormal survives kill -9, not necessarily a power cut or a crash of the operating
	// system: the last moments before may then be missing, never torn. The default.
	DurabilityNormal Durability = "normal"
	// DurabilityFull survives those as well, and waits for the disk with every commit.
	DurabilityFull Durability = "full"
)

// Options says which database to open and how.
type Options struct {
	Path       string       // the SQLite file; its folder must exist
	URL        string       // postgres://…: PostgreSQL instead of the file; its password is never shown
	Durability Durability   // empty: DurabilityNormal
	Readers    int          // connections that read; 0: one for each CPU
	Log        *slog.Logger // what Run has to say; nil: nothing
}

// DB is the store on an open database. It implements core.Store and may be used from any goroutine.
type DB struct {
	store
	base base
}

// base is what a database does besides running statements.
type base interface {
	engine
	// run looks after the database until ctx ends.
	run(ctx context.Context) error
	close(ctx context.Context) error
	snapshotStats() Stats
}

// Open opens the database, creates it if it is not there, and brings its schema up to date. Several
// processes may have it open at the same time (Lock is what keeps a second server away). The caller
// must Close it.
//
// Errors: Conflict ("database_too_new") if a newer program has changed the schema; else Internal.
func Open(ctx context.Context, o Options) (*DB, error) {
	var e base
	var err error
	if o.URL != "" {
		e, err = openPostgres(ctx, o, migrations.Postgres())
	} else {
		e, err = openSQLite(ctx, o, migrations.SQLite())
	}
	if err != nil {
		return nil, err
	}
	return &DB{store: store{engine: e}, base: e}, nil
}

// complete fills in the defaults.
func (o *Options) complete() error {
	switch o.Durability {
	case "", DurabilityNormal, DurabilityFull:
	default:
		return fmt.Errorf("store: unknown durability %q", o.Durability)
	}
	if o.Readers <= 0 {
		o.Readers = runtime.NumCPU()
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Run looks after the database until ctx ends: it moves the write-ahead log into the database file in
// the background, so that no commit has to. The store works without Run too, then commits do it. What
// goes wrong is logged and tried again.
func (d *DB) Run(ctx context.Context) error { return d.base.run(ctx) }

// Close waits for what is running and closes the database. Run must have returned before. What comes
// later fails. It must not be called inside Tx. Closing twice does no harm.
func (d *DB) Close() error {
	return d.base.close(context.Background()) // a last write, which nobody's context may cut off
}

// Stats counts what was done since Open.
type Stats struct {
	Transactions int64 // functions that ran in a transaction: calls of Tx, and methods that write outside
	Commits      int64 // commits; several transactions may share one
	Statements   int64 // statements of methods, reads outside Tx included; not BEGIN, COMMIT and the like
}

// Stats returns the counters.
func (d *DB) Stats() Stats { return d.base.snapshotStats() }

func (c *counters) snapshot() Stats {
	return Stats{Transactions: c.transactions.Load(), Commits: c.commits.Load(), Statements: c.statements.Load()}
}
