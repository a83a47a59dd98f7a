// Package catalog keeps what a team has registered: agents with their versions, and environments.
//
// It owns every rule about them, once for all faces: who may change them, what a valid definition
// is, when a change makes a new version, how a roster is pinned. Dialects differ in limits and in
// the names of fields, so a face passes its Limits along; it never checks them itself.
//
// It leaves to others how a definition looks on the wire (internal/api), how it is stored
// (core.Store) and what it means for a turn (internal/turn).
package catalog
