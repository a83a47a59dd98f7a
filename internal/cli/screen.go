package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"charm.land/lipgloss/v2"

	"github.com/reeve-ai/reeve/internal/client"
)

const (
	margin      = 2
	labelWidth  = 10 // "thinking" and two spaces
	textColumn  = margin + labelWidth
	resultLines = 8 // of one tool result; the rest is counted
)

// row writes a label and, beside it, text that may have several lines.
func (p *pen) row(style lipgloss.Style, label, text string) {
	b := p.block(style, label)
	b.write(clean(text))
	b.end()
}

// block is text that grows beside a label. It wraps words at the terminal's width; where there is no
// terminal it keeps lines whole.
type block struct {
	pen    *pen
	column int
	word   strings.Builder // not written yet: it may have to go to the next line
	spaces int             // before the word
	fresh  bool            // a line was begun and holds nothing yet
}

func (p *pen) block(style lipgloss.Style, label string) *block {
	pad := strings.Repeat(" ", max(1, labelWidth-lipgloss.Width(label)))
	p.write(strings.Repeat(" ", margin) + p.style(style, label) + pad)
	return &block{pen: p, column: textColumn}
}

// write adds cleaned text.
func (b *block) write(text string) {
	for _, r := range text {
		switch r {
		case '\n':
			b.flush()
			b.newline()
		case ' ':
			b.flush()
			b.spaces++
		default:
			b.word.WriteRune(r)
		}
	}
}

func (b *block) newline() {
	b.pen.write("\n")
	b.column, b.spaces, b.fresh = textColumn, 0, true
}

// flush writes the word that waits.
func (b *block) flush() {
	if b.word.Len() == 0 {
		return
	}
	word := b.word.String()
	b.word.Reset()
	width := lipgloss.Width(word)
	if b.pen.width > 0 && b.column > textColumn && b.column+b.spaces+width > b.pen.width {
		b.newline()
	}
	if b.fresh {
		b.pen.write(strings.Repeat(" ", textColumn))
		b.fresh = false
	}
	b.pen.write(strings.Repeat(" ", b.spaces) + word)
	b.column += b.spaces + width
	b.spaces = 0
}

func (b *block) end() {
	b.flush()
	b.pen.write("\n")
}

// screen shows a session's events as they come.
type screen struct {
	*pen
	open    *block // the answer that streams now; nil: none
	openID  string
	written string // of the open answer
	shown   map[string]bool
	uses    map[string]use
	lastUse string
	steps   int
	usage   client.Usage
	fault   *client.Fault // the last session.error
	again   bool          // the next model call only repeats the last one
}

// use is a tool call that was shown.
type use struct {
	name, input string
	at          time.Time
}

func newScreen(p *pen) *screen {
	return &screen{pen: p, shown: map[string]bool{}, uses: map[string]use{}}
}

func (s *screen) show(e client.Event) {
	switch e.Type {
	case "event_start":
		s.start(e.Start)
	case "event_delta":
		if e.EventID == s.openID && s.open != nil && e.Delta != nil {
			s.written += e.Delta.Content.Text
			s.open.write(clean(e.Delta.Content.Text))
		}
	case "agent.thinking":
		s.thinking(e.ID)
	case "agent.message":
		s.message(e)
	case "agent.tool_use":
		s.toolUse(e)
	case "agent.tool_result":
		s.toolResult(e)
	case "span.model_request_start":
		if !s.again {
			s.line("")
		}
		s.again = false
	case "span.model_request_end":
		s.endBlock()
		if !e.IsError {
			s.steps++
		}
	case "session.error":
		s.failure(e.Error)
	case "session.usage":
		if e.Usage != nil {
			s.usage = *e.Usage
		}
	}
}

func (s *screen) start(start *client.Start) {
	switch {
	case start == nil:
	case start.Type == "agent.thinking":
		s.thinking(start.ID)
	case start.Type == "agent.message":
		s.begin(start.ID)
	}
}

func (s *screen) begin(id string) {
	s.endBlock()
	s.open, s.openID, s.written = s.block(styleAgent, "agent"), id, ""
}

// endBlock closes the answer that streams, if there is one.
func (s *screen) endBlock() {
	if s.open != nil {
		s.open.end()
		s.open = nil
	}
}

// thinking marks that the model reasons. The dialect keeps the reasoning itself back.
func (s *screen) thinking(id string) {
	if s.shown[id] {
		return
	}
	s.shown[id] = true
	s.endBlock()
	s.line("%s%s", strings.Repeat(" ", margin), s.faint("thinking"))
}

// message completes a streamed answer, or shows one whose deltas were all lost.
func (s *screen) message(e client.Event) {
	if s.open == nil || e.ID != s.openID {
		s.begin(e.ID)
	}
	if rest, ok := strings.CutPrefix(e.Text(), s.written); ok {
		s.open.write(clean(rest))
	}
	s.endBlock()
}

func (s *screen) toolUse(e client.Event) {
	s.endBlock()
	u := use{name: e.Name, input: brief(e.Name, e.Input), at: time.Now()}
	s.uses[e.ID], s.lastUse = u, e.ID
	s.row(styleTool, u.name, u.input)
}

// toolResult shows the beginning of what a tool answered.
func (s *screen) toolResult(e client.Event) {
	s.endBlock()
	u := s.uses[e.ToolUseID]
	if s.lastUse != e.ToolUseID { // several ran side by side: say whose answer this is
		s.row(styleFaint, "↳ "+u.name, cut(u.input, maxWidth-textColumn))
	}
	s.lastUse = ""
	lines := strings.Split(strings.TrimRight(clean(e.Text()), "\n "), "\n")
	for i, l := range lines {
		if i == resultLines {
			s.resultLine(styleFaint, fmt.Sprintf("… %s more", count(len(lines)-i, "line")))
			break
		}
		style := styleFaint
		if e.IsError {
			style = styleError
		}
		s.resultLine(style, l)
	}
	if took := time.Since(u.at); !u.at.IsZero() && took > time.Second {
		s.resultLine(styleFaint, "("+duration(took)+")")
	}
}

func (s *screen) resultLine(style lipgloss.Style, text string) {
	if s.width > 0 {
		text = cut(text, s.width-textColumn-2)
	}
	s.line("%s%s %s", strings.Repeat(" ", textColumn), s.faint("│"), s.style(style, text))
}

func (s *screen) failure(f *client.Fault) {
	s.endBlock()
	if f == nil {
		return
	}
	s.fault = f
	text := f.Message
	if s.again = f.RetryStatus.Type == "retrying"; s.again {
		text += " · trying again"
	}
	s.row(styleBad, "error", text)
}

// verdict is an error unless the turn ended well.
func (s *screen) verdict(last client.Event) error {
	switch {
	case last.Type != "session.status_idle":
		return fmt.Errorf("the session ended early: %s", last.Type)
	case last.StopReason != nil && last.StopReason.Type == "end_turn":
		return nil
	case s.fault != nil:
		return fmt.Errorf("the turn failed: %s", s.fault.Message)
	case last.StopReason != nil:
		return fmt.Errorf("the turn did not end by itself: %s", last.StopReason.Type)
	}
	return errors.New("the turn ended without saying why")
}

// brief is the part of a tool's input that tells most.
func brief(tool string, input json.RawMessage) string {
	var in map[string]any
	if json.Unmarshal(input, &in) != nil {
		return string(input)
	}
	text := func(key string) string { v, _ := in[key].(string); return v }
	switch tool {
	case "bash":
		return firstLine(text("command"))
	case "write":
		return text("file_path") + " · " + count(strings.Count(strings.TrimRight(text("content"), "\n"), "\n")+1, "line")
	case "read", "edit":
		return text("file_path")
	case "glob", "grep":
		return text("pattern")
	}
	raw, err := json.Marshal(in)
	if err != nil {
		return ""
	}
	return cut(string(raw), 80)
}

// firstLine is the first line of s, and how many follow.
func firstLine(s string) string {
	first, rest, more := strings.Cut(strings.TrimSpace(s), "\n")
	if !more {
		return first
	}
	return fmt.Sprintf("%s (and %s more)", first, count(strings.Count(rest, "\n")+1, "line"))
}

// count writes "1 line", "3 lines".
func count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return thousands(int64(n)) + " " + noun
}

// thousands writes 1234567 as 1,234,567.
func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
