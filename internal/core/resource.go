package core

import "time"

// ResourceID is the id of a Resource.
type ResourceID string

// ResourceType tells Resources apart.
type ResourceType string

const (
	ResourceFile        ResourceType = "file"
	ResourceRepository  ResourceType = "github_repository"
	ResourceMemoryStore ResourceType = "memory_store"
)

// Resource is something outside of a session that its sandbox sees at a path. It is stored as JSON under
// these names, in the session's row.
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

	Store        MemoryStoreID `json:"store,omitempty"` // ResourceMemoryStore, and the four below
	Name         string        `json:"name,omitempty"`  // of the store when it was attached
	Description  string        `json:"description,omitempty"`
	Instructions string        `json:"instructions,omitempty"` // ≤ 4,096 characters
	ReadOnly     bool          `json:"read_only,omitempty"`
}
