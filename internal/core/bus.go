package core

// Bus carries nudges and deltas between whoever writes a log and whoever watches it. It may lose
// both: the log is the truth, a watcher re-reads it on every nudge and on a slow tick.
type Bus interface {
	// Wake tells the watchers of a session to read its log again. Called after the commit.
	Wake(session SessionID)
	// Publish passes a delta on to those watchers that keep up; for others it is dropped.
	Publish(d Delta)
	// Subscribe starts watching. The caller must call cancel, once.
	Subscribe(session SessionID) (sub Subscription, cancel func())
}

// Subscription is one watcher's end of the Bus.
type Subscription struct {
	// Woken has capacity 1: a nudge that finds it full is merged with the one inside.
	Woken <-chan struct{}
	// Deltas has a fixed capacity; when full, deltas are dropped.
	Deltas <-chan Delta
}
