package upstream

import "context"

type pulseKey struct{}

// WithPulse returns a context with which a Client calls beat for every piece of data that arrives,
// also for what never becomes a Chunk: pings, comments, the pieces of a tool call's arguments. It is
// passed in the context for the reason for which net/http/httptrace is: between the listener and
// the socket lie layers that know nothing of it.
func WithPulse(ctx context.Context, beat func()) context.Context {
	return context.WithValue(ctx, pulseKey{}, beat)
}

// beatOf returns the context's listener, or one that does nothing.
func beatOf(ctx context.Context) func() {
	if beat, ok := ctx.Value(pulseKey{}).(func()); ok {
		return beat
	}
	return func() {}
}
