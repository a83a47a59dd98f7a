package store

import (
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// TestEveryStatementOnCapturesUsesAnIndex runs the methods with all their options, and asks SQLite how it
// carries each statement out that they left prepared.
func TestEveryStatementOnCapturesUsesAnIndex(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	db, err := OpenCaptures(ctx, Options{Path: filepath.Join(t.TempDir(), "captures.db"), Readers: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	useCaptures(t, db)

	// What may sort or look at more than it returns: sums over the counts of one agent, of which a day has
	// core.MaxDayPaths paths at most, and the number of an agent's sessions of several days. Lists of arguments
	// are scanned, of course, and what a statement has made itself.
	allowed := map[string][]string{
		"INSERT INTO":         {"-ROW VALUES CLAUSE"},
		"GROUP BY path ":      {"TEMP B-TREE"},
		"ROW_NUMBER() OVER (": {"TEMP B-TREE", "SCAN placed", "SCAN (subquery-"},
		"COUNT(DISTINCT":      {"TEMP B-TREE"},
	}
	checked := 0
	check := func(p *prepared) error {
		for text := range p.statements {
			if !strings.Contains(text, "$") {
				continue // BEGIN and the like, and the test's own
			}
			checked++
			plan, err := planOf(ctx, p, text)
			if err != nil {
				return err
			}
			for _, line := range plan {
				bad := strings.Contains(line, "TEMP B-TREE") || strings.HasPrefix(line, "SCAN ") && !strings.HasPrefix(line, "SCAN json_each")
				for part, lines := range allowed {
					for _, what := range lines {
						bad = bad && !(strings.Contains(text, part) && strings.Contains(line, what))
					}
				}
				if bad {
					t.Errorf("%s\n  in %s", line, text)
				}
			}
			for part, index := range map[string]string{
				"named = 1":          "captures_named",
				"c.outcome = 1":      "captures_failed",
				"latency >= $3":      "COVERING INDEX captures_by_latency",
				"latency < $3":       "COVERING INDEX captures_by_latency",
				"(c.at, c.id) >":     "captures_by_session (session=? AND (at,id)>(?,?))",
				"first_day < $1":     "COVERING INDEX sources_by_first_day",
				"CROSS JOIN calls c": "c USING PRIMARY KEY (source=? AND day=? AND path=?)",
				"path = $3 LIMIT 1":  "(path=? AND source=? AND day=?)",
				"calls.day = $2":     "calls EXISTS USING COVERING INDEX calls_by_path (path=? AND source=? AND day=?)",
				"WHERE calls.path":   "COVERING INDEX calls_by_path",
			} {
				if strings.Contains(text, part) && !strings.Contains(strings.Join(plan, "\n"), index) {
					t.Errorf("%s does not use %s:\n  %s", text, index, strings.Join(plan, "\n  "))
				}
			}
		}
		return nil
	}
	if err := db.db.(*sqliteEngine).writer.exclusive(check); err != nil {
		t.Fatal(err)
	}
	if err := db.db.(*sqliteEngine).read(ctx, func(h handle) error { return check(h.(*prepared)) }); err != nil {
		t.Fatal(err)
	}
	if checked < 35 {
		t.Errorf("only %d statements were checked", checked)
	}
}

// useCaptures calls each method so that each of its statements runs.
func useCaptures(t *testing.T, db *CaptureDB) {
	t.Helper()
	ctx := t.Context()
	project, agent := core.NewID[core.ProjectID](), core.NewID[core.AgentID]()
	session := core.NewID[core.SessionID]()
	now := time.Now()
	days := core.Days{From: core.DayOf(now) - 9, To: core.DayOf(now)}
	body := "body"
	var captures []core.Capture
	for i := range 20 {
		captures = append(captures, core.Capture{
			Project: project, ID: core.NewID[core.CaptureID](), Agent: agent, Session: session, Via: core.CaptureBySDK,
			At: now.AddDate(0, 0, -i%3), Path: "/" + string(rune('a'+i%3)), Method: "GET", StatusCode: 100 * (i % 6), LatencyMS: 100 + float64(i)/10,
			RequestBody: &body, Metadata: json.RawMessage("{}"), Named: true,
		})
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, batch := range [][]core.Capture{captures[:1], captures[:2], captures[2:]} {
		_, err := db.AppendCaptures(ctx, batch)
		must(err)
	}
	earlier := captures[0]
	earlier.ID, earlier.At = core.NewID[core.CaptureID](), now.AddDate(0, 0, -9)
	_, err := db.AppendCaptures(ctx, []core.Capture{earlier})
	must(err)
	readCaptures(ctx, t, db, project, agent, session, days)
	_, err = db.ExpireCaptures(ctx, days.To-8, 10)
	must(err)
	must(db.ForgetSession(ctx, project, session))
	usage, err := db.Usage(ctx, project, nil, days)
	must(err)
	if len(usage) != 0 {
		t.Errorf("usage after all was deleted: %+v", usage)
	}
	for _, table := range []string{"sources", "sessions", "session_days", "paths", "captures", "days", "latencies", "calls"} {
		must(db.db.(*sqliteEngine).read(ctx, func(h handle) error {
			there, err := found(ctx, h, "SELECT 1 FROM "+table+" LIMIT 1")
			if there {
				t.Errorf("%s is not empty after all was deleted", table)
			}
			return err
		}))
	}
}

// readCaptures calls all methods that read.
func readCaptures(ctx context.Context, t *testing.T, db *CaptureDB, project core.ProjectID, agent core.AgentID, session core.SessionID, days core.Days) {
	t.Helper()
	key := &core.CaptureKey{At: time.Now().AddDate(0, 0, -30), ID: core.NewID[core.CaptureID]()}
	for _, q := range []core.CaptureQuery{{}, {Bare: true}, {After: key}, {After: key, Bare: true}} {
		q.Limit = 100
		list, err := db.Captures(ctx, project, agent, session, q)
		if err != nil || len(list) != 21 {
			t.Errorf("%d captures, %v; want 21", len(list), err)
		}
	}
	var failed []error
	keep := func(err error) { failed = append(failed, err) }
	_, err := db.SessionCaptures(ctx, project, []core.SessionID{session})
	keep(err)
	_, _, err = db.PathDays(ctx, project, agent, days, 10)
	keep(err)
	_, err = db.LatencyDays(ctx, project, agent, days)
	keep(err)
	_, err = db.ErrorDays(ctx, project, agent, days)
	keep(err)
	_, err = db.PathErrors(ctx, project, agent, days, 10)
	keep(err)
	_, err = db.Usage(ctx, project, nil, days)
	keep(err)
	_, err = db.Usage(ctx, project, []core.AgentID{agent}, days)
	keep(err)
	_, err = db.UsageDays(ctx, project, agent, days)
	keep(err)
	for _, err := range failed {
		if err != nil {
			t.Error(err)
		}
	}
}
