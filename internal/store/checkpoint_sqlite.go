package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

const (
	// checkpointEvery is how often the write-ahead log is looked at while something is written.
	checkpointEvery = 50 * time.Millisecond
	// checkpointFrames is how many pages in the log are worth a checkpoint: SQLite's own default.
	checkpointFrames = 1000
	// restartFrames is the length of the log, 32 MB, at which the writer waits for a checkpoint. Only
	// a log that is wholly in the database file starts again from its beginning, and a writer that
	// never pauses always has written something more behind the checkpoint's back.
	restartFrames = 8192
	// checkpointRetry is the pause after a checkpoint that failed, such as on a full disk. Nothing is lost
	// meanwhile: the log grows.
	checkpointRetry = 5 * time.Second
)

// checkpoint moves the write-ahead log into the database file until ctx ends. It does so on a
// connection of its own, beside the writer, because a checkpoint inside a commit makes that commit
// wait for the disk (p99 2.5–4 times worse in the trial, see the design).
func (e *sqliteEngine) checkpoint(ctx context.Context) (err error) {
	pool, err := sql.Open("sqlite", sqliteDSN(e.path, "synchronous(NORMAL)"))
	if err != nil {
		return fmt.Errorf("store: open the checkpointer's connection: %w", err)
	}
	pool.SetMaxOpenConns(1)
	if err := e.autoCheckpoint(ctx, 0); err != nil {
		return errors.Join(fmt.Errorf("store: start the checkpointer: %w", err), pool.Close())
	}
	defer func() { err = errors.Join(err, e.autoCheckpoint(ctx, checkpointFrames), pool.Close()) }()

	inside := context.WithoutCancel(ctx) // the end of ctx is looked at between checkpoints: none is cut off
	tick := time.NewTicker(checkpointEvery)
	defer tick.Stop()
	var seen int64
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		commits := e.stats.commits.Load()
		if commits == seen {
			continue
		}
		if err := e.checkpointOnce(inside, pool); err != nil {
			e.log.Error("the write-ahead log could not be moved into the database; trying again", "in", checkpointRetry, "error", err)
			tick.Reset(checkpointRetry)
			continue
		}
		seen = commits
		tick.Reset(checkpointEvery)
	}
}

// checkpointOnce does what the length of the log asks for.
func (e *sqliteEngine) checkpointOnce(ctx context.Context, pool *sql.DB) error {
	log, err := walCheckpoint(ctx, pool, "NOOP")
	if err != nil || log.frames-log.moved < checkpointFrames {
		return err
	}
	if log, err = walCheckpoint(ctx, pool, "PASSIVE"); err != nil || log.frames < restartFrames {
		return err
	}
	return e.writer.exclusive(func(p *prepared) error {
		_, err := walCheckpoint(ctx, p.conn, "PASSIVE") // little is left: what was written during the last one
		return err
	})
}

// autoCheckpoint sets after how many pages SQLite itself checkpoints inside a commit; 0: never.
func (e *sqliteEngine) autoCheckpoint(ctx context.Context, frames int) error {
	return e.writer.exclusive(func(p *prepared) error {
		// Not a cached statement: this pragma acts when it is prepared.
		_, err := p.conn.ExecContext(context.WithoutCancel(ctx), fmt.Sprintf("PRAGMA wal_autocheckpoint(%d)", frames))
		return err
	})
}

// walState is the write-ahead log after a checkpoint, in pages.
type walState struct{ frames, moved int64 }

// walCheckpoint runs a checkpoint of a mode that SQLite knows. One that could not finish because of
// others is no error.
func walCheckpoint(ctx context.Context, on interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}, mode string,
) (walState, error) {
	var busy int64
	var s walState
	err := on.QueryRowContext(ctx, "PRAGMA wal_checkpoint("+mode+")").Scan(&busy, &s.frames, &s.moved)
	if err != nil {
		return walState{}, fmt.Errorf("store: checkpoint: %w", err)
	}
	return s, nil
}
