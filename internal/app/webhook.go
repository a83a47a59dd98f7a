package app

import (
	"context"

	"github.com/reeve-ai/reeve/internal/webhook"
)

// openWebhooks makes the sender of webhooks, and the store by which it hears what happens. Every part that
// changes what webhooks tell of is given that store.
func (a *App) openWebhooks(ctx context.Context) error {
	secret, err := loadSecret(a.cfg.Data)
	if err != nil {
		return err
	}
	a.webhooks, err = webhook.New(a.db, secret, a.outside().Transport(), webhook.Options{
		Log: a.log, Now: a.now, AllowPrivate: a.reachable().AllowPrivate,
	})
	if err != nil {
		return err
	}
	a.store = a.webhooks.Observe(a.db)
	return a.webhooks.Load(ctx)
}
