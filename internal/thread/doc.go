// Package thread keeps the threads of a coordinator's session and the session itself in step: whoever changes
// the state of one thread does it through a Book, which says in the log what became of the thread and, where
// that changes it, of the session. Sessions without a team have one thread, whose state is the session's own;
// they need no Book.
package thread
