package proxy

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptrace"
	"sync"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// answerTime is how long a server may take from the end of a request to the header of its answer.
const answerTime = 5 * time.Minute

// errNoAnswer is Invalid, so that the sandbox may read it.
var errNoAnswer = core.Errorf(core.Invalid, "fetch_failed", "the host did not answer in time")

// patient is a transport whose patience ends: a server that never answers would keep a request, and its place, for
// as long as the sandbox likes.
type patient struct {
	http.RoundTripper
	wait time.Duration
}

// RoundTrip implements http.RoundTripper. What it starts ends with the request's own context: that of a server's
// handler, which ends with the handler.
func (p patient) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, give := context.WithCancelCause(r.Context())
	var (
		mu    sync.Mutex
		over  bool
		timer *time.Timer
	)
	written := func(httptrace.WroteRequestInfo) {
		mu.Lock()
		defer mu.Unlock()
		if over { // servers may answer before they have read everything
			return
		}
		if timer != nil { // it was sent again, on another connection
			timer.Stop()
		}
		timer = time.AfterFunc(p.wait, func() { give(errNoAnswer) })
	}
	res, err := p.RoundTripper.RoundTrip(r.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: written})))
	mu.Lock()
	over = true
	if timer != nil {
		timer.Stop()
	}
	mu.Unlock()
	if err != nil {
		if cause := context.Cause(ctx); errors.Is(cause, errNoAnswer) {
			err = cause
		}
		give(nil)
		return nil, err
	}
	return res, nil
}
