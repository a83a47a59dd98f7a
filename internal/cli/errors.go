package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"charm.land/fang/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/reeve-ai/reeve/internal/config"
	"github.com/reeve-ai/reeve/internal/core"
)

// usageError marks a command line that was not understood.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

func isUsage(err error) bool {
	var usage usageError
	var mistakes config.Mistakes
	return errors.As(err, &usage) || errors.As(err, &mistakes) || strings.HasPrefix(err.Error(), "unknown command")
}

// usageArgs makes the complaints of an argument check usage errors.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usageError{err}
		}
		return nil
	}
}

// flagError is called with the first flag that could not be read. All unknown ones are named, and for
// a command with a configuration everything else that is wrong with that too.
func (p *program) flagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return usageError{err}
	}
	var mistakes config.Mistakes
	known := cmd.Flags()
	for _, arg := range p.args {
		if arg == "--" {
			break
		}
		name, isFlag := strings.CutPrefix(arg, "-")
		if !isFlag || name == "" {
			continue
		}
		name, long := strings.CutPrefix(name, "-")
		name, _, _ = strings.Cut(name, "=")
		switch {
		case long && known.Lookup(name) == nil:
			mistakes = append(mistakes, "--"+name+": unknown flag"+p.flagHint(cmd, name))
		case !long && known.ShorthandLookup(name[:1]) == nil:
			mistakes = append(mistakes, "-"+name+": unknown flag")
		}
	}
	if known.Lookup("config") != nil { // go on as if the unknown flags were not there
		cmd.FParseErrWhitelist.UnknownFlags = true
		if parseErr := cmd.ParseFlags(p.args); parseErr == nil {
			var more config.Mistakes
			if _, err := p.configuration(cmd); errors.As(err, &more) {
				mistakes = append(mistakes, more...)
			}
		}
	}
	if len(mistakes) == 0 {
		return usageError{err}
	}
	return mistakes
}

func (p *program) flagHint(cmd *cobra.Command, name string) string {
	if cmd.Flags().Lookup("config") == nil {
		return ""
	}
	return config.FlagHint(name)
}

// printError writes why the program ends, for people.
func (p *program) printError(_ io.Writer, _ fang.Styles, err error) {
	pen := newPen(p.errOut, p.environ, false)
	var mistakes config.Mistakes
	if errors.As(err, &mistakes) {
		if len(mistakes) == 1 {
			pen.line("%s %s", pen.bad("reeve:"), mistakes[0])
			return
		}
		pen.line("%s %d mistakes in the configuration", pen.bad("reeve:"), len(mistakes))
		for _, m := range mistakes {
			pen.line("  %s", strings.ReplaceAll(m, "\n", "\n  "))
		}
		return
	}
	pen.line("%s %s", pen.bad("reeve:"), message(err))
	if isUsage(err) {
		pen.line("%s", pen.faint("try --help"))
	}
}

// message is what a person is told: our own words where there are any, without the kinds and codes
// that are for programs.
func message(err error) string {
	var known *core.Error
	if errors.As(err, &known) && known.Kind != core.Internal && known.Message != "" {
		return known.Message
	}
	return err.Error()
}
