package sandbox

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/reeve-ai/reeve/internal/core"
)

func TestMain(m *testing.M) {
	RunGuestIfAsked()
	goleak.VerifyTestMain(m)
}

func TestAutoChoosesADriverThatWorks(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	d, report, err := Select(t.Context(), ModeAuto, Options{DataFolder: data})
	if err != nil {
		t.Fatal(err)
	}
	if report.Driver == "" {
		t.Skip(report.Line)
	}
	if d.Name() != report.Driver || strings.ContainsRune(report.Line, '\n') || !strings.HasPrefix(report.Line, "sandbox: "+report.Driver) {
		t.Errorf("driver %s, report %+v", d.Name(), report)
	}
	if left, err := os.ReadDir(data); err != nil || len(left) != 0 {
		t.Errorf("the probe left %v in the data folder, %v", left, err)
	}
	s, err := d.Open(t.Context(), core.SandboxSpec{Folder: filepath.Join(data, "workspaces", "one")})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestNoneIsOnlyForThoseWhoAsk(t *testing.T) {
	t.Parallel()
	d, report, err := Select(t.Context(), ModeNone, Options{})
	if err != nil || d.Name() != ModeNone || len(report.Weaker) == 0 || !strings.Contains(report.Line, "all rights") {
		t.Errorf("Select(none) = %+v, %v", report, err)
	}
	_, _, err = Select(t.Context(), "nope", Options{})
	if core.KindOf(err) != core.Invalid || core.CodeOf(err) != "invalid_sandbox_mode" {
		t.Errorf("Select(nope) = %v", err)
	}
}

// A folder that cannot be made stands for a machine on which nothing works.
func TestWhereNothingWorksCommandsAreRefused(t *testing.T) {
	t.Parallel()
	o := Options{DataFolder: filepath.Join(t.TempDir(), "missing")}
	d, report, err := Select(t.Context(), ModeAuto, o)
	if err != nil || report.Driver != "" || d.Name() != "unavailable" {
		t.Fatalf("Select = %+v, %v", report, err)
	}
	for _, hint := range []string{"apt-get install bubblewrap", "--sandbox=none", "landlock: ", "bubblewrap: "} {
		if !strings.Contains(report.Line, hint) {
			t.Errorf("the line %q does not say %q", report.Line, hint)
		}
	}
	_, err = d.Open(t.Context(), core.SandboxSpec{Folder: t.TempDir()})
	if core.KindOf(err) != core.Unavailable || core.CodeOf(err) != "sandbox_unavailable" || !strings.Contains(err.Error(), "--sandbox=none") {
		t.Errorf("Open = %v", err)
	}
	for _, mode := range []string{ModeBubblewrap, ModeLandlock} {
		if _, _, err := Select(t.Context(), mode, o); core.KindOf(err) != core.Unavailable {
			t.Errorf("Select(%s) = %v, want Unavailable", mode, err)
		}
	}
}
