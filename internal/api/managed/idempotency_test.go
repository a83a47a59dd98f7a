package managed_test

import (
	"context"
	"crypto/sha256"
	"strings"
	"testing"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/provider/fake"
)

const key = "0d3f0f7e-6f0e-4b8a-9a58-2d6b1f6f2c11"

func TestSameKeyGetsTheSameAnswer(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, c := range []client{claude(s), qoder(s), qoderV1(s)} {
		body := `{"name":"once ` + c.base + `","model":"scripted"}`
		for _, header := range []string{"Idempotency-Key", "X-Idempotency-Key"} {
			k := header + c.base + c.request(t, "GET", "", "").Header.Get("Anthropic-Version")
			first := c.do(t, "POST", "/agents", body, header, k)
			again := c.do(t, "POST", "/agents", body, header, k)
			if first.status/100 != 2 || again.status != first.status || again.raw != first.raw {
				t.Errorf("%s: %d %s, then %d %s", header, first.status, first.raw, again.status, again.raw)
			}
			if first.header.Get("Idempotent-Replayed") != "" || again.header.Get("Idempotent-Replayed") != "true" {
				t.Error("the second answer alone is a replay")
			}
			other := c.do(t, "POST", "/agents", strings.Replace(body, "once", "twice", 1), header, k)
			c.refused(t, other, 409, "conflict_error")
			if other.header.Get("X-Should-Retry") != "false" {
				t.Error("a used key asks clients to try again")
			}
			c.refused(t, c.do(t, "POST", "/environments", body, header, k), 409, "conflict_error")
		}
	}
	if got := claude(s).must(t, "GET", "/agents", "")["data"].([]any); len(got) != 6 {
		t.Errorf("%d agents, want 6", len(got))
	}
	// Keys belong to the caller: another project's is another key.
	f := claude(s).as(s.foreign)
	if got := f.do(t, "POST", "/agents", `{"name":"other","model":"scripted"}`, "Idempotency-Key", "Idempotency-Key/v1"); got.status != 200 {
		t.Errorf("the key of another project = %d %s", got.status, got.raw)
	}
}

func TestErrorsOfTheClientAreKept(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := qoder(s)
	first := c.do(t, "POST", "/agents", `{"model":"scripted"}`, "Idempotency-Key", key)
	c.refused(t, first, 400, "invalid_request_error")
	again := c.do(t, "POST", "/agents", `{"model":"scripted"}`, "Idempotency-Key", key)
	if again.raw != first.raw || again.status != 400 {
		t.Errorf("again = %d %s, want %s", again.status, again.raw, first.raw)
	}
	for _, bad := range []string{strings.Repeat("k", 256), "clé"} {
		c.refused(t, c.do(t, "POST", "/agents", `{"name":"a","model":"scripted"}`, "Idempotency-Key", bad), 400, "invalid_request_error")
	}
}

func TestConflictsFreeTheKey(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := qoder(s)
	id := c.agent(t, "")
	c.refused(t, c.do(t, "POST", "/agents/"+id, `{"version":2,"name":"x"}`, "Idempotency-Key", key), 409, "conflict_error")
	c.must(t, "POST", "/agents/"+id, `{"version":1,"name":"y"}`)
	if got := c.must(t, "POST", "/agents/"+id, `{"version":2,"name":"x"}`, "Idempotency-Key", key)["version"]; got != 3.0 {
		t.Errorf("version = %v", got)
	}
}

func TestDeletesAndMessagesHappenOnce(t *testing.T) {
	t.Parallel()
	s := start(t, fake.Say("Hello."))
	c := claude(s)
	id := c.session(t, "")
	frames := c.watch(t, "/sessions/"+id+"/events/stream")
	first := c.do(t, "POST", "/sessions/"+id+"/events", message("hi"), "Idempotency-Key", key)
	again := c.do(t, "POST", "/sessions/"+id+"/events", message("hi"), "Idempotency-Key", key)
	if first.status != 200 || first.raw != again.raw {
		t.Fatalf("sent %s, then %s", first.raw, again.raw)
	}
	until(t, frames, "session.status_idle")
	if n := len(s.script.Requests()); n != 1 {
		t.Errorf("the model was asked %d times", n)
	}
	gone := c.do(t, "DELETE", "/sessions/"+id, "", "Idempotency-Key", "delete")
	if again := c.do(t, "DELETE", "/sessions/"+id, "", "Idempotency-Key", "delete"); gone.status != 200 || again.raw != gone.raw {
		t.Errorf("deleted: %d %s, then %d %s", gone.status, gone.raw, again.status, again.raw)
	}
	c.refused(t, c.do(t, "DELETE", "/sessions/"+id, ""), 404, "not_found_error")
}

// heldKeys lets a test wait until a request has reserved its key, and hold it there.
type heldKeys struct {
	core.IdempotencyStore
	reserved, release chan struct{}
}

func (h heldKeys) ReserveIdempotency(ctx context.Context, rec core.Idempotency, now time.Time) (core.Idempotency, bool, error) {
	live, fresh, err := h.IdempotencyStore.ReserveIdempotency(ctx, rec, now)
	if rec.Key == key {
		h.reserved <- struct{}{}
		<-h.release
	}
	return live, fresh, err
}

func TestRequestInFlightIsNotRunTwice(t *testing.T) {
	t.Parallel()
	reserved, release := make(chan struct{}), make(chan struct{})
	s := startWith(t, options{keys: func(k core.IdempotencyStore) core.IdempotencyStore { return heldKeys{k, reserved, release} }})
	c := qoder(s)
	body := `{"name":"a","model":"scripted"}`
	done := make(chan answer, 1) // holds the one answer
	go func() { done <- c.do(t, "POST", "/agents", body, "Idempotency-Key", key) }()
	<-reserved
	a := c.do(t, "POST", "/agents", body, "Idempotency-Key", key)
	c.refused(t, a, 409, "conflict_error")
	if a.header.Get("X-Should-Retry") != "" || a.header.Get("Retry-After") != "1" {
		t.Errorf("headers = %v, want an invitation to come back", a.header)
	}
	close(release)
	if first := <-done; first.status != 201 {
		t.Errorf("the first request = %d %s", first.status, first.raw)
	}
}

// TestRequestThatACrashCutOff: the record is there and has no answer.
func TestRequestThatACrashCutOff(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := qoder(s)
	cut := func(method, path, body string) core.Idempotency {
		t.Helper()
		now := time.Now().UTC().Truncate(time.Microsecond)
		rec := core.Idempotency{
			Project: s.admin.Project, Caller: string(s.admin.Credential), Key: method + path, Object: core.NewID[string](),
			Fingerprint: sha256.Sum256([]byte(method + "\x00" + c.base + path + "\x00" + body)), CreatedAt: now, ExpiresAt: now.Add(time.Hour),
		}
		if _, fresh, err := s.db.ReserveIdempotency(t.Context(), rec, now); err != nil || !fresh {
			t.Fatal(fresh, err)
		}
		return rec
	}
	body := `{"name":"a","model":"scripted"}`
	rec := cut("POST", "/agents", body)
	first := c.do(t, "POST", "/agents", body, "Idempotency-Key", rec.Key)
	if first.status != 201 || first.body["id"] != "agent_"+rec.Object {
		t.Errorf("agent = %d %s, want the id set aside, %s", first.status, first.raw, rec.Object)
	}
	if again := c.do(t, "POST", "/agents", body, "Idempotency-Key", rec.Key); again.raw != first.raw {
		t.Errorf("again = %s", again.raw)
	}
	// The agent was made, and the answer lost.
	rec = cut("POST", "/environments", `{"name":"box"}`)
	made := c.do(t, "POST", "/environments", `{"name":"box"}`, "Idempotency-Key", rec.Key)
	rec.Status = 0
	if err := s.db.FinishIdempotency(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	if again := c.do(t, "POST", "/environments", `{"name":"box"}`, "Idempotency-Key", rec.Key); again.status != 201 || again.raw != made.raw {
		t.Errorf("environment = %d %s, want %s", again.status, again.raw, made.raw)
	}
	// A message cannot be told from a second one: the client must look.
	id := c.session(t, "")
	rec = cut("POST", "/sessions/"+id+"/events", message("hi"))
	c.refused(t, c.do(t, "POST", "/sessions/"+id+"/events", message("hi"), "Idempotency-Key", rec.Key), 409, "conflict_error")
	if got := c.must(t, "GET", "/sessions/"+id+"/events", "")["data"].([]any); len(got) != 0 {
		t.Errorf("events = %v", got)
	}
}
