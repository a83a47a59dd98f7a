package landlock_test

import (
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/sandbox/guest"
	"github.com/reeve-ai/reeve/internal/sandbox/host"
	"github.com/reeve-ai/reeve/internal/sandbox/landlock"
	"github.com/reeve-ai/reeve/internal/sandbox/sandboxtest"
)

func TestMain(m *testing.M) {
	guest.RunIfAsked()
	goleak.VerifyTestMain(m)
}

// plainWeaker is what the second form does not promise.
func plainWeaker() []sandboxtest.Promise {
	weaker := []sandboxtest.Promise{sandboxtest.View, sandboxtest.Processes}
	if guest.LandlockABI() < 6 {
		weaker = append(weaker, sandboxtest.Guest)
	}
	if !host.CanShow() {
		weaker = append(weaker, sandboxtest.Mounts)
	}
	return weaker
}

// driver skips where the form cannot be had.
func driver(tb testing.TB, o host.Options, form landlock.Form) *landlock.Driver {
	tb.Helper()
	o.DataFolder = os.TempDir() // the tests' folders are below it, and it is theirs
	d := landlock.New(o, form)
	var s core.Sandbox
	s, err := d.Open(tb.Context(), core.SandboxSpec{Folder: filepath.Join(tb.TempDir(), "probe")})
	if err == nil {
		err = s.Close()
	}
	if core.CodeOf(err) == "sandbox_unavailable" {
		tb.Skipf("it does not work here: %v", err)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

func TestNamespaces(t *testing.T) {
	t.Parallel()
	sandboxtest.Run(t, driver(t, host.Options{}, landlock.Namespaces))
}

func TestNamespacesForAnOrdinaryUser(t *testing.T) {
	t.Parallel()
	if sandboxtest.AsOrdinaryUser(t) {
		sandboxtest.Run(t, driver(t, host.Options{}, landlock.Namespaces))
	}
}

func TestPlain(t *testing.T) {
	t.Parallel()
	sandboxtest.Run(t, driver(t, host.Options{}, landlock.Plain), plainWeaker()...)
}

func TestPlainWithoutControlGroups(t *testing.T) {
	t.Parallel()
	sandboxtest.Run(t, driver(t, host.Options{NoGroups: true}, landlock.Plain), plainWeaker()...)
}

func TestPlainForAnOrdinaryUser(t *testing.T) {
	t.Parallel()
	if sandboxtest.AsOrdinaryUser(t) {
		sandboxtest.Run(t, driver(t, host.Options{}, landlock.Plain), plainWeaker()...)
	}
}

func TestTheFirstFormThatWorksIsUsed(t *testing.T) {
	t.Parallel()
	namespaces := driver(t, host.Options{}, landlock.Namespaces)
	if got := namespaces.Form(); got != landlock.Namespaces {
		t.Errorf("form = %v", got)
	}
	d := driver(t, host.Options{}, landlock.Unknown)
	if got := d.Form(); got != landlock.Namespaces {
		t.Errorf("form = %v, want namespaces, which work here", got)
	}
}

func TestPlainNeedsAFolderThatItsUserCanReach(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only a server run by root has other users")
	}
	if guest.LandlockABI() == 0 {
		t.Skip("no Landlock here")
	}
	d := landlock.New(host.Options{}, landlock.Plain)
	folder := filepath.Join(t.TempDir(), "private")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := d.Open(t.Context(), core.SandboxSpec{Folder: filepath.Join(folder, "one")})
	if core.KindOf(err) != core.Unavailable || core.CodeOf(err) != "sandbox_unavailable" {
		t.Errorf("Open = %v, want Unavailable (sandbox_unavailable)", err)
	}
	if info, err := os.Stat(folder); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("a folder that is not the server's has changed: %v, %v", info.Mode(), err)
	}
}

func BenchmarkNamespaces(b *testing.B) {
	sandboxtest.Benchmark(b, driver(b, host.Options{}, landlock.Namespaces))
}

func BenchmarkPlain(b *testing.B) {
	sandboxtest.Benchmark(b, driver(b, host.Options{}, landlock.Plain))
}

func TestNothingOutlivesAKilledServer(t *testing.T) {
	t.Parallel()
	sandboxtest.RunKilledServer(t, driver(t, host.Options{}, landlock.Namespaces))
}

func TestNothingOutlivesAKilledServerPlain(t *testing.T) {
	t.Parallel()
	sandboxtest.RunKilledServer(t, driver(t, host.Options{}, landlock.Plain))
}
