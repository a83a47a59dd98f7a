package managed

import (
	"encoding/base64"
	"strings"
	"unicode/utf8"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/memory"
)

// maxFullPage is the largest page of a list with contents (CMA section 1.5).
const maxFullPage = 20

// fullView reads the parameter view: whether contents are shown. Qoder has none: single objects have their
// content there, lists have not.
func (c *call) fullView(fallback, list bool) (bool, error) {
	if c.fl == Qoder {
		return !list, nil
	}
	switch c.query.Get("view") {
	case "":
		return fallback, nil
	case "basic":
		return false, nil
	case "full":
		return true, nil
	}
	return false, core.InvalidField("view", "must be basic or full")
}

// memoryPath reads a path into its one stored form, which begins with "/". Qoder's wire leaves that out.
func (o *object) memoryPath(fl *Flavour) *string {
	v := read[string](o, "path")
	if !v.Set || v.Null {
		return nil
	}
	if fl == Qoder && v.V != "" {
		if strings.HasPrefix(v.V, "/") {
			o.fail(core.InvalidField(o.field("path"), "must be relative: without a leading /"))
		}
		v.V = "/" + v.V
	}
	return &v.V
}

func (fl *Flavour) memoryPathWire(path string) string {
	if fl == Qoder {
		return strings.TrimPrefix(path, "/")
	}
	return path
}

// memoryIDs reads the ids of the path.
func (c *call) memoryIDs() (core.MemoryStoreID, core.MemoryID, error) {
	store, err := pathID[core.MemoryStoreID](c, "memory_store")
	if err != nil {
		return "", "", err
	}
	id, err := pathID[core.MemoryID](c, "memory")
	return store, id, err
}

// createMemory serves POST /memory_stores/{memory_store}/memories.
func (f *Face) createMemory(c *call) (reply, error) {
	store, err := pathID[core.MemoryStoreID](c, "memory_store")
	if err != nil {
		return reply{}, err
	}
	full, err := c.fullView(false, false)
	if err != nil {
		return reply{}, err
	}
	o, err := bodyObject(c)
	if err != nil {
		return reply{}, err
	}
	var n memory.NewMemory
	if path := o.memoryPath(c.fl); path != nil {
		n.Path = *path
	}
	content := read[string](o, "content")
	if n.Content = content.V; !content.Set || content.Null {
		o.fail(core.InvalidField("content", "is required"))
	}
	if c.fl == Qoder {
		n.Metadata = o.stringMap("metadata")
	}
	if err := o.end(); err != nil {
		return reply{}, err
	}
	if c.once != nil {
		n.ID = core.MemoryID(c.once.record.Object)
	}
	m, err := f.memory.Create(c.Context(), c.by, store, n, c.fl.memory)
	if c.once != nil && core.KindOf(err) == core.Conflict { // perhaps an earlier try made it
		if made, lost := f.memory.Memory(c.Context(), c.by, store, n.ID); lost == nil {
			m, err = made, nil
		}
	}
	if err != nil {
		return reply{}, c.inMemory(err)
	}
	return reply{c.fl.created, c.fl.memoryWire(m, full)}, nil
}

// getMemory serves GET /memory_stores/{memory_store}/memories/{memory}.
func (f *Face) getMemory(c *call) (reply, error) {
	store, id, err := c.memoryIDs()
	if err != nil {
		return reply{}, err
	}
	full, err := c.fullView(true, false)
	if err != nil {
		return reply{}, err
	}
	m, err := f.memory.Memory(c.Context(), c.by, store, id)
	if err != nil {
		return reply{}, c.inMemory(err)
	}
	return ok(c.fl.memoryWire(m, full))
}

// updateMemory serves POST /memory_stores/{memory_store}/memories/{memory}.
func (f *Face) updateMemory(c *call) (reply, error) {
	store, id, err := c.memoryIDs()
	if err != nil {
		return reply{}, err
	}
	full, err := c.fullView(false, false)
	if err != nil {
		return reply{}, err
	}
	o, err := bodyObject(c)
	if err != nil {
		return reply{}, err
	}
	change := o.memoryChange(c.fl)
	if err := o.end(); err != nil {
		return reply{}, err
	}
	m, err := f.memory.Update(c.Context(), c.by, store, id, change, c.fl.memory)
	if err != nil {
		return reply{}, c.inMemory(err)
	}
	return ok(c.fl.memoryWire(m, full))
}

// memoryChange reads the body of an update. Null is as good as absent.
func (o *object) memoryChange(fl *Flavour) memory.Change {
	var change memory.Change
	if content := read[string](o, "content"); content.Set && !content.Null {
		change.Content = &content.V
	}
	if fl == Qoder { // a memory keeps its path there (qoder.md section 3.10)
		if pairs := o.stringMap("metadata"); pairs != nil {
			change.Metadata = &pairs
		}
		if hash := read[string](o, "content_sha256"); hash.Set && !hash.Null {
			change.If.SHA256 = &hash.V
		}
		// Older clients say which version they change (qoder.md section 1.5).
		if number := read[int](o, "version"); number.Set && !number.Null {
			if change.If.Number = number.V; number.V < 1 {
				o.fail(core.InvalidField("version", "must be an integer of at least 1"))
			}
		}
		return change
	}
	change.Path = o.memoryPath(fl)
	p := o.object("precondition")
	if p == nil {
		return change
	}
	if p.text("type") != "content_sha256" {
		p.fail(core.InvalidField(p.field("type"), "must be content_sha256"))
	}
	hash := read[string](p, "content_sha256")
	if !hash.Set || hash.Null {
		p.fail(core.InvalidField(p.field("content_sha256"), "is required"))
	}
	p.closed()
	change.If.SHA256 = &hash.V
	return change
}

// deleteMemory serves DELETE /memory_stores/{memory_store}/memories/{memory}.
func (f *Face) deleteMemory(c *call) (reply, error) {
	store, id, err := c.memoryIDs()
	if err != nil {
		return reply{}, err
	}
	limits := c.fl.memory
	limits.HashField = "expected_content_sha256"
	var must memory.Precondition
	if c.query.Has(limits.HashField) {
		hash := c.query.Get(limits.HashField)
		must.SHA256 = &hash
	}
	if err := f.memory.Delete(c.Context(), c.by, store, id, must, limits); err != nil {
		return reply{}, c.inMemory(err)
	}
	return ok(deleted{ID: memoryPrefix + string(id), Type: "memory_deleted"})
}

// listMemories serves GET /memory_stores/{memory_store}/memories, by path.
func (f *Face) listMemories(c *call) (reply, error) {
	store, err := pathID[core.MemoryStoreID](c, "memory_store")
	if err != nil {
		return reply{}, err
	}
	page, folders, err := c.memoryPage()
	if err != nil {
		return reply{}, err
	}
	if c.fl.idCursors {
		return f.listMemoriesByID(c, store, page)
	}
	if text := c.query.Get("page"); text != "" {
		if page.From, err = parseMemoryCursor(text); err != nil {
			return reply{}, err
		}
	}
	list, err := f.memory.List(c.Context(), c.by, store, page, folders)
	if err != nil {
		return reply{}, c.inMemory(err)
	}
	data := make([]any, len(list.Entries))
	for i, e := range list.Entries {
		data[i] = c.fl.memoryWire(e.Memory, page.Contents)
		if e.Folder != "" {
			data[i] = memoryFolder{Type: "memory_prefix", Path: e.Folder}
		}
	}
	return ok(pageOf(data, list.Next))
}

func pageOf(data []any, from string) any {
	if from == "" {
		return page{Data: data}
	}
	next := memoryCursor(from)
	return page{Data: data, NextPage: &next}
}

// memoryPage reads what a list of memories asks for, but for its cursor.
func (c *call) memoryPage() (page core.MemoryPage, folders bool, err error) {
	if page.Contents, err = c.fullView(false, true); err != nil {
		return page, false, err
	}
	if page.Limit, err = c.query.number("limit", defaultPage, maxPage); err != nil {
		return page, false, err
	}
	if page.Contents {
		page.Limit = min(page.Limit, maxFullPage)
	}
	page.Prefix = c.query.Get("path_prefix")
	if !utf8.ValidString(page.Prefix) || strings.ContainsRune(page.Prefix, 0) {
		return page, false, core.InvalidField("path_prefix", "must be a text without NUL characters")
	}
	if c.fl == Qoder { // any beginning of a path, and no roll-ups
		page.Prefix = "/" + page.Prefix
		return page, false, nil
	}
	if p := page.Prefix; p != "" && (p[0] != '/' || p[len(p)-1] != '/') {
		return page, false, core.InvalidField("path_prefix", "must begin and end with /")
	}
	switch c.query.Get("depth") {
	case "", "0":
		return page, false, nil
	case "1":
		return page, true, nil
	}
	return page, false, core.InvalidField("depth", "must be 0 or 1")
}

// listMemoriesByID is listMemories for the wire whose cursors are ids.
func (f *Face) listMemoriesByID(c *call, store core.MemoryStoreID, q core.MemoryPage) (reply, error) {
	var place string
	from, err := c.idCursor(func(spelled string) (cursor, error) {
		id, known := core.ParseID[core.MemoryID](spelled)
		if !known {
			return cursor{}, core.NotFoundError("memory", spelled)
		}
		m, err := f.memory.Memory(c.Context(), c.by, store, id)
		if core.CodeOf(err) == "memory_store_not_found" {
			return cursor{}, nil // the list itself will say so
		}
		place = m.Path
		return cursor{id: string(m.ID)}, err
	})
	if err != nil {
		return reply{}, err
	}
	back := from != nil && from.back
	switch {
	case back:
		q.Before = place
	case from != nil:
		q.From = memory.Behind(place)
	}
	list, err := f.memory.List(c.Context(), c.by, store, q, false)
	if err != nil {
		return reply{}, c.inMemory(err)
	}
	p := idPage{Data: make([]any, len(list.Entries)), HasMore: list.More}
	for i, e := range list.Entries {
		id := memoryPrefix + string(e.Memory.ID)
		if p.LastID = &id; i == 0 {
			p.FirstID = &id
		}
		p.Data[i] = c.fl.memoryWire(e.Memory, false)
	}
	if list.More || back {
		p.NextPage = p.LastID
	}
	return ok(p)
}

// memoryCursor is an opaque place in a list of memories: the lowest path of the next page.
func memoryCursor(from string) string {
	return cursorPrefix + base64.RawURLEncoding.EncodeToString([]byte(memoryList+"."+from))
}

func parseMemoryCursor(text string) (from string, err error) {
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(text, cursorPrefix))
	from, known := strings.CutPrefix(string(raw), memoryList+"./") // every path begins so
	if err != nil || !known || !utf8.Valid(raw) || strings.ContainsRune(from, 0) || memoryCursor("/"+from) != text {
		return "", errCursor
	}
	return "/" + from, nil
}

// memoryFolder stands in a list for all memories below a path.
type memoryFolder struct {
	Type string `json:"type"`
	Path string `json:"path"`
}

// claudeMemory is a memory on the Claude wire.
type claudeMemory struct {
	Type             string  `json:"type"`
	ID               string  `json:"id"`
	MemoryStoreID    string  `json:"memory_store_id"`
	MemoryVersionID  string  `json:"memory_version_id"`
	Path             string  `json:"path"`
	Content          *string `json:"content"` // null unless asked for
	ContentSHA256    string  `json:"content_sha256"`
	ContentSizeBytes int64   `json:"content_size_bytes"`
	CreatedAt        string  `json:"created_at"`
	UpdatedAt        string  `json:"updated_at"`
}

// qoderMemory is a memory on the Qoder wire: store_id and size are what older clients read.
type qoderMemory struct {
	Type             string            `json:"type"`
	ID               string            `json:"id"`
	MemoryStoreID    string            `json:"memory_store_id"`
	StoreID          string            `json:"store_id"`
	Path             string            `json:"path"`
	Content          *string           `json:"content,omitempty"` // not in lists
	ContentSHA256    string            `json:"content_sha256"`
	ContentSizeBytes int64             `json:"content_size_bytes"`
	Size             int64             `json:"size"`
	Version          int               `json:"version"`
	Metadata         map[string]string `json:"metadata"`
	CreatedAt        string            `json:"created_at"`
	UpdatedAt        string            `json:"updated_at"`
}

func (fl *Flavour) memoryWire(m core.Memory, full bool) any {
	var content *string
	if full {
		content = &m.Content
	}
	store, id, path := memoryStorePrefix+string(m.Store), memoryPrefix+string(m.ID), fl.memoryPathWire(m.Path)
	if fl == Qoder {
		return qoderMemory{
			Type: "memory", ID: id, MemoryStoreID: store, StoreID: store, Path: path, Content: content,
			ContentSHA256: m.SHA256, ContentSizeBytes: m.Bytes, Size: m.Bytes, Version: m.Number, Metadata: metadata(m.Metadata),
			CreatedAt: timestamp(m.CreatedAt), UpdatedAt: timestamp(m.UpdatedAt),
		}
	}
	return claudeMemory{
		Type: "memory", ID: id, MemoryStoreID: store, MemoryVersionID: memoryVersionPrefix + string(m.Version), Path: path, Content: content,
		ContentSHA256: m.SHA256, ContentSizeBytes: m.Bytes, CreatedAt: timestamp(m.CreatedAt), UpdatedAt: timestamp(m.UpdatedAt),
	}
}
