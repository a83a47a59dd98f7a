// Package fake is the scripted model for tests and benchmarks: it plays one step per call, in order,
// and remembers what it was asked.
//
//	p := fake.New(
//		fake.Think("I should look.").And(fake.CallTool("bash", `{"command":"ls"}`)),
//		fake.Say("There is nothing here."),
//	)
//
// No production code uses it except the benchmark's instant model.
package fake

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"

	"github.com/reeve-ai/reeve/internal/core"
)

// DefaultUsage is what a call reports unless its step has Usage.
var DefaultUsage = core.Usage{InputTokens: 10, OutputTokens: 5}

// Provider plays a script. It is used from several goroutines; calls take the steps in the order in
// which they come.
type Provider struct {
	forever *Step                        // played by every call; nil: the script
	choose  func(core.ModelRequest) Step // what every call plays; nil: the script
	waiting chan struct{}

	mu       sync.Mutex
	chosen   int // calls that choose made the step of
	steps    []Step
	next     int
	requests []core.ModelRequest
}

// New makes a provider that plays one step per call. A call after the last step fails with a
// ModelFailed that is not retryable and says so.
func New(steps ...Step) *Provider {
	// Room for as many waiting calls as any test has; when nobody listens, the rest go unannounced.
	return &Provider{steps: slices.Clone(steps), waiting: make(chan struct{}, 1024)}
}

// Instant makes a provider that answers every call with text, at once, and remembers nothing, so
// that a benchmark may run for long.
func Instant(text string) *Provider {
	s := Say(text)
	return &Provider{forever: &s, waiting: make(chan struct{}, 1)}
}

// Choose makes a provider that plays what f makes of each request, and remembers nothing: for many clients
// at once, whose calls come in no order. f is called from several goroutines.
func Choose(f func(core.ModelRequest) Step) *Provider {
	return &Provider{choose: f, waiting: make(chan struct{}, 1024)}
}

// Requests returns the requests so far, oldest first. Empty for Instant and Choose.
func (p *Provider) Requests() []core.ModelRequest {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.requests)
}

// Left returns how many steps of the script were not played yet.
func (p *Provider) Left() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.steps) - p.next
}

// Waiting gives one value each time a call begins to wait in a Block.
func (p *Provider) Waiting() <-chan struct{} { return p.waiting }

// take returns the step for this call and the call's number, from 1.
func (p *Provider) take(req core.ModelRequest) (Step, int, bool) {
	if p.forever != nil {
		return *p.forever, 0, true
	}
	if p.choose != nil {
		step := p.choose(req)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.chosen++
		return step, p.chosen, true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	req.Messages, req.Tools = slices.Clone(req.Messages), slices.Clone(req.Tools)
	p.requests = append(p.requests, req)
	if p.next >= len(p.steps) {
		return Step{}, len(p.requests), false
	}
	p.next++
	return p.steps[p.next-1], len(p.requests), true
}

// Stream implements core.Provider.
func (p *Provider) Stream(ctx context.Context, req core.ModelRequest) iter.Seq2[core.Chunk, error] {
	return func(yield func(core.Chunk, error) bool) {
		if ctx.Err() != nil {
			yield(core.Chunk{}, ctx.Err())
			return
		}
		step, n, ok := p.take(req)
		if !ok {
			yield(core.Chunk{}, &core.ModelError{
				Type:    core.ModelFailed,
				Message: fmt.Sprintf("The script of the fake model is exhausted: it has %d steps, and this is call %d.", len(p.steps), n),
			})
			return
		}
		c := &play{Provider: p, ctx: ctx, req: req, number: n, yield: yield, usage: DefaultUsage}
		for _, part := range step.parts {
			if !part(c) {
				return
			}
		}
		c.finish()
	}
}
