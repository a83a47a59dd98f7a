// Package guest is the half of a sandbox that lives inside it: a small process, the same binary as
// the server, that keeps the session's shell and does all file operations, so that the shell and the
// file tools see the same files and the kernel holds both to the same limits.
//
// It owns the shell, the end of every process inside, and, where no bubblewrap did it before, the
// walls themselves (mounts, Landlock). The host (internal/sandbox/host) talks to it over a pair of
// pipes and trusts nothing that comes back: whoever breaks the guest is still in the sandbox.
package guest
