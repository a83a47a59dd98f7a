package webhook

import (
	"context"
	"sync"

	"github.com/reeve-ai/reeve/internal/core"
)

// listeners are the projects that have a webhook which is on, as far as this node knows, so that changes in all
// the others cost nothing. A project in it may have none any more: who looks finds out. One that is missing is
// one whose webhook another node made less than reloadEvery ago. It lives in memory, and is read anew at every
// start.
type listeners struct {
	mu       sync.RWMutex
	projects map[core.ProjectID]bool // nil: not known, so all
	changes  int                     // of this node, so that a read that began before one does not undo it
}

func (l *listeners) has(p core.ProjectID) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.projects == nil || l.projects[p]
}

// add is called before a webhook is announced to who made it or switched it on: what happens behind that is told.
func (l *listeners) add(p core.ProjectID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.changes++
	if l.projects != nil {
		l.projects[p] = true
	}
}

// load reads them. If one was added meanwhile nothing is changed: the next load comes soon.
func (l *listeners) load(ctx context.Context, store core.WebhookStore) error {
	l.mu.RLock()
	before := l.changes
	l.mu.RUnlock()
	list, err := store.ListeningProjects(ctx)
	if err != nil {
		return err
	}
	projects := make(map[core.ProjectID]bool, len(list))
	for _, p := range list {
		projects[p] = true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.changes == before {
		l.projects = projects
	}
	return nil
}
