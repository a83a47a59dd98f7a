package openaichat

import (
	"bufio"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/provider/providertest"
	"github.com/reeve-ai/reeve/internal/provider/upstream"
)

// A server that sends a finish_reason and then neither [DONE] nor the end of the connection must not
// keep a complete answer from us.
func TestCompleteAnswerDoesNotWaitForASilentServer(t *testing.T) {
	t.Parallel()
	s := providertest.Serve(t, providertest.Answer{
		End:  providertest.Hang,
		Body: "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello\"},\"finish_reason\":\"stop\"}]}\n\n",
	})
	p := New(upstream.Endpoint{Name: "The server", BaseURL: s.URL, HTTP: s.Client})
	p.afterFinish = time.Millisecond
	if got := providertest.Words(providertest.Answered(t, p, providertest.Hi)); got != "Hello" {
		t.Errorf("text %q, want Hello", got)
	}
}

func TestFramesAreTheSameHoweverTheyArrive(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		text string
		want []string
	}{
		"LF":                   {"data: a\n\ndata:b\n\n", []string{"a", "b"}},
		"CR LF":                {"data: a\r\n\r\ndata: b\r\n\r\n", []string{"a", "b"}},
		"several lines":        {"data: a\ndata:\ndata:  b\n\n", []string{"a\n\n b"}},
		"no last empty line":   {"data: a\n\ndata: b", []string{"a", "b"}},
		"comments and others":  {": c\n\nevent: x\nid: 7\nretry: 1\n\ndata: a\nevent: x\n\nnonsense\n\n", []string{"a"}},
		"empty data":           {"data:\n\ndata\n\n", []string{"", ""}},
		"the error field":      {"error: {\"code\":1}\n\n", []string{`{"error":{"code":1}}`}},
		"characters in pieces": {"data: é€😀\n\n", []string{"é€😀"}},
		"nothing":              {"", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, r := range []io.Reader{strings.NewReader(tc.text), iotest.OneByteReader(strings.NewReader(tc.text)), iotest.DataErrReader(strings.NewReader(tc.text))} {
				var got []string
				f := newFrames(r)
				data, err := f.next()
				for ; err == nil; data, err = f.next() {
					got = append(got, string(data))
				}
				if diff := cmp.Diff(tc.want, got); diff != "" || !errors.Is(err, io.EOF) {
					t.Errorf("frames differ, end %v (-want +got):\n%s", err, diff)
				}
			}
		})
	}
}

func TestEndlessFramesAreRefused(t *testing.T) {
	t.Parallel()
	for name, line := range map[string]string{"one line": strings.Repeat("x", 4096), "many lines": "data: " + strings.Repeat("x", 1<<20) + "\n"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := newFrames(&endless{text: "data: ", line: line}).next(); !errors.Is(err, bufio.ErrTooLong) {
				t.Errorf("error %v, want ErrTooLong", err)
			}
		})
	}
}

// endless gives text once, then line for ever.
type endless struct{ text, line string }

func (e *endless) Read(p []byte) (int, error) {
	if e.text == "" {
		e.text = e.line
	}
	n := copy(p, e.text)
	e.text = e.text[n:]
	return n, nil
}
