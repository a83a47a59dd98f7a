package otas

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// TestEveryKindHasAnAnswer walks all kinds through all endpoints.
func TestEveryKindHasAnAnswer(t *testing.T) {
	t.Parallel()
	f := New(Deps{Log: slog.New(slog.DiscardHandler)})
	for _, rt := range append(f.routes(), unknown) {
		for _, kind := range core.Kinds {
			err := fmt.Errorf("doing it: %w", &core.Error{Kind: kind, Code: "some_code", Message: "some message", RetryAfter: 1500 * time.Millisecond, Err: errors.New("SELECT secret")})
			w := httptest.NewRecorder()
			f.fail(w, httptest.NewRequest("POST", "/", nil), rt, err)
			var body map[string]any
			if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
				t.Fatalf("%v, %s: %s", rt.paths, kind, w.Body)
			}
			_, hasNull := body[rt.null]
			if w.Code < 400 || w.Code > 599 || body["status"] != 0.0 || body["status_description"] == "" || rt.null != "" && (!hasNull || body[rt.null] != nil) {
				t.Errorf("%v, %s: %d %s", rt.paths, kind, w.Code, w.Body)
			}
			if bytes.Contains(w.Body.Bytes(), []byte("secret")) || kind == core.Internal && (w.Code != 500 || body["status_description"] != "server_error") {
				t.Errorf("%v, %s: %d %s", rt.paths, kind, w.Code, w.Body)
			}
			if w.Header().Get("Retry-After") != "2" {
				t.Errorf("Retry-After = %q", w.Header().Get("Retry-After"))
			}
		}
		w := httptest.NewRecorder()
		f.fail(w, httptest.NewRequest("POST", "/", nil), rt, errors.New("panic: secret"))
		if w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "secret") {
			t.Errorf("%v, an error of no kind: %d %s", rt.paths, w.Code, w.Body)
		}
	}
}

// TestTroubleOfOursIsNever401: C5. Clients throw away credentials that are refused.
func TestTroubleOfOursIsNever401(t *testing.T) {
	t.Parallel()
	for _, rt := range New(Deps{}).routes() {
		for _, kind := range []core.Kind{core.Internal, core.Unavailable, core.Timeout, core.RateLimited} {
			if how := rt.describe(&core.Error{Kind: kind}); how.status == http.StatusUnauthorized || how.status == http.StatusForbidden {
				t.Errorf("%v: %s is answered %d %s", rt.paths, kind, how.status, how.code)
			}
		}
	}
}

// TestBeingBusyIsNoError: a log that is read for errors tells of what is broken.
func TestBeingBusyIsNoError(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		kind core.Kind
		want string
	}{{core.Unavailable, "level=WARN"}, {core.Internal, "level=ERROR"}, {core.Invalid, ""}} {
		var log bytes.Buffer
		f := New(Deps{Log: slog.New(slog.NewTextHandler(&log, nil))})
		f.fail(httptest.NewRecorder(), httptest.NewRequest("POST", "/", nil), unknown, core.Errorf(tc.kind, "busy", "busy"))
		if got := log.String(); !strings.Contains(got, tc.want) || (got == "") != (tc.want == "") {
			t.Errorf("%s: logged %q, want %s", tc.kind, got, tc.want)
		}
	}
}

func TestEnvelope(t *testing.T) {
	t.Parallel()
	for want, e := range map[string]envelope{
		`{"status":1,"status_description":"ok","response":{"a":"<é>"}}`:     {ok: true, code: "ok", key: "response", payload: map[string]string{"a": "<é>"}},
		`{"status":1,"status_description":"ok","response_body":null}`:       {ok: true, code: "ok", key: "response_body"},
		`{"status":0,"status_description":"no"}`:                            {code: "no"},
		`{"status":0,"status_description":"no","Response":null}`:            {code: "no", key: "Response"},
		`{"status":0,"status_description":"no","errors":["\"a\"","b"]}`:     {code: "no", errors: []string{`"a"`, "b"}},
		`{"status":0,"status_description":"a \"quoted\" code","errors":[]}`: {code: `a "quoted" code`, errors: []string{}},
	} {
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(e); err != nil || strings.TrimSpace(b.String()) != want {
			t.Errorf("envelope = %s, %v, want %s", b.String(), err, want)
		}
	}
}

func TestStamp(t *testing.T) {
	t.Parallel()
	if got := stamp(time.Date(2026, 4, 16, 12, 0, 0, 0, time.FixedZone("", 2*3600))); got != "2026-04-16T10:00:00.000000+00:00" {
		t.Errorf("stamp = %s", got)
	}
	if stampOrNull(time.Time{}) != nil {
		t.Error("the zero time is not null")
	}
}
