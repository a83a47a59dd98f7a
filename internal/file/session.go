package file

import (
	"context"
	"encoding/json"
	"io"
	"strings"
	"unicode"

	"github.com/reeve-ai/reeve/internal/core"
)

// MaxSessionFiles is how many files a session may have, those that are attached to it among them.
const MaxSessionFiles = 2000

var _ core.FileSource = (*Service)(nil)

// OpenFile implements core.FileSource.
func (s *Service) OpenFile(ctx context.Context, project core.ProjectID, id core.FileID) (core.File, io.ReadSeekCloser, error) {
	f, err := s.live(ctx, project, id)
	if err != nil {
		return f, nil, err
	}
	content, err := s.depot.Open(ctx, f.Blob)
	if core.CodeOf(err) == "blob_not_found" { // deleted since it was read
		err = core.NotFoundError("file", string(id))
	}
	return f, content, err
}

// StageOutput takes the content of a file that a session made, of at most limit bytes. The caller must then
// KeepOutput it, and DiscardOutput the blob in any case.
//
// Errors: TooLarge ("blob_too_large"); Unavailable ("storage_full"); what r returned.
func (s *Service) StageOutput(ctx context.Context, project core.ProjectID, r io.Reader, limit int64) (core.Blob, error) {
	return s.depot.Stage(ctx, project, r, min(limit, MaxBytes))
}

// DiscardOutput deletes a staged blob of which no file was made.
func (s *Service) DiscardOutput(ctx context.Context, project core.ProjectID, b core.Blob) {
	s.depot.Discard(ctx, project, b)
}

// KeepOutput makes a file of a staged blob, for a session that made it. If there is a file of that ID already, it
// was kept before, and nothing changes.
//
// Errors: NotFound, also when the session is gone; Invalid ("too_many_files").
func (s *Service) KeepOutput(ctx context.Context, project core.ProjectID, session core.SessionID, id core.FileID, path string, b core.Blob) error {
	f := core.File{
		Project: project, ID: id, Blob: b, Name: outputName(path), Session: session, Downloadable: true,
		Metadata: json.RawMessage(`{}`), CreatedAt: s.clock(),
	}
	var err error
	if f.MediaType, err = s.typeOf(ctx, f); err != nil {
		return err
	}
	err = s.store.Tx(ctx, func(tx core.Store) error {
		if _, err := tx.Session(ctx, project, session); err != nil { // held: nobody deletes it, and its files, meanwhile
			return err
		}
		n, err := tx.CountSessionFiles(ctx, project, session)
		if err != nil {
			return err
		}
		if n >= MaxSessionFiles {
			return core.Errorf(core.Invalid, "too_many_files", "a session may have at most %d files", MaxSessionFiles)
		}
		return tx.CreateFile(ctx, f)
	})
	if core.CodeOf(err) == "file_already_exists" {
		return nil
	}
	return err
}

// outputName is the name of what lies at a path of a sandbox, which may be any bytes.
func outputName(path string) string {
	name := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\\' {
			return '_'
		}
		return r
	}, strings.ToValidUTF8(path, "_"))
	if name = cleanName(name); name == "" || name == "." || name == ".." {
		return "unnamed"
	}
	return name
}
