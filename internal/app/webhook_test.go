package app_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"

	"github.com/reeve-ai/reeve/internal/app/apptest"
	"github.com/reeve-ai/reeve/internal/config"
	"github.com/reeve-ai/reeve/internal/provider/fake"
)

// mailbox is a program that is told by webhooks: it keeps what it got.
type mailbox struct {
	URL string
	got chan delivered
}

type delivered struct {
	header http.Header
	body   []byte
}

func openMailbox(t *testing.T) *mailbox {
	t.Helper()
	m := &mailbox{got: make(chan delivered, 1000)} // more than any test sends
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		m.got <- delivered{r.Header, body}
	}))
	t.Cleanup(srv.Close)
	m.URL = srv.URL
	return m
}

// take returns the next n messages, as the official client reads them with a secret, by their type.
func (m *mailbox) take(t *testing.T, secret string, n int) map[string]anthropic.UnwrapWebhookEvent {
	t.Helper()
	client := anthropic.NewClient(option.WithWebhookKey(secret), option.WithAPIKey("none"))
	read := map[string]anthropic.UnwrapWebhookEvent{}
	for range n {
		select {
		case d := <-m.got:
			event, err := client.Beta.Webhooks.Unwrap(d.body, d.header)
			if err != nil {
				t.Fatalf("unwrap %s: %v", d.body, err)
			}
			if event.ID != d.header.Get("Webhook-Id") || event.CreatedAt.Location() != time.UTC || time.Since(event.CreatedAt) > time.Hour {
				t.Errorf("event %s", event.RawJSON())
			}
			read[event.Data.Type] = *event
		case <-time.After(apptest.Patience):
			t.Fatalf("%d messages came, want %d", len(read), n)
		}
	}
	return read
}

func listen(t *testing.T, srv *apptest.Server, url string, events ...any) (path, secret string) {
	t.Helper()
	body := srv.Must(t, http.MethodPost, "/reeve/v1/webhooks", object{"url": url, "events": events})
	return "/reeve/v1/webhooks/" + body["id"].(string), body["secret"].(string)
}

func TestTheOfficialClientUnwrapsWhatASessionTells(t *testing.T) {
	t.Parallel()
	to := openMailbox(t)
	srv := apptest.StartWith(t, fake.New(fake.Say("Done.")), apptest.WithConfig(reachable))
	path, secret := listen(t, srv, to.URL+"/hook", "session.created", "session.status_run_started", "session.status_idled", "session.archived", "agent.created", "environment.created")
	sess := srv.NewSession(t)
	made := to.take(t, secret, 3)
	created, ok := made["session.created"].Data.AsAny().(anthropic.BetaWebhookSessionCreatedEventData)
	if !ok || created.ID != sess.ID || !strings.HasPrefix(created.WorkspaceID, "wrkspc_") || !strings.HasPrefix(created.OrganizationID, "org_") {
		t.Errorf("session.created: %s", made["session.created"].RawJSON())
	}
	if agent, ok := made["agent.created"].Data.AsAny().(anthropic.BetaWebhookAgentCreatedEventData); !ok || agent.ID != sess.Agent {
		t.Errorf("agent.created: %s", made["agent.created"].RawJSON())
	}
	sess.Send(t, "Go.")
	sess.UntilIdle(t)
	turn := to.take(t, secret, 2)
	for _, typ := range []string{"session.status_run_started", "session.status_idled"} {
		if turn[typ].Data.ID != sess.ID {
			t.Errorf("%s: %s", typ, turn[typ].RawJSON())
		}
	}
	fresh := srv.Must(t, http.MethodPost, path+"/rotate-secret", nil)["secret"].(string)
	srv.Must(t, http.MethodPost, "/v1/sessions/"+sess.ID+"/archive", nil)
	d := <-to.got
	for name, key := range map[string]string{"new": fresh, "old": secret} {
		client := anthropic.NewClient(option.WithWebhookKey(key), option.WithAPIKey("none"))
		if event, err := client.Beta.Webhooks.Unwrap(d.body, d.header); err != nil || event.Data.Type != "session.archived" {
			t.Errorf("with the %s secret: %v", name, err)
		}
	}
	stranger := anthropic.NewClient(option.WithWebhookKey("whsec_c2VjcmV0Cg=="), option.WithAPIKey("none"))
	if _, err := stranger.Beta.Webhooks.Unwrap(d.body, d.header); err == nil {
		t.Error("any secret will do")
	}
	apptest.Poll(t, "six deliveries", func() bool {
		list := srv.Must(t, http.MethodGet, path+"/deliveries?state=delivered", nil)["data"].([]any)
		return len(list) == 6
	})
	if raw := string(srv.Do(t, http.MethodGet, path, nil).Raw); strings.Contains(raw, "whsec_") || strings.Contains(raw, strings.TrimPrefix(fresh, "whsec_")) {
		t.Errorf("the secret is shown again: %s", raw)
	}
}

// What was committed and not sent when the server stopped is sent by its next life.
func TestWhatWasNotSentIsSentAfterARestart(t *testing.T) {
	t.Parallel()
	to := openMailbox(t)
	gate := make(chan struct{})
	begun := make(chan struct{}, 100) // more attempts than are made
	closed := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		begun <- struct{}{}
		select {
		case <-gate:
			body, _ := io.ReadAll(r.Body)
			to.got <- delivered{r.Header, body}
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(closed.Close)
	first := apptest.StartWith(t, fake.New(), apptest.WithConfig(reachable))
	_, secret := listen(t, first, closed.URL, "agent.created")
	var want []string
	for range 8 { // more than are under way at one time
		want = append(want, first.NewAgent(t, nil))
	}
	<-begun
	first.Stop()
	close(gate)
	apptest.StartWith(t, fake.New(), apptest.WithConfig(reachable), apptest.Again(first))
	seen := map[string]bool{}
	client := anthropic.NewClient(option.WithWebhookKey(secret), option.WithAPIKey("none"))
	deadline := time.After(apptest.Patience)
	for len(seen) < len(want) {
		select {
		case d := <-to.got:
			event, err := client.Beta.Webhooks.Unwrap(d.body, d.header)
			if err != nil {
				t.Fatal(err)
			}
			seen[event.Data.ID] = true
		case <-deadline:
			t.Fatalf("%d of %d came", len(seen), len(want))
		}
	}
	for _, id := range want {
		if !seen[id] {
			t.Errorf("%s was not told", id)
		}
	}
}

func TestAPrivateAddressIsNotToldUnlessTheOperatorAllowsIt(t *testing.T) {
	t.Parallel()
	to := openMailbox(t)
	srv := apptest.StartWith(t, fake.New())
	if a := srv.Do(t, http.MethodPost, "/reeve/v1/webhooks", object{"url": to.URL, "events": []any{"*"}}); a.Status != http.StatusBadRequest || !strings.Contains(string(a.Raw), "allow_private") {
		t.Errorf("http: %d %s", a.Status, a.Raw)
	}
	path, _ := listen(t, srv, strings.Replace(to.URL, "http:", "https:", 1), "*")
	srv.NewAgent(t, nil)
	apptest.Poll(t, "the end of it", func() bool {
		return srv.Must(t, http.MethodGet, path, nil)["disabled_reason"] == "private_address"
	})
	if len(to.got) != 0 {
		t.Error("a private address was told")
	}
}

// The rates are per credential; workers' heartbeats and polls do not count; clients hear when to come back.
func TestRequestsOfAManagedCredentialAreBoundedIfTheOperatorSaysSo(t *testing.T) {
	t.Parallel()
	srv := apptest.StartWith(t, fake.New(), apptest.WithConfig(func(c *config.Config) {
		c.Limits.CreatePerMinute, c.Limits.ReadPerMinute = 3, 5
	}))
	box := srv.Must(t, http.MethodPost, "/v1/environments", object{"name": "box", "config": object{"type": "self_hosted"}})["id"].(string)
	srv.NewAgent(t, nil)
	srv.NewAgent(t, nil)
	over := srv.Do(t, http.MethodPost, "/v1/agents", object{"name": "one too many", "model": apptest.Model})
	fault, _ := over.Body["error"].(map[string]any)
	if over.Status != http.StatusTooManyRequests || fault["type"] != "rate_limit_error" || over.Header.Get("Retry-After") != "20" || over.Header.Get("X-Should-Retry") != "" {
		t.Errorf("over: %d %v %s", over.Status, over.Header, over.Raw)
	}
	qoder := srv.Do(t, http.MethodPost, "/api/v1/cloud/agents", object{}, "Authorization", "Bearer "+srv.Token)
	if fault, _ := qoder.Body["error"].(map[string]any); qoder.Status != http.StatusTooManyRequests || fault["type"] != "rate_limit_error" || qoder.Header.Get("Retry-After") == "" {
		t.Errorf("the same credential in the other flavour: %d %s", qoder.Status, qoder.Raw)
	}
	var statuses []int
	for range 6 {
		statuses = append(statuses, srv.Do(t, http.MethodGet, "/v1/agents", nil).Status)
	}
	if !slices.Equal(statuses, []int{200, 200, 200, 200, 200, 429}) {
		t.Errorf("reads: %v", statuses)
	}
	key := srv.Must(t, http.MethodPost, "/reeve/v1/environments/"+box+"/keys", object{})["key"].(string)
	for range 10 {
		if a := srv.Do(t, http.MethodGet, "/v1/environments/"+box+"/work/poll", nil, "Authorization", "Bearer "+key); a.Status != http.StatusOK {
			t.Fatalf("poll: %d %s", a.Status, a.Raw)
		}
	}
	for range 5 {
		if a := srv.Do(t, http.MethodGet, "/v1/skills", nil, "Authorization", "Bearer "+key); a.Status != http.StatusOK {
			t.Fatalf("another credential's reads: %d %s", a.Status, a.Raw)
		}
	}
	if a := srv.Do(t, http.MethodGet, "/v1/skills", nil, "Authorization", "Bearer "+key); a.Status != http.StatusTooManyRequests {
		t.Errorf("a worker's reads count: %d", a.Status)
	}
}
