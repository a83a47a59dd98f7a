package provider_test

import (
	"context"
	"errors"
	"io"
	"iter"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/provider"
	"github.com/reeve-ai/reeve/internal/provider/anthropic"
	"github.com/reeve-ai/reeve/internal/provider/fake"
	"github.com/reeve-ai/reeve/internal/provider/openai"
	"github.com/reeve-ai/reeve/internal/provider/openaichat"
	"github.com/reeve-ai/reeve/internal/provider/providertest"
	"github.com/reeve-ai/reeve/internal/provider/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stream is a provider made of a function.
type stream func(ctx context.Context, yield func(core.Chunk, error) bool)

func (s stream) Stream(ctx context.Context, _ core.ModelRequest) iter.Seq2[core.Chunk, error] {
	return func(yield func(core.Chunk, error) bool) { s(ctx, yield) }
}

func word(s string) core.Chunk { return core.Chunk{Type: core.ChunkText, Text: s} }

var stop = core.Chunk{Type: core.ChunkStop, Stop: core.StopModelEnd}

// silent sends nothing more until its context ends.
func silent(ctx context.Context, yield func(core.Chunk, error) bool) {
	<-ctx.Done()
	yield(core.Chunk{}, ctx.Err())
}

func TestGuardCutsAnIdleModel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := provider.Guard(stream(func(ctx context.Context, yield func(core.Chunk, error) bool) {
			<-time.After(50 * time.Second)
			if yield(word("Hel"), nil) {
				silent(ctx, yield)
			}
		}), time.Minute)
		begin := time.Now()
		chunks, e := providertest.Refused(t, p, providertest.Hi)
		if e.Type != core.ModelCut || !e.Retryable || providertest.Words(chunks) != "Hel" {
			t.Errorf("error %v after %q; want a retryable ModelCut after Hel", e, providertest.Words(chunks))
		}
		if got := time.Since(begin); got != 110*time.Second {
			t.Errorf("cut after %s, want 50 s and a minute", got)
		}
	})
}

func TestGuardCountsWhatMakesNoChunk(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := upstream.NewClient(&http.Client{Transport: pings(6)}, false)
		p := provider.Guard(stream(func(ctx context.Context, yield func(core.Chunk, error) bool) {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://model.test", nil)
			if err != nil {
				t.Error(err)
			}
			res, err := client.Do(req)
			if err != nil {
				yield(core.Chunk{}, err)
				return
			}
			defer res.Body.Close()
			if _, err := io.ReadAll(res.Body); err != nil {
				yield(core.Chunk{}, err)
				return
			}
			yield(stop, nil)
		}), time.Minute)
		if _, err := providertest.Collect(t.Context(), t, p, providertest.Hi); err != nil {
			t.Errorf("error %v, want none: a ping came every 50 s", err)
		}
	})
}

// pings is a transport whose answer is that many pings, one each 50 seconds.
type pings int

func (n pings) RoundTrip(req *http.Request) (*http.Response, error) {
	r, w := io.Pipe()
	go func() {
		for range n {
			<-time.After(50 * time.Second)
			_, _ = io.WriteString(w, ": ping\n\n")
		}
		w.Close()
	}()
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"text/event-stream"}}, Body: r, Request: req}, nil
}

func TestGuardDoesNotCountTheConsumersTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := provider.Guard(fake.New(fake.SayPieces("a", "b", "c")), time.Second)
		var last core.Chunk
		for c, err := range p.Stream(t.Context(), providertest.Hi) {
			if err != nil {
				t.Fatalf("error %v while the consumer was slow", err)
			}
			<-time.After(time.Hour)
			last = c
		}
		if last.Type != core.ChunkStop {
			t.Errorf("last chunk %+v", last)
		}
	})
}

func TestGuardKeepsThePromisesForTheVendor(t *testing.T) {
	t.Parallel()
	other := errors.New("a driver's own error")
	for name, tc := range map[string]struct {
		inner stream
		want  core.ModelErrorType // empty: the call ends well
	}{
		"ends without ChunkStop": {func(_ context.Context, yield func(core.Chunk, error) bool) { yield(word("Hel"), nil) }, core.ModelCut},
		"sends nothing":          {func(context.Context, func(core.Chunk, error) bool) {}, core.ModelCut},
		"foreign error":          {func(_ context.Context, yield func(core.Chunk, error) bool) { yield(core.Chunk{}, other) }, core.ModelUnknown},
		"its own error passes": {func(_ context.Context, yield func(core.Chunk, error) bool) {
			yield(core.Chunk{}, &core.ModelError{Type: core.ModelBilling})
		}, core.ModelBilling},
		"goes on after ChunkStop": {func(_ context.Context, yield func(core.Chunk, error) bool) {
			_ = yield(stop, nil) && yield(word("more"), nil)
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := providertest.Collect(t.Context(), t, provider.Guard(tc.inner, time.Minute), providertest.Hi)
			var e *core.ModelError
			switch {
			case tc.want == "" && err != nil:
				t.Errorf("error %v, want none", err)
			case tc.want != "" && (!errors.As(err, &e) || e.Type != tc.want):
				t.Errorf("error %v, want %s", err, tc.want)
			}
		})
	}
}

func TestGuardYieldsTheCallersContextError(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := providertest.Collect(ctx, t, provider.Guard(stream(silent), time.Minute), providertest.Hi); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
}

// The real adapters against a server that falls silent: the guard's cancellation must get through
// the SDKs to the socket, in front of the answer and in its middle.
func TestGuardCutsEveryAdapter(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(upstream.Endpoint) core.Provider{
		"anthropic":   func(e upstream.Endpoint) core.Provider { return anthropic.New(e) },
		"openai":      func(e upstream.Endpoint) core.Provider { return openai.New(e) },
		"openai-chat": func(e upstream.Endpoint) core.Provider { return openaichat.New(e) },
	} {
		for where, body := range map[string]string{"before the answer": "", "within": ": here I am\n\n"} {
			t.Run(name+" "+where, func(t *testing.T) {
				t.Parallel()
				s := providertest.Serve(t, providertest.Answer{Body: body, End: providertest.Hang})
				p := provider.Guard(open(upstream.Endpoint{Name: "The vendor", BaseURL: s.URL, HTTP: s.Client}), 20*time.Millisecond)
				if _, e := providertest.Refused(t, p, providertest.Hi); e.Type != core.ModelCut || !e.Retryable {
					t.Errorf("error %v, retryable %t; want a retryable ModelCut", e, e.Retryable)
				}
			})
		}
	}
}
