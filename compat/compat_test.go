// Package compat runs the official clients, unchanged, against the real server, and writes down what works:
// docs/compatibility.md. See README.md.
package compat

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/reeve-ai/reeve/internal/sandbox"
)

func TestMain(m *testing.M) {
	sandbox.RunGuestIfAsked() // this binary is the guest of the sandboxes that apptest opens
	runWorkerIfAsked()
	goleak.VerifyTestMain(m, goleak.Cleanup(func(int) { http.DefaultClient.CloseIdleConnections() }))
}

// patience is how long one client may take for all of its flows. It is a deadline, not a delay.
const patience = 4 * time.Minute

// client is an official client at one version.
type client struct {
	name string // heads its column
	// flows runs all flows against w and reports them.
	flows func(t *testing.T, w *world) []flow
	// guest is a client that has to be brought: it need not be there, and need not run every flow.
	guest bool
	// worker is the command of the client's own worker for self-hosted environments, and what it needs besides
	// what each worker is given. Nil: it has none.
	worker func(t *testing.T) (command, environ []string)
}

// script runs a program that drives a client and prints its flows, one JSON object on a line.
func script(t *testing.T, w *world, environ []string, command ...string) []flow {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = append(clean(), w.environ(environ...)...)
	var problems bytes.Buffer
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("%s: %v\n%s", filepath.Base(command[0]), err, problems.Bytes())
	}
	var flows []flow
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		var f flow
		if err := json.Unmarshal(lines.Bytes(), &f); err != nil {
			t.Errorf("a line that is no flow: %s", lines.Bytes())
			continue
		}
		flows = append(flows, f)
	}
	return flows
}

// clean is the environment without what would change a client: its own variables, and proxies.
func clean() []string {
	var kept []string
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "LANG"} {
		if v, ok := os.LookupEnv(name); ok {
			kept = append(kept, name+"="+v)
		}
	}
	return kept
}

// absolute is for workers, which work in folders of their own.
func absolute(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func node(t *testing.T, sdk string) client {
	setup := func(t *testing.T) (string, []string) {
		modules := installed(t, "node", []string{"node/package.json", "node/package-lock.json"}, tool(t, "npm"), "ci", "--ignore-scripts", "--no-audit", "--no-fund")
		return tool(t, "node"), []string{"SUITE_MODULES=" + modules, "SUITE_SDK=" + sdk}
	}
	return client{
		name: "Node " + version(t, "node/package.json", sdk+`": "npm:@anthropic-ai/sdk@([^"]+)`),
		flows: func(t *testing.T, w *world) []flow {
			program, environ := setup(t)
			return script(t, w, environ, program, "node/flows.mjs")
		},
		worker: func(t *testing.T) ([]string, []string) {
			program, environ := setup(t)
			return []string{program, absolute(t, "node/worker.mjs")}, environ
		},
	}
}

func python(t *testing.T, requirements string) client {
	setup := func(t *testing.T) (string, []string) {
		program := tool(t, "python3")
		packages := installed(t, "python", []string{"python/" + requirements},
			program, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--root-user-action=ignore", "--target", ".", "-r", requirements)
		return program, []string{"PYTHONPATH=" + packages, "PYTHONDONTWRITEBYTECODE=1"}
	}
	return client{
		name: "Python " + version(t, "python/"+requirements, `anthropic==(\S+)`),
		flows: func(t *testing.T, w *world) []flow {
			program, environ := setup(t)
			return script(t, w, environ, program, "python/flows.py")
		},
		worker: func(t *testing.T) ([]string, []string) {
			program, environ := setup(t)
			return []string{program, absolute(t, "python/worker.py")}, environ
		},
	}
}

func golang(t *testing.T) client {
	return client{
		name:  "Go " + version(t, "../go.mod", `anthropic-sdk-go v(\S+)`),
		flows: runGo,
		worker: func(t *testing.T) ([]string, []string) {
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			return []string{self}, []string{asWorker + "=1"}
		},
	}
}

// version finds what a file says is installed.
func version(t *testing.T, file, pattern string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(pattern).FindSubmatch(text)
	if found == nil {
		t.Fatalf("%s names no %s", file, pattern)
	}
	return string(found[1])
}

// clients are the columns of the page.
func clients(t *testing.T) []client {
	return []client{golang(t), node(t, "sdk-0"), node(t, "sdk-1"), python(t, "requirements-0.txt"), python(t, "requirements-2.txt")}
}

var update = flag.Bool("update", false, "write docs/compatibility.md from this run")

// TestOfficialClientsWorkUnchanged runs all flows of all clients, and compares what they show with the page.
func TestOfficialClientsWorkUnchanged(t *testing.T) {
	t.Parallel()
	hosts, brought := clients(t), broughtAlong(t)
	var mu sync.Mutex
	outcomes := map[string]outcome{}
	t.Run("clients", func(t *testing.T) { // ends when all of them have
		for _, c := range slices.Concat(hosts, brought) {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				o := c.run(t)
				mu.Lock()
				defer mu.Unlock()
				outcomes[c.name] = o
			})
		}
	})
	if t.Failed() {
		return // a page about a run that failed says nothing
	}
	if len(outcomes) != len(hosts)+len(brought) {
		t.Skip("not all clients ran: the page is about all of them")
	}
	committed, err := os.ReadFile(page)
	if err != nil && !*update {
		t.Fatal(err)
	}
	got, about := write(hosts, outcomes), ""
	if _, there, found := strings.Cut(string(committed), guestsHeading); found {
		about = guestsHeading + there // as the last run that had them left it
	}
	if len(brought) > 0 || about == "" {
		about = guests(brought, outcomes, qoder(t))
	}
	got += about
	if *update {
		if err := os.WriteFile(page, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if d := cmp.Diff(string(committed), got); d != "" {
		t.Errorf("%s is not what this run shows; `make compat` writes it anew (-page +run):\n%s", page, d)
	}
}

// run runs all flows of a client on a server of its own.
func (c client) run(t *testing.T) outcome {
	w := start(t)
	flows := c.flows(t, w)
	if c.worker != nil {
		flows = append(flows, c.runWorkers(t, w)...)
	}
	o := outcome{flows: map[string]bool{}, endpoints: w.proxy.worked()}
	for _, f := range flows {
		if f.Error != "" {
			t.Errorf("%s", f)
		}
		o.flows[f.Flow] = true
	}
	for _, f := range goFlows { // those that every client has
		if !o.flows[f.name] && !c.guest {
			t.Errorf("the flow %q did not run", f.name)
		}
	}
	for _, b := range w.proxy.broken() {
		t.Errorf("no client should meet this: %s", b)
	}
	return o
}
