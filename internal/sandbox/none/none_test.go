package none_test

import (
	"os"
	"slices"
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

// weakerHere adds mounts to what is not promised where they cannot be made.
func weakerHere() []sandboxtest.Promise {
	if host.CanShow() {
		return weaker
	}
	return append(slices.Clone(weaker), sandboxtest.Mounts)
}

func TestPromises(t *testing.T) {
	t.Parallel()
	sandboxtest.Run(t, none.New(host.Options{}), weakerHere()...)
}

func TestPromisesWithoutControlGroups(t *testing.T) {
	t.Parallel()
	except := weakerHere()
	if os.Getuid() == 0 {
		except = append(except, sandboxtest.Counted)
	}
	sandboxtest.Run(t, none.New(host.Options{NoGroups: true}), except...)
}

func TestPromisesToAnOrdinaryUser(t *testing.T) {
	t.Parallel()
	if sandboxtest.AsOrdinaryUser(t) {
		sandboxtest.Run(t, none.New(host.Options{}), weakerHere()...)
	}
}

func BenchmarkSandbox(b *testing.B) { sandboxtest.Benchmark(b, none.New(host.Options{})) }

func TestNothingOutlivesAKilledServer(t *testing.T) {
	t.Parallel()
	sandboxtest.RunKilledServer(t, none.New(host.Options{}))
}
