package file

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// Depot is where bytes are written and read; see internal/blob.
type Depot interface {
	Stage(ctx context.Context, project core.ProjectID, r io.Reader, limit int64) (core.Blob, error)
	Discard(ctx context.Context, project core.ProjectID, blobs ...core.Blob)
	Open(ctx context.Context, b core.Blob) (io.ReadSeekCloser, error)
	Wake()
}

// Service is used from several goroutines.
type Service struct {
	store core.Store
	depot Depot
	key   []byte // of links
	log   *slog.Logger
	now   func() time.Time
}

// Options may be zero.
type Options struct {
	Log *slog.Logger     // nil: slog.Default()
	Now func() time.Time // nil: the system clock
}

// New makes the service. secret is the installation's; all nodes have the same.
func New(store core.Store, depot Depot, secret []byte, o Options) (*Service, error) {
	key, err := linkKey(secret)
	if err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Service{store: store, depot: depot, key: key, log: o.Log, now: o.Now}, nil
}

// clock returns the time as the store keeps it.
func (s *Service) clock() time.Time { return s.now().UTC().Truncate(time.Microsecond) }

// Stage takes the content of a file that is to be, as it comes. The caller must then Create the file, and
// Discard the blob in any case.
//
// Errors: Forbidden (below member); TooLarge (more than MaxBytes); Unavailable ("storage_full"); what r
// returned.
func (s *Service) Stage(ctx context.Context, by core.Principal, r io.Reader) (core.Blob, error) {
	if err := by.Require(core.RoleMember); err != nil {
		return core.Blob{}, err
	}
	b, err := s.depot.Stage(ctx, by.Project, r, MaxBytes)
	if core.CodeOf(err) == "blob_too_large" {
		err = &core.Error{Kind: core.TooLarge, Code: "file_too_large", Field: "file", Err: err, Message: "file: is larger than 500 MB"}
	}
	return b, err
}

// Discard deletes staged blobs of which no file was made.
func (s *Service) Discard(ctx context.Context, by core.Principal, blobs ...core.Blob) {
	s.depot.Discard(ctx, by.Project, blobs...)
}

// NewFile is what becomes a file.
type NewFile struct {
	ID        core.FileID // empty: made
	Blob      core.Blob   // staged
	Path      string      // its name where it comes from: the last part of it counts; empty: unnamed
	Declared  string      // its type, as a Content-Type header says it; empty: found out
	Session   core.SessionID
	Metadata  json.RawMessage // empty: {}
	ExpiresIn time.Duration   // whole seconds; 0: it stays
}

// Create makes a file of a staged blob.
//
// Errors: Forbidden (below member); Invalid, naming the field; Conflict ("file_already_exists"); Timeout
// ("upload_took_too_long"), when the blob was deleted meanwhile.
func (s *Service) Create(ctx context.Context, by core.Principal, n NewFile, l Limits) (core.File, error) {
	if err := by.Require(core.RoleMember); err != nil {
		return core.File{}, err
	}
	if n.ID == "" {
		n.ID = core.NewID[core.FileID]()
	}
	now := s.clock()
	f := core.File{
		Project: by.Project, ID: n.ID, Blob: n.Blob, Name: cleanName(n.Path), MediaType: declaredType(n.Declared),
		Session: n.Session, Downloadable: true, CreatedAt: now,
	}
	if err := errors.Join(l.checkName(f.Name), l.checkLife(n.ExpiresIn)); err != nil {
		return core.File{}, err
	}
	if n.ExpiresIn != 0 {
		f.ExpiresAt = now.Add(n.ExpiresIn)
	}
	var err error
	if f.Metadata, err = checkMetadata(n.Metadata); err != nil {
		return core.File{}, err
	}
	if f.MediaType == "" {
		if f.MediaType, err = s.typeOf(ctx, f); err != nil {
			return core.File{}, err
		}
	}
	if f.Name == "" {
		f.Name = "unnamed" + endings[f.MediaType]
	}
	err = s.store.CreateFile(ctx, f)
	if core.CodeOf(err) == "stray_not_found" {
		err = &core.Error{Kind: core.Timeout, Code: "upload_took_too_long", Message: "the upload took too long", Err: err}
	}
	if err != nil {
		return core.File{}, err
	}
	return f, nil
}

func (s *Service) typeOf(ctx context.Context, f core.File) (string, error) {
	content, err := s.depot.Open(ctx, f.Blob)
	if err != nil {
		return "", err
	}
	defer func() { _ = content.Close() }() // it was only read
	head := make([]byte, sniffed)
	n, err := io.ReadFull(content, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return "", err
	}
	return guessedType(f.Name, head[:n]), nil
}

// File returns a file. Errors: Forbidden; NotFound, also once it has expired.
func (s *Service) File(ctx context.Context, by core.Principal, id core.FileID) (core.File, error) {
	if err := by.Require(core.RoleViewer); err != nil {
		return core.File{}, err
	}
	return s.live(ctx, by.Project, id)
}

func (s *Service) live(ctx context.Context, project core.ProjectID, id core.FileID) (core.File, error) {
	f, err := s.store.File(ctx, project, id)
	if err == nil && f.Expired(s.clock()) {
		return core.File{}, core.NotFoundError("file", string(id))
	}
	return f, err
}

// Files lists the project's files, newest first; page.Now is set here. Errors: Forbidden; Invalid (limit
// outside of 1 to 1001).
func (s *Service) Files(ctx context.Context, by core.Principal, page core.FilePage) ([]core.File, error) {
	if err := by.Require(core.RoleViewer); err != nil {
		return nil, err
	}
	if page.Limit < 1 || page.Limit > maxPage {
		return nil, core.InvalidField("limit", "must be between 1 and %d", maxPage-1)
	}
	page.Now = s.clock()
	return s.store.Files(ctx, by.Project, page)
}

// FilesByID returns those of the files that are there, newest first. Errors: Forbidden; Invalid (more than
// 100 ids, each counted once).
func (s *Service) FilesByID(ctx context.Context, by core.Principal, ids []core.FileID) ([]core.File, error) {
	if err := by.Require(core.RoleViewer); err != nil {
		return nil, err
	}
	ids = slices.Compact(slices.Sorted(slices.Values(ids)))
	if len(ids) > maxIDs {
		return nil, core.InvalidField("ids", "has %d entries; at most %d are allowed", len(ids), maxIDs)
	}
	list, err := s.store.FilesByID(ctx, by.Project, ids)
	now := s.clock()
	list = slices.DeleteFunc(list, func(f core.File) bool { return f.Expired(now) })
	slices.SortFunc(list, func(a, b core.File) int {
		if c := b.CreatedAt.Compare(a.CreatedAt); c != 0 {
			return c
		}
		if a.ID > b.ID {
			return -1
		}
		return 1
	})
	return list, err
}

// Delete removes a file for good. Errors: Forbidden (below member); NotFound.
func (s *Service) Delete(ctx context.Context, by core.Principal, id core.FileID) error {
	if err := by.Require(core.RoleMember); err != nil {
		return err
	}
	if _, err := s.live(ctx, by.Project, id); err != nil {
		return err
	}
	if err := s.store.DeleteFile(ctx, by.Project, id, s.clock()); err != nil {
		return err
	}
	s.depot.Wake()
	return nil
}

// Open returns a file and its content, to be closed by the caller.
//
// Errors: Forbidden; NotFound; Invalid ("file_not_downloadable").
func (s *Service) Open(ctx context.Context, by core.Principal, id core.FileID) (core.File, io.ReadSeekCloser, error) {
	if err := by.Require(core.RoleViewer); err != nil {
		return core.File{}, nil, err
	}
	return s.open(ctx, by.Project, id)
}

func (s *Service) open(ctx context.Context, project core.ProjectID, id core.FileID) (core.File, io.ReadSeekCloser, error) {
	f, err := s.live(ctx, project, id)
	if err != nil {
		return f, nil, err
	}
	if err := downloadable(f); err != nil {
		return f, nil, err
	}
	content, err := s.depot.Open(ctx, f.Blob)
	if core.CodeOf(err) == "blob_not_found" { // deleted since it was read
		err = core.NotFoundError("file", string(id))
	}
	return f, content, err
}

func downloadable(f core.File) error {
	if !f.Downloadable {
		return core.Errorf(core.Invalid, "file_not_downloadable", "the file cannot be downloaded")
	}
	return nil
}

const (
	expireEvery = time.Minute
	expireBatch = 100
)

// Run deletes expired files until ctx ends; then it returns nil.
func (s *Service) Run(ctx context.Context) error {
	tick := time.NewTicker(expireEvery)
	defer tick.Stop()
	for {
		n, err := s.store.ExpireFiles(ctx, s.clock(), expireBatch)
		if err != nil && ctx.Err() == nil {
			s.log.Error("expire files", "err", err)
		}
		if n > 0 {
			s.depot.Wake()
		}
		if n == expireBatch { // there may be more
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
