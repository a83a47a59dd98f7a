package reeve

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/reeve-ai/reeve/internal/core"
)

// problem is the one error body (RFC 9457), with our members code, errors and request_id.
type problem struct {
	Type       string  `json:"type" example:"about:blank"`
	Title      string  `json:"title" example:"Not Found"`
	Status     int     `json:"status" example:"404"`
	Detail     string  `json:"detail" doc:"What is wrong, for people."`
	Code       string  `json:"code" example:"environment_not_found" doc:"What is wrong, for programs: a stable name."`
	Errors     []fault `json:"errors,omitempty" doc:"The mistakes in the request, if there may be several."`
	RequestID  string  `json:"request_id,omitempty" doc:"Of a 5xx: it finds the line in the server's log."`
	retryAfter time.Duration
}

// fault is one mistake in a request. It says where, and never repeats what was sent: that may be a secret.
type fault struct {
	Field   string `json:"field,omitempty" example:"body.expires_at"`
	Message string `json:"message"`
}

// Error implements huma.StatusError, as GetStatus does.
func (p *problem) Error() string { return p.Code + ": " + p.Detail }

// GetStatus returns the HTTP status.
func (p *problem) GetStatus() int { return p.Status }

// ContentType implements huma.ContentTypeFilter.
func (p *problem) ContentType(string) string { return "application/problem+json" }

// GetHeaders implements huma.HeadersError.
func (p *problem) GetHeaders() http.Header {
	h := http.Header{}
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer") // RFC 9110, section 11.6.1
	}
	if p.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(p.retryAfter.Seconds())))) // rounded up, so that nobody comes early
	}
	return h
}

// statuses is the table of kinds.
var statuses = map[core.Kind]int{
	core.Internal:        http.StatusInternalServerError,
	core.Invalid:         http.StatusBadRequest,
	core.Unauthenticated: http.StatusUnauthorized,
	core.Forbidden:       http.StatusForbidden,
	core.NotFound:        http.StatusNotFound,
	core.Conflict:        http.StatusConflict,
	core.TooLarge:        http.StatusRequestEntityTooLarge,
	core.RateLimited:     http.StatusTooManyRequests,
	core.Unavailable:     http.StatusServiceUnavailable,
	core.Timeout:         http.StatusGatewayTimeout,
}

// problemOf writes an error. What nobody classified shows a fixed sentence.
func problemOf(err error, requestID string) *problem {
	kind := core.KindOf(err)
	p := &problem{Type: "about:blank", Status: statuses[kind], Title: http.StatusText(statuses[kind]), Code: core.CodeOf(err)}
	p.Detail = p.Title
	var e *core.Error
	switch {
	case kind == core.Internal:
		p.Code, p.Detail = core.Internal.String(), "an internal error; the server's log has its cause under this request id"
	case errors.As(err, &e):
		if e.Message != "" {
			p.Detail = e.Message
		}
		if e.Field != "" {
			p.Errors = []fault{{Field: e.Field, Message: p.Detail}}
		}
		p.retryAfter = e.RetryAfter
	}
	if p.Status >= http.StatusInternalServerError {
		p.RequestID = requestID
	}
	return p
}

// codes are those of what huma itself finds wrong, before an operation is called.
var codes = map[int]string{
	http.StatusBadRequest:            "invalid_request",
	http.StatusRequestEntityTooLarge: "too_large",
	http.StatusUnsupportedMediaType:  "unsupported_media_type",
	http.StatusUnprocessableEntity:   "invalid_request",
	http.StatusRequestTimeout:        "timeout",
	http.StatusNotAcceptable:         "not_acceptable",
}

// init replaces the bodies that huma would write: they repeat the values that were refused.
func init() { // huma has this one place for it, a global
	huma.NewError = func(status int, message string, errs ...error) huma.StatusError {
		p := &problem{Type: "about:blank", Status: status, Title: http.StatusText(status), Detail: message, Code: codes[status]}
		if p.Code == "" {
			p.Code = core.Internal.String()
		}
		for _, err := range errs {
			var detail huma.ErrorDetailer
			if errors.As(err, &detail) {
				d := detail.ErrorDetail()
				p.Errors = append(p.Errors, fault{Field: d.Location, Message: d.Message})
			} else if err != nil {
				p.Errors = append(p.Errors, fault{Message: "cannot be read"}) // a decoder's words may quote the body
			}
		}
		return p
	}
}

// writeProblem answers outside of huma.
func writeProblem(w http.ResponseWriter, p *problem) {
	for name, values := range p.GetHeaders() {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Type", p.ContentType(""))
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the client is gone: there is nobody left to tell
}
