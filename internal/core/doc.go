// Package core holds the nouns of Reeve, the errors that cross package borders, and the ports
// (Store, Provider, Tool, SandboxDriver, Bus) that the rules need.
//
// It imports only the standard library and knows no wire format: how a noun looks to a client is
// the business of the faces under internal/api, and how it is stored that of internal/store.
package core
