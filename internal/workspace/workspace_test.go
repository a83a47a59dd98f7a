package workspace_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/workspace"
)

// part says what was asked of it.
type part struct {
	name   string
	wanted bool
	fails  error
	calls  *[]string
	inside chan struct{} // capacity 1: who is inside Open or Settle; nil: nobody looks
}

func (p part) Name() string             { return p.name }
func (p part) Wanted(core.Session) bool { return p.wanted }

func (p part) Open(_ context.Context, _ core.Session, folder, _ string) ([]core.Mount, error) {
	p.enter()
	if err := os.WriteFile(filepath.Join(folder, "brought"), nil, 0o600); err != nil {
		return nil, err
	}
	return []core.Mount{{Host: folder, Path: "/mnt/" + p.name}}, p.fails
}

func (p part) Brief(context.Context, core.Session) (string, error) {
	return p.name + " is here", p.fails
}

func (p part) Settle(_ context.Context, _ core.Session, folder string) error {
	p.enter()
	*p.calls = append(*p.calls, "settle "+filepath.Base(folder))
	return p.fails
}

// enter fails the test, by a panic, if somebody else is inside.
func (p part) enter() {
	if p.inside == nil {
		return
	}
	select {
	case p.inside <- struct{}{}:
	default:
		panic("two callers work on one session's folders")
	}
	<-p.inside
}

func TestPartsAreAskedInTheirOrderIfTheyAreWanted(t *testing.T) {
	t.Parallel()
	var calls []string
	root := t.TempDir()
	s := workspace.New(root, part{name: "b", wanted: true, calls: &calls}, part{name: "x", calls: &calls}, part{name: "a", wanted: true, calls: &calls})
	sess := core.Session{Project: "p", ID: "s"}
	w, err := s.Open(t.Context(), sess)
	if err != nil {
		t.Fatal(err)
	}
	want := core.Workspace{Folder: filepath.Join(root, "p", "s"), Mounts: []core.Mount{
		{Host: filepath.Join(root, "p", "s.parts", "b"), Path: "/mnt/b"},
		{Host: filepath.Join(root, "p", "s.parts", "a"), Path: "/mnt/a"},
	}}
	if diff := cmp.Diff(want, w); diff != "" {
		t.Errorf("workspace (-want +got):\n%s", diff)
	}
	brief, err := s.Brief(t.Context(), sess)
	if err != nil || brief != "b is here\n\na is here" {
		t.Errorf("brief: %q, %v", brief, err)
	}
	if err := s.Settle(t.Context(), sess); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"settle b", "settle a"}, calls); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

func TestAPartThatFailsKeepsNoOtherFromSettling(t *testing.T) {
	t.Parallel()
	var calls []string
	broken := errors.New("broken")
	s := workspace.New(t.TempDir(), part{name: "a", wanted: true, fails: broken, calls: &calls}, part{name: "b", wanted: true, calls: &calls})
	if err := s.Settle(t.Context(), core.Session{Project: "p", ID: "s"}); !errors.Is(err, broken) {
		t.Errorf("settle: %v, want the part's error", err)
	}
	if diff := cmp.Diff([]string{"settle a", "settle b"}, calls); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

func TestOneCallerAtATimeWorksOnASession(t *testing.T) {
	t.Parallel()
	var calls []string
	s := workspace.New(t.TempDir(), part{name: "a", wanted: true, calls: &calls, inside: make(chan struct{}, 1)})
	sess := core.Session{Project: "p", ID: "s"}
	done := make(chan error)
	for i := range 20 {
		go func() {
			if i%2 == 0 {
				done <- s.Settle(context.Background(), sess)
				return
			}
			_, err := s.Open(context.Background(), sess)
			done <- err
		}()
	}
	for range 20 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if len(calls) != 10 {
		t.Errorf("%d settled, want 10", len(calls))
	}
}

func TestForgetRemovesAllFoldersOfASessionAndNoOther(t *testing.T) {
	t.Parallel()
	var calls []string
	s := workspace.New(t.TempDir(), part{name: "a", wanted: true, calls: &calls})
	gone, stays := core.Session{Project: "p", ID: "s"}, core.Session{Project: "p", ID: "s2"}
	var folders []string
	for _, sess := range []core.Session{gone, stays} {
		w, err := s.Open(t.Context(), sess)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(w.Folder, 0o700); err != nil {
			t.Fatal(err)
		}
		folders = append(folders, w.Folder, w.Mounts[0].Host)
	}
	for range 2 { // the second time there is nothing
		if err := s.Forget(t.Context(), gone.Project, gone.ID); err != nil {
			t.Fatal(err)
		}
	}
	for i, folder := range folders {
		if _, err := os.Stat(folder); (err == nil) != (i >= 2) {
			t.Errorf("%s: %v", folder, err)
		}
	}
}
