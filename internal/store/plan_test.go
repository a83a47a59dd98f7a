package store

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// TestEveryStatementUsesAnIndex runs the methods with all their options, and asks SQLite how it carries
// each statement out that they left prepared.
func TestEveryStatementUsesAnIndex(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	db, err := Open(ctx, Options{Path: filepath.Join(t.TempDir(), "reeve.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	// In one transaction, so that one connection sees all. Most of these answer NotFound.
	if err := db.Tx(ctx, func(tx core.Store) error { callEverything(ctx, tx); return nil }); err != nil {
		t.Fatal(err)
	}
	// What may look at a whole table or index, or sort: the operator's list, one person's few memberships,
	// the keys of a few agents, and the index that has the pending threads alone.
	allowed := map[string]string{
		"FROM projects p ORDER BY":                 "SCAN p",
		"FROM memberships m JOIN":                  "TEMP B-TREE",
		"agent_id IN (SELECT value FROM json_each": "TEMP B-TREE",
		"UPDATE threads SET node":                  "USING INDEX threads_pending",
	}
	checked := 0
	err = db.sqlite.writer.exclusive(func(p *prepared) error {
		texts := make([]string, 0, len(p.statements))
		for text := range p.statements {
			texts = append(texts, text)
		}
		for _, text := range texts {
			if !strings.Contains(text, "$") && !strings.Contains(text, "FROM") {
				continue // BEGIN and the like
			}
			checked++
			plan, err := planOf(ctx, p, text)
			if err != nil {
				return err
			}
			for _, line := range plan {
				bad := strings.Contains(line, "TEMP B-TREE") || strings.HasPrefix(line, "SCAN ") && !strings.HasPrefix(line, "SCAN json_each")
				for part, what := range allowed {
					if strings.Contains(text, part) && strings.Contains(line, what) {
						bad = false
					}
				}
				if bad {
					t.Errorf("%s\n  in %s", line, text)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if checked < 80 {
		t.Errorf("only %d statements were checked", checked)
	}
}

func planOf(ctx context.Context, p *prepared, text string) (lines []string, err error) {
	args := make([]any, countPlaceholders(text))
	for i := range args {
		args[i] = 1
	}
	rows, err := p.conn.QueryContext(ctx, "EXPLAIN QUERY PLAN "+text, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id, parent, unused int
		var line string
		if err := rows.Scan(&id, &parent, &unused, &line); err != nil {
			return nil, err
		}
		if !strings.Contains(line, "CONSTANT ROW") {
			lines = append(lines, line)
		}
	}
	return lines, rows.Err()
}

// countPlaceholders is the highest number n of a $n in the text.
func countPlaceholders(text string) int {
	highest := 0
	for _, part := range strings.Split(text, "$")[1:] {
		n := 0
		for _, c := range part {
			if c < '0' || c > '9' {
				break
			}
			n = n*10 + int(c-'0')
		}
		highest = max(highest, n)
	}
	return highest
}

// callEverything calls each method with each option. Errors are no matter here.
func callEverything(ctx context.Context, s core.Store) {
	callProjectMethods(ctx, s)
	callSessionMethods(ctx, s)
	callLists(ctx, s)
	_ = s.DeleteEnvironment(ctx, "p", "e")
	_ = s.DeleteSession(ctx, "p", "s")
}

func callProjectMethods(ctx context.Context, s core.Store) {
	now := time.Now()
	_ = s.CreateProject(ctx, core.Project{ID: "p"})
	_, _ = s.Project(ctx, "p")
	_, _ = s.Projects(ctx)
	_ = s.UpdateProject(ctx, core.Project{ID: "p"})
	_ = s.CreateUser(ctx, core.User{ID: "u", Email: "e"})
	_, _ = s.User(ctx, "u")
	_, _ = s.UserByEmail(ctx, "e")
	_ = s.UpdateUser(ctx, core.User{ID: "u", Email: "e"})
	_ = s.PutMembership(ctx, core.Membership{Project: "p", User: "u"})
	_, _ = s.Membership(ctx, "p", "u")
	_, _ = s.Memberships(ctx, "u")
	_, _ = s.ProjectsOf(ctx, "u")
	_, _ = s.Members(ctx, "p")
	_ = s.CreateInvitation(ctx, core.Invitation{ID: "i", Project: "p", Prefix: "x", Hash: []byte("h")})
	_, _ = s.InvitationByPrefix(ctx, "x")
	_, _ = s.Invitation(ctx, "p", "i")
	_, _ = s.Invitations(ctx, "p")
	_ = s.UpdateInvitation(ctx, core.Invitation{ID: "i", Project: "p"})
	_ = s.CreateAgent(ctx, core.Agent{Project: "p", ID: "a"})
	_, _ = s.Agent(ctx, "p", "a")
	_, _ = s.AgentVersion(ctx, "p", "a", 1)
	_, _ = s.AgentVersions(ctx, "p", "a", 0, 1)
	_, _ = s.AgentVersions(ctx, "p", "a", 1, 1)
	_ = s.UpdateAgent(ctx, core.Agent{Project: "p", ID: "a", Version: 2})
	_ = s.SetAgentState(ctx, core.Agent{Project: "p", ID: "a"})
	_ = s.CreateCredential(ctx, core.Credential{ID: "c", Project: "p", Prefix: "x", Hash: []byte("h")})
	_, _ = s.CredentialByPrefix(ctx, "x")
	_, _ = s.KeyState(ctx, "x", "s")
	_, _ = s.SessionState(ctx, "p", "s")
	_, _ = s.Credential(ctx, "p", "c")
	_, _ = s.Credentials(ctx, "p", "", "")
	_, _ = s.Credentials(ctx, "p", "", "a")
	_, _ = s.Credentials(ctx, "p", core.CredentialAccess, "")
	_, _ = s.Credentials(ctx, "p", core.CredentialAgent, "a")
	_, _ = s.AgentCredentials(ctx, "p", []core.AgentID{"a"})
	_ = s.RevokeCredential(ctx, "p", "c", now, true)
	_, _ = s.RevokeAgentCredentials(ctx, "p", "a", now)
	_ = s.TouchCredentials(ctx, map[core.CredentialID]time.Time{"c": now})
	_ = s.CreateEnvironment(ctx, core.Environment{Project: "p", ID: "e"})
	_, _ = s.Environment(ctx, "p", "e")
	_ = s.UpdateEnvironment(ctx, core.Environment{Project: "p", ID: "e"})
}

func callSessionMethods(ctx context.Context, s core.Store) {
	now := time.Now()
	_ = s.CreateSession(ctx, core.Session{Project: "p", ID: "s", Origin: core.OriginManaged, Agent: "a", Environment: "e", Snapshot: &core.AgentSpec{}})
	_, _ = s.Session(ctx, "p", "s")
	_ = s.UpdateSession(ctx, core.Session{Project: "p", ID: "s"})
	_ = s.SetSessionState(ctx, core.Session{Project: "p", ID: "s"})
	_, _ = s.Thread(ctx, "p", "s", "s")
	_, _ = s.Append(ctx, "p", "s", now)
	_, _ = s.Append(ctx, "p", "s", now, core.Draft{ID: "ev"})
	_ = s.MarkProcessed(ctx, "p", "s", now, "ev")
	_, _ = s.QueuedEvents(ctx, "p", "s", "s")
	_, _ = s.EventByID(ctx, "p", "s", "ev")
	for _, q := range []core.EventQuery{{}, {After: 1}, {Descending: true}, {Descending: true, After: 1}, {Types: []core.EventType{"x"}, Thread: "s", From: now, To: now}} {
		q.Limit = 1
		_, _ = s.Events(ctx, "p", "s", q)
	}
	lease, _, _ := s.OweTurn(ctx, "p", "s", "s", "n", now, now.Add(time.Hour))
	_, _, _ = s.OweTurn(ctx, "p", "s", "s", "", now, now)
	_ = s.HoldLease(ctx, lease)
	_, _ = s.ExtendLeases(ctx, []core.Lease{lease}, now)
	_ = s.ReleaseLease(ctx, lease)
	_, _ = s.ClaimTurns(ctx, "n", now, now, 1)
	_, _ = s.FreeLeases(ctx, "n")
	_ = s.SettleTurn(ctx, lease)
	rec := core.Idempotency{Project: "p", Key: "k"}
	_, _, _ = s.ReserveIdempotency(ctx, rec, now)
	_ = s.FinishIdempotency(ctx, rec)
	_ = s.DropIdempotency(ctx, rec)
	_, _ = s.ExpireIdempotency(ctx, now)
}

func callLists(ctx context.Context, s core.Store) {
	now := time.Now()
	key := &core.PageKey{CreatedAt: now, ID: "x"}
	for _, after := range []*core.PageKey{nil, key} {
		for _, before := range []*core.PageKey{nil, key} {
			_, _ = s.Environments(ctx, "p", core.EnvironmentPage{Limit: 1, After: after, Before: before})
			for _, ascending := range []bool{false, true} {
				_, _ = s.Agents(ctx, "p", core.AgentPage{Limit: 1, After: after, Before: before, Ascending: ascending})
				_, _ = s.Sessions(ctx, "p", core.SessionPage{Limit: 1, After: after, Before: before, Ascending: ascending})
				_, _ = s.Sessions(ctx, "p", core.SessionPage{Limit: 1, After: after, Before: before, Ascending: ascending, Agent: "a"})
			}
		}
	}
	page := core.AgentPage{Limit: 1, ActiveOnly: true, Search: "x", CreatedFrom: now, CreatedTo: now, Offset: 1}
	_, _ = s.Agents(ctx, "p", page)
	_, _ = s.CountAgents(ctx, "p", page)
	_, _ = s.Sessions(ctx, "p", core.SessionPage{
		Limit: 1, AgentVersion: 1, Origin: core.OriginManaged, Statuses: []core.SessionStatus{core.StatusIdle},
		CreatedFrom: now, CreatedTo: now, CreatedAfter: now, CreatedBefore: now,
	})
}
