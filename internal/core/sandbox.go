package core

import (
	"context"
	"time"
)

// SandboxDriver makes sandboxes: places on this machine where an agent's commands run.
type SandboxDriver interface {
	// Name is the driver's name: bubblewrap, landlock, none.
	Name() string
	// Open starts a sandbox. The folder of its spec is created if need be and outlives it.
	// Errors: Unavailable ("sandbox_unavailable") if this machine cannot isolate.
	Open(ctx context.Context, spec SandboxSpec) (Sandbox, error)
}

// SandboxSpec is the recipe of one sandbox.
type SandboxSpec struct {
	Session SessionID
	Folder  string  // host path of the working folder; the sandbox sees it as /workspace
	Mounts  []Mount // besides Folder; their Paths lie apart
	// Gateway is the sandbox's way out, at GatewayAddress; nil: none. Drivers that cannot make network
	// namespaces leave it alone.
	Gateway Gateway
	Network bool              // only for drivers that cannot make network namespaces: share the host's network
	Env     map[string]string // the only variables besides PATH, HOME, LANG, TERM and USER
	Limits  SandboxLimits
}

// Mount shows a folder of the host inside a sandbox. One that is not read-only belongs to one session: it is
// given to the user that the sandbox runs as, with all that is in it when the sandbox starts. What is in a
// read-only one is for everybody to read, and may be shared.
type Mount struct {
	Host     string // an existing folder of the host
	Path     string // absolute and clean, inside the sandbox: below /mnt or /workspace
	ReadOnly bool
}

// Workspaces lays out what a session's sandbox sees: its working folder, and what is brought into it.
type Workspaces interface {
	// Open brings everything that the session has attached to where its sandbox will see it, and says where
	// that is. It is called before each use of the sandbox and is quick when nothing changed. Errors that the
	// model may read are Invalid or Unavailable.
	Open(ctx context.Context, sess Session) (Workspace, error)
	// Brief is what the agent is told about it, to be added to its system prompt; empty if there is nothing
	// to tell. It is called once at the beginning of each run of a turn.
	Brief(ctx context.Context, sess Session) (string, error)
	// Settle takes what the agent left behind: changed memories, files of the output folder. It is called
	// behind each turn that used the sandbox, before the session is idle for its clients.
	Settle(ctx context.Context, sess Session) error
}

// Workspace is a session's part of the host, as its sandbox sees it.
type Workspace struct {
	Folder string  // host path of the working folder
	Mounts []Mount // nil if there is nothing besides
}

// SandboxLimits bound what runs inside. Zero fields take the driver's defaults.
type SandboxLimits struct {
	MemoryBytes int64         // all processes together where cgroups can be had, else each
	Processes   int           // at one time
	OutputBytes int           // kept of one command; the rest is counted and dropped
	Command     time.Duration // longest run of one command
	FileBytes   int64         // largest file that may be written
}

// Sandbox is one living sandbox. Calls may come from several goroutines; commands of one shell run
// one after the other. Paths are absolute inside the sandbox, or relative to /workspace.
//
// Errors that the model should read (no such file, not a regular file, …) are Invalid; a sandbox
// that died is Unavailable, and the caller may open another.
type Sandbox interface {
	// Bash runs a command in the session's persistent shell: folder, variables and functions stay
	// from one call to the next. When the command outlives its timeout, or ctx ends, its whole
	// process tree is killed and the next call starts a new shell.
	Bash(ctx context.Context, cmd BashCommand) (BashResult, error)
	// ReadFile returns a regular file. Larger than maxBytes: Invalid ("file_too_large").
	ReadFile(ctx context.Context, path string, maxBytes int64) ([]byte, error)
	// WriteFile replaces a file as a whole (mode 0644) and creates missing parent folders.
	// It reports whether the file is new.
	WriteFile(ctx context.Context, path string, data []byte) (created bool, err error)
	// Glob returns the paths of files under root that match a pattern (** crosses folders), newest
	// first, at most limit; more reports whether there were others.
	Glob(ctx context.Context, root, pattern string, limit int) (paths []string, more bool, err error)
	// Grep returns lines that match a regular expression (RE2) in files under root, as
	// "path:line:text", at most maxBytes of them; more reports whether there were others.
	Grep(ctx context.Context, root, pattern string, maxBytes int) (lines []string, more bool, err error)
	// Close kills everything inside. The folder stays.
	Close() error
}

// BashCommand is one command for the shell.
type BashCommand struct {
	Command string
	Restart bool          // start a fresh shell first; Command may then be empty
	Timeout time.Duration // 0: the limit of the sandbox; more than the limit is cut down to it
}

// BashResult is what a command did.
type BashResult struct {
	Output   string // standard output and error as they came, valid UTF-8, at most Limits.OutputBytes
	Dropped  int64  // bytes of output that were not kept
	ExitCode int    // 128+n after signal n
	TimedOut bool
}
