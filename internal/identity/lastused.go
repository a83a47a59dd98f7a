package identity

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// lastUsed remembers when keys were used, so that a request costs no write. It holds at most one
// entry for each key in the store.
type lastUsed struct {
	sync.Mutex
	at map[core.CredentialID]time.Time
}

// note remembers a use, to the minute.
func (u *lastUsed) note(c core.Credential, now time.Time) {
	minute := now.Truncate(time.Minute)
	if !minute.After(c.LastUsedAt) {
		return // the store knows already
	}
	u.Lock()
	defer u.Unlock()
	if minute.After(u.at[c.ID]) {
		u.at[c.ID] = minute
	}
}

// touchBatch keeps one write short, so that it holds up no other.
const touchBatch = 500

// flush writes what was noted. What could not be written is kept for the next time.
func (u *lastUsed) flush(ctx context.Context, store core.Store) error {
	u.Lock()
	all := u.at
	u.at = map[core.CredentialID]time.Time{}
	u.Unlock()

	batch := make(map[core.CredentialID]time.Time, min(len(all), touchBatch))
	for id, at := range all {
		batch[id] = at
		delete(all, id)
		if len(batch) < touchBatch && len(all) > 0 {
			continue
		}
		if err := store.TouchCredentials(ctx, batch); err != nil {
			u.restore(all)
			u.restore(batch)
			return fmt.Errorf("touch credentials: %w", err)
		}
		clear(batch)
	}
	return nil
}

func (u *lastUsed) restore(unwritten map[core.CredentialID]time.Time) {
	u.Lock()
	defer u.Unlock()
	for id, at := range unwritten {
		if at.After(u.at[id]) {
			u.at[id] = at
		}
	}
}
