package tool

import "github.com/reeve-ai/reeve/internal/core"

// capabilities are those of the Everruns catalogue (Everruns section 5.1) that are built in, sorted by
// Ref. The tools are the ones of the built-in toolset wherever it has them, so that an agent works the
// same under every API.
var capabilities = []core.Capability{
	{
		Ref: "bashkit_shell", Name: "Bashkit Shell",
		Description: "Runs commands in a shell inside the session's sandbox.",
		Prompt:      "You have a sandbox with a bash shell. Your files are in /workspace and stay for the whole session.",
		Tools:       []string{"bash"},
	},
	{
		Ref: "current_time", Name: "Current Time",
		Description: "Tells the current date and time in any time zone.",
		Tools:       []string{"get_current_time"},
	},
	{
		Ref: "session_file_system", Name: "File System",
		Description: "Reads, writes, changes and searches files in the session's sandbox.",
		Prompt:      "You have a folder of your own, /workspace. Files in it stay for the whole session.",
		Tools:       []string{"read", "write", "edit", "glob", "grep"},
	},
	{
		Ref: "web_fetch", Name: "Web Fetch",
		Description: "Fetches pages of the public internet as Markdown or text.",
		Tools:       []string{"web_fetch"},
	},
}

// aliases are older names that agents still come with (Everruns section 5.1).
var aliases = map[string]string{"virtual_bash": "bashkit_shell"}
