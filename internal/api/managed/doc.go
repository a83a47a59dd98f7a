// Package managed is the face that speaks the API of Claude Managed Agents and that of Qoder Cloud
// Agents, which differ in spelling more than in substance. Each handler is written once; where the two
// differ it asks the request's Flavour.
//
// It translates between that wire and the services, and holds none of their rules. It owns what only
// this wire has: paths, spellings, cursors, error bodies, Idempotency-Keys, and the frames of a stream.
//
// Which part of the wire comes from where: reference claude-managed-agents.md (CMA in comments), reference
// qoder.md, and seed page 003, which wins.
package managed
