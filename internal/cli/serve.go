package cli

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/reeve-ai/reeve/internal/app"
	"github.com/reeve-ai/reeve/internal/config"
	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/identity"
)

func (p *program) serve() *cobra.Command {
	c := &cobra.Command{
		Use:   "serve [flags]",
		Short: "Start a server",
		Long: `Start a server: all APIs on one port, all data in one folder.

The first start makes an administrator, a project and an access token, and prints them
once: only hashes are kept. Ctrl-C stops it in good order; kill -9 loses nothing either.

Every setting can also stand in the environment (--sandbox-memory-mb is
REEVE_SANDBOX_MEMORY_MB) or in a YAML file (sandbox: {memory_mb: …}). Flags win over the
environment, the environment over the file. Keys of model vendors have no flag, because
other users of a machine can read those: set ANTHROPIC_API_KEY or OPENAI_API_KEY.
docs/configuration.md explains each setting.`,
		Example: `# On this machine, data in ./reeve-data
reeve serve

# For others on the network; put a proxy with TLS in front
reeve serve --listen 0.0.0.0:8000 --data /var/lib/reeve

# With a model of your own
reeve serve --model-url http://127.0.0.1:11434/v1 --model qwen3`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return p.runServe(cmd) },
	}
	configFlags(c)
	return c
}

func (p *program) runServe(cmd *cobra.Command) error {
	began := time.Now()
	cfg, err := p.configuration(cmd)
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	n, err := openNode(ctx, cfg, app.Options{Log: p.newLog(cfg.Log)})
	if err != nil {
		return err
	}
	out := newPen(p.out, p.environ, false)
	if first, ok := n.app.FirstStart(); ok {
		out.firstStart(first, n.base) // at once: nothing that follows may keep it back
	}
	err = n.start(ctx)
	if err == nil {
		for _, notice := range n.app.Notices() {
			out.line("%s", notice)
		}
		if warning := exposed(append([]string{cfg.Listen}, cfg.ListenAlso...)); warning != "" {
			out.line("%s", warning)
		}
		for _, ln := range n.ln[1:] {
			out.line("network: the same on http://%s", reachable(ln.Addr()))
		}
		out.line("%s on %s in %s · data in %s", out.good("ready"), out.strong(n.base), duration(time.Since(began)), place(cfg))
		select {
		case <-ctx.Done():
			out.line("stopping: running turns have %s to finish", cfg.Turns.SoftStop)
		case <-n.ended:
		}
	}
	if ctx.Err() != nil {
		err = nil // told to stop: before it was ready is as good as after
	}
	if err := errors.Join(err, n.close()); err != nil {
		return err
	}
	out.line("stopped")
	return nil
}

// firstStart shows what exists nowhere else in clear, once.
func (p *pen) firstStart(first identity.Bootstrap, base string) {
	p.line("")
	p.line("  %s Save these: they are shown this once.", p.strong("First start."))
	p.line("")
	for _, row := range [][2]string{
		{"Console", base + "/"},
		{"E-mail", first.User.Email},
		{"Password", first.Password},
		{"Project", first.Project.Name + " · " + core.FormatUUID(first.Project.ID)},
		{"Access token", first.Token},
	} {
		p.line("    %s  %s", p.faint(fmt.Sprintf("%-12s", row[0])), p.strong(row[1]))
	}
	p.line("")
	p.line("  More tokens: reeve token create. The first calls with curl: README.md.")
	p.line("")
}

// exposed warns when the server can be reached from other machines.
func exposed(addresses []string) string {
	if !slices.ContainsFunc(addresses, public) {
		return ""
	}
	return "network: other machines can reach this server, and it speaks no TLS: put a proxy that does in front of it"
}

// public reports whether an address can be reached from other machines.
func public(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil || host == "localhost" {
		return false
	}
	ip := net.ParseIP(host)
	return ip == nil || !ip.IsLoopback()
}

// place is the data folder as a person would look for it.
func place(cfg config.Config) string {
	path := cfg.Data
	if wd, err := os.Getwd(); err == nil {
		if rest, ok := strings.CutPrefix(path, wd+string(filepath.Separator)); ok {
			return "." + string(filepath.Separator) + rest
		}
	}
	return path
}

// duration writes a duration as people read it: 84 ms, 2.3 s, 4 min 10 s.
func duration(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	d = d.Round(time.Second)
	return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
}
