package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/colorprofile"
	"golang.org/x/term"
)

// pen writes text for people: coloured on a terminal, plain elsewhere or where NO_COLOR asks for it.
type pen struct {
	w     io.Writer
	width int  // columns to wrap at; 0: not a terminal, lines stay whole
	plain bool // no colour
}

// maxWidth is the widest that text is set, in columns: longer lines are hard to read.
const maxWidth = 100

// newPen returns a pen on w; plain forces plain text.
func newPen(w io.Writer, environ []string, plain bool) *pen {
	p := &pen{w: w, plain: true}
	f, isFile := w.(*os.File)
	if !isFile || !term.IsTerminal(int(f.Fd())) || plain {
		return p
	}
	if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 20 {
		p.width = min(width, maxWidth)
	}
	profile := colorprofile.Detect(w, environ)
	p.plain = profile <= colorprofile.ASCII
	p.w = &colorprofile.Writer{Forward: w, Profile: profile}
	return p
}

// line writes one line. Errors are dropped: there is nobody left to tell.
func (p *pen) line(format string, args ...any) {
	_, _ = fmt.Fprintf(p.w, format+"\n", args...)
}

func (p *pen) write(s string) { _, _ = io.WriteString(p.w, s) }

func (p *pen) style(s lipgloss.Style, text string) string {
	if p.plain {
		return text
	}
	return s.Render(text)
}

var (
	styleStrong = lipgloss.NewStyle().Bold(true)
	styleFaint  = lipgloss.NewStyle().Faint(true)
	styleGood   = lipgloss.NewStyle().Foreground(lipgloss.Green)
	styleBad    = lipgloss.NewStyle().Foreground(lipgloss.Red).Bold(true)
	styleError  = lipgloss.NewStyle().Foreground(lipgloss.Red)
	styleTool   = lipgloss.NewStyle().Foreground(lipgloss.Cyan).Bold(true)
	styleUser   = lipgloss.NewStyle().Foreground(lipgloss.Blue).Bold(true)
	styleAgent  = lipgloss.NewStyle().Foreground(lipgloss.Magenta).Bold(true)
	styleFlag   = lipgloss.NewStyle().Foreground(lipgloss.Cyan)
)

func (p *pen) strong(s string) string { return p.style(styleStrong, s) }
func (p *pen) faint(s string) string  { return p.style(styleFaint, s) }
func (p *pen) good(s string) string   { return p.style(styleGood, s) }
func (p *pen) bad(s string) string    { return p.style(styleBad, s) }

// clean makes text that a model or a program wrote safe to print: what could move the cursor, recolour
// the screen or ring the bell is left out.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return r
		case r == '\t':
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "�"))
}

// cut shortens s to n columns.
func cut(s string, n int) string {
	if lipgloss.Width(s) <= n {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if lipgloss.Width(b.String())+lipgloss.Width(string(r)) > n-1 {
			break
		}
		b.WriteRune(r)
	}
	return b.String() + "…"
}
