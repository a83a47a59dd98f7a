// Package exchange replays recorded HTTP exchanges against a running server: what comes in, and what
// must go out. Every face keeps its own recordings; this package knows none of them. It is for tests
// only.
//
// A recording is a txtar archive. The text above the first file is for readers: say there which
// bugs the recording guards. Each exchange is a pair of files, played in the order of the requests:
//
//	-- create agent.request --
//	POST /api/agent/v1/create/
//	X-OTAS-USER-TOKEN: {{user_token}}
//
//	{"agent_name": "Summarizer"}
//	-- create agent.response --
//	201
//	Content-Type: application/json
//
//	{"status": 1, "agent": {"id": "{{agent_id=uuid}}", "created_at": "<micros>"}}
//
// A request is sent as it stands: only its headers, and its body without the last line end. A
// redirect is an answer, it is not followed.
//
// Of a response, the status and the listed headers must agree; a header without a value must be
// absent. A JSON body must be equal as a value: the order of members is free, but each must be there
// and no other. Any other body must be equal as text; a body that never ends is an error.
//
// Inside any text of a request or a response:
//
//	{{name}}       the value of a variable: given to Run, or captured before
//
// and inside a response only:
//
//	<kind>         any text of that kind (see kinds)
//	{{name=kind}}  the same, and the text becomes the variable
//
// A JSON string that is nothing but <int>, <number>, <bool>, <object>, <array> or <any> stands for a
// value of that type instead of a string.
//
// With the flag -update a test writes what the server answered back into its recording. What the old
// recording still matches stays as it is written; new volatile values become placeholders.
package exchange
