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
		"FROM webhooks WHERE off = ''":             "USING COVERING INDEX webhooks_on", // one entry a webhook that is on
	}
	checked := 0
	err = db.base.(*sqliteEngine).writer.exclusive(func(p *prepared) error {
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
	callMemoryMethods(ctx, s)
	callLists(ctx, s)
	callWorkMethods(ctx, s)
	callVaultMethods(ctx, s)
	callDeploymentMethods(ctx, s)
	callFileMethods(ctx, s)
	callSkillMethods(ctx, s)
	callWebhookMethods(ctx, s)
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

func callMemoryMethods(ctx context.Context, s core.Store) {
	now := time.Now()
	key := &core.PageKey{CreatedAt: now, ID: "x"}
	_ = s.CreateMemoryStore(ctx, core.MemoryStore{Project: "p", ID: "ms"})
	_, _ = s.MemoryStore(ctx, "p", "ms")
	_ = s.UpdateMemoryStore(ctx, core.MemoryStore{Project: "p", ID: "ms"})
	_ = s.WriteMemory(ctx, core.Memory{Project: "p", Store: "ms", ID: "m", Path: "/m", Number: 1, Version: "v1"}, core.Actor{})
	_ = s.WriteMemory(ctx, core.Memory{Project: "p", Store: "ms", ID: "m", Path: "/n", Number: 2, Version: "v2"}, core.Actor{})
	_, _ = s.Memory(ctx, "p", "ms", "m")
	_, _ = s.MemoryAt(ctx, "p", "ms", "/m")
	_, _ = s.MemoryBlocking(ctx, "p", "ms", "/m/n", "")
	_, _ = s.MemoryVersion(ctx, "p", "ms", "v1")
	_ = s.RedactMemoryVersion(ctx, "p", "ms", "v1", core.Actor{}, now)
	for n := 3; n <= core.SpareVersions+2; n++ { // to the first that makes another spare
		_ = s.WriteMemory(ctx, core.Memory{Project: "p", Store: "ms", ID: "m", Path: "/n", Number: n, Version: core.NewID[core.MemoryVersionID]()}, core.Actor{})
	}
	_, _ = s.PruneMemoryVersions(ctx, now, 5)
	for _, contents := range []bool{false, true} {
		for _, q := range []core.MemoryPage{{}, {Prefix: "/m/"}, {Prefix: "/m/", From: "/m/n"}, {Before: "/m"}} {
			q.Limit, q.Contents = 1, contents
			_, _ = s.Memories(ctx, "p", "ms", q)
		}
		for _, q := range []core.MemoryVersionPage{
			{},
			{After: key},
			{Before: key},
			{Memory: "m"},
			{Memory: "m", After: key},
			{By: core.Actor{Kind: "k", ID: "i"}},
			{Memory: "m", By: core.Actor{Kind: "k", ID: "i"}, Operation: core.MemoryCreated, CreatedFrom: now, CreatedTo: now, Before: key},
		} {
			q.Limit, q.Contents = 1, contents
			_, _ = s.MemoryVersions(ctx, "p", "ms", q)
		}
	}
	_, _ = s.MemoryStores(ctx, "p", core.MemoryStorePage{Limit: 1})
	_, _ = s.MemoryStores(ctx, "p", core.MemoryStorePage{Limit: 1, After: key, IncludeArchived: true, CreatedFrom: now, CreatedTo: now})
	_, _ = s.MemoryStores(ctx, "p", core.MemoryStorePage{Limit: 1, Before: key})
	_ = s.DeleteMemory(ctx, core.Memory{Project: "p", Store: "ms", ID: "m", Path: "/n", Number: core.SpareVersions + 3, Version: "v3"}, core.Actor{})
	_ = s.DeleteMemoryStore(ctx, "p", "ms")
}

func callSessionMethods(ctx context.Context, s core.Store) {
	now := time.Now()
	_ = s.CreateSession(ctx, core.Session{Project: "p", ID: "s", Origin: core.OriginManaged, Agent: "a", Environment: "e", Snapshot: &core.AgentSpec{}})
	_, _ = s.Session(ctx, "p", "s")
	_ = s.UpdateSession(ctx, core.Session{Project: "p", ID: "s"})
	_ = s.SetSessionState(ctx, core.Session{Project: "p", ID: "s"})
	_ = s.UpdateSnapshot(ctx, "p", "s", core.AgentSpec{})
	_, _ = s.Thread(ctx, "p", "s", "s")
	_ = s.CreateThread(ctx, core.Thread{Project: "p", Session: "s", ID: "t", Parent: "s", Spec: &core.AgentSpec{}})
	_ = s.SetThreadState(ctx, core.Thread{Project: "p", Session: "s", ID: "t"})
	_, _ = s.Threads(ctx, "p", "s", core.ThreadPage{Limit: 1})
	_, _ = s.Threads(ctx, "p", "s", core.ThreadPage{Limit: 1, Open: true, After: &core.PageKey{CreatedAt: now, ID: "t"}})
	_, _ = s.Append(ctx, "p", "s", now)
	_, _ = s.Append(ctx, "p", "s", now, core.Draft{ID: "ev"})
	_ = s.MarkProcessed(ctx, "p", "s", now, "ev")
	_, _ = s.QueuedEvents(ctx, "p", "s", "s")
	_, _ = s.EventByID(ctx, "p", "s", "ev")
	for _, q := range []core.EventQuery{{}, {After: 1}, {Descending: true}, {Descending: true, After: 1}, {Types: []core.EventType{"x"}, Thread: "s", From: now, To: now}, {Thread: "s", Shared: true}} {
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
				_, _ = s.Sessions(ctx, "p", core.SessionPage{Limit: 1, After: after, Before: before, Ascending: ascending, Deployment: "d"})
				_, _ = s.Sessions(ctx, "p", core.SessionPage{Limit: 1, After: after, Before: before, Ascending: ascending, MemoryStore: "m"})
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

func callVaultMethods(ctx context.Context, s core.Store) {
	now := time.Now()
	key := &core.PageKey{CreatedAt: now, ID: "x"}
	_ = s.CreateVault(ctx, core.Vault{Project: "p", ID: "v"})
	_, _ = s.Vault(ctx, "p", "v")
	_ = s.UpdateVault(ctx, core.Vault{Project: "p", ID: "v"})
	_ = s.CreateSecret(ctx, core.Secret{Project: "p", Vault: "v", ID: "x"})
	_ = s.CreateSecret(ctx, core.Secret{Project: "p", Vault: "v", ID: "x"})
	_, _ = s.Secret(ctx, "p", "v", "x")
	_ = s.UpdateSecret(ctx, core.Secret{Project: "p", Vault: "v", ID: "x"})
	_, _ = s.CountSecrets(ctx, "p", "v")
	for _, page := range []core.VaultPage{{}, {IncludeArchived: true}, {After: key}, {Before: key}} {
		page.Limit = 1
		_, _ = s.Vaults(ctx, "p", page)
		_, _ = s.Secrets(ctx, "p", "v", page)
	}
	_, _ = s.TargetSecrets(ctx, "p", []core.VaultID{"v"}, "t")
	_, _ = s.KindSecrets(ctx, "p", []core.VaultID{"v"}, core.SecretVariable)
	_, _ = s.LeaseRefresh(ctx, "p", "v", "x", now, now)
	_ = s.EndRefresh(ctx, "p", "v", "x", now)
	_, _ = s.ArchiveSecrets(ctx, "p", "v", now)
	_ = s.DeleteSecret(ctx, "p", "v", "x")
	_ = s.DeleteVault(ctx, "p", "v")
}

func callFileMethods(ctx context.Context, s core.Store) {
	now := time.Now()
	key := &core.PageKey{CreatedAt: now, ID: "x"}
	_ = s.AddStray(ctx, core.Stray{Project: "p", Key: "b", DueAt: now.Add(time.Hour)})
	_, _ = s.Stray(ctx, "p", "b")
	_ = s.AddStray(ctx, core.Stray{Project: "p", Key: "due", DueAt: now})
	_, _ = s.ClaimStrays(ctx, now, 1)
	_ = s.CreateFile(ctx, core.File{Project: "p", ID: "f", Blob: core.Blob{Key: "b"}, CreatedAt: now, ExpiresAt: now})
	_, _ = s.File(ctx, "p", "f")
	_, _ = s.FilesByID(ctx, "p", []core.FileID{"f"})
	for _, page := range []core.FilePage{{}, {After: key}, {Before: key}, {Session: "s"}, {Session: "s", After: key, Now: now}, {Before: key, Now: now}} {
		page.Limit = 1
		_, _ = s.Files(ctx, "p", page)
	}
	_, _ = s.ExpireFiles(ctx, now, 1)
	_ = s.CopyFile(ctx, core.File{Project: "p", ID: "copy", Session: "s", CreatedAt: now}, "f")
	_, _ = s.CountSessionFiles(ctx, "p", "s")
	_, _ = s.DeleteSessionFiles(ctx, "p", "s", now)
	_ = s.DeleteFile(ctx, "p", "f", now)
	_ = s.DropStray(ctx, "p", "b")
}

func callSkillMethods(ctx context.Context, s core.Store) {
	now := time.Now()
	key := &core.PageKey{CreatedAt: now, ID: "x"}
	_ = s.CreateSkill(ctx, core.Skill{Project: "p", ID: "k"})
	_, _ = s.Skill(ctx, "p", "k")
	_ = s.UpdateSkill(ctx, core.Skill{Project: "p", ID: "k"})
	for _, page := range []core.SkillPage{{}, {After: key}, {Before: key}, {TitlePrefix: "t"}, {TitlePrefix: "t", Before: key}} {
		page.Limit = 1
		_, _ = s.Skills(ctx, "p", page)
	}
	_ = s.AddStray(ctx, core.Stray{Project: "p", Key: "c", DueAt: now.Add(time.Hour)})
	_ = s.CreateSkillVersion(ctx, core.SkillVersion{Project: "p", Skill: "k", ID: "kv", Number: 1, Blob: core.Blob{Key: "c"}, CreatedAt: now})
	_, _ = s.SkillVersion(ctx, "p", "k", 1)
	_, _ = s.SkillVersionByID(ctx, "p", "k", "kv")
	for _, page := range []core.SkillVersionPage{{}, {Below: 2}, {Above: 2}} {
		page.Limit = 1
		_, _ = s.SkillVersions(ctx, "p", "k", page)
	}
	_ = s.DeleteSkillVersion(ctx, "p", "k", 1, now)
	_ = s.DeleteSkill(ctx, "p", "k", now)
}

func callWorkMethods(ctx context.Context, s core.Store) {
	now := time.Now()
	key := &core.PageKey{CreatedAt: now, ID: "x"}
	_, _ = s.QueueWork(ctx, core.Work{Project: "p", Environment: "e", ID: "w", Session: "s", State: core.WorkQueued})
	_, _ = s.QueueWork(ctx, core.Work{Project: "p", Environment: "e", ID: "w", Session: "s", State: core.WorkQueued})
	_, _ = s.Work(ctx, "p", "e", "w")
	_, _ = s.WorkByID(ctx, "p", "w")
	_, _ = s.LiveWork(ctx, "p", "s")
	_, _ = s.WorkWaits(ctx, "p", "e", now, now)
	_, _ = s.OfferWork(ctx, "p", "e", now, now)
	_ = s.UpdateWork(ctx, core.Work{Project: "p", Environment: "e", ID: "w", State: core.WorkActive, LeaseUntil: now})
	for _, page := range []core.WorkPage{{}, {After: key}, {Before: key}} {
		page.Limit = 1
		_, _ = s.Works(ctx, "p", "e", page)
	}
	_, _ = s.LostWork(ctx, now, 1)
	_ = s.SawWorker(ctx, "p", "e", "k", now)
	_, _ = s.CountWork(ctx, "p", "e", now)
	_, _ = s.ForgetWorkers(ctx, now)
	_, _ = s.EnvironmentCredentials(ctx, "p", "e")
}

func callDeploymentMethods(ctx context.Context, s core.Store) {
	now := time.Now()
	key := &core.PageKey{CreatedAt: now, ID: "x"}
	yes := true
	_ = s.CreateDeployment(ctx, core.Deployment{Project: "p", ID: "d", Agent: "a"})
	_, _ = s.Deployment(ctx, "p", "d")
	_ = s.UpdateDeployment(ctx, core.Deployment{Project: "p", ID: "d", Agent: "a"})
	_, _ = s.CountScheduled(ctx, "p")
	_, _ = s.DueDeployments(ctx, now, 1)
	_ = s.CreateDeploymentRun(ctx, core.DeploymentRun{Project: "p", ID: "r", Deployment: "d"})
	_, _ = s.DeploymentRun(ctx, "p", "r")
	for _, keys := range [][2]*core.PageKey{{}, {key, nil}, {nil, key}} {
		for _, agent := range []core.AgentID{"", "a"} {
			_, _ = s.Deployments(ctx, "p", core.DeploymentPage{Limit: 1, After: keys[0], Before: keys[1], Agent: agent})
		}
		for _, of := range []core.DeploymentID{"", "d"} {
			_, _ = s.DeploymentRuns(ctx, "p", core.DeploymentRunPage{Limit: 1, After: keys[0], Before: keys[1], Deployment: of})
		}
	}
	_, _ = s.Deployments(ctx, "p", core.DeploymentPage{Limit: 1, Paused: &yes, CreatedFrom: now, CreatedTo: now, IncludeArchived: true})
	_, _ = s.DeploymentRuns(ctx, "p", core.DeploymentRunPage{Limit: 1, Trigger: core.TriggerManual, Failed: &yes, CreatedFrom: now, CreatedTo: now})
	_, _ = s.ArchiveDeployments(ctx, "p", "a", now)
}

func callWebhookMethods(ctx context.Context, s core.Store) {
	now := time.Now()
	w := core.Webhook{Project: "p", ID: "w", Sealed: []byte("s")}
	d := core.Delivery{Project: "p", ID: "d", Webhook: "w", DueAt: now, CreatedAt: now}
	_ = s.CreateWebhook(ctx, w)
	_, _ = s.Webhook(ctx, "p", "w")
	_ = s.UpdateWebhook(ctx, w)
	_, _ = s.Webhooks(ctx, "p")
	_, _ = s.ListeningProjects(ctx)
	_ = s.AddDeliveries(ctx, d)
	_, _ = s.Delivery(ctx, "p", "w", "d")
	for _, page := range []core.DeliveryPage{{}, {After: &core.PageKey{CreatedAt: now, ID: "x"}}, {State: core.DeliveryFailed}, {State: core.DeliveryFailed, After: &core.PageKey{CreatedAt: now, ID: "x"}}} {
		page.Limit = 1
		_, _ = s.Deliveries(ctx, "p", "w", page)
	}
	_ = s.UpdateDelivery(ctx, d)
	_, _ = s.DueWebhooks(ctx, now, 1)
	_, _ = s.ClaimDeliveries(ctx, "p", "w", now, now, 1)
	_, _ = s.PruneDeliveries(ctx, now, 1)
	_ = s.DeleteWebhook(ctx, "p", "w")
}
