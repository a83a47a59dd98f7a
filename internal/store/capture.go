package store

import (
	"context"
	"encoding/hex"
	"fmt"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/store/migrations"
)

// CaptureDB is the store of captures on a database of its own, so that a flood of them never makes a
// session wait. It implements core.CaptureStore and may be used from any goroutine.
//
// An id that is not 32 lower-case hex digits, as core.NewID and core.ParseID give them, is Invalid
// ("invalid_id") when it is written, and one that it has never heard of when it is read.
type CaptureDB struct {
	base    store // engine, errors and helpers; not core.Store: the tables are others
	appends appendQueue
	db      base
}

var _ core.CaptureStore = (*CaptureDB)(nil)

// OpenCaptures opens the database of captures, creates it if it is not there, and brings its schema up to
// date. The file is another one than that of Open. The caller must Close it.
//
// Errors: Conflict ("database_too_new") if a newer program has changed the schema; else Internal.
func OpenCaptures(ctx context.Context, o Options) (*CaptureDB, error) {
	var e base
	var err error
	if o.URL != "" {
		e, err = openPostgres(ctx, o, migrations.CapturesPostgres())
	} else {
		e, err = openSQLite(ctx, o, migrations.CapturesSQLite())
	}
	if err != nil {
		return nil, err
	}
	return &CaptureDB{base: store{engine: e}, appends: newAppendQueue(), db: e}, nil
}

// Run looks after the database until ctx ends, as DB.Run does.
func (d *CaptureDB) Run(ctx context.Context) error { return d.db.run(ctx) }

// Close waits for what is running and closes the database. Run must have returned before. What comes
// later fails. Closing twice does no harm.
func (d *CaptureDB) Close() error {
	return d.db.close(context.Background()) // a last write, which nobody's context may cut off
}

// Stats returns the counters. Appends that waited at the same time count as one transaction.
func (d *CaptureDB) Stats() Stats { return d.db.snapshotStats() }

// rawID is the 16 bytes of an id.
type rawID [16]byte

// rawIDOf reports false for what is no id.
func rawIDOf[T ~string](id T) (raw rawID, ok bool) {
	if len(id) != 2*len(raw) {
		return raw, false
	}
	for i := range raw {
		high, low := hexDigit(id[2*i]), hexDigit(id[2*i+1])
		if high|low > 15 {
			return raw, false
		}
		raw[i] = high<<4 | low
	}
	return raw, true
}

// hexDigit is the value of a lower-case hex digit; more than 15: it is none.
func hexDigit(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	}
	return 0xff
}

// invalidID refuses an id that has a wrong form.
func invalidID(noun string) error {
	return core.Errorf(core.Invalid, "invalid_id", "the %s's id is not 32 lower-case hex digits", noun)
}

// idBytesColumn reads a rawID as an id.
type idBytesColumn[T ~string] struct{ to *T }

func (c idBytesColumn[T]) Scan(src any) error {
	b, ok := src.([]byte)
	if !ok || len(b) != len(rawID{}) {
		return fmt.Errorf("id column holds %T", src)
	}
	*c.to = T(hex.EncodeToString(b))
	return nil
}

// rawIDColumn reads a rawID.
type rawIDColumn struct{ to *rawID }

func (c rawIDColumn) Scan(src any) error {
	b, ok := src.([]byte)
	if !ok || len(b) != len(c.to) {
		return fmt.Errorf("id column holds %T", src)
	}
	copy(c.to[:], b)
	return nil
}

// Outcomes of a capture, as they are stored. Partial indexes and queries write outcomeFailed out as 1.
const (
	outcomeFine         = 0
	outcomeFailed       = 1
	outcomeClientFailed = 2
)

func outcomeOf(c *core.Capture) int64 {
	switch {
	case c.Failed():
		return outcomeFailed
	case c.ClientFailed():
		return outcomeClientFailed
	}
	return outcomeFine
}
