// Package tool holds the tools that Reeve runs itself, and the capabilities that bundle them. Each
// tool is NAME.go, NAME.md (what the model reads about it) and NAME.json (the JSON Schema of its
// input).
//
// bash, read, write, edit, glob and grep are those of agent_toolset_20260401 (Claude Managed Agents
// section 5.1) and work in the session's sandbox; web_fetch and get_current_time need none. What a
// tool is asked wrongly, and what a sandbox or a server refuses, goes back to the model as an error
// result in words that say what to do instead.
package tool
