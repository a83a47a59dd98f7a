// Package memory keeps what agents remember: stores, the texts in them, and every version of each.
//
// It owns the rules, once for all faces and tools: who may read and write, what a path may be, which
// changes are refused, when a change makes a version, and what an archived store still takes. Dialects
// differ in limits, so a face passes its Limits along.
//
// It leaves to others how a memory looks on the wire (internal/api), how it is stored
// (core.MemoryStorage), and which store a session may see (the session's resources).
package memory
