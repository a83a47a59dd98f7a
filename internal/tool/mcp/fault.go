package mcp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"

	"github.com/reeve-ai/reeve/internal/core"
)

func unreachable(format string, args ...any) *core.MCPError {
	return &core.MCPError{Type: core.MCPConnectionFailed, Message: fmt.Sprintf(format, args...)}
}

// isOld says whether the last answer is how a server of the old transport answers the first request of the
// new one (Model Context Protocol, revision 2025-06-18, transports, backwards compatibility).
func (w *way) isOld() bool {
	status := w.last()
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusRequestTimeout, http.StatusTooManyRequests:
		return false
	}
	return status/100 == 4
}

// fault says in words of our own why a server cannot be used. Errors of net/http hold the URL, and that may
// hold a key; what servers say may hold anything: neither is repeated.
func (w *way) fault(err error, slow bool, limit time.Duration) *core.MCPError {
	w.mu.Lock()
	status, large, bare := w.status, w.large, w.held == ""
	w.mu.Unlock()
	var known *core.Error
	var refused *jsonrpc.Error
	var denied deniedError
	switch {
	case errors.As(err, &denied) && denied == http.StatusTooManyRequests:
		return unreachable("it takes no more requests for now (HTTP status 429)")
	case denied == http.StatusUnauthorized && bare:
		return &core.MCPError{Type: core.MCPAuthenticationFailed, Message: "it wants a credential (HTTP status 401), and no vault of the session has one for its URL"}
	case denied == http.StatusForbidden && bare:
		return &core.MCPError{Type: core.MCPAuthenticationFailed, Message: "it refuses requests without a credential (HTTP status 403), and no vault of the session has one for its URL"}
	case denied != 0:
		return &core.MCPError{Type: core.MCPAuthenticationFailed, Message: fmt.Sprintf("it did not accept the credential (HTTP status %d)", int(denied))}
	case errors.Is(err, errToken):
		return &core.MCPError{Type: core.MCPAuthenticationFailed, Message: "its credential could not be read from the vault"}
	case slow, errors.Is(err, context.DeadlineExceeded):
		return unreachable("it did not answer within %s", limit)
	case large, errors.Is(err, errLarge):
		return unreachable("it sent more than %d MiB in one answer", maxAnswer>>20)
	case errors.As(err, &known):
		return unreachable("%s", known.Message)
	case status >= 300:
		return unreachable("it answered with HTTP status %d", status)
	case errors.As(err, &refused):
		return unreachable("it refused the request with error %d of its protocol", refused.Code)
	}
	return unreachable("it does not speak the Model Context Protocol properly")
}

// callFault is fault for a call of a tool. It is sure only if the call was surely not carried out.
func (w *way) callFault(err error) (*core.MCPError, bool) {
	var denied deniedError
	var dial *net.OpError
	if errors.As(err, &denied) || errors.Is(err, errToken) || errors.As(err, &dial) && dial.Op == "dial" {
		return w.fault(err, false, 0), true
	}
	return nil, false
}
