package managed

import (
	"net"
	"sync"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// told remembers up to where streams have told of idle sessions. A stream that begins goes back to the
// last input if that is recent. For a client that opens one stream for each turn, and the stream before
// the turn, that would be the turn before, with its session.status_idle, which it would take for the
// end of the turn that it is about to begin (stream.goOn).
type told struct {
	mu       sync.Mutex
	turned   time.Time        // when now began
	now, old map[watcher]mark // marks of this period and of the one before it, each as long as recent
}

// watcher is one client as far as it can be told from others. Two that are taken for one have the same
// key, address and program.
type watcher struct {
	session    core.SessionID
	caller     string
	host, name string
}

type mark struct {
	seq int64
	at  time.Time
}

func watcherOf(c *call, id core.SessionID) watcher {
	host, _, err := net.SplitHostPort(c.RemoteAddr)
	if err != nil {
		host = c.RemoteAddr
	}
	return watcher{id, caller(c.by), host, c.UserAgent()}
}

// note keeps the place of a session.status_idle that was just told.
func (t *told) note(w watcher, m mark) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.now == nil || m.at.Sub(t.turned) > recent {
		t.old, t.now, t.turned = t.now, map[watcher]mark{}, m.at
	}
	t.now[w] = m
}

// behind returns the Seq up to which the watcher was told; 0: it was told nothing lately.
func (t *told) behind(w watcher, now time.Time) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	m, ok := t.now[w]
	if !ok {
		m = t.old[w]
	}
	if now.Sub(m.at) > recent { // by now no stream goes back that far
		return 0
	}
	return m.seq
}
