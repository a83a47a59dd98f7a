// Package mcptest is an MCP server for tests: the official SDK's own, on loopback, with tools that do what a
// client has to be ready for.
package mcptest

import (
	"bytes"
	"context"
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

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/reeve-ai/reeve/internal/core"
)

// Tools are the names of what a Server offers at first, in its order.
var Tools = []string{"add", "echo", "fail", "grow", "hang", "huge", "look", "odd.name/1", "picture", "whoami"}

// Server is a running MCP server.
type Server struct {
	URL string // of streamable HTTP: URL/mcp, URL/json (the newest protocol, without sessions, answers are not streamed), URL/old (no version after 2025); of the old transport: URL/sse

	// Hanging gets a value when hang or slow work begins, Cancelled when the client gave it up. Roomy.
	Hanging, Cancelled chan struct{}

	server *sdk.Server
	http   *httptest.Server

	mu     sync.Mutex
	token  string         // that must come; empty: none
	status int            // that every request gets; 0: none
	seen   []string       // Authorization of each request
	opened []string       // how sessions were begun
	calls  map[string]int // of each tool
	free   chan struct{}  // closed: hang ends
}

// Serve starts a server, which ends with the test.
func Serve(t testing.TB) *Server {
	t.Helper()
	s := &Server{Hanging: make(chan struct{}, 100), Cancelled: make(chan struct{}, 100), calls: map[string]int{}, free: make(chan struct{})}
	s.server = s.tools(t)
	quiet := slog.New(slog.DiscardHandler)
	get := func(*http.Request) *sdk.Server { return s.server }
	mux := http.NewServeMux()
	mux.Handle("/mcp", sdk.NewStreamableHTTPHandler(get, &sdk.StreamableHTTPOptions{Logger: quiet}))
	mux.Handle("/json", sdk.NewStreamableHTTPHandler(get, &sdk.StreamableHTTPOptions{Logger: quiet, JSONResponse: true, Stateless: true, PropagateRequestCancellation: true}))
	mux.Handle("/old", undiscovered(sdk.NewStreamableHTTPHandler(get, &sdk.StreamableHTTPOptions{Logger: quiet})))
	mux.Handle("/sse", sdk.NewSSEHandler(get, nil))
	mux.Handle("/slash", http.RedirectHandler("/mcp", http.StatusTemporaryRedirect))
	s.http = httptest.NewServer(s.guard(mux))
	s.URL = s.http.URL
	t.Cleanup(s.Stop)
	return s
}

// Stop ends the server before the test does. Calls that run are given up.
func (s *Server) Stop() {
	s.mu.Lock()
	select {
	case <-s.free:
	default:
		close(s.free)
	}
	s.mu.Unlock()
	for session := range s.server.Sessions() {
		_ = session.Close()
	}
	s.http.CloseClientConnections()
	s.http.Close()
}

// Forget makes the server forget every session, as one does that was started anew.
func (s *Server) Forget() {
	for session := range s.server.Sessions() {
		_ = session.Close()
	}
}

// Require sets the bearer token that every request must have. Empty: none.
func (s *Server) Require(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.token = token
}

// Answer makes every request fail with a status. 0: none.
func (s *Server) Answer(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status = status
}

// Calls counts the calls of a tool.
func (s *Server) Calls(tool string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[tool]
}

// Seen returns the Authorization headers so far, repetitions left out.
func (s *Server) Seen() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Compact(slices.Clone(s.seen))
}

// Opened returns the methods by which connections were begun.
func (s *Server) Opened() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.opened)
}

func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		auth := r.Header.Get("Authorization")
		s.seen = append(s.seen, auth)
		refused := s.token != "" && auth != "Bearer "+s.token
		status := s.status
		s.mu.Unlock()
		if status != 0 {
			http.Error(w, "your token is "+auth, status)
			return
		}
		if refused {
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "your token "+auth+" is not good", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// undiscovered is a server from before the method server/discover.
func undiscovered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || bytes.Contains(body, []byte("server/discover")) {
			http.Error(w, "no such method", http.StatusBadRequest)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		next.ServeHTTP(w, r)
	})
}

// In is what every tool takes.
type In struct {
	Text string `json:"text,omitempty" jsonschema:"any text"`
	N    int    `json:"n,omitempty" jsonschema:"any number"`
}

func say(text string) *sdk.CallToolResult {
	return &sdk.CallToolResult{Content: []sdk.Content{&sdk.TextContent{Text: text}}}
}

func (s *Server) tools(t testing.TB) *sdk.Server {
	server := sdk.NewServer(&sdk.Implementation{Name: "mcptest", Version: "1"}, &sdk.ServerOptions{Logger: slog.New(slog.DiscardHandler), PageSize: 4})
	server.AddReceivingMiddleware(func(next sdk.MethodHandler) sdk.MethodHandler {
		return func(ctx context.Context, method string, req sdk.Request) (sdk.Result, error) {
			res, err := next(ctx, method, req)
			if err == nil && (method == "initialize" || method == "server/discover") {
				s.mu.Lock()
				s.opened = append(s.opened, method)
				s.mu.Unlock()
			}
			return res, err
		}
	})
	add := func(name string, hints *sdk.ToolAnnotations, run func(ctx context.Context, req *sdk.CallToolRequest, in In) (*sdk.CallToolResult, error)) {
		sdk.AddTool(server, &sdk.Tool{Name: name, Description: "Does " + name + ".", Annotations: hints},
			func(ctx context.Context, req *sdk.CallToolRequest, in In) (*sdk.CallToolResult, any, error) {
				s.mu.Lock()
				s.calls[name]++
				s.mu.Unlock()
				res, err := run(ctx, req, in)
				return res, nil, err
			})
	}
	hang := func(ctx context.Context, _ *sdk.CallToolRequest, _ In) (*sdk.CallToolResult, error) {
		s.Hanging <- struct{}{}
		select {
		case <-ctx.Done():
			s.Cancelled <- struct{}{}
			return nil, ctx.Err()
		case <-s.free:
			return say("at last"), nil
		case <-time.After(time.Minute): // a deadline for tests that fail
			t.Error("nobody gave the call up")
			return nil, context.DeadlineExceeded
		}
	}
	echo := func(_ context.Context, _ *sdk.CallToolRequest, in In) (*sdk.CallToolResult, error) {
		return say("echo: " + in.Text), nil
	}
	add("echo", nil, echo)
	add("odd.name/1", nil, echo)
	add("add", nil, func(context.Context, *sdk.CallToolRequest, In) (*sdk.CallToolResult, error) {
		return say(fmt.Sprint(s.Calls("add"))), nil
	})
	add("fail", nil, func(context.Context, *sdk.CallToolRequest, In) (*sdk.CallToolResult, error) {
		return nil, fmt.Errorf("there is no such ticket")
	})
	add("hang", nil, hang)
	add("look", &sdk.ToolAnnotations{ReadOnlyHint: true}, func(ctx context.Context, req *sdk.CallToolRequest, in In) (*sdk.CallToolResult, error) {
		if in.Text == "hang" && s.Calls("look") == 1 {
			return hang(ctx, req, in)
		}
		return say("seen"), nil
	})
	add("huge", nil, func(_ context.Context, _ *sdk.CallToolRequest, in In) (*sdk.CallToolResult, error) {
		if in.Text == "enormous" {
			return say(strings.Repeat("x", 20<<20)), nil
		}
		return &sdk.CallToolResult{Content: []sdk.Content{
			&sdk.TextContent{Text: strings.Repeat("é", core.MaxMCPResult-10)}, &sdk.TextContent{Text: strings.Repeat("y", 100)}, &sdk.TextContent{Text: "z"},
		}}, nil
	})
	add("picture", nil, func(context.Context, *sdk.CallToolRequest, In) (*sdk.CallToolResult, error) {
		return &sdk.CallToolResult{Content: []sdk.Content{
			&sdk.ImageContent{MIMEType: "image/png", Data: []byte("not really")}, &sdk.ImageContent{MIMEType: "image/tiff", Data: []byte("xx")},
			&sdk.AudioContent{MIMEType: "audio/wav", Data: []byte("xxx")}, &sdk.ResourceLink{URI: "file:///a", Name: "a"},
			&sdk.EmbeddedResource{Resource: &sdk.ResourceContents{URI: "file:///b", Text: "inside b"}},
		}}, nil
	})
	add("whoami", nil, func(context.Context, *sdk.CallToolRequest, In) (*sdk.CallToolResult, error) {
		seen := s.Seen()
		return say("you sent " + seen[len(seen)-1]), nil
	})
	add("grow", nil, func(context.Context, *sdk.CallToolRequest, In) (*sdk.CallToolResult, error) {
		add("grown", nil, echo)
		return say("there is a new tool"), nil
	})
	return server
}
