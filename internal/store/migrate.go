package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/gofrs/flock"
	"github.com/pressly/goose/v3"

	"github.com/reeve-ai/reeve/internal/core"
)

// migrateSQLite brings the schema up to the last of the versions. A file lock beside the database
// makes two processes that start together do it one after the other: goose has no lock for SQLite.
//
// A database that a newer program has already changed is refused with Conflict ("database_too_new"):
// what this one would write there might be wrong without anybody noticing.
func migrateSQLite(ctx context.Context, db *sql.DB, path string, versions fs.FS) (err error) {
	file := flock.New(path + ".migrate")
	if _, err := file.TryLockContext(ctx, 10*time.Millisecond); err != nil {
		return fmt.Errorf("store: lock the database for migration: %w", err)
	}
	defer func() {
		if e := file.Unlock(); err == nil && e != nil {
			err = fmt.Errorf("store: unlock the database after migration: %w", e)
		}
	}()
	p, err := goose.NewProvider(goose.DialectSQLite3, db, versions, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("store: read the migrations: %w", err)
	}
	return migrate(ctx, p, path)
}

// migratePostgres does so on PostgreSQL. An advisory lock makes several nodes that start together do it one
// after the other; goose's own asks for it again and again and sleeps in between.
func migratePostgres(ctx context.Context, db *sql.DB, versions fs.FS) (err error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("store: lock the database for migration: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	const key = "hashtextextended('reeve.migrate.' || current_schema(), 0)"
	if _, err := conn.ExecContext(ctx, "SELECT pg_advisory_lock("+key+")"); err != nil {
		return fmt.Errorf("store: lock the database for migration: %w", err)
	}
	defer func() {
		if _, e := conn.ExecContext(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock("+key+")"); err == nil && e != nil {
			err = fmt.Errorf("store: unlock the database after migration: %w", e)
		}
	}()
	p, err := goose.NewProvider(goose.DialectPostgres, db, versions, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("store: read the migrations: %w", err)
	}
	return migrate(ctx, p, "")
}

// migrate runs what is missing.
func migrate(ctx context.Context, p *goose.Provider, path string) error {
	have, want, err := p.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("store: read the database's version: %w", err)
	}
	if have > want {
		return core.Errorf(core.Conflict, "database_too_new",
			"the database %s has version %d, but this program knows versions up to %d only: use the newer program that wrote it, or a copy from before", path, have, want)
	}
	if have == want {
		return nil
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("store: migrate the database from version %d to %d: %w", have, want, err)
	}
	return nil
}
