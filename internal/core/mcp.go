package core

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
)

// Limits of what one MCP server may bring. What exceeds them is left out or cut, never an error.
const (
	MaxMCPTools       = 1000
	MaxMCPDescription = 16_384    // characters that the model reads about one tool; as for custom tools
	MaxMCPSchema      = 64 << 10  // bytes of one tool's input schema; as for custom tools
	MaxMCPResult      = 4_000_000 // characters of one result that are taken at all; of more than MaxToolText the model gets a preview
)

// MCP reaches the tool servers that agents declare. It is used from several goroutines.
type MCP interface {
	// Connect gives a session its connection to a server: the living one, or a new one. The caller must
	// Release it.
	//
	// Errors: *MCPError if the server cannot be reached or does not let us in; ctx's own.
	Connect(ctx context.Context, to MCPTarget) (MCPConnection, error)
}

// MCPTarget is a server as one session reaches it.
type MCPTarget struct {
	Project ProjectID
	Session SessionID
	Vaults  []VaultID // where its credential may be, in the order in which they are asked
	Server  MCPServer
}

// MCPConnection is a session's use of one server. It is used from several goroutines. What breaks is made
// anew by the next call.
type MCPConnection interface {
	// Tools lists what the server offers now, in its order, names unique, at most MaxMCPTools.
	//
	// Errors: *MCPError; ctx's own.
	Tools(ctx context.Context) ([]MCPTool, error)
	// Call runs a tool by the server's own name. What the model should read is the output, which is never
	// longer than MaxMCPResult: what the tool said, and also that the server refused, did not answer in time or
	// was lost. The only error is ctx's own; the server is told then that nobody waits any more.
	Call(ctx context.Context, tool string, input json.RawMessage) (ToolOutput, error)
	// Changes reports whether the server says that its list of tools may change.
	Changes() bool
	// Release ends the use. The connection itself stays for a while, for the session's next turn.
	Release()
}

// MCPTool is one tool of a server.
type MCPTool struct {
	Name        string          // 1–128 characters
	Description string          // ≤ MaxMCPDescription characters; may be empty
	InputSchema json.RawMessage // an object of type object, ≤ MaxMCPSchema bytes
	Repeatable  bool            // the server says that it only reads, or that a second call changes nothing
}

// What keeps a server from being used (claude-managed-agents.md section 4.2). Such a SessionError names its
// Server and does not end the turn.
const (
	MCPConnectionFailed     ModelErrorType = "mcp_connection_failed_error"
	MCPAuthenticationFailed ModelErrorType = "mcp_authentication_failed_error"
)

// MCPError says why a server cannot be used.
type MCPError struct {
	Type    ModelErrorType // MCPConnectionFailed or MCPAuthenticationFailed
	Message string         // written by us: no URL, no credential, nothing that the server said; safe to show
}

func (e *MCPError) Error() string { return fmt.Sprintf("%s: %s", e.Type, e.Message) }

// maxToolName is the longest name of a ToolSpec.
const maxToolName = 128

// MCPToolName is how the model calls a tool of an MCP server: mcp__SERVER__TOOL. Names that have other
// characters than [A-Za-z0-9_-], are too long, or could be taken for another pair's, are changed and get a
// part of their hash at the end. It depends on the pair alone, so that the log needs to keep no more, and a
// conversation keeps its names whatever the server lists later.
func MCPToolName(server, tool string) string {
	name := "mcp__" + server + "__" + tool
	plain := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_', r == '-':
			return r
		}
		return '_'
	}, name)
	if plain == name && len(name) <= maxToolName && !strings.Contains(server, "__") && !strings.HasSuffix(server, "_") {
		return name
	}
	sum := sha256.Sum256([]byte(server + "\x00" + tool))
	hash := "_" + hex.EncodeToString(sum[:5])
	return plain[:min(len(plain), maxToolName-len(hash))] + hash
}
