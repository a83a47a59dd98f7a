package cli

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// counting serves a handler and counts the connections that were opened to it.
func counting(t *testing.T, h http.HandlerFunc) (base string, opened *atomic.Int64) {
	t.Helper()
	opened = new(atomic.Int64)
	srv := httptest.NewUnstartedServer(h)
	srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			opened.Add(1)
		}
	}
	srv.Start()
	t.Cleanup(srv.Close)
	return srv.URL, opened
}

func mustShot(t *testing.T, base, path string, body []byte, want int) shot {
	t.Helper()
	s, err := newShot(base, path, http.Header{"X-Key": {"k"}}, body, want)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestShotsAreSentAgainOverOneConnection(t *testing.T) {
	t.Parallel()
	base, opened := counting(t, func(w http.ResponseWriter, r *http.Request) {
		raw, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		w.WriteHeader(http.StatusCreated)
		_, _ = fmt.Fprintf(w, `{"seen":"%s %s %s %s"}`, r.Method, r.URL, r.Header.Get("X-Key"), raw)
	})
	w := wire{base: base}
	defer w.close()
	for _, c := range []struct {
		s    shot
		want string
	}{
		{mustShot(t, base, "/a/?x=1", []byte("body"), http.StatusCreated), "POST /a/?x=1 k body"},
		{mustShot(t, base, "/b/", nil, http.StatusCreated), "GET /b/ k "},
	} {
		for range 2 {
			var out struct{ Seen string }
			if err := w.must(t.Context(), c.s, &out); err != nil {
				t.Fatal(err)
			}
			if out.Seen != c.want {
				t.Errorf("the server saw %q, want %q", out.Seen, c.want)
			}
		}
	}
	if n := opened.Load(); n != 1 {
		t.Errorf("%d connections for one client", n)
	}
}

func TestWireConnectsAgainAfterTheServerHungUp(t *testing.T) {
	t.Parallel()
	base, opened := counting(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") })
	w := wire{base: base}
	defer w.close()
	for range 2 {
		if err := w.must(t.Context(), mustShot(t, base, "/", nil, http.StatusOK), nil); err != nil {
			t.Fatal(err)
		}
	}
	if n := opened.Load(); n != 2 {
		t.Errorf("%d connections, want 2", n)
	}
}

func TestAnAnswerThatIsNotWantedSaysWhy(t *testing.T) {
	t.Parallel()
	base, _ := counting(t, func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, `{"status_description":"invalid_agent_key"}`, http.StatusUnauthorized)
	})
	_, err := fire(t.Context(), t.Context(), base, []shot{mustShot(t, base, "/log/", []byte("{}"), http.StatusCreated)}, 0)
	if err == nil || !strings.HasPrefix(err.Error(), `POST /log/ HTTP/1.1: the server answered 401: {"status_description":"invalid_agent_key"}`) {
		t.Errorf("error = %v", err)
	}
}

// TestOneRequestIsMeasuredHoweverShortTheTime: else a slow machine would have rows without figures.
func TestOneRequestIsMeasuredHoweverShortTheTime(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	base, _ := counting(t, func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	over, cancel := context.WithCancel(t.Context())
	cancel()
	times, err := fire(t.Context(), over, base, []shot{mustShot(t, base, "/", nil, http.StatusOK)}, 7)
	if err != nil || len(times) != 1 || times[0] <= 0 || asked.Load() != 1 {
		t.Errorf("times = %v, %v after %d requests", times, err, asked.Load())
	}
}

func TestFillingInWaitsAsLongAsTheServerSays(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	base, _ := counting(t, func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) == 1 {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
		}
	})
	w := wire{base: base}
	defer w.close()
	began := time.Now()
	if err := w.patient(t.Context(), mustShot(t, base, "/", nil, http.StatusOK), nil); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < time.Second || asked.Load() != 2 {
		t.Errorf("asked %d times in %s", asked.Load(), took)
	}
}

func TestTheFloodersRefusalsAreCounted(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	stop, cancel := context.WithCancel(t.Context())
	defer cancel()
	base, _ := counting(t, func(w http.ResponseWriter, _ *http.Request) {
		n := asked.Add(1)
		if n >= 20 {
			cancel()
		}
		if n > 5 {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		w.WriteHeader(http.StatusCreated)
	})
	o := &otasBench{bench: &bench{base: base, flags: benchFlags{clients: []int{1, 2}}}}
	row, err := o.flooder(t.Context(), stop, []shot{mustShot(t, base, "/", []byte("{}"), http.StatusCreated)})
	if err != nil {
		t.Fatal(err)
	}
	if row.Clients != 2 || row.Count != int(asked.Load()) || row.Refused != row.Count-5 {
		t.Errorf("row = %+v of %d requests", row, asked.Load())
	}
}

func TestARefusalWithoutRetryAfterIsAFailure(t *testing.T) {
	t.Parallel()
	base, _ := counting(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) })
	o := &otasBench{bench: &bench{base: base, flags: benchFlags{clients: []int{1}}}}
	if _, err := o.flooder(t.Context(), t.Context(), []shot{mustShot(t, base, "/", []byte("{}"), http.StatusCreated)}); err == nil {
		t.Error("nobody complains")
	}
}
