package core

import (
	"log/slog"
	"time"
)

// ResourceID is the id of a Resource.
type ResourceID string

// ResourceType tells Resources apart.
type ResourceType string

const (
	ResourceFile        ResourceType = "file"
	ResourceRepository  ResourceType = "github_repository"
	ResourceMemoryStore ResourceType = "memory_store"
)

// Where a sandbox sees what a session has attached (claude-managed-agents.md section 6.6).
const (
	UploadsFolder = "/mnt/session/uploads" // files; read-only
	OutputsFolder = "/mnt/session/outputs" // what the agent leaves there becomes files of the session
	MemoryFolder  = "/mnt/memory"
	WorkFolder    = "/workspace" // repositories
)

// Resource is something outside of a session that its sandbox sees at a path. It is stored as JSON under
// these names, in the session's row; in a deployment's row as it was given, without ID, File and times, and
// with a MountPath only if one was given.
type Resource struct {
	ID        ResourceID   `json:"id"`
	Type      ResourceType `json:"type"`
	MountPath string       `json:"mount_path"` // absolute, inside the sandbox; unique in a session
	CreatedAt time.Time    `json:"created_at"`
	UpdatedAt time.Time    `json:"updated_at"`

	File   FileID `json:"file,omitempty"`   // ResourceFile: the session's own copy
	Source FileID `json:"source,omitempty"` // ResourceFile: the file that was attached; it may be gone

	URL    string `json:"url,omitempty"`    // ResourceRepository: https://github.com/owner/name
	Branch string `json:"branch,omitempty"` // ResourceRepository: what is checked out; of both at most one is set
	Commit string `json:"commit,omitempty"`
	Token  []byte `json:"token,omitempty"` // ResourceRepository: sealed, never shown; nil: none
	Clear  Clear  `json:"-"`               // ResourceRepository: the token on its way to being sealed; empty: none

	Store        MemoryStoreID `json:"store,omitempty"` // ResourceMemoryStore, and the four below
	Name         string        `json:"name,omitempty"`  // of the store when it was attached
	Description  string        `json:"description,omitempty"`
	Instructions string        `json:"instructions,omitempty"` // ≤ 4,096 characters
	ReadOnly     bool          `json:"read_only,omitempty"`
}

// Clear is a secret in clear text. It writes itself, to logs, texts and JSON, without it.
type Clear string

const redacted = "[redacted]"

func (Clear) String() string { return redacted }

// GoString is as String.
func (Clear) GoString() string { return redacted }

// LogValue keeps the secret out of logs.
func (Clear) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText keeps it out of JSON.
func (Clear) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Sealer keeps the tokens of repositories secret where they are stored. It is used from several goroutines.
type Sealer interface {
	// Seal encrypts a token for one owner: "session" or "deployment", and its id.
	Seal(project ProjectID, owner, id string, token Clear) ([]byte, error)
	// Unseal undoes Seal for the same project and owner. For another it is an Internal error, which says
	// nothing of the token.
	Unseal(project ProjectID, owner, id string, sealed []byte) (Clear, error)
}
