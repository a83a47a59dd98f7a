package otas

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/identity"
	"github.com/reeve-ai/reeve/internal/observe"
)

// pipes is a listener for connections that live in this process, so that their deadlines follow the clock of
// the bubble.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	c, ok := <-p
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (p pipes) Close() error   { return nil }
func (p pipes) Addr() net.Addr { return &net.UnixAddr{} }

// TestSlowBodiesAreGivenUp: the first byte has ten seconds, each 32 KiB behind it ten more, the whole five
// minutes. What is too slow says nothing about the JSON in it, and is no trouble of ours that is logged.
func TestSlowBodiesAreGivenUp(t *testing.T) {
	t.Parallel()
	const whole = 2_000_000 // bytes that are announced
	for name, tc := range map[string]struct {
		length, size int
		pause        time.Duration // before each part
		status       int
		code         string
		after        time.Duration
	}{
		"nothing comes":           {whole, 0, 0, 408, "request_timeout", 10 * time.Second},
		"nothing of a small body": {100, 0, 0, 408, "request_timeout", 10 * time.Second},
		"a byte a second":         {whole, 1, time.Second, 408, "request_timeout", 11 * time.Second},
		"just quick enough":       {10 * roomStep, roomStep, 9 * time.Second, 400, "invalid_json", 90 * time.Second},
		"a little too slow":       {10 * roomStep, roomStep / 2, 7 * time.Second, 408, "request_timeout", 17 * time.Second},
		"too long in all":         {whole, roomStep, 9 * time.Second, 408, "request_timeout", 5 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				allowance := identity.New(nil, make([]byte, identity.SecretSize), identity.Options{})
				f := New(Deps{Captures: observe.New(nil, nil, nil, allowance, observe.Options{}), Log: slog.New(slog.NewTextHandler(&log, nil))})
				srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					by := core.Principal{Kind: core.PrincipalSDK, Project: "p"}
					_, err := f.record(&call{w: w, r: r, by: by, source: observe.Source{By: by, Agent: "a", Session: "s"}})
					f.fail(w, r, route{as: asReport}, err)
				})}
				listener := make(pipes, 1)
				served := make(chan struct{})
				go func() { _ = srv.Serve(listener); close(served) }()
				defer func() { close(listener); <-served; _ = srv.Close() }()
				client, server := net.Pipe()
				listener <- server
				begin := time.Now()
				sender := make(chan struct{})
				go func() {
					defer close(sender)
					_, _ = fmt.Fprintf(client, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", tc.length)
					for sent := 0; tc.size > 0 && sent < tc.length; sent += tc.size {
						<-time.After(tc.pause)
						if _, err := client.Write(bytes.Repeat([]byte("x"), min(tc.size, tc.length-sent))); err != nil {
							return // it was given up
						}
					}
				}()
				res, err := http.ReadResponse(bufio.NewReader(client), nil)
				if err != nil {
					t.Fatal(err)
				}
				took := time.Since(begin)
				var body map[string]any
				if err := json.NewDecoder(res.Body).Decode(&body); err != nil {
					t.Fatal(err)
				}
				_, _ = res.Body.Close(), client.Close()
				<-sender
				<-time.After(time.Second) // a server that gives a body up closes the connection a moment later
				if res.StatusCode != tc.status || body["status_description"] != tc.code || took != tc.after {
					t.Errorf("%d %v after %v, want %d %s after %v", res.StatusCode, body, took, tc.status, tc.code, tc.after)
				}
				if log.Len() > 0 {
					t.Errorf("logged: %s", &log)
				}
			})
		})
	}
}
