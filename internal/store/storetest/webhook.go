package storetest

import (
	"encoding/json"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

func deliveryID(d core.Delivery) core.DeliveryID { return d.ID }

func (b *bundle) newWebhook(project core.ProjectID) core.Webhook {
	now := kept(b.later())
	return core.Webhook{
		Project: project, ID: core.NewID[core.WebhookID](), URL: "https://example.org/hook", Events: []string{core.AnyWebhookEvent},
		SealKey: "k", Sealed: []byte{0, 1, 255}, CreatedAt: now, UpdatedAt: now,
	}
}

func (b *bundle) webhook(t *testing.T, project core.ProjectID, edit ...func(*core.Webhook)) core.Webhook {
	t.Helper()
	w := b.newWebhook(project)
	for _, f := range edit {
		f(&w)
	}
	need(t, b.CreateWebhook(b.ctx, w))
	return w
}

func (b *bundle) newDelivery(w core.Webhook) core.Delivery {
	now := kept(b.later())
	return core.Delivery{
		Project: w.Project, ID: core.NewID[core.DeliveryID](), Webhook: w.ID, Event: core.NewID[core.EventID](), Type: "agent.created",
		Payload: json.RawMessage(`{"b": 1,  "a":"<é>"}`), State: core.DeliveryPending, DueAt: now, Attempts: []core.Attempt{}, CreatedAt: now,
	}
}

func (b *bundle) delivery(t *testing.T, w core.Webhook, edit ...func(*core.Delivery)) core.Delivery {
	t.Helper()
	d := b.newDelivery(w)
	for _, f := range edit {
		f(&d)
	}
	need(t, b.AddDeliveries(b.ctx, d))
	return d
}

func dueAt(seconds int) func(*core.Delivery) {
	return func(d *core.Delivery) { d.DueAt = kept(at(seconds)) }
}

// dueWebhooks lists the webhooks that are due at a time.
func (b *bundle) dueWebhooks(t *testing.T, seconds int) []core.WebhookID {
	t.Helper()
	list, err := b.DueWebhooks(b.ctx, at(seconds), 10)
	need(t, err)
	return ids(list, func(d core.DueWebhook) core.WebhookID { return d.ID })
}

func (b *bundle) claimDeliveries(t *testing.T, w core.Webhook, now, until, limit int) []core.DeliveryID {
	t.Helper()
	list, err := b.ClaimDeliveries(b.ctx, w.Project, w.ID, at(now), at(until), limit)
	need(t, err)
	for _, d := range list {
		same(t, "claimed until", d.DueAt, kept(at(until)))
	}
	return ids(list, deliveryID)
}

var webhookPromises = map[string]func(*testing.T, *bundle){
	"AWebhookComesBackAsItWentIn": func(t *testing.T, b *bundle) {
		p := b.project(t)
		full := b.webhook(t, p, func(w *core.Webhook) {
			w.Description, w.Events, w.Off, w.OffAt = "d", []string{"b", "a"}, core.WebhookOffFailing, kept(at(5))
			w.OldUntil, w.Failed, w.FailingSince = kept(at(6)), 7, kept(at(8))
		})
		for _, want := range []core.Webhook{full, b.webhook(t, p)} {
			got, err := b.Webhook(b.ctx, p, want.ID)
			need(t, err)
			same(t, "webhook", got, want)
			refused(t, "again", b.CreateWebhook(b.ctx, want), core.Conflict, "webhook_already_exists")
		}
	},
	"UpdateWebhookReplacesAllButCreation": func(t *testing.T, b *bundle) {
		p := b.project(t)
		old, change := b.webhook(t, p), b.newWebhook(p)
		change.ID, change.URL, change.Description, change.Events, change.Off, change.OffAt = old.ID, "https://other", "d", []string{"x"}, core.WebhookOffManual, kept(at(3))
		change.SealKey, change.Sealed, change.OldUntil, change.Failed, change.FailingSince = "k2", []byte("s"), kept(at(4)), 2, kept(at(5))
		need(t, b.UpdateWebhook(b.ctx, change))
		got, err := b.Webhook(b.ctx, p, old.ID)
		need(t, err)
		change.CreatedAt = old.CreatedAt
		same(t, "webhook", got, change)
	},
	"AnUnknownWebhookIsNotFound": func(t *testing.T, b *bundle) {
		p := b.project(t)
		_, err := b.Webhook(b.ctx, p, "none")
		refused(t, "Webhook", err, core.NotFound, "webhook_not_found")
		refused(t, "UpdateWebhook", b.UpdateWebhook(b.ctx, core.Webhook{Project: p, ID: "none", Sealed: []byte("s")}), core.NotFound, "webhook_not_found")
		refused(t, "DeleteWebhook", b.DeleteWebhook(b.ctx, p, "none"), core.NotFound, "webhook_not_found")
		lost := b.newWebhook("none")
		refused(t, "CreateWebhook", b.CreateWebhook(b.ctx, lost), core.NotFound, "reference_not_found")
	},
	"WebhooksAreListedNewestFirst": func(t *testing.T, b *bundle) {
		p := b.project(t)
		empty, err := b.Webhooks(b.ctx, p)
		need(t, err)
		same(t, "none", empty, []core.Webhook{})
		one, two := b.webhook(t, p), b.webhook(t, p)
		b.webhook(t, b.project(t))
		list, err := b.Webhooks(b.ctx, p)
		need(t, err)
		same(t, "webhooks", list, []core.Webhook{two, one})
	},
	"ListeningProjectsHaveAWebhookThatIsOn": func(t *testing.T, b *bundle) {
		on, off := b.project(t), b.project(t)
		b.project(t)
		b.webhook(t, on)
		b.webhook(t, on)
		b.webhook(t, off, func(w *core.Webhook) { w.Off = core.WebhookOffManual })
		list, err := b.ListeningProjects(b.ctx)
		need(t, err)
		same(t, "projects", list, []core.ProjectID{on})
	},
	"ADeletedWebhookIsNeverDueAndItsDeliveriesStay": func(t *testing.T, b *bundle) {
		w := b.webhook(t, b.project(t))
		d := b.delivery(t, w, dueAt(1))
		need(t, b.DeleteWebhook(b.ctx, w.Project, w.ID))
		same(t, "due", b.dueWebhooks(t, 100), []core.WebhookID{})
		same(t, "claimed", b.claimDeliveries(t, w, 100, 200, 10), []core.DeliveryID{})
		list, err := b.Deliveries(b.ctx, w.Project, w.ID, core.DeliveryPage{Limit: 10})
		need(t, err)
		same(t, "deliveries", list, []core.Delivery{d})
	},
}

var deliveryPromises = map[string]func(*testing.T, *bundle){
	"ADeliveryComesBackAsItWentIn": func(t *testing.T, b *bundle) {
		w := b.webhook(t, b.project(t))
		full, plain := b.newDelivery(w), b.newDelivery(w)
		full.State, full.DueAt, full.Tries, full.EndedAt = core.DeliveryFailed, time.Time{}, 3, kept(at(9))
		full.Attempts = []core.Attempt{{At: kept(at(1)), Status: 500, Error: "e", TookMS: 12}, {At: kept(at(2))}}
		need(t, b.AddDeliveries(b.ctx, full, plain))
		for _, want := range []core.Delivery{full, plain} {
			got, err := b.Delivery(b.ctx, w.Project, w.ID, want.ID)
			need(t, err)
			same(t, "delivery", got, want)
			same(t, "payload, to the byte", string(got.Payload), string(want.Payload))
			refused(t, "again", b.AddDeliveries(b.ctx, want), core.Conflict, "delivery_already_exists")
		}
	},
	"UpdateDeliveryReplacesWhatSendingChanges": func(t *testing.T, b *bundle) {
		w := b.webhook(t, b.project(t))
		d := b.delivery(t, w)
		want := d
		want.State, want.DueAt, want.Tries, want.Attempts, want.EndedAt = core.DeliveryDelivered, time.Time{}, 1, []core.Attempt{{At: kept(at(1)), Status: 204}}, kept(at(3))
		change := want
		change.Event, change.Type, change.Payload, change.CreatedAt = "other", "other", json.RawMessage(`{}`), at(99)
		need(t, b.UpdateDelivery(b.ctx, change))
		got, err := b.Delivery(b.ctx, w.Project, w.ID, d.ID)
		need(t, err)
		same(t, "delivery", got, want)
		change.ID = "none"
		refused(t, "UpdateDelivery", b.UpdateDelivery(b.ctx, change), core.NotFound, "delivery_not_found")
		_, err = b.Delivery(b.ctx, w.Project, "none", d.ID)
		refused(t, "Delivery of another webhook", err, core.NotFound, "delivery_not_found")
	},
	"DeliveriesAreListedNewestFirstAndFiltered": func(t *testing.T, b *bundle) {
		w := b.webhook(t, b.project(t))
		one, two := b.delivery(t, w), b.delivery(t, w, func(d *core.Delivery) { d.State = core.DeliveryFailed })
		three := b.delivery(t, w, func(d *core.Delivery) { d.CreatedAt = two.CreatedAt })
		b.delivery(t, b.webhook(t, w.Project))
		for _, c := range []struct {
			name string
			page core.DeliveryPage
			want []core.DeliveryID
		}{
			{"all", core.DeliveryPage{Limit: 10}, []core.DeliveryID{three.ID, two.ID, one.ID}},
			{"some", core.DeliveryPage{Limit: 1}, []core.DeliveryID{three.ID}},
			{"between equal times", core.DeliveryPage{Limit: 10, After: &core.PageKey{CreatedAt: three.CreatedAt, ID: string(three.ID)}}, []core.DeliveryID{two.ID, one.ID}},
			{"failed", core.DeliveryPage{Limit: 10, State: core.DeliveryFailed}, []core.DeliveryID{two.ID}},
		} {
			list, err := b.Deliveries(b.ctx, w.Project, w.ID, c.page)
			need(t, err)
			same(t, c.name, ids(list, deliveryID), c.want)
		}
	},
	"AWebhookIsDueWithItsFirstDelivery": func(t *testing.T, b *bundle) {
		p := b.project(t)
		late, soon := b.webhook(t, p), b.webhook(t, b.project(t))
		b.webhook(t, p)
		b.delivery(t, late, dueAt(40))
		b.delivery(t, late, dueAt(50))
		first := b.delivery(t, soon, dueAt(30))
		b.delivery(t, late, func(d *core.Delivery) { d.State, d.DueAt = core.DeliveryDelivered, time.Time{} })
		same(t, "before", b.dueWebhooks(t, 29), []core.WebhookID{})
		same(t, "at the first", b.dueWebhooks(t, 30), []core.WebhookID{soon.ID})
		same(t, "all", b.dueWebhooks(t, 40), []core.WebhookID{soon.ID, late.ID})
		some, err := b.DueWebhooks(b.ctx, at(40), 1)
		need(t, err)
		same(t, "some", some, []core.DueWebhook{{Project: soon.Project, ID: soon.ID}})
		retried := b.delivery(t, soon, dueAt(60))
		same(t, "claimed", b.claimDeliveries(t, soon, 30, 100, 10), []core.DeliveryID{first.ID})
		same(t, "the later one decides", b.dueWebhooks(t, 59), []core.WebhookID{late.ID})
		retried.DueAt = kept(at(55))
		need(t, b.UpdateDelivery(b.ctx, retried))
		same(t, "an update may hurry it", b.dueWebhooks(t, 55), []core.WebhookID{late.ID, soon.ID})
	},
	"WhatIsClaimedIsDueAgainOnlyWhenTheClaimEnds": func(t *testing.T, b *bundle) {
		w := b.webhook(t, b.project(t))
		one, two := b.delivery(t, w, dueAt(10)), b.delivery(t, w, dueAt(11))
		three := b.delivery(t, w, dueAt(13))
		same(t, "limited", b.claimDeliveries(t, w, 12, 40, 1), []core.DeliveryID{one.ID})
		same(t, "still due", b.dueWebhooks(t, 12), []core.WebhookID{w.ID})
		same(t, "the next", b.claimDeliveries(t, w, 12, 41, 10), []core.DeliveryID{two.ID})
		same(t, "none is left", b.claimDeliveries(t, w, 12, 42, 10), []core.DeliveryID{})
		same(t, "not due", b.dueWebhooks(t, 12), []core.WebhookID{})
		same(t, "what was not claimed", b.claimDeliveries(t, w, 40, 90, 1), []core.DeliveryID{three.ID})
		same(t, "then the first", b.claimDeliveries(t, w, 40, 90, 5), []core.DeliveryID{one.ID})
	},
	"AWebhookThatIsOffKeepsWhatWaits": func(t *testing.T, b *bundle) {
		w := b.webhook(t, b.project(t))
		d := b.delivery(t, w, dueAt(10))
		w.Off = core.WebhookOffManual
		need(t, b.UpdateWebhook(b.ctx, w))
		later := b.delivery(t, w, dueAt(11))
		need(t, b.UpdateDelivery(b.ctx, later))
		same(t, "due while off", b.dueWebhooks(t, 100), []core.WebhookID{})
		same(t, "claimed while off", b.claimDeliveries(t, w, 100, 200, 10), []core.DeliveryID{})
		w.Off = ""
		need(t, b.UpdateWebhook(b.ctx, w))
		same(t, "due when on", b.dueWebhooks(t, 10), []core.WebhookID{w.ID})
		same(t, "claimed when on", b.claimDeliveries(t, w, 100, 200, 10), []core.DeliveryID{d.ID, later.ID})
	},
	"TwoCallersNeverClaimTheSame": func(t *testing.T, b *bundle) {
		w := b.webhook(t, b.project(t))
		var want []core.DeliveryID
		for range 60 {
			want = append(want, b.delivery(t, w, dueAt(1)).ID)
		}
		got := make([][]core.DeliveryID, 6)
		var wg sync.WaitGroup
		for i := range got {
			wg.Go(func() {
				for range 10 {
					list, err := b.ClaimDeliveries(b.ctx, w.Project, w.ID, at(2), at(100), 3)
					if err != nil {
						t.Error(err)
					}
					got[i] = append(got[i], ids(list, deliveryID)...)
				}
			})
		}
		wg.Wait()
		all := slices.Concat(got...)
		slices.Sort(all)
		slices.Sort(want)
		same(t, "claimed", all, want)
	},
	"PruneDeletesTheOldestOfAllProjects": func(t *testing.T, b *bundle) {
		w, other := b.webhook(t, b.project(t)), b.webhook(t, b.project(t))
		made := func(seconds int) func(*core.Delivery) {
			return func(d *core.Delivery) { d.CreatedAt = kept(at(seconds)) }
		}
		b.delivery(t, w, made(10))
		second := b.delivery(t, other, made(11))
		kept := b.delivery(t, w, made(12))
		for _, want := range []int{1, 1, 0} {
			n, err := b.PruneDeliveries(b.ctx, at(12), 1)
			need(t, err)
			same(t, "pruned", n, want)
			if list, err := b.Deliveries(b.ctx, w.Project, w.ID, core.DeliveryPage{Limit: 10}); err != nil || len(list) != 1 || list[0].ID != kept.ID {
				t.Errorf("left: %v, %v", list, err)
			}
		}
		_, err := b.Delivery(b.ctx, other.Project, other.ID, second.ID)
		refused(t, "the pruned one", err, core.NotFound, "")
	},
}
