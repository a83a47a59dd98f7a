package cli

import (
	"strings"

	"charm.land/lipgloss/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Annotations of flags that the help page reads.
const (
	groupAnnotation = "group" // the heading under which a flag stands
	argAnnotation   = "arg"   // what its value is called
)

// describe sets a flag's heading and the name of its value.
func describe(f *pflag.Flag, group, arg string) {
	f.Annotations = map[string][]string{groupAnnotation: {group}, argAnnotation: {arg}}
}

func annotation(f *pflag.Flag, key string) string {
	if v := f.Annotations[key]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// help writes a command's page: what it does, examples, its subcommands, its flags under headings.
func (p *program) help(c *cobra.Command) {
	h := newPen(c.OutOrStdout(), p.environ, false)
	about := c.Long
	if about == "" {
		about = c.Short
	}
	h.line("")
	for line := range strings.Lines(about) {
		h.indented(2, strings.TrimRight(line, "\n"))
	}
	h.heading("usage")
	use := c.CommandPath()
	if _, args, ok := strings.Cut(c.Use, " "); ok {
		use += " " + args
	}
	if c.HasAvailableSubCommands() {
		use += " command"
	}
	h.line("    %s", use)
	if c.Example != "" {
		h.heading("examples")
		for line := range strings.Lines(c.Example) {
			line = strings.TrimRight(line, "\n")
			if strings.HasPrefix(line, "#") {
				line = h.faint(line)
			}
			h.indented(4, line)
		}
	}
	var rows []helpRow
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			rows = append(rows, helpRow{group: "commands", left: sub.Name(), right: sub.Short})
		}
	}
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			rows = append(rows, flagRow(f))
		}
	})
	h.rows(rows)
	h.line("")
}

// helpRow is one line of a list.
type helpRow struct{ group, left, right, fallback string }

func flagRow(f *pflag.Flag) helpRow {
	left := "--" + f.Name
	if f.Shorthand != "" {
		left = "-" + f.Shorthand + ", " + left
	}
	if arg := annotation(f, argAnnotation); arg != "" {
		left += " " + arg
	}
	group := annotation(f, groupAnnotation)
	if group == "" {
		group = "other"
	}
	def := f.DefValue
	if def == "false" || def == "[]" || def == "0" {
		def = ""
	}
	usage := f.Usage
	if f.Name == "help" { // cobra's own flag, with its own words
		usage = "This page"
	}
	return helpRow{group: group, left: left, right: usage, fallback: def}
}

// indented writes a line behind n spaces; an empty one stays empty.
func (p *pen) indented(n int, line string) {
	if line != "" {
		line = strings.Repeat(" ", n) + line
	}
	p.line("%s", line)
}

func (p *pen) heading(title string) {
	p.line("\n  %s\n", p.strong(strings.ToUpper(title)))
}

// rows writes lists under their headings, in the order in which the headings first come up.
func (p *pen) rows(rows []helpRow) {
	var groups []string
	byGroup := map[string][]helpRow{}
	left := 0
	for _, r := range rows {
		if byGroup[r.group] == nil {
			groups = append(groups, r.group)
		}
		byGroup[r.group] = append(byGroup[r.group], r)
		left = max(left, lipgloss.Width(r.left))
	}
	for _, g := range groups {
		p.heading(g)
		for _, r := range byGroup[g] {
			text := r.right
			if r.fallback != "" {
				text += " (" + r.fallback + ")"
			}
			pad := strings.Repeat(" ", left-lipgloss.Width(r.left)+2)
			p.line("    %s%s%s", p.style(styleFlag, r.left), pad, hang(text, p.width, left+6))
		}
	}
}

// hang wraps text at width, with every line but the first indented. Width 0: maxWidth.
func hang(text string, width, indent int) string {
	if width == 0 {
		width = maxWidth
	}
	var b strings.Builder
	column := indent
	for i, word := range strings.Fields(text) {
		w := lipgloss.Width(word)
		switch {
		case i == 0:
		case column+1+w > width:
			b.WriteString("\n" + strings.Repeat(" ", indent))
			column = indent
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += w
	}
	return b.String()
}
