package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"github.com/reeve-ai/reeve/internal/core"
)

// TestWhatOneOfAGroupDoesToTheOthers runs groups whose make-up is known: each function creates a project
// of its own number first, and then does something.
func TestWhatOneOfAGroupDoesToTheOthers(t *testing.T) {
	t.Parallel()
	const ok, failed = true, false
	for _, c := range []struct {
		group []string
		want  []bool
	}{
		{[]string{"writes"}, []bool{ok}},
		{[]string{"writes", "writes", "writes"}, []bool{ok, ok, ok}},
		{[]string{"fails", "writes"}, []bool{failed, ok}},
		{[]string{"writes", "fails", "writes", "panics", "writes"}, []bool{ok, failed, ok, failed, ok}},
		{[]string{"writes", "reads badly", "writes"}, []bool{ok, failed, ok}},
		{[]string{"writes", "only reads badly", "writes"}, []bool{ok, failed, ok}},
		{[]string{"only reads", "fails", "only reads", "writes"}, []bool{ok, failed, ok, ok}},
		{[]string{"only reads", "only reads badly", "writes"}, []bool{ok, failed, ok}},
		{[]string{"writes", "swallows", "writes"}, []bool{ok, failed, ok}},
		{[]string{"has ended", "writes", "has ended"}, []bool{failed, ok, failed}},
		// SQLite itself undoes everything when the disk is full or fails. Then nobody may be told that
		// his work was kept.
		{[]string{"ends it all", "writes"}, []bool{failed, ok}},
		{[]string{"writes", "ends it all", "writes"}, []bool{failed, failed, failed}},
		{[]string{"writes", "ends silently", "writes"}, []bool{failed, failed, failed}},
		{[]string{"writes", "only ends it all", "writes"}, []bool{failed, failed, failed}},
	} {
		t.Run(fmt.Sprint(c.group), func(t *testing.T) {
			t.Parallel()
			runGroup(t, c.group, c.want)
		})
	}
}

// TestALeaderThatGaveUpPassesTheLeadOn builds the moment that no timing makes for sure: a job is told to
// lead just when its context ends.
func TestALeaderThatGaveUpPassesTheLeadOn(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	gone := &job{ctx: ctx, leads: true, wake: make(chan struct{}, 1)}
	next := &job{ctx: t.Context(), wake: make(chan struct{}, 1)}
	w := newGroupWriter(nil, &counters{})
	w.led, w.queue = true, []*job{gone, next}

	if lead := w.wait(gone); lead || !errors.Is(gone.err, context.Canceled) {
		t.Errorf("the one that gave up: lead = %t, err = %v", lead, gone.err)
	}
	if len(w.queue) != 1 || !next.leads || len(next.wake) != 1 {
		t.Errorf("the next one was not told to lead: queue of %d, leads = %t", len(w.queue), next.leads)
	}
	if lead := w.wait(next); !lead {
		t.Error("the next one does not lead")
	}

	// With nobody left, the lead falls free, and Close need not wait.
	last := &job{ctx: ctx, leads: true, wake: make(chan struct{}, 1)}
	w.queue = []*job{last}
	if lead := w.wait(last); lead {
		t.Error("the last one leads although its context has ended")
	}
	if w.led {
		t.Error("somebody still leads")
	}
	w.close()
}

var errOfGroup = errors.New("undo")

// afterwards is what a function of a group does after it has created a project.
var afterwards = map[string]func(context.Context, *txn) error{
	"writes": func(context.Context, *txn) error { return nil },
	"fails":  func(context.Context, *txn) error { return errOfGroup },
	"panics": func(context.Context, *txn) error { panic(errOfGroup) },
	"reads badly": func(ctx context.Context, x *txn) error {
		return x.rows(ctx, "SELECT none FROM nothing", nil, nil)
	},
	"swallows": func(ctx context.Context, x *txn) error {
		_, _ = x.change(ctx, "no SQL", nil, nil)
		return nil
	},
	"ends it all": func(ctx context.Context, x *txn) error {
		_, _ = x.change(ctx, "ROLLBACK", nil, nil)
		return errOfGroup
	},
	"ends silently": func(ctx context.Context, x *txn) error {
		_, _ = x.change(ctx, "ROLLBACK", nil, nil)
		return nil
	},
	"has ended": func(context.Context, *txn) error { return nil },
}

// only is what a function of a group does that creates no project.
var only = map[string]func(context.Context, *txn) error{
	"only reads": func(ctx context.Context, x *txn) error {
		_, err := found(ctx, x, "SELECT 1 FROM projects")
		return err
	},
	"only reads badly": afterwards["reads badly"],
	"only ends it all": func(ctx context.Context, x *txn) error { // as SQLite would during a read
		return errors.Join(x.h.rows(ctx, "ROLLBACK", nil, nil), afterwards["reads badly"](ctx, x))
	},
}

// runGroup runs a group and checks who succeeded, and that exactly their projects are stored.
func runGroup(t *testing.T, does []string, want []bool) {
	t.Helper()
	db, err := Open(t.Context(), Options{Path: filepath.Join(t.TempDir(), "reeve.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	ended, end := context.WithCancel(t.Context())
	end()
	var group []*job
	for i, what := range does {
		j := &job{ctx: t.Context(), fn: func(x *txn) error {
			if f := only[what]; f != nil {
				return f(t.Context(), x)
			}
			s := &store{engine: db.base.(*sqliteEngine), tx: x}
			if err := s.CreateProject(t.Context(), core.Project{ID: core.ProjectID(fmt.Sprint(i))}); err != nil {
				return err
			}
			return afterwards[what](t.Context(), x)
		}}
		if what == "has ended" {
			j.ctx = ended
		}
		group = append(group, j)
	}
	db.base.(*sqliteEngine).writer.run(group)

	var stored, wanted []core.ProjectID
	for i, j := range group {
		if !j.done || (j.err == nil) != want[i] {
			t.Errorf("%d, which %s: answered = %t, error = %v, want success = %t", i, does[i], j.done, j.err, want[i])
		}
		if want[i] && only[does[i]] == nil {
			wanted = append(wanted, core.ProjectID(fmt.Sprint(i)))
		}
	}
	list, err := db.Projects(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range list {
		stored = append(stored, p.ID)
	}
	if !slices.Equal(stored, wanted) {
		t.Errorf("stored = %v, want %v", stored, wanted)
	}
	if err := db.CreateProject(t.Context(), core.Project{ID: "after"}); err != nil {
		t.Errorf("the next transaction: %v", err)
	}
}
