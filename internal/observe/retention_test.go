package observe_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/observe"
	"github.com/reeve-ai/reeve/internal/store"
)

const day = 24 * time.Hour

// old is a database of captures that ended so long before now, in one session.
func old(t *testing.T, now time.Time, ages ...time.Duration) (*store.CaptureDB, core.ProjectID, core.AgentID, core.SessionID) {
	t.Helper()
	db, err := store.OpenCaptures(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "captures.db")})
	need(t, err)
	project, agent, session := core.NewID[core.ProjectID](), core.NewID[core.AgentID](), core.NewID[core.SessionID]()
	var list []core.Capture
	for _, age := range ages {
		at := now.Add(-age).UTC().Truncate(time.Microsecond)
		list = append(list, core.Capture{
			Project: project, ID: core.NewID[core.CaptureID](), Agent: agent, Session: session, Via: core.CaptureByAgent,
			At: at, ReceivedAt: at, Path: "/", Method: "GET", StatusCode: 200,
		})
	}
	if len(list) > 0 {
		_, err = db.AppendCaptures(t.Context(), list)
		need(t, err)
	}
	return db, project, agent, session
}

func TestOldCapturesGoAndYoungOnesStay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var ages []time.Duration
		for range 1200 { // more than two steps
			ages = append(ages, 32*day)
		}
		// The bubble's clock begins at midnight, so this one's day is not over when its 30 days are.
		db, project, agent, session := old(t, time.Now(), append(ages, 30*day-time.Hour, day)...)
		defer func() { need(t, db.Close()) }()
		s := observe.New(db, nil, nil, nil, observe.Options{Retention: 30 * day})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()

		left := func(after time.Duration) int {
			time.Sleep(after) //nolint:forbidigo // the bubble's clock
			synctest.Wait()
			list, err := db.Captures(t.Context(), project, agent, session, core.CaptureQuery{Limit: 10_000})
			need(t, err)
			return len(list)
		}
		if n := left(time.Minute); n != 2 {
			t.Errorf("after a minute there are %d, want 2", n)
		}
		if n := left(23 * time.Hour); n != 2 {
			t.Errorf("before its day is over there are %d, want 2", n)
		}
		if n := left(time.Hour + 5*time.Minute); n != 1 {
			t.Errorf("on the next day there are %d, want 1", n)
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run returned %v", err)
		}
	})
}

func TestWithoutRetentionNothingGoes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db, project, agent, session := old(t, time.Now(), 4000*day)
		defer func() { need(t, db.Close()) }()
		s := observe.New(db, nil, nil, nil, observe.Options{})
		ctx, cancel := context.WithTimeout(t.Context(), day)
		defer cancel()
		need(t, s.Run(ctx))
		if list, err := db.Captures(t.Context(), project, agent, session, core.CaptureQuery{Limit: 10}); err != nil || len(list) != 1 {
			t.Errorf("there are %d: %v", len(list), err)
		}
	})
}

func TestWhatCannotBeDeletedIsLoggedAndTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db, _, _, _ := old(t, time.Now())
		need(t, db.Close()) // every statement fails from now on
		var lines bytes.Buffer
		s := observe.New(db, nil, nil, nil, observe.Options{Retention: day, Log: slog.New(slog.NewTextHandler(&lines, nil))})
		ctx, cancel := context.WithTimeout(t.Context(), 6*time.Minute)
		defer cancel()
		need(t, s.Run(ctx))
		if n := strings.Count(lines.String(), "level=ERROR"); n != 2 {
			t.Errorf("%d lines, want one for each try:\n%s", n, lines.String())
		}
	})
}

// What is in work is bounded: who comes when all room is taken waits for two seconds at most.
func TestABodyWaitsForRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := observe.New(nil, nil, nil, nil, observe.Options{})
		var first func()
		for _, agent := range []core.AgentID{"a", "b", "c", "d"} {
			var err error
			first, err = s.Admit(t.Context(), agent, observe.MaxAgentBodies)
			need(t, err)
		}
		begin := time.Now()
		_, err := s.Admit(t.Context(), "e", 1)
		wantError(t, "no room", err, core.Unavailable, "busy", "")
		var e *core.Error
		if waited := time.Since(begin); waited != 2*time.Second || !errors.As(err, &e) || e.RetryAfter != time.Second {
			t.Errorf("waited %v, then %+v", waited, e)
		}
		time.AfterFunc(time.Second, first)
		_, err = s.Admit(t.Context(), "e", observe.MaxAgentBodies)
		need(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err = s.Admit(ctx, "f", 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a caller that left was told %v", err)
		}
	})
}
