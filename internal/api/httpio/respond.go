package httpio

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"

	"github.com/reeve-ai/reeve/internal/core"
)

// WriteJSON writes v as the whole answer, without HTML escapes and without a line end, so that a
// body compares byte by byte with a recorded one.
func WriteJSON(w http.ResponseWriter, status int, v any) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(fmt.Sprintf("httpio: answer does not marshal: %v", err)) // our own structs always do
	}
	body := bytes.TrimRight(b.Bytes(), "\n")
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client is gone: there is nobody left to tell
}

type requestIDKey struct{}

// RequestID returns the id of the request: the "req_…" that the border gave it, or the client's own
// X-Request-Id when that is at most 128 printable ASCII characters without a space.
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// usableID accepts ids that are safe to write into a log line and a header.
func usableID(s string) bool {
	if s == "" || len(s) > 128 {
		return false
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// Border wraps the whole handler. It gives each request an id (answered as request-id and
// x-request-id), collapses repeated slashes before routing (the published otas SDK sends two), and
// turns a panic into fail's 500 with the stack in the log only.
func Border(log *slog.Logger, next http.Handler, fail func(http.ResponseWriter, *http.Request, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get("X-Request-Id")
		if !usableID(id) {
			id = "req_" + core.NewID[string]()
		}
		w.Header().Set("Request-Id", id)
		w.Header().Set("X-Request-Id", id)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		r = r.WithContext(context.WithValue(r.Context(), requestIDKey{}, id))
		if strings.Contains(r.URL.Path, "//") {
			r.URL.Path = collapse(r.URL.Path)
			r.URL.RawPath = collapse(r.URL.RawPath)
		}
		rec := &recorder{ResponseWriter: w}
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(v)
			}
			log.Error("request panicked", "request_id", id, "method", r.Method, "path", r.URL.Path, "panic", v, "stack", string(debug.Stack()))
			if rec.wrote {
				panic(http.ErrAbortHandler) // half an answer went out: cut the connection instead of mending it
			}
			fail(w, r, &core.Error{Err: fmt.Errorf("panic: %v", v)})
		}()
		next.ServeHTTP(rec, r)
	})
}

func collapse(path string) string {
	for strings.Contains(path, "//") {
		path = strings.ReplaceAll(path, "//", "/")
	}
	return path
}

// recorder notes whether an answer was begun. It unwraps, so that http.ResponseController reaches
// the real writer.
type recorder struct {
	http.ResponseWriter
	wrote bool
}

func (r *recorder) WriteHeader(status int) {
	r.wrote = true
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	r.wrote = true
	return r.ResponseWriter.Write(b)
}

func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// LogFailure logs what a client is not shown: the cause of every error that answers 5xx. Other
// errors are the client's own and are not logged. Unavailable is a warning: the server is busy, as it is
// meant to say.
func LogFailure(log *slog.Logger, r *http.Request, err error) {
	level := slog.LevelError
	switch kind := core.KindOf(err); kind {
	case core.Internal, core.Unavailable, core.Timeout:
		if r.Context().Err() != nil {
			return // the client went away, and what it waited for was cancelled
		}
		if kind == core.Unavailable {
			level = slog.LevelWarn
		}
		log.Log(r.Context(), level, "request failed", "request_id", RequestID(r.Context()), "method", r.Method, "path", r.URL.Path, "err", err)
	}
}
