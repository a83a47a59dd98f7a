package webhook

import (
	"context"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// errOff is the answer to who wants something sent to a webhook that is off.
var errOff = core.Errorf(core.Conflict, "webhook_off", "the webhook is off: switch it on first")

// Test sends an event of the type TestEvent, whose object is the webhook itself, whatever it asks for.
//
// Errors: Forbidden (below admin); NotFound; Conflict ("webhook_off").
func (s *Service) Test(ctx context.Context, by core.Principal, id core.WebhookID) (core.Delivery, error) {
	if err := by.Require(core.RoleAdmin); err != nil {
		return core.Delivery{}, err
	}
	now, event := s.clock(), core.NewID[core.EventID]()
	body, err := payload(by.Project, event, happening{Type: TestEvent, Object: webhookPrefix + string(id)}, now)
	if err != nil {
		return core.Delivery{}, err
	}
	var d core.Delivery
	err = s.store.Tx(ctx, func(tx core.Store) error {
		w, err := tx.Webhook(ctx, by.Project, id)
		if err != nil {
			return err
		}
		if w.Off != "" {
			return errOff
		}
		d = newDelivery(w, event, TestEvent, body, now)
		return tx.AddDeliveries(ctx, d)
	})
	if err != nil {
		return core.Delivery{}, err
	}
	s.wake()
	return d, nil
}

// Deliveries lists what was sent to a webhook or is to be, newest first.
//
// Errors: Forbidden; NotFound; Invalid (limit outside of 1 to MaxPage; an unknown state).
func (s *Service) Deliveries(ctx context.Context, by core.Principal, webhook core.WebhookID, page core.DeliveryPage) ([]core.Delivery, error) {
	if err := by.Require(core.RoleViewer); err != nil {
		return nil, err
	}
	if page.Limit < 1 || page.Limit > MaxPage+1 { // one more tells whether there is more
		return nil, core.InvalidField("limit", "must be between 1 and %d", MaxPage)
	}
	switch page.State {
	case "", core.DeliveryPending, core.DeliveryDelivered, core.DeliveryFailed:
	default:
		return nil, core.InvalidField("state", "must be pending, delivered or failed")
	}
	if _, err := s.store.Webhook(ctx, by.Project, webhook); err != nil {
		return nil, err
	}
	return s.store.Deliveries(ctx, by.Project, webhook, page)
}

// Delivery returns one of a webhook's deliveries. Errors: Forbidden; NotFound.
func (s *Service) Delivery(ctx context.Context, by core.Principal, webhook core.WebhookID, id core.DeliveryID) (core.Delivery, error) {
	if err := by.Require(core.RoleViewer); err != nil {
		return core.Delivery{}, err
	}
	if _, err := s.store.Webhook(ctx, by.Project, webhook); err != nil {
		return core.Delivery{}, err
	}
	return s.store.Delivery(ctx, by.Project, webhook, id)
}

// Redeliver sends a delivery that has ended once more: the same message under the same id, with as many tries as
// the first time.
//
// Errors: Forbidden (below admin); NotFound; Conflict ("webhook_off", "delivery_pending").
func (s *Service) Redeliver(ctx context.Context, by core.Principal, webhook core.WebhookID, id core.DeliveryID) (core.Delivery, error) {
	if err := by.Require(core.RoleAdmin); err != nil {
		return core.Delivery{}, err
	}
	var d core.Delivery
	err := s.store.Tx(ctx, func(tx core.Store) error {
		w, err := tx.Webhook(ctx, by.Project, webhook)
		if err != nil {
			return err
		}
		if d, err = tx.Delivery(ctx, by.Project, webhook, id); err != nil {
			return err
		}
		switch {
		case w.Off != "":
			return errOff
		case d.State == core.DeliveryPending:
			return core.Errorf(core.Conflict, "delivery_pending", "the delivery has not ended yet")
		}
		d.State, d.DueAt, d.Tries, d.EndedAt = core.DeliveryPending, s.clock(), 0, time.Time{}
		return tx.UpdateDelivery(ctx, d)
	})
	if err != nil {
		return core.Delivery{}, err
	}
	s.wake()
	return d, nil
}
