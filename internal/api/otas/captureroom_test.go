package otas_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
)

// TestSlowSendersHoldNobodyUp: many announce large batches and send nothing; room is taken for what has come.
func TestSlowSendersHoldNobodyUp(t *testing.T) {
	t.Parallel()
	r := newReporter(t)
	for range 300 {
		conn, err := net.Dial("tcp", strings.TrimPrefix(r.srv.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		_, err = fmt.Fprintf(conn, "POST /api/v1/backend/log/agent/batch/ HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nX-OTAS-AGENT-KEY: %s\r\nX-OTAS-AGENT-SESSION-TOKEN: %s\r\nContent-Length: %d\r\n\r\n", r.key, r.token, 16<<20)
		if err != nil {
			t.Fatal(err)
		}
		// The server asks for the body: it is in the handler, and reads.
		if _, err := io.ReadFull(conn, make([]byte, len("HTTP/1.1 100 Continue\r\n\r\n"))); err != nil {
			t.Fatal(err)
		}
	}
	wantAnswer(t, "a report meanwhile", r.report(t, "", r.event("")), 201, "event_captured")
	wantAnswer(t, "a batch meanwhile", r.report(t, "batch/", r.event("")), 201, "events_captured")
}
