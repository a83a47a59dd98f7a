package mcp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/egress"
	"github.com/reeve-ai/reeve/internal/tool/mcp"
	"github.com/reeve-ai/reeve/internal/tool/mcp/mcptest"
)

// doors are all ways in which the test's server can be spoken to.
var doors = []string{"/mcp", "/json", "/old", "/sse", "/slash"}

func TestToolsWorkOverEveryTransport(t *testing.T) {
	t.Parallel()
	for _, door := range doors {
		t.Run(door[1:], func(t *testing.T) {
			t.Parallel()
			srv := mcptest.Serve(t)
			srv.Require("secret-1")
			p := open(t, &keys{left: []string{"secret-1"}}, mcp.Options{})
			c := connect(t, p, srv.URL+door)
			tools, err := c.Tools(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(mcptest.Tools, names(tools)); d != "" {
				t.Errorf("tools (-want +got):\n%s", d)
			}
			for _, tool := range tools {
				if want := tool.Name == "look"; tool.Repeatable != want {
					t.Errorf("%s repeatable = %v", tool.Name, tool.Repeatable)
				}
			}
			if got := string(tools[1].InputSchema); tools[1].Description != "Does echo." || !strings.Contains(got, `"text":{"description":"any text","type":"string"}`) || !strings.Contains(got, `"type":"object"`) {
				t.Errorf("echo = %q %s", tools[1].Description, got)
			}
			var all sync.WaitGroup
			for i := range 20 {
				all.Go(func() {
					if got := said(call(t, c, "echo", fmt.Sprint(i))); got != fmt.Sprintf("echo: %d", i) {
						t.Errorf("echo = %q", got)
					}
				})
			}
			all.Wait()
			if out := call(t, c, "fail", ""); !out.IsError || said(out) != "there is no such ticket" {
				t.Errorf("fail = %+v", out)
			}
			if out := call(t, c, "no_such_tool", ""); !out.IsError || !strings.Contains(said(out), "no_such_tool") {
				t.Errorf("unknown tool = %+v", out)
			}
			if !c.Changes() || call(t, c, "grow", "").IsError {
				t.Error("the server's list can change, and grow changes it")
			}
			if tools, err := c.Tools(t.Context()); err != nil || len(tools) != len(mcptest.Tools)+1 {
				t.Errorf("after grow: %q, %v", names(tools), err)
			}
			if got := srv.Seen(); len(got) != 1 || got[0] != "Bearer secret-1" {
				t.Errorf("the server saw %q", got)
			}
		})
	}
}

func TestOneConnectionForASession(t *testing.T) {
	t.Parallel()
	srv := mcptest.Serve(t)
	p := open(t, &keys{}, mcp.Options{})
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			c, err := p.Connect(t.Context(), target(srv.URL+"/mcp"))
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Release()
			if said(call(t, c, "echo", "x")) != "echo: x" {
				t.Error("no echo")
			}
		})
	}
	all.Wait()
	other := target(srv.URL + "/mcp")
	other.Session = "another"
	c, err := p.Connect(t.Context(), other)
	if err != nil {
		t.Fatal(err)
	}
	c.Release()
	c.Release() // once is enough
	got := slices.DeleteFunc(srv.Opened(), func(method string) bool { return method != "initialize" })
	if len(got) != 2 || p.Alive() != 2 {
		t.Errorf("two sessions made the connections %q, %d are alive", got, p.Alive())
	}
}

func TestUnusedConnectionsAreClosed(t *testing.T) {
	t.Parallel()
	srv := mcptest.Serve(t)
	p := open(t, &keys{}, mcp.Options{Idle: 20 * time.Millisecond})
	used := connect(t, p, srv.URL+"/sse")
	free, err := p.Connect(t.Context(), target(srv.URL+"/old"))
	if err != nil {
		t.Fatal(err)
	}
	free.Release()
	deadline := time.After(patience)
	for tick := time.Tick(time.Millisecond); p.Alive() != 1; { // nothing signals it
		select {
		case <-tick:
		case <-deadline:
			t.Fatal("the connection that nobody uses stays")
		}
	}
	if got := said(call(t, used, "echo", "x")); got != "echo: x" {
		t.Errorf("the one in use says %q", got)
	}
}

func TestMostConnectionsAreNotExceeded(t *testing.T) {
	t.Parallel()
	srv := mcptest.Serve(t)
	p := open(t, &keys{}, mcp.Options{Max: 1})
	first := connect(t, p, srv.URL+"/mcp")
	_, err := p.Connect(t.Context(), target(srv.URL+"/json"))
	faultOf(t, err, core.MCPConnectionFailed, "as many connections")
	first.Release()
	connect(t, p, srv.URL+"/json") // the unused one makes room
}

func TestResultsAreBounded(t *testing.T) {
	t.Parallel()
	srv := mcptest.Serve(t)
	p := open(t, &keys{}, mcp.Options{})
	for _, door := range []string{"/mcp", "/json", "/sse"} {
		c := connect(t, p, srv.URL+door)
		out := call(t, c, "huge", "")
		if n := len(out.Content); n != 3 || utf8.RuneCountInString(out.Content[0].Text) != core.MaxMCPResult-10 || out.Content[1].Text != "yyyyyyyyyy" ||
			!strings.Contains(out.Content[2].Text, "91 of 4000091 characters are left out") {
			t.Errorf("%s: %d blocks, the last is %q", door, n, out.Content[n-1].Text)
		}
		if out := call(t, c, "huge", "enormous"); !out.IsError || len(said(out)) > 1000 {
			t.Errorf("%s: 20 MiB came back as %d bytes", door, len(said(out)))
		}
		if got := said(call(t, c, "echo", "still here")); got != "echo: still here" {
			t.Errorf("%s: after an answer that was too large: %q", door, got)
		}
	}
}

func TestContentOfEveryKindIsReadOrNamed(t *testing.T) {
	t.Parallel()
	c := connect(t, open(t, &keys{}, mcp.Options{}), mcptest.Serve(t).URL+"/mcp")
	want := []core.Block{
		{Type: core.BlockImage, Source: &core.Source{Type: "base64", MediaType: "image/png", Data: "bm90IHJlYWxseQ=="}},
		{Type: core.BlockText, Text: `[2 bytes of "image/tiff", which cannot be shown here]`},
		{Type: core.BlockText, Text: `[3 bytes of "audio/wav", which cannot be shown here]`},
		{Type: core.BlockText, Text: "[resource file:///a] a"},
		{Type: core.BlockText, Text: "[resource file:///b]\ninside b"},
	}
	if d := cmp.Diff(want, call(t, c, "picture", "").Content); d != "" {
		t.Errorf("content (-want +got):\n%s", d)
	}
}

func TestCallIsGivenUp(t *testing.T) {
	t.Parallel()
	for _, door := range []string{"/mcp", "/json", "/old", "/sse"} {
		t.Run(door[1:], func(t *testing.T) {
			t.Parallel()
			srv := mcptest.Serve(t)
			c := connect(t, open(t, &keys{}, mcp.Options{}), srv.URL+door)
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				<-srv.Hanging
				cancel()
			}()
			if _, err := c.Call(ctx, "hang", []byte(`{}`)); !errors.Is(err, context.Canceled) {
				t.Errorf("error = %v", err)
			}
			await(t, "the end of the call at the server", srv.Cancelled)
			if got := said(call(t, c, "echo", "x")); got != "echo: x" {
				t.Errorf("afterwards: %q", got)
			}
		})
	}
}

func TestCallThatTakesTooLongIsAnAnswer(t *testing.T) {
	t.Parallel()
	srv := mcptest.Serve(t)
	c := connect(t, open(t, &keys{}, mcp.Options{CallTime: 100 * time.Millisecond}), srv.URL+"/mcp")
	if out := call(t, c, "hang", ""); !out.IsError || !strings.Contains(said(out), "did not answer within 100ms") || !strings.Contains(said(out), "unknown") {
		t.Errorf("hang = %+v", out)
	}
	if got := said(call(t, c, "echo", "x")); got != "echo: x" {
		t.Errorf("afterwards: %q", got)
	}
}

func TestServerThatForgotTheSessionIsAskedAgain(t *testing.T) {
	t.Parallel()
	for _, door := range []string{"/old", "/sse"} {
		srv := mcptest.Serve(t)
		c := connect(t, open(t, &keys{}, mcp.Options{}), srv.URL+door)
		if got := said(call(t, c, "add", "")); got != "1" {
			t.Fatal(got)
		}
		srv.Forget()
		if door == "/sse" { // the call that finds out may be lost, the next one is not
			_ = call(t, c, "echo", "x")
		}
		if got := said(call(t, c, "add", "")); got != "2" || srv.Calls("add") != 2 {
			t.Errorf("%s: %q after %d calls", door, got, srv.Calls("add"))
		}
	}
}

func TestServerThatWentAwayIsSaid(t *testing.T) {
	t.Parallel()
	srv := mcptest.Serve(t)
	p := open(t, &keys{}, mcp.Options{})
	for _, door := range []string{"/mcp", "/old", "/sse"} {
		c := connect(t, p, srv.URL+door)
		defer func() {
			out := call(t, c, "add", "")
			if !out.IsError || !strings.Contains(said(out), "MCP server") || strings.Contains(said(out), "127.0.0.1:") && !strings.Contains(said(out), "could not be reached") {
				t.Errorf("%s: %q", door, said(out))
			}
			if _, err := c.Tools(t.Context()); err == nil {
				t.Errorf("%s: it lists tools", door)
			}
		}()
	}
	srv.Stop()
}

func TestServerThatFailsForNowIsUsedAgain(t *testing.T) {
	t.Parallel()
	srv := mcptest.Serve(t)
	p := open(t, &keys{left: []string{"secret-9"}}, mcp.Options{})
	for _, door := range []string{"/mcp", "/json", "/sse"} {
		c := connect(t, p, srv.URL+door)
		for status, says := range map[int]string{503: "unknown", 500: "unknown", 429: "Not run", 403: "did not accept"} {
			srv.Answer(status)
			if out := call(t, c, "add", ""); !out.IsError || !strings.Contains(said(out), says) || strings.Contains(said(out), "secret") {
				t.Errorf("%s: HTTP status %d is %q", door, status, said(out))
			}
			srv.Answer(0)
			if got := said(call(t, c, "echo", "x")); got != "echo: x" {
				t.Errorf("%s: after %d: %q", door, status, got)
			}
		}
	}
}

// faultOf checks an error of Connect.
func faultOf(t *testing.T, err error, kind core.ModelErrorType, says string) {
	t.Helper()
	var fault *core.MCPError
	if !errors.As(err, &fault) || fault.Type != kind || !strings.Contains(fault.Message, says) {
		t.Errorf("error = %v, want %s with %q", err, kind, says)
	}
}

func TestServersThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the server elsewhere was reached") }))
	t.Cleanup(elsewhere.Close)
	gone := httptest.NewServer(nil)
	gone.Close()
	free := make(chan struct{})
	odd := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/hang":
			select {
			case <-free:
			case <-r.Context().Done():
			}
		case "/busy":
			http.Error(w, "later", http.StatusTooManyRequests)
		case "/broken":
			http.Error(w, "oops", http.StatusBadGateway)
		case "/missing":
			http.NotFound(w, r)
		case "/page":
			_, _ = io.WriteString(w, "<html>hello</html>")
		case "/moved":
			http.Redirect(w, r, elsewhere.URL+"/mcp", http.StatusTemporaryRedirect)
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusTemporaryRedirect)
		case "/points": // the old transport names the address for messages itself
			if r.Method == http.MethodPost {
				w.WriteHeader(http.StatusMethodNotAllowed)
				return
			}
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = fmt.Fprintf(w, "event: endpoint\ndata: %s/messages\n\n", elsewhere.URL)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		case "/endless":
			w.Header().Set("Content-Type", "application/json")
			junk := []byte(strings.Repeat(" ", 1<<20))
			for {
				if _, err := w.Write(junk); err != nil {
					return
				}
			}
		case "/private":
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	t.Cleanup(odd.Close)
	t.Cleanup(func() { close(free) })
	var log journal
	p := open(t, &keys{left: []string{"secret-7"}}, mcp.Options{ConnectTime: 2 * time.Second, Log: slog.New(slog.NewTextHandler(&log, nil))})
	var all sync.WaitGroup
	for path, want := range map[string]string{
		"/hang": "did not answer within 2s", "/busy": "429", "/broken": "502", "/missing": "404", "/page": "does not speak",
		"/moved": "another address", "/loop": "redirects", "/points": "another address", "/endless": "", "/private": "403",
	} {
		all.Go(func() {
			kind := core.MCPConnectionFailed
			if path == "/private" {
				kind = core.MCPAuthenticationFailed
			}
			_, err := p.Connect(t.Context(), target(odd.URL+path+"?key=secret-8"))
			faultOf(t, err, kind, want)
		})
	}
	all.Wait()
	_, err := p.Connect(t.Context(), target(gone.URL))
	faultOf(t, err, core.MCPConnectionFailed, "could not be reached")
	_, err = open(t, &keys{}, mcp.Options{Egress: egress.Options{AllowPrivate: loopback.AllowPrivate[:0:0]}}).Connect(t.Context(), target("http://169.254.169.254/mcp"))
	faultOf(t, err, core.MCPConnectionFailed, "not on the public internet")
	_, err = open(t, &keys{err: errors.New("sealed")}, mcp.Options{}).Connect(t.Context(), target(odd.URL))
	faultOf(t, err, core.MCPAuthenticationFailed, "vault")

	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	if _, err := p.Connect(ctx, target(odd.URL+"/hang")); !errors.Is(err, context.Canceled) {
		t.Errorf("after the caller left: %v", err)
	}
	if n := p.Alive(); n != 0 {
		t.Errorf("%d connections that came to nothing are kept", n)
	}
	if text := log.String(); strings.Contains(text, "secret-") || strings.Contains(text, "hello") || !strings.Contains(text, "mcp server not connected") {
		t.Errorf("the log holds a secret, or what a server said, or nothing:\n%s", text)
	}
}

func TestRefusedTokenIsRenewedOnce(t *testing.T) {
	t.Parallel()
	for _, door := range []string{"/mcp", "/sse"} {
		srv := mcptest.Serve(t)
		srv.Require("new")
		k := &keys{left: []string{"old", "new"}}
		c := connect(t, open(t, k, mcp.Options{}), srv.URL+door)
		if got := said(call(t, c, "whoami", "")); got != "you sent Bearer [credential]" {
			t.Errorf("%s: a tool that tells our token says %q", door, got)
		}
		if got := k.questions(); len(got) != 2 || got[1] != "old" {
			t.Errorf("%s: asked for tokens with %q", door, got)
		}

		srv.Require("another") // in the middle of a connection, and there is no other
		if out := call(t, c, "echo", "x"); !out.IsError || !strings.Contains(said(out), "did not accept the credential") || strings.Contains(said(out), "new") {
			t.Errorf("%s: %q", door, said(out))
		}
		_, err := open(t, &keys{left: []string{"new"}}, mcp.Options{}).Connect(t.Context(), target(srv.URL+door))
		faultOf(t, err, core.MCPAuthenticationFailed, "did not accept")
		_, err = open(t, &keys{}, mcp.Options{}).Connect(t.Context(), target(srv.URL+door))
		faultOf(t, err, core.MCPAuthenticationFailed, "no vault")

		srv.Require("new")
		if got := said(call(t, c, "echo", "x")); got != "echo: x" {
			t.Errorf("%s: when the token is good again: %q", door, got)
		}
	}
}

func TestServerThatRefusesEverythingDoesNotMakeUsRefreshForEver(t *testing.T) {
	t.Parallel()
	srv := mcptest.Serve(t)
	srv.Require("unknown to us")
	k := &keys{left: []string{"1", "2", "3", "4", "5", "6"}}
	_, err := open(t, k, mcp.Options{}).Connect(t.Context(), target(srv.URL+"/mcp"))
	faultOf(t, err, core.MCPAuthenticationFailed, "did not accept")
	if got := k.questions(); len(got) > 2 {
		t.Errorf("one connection asked for tokens with %q", got)
	}
}

func TestStoppedPoolConnectsNoMore(t *testing.T) {
	t.Parallel()
	srv := mcptest.Serve(t)
	p := mcp.NewPool(&keys{}, mcp.Options{Egress: loopback, Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	c, err := p.Connect(t.Context(), target(srv.URL+"/sse"))
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if out := call(t, c, "echo", "x"); !out.IsError || !strings.Contains(said(out), "stopping") {
		t.Errorf("echo = %+v", out)
	}
	c.Release()
	_, err = p.Connect(t.Context(), target(srv.URL+"/sse"))
	faultOf(t, err, core.MCPConnectionFailed, "stopping")
}
