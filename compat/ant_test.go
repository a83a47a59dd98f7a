package compat

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/reeve-ai/reeve/internal/app/apptest"
)

// antPath names the variable with the path of the `ant` command.
const antPath = "COMPAT_ANT"

// qoderModule is Qoder's client for Go.
const qoderModule = "github.com/QoderAI/qoder-cloud-agents-sdk-go"

// broughtAlong are the clients that whoever runs the suite has brought.
func broughtAlong(t *testing.T) []client {
	t.Helper()
	path := os.Getenv(antPath)
	if path == "" {
		return nil
	}
	out, err := exec.CommandContext(t.Context(), path, "--version").Output()
	if err != nil {
		t.Fatalf("%s=%s: %v", antPath, path, err)
	}
	words := strings.Fields(string(out))
	return []client{{
		name: "ant " + words[len(words)-1], guest: true,
		flows: func(t *testing.T, w *world) []flow { return runAnt(t, w, path) },
		worker: func(*testing.T) ([]string, []string) {
			return []string{path, "beta:worker", "poll", "--max-idle", "300ms"}, nil
		},
	}}
}

// qoder says whether the Go module proxy has Qoder's client.
func qoder(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "list", "-m", "-versions", qoderModule)
	cmd.Dir, cmd.Env = t.TempDir(), append(os.Environ(), "GOFLAGS=-mod=mod", "GO111MODULE=on")
	if out, err := cmd.Output(); err == nil {
		return "to be had: " + strings.TrimSpace(string(out)) + "; no flow drives it yet"
	}
	return "not available where this page was written"
}

// ant is the command line, with its address and key in its environment.
type ant struct {
	*world
	path string
}

var antFlows = []struct {
	name string
	run  func(t *testing.T, a *ant)
}{
	{"agents", antAgents},
	{"a stale version", antStaleVersion},
	{"environments", antEnvironments},
	{"sessions", antSessions},
	{"models", antModels},
	{"send, then stream", antTurn},
	{"files", antFiles},
	{"skills", antSkills},
	{"vaults", antVaults},
	{"memory stores", antMemoryStores},
	{"deployments", antDeployments},
}

func runAnt(t *testing.T, w *world, path string) []flow {
	a := &ant{w, path}
	var flows []flow
	for _, f := range antFlows {
		done := flow{Flow: f.name}
		if !t.Run(f.name, func(t *testing.T) { f.run(t, a) }) {
			done.Error = "see above"
		}
		flows = append(flows, done)
	}
	return flows
}

// raw runs one command and returns what it printed.
func (a *ant) raw(t *testing.T, args ...string) ([]byte, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, a.path, append([]string{"--base-url", a.proxy.URL, "--format", "jsonl", "--format-error", "json"}, args...)...)
	cmd.Env = append(clean(), a.environ()...)
	var problems bytes.Buffer
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("ant %s: %w: %s%s", strings.Join(args, " "), err, out, problems.Bytes())
	}
	return out, nil
}

// call runs one command that prints JSON, one object on a line.
func (a *ant) call(t *testing.T, args ...string) ([]map[string]any, error) {
	t.Helper()
	out, err := a.raw(t, args...)
	if err != nil {
		return nil, err
	}
	var answers []map[string]any
	for dec := json.NewDecoder(bytes.NewReader(out)); dec.More(); {
		var v map[string]any
		if err := dec.Decode(&v); err != nil {
			return nil, errors.Join(err, fmt.Errorf("ant %s printed %s", strings.Join(args, " "), out))
		}
		answers = append(answers, v)
	}
	return answers, nil
}

// do runs a command that has to succeed, and returns its one answer.
func (a *ant) do(t *testing.T, args ...string) map[string]any {
	t.Helper()
	answers, err := a.call(t, args...)
	if err != nil {
		t.Fatal(err)
	}
	if len(answers) != 1 {
		t.Fatalf("ant %s: %d answers", strings.Join(args, " "), len(answers))
	}
	return answers[0]
}

// ids runs a list command and returns the ids of what it lists.
func (a *ant) ids(t *testing.T, args ...string) []any {
	t.Helper()
	answers, err := a.call(t, args...)
	if err != nil {
		t.Fatal(err)
	}
	var ids []any
	for _, v := range answers {
		if data, isPage := v["data"].([]any); isPage {
			for _, d := range data {
				ids = append(ids, d.(map[string]any)["id"])
			}
			continue
		}
		ids = append(ids, v["id"])
	}
	return ids
}

func (a *ant) refused(t *testing.T, kind string, args ...string) {
	t.Helper()
	if _, err := a.call(t, args...); err == nil || !strings.Contains(err.Error(), kind) {
		t.Fatalf("want %s, got %v", kind, err)
	}
}

func (a *ant) agent(t *testing.T) string {
	t.Helper()
	return a.do(t, "beta:agents", "create", "--name", "Helper", "--model", "{id: "+apptest.Model+"}", "--system", "Be brief.", "--tool", "{type: agent_toolset_20260401}")["id"].(string)
}

func (a *ant) environment(t *testing.T) string {
	t.Helper()
	return a.do(t, "beta:environments", "create", "--name", "box")["id"].(string)
}

func (a *ant) session(t *testing.T, more ...string) string {
	t.Helper()
	return a.do(t, append([]string{"beta:sessions", "create", "--agent", a.agent(t), "--environment-id", a.environment(t)}, more...)...)["id"].(string)
}

func antAgents(t *testing.T, a *ant) {
	id := a.agent(t)
	equal(t, a.do(t, "beta:agents", "update", "--agent-id", id, "--version", "1", "--description", "Helps.")["version"], any(2.0))
	equal(t, a.do(t, "beta:agents", "retrieve", "--agent-id", id, "--version", "1")["description"], nil)
	equal(t, len(a.ids(t, "beta:agents:versions", "list", "--agent-id", id)), 2)
	holds(t, len(a.ids(t, "beta:agents", "list", "--limit", "1")) > 0, "no agents")
	holds(t, a.do(t, "beta:agents", "archive", "--agent-id", id)["archived_at"] != nil, id)
}

func antStaleVersion(t *testing.T, a *ant) {
	id := a.agent(t)
	a.do(t, "beta:agents", "update", "--agent-id", id, "--version", "1", "--name", "Second")
	before := len(a.proxy.paths("/v1/agents/" + id))
	a.refused(t, "conflict_error", "beta:agents", "update", "--agent-id", id, "--version", "1", "--name", "Third")
	equal(t, len(a.proxy.paths("/v1/agents/"+id))-before, 1)
}

func antEnvironments(t *testing.T, a *ant) {
	id := a.environment(t)
	equal(t, a.do(t, "beta:environments", "update", "--environment-id", id, "--name", "crate")["name"], any("crate"))
	equal(t, a.do(t, "beta:environments", "retrieve", "--environment-id", id)["name"], any("crate"))
	holds(t, len(a.ids(t, "beta:environments", "list")) > 0, "no environments")
	a.do(t, "beta:environments", "archive", "--environment-id", id)
	equal(t, a.do(t, "beta:environments", "delete", "--environment-id", id)["type"], any("environment_deleted"))
}

func antSessions(t *testing.T, a *ant) {
	id := a.session(t, "--title", "One")
	equal(t, a.do(t, "beta:sessions", "update", "--session-id", id, "--title", "Two")["title"], any("Two"))
	equal(t, a.do(t, "beta:sessions", "retrieve", "--session-id", id)["status"], any("idle"))
	holds(t, len(a.ids(t, "beta:sessions", "list")) > 0, "no sessions")
	equal(t, a.do(t, "beta:sessions", "archive", "--session-id", id)["status"], any("terminated"))
	equal(t, a.do(t, "beta:sessions", "delete", "--session-id", id)["type"], any("session_deleted"))
	a.refused(t, "not_found_error", "beta:sessions", "retrieve", "--session-id", id)
}

func antModels(t *testing.T, a *ant) {
	holds(t, len(a.ids(t, "beta:models", "list")) > 1, "no models")
	equal(t, a.do(t, "beta:models", "retrieve", "--model-id", apptest.Model)["id"], any(apptest.Model))
}

func antTurn(t *testing.T, a *ant) {
	id := a.session(t)
	a.do(t, "beta:sessions:events", "send", "--session-id", id, "--event", `{type: user.message, content: [{type: text, text: "Quick."}]}`)
	// The stream has no end of its own: the command leaves after so many events.
	seen, err := a.call(t, "beta:sessions:events", "stream", "--session-id", id, "--max-items", "6")
	if err != nil {
		t.Fatal(err)
	}
	said := ""
	for _, e := range seen {
		if e["type"] == "agent.message" {
			said = apptest.Event{Data: e}.Say()
		}
	}
	equal(t, said, "You said: Quick.")
	holds(t, len(a.ids(t, "beta:sessions:events", "list", "--session-id", id, "--max-items", "100")) > 5, "the log")
	equal(t, len(a.ids(t, "beta:sessions:threads", "list", "--session-id", id)), 1)
}

// keep writes a file for a command to send.
func keep(t *testing.T, path, text string) string {
	t.Helper()
	path = filepath.Join(t.TempDir(), path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func antFiles(t *testing.T, a *ant) {
	id := a.do(t, "beta:files", "upload", "--file", keep(t, "a.txt", "hello"))["id"].(string)
	equal(t, a.do(t, "beta:files", "retrieve-metadata", "--file-id", id)["size_bytes"], any(5.0))
	holds(t, len(a.ids(t, "beta:files", "list")) > 0, "no files")
	out := filepath.Join(t.TempDir(), "out")
	if _, err := a.raw(t, "beta:files", "download", "--file-id", id, "--output", out); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(out)
	if err != nil || string(text) != "hello" {
		t.Errorf("%q, %v", text, err)
	}
	equal(t, a.do(t, "beta:files", "delete", "--file-id", id)["type"], any("file_deleted"))
}

func antSkills(t *testing.T, a *ant) {
	var packed bytes.Buffer
	z := zip.NewWriter(&packed)
	f := must(z.Create("notes/SKILL.md"))(t)
	must(f.Write([]byte("---\nname: notes\ndescription: Writes notes.\n---\n")))(t)
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	id := a.do(t, "beta:skills", "create", "--display-title", "Notes", "--file", keep(t, "notes.zip", packed.String()))["id"].(string)
	equal(t, a.do(t, "beta:skills", "retrieve", "--skill-id", id)["display_title"], any("Notes"))
	holds(t, len(a.ids(t, "beta:skills", "list")) > 0, "no skills")
	holds(t, len(a.ids(t, "beta:skills:versions", "list", "--skill-id", id)) == 1, "versions")
	equal(t, a.do(t, "beta:skills", "delete", "--skill-id", id)["type"], any("skill_deleted"))
}

func antVaults(t *testing.T, a *ant) {
	id := a.do(t, "beta:vaults", "create", "--display-name", "Keys")["id"].(string)
	made := a.do(t, "beta:vaults:credentials", "create", "--vault-id", id, "--auth", "{type: static_bearer, mcp_server_url: https://tracker.example.com/mcp, token: secret}")["id"].(string)
	equal(t, a.do(t, "beta:vaults:credentials", "retrieve", "--vault-id", id, "--credential-id", made)["vault_id"], any(id))
	equal(t, a.ids(t, "beta:vaults:credentials", "list", "--vault-id", id), []any{made})
	holds(t, len(a.ids(t, "beta:vaults", "list")) > 0, "no vaults")
	equal(t, a.do(t, "beta:vaults", "delete", "--vault-id", id)["type"], any("vault_deleted"))
}

func antMemoryStores(t *testing.T, a *ant) {
	id := a.do(t, "beta:memory-stores", "create", "--name", "Facts")["id"].(string)
	memory := func(verb string, more ...string) []string {
		return append([]string{"beta:memory-stores:memories", verb, "--memory-store-id", id}, more...)
	}
	made := a.do(t, memory("create", "--path", "/a.md", "--content", "one")...)["id"].(string)
	a.do(t, memory("update", "--memory-id", made, "--content", "two", "--precondition", "{type: content_sha256, content_sha256: "+hash("one")+"}")...)
	a.refused(t, "memory_precondition_failed_error", memory("update", "--memory-id", made, "--content", "three", "--precondition", "{type: content_sha256, content_sha256: "+hash("one")+"}")...)
	equal(t, a.do(t, memory("retrieve", "--memory-id", made)...)["content"], any("two"))
	equal(t, a.ids(t, memory("list")...), []any{made})
	equal(t, len(a.ids(t, "beta:memory-stores:memory-versions", "list", "--memory-store-id", id)), 2)
	equal(t, a.do(t, "beta:memory-stores", "delete", "--memory-store-id", id)["type"], any("memory_store_deleted"))
}

func antDeployments(t *testing.T, a *ant) {
	made := a.do(t, "beta:deployments", "create", "--name", "Nightly", "--agent", a.agent(t), "--environment-id", a.environment(t),
		"--initial-event", `{type: user.message, content: [{type: text, text: "Good night."}]}`, "--schedule", "{type: cron, expression: 0 3 * * *, timezone: Europe/Oslo}")["id"].(string)
	run := a.do(t, "beta:deployments", "run", "--deployment-id", made)
	equal(t, a.do(t, "beta:deployment-runs", "retrieve", "--deployment-run-id", run["id"].(string))["session_id"], run["session_id"])
	equal(t, a.do(t, "beta:deployments", "pause", "--deployment-id", made)["status"], any("paused"))
	equal(t, a.do(t, "beta:deployments", "unpause", "--deployment-id", made)["status"], any("active"))
	equal(t, a.ids(t, "beta:deployment-runs", "list", "--deployment-id", made), []any{run["id"]})
	holds(t, len(a.ids(t, "beta:deployments", "list")) > 0, "no deployments")
	a.do(t, "beta:deployments", "archive", "--deployment-id", made)
}
