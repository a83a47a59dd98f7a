package storetest

import (
	"fmt"
	"testing"

	"github.com/reeve-ai/reeve/internal/core"
)

// member is a thread of a session with every field set.
func (b *bundle) member(t *testing.T, s core.Session, edit ...func(*core.Thread)) core.Thread {
	t.Helper()
	now := kept(b.later())
	th := core.Thread{
		Project: s.Project, Session: s.ID, ID: core.NewID[core.ThreadID](), Parent: core.PrimaryThread(s.ID),
		Kind: core.RosterAgent, Agent: core.NewID[core.AgentID](), AgentVersion: 3, Name: "helper",
		Spec: &core.AgentSpec{Name: "helper", System: "help"}, Model: &core.ModelChoice{ID: "m"},
		Status: core.StatusIdle, StopReason: &core.StopReason{Type: core.StopRequiresAction, Events: []core.EventID{"e"}},
		Usage: core.Usage{InputTokens: 1, OutputTokens: 2}, CreatedAt: now, UpdatedAt: now,
	}
	for _, f := range edit {
		f(&th)
	}
	need(t, b.CreateThread(b.ctx, th))
	return th
}

var threadPromises = map[string]func(*testing.T, *bundle){
	"AThreadComesBackAsItWentIn": func(t *testing.T, b *bundle) {
		want := b.member(t, b.session(t, b.project(t)), func(th *core.Thread) { th.ArchivedAt = kept(at(9)) })
		got, err := b.Thread(b.ctx, want.Project, want.Session, want.ID)
		need(t, err)
		same(t, "thread", got, want)
	},
	"ATakenIDIsConflict": func(t *testing.T, b *bundle) {
		th := b.member(t, b.session(t, b.project(t)))
		refused(t, "CreateThread", b.CreateThread(b.ctx, th), core.Conflict, "thread_already_exists")
		th.Session = "none"
		refused(t, "CreateThread", b.CreateThread(b.ctx, th), core.NotFound, "session_not_found")
	},
	"SetThreadStateStoresTheStateAlone": func(t *testing.T, b *bundle) {
		want := b.member(t, b.session(t, b.project(t)))
		change := want
		change.Name, change.Spec = "other", nil
		change.Status, change.StopReason, change.Usage = core.StatusRunning, nil, core.Usage{ModelCalls: 4}
		change.UpdatedAt, change.ArchivedAt = kept(at(80)), kept(at(81))
		need(t, b.SetThreadState(b.ctx, change))
		want.Status, want.StopReason, want.Usage, want.UpdatedAt, want.ArchivedAt = change.Status, nil, change.Usage, change.UpdatedAt, change.ArchivedAt
		got, err := b.Thread(b.ctx, want.Project, want.Session, want.ID)
		need(t, err)
		same(t, "thread", got, want)
		change.ID = "none"
		refused(t, "SetThreadState", b.SetThreadState(b.ctx, change), core.NotFound, "thread_not_found")
	},
	"ThreadsAreListedOldestFirst": func(t *testing.T, b *bundle) {
		s := b.session(t, b.project(t))
		b.member(t, b.session(t, s.Project)) // another session's
		ids := []core.ThreadID{core.PrimaryThread(s.ID)}
		for i := range 4 {
			th := b.member(t, s, func(th *core.Thread) {
				switch i {
				case 1:
					th.ArchivedAt = kept(at(99))
				case 2:
					th.Status = core.StatusTerminated
				}
			})
			ids = append(ids, th.ID)
		}
		list := func(page core.ThreadPage) []core.ThreadID {
			t.Helper()
			threads, err := b.Threads(b.ctx, s.Project, s.ID, page)
			need(t, err)
			out := []core.ThreadID{}
			for _, th := range threads {
				out = append(out, th.ID)
			}
			return out
		}
		same(t, "all", list(core.ThreadPage{Limit: 10}), ids)
		same(t, "open", list(core.ThreadPage{Limit: 10, Open: true}), []core.ThreadID{ids[0], ids[1], ids[4]})
		second, err := b.Thread(b.ctx, s.Project, s.ID, ids[1])
		need(t, err)
		same(t, "behind one", list(core.ThreadPage{Limit: 2, After: &core.PageKey{CreatedAt: second.CreatedAt, ID: string(second.ID)}}), ids[2:4])
	},
	"AThreadOwesTurnsOfItsOwn": func(t *testing.T, b *bundle) {
		s := b.session(t, b.project(t))
		th := b.member(t, s)
		lease, taken, err := b.OweTurn(b.ctx, s.Project, s.ID, th.ID, "n", at(1), at(1000))
		need(t, err)
		same(t, "taken", taken, true)
		need(t, b.HoldLease(b.ctx, lease))
		got, err := b.Thread(b.ctx, s.Project, s.ID, core.PrimaryThread(s.ID))
		need(t, err)
		same(t, "the primary thread owes one", got.Turn.Pending, false)
	},
	"TheSessionsViewIsThePrimaryThreadAndWhatIsShared": func(t *testing.T, b *bundle) {
		s := b.session(t, b.project(t))
		primary := core.PrimaryThread(s.ID)
		for i, d := range []struct {
			thread core.ThreadID
			shared bool
		}{{primary, false}, {"a", false}, {"a", true}, {"b", true}, {"b", false}} {
			draft := core.NewDraft(d.thread, "", core.EventAgentMessage, nil)
			draft.Shared = d.shared
			got, err := b.Append(b.ctx, s.Project, s.ID, at(i+1), draft)
			need(t, err)
			same(t, "returned", got[0].Shared, d.shared)
		}
		for i, c := range []struct {
			q    core.EventQuery
			want []int64
		}{
			{core.EventQuery{Thread: primary, Shared: true}, []int64{1, 3, 4}},
			{core.EventQuery{Thread: primary}, []int64{1}},
			{core.EventQuery{Thread: "a"}, []int64{2, 3}},
			{core.EventQuery{Shared: true}, []int64{1, 2, 3, 4, 5}},
		} {
			c.q.Limit = 10
			got, err := b.Events(b.ctx, s.Project, s.ID, c.q)
			need(t, err)
			same(t, fmt.Sprintf("query %d", i), seqs(got), c.want)
		}
	},
	"ATeamIsFrozenWithItsSession": func(t *testing.T, b *bundle) {
		p := b.project(t)
		team := []core.Teammate{
			{RosterMember: core.RosterMember{Kind: core.RosterAgent, Agent: "a", Version: 2}, Spec: &core.AgentSpec{Name: "a"}},
			{RosterMember: core.RosterMember{Kind: core.RosterSelf}},
			{RosterMember: core.RosterMember{Kind: core.RosterAdvisor, Model: &core.ModelChoice{ID: "m"}}},
		}
		s := b.session(t, p, func(s *core.Session) { s.Team = team })
		changed := s
		changed.Team, changed.UpdatedAt = nil, kept(at(50))
		need(t, b.UpdateSession(b.ctx, changed))
		need(t, b.UpdateSnapshot(b.ctx, p, s.ID, core.AgentSpec{Name: "other"}))
		got, err := b.Session(b.ctx, p, s.ID)
		need(t, err)
		same(t, "team", got.Team, team)
	},
}
