package managed

import (
	"bytes"
	"context"
	"crypto/sha256"
	"net/http"
	"sync"
	"time"

	"github.com/reeve-ai/reeve/internal/api/httpio"
	"github.com/reeve-ai/reeve/internal/core"
)

const (
	keyLife    = 24 * time.Hour // qoder.md section 2.4
	maxKey     = 255            // characters
	keyTimeout = 5 * time.Second
)

// idempotencyKey returns the key of a request; empty: none. The older alias counts, too.
func idempotencyKey(r *http.Request) string {
	if key := r.Header.Get("Idempotency-Key"); key != "" {
		return key
	}
	return r.Header.Get("X-Idempotency-Key")
}

// flights are the requests with a key that run on this node now.
type flights struct {
	mu   sync.Mutex
	open map[flight]bool
}

type flight struct {
	project     core.ProjectID
	caller, key string
}

// board reports whether the key was free.
func (f *flights) board(k flight) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.open[k] {
		return false
	}
	f.open[k] = true
	return true
}

func (f *flights) leave(k flight) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.open, k)
}

// reservation is the record of a request that carries a key.
type reservation struct {
	record   core.Idempotency
	finished bool // the answer was stored by the handler's own transaction
}

// finish stores the answer.
func (r *reservation) finish(ctx context.Context, keys core.IdempotencyStore, a answer) error {
	r.record.Status, r.record.Response = a.status, a.body
	if err := keys.FinishIdempotency(ctx, r.record); err != nil {
		return &core.Error{Err: err} // Internal: that the key is gone is no business of the client
	}
	r.finished = true
	return nil
}

// once answers a request that carries an Idempotency-Key: the first request runs, and a later one with
// the same method, path and body gets the same answer, byte for byte (qoder.md section 2.4; how a
// request in flight and errors are treated is our choice). Successes are kept, and client errors
// that would come again; after others the key is free.
func (f *Face) once(c *call, rt route, key string) answer {
	if len(key) > maxKey || !printable(key) {
		return f.failed(c, core.InvalidField("Idempotency-Key", "must be 1 to %d printable ASCII characters", maxKey))
	}
	id := flight{c.by.Project, caller(c.by), key}
	if !f.flights.board(id) {
		return f.failed(c, &core.Error{
			Kind: core.Conflict, Code: codeInFlight, RetryAfter: time.Second, Field: "Idempotency-Key",
			Message: "a request with this Idempotency-Key is still running",
		})
	}
	defer f.flights.leave(id)
	// From here on the request runs to its end even if the client goes away: what it did must not be
	// left unknown.
	c.Request = c.WithContext(context.WithoutCancel(c.Context()))
	now := f.now()
	live, fresh, err := f.keys.ReserveIdempotency(c.Context(), core.Idempotency{
		Project: id.project, Caller: id.caller, Key: key, Fingerprint: fingerprint(c), Object: core.NewID[string](),
		CreatedAt: now, ExpiresAt: now.Add(keyLife),
	}, now)
	switch {
	case err != nil:
		return f.failed(c, err)
	case live.Fingerprint != fingerprint(c):
		return f.failed(c, &core.Error{
			Kind: core.Conflict, Code: codeKeyReused, Field: "Idempotency-Key",
			Message: "this Idempotency-Key was used with another request: method, path and body must be the same",
		})
	case live.Status != 0:
		return answer{status: live.Status, header: http.Header{"Idempotent-Replayed": {"true"}}, body: live.Response}
	case !fresh && rt.unsafe:
		// It runs on another node, or a crash cut it off. To run it again could do it twice.
		return f.failed(c, &core.Error{
			Kind: core.Conflict, Code: codeKeyUncertain, Field: "Idempotency-Key",
			Message: "the outcome of the request with this Idempotency-Key is not known: look whether it took effect, then use a new key",
		})
	}
	c.once = &reservation{record: live}
	a := f.run(c, rt)
	if err := f.keep(c, a); err != nil {
		f.log.Error("answer to an idempotency key was not stored", "request_id", httpio.RequestID(c.Context()), "err", err)
	}
	return a
}

// keep stores the answer, or frees the key.
func (f *Face) keep(c *call, a answer) error {
	ctx, cancel := context.WithTimeout(c.Context(), keyTimeout)
	defer cancel()
	switch {
	case a.status >= 500, a.status == http.StatusConflict, a.status == http.StatusTooManyRequests:
		return f.keys.DropIdempotency(ctx, c.once.record)
	case a.status < 300 && c.once.finished:
		return nil
	}
	return c.once.finish(ctx, f.keys, a)
}

// caller is whom a key belongs to.
func caller(by core.Principal) string {
	if by.Credential != "" {
		return string(by.Credential)
	}
	if by.Work != "" {
		return string(by.Work)
	}
	return string(by.User)
}

// fingerprint stands for method, path and body. That of an upload is of what it says: the boundary of a form
// is another one each time.
func fingerprint(c *call) [32]byte {
	body := c.body
	if c.upload != nil {
		body = c.upload.fingerprint()
	}
	return sha256.Sum256(bytes.Join([][]byte{[]byte(c.Method), []byte(c.URL.Path), body}, []byte{0}))
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
