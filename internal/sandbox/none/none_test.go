package none_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/reeve-ai/reeve/internal/sandbox/guest"
	"github.com/reeve-ai/reeve/internal/sandbox/host"
	"github.com/reeve-ai/reeve/internal/sandbox/none"
	"github.com/reeve-ai/reeve/internal/sandbox/sandboxtest"
)

func TestMain(m *testing.M) {
	guest.RunIfAsked()
	goleak.VerifyTestMain(m)
}

var weaker = []sandboxtest.Promise{sandboxtest.HostFiles, sandboxtest.View, sandboxtest.Processes, sandboxtest.Network, sandboxtest.Guest, sandboxtest.Filter}

func TestPromises(t *testing.T) {
	t.Parallel()
	sandboxtest.Run(t, none.New(host.Options{}), weaker...)
}

func TestPromisesWithoutControlGroups(t *testing.T) {
	t.Parallel()
	except := weaker
	if os.Getuid() == 0 {
		except = append(except, sandboxtest.Counted)
	}
	sandboxtest.Run(t, none.New(host.Options{NoGroups: true}), except...)
}

func TestPromisesToAnOrdinaryUser(t *testing.T) {
	t.Parallel()
	if sandboxtest.AsOrdinaryUser(t) {
		sandboxtest.Run(t, none.New(host.Options{}), weaker...)
	}
}

func BenchmarkSandbox(b *testing.B) { sandboxtest.Benchmark(b, none.New(host.Options{})) }

func TestNothingOutlivesAKilledServer(t *testing.T) {
	t.Parallel()
	sandboxtest.RunKilledServer(t, none.New(host.Options{}))
}
