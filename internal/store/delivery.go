package store

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

const deliveryColumns = `d.project_id, d.id, d.webhook_id, d.event_id, d.type, d.payload, d.state, d.due_at, d.tries, d.attempts,
	d.created_at, d.ended_at`

func scanDelivery(r row) (core.Delivery, error) {
	d := core.Delivery{Attempts: []core.Attempt{}}
	err := r.Scan((*string)(&d.Project), (*string)(&d.ID), (*string)(&d.Webhook), (*string)(&d.Event), &d.Type,
		rawColumn{(*[]byte)(&d.Payload)}, (*string)(&d.State), timeColumn{&d.DueAt}, &d.Tries, jsonColumn{&d.Attempts},
		timeColumn{&d.CreatedAt}, timeColumn{&d.EndedAt})
	return d, err
}

func encodedAttempts(list []core.Attempt) (string, error) {
	if len(list) == 0 {
		return "[]", nil
	}
	return encoded(list)
}

// AddDeliveries implements core.WebhookStore. An unknown project is NotFound ("reference_not_found").
func (s *store) AddDeliveries(ctx context.Context, deliveries ...core.Delivery) error {
	return s.write(ctx, "add deliveries", func(h *txn) error {
		first := map[core.DueWebhook]time.Time{} // when each webhook is due
		var order []core.DueWebhook
		for _, d := range deliveries {
			attempts, err := encodedAttempts(d.Attempts)
			if err != nil {
				return err
			}
			if err := must(ctx, h, core.Errorf(core.Conflict, "delivery_already_exists", "a delivery with this id exists already"),
				`INSERT INTO webhook_deliveries (project_id, id, webhook_id, event_id, type, payload, state, due_at, tries, attempts, created_at, ended_at)
				VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT DO NOTHING`,
				string(d.Project), string(d.ID), string(d.Webhook), string(d.Event), d.Type, payloadText(d.Payload), string(d.State),
				micros(d.DueAt), d.Tries, attempts, micros(d.CreatedAt), micros(d.EndedAt)); err != nil {
				return err
			}
			to := core.DueWebhook{Project: d.Project, ID: d.Webhook}
			at, seen := first[to]
			if !seen {
				order = append(order, to)
			}
			if !d.DueAt.IsZero() && (at.IsZero() || d.DueAt.Before(at)) {
				first[to] = d.DueAt
			} else {
				first[to] = at
			}
		}
		// One order for all, so that two that tell the same webhooks never wait for each other.
		slices.SortFunc(order, func(a, b core.DueWebhook) int {
			return cmp.Or(cmp.Compare(a.Project, b.Project), cmp.Compare(a.ID, b.ID))
		})
		for _, to := range order {
			if err := hurryWebhook(ctx, h, to.Project, to.ID, first[to]); err != nil {
				return err
			}
		}
		return nil
	})
}

func payloadText(p json.RawMessage) string {
	if p == nil {
		return "{}"
	}
	return string(p)
}

// hurryWebhook makes a webhook that is on due at a time, unless it is due before; zero: never. The row is written
// even if nothing changes in it: a claim at the same time, which does not see the delivery yet, must come before
// or behind, or it would leave the webhook without a due time.
func hurryWebhook(ctx context.Context, h handle, project core.ProjectID, id core.WebhookID, at time.Time) error {
	if at.IsZero() {
		return nil
	}
	_, err := h.change(ctx, `UPDATE webhooks SET due_at = CASE WHEN due_at = 0 OR due_at > $3 THEN $3 ELSE due_at END
		WHERE project_id = $1 AND id = $2 AND off = ''`, []any{string(project), string(id), micros(at)}, nil)
	return err
}

// Delivery implements core.WebhookStore.
func (s *store) Delivery(ctx context.Context, project core.ProjectID, webhook core.WebhookID, id core.DeliveryID) (core.Delivery, error) {
	query := "SELECT " + deliveryColumns + " FROM webhook_deliveries d WHERE d.project_id = $1 AND d.id = $2 AND d.webhook_id = $3"
	if s.tx != nil {
		query += s.engine.hold("d")
	}
	return readOne(ctx, s, "delivery", string(id), query, []any{string(project), string(id), string(webhook)}, scanDelivery)
}

// Deliveries implements core.WebhookStore.
func (s *store) Deliveries(ctx context.Context, project core.ProjectID, webhook core.WebhookID, page core.DeliveryPage) ([]core.Delivery, error) {
	q := listQuery{engine: s.engine}
	q.and("d.project_id = %s", string(project))
	q.and("d.webhook_id = %s", string(webhook))
	if page.State != "" {
		q.and("d.state = %s", string(page.State))
	}
	order, _ := q.order("d", keyset{after: page.After})
	query := "SELECT " + deliveryColumns + " FROM webhook_deliveries d WHERE " + q.conditions() + order + q.limit(page.Limit, 0)
	return readAll(ctx, s, "deliveries", query, q.args, scanDelivery)
}

// UpdateDelivery implements core.WebhookStore.
func (s *store) UpdateDelivery(ctx context.Context, d core.Delivery) error {
	attempts, err := encodedAttempts(d.Attempts)
	if err != nil {
		return s.fail("update delivery", err)
	}
	return s.write(ctx, "update delivery", func(h *txn) error {
		if err := must(ctx, h, core.NotFoundError("delivery", string(d.ID)), `UPDATE webhook_deliveries
			SET state = $4, due_at = $5, tries = $6, attempts = $7, ended_at = $8
			WHERE project_id = $1 AND id = $2 AND webhook_id = $3`,
			string(d.Project), string(d.ID), string(d.Webhook), string(d.State), micros(d.DueAt), d.Tries, attempts, micros(d.EndedAt)); err != nil {
			return err
		}
		return hurryWebhook(ctx, h, d.Project, d.Webhook, d.DueAt)
	})
}

// DueWebhooks implements core.WebhookStore.
func (s *store) DueWebhooks(ctx context.Context, now time.Time, limit int) ([]core.DueWebhook, error) {
	return readAll(ctx, s, "due webhooks", `SELECT project_id, id FROM webhooks
		WHERE due_at > 0 AND due_at <= $1 ORDER BY due_at, project_id, id LIMIT $2 + 0`,
		[]any{micros(now), max(limit, 0)}, func(r row) (core.DueWebhook, error) {
			var d core.DueWebhook
			return d, r.Scan((*string)(&d.Project), (*string)(&d.ID))
		})
}

// ClaimDeliveries implements core.WebhookStore. The row of the webhook is held first, so that one claim comes
// behind the other.
func (s *store) ClaimDeliveries(ctx context.Context, project core.ProjectID, webhook core.WebhookID, now, until time.Time, limit int) (claimed []core.Delivery, err error) {
	err = s.write(ctx, "claim deliveries", func(h *txn) error {
		claimed = []core.Delivery{}
		on, err := found(ctx, h, "SELECT 1 FROM webhooks w WHERE w.project_id = $1 AND w.id = $2 AND w.off = ''"+s.engine.hold("w"),
			string(project), string(webhook))
		if err != nil || !on {
			return err
		}
		claimed, err = all(ctx, h, "SELECT "+deliveryColumns+` FROM webhook_deliveries d
			WHERE d.project_id = $1 AND d.webhook_id = $2 AND d.due_at > 0 AND d.due_at <= $3 ORDER BY d.due_at, d.id LIMIT $4 + 0`,
			[]any{string(project), string(webhook), micros(now), max(limit, 0)}, scanDelivery)
		if err != nil {
			return err
		}
		for i := range claimed {
			if _, err := h.change(ctx, "UPDATE webhook_deliveries SET due_at = $3 WHERE project_id = $1 AND id = $2",
				[]any{string(project), string(claimed[i].ID), micros(until)}, nil); err != nil {
				return err
			}
			claimed[i].DueAt = stored(until)
		}
		return aimWebhook(ctx, h, project, webhook)
	})
	if err != nil {
		return nil, err
	}
	return claimed, nil
}

// PruneDeliveries implements core.WebhookStore.
func (s *store) PruneDeliveries(ctx context.Context, before time.Time, limit int) (count int, err error) {
	err = s.write(ctx, "prune deliveries", func(h *txn) error {
		n, err := h.change(ctx, `DELETE FROM webhook_deliveries WHERE (project_id, id) IN (SELECT project_id, id FROM webhook_deliveries
			WHERE created_at < $1 ORDER BY created_at, project_id, id LIMIT $2 + 0)`, []any{micros(before), max(limit, 0)}, nil)
		count = int(n)
		return err
	})
	return count, err
}
