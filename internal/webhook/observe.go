package webhook

import (
	"context"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// Observe returns a store that does what the given one does, and tells the webhooks of a project what happens
// there. The deliveries are stored in the transaction of the change; sending begins behind its commit. In a
// project without webhooks it costs nothing but a look at a map in memory.
//
// Everybody who changes what webhooks tell of must do it through this store.
func (s *Service) Observe(store core.Store) core.Store {
	return &watch{Store: store, service: s}
}

// watch is a store that is observed, or a transaction of it.
type watch struct {
	core.Store
	service *Service
	inside  bool // Store is a transaction
	told    bool // this transaction has stored deliveries
}

// Tx implements core.Store.
func (w *watch) Tx(ctx context.Context, fn func(tx core.Store) error) error {
	if w.inside {
		return w.Store.Tx(ctx, func(core.Store) error { return fn(w) })
	}
	told := false
	err := w.Store.Tx(ctx, func(tx core.Store) error {
		in := &watch{Store: tx, service: w.service, inside: true}
		err := fn(in)
		told = in.told
		return err
	})
	if err == nil && told {
		w.service.wake()
	}
	return err
}

// hears reports whether somebody in the project may want to be told.
func (w *watch) hears(project core.ProjectID) bool { return w.service.hears.has(project) }

// within runs fn in the transaction that w is, or in one of its own.
func (w *watch) within(ctx context.Context, fn func(in *watch) error) error {
	if w.inside {
		return fn(w)
	}
	return w.Tx(ctx, func(tx core.Store) error { return fn(tx.(*watch)) })
}

// and makes a change and, if somebody may want to know, tells what happened, in one transaction.
func (w *watch) and(ctx context.Context, project core.ProjectID, change func(core.Store) error, what ...happening) error {
	if !w.hears(project) {
		return change(w.Store)
	}
	return w.within(ctx, func(in *watch) error {
		if err := change(in.Store); err != nil {
			return err
		}
		return in.tell(ctx, project, what...)
	})
}

// compare is as and, for a change that tells something only by the state before it: before reads that, and what
// says what the change was.
func compare[T any](ctx context.Context, w *watch, project core.ProjectID, before func(core.Store) (T, error), change func(core.Store) error, what func(before T) []happening) error {
	if !w.hears(project) {
		return change(w.Store)
	}
	return w.within(ctx, func(in *watch) error {
		was, err := before(in.Store)
		if err != nil {
			return err
		}
		if err := change(in.Store); err != nil {
			return err
		}
		return in.tell(ctx, project, what(was)...)
	})
}

// tell stores a delivery for each webhook that wants to know.
func (w *watch) tell(ctx context.Context, project core.ProjectID, what ...happening) error {
	if len(what) == 0 {
		return nil
	}
	all, err := w.Store.Webhooks(ctx, project)
	if err != nil {
		return err
	}
	now := w.service.clock()
	var list []core.Delivery
	for _, h := range what {
		event := core.NewID[core.EventID]() // one for all who hear of it
		body, err := payload(project, event, h, now)
		if err != nil {
			return err
		}
		for _, to := range all {
			if to.Wants(h.Type) {
				list = append(list, newDelivery(to, event, h.Type, body, now))
			}
		}
	}
	if len(list) == 0 {
		return nil
	}
	if err := w.Store.AddDeliveries(ctx, list...); err != nil {
		return err
	}
	w.told = true
	return nil
}

// RefreshFailed tells that the access token of a credential could not be refreshed. Nothing is stored of that
// but what is to be sent.
func (s *Service) RefreshFailed(ctx context.Context, project core.ProjectID, vault core.VaultID, id core.SecretID) error {
	w := &watch{Store: s.store, service: s}
	return w.and(ctx, project, func(core.Store) error { return nil }, secretEvent("refresh_failed", vault, id))
}

// archived is the verb of a change that may have archived something, and other that of any other.
func archived(before, after time.Time, other string) string {
	if before.IsZero() && !after.IsZero() {
		return "archived"
	}
	return other
}

// one makes a happening of a verb; no verb, nothing happened.
func one(noun, verb, object string) []happening {
	if verb == "" {
		return nil
	}
	return []happening{{Type: noun + "." + verb, Object: object}}
}
