package mcp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

const (
	maxAnswer = 16 << 20 // bytes of one answer, after decompression
	maxStream = 1 << 30  // bytes of one stream of the old transport, which is the whole connection
	// tokenAge is how long a token is used before it is asked for again: as long works at most what was revoked.
	tokenAge  = time.Minute
	maxNotice = 1 << 10 // bytes of a notice that a call was given up
	maxSeen   = 8       // tokens that are remembered, to be taken out of what the server says
)

var (
	errElsewhere = core.Errorf(core.Invalid, "mcp_elsewhere", "it points to another address, where its credential does not belong")
	errLarge     = errors.New("the answer is too large")
	errToken     = errors.New("the credential could not be had")
)

// way is how the requests of one link go out. It adds the bearer token, and gets another one when the server
// refuses it; it goes to the server's own address only; it bounds what comes back, and ends with the link.
type way struct {
	base   http.RoundTripper
	life   context.Context
	told   chan struct{} // capacity 64, more than calls end at one time: a value for each notice of a call that was given up
	origin string
	token  func(ctx context.Context, stale string) (string, error)

	mu     sync.Mutex
	held   string // the token in use; empty: none
	asked  time.Time
	spent  bool     // the server refused a token that was asked for because it had refused another
	seen   []string // tokens that were sent, newest last
	status int      // of the last answer, unless that was a success
	large  bool     // an answer was too large
}

// newWay makes the way to an endpoint. life ends with the link.
func newWay(life context.Context, base http.RoundTripper, endpoint string, token func(ctx context.Context, stale string) (string, error)) *way {
	w := &way{base: base, life: life, token: token, told: make(chan struct{}, 64)}
	if u, err := url.Parse(endpoint); err == nil {
		w.origin = originOf(u)
	}
	return w
}

// originOf is scheme, host and port.
func originOf(u *url.URL) string {
	scheme, port := strings.ToLower(u.Scheme), u.Port()
	if port == "" && scheme == "https" {
		port = "443"
	} else if port == "" {
		port = "80"
	}
	return scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port
}

// checkRedirect follows a few, as some servers have their endpoint behind a final slash; RoundTrip sees to
// where they lead.
func checkRedirect(_ *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return core.Errorf(core.Invalid, "mcp_redirects", "it redirects more than %d times", maxRedirects)
	}
	return nil
}

// RoundTrip implements http.RoundTripper.
func (w *way) RoundTrip(req *http.Request) (*http.Response, error) {
	if originOf(req.URL) != w.origin {
		closeBody(req)
		return nil, errElsewhere
	}
	if givesUp(req) {
		defer func() {
			select {
			case w.told <- struct{}{}:
			default:
			}
		}()
	}
	token, err := w.bearer(req.Context(), "")
	if err != nil {
		closeBody(req)
		return nil, err
	}
	res, err := w.send(req, token)
	if err != nil {
		return nil, err
	}
	if res.StatusCode == http.StatusUnauthorized && (req.Body == nil || req.GetBody != nil) && w.mayRenew() {
		if again, err := w.bearer(req.Context(), token); err == nil && again != "" && again != token {
			_ = res.Body.Close()
			next := req.Clone(req.Context())
			if req.GetBody != nil {
				if next.Body, err = req.GetBody(); err != nil {
					return nil, err
				}
			}
			if res, err = w.send(next, again); err != nil {
				return nil, err
			}
			w.renewed(res.StatusCode)
		}
	}
	w.note(res.StatusCode)
	switch res.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests:
		// An error, so that it finds its way to the one call that it is for, whatever the SDK makes of statuses.
		_ = res.Body.Close()
		return nil, deniedError(res.StatusCode)
	}
	return res, nil
}

// deniedError is the status with which a server refused a request before it did anything.
type deniedError int

func (e deniedError) Error() string { return fmt.Sprintf("HTTP status %d", int(e)) }

// givesUp reports whether a request tells the server that nobody waits for a call any more.
func givesUp(req *http.Request) bool {
	if req.GetBody == nil || req.ContentLength > maxNotice {
		return false
	}
	body, err := req.GetBody()
	if err != nil {
		return false
	}
	defer func() { _ = body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(body, maxNotice))
	return err == nil && bytes.Contains(raw, []byte(`"notifications/cancelled"`))
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close() // a RoundTripper must
	}
}

// bearer returns the token to send. stale is one that was refused; empty: none was.
func (w *way) bearer(ctx context.Context, stale string) (string, error) {
	w.mu.Lock()
	held, fresh := w.held, !w.asked.IsZero() && time.Since(w.asked) < tokenAge
	w.mu.Unlock()
	if fresh && held != stale || fresh && stale == "" {
		return held, nil // for a stale one: another call was quicker
	}
	token, err := w.token(ctx, stale)
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if err != nil {
		return "", errors.Join(errToken, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held, w.asked = token, time.Now()
	if token != "" && (len(w.seen) == 0 || w.seen[len(w.seen)-1] != token) {
		w.seen = append(w.seen, token)
		if len(w.seen) > maxSeen {
			w.seen = w.seen[1:]
		}
	}
	return token, nil
}

// mayRenew says whether a refused token is worth another: else a server that refuses everything would have us
// refresh with every request.
func (w *way) mayRenew() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.spent
}

func (w *way) renewed(status int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.spent = status == http.StatusUnauthorized
}

// note remembers how the server answers, for whoever has to explain a failure.
func (w *way) note(status int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if status < 300 {
		w.status, w.spent = 0, false
		return
	}
	w.status = status
}

// last is the status of the last answer, or 0 if that was a success.
func (w *way) last() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.status
}

// send makes one request, which ends with the link at the latest.
func (w *way) send(req *http.Request, token string) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	stop := context.AfterFunc(w.life, func() { cancel(context.Cause(w.life)) })
	end := func() {
		stop()
		cancel(nil)
	}
	out := req.Clone(ctx)
	out.Header.Set("User-Agent", "Reeve")
	if token != "" {
		out.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := w.base.RoundTrip(out)
	if err != nil {
		end()
		return nil, err
	}
	left := int64(maxAnswer) + 1 // the last one only to see that there is more
	if req.Method == http.MethodGet {
		left = maxStream + 1
	}
	res.Body = &bounded{ReadCloser: res.Body, left: left, over: w.tooLarge, end: end}
	return res, nil
}

func (w *way) tooLarge() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.large = true
}

// scrub takes the tokens that were sent to the server out of what it says.
func (w *way) scrub(s string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, token := range w.seen {
		s = strings.ReplaceAll(s, token, "[credential]")
	}
	return s
}

// bounded is a body that ends in an error when it is longer than it may be.
type bounded struct {
	io.ReadCloser
	left int64
	over func()
	end  func()
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		b.over()
		return 0, errLarge
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

func (b *bounded) Close() error {
	err := b.ReadCloser.Close()
	b.end()
	return err
}
