package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/sandbox/bubblewrap"
	"github.com/reeve-ai/reeve/internal/sandbox/host"
	"github.com/reeve-ai/reeve/internal/sandbox/landlock"
	"github.com/reeve-ai/reeve/internal/sandbox/none"
)

// Modes are what --sandbox takes.
const (
	ModeAuto       = "auto" // bubblewrap, else landlock, else refuse
	ModeBubblewrap = bubblewrap.Name
	ModeLandlock   = landlock.Name
	ModeNone       = none.Name
)

// Modes lists them in the order of help texts.
var Modes = []string{ModeAuto, ModeBubblewrap, ModeLandlock, ModeNone}

// Options are what an operator may set for all sandboxes.
type Options = host.Options

// Report is what the operator should know about the choice.
type Report struct {
	Driver string // bubblewrap, landlock, none; empty: none works
	Line   string // one line for the start of the server
	// Namespaces is whether sandboxes have network namespaces, out of which only a gateway leads.
	Namespaces bool
	Weaker     []string // clauses about what is weaker than bubblewrap with control groups; nil: nothing
	Install    string   // a command that would make it better; empty: none
}

const (
	install   = "apt-get install bubblewrap"
	probeTime = 30 * time.Second
)

// Select chooses a driver by starting a sandbox with each that the mode allows and running a command
// in it. That takes 30–100 ms.
//
// With ModeAuto it always returns a driver: where nothing can isolate, one whose Open answers
// Unavailable ("sandbox_unavailable"). Errors: Invalid ("invalid_sandbox_mode"); Unavailable
// ("sandbox_unavailable") when the one driver that was asked for does not work.
func Select(ctx context.Context, mode string, o Options) (core.SandboxDriver, Report, error) {
	if err := checkMode(mode); err != nil {
		return nil, Report{}, err
	}
	if mode == ModeNone {
		return none.New(o), Report{
			Driver: ModeNone,
			Line:   "sandbox: none; agents' commands run on this machine with all rights of the server's own user",
			Weaker: []string{"nothing is isolated"}, Install: install,
		}, nil
	}
	var reasons []string
	if mode == ModeAuto || mode == ModeBubblewrap {
		d, report, err := tryBubblewrap(ctx, o)
		if err == nil {
			return d, report, nil
		}
		if mode == ModeBubblewrap {
			return nil, Report{}, err
		}
		reasons = append(reasons, reason("bubblewrap", err))
	}
	d, report, err := tryLandlock(ctx, o, reasons)
	if err == nil {
		return d, report, nil
	}
	if mode == ModeLandlock || ctx.Err() != nil {
		return nil, Report{}, err
	}
	reasons = append(reasons, reason("landlock", err))
	return refusing{}, Report{
		Line: fmt.Sprintf("sandbox: none works here (%s); agents' commands are refused. Install bubblewrap (%s), or pass --sandbox=none to run them without isolation",
			strings.Join(reasons, "; "), install),
		Install: install,
	}, nil
}

func checkMode(mode string) error {
	for _, m := range Modes {
		if m == mode {
			return nil
		}
	}
	return core.Errorf(core.Invalid, "invalid_sandbox_mode", "unknown sandbox mode %q: use one of %s", mode, strings.Join(Modes, ", "))
}

func tryBubblewrap(ctx context.Context, o Options) (core.SandboxDriver, Report, error) {
	d, err := bubblewrap.New(o)
	if err != nil {
		return nil, Report{}, err
	}
	notes, err := probe(ctx, d, o)
	if err != nil {
		return nil, Report{}, err
	}
	report := Report{Driver: ModeBubblewrap, Line: "sandbox: bubblewrap", Namespaces: true, Weaker: notes}
	return d, report.with(d.Grouped()), nil
}

func tryLandlock(ctx context.Context, o Options, reasons []string) (core.SandboxDriver, Report, error) {
	d := landlock.New(o, landlock.Unknown)
	notes, err := probe(ctx, d, o)
	if err != nil {
		return nil, Report{}, err
	}
	report := Report{Driver: ModeLandlock, Line: "sandbox: landlock", Namespaces: d.Form() == landlock.Namespaces, Weaker: notes, Install: install}
	if d.Form() == landlock.Plain {
		report.Line += " without namespaces"
		report.Weaker = append(report.Weaker,
			"agents see the host's file names under /usr and /etc and the processes of others",
			"commands see the working folder under its real path and not as /workspace",
			"no sockets at all while the network is off, and the machine's own network for unrestricted environments while it is on")
	} else {
		report.Line += " in namespaces of its own"
	}
	if len(reasons) > 0 {
		report.Line += " (" + strings.Join(reasons, "; ") + ")"
	}
	return d, report.with(d.Grouped()), nil
}

// with finishes the line.
func (r Report) with(grouped bool) Report {
	if !grouped {
		r.Weaker = append(r.Weaker, "memory is bounded for each process and not for a sandbox as a whole")
	}
	if len(r.Weaker) > 0 {
		r.Line += "; weaker: " + strings.Join(r.Weaker, ", ")
	}
	if r.Install != "" {
		r.Line += "; for the stronger one: " + r.Install
	}
	return r
}

// reason says for the operator why a driver does not work. Clients never see it.
func reason(driver string, err error) string {
	var e *core.Error
	if errors.As(err, &e) && e.Err != nil && !errors.Is(err, exec.ErrNotFound) {
		err = e.Err
	} else if e != nil {
		return e.Message
	}
	line, _, _ := strings.Cut(err.Error(), "\n")
	return driver + ": " + line
}

// probe runs a command in a sandbox and returns what the sandbox could not enforce.
func probe(ctx context.Context, d core.SandboxDriver, o Options) (notes []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	parent, err := os.MkdirTemp(o.DataFolder, "sandbox-probe-")
	if err != nil {
		return nil, unusable(fmt.Errorf("make a folder: %w", err))
	}
	defer func() { _ = os.RemoveAll(parent) }()
	s, err := d.Open(ctx, core.SandboxSpec{Folder: filepath.Join(parent, "workspace")})
	if err != nil {
		return nil, err
	}
	defer func() { _ = s.Close() }()
	res, err := s.Bash(ctx, core.BashCommand{Command: "echo alive >probe && cat probe"})
	if err != nil {
		return nil, err
	}
	if res.Output != "alive\n" || res.ExitCode != 0 {
		return nil, unusable(fmt.Errorf("a command in it ended with exit code %d and said %q", res.ExitCode, res.Output))
	}
	if n, ok := s.(interface{ Notes() []string }); ok {
		notes = n.Notes()
	}
	return notes, nil
}

func unusable(err error) error {
	return &core.Error{Kind: core.Unavailable, Code: "sandbox_unavailable", Message: "a sandbox could not be used", Err: err}
}

// refusing is the driver of a machine that cannot isolate.
type refusing struct{}

func (refusing) Name() string { return "unavailable" }

func (refusing) Open(context.Context, core.SandboxSpec) (core.Sandbox, error) {
	return nil, core.Errorf(core.Unavailable, "sandbox_unavailable",
		"this server cannot isolate commands; its operator can install bubblewrap (%s), or pass --sandbox=none to run them without isolation", install)
}
