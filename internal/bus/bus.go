// Package bus is core.Bus: nudges and deltas between runners and watchers, of one node (Bus) or of several
// that share a database (Cluster). It keeps nothing: what no watcher takes is gone.
package bus

import (
	"hash/maphash"
	"sync"

	"github.com/reeve-ai/reeve/internal/core"
)

// deltaBuffer is how many deltas wait for one watcher. A watcher that falls further behind loses
// some, and gets the finished event instead. 64 deltas are about a second of model output.
const deltaBuffer = 64

// shards spreads the lock: publishing for one session never waits for another's watchers.
const shards = 64

// Bus implements core.Bus in one process. It owns no goroutine. The zero value is not usable; call New.
type Bus struct {
	seed   maphash.Seed
	shards [shards]shard
}

type shard struct {
	mu       sync.RWMutex
	watchers map[core.SessionID]map[*watcher]struct{}
}

type watcher struct {
	woken  chan struct{}
	deltas chan core.Delta
}

// New returns an empty bus.
func New() *Bus {
	b := &Bus{seed: maphash.MakeSeed()}
	for i := range b.shards {
		b.shards[i].watchers = map[core.SessionID]map[*watcher]struct{}{}
	}
	return b
}

func (b *Bus) shard(id core.SessionID) *shard {
	return &b.shards[maphash.String(b.seed, string(id))%shards]
}

// Wake implements core.Bus.
func (b *Bus) Wake(id core.SessionID) {
	s := b.shard(id)
	s.mu.RLock()
	defer s.mu.RUnlock()
	for w := range s.watchers[id] {
		select {
		case w.woken <- struct{}{}:
		default: // it has a nudge already and has not looked yet
		}
	}
}

// WakeAll nudges every watcher: something may have been missed.
func (b *Bus) WakeAll() {
	for i := range b.shards {
		s := &b.shards[i]
		s.mu.RLock()
		for _, watchers := range s.watchers {
			for w := range watchers {
				select {
				case w.woken <- struct{}{}:
				default: // it has a nudge already
				}
			}
		}
		s.mu.RUnlock()
	}
}

// Publish implements core.Bus.
func (b *Bus) Publish(d core.Delta) {
	s := b.shard(d.Session)
	s.mu.RLock()
	defer s.mu.RUnlock()
	for w := range s.watchers[d.Session] {
		select {
		case w.deltas <- d:
		default: // too slow: Delta.N shows it the gap
		}
	}
}

// Subscribe implements core.Bus.
func (b *Bus) Subscribe(id core.SessionID) (core.Subscription, func()) {
	w := &watcher{woken: make(chan struct{}, 1), deltas: make(chan core.Delta, deltaBuffer)}
	s := b.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.watchers[id] == nil {
		s.watchers[id] = map[*watcher]struct{}{}
	}
	s.watchers[id][w] = struct{}{}
	return core.Subscription{Woken: w.woken, Deltas: w.deltas}, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.watchers[id], w)
		if len(s.watchers[id]) == 0 {
			delete(s.watchers, id)
		}
	}
}
