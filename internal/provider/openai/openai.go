// Package openai serves models through OpenAI's Responses API with the vendor's own SDK, of which
// only the responses service is linked: the root package adds 15 MB.
//
// Every call streams and nothing is stored at the vendor (store=false), so reasoning goes back with
// the history in its encrypted form. The SDK's retries are off, because the turn runner retries and
// shows that it does. A stream that idles is the business of provider.Guard; one that ends without a
// final event is noticed here.
package openai

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/packages/ssestream"
	"github.com/openai/openai-go/v3/responses"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/provider/upstream"
)

// Kind is the provider kind in models.yaml, and the Vendor of the reasoning that it makes.
const Kind = "openai"

// DefaultBaseURL is the vendor's own address.
const DefaultBaseURL = "https://api.openai.com/v1"

// Provider makes calls to the Responses API. It is used from several goroutines.
type Provider struct {
	vendor    upstream.Vendor
	responses responses.ResponseService
	noSummary atomic.Bool // the organization may not have reasoning summaries: OpenAI gives them to verified ones only
}

// New makes a provider; it connects to nothing. A base URL without a path gets /v1.
func New(e upstream.Endpoint) *Provider {
	base := e.BaseURL
	if base == "" {
		base = DefaultBaseURL
	}
	if u, err := url.Parse(base); err == nil && strings.Trim(u.Path, "/") == "" {
		base = strings.TrimSuffix(base, "/") + "/v1"
	}
	opts := []option.RequestOption{
		option.WithBaseURL(base),
		option.WithHTTPClient(upstream.NewClient(e.HTTP, false)),
		option.WithMaxRetries(0),
	}
	if e.Key != "" {
		opts = append(opts, option.WithAPIKey(e.Key))
	}
	for name, value := range e.Headers {
		opts = append(opts, option.WithHeader(name, value))
	}
	return &Provider{vendor: e.Vendor(), responses: responses.NewResponseService(opts...)}
}

// Stream implements core.Provider.
//
// Two refusals are met by making the call once more without what was refused: reasoning summaries
// for an organization that is not verified, and reasoning of the history that the key's organization
// cannot decrypt (the key was changed). The session would otherwise be stuck.
func (p *Provider) Stream(ctx context.Context, req core.ModelRequest) iter.Seq2[core.Chunk, error] {
	return func(yield func(core.Chunk, error) bool) {
		a := &answer{yield: yield}
		without := omission{summary: p.noSummary.Load()}
		err := p.call(ctx, a, req, without)
		for err != nil && p.amend(err, req, &without) {
			err = p.call(ctx, a, req, without)
		}
		if err != nil && !a.gone {
			yield(core.Chunk{}, p.fault(ctx, err, a.begun, req.Model))
		}
	}
}

// omission is what a request goes without.
type omission struct{ summary, reasoning bool }

// amend finds what the vendor refused that the call can do without. Each is left out once, so this
// ends. False: nothing, the error stands.
func (p *Provider) amend(err error, req core.ModelRequest, without *omission) bool {
	var refusal *upstream.Refusal
	if !errors.As(err, &refusal) || refusal.Status != http.StatusBadRequest {
		return false
	}
	c := complaintOf(refusal.Body)
	switch {
	case c.Param == "reasoning.summary" && !without.summary:
		without.summary = true
		p.noSummary.Store(true)
		return true
	case !without.reasoning && hasReasoning(req) &&
		(c.Code == "invalid_encrypted_content" || strings.Contains(strings.ToLower(c.Message), "encrypted content")):
		without.reasoning = true
		return true
	}
	return false
}

// call makes one call and passes its chunks on. A nil error means that the answer is complete or
// that the consumer has gone.
func (p *Provider) call(ctx context.Context, a *answer, req core.ModelRequest, without omission) error {
	stream := p.responses.NewStreaming(ctx, params(req, without))
	defer stream.Close()
	for stream.Next() {
		a.begun = true
		done, err := a.event(stream.Current())
		if done || err != nil || a.gone {
			return err
		}
	}
	if err := stream.Err(); err != nil {
		return err
	}
	return errEnded
}

// errEnded is a stream that ended without a final event. The SDK does not tell it from a complete one.
var errEnded = errors.New("the stream ended without a final event")

// failure is an error that the vendor reported inside the stream.
type failure struct{ upstream.Complaint }

func (*failure) Error() string { return "the vendor reported an error inside the stream" }

// complaintOf reads the vendor's error: the value of a body's "error", or the body itself (error
// events). Code and param may be null or a number.
func complaintOf(body []byte) upstream.Complaint {
	type complaint struct {
		Type    string          `json:"type"`
		Code    json.RawMessage `json:"code"`
		Param   json.RawMessage `json:"param"`
		Message string          `json:"message"`
	}
	var outer struct {
		Error *complaint `json:"error"`
		complaint
	}
	_ = json.Unmarshal(body, &outer) // a body that is not the vendor's leaves the status to judge by
	c := outer.complaint
	if outer.Error != nil {
		c = *outer.Error
	}
	if c.Type == "error" { // the name of the event, not of the error
		c.Type = ""
	}
	word := func(raw json.RawMessage) string {
		var s string
		if len(raw) > 0 && json.Unmarshal(raw, &s) != nil {
			return string(raw)
		}
		return s
	}
	return upstream.Complaint{Type: c.Type, Code: word(c.Code), Param: word(c.Param), Message: c.Message}
}

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
		c := complaintOf(refusal.Body)
		c.Status, c.Header, c.Request = refusal.Status, refusal.Header, refusal.Header.Get("X-Request-Id")
		return p.vendor.Refused(c, model)
	}
	var failed *failure
	if errors.As(err, &failed) {
		return p.vendor.Refused(failed.Complaint, model)
	}
	var event *ssestream.StreamError // a frame with a top-level "error"
	if errors.As(err, &event) {
		return p.vendor.Refused(complaintOf(event.Event.Data), model)
	}
	return p.vendor.Broken(ctx, err, begun)
}
