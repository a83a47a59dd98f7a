package webhook_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/egress"
	"github.com/reeve-ai/reeve/internal/webhook"
)

// verify checks a message as receivers do, but for its age: the clock stands still.
func verify(t *testing.T, m message, secret webhook.Secret) error {
	t.Helper()
	v, err := standardwebhooks.NewWebhook(secret.Reveal())
	need(t, err)
	return v.VerifyIgnoringTimestamp(m.body, m.header)
}

func TestAMessageSaysWhatHappenedAndIsSigned(t *testing.T) {
	t.Parallel()
	h := build(t)
	to := receive(t)
	w, secret := h.hook(t, to.URL+"/hook", "memory_store.created")
	id := h.event(t)
	h.sweep(t, 1)
	h.sweep(t, 0)
	d := h.log(t, w)[0]
	got := to.messages()
	if len(got) != 1 {
		t.Fatalf("%d messages", len(got))
	}
	need(t, verify(t, got[0], secret))
	var body any
	need(t, json.Unmarshal(got[0].body, &body))
	same(t, "body", body, any(map[string]any{
		"type": "event", "id": "whe_" + string(d.Event), "created_at": "2026-07-01T12:00:00Z",
		"data": map[string]any{
			"type": "memory_store.created", "id": "memstore_" + string(id),
			"organization_id": "org_" + string(h.by.Project), "workspace_id": "wrkspc_" + string(h.by.Project),
		},
	}))
	for name, want := range map[string]string{
		"Content-Type": "application/json", "Webhook-Id": "whe_" + string(d.Event), "Webhook-Timestamp": "1782907200", "User-Agent": "Reeve-Webhooks",
	} {
		same(t, name, got[0].header.Get(name), want)
	}
	same(t, "stored", string(d.Payload), string(got[0].body))
	same(t, "delivery", d, core.Delivery{
		Project: w.Project, ID: d.ID, Webhook: w.ID, Event: d.Event, Type: "memory_store.created", Payload: d.Payload, State: core.DeliveryDelivered,
		Tries: 1, Attempts: []core.Attempt{{At: noon, Status: http.StatusNoContent}}, CreatedAt: noon, EndedAt: noon,
	})
}

func TestAFailedAttemptIsMadeAgainTwiceAndThenGivenUp(t *testing.T) {
	t.Parallel()
	h := build(t)
	to := receive(t, 500, 404, 429)
	w, _ := h.hook(t, to.URL)
	h.event(t)
	for i, wait := range [][2]time.Duration{{}, {5 * time.Second, 30 * time.Second}, {30 * time.Second, 120 * time.Second}} {
		if i > 0 {
			due := h.log(t, w)[0].DueAt.Sub(h.clock())
			if due < wait[0] || due > wait[1] {
				t.Errorf("attempt %d is due after %v", i+1, due)
			}
			h.move(due - time.Microsecond)
			h.sweep(t, 0)
			h.move(time.Microsecond)
		}
		h.sweep(t, 1)
	}
	h.move(time.Hour)
	h.sweep(t, 0)
	d := h.log(t, w)[0]
	same(t, "state", d.State, core.DeliveryFailed)
	same(t, "due", d.DueAt, time.Time{})
	var said []string
	for _, a := range d.Attempts {
		said = append(said, a.Error)
	}
	same(t, "attempts", said, []string{"it answered with status 500", "it answered with status 404", "it answered with status 429"})
	first := to.messages()[0].header
	for _, m := range to.messages() {
		same(t, "message id", m.header.Get("Webhook-Id"), first.Get("Webhook-Id"))
	}
	if last := to.messages()[2].header; last.Get("Webhook-Timestamp") == first.Get("Webhook-Timestamp") || last.Get("Webhook-Signature") == first.Get("Webhook-Signature") {
		t.Error("the last attempt has the time of the first: receivers refuse it as too old")
	}
	got := h.reload(t, w)
	same(t, "failed in a row", got.Failed, 1)
	same(t, "still on", got.Off, "")

	to.mu.Lock()
	to.next = []int{200}
	to.mu.Unlock()
	h.event(t)
	h.sweep(t, 1)
	got = h.reload(t, w)
	same(t, "a success ends the row", got.Failed, 0)
	same(t, "failing since", got.FailingSince, time.Time{})
}

func TestARedirectSwitchesAWebhookOffAndIsNotFollowed(t *testing.T) {
	t.Parallel()
	h := build(t)
	elsewhere := receive(t)
	to := receive(t, http.StatusTemporaryRedirect)
	to.to = elsewhere.URL
	w, _ := h.hook(t, to.URL)
	h.event(t)
	h.sweep(t, 1)
	h.event(t) // nobody is told any more
	h.move(time.Hour)
	h.sweep(t, 0)
	got := h.reload(t, w)
	same(t, "off", got.Off, core.WebhookOffRedirect)
	same(t, "since", got.OffAt, noon)
	list := h.log(t, w)
	if len(list) != 1 || list[0].State != core.DeliveryFailed || list[0].Attempts[0].Status != http.StatusTemporaryRedirect || list[0].Attempts[0].Error == "" {
		t.Errorf("deliveries %+v", list)
	}
	if n := len(elsewhere.messages()); n != 0 {
		t.Errorf("%d messages went where it pointed", n)
	}
	on := true
	_, err := h.Update(t.Context(), h.by, w.ID, webhook.Change{On: &on})
	need(t, err)
	h.event(t)
	h.sweep(t, 1)
	same(t, "told again", len(to.messages()), 2)
}

func TestAnAddressThatIsNotPublicSwitchesAWebhookOff(t *testing.T) {
	t.Parallel()
	h := build(t)
	to := receive(t)
	w, _ := h.hook(t, to.URL)
	h.event(t)
	strict := h.nodeBy(t, egress.New(egress.Options{}).Transport()) // the operator's exception is gone
	if n, err := strict.Sweep(t.Context()); n != 1 || err != nil {
		t.Fatalf("%d attempts, %v", n, err)
	}
	same(t, "off", h.reload(t, w).Off, core.WebhookOffPrivate)
	same(t, "messages", len(to.messages()), 0)
	if a := h.log(t, w)[0].Attempts[0]; a.Status != 0 || !strings.Contains(a.Error, "not on the public internet") {
		t.Errorf("attempt %+v", a)
	}
}

func TestAWebhookThatFailsForLongIsSwitchedOff(t *testing.T) {
	t.Parallel()
	h := build(t)
	w, _ := h.hook(t, receive(t, 500).URL)
	fail := func(n int) {
		t.Helper()
		for range n {
			h.event(t)
		}
		for range webhook.MaxTries {
			h.sweep(t, n)
			h.move(2 * time.Minute)
		}
	}
	fail(webhook.MaxFailed - 1) // soon: many may fail while a receiver restarts
	fail(1)
	got := h.reload(t, w)
	same(t, "off after minutes", got.Off, "")
	same(t, "failed", got.Failed, webhook.MaxFailed)
	since := got.FailingSince
	h.move(time.Hour)
	fail(1)
	got = h.reload(t, w)
	same(t, "off after an hour", got.Off, core.WebhookOffFailing)
	same(t, "failing since", got.FailingSince, since)
	on := true
	got, err := h.Update(t.Context(), h.by, w.ID, webhook.Change{On: &on})
	need(t, err)
	same(t, "forgotten", got.Failed, 0)
	same(t, "since", got.FailingSince, time.Time{})
}

func TestTheSecretBeforeSignsForADay(t *testing.T) {
	t.Parallel()
	h := build(t)
	to := receive(t)
	w, old := h.hook(t, to.URL)
	changed, secret, err := h.RotateSecret(t.Context(), h.by, w.ID)
	need(t, err)
	same(t, "until", changed.OldUntil, noon.Add(24*time.Hour))
	h.event(t)
	h.move(24*time.Hour - time.Microsecond)
	h.sweep(t, 1)
	h.event(t)
	h.move(time.Microsecond)
	h.sweep(t, 1)
	got := to.messages()
	need(t, verify(t, got[0], secret))
	need(t, verify(t, got[0], old))
	need(t, verify(t, got[1], secret))
	if verify(t, got[1], old) == nil || strings.Contains(got[1].header.Get("Webhook-Signature"), " ") {
		t.Error("the secret before still signs after a day")
	}
}

func TestRedeliverSendsTheSameMessageWithNewTries(t *testing.T) {
	t.Parallel()
	h := build(t)
	to := receive(t, 500, 500, 500, 503, 200)
	w, _ := h.hook(t, to.URL)
	h.event(t)
	d := h.log(t, w)[0]
	_, err := h.Redeliver(t.Context(), h.by, w.ID, d.ID)
	refused(t, "while it is pending", err, core.Conflict, "delivery_pending")
	for range 3 {
		h.sweep(t, 1)
		h.move(2 * time.Minute)
	}
	again, err := h.Redeliver(t.Context(), h.by, w.ID, d.ID)
	need(t, err)
	same(t, "state", again.State, core.DeliveryPending)
	h.sweep(t, 1)
	h.move(time.Minute)
	h.sweep(t, 1)
	d = h.log(t, w)[0]
	var statuses []int
	for _, a := range d.Attempts {
		statuses = append(statuses, a.Status)
	}
	same(t, "attempts", statuses, []int{500, 500, 500, 503, 200})
	same(t, "state", d.State, core.DeliveryDelivered)
	got := to.messages()
	same(t, "id", got[4].header.Get("Webhook-Id"), got[0].header.Get("Webhook-Id"))
	same(t, "body", string(got[4].body), string(got[0].body))
	off := false
	_, err = h.Update(t.Context(), h.by, w.ID, webhook.Change{On: &off})
	need(t, err)
	_, err = h.Redeliver(t.Context(), h.by, w.ID, d.ID)
	refused(t, "while it is off", err, core.Conflict, "webhook_off")
	_, err = h.Test(t.Context(), h.by, w.ID)
	refused(t, "a test while it is off", err, core.Conflict, "webhook_off")
}

func TestATestEventIsSentWhateverTheWebhookAsksFor(t *testing.T) {
	t.Parallel()
	h := build(t)
	to := receive(t)
	w, secret := h.hook(t, to.URL, "agent.created")
	d, err := h.Test(t.Context(), h.by, w.ID)
	need(t, err)
	h.sweep(t, 1)
	m := to.messages()[0]
	need(t, verify(t, m, secret))
	if body := string(m.body); !strings.Contains(body, `"type":"webhook.test","id":"webhook_`+string(w.ID)+`"`) || m.header.Get("Webhook-Id") != webhook.EventID(d.Event) {
		t.Errorf("%s", body)
	}
}

func TestTheLogKeepsTheLastTwentyAttempts(t *testing.T) {
	t.Parallel()
	h := build(t)
	to := receive(t, 200)
	w, _ := h.hook(t, to.URL)
	h.event(t)
	d := h.log(t, w)[0]
	h.sweep(t, 1)
	for range 21 {
		h.move(time.Second)
		_, err := h.Redeliver(t.Context(), h.by, w.ID, d.ID)
		need(t, err)
		h.sweep(t, 1)
	}
	d = h.log(t, w)[0]
	same(t, "attempts", len(d.Attempts), 20)
	same(t, "the oldest", d.Attempts[0].At, noon.Add(2*time.Second))
}

func TestOldDeliveriesArePruned(t *testing.T) {
	t.Parallel()
	h := build(t)
	w, _ := h.hook(t, receive(t).URL)
	for range 5 {
		h.event(t)
	}
	h.move(webhook.Retention)
	h.event(t)
	n, err := h.Prune(t.Context())
	need(t, err)
	same(t, "pruned at 30 days", n, 0)
	h.move(time.Microsecond)
	n, err = h.Prune(t.Context())
	need(t, err)
	same(t, "pruned behind 30 days", n, 5)
	same(t, "left", len(h.log(t, w)), 1)
}

func TestTwoNodesSendOnce(t *testing.T) {
	t.Parallel()
	h := build(t)
	to := receive(t)
	h.hook(t, to.URL)
	for range 30 {
		h.event(t)
	}
	nodes := []*webhook.Service{h.Service, h.node(t), h.node(t)}
	counts := make([]int, len(nodes))
	var wg sync.WaitGroup
	for i, node := range nodes {
		wg.Go(func() {
			n, err := node.Sweep(t.Context())
			if err != nil {
				t.Error(err)
			}
			counts[i] = n
		})
	}
	wg.Wait()
	seen := map[string]bool{}
	for _, m := range to.messages() {
		seen[m.header.Get("Webhook-Id")] = true
	}
	if n := counts[0] + counts[1] + counts[2]; n != 30 || len(to.messages()) != 30 || len(seen) != 30 {
		t.Errorf("%v attempts, %d messages, %d different", counts, len(to.messages()), len(seen))
	}
}

// A node that dies behind the commit, before anything was sent, loses nothing; nor does one that dies while it
// sends.
func TestWhatACrashLeftIsSentByTheNextLife(t *testing.T) {
	t.Parallel()
	h := build(t)
	to := receive(t)
	w, _ := h.hook(t, to.URL)
	h.event(t)
	d := h.log(t, w)[0]
	if _, err := h.db.ClaimDeliveries(t.Context(), w.Project, w.ID, noon, noon.Add(time.Minute), 1); err != nil { // it began to send
		t.Fatal(err)
	}
	next := h.node(t)
	if n, err := next.Sweep(t.Context()); n != 0 || err != nil {
		t.Fatalf("%d attempts while the claim holds, %v", n, err)
	}
	h.move(time.Minute)
	if n, err := next.Sweep(t.Context()); n != 1 || err != nil {
		t.Fatalf("%d attempts, %v", n, err)
	}
	same(t, "message", to.messages()[0].header.Get("Webhook-Id"), webhook.EventID(d.Event))
	same(t, "state", h.log(t, w)[0].State, core.DeliveryDelivered)
}

func TestASlowAddressHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	h := build(t)
	held := make(chan struct{}, 100) // more than are sent
	let := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		held <- struct{}{}
		<-let
	}))
	t.Cleanup(slow.Close)
	free := sync.OnceFunc(func() { close(let) })
	t.Cleanup(free)
	told := make(chan struct{}, 100)
	quick := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { told <- struct{}{} }))
	t.Cleanup(quick.Close)

	w, _ := h.hook(t, slow.URL)
	for range 12 {
		h.event(t)
	}
	run(t, h.Service)
	for range 4 {
		await(t, held, "an attempt to the slow one")
	}
	h.hook(t, quick.URL)
	for range 12 {
		h.event(t)
	}
	for range 12 {
		await(t, told, "a message to the quick one")
	}
	select {
	case <-held:
		t.Error("more than four attempts at one time to one address")
	default:
	}
	free()
	for range 20 {
		await(t, held, "the rest to the slow one")
	}
	same(t, "webhooks of the slow one", len(h.log(t, w)), 24)
}

func TestAStopBreaksAttemptsOffAndGivesThemBack(t *testing.T) {
	t.Parallel()
	h := build(t)
	begun, let := make(chan struct{}, 10), make(chan struct{})
	var later atomic.Bool
	to := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		begun <- struct{}{}
		if !later.Swap(true) {
			select {
			case <-r.Context().Done():
			case <-let:
			}
		}
	}))
	t.Cleanup(to.Close)
	t.Cleanup(func() { close(let) })
	w, _ := h.hook(t, to.URL)
	h.event(t)
	stop := run(t, h.Service)
	await(t, begun, "the attempt")
	stop()
	d := h.log(t, w)[0]
	if d.State != core.DeliveryPending || len(d.Attempts) != 0 || !d.DueAt.Equal(h.clock()) {
		t.Errorf("given back: %+v", d)
	}
	if n, err := h.node(t).Sweep(t.Context()); n != 1 || err != nil {
		t.Fatalf("%d attempts in the next life, %v", n, err)
	}
	same(t, "state", h.log(t, w)[0].State, core.DeliveryDelivered)
}

// tripper answers without a network, so that time can be synctest's.
type tripper func(*http.Request) (*http.Response, error)

func (f tripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// In the bubble a minute is no time at all: the clock is synctest's, for the service and for its ticker.
func TestRunTriesAgainUntilItIsStopped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := build(t)
		var at []time.Time
		s, err := webhook.New(h.db, installation, tripper(func(r *http.Request) (*http.Response, error) {
			at = append(at, time.Now())
			<-r.Context().Done() // for as long as an attempt may take
			return nil, r.Context().Err()
		}), webhook.Options{Log: silent(), AllowPrivate: loopback})
		need(t, err)
		w, _, err := s.Create(t.Context(), h.by, webhook.NewWebhook{URL: "https://example.org", Events: []string{"*"}})
		need(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1) // holds the one result
		go func() { ended <- s.Run(ctx) }()
		synctest.Wait()
		begin := time.Now()
		_, err = s.Test(t.Context(), h.by, w.ID)
		need(t, err)
		<-time.After(10 * time.Minute)
		synctest.Wait()
		cancel()
		need(t, <-ended)
		if len(at) != 3 {
			t.Fatalf("attempts at %v", at)
		}
		same(t, "the first is at once", at[0].Sub(begin), 0)
		if one, two := at[1].Sub(at[0]), at[2].Sub(at[1]); one < 15*time.Second || one > 41*time.Second || two < 40*time.Second || two > 131*time.Second {
			t.Errorf("attempts after %v and %v", one, two)
		}
		list, err := s.Deliveries(t.Context(), h.by, w.ID, core.DeliveryPage{Limit: 1})
		need(t, err)
		a := list[0].Attempts[2]
		if list[0].State != core.DeliveryFailed || a.Error != "there was no answer within 10s" || a.TookMS != 10_000 || a.Status != 0 {
			t.Errorf("%+v", list[0])
		}
	})
}

func TestWhyThereWasNoAnswerIsSaidWithoutAddresses(t *testing.T) {
	t.Parallel()
	h := build(t)
	to := receive(t)
	w, _ := h.hook(t, to.URL)
	s := h.nodeBy(t, tripper(func(*http.Request) (*http.Response, error) { return nil, errors.New("dial tcp 10.9.8.7: secret route") }))
	h.event(t)
	_, err := s.Sweep(t.Context())
	need(t, err)
	same(t, "error", h.log(t, w)[0].Attempts[0].Error, "it could not be reached")
}

// pass tells which messages were sent, and lets all arrive.
func pass(told chan<- string) tripper {
	return func(r *http.Request) (*http.Response, error) {
		told <- r.Header.Get("Webhook-Id")
		return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Request: r}, nil
	}
}
