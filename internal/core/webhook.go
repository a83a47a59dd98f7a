package core

import (
	"context"
	"encoding/json"
	"slices"
	"time"
)

// WebhookID is the id of a Webhook.
type WebhookID string

// DeliveryID is the id of a Delivery.
type DeliveryID string

// AnyWebhookEvent, among the Events of a Webhook, stands for every type.
const AnyWebhookEvent = "*"

// Webhook is an address that somebody wants to be told at when something happens in a project.
type Webhook struct {
	Project     ProjectID
	ID          WebhookID
	URL         string   // https, or http where the operator allows the address; ≤ 2,048 bytes
	Description string   // ≤ 512 characters
	Events      []string // names of types, or AnyWebhookEvent alone; at least one
	Off         WebhookOff
	OffAt       time.Time // since when; zero: it is on
	// SealKey names the key under which Sealed was made: the secret that signs, and the one before it. Only
	// internal/webhook opens that.
	SealKey  string
	Sealed   []byte
	OldUntil time.Time // until when the secret before signs as well; zero: there is none
	// Failed counts the deliveries that were given up since the last success, and FailingSince is the end of
	// the first of them; zero: none were.
	Failed       int
	FailingSince time.Time
	CreatedAt    time.Time
	UpdatedAt    time.Time // of the last change by somebody, not of deliveries
}

// Wants reports whether the webhook is to be told of events of a type.
func (w Webhook) Wants(event string) bool {
	return w.Off == "" && (slices.Contains(w.Events, AnyWebhookEvent) || slices.Contains(w.Events, event))
}

// WebhookOff says why nothing is sent to a webhook; empty: it is on.
type WebhookOff string

const (
	WebhookOffManual   WebhookOff = "manual"          // somebody asked for it
	WebhookOffRedirect WebhookOff = "redirect"        // the address answered with a 3xx
	WebhookOffPrivate  WebhookOff = "private_address" // the address is not on the public internet
	WebhookOffFailing  WebhookOff = "failing"         // deliveries failed for too long
)

// DeliveryState says how far a Delivery is. docs/states.md draws it.
type DeliveryState string

const (
	DeliveryPending   DeliveryState = "pending"   // to be sent, or to be sent again
	DeliveryDelivered DeliveryState = "delivered" // the address answered with a 2xx
	DeliveryFailed    DeliveryState = "failed"    // given up
)

// Delivery is one event on its way to one webhook. Only its sending changes it.
type Delivery struct {
	Project   ProjectID
	ID        DeliveryID
	Webhook   WebhookID // it may have been deleted since
	Event     EventID   // the same in all deliveries of one event
	Type      string    // of the event
	Payload   json.RawMessage
	State     DeliveryState
	DueAt     time.Time // when it is to be sent, or its sending is taken for lost; zero unless DeliveryPending
	Tries     int       // attempts since it was last asked for
	Attempts  []Attempt // oldest first, of all that were made the last 20; never nil
	CreatedAt time.Time
	EndedAt   time.Time // zero while DeliveryPending
}

// Attempt is one try to send a Delivery. It is stored as JSON under these names.
type Attempt struct {
	At     time.Time `json:"at"`
	Status int       `json:"status,omitempty"` // of the answer; 0: there was none
	Error  string    `json:"error,omitempty"`  // written by us, safe to show; empty with a 2xx
	TookMS int64     `json:"took_ms"`
}

// DueWebhook names a webhook that has something to be sent.
type DueWebhook struct {
	Project ProjectID
	ID      WebhookID
}

// DeliveryPage is a query for the deliveries of one webhook, newest first.
type DeliveryPage struct {
	Limit int // 1 to 101
	After *PageKey
	State DeliveryState // empty: all
}

// WebhookStore keeps webhooks and what is sent to them.
type WebhookStore interface {
	// CreateWebhook stores a webhook; a taken id is Conflict ("webhook_already_exists").
	CreateWebhook(ctx context.Context, w Webhook) error
	// Webhook returns a webhook. Inside Tx it also holds it until the end.
	Webhook(ctx context.Context, project ProjectID, id WebhookID) (Webhook, error)
	// UpdateWebhook replaces all fields but Project, ID and CreatedAt. What waits for a webhook that is off is
	// not due until it is on again.
	UpdateWebhook(ctx context.Context, w Webhook) error
	// DeleteWebhook removes a webhook. Its deliveries are never due again, and stay until they are pruned.
	DeleteWebhook(ctx context.Context, project ProjectID, id WebhookID) error
	// Webhooks lists all of a project, newest first.
	Webhooks(ctx context.Context, project ProjectID) ([]Webhook, error)
	// ListeningProjects lists the projects that have a webhook which is on, in no order.
	ListeningProjects(ctx context.Context) ([]ProjectID, error)

	// AddDeliveries stores deliveries. One whose webhook is unknown or off is stored, and is not due.
	AddDeliveries(ctx context.Context, deliveries ...Delivery) error
	Delivery(ctx context.Context, project ProjectID, webhook WebhookID, id DeliveryID) (Delivery, error)
	Deliveries(ctx context.Context, project ProjectID, webhook WebhookID, page DeliveryPage) ([]Delivery, error)
	// UpdateDelivery replaces State, DueAt, Tries, Attempts and EndedAt.
	UpdateDelivery(ctx context.Context, d Delivery) error
	// DueWebhooks lists, of all projects, at most limit webhooks with a delivery whose DueAt is not after now,
	// the longest overdue first.
	DueWebhooks(ctx context.Context, now time.Time, limit int) ([]DueWebhook, error)
	// ClaimDeliveries returns at most limit deliveries of a webhook whose DueAt is not after now, the longest
	// overdue first, and moves their DueAt to until. Two callers never get the same one before that. Of a
	// webhook that is unknown or off it returns none.
	ClaimDeliveries(ctx context.Context, project ProjectID, webhook WebhookID, now, until time.Time, limit int) ([]Delivery, error)
	// PruneDeliveries deletes, of all projects, at most limit deliveries that were made before a time, the
	// oldest first, and returns how many.
	PruneDeliveries(ctx context.Context, before time.Time, limit int) (int, error)
}
