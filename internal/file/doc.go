// Package file keeps documents: what clients upload for their sessions, and what sessions make.
//
// It owns the rules, once for all faces: who may do what, how large a file may be, what its name and its
// type are, when it expires, who may read its content, and the links that let a browser do so for a while.
//
// It leaves to others how a file looks on the wire (internal/api), where its bytes lie (internal/blob) and
// how it gets into a sandbox.
package file
