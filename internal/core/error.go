package core

import (
	"errors"
	"fmt"
	"time"
)

// Kind classifies an Error for programs. The zero Kind is Internal, so that what nobody classified
// shows a client nothing but a fixed sentence.
type Kind int

// The kinds, each with the HTTP status that faces use unless their recorded contract says otherwise.
const (
	Internal        Kind = iota // 500
	Invalid                     // 400
	Unauthenticated             // 401
	Forbidden                   // 403
	NotFound                    // 404
	Conflict                    // 409
	TooLarge                    // 413
	RateLimited                 // 429
	Unavailable                 // 503
	Timeout                     // 504
)

// Kinds lists every Kind, for tests that walk them all.
var Kinds = []Kind{Internal, Invalid, Unauthenticated, Forbidden, NotFound, Conflict, TooLarge, RateLimited, Unavailable, Timeout}

func (k Kind) String() string {
	return [...]string{"internal", "invalid", "unauthenticated", "forbidden", "not_found", "conflict", "too_large", "rate_limited", "unavailable", "timeout"}[k]
}

// Error is the one error type that crosses package borders on purpose.
type Error struct {
	Kind       Kind
	Code       string        // stable snake_case name; empty means Kind.String()
	Field      string        // the request field at fault, as the client spelled it; empty if none
	Message    string        // safe to show to any client
	RetryAfter time.Duration // only for RateLimited and Unavailable; zero means unsaid
	Err        error         // the cause; only logged, never shown
}

func (e *Error) Error() string {
	s := e.Kind.String()
	if e.Code != "" {
		s += " (" + e.Code + ")"
	}
	if e.Message != "" {
		s += ": " + e.Message
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an Error whose message is shown to clients. Code is a stable snake_case name.
func Errorf(kind Kind, code, format string, args ...any) *Error {
	return &Error{Kind: kind, Code: code, Message: fmt.Sprintf(format, args...)}
}

// InvalidField makes an Invalid error that names the request field at fault.
func InvalidField(field, format string, args ...any) *Error {
	return &Error{Kind: Invalid, Code: "invalid_field", Field: field, Message: field + ": " + fmt.Sprintf(format, args...)}
}

// NotFoundError says that the noun ("agent") with this id, in the caller's spelling, is not there.
// It is also the answer for another project's object.
func NotFoundError(noun, id string) *Error {
	return &Error{Kind: NotFound, Code: noun + "_not_found", Message: fmt.Sprintf("%s %q was not found", noun, id)}
}

// KindOf returns the Kind of the first *Error in err's chain, and Internal if there is none.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

// CodeOf returns the code of the first *Error in err's chain: its Code, or its Kind's name.
func CodeOf(err error) string {
	var e *Error
	if !errors.As(err, &e) {
		return Internal.String()
	}
	if e.Code == "" {
		return e.Kind.String()
	}
	return e.Code
}

// ErrLeaseLost is what the store answers when a runner writes with a lease that is no longer its own.
var ErrLeaseLost = &Error{Kind: Conflict, Code: "lease_lost", Message: "the lease on this thread was lost"}
