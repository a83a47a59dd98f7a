package archtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/reeve-ai/reeve/"

// rule says what the packages of a subtree may import of our own, besides their own subtree.
type rule struct {
	tree    string   // internal/store also means internal/store/storetest
	imports []string // subtrees; a name that ends in ! means that package alone
	why     string
}

// rules are tried in order: the first whose tree holds a package decides. Imports point inwards.
var rules = []rule{
	{"internal/core", nil, "core knows the standard library only"},
	{"internal/client", nil, "the client talks to any server over HTTP"},
	{"internal/config", nil, "the configuration is plain values"},

	{"internal/blob", []string{"internal/core"}, "adapters know core only"},
	{"internal/bus", []string{"internal/core"}, "adapters know core only"},
	{"internal/egress", []string{"internal/core"}, "adapters know core only"},
	{"internal/store", []string{"internal/core"}, "adapters know core only"},
	{"internal/provider", []string{"internal/core", "internal/egress"}, "adapters know core only"},
	{"internal/tool", []string{"internal/core", "internal/egress"}, "adapters know core only"},
	{"internal/sandbox", []string{"internal/core", "internal/egress"}, "adapters know core only"},

	{"internal/identity", []string{"internal/core"}, "a service imports core and declares what else it needs"},
	{"internal/catalog", []string{"internal/core"}, "a service imports core and declares what else it needs"},
	{"internal/file", []string{"internal/core"}, "a service imports core and declares what else it needs"},
	{"internal/skill", []string{"internal/core"}, "a service imports core and declares what else it needs"},
	{"internal/memory", []string{"internal/core"}, "a service imports core and declares what else it needs"},
	{"internal/thread", []string{"internal/core"}, "the states of threads, for the two services that change them"},
	{"internal/session", []string{"internal/core", "internal/thread"}, "a service imports core and declares what else it needs"},
	{"internal/observe", []string{"internal/core"}, "a service imports core and declares what else it needs"},
	{"internal/vault", []string{"internal/core"}, "a service imports core and declares what else it needs"},
	{"internal/deployment", []string{"internal/core"}, "a service imports core and declares what else it needs"},
	{"internal/turnstile", nil, "it knows keys, and nothing of what is done under them"},
	{"internal/workspace", []string{"internal/core", "internal/blob", "internal/egress", "internal/turnstile"}, "lays out sandboxes: what it brings comes through core's ports"},
	{"internal/webhook", []string{"internal/core"}, "a service imports core and declares what else it needs"},
	{"internal/environment", []string{"internal/core", "internal/egress", "internal/turnstile"}, "what recipes give to sandboxes: the sandboxes come through core's ports"},
	{"internal/work", []string{"internal/core"}, "a service imports core and declares what else it needs"},
	{"internal/turn", []string{"internal/core", "internal/thread"}, "a service imports core and declares what else it needs"},

	{"internal/api/httpio", []string{"internal/core"}, "what every face needs is no face"},
	{"internal/api/exchange", []string{"internal/core"}, "recorded exchanges know no face"},
	{"internal/api/managed", face, "a face translates and calls services"},
	{"internal/api/everruns", face, "a face translates and calls services"},
	{"internal/api/reeve", face, "a face translates and calls services"},
	{"internal/api/otas", face, "a face translates and calls services"},

	{"internal/app", []string{"internal"}, "app knows everybody, but for the command line"},
	{"internal/cli", []string{"internal/app!", "internal/client", "internal/config", "internal/core", "internal/identity", "internal/store!", "internal/provider/fake"}, "commands go through app, or over HTTP"},
	{"cmd/reeve", []string{"internal/cli", "internal/sandbox!"}, "main starts the guest or the command line"},
	{"internal/archtest", nil, "tests only"},
	{"compat", nil, "tests only"},
}

var face = []string{"internal/core", "internal/identity", "internal/catalog", "internal/file", "internal/skill", "internal/memory", "internal/session", "internal/observe", "internal/vault", "internal/work", "internal/deployment", "internal/webhook", "internal/api/httpio"}

// testOnly are packages that only tests may import.
var testOnly = []string{
	"internal/api/exchange", "internal/app/apptest", "internal/archtest", "internal/provider/fake",
	"internal/provider/providertest", "internal/sandbox/sandboxtest", "internal/store/pgtest", "internal/store/storetest", "internal/tool/mcp/mcptest",
}

// mayUseFake are the exceptions to testOnly: the benchmark's instant model, and test packages.
func mayUseFake(path string) bool {
	return path == "internal/cli" || slices.ContainsFunc(testOnly, func(t string) bool { return within(path, t) })
}

func within(path, tree string) bool {
	if exact, ok := strings.CutSuffix(tree, "!"); ok {
		return path == exact
	}
	return path == tree || strings.HasPrefix(path, tree+"/")
}

type listed struct {
	ImportPath string
	Imports    []string // of production code; tests may import more
	Deps       []string
	Standard   bool
}

// list runs go list at the module's root.
func list(t *testing.T, args ...string) []listed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-json=ImportPath,Imports,Deps,Standard"}, args...)...)
	cmd.Dir = "../.."
	var problems bytes.Buffer
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %q: %v\n%s", args, err, problems.String())
	}
	var all []listed
	dec := json.NewDecoder(bytes.NewReader(out))
	for {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func TestImportsPointInwards(t *testing.T) {
	t.Parallel()
	packages := list(t, "./...")
	if len(packages) < 10 {
		t.Fatalf("go list found only %d packages", len(packages))
	}
	for _, p := range packages {
		path := strings.TrimPrefix(p.ImportPath, module)
		i := slices.IndexFunc(rules, func(r rule) bool { return within(path, r.tree) })
		if i < 0 {
			t.Errorf("%s has no place in the architecture: add a rule for it here, and a line to docs/architecture.md", path)
			continue
		}
		for _, imported := range p.Imports {
			own, ours := strings.CutPrefix(imported, module)
			if !ours {
				if rules[i].tree == "internal/core" && strings.Contains(imported, ".") {
					t.Errorf("%s imports %s: %s", path, imported, rules[i].why)
				}
				continue
			}
			if slices.ContainsFunc(testOnly, func(t string) bool { return within(own, t) }) && !mayUseFake(path) {
				t.Errorf("%s imports %s: production code imports no test package", path, own)
			}
			allowed := within(own, rules[i].tree) || slices.ContainsFunc(rules[i].imports, func(tree string) bool { return within(own, tree) })
			if rules[i].tree == "internal/app" && within(own, "internal/cli") {
				allowed = false
			}
			if !allowed {
				t.Errorf("%s imports %s: %s", path, own, rules[i].why)
			}
		}
	}
}

// gRPC adds 23 MB to the binary, and nothing that Reeve does needs it.
func TestNoGRPCIsLinked(t *testing.T) {
	t.Parallel()
	packages := list(t, "./cmd/reeve")
	if len(packages) != 1 || len(packages[0].Deps) < 100 {
		t.Fatalf("go list did not resolve ./cmd/reeve: %d packages", len(packages))
	}
	for _, dep := range packages[0].Deps {
		if within(dep, "google.golang.org/grpc") {
			t.Errorf("the binary links %s", dep)
		}
	}
}

// A program that runs a template calls methods by names that the linker does not know, so it keeps every
// exported method of every type that is linked: 10 MB of vendors' SDKs that nothing calls.
func TestNoTemplateIsLinked(t *testing.T) {
	t.Parallel()
	for _, pkg := range list(t, "./...") {
		for _, imported := range pkg.Imports {
			if imported == "text/template" || imported == "html/template" {
				t.Errorf("%s imports %s", pkg.ImportPath, imported)
			}
		}
	}
}
