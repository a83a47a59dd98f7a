package proxy

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestServerThatNeverAnswersIsGivenUp(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}))
	t.Cleanup(srv.Close)
	own := &http.Transport{}
	t.Cleanup(own.CloseIdleConnections)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL, strings.NewReader("hello"))
	if err != nil {
		t.Fatal(err)
	}
	res, err := patient{own, time.Millisecond}.RoundTrip(req)
	if err == nil {
		_ = res.Body.Close()
	}
	if !errors.Is(err, errNoAnswer) {
		t.Fatalf("RoundTrip = %v", err)
	}
	if status, text := reason(err); status != http.StatusBadGateway || text != "the host did not answer in time" {
		t.Errorf("the sandbox reads %d %q", status, text)
	}
}
