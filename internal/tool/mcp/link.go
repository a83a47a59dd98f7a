package mcp

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/egress"
)

const (
	closeTime    = 3 * time.Second // for a server to hear that we leave
	tellTime     = time.Second     // for the notice that a call was given up
	maxRedirects = 3
	maxPages     = 100 // of a list of tools: a server may hand out empty ones for ever
	// oldVersion is the newest protocol that begins with initialize, as servers of the old transport expect.
	oldVersion = "2025-11-25"
	// codeNotSent is the SDK's own mark on errors of its transport, not an answer of a server.
	codeNotSent = -32005
)

var (
	errSlow   = errors.New("took too long")
	errEnd    = errors.New("the connection was closed")
	errBroken = errors.New("the connection broke") // the link is of no more use
)

// link is one living connection.
type link struct {
	session *sdk.ClientSession
	way     *way
	net     *egress.Client
	kill    context.CancelCauseFunc // ends everything that the link does on the network
	done    chan struct{}           // closed when the connection has ended
	listed  atomic.Bool             // what is left out of its list was logged
	log     *slog.Logger
	old     bool // of the old transport, which a request that fails breaks
	opts    Options
}

// dial connects to a server: by streamable HTTP, and if it does not know that, by the transport with
// server-sent events of 2024.
//
// Errors: *core.MCPError; ctx's own.
func (p *Pool) dial(ctx context.Context, to core.MCPTarget) (*link, error) {
	net := egress.New(p.opts.Egress)
	life, kill := context.WithCancelCause(context.WithoutCancel(ctx))
	l := &link{net: net, kill: kill, done: make(chan struct{}), opts: p.opts, log: p.opts.Log.With("session", to.Session, "mcp_server", to.Server.Name)}
	l.way = newWay(life, net.Transport(), to.Server.URL, func(ctx context.Context, stale string) (string, error) {
		token, err := p.tokens.Token(ctx, to.Project, to.Vaults, to.Server.URL, stale)
		if err != nil && ctx.Err() == nil {
			l.log.Error("find the credential of an mcp server", "err", err)
		}
		return token, err
	})
	late := time.AfterFunc(p.opts.ConnectTime, func() { kill(errSlow) })
	deaf := context.AfterFunc(ctx, func() { kill(context.Cause(ctx)) })
	err := l.connect(life, to.Server.URL)
	inTime, wanted := late.Stop(), deaf()
	if err == nil && inTime && wanted {
		go func() {
			_ = l.session.Wait() // why it ended, the call that it ended in says
			close(l.done)
		}()
		return l, nil
	}
	if err == nil { // connected at the very moment in which it was too late
		_ = l.session.Close()
		err = context.Cause(life)
	}
	slow := errors.Is(context.Cause(life), errSlow)
	kill(errEnd)
	net.Close()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	fault := l.way.fault(err, slow, p.opts.ConnectTime)
	l.log.Warn("mcp server not connected", "type", fault.Type, "reason", fault.Message)
	return nil, fault
}

// connect makes the session of the SDK. Requests outlive the call only on the old transport, whose stream is
// the connection: that one hangs on life.
func (l *link) connect(life context.Context, endpoint string) error {
	client := sdk.NewClient(&sdk.Implementation{Name: "reeve", Version: "1"}, &sdk.ClientOptions{
		Logger:         slog.New(slog.DiscardHandler), // it would log what servers say
		Capabilities:   &sdk.ClientCapabilities{},     // no roots, no sampling, no questions to people
		MultiRoundTrip: &sdk.MultiRoundTripOptions{Disabled: true},
	})
	browser := &http.Client{Transport: l.way, CheckRedirect: checkRedirect}
	once, cancel := context.WithCancel(life)
	defer cancel()
	var err error
	l.session, err = client.Connect(once, &sdk.StreamableClientTransport{
		Endpoint: endpoint, HTTPClient: browser, MaxEventSize: maxAnswer, MaxRetries: 2,
		DisableStandaloneSSE: true, // changes are looked for when they matter: see core.MCPConnection.Changes
	}, nil)
	if err == nil || life.Err() != nil || !l.way.isOld() {
		return err
	}
	first := l.way.last()
	var old error
	if l.session, old = client.Connect(life, &sdk.SSEClientTransport{Endpoint: endpoint, HTTPClient: browser, MaxEventSize: maxAnswer},
		&sdk.ClientSessionOptions{ProtocolVersion: oldVersion}); old == nil {
		l.old = true
		return nil
	}
	var known *core.Error
	var denied deniedError
	if errors.As(old, &known) || errors.As(old, &denied) {
		return old
	}
	l.way.note(first) // a server that knows neither: the first answer says more
	return err
}

// changes reports whether the server declared that its list of tools may change.
func (l *link) changes() bool {
	said := l.session.InitializeResult()
	return said != nil && said.Capabilities != nil && said.Capabilities.Tools != nil && said.Capabilities.Tools.ListChanged
}

// ended reports whether the connection is of no more use.
func (l *link) ended() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

// close says good-bye, but not for longer than closeTime, and ends everything.
func (l *link) close() {
	late := time.AfterFunc(closeTime, func() { l.kill(errEnd) })
	_ = l.session.Close() // there is nobody left to tell
	late.Stop()
	l.kill(errEnd)
	bye := time.NewTimer(closeTime)
	defer bye.Stop()
	select {
	case <-l.done:
	case <-bye.C: // nothing of it can reach the network any more
		l.log.Warn("an mcp connection did not end")
	}
	l.net.Close()
}

// list asks for the server's tools.
//
// Errors: *core.MCPError, with errBroken beside it if the connection broke; sdk.ErrSessionMissing; ctx's own.
func (l *link) list(ctx context.Context) ([]core.MCPTool, error) {
	limited, cancel := context.WithTimeoutCause(ctx, l.opts.ConnectTime, errSlow)
	defer cancel()
	in := newIntake(l.way.scrub)
	for cursor, page := "", 0; page < maxPages; page++ {
		res, err := l.session.ListTools(limited, &sdk.ListToolsParams{Cursor: cursor})
		if err != nil && limited.Err() != nil {
			l.giveUp()
		}
		var refused *jsonrpc.Error
		switch {
		case errors.As(err, &refused) && refused.Code == jsonrpc.CodeMethodNotFound:
			return in.tools, nil // it has none
		case err != nil && (ctx.Err() != nil || errors.Is(err, sdk.ErrSessionMissing)):
			return nil, err
		case err != nil && limited.Err() == nil:
			return nil, errors.Join(l.way.fault(err, false, 0), errBroken)
		case err != nil:
			return nil, l.way.fault(err, true, l.opts.ConnectTime)
		}
		for _, t := range res.Tools {
			in.take(t)
		}
		if cursor = res.NextCursor; cursor == "" || in.full() {
			break
		}
	}
	if len(in.left) > 0 && !l.listed.Swap(true) {
		l.log.Warn("tools of an mcp server are left out", "count", len(in.left), "first", in.left[0].name, "why", in.left[0].why)
	}
	return in.tools, nil
}

// giveUp waits until the server was told that nobody waits for a call any more. The SDK does that on the side,
// and who gives a call up may be about to close the connection.
func (l *link) giveUp() {
	late := time.NewTimer(tellTime)
	defer late.Stop()
	select {
	case <-l.way.told:
	case <-l.done:
	case <-late.C:
	}
}

// call runs a tool.
//
// Errors: *core.MCPError if it surely did not run; errBroken, also beside that; sdk.ErrSessionMissing; ctx's own.
func (l *link) call(ctx context.Context, tool string, input json.RawMessage) (core.ToolOutput, error) {
	limited, cancel := context.WithTimeoutCause(ctx, l.opts.CallTime, errSlow)
	defer cancel() // also ends what the server still sends
	res, err := l.session.CallTool(limited, &sdk.CallToolParams{Name: tool, Arguments: input})
	if err != nil && limited.Err() != nil {
		l.giveUp()
	}
	var refused *jsonrpc.Error
	switch {
	case err == nil && res.NeedsInput():
		return refuse("The MCP server asks for input that this client cannot give."), nil
	case err == nil:
		return output(res, l.way.scrub), nil
	case ctx.Err() != nil || errors.Is(err, sdk.ErrSessionMissing):
		return core.ToolOutput{}, err
	case limited.Err() != nil:
		return refuse("The MCP server did not answer within %s. Whether this finished, and how far it got, is unknown: check before you repeat it.", l.opts.CallTime), nil
	}
	if fault, sure := l.way.callFault(err); sure && l.old {
		return core.ToolOutput{}, errors.Join(fault, errBroken)
	} else if sure {
		return core.ToolOutput{}, fault
	}
	if errors.As(err, &refused) && refused.Code != codeNotSent {
		var t text
		t.add(l.way.scrub("The MCP server refused the call: " + refused.Message))
		return core.ToolOutput{Content: t.blocks(), IsError: true}, nil
	}
	return core.ToolOutput{}, errors.Join(errBroken, err)
}
