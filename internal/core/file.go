package core

import (
	"context"
	"encoding/json"
	"io"
	"strings"
	"time"
)

// FileID is the id of a File.
type FileID string

// File is a document that a client uploaded, or that a session made. Its content never changes.
type File struct {
	Project ProjectID
	ID      FileID
	Blob
	Name         string          // 1–255 characters, without path; not unique
	MediaType    string          // type/subtype, lower-case, without parameters; ≤ 255 bytes
	Downloadable bool            // its content may be read by clients
	Session      SessionID       // the session that it belongs to; empty: the whole project. It may be gone
	Metadata     json.RawMessage // an object, never nil; ≤ 8,192 bytes
	CreatedAt    time.Time
	ExpiresAt    time.Time // from then on it is gone; zero: never
}

// Expired reports whether the file is gone at the given time.
func (f File) Expired(now time.Time) bool { return !f.ExpiresAt.IsZero() && !now.Before(f.ExpiresAt) }

// FilePage is a query for files, newest first (CreatedAt, then ID, descending).
type FilePage struct {
	Limit   int // 1 to 1001
	After   *PageKey
	Before  *PageKey  // rows on the other side of this key; the order of the answer stays the same
	Session SessionID // empty: all
	Now     time.Time // files that have expired by then are left out; zero: none is
}

// FileStore keeps what is known of files. Their bytes are in Blobs.
type FileStore interface {
	// CreateFile stores a file and makes it the owner of its blob, whose Stray must be there with a DueAt
	// after CreatedAt: else NotFound ("stray_not_found"), because the bytes may be deleted by now. A taken
	// id is Conflict ("file_already_exists").
	CreateFile(ctx context.Context, f File) error
	// CopyFile stores a file that shares the blob of another file of its project, whatever f.Blob says: the
	// blob has both as owners. NotFound if the other is not there; a taken id is Conflict ("file_already_exists").
	CopyFile(ctx context.Context, f File, from FileID) error
	// File returns a file, expired or not.
	File(ctx context.Context, project ProjectID, id FileID) (File, error)
	Files(ctx context.Context, project ProjectID, page FilePage) ([]File, error)
	// FilesByID returns those files that are there, expired or not, in no order.
	FilesByID(ctx context.Context, project ProjectID, ids []FileID) ([]File, error)
	// DeleteFile removes a file; its blob becomes a Stray that is due at once, unless another file shares it.
	DeleteFile(ctx context.Context, project ProjectID, id FileID, at time.Time) error
	// DeleteSessionFiles does so with all files of a session, and returns how many there were.
	DeleteSessionFiles(ctx context.Context, project ProjectID, session SessionID, at time.Time) (int, error)
	// CountSessionFiles counts the files of a session.
	CountSessionFiles(ctx context.Context, project ProjectID, session SessionID) (int, error)
	// ExpireFiles does so with at most limit files of any project that have expired at now, and returns
	// how many there were.
	ExpireFiles(ctx context.Context, now time.Time, limit int) (int, error)
}

// FileSource reads files for the server's own use: the files that a sandbox sees, and those that a model is
// shown. Who may attach them was decided before.
type FileSource interface {
	// OpenFile returns a file and its content, to be closed by the caller. NotFound if it is gone or expired.
	OpenFile(ctx context.Context, project ProjectID, id FileID) (File, io.ReadSeekCloser, error)
}

// Largest files that content blocks may name: what vendors take in one request, with its base64 overhead.
const (
	maxImageBlock = 5 << 20
	maxPDFBlock   = 20 << 20
	maxTextBlock  = 10 << 20
)

// BlockLimit is how many bytes a file of a media type may have to be shown to a model in a block; 0: files of
// that type cannot be shown there.
func BlockLimit(block BlockType, mediaType string) int64 {
	switch {
	case block == BlockImage:
		switch mediaType {
		case "image/jpeg", "image/png", "image/gif", "image/webp":
			return maxImageBlock
		}
	case block != BlockDocument:
	case mediaType == "application/pdf":
		return maxPDFBlock
	case IsText(mediaType):
		return maxTextBlock
	}
	return 0
}

// IsText reports whether content of a media type is text.
func IsText(mediaType string) bool {
	switch mediaType {
	case "application/json", "application/jsonl", "application/yaml", "application/xml":
		return true
	}
	return strings.HasPrefix(mediaType, "text/")
}
