package everruns

import (
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/reeve-ai/reeve/internal/api/httpio"
	"github.com/reeve-ai/reeve/internal/catalog"
	"github.com/reeve-ai/reeve/internal/core"
)

// overLimits is the fixed phrase with which upstream answers input that is too large
// (seed page 002, everruns.md section 2.3).
const overLimits = "Input exceeds allowed limits"

// internalText is all that a client learns of an error that nobody classified.
const internalText = "Internal server error"

// problem is the one error body: the text that seed page 002 asks for, and beside it the members of
// RFC 9457, which later clients read (everruns.md section 2.3).
type problem struct {
	Error      string `json:"error"`
	Type       string `json:"type"`
	Title      string `json:"title"`
	Status     int    `json:"status"`
	Detail     string `json:"detail"`
	Code       string `json:"code"`
	RetryAfter int    `json:"retry_after_seconds,omitempty"`
	RequestID  string `json:"request_id,omitempty"` // of a 5xx: it finds the line in the server's log
}

func problemOf(status int, code, message string) problem {
	return problem{Error: message, Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: message, Code: code}
}

// statusOf is the table of HTTP statuses. A limit of one field is Invalid, so 400 as upstream has it;
// TooLarge is the body as a whole.
func statusOf(k core.Kind) int {
	switch k {
	case core.Invalid:
		return http.StatusBadRequest
	case core.Unauthenticated:
		return http.StatusUnauthorized
	case core.Forbidden:
		return http.StatusForbidden
	case core.NotFound:
		return http.StatusNotFound
	case core.Conflict:
		return http.StatusConflict
	case core.TooLarge:
		return http.StatusRequestEntityTooLarge
	case core.RateLimited:
		return http.StatusTooManyRequests
	case core.Unavailable:
		return http.StatusServiceUnavailable
	case core.Timeout:
		return http.StatusGatewayTimeout
	}
	return http.StatusInternalServerError
}

// Fail writes an error as this dialect does, and logs what the client is not shown. It is exported
// for the border around all faces, which answers panics.
func (f *Face) Fail(w http.ResponseWriter, r *http.Request, err error) {
	httpio.LogFailure(f.log, r, err)
	kind, code := core.KindOf(err), core.CodeOf(err)
	status := statusOf(kind)
	var e *core.Error
	message := ""
	if errors.As(err, &e) && kind != core.Internal {
		message = e.Message
	}
	switch {
	case kind == core.Internal:
		code, message = core.Internal.String(), internalText
	case code == catalog.CodeLimitExceeded, kind == core.TooLarge:
		message = overLimits + ": " + message
	case message == "":
		message = http.StatusText(status)
	}
	body := problemOf(status, code, message)
	if e != nil && e.RetryAfter > 0 && (kind == core.RateLimited || kind == core.Unavailable) {
		// Whole seconds, because the TypeScript SDK parses an integer; rounded up, so that nobody comes early.
		body.RetryAfter = int(math.Ceil(float64(e.RetryAfter) / float64(time.Second)))
		w.Header().Set("Retry-After", strconv.Itoa(body.RetryAfter))
	}
	if status >= http.StatusInternalServerError {
		body.RequestID = httpio.RequestID(r.Context())
	}
	if kind == core.Unauthenticated {
		w.Header().Set("WWW-Authenticate", "Bearer") // RFC 9110, section 11.6.1
	}
	httpio.WriteJSON(w, status, body)
}
