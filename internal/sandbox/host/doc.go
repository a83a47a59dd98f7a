// Package host is the server's side of a sandbox: it starts the guest (internal/sandbox/guest), speaks
// with it, and cleans up after it. The drivers differ in what they start and share the rest.
//
// It owns the user ids that sandboxes run as, their control groups, and the rights on their working
// folders. What a guest answers is checked like any foreign input.
package host
