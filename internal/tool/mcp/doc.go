// Package mcp is the server's own client of MCP servers: the tools that agents bring from elsewhere. It is
// the core.MCP of a node. The server connects, never a sandbox (claude-managed-agents.md section 5.2).
//
// It owns the connections, one for each session and server, and everything about how far a server is trusted:
// it is reached through package egress only, gets its bearer token from the session's vaults and no other
// host ever does, and what it sends is bounded in time, size and number. Nothing that it says gets into an
// error or a log; into tool results it does, but for the tokens that we sent.
//
// What agents may call, under which policy, and what becomes of a call after a crash is package turn's.
package mcp
