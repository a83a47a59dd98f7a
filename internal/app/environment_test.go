package app_test

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/app"
	"github.com/reeve-ai/reeve/internal/app/apptest"
	"github.com/reeve-ai/reeve/internal/config"
	"github.com/reeve-ai/reeve/internal/provider/fake"
)

// withNetwork lets sandboxes reach loopback.
func withNetwork(c *config.Config) {
	c.Sandbox.Network, c.Sandbox.AllowPrivate = config.NetworkOn, []string{"127.0.0.0/8"}
}

// isolated skips where sandboxes have no namespaces, and so no way out that could be watched.
func isolated(t *testing.T, srv *apptest.Server) {
	t.Helper()
	for _, notice := range srv.App.Notices() {
		if strings.HasPrefix(notice, "sandbox: ") {
			if !strings.HasPrefix(notice, "sandbox: bubblewrap") && !strings.Contains(notice, "in namespaces of its own") {
				t.Skip(notice)
			}
			return
		}
	}
}

// keysOf serves on an address of loopback and remembers the keys that it was sent.
func keysOf(t *testing.T, ip string) (url string, keys func() []string) {
	t.Helper()
	var mu sync.Mutex
	var got []string
	listener, err := net.Listen("tcp4", ip+":0")
	if err != nil {
		t.Skipf("no %s here: %v", ip, err)
	}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, r.Header.Get("X-Key"))
		_, _ = fmt.Fprintf(w, "the key is %s\n", r.Header.Get("X-Key"))
	}))
	_ = srv.Listener.Close()
	srv.Listener = listener
	srv.Start()
	t.Cleanup(srv.Close)
	return srv.URL, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return append([]string{}, got...)
	}
}

// scripted makes an environment by the dialect that knows setup scripts.
func scripted(t *testing.T, srv *apptest.Server, config object) any {
	t.Helper()
	a := srv.Do(t, http.MethodPost, "/api/v1/cloud/environments", object{"name": "box", "config": config}, "Authorization", "Bearer "+srv.Token)
	if a.Status != http.StatusCreated {
		t.Fatalf("make an environment: %d %s", a.Status, a.Raw)
	}
	return a.Body["id"]
}

func TestSandboxUsesASecretThatItNeverSees(t *testing.T) {
	t.Parallel()
	good, keys := keysOf(t, "127.0.0.2")
	bad, none := keysOf(t, "127.0.0.3")
	var log lines
	srv := apptest.StartWith(t, fake.New(
		fake.CallTool("bash", `{"command":"curl -sS -H \"X-Key: $API_KEY\" `+good+`; env | grep -c [c]anary-; cat greeting"}`),
		fake.CallTool("bash", `{"command":"curl -sS -H \"X-Key: $API_KEY\" `+bad+`"}`),
		fake.Say("Done."),
		fake.CallTool("bash", `{"command":"true"}`), fake.Say("Again.")),
		apptest.WithConfig(withNetwork), apptest.WithOptions(func(o *app.Options) { o.Log = slog.New(slog.NewTextHandler(&log, nil)) }))
	isolated(t, srv)
	vault := srv.Must(t, http.MethodPost, "/v1/vaults", object{"display_name": "keys"})["id"].(string)
	secret := func(name, host string) string {
		return srv.Must(t, http.MethodPost, "/v1/vaults/"+vault+"/credentials", object{"auth": object{
			"type": "environment_variable", "secret_name": name, "secret_value": "canary-" + name, "networking": object{"type": "limited", "allowed_hosts": []any{host}},
		}})["id"].(string)
	}
	secret("API_KEY", "127.0.0.2")
	lost := secret("LOST_KEY", "127.0.0.3")
	env := scripted(t, srv, object{
		"type": "cloud", "networking": object{"type": "limited", "allowed_hosts": []any{"127.0.0.2"}}, "setup_script": "echo hello >greeting",
	})
	sess := srv.Reopen(t, srv.Must(t, http.MethodPost, "/v1/sessions", object{
		"agent": srv.NewAgent(t, nil), "environment_id": env, "vault_ids": []any{vault},
	})["id"].(string))
	sess.Send(t, "Go.")
	events := sess.UntilIdle(t)
	results := apptest.Find(events, "agent.tool_result")
	if len(results) != 2 {
		t.Fatalf("events = %q", apptest.Types(events))
	}
	if said := results[0].Say(); !strings.HasPrefix(said, "the key is reevesecret") || !strings.HasSuffix(strings.TrimSpace(said), "0\nhello") {
		t.Errorf("the sandbox saw %q", said)
	}
	if said := results[1].Say(); !strings.Contains(said, "127.0.0.3 is not among the hosts that it allows") {
		t.Errorf("the agent was told %q", said)
	}
	if d := cmp.Diff([]string{"canary-API_KEY"}, keys()); d != "" || len(none()) != 0 {
		t.Errorf("the hosts got %q and %q", keys(), none())
	}
	got := fault(t, events) // one for both uses of the sandbox
	want := map[string]any{
		"type": "credential_host_unreachable_error", "credential_id": lost, "vault_id": vault, "retry_status": map[string]any{"type": "retrying"},
		"message": "The credential for LOST_KEY cannot be used with 127.0.0.3: the environment does not let that host through.",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("session.error (-want +got):\n%s", d)
	}
	sess.Send(t, "And again.")
	fault(t, sess.UntilIdle(t)) // the next turn tells it anew
	told := log.String() + fmt.Sprint(srv.Fake.Requests())
	for _, e := range sess.Log(t) {
		told += fmt.Sprint(e.Data)
	}
	if strings.Contains(told, "canary-") {
		t.Error("a secret is in the log, in an event, or was shown to the model")
	}
}

func TestSetupThatFailsIsToldAndAnswered(t *testing.T) {
	t.Parallel()
	srv := apptest.StartWith(t, fake.New(
		fake.CallTool("bash", `{"command":"echo one"}`), fake.CallTool("bash", `{"command":"echo two"}`), fake.Say("It does not work.")))
	isolated(t, srv)
	env := scripted(t, srv, object{"type": "cloud", "setup_script": "echo no compiler; exit 4"})
	sess := srv.Reopen(t, srv.Must(t, http.MethodPost, "/v1/sessions", object{"agent": srv.NewAgent(t, nil), "environment_id": env})["id"].(string))
	sess.Send(t, "Go.")
	events := sess.UntilIdle(t)
	const says = "the environment's setup script failed with exit code 4; its output ends with:\nno compiler"
	if got := fault(t, events); got["type"] != "unknown_error" || got["message"] != "The sandbox is not ready: "+says {
		t.Errorf("error = %v", got)
	}
	results := apptest.Find(events, "agent.tool_result")
	for _, r := range results {
		if r.Say() != says+"." || r.Data["is_error"] != true {
			t.Errorf("result = %v", r.Data)
		}
	}
	if len(results) != 2 {
		t.Errorf("events = %q", apptest.Types(events))
	}
}

func TestAPTPackagesAreRefusedWhenASessionIsMade(t *testing.T) {
	t.Parallel()
	srv := apptest.Start(t)
	env := srv.Must(t, http.MethodPost, "/v1/environments", object{"name": "box", "config": object{"type": "cloud", "packages": object{"apt": []any{"hello"}, "pip": []any{"demo"}}}})["id"]
	a := srv.Do(t, http.MethodPost, "/v1/sessions", object{"agent": srv.NewAgent(t, nil), "environment_id": env})
	if a.Status != http.StatusBadRequest || !strings.Contains(string(a.Raw), "environment_id: it lists apt packages, which only root can install") {
		t.Errorf("answer = %d %s", a.Status, a.Raw)
	}
}
