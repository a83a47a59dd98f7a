// Package turnstile lets callers through one at a time, for each key apart.
package turnstile

import (
	"context"
	"sync"
)

// Turnstile keeps a slot for each key that somebody uses or waits for, and nothing for others. The zero value
// is ready to use.
type Turnstile[K comparable] struct {
	mu    sync.Mutex
	slots map[K]*slot
}

type slot struct {
	taken chan struct{} // capacity 1
	users int           // who has it or waits for it; under Turnstile.mu
}

// Enter waits until nobody else is in under this key. The caller calls leave, once. The error is that of ctx.
func (t *Turnstile[K]) Enter(ctx context.Context, key K) (leave func(), err error) {
	t.mu.Lock()
	s := t.slots[key]
	if s == nil {
		s = &slot{taken: make(chan struct{}, 1)}
		if t.slots == nil {
			t.slots = map[K]*slot{}
		}
		t.slots[key] = s
	}
	s.users++
	t.mu.Unlock()
	done := func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if s.users--; s.users == 0 {
			delete(t.slots, key)
		}
	}
	select {
	case s.taken <- struct{}{}:
		return func() { <-s.taken; done() }, nil
	case <-ctx.Done():
		done()
		return nil, ctx.Err()
	}
}
