package cli

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/reeve-ai/reeve/internal/client"
)

func TestTextOfModelsCannotSteerTheTerminal(t *testing.T) {
	t.Parallel()
	in := "a\x1b[31mred\x1b[0m\x07\tb\r\nc\u202ed\xff"
	if got, want := clean(in), "a[31mred[0m b\ncd�"; got != want {
		t.Errorf("clean = %q, want %q", got, want)
	}
}

func TestBlocksWrapAtWords(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	p := &pen{w: &out, width: 30, plain: true}
	b := p.block(styleAgent, "agent")
	for _, piece := range []string{"one tw", "o three fo", "ur five\n\nsix", " ", "seven"} {
		b.write(piece)
	}
	b.end()
	want := "  agent     one two three four\n" +
		"            five\n" +
		"\n" +
		"            six seven\n"
	if got := out.String(); got != want {
		t.Errorf("block =\n%s\nwant\n%s", got, want)
	}
}

func TestScreenCompletesWhatDeltasLost(t *testing.T) {
	t.Parallel()
	for name, deltas := range map[string][]string{"all came": {"Hello ", "world"}, "one came": {"Hello "}, "none came": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			s := newScreen(&pen{w: &out, plain: true})
			s.show(client.Event{Type: "event_start", Start: &client.Start{ID: "1", Type: "agent.message"}})
			for _, d := range deltas {
				s.show(client.Event{Type: "event_delta", EventID: "1", Delta: &client.Delta{Content: client.Block{Text: d}}})
			}
			s.show(client.Event{Type: "agent.message", ID: "1", Content: []client.Block{{Type: "text", Text: "Hello world"}}})
			if got, want := out.String(), "  agent     Hello world\n"; got != want {
				t.Errorf("screen = %q, want %q", got, want)
			}
		})
	}
}

func TestScreenNamesLateResults(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	s := newScreen(&pen{w: &out, plain: true})
	s.show(client.Event{Type: "agent.tool_use", ID: "1", Name: "bash", Input: json.RawMessage(`{"command":"ls\npwd"}`)})
	s.show(client.Event{Type: "agent.tool_use", ID: "2", Name: "read", Input: json.RawMessage(`{"file_path":"a.txt"}`)})
	s.show(client.Event{Type: "agent.tool_result", ToolUseID: "2", Content: []client.Block{{Text: "x"}}})
	s.show(client.Event{Type: "agent.tool_result", ToolUseID: "1", Content: []client.Block{{Text: strings.Repeat("l\n", 10)}}})
	want := "  bash      ls (and 1 line more)\n" +
		"  read      a.txt\n" +
		"            │ x\n" +
		"  ↳ bash    ls (and 1 line more)\n" +
		strings.Repeat("            │ l\n", resultLines) +
		"            │ … 2 lines more\n"
	if got := out.String(); got != want {
		t.Errorf("screen =\n%s\nwant\n%s", got, want)
	}
}

func TestVerdict(t *testing.T) {
	t.Parallel()
	idle := func(stop string) client.Event {
		return client.Event{Type: "session.status_idle", StopReason: &client.StopReason{Type: stop}}
	}
	fault := &client.Fault{Type: "billing_error", Message: "the credit is used up"}
	for name, c := range map[string]struct {
		last  client.Event
		fault *client.Fault
		want  string
	}{
		"well":                  {idle("end_turn"), nil, ""},
		"well after a retry":    {idle("end_turn"), fault, ""},
		"the model failed":      {idle("retries_exhausted"), fault, "the turn failed: the credit is used up"},
		"waiting for something": {idle("requires_action"), nil, "the turn did not end by itself: requires_action"},
		"terminated":            {client.Event{Type: "session.status_terminated"}, nil, "the session ended early: session.status_terminated"},
	} {
		s := newScreen(&pen{w: &bytes.Buffer{}, plain: true})
		s.fault = c.fault
		got := ""
		if err := s.verdict(c.last); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestWords(t *testing.T) {
	t.Parallel()
	for got, want := range map[string]string{
		duration(84 * time.Millisecond):                 "84 ms",
		duration(2345 * time.Millisecond):               "2.3 s",
		duration(250*time.Second + 1e6):                 "4 min 10 s",
		thousands(0):                                    "0",
		thousands(999):                                  "999",
		thousands(-1234567):                             "-1,234,567",
		count(1, "line"):                                "1 line",
		count(2000, "line"):                             "2,000 lines",
		cut("abcdef", 4):                                "abc…",
		cut("abc", 3):                                   "abc",
		exposed([]string{"127.0.0.1:1", "localhost:1"}): "",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if exposed([]string{"0.0.0.0:8000"}) == "" || exposed([]string{"127.0.0.1:1", ":8000"}) == "" {
		t.Error("no warning for a server that others can reach")
	}
}

func TestExpiry(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for in, want := range map[string]time.Time{
		"": {}, "30d": now.AddDate(0, 0, 30), "12h": now.Add(12 * time.Hour), "2027-01-31": time.Date(2027, 1, 31, 0, 0, 0, 0, time.Local),
	} {
		if got, err := expiry(in, now); err != nil || !got.Equal(want) {
			t.Errorf("expiry(%q) = %s, %v", in, got, err)
		}
	}
	for _, in := range []string{"0d", "-1d", "d", "-5h", "soon", "2027-13-01"} {
		if _, err := expiry(in, now); err == nil || !isUsage(err) {
			t.Errorf("expiry(%q): %v", in, err)
		}
	}
}
