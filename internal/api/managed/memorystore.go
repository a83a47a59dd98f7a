package managed

import (
	"errors"
	"net/http"

	"github.com/reeve-ai/reeve/internal/api/httpio"
	"github.com/reeve-ai/reeve/internal/core"
)

const (
	memoryStorePrefix   = "memstore_"
	memoryPrefix        = "mem_"
	memoryVersionPrefix = "memver_"
)

// Names of the lists, as they stand in cursors.
const (
	memoryStoreList   = "memstore"
	memoryList        = "mem"
	memoryVersionList = "memver"
)

// memoryRoutes are those of memory stores, memories and their versions (CMA section 3.10, qoder.md
// section 3.10).
func (f *Face) memoryRoutes() []route {
	return []route{
		{method: http.MethodPost, path: "/memory_stores", serve: f.createMemoryStore},
		{method: http.MethodGet, path: "/memory_stores", serve: f.listMemoryStores},
		{method: http.MethodGet, path: "/memory_stores/{memory_store}", serve: f.getMemoryStore, worker: true},
		{method: http.MethodPost, path: "/memory_stores/{memory_store}", serve: f.updateMemoryStore},
		{method: http.MethodDelete, path: "/memory_stores/{memory_store}", serve: f.deleteMemoryStore},
		{method: http.MethodPost, path: "/memory_stores/{memory_store}/archive", serve: f.archiveMemoryStore},

		{method: http.MethodPost, path: "/memory_stores/{memory_store}/memories", serve: f.createMemory, worker: true},
		{method: http.MethodGet, path: "/memory_stores/{memory_store}/memories", serve: f.listMemories, worker: true},
		{method: http.MethodGet, path: "/memory_stores/{memory_store}/memories/{memory}", serve: f.getMemory, worker: true},
		{method: http.MethodPost, path: "/memory_stores/{memory_store}/memories/{memory}", serve: f.updateMemory, worker: true},
		{method: http.MethodPut, path: "/memory_stores/{memory_store}/memories/{memory}", serve: f.updateMemory, only: Qoder, worker: true},
		{method: http.MethodDelete, path: "/memory_stores/{memory_store}/memories/{memory}", serve: f.deleteMemory, worker: true},

		{method: http.MethodGet, path: "/memory_stores/{memory_store}/memory_versions", serve: f.listMemoryVersions},
		{method: http.MethodGet, path: "/memory_stores/{memory_store}/memory_versions/{memory_version}", serve: f.getMemoryVersion},
		{method: http.MethodPost, path: "/memory_stores/{memory_store}/memory_versions/{memory_version}/redact", serve: f.redactMemoryVersion},
	}
}

// inMemory replaces the NotFound of the service, which knows no prefixes, by one in the client's spelling.
func (c *call) inMemory(err error) error {
	if core.KindOf(err) != core.NotFound {
		return err
	}
	for _, noun := range []string{"memory_store", "memory", "memory_version"} {
		if core.CodeOf(err) == noun+"_not_found" {
			return core.NotFoundError(noun, c.PathValue(noun))
		}
	}
	return err
}

// createMemoryStore serves POST /memory_stores.
func (f *Face) createMemoryStore(c *call) (reply, error) {
	o, err := bodyObject(c)
	if err != nil {
		return reply{}, err
	}
	m := core.MemoryStore{Name: o.text("name"), Description: o.text("description"), Metadata: o.stringMap("metadata")}
	if err := o.end(); err != nil {
		return reply{}, err
	}
	if c.once != nil {
		m.ID = core.MemoryStoreID(c.once.record.Object)
	}
	made, err := f.memory.CreateStore(c.Context(), c.by, m, c.fl.memory)
	if c.once != nil && core.KindOf(err) == core.Conflict { // an earlier try made it
		made, err = f.memory.Store(c.Context(), c.by, m.ID)
	}
	if err != nil {
		return reply{}, err
	}
	return reply{c.fl.created, c.fl.memoryStoreWire(made)}, nil
}

// getMemoryStore serves GET /memory_stores/{memory_store}.
func (f *Face) getMemoryStore(c *call) (reply, error) {
	id, err := pathID[core.MemoryStoreID](c, "memory_store")
	if err != nil {
		return reply{}, err
	}
	m, err := f.memory.Store(c.Context(), c.by, id)
	if err != nil {
		return reply{}, c.inMemory(err)
	}
	return ok(c.fl.memoryStoreWire(m))
}

// updateMemoryStore serves POST /memory_stores/{memory_store}. What is left out stays.
func (f *Face) updateMemoryStore(c *call) (reply, error) {
	id, err := pathID[core.MemoryStoreID](c, "memory_store")
	if err != nil {
		return reply{}, err
	}
	o, err := bodyObject(c)
	if err != nil {
		return reply{}, err
	}
	name, description, metadata := read[string](o, "name"), read[string](o, "description"), o.patch("metadata")
	if name.Null {
		o.fail(core.InvalidField("name", "cannot be cleared"))
	}
	if err := o.end(); err != nil {
		return reply{}, err
	}
	m, err := f.memory.UpdateStore(c.Context(), c.by, id, c.fl.memory, func(m *core.MemoryStore) error {
		m.Name, m.Description = orElse(name, m.Name), orElse(description, m.Description)
		m.Metadata = patched(m.Metadata, metadata)
		return nil
	})
	if err != nil {
		return reply{}, c.inMemory(err)
	}
	return ok(c.fl.memoryStoreWire(m))
}

// orElse is a member as it was sent, null as the zero value, or before if it was left out.
func orElse[T any](v httpio.Optional[T], before T) T {
	if v.Set {
		return v.V
	}
	return before
}

// archiveMemoryStore serves POST /memory_stores/{memory_store}/archive.
func (f *Face) archiveMemoryStore(c *call) (reply, error) {
	id, err := pathID[core.MemoryStoreID](c, "memory_store")
	if err != nil {
		return reply{}, err
	}
	m, err := f.memory.ArchiveStore(c.Context(), c.by, id)
	if err != nil {
		return reply{}, c.inMemory(err)
	}
	return ok(c.fl.memoryStoreWire(m))
}

// deleteMemoryStore serves DELETE /memory_stores/{memory_store}.
func (f *Face) deleteMemoryStore(c *call) (reply, error) {
	id, err := pathID[core.MemoryStoreID](c, "memory_store")
	if err != nil {
		return reply{}, err
	}
	if err := f.memory.DeleteStore(c.Context(), c.by, id); err != nil {
		return reply{}, c.inMemory(err)
	}
	return ok(deleted{ID: memoryStorePrefix + string(id), Type: "memory_store_deleted"})
}

// listMemoryStores serves GET /memory_stores, newest first.
func (f *Face) listMemoryStores(c *call) (reply, error) {
	w, err := c.window(memoryStoreList, false, defaultPage, maxPage, func(spelled string) (cursor, error) {
		id, known := core.ParseID[core.MemoryStoreID](spelled)
		if !known {
			return cursor{}, core.NotFoundError("memory_store", spelled)
		}
		m, err := f.memory.Store(c.Context(), c.by, id)
		return cursor{at: m.CreatedAt.UnixMicro(), id: string(m.ID)}, err
	})
	if err != nil {
		return reply{}, err
	}
	if w.asc {
		return reply{}, core.InvalidField("order", "memory stores are listed newest first: must be desc")
	}
	created, err := c.query.span("created_at")
	if err != nil {
		return reply{}, err
	}
	archived, err := c.query.flag("include_archived")
	if err := errors.Join(err, w.within(created)); err != nil {
		return reply{}, err
	}
	q := core.MemoryStorePage{Limit: w.fetch(), IncludeArchived: archived}
	q.After, q.Before = w.keys()
	q.CreatedFrom, q.CreatedTo = created.closed()
	stores, err := f.memory.Stores(c.Context(), c.by, q)
	if err != nil {
		return reply{}, err
	}
	return ok(w.envelope(each(stores, func(m core.MemoryStore) entry {
		return entry{at: m.CreatedAt.UnixMicro(), id: string(m.ID), wire: memoryStorePrefix + string(m.ID), body: c.fl.memoryStoreWire(m)}
	})))
}

// memoryStoreWire is a memory store on the wire. A description that was never set is "" in both flavours.
type memoryStoreWire struct {
	Type        string            `json:"type"`
	ID          string            `json:"id"`
	Name        string            `json:"name"`
	Description string            `json:"description"`
	Metadata    map[string]string `json:"metadata"`
	*memoryCounts
	CreatedAt  string `json:"created_at"`
	UpdatedAt  string `json:"updated_at"`
	ArchivedAt any    `json:"archived_at"`
}

// memoryCounts are members that only Qoder has.
type memoryCounts struct {
	Status     string `json:"status"` // active, archived
	EntryCount int    `json:"entry_count"`
	TotalSize  int64  `json:"total_size"`
}

func (fl *Flavour) memoryStoreWire(m core.MemoryStore) memoryStoreWire {
	w := memoryStoreWire{
		Type: "memory_store", ID: memoryStorePrefix + string(m.ID), Name: m.Name, Description: m.Description,
		Metadata: metadata(m.Metadata), CreatedAt: timestamp(m.CreatedAt), UpdatedAt: timestamp(m.UpdatedAt), ArchivedAt: maybeTime(m.ArchivedAt),
	}
	if fl == Qoder {
		w.memoryCounts = &memoryCounts{Status: "active", EntryCount: m.Entries, TotalSize: m.Bytes}
		if !m.ArchivedAt.IsZero() {
			w.Status = "archived"
		}
	}
	return w
}
