package providertest

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// Key is a key in the vendors' usual form; the suite looks for it wherever it must not be.
const Key = "sk-test-0123456789abcdefghij"

// Wire is what the suite must know of an adapter's wire format.
type Wire struct {
	// New makes the adapter for a server, with Key as its key.
	New func(url string, client *http.Client) core.Provider
	// Begin are the first events of an answer, up to the text "Hel"; End are the rest, from "lo" to
	// the vendor's end mark.
	Begin, End string
	// Broken is an event whose data is not JSON.
	Broken string
	// Error writes an error's body.
	Error func(errType, code, message string) string
	// Events are error events inside a stream, by the type that they must become.
	Events map[core.ModelErrorType]string
}

// Hi is the smallest request.
var Hi = core.ModelRequest{
	Model: "test-model", MaxTokens: 100,
	Messages: []core.ModelMessage{{Role: core.RoleUser, Parts: []core.ModelPart{{Block: &core.Block{Type: core.BlockText, Text: "Hi."}}}}},
}

// Run checks the promises that hold for every adapter.
func Run(t *testing.T, w Wire) {
	t.Run("status", func(t *testing.T) { w.statuses(t) })
	t.Run("retry after", func(t *testing.T) { w.retryAfter(t) })
	t.Run("stream", func(t *testing.T) { w.streams(t) })
	t.Run("keys stay out of errors", func(t *testing.T) { w.keys(t) })
	t.Run("context", func(t *testing.T) { w.contexts(t) })
}

func (w Wire) provider(t *testing.T, answers ...Answer) core.Provider {
	t.Helper()
	s := Serve(t, answers...)
	return w.New(s.URL, s.Client)
}

func (w Wire) statuses(t *testing.T) {
	for _, tc := range []struct {
		name      string
		status    int
		body      string
		want      core.ModelErrorType
		retryable bool
		says      string // part of the message
	}{
		{"400", 400, w.Error("invalid_request_error", "", "bad thing"), core.ModelFailed, false, "invalid"},
		{"400 too long", 400, w.Error("invalid_request_error", "context_length_exceeded", "prompt is too long: 9 tokens > 8 maximum"), core.ModelFailed, false, "context window"},
		{"400 credit", 400, w.Error("invalid_request_error", "", "Your credit balance is too low to access the API"), core.ModelBilling, false, "used up"},
		{"401", 401, w.Error("authentication_error", "invalid_api_key", "no"), core.ModelFailed, false, "TEST_KEY"},
		{"402", 402, w.Error("", "", "pay"), core.ModelBilling, false, "used up"},
		{"403", 403, w.Error("permission_error", "", "no"), core.ModelFailed, false, "does not let"},
		{"404", 404, w.Error("not_found_error", "model_not_found", "no"), core.ModelFailed, false, "test-model"},
		{"413", 413, w.Error("request_too_large", "", "no"), core.ModelFailed, false, "larger"},
		{"408", 408, "", core.ModelFailed, true, "in time"},
		{"429", 429, w.Error("rate_limit_error", "rate_limit_exceeded", "slow"), core.ModelRateLimited, true, "limits"},
		{"429 quota", 429, w.Error("insufficient_quota", "insufficient_quota", "exceeded"), core.ModelBilling, false, "used up"},
		{"500", 500, w.Error("api_error", "", "oops"), core.ModelFailed, true, "its side"},
		{"502 page", 502, "<html>bad gateway</html>", core.ModelFailed, true, "its side"},
		{"503", 503, "", core.ModelOverloaded, true, "more work"},
		{"504", 504, "", core.ModelFailed, true, "in time"},
		{"529", 529, w.Error("overloaded_error", "", "Overloaded"), core.ModelOverloaded, true, "more work"},
		{"307", 307, "", core.ModelFailed, false, "redirect"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			chunks, e := Refused(t, w.provider(t, Answer{Status: tc.status, Body: tc.body, Header: map[string]string{"Location": "/elsewhere"}}), Hi)
			if len(chunks) != 0 {
				t.Errorf("chunks %+v before the error", chunks)
			}
			if e.Type != tc.want || e.Retryable != tc.retryable || e.Status != tc.status {
				t.Errorf("error %s, retryable %t, status %d; want %s, %t, %d (%v)", e.Type, e.Retryable, e.Status, tc.want, tc.retryable, tc.status, e)
			}
			if !strings.Contains(e.Message, tc.says) {
				t.Errorf("message %q does not say %q", e.Message, tc.says)
			}
		})
	}
	t.Run("page instead of a stream", func(t *testing.T) {
		t.Parallel()
		_, e := Refused(t, w.provider(t, Answer{Body: "<html>Welcome</html>", Header: map[string]string{"Content-Type": "text/html"}}), Hi)
		if e.Type != core.ModelFailed || e.Retryable || !strings.Contains(e.Message, "base_url") {
			t.Errorf("error %+v; want a ModelFailed that names base_url", e)
		}
	})
	t.Run("nobody listens", func(t *testing.T) {
		t.Parallel()
		s := Serve(t)
		p := w.New("http://127.0.0.1:1", s.Client)
		_, e := Refused(t, p, Hi)
		if e.Type != core.ModelFailed || !e.Retryable || !strings.Contains(e.Message, "could not be reached") || strings.Contains(e.Error(), "http://") {
			t.Errorf("error %v, retryable %t; want a retryable ModelFailed without a URL", e, e.Retryable)
		}
	})
}

func (w Wire) retryAfter(t *testing.T) {
	for _, tc := range []struct {
		name   string
		header map[string]string
		min    time.Duration
		max    time.Duration
	}{
		{"seconds", map[string]string{"Retry-After": "7"}, 7 * time.Second, 7 * time.Second},
		{"milliseconds win", map[string]string{"Retry-After": "7", "Retry-After-Ms": "250"}, 250 * time.Millisecond, 250 * time.Millisecond},
		{"date", map[string]string{"Retry-After": time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)}, 55 * time.Minute, time.Hour},
		{"nonsense", map[string]string{"Retry-After": "soon"}, 0, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, e := Refused(t, w.provider(t, Answer{Status: 429, Header: tc.header}), Hi)
			if e.RetryAfter < tc.min || e.RetryAfter > tc.max {
				t.Errorf("RetryAfter %s, want %s to %s", e.RetryAfter, tc.min, tc.max)
			}
		})
	}
}

func (w Wire) streams(t *testing.T) {
	t.Run("whole", func(t *testing.T) {
		t.Parallel()
		if got := Words(Answered(t, w.provider(t, Answer{Body: w.Begin + w.End}), Hi)); got != "Hello" {
			t.Errorf("text %q, want Hello", got)
		}
	})
	for name, end := range map[string]Answer{
		"cut connection":      {Body: w.Begin, End: Cut},
		"cut inside an event": {Body: w.Begin + w.End[:len(w.End)/3], End: Cut},
		"end without mark":    {Body: w.Begin},
		"nothing at all":      {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			chunks, e := Refused(t, w.provider(t, end), Hi)
			if e.Type != core.ModelCut || !e.Retryable {
				t.Errorf("error %v, retryable %t; want a retryable ModelCut", e, e.Retryable)
			}
			if got := Words(chunks); !strings.HasPrefix("Hello", got) || got == "" && end.Body != "" {
				t.Errorf("text %q before the cut", got)
			}
		})
	}
	t.Run("malformed JSON in a frame", func(t *testing.T) {
		t.Parallel()
		chunks, e := Refused(t, w.provider(t, Answer{Body: w.Begin + w.Broken + w.End}), Hi)
		if e.Type != core.ModelFailed || !e.Retryable || Words(chunks) != "Hel" {
			t.Errorf("error %v, retryable %t after %q; want a retryable ModelFailed after Hel", e, e.Retryable, Words(chunks))
		}
	})
	for want, event := range w.Events {
		t.Run("error event "+string(want), func(t *testing.T) {
			t.Parallel()
			chunks, e := Refused(t, w.provider(t, Answer{Body: w.Begin + event}), Hi)
			if e.Type != want || Words(chunks) != "Hel" {
				t.Errorf("error %v after %q; want %s after Hel", e, Words(chunks), want)
			}
			if retryable := want != core.ModelBilling; e.Retryable != retryable {
				t.Errorf("retryable %t, want %t", e.Retryable, retryable)
			}
		})
	}
}

func (w Wire) keys(t *testing.T) {
	for name, a := range map[string]Answer{
		"in an answer":        {Status: 401, Body: w.Error("authentication_error", "invalid_api_key", "Incorrect API key provided: "+Key+". Also sk-pro*****wxyz.")},
		"in an answer's code": {Status: 400, Body: w.Error("invalid_request_error", Key, "x")},
		"in a page":           {Status: 500, Body: "Bearer " + Key},
		"in a bad frame":      {Body: "data: {\"x\": " + Key + "}\n\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, e := Refused(t, w.provider(t, a), Hi)
			for _, secret := range []string{Key, "wxyz"} {
				if strings.Contains(e.Error(), secret) {
					t.Errorf("error holds %q: %v", secret, e)
				}
			}
		})
	}
}

func (w Wire) contexts(t *testing.T) {
	t.Run("ends before", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := Collect(ctx, t, w.provider(t, Answer{Body: w.Begin, End: Hang}), Hi); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want context.Canceled", err)
		}
	})
	t.Run("ends while the model is silent", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var err error
		for c, e := range w.provider(t, Answer{Body: w.Begin, End: Hang}).Stream(ctx, Hi) {
			if err = e; c.Type == core.ChunkText {
				cancel()
			}
		}
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want context.Canceled", err)
		}
	})
	t.Run("the consumer stops", func(t *testing.T) {
		t.Parallel()
		for c, err := range w.provider(t, Answer{Body: w.Begin, End: Hang}).Stream(t.Context(), Hi) {
			if err != nil {
				t.Fatal(err)
			}
			if c.Type == core.ChunkText {
				break
			}
		}
	})
}

// Words is the text of an answer.
func Words(chunks []core.Chunk) string {
	var b strings.Builder
	for _, c := range chunks {
		if c.Type == core.ChunkText {
			b.WriteString(c.Text)
		}
	}
	return b.String()
}
