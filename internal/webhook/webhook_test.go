package webhook_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/webhook"
)

func TestAWebhookIsMadeChangedSwitchedAndDeleted(t *testing.T) {
	t.Parallel()
	h := build(t)
	w, secret, err := h.Create(t.Context(), h.by, webhook.NewWebhook{URL: "https://example.org/hook", Description: "d", Events: []string{"session.idled"}})
	need(t, err)
	raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret.Reveal(), "whsec_"))
	if err != nil || len(raw) != 32 || !strings.HasPrefix(secret.Reveal(), "whsec_") {
		t.Errorf("secret of %d bytes, %v", len(raw), err)
	}
	same(t, "stored", h.reload(t, w), w)
	same(t, "made at", w.CreatedAt, noon)

	h.move(time.Minute)
	url, description, off, on := "http://127.0.0.1:9/x", "", false, true
	changed, err := h.Update(t.Context(), h.by, w.ID, webhook.Change{URL: &url, Description: &description, Events: []string{"*"}})
	need(t, err)
	want := w
	want.URL, want.Description, want.Events, want.UpdatedAt = url, "", []string{"*"}, noon.Add(time.Minute)
	same(t, "changed", changed, want)

	changed, err = h.Update(t.Context(), h.by, w.ID, webhook.Change{On: &off})
	need(t, err)
	want.Off, want.OffAt = core.WebhookOffManual, noon.Add(time.Minute)
	same(t, "off", changed, want)
	h.move(time.Minute)
	changed, err = h.Update(t.Context(), h.by, w.ID, webhook.Change{On: &off})
	need(t, err)
	same(t, "off since", changed.OffAt, want.OffAt)
	changed, err = h.Update(t.Context(), h.by, w.ID, webhook.Change{On: &on})
	need(t, err)
	same(t, "on", changed.Off, "")
	same(t, "off no more", changed.OffAt, time.Time{})

	need(t, h.Delete(t.Context(), h.by, w.ID))
	_, err = h.Webhook(t.Context(), h.by, w.ID)
	refused(t, "deleted", err, core.NotFound, "webhook_not_found")
}

func TestWhatCannotBeAWebhookIsRefusedByField(t *testing.T) {
	t.Parallel()
	h := build(t)
	all := []string{"*"}
	for _, c := range []struct {
		name, field string
		n           webhook.NewWebhook
	}{
		{"no address", "url", webhook.NewWebhook{Events: all}},
		{"no URL", "url", webhook.NewWebhook{URL: "://", Events: all}},
		{"no host", "url", webhook.NewWebhook{URL: "https:///x", Events: all}},
		{"spaces", "url", webhook.NewWebhook{URL: " https://example.org", Events: all}},
		{"a password", "url", webhook.NewWebhook{URL: "https://u:p@example.org", Events: all}},
		{"a fragment", "url", webhook.NewWebhook{URL: "https://example.org/#x", Events: all}},
		{"another scheme", "url", webhook.NewWebhook{URL: "ftp://example.org", Events: all}},
		{"http to a name", "url", webhook.NewWebhook{URL: "http://localhost", Events: all}},
		{"http to an address that is not allowed", "url", webhook.NewWebhook{URL: "http://10.0.0.1", Events: all}},
		{"too long", "url", webhook.NewWebhook{URL: "https://example.org/" + strings.Repeat("x", webhook.MaxURL), Events: all}},
		{"a long description", "description", webhook.NewWebhook{URL: "https://example.org", Description: strings.Repeat("é", 513), Events: all}},
		{"no events", "events", webhook.NewWebhook{URL: "https://example.org"}},
		{"an unknown event", "events[1]", webhook.NewWebhook{URL: "https://example.org", Events: []string{"agent.created", "agent.*"}}},
		{"an event twice", "events[1]", webhook.NewWebhook{URL: "https://example.org", Events: []string{"agent.created", "agent.created"}}},
		{"all and one", "events[1]", webhook.NewWebhook{URL: "https://example.org", Events: []string{"agent.created", "*"}}},
		{"what never happens", "events[0]", webhook.NewWebhook{URL: "https://example.org", Events: []string{"session.pending"}}},
	} {
		_, _, err := h.Create(t.Context(), h.by, c.n)
		var e *core.Error
		if !errors.As(err, &e) || e.Kind != core.Invalid || e.Field != c.field {
			t.Errorf("%s: %v, want the field %s", c.name, err, c.field)
		}
	}
	w, _ := h.hook(t, "https://example.org/"+strings.Repeat("x", webhook.MaxURL-20), webhook.Types()...)
	bad := "http://example.org"
	_, err := h.Update(t.Context(), h.by, w.ID, webhook.Change{URL: &bad})
	refused(t, "an update", err, core.Invalid, "invalid_field")
	for range webhook.MaxWebhooks - 1 {
		h.hook(t, "https://example.org")
	}
	_, _, err = h.Create(t.Context(), h.by, webhook.NewWebhook{URL: "https://example.org", Events: all})
	refused(t, "one too many", err, core.Invalid, "too_many_webhooks")
	_, _, err = h.Create(t.Context(), h.foreign, webhook.NewWebhook{URL: "https://example.org", Events: all})
	need(t, err)
}

func TestRolesAndProjectsAreKeptApart(t *testing.T) {
	t.Parallel()
	h := build(t)
	w, _ := h.hook(t, receive(t).URL)
	h.event(t)
	h.sweep(t, 1)
	d := h.log(t, w)[0]
	viewer, member := h.by, h.by
	viewer.Role, member.Role = core.RoleViewer, core.RoleMember
	reads := func(by core.Principal) map[string]error {
		_, webhooks := h.Webhooks(t.Context(), by)
		_, one := h.Webhook(t.Context(), by, w.ID)
		_, deliveries := h.Deliveries(t.Context(), by, w.ID, core.DeliveryPage{Limit: 1})
		_, delivery := h.Delivery(t.Context(), by, w.ID, d.ID)
		return map[string]error{"Webhooks": webhooks, "Webhook": one, "Deliveries": deliveries, "Delivery": delivery}
	}
	writes := func(by core.Principal) map[string]error {
		_, update := h.Update(t.Context(), by, w.ID, webhook.Change{})
		_, _, rotate := h.RotateSecret(t.Context(), by, w.ID)
		_, test := h.Test(t.Context(), by, w.ID)
		_, again := h.Redeliver(t.Context(), by, w.ID, d.ID)
		return map[string]error{"Update": update, "RotateSecret": rotate, "Test": test, "Redeliver": again, "Delete": h.Delete(t.Context(), by, w.ID)}
	}
	for name, err := range reads(viewer) {
		if err != nil {
			t.Errorf("a viewer, %s: %v", name, err)
		}
	}
	for name, err := range writes(member) {
		refused(t, "a member, "+name, err, core.Forbidden, "forbidden")
	}
	_, _, err := h.Create(t.Context(), member, webhook.NewWebhook{URL: "https://example.org", Events: []string{"*"}})
	refused(t, "a member, Create", err, core.Forbidden, "forbidden")
	for name, err := range reads(core.Principal{}) {
		refused(t, "nobody, "+name, err, core.Forbidden, "forbidden")
	}
	for name, err := range writes(h.foreign) {
		refused(t, "another project, "+name, err, core.NotFound, "webhook_not_found")
	}
	for name, err := range reads(h.foreign) {
		if name != "Webhooks" {
			refused(t, "another project, "+name, err, core.NotFound, "webhook_not_found")
		}
	}
	if list, err := h.Webhooks(t.Context(), h.foreign); err != nil || len(list) != 0 {
		t.Errorf("another project sees %v, %v", list, err)
	}
	other, _ := h.hook(t, "https://example.org")
	_, err = h.Delivery(t.Context(), h.by, other.ID, d.ID)
	refused(t, "by another webhook", err, core.NotFound, "delivery_not_found")
}

func TestASecretIsSealedInItsRowAndWritesItselfNowhere(t *testing.T) {
	t.Parallel()
	h := build(t)
	to := receive(t)
	w, secret := h.hook(t, to.URL)
	plain := secret.Reveal()
	var text bytes.Buffer
	slog.New(slog.NewTextHandler(&text, nil)).Info("m", "secret", secret)
	_, _ = fmt.Fprintf(&text, "%v %s %#v %+v", secret, secret, secret, w)
	if strings.Contains(text.String(), plain) || bytes.Contains(w.Sealed, []byte(plain)) {
		t.Errorf("the secret is in %s", &text)
	}
	copied := w
	copied.ID = core.NewID[core.WebhookID]()
	need(t, h.db.CreateWebhook(t.Context(), copied))
	_, err := h.Test(t.Context(), h.by, copied.ID)
	need(t, err)
	h.sweep(t, 1)
	if d := h.log(t, copied)[0]; len(to.messages()) != 0 || len(d.Attempts) != 1 || d.Attempts[0].Error == "" || strings.Contains(d.Attempts[0].Error, plain) {
		t.Errorf("a copied row signs: %+v", d)
	}
	if diff := cmp.Diff(h.reload(t, w), w); diff != "" {
		t.Error(diff)
	}
}
