package reeve

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/webhook"
)

const (
	webhooksPath  = "/webhooks"
	webhookPath   = webhooksPath + "/{webhook_id}"
	webhookPrefix = "webhook_"
)

// webhooks registers the operations on webhooks, which the dialects leave to a console
// (claude-managed-agents.md section 3.12).
func (f *Face) webhooks(api huma.API) {
	tags := []string{"Webhooks"}
	operation(f, api, huma.Operation{
		OperationID: "create-webhook", Method: http.MethodPost, Path: webhooksPath, Tags: tags, DefaultStatus: http.StatusCreated,
		Summary:     "Make a webhook",
		Description: "Its address is told what happens in the project. The secret that signs the messages is shown this once. Needs the role admin.",
	}, f.createWebhook)
	operation(f, api, huma.Operation{
		OperationID: "list-webhooks", Method: http.MethodGet, Path: webhooksPath, Tags: tags, Summary: "List the webhooks",
		Description: "All of the project, at most 20, newest first.",
	}, f.listWebhooks)
	operation(f, api, huma.Operation{
		OperationID: "list-webhook-event-types", Method: http.MethodGet, Path: webhooksPath + "/event-types", Tags: tags,
		Summary: "List the types of events",
	}, f.listEventTypes)
	operation(f, api, huma.Operation{
		OperationID: "get-webhook", Method: http.MethodGet, Path: webhookPath, Tags: tags, Summary: "Show a webhook",
	}, f.getWebhook)
	operation(f, api, huma.Operation{
		OperationID: "update-webhook", Method: http.MethodPatch, Path: webhookPath, Tags: tags, Summary: "Change a webhook",
		Description: "What is absent stays. Needs the role admin.",
	}, f.updateWebhook)
	operation(f, api, huma.Operation{
		OperationID: "delete-webhook", Method: http.MethodDelete, Path: webhookPath, Tags: tags, Summary: "Delete a webhook",
		Description: "What waits for it is not sent. Needs the role admin.", DefaultStatus: http.StatusNoContent,
	}, f.deleteWebhook)
	for _, on := range []bool{true, false} {
		verb, summary, more := "disable", "Switch a webhook off", "What happens from now on is not kept for it."
		if on {
			verb, summary, more = "enable", "Switch a webhook on", "What waits for it is sent."
		}
		operation(f, api, huma.Operation{
			OperationID: verb + "-webhook", Method: http.MethodPost, Path: webhookPath + "/" + verb, Tags: tags, Summary: summary,
			Description: more + " Needs the role admin.",
		}, func(ctx context.Context, by core.Principal, in *WebhookPath) (*webhookOutput, error) {
			return f.changeWebhook(ctx, by, *in, webhook.Change{On: &on})
		})
	}
	operation(f, api, huma.Operation{
		OperationID: "rotate-webhook-secret", Method: http.MethodPost, Path: webhookPath + "/rotate-secret", Tags: tags, Summary: "Make a new secret",
		Description: "It is shown this once. For 24 hours messages carry a signature of the secret before as well. Needs the role admin.",
	}, f.rotateSecret)
	operation(f, api, huma.Operation{
		OperationID: "test-webhook", Method: http.MethodPost, Path: webhookPath + "/test", Tags: tags, DefaultStatus: http.StatusAccepted,
		Summary: "Send a test event", Description: "Of the type " + webhook.TestEvent + ". The answer is its delivery. Needs the role admin.",
	}, f.testWebhook)
	f.deliveries(api)
}

// Webhook is a webhook without its secret.
type Webhook struct {
	Type        string   `json:"type" enum:"webhook"`
	ID          string   `json:"id" example:"webhook_0198c1d2000070008000000000000001"`
	URL         string   `json:"url" example:"https://example.org/hook"`
	Description string   `json:"description"`
	Events      []string `json:"events" nullable:"false" doc:"Types of events, or * alone for all" example:"[\"session.status_idled\"]"`
	Enabled     bool     `json:"enabled"`
	// DisabledReason has no enum: huma writes null into none.
	DisabledReason *string    `json:"disabled_reason" doc:"manual, redirect (it answered with one), private_address (it is not on the public internet), failing (deliveries failed for too long); null while it is enabled"`
	DisabledAt     *time.Time `json:"disabled_at"`
	FailedInRow    int        `json:"failed_in_row" doc:"Deliveries that were given up since the last one that arrived"`
	OldSecretUntil *time.Time `json:"old_secret_until" doc:"until when the secret before signs as well; null: it does not"`
	CreatedAt      time.Time  `json:"created_at"`
	UpdatedAt      time.Time  `json:"updated_at"`
}

// NewWebhook is a webhook with a secret that was just made.
type NewWebhook struct {
	Webhook
	Secret string `json:"secret" doc:"whsec_ and 32 bytes in base64, shown this once"`
}

func webhookOf(w core.Webhook, now time.Time) Webhook {
	out := Webhook{
		Type: "webhook", ID: webhookPrefix + string(w.ID), URL: w.URL, Description: w.Description, Events: w.Events, Enabled: w.Off == "",
		DisabledAt: maybe(w.OffAt), FailedInRow: w.Failed, CreatedAt: w.CreatedAt, UpdatedAt: w.UpdatedAt,
	}
	if w.Off != "" {
		reason := string(w.Off)
		out.DisabledReason = &reason
	}
	if now.Before(w.OldUntil) {
		out.OldSecretUntil = maybe(w.OldUntil)
	}
	return out
}

// WebhookPath names a webhook.
type WebhookPath struct {
	Webhook string `path:"webhook_id" doc:"with or without its prefix" example:"webhook_0198c1d2000070008000000000000001"`
}

func (p WebhookPath) id() (core.WebhookID, error) {
	id, ok := core.ParseID[core.WebhookID](p.Webhook)
	if !ok {
		return "", core.NotFoundError("webhook", p.Webhook)
	}
	return id, nil
}

type webhookOutput struct{ Body Webhook }

type newWebhookOutput struct{ Body NewWebhook }

type createWebhookInput struct {
	Body struct {
		URL         string   `json:"url" maxLength:"2048" doc:"https; http only for addresses that the operator allows" example:"https://example.org/hook"`
		Events      []string `json:"events" nullable:"false" minItems:"1" maxItems:"100" doc:"types of events, or * alone for all"`
		Description string   `json:"description,omitempty" maxLength:"512"`
		Enabled     *bool    `json:"enabled,omitempty" doc:"absent: true"`
	}
}

func (f *Face) createWebhook(ctx context.Context, by core.Principal, in *createWebhookInput) (*newWebhookOutput, error) {
	w, secret, err := f.hooks.Create(ctx, by, webhook.NewWebhook{
		URL: in.Body.URL, Description: in.Body.Description, Events: in.Body.Events, Off: in.Body.Enabled != nil && !*in.Body.Enabled,
	})
	if err != nil {
		return nil, err
	}
	return &newWebhookOutput{NewWebhook{Webhook: webhookOf(w, f.now()), Secret: secret.Reveal()}}, nil
}

type listWebhooksOutput struct {
	Body struct {
		Data []Webhook `json:"data" nullable:"false"`
	}
}

func (f *Face) listWebhooks(ctx context.Context, by core.Principal, _ *struct{}) (*listWebhooksOutput, error) {
	list, err := f.hooks.Webhooks(ctx, by)
	if err != nil {
		return nil, err
	}
	out := &listWebhooksOutput{}
	out.Body.Data = make([]Webhook, 0, len(list))
	now := f.now()
	for _, w := range list {
		out.Body.Data = append(out.Body.Data, webhookOf(w, now))
	}
	return out, nil
}

type eventTypesOutput struct {
	Body struct {
		Data []string `json:"data" nullable:"false"`
	}
}

func (f *Face) listEventTypes(_ context.Context, by core.Principal, _ *struct{}) (*eventTypesOutput, error) {
	if err := by.Require(core.RoleViewer); err != nil {
		return nil, err
	}
	out := &eventTypesOutput{}
	out.Body.Data = webhook.Types()
	return out, nil
}

func (f *Face) getWebhook(ctx context.Context, by core.Principal, in *WebhookPath) (*webhookOutput, error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	w, err := f.hooks.Webhook(ctx, by, id)
	if err != nil {
		return nil, err
	}
	return &webhookOutput{webhookOf(w, f.now())}, nil
}

type updateWebhookInput struct {
	WebhookPath
	Body struct {
		URL         *string  `json:"url,omitempty" maxLength:"2048"`
		Events      []string `json:"events,omitempty" nullable:"false" minItems:"1" maxItems:"100"`
		Description *string  `json:"description,omitempty" maxLength:"512"`
		Enabled     *bool    `json:"enabled,omitempty"`
	}
}

func (f *Face) updateWebhook(ctx context.Context, by core.Principal, in *updateWebhookInput) (*webhookOutput, error) {
	return f.changeWebhook(ctx, by, in.WebhookPath, webhook.Change{
		URL: in.Body.URL, Description: in.Body.Description, Events: in.Body.Events, On: in.Body.Enabled,
	})
}

func (f *Face) changeWebhook(ctx context.Context, by core.Principal, in WebhookPath, c webhook.Change) (*webhookOutput, error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	w, err := f.hooks.Update(ctx, by, id, c)
	if err != nil {
		return nil, err
	}
	return &webhookOutput{webhookOf(w, f.now())}, nil
}

func (f *Face) deleteWebhook(ctx context.Context, by core.Principal, in *WebhookPath) (*struct{}, error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	return nil, f.hooks.Delete(ctx, by, id)
}

func (f *Face) rotateSecret(ctx context.Context, by core.Principal, in *WebhookPath) (*newWebhookOutput, error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	w, secret, err := f.hooks.RotateSecret(ctx, by, id)
	if err != nil {
		return nil, err
	}
	return &newWebhookOutput{NewWebhook{Webhook: webhookOf(w, f.now()), Secret: secret.Reveal()}}, nil
}
