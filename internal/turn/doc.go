// Package turn runs turns: it claims threads that owe one, and drives each from its log to the model,
// to the tools and back to the log, until the session is idle again.
//
// All state is in the log and in the thread's row. A run that dies is taken up by the next node that
// claims the thread: a model call without its end is made again; a tool use without a result is run
// again if the tool is repeatable, else the model is told that its outcome is unknown. Every write
// carries the lease, so a runner that was thought dead cannot write.
//
// The package owns its goroutines (Dispatcher.Run) and leaves the rules of what a session accepts to
// package session.
package turn
