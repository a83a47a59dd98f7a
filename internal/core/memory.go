package core

import (
	"context"
	"time"
)

// MemoryStoreID is the id of a MemoryStore.
type MemoryStoreID string

// MemoryID is the id of a Memory.
type MemoryID string

// MemoryVersionID is the id of a MemoryVersion.
type MemoryVersionID string

// MemoryStore is a named container of texts that agents remember from one session to the next.
type MemoryStore struct {
	Project     ProjectID
	ID          MemoryStoreID
	Name        string            // 1–255 characters, none of them a control character; not unique
	Description string            // ≤ 1,024 characters
	Metadata    map[string]string // never nil
	Entries     int               // memories in it now; kept by the storage
	Bytes       int64             // their contents together; kept by the storage
	Changes     int64             // grows with every memory that is written or deleted; kept by the storage
	CreatedAt   time.Time
	UpdatedAt   time.Time // of the store itself, not of its memories
	ArchivedAt  time.Time // zero: not archived
}

// Memory is one text at a path of a store. Its content is that of its newest version.
type Memory struct {
	Project   ProjectID
	Store     MemoryStoreID
	ID        MemoryID // stays when the path changes
	Path      string   // "/notes/todo.md"; unique in its store, and never above or below another memory's
	Content   string   // ≤ 102,400 bytes of UTF-8; empty too where a list was asked for without contents
	SHA256    string   // of Content: 64 lower-case hex digits
	Bytes     int64    // length of Content
	Metadata  map[string]string
	Number    int // of its newest version: 1, 2, 3 …
	Version   MemoryVersionID
	CreatedAt time.Time
	UpdatedAt time.Time
}

// MemoryOperation is what a version did to its memory.
type MemoryOperation string

const (
	MemoryCreated  MemoryOperation = "created"
	MemoryModified MemoryOperation = "modified"
	MemoryDeleted  MemoryOperation = "deleted"
)

// ActorKind tells Actors apart.
type ActorKind string

const (
	ActorSession    ActorKind = "session" // an agent, in one of its sessions
	ActorCredential ActorKind = "credential"
	ActorUser       ActorKind = "user"
)

// Actor is who did something, as it is kept. The zero Actor is nobody.
type Actor struct {
	Kind ActorKind
	ID   string // of the session, the credential or the user; they may be gone
}

// Actor is who p is: a session before all else, because the key that it runs with wrote nothing itself.
func (p Principal) Actor() Actor {
	switch {
	case p.Session != "":
		return Actor{ActorSession, string(p.Session)}
	case p.Credential != "":
		return Actor{ActorCredential, string(p.Credential)}
	case p.User != "":
		return Actor{ActorUser, string(p.User)}
	}
	return Actor{}
}

// SpareVersions is how many newer versions of its memory make a version spare, so that it goes when it is old
// (claude-managed-agents.md section 3.10, which names 30 days and says of recent versions only that they
// always stay). With ten kept, of at most 100 KiB each, a mistake can be undone that nobody saw for long.
const SpareVersions = 10

// MemoryVersion is one change of a memory. Versions belong to the store and stay when their memory is
// deleted. Nothing about them changes but that they are redacted; old spare ones are pruned.
type MemoryVersion struct {
	Project    ProjectID
	Store      MemoryStoreID
	ID         MemoryVersionID
	Memory     MemoryID
	Number     int // within the memory: 1, 2, 3 …
	Operation  MemoryOperation
	Path       string // at that time; empty if redacted
	Content    string // empty if redacted or deleted, and where a list was asked for without contents
	SHA256     string // empty if redacted or deleted
	Bytes      int64
	CreatedBy  Actor
	CreatedAt  time.Time
	RedactedBy Actor
	RedactedAt time.Time // zero: not redacted
}

// MemoryStorePage is a query for memory stores, newest first.
type MemoryStorePage struct {
	Limit           int // 1 to 1000
	After           *PageKey
	Before          *PageKey // rows on the other side of this key; the order of the answer stays the same
	IncludeArchived bool
	CreatedFrom     time.Time // inclusive; zero: open
	CreatedTo       time.Time // inclusive; zero: open
}

// MemoryPage is a query for the memories of a store, by path in byte order.
type MemoryPage struct {
	Limit    int    // 1 to 1000
	Prefix   string // of the path, to the letter; empty: all
	From     string // the lowest path, inclusive; empty: open
	Before   string // paths below this one, and of those the nearest to it; empty: open
	Contents bool   // fill in Content
}

// MemoryVersionPage is a query for the versions of a store, newest first.
type MemoryVersionPage struct {
	Limit       int // 1 to 1000
	After       *PageKey
	Before      *PageKey
	Memory      MemoryID        // empty: all
	Operation   MemoryOperation // empty: all
	By          Actor           // zero: anybody
	CreatedFrom time.Time       // inclusive; zero: open
	CreatedTo   time.Time       // inclusive; zero: open
	Contents    bool            // fill in Content
}

// MemoryStorage keeps memory stores, memories and their versions.
type MemoryStorage interface {
	// CreateMemoryStore stores an empty one; a taken id is Conflict ("memory_store_already_exists").
	CreateMemoryStore(ctx context.Context, s MemoryStore) error
	// MemoryStore returns one store. Inside Tx it also holds the store until the transaction ends, so that
	// who looks whether a path is free finds it free still when writing.
	MemoryStore(ctx context.Context, project ProjectID, id MemoryStoreID) (MemoryStore, error)
	// UpdateMemoryStore replaces Name, Description, Metadata, UpdatedAt and ArchivedAt.
	UpdateMemoryStore(ctx context.Context, s MemoryStore) error
	// DeleteMemoryStore removes the store, its memories and all versions.
	DeleteMemoryStore(ctx context.Context, project ProjectID, id MemoryStoreID) error
	MemoryStores(ctx context.Context, project ProjectID, page MemoryStorePage) ([]MemoryStore, error)

	// Memory returns a memory with its content.
	Memory(ctx context.Context, project ProjectID, store MemoryStoreID, id MemoryID) (Memory, error)
	// MemoryAt returns the memory at a path, with its content.
	MemoryAt(ctx context.Context, project ProjectID, store MemoryStoreID, path string) (Memory, error)
	// MemoryBlocking returns, without its content, a memory that keeps another from the path: it is at the
	// path, at one of the path's parents, or below the path. The memory except never is that one. NotFound
	// if the path is free.
	MemoryBlocking(ctx context.Context, project ProjectID, store MemoryStoreID, path string, except MemoryID) (Memory, error)
	// Memories lists without gaps; past the end it is an empty slice and no error.
	Memories(ctx context.Context, project ProjectID, store MemoryStoreID, page MemoryPage) ([]Memory, error)
	// WriteMemory stores the memory together with the version m.Version, made by an actor, which it becomes
	// with that: its Number is 1 for a new memory, and else the stored one plus 1, or Conflict
	// ("memory_version_conflict"). A taken id, or a taken path, is Conflict ("memory_already_exists");
	// an unknown store NotFound.
	WriteMemory(ctx context.Context, m Memory, by Actor) error
	// DeleteMemory removes the memory m.ID and stores m.Version, a version that says so: of m.Number, at
	// m.Path and m.UpdatedAt. Number is the stored one plus 1, or Conflict ("memory_version_conflict").
	DeleteMemory(ctx context.Context, m Memory, by Actor) error

	// MemoryVersion returns a version with its content.
	MemoryVersion(ctx context.Context, project ProjectID, store MemoryStoreID, id MemoryVersionID) (MemoryVersion, error)
	MemoryVersions(ctx context.Context, project ProjectID, store MemoryStoreID, page MemoryVersionPage) ([]MemoryVersion, error)
	// PruneMemoryVersions deletes versions that were made before a time and are spare: their memory has
	// SpareVersions newer ones. It takes the oldest first, of all projects, at most limit, and returns how many
	// it deleted.
	PruneMemoryVersions(ctx context.Context, before time.Time, limit int) (int, error)
	// RedactMemoryVersion erases Path, Content, SHA256 and Bytes, once; a second time changes nothing.
	RedactMemoryVersion(ctx context.Context, project ProjectID, store MemoryStoreID, id MemoryVersionID, by Actor, at time.Time) error
}
