// Package anthropic serves models through Anthropic's Messages API with the vendor's own SDK.
//
// Every call streams. The SDK's retries are off, because the turn runner retries and shows that it
// does. Reasoning goes back with the history exactly as it came, signatures included. A stream that
// idles is the business of provider.Guard; one that ends without message_stop is noticed here.
package anthropic

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"strings"

	sdk "github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/provider/upstream"
)

// Kind is the provider kind in models.yaml, and the Vendor of the reasoning that it makes.
const Kind = "anthropic"

// DefaultBaseURL is the vendor's own address.
const DefaultBaseURL = "https://api.anthropic.com"

// Provider makes calls to the Messages API. It is used from several goroutines.
type Provider struct {
	vendor   upstream.Vendor
	messages sdk.MessageService
}

// New makes a provider; it connects to nothing. A trailing /v1 of the base URL is dropped, since the
// SDK adds it.
func New(e upstream.Endpoint) *Provider {
	base := strings.TrimSuffix(strings.TrimSuffix(e.BaseURL, "/"), "/v1")
	if base == "" {
		base = DefaultBaseURL
	}
	// NewMessageService reads no environment, unlike NewClient.
	opts := []option.RequestOption{
		option.WithBaseURL(base),
		option.WithHTTPClient(upstream.NewClient(e.HTTP, false)),
		option.WithMaxRetries(0),
		option.WithoutOpenTelemetry(), // its spans would be a second, different account of the same calls
	}
	if e.Key != "" {
		opts = append(opts, option.WithAPIKey(e.Key))
	}
	for name, value := range e.Headers {
		opts = append(opts, option.WithHeader(name, value))
	}
	return &Provider{vendor: e.Vendor(), messages: sdk.NewMessageService(opts...)}
}

// Stream implements core.Provider.
//
// When the vendor refuses reasoning of the history, the call is made once more without it. That
// happens when the key now belongs to another organization, or when something before the reasoning
// changed; the session would otherwise be stuck, since history never changes.
func (p *Provider) Stream(ctx context.Context, req core.ModelRequest) iter.Seq2[core.Chunk, error] {
	return func(yield func(core.Chunk, error) bool) {
		a := &answer{yield: yield}
		err := p.call(ctx, a, params(req, false), betas(req)...)
		if reasoningRefused(err, req) {
			err = p.call(ctx, a, params(req, true), betas(req)...)
		}
		if err != nil && !a.gone {
			yield(core.Chunk{}, p.fault(ctx, err, a.begun, req.Model))
		}
	}
}

// call makes one call and passes its chunks on. A nil error means that the answer is complete or
// that the consumer has gone.
func (p *Provider) call(ctx context.Context, a *answer, body sdk.MessageNewParams, opts ...option.RequestOption) error {
	stream := p.messages.NewStreaming(ctx, body, opts...)
	defer stream.Close()
	for stream.Next() {
		a.begun = true
		if done := a.event(stream.Current()); done || a.gone {
			return nil
		}
	}
	if err := stream.Err(); err != nil {
		return err
	}
	return errEnded
}

// betas names the parts of the API that a request uses and that some models only have on request (the SDK's
// MessageNewParams.Speed).
func betas(req core.ModelRequest) []option.RequestOption {
	if !req.Fast {
		return nil
	}
	return []option.RequestOption{option.WithHeaderAdd("anthropic-beta", sdk.AnthropicBetaFastMode2026_02_01)}
}

// errEnded is a stream that ended without message_stop. The SDK does not tell it from a complete one.
var errEnded = errors.New("the stream ended without message_stop")

// complaint is the vendor's error body, in HTTP answers and in error events alike.
type complaint struct {
	Error struct {
		Type    string `json:"type"`
		Message string `json:"message"`
	} `json:"error"`
	RequestID string `json:"request_id"`
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
		var body complaint
		_ = json.Unmarshal(refusal.Body, &body) // a body that is not the vendor's leaves the status to judge by
		return p.vendor.Refused(upstream.Complaint{
			Status: refusal.Status, Header: refusal.Header,
			Type: body.Error.Type, Message: body.Error.Message,
			Request: refusal.Header.Get("Request-Id"),
		}, model)
	}
	var event *sdk.Error // the SDK's form of an error event; its status is that of the stream: 200
	if errors.As(err, &event) {
		var body complaint
		_ = json.Unmarshal([]byte(event.RawJSON()), &body)
		if body.Error.Type == "" {
			body.Error.Type = string(event.Type())
		}
		return p.vendor.Refused(upstream.Complaint{
			Type: body.Error.Type, Message: body.Error.Message, Request: body.RequestID,
		}, model)
	}
	return p.vendor.Broken(ctx, err, begun)
}

// reasoningRefused reports whether the call failed because of thinking blocks in its history.
func reasoningRefused(err error, req core.ModelRequest) bool {
	var refusal *upstream.Refusal
	if !errors.As(err, &refusal) || refusal.Status != 400 {
		return false
	}
	text := strings.ToLower(string(refusal.Body))
	return (strings.Contains(text, "thinking") || strings.Contains(text, "signature")) && hasReasoning(req)
}
