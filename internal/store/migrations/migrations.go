// Package migrations holds the versions of the databases' schemas as goose files, one folder per
// database and engine. A file that was released never changes; a later version is a new file with the
// next number.
package migrations

import (
	"embed"
	"fmt"
	"io/fs"
)

//go:embed sqlite/*.sql captures_sqlite/*.sql
var files embed.FS

// SQLite returns the versions of the main database for the SQLite engine.
func SQLite() fs.FS { return folder("sqlite") }

// CapturesSQLite returns the versions of the captures' database for the SQLite engine.
func CapturesSQLite() fs.FS { return folder("captures_sqlite") }

func folder(name string) fs.FS {
	sub, err := fs.Sub(files, name)
	if err != nil {
		panic(fmt.Sprintf("migrations: embedded folder: %v", err)) // the folder is part of the binary
	}
	return sub
}
