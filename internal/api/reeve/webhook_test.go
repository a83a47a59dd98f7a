package reeve_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/core"
)

const hooksPath = "/reeve/v1/webhooks"

// sink is an address that takes messages with a status.
func sink(t *testing.T, status int) (url string, bodies func() []string) {
	t.Helper()
	got := make(chan string, 100) // more than any test sends
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- string(body)
		w.WriteHeader(status)
	}))
	t.Cleanup(srv.Close)
	return srv.URL, func() []string {
		var list []string
		for len(got) > 0 {
			list = append(list, <-got)
		}
		return list
	}
}

// hook makes a webhook over the API and returns its path.
func (d *desk) hook(t *testing.T, url string) string {
	t.Helper()
	a := d.do(t, "POST", hooksPath, d.admin, `{"url": "`+url+`", "events": ["*"]}`)
	if a.status != http.StatusCreated {
		t.Fatalf("%d %s", a.status, a.raw)
	}
	return hooksPath + "/" + a.body["id"].(string)
}

// happen makes something happen and sends what is due.
func (d *desk) happen(t *testing.T) {
	t.Helper()
	need(t, d.store.CreateMemoryStore(t.Context(), core.MemoryStore{Project: d.project, ID: core.NewID[core.MemoryStoreID](), Name: "m"}))
	if _, err := d.hooks.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestAWebhookIsMadeShownChangedAndDeleted(t *testing.T) {
	t.Parallel()
	d := open(t)
	made := d.do(t, "POST", hooksPath, d.admin, `{"url": "https://example.org/hook", "events": ["agent.created", "session.idled"], "description": "CI", "enabled": false}`)
	secret, _ := made.body["secret"].(string)
	id, _ := made.body["id"].(string)
	if made.status != http.StatusCreated || !strings.HasPrefix(secret, "whsec_") || !strings.HasPrefix(id, "webhook_") {
		t.Fatalf("made: %d %s", made.status, made.raw)
	}
	delete(made.body, "secret")
	want := map[string]any{
		"type": "webhook", "id": id, "url": "https://example.org/hook", "description": "CI", "events": []any{"agent.created", "session.idled"},
		"enabled": false, "disabled_reason": "manual", "disabled_at": made.body["created_at"], "failed_in_row": 0.0, "old_secret_until": nil,
		"created_at": made.body["created_at"], "updated_at": made.body["created_at"],
	}
	if diff := cmp.Diff(want, made.body); diff != "" {
		t.Errorf("made (-want +got):\n%s", diff)
	}
	path := hooksPath + "/" + id
	shown := d.do(t, "GET", hooksPath+"/"+strings.TrimPrefix(id, "webhook_"), d.member, "")
	if diff := cmp.Diff(want, shown.body); diff != "" || shown.status != http.StatusOK {
		t.Errorf("shown: %d (-want +got):\n%s", shown.status, diff)
	}
	list := d.do(t, "GET", hooksPath, d.member, "")
	if diff := cmp.Diff(map[string]any{"data": []any{want}}, list.body); diff != "" {
		t.Errorf("listed (-want +got):\n%s", diff)
	}
	changed := d.do(t, "PATCH", path, d.admin, `{"events": ["*"], "description": ""}`)
	if changed.status != http.StatusOK || changed.body["description"] != "" || changed.body["url"] != want["url"] || changed.body["enabled"] != false || !cmp.Equal(changed.body["events"], []any{"*"}) {
		t.Errorf("changed: %d %s", changed.status, changed.raw)
	}
	if on := d.do(t, "POST", path+"/enable", d.admin, ""); on.status != http.StatusOK || on.body["enabled"] != true || on.body["disabled_reason"] != nil || on.body["disabled_at"] != nil {
		t.Errorf("on: %d %s", on.status, on.raw)
	}
	if off := d.do(t, "POST", path+"/disable", d.admin, ""); off.status != http.StatusOK || off.body["disabled_reason"] != "manual" {
		t.Errorf("off: %d %s", off.status, off.raw)
	}
	rotated := d.do(t, "POST", path+"/rotate-secret", d.admin, "")
	until, err := time.Parse(time.RFC3339, rotated.body["old_secret_until"].(string))
	if fresh, _ := rotated.body["secret"].(string); rotated.status != http.StatusOK || !strings.HasPrefix(fresh, "whsec_") || fresh == secret || err != nil || time.Until(until) > 24*time.Hour || time.Until(until) < 23*time.Hour {
		t.Errorf("rotated: %d %s", rotated.status, rotated.raw)
	}
	if gone := d.do(t, "DELETE", path, d.admin, ""); gone.status != http.StatusNoContent || gone.raw != "" {
		t.Errorf("deleted: %d %s", gone.status, gone.raw)
	}
	if gone := d.do(t, "GET", path, d.admin, ""); gone.body["code"] != "webhook_not_found" {
		t.Errorf("shown behind the delete: %s", gone.raw)
	}
	types := d.do(t, "GET", hooksPath+"/event-types", d.member, "")
	if all, _ := types.body["data"].([]any); len(all) < 30 || !slices.Contains(all, any("session.status_idled")) {
		t.Errorf("types: %s", types.raw)
	}
}

func TestTheLogOfAWebhookShowsAttemptsAndMessages(t *testing.T) {
	t.Parallel()
	d := open(t)
	url, bodies := sink(t, http.StatusTeapot)
	path := d.hook(t, url)
	for range 3 {
		d.happen(t)
	}
	sent := bodies()
	list := d.do(t, "GET", path+"/deliveries?limit=2", d.member, "")
	data, _ := list.body["data"].([]any)
	if list.status != http.StatusOK || len(data) != 2 || list.body["has_more"] != true || strings.Contains(list.raw, "payload") {
		t.Fatalf("list: %d %s", list.status, list.raw)
	}
	newest := data[0].(map[string]any)
	id := newest["id"].(string)
	attempts := newest["attempts"].([]any)
	attempt := attempts[0].(map[string]any)
	if newest["state"] != "pending" || newest["event_type"] != "memory_store.created" || newest["due_at"] == nil || newest["ended_at"] != nil || len(attempts) != 1 ||
		attempt["status_code"] != 418.0 || attempt["error"] != "it answered with status 418" || attempt["at"] == nil || attempt["duration_ms"] == nil {
		t.Errorf("newest: %v", newest)
	}
	rest := d.do(t, "GET", path+"/deliveries?limit=2&state=pending&after="+data[1].(map[string]any)["id"].(string), d.member, "")
	if more, _ := rest.body["data"].([]any); len(more) != 1 || rest.body["has_more"] != false {
		t.Errorf("rest: %s", rest.raw)
	}
	if none := d.do(t, "GET", path+"/deliveries?state=delivered", d.member, ""); len(none.body["data"].([]any)) != 0 {
		t.Errorf("delivered: %s", none.raw)
	}
	one := d.do(t, "GET", path+"/deliveries/"+id, d.member, "")
	body, _ := one.body["payload"].(map[string]any)
	if one.status != http.StatusOK || body["id"] != newest["event_id"] || !strings.Contains(sent[2], body["id"].(string)) {
		t.Errorf("one: %d %s", one.status, one.raw)
	}
	if again := d.do(t, "POST", path+"/deliveries/"+id+"/redeliver", d.admin, ""); again.status != http.StatusConflict || again.body["code"] != "delivery_pending" {
		t.Errorf("again while pending: %d %s", again.status, again.raw)
	}
	good, goodBodies := sink(t, http.StatusOK)
	path = d.hook(t, good)
	test := d.do(t, "POST", path+"/test", d.admin, "")
	if test.status != http.StatusAccepted || test.body["state"] != "pending" || test.body["event_type"] != "webhook.test" {
		t.Fatalf("test: %d %s", test.status, test.raw)
	}
	d.happen(t)
	if got := goodBodies(); len(got) != 2 {
		t.Fatalf("%d messages", len(got))
	}
	again := d.do(t, "POST", path+"/deliveries/"+test.body["id"].(string)+"/redeliver", d.admin, "")
	if again.status != http.StatusAccepted || again.body["state"] != "pending" || len(again.body["attempts"].([]any)) != 1 {
		t.Errorf("again: %d %s", again.status, again.raw)
	}
}

func TestMistakesWithWebhooksAreNamed(t *testing.T) {
	t.Parallel()
	d := open(t)
	path := d.hook(t, "https://example.org")
	for _, c := range []struct {
		name, method, path, token, body string
		status                          int
		code, field                     string
	}{
		{"http", "POST", hooksPath, d.admin, `{"url": "http://example.org", "events": ["*"]}`, 400, "invalid_field", "url"},
		{"an unknown type", "POST", hooksPath, d.admin, `{"url": "https://example.org", "events": ["x"]}`, 400, "invalid_field", "events[0]"},
		{"no events", "POST", hooksPath, d.admin, `{"url": "https://example.org", "events": []}`, 422, "invalid_request", "body.events"},
		{"an unknown member", "POST", hooksPath, d.admin, `{"url": "https://example.org", "events": ["*"], "secret": "x"}`, 422, "invalid_request", "body.secret"},
		{"a member's role", "POST", hooksPath, d.member, `{"url": "https://example.org", "events": ["*"]}`, 403, "forbidden", ""},
		{"a member's change", "PATCH", path, d.member, `{}`, 403, "forbidden", ""},
		{"another project", "GET", path, d.foreign, "", 404, "webhook_not_found", ""},
		{"another project's log", "GET", path + "/deliveries", d.foreign, "", 404, "webhook_not_found", ""},
		{"no id", "DELETE", hooksPath + "/x", d.admin, "", 404, "webhook_not_found", ""},
		{"no delivery", "GET", path + "/deliveries/x", d.admin, "", 404, "delivery_not_found", ""},
		{"an unknown delivery", "GET", path + "/deliveries/00000000000000000000000000000001", d.admin, "", 404, "delivery_not_found", ""},
		{"too many", "GET", path + "/deliveries?limit=101", d.admin, "", 422, "invalid_request", "query.limit"},
		{"no such state", "GET", path + "/deliveries?state=x", d.admin, "", 422, "invalid_request", "query.state"},
		{"behind nothing", "GET", path + "/deliveries?after=x", d.admin, "", 400, "invalid_field", "after"},
		{"behind what is gone", "GET", path + "/deliveries?after=00000000000000000000000000000001", d.admin, "", 400, "invalid_field", "after"},
	} {
		a := d.do(t, c.method, c.path, c.token, c.body)
		field := ""
		if faults, _ := a.body["errors"].([]any); len(faults) > 0 {
			field, _ = faults[0].(map[string]any)["field"].(string)
		}
		if a.status != c.status || a.body["code"] != c.code || field != c.field {
			t.Errorf("%s: %d %s", c.name, a.status, a.raw)
		}
	}
	d.do(t, "POST", path+"/disable", d.admin, "")
	if off := d.do(t, "POST", path+"/test", d.admin, ""); off.status != http.StatusConflict || off.body["code"] != "webhook_off" {
		t.Errorf("a test while it is off: %d %s", off.status, off.raw)
	}
}
