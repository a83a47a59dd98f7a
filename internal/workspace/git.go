package workspace

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

const (
	sizeEvery   = 500 * time.Millisecond // how often a clone is measured while it grows
	killTimeout = 5 * time.Second
	maxSaid     = 8 << 10 // bytes of git's errors that are kept
	leastSize   = 4 << 10 // bytes that any file or folder takes on the disk
	maxClones   = 4       // at one time
)

// withLimit is a script that runs what its arguments say in at most 4 GiB of address space: a stranger chose what
// git has to unpack.
const withLimit = `ulimit -v 4194304; exec "$0" "$@"`

// git runs git for one clone of a stranger's repository: with nothing of this machine's configuration, over https
// alone, through the tunnel, without prompts, hooks, filters, credential helpers or submodules.
type git struct {
	program, home, host, ca string
	token                   core.Clear
	way                     *tunnel
	draft                   string
	limit                   int64 // bytes on the disk
}

// gitError is what git said when it failed. It is for the log.
type gitError struct {
	said string
	err  error
}

func (e *gitError) Error() string { return e.err.Error() + ": " + e.said }
func (e *gitError) Unwrap() error { return e.err }

func (g git) clone(ctx context.Context, r core.Resource) error {
	args := []string{"clone", "--quiet", "--no-checkout", "--no-recurse-submodules", "--template="}
	if r.Branch != "" {
		args = append(args, "--branch", r.Branch)
	}
	if err := g.run(ctx, append(args, "--", r.URL, g.draft)...); err != nil {
		return err
	}
	if r.Commit != "" {
		// Only a hash will do: a branch may be called like one.
		if err := g.run(ctx, "-C", g.draft, "rev-parse", "--quiet", "--verify", "--end-of-options", r.Commit+"^{commit}"); err != nil {
			return &core.Error{
				Kind: core.Invalid, Code: "repository_not_cloned", Err: err,
				Message: fmt.Sprintf("the repository %s could not be cloned: the commit %s was not found", r.URL, r.Commit),
			}
		}
		return g.run(ctx, "-C", g.draft, "checkout", "--quiet", "--force", "--detach", r.Commit)
	}
	if err := g.run(ctx, "-C", g.draft, "rev-parse", "--quiet", "--verify", "HEAD^{commit}"); err != nil {
		var failed *gitError
		if ctx.Err() == nil && errors.As(err, &failed) {
			return nil // it is empty: there is nothing to check out
		}
		return err
	}
	return g.run(ctx, "-C", g.draft, "checkout", "--quiet", "--force")
}

// environment is all that git knows of the world. The token and the tunnel's password stand here, not on the command
// line, which every user of the machine may read, and not in the configuration of the clone.
func (g git) environment() []string {
	env := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + g.home, "LC_ALL=C", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_ATTR_NOSYSTEM=1",
		"GIT_TERMINAL_PROMPT=0", "GIT_ALLOW_PROTOCOL=https", "GIT_PROTOCOL_FROM_USER=0", "GIT_LFS_SKIP_SMUDGE=1",
		"GIT_COMMITTER_NAME=Reeve", "GIT_COMMITTER_EMAIL=reeve@localhost", // of the reflog; git would look for a name on this machine
	}
	set := [][2]string{
		{"http.proxy", g.way.url},
		{"http.proxyAuthMethod", "basic"},
		{"http.followRedirects", "initial"},
		{"http.lowSpeedLimit", "1000"},
		{"http.lowSpeedTime", "60"},
		{"credential.helper", ""},
		{"core.hooksPath", "/dev/null"},
		{"core.fsmonitor", "false"},
		{"submodule.recurse", "false"},
		{"gc.auto", "0"},
		{"pack.threads", "2"}, // each takes address space, as do the parts of files that are mapped
		{"core.packedGitWindowSize", "64m"},
		{"core.packedGitLimit", "512m"},
		{"core.bigFileThreshold", "64m"}, // larger ones are not held in memory
		{"maintenance.auto", "false"},
		{"advice.detachedHead", "false"},
		{"safe.directory", "*"}, // the clone is ours; this silences a check of who owns it
	}
	if g.token != "" {
		basic := base64.StdEncoding.EncodeToString([]byte("x-access-token:" + string(g.token)))
		set = append(set, [2]string{"http." + g.host + ".extraHeader", "Authorization: Basic " + basic})
	}
	if g.ca != "" {
		env = append(env, "GIT_SSL_CAINFO="+g.ca)
	}
	env = append(env, "GIT_CONFIG_COUNT="+strconv.Itoa(len(set)))
	for i, kv := range set {
		env = append(env, fmt.Sprintf("GIT_CONFIG_KEY_%d=%s", i, kv[0]), fmt.Sprintf("GIT_CONFIG_VALUE_%d=%s", i, kv[1]))
	}
	return env
}

// run runs one command of git to its end, and kills all of its processes if ctx ends or the clone grows too
// large.
func (g git) run(ctx context.Context, args ...string) error {
	program, err := exec.LookPath(g.program)
	if err != nil {
		return &core.Error{
			Kind: core.Unavailable, Code: "git_missing", Err: err,
			Message: "this server cannot clone repositories: git is not installed on its machine",
		}
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	measured := make(chan struct{})
	go func() {
		defer close(measured)
		g.measure(ctx, stop)
	}()
	cmd := exec.CommandContext(ctx, "/bin/sh", append([]string{"-c", withLimit, program}, args...)...)
	cmd.Dir, cmd.Env = g.home, g.environment()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = killTimeout
	said := &clipped{}
	cmd.Stderr = said
	err = cmd.Run()
	cause := context.Cause(ctx)
	stop(nil)
	<-measured
	switch {
	case errors.Is(cause, errTooMuch):
		return cause
	case err != nil:
		return &gitError{g.clean(said.String()), fmt.Errorf("git %s: %w", verb(args), err)}
	case g.size() > g.limit: // it grew between two looks
		return errTooMuch
	}
	return nil
}

// verb is the command of git among its arguments.
func verb(args []string) string {
	if args[0] == "-C" {
		return args[2]
	}
	return args[0]
}

// clean takes secrets out of what git said, should it ever repeat one.
func (g git) clean(said string) string {
	said = strings.ReplaceAll(said, g.way.url, "[proxy]")
	if g.token == "" {
		return said
	}
	basic := base64.StdEncoding.EncodeToString([]byte("x-access-token:" + string(g.token)))
	return strings.NewReplacer(string(g.token), g.token.String(), basic, g.token.String()).Replace(said)
}

// measure ends the clone when it has grown too large.
func (g git) measure(ctx context.Context, stop context.CancelCauseFunc) {
	tick := time.NewTicker(sizeEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if g.size() > g.limit {
				stop(errTooMuch)
				return
			}
		}
	}
}

// size is how many bytes the clone takes, as far as it can be seen while it changes.
func (g git) size() int64 {
	var sum int64
	_ = filepath.WalkDir(g.draft, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil // it went away
		}
		if info, err := d.Info(); err == nil {
			sum += max(info.Size(), leastSize)
		}
		if sum > g.limit {
			return fs.SkipAll
		}
		return nil
	})
	return sum
}

// clipped keeps the beginning of what is written.
type clipped struct{ bytes.Buffer }

func (c *clipped) Write(p []byte) (int, error) {
	if room := maxSaid - c.Len(); room > 0 {
		_, _ = c.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}
