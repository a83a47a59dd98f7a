package app_test

import (
	"net"
	"strings"
	"testing"

	"github.com/reeve-ai/reeve/internal/app/apptest"
)

// A client that dials ahead leaves a connection without a request; apptest fails the test if the stop
// is not clean.
func TestUnusedConnectionDoesNotSpoilTheStop(t *testing.T) {
	t.Parallel()
	srv := apptest.Start(t)
	conn, err := net.Dial("tcp", strings.TrimPrefix(srv.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	srv.Do(t, "GET", "/healthz", nil) // by now the server has accepted the first connection too
	srv.Stop()
}
