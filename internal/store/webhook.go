package store

import (
	"context"

	"github.com/reeve-ai/reeve/internal/core"
)

const webhookColumns = `w.project_id, w.id, w.url, w.description, w.events, w.off, w.off_at, w.seal_key, w.sealed,
	w.old_until, w.failed, w.failing_since, w.created_at, w.updated_at`

func scanWebhook(r row) (core.Webhook, error) {
	var w core.Webhook
	err := r.Scan((*string)(&w.Project), (*string)(&w.ID), &w.URL, &w.Description, jsonColumn{&w.Events},
		(*string)(&w.Off), timeColumn{&w.OffAt}, &w.SealKey, rawColumn{&w.Sealed}, timeColumn{&w.OldUntil}, &w.Failed,
		timeColumn{&w.FailingSince}, timeColumn{&w.CreatedAt}, timeColumn{&w.UpdatedAt})
	return w, err
}

// webhookArgs are the columns that an update replaces, behind project and id.
func webhookArgs(w core.Webhook) ([]any, error) {
	events, err := encoded(w.Events)
	return []any{
		string(w.Project), string(w.ID), w.URL, w.Description, events, string(w.Off), micros(w.OffAt), w.SealKey, w.Sealed,
		micros(w.OldUntil), w.Failed, micros(w.FailingSince), micros(w.UpdatedAt),
	}, err
}

// CreateWebhook implements core.WebhookStore. An unknown project is NotFound ("reference_not_found").
func (s *store) CreateWebhook(ctx context.Context, w core.Webhook) error {
	args, err := webhookArgs(w)
	if err != nil {
		return s.fail("create webhook", err)
	}
	return s.write(ctx, "create webhook", func(h *txn) error {
		return must(ctx, h, core.Errorf(core.Conflict, "webhook_already_exists", "a webhook with this id exists already"),
			`INSERT INTO webhooks (project_id, id, url, description, events, off, off_at, seal_key, sealed, old_until, failed,
				failing_since, updated_at, created_at, due_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 0) ON CONFLICT DO NOTHING`,
			append(args, micros(w.CreatedAt))...)
	})
}

// Webhook implements core.WebhookStore.
func (s *store) Webhook(ctx context.Context, project core.ProjectID, id core.WebhookID) (core.Webhook, error) {
	query := "SELECT " + webhookColumns + " FROM webhooks w WHERE w.project_id = $1 AND w.id = $2"
	if s.tx != nil {
		query += s.engine.hold("w")
	}
	return readOne(ctx, s, "webhook", string(id), query, []any{string(project), string(id)}, scanWebhook)
}

// UpdateWebhook implements core.WebhookStore.
func (s *store) UpdateWebhook(ctx context.Context, w core.Webhook) error {
	args, err := webhookArgs(w)
	if err != nil {
		return s.fail("update webhook", err)
	}
	return s.write(ctx, "update webhook", func(h *txn) error {
		if err := must(ctx, h, core.NotFoundError("webhook", string(w.ID)), `UPDATE webhooks
			SET url = $3, description = $4, events = $5, off = $6, off_at = $7, seal_key = $8, sealed = $9, old_until = $10,
				failed = $11, failing_since = $12, updated_at = $13
			WHERE project_id = $1 AND id = $2`, args...); err != nil {
			return err
		}
		return aimWebhook(ctx, h, w.Project, w.ID)
	})
}

// aimWebhook sets when a webhook is due: with the first of its deliveries, and never while it is off.
func aimWebhook(ctx context.Context, h handle, project core.ProjectID, id core.WebhookID) error {
	_, err := h.change(ctx, `UPDATE webhooks SET due_at = CASE WHEN off <> '' THEN 0 ELSE COALESCE((SELECT d.due_at FROM webhook_deliveries d
			WHERE d.project_id = $1 AND d.webhook_id = $2 AND d.due_at > 0 ORDER BY d.due_at LIMIT 1), 0) END
		WHERE project_id = $1 AND id = $2`, []any{string(project), string(id)}, nil)
	return err
}

// DeleteWebhook implements core.WebhookStore.
func (s *store) DeleteWebhook(ctx context.Context, project core.ProjectID, id core.WebhookID) error {
	return s.write(ctx, "delete webhook", func(h *txn) error {
		return must(ctx, h, core.NotFoundError("webhook", string(id)),
			"DELETE FROM webhooks WHERE project_id = $1 AND id = $2", string(project), string(id))
	})
}

// Webhooks implements core.WebhookStore.
func (s *store) Webhooks(ctx context.Context, project core.ProjectID) ([]core.Webhook, error) {
	return readAll(ctx, s, "webhooks",
		"SELECT "+webhookColumns+" FROM webhooks w WHERE w.project_id = $1 ORDER BY w.created_at DESC, w.id DESC",
		[]any{string(project)}, scanWebhook)
}

// ListeningProjects implements core.WebhookStore.
func (s *store) ListeningProjects(ctx context.Context) ([]core.ProjectID, error) {
	return readAll(ctx, s, "projects that listen", "SELECT DISTINCT project_id FROM webhooks WHERE off = ''", nil,
		func(r row) (id core.ProjectID, err error) { return id, r.Scan((*string)(&id)) })
}
