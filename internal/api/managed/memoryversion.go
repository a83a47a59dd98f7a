package managed

import (
	"github.com/reeve-ai/reeve/internal/core"
)

// Prefixes of actors' ids. A credential's id names the key and is not the key.
const (
	apiKeyPrefix = "apikey_"
	userPrefix   = "user_"
)

// getMemoryVersion serves GET /memory_stores/{memory_store}/memory_versions/{memory_version}. A redacted
// version is shown like any other.
func (f *Face) getMemoryVersion(c *call) (reply, error) {
	store, id, err := c.memoryVersionIDs()
	if err != nil {
		return reply{}, err
	}
	full, err := c.fullView(true, false)
	if err != nil {
		return reply{}, err
	}
	v, err := f.memory.Version(c.Context(), c.by, store, id)
	if err != nil {
		return reply{}, c.inMemory(err)
	}
	return ok(c.fl.memoryVersionWire(v, full))
}

func (c *call) memoryVersionIDs() (core.MemoryStoreID, core.MemoryVersionID, error) {
	store, err := pathID[core.MemoryStoreID](c, "memory_store")
	if err != nil {
		return "", "", err
	}
	id, err := pathID[core.MemoryVersionID](c, "memory_version")
	return store, id, err
}

// redactMemoryVersion serves POST /memory_stores/{memory_store}/memory_versions/{memory_version}/redact.
func (f *Face) redactMemoryVersion(c *call) (reply, error) {
	store, id, err := c.memoryVersionIDs()
	if err != nil {
		return reply{}, err
	}
	v, err := f.memory.Redact(c.Context(), c.by, store, id)
	if err != nil {
		return reply{}, c.inMemory(err)
	}
	return ok(c.fl.memoryVersionWire(v, true))
}

// listMemoryVersions serves GET /memory_stores/{memory_store}/memory_versions, newest first.
func (f *Face) listMemoryVersions(c *call) (reply, error) {
	store, err := pathID[core.MemoryStoreID](c, "memory_store")
	if err != nil {
		return reply{}, err
	}
	w, err := c.window(memoryVersionList, false, defaultPage, maxPage, func(spelled string) (cursor, error) {
		id, known := core.ParseID[core.MemoryVersionID](spelled)
		if !known {
			return cursor{}, core.NotFoundError("memory_version", spelled)
		}
		v, err := f.memory.Version(c.Context(), c.by, store, id)
		return cursor{at: v.CreatedAt.UnixMicro(), id: string(v.ID)}, err
	})
	if err != nil {
		return reply{}, err
	}
	if w.asc {
		return reply{}, core.InvalidField("order", "versions are listed newest first: must be desc")
	}
	q, none, err := c.memoryVersionFilter(&w)
	if err != nil {
		return reply{}, err
	}
	versions, err := f.memory.Versions(c.Context(), c.by, store, q)
	if err != nil {
		return reply{}, c.inMemory(err)
	}
	if none {
		versions = nil
	}
	return ok(w.envelope(each(versions, func(v core.MemoryVersion) entry {
		return entry{
			at: v.CreatedAt.UnixMicro(), id: string(v.ID), wire: memoryVersionPrefix + string(v.ID),
			body: c.fl.listedMemoryVersion(v, q.Contents),
		}
	})))
}

// memoryVersionFilter reads the filters of the list. none means that nothing can match: there are no
// service accounts here, and nobody is a key and a session at once.
func (c *call) memoryVersionFilter(w *window) (q core.MemoryVersionPage, none bool, err error) {
	if q.Contents, err = c.fullView(false, true); err != nil {
		return q, false, err
	}
	if q.Contents {
		w.limit = min(w.limit, maxFullPage)
	}
	created, err := c.query.span("created_at")
	if err == nil {
		err = w.within(created)
	}
	if err != nil {
		return q, false, err
	}
	q.Limit = w.fetch()
	q.After, q.Before = w.keys()
	q.CreatedFrom, q.CreatedTo = created.closed()
	for name, take := range map[string]func(id string){
		"memory_id":  func(id string) { q.Memory = core.MemoryID(id) },
		"session_id": func(id string) { q.By = core.Actor{Kind: core.ActorSession, ID: id} },
		"api_key_id": func(id string) { q.By = core.Actor{Kind: core.ActorCredential, ID: id} },
	} {
		spelled := c.query.Get(name)
		if spelled == "" {
			continue
		}
		id, known := core.ParseID[string](spelled)
		if !known {
			return q, false, core.InvalidField(name, "is not an id of that kind")
		}
		take(id)
	}
	none = c.query.Get("service_account_id") != "" || c.query.Get("session_id") != "" && c.query.Get("api_key_id") != ""
	switch operation := c.query.Get("operation"); operation {
	case "":
	case "updated": // Qoder's word
		q.Operation = core.MemoryModified
	case string(core.MemoryCreated), string(core.MemoryModified), string(core.MemoryDeleted):
		q.Operation = core.MemoryOperation(operation)
	default:
		return q, false, core.InvalidField("operation", "must be one of created, modified, deleted")
	}
	return q, none, nil
}

// claudeMemoryVersion is a version on the Claude wire.
type claudeMemoryVersion struct {
	Type             string  `json:"type"`
	ID               string  `json:"id"`
	MemoryStoreID    string  `json:"memory_store_id"`
	MemoryID         string  `json:"memory_id"`
	Operation        string  `json:"operation"`
	Path             *string `json:"path"` // null: redacted
	Content          *string `json:"content"`
	ContentSHA256    *string `json:"content_sha256"` // null: redacted or deleted, as the two beside it
	ContentSizeBytes *int64  `json:"content_size_bytes"`
	CreatedBy        any     `json:"created_by"`
	CreatedAt        string  `json:"created_at"`
	RedactedBy       any     `json:"redacted_by"`
	RedactedAt       any     `json:"redacted_at"`
}

// qoderMemoryVersion is a version on the Qoder wire.
type qoderMemoryVersion struct {
	Type             string  `json:"type"`
	ID               string  `json:"id"`
	MemoryStoreID    string  `json:"memory_store_id"`
	StoreID          string  `json:"store_id"`
	MemoryID         string  `json:"memory_id"`
	Version          int     `json:"version"`
	Operation        string  `json:"operation"`
	Path             *string `json:"path"`
	Content          *string `json:"content"`
	ContentSHA256    *string `json:"content_sha256"`
	ContentSizeBytes *int64  `json:"content_size_bytes"`
	Redacted         bool    `json:"redacted"`
	RedactedAt       any     `json:"redacted_at"`
	CreatedAt        string  `json:"created_at"`
}

// listedQoderVersion leaves the content out.
type listedQoderVersion struct {
	qoderMemoryVersion
	Content any `json:"content,omitempty"` // hides the one inside; always nil
}

func (fl *Flavour) listedMemoryVersion(v core.MemoryVersion, full bool) any {
	w := fl.memoryVersionWire(v, full)
	if q, is := w.(qoderMemoryVersion); is {
		return listedQoderVersion{qoderMemoryVersion: q}
	}
	return w
}

func (fl *Flavour) memoryVersionWire(v core.MemoryVersion, full bool) any {
	var path, content, hash *string
	var size *int64
	redacted := !v.RedactedAt.IsZero()
	if !redacted {
		p := fl.memoryPathWire(v.Path)
		path = &p
	}
	if !redacted && v.Operation != core.MemoryDeleted {
		hash, size = &v.SHA256, &v.Bytes
		if full {
			content = &v.Content
		}
	}
	store, id, of := memoryStorePrefix+string(v.Store), memoryVersionPrefix+string(v.ID), memoryPrefix+string(v.Memory)
	if fl == Qoder {
		w := qoderMemoryVersion{
			Type: "memory_version", ID: id, MemoryStoreID: store, StoreID: store, MemoryID: of, Version: v.Number, Operation: string(v.Operation),
			Path: path, Content: content, ContentSHA256: hash, ContentSizeBytes: size,
			Redacted: redacted, RedactedAt: maybeTime(v.RedactedAt), CreatedAt: timestamp(v.CreatedAt),
		}
		if v.Operation == core.MemoryModified {
			w.Operation = "updated"
		}
		return w
	}
	return claudeMemoryVersion{
		Type: "memory_version", ID: id, MemoryStoreID: store, MemoryID: of, Operation: string(v.Operation),
		Path: path, Content: content, ContentSHA256: hash, ContentSizeBytes: size,
		CreatedBy: fl.actorWire(v.CreatedBy), CreatedAt: timestamp(v.CreatedAt),
		RedactedBy: fl.actorWire(v.RedactedBy), RedactedAt: maybeTime(v.RedactedAt),
	}
}

// actorWire says who did something; null: nobody.
func (fl *Flavour) actorWire(a core.Actor) any {
	switch a.Kind {
	case core.ActorSession:
		return map[string]string{"type": "session_actor", "session_id": fl.sessionPrefix + a.ID}
	case core.ActorCredential:
		return map[string]string{"type": "api_actor", "api_key_id": apiKeyPrefix + a.ID}
	case core.ActorUser:
		return map[string]string{"type": "user_actor", "user_id": userPrefix + a.ID}
	}
	return nil
}
