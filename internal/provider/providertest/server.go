// Package providertest holds what the tests of the model adapters share: a server on loopback that
// replays recorded answers, and the suite of promises that every adapter keeps (core.Provider).
package providertest

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
)

// End is how an answer ends once its body is sent.
type End int

const (
	Close End = iota // as HTTP wants it
	Cut              // the connection breaks
	Hang             // nothing more comes, until the caller goes away
)

// Answer is what the server sends to one call.
type Answer struct {
	Status int               // 0: 200
	Header map[string]string // Content-Type is text/event-stream unless it is here or Status is not 200
	Body   string
	End    End
}

// Request is what a call sent.
type Request struct {
	Path   string
	Header http.Header
	Body   string
}

// Server replays answers, one per call, in order.
type Server struct {
	URL    string
	Client *http.Client // closes its idle connections with the server

	mu       sync.Mutex
	answers  []Answer
	requests []Request
}

// Serve starts a server on loopback that the test's end stops. A call beyond the last answer fails
// the test.
func Serve(t *testing.T, answers ...Answer) *Server {
	t.Helper()
	s := &Server{answers: answers}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.serve(t, w, r) }))
	t.Cleanup(srv.Close)
	s.URL, s.Client = srv.URL, srv.Client()
	return s
}

// Requests returns what the calls sent so far, oldest first.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

func (s *Server) serve(t *testing.T, w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Errorf("read request: %v", err)
	}
	s.mu.Lock()
	s.requests = append(s.requests, Request{Path: r.URL.Path, Header: r.Header.Clone(), Body: string(body)})
	n := len(s.requests)
	if n > len(s.answers) {
		s.mu.Unlock()
		t.Errorf("call %d came, but there are only %d answers", n, len(s.answers))
		http.Error(w, "no answer left", http.StatusTeapot)
		return
	}
	a := s.answers[n-1]
	s.mu.Unlock()

	status := a.Status
	if status == 0 {
		status = http.StatusOK
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	} else {
		w.Header().Set("Content-Type", "application/json")
	}
	for k, v := range a.Header {
		w.Header().Set(k, v)
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, a.Body) // the caller may be gone
	_ = http.NewResponseController(w).Flush()
	switch a.End {
	case Cut:
		// The handler's panic makes net/http drop the connection without the last chunk.
		panic(http.ErrAbortHandler)
	case Hang:
		<-r.Context().Done()
	}
}

// Recording returns a transcript of testdata. Comment lines that begin with # are for readers and
// left out.
func Recording(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for line := range strings.Lines(string(data)) {
		if !strings.HasPrefix(line, "#") {
			b.WriteString(line)
		}
	}
	return strings.TrimLeft(b.String(), "\n")
}

// String shows a request in a failed test.
func (r Request) String() string { return fmt.Sprintf("%s %s", r.Path, r.Body) }
