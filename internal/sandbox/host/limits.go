package host

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/sandbox/layout"
)

// Defaults for the zero fields of core.SandboxLimits. Output and time are those of the reference
// executor (Claude Managed Agents, built-in toolset: 100 KiB, 120 s).
const (
	DefaultMemory    = 1 << 30
	DefaultProcesses = 256
	DefaultOutput    = 100 << 10
	DefaultCommand   = 120 * time.Second
	DefaultFile      = 256 << 20
)

// guestThreads is room for the guest's own threads and bubblewrap's two processes in the group's
// process limit.
const guestThreads = 64

// WithDefaults fills the zero fields.
func WithDefaults(l core.SandboxLimits) core.SandboxLimits {
	if l.MemoryBytes <= 0 {
		l.MemoryBytes = DefaultMemory
	}
	if l.Processes <= 0 {
		l.Processes = DefaultProcesses
	}
	if l.OutputBytes <= 0 {
		l.OutputBytes = DefaultOutput
	}
	if l.Command <= 0 {
		l.Command = DefaultCommand
	}
	if l.FileBytes <= 0 {
		l.FileBytes = DefaultFile
	}
	return l
}

// TempBytes is the size of a /tmp in memory: it counts against the memory limit, so it must not be
// able to use that up alone.
func TempBytes(l core.SandboxLimits) int64 { return min(l.MemoryBytes/2, 512<<20) }

var envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// ShellEnv is the whole environment of a shell whose home is home, sorted. Names in extra win.
// A name that is none, or a NUL byte, is Invalid.
func ShellEnv(home string, extra map[string]string) ([]string, error) {
	env := map[string]string{"PATH": layout.Path, "HOME": home, "LANG": "C.UTF-8", "TERM": "dumb", "USER": layout.User}
	for k, v := range extra {
		if !envName.MatchString(k) || strings.IndexByte(v, 0) >= 0 {
			return nil, core.Errorf(core.Invalid, "invalid_environment", "%q is not a valid environment variable", k)
		}
		env[k] = v
	}
	out := make([]string, 0, len(env))
	for k, v := range env {
		out = append(out, fmt.Sprintf("%s=%s", k, v))
	}
	slices.Sort(out)
	return out, nil
}

// unavailable says that a sandbox could not be had or is gone.
func unavailable(code string, err error, format string, args ...any) error {
	e := core.Errorf(core.Unavailable, code, format, args...)
	e.Err = err
	return e
}
