package mcp_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/egress"
	"github.com/reeve-ai/reeve/internal/tool/mcp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is a deadline, not a delay.
const patience = 20 * time.Second

// keys are the tokens of a project: the first is in use, the next come when one was refused.
type keys struct {
	mu    sync.Mutex
	left  []string
	asked []string // what was stale, at each question
	err   error
}

func (k *keys) Token(_ context.Context, _ core.ProjectID, _ []core.VaultID, _, stale string) (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.asked = append(k.asked, stale)
	if len(k.left) > 1 && stale == k.left[0] {
		k.left = k.left[1:]
	}
	if len(k.left) == 0 {
		return "", k.err
	}
	return k.left[0], k.err
}

func (k *keys) questions() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append([]string{}, k.asked...)
}

// loopback lets servers of the test be reached.
var loopback = egress.Options{AllowPrivate: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}

// journal is a log that can be read.
type journal struct {
	mu   sync.Mutex
	text strings.Builder
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// open runs a pool until the test ends.
func open(t *testing.T, tokens mcp.Tokens, o mcp.Options) *mcp.Pool {
	t.Helper()
	if o.Egress.AllowPrivate == nil {
		o.Egress = loopback
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	p := mcp.NewPool(tokens, o)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1) // holds the one result
	go func() { ended <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(patience):
			t.Error("the pool does not end")
		}
		if n := p.Alive(); n != 0 {
			t.Errorf("%d connections are left", n)
		}
	})
	return p
}

func target(url string) core.MCPTarget {
	return core.MCPTarget{Project: "p", Session: "s", Server: core.MCPServer{Type: "url", Name: "tracker", URL: url}}
}

func connect(t *testing.T, p *mcp.Pool, url string) core.MCPConnection {
	t.Helper()
	c, err := p.Connect(t.Context(), target(url))
	if err != nil {
		t.Fatalf("connect to %s: %v", url, err)
	}
	t.Cleanup(c.Release)
	return c
}

func call(t *testing.T, c core.MCPConnection, tool, text string) core.ToolOutput {
	t.Helper()
	in, err := json.Marshal(map[string]string{"text": text})
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.Call(t.Context(), tool, in)
	if err != nil {
		t.Fatalf("%s: %v", tool, err)
	}
	return out
}

func said(out core.ToolOutput) string {
	var all []string
	for _, b := range out.Content {
		all = append(all, b.Text)
	}
	return strings.Join(all, "|")
}

func names(tools []core.MCPTool) []string {
	out := make([]string, len(tools))
	for i, t := range tools {
		out[i] = t.Name
	}
	return out
}

func await(t *testing.T, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		t.Fatalf("%s did not come", what)
	}
}
