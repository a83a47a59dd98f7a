package mcp

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/reeve-ai/reeve/internal/core"
)

// line is one session's way to one server: a link at a time, and who uses it.
type line struct {
	pool    *Pool
	at      place
	to      core.MCPTarget
	turn    chan struct{} // capacity 1: held by who is making a link, so that others wait for it
	current atomic.Pointer[link]
	changes atomic.Bool // of the newest link

	// Guarded by Pool.mu.
	users int
	used  time.Time // end of the last use
}

// alive reports whether there is a link that has not broken.
func (l *line) alive() bool {
	at := l.current.Load()
	return at != nil && !at.ended()
}

// link returns the living link, and makes one if there is none.
//
// Errors: *core.MCPError; ctx's own.
func (l *line) link(ctx context.Context) (*link, error) {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if at := l.current.Load(); at != nil {
		if !at.ended() {
			return at, nil
		}
		l.drop(at)
	}
	if l.pool.closed(l) {
		return nil, unreachable("this server is stopping")
	}
	at, err := l.pool.dial(ctx, l.to)
	if err != nil {
		return nil, err
	}
	l.changes.Store(at.changes())
	l.pool.mu.Lock()
	defer l.pool.mu.Unlock()
	if l.pool.lines[l.at] != l { // the pool has stopped meanwhile, and closes only what it knows of
		l.pool.end(at)
		return nil, unreachable("this server is stopping")
	}
	l.current.Store(at)
	return at, nil
}

// drop gives a link up that is of no more use.
func (l *line) drop(at *link) {
	if l.current.CompareAndSwap(at, nil) {
		l.pool.mu.Lock()
		defer l.pool.mu.Unlock()
		l.pool.end(at)
	}
}

// handle is one user of a line.
type handle struct {
	line *line
	once sync.Once
}

// Release implements core.MCPConnection.
func (h *handle) Release() { h.once.Do(func() { h.line.pool.leave(h.line) }) }

// Changes implements core.MCPConnection.
func (h *handle) Changes() bool { return h.line.changes.Load() }

// Tools implements core.MCPConnection.
func (h *handle) Tools(ctx context.Context) (tools []core.MCPTool, err error) {
	err = h.with(ctx, func(at *link) error {
		tools, err = at.list(ctx)
		return err
	})
	var known *core.MCPError
	if err != nil && ctx.Err() == nil && !errors.As(err, &known) {
		err = unreachable("it did not list its tools properly")
	}
	return tools, err
}

// Call implements core.MCPConnection.
func (h *handle) Call(ctx context.Context, tool string, input json.RawMessage) (out core.ToolOutput, err error) {
	err = h.with(ctx, func(at *link) error {
		out, err = at.call(ctx, tool, input)
		return err
	})
	var known *core.MCPError
	switch {
	case err == nil:
		return out, nil
	case ctx.Err() != nil:
		return core.ToolOutput{}, ctx.Err()
	case errors.As(err, &known):
		return refuse("Not run: the MCP server %q cannot be used now: %s.", h.line.to.Server.Name, known.Message), nil
	}
	return refuse("The MCP server %q was lost while this ran. Whether it finished, and how far it got, is unknown: check before you repeat it.", h.line.to.Server.Name), nil
}

// with does something on the living link. A server that has forgotten our session has done nothing of what it
// was asked, so a new session asks once more.
func (h *handle) with(ctx context.Context, do func(at *link) error) error {
	for again := false; ; again = true {
		at, err := h.line.link(ctx)
		if err != nil {
			return err
		}
		err = do(at)
		missing := errors.Is(err, sdk.ErrSessionMissing)
		if missing || errors.Is(err, errBroken) {
			h.line.drop(at) // it may not have noticed yet
		}
		if !missing || again || ctx.Err() != nil {
			return err
		}
	}
}
