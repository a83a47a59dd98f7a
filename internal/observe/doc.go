// Package observe is the service of captures: the HTTP calls of agents that agents themselves and the
// backends they call report to us.
//
// It owns the rules: what a report must hold, which of it is a secret and is taken out before anything is
// stored, how much may be in work at once, who may read what is counted, for how long captures are kept, and
// how a session's timeline and call graph follow from them.
//
// It leaves to others how reports look on the wire (internal/api), who reports (internal/identity) and how
// captures are stored and counted (core.CaptureStore). The facts about OTAS, whose events captures are, come
// from reference otas.md, sections 1.10, 4, 7 and 8.
package observe
