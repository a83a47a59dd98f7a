package bubblewrap_test

import (
	"testing"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/sandbox/bubblewrap"
	"github.com/reeve-ai/reeve/internal/sandbox/guest"
	"github.com/reeve-ai/reeve/internal/sandbox/host"
	"github.com/reeve-ai/reeve/internal/sandbox/sandboxtest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	guest.RunIfAsked()
	goleak.VerifyTestMain(m)
}

// driver skips where bwrap is not installed or may not make namespaces.
func driver(tb testing.TB, o host.Options) *bubblewrap.Driver {
	tb.Helper()
	d, err := bubblewrap.New(o)
	if err == nil {
		var s core.Sandbox
		if s, err = d.Open(tb.Context(), core.SandboxSpec{Folder: tb.TempDir() + "/probe"}); err == nil {
			err = s.Close()
		}
	}
	if core.CodeOf(err) == "sandbox_unavailable" {
		tb.Skipf("bubblewrap does not work here: %v", err)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

func TestPromises(t *testing.T) {
	t.Parallel()
	sandboxtest.Run(t, driver(t, host.Options{}))
}

func TestPromisesWithoutControlGroups(t *testing.T) {
	t.Parallel()
	sandboxtest.Run(t, driver(t, host.Options{NoGroups: true}))
}

func TestPromisesToAnOrdinaryUser(t *testing.T) {
	t.Parallel()
	if sandboxtest.AsOrdinaryUser(t) {
		sandboxtest.Run(t, driver(t, host.Options{}))
	}
}

func BenchmarkSandbox(b *testing.B) { sandboxtest.Benchmark(b, driver(b, host.Options{})) }

func TestNothingOutlivesAKilledServer(t *testing.T) {
	t.Parallel()
	sandboxtest.RunKilledServer(t, driver(t, host.Options{}))
}
