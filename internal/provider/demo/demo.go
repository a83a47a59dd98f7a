// Package demo is the built-in demo model: no key, no network, the same answer to the same
// conversation every time. It lets a first try, `reeve demo` and the tests of other parts run whole
// turns: it reasons, calls the tools that it is offered, several at once, and its final answer quotes
// what they really returned.
//
// It follows a fixed plan and says so; it never passes for a language model.
package demo

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/reeve-ai/reeve/internal/core"
)

// Kind is the provider kind in models.yaml.
const Kind = "demo"

// Target is the one model id that the demo model answers to; it does not look at it.
const Target = "demo"

// Option changes a Provider.
type Option func(*Provider)

// WithDelay waits before each piece of text, so that a person sees it come. Default: none.
func WithDelay(d time.Duration) Option { return func(p *Provider) { p.delay = d } }

// Provider is the demo model. It is used from several goroutines.
type Provider struct{ delay time.Duration }

// New makes the demo model.
func New(opts ...Option) *Provider {
	p := &Provider{}
	for _, o := range opts {
		o(p)
	}
	return p
}

// answer is what the demo model does in one call.
type answer struct {
	thought string // empty: none
	text    string // empty: none
	calls   []call
}

type call struct{ name, input string }

// Stream implements core.Provider. Usage is an estimate: a token for every four characters.
func (p *Provider) Stream(ctx context.Context, req core.ModelRequest) iter.Seq2[core.Chunk, error] {
	return func(yield func(core.Chunk, error) bool) {
		s := read(req)
		a := decide(s)
		out := &output{ctx: ctx, delay: p.delay, yield: yield}
		usage := core.Usage{InputTokens: estimate(size(req)), OutputTokens: estimate(a.size())}
		stop := core.StopModelEnd
		ok := out.chunk(core.Chunk{Type: core.ChunkUsage, Usage: core.Usage{InputTokens: usage.InputTokens}}) &&
			out.thought(a.thought) && out.text(a.text)
		for i, c := range a.calls {
			stop = core.StopModelTools
			ok = ok && out.chunk(core.Chunk{Type: core.ChunkToolCall, Index: out.index + i, Call: &core.ToolCall{
				// Unique in the conversation, and the same when the call is made again after a crash.
				ID: fmt.Sprintf("demo_%d_%d", s.answers+1, i+1), Name: c.name, Input: c.input,
			}})
		}
		_ = ok && out.chunk(core.Chunk{Type: core.ChunkUsage, Usage: usage}) &&
			out.chunk(core.Chunk{Type: core.ChunkStop, Stop: stop})
	}
}

// output emits chunks. Its methods report whether to go on.
type output struct {
	ctx   context.Context
	delay time.Duration
	yield func(core.Chunk, error) bool
	index int // of the next block
}

func (o *output) chunk(c core.Chunk) bool {
	if err := o.ctx.Err(); err != nil {
		o.yield(core.Chunk{}, err)
		return false
	}
	return o.yield(c, nil)
}

func (o *output) thought(text string) bool {
	if text == "" {
		return true
	}
	ok := o.pieces(core.ChunkThinking, text) && o.chunk(core.Chunk{
		Type: core.ChunkThought, Index: o.index, Thinking: &core.Thinking{Text: text, Vendor: Kind},
	})
	o.index++
	return ok
}

func (o *output) text(text string) bool {
	if text == "" {
		return true
	}
	ok := o.pieces(core.ChunkText, text)
	o.index++
	return ok
}

func (o *output) pieces(t core.ChunkType, text string) bool {
	for _, piece := range split(text) {
		if !o.wait() || !o.chunk(core.Chunk{Type: t, Index: o.index, Text: piece}) {
			return false
		}
	}
	return true
}

// wait holds the delay; chunk notices when the context ended in between.
func (o *output) wait() bool {
	if o.delay <= 0 {
		return true
	}
	t := time.NewTimer(o.delay)
	defer t.Stop()
	select {
	case <-t.C:
	case <-o.ctx.Done():
	}
	return true
}

// split cuts text behind spaces and line ends into pieces of about 16 bytes; together they are text.
func split(text string) []string {
	var pieces []string
	for len(text) > 0 {
		n := len(text)
		if n > 16 {
			if i := strings.IndexAny(text[16:], " \n"); i >= 0 {
				n = 16 + i + 1
			}
		}
		pieces, text = append(pieces, text[:n]), text[n:]
	}
	return pieces
}

func estimate(runes int) int64 { return int64((runes + 3) / 4) }

func (a answer) size() int {
	n := utf8.RuneCountInString(a.thought) + utf8.RuneCountInString(a.text)
	for _, c := range a.calls {
		n += utf8.RuneCountInString(c.name) + utf8.RuneCountInString(c.input)
	}
	return n
}
