// Package cli is the command line: serve, demo, token, bench and version.
//
// It owns what people read in a terminal: help pages, start-up lines, errors, the demo's picture of a
// session. The work is done elsewhere: by app, or over HTTP through client, as anybody else would.
package cli

import (
	"context"
	"io"

	"charm.land/fang/v2"
	"github.com/spf13/cobra"
)

// The exit codes of the program.
const (
	exitOK     = 0
	exitFailed = 1 // it was understood, and went wrong
	exitUsage  = 2 // it was not understood: arguments or configuration
)

// program is what all commands share.
type program struct {
	args    []string
	environ []string
	out     io.Writer
	errOut  io.Writer
}

// Execute runs one command line and returns the exit code. environ is as os.Environ gives it. When
// ctx ends, the command stops in good order.
func Execute(ctx context.Context, args, environ []string, out, errOut io.Writer) int {
	p := &program{args: args, environ: environ, out: out, errOut: errOut}
	root := p.root()
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errOut)
	err := fang.Execute(ctx, root,
		fang.WithVersion(version()),
		fang.WithErrorHandler(p.printError),
		fang.WithColorSchemeFunc(fang.AnsiColorScheme),
	)
	switch {
	case err == nil:
		return exitOK
	case isUsage(err):
		return exitUsage
	}
	return exitFailed
}

func (p *program) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "reeve",
		Short: "The open, self-hosted home for AI agents",
		Long: "Reeve registers AI agents, gives each an identity, runs them durably and shows everything\n" +
			"that they do. One binary; it speaks the APIs of Claude Managed Agents, Qoder, Everruns and OTAS.",
		Example: "# See it work: an agent, a sandbox, a live session\nreeve demo\n\n# Start a server\nreeve serve",
		Args:    usageArgs(cobra.NoArgs),
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.AddCommand(p.serve(), p.demo(), p.token(), p.bench(), p.version())
	for _, c := range root.Commands() {
		p.dress(c)
	}
	p.dress(root)
	return root
}

// dress gives a command and those below it our help page and our words for mistakes.
func (p *program) dress(c *cobra.Command) {
	c.Flags().SortFlags = false
	c.DisableFlagsInUseLine = true
	c.SetFlagErrorFunc(p.flagError)
	if c.HasParent() { // the root's page is set by fang, and looks the same
		c.SetHelpFunc(func(c *cobra.Command, _ []string) { p.help(c) })
	}
	for _, child := range c.Commands() {
		p.dress(child)
	}
}
