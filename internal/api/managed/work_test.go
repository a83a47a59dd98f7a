package managed_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"
	"github.com/anthropics/anthropic-sdk-go/packages/param"

	"github.com/reeve-ai/reeve/internal/api/exchange"
	"github.com/reeve-ai/reeve/internal/app/apptest"
	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/identity"
)

// selfHosted makes a self-hosted environment and a key for its workers.
func (c client) selfHosted(t *testing.T) (env, key string) {
	t.Helper()
	env = c.must(t, "POST", "/environments", `{"name":"box","config":{"type":"self_hosted"}}`)["id"].(string)
	id, _ := core.ParseID[core.EnvironmentID](env)
	key, _, err := c.ids.CreateEnvironmentKey(t.Context(), c.admin, id, identity.NewEnvironmentKey{})
	if err != nil {
		t.Fatal(err)
	}
	return env, key
}

func TestRecordedExchangesOfWork(t *testing.T) {
	t.Parallel()
	for name, speak := range map[string]func(*server) client{"work_claude": claude, "work_qoder": qoder} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			c := speak(s)
			env, key := c.selfHosted(t)
			exchange.Run(t, s.URL, "testdata/"+name+".txtar", map[string]string{
				"token": s.token, "env": env, "key": key, "agent": c.agent(t, ""), "wrong": key[:len(key)-1] + "!",
			})
		})
	}
}

// workSecret reads the secret of an offered item.
func workSecret(t *testing.T, secret string) (token, base string) {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(secret)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]string
	unmarshal(t, string(raw), &m)
	return m["sessions_token"], m["api_base_url"]
}

// TestAWorkTokenServesItsItem: its session and nothing else, and not that either once the item is stopped.
func TestAWorkTokenServesItsItem(t *testing.T) {
	t.Parallel()
	for _, speak := range []func(*server) client{claude, qoder} {
		s := start(t)
		c := speak(s)
		bearer := func(token string) client {
			w := c.as(token)
			w.auth = func(h http.Header, token string) {
				h.Set("Authorization", "Bearer "+token)
				h.Set("Anthropic-Version", "2023-06-01")
			}
			return w
		}
		env, key := c.selfHosted(t)
		agent := c.agent(t, "")
		session := c.must(t, "POST", "/sessions", `{"agent":"`+agent+`","environment_id":"`+env+`"}`)["id"].(string)
		item := bearer(key).must(t, "GET", "/environments/"+env+"/work/poll", "")
		token, base := workSecret(t, item["secret"].(string))
		if want := s.URL + strings.TrimPrefix(c.base, "/v1"); base != want {
			t.Errorf("api_base_url = %q, want %q", base, want)
		}
		other := c.must(t, "POST", "/sessions", `{"agent":"`+agent+`","environment_id":"`+env+`"}`)["id"].(string)
		work := "/environments/" + env + "/work/" + item["id"].(string)
		w := bearer(token)
		w.must(t, "GET", "/sessions/"+session, "")
		w.must(t, "GET", "/sessions/"+session+"/events", "")
		w.watch(t, "/sessions/"+session+"/events/stream")
		for path, want := range map[string]int{
			"GET /sessions/" + other: 404, "GET /sessions/" + other + "/events": 404, "GET /sessions": 403, "GET /agents": 403, "GET /vaults": 403,
			"GET /environments/" + env: 403, "DELETE /sessions/" + session: 403, "POST " + work + "/ack": 403,
			"GET /environments/" + env + "/work/poll": 403, "POST /environments/" + env + "/work/work_0198c1d2000070008000000000000001/stop": 404,
		} {
			method, path, _ := strings.Cut(path, " ")
			if a := w.do(t, method, path, ""); a.status != want {
				t.Errorf("%s %s answered %d: %s", method, path, a.status, a.raw)
			}
		}
		bearer(key).must(t, "POST", work+"/ack", "")
		w.must(t, "POST", work+"/heartbeat?expected_last_heartbeat=NO_HEARTBEAT", "")
		w.must(t, "POST", work+"/stop", `{"force":true}`)
		if a := w.do(t, "POST", work+"/stop", `{"force":true}`); a.status != http.StatusConflict || a.header.Get("X-Should-Retry") != "false" {
			t.Errorf("stop again: %d %s", a.status, a.raw)
		}
		if a := w.do(t, "GET", "/sessions/"+session, ""); a.status != http.StatusNotFound {
			t.Errorf("the session, once the item is stopped: %d %s", a.status, a.raw)
		}
	}
}

func TestOfTwoCredentialsTheWorkersCounts(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := claude(s)
	env, key := c.selfHosted(t)
	session := c.must(t, "POST", "/sessions", `{"agent":"`+c.agent(t, "")+`","environment_id":"`+env+`"}`)["id"].(string)
	for path, want := range map[string]int{
		"/environments/" + env + "/work/poll": 200, "/sessions/" + session: 200, "/sessions": 403,
	} {
		if a := c.do(t, "GET", path, "", "Authorization", "Bearer "+key); a.status != want {
			t.Errorf("%s with an environment key besides: %d %s", path, a.status, a.raw)
		}
	}
	if a := c.do(t, "GET", "/environments/"+env+"/work/poll", "", "Authorization", "Bearer "+s.viewer); a.status != http.StatusForbidden {
		t.Errorf("a viewer's token in Authorization does not count: %d %s", a.status, a.raw)
	}
	if a := c.do(t, "GET", "/sessions", "", "Authorization", "Bearer "+s.viewer); a.status != http.StatusOK {
		t.Errorf("elsewhere: %d %s", a.status, a.raw)
	}
}

// TestOfficialSDKDrivesTheQueue: every method of the SDK's work service, with the key of the environment where
// its worker has one.
func TestOfficialSDKDrivesTheQueue(t *testing.T) {
	t.Parallel()
	srv := apptest.Start(t)
	client, _ := sdk(t, srv)
	ctx := t.Context()
	env, err := client.Beta.Environments.New(ctx, anthropic.BetaEnvironmentNewParams{
		Name: "box", Config: anthropic.BetaEnvironmentNewParamsConfigUnion{OfSelfHosted: &anthropic.BetaSelfHostedConfigParams{}},
	})
	if err != nil {
		t.Fatal(err)
	}
	key := srv.Must(t, "POST", "/reeve/v1/environments/"+env.ID+"/keys", map[string]any{})["key"].(string)
	as := []option.RequestOption{option.WithHeaderDel("X-Api-Key"), option.WithAuthToken(key)}
	work := client.Beta.Environments.Work
	poll := func() *anthropic.BetaSelfHostedWork {
		t.Helper()
		w, err := work.Poll(ctx, env.ID, anthropic.BetaEnvironmentWorkPollParams{BlockMs: anthropic.Int(999), AnthropicWorkerID: anthropic.String("w")}, as...)
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	if w := poll(); w != nil && w.ID != "" {
		t.Errorf("an empty queue gave %s", w.RawJSON())
	}
	agent, _ := parts(t, client)
	sess, err := client.Beta.Sessions.New(ctx, anthropic.BetaSessionNewParams{Agent: anthropic.BetaSessionNewParamsAgentUnion{OfString: anthropic.String(agent.ID)}, EnvironmentID: env.ID})
	if err != nil {
		t.Fatal(err)
	}
	w := poll()
	if w.Data.ID != sess.ID || w.State != anthropic.BetaSelfHostedWorkStateQueued || w.Secret == "" {
		t.Fatalf("work = %s", w.RawJSON())
	}
	if w, err = work.Ack(ctx, w.ID, anthropic.BetaEnvironmentWorkAckParams{EnvironmentID: env.ID}, as...); err != nil || w.State != anthropic.BetaSelfHostedWorkStateStarting {
		t.Fatalf("ack: %v, %v", w, err)
	}
	beat, err := work.Heartbeat(ctx, w.ID, anthropic.BetaEnvironmentWorkHeartbeatParams{EnvironmentID: env.ID, ExpectedLastHeartbeat: anthropic.String("NO_HEARTBEAT")}, as...)
	if err != nil || !beat.LeaseExtended || beat.TTLSeconds != 60 {
		t.Fatalf("heartbeat: %v, %v", beat, err)
	}
	if w, err = work.Update(ctx, w.ID, anthropic.BetaEnvironmentWorkUpdateParams{
		EnvironmentID: env.ID, BetaSelfHostedWorkUpdateRequest: anthropic.BetaSelfHostedWorkUpdateRequestParam{Metadata: map[string]string{"k": "v"}},
	}); err != nil || w.Metadata["k"] != "v" {
		t.Errorf("update: %v, %v", w, err)
	}
	got, err := work.Get(ctx, w.ID, anthropic.BetaEnvironmentWorkGetParams{EnvironmentID: env.ID})
	if err != nil || got.LatestHeartbeatAt != beat.LastHeartbeat || got.State != anthropic.BetaSelfHostedWorkStateActive || got.Secret != "" {
		t.Errorf("get: %v, %v", got, err)
	}
	list, err := work.List(ctx, env.ID, anthropic.BetaEnvironmentWorkListParams{Limit: anthropic.Int(1)})
	if err != nil || len(list.Data) != 1 || list.Data[0].RawJSON() != got.RawJSON() {
		t.Errorf("list: %v, %v", list, err)
	}
	stats, err := work.Stats(ctx, env.ID, anthropic.BetaEnvironmentWorkStatsParams{})
	if err != nil || stats.Depth != 0 || stats.Pending != 0 || stats.WorkersPolling != 1 || stats.JSON.OldestQueuedAt.Valid() {
		t.Errorf("stats: %v, %v", stats, err)
	}
	for i, want := range []anthropic.BetaSelfHostedWorkState{anthropic.BetaSelfHostedWorkStateStopping, anthropic.BetaSelfHostedWorkStateStopped} {
		w, err = work.Stop(ctx, w.ID, anthropic.BetaEnvironmentWorkStopParams{
			EnvironmentID: env.ID, BetaSelfHostedWorkStopRequest: anthropic.BetaSelfHostedWorkStopRequestParam{Force: param.NewOpt(i > 0)},
		}, as...)
		if err != nil || w.State != want {
			t.Fatalf("stop: %v, %v", w, err)
		}
	}
}
