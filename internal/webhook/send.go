package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/reeve-ai/reeve/internal/core"
)

// lanes count the attempts that are under way, so that one slow address holds nobody else up.
type lanes struct {
	mu    sync.Mutex
	busy  map[core.DueWebhook]int
	total int
}

// take reserves up to perWebhook attempts to a webhook and returns how many.
func (l *lanes) take(w core.DueWebhook) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := max(0, min(perWebhook-l.busy[w], perNode-l.total))
	l.add(w, n)
	return n
}

// give gives n attempts back.
func (l *lanes) give(w core.DueWebhook, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.add(w, -n)
}

func (l *lanes) add(w core.DueWebhook, n int) {
	if l.busy == nil {
		l.busy = map[core.DueWebhook]int{}
	}
	l.total += n
	if l.busy[w] += n; l.busy[w] == 0 {
		delete(l.busy, w)
	}
}

// open counts the webhooks with an attempt under way.
func (l *lanes) open() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.busy)
}

// Sweep sends all that is due now, waits for it, and returns how many attempts were made.
func (s *Service) Sweep(ctx context.Context) (attempts int, err error) {
	for {
		n, err := s.start(ctx)
		s.running.Wait()
		attempts += n
		if err != nil || n == 0 {
			return attempts, err
		}
	}
}

// start claims what is due, as much as there is room for, and begins to send it. Each attempt that ends wakes Run,
// which starts more.
func (s *Service) start(ctx context.Context) (started int, err error) {
	// Those that are busy may be the ones that are due for longest: behind them others must be found.
	due, err := s.store.DueWebhooks(ctx, s.clock(), sweepSize+s.lanes.open())
	if err != nil {
		return 0, fmt.Errorf("find due webhooks: %w", err)
	}
	for _, to := range due {
		n, err := s.startOne(ctx, to)
		started += n
		if err != nil {
			return started, fmt.Errorf("send to webhook %s: %w", to.ID, err)
		}
	}
	return started, nil
}

func (s *Service) startOne(ctx context.Context, to core.DueWebhook) (int, error) {
	room := s.lanes.take(to)
	if room == 0 {
		return 0, nil
	}
	now := s.clock()
	claimed, err := s.store.ClaimDeliveries(ctx, to.Project, to.ID, now, now.Add(leaseTime), room)
	s.lanes.give(to, room-len(claimed))
	if err != nil || len(claimed) == 0 {
		return 0, err
	}
	w, err := s.store.Webhook(ctx, to.Project, to.ID)
	if err != nil {
		s.lanes.give(to, len(claimed))
		if core.KindOf(err) == core.NotFound { // deleted since
			return 0, nil
		}
		return 0, err
	}
	for _, d := range claimed {
		s.running.Go(func() {
			defer s.wake()
			defer s.lanes.give(to, 1)
			s.deliver(ctx, w, d)
		})
	}
	return len(claimed), nil
}

// deliver makes one attempt and stores what came of it. If that cannot be stored, the claim runs out and the
// message is sent again.
func (s *Service) deliver(ctx context.Context, w core.Webhook, d core.Delivery) {
	attempt, off := s.try(ctx, w, d)
	stopped := ctx.Err() != nil
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTime)
	defer cancel()
	err := s.store.Tx(ctx, func(tx core.Store) error {
		if stopped { // the server stops: it is no attempt, and another node, or the next life, makes one
			return s.giveBack(ctx, tx, d)
		}
		return s.record(ctx, tx, d, attempt, off)
	})
	if err != nil {
		s.log.Error("what came of an attempt was not stored; it will be made again", "webhook", d.Webhook, "delivery", d.ID, "err", err)
	}
}

// try sends a message. off is set if nothing must be sent to this address any more.
func (s *Service) try(ctx context.Context, w core.Webhook, d core.Delivery) (a core.Attempt, off core.WebhookOff) {
	a.At = s.clock()
	defer func() { a.TookMS = s.clock().Sub(a.At).Milliseconds() }()
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	req, err := s.request(ctx, w, d, a.At)
	if err != nil {
		s.log.Error("a message to a webhook could not be made", "webhook", w.ID, "delivery", d.ID, "err", err)
		a.Error = "the message could not be made; the server's log says why"
		return a, ""
	}
	res, err := s.http.Do(req)
	if err != nil {
		a.Error = reason(err)
		if core.CodeOf(err) == "url_not_allowed" { // internal/egress
			off = core.WebhookOffPrivate
		}
		return a, off
	}
	defer func() { _ = res.Body.Close() }()
	_, _ = io.CopyN(io.Discard, res.Body, maxAnswer) // what it says is nobody's business, and it may say it slowly
	a.Status = res.StatusCode
	switch {
	case a.Status/100 == 3:
		a.Error, off = "it answered with a redirect, which is not followed", core.WebhookOffRedirect
	case a.Status/100 != 2:
		a.Error = "it answered with status " + strconv.Itoa(a.Status)
	}
	return a, off
}

// reason says in words of our own why there was no answer.
func reason(err error) string {
	var ours *core.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "there was no answer within " + sendTime.String()
	case errors.As(err, &ours) && ours.Message != "":
		return ours.Message
	}
	return "it could not be reached"
}

// request signs a message (Standard Webhooks 1.0: the id, the time in seconds and the body, with every secret that
// is valid now).
func (s *Service) request(ctx context.Context, w core.Webhook, d core.Delivery, at time.Time) (*http.Request, error) {
	secrets, err := s.ring.signing(w, at)
	if err != nil {
		return nil, err
	}
	id := EventID(d.Event)
	signatures := make([]string, 0, len(secrets))
	for _, secret := range secrets {
		signer, err := standardwebhooks.NewWebhook(secret.Reveal())
		if err != nil {
			return nil, errors.New("the secret is no base64") // the cause could quote it
		}
		signature, err := signer.Sign(id, at, d.Payload)
		if err != nil {
			return nil, fmt.Errorf("sign: %w", err)
		}
		signatures = append(signatures, signature)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, bytes.NewReader(d.Payload))
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Reeve-Webhooks")
	req.Header.Set(standardwebhooks.HeaderWebhookID, id)
	req.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(at.Unix(), 10))
	req.Header.Set(standardwebhooks.HeaderWebhookSignature, strings.Join(signatures, " "))
	return req, nil
}

// claimed loads a delivery, and the webhook that it is for, if the claim is still ours. Else there is nothing to
// be stored: it was deleted, or another node has it.
func claimed(ctx context.Context, tx core.Store, d core.Delivery) (w core.Webhook, now core.Delivery, ours bool, err error) {
	if w, err = tx.Webhook(ctx, d.Project, d.Webhook); err == nil {
		now, err = tx.Delivery(ctx, d.Project, d.Webhook, d.ID)
	}
	if core.KindOf(err) == core.NotFound && err != nil {
		return w, now, false, nil
	}
	return w, now, err == nil && now.State == core.DeliveryPending && now.DueAt.Equal(d.DueAt), err
}

// giveBack ends a claim at once.
func (s *Service) giveBack(ctx context.Context, tx core.Store, d core.Delivery) error {
	_, d, ours, err := claimed(ctx, tx, d)
	if err != nil || !ours {
		return err
	}
	d.DueAt = s.clock()
	return tx.UpdateDelivery(ctx, d)
}

// record stores an attempt and decides how it goes on, with the delivery and with the webhook.
func (s *Service) record(ctx context.Context, tx core.Store, sent core.Delivery, a core.Attempt, off core.WebhookOff) error {
	w, d, ours, err := claimed(ctx, tx, sent)
	if err != nil || !ours {
		return err
	}
	now := s.clock()
	d.Tries++
	d.Attempts = append(d.Attempts, a)
	d.Attempts = d.Attempts[max(0, len(d.Attempts)-keptAttempts):]
	before := w
	switch {
	case a.Error == "":
		d.State = core.DeliveryDelivered
		w.Failed, w.FailingSince = 0, time.Time{}
	case off != "" || d.Tries >= MaxTries:
		d.State = core.DeliveryFailed
		failed(&w, off, now)
	default:
		d.DueAt = now.Add(backoff(d.Tries))
	}
	if d.State != core.DeliveryPending {
		d.DueAt, d.EndedAt = time.Time{}, now
	}
	if err := tx.UpdateDelivery(ctx, d); err != nil {
		return err
	}
	if w.Off != before.Off || w.Failed != before.Failed {
		if w.Off != before.Off {
			s.log.Warn("a webhook was switched off", "project", w.Project, "webhook", w.ID, "reason", w.Off)
		}
		return tx.UpdateWebhook(ctx, w)
	}
	return nil
}

// failed counts a delivery that was given up, and switches the webhook off if it must be.
func failed(w *core.Webhook, off core.WebhookOff, now time.Time) {
	w.Failed++
	if w.FailingSince.IsZero() {
		w.FailingSince = now
	}
	if off == "" && w.Failed >= MaxFailed && now.Sub(w.FailingSince) >= FailingTime {
		off = core.WebhookOffFailing
	}
	if off != "" && w.Off == "" {
		w.Off, w.OffAt = off, now
	}
}

// backoff is how long to wait behind an attempt that failed; tries counts it in. It is random, so that what failed
// together does not come back together.
func backoff(tries int) time.Duration {
	between := backoffs[min(tries, len(backoffs))-1]
	return (between[0] + rand.N(between[1]-between[0])).Truncate(time.Microsecond)
}
