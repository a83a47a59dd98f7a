package httpio_test

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/reeve-ai/reeve/internal/api/httpio"
	"github.com/reeve-ai/reeve/internal/core"
)

func border(t *testing.T, log io.Writer, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	srv := httptest.NewServer(httpio.Border(slog.New(slog.NewTextHandler(log, nil)), h, func(w http.ResponseWriter, _ *http.Request, err error) {
		httpio.WriteJSON(w, http.StatusInternalServerError, core.KindOf(err).String())
	}))
	t.Cleanup(srv.Close)
	return srv
}

func get(t *testing.T, url string, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err := errors.Join(err, res.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

func TestPanicIsAnErrorWithItsStackInTheLogOnly(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	srv := border(t, &log, func(http.ResponseWriter, *http.Request) { panic("the secret cause") })
	res, body := get(t, srv.URL)
	if res.StatusCode != http.StatusInternalServerError || body != `"internal"` {
		t.Errorf("answer = %d %s", res.StatusCode, body)
	}
	if !strings.Contains(log.String(), "the secret cause") || !strings.Contains(log.String(), res.Header.Get("Request-Id")) {
		t.Errorf("log lacks the cause or the request id: %s", log.String())
	}
}

func TestRequestIDComesFromTheClientOnlyIfUsable(t *testing.T) {
	t.Parallel()
	srv := border(t, io.Discard, func(w http.ResponseWriter, r *http.Request) {
		httpio.WriteJSON(w, http.StatusOK, httpio.RequestID(r.Context()))
	})
	res, body := get(t, srv.URL, "X-Request-Id", "mine-1")
	if body != `"mine-1"` || res.Header.Get("X-Request-Id") != "mine-1" {
		t.Errorf("own id: body %s, header %q", body, res.Header.Get("X-Request-Id"))
	}
	for _, bad := range []string{"", "two words", strings.Repeat("x", 129)} {
		res, body := get(t, srv.URL, "X-Request-Id", bad)
		if id := res.Header.Get("Request-Id"); !strings.HasPrefix(id, "req_") || body != `"`+id+`"` {
			t.Errorf("id %q: body %s, header %q", bad, body, id)
		}
	}
}

func TestRepeatedSlashesCollapse(t *testing.T) {
	t.Parallel()
	srv := border(t, io.Discard, func(w http.ResponseWriter, r *http.Request) { httpio.WriteJSON(w, http.StatusOK, r.URL.Path) })
	if _, body := get(t, srv.URL+"//api///v1/backend//log/sdk/"); body != `"/api/v1/backend/log/sdk/"` {
		t.Errorf("path = %s", body)
	}
}

func TestStreamFramesLeaveInOneWrite(t *testing.T) {
	t.Parallel()
	srv := border(t, io.Discard, func(w http.ResponseWriter, _ *http.Request) {
		s, err := httpio.StartStream(w)
		if err != nil {
			t.Error(err)
			return
		}
		s.Event("7", "agent.message", []byte(`{"a":1}`))
		s.Comment("heartbeat")
		s.Event("", "ping", []byte(`{}`))
		if err := s.Flush(); err != nil {
			t.Error(err)
		}
	})
	res, body := get(t, srv.URL)
	want := "id: 7\nevent: agent.message\ndata: {\"a\":1}\n\n: heartbeat\n\nevent: ping\ndata: {}\n\n"
	if body != want || res.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("stream = %q (%s), want %q", body, res.Header.Get("Content-Type"), want)
	}
}
