package file

import (
	"context"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/reeve-ai/reeve/internal/core"
)

// Text returns the content of a text file of at most most bytes, for the server's own use: it need not be
// downloadable.
//
// Errors: NotFound; TooLarge; Invalid ("file_not_text") if it is not UTF-8.
func (s *Service) Text(ctx context.Context, project core.ProjectID, id core.FileID, most int64) (string, error) {
	f, err := s.live(ctx, project, id)
	if err != nil {
		return "", err
	}
	content, err := s.depot.Open(ctx, f.Blob)
	if core.CodeOf(err) == "blob_not_found" { // deleted since it was read
		return "", core.NotFoundError("file", string(id))
	}
	if err != nil {
		return "", err
	}
	defer func() { _ = content.Close() }()
	raw, err := io.ReadAll(io.LimitReader(content, most+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("read file %s: %w", id, err)
	case int64(len(raw)) > most:
		return "", core.Errorf(core.TooLarge, "file_too_large", "the file has more than %d bytes", most)
	case !utf8.Valid(raw):
		return "", core.Errorf(core.Invalid, "file_not_text", "the file is not a text")
	}
	return string(raw), nil
}
