// Package openaichat serves models through any server that speaks OpenAI's chat completions: vLLM,
// llama.cpp, Ollama, OpenRouter, gateways.
//
// It is written by hand, because such servers differ from the vendor's SDK's idea of them: they leave
// usage out, know no stream_options, number no tool calls, send reasoning beside the content, report
// errors inside the stream, end without [DONE], or answer with one document instead of a stream. A
// stream that idles is the business of provider.Guard; one that ends early is noticed here.
package openaichat

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/provider/upstream"
)

// Kind is the provider kind in models.yaml, and the Vendor of the reasoning that it makes.
const Kind = "openai-chat"

// maxDocument bounds an answer that is one document instead of a stream.
const maxDocument = 32 << 20

// afterFinish is how long a server may take from its finish_reason to the end of the stream. In
// between comes usage; servers that send no [DONE] and keep the connection would otherwise hold a
// complete answer back until the idle guard throws it away.
const afterFinish = 5 * time.Second

// Provider makes calls to one chat completions server. It is used from several goroutines.
type Provider struct {
	vendor   upstream.Vendor
	url      string
	endpoint upstream.Endpoint
	client   *upstream.Client

	afterFinish time.Duration

	// What the server has been seen to refuse, so that it is not asked again.
	noStreamOptions     atomic.Bool
	maxCompletionTokens atomic.Bool // it wants max_completion_tokens instead of max_tokens
}

// New makes a provider; it connects to nothing. The base URL is required; one without a path gets /v1.
func New(e upstream.Endpoint) *Provider {
	base := strings.TrimSuffix(e.BaseURL, "/")
	if u, err := url.Parse(base); err == nil && strings.Trim(u.Path, "/") == "" {
		base += "/v1"
	}
	return &Provider{
		vendor:   e.Vendor(),
		url:      strings.TrimSuffix(base, "/chat/completions") + "/chat/completions",
		endpoint: e,
		client:   upstream.NewClient(e.HTTP, true),

		afterFinish: afterFinish,
	}
}

// Stream implements core.Provider.
//
// A server that refuses a parameter which the call can do without (stream_options, max_tokens) is
// asked once more without it.
func (p *Provider) Stream(ctx context.Context, req core.ModelRequest) iter.Seq2[core.Chunk, error] {
	return func(yield func(core.Chunk, error) bool) {
		a := &answer{yield: yield}
		w := wording{noStreamOptions: p.noStreamOptions.Load(), maxCompletionTokens: p.maxCompletionTokens.Load()}
		err := p.call(ctx, a, req, w)
		for err != nil && p.amend(err, &w) {
			err = p.call(ctx, a, req, w)
		}
		if err != nil && !a.gone {
			yield(core.Chunk{}, p.fault(ctx, err, a.begun, req.Model))
		}
	}
}

// wording is how a request is put for this server.
type wording struct{ noStreamOptions, maxCompletionTokens, noMaxTokens bool }

// amend finds what the server refused that can be put otherwise. Each is changed once, so this ends.
// False: nothing, the error stands.
func (p *Provider) amend(err error, w *wording) bool {
	var refusal *upstream.Refusal
	if !errors.As(err, &refusal) || refusal.Status != http.StatusBadRequest && refusal.Status != http.StatusUnprocessableEntity {
		return false
	}
	text := string(refusal.Body)
	switch {
	case strings.Contains(text, "stream_options") && !w.noStreamOptions:
		w.noStreamOptions = true
		p.noStreamOptions.Store(true)
		return true
	case strings.Contains(text, "max_completion_tokens") && !w.maxCompletionTokens && !w.noMaxTokens:
		w.maxCompletionTokens = true
		p.maxCompletionTokens.Store(true)
		return true
	case (strings.Contains(text, "max_tokens") || strings.Contains(text, "max_completion_tokens")) && !w.noMaxTokens:
		// Input and limit together exceed the context window, whose size is unknown here: without
		// a limit, servers give the answer what is left.
		w.noMaxTokens = true
		return true
	}
	return false
}

// call makes one call and passes its chunks on. A nil error means that the answer is complete or
// that the consumer has gone.
func (p *Provider) call(ctx context.Context, a *answer, req core.ModelRequest, w wording) error {
	body, err := json.Marshal(requestOf(req, w))
	if err != nil {
		return fmt.Errorf("write request: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	out, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	out.Header.Set("Content-Type", "application/json")
	out.Header.Set("Accept", "text/event-stream")
	if p.endpoint.Key != "" {
		out.Header.Set("Authorization", "Bearer "+p.endpoint.Key)
	}
	for name, value := range p.endpoint.Headers {
		out.Header.Set(name, value)
	}
	res, err := p.client.Do(out)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	a.begun = true
	if media, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type")); media == "application/json" {
		return document(a, res.Body)
	}
	return stream(a, res.Body, func() *time.Timer { return time.AfterFunc(p.afterFinish, cancel) })
}

// stream reads an answer in pieces. hurry is called when the finish_reason has come, and ends the
// reading after a while.
func stream(a *answer, body io.Reader, hurry func() *time.Timer) error {
	frames := newFrames(body)
	var late *time.Timer
	defer func() {
		if late != nil {
			late.Stop()
		}
	}()
	for {
		data, err := frames.next()
		switch {
		case err != nil && a.finished:
			return a.finish() // the vendor's finish_reason came; what broke is only the end of the connection
		case errors.Is(err, io.EOF):
			return errEnded
		case err != nil:
			return err
		case string(bytes.TrimSpace(data)) == "[DONE]":
			return a.finish()
		}
		var f frame
		if err := json.Unmarshal(data, &f); err != nil {
			return fmt.Errorf("decode frame: %w", err)
		}
		if err := a.frame(f); err != nil || a.gone {
			return err
		}
		if a.finished && late == nil {
			late = hurry()
		}
	}
}

// document reads an answer of a server that does not stream.
func document(a *answer, body io.Reader) error {
	data, err := io.ReadAll(io.LimitReader(body, maxDocument))
	if err != nil {
		return err
	}
	var f frame
	if err := json.Unmarshal(data, &f); err != nil {
		return fmt.Errorf("decode answer: %w", err)
	}
	for i := range f.Choices {
		f.Choices[i].Delta = f.Choices[i].Message
	}
	if err := a.frame(f); err != nil || a.gone {
		return err
	}
	if !a.finished {
		return errEnded
	}
	return a.finish()
}

// errEnded is a stream that ended with neither a finish_reason nor [DONE].
var errEnded = errors.New("the stream ended without an end mark")

// fault turns what went wrong into ctx's error or a *core.ModelError.
func (p *Provider) fault(ctx context.Context, err error, begun bool, model string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, errEnded) {
		return p.vendor.Ended()
	}
	var refusal *upstream.Refusal
	if errors.As(err, &refusal) {
		var f frame
		_ = json.Unmarshal(refusal.Body, &f) // a body that is not the server's leaves the status to judge by
		c := upstream.Complaint{}
		if f.Error != nil {
			c = f.Error.complaint()
		} else { // some put the members of "error" at the top
			c.Message = word(f.Message)
		}
		c.Status, c.Header, c.Request = refusal.Status, refusal.Header, refusal.Header.Get("X-Request-Id")
		return p.vendor.Refused(c, model)
	}
	var failed *failure
	if errors.As(err, &failed) {
		return p.vendor.Refused(failed.Complaint, model)
	}
	return p.vendor.Broken(ctx, err, begun)
}
