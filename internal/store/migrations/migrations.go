// Package migrations holds the versions of the database's schema as goose files, one folder per
// engine. A file that was released never changes; a later version is a new file with the next number.
package migrations

import (
	"embed"
	"fmt"
	"io/fs"
)

//go:embed sqlite/*.sql
var files embed.FS

// SQLite returns the versions for the SQLite engine.
func SQLite() fs.FS {
	sub, err := fs.Sub(files, "sqlite")
	if err != nil {
		panic(fmt.Sprintf("migrations: embedded folder: %v", err)) // the folder is part of the binary
	}
	return sub
}
