package store

import (
	"context"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// plainCaptures opens an empty database of captures, and makes captures of an agent at that time, one a
// millisecond.
func plainCaptures(t *testing.T) (*CaptureDB, func(core.AgentID, core.SessionID, time.Time, int) []core.Capture) {
	t.Helper()
	db, err := OpenCaptures(t.Context(), Options{Path: filepath.Join(t.TempDir(), "captures.db"), Readers: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	project := core.NewID[core.ProjectID]()
	return db, func(agent core.AgentID, session core.SessionID, at time.Time, n int) []core.Capture {
		list := make([]core.Capture, n)
		for i := range list {
			list[i] = core.Capture{
				Project: project, ID: core.NewID[core.CaptureID](), Agent: agent, Session: session, Via: core.CaptureByAgent,
				At: at.Add(time.Duration(i) * time.Millisecond), Path: "/", Method: "GET", StatusCode: 200, LatencyMS: 1,
			}
		}
		if _, err := db.AppendCaptures(t.Context(), list); err != nil {
			t.Fatal(err)
		}
		return list
	}
}

func TestCaptureDeletesRestAsLongAsTheyWork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		steps := 0
		err := inSteps(t.Context(), func() (bool, error) {
			steps++
			time.Sleep(time.Duration(steps) * time.Second) //nolint:forbidigo // the bubble's clock
			return steps < 3, nil
		})
		if took := time.Since(begin); err != nil || took != (1+1+2+2+3)*time.Second {
			t.Errorf("three steps took %s, %v", took, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
		defer cancel()
		begin = time.Now()
		err = inSteps(ctx, func() (bool, error) {
			time.Sleep(time.Minute) //nolint:forbidigo // the bubble's clock
			return true, nil
		})
		if took := time.Since(begin); !errors.Is(err, context.DeadlineExceeded) || took != 90*time.Second {
			t.Errorf("a caller who left in the rest waited %s, %v", took, err)
		}
	})
}

func TestCaptureDeletesTakeSmallSteps(t *testing.T) {
	t.Parallel()
	db, add := plainCaptures(t)
	now := time.Now().UTC()
	agent, session := core.NewID[core.AgentID](), core.NewID[core.SessionID]()
	for name, remove := range map[string]func(project core.ProjectID) error{
		"forget": func(project core.ProjectID) error { return db.ForgetSession(t.Context(), project, session) },
		"expire": func(core.ProjectID) error {
			n, err := db.ExpireCaptures(t.Context(), core.DayOf(now)+2, 10_000)
			if n != 2*takeStep+1 {
				t.Errorf("%d expired, want %d", n, 2*takeStep+1)
			}
			return err
		},
	} {
		captures := add(agent, session, now, 2*takeStep+1)
		before := db.Stats().Commits
		if err := remove(captures[0].Project); err != nil {
			t.Fatal(name, err)
		}
		if commits := db.Stats().Commits - before; commits < 3 {
			t.Errorf("%s: %d transactions for %d captures, want 3 or more", name, commits, len(captures))
		}
		usage, err := db.Usage(t.Context(), captures[0].Project, nil, core.Days{From: 0, To: core.DayOf(now) + 2})
		if err != nil || len(usage) != 0 {
			t.Errorf("%s left %+v, %v", name, usage, err)
		}
	}
}

func TestCaptureExpiryGoesOnPastAWrongFirstDay(t *testing.T) {
	t.Parallel()
	db, add := plainCaptures(t)
	now := time.Now().UTC()
	today := core.DayOf(now)
	young, none, old := core.NewID[core.AgentID](), core.NewID[core.AgentID](), core.NewID[core.AgentID]()
	session := core.NewID[core.SessionID]()
	project := add(young, session, now, 3)[0].Project
	add(none, session, now, 1)
	add(old, session, now.AddDate(0, 0, -30), 7)
	if err := db.base.engine.write(t.Context(), func(h *txn) error {
		for _, change := range []string{
			"UPDATE sources SET first_day = -5 WHERE first_day >= $1",
			"DELETE FROM captures WHERE source = 2 AND day >= $1",
		} {
			if n, err := h.change(t.Context(), change, []any{int64(today)}, nil); err != nil || n == 0 {
				t.Errorf("%s: %d, %v", change, n, err)
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []int{7, 0} {
		if n, err := db.ExpireCaptures(t.Context(), today-1, 100); err != nil || n != want {
			t.Errorf("%d expired, %v; want %d", n, err, want)
		}
	}
	add(none, core.NewID[core.SessionID](), now.AddDate(0, 0, -10), 2)
	if n, err := db.ExpireCaptures(t.Context(), today-1, 100); err != nil || n != 2 {
		t.Errorf("of the agent that had no captures left, %d expired, %v; want 2", n, err)
	}
	days, err := db.UsageDays(t.Context(), project, young, core.Days{From: 0, To: today + 1})
	if err != nil || len(days) == 0 || days[0].Captures != 3 {
		t.Errorf("the young: %+v, %v", days, err)
	}
}

// TestCaptureDaysKnowHowManyPathsTheyHave compares the number with the calls, after captures of few paths
// and methods came and went in random order.
func TestCaptureDaysKnowHowManyPathsTheyHave(t *testing.T) {
	t.Parallel()
	db, _ := plainCaptures(t)
	project, agent := core.NewID[core.ProjectID](), core.NewID[core.AgentID]()
	sessions := []core.SessionID{core.NewID[core.SessionID](), core.NewID[core.SessionID](), core.NewID[core.SessionID]()}
	now := time.Now().UTC()
	most := 0
	for step := range 60 {
		if step%4 == 3 {
			if err := db.ForgetSession(t.Context(), project, sessions[rand.IntN(3)]); err != nil {
				t.Fatal(err)
			}
		} else {
			var list []core.Capture
			for range 1 + rand.IntN(6) {
				list = append(list, core.Capture{
					Project: project, ID: core.NewID[core.CaptureID](), Agent: agent, Session: sessions[rand.IntN(3)], Via: core.CaptureByAgent,
					At: now.AddDate(0, 0, -rand.IntN(3)), Path: []string{"/a", "/b", "/c", core.OtherPaths}[rand.IntN(4)],
					Method: []string{"GET", "PUT"}[rand.IntN(2)], StatusCode: 200,
				})
			}
			if _, err := db.AppendCaptures(t.Context(), list); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.base.engine.read(t.Context(), func(h handle) error {
			return h.rows(t.Context(), "SELECT d.day, d.paths, (SELECT COUNT(DISTINCT c.path) FROM calls c WHERE c.source = d.source AND c.day = d.day) FROM days d",
				nil, func(r row) error {
					var day, got, want int
					err := r.Scan(&day, &got, &want)
					if got != want {
						t.Errorf("step %d: day %d has %d paths, it says %d", step, day, want, got)
					}
					most = max(most, want)
					return err
				})
		}); err != nil {
			t.Fatal(err)
		}
	}
	if most < 2 {
		t.Errorf("no day had more than %d paths", most)
	}
}
