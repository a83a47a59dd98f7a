package storetest

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

func sessionID(s core.Session) core.SessionID { return s.ID }

// full fills every field of a session that a store keeps.
func full(b *bundle, t *testing.T, project core.ProjectID) func(*core.Session) {
	t.Helper()
	environment := b.environment(t, project).ID
	return func(s *core.Session) {
		title, spec := "a title", fullSpec()
		s.Environment, s.Title, s.Snapshot, s.AgentVersion, s.AgentKey = environment, &title, &spec, 3, "key"
		s.Metadata, s.EnvVars = map[string]string{"m": "1"}, map[string]string{"E": "2"}
		s.Meta, s.VaultIDs = json.RawMessage(`{"free": [1, null]}`), []string{"v"}
		s.Resources = []core.Resource{{ID: "r", Type: core.ResourceFile, MountPath: "/mnt/x", CreatedAt: at(1), UpdatedAt: at(2), File: "f", Token: []byte{0, 255}}}
		s.Budget = &core.Budget{Cents: 2500, Currency: "USD"}
		s.Outcomes = []core.Outcome{{ID: "o", Event: "e", Description: "d", Rubric: "r", MaxIterations: 3, Iteration: 1, Result: core.OutcomeRunning, CompletedAt: at(3)}}
		s.Status, s.StopReason = core.StatusRunning, &core.StopReason{Type: core.StopRequiresAction, Events: []core.EventID{"e"}}
		s.Usage = core.Usage{InputTokens: 1, OutputTokens: 2, CacheReadTokens: 3, CacheCreationTokens: 4, ModelCalls: 5, ActiveMS: 6}
		s.ArchivedAt = kept(at(90))
	}
}

var sessionPromises = map[string]func(*testing.T, *bundle){
	"ASessionComesBackAsItWentIn": func(t *testing.T, b *bundle) {
		p := b.project(t)
		for name, want := range map[string]core.Session{
			"plain": b.session(t, p), "full": b.session(t, p, full(b, t, p)),
		} {
			want.Agent = b.agentOf(t, want)
			got, err := b.Session(b.ctx, p, want.ID)
			need(t, err)
			same(t, name, got, want)
		}
	},
	"AManagedSessionHasItsPrimaryThread": func(t *testing.T, b *bundle) {
		s := b.session(t, b.project(t))
		got, err := b.Thread(b.ctx, s.Project, s.ID, core.PrimaryThread(s.ID))
		need(t, err)
		same(t, "thread", got, core.Thread{Project: s.Project, Session: s.ID, ID: core.PrimaryThread(s.ID), Status: core.StatusIdle, CreatedAt: s.CreatedAt, UpdatedAt: s.CreatedAt})
	},
	"AnObservedSessionHasNoThread": func(t *testing.T, b *bundle) {
		s := b.session(t, b.project(t), func(s *core.Session) {
			s.Origin, s.Snapshot, s.AgentVersion, s.Meta = core.OriginObserved, nil, 0, json.RawMessage(`{}`)
		})
		got, err := b.Session(b.ctx, s.Project, s.ID)
		need(t, err)
		same(t, "session", got, s)
		_, err = b.Thread(b.ctx, s.Project, s.ID, core.PrimaryThread(s.ID))
		refused(t, "Thread", err, core.NotFound, "thread_not_found")
	},
	"MetadataIsNeverNil": func(t *testing.T, b *bundle) {
		s := b.session(t, b.project(t), func(s *core.Session) { s.Metadata = nil })
		got, err := b.Session(b.ctx, s.Project, s.ID)
		need(t, err)
		same(t, "metadata", got.Metadata, map[string]string{})
	},
	"ATakenIDIsConflict": func(t *testing.T, b *bundle) {
		s := b.session(t, b.project(t))
		refused(t, "same project", b.CreateSession(b.ctx, s), core.Conflict, "session_already_exists")
		other := b.agent(t, b.project(t))
		s.Project, s.Agent = other.Project, other.ID
		refused(t, "other project", b.CreateSession(b.ctx, s), core.Conflict, "session_already_exists")
	},
	"ASessionNeedsWhatItRefersTo": func(t *testing.T, b *bundle) {
		p := b.project(t)
		agent := b.agent(t, p).ID
		for name, s := range map[string]core.Session{
			"project":     {Project: "none", Agent: agent},
			"agent":       {Project: p, Agent: "none"},
			"environment": {Project: p, Agent: agent, Environment: "none"},
		} {
			s.ID, s.Origin = core.NewID[core.SessionID](), core.OriginManaged
			refused(t, name, b.CreateSession(b.ctx, s), core.NotFound, "reference_not_found")
		}
	},
	"AnUnknownSessionIsNotFound": func(t *testing.T, b *bundle) {
		p := b.project(t)
		none := core.Session{Project: p, ID: "none"}
		_, err := b.Session(b.ctx, p, none.ID)
		refused(t, "Session", err, core.NotFound, "session_not_found")
		refused(t, "UpdateSession", b.UpdateSession(b.ctx, none), core.NotFound, "session_not_found")
		refused(t, "SetSessionState", b.SetSessionState(b.ctx, none), core.NotFound, "session_not_found")
		refused(t, "DeleteSession", b.DeleteSession(b.ctx, p, none.ID), core.NotFound, "session_not_found")
		_, err = b.Thread(b.ctx, p, none.ID, "none")
		refused(t, "Thread", err, core.NotFound, "thread_not_found")
	},
	"UpdateStoresTheFieldsThatMayChange": func(t *testing.T, b *bundle) {
		p := b.project(t)
		want := b.session(t, p)
		change := b.session(t, p, full(b, t, p))
		change.ID, change.Origin, change.LastSeq, change.CreatedAt, change.UpdatedAt = want.ID, core.OriginObserved, 99, at(80), kept(at(81))
		need(t, b.UpdateSession(b.ctx, change))
		want.Resources, want.Budget, want.Outcomes = change.Resources, change.Budget, change.Outcomes
		want.Title, want.Metadata, want.EnvVars, want.Status = change.Title, change.Metadata, change.EnvVars, change.Status
		want.StopReason, want.Usage, want.UpdatedAt, want.ArchivedAt = change.StopReason, change.Usage, change.UpdatedAt, change.ArchivedAt
		got, err := b.Session(b.ctx, p, want.ID)
		need(t, err)
		same(t, "session", got, want)
	},
	"SetSessionStateStoresNothingElse": func(t *testing.T, b *bundle) {
		p := b.project(t)
		want := b.session(t, p)
		change := b.session(t, p, full(b, t, p))
		change.ID, change.UpdatedAt = want.ID, kept(at(81))
		need(t, b.SetSessionState(b.ctx, change))
		want.Status, want.StopReason, want.Usage, want.UpdatedAt = change.Status, change.StopReason, change.Usage, change.UpdatedAt
		got, err := b.Session(b.ctx, p, want.ID)
		need(t, err)
		same(t, "session", got, want)
		want.StopReason = nil
		need(t, b.SetSessionState(b.ctx, want))
		got, err = b.Session(b.ctx, p, want.ID)
		need(t, err)
		same(t, "without a stop reason", got, want)
	},
	"DeleteRemovesThreadsAndLog": func(t *testing.T, b *bundle) {
		p := b.project(t)
		gone, spared := b.session(t, p), b.session(t, p)
		b.log(t, gone, 3)
		events := b.log(t, spared, 2)
		need(t, b.DeleteSession(b.ctx, p, gone.ID))
		_, err := b.Session(b.ctx, p, gone.ID)
		refused(t, "Session", err, core.NotFound, "session_not_found")
		_, err = b.Thread(b.ctx, p, gone.ID, core.PrimaryThread(gone.ID))
		refused(t, "Thread", err, core.NotFound, "thread_not_found")
		_, err = b.Events(b.ctx, p, gone.ID, core.EventQuery{Limit: 10})
		refused(t, "Events", err, core.NotFound, "session_not_found")
		got, err := b.Events(b.ctx, p, spared.ID, core.EventQuery{Limit: 10})
		need(t, err)
		same(t, "another session's log", got, events)
		// The id may be used again, and starts with an empty log.
		need(t, b.CreateSession(b.ctx, gone))
		got, err = b.Events(b.ctx, p, gone.ID, core.EventQuery{Limit: 10})
		need(t, err)
		same(t, "log of the new session", got, []core.Event{})
	},
}

// agentOf is the agent that session made for a session that named none.
func (b *bundle) agentOf(t *testing.T, s core.Session) core.AgentID {
	t.Helper()
	got, err := b.Session(b.ctx, s.Project, s.ID)
	need(t, err)
	return got.Agent
}

var sessionListPromises = map[string]func(*testing.T, *bundle){
	"PagesGoInBothDirections": func(t *testing.T, b *bundle) {
		p := b.project(t)
		var s []core.Session
		for range 5 {
			s = append(s, b.session(t, p))
		}
		place := func(i int) *core.PageKey { return &core.PageKey{CreatedAt: s[i].CreatedAt, ID: string(s[i].ID)} }
		for _, c := range []struct {
			name string
			page core.SessionPage
			want []int
		}{
			{"newest first", core.SessionPage{Limit: 3}, []int{4, 3, 2}},
			{"after", core.SessionPage{Limit: 2, After: place(3)}, []int{2, 1}},
			{"before", core.SessionPage{Limit: 2, Before: place(0)}, []int{2, 1}},
			{"oldest first", core.SessionPage{Limit: 2, Ascending: true}, []int{0, 1}},
			{"oldest first, after", core.SessionPage{Limit: 2, Ascending: true, After: place(2)}, []int{3, 4}},
			{"oldest first, before", core.SessionPage{Limit: 2, Ascending: true, Before: place(3)}, []int{1, 2}},
		} {
			list, err := b.Sessions(b.ctx, p, c.page)
			need(t, err)
			want := make([]core.SessionID, len(c.want))
			for i, n := range c.want {
				want[i] = s[n].ID
			}
			same(t, c.name, ids(list, sessionID), want)
		}
	},
	"SessionsAreListedByTheMemoryStoresThatTheyHave": func(t *testing.T, b *bundle) {
		p := b.project(t)
		with := func(stores ...core.MemoryStoreID) core.Session {
			return b.session(t, p, func(s *core.Session) {
				s.Resources = []core.Resource{{ID: "f", Type: core.ResourceFile, MountPath: "/mnt/x"}}
				for _, id := range stores {
					s.Resources = append(s.Resources, core.Resource{ID: core.ResourceID(id), Type: core.ResourceMemoryStore, Store: id})
				}
			})
		}
		one, both := with("a"), with("a", "b")
		with()
		three := with("a")
		list := func(page core.SessionPage) []core.SessionID {
			t.Helper()
			page.Limit = 2
			list, err := b.Sessions(b.ctx, p, page)
			need(t, err)
			return ids(list, sessionID)
		}
		place := func(s core.Session) *core.PageKey { return &core.PageKey{CreatedAt: s.CreatedAt, ID: string(s.ID)} }
		same(t, "a", list(core.SessionPage{MemoryStore: "a"}), []core.SessionID{three.ID, both.ID})
		same(t, "a, after", list(core.SessionPage{MemoryStore: "a", After: place(both)}), []core.SessionID{one.ID})
		same(t, "a, oldest first, before", list(core.SessionPage{MemoryStore: "a", Ascending: true, Before: place(three)}), []core.SessionID{one.ID, both.ID})
		same(t, "b", list(core.SessionPage{MemoryStore: "b"}), []core.SessionID{both.ID})
		same(t, "c", list(core.SessionPage{MemoryStore: "c"}), []core.SessionID{})
		need(t, b.DeleteSession(b.ctx, p, both.ID))
		same(t, "b, deleted", list(core.SessionPage{MemoryStore: "b"}), []core.SessionID{})
	},
	"FiltersNarrow": func(t *testing.T, b *bundle) {
		p := b.project(t)
		agent := b.agent(t, p).ID
		first := b.session(t, p, func(s *core.Session) { s.Agent = agent })
		second := b.session(t, p, func(s *core.Session) { s.Agent, s.AgentVersion, s.Status = agent, 2, core.StatusRunning })
		third := b.session(t, p, func(s *core.Session) { s.Origin, s.AgentVersion = core.OriginObserved, 0 })
		gone := b.session(t, p, func(s *core.Session) { s.ArchivedAt, s.Status = at(99), core.StatusTerminated })
		b.session(t, b.project(t))
		for _, c := range []struct {
			name string
			page core.SessionPage
			want []core.SessionID
		}{
			{"default", core.SessionPage{}, []core.SessionID{third.ID, second.ID, first.ID}},
			{"archived too", core.SessionPage{IncludeArchived: true}, []core.SessionID{gone.ID, third.ID, second.ID, first.ID}},
			{"agent", core.SessionPage{Agent: agent}, []core.SessionID{second.ID, first.ID}},
			{"agent version", core.SessionPage{Agent: agent, AgentVersion: 2}, []core.SessionID{second.ID}},
			{"managed", core.SessionPage{Origin: core.OriginManaged}, []core.SessionID{second.ID, first.ID}},
			{"observed", core.SessionPage{Origin: core.OriginObserved}, []core.SessionID{third.ID}},
			{"a status", core.SessionPage{Statuses: []core.SessionStatus{core.StatusRunning}}, []core.SessionID{second.ID}},
			{"two statuses", core.SessionPage{IncludeArchived: true, Statuses: []core.SessionStatus{core.StatusRunning, core.StatusTerminated}}, []core.SessionID{gone.ID, second.ID}},
			{"from", core.SessionPage{CreatedFrom: second.CreatedAt}, []core.SessionID{third.ID, second.ID}},
			{"to", core.SessionPage{CreatedTo: second.CreatedAt}, []core.SessionID{second.ID, first.ID}},
			{"after", core.SessionPage{CreatedAfter: second.CreatedAt}, []core.SessionID{third.ID}},
			{"before", core.SessionPage{CreatedBefore: second.CreatedAt}, []core.SessionID{first.ID}},
			{"nothing", core.SessionPage{CreatedAfter: second.CreatedAt.Add(time.Hour)}, []core.SessionID{}},
		} {
			c.page.Limit = 100
			list, err := b.Sessions(b.ctx, p, c.page)
			need(t, err)
			same(t, c.name, ids(list, sessionID), c.want)
		}
	},
	"ListedSessionsAreWhole": func(t *testing.T, b *bundle) {
		p := b.project(t)
		b.session(t, p, full(b, t, p), func(s *core.Session) { s.ArchivedAt = time.Time{} })
		b.session(t, p)
		list, err := b.Sessions(b.ctx, p, core.SessionPage{Limit: 10})
		need(t, err)
		same(t, "how many", len(list), 2)
		for _, got := range list {
			want, err := b.Session(b.ctx, p, got.ID)
			need(t, err)
			same(t, "session", got, want)
		}
	},
}
