// Package everruns is the face that speaks the API of Everruns, as its published SDKs for TypeScript,
// Python and Rust and its documentation page for POST /v1/agents (seed page 002) expect it.
//
// It translates between that wire and the services, and holds no rules. It knows its own paths,
// spellings, error bodies and credentials; which requests are its own is decided by who mounts it.
package everruns
