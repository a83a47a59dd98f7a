package managed

import (
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/reeve-ai/reeve/internal/api/httpio"
	"github.com/reeve-ai/reeve/internal/core"
)

// wireError is how a dialect writes one kind of error.
type wireError struct {
	status int
	kind   string // error.type
}

// statusOverloaded is the status that Claude clients know for "try again later".
const statusOverloaded = 529

// claudeErrors is the table of CMA section 1.4.
var claudeErrors = map[core.Kind]wireError{
	core.Internal:        {http.StatusInternalServerError, "api_error"},
	core.Invalid:         {http.StatusBadRequest, "invalid_request_error"},
	core.Unauthenticated: {http.StatusUnauthorized, "authentication_error"},
	core.Forbidden:       {http.StatusForbidden, "permission_error"},
	core.NotFound:        {http.StatusNotFound, "not_found_error"},
	core.Conflict:        {http.StatusConflict, "conflict_error"},
	core.TooLarge:        {http.StatusRequestEntityTooLarge, "request_too_large"},
	core.RateLimited:     {http.StatusTooManyRequests, "rate_limit_error"},
	core.Unavailable:     {statusOverloaded, "overloaded_error"},
	core.Timeout:         {http.StatusGatewayTimeout, "timeout_error"},
}

// qoderErrors is the table of qoder.md section 2.5. A body over the limit is a 400 there (section 2.7).
var qoderErrors = map[core.Kind]wireError{
	core.Internal:        {http.StatusInternalServerError, "api_error"},
	core.Invalid:         {http.StatusBadRequest, "invalid_request_error"},
	core.Unauthenticated: {http.StatusUnauthorized, "authentication_error"},
	core.Forbidden:       {http.StatusForbidden, "permission_error"},
	core.NotFound:        {http.StatusNotFound, "not_found_error"},
	core.Conflict:        {http.StatusConflict, "conflict_error"},
	core.TooLarge:        {http.StatusBadRequest, "invalid_request_error"},
	core.RateLimited:     {http.StatusTooManyRequests, "rate_limit_error"},
	core.Unavailable:     {http.StatusServiceUnavailable, "api_error"},
	core.Timeout:         {http.StatusGatewayTimeout, "api_error"},
}

// kindTexts stand where an error brings no message for clients.
var kindTexts = map[core.Kind]string{
	core.Internal:        "an internal error; the server's log has its cause under this request id",
	core.Invalid:         "the request is not valid",
	core.Unauthenticated: "the credential is not valid",
	core.Forbidden:       "this credential may not do that",
	core.NotFound:        "not found",
	core.Conflict:        "the request conflicts with the present state",
	core.TooLarge:        "the request is too large",
	core.RateLimited:     "too many requests",
	core.Unavailable:     "the server cannot do that at present",
	core.Timeout:         "the server took too long",
}

// errorBody is the one error body of both dialects.
type errorBody struct {
	Type      string      `json:"type"`
	Error     errorDetail `json:"error"`
	RequestID string      `json:"request_id"`
}

type errorDetail struct {
	Type    string `json:"type"`
	Message string `json:"message"`
	Param   string `json:"param,omitempty"` // Qoder only
	*conflictingMemory
	Details *errorDetails `json:"details,omitempty"`
}

// Codes of this face's own errors.
const (
	codeMethod       = "method_not_allowed"
	codeInFlight     = "idempotency_in_flight"
	codeKeyReused    = "idempotency_key_reused"
	codeKeyUncertain = "idempotency_outcome_unknown"
)

// failure writes an error as an answer. What nobody classified shows a fixed sentence.
func (fl *Flavour) failure(requestID string, err error) answer {
	kind := core.KindOf(err)
	wire := fl.errors[kind]
	if own, known := fl.codes[core.CodeOf(err)]; known {
		wire = own
	}
	detail := errorDetail{Type: wire.kind, Message: kindTexts[kind]}
	a := answer{status: wire.status, header: http.Header{}}
	var e *core.Error
	if errors.As(err, &e) && kind != core.Internal {
		if e.Message != "" {
			detail.Message = e.Message
		}
		if fl.param {
			detail.Param = e.Field
		}
		if e.RetryAfter > 0 {
			// Whole seconds, because that is all that every client parses; rounded up, so that nobody comes early.
			a.header.Set("Retry-After", strconv.Itoa(int(math.Ceil(float64(e.RetryAfter)/float64(time.Second)))))
		}
	}
	switch {
	case core.CodeOf(err) == codeMethod:
		a.status = http.StatusMethodNotAllowed
	case kind == core.Unauthenticated:
		a.header.Set("WWW-Authenticate", "Bearer") // RFC 9110, section 11.6.1
	case wire.status == http.StatusConflict && core.CodeOf(err) != codeInFlight:
		// Every SDK repeats a 409 twice unless it is told that this cannot help (CMA section 1.4).
		a.header.Set("X-Should-Retry", "false")
	}
	fl.memoryConflict(err, &detail)
	lostLease(err, &detail)
	a.body = encode(errorBody{Type: "error", Error: detail, RequestID: requestID})
	return a
}

// Fail answers a request with an error in its own dialect, and logs what the client is not shown. It is
// exported for whoever mounts the face.
func (f *Face) Fail(w http.ResponseWriter, r *http.Request, err error) {
	f.fail(w, r, flavourOf(r), err)
}

func (f *Face) fail(w http.ResponseWriter, r *http.Request, fl *Flavour, err error) {
	httpio.LogFailure(f.log, r, err)
	fl.failure(httpio.RequestID(r.Context()), err).write(w)
}

// unsupported refuses what the dialect knows and this server does not do yet. Leaving it out silently
// would do something else than the client asked for.
func unsupported(field string) error {
	return &core.Error{Kind: core.Invalid, Code: "not_supported", Field: field, Message: field + ": not supported by this server yet"}
}

// named replaces a NotFound of a service, which knows no prefixes, by one in the client's spelling.
func named(err error, noun, spelled string) error {
	if core.KindOf(err) == core.NotFound {
		return core.NotFoundError(noun, spelled)
	}
	return err
}
