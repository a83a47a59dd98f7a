package reeve

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/webhook"
)

const (
	deliveriesPath = webhookPath + "/deliveries"
	deliveryPrefix = "whd_"
)

// deliveries registers the operations on what was sent to a webhook.
func (f *Face) deliveries(api huma.API) {
	tags := []string{"Webhooks"}
	operation(f, api, huma.Operation{
		OperationID: "list-webhook-deliveries", Method: http.MethodGet, Path: deliveriesPath, Tags: tags, Summary: "List what was sent to a webhook",
		Description: "What waits to be sent is in it, too. Newest first, without the messages. Deliveries are kept for 30 days.",
	}, f.listDeliveries)
	operation(f, api, huma.Operation{
		OperationID: "get-webhook-delivery", Method: http.MethodGet, Path: deliveriesPath + "/{delivery_id}", Tags: tags, Summary: "Show a delivery",
		Description: "With the message.",
	}, f.getDelivery)
	operation(f, api, huma.Operation{
		OperationID: "redeliver-webhook", Method: http.MethodPost, Path: deliveriesPath + "/{delivery_id}/redeliver", Tags: tags,
		Summary: "Send a message once more", DefaultStatus: http.StatusAccepted,
		Description: "Under the same message id, and with as many tries as the first time. Needs the role admin.",
	}, f.redeliver)
}

// Delivery is one event on its way to a webhook.
type Delivery struct {
	Type      string     `json:"type" enum:"webhook_delivery"`
	ID        string     `json:"id" example:"whd_0198c1d2000070008000000000000001"`
	WebhookID string     `json:"webhook_id" example:"webhook_0198c1d2000070008000000000000001"`
	EventID   string     `json:"event_id" example:"whe_0198c1d2000070008000000000000001" doc:"also the header webhook-id"`
	EventType string     `json:"event_type" example:"session.status_idled"`
	State     string     `json:"state" enum:"pending,delivered,failed"`
	DueAt     *time.Time `json:"due_at" doc:"when it is tried next; null unless it is pending"`
	Attempts  []Attempt  `json:"attempts" nullable:"false" doc:"oldest first, the last 20"`
	CreatedAt time.Time  `json:"created_at"`
	EndedAt   *time.Time `json:"ended_at" doc:"null while it is pending"`
}

// Attempt is one try to send a message.
type Attempt struct {
	At         time.Time `json:"at"`
	StatusCode *int      `json:"status_code" doc:"of the answer; null: there was none"`
	Error      *string   `json:"error" doc:"null: it arrived"`
	DurationMS int64     `json:"duration_ms"`
}

// WholeDelivery is a delivery with its message.
type WholeDelivery struct {
	Delivery
	Payload json.RawMessage `json:"payload" doc:"the message"`
}

func deliveryOf(d core.Delivery) Delivery {
	out := Delivery{
		Type: "webhook_delivery", ID: deliveryPrefix + string(d.ID), WebhookID: webhookPrefix + string(d.Webhook),
		EventID: webhook.EventID(d.Event), EventType: d.Type, State: string(d.State), DueAt: maybe(d.DueAt),
		Attempts: make([]Attempt, 0, len(d.Attempts)), CreatedAt: d.CreatedAt, EndedAt: maybe(d.EndedAt),
	}
	for _, a := range d.Attempts {
		wire := Attempt{At: a.At, DurationMS: a.TookMS}
		if a.Status != 0 {
			wire.StatusCode = &a.Status
		}
		if a.Error != "" {
			wire.Error = &a.Error
		}
		out.Attempts = append(out.Attempts, wire)
	}
	return out
}

// DeliveryPath names a delivery.
type DeliveryPath struct {
	WebhookPath
	Delivery string `path:"delivery_id" doc:"with or without its prefix" example:"whd_0198c1d2000070008000000000000001"`
}

func (p DeliveryPath) ids() (core.WebhookID, core.DeliveryID, error) {
	id, err := p.id()
	if err != nil {
		return "", "", err
	}
	delivery, ok := core.ParseID[core.DeliveryID](p.Delivery)
	if !ok {
		return "", "", core.NotFoundError("delivery", p.Delivery)
	}
	return id, delivery, nil
}

type listDeliveriesInput struct {
	WebhookPath
	Limit int    `query:"limit" minimum:"1" maximum:"100" default:"20"`
	After string `query:"after" doc:"the id of a delivery: those that are older than it"`
	State string `query:"state" enum:"pending,delivered,failed" doc:"absent: all"`
}

type listDeliveriesOutput struct {
	Body struct {
		Data    []Delivery `json:"data" nullable:"false"`
		HasMore bool       `json:"has_more" doc:"there are older ones: ask for them with after"`
	}
}

func (f *Face) listDeliveries(ctx context.Context, by core.Principal, in *listDeliveriesInput) (*listDeliveriesOutput, error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	page := core.DeliveryPage{Limit: in.Limit + 1, State: core.DeliveryState(in.State)}
	if in.After != "" {
		after, ok := core.ParseID[core.DeliveryID](in.After)
		if !ok {
			return nil, core.InvalidField("after", "is no id of a delivery")
		}
		last, err := f.hooks.Delivery(ctx, by, id, after)
		if core.CodeOf(err) == "delivery_not_found" {
			return nil, core.InvalidField("after", "there is no such delivery any more")
		} else if err != nil {
			return nil, err
		}
		page.After = &core.PageKey{CreatedAt: last.CreatedAt, ID: string(last.ID)}
	}
	list, err := f.hooks.Deliveries(ctx, by, id, page)
	if err != nil {
		return nil, err
	}
	out := &listDeliveriesOutput{}
	out.Body.HasMore = len(list) > in.Limit
	out.Body.Data = make([]Delivery, 0, in.Limit)
	for _, d := range list[:min(len(list), in.Limit)] {
		out.Body.Data = append(out.Body.Data, deliveryOf(d))
	}
	return out, nil
}

type deliveryOutput struct{ Body Delivery }

type wholeDeliveryOutput struct{ Body WholeDelivery }

func (f *Face) getDelivery(ctx context.Context, by core.Principal, in *DeliveryPath) (*wholeDeliveryOutput, error) {
	id, delivery, err := in.ids()
	if err != nil {
		return nil, err
	}
	d, err := f.hooks.Delivery(ctx, by, id, delivery)
	if err != nil {
		return nil, err
	}
	return &wholeDeliveryOutput{WholeDelivery{Delivery: deliveryOf(d), Payload: d.Payload}}, nil
}

func (f *Face) redeliver(ctx context.Context, by core.Principal, in *DeliveryPath) (*deliveryOutput, error) {
	id, delivery, err := in.ids()
	if err != nil {
		return nil, err
	}
	d, err := f.hooks.Redeliver(ctx, by, id, delivery)
	if err != nil {
		return nil, err
	}
	return &deliveryOutput{deliveryOf(d)}, nil
}

func (f *Face) testWebhook(ctx context.Context, by core.Principal, in *WebhookPath) (*deliveryOutput, error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	d, err := f.hooks.Test(ctx, by, id)
	if err != nil {
		return nil, err
	}
	return &deliveryOutput{deliveryOf(d)}, nil
}
