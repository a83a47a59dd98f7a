package webhook

import (
	"context"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/reeve-ai/reeve/internal/core"
)

// NewWebhook is what somebody may choose of a webhook.
type NewWebhook struct {
	URL         string
	Description string
	Events      []string // types, or "*" alone
	Off         bool     // made, but nothing is sent yet
}

// Create makes a webhook and the secret that signs its messages, which is not shown again.
//
// Errors: Forbidden (below admin); Invalid, naming the field; Invalid ("too_many_webhooks").
func (s *Service) Create(ctx context.Context, by core.Principal, n NewWebhook) (core.Webhook, Secret, error) {
	if err := by.Require(core.RoleAdmin); err != nil {
		return core.Webhook{}, "", err
	}
	if err := s.check(n.URL, n.Description, n.Events); err != nil {
		return core.Webhook{}, "", err
	}
	now, secret := s.clock(), newSecret()
	w := core.Webhook{
		Project: by.Project, ID: core.NewID[core.WebhookID](), URL: n.URL, Description: n.Description, Events: slices.Clone(n.Events),
		CreatedAt: now, UpdatedAt: now,
	}
	if n.Off {
		w.Off, w.OffAt = core.WebhookOffManual, now
	}
	if err := s.ring.seal(&w, pair{Now: secret}); err != nil {
		return core.Webhook{}, "", err
	}
	err := s.store.Tx(ctx, func(tx core.Store) error {
		if _, err := tx.Project(ctx, by.Project); err != nil { // holds it, so that the count stays right
			return err
		}
		list, err := tx.Webhooks(ctx, by.Project)
		if err != nil {
			return err
		}
		if len(list) >= MaxWebhooks {
			return core.Errorf(core.Invalid, "too_many_webhooks", "a project has at most %d webhooks", MaxWebhooks)
		}
		return tx.CreateWebhook(ctx, w)
	})
	if err != nil {
		return core.Webhook{}, "", err
	}
	s.hears.add(by.Project)
	return w, secret, nil
}

// Webhooks lists the project's webhooks, newest first. Errors: Forbidden.
func (s *Service) Webhooks(ctx context.Context, by core.Principal) ([]core.Webhook, error) {
	if err := by.Require(core.RoleViewer); err != nil {
		return nil, err
	}
	return s.store.Webhooks(ctx, by.Project)
}

// Webhook returns one webhook. Errors: Forbidden; NotFound.
func (s *Service) Webhook(ctx context.Context, by core.Principal, id core.WebhookID) (core.Webhook, error) {
	if err := by.Require(core.RoleViewer); err != nil {
		return core.Webhook{}, err
	}
	return s.store.Webhook(ctx, by.Project, id)
}

// Change is what may be changed in a webhook. A nil field stays.
type Change struct {
	URL         *string
	Description *string
	Events      []string // nil: they stay
	On          *bool    // switches it on, or off
}

// Update changes a webhook. What waits for one that is switched on again is sent then; what happens while it is
// off is not kept for it.
//
// Errors: Forbidden (below admin); NotFound; Invalid, naming the field.
func (s *Service) Update(ctx context.Context, by core.Principal, id core.WebhookID, c Change) (core.Webhook, error) {
	return s.change(ctx, by, id, func(w *core.Webhook, now time.Time) error {
		if c.URL != nil {
			w.URL = *c.URL
		}
		if c.Description != nil {
			w.Description = *c.Description
		}
		if c.Events != nil {
			w.Events = slices.Clone(c.Events)
		}
		if c.On != nil {
			turn(w, *c.On, now)
		}
		return s.check(w.URL, w.Description, w.Events)
	})
}

// turn switches a webhook on, with its failures forgotten, or off. One that is off keeps its reason.
func turn(w *core.Webhook, on bool, now time.Time) {
	switch {
	case on:
		w.Off, w.OffAt, w.Failed, w.FailingSince = "", time.Time{}, 0, time.Time{}
	case w.Off == "":
		w.Off, w.OffAt = core.WebhookOffManual, now
	}
}

// RotateSecret gives a webhook a new secret, which is not shown again. The one before signs as well for
// OldSecret, so that receivers can be changed in the meantime; one before that no more.
//
// Errors: Forbidden (below admin); NotFound.
func (s *Service) RotateSecret(ctx context.Context, by core.Principal, id core.WebhookID) (core.Webhook, Secret, error) {
	secret := newSecret()
	w, err := s.change(ctx, by, id, func(w *core.Webhook, now time.Time) error {
		old, err := s.ring.open(*w)
		if err != nil {
			return err
		}
		w.OldUntil = now.Add(OldSecret)
		return s.ring.seal(w, pair{Now: secret, Old: old.Now})
	})
	if err != nil {
		return core.Webhook{}, "", err
	}
	return w, secret, nil
}

// change loads, edits and stores a webhook.
func (s *Service) change(ctx context.Context, by core.Principal, id core.WebhookID, edit func(*core.Webhook, time.Time) error) (core.Webhook, error) {
	if err := by.Require(core.RoleAdmin); err != nil {
		return core.Webhook{}, err
	}
	var w core.Webhook
	err := s.store.Tx(ctx, func(tx core.Store) (err error) {
		if w, err = tx.Webhook(ctx, by.Project, id); err != nil {
			return err
		}
		now := s.clock()
		if err := edit(&w, now); err != nil {
			return err
		}
		w.UpdatedAt = now
		return tx.UpdateWebhook(ctx, w)
	})
	if err != nil {
		return core.Webhook{}, err
	}
	if w.Off == "" {
		s.hears.add(w.Project)
		s.wake()
	}
	return w, nil
}

// Delete removes a webhook; what waits for it is not sent. Errors: Forbidden (below admin); NotFound.
func (s *Service) Delete(ctx context.Context, by core.Principal, id core.WebhookID) error {
	if err := by.Require(core.RoleAdmin); err != nil {
		return err
	}
	return s.store.DeleteWebhook(ctx, by.Project, id)
}

// check judges what somebody chose.
func (s *Service) check(address, description string, events []string) error {
	if err := s.checkURL(address); err != nil {
		return err
	}
	if utf8.RuneCountInString(description) > MaxDescription {
		return core.InvalidField("description", "at most %d characters", MaxDescription)
	}
	return checkEvents(events)
}

func (s *Service) checkURL(raw string) error {
	const field = "url"
	u, err := url.Parse(raw)
	switch {
	case raw == "":
		return core.InvalidField(field, "must not be empty")
	case len(raw) > MaxURL:
		return core.InvalidField(field, "at most %d bytes", MaxURL)
	case err != nil || u.Hostname() == "" || strings.TrimSpace(raw) != raw:
		return core.InvalidField(field, "must be a URL such as https://example.org/hook")
	case u.User != nil:
		return core.InvalidField(field, "must not hold a user name or password")
	case u.Fragment != "":
		return core.InvalidField(field, "must not have a fragment")
	case u.Scheme == "https":
		return nil
	case u.Scheme != "http":
		return core.InvalidField(field, "must be an https URL")
	}
	addr, err := netip.ParseAddr(u.Hostname())
	if err != nil || !slices.ContainsFunc(s.allowed, func(p netip.Prefix) bool { return p.Contains(addr.Unmap()) }) {
		return core.InvalidField(field, "must be an https URL; http is only for addresses that the operator allows (egress.allow_private)")
	}
	return nil
}

func checkEvents(events []string) error {
	if len(events) == 0 {
		return core.InvalidField("events", `must name at least one type, or be ["*"]`)
	}
	for i, e := range events {
		field := "events[" + strconv.Itoa(i) + "]"
		switch {
		case e == core.AnyWebhookEvent && len(events) > 1:
			return core.InvalidField(field, `"*" stands alone`)
		case e == core.AnyWebhookEvent:
		case slices.Contains(causeless, e):
			return core.InvalidField(field, "this type never happens on this server")
		case !slices.Contains(types, e):
			return core.InvalidField(field, "no such type of event")
		case slices.Contains(events[:i], e):
			return core.InvalidField(field, "is named twice")
		}
	}
	return nil
}
