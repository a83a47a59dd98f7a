package core

import (
	"context"
	"io"
	"time"
)

// BlobKey names bytes in the blob store: 32 lower-case hex digits, made by NewID and never by a client.
type BlobKey string

// Blob is bytes that lie in the blob store. They never change.
type Blob struct {
	Key    BlobKey
	Bytes  int64
	SHA256 string // of the bytes: 64 lower-case hex digits
}

// Blobs keeps bytes that are too large for the database. It knows nothing of projects or owners: who may
// read what is decided before, and BlobStore knows which keys are in use.
type Blobs interface {
	// Write stores all that r gives under a key that was not used before. Once it returns nil the bytes
	// survive a crash; if it returns an error, or the process dies before, Open finds nothing under the key.
	//
	// Errors: TooLarge ("blob_too_large") for more than limit bytes; Unavailable ("storage_full"); what r
	// returned, wrapped; the end of ctx.
	Write(ctx context.Context, key BlobKey, r io.Reader, limit int64) (Blob, error)
	// Open returns the bytes, to be closed by the caller, or NotFound ("blob_not_found"). They stay
	// readable to their end even if they are deleted meanwhile.
	Open(ctx context.Context, key BlobKey) (io.ReadSeekCloser, error)
	// Delete removes the bytes. That there are none is no error.
	Delete(ctx context.Context, key BlobKey) error
}

// Stray says that there may be bytes under a key that belong to nothing: they are being written, or
// their owner was deleted.
type Stray struct {
	Project ProjectID
	Key     BlobKey
	DueAt   time.Time // from then on they may be deleted; zero: they are being deleted
}

// BlobStore keeps account of which blobs have no owner, so that no crash can leave bytes behind that nobody
// knows of, nor an owner whose bytes are gone. A key is noted as stray before its bytes are written. The
// method that stores an owner (CreateFile, CreateSkillVersion) takes the note away in the same transaction,
// and the method that deletes the last owner (files may share a blob) notes it again; the note goes for good
// after the bytes.
type BlobStore interface {
	// AddStray stores a note; a taken key is Conflict ("already_exists").
	AddStray(ctx context.Context, s Stray) error
	// Stray returns the note of one key, or NotFound ("stray_not_found"): the blob has an owner, or is gone.
	Stray(ctx context.Context, project ProjectID, key BlobKey) (Stray, error)
	// ClaimStrays sets DueAt of at most limit notes of any project, of those with DueAt up to the given time
	// the longest due, to zero and returns them: from then on no owner can take their blobs. Notes that were
	// claimed before come again.
	ClaimStrays(ctx context.Context, due time.Time, limit int) ([]Stray, error)
	// DropStray removes a note. That there is none is no error.
	DropStray(ctx context.Context, project ProjectID, key BlobKey) error
}
