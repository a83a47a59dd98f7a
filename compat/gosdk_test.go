package compat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"
	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/app/apptest"
)

// gosdk is the official client for Go, as anybody makes it: with its address and key alone.
type gosdk struct {
	anthropic.Client
	w *world
}

// goFlows are the flows with the client for Go, in the order of the page.
var goFlows = []struct {
	name string
	run  func(t *testing.T, g *gosdk)
}{
	{"agents", goAgents},
	{"a stale version", goStaleVersion},
	{"lists while others insert", goLists},
	{"environments", goEnvironments},
	{"sessions", goSessions},
	{"models", goModels},
	{"errors", goErrors},
	{"send, then stream", goSendThenStream},
	{"stream, then send", goStreamThenSend},
	{"a custom tool", goCustomTool},
	{"always_ask", goAlwaysAsk},
	{"interrupt", goInterrupt},
	{"more than 1,000 events", goManyEvents},
	{"reconnect in mid-stream", goReconnect},
	{"files", goFiles},
	{"skills", goSkills},
	{"vaults", goVaults},
	{"memory stores", goMemoryStores},
	{"deployments", goDeployments},
	{"the work queue", goWorkQueue},
	{"teams", goTeams},
	{"session resources", goSessionResources},
	{"budgets", goBudgets},
	{"outcomes", goOutcomes},
	{"an agent with skills", goSkilledAgent},
	{"webhooks", goWebhooks},
}

func runGo(t *testing.T, w *world) []flow {
	g := &gosdk{anthropic.NewClient(option.WithBaseURL(w.proxy.URL), option.WithAPIKey(w.Token)), w}
	var flows []flow
	for _, f := range slices.Concat(goFlows, goExamples) {
		done := flow{Flow: f.name}
		if !t.Run(f.name, func(t *testing.T) { f.run(t, g) }) {
			done.Error = "see above"
		}
		flows = append(flows, done)
	}
	return flows
}

// from makes a client's parameters from what they are on the wire: the client's own types write them again.
func from[T any](t *testing.T, text string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

// must is the answer of a call that has to succeed.
func must[T any](answer T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
}

func equal[T any](t *testing.T, got, want T) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Fatalf("(-want +got):\n%s", d)
	}
}

func holds(t *testing.T, claim bool, about any) {
	t.Helper()
	if !claim {
		t.Fatalf("it does not hold: %v", about)
	}
}

// refused wants an error of the client with this status and type.
func refused(t *testing.T, err error, status int, kind string) {
	t.Helper()
	var e *anthropic.Error
	if !errors.As(err, &e) || e.StatusCode != status || string(e.Type()) != kind || !strings.HasPrefix(e.RequestID, "req_") {
		t.Fatalf("want %d %s, got %v", status, kind, err)
	}
}

// pager is what every list of the client is.
type pager[T any] interface {
	Next() bool
	Current() T
	Err() error
}

func all[T, K any](t *testing.T, list pager[T], key func(T) K) []K {
	t.Helper()
	keys := []K{}
	for list.Next() {
		keys = append(keys, key(list.Current()))
	}
	if err := list.Err(); err != nil {
		t.Fatal(err)
	}
	return keys
}

func content(res *http.Response, err error) func(t *testing.T) string {
	return func(t *testing.T) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		raw, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
}

// ask reaches the suite itself.
func (g *gosdk) ask(ctx context.Context, t *testing.T, method, path string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, g.w.proxy.URL+control+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return content(http.DefaultClient.Do(req))(t)
}

func (g *gosdk) newAgent(t *testing.T, more string) *anthropic.BetaManagedAgentsAgent {
	t.Helper()
	text := `{"name":"Helper","model":{"id":"` + apptest.Model + `"},"system":"Be brief.","tools":[{"type":"agent_toolset_20260401"}]}`
	params := from[anthropic.BetaAgentNewParams](t, text)
	if more != "" {
		over := from[map[string]json.RawMessage](t, text)
		for k, v := range from[map[string]json.RawMessage](t, more) {
			over[k] = v
		}
		raw, err := json.Marshal(over)
		if err != nil {
			t.Fatal(err)
		}
		params = from[anthropic.BetaAgentNewParams](t, string(raw))
	}
	return must(g.Beta.Agents.New(t.Context(), params))(t)
}

func (g *gosdk) newEnvironment(t *testing.T, config string) string {
	t.Helper()
	text := `{"name":"box"}`
	if config != "" {
		text = `{"name":"box","config":` + config + `}`
	}
	return must(g.Beta.Environments.New(t.Context(), from[anthropic.BetaEnvironmentNewParams](t, text)))(t).ID
}

// newSession makes a session of a new agent with these tools, as JSON; empty: the whole toolset.
func (g *gosdk) newSession(t *testing.T, tools string) string {
	t.Helper()
	more := ""
	if tools != "" {
		more = `{"tools":` + tools + `}`
	}
	return must(g.Beta.Sessions.New(t.Context(), anthropic.BetaSessionNewParams{
		Agent: anthropic.BetaSessionNewParamsAgentUnion{OfString: anthropic.String(g.newAgent(t, more).ID)}, EnvironmentID: g.newEnvironment(t, ""),
	}))(t).ID
}

// sent are the events of a message.
func sent(text string) string {
	raw, err := json.Marshal(text)
	if err != nil {
		panic(err) // a string can always be marshalled
	}
	return fmt.Sprintf(`{"type":"user.message","content":[{"type":"text","text":%s}]}`, raw)
}

func (g *gosdk) send(t *testing.T, session string, events ...string) error {
	t.Helper()
	params := from[anthropic.BetaSessionEventSendParams](t, `{"events":[`+strings.Join(events, ",")+`]}`)
	_, err := g.Beta.Sessions.Events.Send(t.Context(), session, params)
	return err
}
