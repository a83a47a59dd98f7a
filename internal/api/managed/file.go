package managed

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/file"
)

const (
	filePrefix  = "file_"
	fileList    = "file"
	maxFilePage = 1000 // of Claude lists (CMA section 1.5)
	// filesBeta is sent by clients that expect files as they were before they left beta (CMA section 12).
	filesBeta = "files-api-2025-04-14"
)

// fileRoutes are those of files (CMA sections 3.9 and 12, qoder.md section 3.7), and the links that Qoder's
// clients get instead of content.
func (f *Face) fileRoutes() []route {
	return []route{
		{method: http.MethodPost, path: "/files", receive: f.receiveFile, serve: f.createFile},
		{method: http.MethodGet, path: "/files", serve: f.listFiles},
		{method: http.MethodGet, path: "/files/{file}", serve: f.getFile},
		{method: http.MethodDelete, path: "/files/{file}", serve: f.deleteFile},
		{method: http.MethodGet, path: "/files/{file}/content", download: f.downloadFile, serve: f.linkFile},
		{method: http.MethodGet, path: "/file_links/{link}", download: f.followLink, public: true},
	}
}

// beta reports whether a request asks for a dated version of an API.
func (c *call) beta(name string) bool {
	for _, header := range c.Header.Values("Anthropic-Beta") {
		for one := range strings.SplitSeq(header, ",") {
			if strings.TrimSpace(one) == name {
				return true
			}
		}
	}
	return false
}

// fileUpload is a file whose bytes have come.
type fileUpload struct {
	face  *Face
	call  *call
	file  file.NewFile
	texts map[string]string
}

func (u *fileUpload) discard() { u.face.files.Discard(u.call.Context(), u.call.by, u.file.Blob) }

func (u *fileUpload) fingerprint() []byte {
	sum := sha256.New()
	_, _ = fmt.Fprintf(sum, "%q %q %s\n", u.file.Path, u.file.Declared, u.file.Blob.SHA256) // a hash takes everything
	for _, name := range slices.Sorted(maps.Keys(u.texts)) {
		_, _ = fmt.Fprintf(sum, "%q %q\n", name, u.texts[name])
	}
	return sum.Sum(nil)
}

// receiveFile reads the body of POST /files.
func (f *Face) receiveFile(w http.ResponseWriter, c *call) (_ upload, err error) {
	body, err := newFormBody(w, c, file.MaxBytes+maxOverhead)
	if err != nil {
		return nil, err
	}
	texts := []string{"expires_in_seconds"}
	if c.fl == Qoder {
		texts = append(texts, "name", "metadata") // purpose, of older editions, means nothing any more
	}
	u := &fileUpload{face: f, call: c, texts: body.texts}
	defer func() {
		if err != nil && u.file.Blob.Key != "" {
			u.discard()
		}
	}()
	for {
		part, err := body.next([]string{"file"}, texts)
		switch {
		case errors.Is(err, io.EOF) && u.file.Blob.Key == "":
			return nil, core.InvalidField("file", "is required")
		case errors.Is(err, io.EOF):
			return u, nil
		case err != nil:
			return nil, err
		case u.file.Blob.Key != "":
			return nil, core.InvalidField("file", "there is more than one")
		}
		if u.file.Blob, err = f.files.Stage(c.Context(), c.by, content{part}); err != nil {
			return nil, err
		}
		u.file.Path, u.file.Declared = filename(part), part.Header.Get("Content-Type")
	}
}

// createFile serves POST /files, when its body has come.
func (f *Face) createFile(c *call) (reply, error) {
	u := c.upload.(*fileUpload)
	n := u.file
	if name := u.texts["name"]; name != "" {
		n.Path = name
	}
	n.Metadata = json.RawMessage(u.texts["metadata"])
	if text := u.texts["expires_in_seconds"]; text != "" {
		seconds, err := strconv.ParseInt(text, 10, 32)
		if err != nil || seconds <= 0 {
			return reply{}, core.InvalidField("expires_in_seconds", "must be a number of seconds")
		}
		n.ExpiresIn = time.Duration(seconds) * time.Second
	}
	if c.once != nil {
		n.ID = core.FileID(c.once.record.Object)
	}
	made, err := f.files.Create(c.Context(), c.by, n, c.fl.files)
	if c.once != nil && core.CodeOf(err) == "file_already_exists" { // an earlier try made it
		made, err = f.files.File(c.Context(), c.by, n.ID)
	}
	if err != nil {
		return reply{}, err
	}
	return reply{c.fl.created, c.fileWire(made)}, nil
}

// getFile serves GET /files/{file}.
func (f *Face) getFile(c *call) (reply, error) {
	id, err := pathID[core.FileID](c, "file")
	if err != nil {
		return reply{}, err
	}
	got, err := f.files.File(c.Context(), c.by, id)
	if err != nil {
		return reply{}, named(err, "file", c.PathValue("file"))
	}
	return ok(c.fileWire(got))
}

// deleteFile serves DELETE /files/{file}.
func (f *Face) deleteFile(c *call) (reply, error) {
	id, err := pathID[core.FileID](c, "file")
	if err != nil {
		return reply{}, err
	}
	if err := f.files.Delete(c.Context(), c.by, id); err != nil {
		return reply{}, named(err, "file", c.PathValue("file"))
	}
	return ok(deleted{ID: filePrefix + string(id), Type: "file_deleted"})
}

// downloadFile serves GET /files/{file}/content for Claude's clients.
func (f *Face) downloadFile(c *call) (*download, error) {
	if c.fl == Qoder {
		return nil, nil // linkFile answers
	}
	id, err := pathID[core.FileID](c, "file")
	if err != nil {
		return nil, err
	}
	got, bytes, err := f.files.Open(c.Context(), c.by, id)
	if err != nil {
		return nil, named(err, "file", c.PathValue("file"))
	}
	return fileDownload(got, bytes), nil
}

func fileDownload(f core.File, bytes io.ReadSeekCloser) *download {
	return &download{ReadSeekCloser: bytes, name: f.Name, mediaType: f.MediaType, sha256: f.SHA256, at: f.CreatedAt}
}

// linkWire is the answer to a Qoder client that wants content.
type linkWire struct {
	URL       string `json:"url"`
	ExpiresAt string `json:"expires_at"`
}

// linkFile serves GET /files/{file}/content for Qoder's clients: the content lies behind a link that works
// without a credential, for a while.
func (f *Face) linkFile(c *call) (reply, error) {
	id, err := pathID[core.FileID](c, "file")
	if err != nil {
		return reply{}, err
	}
	token, expires, err := f.files.Link(c.Context(), c.by, id)
	if err != nil {
		return reply{}, named(err, "file", c.PathValue("file"))
	}
	prefix := strings.TrimSuffix(c.URL.Path, "/files/"+c.PathValue("file")+"/content")
	return ok(linkWire{URL: origin(c.Request) + prefix + "/file_links/" + token, ExpiresAt: timestamp(expires)})
}

// origin is where the client reached this server. A proxy that ends TLS says so; who lies about it spoils a
// link of his own.
func origin(r *http.Request) string {
	scheme := "http"
	if r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https") {
		scheme = "https"
	}
	return scheme + "://" + r.Host
}

// followLink serves GET /file_links/{link}, without a credential.
func (f *Face) followLink(c *call) (*download, error) {
	got, bytes, err := f.files.OpenLink(c.Context(), c.PathValue("link"))
	if err != nil {
		return nil, err
	}
	return fileDownload(got, bytes), nil
}

// listFiles serves GET /files, newest first: by cursors, and before files left beta by ids; or those that
// ids[] names.
func (f *Face) listFiles(c *call) (reply, error) {
	if ids := c.query.each("ids"); len(ids) > 0 && c.fl == Claude {
		return f.namedFiles(c, ids)
	}
	largest := maxFilePage
	if c.fl == Qoder {
		largest = maxPage
	}
	w, err := c.windowBy(c.fl.idCursors || c.beta(filesBeta), fileList, false, defaultPage, largest, func(spelled string) (cursor, error) {
		id, known := core.ParseID[core.FileID](spelled)
		if !known {
			return cursor{}, core.NotFoundError("file", spelled)
		}
		got, err := f.files.File(c.Context(), c.by, id)
		return cursor{at: got.CreatedAt.UnixMicro(), id: string(got.ID)}, err
	})
	if err != nil {
		return reply{}, err
	}
	if w.asc {
		return reply{}, core.InvalidField("order", "this list is newest first: must be desc")
	}
	page := core.FilePage{Limit: w.fetch()}
	page.After, page.Before = w.keys()
	if scope := c.query.Get("scope_id"); scope != "" {
		session, known := core.ParseID[core.SessionID](scope)
		if !known {
			return reply{}, core.InvalidField("scope_id", "must be the id of a session")
		}
		page.Session = session
	}
	files, err := f.files.Files(c.Context(), c.by, page)
	if err != nil {
		return reply{}, err
	}
	return ok(w.envelope(each(files, func(got core.File) entry {
		return entry{at: got.CreatedAt.UnixMicro(), id: string(got.ID), wire: filePrefix + string(got.ID), body: c.fileWire(got)}
	})))
}

// namedFiles answers a list of ids: one page, without those that name nothing (the SDK's BetaFileListParams).
func (f *Face) namedFiles(c *call, spelled []string) (reply, error) {
	for _, other := range []string{"page", "limit"} {
		if c.query.Get(other) != "" {
			return reply{}, core.InvalidField("ids", "cannot be combined with %s", other)
		}
	}
	var ids []core.FileID
	for _, s := range spelled {
		if id, known := core.ParseID[core.FileID](s); known {
			ids = append(ids, id)
		}
	}
	files, err := f.files.FilesByID(c.Context(), c.by, ids)
	if err != nil {
		return reply{}, err
	}
	return ok(page{Data: each(files, func(got core.File) any { return c.fileWire(got) })})
}

// fileWire is a file on the wire.
type fileWire struct {
	Type         string          `json:"type"`
	ID           string          `json:"id"`
	Filename     string          `json:"filename"`
	MimeType     string          `json:"mime_type"`
	SizeBytes    int64           `json:"size_bytes"`
	Downloadable bool            `json:"downloadable"`
	Scope        *scopeWire      `json:"scope"`
	Metadata     json.RawMessage `json:"metadata,omitempty"`   // Qoder only
	ExpiresAt    any             `json:"expires_at,omitempty"` // since files left beta; null: never
	CreatedAt    string          `json:"created_at"`
}

type scopeWire struct {
	Type string `json:"type"`
	ID   string `json:"id"`
}

func (c *call) fileWire(f core.File) fileWire {
	w := fileWire{
		Type: "file", ID: filePrefix + string(f.ID), Filename: f.Name, MimeType: f.MediaType, SizeBytes: f.Bytes,
		Downloadable: f.Downloadable, CreatedAt: timestamp(f.CreatedAt),
	}
	if f.Session != "" {
		w.Scope = &scopeWire{"session", c.fl.sessionPrefix + string(f.Session)}
	}
	switch {
	case c.fl == Qoder:
		w.Metadata = f.Metadata
	case !c.beta(filesBeta):
		if w.ExpiresAt = maybeTime(f.ExpiresAt); w.ExpiresAt == nil {
			w.ExpiresAt = null
		}
	}
	return w
}
