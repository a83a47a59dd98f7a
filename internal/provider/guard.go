package provider

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/provider/upstream"
)

// Guard wraps a provider so that every call keeps the promises of core.Provider, whatever the vendor
// does: a call from which nothing arrives for the length of idle ends with ModelCut; so does a stream
// that ends with neither ChunkStop nor an error; nothing follows a ChunkStop; and an error that is
// neither a *core.ModelError nor ctx's own becomes one of type ModelUnknown.
//
// Anything that arrives counts, also what makes no Chunk (pings, the pieces of a tool call), as does
// a Chunk. The time that the consumer takes over a Chunk does not. idle must be more than zero.
func Guard(p core.Provider, idle time.Duration) core.Provider {
	return &guarded{inner: p, idle: idle}
}

type guarded struct {
	inner core.Provider
	idle  time.Duration
}

// errIdle is the cause with which an idle call is cancelled.
var errIdle = errors.New("nothing arrived from the model for too long")

func (g *guarded) Stream(ctx context.Context, req core.ModelRequest) iter.Seq2[core.Chunk, error] {
	return func(yield func(core.Chunk, error) bool) {
		watched, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		watch := startWatch(g.idle, func() { cancel(errIdle) })
		defer watch.pause()
		for c, err := range g.inner.Stream(upstream.WithPulse(watched, watch.beat), req) {
			watch.pause()
			if err != nil {
				yield(core.Chunk{}, g.fault(ctx, watched, err))
				return
			}
			if !yield(c, nil) || c.Type == core.ChunkStop {
				return
			}
			watch.resume()
		}
		yield(core.Chunk{}, g.fault(ctx, watched, nil))
	}
}

// fault is the error of a call that ended with err, or without a ChunkStop if err is nil.
func (g *guarded) fault(ctx, watched context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(context.Cause(watched), errIdle) {
		return &core.ModelError{
			Type: core.ModelCut, Retryable: true, Err: err,
			Message: fmt.Sprintf("The model sent nothing for %s.", g.idle),
		}
	}
	if err == nil {
		return &core.ModelError{
			Type: core.ModelCut, Retryable: true,
			Message: "The model's answer ended before it was complete.",
		}
	}
	var known *core.ModelError
	if errors.As(err, &known) {
		return known
	}
	return &core.ModelError{
		Type: core.ModelUnknown, Err: err,
		Message: "The model call failed with an error that is not known here.",
	}
}

// watch calls expired once when it runs for the length of idle without a beat.
type watch struct {
	idle time.Duration

	mu     sync.Mutex
	timer  *time.Timer
	paused bool
}

func startWatch(idle time.Duration, expired func()) *watch {
	return &watch{idle: idle, timer: time.AfterFunc(idle, expired)}
}

// beat starts the time anew. A beat during a pause must not end it: a transport may read ahead while
// the consumer works.
func (w *watch) beat() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.paused {
		w.timer.Reset(w.idle)
	}
}

func (w *watch) pause() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.paused = true
	w.timer.Stop()
}

func (w *watch) resume() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.paused = false
	w.timer.Reset(w.idle)
}
